use super::*;

fn check(line: &str, expected: &[(Topic, u64, &str)]) {
    let events = events(line.as_bytes());
    let found: Vec<_> = events
        .iter()
        .map(|event| (event.topic, event.times, &*event.reason))
        .collect();
    assert_eq!(found, expected, "{line}");
}

#[test]
fn lines_that_postfix_3_7_wrote() {
    let refused = "connect to mail.test[private/dovecot-lmtp]: Connection refused";
    check(
        "Nov 25 08:19:48 mail postfix/lmtp[19228]: 63FD299699C: to=<bob@example.org>, relay=none, delay=0, \
         delays=0/0/0/0, dsn=4.4.1, status=deferred (connect to mail.test[private/dovecot-lmtp]: Connection refused)",
        &[
            (Topic::Deferred, 1, refused),
            (Topic::LmtpFailures, 1, refused),
        ],
    );
    check(
        "Nov 25 08:19:30 mail postfix/smtpd[19222]: warning: localhost[127.0.0.1]: SASL PLAIN authentication failed: \
         (reason unavailable), sasl_username=bob@example.org",
        &[(Topic::AuthFailures, 1, "127.0.0.1")],
    );
    check(
        "Nov 25 08:19:28 mail postfix/lmtp[19228]: 7ECA8996998: to=<alice@example.org>, relay=mail.test[private/dovecot-lmtp], \
         delay=0.03, delays=0/0.01/0.01/0, dsn=2.0.0, status=sent (250 2.0.0 <alice@example.org> G1QgIBCaBmsdSwAAg+zDdQ Saved)",
        &[],
    );
}

#[test]
fn lines_that_dovecot_2_3_wrote() {
    check(
        "Nov 25 08:19:42 imap-login: Info: Disconnected: Aborted login by logging out (auth failed, 1 attempts in 2 secs): \
         user=<bob@example.org>, method=PLAIN, rip=127.0.0.1, lip=127.0.0.1, secured, session=<5mgGfRVhBJB/AAAB>",
        &[(Topic::AuthFailures, 1, "127.0.0.1")],
    );
    check(
        "Nov 25 08:04:27 imap-login: Info: Disconnected: Connection closed (no auth attempts in 0 secs): user=<>, rip=127.0.0.1",
        &[],
    );
    check("Nov 25 08:19:28 lmtp(19229): Info: Connect from local", &[]);
    check(
        "Nov 25 08:19:28 lmtp(alice@example.org)<19229><G1QgIBCaBmsdSwAAg+zDdQ>: Info: msgid=<1@mail.test>: saved mail to INBOX",
        &[],
    );
}

#[test]
fn lines_of_their_documentation() {
    check(
        "2026-11-25T08:00:00.1+01:00 mx postfix/smtp[7]: 4BC: to=<x@example.net>, relay=mx.example.net[192.0.2.1]:25, delay=1, \
         dsn=5.1.1, status=bounced (host mx.example.net[192.0.2.1] said: 550 5.1.1 <x@example.net>: User unknown)",
        &[(
            Topic::Bounced,
            1,
            "host mx.example.net[192.0.2.1] said: 550 5.1.1 <...>: User unknown",
        )],
    );
    check(
        "Nov  8 18:37:35 vps postfix/submission/smtpd[2]: warning: unknown[2001:db8::1]: SASL LOGIN authentication failed: UGFzc3dvcmQ6",
        &[(Topic::AuthFailures, 1, "2001:db8::1")],
    );
    check(
        "Nov 25 08:00:00 mx dovecot: imap-login: Disconnected (auth failed, 3 attempts in 12 secs): user=<a>, method=PLAIN, \
         rip=198.51.100.7, lip=192.0.2.2, TLS",
        &[(Topic::AuthFailures, 3, "198.51.100.7")],
    );
    check(
        "Nov 25 08:00:00 mx dovecot: lmtp(a@example.org)<1><x>: msgid=<y@z>: save failed to INBOX: Quota exceeded (mailbox for user is full)",
        &[(
            Topic::LmtpFailures,
            1,
            "INBOX: Quota exceeded (mailbox for user is full)",
        )],
    );
    check(
        "Nov 25 08:00:00 lmtp(a@example.org)<1><x>: Error: open(/srv/mail) failed: Permission denied",
        &[(
            Topic::LmtpFailures,
            1,
            "open(/srv/mail) failed: Permission denied",
        )],
    );
}

