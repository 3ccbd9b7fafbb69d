//! Requests, as web servers write them: `"METHOD /path HTTP/1.1" 200` of Nginx (combined format)
//! and most servers of Python and Node; Nginx Proxy Manager; JSON of Nginx, Caddy and Traefik.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::bytes::Regex;
use serde_json::Value;

use super::super::settings::Settings;
use super::super::tally::{Tally, Topic};
use super::event::{Event, address, after, reason};
use super::path::normalised;

/// A request and its answer.
#[derive(Debug, PartialEq, Eq)]
struct Request<'a> {
    client: Cow<'a, [u8]>,
    method: Cow<'a, [u8]>,
    /// What stands after the method.
    target: Cow<'a, [u8]>,
    status: u16,
}

/// Counts the request that the line tells. Whether it is one; a line of an error log is none.
pub(super) fn count(line: &[u8], settings: &Settings, tally: &mut Tally) -> bool {
    let Some(request) = parse(line) else {
        return false;
    };
    tally.requests += 1;
    match request.status {
        400..500 => tally.count(Topic::Http4xx, 1, line, &request.shown()),
        500..600 => tally.count(Topic::Http5xx, 1, line, &request.shown()),
        _ => {}
    }
    if request.is_probe() {
        tally.count(Topic::Probes, 1, line, &reason(&request.client));
    }
    if is_administration(&request, settings) {
        let shown = format!("{} by {}", request.shown(), reason(&request.client));
        tally.count(Topic::Admin, 1, line, &shown);
    }
    true
}

/// The error log of Nginx, in a file or by way of syslog.
pub(super) static ERROR_LOG: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^(?:\S.{0,100} nginx(?:\[\d+\])?: )?\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[[a-z]+\] \d+#\d+: ",
    )
    .expect("the tests compile it")
});

/// Paths of programs that are looked for everywhere, for the holes that they had.
static SOUGHT: LazyLock<Regex> = LazyLock::new(|| {
    let parts = [
        r"(?:xampp/|typo3/|admin/)?(?:pma|(?:php)?my-?admin)",
        r"mysqladmin|cgi-bin|roundcube|horde|(?:ext)?mail\b|v?-?webmail",
        r"wp-(?:login|signup|admin)|\.env\b|\.git/",
    ];
    Regex::new(&format!("(?i)^/+(?:{})", parts.join("|"))).expect("the tests compile it")
});

/// What the error log of Nginx tells, by all that the line holds: a failed login
/// (ngx_http_auth_basic_module, ngx_http_auth_pam_module, ngx_mail_auth_http_module), one that
/// nobody could check (ngx_http_auth_request_module), or a client that was held back
/// (ngx_http_limit_req_module, ngx_http_limit_conn_module, ngx_http_access_module, ModSecurity) or
/// did not finish its handshake.
static TOLD: &[(Topic, &[&str])] = &[
    (
        Topic::AuthFailures,
        &[" user ", "\": password mismatch, client: "],
    ),
    (Topic::AuthFailures, &[" user ", "\" was not found in \""]),
    (Topic::AuthFailures, &[" user ", "' - not authenticated: "]),
    (Topic::AuthFailures, &[" client login failed: "]),
    (Topic::AuthErrors, &[" auth http server "]),
    (Topic::AuthErrors, &[" auth request unexpected status: "]),
    (Topic::Probes, &[" access forbidden by rule, client: "]),
    (Topic::Probes, &[" limiting requests, excess: "]),
    (Topic::Probes, &[" limiting connections by zone "]),
    (Topic::Probes, &[" delaying request, excess: "]),
    (Topic::Probes, &[" SSL_do_handshake() failed (SSL: "]),
    (Topic::Probes, &[" SSL_read() failed (SSL: "]),
    (Topic::Probes, &[" ModSecurity: Access denied with code "]),
];

/// What a line of the error log tells; a client that looked for a program that is not there, too.
pub(super) fn told(line: &[u8]) -> Option<Event<'_>> {
    after(line, b": *")?;
    let holds = |part: &&str| after(line, part.as_bytes()).is_some();
    let row = TOLD.iter().find(|(_, parts)| parts.iter().all(holds));
    let searched = || is_search(line).then_some(Topic::Probes);
    Some(Event {
        topic: row.map(|(topic, _)| *topic).or_else(searched)?,
        times: 1,
        reason: client(line),
    })
}

