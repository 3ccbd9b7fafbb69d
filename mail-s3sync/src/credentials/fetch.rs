//! Keys from a source: a program, STS, or a metadata service.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::HttpBody;
use hyper::{Body, Request};
use jiff::Timestamp;
use mail_common::failure::Failed;
use mail_common::secret::Secret;
use mail_common::trusted;
use rusoto_core::{Client, Region};
use rusoto_sts::{AssumeRoleRequest, AssumeRoleWithWebIdentityRequest, Sts, StsClient};
use serde_json::Value;

use super::error::Error;
use super::source::{Authorization, Role, Source, StsEndpoint};
use crate::aws::{Credentials, Dispatcher, Failure, Signer, persist};

/// A metadata service is next door, or not there.
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);
const STS_ATTEMPTS: u32 = 4;
const METADATA_MAX_BYTES: usize = 64 * 1024;
const INSTANCE_PATH: &str = "/latest/meta-data/iam/security-credentials/";

/// Keys from `source`.
pub(super) async fn fetch(source: &Source, sts: &StsEndpoint) -> Result<Credentials, Error> {
    match source {
        Source::Static(keys) => Ok(keys.clone()),
        Source::Process(command) => run_process(command.clone()).await,
        Source::Role { source, role } => {
            // A chain of roles is as long as the configuration makes it.
            let keys = Box::pin(fetch(source, sts)).await?;
            assume_role(role, &keys, sts).await
        }
        Source::WebIdentity { token_file, role } => assume_with_token(role, token_file, sts).await,
        Source::Container { url, authorization } => {
            let token = authorization.as_ref().map(read_authorization).transpose()?;
            let headers: Vec<_> = token
                .iter()
                .map(|token| ("authorization", token.expose()))
                .collect();
            let answer = ask("GET", url, &headers).await?;
            parse(&answer).map_err(|reason| Error::Metadata {
                url: url.clone(),
                reason,
            })
        }
        Source::Instance { endpoint } => ask_instance(endpoint).await,
    }
}

/// What is in a file may have been renewed since it was last read.
fn read_authorization(authorization: &Authorization) -> Result<Secret, Error> {
    match authorization {
        Authorization::Token(token) => Ok(token.clone()),
        Authorization::File(path) => read_token(path),
    }
}

fn read_token(path: &Path) -> Result<Secret, Error> {
    let text = trusted::read_to_string(path).map_err(Failed::at("read", path))?;
    Ok(Secret::new(text.trim()))
}

/// The program's command line is split by the shell, as the AWS command line does.
async fn run_process(command: String) -> Result<Credentials, Error> {
    let program = command
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned();
    let failed = |reason: String| Error::Process {
        program: program.clone(),
        reason,
    };
    let (sender, ended) = tokio::sync::oneshot::channel();
    // On a thread that nobody waits for: a run that is asked to stop does not wait for a program
    // that asks back.
    std::thread::spawn(move || {
        let output = Command::new("/bin/sh")
            .arg("-c")
            .arg(command)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output();
        // Nobody listens any more when the run was asked to stop.
        let _ = sender.send(output);
    });
    let output = ended
        .await
        .map_err(|error| failed(error.to_string()))?
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(format!("it ended with {}", output.status)));
    }
    parse(&output.stdout).map_err(failed)
}

async fn assume_role(
    role: &Role,
    keys: &Credentials,
    sts: &StsEndpoint,
) -> Result<Credentials, Error> {
    let request = AssumeRoleRequest {
        role_arn: role.arn.clone(),
        role_session_name: role.session_name.clone(),
        external_id: role.external_id.clone(),
        duration_seconds: role.duration_seconds,
        ..AssumeRoleRequest::default()
    };
    let client = client(sts, Signer::fixed(keys.clone()));
    let answer = persist(STS_ATTEMPTS, || client.assume_role(request.clone())).await;
    from_sts(role, answer.map(|answer| answer.credentials))
}

async fn assume_with_token(
    role: &Role,
    token_file: &Path,
    sts: &StsEndpoint,
) -> Result<Credentials, Error> {
    // The token in the file is renewed by others: it is read each time.
    let token = read_token(token_file)?;
    let request = AssumeRoleWithWebIdentityRequest {
        role_arn: role.arn.clone(),
        role_session_name: role.session_name.clone(),
        web_identity_token: token.expose().to_owned(),
        ..AssumeRoleWithWebIdentityRequest::default()
    };
    let client = client(sts, Signer::none());
    let answer = persist(STS_ATTEMPTS, || {
        client.assume_role_with_web_identity(request.clone())
    })
    .await;
    from_sts(role, answer.map(|answer| answer.credentials))
}