/// Shapes of lines that fail2ban's filters call failures, and those that they do not.
#[test]
fn a_failed_login_is_counted_by_its_address_in_every_format() {
    let failed = |line: &str, address: &str| check(line, &[(Topic::AuthFailures, 1, address)]);
    let sasl = "Nov 28 08:00:00 mx postfix/submission/smtpd[3]: warning: ";
    failed(
        &format!("{sasl}unknown[192.0.2.7]:49345: SASL LOGIN authentication failed: UGFzc3dvcmQ6"),
        "192.0.2.7",
    );
    failed(
        &format!(
            "{sasl}a.example[2001:db8::5]: SASL PLAIN authentication failed: authentication failure"
        ),
        "2001:db8::5",
    );
    let login = "Nov 28 08:00:00 mx dovecot: imap-login: ";
    failed(
        &format!(
            "{login}Login aborted: Logged out (auth failed, 1 attempts in 2 secs) (auth_failed): user=<ann>, method=PLAIN, rip=198.51.100.4, lip=192.0.2.1, TLS, session=<x>"
        ),
        "198.51.100.4",
    );
    failed(
        &format!(
            "{login}Disconnected (tried to use disallowed plaintext auth): user=<>, rip=198.51.100.5, lip=192.0.2.1"
        ),
        "198.51.100.5",
    );
    failed(
        &format!(
            "{login}Aborted login (proxy dest auth failed): user=<ann>, method=PLAIN, rip=198.51.100.6, lip=192.0.2.1"
        ),
        "198.51.100.6",
    );
    let auth = "Nov 28 08:00:00 mx dovecot: auth-worker(77): ";
    failed(
        &format!(
            "{auth}pam(ann,198.51.100.8,<q1w2>): pam_authenticate() failed: Authentication failure (password mismatch?)"
        ),
        "198.51.100.8",
    );
    failed(
        &format!(
            "{auth}conn unix:auth-worker (pid=7,uid=9): auth-worker<3>: sql(ann@example.org,198.51.100.9,<q>): Password mismatch"
        ),
        "198.51.100.9",
    );
    failed(
        &format!("{auth}passwd-file(ann,198.51.100.10): unknown user"),
        "198.51.100.10",
    );
    failed(
        &format!("{auth}ldap(ann,2001:db8::9,<q>): invalid credentials"),
        "2001:db8::9",
    );
    failed(
        "Nov 28 08:00:00 auth(ann@example.org,198.51.100.12,sasl:login)<q1w2>: Info: sql: Password mismatch",
        "198.51.100.12",
    );
    failed(
        "Nov 28 08:00:00 auth(ann@example.org,198.51.100.13,sasl:plain)<q1w2>: Info: passwd-file: unknown user",
        "198.51.100.13",
    );
    failed(
        "Nov 28 08:00:00 mx auth: pam_unix(dovecot:auth): authentication failure; logname= uid=0 euid=0 tty=dovecot ruser=ann rhost=198.51.100.11  user=ann",
        "198.51.100.11",
    );
    check(
        &format!(
            "{sasl}unknown[192.0.2.7]: SASL XYZ authentication failed: Invalid authentication mechanism"
        ),
        &[(Topic::Probes, 1, "192.0.2.7")],
    );
    check(
        &format!("{login}Login: user=<ann>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.1"),
        &[],
    );
}

