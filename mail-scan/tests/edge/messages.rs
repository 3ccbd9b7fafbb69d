//! Messages in whatever form: each attachment is looked into, or the message is not clean.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail_tests::clamd::eicar;
use mail_tests::run::Outcome;

use crate::encrypted::mail_of;
use crate::support::{Bench, shell, total, verdict_on};

pub(crate) const FIELDS: &str =
    "From: a@example.net\nTo: b@example.com\nSubject: scan\nMessage-ID: <1@example.net>\n";
pub(crate) const ATTACHED: &str =
    "Content-Type: application/octet-stream; name=\"x.com\"\nContent-Disposition: attachment\n";
pub(crate) const MIXED: &str = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=bb\n\n";

/// What may stand first: fields that clamd knows a message by and others, in any form, and what is
/// no field at all.
const FIRST_LINES: [&str; 18] = [
    "",
    "Return-Path: <a@example.net>\n",
    "return-path: <a@example.net>\n",
    "Return-Path:<a@example.net>\n",
    "X-Spam-Flag: NO\n",
    "DKIM-Signature: v=1;\n a=b\n",
    "MIME-Version: 1.0\n",
    "FROM: a@example.net\n",
    "X-Eight: M\u{fc}ller\n",
    "\u{feff}From: a@example.net\n",
    "\n",
    "\r\n\n",
    "From a@example.net Sat Nov 28 08:00:00 2026\n",
    ">From a@example.net Sat Nov 28 08:00:00 2026\n",
    "this is no field\n",
    " folded: x\n",
    "X-Nul\0: x\n",
    "X-A: b\n \n",
];

pub(crate) fn base64(content: &[u8]) -> String {
    let text = STANDARD.encode(content);
    let lines: Vec<&str> = (0..text.len())
        .step_by(76)
        .map(|at| &text[at..text.len().min(at + 76)])
        .collect();
    lines.join("\n") + "\n"
}

fn quoted_printable(content: &[u8]) -> String {
    content
        .iter()
        .map(|byte| format!("={byte:02X}"))
        .collect::<String>()
        + "\n"
}

/// One line of it holds 45 bytes.
fn uuencoded(content: &[u8]) -> String {
    let mut text = "begin 644 x.com\n".to_owned();
    let digit = |value: u8| char::from(if value == 0 { b'`' } else { value + b' ' });
    for line in content.chunks(45) {
        text.push(digit(u8::try_from(line.len()).unwrap()));
        for group in line.chunks(3) {
            let at = |index: usize| group.get(index).copied().unwrap_or(0);
            text.push(digit(at(0) >> 2));
            text.push(digit((at(0) << 4 | at(1) >> 4) & 63));
            text.push(digit((at(1) << 2 | at(2) >> 6) & 63));
            text.push(digit(at(2) & 63));
        }
        text.push('\n');
    }
    text + "`\nend\n"
}

/// The fields and the body of an attachment, in each way that mail carries one.
fn attachments(content: &[u8]) -> Vec<(String, String)> {
    let encoded = |name: &str| format!("{ATTACHED}Content-Transfer-Encoding: {name}\n");
    vec![
        (encoded("base64"), base64(content)),
        (encoded("quoted-printable"), quoted_printable(content)),
        (encoded("x-uuencode"), uuencoded(content)),
        (String::new(), format!("hello\n\n{}", uuencoded(content))),
        (
            ATTACHED.to_owned(),
            String::from_utf8_lossy(content).into_owned(),
        ),
    ]
}

pub(crate) fn put_message(bench: &Bench, name: &str, message: impl AsRef<[u8]>) {
    bench.put(&format!("mail/cur/{name}:2,S"), message);
}

/// The names of those that are not infected, with what was said of them.
pub(crate) fn not_infected(outcome: &Outcome) -> Vec<String> {
    let verdicts = outcome
        .data("verdict")
        .into_iter()
        .filter(|verdict| verdict["status"] != "infected");
    let line = |verdict: serde_json::Value| format!("{} {}", verdict["path"], verdict["status"]);
    verdicts.map(line).collect()
}

