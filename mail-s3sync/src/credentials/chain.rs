//! Which source the keys come from, and what else a profile says. It reads variables and files, and
//! asks nobody.

use std::path::{Path, PathBuf};

use mail_common::secret::Secret;

use super::error::Error;
use super::ini::{Ini, Settings};
use super::source::{Authorization, Role, Source};
use crate::aws::Credentials;

const DEFAULT_PROFILE: &str = "default";
const SESSION_NAME: &str = "mail-s3sync";
/// A role that is assumed from a role that is assumed, and so on: a ring never ends.
const MAX_ROLES: u32 = 8;
const INSTANCE_ENDPOINT: &str = "http://169.254.169.254";
/// Where ECS has its credentials service.
const CONTAINER_ENDPOINT: &str = "http://169.254.170.2";

/// What a profile says, beside the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) region: Option<String>,
    pub(crate) endpoint_url: Option<String>,
    /// Of `[services NAME]`, which `services = NAME` leads to.
    pub(crate) s3_endpoint_url: Option<String>,
    pub(crate) sts_endpoint_url: Option<String>,
    pub(crate) ignores_endpoints: bool,
    /// `addressing_style` below `s3 =`.
    pub(crate) addressing_style: Option<String>,
    pub(crate) ca_bundle: Option<String>,
}

/// Settings whose values are a word: more on the line is a comment that nobody takes for one.
const ONE_WORD: [&str; 9] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "region",
    "endpoint_url",
    "role_arn",
    "duration_seconds",
    "credential_source",
    "s3.addressing_style",
];

/// A variable by its name.
type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The files in `~/.aws`.
struct Files {
    config: Ini,
    credentials: Ini,
}

/// Chooses the source of the keys. A profile that was given by a flag comes before keys in the
/// environment.
pub(crate) fn choose(
    given: Option<&str>,
    variables: Variables<'_>,
) -> Result<(Source, Profile), Error> {
    let files = Files::read(variables)?;
    let from_environment = variables("AWS_PROFILE").or_else(|| variables("AWS_DEFAULT_PROFILE"));
    let named = given.map(str::to_owned).or(from_environment);
    let name = named.clone().unwrap_or_else(|| DEFAULT_PROFILE.to_owned());
    if named.is_some() && !files.have(&name) {
        return Err(Error::NoProfile(name));
    }
    let settings = files.profile(&name)?;
    let setting = |key: &str| settings.get(key).cloned();
    let services = setting("services");
    let services = services.and_then(|name| files.config.named("services", &name));
    let service = |key: &str| services.and_then(|services| services.get(key)).cloned();
    let profile = Profile {
        region: setting("region"),
        endpoint_url: setting("endpoint_url"),
        s3_endpoint_url: service("s3.endpoint_url"),
        sts_endpoint_url: service("sts.endpoint_url"),
        ignores_endpoints: setting("ignore_configured_endpoint_urls")
            .is_some_and(|value| value.eq_ignore_ascii_case("true")),
        addressing_style: setting("s3.addressing_style"),
        ca_bundle: setting("ca_bundle"),
    };
    if given.is_none()
        && let Some(source) = from_variables(variables)?
    {
        return Ok((source, profile));
    }
    let source = match files.source(&name, variables, MAX_ROLES)? {
        Some(source) => source,
        None if given.is_some() => {
            return Err(Error::Profile {
                profile: name,
                reason: "it has neither keys nor a role nor a process".into(),
            });
        }
        None => match from_container(variables) {
            Some(source) => source,
            None => from_instance(variables)?,
        },
    };
    Ok((source, profile))
}

/// Keys, or a web identity, in the environment.
fn from_variables(variables: Variables<'_>) -> Result<Option<Source>, Error> {
    match (
        variables("AWS_ACCESS_KEY_ID"),
        variables("AWS_SECRET_ACCESS_KEY"),
    ) {
        (Some(access_key), Some(secret)) => {
            let token = variables("AWS_SESSION_TOKEN").map(Secret::new);
            let secret = Secret::new(secret);
            return Ok(Some(Source::Static(Credentials {
                access_key,
                secret,
                token,
                expires: None,
            })));
        }
        (Some(_), None) => {
            return Err(Error::Incomplete(
                "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not",
            ));
        }
        (None, Some(_)) => {
            return Err(Error::Incomplete(
                "AWS_SECRET_ACCESS_KEY is set and AWS_ACCESS_KEY_ID is not",
            ));
        }
        (None, None) => {}
    }
    let Some(token_file) = variables("AWS_WEB_IDENTITY_TOKEN_FILE") else {
        return Ok(None);
    };
    let arn = variables("AWS_ROLE_ARN").ok_or(Error::Incomplete(
        "AWS_WEB_IDENTITY_TOKEN_FILE is set and AWS_ROLE_ARN is not",
    ))?;
    let session_name =
        variables("AWS_ROLE_SESSION_NAME").unwrap_or_else(|| SESSION_NAME.to_owned());
    let role = Role {
        arn,
        session_name,
        external_id: None,
        duration_seconds: None,
    };
    Ok(Some(Source::WebIdentity {
        token_file: token_file.into(),
        role,
    }))
}

