//! `[mailflow]`: where the trip begins and ends, and who makes it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mail_common::secret::Secret;
use mail_common::trusted;
use serde::Deserialize;

use crate::limits::Ceiling;
use crate::net::http::Url;
use crate::net::{Place, Protocol};

/// Its section of `--print-config`.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// `[mailflow]`, as it is in the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    submit: Option<Door>,
    read: Option<Door>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    from: Option<String>,
    mailbox: String,
    delay: Ceiling,
    inbound: Inbound,
}

/// `[mailflow.inbound]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Inbound {
    url: Option<Url>,
    headers_file: Option<PathBuf>,
    body: Option<String>,
}

/// A protocol at a place.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Door {
    pub(super) protocol: Protocol,
    pub(super) place: Place,
}

/// It is not a server.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is not a server; such are submission://127.0.0.1:587, smtps://host:465, \
     imaps://127.0.0.1:993 and imap://host:143"
)]
pub(super) struct NotADoor(String);

/// All that a trip needs.
#[derive(Clone, Debug)]
pub(super) struct Complete {
    pub(super) submit: Option<Door>,
    pub(super) read: Door,
    pub(super) user: String,
    password_file: PathBuf,
    pub(super) from: String,
    pub(super) mailbox: String,
    pub(super) delay: Ceiling,
    pub(super) inbound: Option<Api>,
}

/// The inbound API.
#[derive(Clone, Debug)]
pub(super) struct Api {
    pub(super) url: Url,
    headers_file: Option<PathBuf>,
    pub(super) body: String,
}

/// A way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Submission,
    Inbound,
}

impl Route {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Submission => "submission",
            Self::Inbound => "inbound",
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            submit: None,
            read: None,
            user: None,
            password_file: None,
            from: None,
            mailbox: "INBOX".to_owned(),
            delay: Ceiling::new(60.0, 300.0),
            inbound: Inbound::default(),
        }
    }
}

impl TryFrom<String> for Door {
    type Error = NotADoor;

    fn try_from(text: String) -> Result<Self, NotADoor> {
        let (scheme, place) = text
            .split_once("://")
            .ok_or_else(|| NotADoor(text.clone()))?;
        let protocol = match scheme {
            "smtp" => Protocol::Smtp,
            "submission" => Protocol::Submission,
            "smtps" => Protocol::Smtps,
            "imap" => Protocol::Imap,
            "imaps" => Protocol::Imaps,
            _ => return Err(NotADoor(text)),
        };
        let place = place
            .trim_end_matches('/')
            .parse()
            .map_err(|_| NotADoor(text.clone()))?;
        Ok(Self { protocol, place })
    }
}

impl Settings {
    /// `None` when nothing is configured; an error names what is wanting.
    pub(super) fn complete(&self) -> Result<Option<Complete>, String> {
        let inbound = self.inbound()?;
        if self.submit.is_none() && inbound.is_none() {
            return Ok(None);
        }
        let wanting =
            |name: &str| format!("[mailflow] needs `{name}`; see mail-check --print-config");
        let read = self.read.clone().ok_or_else(|| wanting("read"))?;
        let is_mailbox = matches!(read.protocol, Protocol::Imap | Protocol::Imaps);
        let is_way_in = self
            .submit
            .as_ref()
            .is_none_or(|door| !matches!(door.protocol, Protocol::Imap | Protocol::Imaps));
        if !is_mailbox || !is_way_in {
            return Err("[mailflow] submit is for SMTP, read for IMAP".to_owned());
        }
        let user = self.user.clone().ok_or_else(|| wanting("user"))?;
        let from = self.from.clone().unwrap_or_else(|| user.clone());
        if [&user, &from]
            .iter()
            .any(|text| text.contains(|c: char| c.is_control() || "<> ".contains(c)))
        {
            return Err("[mailflow] user and from have to be addresses".to_owned());
        }
        Ok(Some(Complete {
            submit: self.submit.clone(),
            read,
            user,
            password_file: self
                .password_file
                .clone()
                .ok_or_else(|| wanting("password_file"))?,
            from,
            mailbox: self.mailbox.clone(),
            delay: self.delay,
            inbound,
        }))
    }

    fn inbound(&self) -> Result<Option<Api>, String> {
        let Inbound {
            url,
            headers_file,
            body,
        } = self.inbound.clone();
        match (url, body) {
            (None, None) => Ok(None),
            (Some(url), Some(body)) => Ok(Some(Api {
                url,
                headers_file,
                body,
            })),
            _ => Err(
                "[mailflow.inbound] needs `url` and `body`; see mail-check --print-config"
                    .to_owned(),
            ),
        }
    }
}

impl Complete {
    pub(super) fn routes(&self) -> Vec<Route> {
        let submission = self.submit.as_ref().map(|_| Route::Submission);
        submission
            .into_iter()
            .chain(self.inbound.as_ref().map(|_| Route::Inbound))
            .collect()
    }

    /// How long is waited for the message: to the critical limit, or the warning where there is
    /// none.
    pub(super) fn wait(&self) -> Duration {
        let seconds = self.delay.critical.or(self.delay.warning).unwrap_or(300.0);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(300))
    }

    pub(super) fn password(&self) -> Result<Secret, String> {
        let text = read(&self.password_file, "password_file")?;
        Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
    }
}

impl Api {
    /// Header lines, secrets among them.
    pub(super) fn headers(&self) -> Result<Vec<String>, String> {
        let text = self
            .headers_file
            .as_deref()
            .map(|path| read(path, "headers_file"))
            .transpose()?;
        let lines = text.unwrap_or_default();
        Ok(lines
            .lines()
            .filter(|line| line.contains(':'))
            .map(|line| line.trim().to_owned())
            .collect())
    }
}

fn read(path: &Path, name: &str) -> Result<String, String> {
    trusted::read_to_string(path).map_err(|error| {
        format!(
            "[mailflow] {name} {} cannot be read: {error}",
            path.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(text: &str) -> Result<Option<Complete>, String> {
        toml::from_str::<Settings>(text).unwrap().complete()
    }

    #[test]
    fn what_is_wanting_is_named() {
        let check = |text: &str, expected: &str| {
            let error = complete(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        };
        assert!(complete("").unwrap().is_none());
        check("submit = 'submission://h:587'", "`read`");
        check(
            "submit = 'submission://h:587'\nread = 'imaps://h:993'",
            "`user`",
        );
        check(
            "submit = 'imaps://h:587'\nread = 'imaps://h:993'",
            "submit is for SMTP",
        );
        check(
            "submit = 'smtps://h:465'\nread = 'imaps://h:993'\nuser = 'a b'",
            "have to be addresses",
        );
        check("[inbound]\nurl = 'http://h/'", "`url` and `body`");
        let all =
            "submit = 'smtps://h:465'\nread = 'imap://h:143'\nuser = 'a@b'\npassword_file = '/p'";
        let settings = complete(all).unwrap().unwrap();
        assert_eq!(
            (settings.from.as_str(), settings.wait().as_secs()),
            ("a@b", 300)
        );
        assert!(toml::from_str::<Settings>("read = 'pop3://h:1'").is_err());
    }
}
