//! Programs run in a container.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecResults};
use futures::StreamExt;

use super::client::Docker;
use super::error::DockerError;

/// More than this of a program's output is not kept.
const MAX_OUTPUT_BYTES: usize = 16 << 20;

/// How often it is asked whether a program that has closed its output has ended.
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// What a program in a container printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) exit_code: i64,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Docker {
    /// Runs a program in a container, as the container's user, and waits for its end. A program
    /// that does not end in time is left behind: the Engine has no way to stop it.
    ///
    /// # Errors
    /// When the daemon does not answer, the container does not run, or the program does not end
    /// within `within`. A program that is not there ends with 126 or 127, as in a shell.
    pub(crate) fn exec(
        &self,
        container: &str,
        argv: &[&str],
        within: Duration,
    ) -> Result<Output, DockerError> {
        let what = format!(
            "run {} in {container}",
            argv.first().copied().unwrap_or_default()
        );
        self.call_within(within, &what, self.executed(container, argv))
    }

    async fn executed(
        &self,
        container: &str,
        argv: &[&str],
    ) -> Result<Output, bollard::errors::Error> {
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(argv.to_vec()),
            ..CreateExecOptions::default()
        };
        let id = self.client.create_exec(container, options).await?.id;
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        if let StartExecResults::Attached { mut output, .. } =
            self.client.start_exec(&id, None).await?
        {
            while let Some(part) = output.next().await {
                match part? {
                    LogOutput::StdErr { message } => keep(&mut stderr, &message),
                    other => keep(&mut stdout, other.as_ref()),
                }
            }
        }
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Output {
            exit_code: self.exit_code(&id).await?,
            stdout: text(stdout),
            stderr: text(stderr),
        })
    }

    async fn exit_code(&self, id: &str) -> Result<i64, bollard::errors::Error> {
        loop {
            let answer = self.client.inspect_exec(id).await?;
            if let (Some(code), false) = (answer.exit_code, answer.running.unwrap_or_default()) {
                return Ok(code);
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }
}

fn keep(kept: &mut Vec<u8>, bytes: &[u8]) {
    let room = MAX_OUTPUT_BYTES.saturating_sub(kept.len());
    kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
}
