//! What mail can be like: headers of every odd kind, structures without end, what is compressed or
//! encrypted, and fields that would act on a terminal.
#![expect(clippy::unwrap_used, reason = "a failing step ends the test")]

use std::process::Command;

use crate::support::{DELIVERED, Site, forge_index, message, piped};
use mail_tests::planted::assert_inert;
use mail_tests::run::repository;

fn path(number: usize) -> String {
    format!("m.example/a/cur/{number}.a:2,S")
}

/// A set of these messages; what a search finds are their numbers.
fn saved(messages: &[Vec<u8>]) -> Site {
    let site = Site::empty();
    for (number, content) in messages.iter().enumerate() {
        let seconds = DELIVERED - i64::try_from(number).unwrap();
        site.put_at(&path(number), seconds, content);
    }
    site.save_day(23);
    site
}

#[track_caller]
fn check(site: &Site, flags: &[&str], expected: &[usize]) {
    let listed = site.listed(&[&["--from", "latest"], flags].concat());
    let expected: Vec<String> = expected.iter().copied().map(path).collect();
    assert_eq!(listed, expected, "{flags:?}");
}

fn not_looked_into(site: &Site, flags: &[&str]) -> u64 {
    let outcome = site.restore(&[&["--from", "latest", "--list"], flags].concat());
    let totals = &outcome.data("end")[0]["totals"];
    let count = totals["not_looked_into"].as_u64().unwrap();
    if count > 0 {
        let _ = outcome.assert_stderr("were not looked into");
    }
    count
}

#[test]
fn headers_of_every_odd_kind_are_read() {
    let many_to = (0..40_000)
        .map(|n| format!("u{n}@list.example"))
        .collect::<Vec<_>>()
        .join(",\r\n ");
    let messages: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"no header at all, and no end".to_vec(),
        b"\n\nFrom: body@x\n".to_vec(),
        ("X-A: b\n".repeat(10_000) + "Subject: late estimate\n\n").into_bytes(),
        b"subject :\r\n  folded\r\n\testimate\r\nfrom: a@b\r\n\r\n".to_vec(),
        b"Subject: caf\xe9 estimate\n\nb\xe9\n".to_vec(),
        b"Subject: =?utf-8?q?=93=46=E9_wrong?= estimate\n\n".to_vec(),
        b"Subject: =?utf-8?q?=3D=3Futf-8=3Fq=3Fnested=3F=3D?= estimate\n\n".to_vec(),
        format!("To: {many_to}\r\nSubject: crowd\r\n\r\n").into_bytes(),
        format!("To: {}\r\nSubject: x\r\n\r\n", "y".repeat(1 << 20)).into_bytes(),
        b"From: a@b\nFrom: second@b\nSubject: one\nSubject: two\n\n".to_vec(),
        b"Content-Type: multipart/mixed; boundary=\n\n--\nestimate in no part\n".to_vec(),
        b"Content-Type: text/plain; charset=x-nothing\n\nestimate caf\xc3\xa9\n".to_vec(),
        b"Content-Transfer-Encoding: base64\n\nZXN0aW1hdGU*= broken\n".to_vec(),
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n<p>cut esti<b>mate".to_vec(),
    ];
    let site = saved(&messages);
    check(&site, &["--subject", "estimate"], &[3, 4, 5, 6, 7]);
    check(&site, &["--subject", "folded estimate"], &[4]);
    check(&site, &["--subject", "=?utf-8?q?nested?="], &[7]);
    check(&site, &["--recipient", "u39999@list"], &[8]);
    check(&site, &["--recipient", "yyyyy"], &[9]);
    check(&site, &["--sender", "second@"], &[]);
    check(&site, &["--sender", "body@"], &[]);
    check(&site, &["--text", "body@x"], &[2]);
    check(
        &site,
        &["--text", "estimate"],
        &[3, 4, 5, 6, 7, 11, 12, 13, 14],
    );
    check(&site, &["--text", "café"], &[12]);
    check(&site, &["--text", "no end"], &[]);
    check(&site, &["--larger", "100000"], &[8, 9]);
    assert_eq!(not_looked_into(&site, &["--text", "estimate"]), 0);
}

/// A part that nobody could reach by hand is counted, and the others are still found.
#[test]
fn what_is_nested_a_thousand_deep_is_said() {
    let nested = |levels: usize| {
        let mut text = String::new();
        for level in 0..levels {
            text += &format!("Content-Type: multipart/mixed; boundary=b{level}x\n\n--b{level}x\n");
        }
        (text + "Content-Type: text/plain\n\ndeep estimate\n").into_bytes()
    };
    let attached = "Content-Type: message/rfc822\n\n".repeat(50) + "Subject: inner estimate\n\n";
    let site = saved(&[
        nested(1000),
        nested(90),
        attached.into_bytes(),
        message("plain@mx"),
    ]);
    check(&site, &["--text", "estimate"], &[1, 2]);
    assert_eq!(not_looked_into(&site, &["--text", "estimate"]), 1);
    assert_eq!(not_looked_into(&site, &["--subject", "estimate"]), 0);
}

