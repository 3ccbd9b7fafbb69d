//! Lines of Postfix and Dovecot, which often share a log: every way in which they say that mail or
//! a login failed is a row of a table.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::super::tally::Topic;
use super::event::{Event, address, after, reason};

/// A way in which a line says that something failed.
struct Row {
    /// The line holds all of these; the first is rare in other lines.
    holds: &'static [&'static str],
    topic: Topic,
    why: Why,
}

/// Where the line says why, or whose address it names.
#[derive(Clone, Copy)]
enum Why {
    /// In the parentheses after the first part.
    Parentheses,
    /// After the last part.
    After,
    /// From the last part on.
    From,
    /// The reply, from its code to what it is about.
    Reply,
    /// The client in brackets before `: SASL `.
    Client,
    /// The client in brackets after ` from `.
    Peer,
    /// The address after the last part.
    Address,
    /// ` rip=` of a login process, which counts attempts.
    Remote,
    /// `rhost=` of PAM.
    RemoteHost,
    /// `(user,address,...): ` before the first part.
    Account,
}

const fn row(holds: &'static [&'static str], topic: Topic, why: Why) -> Row {
    Row { holds, topic, why }
}

/// The first row that fits counts. What follows another row and would fit it too is the more
/// general.
#[rustfmt::skip] // A table: a row a way to fail.
static ROWS: &[Row] = &[
    // Postfix: bounce(8), defer(8); soft_bounce of postconf(5); qmgr(8) and postsuper(1) for what
    // waited too long.
    row(&["status=bounced"], Topic::Bounced, Why::Parentheses),
    row(&["status=expired"], Topic::Bounced, Why::From),
    row(&["status=force-expired"], Topic::Bounced, Why::From),
    row(&["status=deferred"], Topic::Deferred, Why::Parentheses),
    row(&["status=SOFTBOUNCE"], Topic::Deferred, Why::Parentheses),
    // Postfix's smtpd(8) puts a sender off for a fault of this server: access(5), milter(8),
    // cleanup(8).
    row(&["4.3.0 ", "Temporary lookup failure"], Topic::Deferred, Why::Reply),
    row(&["queue file write error"], Topic::Deferred, Why::From),
    row(&["4.3.5 Server configuration"], Topic::Deferred, Why::Reply),
    row(&["4.3.1 Insufficient system storage"], Topic::Deferred, Why::Reply),
    row(&["milter-reject: ", "4.7.1 Service unavailable"], Topic::Deferred, Why::Reply),
    // Postfix's smtpd(8) refuses a client for what it asks: access(5), postconf(5)
    // smtpd_*_restrictions.
    row(&[": reject: ", " from ", "["], Topic::Rejected, Why::Peer),
    row(&[": milter-reject: ", " from ", "["], Topic::Rejected, Why::Peer),
    row(&["improper command pipelining after ", " from ", "["], Topic::Rejected, Why::Peer),
    // SASL_README and xsasl_dovecot_server.c: the authentication server does not answer, which is
    // nobody's failed login.
    row(&["Connection lost to authentication server"], Topic::AuthErrors, Why::From),
    row(&["SASL: Connect to "], Topic::AuthErrors, Why::From),
    row(&["no SASL authentication mechanisms"], Topic::AuthErrors, Why::From),
    row(&[": SASL ", " authentication failed: ", "emporary"], Topic::AuthErrors, Why::From),
    // Postfix's smtpd(8); a mechanism that is not offered is a mistake of the client, not of a
    // password.
    row(&[": SASL ", " authentication failed: Invalid authentication mechanism"],
        Topic::Probes, Why::Client),
    row(&[": SASL ", " authentication failed"], Topic::AuthFailures, Why::Client),
    // Dovecot 2.3 and 2.4, client-common.c and client-common-auth.c: the login process could not
    // ask.
    row(&["(auth process communication failure"], Topic::AuthErrors, Why::From),
    row(&["(auth service reported temporary failure"], Topic::AuthErrors, Why::From),
    row(&["(internal failure"], Topic::AuthErrors, Why::From),
    row(&["Auth process broken"], Topic::AuthErrors, Why::From),
    row(&["Temporary authentication failure"], Topic::AuthErrors, Why::From),
    // The same, a login that was refused: the process counts the attempts of a connection.
    row(&["(auth failed, ", " rip="], Topic::AuthFailures, Why::Remote),
    row(&["(tried to use disallowed ", " rip="], Topic::AuthFailures, Why::Remote),
    row(&["(tried to use disabled ", " rip="], Topic::AuthFailures, Why::Remote),
    row(&["(proxy dest auth failed", " rip="], Topic::AuthFailures, Why::Remote),
    row(&["(authorization failed, ", " rip="], Topic::AuthFailures, Why::Remote),
    row(&["(user disabled, ", " rip="], Topic::AuthFailures, Why::Remote),
    row(&["(password expired, ", " rip="], Topic::AuthFailures, Why::Remote),
    row(&["(login disabled, ", " rip="], Topic::AuthFailures, Why::Remote),
    row(&["(cert required, ", " rip="], Topic::AuthFailures, Why::Remote),
    row(&["(client sent an invalid cert", " rip="], Topic::AuthFailures, Why::Remote),
    row(&["(client didn't send a cert", " rip="], Topic::AuthFailures, Why::Remote),
    // Its event exporter, auth_request_finished; `wrapped` writes these lines.
    row(&["event auth_request_finished: error=", " rip="], Topic::AuthFailures, Why::Remote),
    row(&["event auth_request_finished: error="], Topic::AuthFailures, Why::After),
    // Its policy server.
    row(&["Authentication failure due to policy server refusal"],
        Topic::AuthFailures, Why::Account),
    // Dovecot's passdbs with auth_verbose: PAM, then passwd-file, SQL, LDAP and the others.
    row(&["authentication failure; ", "tty=dovecot", " rhost="],
        Topic::AuthFailures, Why::RemoteHost),
    row(&["): pam_authenticate() failed: "], Topic::AuthFailures, Why::Account),
    row(&["): unknown user"], Topic::AuthFailures, Why::Account),
    row(&["): Unknown user"], Topic::AuthFailures, Why::Account),
    row(&["): invalid credentials"], Topic::AuthFailures, Why::Account),
    row(&["): Invalid credentials"], Topic::AuthFailures, Why::Account),
    row(&["): password mismatch"], Topic::AuthFailures, Why::Account),
    row(&["): Password mismatch"], Topic::AuthFailures, Why::Account),
    // The same in Dovecot 2.4: `auth(user,address,...)<session>: Info: sql: Password mismatch`.
    row(&[": unknown user", "auth("], Topic::AuthFailures, Why::Account),
    row(&[": Unknown user", "auth("], Topic::AuthFailures, Why::Account),
    row(&[": invalid credentials", "auth("], Topic::AuthFailures, Why::Account),
    row(&[": Invalid credentials", "auth("], Topic::AuthFailures, Why::Account),
    row(&[": password mismatch", "auth("], Topic::AuthFailures, Why::Account),
    row(&[": Password mismatch", "auth("], Topic::AuthFailures, Why::Account),
    // Dovecot's auth processes themselves: a database that is not there.
    row(&["auth: Error: "], Topic::AuthErrors, Why::After),
    row(&["auth: Fatal: "], Topic::AuthErrors, Why::After),
    row(&["auth: Panic: "], Topic::AuthErrors, Why::After),
    row(&["auth(", ": Error: "], Topic::AuthErrors, Why::After),
    row(&["auth(", ": Fatal: "], Topic::AuthErrors, Why::After),
    row(&["auth(", ": Panic: "], Topic::AuthErrors, Why::After),
    row(&["auth-worker(", "): Error: "], Topic::AuthErrors, Why::After),
    row(&["auth-worker: Error: "], Topic::AuthErrors, Why::After),
    // Its master process, service-monitor.c: a process that died, or one too many.
    row(&["service(auth", "killed with signal"], Topic::AuthErrors, Why::From),
    row(&["service(auth", "returned error"], Topic::AuthErrors, Why::From),
    row(&["service(auth", "client connections are being dropped"], Topic::AuthErrors, Why::From),
    row(&["-login): ", "killed with signal"], Topic::AuthErrors, Why::From),
    row(&["-login): ", "client connections are being dropped"], Topic::AuthErrors, Why::From),
    row(&["service(lmtp)", "killed with signal"], Topic::LmtpFailures, Why::From),
    row(&["service(lmtp)", "returned error"], Topic::LmtpFailures, Why::From),
    row(&["service(lmtp)", "client connections are being dropped"], Topic::LmtpFailures, Why::From),
    row(&["-login: Error: ", "auth"], Topic::AuthErrors, Why::From),
    // Dovecot's LMTP server and LDA, mail-deliver.c: mail that could not be saved.
    row(&["save failed to "], Topic::LmtpFailures, Why::After),
    // Pigeonhole, sieve-actions.c and lda-sieve-plugin.c; mail that an implicit keep has saved is
    // not lost.
    row(&["failed to store into mailbox "], Topic::LmtpFailures, Why::After),
    row(&["failed to save mail to mailbox "], Topic::LmtpFailures, Why::After),
    row(&["failed to redirect message to "], Topic::LmtpFailures, Why::From),
    row(&["unsuccessful implicit keep"], Topic::LmtpFailures, Why::From),
    row(&["sieve: ", "was aborted due to temporary failure"], Topic::LmtpFailures, Why::From),
    row(&["lmtp(", ": Error: "], Topic::LmtpFailures, Why::After),
    row(&["lmtp(", ": Fatal: "], Topic::LmtpFailures, Why::After),
    row(&["lmtp(", ": Panic: "], Topic::LmtpFailures, Why::After),
    row(&["lmtp(", ": save failed "], Topic::LmtpFailures, Why::After),
    row(&["lmtp: Error: "], Topic::LmtpFailures, Why::After),
    row(&["lmtp: Fatal: "], Topic::LmtpFailures, Why::After),
    row(&["lmtp: Panic: "], Topic::LmtpFailures, Why::After),
    row(&["event mail_delivery_finished: error="], Topic::LmtpFailures, Why::After),
    row(&["lda(", ": Error: "], Topic::LmtpFailures, Why::After),
    row(&["lda(", ": Fatal: "], Topic::LmtpFailures, Why::After),
    row(&["lda(", ": save failed "], Topic::LmtpFailures, Why::After),
    // Postfix's smtpd(8) and anvil(8): who went without a word, asked for nothing that is right, or
    // came too often. One who goes in the middle of a message or a login may have lost the line.
    row(&["lost connection after DATA"], Topic::Ignored, Why::From),
    row(&["lost connection after AUTH"], Topic::Ignored, Why::From),
    row(&["timeout after DATA"], Topic::Ignored, Why::From),
    row(&["timeout after END-OF-MESSAGE"], Topic::Ignored, Why::From),
    row(&["lost connection after ", " from ", "["], Topic::Probes, Why::Peer),
    row(&["timeout after ", " from ", "["], Topic::Probes, Why::Peer),
    row(&["non-SMTP command from ", "["], Topic::Probes, Why::Peer),
    row(&["SSL_accept error from ", "["], Topic::Probes, Why::Peer),
    row(&["too many errors after ", " from ", "["], Topic::Probes, Why::Peer),
    row(&[" auth=0/", "disconnect from ", "["], Topic::Probes, Why::Peer),
    row(&[" rate limit exceeded: ", " from ", "["], Topic::Probes, Why::Peer),
    row(&[" does not resolve to address "], Topic::Probes, Why::Address),
    // Postfix's postscreen(8).
    row(&["PREGREET ", " after ", " from ["], Topic::Probes, Why::Peer),
    row(&["HANGUP after ", " from ["], Topic::Probes, Why::Peer),
    row(&["COMMAND TIME LIMIT from ["], Topic::Probes, Why::Peer),
    row(&["COMMAND COUNT LIMIT from ["], Topic::Probes, Why::Peer),
    row(&["COMMAND LENGTH LIMIT from ["], Topic::Probes, Why::Peer),
    row(&["COMMAND PIPELINING from ["], Topic::Probes, Why::Peer),
    row(&["NON-SMTP COMMAND from ["], Topic::Probes, Why::Peer),
    row(&["BARE NEWLINE from ["], Topic::Probes, Why::Peer),
    // Dovecot, client-common.c: who did not log in.
    row(&["(no auth attempts", " rip="], Topic::Probes, Why::Remote),
    row(&["(disconnected before auth was ready", " rip="], Topic::Probes, Why::Remote),
    row(&["(client didn't finish ", " rip="], Topic::Probes, Why::Remote),
    row(&["(disconnected while authenticating", " rip="], Topic::Probes, Why::Remote),
    row(&["(aborted authentication", " rip="], Topic::Probes, Why::Remote),
    row(&["(tried to use unsupported auth mechanism", " rip="], Topic::Probes, Why::Remote),
    row(&["(sent invalid base64 in response", " rip="], Topic::Probes, Why::Remote),
    row(&["(disconnected during TLS handshake", " rip="], Topic::Probes, Why::Remote),
];

