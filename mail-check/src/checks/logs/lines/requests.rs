//! Requests, as Nginx (combined format) and most servers of Python and Node write them: `"METHOD
//! /path HTTP/1.1" 200`.

use super::super::settings::Settings;
use super::super::tally::{Tally, Topic};
use super::event::reason;

/// A request and its answer.
#[derive(Debug, PartialEq, Eq)]
struct Request<'a> {
    client: &'a [u8],
    method: &'a [u8],
    /// Without the query, which may hold secrets.
    path: &'a [u8],
    /// Three digits.
    status: &'a [u8],
}

/// Counts the request that the line tells; other lines tell nothing.
pub(super) fn count(line: &[u8], settings: &Settings, tally: &mut Tally) {
    let Some(request) = parse(line) else { return };
    tally.requests += 1;
    match request.status[0] {
        b'4' => tally.count(Topic::Http4xx, 1, line, &request.told()),
        b'5' => tally.count(Topic::Http5xx, 1, line, &request.told()),
        _ => {}
    }
    if is_administration(&request, settings) {
        let told = format!("{} by {}", request.told(), reason(request.client));
        tally.count(Topic::Admin, 1, line, &told);
    }
}

impl Request<'_> {
    fn told(&self) -> String {
        format!(
            "{} {} {}",
            reason(self.status),
            reason(self.method),
            reason(self.path)
        )
    }
}

/// The quote that ends the request is the first: servers write another as `\x22` or `\"`, and then
/// the status is not there.
fn parse(line: &[u8]) -> Option<Request<'_>> {
    let begin = memchr::memchr(b'"', line)? + 1;
    let end = begin + memchr::memchr(b'"', &line[begin..])?;
    let status = line
        .get(end + 2..end + 5)
        .filter(|status| status.iter().all(u8::is_ascii_digit))?;
    if line[end + 1] != b' ' || line.get(end + 5).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let mut words = line[begin..end].split(|byte| *byte == b' ');
    let method = words.next().unwrap_or_default();
    let path = words.next().unwrap_or_default();
    let path = &path[..memchr::memchr(b'?', path).unwrap_or(path.len())];
    let head = line[..begin - 1]
        .strip_prefix(b"INFO:")
        .unwrap_or(&line[..begin - 1])
        .trim_ascii_start();
    let client = head.split(|byte| *byte == b' ').next().unwrap_or_default();
    Some(Request {
        client,
        method,
        path,
        status,
    })
}

fn is_administration(request: &Request<'_>, settings: &Settings) -> bool {
    let is_below = |root: &String| {
        let root = root.trim_end_matches('/').as_bytes();
        request
            .path
            .strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    };
    settings
        .admin_methods
        .iter()
        .any(|method| request.method == method.as_bytes())
        && settings.admin_paths.iter().any(is_below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_status_and_changes_by_administrators_are_told() {
        let settings = Settings::default();
        let mut tally = Tally::default();
        let lines = [
            r#"192.0.2.9 - - [25/Nov/2026:08:00:00 +0000] "GET /x?token=s3cret HTTP/1.1" 404 153 "-" "curl/8""#,
            r#"192.0.2.9 - bob [25/Nov/2026:08:00:01 +0000] "DELETE /admin/users/7?key=s3cret HTTP/2.0" 200 2 "-" "-""#,
            r#"192.0.2.9 - bob [25/Nov/2026:08:00:01 +0000] "GET /admin/users HTTP/2.0" 200 2 "-" "-""#,
            r#"192.0.2.9 - bob [25/Nov/2026:08:00:01 +0000] "POST /administrate HTTP/2.0" 200 2 "-" "-""#,
            r#"192.0.2.9 - - [25/Nov/2026:08:00:02 +0000] "\x16\x03\x01" 400 150 "-" "-""#,
            r#"INFO:     172.18.0.5:51234 - "POST /inbound HTTP/1.1" 502 Bad Gateway"#,
            r#"2026/11/25 08:00:00 [error] 7#7: *1 open() "/usr/share/x" failed (2: No such file or directory)"#,
            r#"a "b" 1234"#,
            "",
        ];
        lines
            .iter()
            .for_each(|line| count(line.as_bytes(), &settings, &mut tally));
        assert_eq!(tally.requests, 6);
        assert_eq!(
            tally.counter(Topic::Http4xx).top(5),
            [r"1x 400 \x16\x03\x01 ", "1x 404 GET /x"]
        );
        assert_eq!(
            tally.counter(Topic::Http5xx).top(5),
            ["1x 502 POST /inbound"]
        );
        assert_eq!(
            tally.counter(Topic::Admin).top(5),
            ["1x 200 DELETE /admin/users/7 by 192.0.2.9"]
        );
    }
}
