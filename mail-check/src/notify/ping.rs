//! A dead-man switch, as healthchecks.io has it: it alerts when runs cease, or fail.

use std::time::Duration;

use mail_common::config::Environment;

use super::alert::Occasion;
use super::error::{ConfigError, NotifyError};
use super::http::{self, Post, Url};
use super::retry::retrying;
use super::secrets::secret;
use super::settings::{PingEnd, PingSettings};
use super::webhook;
use crate::status::Status;

const SECTION: &str = "[notify.ping]";

/// Where the switch is, and how the end is reported to it.
#[derive(Clone, Debug)]
pub(crate) struct Ping {
    url: Url,
    end: PingEnd,
    within: Duration,
}

impl Ping {
    pub(crate) fn new(
        settings: &PingSettings,
        within: Duration,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let (file, variable) = (settings.url_file.as_deref(), settings.url_env.as_deref());
        let url = secret(SECTION, "url", file, variable, environment)?;
        let section = SECTION.to_owned();
        Ok(Self {
            url: Url::new(url).ok_or(ConfigError::Url { section })?,
            end: settings.end,
            within,
        })
    }

    pub(crate) fn start(&self) -> Result<(), NotifyError> {
        let empty = Post {
            content_type: "text/plain; charset=utf-8",
            headers: Vec::new(),
            body: String::new(),
        };
        self.send(&self.url.below("start"), &empty)
    }

    pub(crate) fn end(&self, occasion: Occasion<'_>) -> Result<(), NotifyError> {
        let is_bad = matches!(occasion.worst, Status::Critical | Status::Unknown);
        let url = match self.end {
            PingEnd::ExitCode => self.url.below(
                &mail_common::exit::Exit::Checked(occasion.worst)
                    .code()
                    .to_string(),
            ),
            PingEnd::Fail if is_bad => self.url.below("fail"),
            PingEnd::Fail => self.url.clone(),
        };
        self.send(&url, &webhook::summary(occasion))
    }

    fn send(&self, url: &Url, post: &Post) -> Result<(), NotifyError> {
        retrying(|| http::send(url, post, self.within))
    }
}