/// Only lines that one of these is in can fit a row.
pub(super) static INTERESTING: LazyLock<Regex> = LazyLock::new(|| {
    let parts = ROWS.iter().map(|row| regex::escape(row.holds[0]));
    Regex::new(&parts.collect::<Vec<_>>().join("|")).expect("the tests compile it")
});

/// A line of syslog, of any program; or one of Postfix, or of Dovecot in its own format.
pub(super) static KNOWN: LazyLock<Regex> = LazyLock::new(|| {
    let syslog = r"^(?:<\d+>(?:1 )?)?(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S+) \S+ [\w./-]+(?:\[\d+\])?: ";
    let rfc5424 = r"^(?:<\d+>)?1 \d{4}-\d\d-\d\dT\S+ \S+ [\w./-]+ \S+ \S+ (?:-|\[.*?\]) ";
    let own = r"\b(?:postfix\S*/[\w-]+\[\d+\]|dovecot(?:\[\d+\])?|[a-z][\w-]*(?:\([^)]*\)[^:]*)?: (?:Debug|Info|Warning|Error|Fatal|Panic)): ";
    Regex::new(&format!("(?m){syslog}|{rfc5424}|{own}")).expect("the tests compile it")
});

/// What a line tells. A delivery over LMTP that failed is both: deferred or bounced, and a failure
/// of LMTP.
pub(super) fn events(line: &[u8]) -> Vec<Event<'_>> {
    let fits = |row: &&Row| {
        row.holds
            .iter()
            .all(|part| after(line, part.as_bytes()).is_some())
    };
    let Some(row) = ROWS.iter().find(fits) else {
        return Vec::new();
    };
    if row.topic == Topic::Ignored {
        return Vec::new();
    }
    let first = event(row, line);
    // The health checks of this host say nothing either.
    if row.topic == Topic::Probes && is_loopback(&first.reason) {
        return Vec::new();
    }
    let mut events = vec![first];
    let is_delivery = matches!(row.topic, Topic::Bounced | Topic::Deferred);
    // RFC 5424 has no brackets there.
    let is_lmtp = [&b"/lmtp["[..], b"/lmtp "];
    if is_delivery && is_lmtp.iter().any(|part| after(line, part).is_some()) {
        events.push(Event {
            topic: Topic::LmtpFailures,
            ..event(row, line)
        });
    }
    events
}

