//! What a container printed: lines with the time at which the daemon took them.

use bollard::query_parameters::LogsOptionsBuilder;
use futures::{StreamExt, pin_mut};
use jiff::Timestamp;

use super::client::Docker;
use super::error::DockerError;

/// A line without an end is cut here, as Docker itself cuts them.
const MAX_LINE_BYTES: usize = 64 << 10;

/// What a container printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Logs {
    /// stdout and stderr, by time: the daemon takes them from two pipes, and may write a line
    /// before one that is a moment older.
    pub(crate) lines: Vec<LogLine>,
    /// There is more than was asked for: ask again from the last line's time.
    pub(crate) cut: bool,
}

/// A line of a container's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogLine {
    pub(crate) time: Timestamp,
    /// Without its end; what is not UTF-8 is replaced.
    pub(crate) text: String,
}

impl Docker {
    /// What a container has printed after `since`, the oldest first, up to `max_bytes`; of a
    /// container with a terminal, too.
    ///
    /// # Errors
    /// When the daemon does not answer in time, when there is no such container, and when its log
    /// driver cannot be read.
    pub(crate) fn logs(
        &self,
        container: &str,
        since: Timestamp,
        max_bytes: usize,
    ) -> Result<Logs, DockerError> {
        self.call(
            &format!("read the log of {container}"),
            self.read_logs(container, since, max_bytes),
        )
    }

    async fn read_logs(
        &self,
        container: &str,
        since: Timestamp,
        max_bytes: usize,
    ) -> Result<Logs, bollard::errors::Error> {
        // The client knows whole seconds only: what it gives too much is left out by `Lines`.
        let since_second = i32::try_from(since.as_second()).unwrap_or_default().max(0);
        let options = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .since(since_second)
            .build();
        let mut lines = Lines {
            since,
            logs: Logs::default(),
            left_bytes: max_bytes,
        };
        let parts = self.client.logs(container, Some(options));
        pin_mut!(parts);
        while let Some(part) = parts.next().await {
            if !lines.take(part?.as_ref()) {
                break;
            }
        }
        let mut logs = lines.logs;
        logs.lines.sort_by_key(|line| line.time);
        Ok(logs)
    }
}

/// Lines as they come.
struct Lines {
    since: Timestamp,
    logs: Logs,
    left_bytes: usize,
}

impl Lines {
    /// Takes one line; false when there is no room for it. What has no time is the rest of a line
    /// that a terminal broke.
    fn take(&mut self, bytes: &[u8]) -> bool {
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_LINE_BYTES)]);
        let text = text.trim_end_matches(['\n', '\r']);
        let Some((time, text)) = split(text) else {
            return true;
        };
        if time <= self.since {
            return true;
        }
        if text.len() > self.left_bytes {
            self.logs.cut = true;
            return false;
        }
        self.left_bytes -= text.len();
        self.logs.lines.push(LogLine {
            time,
            text: text.to_owned(),
        });
        true
    }
}

/// `2026-11-25T08:00:00.123456789Z text`
fn split(line: &str) -> Option<(Timestamp, &str)> {
    let (time, text) = line.split_once(' ').unwrap_or((line, ""));
    Some((time.parse().ok()?, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_after_a_moment_are_kept_until_there_is_no_room() {
        let since = "2026-11-25T08:00:00.5Z".parse().unwrap();
        let mut lines = Lines {
            since,
            logs: Logs::default(),
            left_bytes: 6,
        };
        assert!(lines.take(b"2026-11-25T08:00:00.4Z old\n"));
        assert!(lines.take(b"2026-11-25T08:00:00.5Z seen\n"));
        assert!(lines.take(b"2026-11-25T08:00:00.500000001Z new\r\n"));
        assert!(lines.take(b"2026-11-25T08:00:01Z\n"));
        assert!(lines.take(b"no time\n"));
        assert!(!lines.take(b"2026-11-25T08:00:02Z too long\n"));
        let texts: Vec<&str> = lines
            .logs
            .lines
            .iter()
            .map(|line| line.text.as_str())
            .collect();
        assert_eq!((texts, lines.logs.cut), (vec!["new", ""], true));
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let mut lines = Lines { since: Timestamp::MIN, logs: Logs::default(), left_bytes: 100 };
            lines.take(&bytes);
            lines.take(&[b"2026-11-25T08:00:00Z ", &bytes[..]].concat());
        }
    }
}
