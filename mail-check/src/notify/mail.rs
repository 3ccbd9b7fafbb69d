//! Alerts by mail: by the sendmail program, or by SMTP.

use std::path::PathBuf;
use std::time::Duration;

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls as Security, TlsParameters};
use lettre::{SmtpTransport, Transport};
use mail_common::config::{Environment, Settings as ServerSettings};
use mail_common::secret::Secret;

use super::alert::Alert;
use super::error::{ConfigError, NotifyError};
use super::secrets::secret;
use super::settings::{MailSettings, Tls};
use crate::command;

const SECTION: &str = "[notify.mail]";
const SENDMAIL: &str = "/usr/sbin/sendmail";

/// Who gets mail, and how.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    to: Vec<Mailbox>,
    /// `mail-check` on this host, when there is none.
    from: Option<Mailbox>,
    carrier: Carrier,
}

#[derive(Clone, Debug)]
enum Carrier {
    Program(PathBuf),
    Smtp {
        host: String,
        port: u16,
        tls: Tls,
        login: Option<(String, Secret)>,
    },
}

/// What tells one alert from another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp<'a> {
    pub(crate) host: &'a str,
    pub(crate) nanoseconds: i128,
}

impl Mail {
    pub(crate) fn new(
        settings: &MailSettings,
        server: &ServerSettings,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let admin = server
            .admin_email
            .iter()
            .flat_map(|all| all.split([',', ' ']))
            .filter(|one| !one.is_empty());
        let to = if settings.to.is_empty() {
            admin.map(str::to_owned).collect()
        } else {
            settings.to.clone()
        };
        let to = to
            .iter()
            .map(|text| mailbox(text))
            .collect::<Result<Vec<_>, _>>()?;
        if to.is_empty() {
            return Err(ConfigError::NoRecipient);
        }
        let from = settings.from.as_deref().map(mailbox).transpose()?;
        Ok(Self {
            to,
            from,
            carrier: carrier(settings, environment)?,
        })
    }

    pub(crate) fn send(
        &self,
        alert: &Alert,
        stamp: Stamp<'_>,
        within: Duration,
    ) -> Result<(), NotifyError> {
        let message = self.message(alert, stamp)?;
        match &self.carrier {
            Carrier::Program(program) => {
                let recipients = self.to.iter().map(|mailbox| mailbox.email.to_string());
                let args: Vec<String> = ["-i".to_owned(), "--".to_owned()]
                    .into_iter()
                    .chain(recipients)
                    .collect();
                // Programs of Unix take lines as Unix has them.
                let text = String::from_utf8_lossy(&message.formatted()).replace("\r\n", "\n");
                command::feed(&program.to_string_lossy(), &args, text.into_bytes(), within)?;
                Ok(())
            }
            Carrier::Smtp {
                host,
                port,
                tls,
                login,
            } => {
                let failed = |source| NotifyError::Smtp {
                    server: format!("{host}:{port}"),
                    source,
                };
                let transport = smtp(host, *port, *tls, login.as_ref(), within).map_err(failed)?;
                transport.send(&message).map(drop).map_err(failed)
            }
        }
    }

    fn message(&self, alert: &Alert, stamp: Stamp<'_>) -> Result<Message, NotifyError> {
        let Stamp { host, nanoseconds } = stamp;
        let from = match &self.from {
            Some(from) => from.clone(),
            None => Mailbox::new(
                Some("mail-check".to_owned()),
                format!("mail-check@{host}").parse()?,
            ),
        };
        let builder = self
            .to
            .iter()
            .fold(Message::builder().from(from), |builder, to| {
                builder.to(to.clone())
            });
        // RFC 3834: nobody's absence notice answers it.
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        let message = builder
            .subject(&alert.subject)
            .message_id(Some(format!(
                "<{nanoseconds}.{}.mail-check@{host}>",
                std::process::id()
            )))
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .header(ContentType::TEXT_PLAIN)
            .body(alert.body.clone())?;
        Ok(message)
    }
}

fn mailbox(text: &str) -> Result<Mailbox, ConfigError> {
    text.parse().map_err(|source| ConfigError::Address {
        text: text.to_owned(),
        source,
    })
}