#[test]
fn an_attachment_is_found_whatever_the_message_begins_with() {
    let bench = Bench::new();
    let mut trace = "Authentication-Results: mx.example.org; dkim=pass; spf=pass\n".to_owned();
    for number in 1..6 {
        let seal = format!("\n {}", "QkJC".repeat(18)).repeat(8);
        writeln!(trace, "ARC-Seal: i={number}; a=rsa-sha256;{seal}").unwrap();
    }
    let long = format!("X-Long: {}\n", "y".repeat(5000));
    let firsts = FIRST_LINES.iter().copied().chain([long.as_str()]);
    let mut count = 0;
    for first in firsts {
        for trace in ["", &trace] {
            for (fields, body) in attachments(&eicar()) {
                let single = format!("{first}{trace}{FIELDS}{fields}\n{body}");
                let part = format!("--bb\n\nhello\n--bb\n{fields}\n{body}\n--bb--\n");
                let mixed = format!("{first}{trace}{FIELDS}{MIXED}{part}");
                for newline in ["\n", "\r\n", "\r"] {
                    for message in [&single, &mixed] {
                        put_message(&bench, &format!("{count}"), message.replace('\n', newline));
                        count += 1;
                    }
                }
            }
        }
    }
    let outcome = bench.scan(bench.path("mail")).assert_code(1);
    assert_eq!(not_infected(&outcome), Vec::<String>::new());
    assert_eq!(total(&outcome, "infected"), count);
}

#[test]
fn an_attachment_is_found_in_a_message_within_a_message() {
    let bench = Bench::new();
    for (at, (fields, body)) in attachments(&eicar()).into_iter().enumerate() {
        for (first_at, first) in ["", "X-Spam-Flag: NO\n", "\n", "\u{feff}"]
            .iter()
            .enumerate()
        {
            let inner = format!("{first}{FIELDS}{fields}\n{body}");
            let within =
                |kind: &str, content: &str| format!("{FIELDS}Content-Type: {kind}\n\n{content}");
            let mut nested = inner.clone();
            for _ in 0..4 {
                nested = within("message/rfc822", &nested);
            }
            let encoded = "message/rfc822\nContent-Transfer-Encoding: base64";
            let twice = within(
                encoded,
                &base64(within(encoded, &base64(inner.as_bytes())).as_bytes()),
            );
            for (kind, message) in [
                ("nested", nested),
                ("base64", within(encoded, &base64(inner.as_bytes()))),
                ("twice", twice),
                (
                    "part",
                    within("message/partial; id=a; number=1; total=2", &inner),
                ),
                (
                    "elsewhere",
                    within("message/external-body; access-type=URL", &inner),
                ),
            ] {
                put_message(&bench, &format!("{kind}.{at}.{first_at}"), message);
            }
        }
    }
    let outcome = bench.scan(bench.path("mail")).assert_code(1);
    assert_eq!(not_infected(&outcome), Vec::<String>::new());
}