/// A file that is not there, of a program that is sought.
fn is_search(line: &[u8]) -> bool {
    let Some(request) = after(line, b", request: \"") else {
        return false;
    };
    let (_, target) = method_and_target(&line[request..]);
    after(line, b" (2: No such file or directory), client: ").is_some() && SOUGHT.is_match(target)
}

/// The address of the client. Nginx writes names and headers as they came, so that one may imitate
/// it: then nothing says which is the true one.
fn client(line: &[u8]) -> Cow<'_, str> {
    let mut places = memchr::memmem::find_iter(line, b", client: ");
    match (places.next(), places.next()) {
        (Some(at), None) => reason(address(&line[at + b", client: ".len()..])),
        (None, _) => "an address that is not in the line".into(),
        (Some(_), Some(_)) => "an address that the line says in two ways".into(),
    }
}

impl Request<'_> {
    /// No request at all, or one for a program that is not there.
    fn is_probe(&self) -> bool {
        self.status == 400 || (self.status == 404 && SOUGHT.is_match(&self.target))
    }

    /// Without the query, which may hold secrets.
    fn shown(&self) -> String {
        let target = &self.target[..];
        let end = memchr::memchr(b'?', target).unwrap_or(target.len());
        let (method, target) = (reason(&self.method), reason(&target[..end]));
        format!("{} {method} {target}", self.status)
    }
}

fn parse(line: &[u8]) -> Option<Request<'_>> {
    if line.trim_ascii_start().starts_with(b"{") {
        return parse_json(line);
    }
    // The console format of Caddy has its fields behind the last tab.
    if let Some(at) = memchr::memrchr(b'\t', line).filter(|at| line[at + 1..].starts_with(b"{")) {
        return parse_json(&line[at + 1..]);
    }
    parse_quoted(line).or_else(|| parse_proxy_manager(line))
}

/// The quote that ends the request is the first: servers write another as `\x22` or `\"`, and then
/// the status is not there.
fn parse_quoted(line: &[u8]) -> Option<Request<'_>> {
    let begin = memchr::memchr(b'"', line)? + 1;
    let end = begin + memchr::memchr(b'"', &line[begin..])?;
    let status = status_of(line.get(end + 2..end + 5)?)?;
    if line[end + 1] != b' ' || line.get(end + 5).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let (method, target) = method_and_target(&line[begin..end]);
    let head = &line[..begin - 1];
    // What syslog puts before it.
    let head = &head[after(head, b" nginx: ").unwrap_or(0)..];
    let head = head
        .strip_prefix(b"INFO:")
        .unwrap_or(head)
        .trim_ascii_start();
    let client = head.split(|byte| *byte == b' ').next().unwrap_or_default();
    Some(Request {
        client: client.into(),
        method: method.into(),
        target: target.into(),
        status,
    })
}

/// `[time] - 200 200 - GET https host "/path" [Client 192.0.2.1] ...`, where the statuses before
/// the last are those of the cache and of the server behind.
fn parse_proxy_manager(line: &[u8]) -> Option<Request<'_>> {
    static FORMAT: LazyLock<Regex> = LazyLock::new(|| {
        let format =
            r#"^\[[^\]]+\] (?:\S+ )*?(\d{3}) - ([A-Z]+) https? \S+ "([^"]*)" \[Client ([^\]]+)\]"#;
        Regex::new(format).expect("the tests compile it")
    });
    let found = FORMAT.captures(line)?;
    let part = |number: usize| found.get(number).map(|part| Cow::from(part.as_bytes()));
    Some(Request {
        status: status_of(&part(1)?)?,
        method: part(2)?,
        target: part(3)?,
        client: part(4)?,
    })
}