/// As the zlib plugin and mail_crypt of Dovecot store it; S/MIME and PGP hide a text only.
#[test]
fn compressed_mail_is_looked_into_and_encrypted_mail_is_counted() {
    let packed = |program: &str| {
        let text =
            format!("From: {program}@mx\nSubject: by {program}\n\nthe estimate of {program}\n");
        piped(Command::new(program).arg("-c"), text.as_bytes())
    };
    let mut messages: Vec<Vec<u8>> = ["gzip", "bzip2", "xz", "zstd"].map(packed).into();
    messages.push(b"CRYPTED\x03\x07 nobody knows".to_vec());
    messages.push(b"\x1f\x8b\x08 is damaged".to_vec());
    let smime = "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\n\nMIIB\n";
    messages.push(format!("Subject: sealed\n{smime}").into_bytes());
    messages.push(b"Subject: pgp\n\n-----BEGIN PGP MESSAGE-----\nhQ\n".to_vec());
    let endless = vec![b'x'; 65 << 20];
    messages.push(piped(Command::new("gzip").arg("-c"), &endless));
    let site = saved(&messages);
    check(&site, &["--text", "estimate"], &[0, 1, 2, 3]);
    check(&site, &["--sender", "zstd@"], &[3]);
    check(&site, &["--subject", "sealed"], &[6]);
    // Encrypted: the file, S/MIME, PGP; unclear: the damaged one, and the one that never ends.
    assert_eq!(not_looked_into(&site, &["--text", "estimate"]), 5);
    assert_eq!(not_looked_into(&site, &["--subject", "by"]), 3);
}

#[test]
fn fields_that_act_on_a_terminal_are_inert() {
    let hostile = b"From: \"\x1b[2J\x1b]0;owned\x07\" <a@b>\nTo: \xc2\x9b31m\n\
        Subject: =?utf-8?q?=1B[31m=0D=0Aforged_line=E2=80=AEtxt.exe?= ver=?utf-8?b?wq0=?=trag\n\
        Message-ID: <\x1b[1m@x>\n\nbody\n";
    let site = saved(&[hostile.to_vec()]);
    let flags = ["--from", "latest", "--list", "--subject", "forged"];
    for format in ["text", "jsonl"] {
        let outcome = site
            .server
            .restore()
            .args(flags)
            .args(["--format", format])
            .run();
        let outcome = outcome.assert_code(0);
        assert_inert("stdout", outcome.text());
        assert_inert("stderr", &outcome.stderr);
        assert!(outcome.text().contains("forged"), "{}", outcome.text());
    }
    check(&site, &["--subject", "vertrag"], &[0]);
    let failed = site.restore(&["--from", "latest", "--list", "--subject", "\u{1b}[2Jx"]);
    assert_inert("stderr", failed.assert_code(1).stderr);
}

/// Who can write to the disk can write an index, too.
#[test]
fn fields_of_a_forged_index_are_inert() {
    let site = saved(&[message("one@mx")]);
    forge_index(&site.server.daily("2026-11-23"), "m.example/a", |line| {
        let acts = "\\u001b[2J\\u001b]0;owned\\u0007\\r\\nforged\\u202etxt";
        let line = line.replace("about one@mx", &format!("about {acts}"));
        line.replace("a@mail.example", &format!("{acts}@mail.example"))
    });
    for format in ["text", "jsonl"] {
        let flags = [
            "--from", "latest", "--list", "--sender", "@", "--format", format,
        ];
        let outcome = site.server.restore().args(flags).run().assert_code(0);
        assert_inert("stdout", outcome.text());
        assert_inert("stderr", &outcome.stderr);
        assert!(outcome.text().contains("forged"), "{}", outcome.text());
    }
}

/// The fixture that every version reads: no index has the header of a message.
#[test]
fn sets_of_format_1_and_of_the_old_scripts_are_read_through() {
    let site = Site::empty();
    let kept = "m.example/a/cur/9.z:2,S";
    site.put(
        kept,
        b"From: plain@old.example\nSubject: of old\n\nestimate\n",
    );
    let old = site.server.root().join("daily/2026-11-20");
    let source = repository().join("tests/fixtures/format-1/daily/2026-11-23");
    let script = format!(
        "mkdir -p {0}/../2026-11-19/mail {0} && cp -r {1}/. {0} && cp -a {2}/. {0}/../2026-11-19/mail && \
         cd {0}/../2026-11-19 && find mail -type f -print0 | xargs -0 sha256sum >checksums.sha256",
        old.display(),
        source.display(),
        site.mail().display(),
    );
    let _ = piped(Command::new("sh").args(["-c", &script]), b"");
    site.save_day(23);
    let plain = site.list(&["--from", "all", "--subject", "of old"]);
    assert_eq!(plain.len(), 1, "{plain:?}");
    assert_eq!(plain[0]["first_set"], "daily/2026-11-19");
    assert_eq!(plain[0]["last_set"], "daily/2026-11-23");
    let outcome = site.restore(&["--list", "--from", "daily/2026-11-20", "--sender", "@"]);
    let outcome = outcome
        .assert_code(0)
        .assert_stderr("opened for their headers, which takes longer");
    assert!(
        outcome
            .data("message")
            .iter()
            .all(|message| message["from"].is_string())
    );
    let alone = site.list(&["--from", "daily/2026-11-19", "--text", "estimate"]);
    assert_eq!(alone.len(), 1);
    assert_eq!(alone[0]["path"], kept);
}

/// The older one is not meant; that says nothing of the other.
#[test]
fn a_copy_is_found_though_the_same_message_was_delivered_before() {
    let site = Site::empty();
    let (old, new) = (
        "example.com/alice/.Old/cur/1.a:2,S",
        "example.com/alice/cur/2.b:2,S",
    );
    let text = "From: a@mx\nSubject: twice\n\nto be found in the text\n";
    site.put_at(old, DELIVERED - 86_400 * 30, text);
    site.put_at(new, DELIVERED, text);
    site.save_day(22);
    let since = ["--from", "all", "--since", "2026-10-25"];
    assert_eq!(site.listed(&since), [new]);
    let looked_into = [&since[..], &["--text", "found in the text"]].concat();
    assert_eq!(site.listed(&looked_into), [new]);
}