/// What fail2ban's stricter modes count.
#[test]
fn a_client_that_went_without_a_word_or_came_too_often_is_a_probe() {
    let postfix = "Nov 28 08:00:00 mx postfix/smtpd[3]: ";
    let screen = "Nov 28 08:00:00 mx postfix/postscreen[3]: ";
    let login = "Nov 28 08:00:00 mx dovecot: imap-login: ";
    let probe = |line: String| check(&line, &[(Topic::Probes, 1, "192.0.2.7")]);
    for text in [
        "lost connection after CONNECT from unknown[192.0.2.7]",
        "NOQUEUE: lost connection after STARTTLS from a.example[192.0.2.7]",
        "too many errors after RCPT from a.example[192.0.2.7]",
        "disconnect from unknown[192.0.2.7] ehlo=1 auth=0/1 quit=1 commands=2/3",
        "warning: Connection rate limit exceeded: 31 from a.example[192.0.2.7] for service smtpd",
        "warning: Message delivery request rate limit exceeded: 9 from a.example[192.0.2.7] for service smtp",
        "warning: hostname a.example does not resolve to address 192.0.2.7: Name or service not known",
    ] {
        probe(format!("{postfix}{text}"));
    }
    for text in [
        "PREGREET 14 after 0.08 from [192.0.2.7]:59415: EHLO x",
        "HANGUP after 16 from [192.0.2.7]:48119 in tests after SMTP handshake",
        "COMMAND TIME LIMIT from [192.0.2.7]:3608 after CONNECT",
        "COMMAND COUNT LIMIT from [192.0.2.7]:3608 after RCPT",
    ] {
        probe(format!("{screen}{text}"));
    }
    for text in [
        "Disconnected (no auth attempts in 4 secs): user=<>, rip=192.0.2.7, lip=192.0.2.1, TLS handshaking",
        "Disconnected: Connection closed (no auth attempts in 0 secs): user=<>, rip=192.0.2.7, lip=192.0.2.1",
        "Disconnected (disconnected before auth was ready, waited 0 secs): user=<>, rip=192.0.2.7, lip=192.0.2.1",
        "Disconnected (client didn't finish SASL auth, waited 2 secs): user=<>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.1",
        "Login aborted: Connection closed: SSL_accept() failed (disconnected during TLS handshake) (tls_handshake_not_finished): user=<>, rip=192.0.2.7, lip=192.0.2.1",
    ] {
        probe(format!("{login}{text}"));
    }
    for text in [
        "lost connection after DATA (0 bytes) from a.example[192.0.2.7]",
        "lost connection after CONNECT from localhost[127.0.0.1]",
        "lost connection after CONNECT from localhost[::1]",
        "disconnect from a.example[192.0.2.7] ehlo=1 auth=1 mail=1 quit=1 commands=4",
    ] {
        check(&format!("{postfix}{text}"), &[]);
    }
}

#[test]
fn an_authentication_server_that_does_not_answer_is_nobodys_failed_login() {
    let broken = |line: &str, why: &str| check(line, &[(Topic::AuthErrors, 1, why)]);
    broken(
        "Nov 28 08:00:00 mx postfix/smtpd[3]: warning: unknown[192.0.2.7]: SASL LOGIN authentication failed: Connection lost to authentication server",
        "Connection lost to authentication server",
    );
    broken(
        "Nov 28 08:00:00 mx postfix/smtpd[3]: warning: SASL: Connect to private/auth failed: Connection refused",
        "SASL: Connect to private/auth failed: Connection refused",
    );
    broken(
        "Nov 28 08:00:00 mx dovecot: auth: Error: mysql(db): Connect failed to database (mail): Can't connect",
        "mysql(db): Connect failed to database (mail): Can't connect",
    );
    broken(
        "Nov 28 08:00:00 mx dovecot: imap-login: Disconnected: Auth process broken (disconnected before auth was ready, waited 0 secs): user=<>, rip=192.0.2.7",
        "Auth process broken (disconnected before auth was ready, waited 0 secs): user=<>, rip=192.0.2.7",
    );
}

#[test]
fn mail_that_was_not_taken_for_a_fault_of_this_server_is_deferred() {
    let reject = "Nov 28 08:00:00 mx postfix/smtpd[3]: NOQUEUE: ";
    check(
        &format!(
            "{reject}reject: RCPT from a.example[192.0.2.7]: 451 4.3.0 <ann@example.org>: Temporary lookup failure; from=<b@a.example> to=<ann@example.org> proto=ESMTP"
        ),
        &[(
            Topic::Deferred,
            1,
            "451 4.3.0 <...>: Temporary lookup failure",
        )],
    );
    check(
        &format!(
            "{reject}milter-reject: MAIL from a.example[192.0.2.7]: 451 4.7.1 Service unavailable - try again later; from=<b@a.example> proto=ESMTP"
        ),
        &[(
            Topic::Deferred,
            1,
            "451 4.7.1 Service unavailable - try again later",
        )],
    );
    check(
        &format!(
            "{reject}reject: MAIL from a.example[192.0.2.7]: 452 4.3.1 Insufficient system storage; proto=ESMTP"
        ),
        &[(Topic::Deferred, 1, "452 4.3.1 Insufficient system storage")],
    );
    check(
        "Nov 28 08:00:00 mx postfix/qmgr[5]: 4BC: from=<ann@example.org>, status=expired, returned to sender",
        &[(Topic::Bounced, 1, "status=expired, returned to sender")],
    );
    check(
        &format!(
            "{reject}reject: RCPT from a.example[192.0.2.7]: 550 5.1.1 <x@example.org>: Recipient address rejected: User unknown"
        ),
        &[(Topic::Rejected, 1, "192.0.2.7")],
    );
}