/// Nginx has names of the administrator's choice, mostly those of its variables; Caddy has the
/// request in an object of its own; Traefik has names of its own.
fn parse_json(line: &[u8]) -> Option<Request<'_>> {
    let entry: Value = serde_json::from_slice(line).ok()?;
    let request = entry.get("request").filter(|request| request.is_object());
    let text = |names: &[&str]| {
        let places = request.into_iter().chain([&entry]);
        let mut found = places.flat_map(|place| names.iter().filter_map(|name| place.get(name)));
        found.find_map(|value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    };
    let status = text(&[
        "status",
        "DownstreamStatus",
        "response_status",
        "status_code",
    ])?;
    let (method, target) = match entry.get("request").and_then(Value::as_str) {
        Some(line) => {
            let (method, target) = method_and_target(line.as_bytes());
            (method.to_vec(), target.to_vec())
        }
        None => (
            text(&["request_method", "method", "RequestMethod"])?.into_bytes(),
            text(&["request_uri", "uri", "RequestPath", "path", "url"])?.into_bytes(),
        ),
    };
    let client = text(&[
        "remote_addr",
        "client_ip",
        "remote_ip",
        "ClientHost",
        "ClientAddr",
        "client",
    ]);
    Some(Request {
        status: status_of(status.as_bytes())?,
        method: method.into(),
        target: target.into(),
        client: client.unwrap_or_default().into_bytes().into(),
    })
}

fn method_and_target(request: &[u8]) -> (&[u8], &[u8]) {
    let mut words = request.split(|byte| *byte == b' ');
    let method = words.next().unwrap_or_default();
    (method, words.next().unwrap_or_default())
}

/// Three digits.
fn status_of(text: &[u8]) -> Option<u16> {
    let is_status = text.len() == 3 && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text)
        .ok()
        .filter(|_| is_status)?
        .parse()
        .ok()
}