#[test]
fn what_scanners_and_mail_programs_read_differently_is_looked_into_in_each_way() {
    let bench = Bench::new();
    let body = base64(&eicar());
    let encoding = "Content-Transfer-Encoding: base64\n";
    let part = format!("--bb\n{ATTACHED}{encoding}\n{body}--bb--\n");
    let mixed = |fields: &str, body: &str| format!("{FIELDS}MIME-Version: 1.0\n{fields}\n{body}");
    let plain = "Content-Type: text/plain\n";
    let multipart = "Content-Type: multipart/mixed; boundary=bb\n";
    for (name, message) in [
        ("type-twice", mixed(&[plain, multipart].concat(), &part)),
        (
            "type-twice-reversed",
            mixed(&[multipart, plain].concat(), &part),
        ),
        (
            "two-boundaries",
            mixed(
                "Content-Type: multipart/mixed; boundary=aa; boundary=bb\n",
                &part,
            ),
        ),
        (
            "boundary-in-pieces",
            mixed(
                "Content-Type: multipart/mixed; boundary*0=b; boundary*1=b\n",
                &part,
            ),
        ),
        (
            "no-boundary",
            mixed("Content-Type: multipart/mixed\n", &part),
        ),
        (
            "comment",
            mixed("Content-Type: multipart/mixed (x); boundary=bb\n", &part),
        ),
        (
            "long-boundary",
            mixed(
                &multipart.replace("bb", &"b".repeat(300)),
                &part.replace("bb", &"b".repeat(300)),
            ),
        ),
        (
            "no-end",
            mixed(multipart, part.trim_end_matches("--bb--\n")),
        ),
        (
            "before-the-first",
            mixed(
                multipart,
                &format!("{ATTACHED}{encoding}\n{body}\n--bb\n\nhello\n--bb--\n"),
            ),
        ),
        (
            "after-the-last",
            mixed(multipart, &format!("--bb\n\nhello\n--bb--\n{part}")),
        ),
        (
            "multipart-in-base64",
            mixed(&[multipart, encoding].concat(), &base64(part.as_bytes())),
        ),
        (
            "encoding-twice",
            mixed(
                &[ATTACHED, "Content-Transfer-Encoding: 7bit\n", encoding].concat(),
                &body,
            ),
        ),
        (
            "encoding-comment",
            mixed(
                &[ATTACHED, "Content-Transfer-Encoding: base64 (x)\n"].concat(),
                &body,
            ),
        ),
        (
            "garbage",
            mixed(
                &[ATTACHED, encoding].concat(),
                &body.split("").collect::<Vec<_>>().join("!@"),
            ),
        ),
        (
            "padding-within",
            mixed(
                &[ATTACHED, encoding].concat(),
                &(base64(&eicar()[..10]) + &base64(&eicar()[10..])),
            ),
        ),
        (
            "soft-breaks",
            mixed(
                &[ATTACHED, "Content-Transfer-Encoding: quoted-printable\n"].concat(),
                &quoted_printable(&eicar()).replace('=', "=  \n="),
            ),
        ),
        (
            "nul-in-field",
            mixed(&multipart.replace("mixed", "mi\0xed"), &part),
        ),
        (
            "report",
            mixed(
                &["Content-Type: message/delivery-status\n", encoding].concat(),
                &body,
            ),
        ),
        (
            "long-header",
            mixed(
                &[
                    "X-Filler: y\n".repeat(9000),
                    ATTACHED.to_owned(),
                    encoding.to_owned(),
                ]
                .concat(),
                &body,
            ),
        ),
    ] {
        put_message(&bench, name, &message);
        put_message(
            &bench,
            &format!("{name}.crlf"),
            message.replace('\n', "\r\n"),
        );
    }
    let outcome = bench.scan(bench.path("mail")).assert_code(1);
    assert_eq!(not_infected(&outcome), Vec::<String>::new());
}