#[test]
fn clients_that_are_refused_are_counted_by_their_address() {
    let refused = |line: &str, address: &str| {
        let line = format!("Nov 28 08:00:00 mx postfix/smtpd[3]: {line}");
        check(&line, &[(Topic::Rejected, 1, address)]);
    };
    refused(
        "NOQUEUE: reject: RCPT from x.example[192.0.2.7]: 554 5.7.1 <a@example.net>: Relay access denied; from=<b@x.example> to=<a@example.net>",
        "192.0.2.7",
    );
    refused(
        "NOQUEUE: reject: EHLO from unknown[2001:db8::7]: 504 5.5.2 <User>: Helo command rejected: need fully-qualified hostname; proto=SMTP",
        "2001:db8::7",
    );
    refused(
        "4BCD01: reject: BDAT from x.example[192.0.2.9]: 550 5.5.3 <DATA>: Data command rejected: Multi-recipient bounce; from=<>",
        "192.0.2.9",
    );
    refused(
        "4BCD01: milter-reject: END-OF-MESSAGE from x.example[192.0.2.10]: 5.7.1 Spam message rejected; from=<b@x.example>",
        "192.0.2.10",
    );
    refused(
        "improper command pipelining after DATA from unknown[192.0.2.8]: Subject: x",
        "192.0.2.8",
    );
}

#[test]
fn mail_that_sieve_could_not_store_is_a_failed_delivery() {
    let lmtp = "Nov 28 08:00:01 mx dovecot: lmtp(ann@example.org)<71><AbC>: sieve: ";
    check(
        &format!(
            "{lmtp}msgid=<a1@example.net>: failed to store into mailbox 'INBOX': Quota exceeded (mailbox for user is full)"
        ),
        &[(
            Topic::LmtpFailures,
            1,
            "'INBOX': Quota exceeded (mailbox for user is full)",
        )],
    );
    check(
        &format!(
            "{lmtp}Execution of script /s/.dovecot.sieve failed with unsuccessful implicit keep"
        ),
        &[(Topic::LmtpFailures, 1, "unsuccessful implicit keep")],
    );
    check(
        &format!(
            "{lmtp}Execution of script /s/.dovecot.sieve failed, but implicit keep was successful"
        ),
        &[],
    );
    check(
        &format!("{lmtp}msgid=<a3@example.net>: stored mail into mailbox 'INBOX'"),
        &[],
    );
}

/// Dovecot 2.3 and 2.4: reasons beside a wrong password, and processes that died.
#[test]
fn logins_that_are_refused_or_cannot_be_checked_are_told_apart() {
    let login = |reason: &str| {
        format!(
            "Nov 28 08:00:00 mx dovecot: imap-login: Login aborted: Connection closed ({reason}): user=<ann>, method=PLAIN, rip=198.51.100.4, lip=192.0.2.1, TLS"
        )
    };
    for reason in [
        "authorization failed, 1 attempts in 2 secs",
        "user disabled, 1 attempts in 2 secs",
        "password expired, 1 attempts in 2 secs",
        "login disabled, 1 attempts in 2 secs",
        "cert required, client didn't start TLS",
        "client sent an invalid cert",
        "client didn't send a cert",
    ] {
        check(&login(reason), &[(Topic::AuthFailures, 1, "198.51.100.4")]);
    }
    for reason in [
        "disconnected while authenticating, waited 4 secs",
        "aborted authentication",
        "tried to use unsupported auth mechanism",
        "sent invalid base64 in response",
    ] {
        check(&login(reason), &[(Topic::Probes, 1, "198.51.100.4")]);
    }
    let dovecot = "2026-11-28T08:00:00.5+00:00 mx dovecot: ";
    let policy = "Authentication failure due to policy server refusal";
    check(
        &format!("{dovecot}auth: policy(ann@example.org,192.0.2.7,<x>): {policy}"),
        &[(Topic::AuthFailures, 1, "192.0.2.7")],
    );
    let killed = "service(auth): child 71 killed with signal 11";
    let errors = |line: &str, reason: &str| check(line, &[(Topic::AuthErrors, 1, reason)]);
    errors(
        &format!("{dovecot}master: Error: {killed}"),
        "killed with signal 11",
    );
    errors(
        &format!(
            "{dovecot}master: Warning: service(imap-login): process_limit (100) reached, client connections are being dropped"
        ),
        "client connections are being dropped",
    );
    errors(
        &format!("{dovecot}auth(ann,192.0.2.7,sasl:plain)<x>: Error: sql: connect failed"),
        "sql: connect failed",
    );
    check(
        &format!(
            "{dovecot}master: Error: service(lmtp): child 7 returned error 83 (Out of memory)"
        ),
        &[(Topic::LmtpFailures, 1, "returned error 83 (Out of memory)")],
    );
    check(
        "2026-11-28T08:00:00Z dovecot: event auth_request_finished: error=refused rip=192.0.2.7",
        &[(Topic::AuthFailures, 1, "192.0.2.7")],
    );
    check(
        "2026-11-28T08:00:00Z dovecot: event mail_delivery_finished: error=Quota exceeded",
        &[(Topic::LmtpFailures, 1, "Quota exceeded")],
    );
}