/// A change by way of a path of `admin_paths`, however the path is written.
fn is_administration(request: &Request<'_>, settings: &Settings) -> bool {
    let mut methods = settings.admin_methods.iter();
    if !methods.any(|method| *request.method == *method.as_bytes()) {
        return false;
    }
    let path = normalised(&request.target);
    let is_below = |root: &String| {
        let rest = path.strip_prefix(root.trim_end_matches('/').as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    };
    settings.admin_paths.iter().any(is_below)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(lines: &[&str]) -> Tally {
        let (settings, mut tally) = (Settings::default(), Tally::default());
        for line in lines {
            count(line.as_bytes(), &settings, &mut tally);
        }
        tally
    }

    #[test]
    fn requests_are_counted_by_status_and_changes_by_administrators_are_reported() {
        let tally = counted(&[
            r#"192.0.2.9 - - [25/Nov/2026:08:00:00 +0000] "GET /x?token=s3cret HTTP/1.1" 404 153 "-" "curl/8""#,
            r#"192.0.2.9 - bob [25/Nov/2026:08:00:01 +0000] "DELETE /admin/users/7?key=s3cret HTTP/2.0" 200 2 "-" "-""#,
            r#"192.0.2.9 - bob [25/Nov/2026:08:00:01 +0000] "GET /admin/users HTTP/2.0" 200 2 "-" "-""#,
            r#"192.0.2.9 - bob [25/Nov/2026:08:00:01 +0000] "POST /administrate HTTP/2.0" 200 2 "-" "-""#,
            r#"192.0.2.9 - - [25/Nov/2026:08:00:02 +0000] "\x16\x03\x01" 400 150 "-" "-""#,
            r#"INFO:     172.18.0.5:51234 - "POST /inbound HTTP/1.1" 502 Bad Gateway"#,
            r#"2026/11/25 08:00:00 [error] 7#7: *1 open() "/usr/share/x" failed (2: No such file or directory)"#,
            r#"a "b" 1234"#,
            "",
        ]);
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

    #[test]
    fn json_and_other_formats_are_read() {
        let tally = counted(&[
            r#"{"time_iso8601":"2026-11-28T08:00:01+00:00","remote_addr":"192.0.2.9","request":"DELETE /admin/users/1 HTTP/2.0","status":"502"}"#,
            r#"{"remote_addr":"192.0.2.9","request_method":"DELETE","request_uri":"/admin/users/2?k=s","status":502}"#,
            r#"{"level":"info","ts":1795852801.2,"logger":"http.log.access","request":{"remote_ip":"192.0.2.9","client_ip":"192.0.2.9","method":"DELETE","host":"m","uri":"/admin/users/3"},"status":502}"#,
            r#"{"ClientHost":"192.0.2.9","DownstreamStatus":502,"RequestMethod":"DELETE","RequestPath":"/admin/users/4","time":"2026-11-28T08:00:01Z"}"#,
            r#"[28/Nov/2026:08:00:01 +0000] - 502 502 - DELETE https mail.example.org "/admin/users/5" [Client 192.0.2.9] [Length 1] [Gzip -] [Sent-to web] "curl" "-""#,
            r#"[28/Nov/2026:08:00:01 +0000] 502 - DELETE https mail.example.org "/admin/users/6" [Client 192.0.2.9] [Length 1] [Gzip -] "curl" "-""#,
            r#"{"level":"info","msg":"server running"}"#,
        ]);
        assert_eq!(tally.requests, 6);
        let expected: Vec<String> = (1..=6)
            .map(|number| format!("1x 502 DELETE /admin/users/{number} by 192.0.2.9"))
            .collect();
        assert_eq!(tally.counter(Topic::Admin).top(9), expected);
        assert_eq!(tally.counter(Topic::Http5xx).new, 6);
    }

    #[test]
    fn an_administration_path_is_known_however_it_is_written() {
        let line = |target: &str| {
            format!(
                r#"198.51.100.1 - - [28/Nov/2026:08:00:10 +0000] "POST {target} HTTP/1.1" 201 0"#
            )
        };
        let targets = [
            "//admin/users",
            "/%61dmin/users",
            "/x/../admin/users/7",
            "https://m/admin/users",
        ];
        let lines = targets.map(line);
        let tally = counted(&lines.each_ref().map(String::as_str));
        assert_eq!(tally.counter(Topic::Admin).new, 4);
        assert_eq!(counted(&[&line("/x/admin")]).counter(Topic::Admin).new, 0);
    }

    #[test]
    fn failed_logins_of_nginx_are_those_of_its_error_log() {
        let head = "2026/11/28 08:00:00 [error] 7#7: *1 user \"ann\"";
        let check = |rest: &str, expected: Option<&str>| {
            let line = format!("{head}{rest}");
            assert!(ERROR_LOG.is_match(line.as_bytes()));
            let event = told(line.as_bytes());
            assert_eq!(
                event.as_ref().map(|event| &*event.reason),
                expected,
                "{rest}"
            );
        };
        check(
            ": password mismatch, client: 192.0.2.7, server: m, request: \"GET / HTTP/1.1\"",
            Some("192.0.2.7"),
        );
        check(
            " was not found in \"/etc/nginx/users\", client: 2001:db8::7, server: m",
            Some("2001:db8::7"),
        );
        check(" is welcome, client: 192.0.2.7", None);
    }

    #[test]
    fn logins_of_the_mail_proxy_and_those_that_nobody_checked_are_told_apart() {
        let check = |message: &str, topic: Topic| {
            let line = format!("2026/11/28 08:00:00 [error] 7#7: *1 {message}");
            let event = told(line.as_bytes()).unwrap();
            assert_eq!(
                (event.topic, &*event.reason),
                (topic, "192.0.2.7"),
                "{message}"
            );
        };
        check(
            "client login failed: \"Invalid login or password\" while in http auth state, client: 192.0.2.7 using starttls, server: 0.0.0.0:993, login: \"ann\"",
            Topic::AuthFailures,
        );
        check(
            "auth http server 127.0.0.1:80 did not send server or port while in http auth state, client: 192.0.2.7, server: 0.0.0.0:993",
            Topic::AuthErrors,
        );
        check(
            "auth request unexpected status: 502 while sending to client, client: 192.0.2.7, server: m",
            Topic::AuthErrors,
        );
        check(
            "[client 192.0.2.7] ModSecurity: Access denied with code 403 (phase 2), client: 192.0.2.7, server: m",
            Topic::Probes,
        );
    }

    #[test]
    fn requests_by_way_of_syslog_and_in_the_console_format_of_caddy_are_read() {
        let tally = counted(&[
            r#"<190>Nov 28 08:00:01 web nginx: 192.0.2.9 - - [28/Nov/2026:08:00:01 +0000] "DELETE /admin/users/1 HTTP/2.0" 502 1 "-" "-""#,
            "2026/11/28 08:00:01.000\tERROR\thttp.log.access\thandled request\t{\"request\": {\"remote_ip\": \"192.0.2.9\", \"method\": \"DELETE\", \"uri\": \"/admin/users/2\"}, \"status\": 502}",
        ]);
        let expected = [1, 2].map(|n| format!("1x 502 DELETE /admin/users/{n} by 192.0.2.9"));
        assert_eq!(tally.counter(Topic::Admin).top(9), expected);
    }

    #[test]
    fn clients_that_are_held_back_or_look_for_holes_are_counted_by_their_address() {
        let check = |message: &str, expected: Option<&str>| {
            let line = format!(
                "2026/11/28 08:00:00 [error] 7#7: *1 {message}, client: 192.0.2.7, server: m, request: \"GET /cgi-bin/x HTTP/1.1\", host: \"m\""
            );
            let event = told(line.as_bytes());
            assert!(event.iter().all(|event| event.topic == Topic::Probes));
            let found = event.as_ref().map(|event| &*event.reason);
            assert_eq!(found, expected, "{message}");
        };
        let address = Some("192.0.2.7");
        check("access forbidden by rule", address);
        check("limiting requests, excess: 1.5 by zone \"one\"", address);
        check("limiting connections by zone \"c\"", address);
        check("delaying request, excess: 0.8, by zone \"one\"", address);
        check(
            "SSL_do_handshake() failed (SSL: error:0A00006C:SSL routines::bad key share) while SSL handshaking",
            address,
        );
        check(
            "open() \"/srv/cgi-bin/x\" failed (2: No such file or directory)",
            address,
        );
        check(
            "open() \"/srv/cgi-bin/x\" failed (13: Permission denied)",
            None,
        );
        check("upstream timed out (110: Connection timed out)", None);
    }

    #[test]
    fn an_address_that_a_name_may_imitate_is_not_told_as_the_clients() {
        let line = "2026/11/28 08:00:00 [error] 7#7: *1 user \"x\": password mismatch, client: 198.51.100.1, server: m\" was not found in \"/e\", client: 192.0.2.7, server: m";
        let event = told(line.as_bytes()).unwrap();
        assert_eq!(event.topic, Topic::AuthFailures);
        assert_eq!(event.reason, "an address that the line says in two ways");
    }

    #[test]
    fn requests_that_are_none_and_for_programs_that_are_not_there_are_probes() {
        let line = |request: &str, status: u16| {
            format!(
                r#"192.0.2.9 - - [25/Nov/2026:08:00:00 +0000] "{request}" {status} 153 "-" "-""#
            )
        };
        let lines = [
            line("GET /phpMyAdmin/setup.php HTTP/1.1", 404),
            line("GET //admin/pma/ HTTP/1.1", 404),
            line("HEAD /.env HTTP/1.1", 404),
            line(r"\x16\x03", 400),
            line("GET /roundcube/ HTTP/1.1", 200),
            line("GET /favicon.ico HTTP/1.1", 404),
            line("GET /mailing-list HTTP/1.1", 404),
        ];
        let tally = counted(&lines.each_ref().map(String::as_str));
        assert_eq!(tally.counter(Topic::Probes).top(5), ["4x 192.0.2.9"]);
    }

    #[test]
    fn failed_logins_of_nginx_by_syslog_and_by_pam_are_known() {
        let check = |line: &str, expected: &str| {
            assert!(ERROR_LOG.is_match(line.as_bytes()), "{line}");
            let event = told(line.as_bytes());
            assert_eq!(event.unwrap().reason, expected, "{line}");
        };
        check(
            "Nov 28 08:00:00 web nginx[7]: 2026/11/28 08:00:00 [error] 7#7: *3 user \"ann\" was not found in \"/e/users\", client: 192.0.2.8, server: m",
            "192.0.2.8",
        );
        check(
            "web nginx: 2026/11/28 08:00:00 [error] 7#7: *3 user \"ann\": password mismatch, client: 192.0.2.9, server: m",
            "192.0.2.9",
        );
        check(
            "2026/11/28 08:00:00 [error] 7#7: *4 PAM: user 'ann' - not authenticated: Authentication failure, client: 2001:db8::4, server: m",
            "2001:db8::4",
        );
    }
}