fn carrier(settings: &MailSettings, environment: &Environment) -> Result<Carrier, ConfigError> {
    let has_login = settings.user.is_some()
        || settings.password_file.is_some()
        || settings.password_env.is_some();
    let Some(smtp) = &settings.smtp else {
        if settings.tls.is_some() || has_login {
            return Err(ConfigError::Mixed);
        }
        return Ok(Carrier::Program(
            settings.sendmail.clone().unwrap_or_else(|| SENDMAIL.into()),
        ));
    };
    if settings.sendmail.is_some() || has_login && settings.user.is_none() {
        return Err(ConfigError::Mixed);
    }
    let (host, port) = host_and_port(smtp).ok_or_else(|| ConfigError::Server(smtp.clone()))?;
    let tls = settings.tls.unwrap_or(Tls::Starttls);
    if tls == Tls::None && !is_this_machine(&host) {
        return Err(ConfigError::InClear);
    }
    let password = || {
        let (file, variable) = (
            settings.password_file.as_deref(),
            settings.password_env.as_deref(),
        );
        secret(SECTION, "password", file, variable, environment)
    };
    let login = settings
        .user
        .clone()
        .map(|user| Ok::<_, ConfigError>((user, password()?)))
        .transpose()?;
    Ok(Carrier::Smtp {
        host,
        port,
        tls,
        login,
    })
}

fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = port.parse().ok().filter(|port| *port > 0)?;
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost"
        || host
            .parse()
            .is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

fn smtp(
    host: &str,
    port: u16,
    tls: Tls,
    login: Option<&(String, Secret)>,
    within: Duration,
) -> Result<SmtpTransport, lettre::transport::smtp::Error> {
    let security = match tls {
        Tls::None => Security::None,
        Tls::Starttls => Security::Required(TlsParameters::new_rustls(host.to_owned())?),
        Tls::Immediate => Security::Wrapper(TlsParameters::new_rustls(host.to_owned())?),
    };
    let builder = SmtpTransport::builder_dangerous(host)
        .port(port)
        .tls(security)
        .timeout(Some(within));
    let with_login = |(user, password): &(String, Secret)| {
        Credentials::new(user.clone(), password.expose().to_owned())
    };
    Ok(match login {
        Some(login) => builder.credentials(with_login(login)).build(),
        None => builder.build(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_common::config::Config;

    fn resolve(text: &str, admin: &str) -> Result<Mail, ConfigError> {
        let environment = Environment::from([("ADMIN_EMAIL", admin), ("PASSWORD", "hunter2")]);
        let config = Config::parse(b"", "config".as_ref(), environment.clone()).unwrap();
        let server = ServerSettings::new(&config).unwrap();
        Mail::new(&toml::from_str(text).unwrap(), &server, &environment)
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let check = |text: &str, expected: &str| {
            let error = resolve(text, "a@example.com").unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("smtp = 'mx.example.com'", "host:port");
        check("smtp = 'mx.example.com:0'", "host:port");
        check(
            "smtp = 'mx.example.com:25'\ntls = 'none'",
            "this machine only",
        );
        check(
            "smtp = 'mx.example.com:25'\nsendmail = '/usr/sbin/sendmail'",
            "either `sendmail` or `smtp`",
        );
        check("user = 'a'", "go with `smtp`");
        check("smtp = 'a:1'\nuser = 'a'", "password_file or password_env");
        check(
            "smtp = 'a:1'\nuser = 'a'\npassword_env = 'ABSENT'",
            "ABSENT",
        );
        check("to = ['nobody']", "\"nobody\" is not a mail address");
        assert!(matches!(resolve("", ""), Err(ConfigError::NoRecipient)));
    }

    #[test]
    fn recipients_are_the_administrators_unless_others_are_named() {
        let to = |mail: &Mail| {
            mail.to
                .iter()
                .map(|to| to.email.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            to(&resolve("", "a@example.com, b@example.com").unwrap()),
            ["a@example.com", "b@example.com"]
        );
        let mail = resolve(
            "to = ['c@example.com']\nsmtp = '[::1]:25'\ntls = 'none'\nuser = 'u'\npassword_env = 'PASSWORD'",
            "a@example.com",
        );
        let mail = mail.unwrap();
        assert_eq!(to(&mail), ["c@example.com"]);
        assert!(!format!("{mail:?}").contains("hunter2"));
    }

    #[test]
    fn an_email_is_utf_8_and_nobody_answers_it() {
        let mail = resolve("", "a@example.com").unwrap();
        let alert = Alert {
            subject: "[OK] ホスト".to_owned(),
            body: "容量 91 %\n".to_owned(),
        };
        let stamp = Stamp {
            host: "mx.example.com",
            nanoseconds: 7,
        };
        let text = String::from_utf8(mail.message(&alert, stamp).unwrap().formatted()).unwrap();
        for header in [
            "From: mail-check <mail-check@mx.example.com>",
            "To: a@example.com",
            "Auto-Submitted: auto-generated",
            "Content-Type: text/plain; charset=utf-8",
            "Date: ",
        ] {
            assert!(
                text.lines().any(|line| line.starts_with(header)),
                "{header} in\n{text}"
            );
        }
        assert!(text.contains(".mail-check@mx.example.com>"), "{text}");
        assert!(text.is_ascii() && text.contains("=?utf-8?b?"), "{text}");
    }
}