fn client(sts: &StsEndpoint, signer: Signer) -> StsClient {
    let region = Region::Custom {
        name: sts.region.clone(),
        endpoint: sts.endpoint.clone(),
    };
    let dispatcher = Dispatcher::new(
        Arc::new(signer),
        sts.timeout,
        sts.trust.clone(),
        sts.proxies.clone(),
    );
    StsClient::new_with_client(Client::new_not_signing(dispatcher), region)
}

fn from_sts(
    role: &Role,
    answer: Result<Option<rusoto_sts::Credentials>, Failure>,
) -> Result<Credentials, Error> {
    let failed = |reason: String| Error::Role {
        arn: role.arn.clone(),
        reason,
    };
    let answer = answer.map_err(|failure| failed(failure.to_string()))?;
    let keys = answer.ok_or_else(|| failed("the answer has no credentials".to_owned()))?;
    Ok(Credentials {
        access_key: keys.access_key_id,
        secret: Secret::new(keys.secret_access_key),
        token: Some(Secret::new(keys.session_token)),
        expires: keys.expiration.parse().ok(),
    })
}

/// IMDSv2: a session token first, then the name of the role, then its keys.
async fn ask_instance(endpoint: &str) -> Result<Credentials, Error> {
    let url = format!("{endpoint}/latest/api/token");
    let token = ask(
        "PUT",
        &url,
        &[("x-aws-ec2-metadata-token-ttl-seconds", "21600")],
    )
    .await?;
    let token = String::from_utf8_lossy(&token).trim().to_owned();
    let headers = [("x-aws-ec2-metadata-token", token.as_str())];
    let roles = ask("GET", &format!("{endpoint}{INSTANCE_PATH}"), &headers).await?;
    let roles = String::from_utf8_lossy(&roles).into_owned();
    let role = roles.lines().next().unwrap_or_default().trim();
    let url = format!("{endpoint}{INSTANCE_PATH}{role}");
    parse(&ask("GET", &url, &headers).await?).map_err(|reason| Error::Metadata { url, reason })
}

/// One small request without redirects.
async fn ask(method: &str, url: &str, headers: &[(&str, &str)]) -> Result<Vec<u8>, Error> {
    let failed = |reason: String| Error::Metadata {
        url: url.to_owned(),
        reason,
    };
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(Body::empty())
        .map_err(|error| failed(error.to_string()))?;
    let answered = async {
        let answer = hyper::Client::new()
            .request(request)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let status = answer.status();
        let mut body = answer.into_body();
        let mut content = Vec::new();
        while let Some(chunk) = body.data().await {
            content.extend_from_slice(&chunk.map_err(|error| failed(error.to_string()))?);
            if content.len() > METADATA_MAX_BYTES {
                return Err(failed("the answer is too long".to_owned()));
            }
        }
        if status.is_success() {
            Ok(content)
        } else {
            Err(failed(format!("it answered {status}")))
        }
    };
    let in_time = tokio::time::timeout(METADATA_TIMEOUT, answered).await;
    in_time.unwrap_or_else(|_| Err(failed("no answer".to_owned())))
}

/// Keys as JSON, as programs and metadata services print them.
fn parse(json: &[u8]) -> Result<Credentials, String> {
    // The error of the parser may quote the text, which holds the secret.
    let value: Value =
        serde_json::from_slice(json).map_err(|_| "the answer is not JSON".to_owned())?;
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    let expires = match text("Expiration") {
        Some(time) => Some(
            time.parse::<Timestamp>()
                .map_err(|_| "Expiration is not a time".to_owned())?,
        ),
        None => None,
    };
    let missing = |name: &str| format!("the answer has no {name}");
    Ok(Credentials {
        access_key: text("AccessKeyId").ok_or_else(|| missing("AccessKeyId"))?,
        secret: Secret::new(text("SecretAccessKey").ok_or_else(|| missing("SecretAccessKey"))?),
        token: text("SessionToken")
            .or_else(|| text("Token"))
            .map(Secret::new),
        expires,
    })
}