/// Postfix 3.9 and 3.10, and any release by way of RFC 5424.
#[test]
fn further_clients_of_postfix_and_lines_of_rfc_5424_are_read() {
    let refused = "connect to mail.test[private/dovecot-lmtp]: Connection refused";
    check(
        &format!(
            "<22>1 2026-11-28T08:00:00.5+00:00 mx postfix/lmtp 7 - - 4BC: to=<a@b.example>, dsn=4.4.1, status=deferred ({refused})"
        ),
        &[
            (Topic::Deferred, 1, refused),
            (Topic::LmtpFailures, 1, refused),
        ],
    );
    for line in [
        "postfix/smtpd[3]: timeout after AUTH from unknown[192.0.2.7]",
        "postfix/smtpd[3]: warning: non-SMTP command from unknown[192.0.2.7]: GET / HTTP/1.1",
        "postfix/smtpd[3]: SSL_accept error from unknown[192.0.2.7]: -1",
        "postfix/postscreen[3]: NON-SMTP COMMAND from [192.0.2.7]:4 after CONNECT: GET / HTTP/1.1",
        "postfix/postscreen[3]: COMMAND PIPELINING from [192.0.2.7]:4 after HELO: x",
        "postfix/postscreen[3]: BARE NEWLINE from [192.0.2.7]:4 after HELO",
    ] {
        let line = format!("Nov 28 08:00:00 mx {line}");
        check(&line, &[(Topic::Probes, 1, "192.0.2.7")]);
    }
    check(
        "Nov 28 08:00:00 mx postfix/smtpd[3]: timeout after DATA (9 bytes) from a.example[192.0.2.7]",
        &[],
    );
    check(
        "Nov 28 08:00:00 mx postfix/smtpd[3]: NOQUEUE: reject: DATA-END? from a.example[192.0.2.7]: 521 5.5.2 mx Error: bare <LF> received",
        &[(Topic::Rejected, 1, "192.0.2.7")],
    );
}

#[test]
fn every_row_is_reached_and_lines_of_syslog_are_known() {
    for row in ROWS {
        let line = row.holds.join(" x ");
        assert!(INTERESTING.is_match(line.as_bytes()), "{line}");
    }
    for known in [
        "Nov 28 08:00:01 mx postfix/smtpd[7]: connect from a[192.0.2.1]",
        "2026-11-28T08:00:01.5+00:00 mx opendkim[7]: x",
        "postfix/smtpd[7]: connect from a[192.0.2.1]",
        "Nov 25 08:19:28 lmtp(19229): Info: Connect from local",
        "Nov 25 08:19:28 imap-login: Info: Login: user=<a>",
        "imap(ann)<1><x>: Info: Logged out",
        "<22>1 2026-11-28T08:00:00.5+00:00 mx postfix/smtpd 7 - - connect from a[192.0.2.1]",
        "1 2026-11-28T08:00:00Z mx dovecot - - [x@1 y=\"z\"] imap-login: Login: user=<a>",
    ] {
        assert!(KNOWN.is_match(known.as_bytes()), "{known}");
    }
    for other in [
        "2026-11-28 08:00:01,123 ERROR mailserver_api.lmtp: LMTP delivery failed: [Errno 111] refused",
        "Traceback (most recent call last):",
        "{\"status\":502}",
    ] {
        assert!(!KNOWN.is_match(other.as_bytes()), "{other}");
    }
}