fn event<'a>(row: &Row, line: &'a [u8]) -> Event<'a> {
    // Every part is in the line: the row fits.
    let first = after(line, row.holds[0].as_bytes()).unwrap_or(0);
    let last_part = row.holds[row.holds.len() - 1].as_bytes();
    let end = after(line, last_part).unwrap_or(0);
    let begin = end.saturating_sub(last_part.len());
    let why = match row.why {
        Why::Parentheses => in_parentheses(&line[first..]),
        Why::After => &line[end..],
        Why::From => &line[begin..],
        Why::Reply => reply(line, begin),
        Why::Address => bare_address(&line[end..]),
        Why::Client => client(line).unwrap_or_default(),
        Why::Peer => peer(line).unwrap_or_default(),
        Why::Remote => after(line, b" rip=").map_or(&[][..], |at| address(&line[at..])),
        Why::RemoteHost => after(line, b" rhost=").map_or(&[][..], |at| word(&line[at..])),
        Why::Account => account(&line[..first - row.holds[0].len()]),
    };
    let times = match row.why {
        Why::Remote => number(&line[first..]),
        _ => 1,
    };
    Event {
        topic: row.topic,
        times,
        reason: reason(why),
    }
}

/// The address that `text` begins with, before a colon that is none of it.
fn bare_address(text: &[u8]) -> &[u8] {
    let found = address(text);
    found.strip_suffix(b":").unwrap_or(found)
}