#[test]
fn what_clamd_does_not_unpack_is_unpacked_in_a_message_or_named() {
    let bench = Bench::new();
    bench.put("work/x.com", eicar());
    bench.shell(
        r#"
        cd work; zstd -q x.com; xz -k --format=lzma x.com; lz4 -q x.com x.com.lz4; lz4 -ql x.com legacy.lz4; tar -cf all.tar x.com; zstd -q all.tar
        gzip -k x.com.zst; tar -cf deep.tar x.com.zst; lzip -k x.com
        python3 - <<'PY'
import zipfile
for name, method in (('lzma', 14), ('deflate', 8)):
    with zipfile.ZipFile(name + '.zip', 'w', method) as z: z.write('x.com')
with zipfile.ZipFile('zst.zip', 'w', 8) as z: z.write('x.com.zst')
# The same with a method that nobody has here.
content = bytearray(open('deflate.zip', 'rb').read())
content[8:10] = content[content.index(b'PK\x01\x02') + 10:][:2] = b'\x62\x00'
at = content.index(b'PK\x01\x02') + 10; content[at:at + 2] = b'\x62\x00'
open('ppmd.zip', 'wb').write(content)
PY
        "#,
    );
    let read = |name: &str| std::fs::read(bench.path(&format!("work/{name}"))).unwrap();
    for name in [
        "x.com.zst",
        "x.com.lzma",
        "x.com.lz",
        "x.com.lz4",
        "legacy.lz4",
        "all.tar.zst",
        "x.com.zst.gz",
        "deep.tar",
        "lzma.zip",
        "zst.zip",
    ] {
        put_message(&bench, name, mail_of(name, &read(name)));
    }
    for (name, content) in [
        ("ppmd.zip", read("ppmd.zip")),
        ("x.lz4", b"\x04\x22\x4d\x18rest".to_vec()),
        ("x.wim", b"MSWIM\0\0\0rest".to_vec()),
        ("x.br", b"rest".to_vec()),
        ("broken.zst", read("x.com.zst")[..20].to_vec()),
    ] {
        put_message(&bench, &format!("not.{name}"), mail_of(name, &content));
    }
    let encoded: Vec<u8> = eicar().iter().map(|byte| byte.wrapping_add(42)).collect();
    let yenc = [
        b"From: a\n\n=ybegin line=128 size=68 name=x.com\n",
        &encoded[..],
        b"\n=yend size=68\n",
    ]
    .concat();
    put_message(&bench, "yenc", yenc);
    put_message(
        &bench,
        "uu",
        format!("{FIELDS}\nhello\n\n{}", uuencoded(&read("x.com.zst"))),
    );
    let outcome = bench.scan(bench.path("mail")).assert_code(1);
    for name in ["ppmd.zip", "x.lz4", "x.wim", "x.br", "broken.zst"] {
        let verdict = verdict_on(&outcome, &format!("not.{name}:2,S"));
        assert_eq!(verdict["status"], "unscanned", "{name}");
        assert!(
            verdict["reason"]
                .as_str()
                .unwrap()
                .starts_with("not unpacked: "),
            "{verdict}"
        );
    }
    assert_eq!(
        not_infected(&outcome).len(),
        5,
        "{:?}",
        not_infected(&outcome)
    );
    assert_eq!(total(&outcome, "not_unpacked"), 5);
}

#[test]
fn messages_that_dovecot_has_compressed_are_messages() {
    let bench = Bench::new();
    let trace = format!("X-Trace: {}\n", "q".repeat(70)).repeat(60);
    bench.put("message", trace + &mail_of("x.com", &eicar()));
    bench.shell(
        "mkdir -p mail/cur; for pack in gzip bzip2 xz zstd; do $pack -qc message > mail/cur/$pack:2,; done
        printf 'CRYPTED\\003\\007noise' | gzip > mail/cur/crypted:2,",
    );
    let outcome = bench.scan(bench.path("mail")).assert_code(1);
    assert_eq!(
        not_infected(&outcome).len(),
        1,
        "{:?}",
        not_infected(&outcome)
    );
    assert_eq!(verdict_on(&outcome, "crypted:2,")["status"], "unscanned");
}

#[test]
fn a_file_of_the_same_bytes_does_not_vouch_for_a_message() {
    let bench = Bench::new();
    // To clamd it is a text, and no field says that it is a message.
    let message = format!("X-A: b\n\n{}", uuencoded(&eicar()));
    bench.put("a", message.replace("\n\nbegin", "\n\nhello\n\nbegin"));
    shell(bench.dir(), "mkdir -p mail/cur; cp a mail/cur/b");
    let outcome = bench
        .tool()
        .args(["--jobs", "1"])
        .args([bench.path("a"), bench.path("mail")])
        .run();
    let outcome = outcome.assert_code(1);
    assert_eq!(verdict_on(&outcome, "cur/b")["status"], "infected");
}