/// A container's, where there is one.
fn from_container(variables: Variables<'_>) -> Option<Source> {
    let relative = variables("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        .map(|path| format!("{CONTAINER_ENDPOINT}{path}"));
    let url = relative.or_else(|| variables("AWS_CONTAINER_CREDENTIALS_FULL_URI"))?;
    let file = variables("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
        .map(|path| Authorization::File(path.into()));
    let token = || {
        variables("AWS_CONTAINER_AUTHORIZATION_TOKEN")
            .map(|token| Authorization::Token(Secret::new(token)))
    };
    Some(Source::Container {
        url,
        authorization: file.or_else(token),
    })
}

/// An instance's, unless nobody is to ask for them.
fn from_instance(variables: Variables<'_>) -> Result<Source, Error> {
    if variables("AWS_EC2_METADATA_DISABLED")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    {
        return Err(Error::Incomplete(
            "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
             or a profile in ~/.aws/credentials",
        ));
    }
    let endpoint = variables("AWS_EC2_METADATA_SERVICE_ENDPOINT")
        .unwrap_or_else(|| INSTANCE_ENDPOINT.to_owned());
    Ok(Source::Instance {
        endpoint: endpoint.trim_end_matches('/').to_owned(),
    })
}

impl Files {
    fn read(variables: Variables<'_>) -> Result<Self, Error> {
        let home = variables("HOME").map(PathBuf::from).unwrap_or_default();
        let path = |variable: &str, name: &str| {
            variables(variable)
                .map_or_else(|| home.join(".aws").join(name), |path| expand(&path, &home))
        };
        Ok(Self {
            config: Ini::read(&path("AWS_CONFIG_FILE", "config"))?,
            credentials: Ini::read(&path("AWS_SHARED_CREDENTIALS_FILE", "credentials"))?,
        })
    }

    /// Whether one of them has the profile.
    fn have(&self, name: &str) -> bool {
        let sections = [
            self.config.named("profile", name),
            self.credentials.section(name),
        ];
        sections.iter().any(Option::is_some)
    }

    /// What both files say of a profile; the credentials file comes first. A blank value says
    /// nothing.
    fn profile(&self, name: &str) -> Result<Settings, Error> {
        let mut settings = self
            .config
            .named("profile", name)
            .cloned()
            .unwrap_or_default();
        settings.extend(self.credentials.section(name).cloned().unwrap_or_default());
        settings.retain(|_, value| !value.is_empty());
        match ONE_WORD.iter().find(|key| has_blank(&settings, key)) {
            None => Ok(settings),
            Some(key) => Err(Error::Profile {
                profile: name.to_owned(),
                reason: format!(
                    "{key} has a blank in it; a comment needs a line of its own, as for the AWS \
                     command line"
                ),
            }),
        }
    }

    /// Where the keys of a profile come from; `None` when it does not say.
    fn source(
        &self,
        name: &str,
        variables: Variables<'_>,
        roles_left: u32,
    ) -> Result<Option<Source>, Error> {
        let settings = self.profile(name)?;
        let wrong = |reason: &str| Error::Profile {
            profile: name.to_owned(),
            reason: reason.to_owned(),
        };
        let Some(arn) = settings.get("role_arn") else {
            return own_source(&settings, &wrong);
        };
        let role = role_of(arn, &settings, &wrong)?;
        if let Some(token_file) = settings.get("web_identity_token_file") {
            return Ok(Some(Source::WebIdentity {
                token_file: token_file.into(),
                role,
            }));
        }
        if roles_left == 0 {
            return Err(wrong("roles that lead to one another"));
        }
        let assumed_with = match settings.get("source_profile") {
            // A profile may assume a role with keys of its own.
            Some(source) if source == name => own_source(&settings, &wrong)?,
            Some(source) => self.source(source, variables, roles_left - 1)?,
            None => credential_source(&settings, variables, &wrong)?,
        };
        let source = assumed_with
            .ok_or_else(|| wrong("its source_profile or credential_source has no keys"))?;
        Ok(Some(Source::Role {
            source: Box::new(source),
            role,
        }))
    }
}

type Wrong<'a> = &'a dyn Fn(&str) -> Error;

/// The role that a profile assumes.
fn role_of(arn: &str, settings: &Settings, wrong: Wrong<'_>) -> Result<Role, Error> {
    let session_name = settings.get("role_session_name").map(String::as_str);
    let duration_seconds = settings.get("duration_seconds").map(|text| text.parse());
    Ok(Role {
        arn: arn.to_owned(),
        session_name: session_name.unwrap_or(SESSION_NAME).to_owned(),
        external_id: settings.get("external_id").cloned(),
        duration_seconds: duration_seconds
            .transpose()
            .map_err(|_| wrong("duration_seconds is not a number"))?,
    })
}

/// What `credential_source` names.
fn credential_source(
    settings: &Settings,
    variables: Variables<'_>,
    wrong: Wrong<'_>,
) -> Result<Option<Source>, Error> {
    match settings.get("credential_source").map(String::as_str) {
        Some("Environment") => from_variables(variables),
        Some("EcsContainer") => Ok(from_container(variables)),
        Some("Ec2InstanceMetadata") => from_instance(variables).map(Some),
        Some(_) => Err(wrong("credential_source is not one that is known")),
        None => Err(wrong(
            "role_arn without source_profile, credential_source or a token file",
        )),
    }
}

/// Keys in the profile itself, or a program that prints them.
fn own_source(settings: &Settings, wrong: Wrong<'_>) -> Result<Option<Source>, Error> {
    match (
        settings.get("aws_access_key_id"),
        settings.get("aws_secret_access_key"),
    ) {
        (Some(access_key), Some(secret)) => Ok(Some(Source::Static(Credentials {
            access_key: access_key.clone(),
            secret: Secret::new(secret.as_str()),
            token: settings
                .get("aws_session_token")
                .map(|token| Secret::new(token.as_str())),
            expires: None,
        }))),
        (None, None) => Ok(settings
            .get("credential_process")
            .cloned()
            .map(Source::Process)),
        _ => Err(wrong(
            "one of aws_access_key_id and aws_secret_access_key is missing",
        )),
    }
}

fn has_blank(settings: &Settings, key: &str) -> bool {
    settings
        .get(key)
        .is_some_and(|value| value.contains(char::is_whitespace))
}

fn expand(path: &str, home: &Path) -> PathBuf {
    path.strip_prefix("~/")
        .map_or_else(|| PathBuf::from(path), |rest| home.join(rest))
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the files of a test are no stored files"
)]
mod tests {
    use super::*;

    /// Chooses with these files, and variables from pairs.
    fn chosen(
        given: Option<&str>,
        files: [&str; 2],
        pairs: &[(&str, &str)],
    ) -> Result<Source, String> {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".aws")).unwrap();
        for (name, text) in ["config", "credentials"].iter().zip(files) {
            std::fs::write(home.path().join(".aws").join(name), text).unwrap();
        }
        let variables = |name: &str| {
            let pair = pairs
                .iter()
                .find(|(pair, _)| *pair == name)
                .map(|(_, value)| (*value).to_owned());
            pair.or_else(|| (name == "HOME").then(|| home.path().display().to_string()))
        };
        choose(given, &variables)
            .map(|(source, _)| source)
            .map_err(|error| error.to_string())
    }

    fn keys(access_key: &str) -> Source {
        let secret = Secret::new("s=/+");
        Source::Static(Credentials {
            access_key: access_key.to_owned(),
            secret,
            token: None,
            expires: None,
        })
    }

    const KEYS: &str = "[default]\naws_access_key_id=D\naws_secret_access_key=s=/+\n[two]\naws_access_key_id=T\n\
                        aws_secret_access_key=s=/+\n";
    const ENVIRONMENT: [(&str, &str); 2] = [
        ("AWS_ACCESS_KEY_ID", "E"),
        ("AWS_SECRET_ACCESS_KEY", "s=/+"),
    ];

    #[test]
    fn the_order_is_that_of_the_aws_command_line() {
        let with_profile = [ENVIRONMENT[0], ENVIRONMENT[1], ("AWS_PROFILE", "two")];
        assert_eq!(chosen(None, ["", KEYS], &ENVIRONMENT), Ok(keys("E")));
        assert_eq!(chosen(None, ["", KEYS], &with_profile), Ok(keys("E")));
        assert_eq!(chosen(Some("two"), ["", KEYS], &ENVIRONMENT), Ok(keys("T")));
        assert_eq!(
            chosen(None, ["", KEYS], &[("AWS_PROFILE", "two")]),
            Ok(keys("T"))
        );
        assert_eq!(chosen(None, ["", KEYS], &[]), Ok(keys("D")));
        assert_eq!(
            chosen(None, ["", ""], &[]),
            Ok(Source::Instance {
                endpoint: INSTANCE_ENDPOINT.to_owned()
            })
        );
        // A profile that says nothing is one.
        let empty = [ENVIRONMENT[0], ENVIRONMENT[1], ("AWS_PROFILE", "empty")];
        assert_eq!(
            chosen(None, ["[profile empty]\n", ""], &empty),
            Ok(keys("E"))
        );
        let container = [
            ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x"),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "t"),
        ];
        let url = format!("{CONTAINER_ENDPOINT}/x");
        let authorization = Some(Authorization::Token(Secret::new("t")));
        assert_eq!(
            chosen(None, ["", ""], &container),
            Ok(Source::Container { url, authorization })
        );
    }

    #[test]
    fn roles_lead_to_their_source() {
        let config = "[profile backup]\nrole_arn=arn:r\nsource_profile=two\nexternal_id=x\nduration_seconds=900\n\
                      [profile again]\nrole_arn=arn:s\nsource_profile=backup\n[profile ring]\nrole_arn=a\n\
                      source_profile=ring2\n[profile ring2]\nrole_arn=a\nsource_profile=ring\n\
                      [profile printed]\ncredential_process=/bin/keys --json\n[profile web]\nrole_arn=arn:w\n\
                      web_identity_token_file=/t\n[profile here]\nrole_arn=arn:h\n\
                      credential_source=Ec2InstanceMetadata\n[profile there]\nrole_arn=a\ncredential_source=EcsContainer\n";
        let role = |arn: &str, external_id: Option<&str>, duration_seconds| Role {
            arn: arn.to_owned(),
            session_name: SESSION_NAME.to_owned(),
            external_id: external_id.map(str::to_owned),
            duration_seconds,
        };
        let backup = Source::Role {
            source: Box::new(keys("T")),
            role: role("arn:r", Some("x"), Some(900)),
        };
        let again = Source::Role {
            source: Box::new(backup.clone()),
            role: role("arn:s", None, None),
        };
        let web = Source::WebIdentity {
            token_file: "/t".into(),
            role: role("arn:w", None, None),
        };
        assert_eq!(chosen(Some("backup"), [config, KEYS], &[]), Ok(backup));
        assert_eq!(chosen(Some("again"), [config, KEYS], &[]), Ok(again));
        assert_eq!(chosen(Some("web"), [config, KEYS], &[]), Ok(web));
        assert_eq!(
            chosen(Some("printed"), [config, KEYS], &[]),
            Ok(Source::Process("/bin/keys --json".into()))
        );
        let instance = Source::Instance {
            endpoint: INSTANCE_ENDPOINT.to_owned(),
        };
        let here = Source::Role {
            source: Box::new(instance),
            role: role("arn:h", None, None),
        };
        let container = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x");
        assert_eq!(
            chosen(Some("here"), [config, KEYS], &[container]),
            Ok(here),
            "a container beside it is not asked"
        );
        assert!(
            chosen(Some("there"), [config, KEYS], &[])
                .unwrap_err()
                .contains("has no keys")
        );
        assert!(
            chosen(Some("ring"), [config, KEYS], &[])
                .unwrap_err()
                .contains("lead to one another")
        );
    }

    #[test]
    fn what_is_not_whole_is_an_error_and_not_the_next_source() {
        let check = |given, files, pairs: &[(&str, &str)], part: &str| {
            let error = chosen(given, files, pairs).unwrap_err();
            assert!(error.contains(part), "{error}");
        };
        check(Some("nobody"), ["", KEYS], &[], "no profile \"nobody\"");
        check(
            None,
            ["", KEYS],
            &[("AWS_PROFILE", "nobody")],
            "no profile \"nobody\"",
        );
        check(
            None,
            ["", KEYS],
            &[("AWS_ACCESS_KEY_ID", "E")],
            "AWS_SECRET_ACCESS_KEY is not",
        );
        check(
            None,
            ["", "[default]\naws_access_key_id=D\n"],
            &[],
            "missing",
        );
        check(
            None,
            [
                "",
                "[default]\naws_access_key_id=\naws_secret_access_key=s\n",
            ],
            &[],
            "missing",
        );
        let commented = "[default]\nregion = eu-west-3 # home\n";
        check(
            None,
            [commented, KEYS],
            &[],
            "region has a blank in it; a comment",
        );
        check(
            None,
            ["[default]\nrole_arn=a\n", ""],
            &[],
            "without source_profile",
        );
        check(
            None,
            ["", ""],
            &[("AWS_EC2_METADATA_DISABLED", "true")],
            "no credentials",
        );
        check(None, ["", "oops\n"], &[], "line 1");
    }
}