fn is_loopback(address: &str) -> bool {
    let address = address.parse::<std::net::IpAddr>();
    address.is_ok_and(|address| address.is_loopback())
}

fn in_parentheses(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii();
    let inner = text.strip_prefix(b"(");
    inner.map_or(text, |inner| inner.strip_suffix(b")").unwrap_or(inner))
}

/// From the code of three digits before `at` to what the reply is about.
fn reply(line: &[u8], at: usize) -> &[u8] {
    let head = &line[..at];
    let is_code = |window: &[u8]| {
        window[0] == b' ' && window[1] == b'4' && window[2..4].iter().all(u8::is_ascii_digit)
    };
    let begin = head
        .windows(4)
        .rposition(is_code)
        .map_or(at, |space| space + 1);
    let text = &line[begin..];
    &text[..memchr::memchr(b';', text).unwrap_or(text.len())]
}

/// The address in the last brackets before `: SASL `, which a port may follow.
fn client(line: &[u8]) -> Option<&[u8]> {
    let head = &line[..memchr::memmem::find(line, b": SASL ")?];
    Some(address(&head[memchr::memrchr(b'[', head)? + 1..]))
}

/// ` from a.example[192.0.2.1]`: the address.
fn peer(line: &[u8]) -> Option<&[u8]> {
    let client = &line[after(line, b" from ")?..];
    Some(address(&client[memchr::memchr(b'[', client)? + 1..]))
}

/// `sql(user,192.0.2.1,<session>`: the address.
fn account(head: &[u8]) -> &[u8] {
    let begin = memchr::memrchr(b'(', head).map_or(0, |at| at + 1);
    let mut fields = head[begin..].split(|byte| *byte == b',');
    fields.nth(1).map(address).unwrap_or_default()
}

fn word(text: &[u8]) -> &[u8] {
    let end = text.iter().position(u8::is_ascii_whitespace);
    &text[..end.unwrap_or(text.len())]
}

/// `3 attempts in 12 secs` is 3; at least 1.
fn number(text: &[u8]) -> u64 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).take(6);
    digits
        .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
        .max(1)
}

#[cfg(test)]
#[path = "mail_tests.rs"]
mod tests;
