//! `[notify]`: what the file of checks says of alerts.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::decide::Rules;
use crate::span::Span;

/// Its section of `--print-config`.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// `[notify]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    after: NonZeroU32,
    remind: Remind,
    flap_changes: NonZeroU32,
    flap_within: Span,
    forget: Span,
    timeout: Span,
    pub(super) mail: Option<MailSettings>,
    pub(super) webhook: Vec<WebhookSettings>,
    pub(super) ping: Option<PingSettings>,
}

/// `[notify.mail]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MailSettings {
    /// ADMIN_EMAIL, when it is empty.
    pub(super) to: Vec<String>,
    pub(super) from: Option<String>,
    pub(super) sendmail: Option<PathBuf>,
    pub(super) smtp: Option<String>,
    pub(super) tls: Option<Tls>,
    pub(super) user: Option<String>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) password_env: Option<String>,
}

/// How a connection for mail is kept private.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Tls {
    /// From the first byte, as on port 465.
    #[serde(rename = "tls")]
    Immediate,
    /// After STARTTLS, which the server must offer.
    Starttls,
    /// Not at all: on this machine only.
    None,
}

/// `[[notify.webhook]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookSettings {
    pub(super) name: String,
    pub(super) template: Template,
    pub(super) url_file: Option<PathBuf>,
    pub(super) url_env: Option<String>,
}

/// What the receiver of a webhook understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Template {
    Json,
    Slack,
    Discord,
    Ntfy,
}

/// `[notify.ping]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PingSettings {
    pub(super) url_file: Option<PathBuf>,
    pub(super) url_env: Option<String>,
    #[serde(default)]
    pub(super) end: PingEnd,
}

/// How the end of a run is reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PingEnd {
    /// URL, or URL/fail when the run was critical or unknown.
    #[default]
    Fail,
    /// URL/0 to URL/3.
    ExitCode,
}

/// How often what is still bad is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
enum Remind {
    Never,
    After(Span),
}

impl TryFrom<String> for Remind {
    type Error = <Span as TryFrom<String>>::Error;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "never" | "0" => Ok(Self::Never),
            _ => Span::try_from(text).map(Self::After),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            after: NonZeroU32::MIN,
            remind: Remind::After(Span::hours(24)),
            flap_changes: NonZeroU32::MIN.saturating_add(3),
            flap_within: Span::hours(1),
            forget: Span::days(8),
            timeout: Span::seconds(10),
            mail: None,
            webhook: Vec::new(),
            ping: None,
        }
    }
}

impl Settings {
    /// How long one attempt to tell somebody may take.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout.duration()
    }

    pub(super) fn rules(&self) -> Rules {
        Rules {
            after_runs: self.after.get(),
            remind: match self.remind {
                Remind::Never => Duration::ZERO,
                Remind::After(span) => span.duration(),
            },
            flap_changes: self.flap_changes.get(),
            flap_within: self.flap_within.duration(),
            forget: self.forget.duration(),
        }
    }
}
