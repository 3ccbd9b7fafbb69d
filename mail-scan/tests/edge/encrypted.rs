//! Mail that is encrypted or signed as a whole, and the policy for it.

use crate::messages::{ATTACHED, FIELDS, MIXED, base64, put_message};

use mail_tests::clamd::{Clamd, eicar};

use crate::support::{Bench, DAY, backed_up, put, some_message, tool, total, verdict_on};

/// A message with `content` attached.
pub(crate) fn mail_of(name: &str, content: &[u8]) -> String {
    format!(
        "{FIELDS}{MIXED}--bb\nContent-Type: application/octet-stream; name=\"{name}\"\n\
         Content-Transfer-Encoding: base64\n\n{}--bb--\n",
        base64(content)
    )
}

/// Messages that nobody can look into without a key.
fn put_encrypted(bench: &Bench) -> Vec<&'static str> {
    let armor = "-----BEGIN PGP MESSAGE-----\n\nhQEMAwAAAAAAAAAA\n-----END PGP MESSAGE-----\n";
    let pgp = format!(
        "Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=e\n\n\
         --e\nContent-Type: application/pgp-encrypted\n\nVersion: 1\n\n--e\n\n{armor}--e--\n"
    );
    let smime = |kind: &str| {
        format!(
            "Content-Type: application/pkcs7-mime; smime-type={kind}; name=smime.p7m\nContent-Transfer-Encoding: base64\n\n{}",
            base64(b"noise")
        )
    };
    let enveloped = b"\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03\xa0\x80noise";
    for (name, message) in [
        ("pgp", format!("{FIELDS}{pgp}")),
        ("inline", format!("{FIELDS}\nhello\n\n{armor}")),
        ("smime", format!("{FIELDS}{}", smime("enveloped-data"))),
        (
            "authenticated",
            format!("{FIELDS}{}", smime("authEnveloped-data")),
        ),
        ("by-content", mail_of("x.dat", enveloped)),
        ("by-name", mail_of("smime.p7m", b"noise")),
        (
            "nested",
            format!("{FIELDS}Content-Type: message/rfc822\n\nFrom: a\n{pgp}"),
        ),
        (
            "in-a-list",
            format!("{FIELDS}{MIXED}--bb\n{pgp}\n--bb\n\nfooter\n--bb--\n"),
        ),
        ("mail-crypt", "CRYPTED\x03\x07noise".to_owned()),
    ] {
        put_message(bench, name, message);
    }
    vec![
        "pgp",
        "inline",
        "smime",
        "authenticated",
        "by-content",
        "by-name",
        "nested",
        "in-a-list",
        "mail-crypt",
    ]
}

#[test]
fn mail_that_is_encrypted_as_a_whole_is_not_clean_unless_the_policy_lets_it_pass() {
    let bench = Bench::new();
    let names = put_encrypted(&bench);
    let outcome = bench
        .scan(bench.path("mail"))
        .assert_code(1)
        .assert_stderr("--encrypted-mail note");
    for name in &names {
        let verdict = verdict_on(&outcome, &format!("/{name}:2,S"));
        assert_eq!(verdict["status"], "unscanned", "{name}");
        assert!(
            verdict["reason"]
                .as_str()
                .unwrap()
                .starts_with("encrypted: "),
            "{verdict}"
        );
    }
    assert_eq!(total(&outcome, "encrypted"), names.len() as u64);
    let noted = [
        bench.tool().args(["--encrypted-mail", "note"]),
        bench.tool().env("SCAN_ENCRYPTED_MAIL", "note"),
    ];
    for tool in noted {
        let outcome = tool.arg(bench.path("mail")).run().assert_code(0);
        for name in &names {
            let verdict = verdict_on(&outcome, &format!("/{name}:2,S"));
            assert!(
                verdict["reason"]
                    .as_str()
                    .unwrap()
                    .starts_with("encrypted: "),
                "{verdict}"
            );
        }
        assert_eq!(total(&outcome, "encrypted"), names.len() as u64);
    }
    let wrong = bench
        .tool()
        .env("SCAN_ENCRYPTED_MAIL", "maybe")
        .arg(bench.path("mail"));
    let _ = wrong.run().assert_code(2).assert_failure("configuration");
    // What is infected besides is infected.
    put_message(
        &bench,
        "both",
        mail_of("x.com", &eicar()).replace(
            "\n--bb--",
            "\n--bb\n\n-----BEGIN PGP MESSAGE-----\n\n--bb--",
        ),
    );
    let outcome = bench
        .tool()
        .args(["--encrypted-mail", "note"])
        .arg(bench.path("mail"))
        .run()
        .assert_code(1);
    assert_eq!(verdict_on(&outcome, "both:2,S")["status"], "infected");
}

/// A RAR archive with EICAR as its member, compressed.
const COMPRESSED_RAR: &str = "\
    526172211a0700cf907300000d00000000000000845174008021009e00000044000000033ccf51680030795a1d330100a481\
    0000650800000008800000000095555555555555555555555555555555555555555555555555555555555555555555555555\
    555555555555555555555555555555555aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaef2c1aa790a812a020a82d9a\
    2e282d2c1a9a14282f149ba1a1949bbe9222a4a1a0a916a9aa20a72220a92216a0a72a24ab24a92aa996aa22a9aa16a324a6\
    2290922415a41575400000c43d7b00400700";

fn of_digits(digits: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

#[test]
fn what_needs_a_password_or_a_library_is_not_clean() {
    let rar = of_digits(COMPRESSED_RAR);
    let mut secret = rar.clone();
    secret[20 + 3] |= 4;
    let name: Vec<u8> = "EncryptedPackage".bytes().flat_map(|c| [c, 0]).collect();
    let office = [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", &[0; 600][..], &name].concat();
    let bench = Bench::new();
    let contents = [
        ("x.rar", rar, "RAR"),
        ("secret.rar", secret, "RAR"),
        ("x.docx", office, "encrypted: an Office document"),
        (
            "x.age",
            b"age-encryption.org/v1\n-> X25519 a\n".to_vec(),
            "encrypted: age",
        ),
        (
            "x.enc",
            b"Salted__12345678noise".to_vec(),
            "encrypted: openssl enc",
        ),
        (
            "x.deb",
            b"!<arch>\ndebian-binary   ".to_vec(),
            "an ar archive",
        ),
        (
            "x.rpm",
            b"\xed\xab\xee\xdb\x03\0noise".to_vec(),
            "an RPM package",
        ),
    ];
    for (name, content, _) in &contents {
        put_message(&bench, name, mail_of(name, content));
        bench.put(&format!("files/{name}"), content);
    }
    let outcome = bench.scan(bench.path("mail")).assert_code(1);
    let files = bench.scan(bench.path("files")).assert_code(1);
    for (name, _, reason) in &contents {
        for verdict in [
            verdict_on(&outcome, &format!("/{name}:2,S")),
            verdict_on(&files, &format!("/{name}")),
        ] {
            // A clamd with the library for RAR finds what is in it.
            let is_opened = *name == "x.rar" && verdict["status"] == "infected";
            let said = verdict["reason"].as_str().unwrap_or_default();
            assert!(is_opened || said.contains(reason), "{verdict}");
            assert_ne!(verdict["status"], "clean", "{verdict}");
        }
    }
}

#[test]
fn what_is_signed_around_its_content_is_looked_into() {
    let bench = Bench::new();
    let inner = format!(
        "X-A: b\n{ATTACHED}Content-Transfer-Encoding: base64\n\n{}",
        base64(&eicar())
    );
    bench.put("work/in", inner);
    bench.shell(
        r#"
        cd work; mkdir -p ../mail/cur
        openssl req -x509 -newkey rsa:2048 -nodes -keyout k.pem -out c.pem -subj /CN=a 2>/dev/null
        sign="openssl cms -sign -nodetach -signer c.pem -inkey k.pem -in in -from a -subject x"
        $sign -out ../mail/cur/opaque:2, ; $sign -stream -out ../mail/cur/streamed:2,
        openssl cms -sign -signer c.pem -inkey k.pem -in in -from a -subject x -out ../mail/cur/detached:2,
        echo hello > in; $sign -out ../mail/cur/clean:2,
        openssl cms -encrypt -aes128 -in in -from a -subject x -out ../mail/cur/enveloped:2, c.pem
        "#,
    );
    let outcome = bench.scan(bench.path("mail")).assert_code(1);
    for (name, status) in [
        ("opaque", "infected"),
        ("streamed", "infected"),
        ("detached", "infected"),
        ("clean", "clean"),
        ("enveloped", "unscanned"),
    ] {
        assert_eq!(
            verdict_on(&outcome, &format!("{name}:2,"))["status"],
            status,
            "{name}"
        );
    }
}

#[test]
fn a_set_with_encrypted_mail_passes_only_under_that_policy_and_not_from_the_cache() {
    let server = backed_up(20, |mail| {
        put(&some_message(mail), "CRYPTED\x03\x07noise");
    });
    let seconds = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let settings = "AlertEncrypted yes\nAlertExceedsMax yes\n";
    let clamd = Clamd::start_dated(settings, 100, i64::try_from(seconds).unwrap());
    let cache = tempfile::tempdir().unwrap();
    let scan = |policy: &str| {
        tool(&[&clamd.unix()])
            .args(["--encrypted-mail", policy, "--cache"])
            .arg(cache.path().join("verdicts"))
            .arg(server.daily(DAY))
            .run()
    };
    let outcome = scan("note").assert_code(0);
    let noted: Vec<_> = outcome
        .data("verdict")
        .into_iter()
        .filter(|verdict| {
            verdict["reason"]
                .as_str()
                .is_some_and(|reason| reason.contains("encrypted: "))
        })
        .collect();
    assert_eq!(noted.len(), 2, "the message, and the archive that holds it");
    assert_eq!(total(&scan("note").assert_code(0), "encrypted"), 1);
    let outcome = scan("unscanned").assert_code(1);
    assert_eq!(
        (
            total(&outcome, "unscanned"),
            total(&outcome, "unscanned_members")
        ),
        (1, 1)
    );
}

#[test]
fn what_somebody_accepted_passes_by_its_digest_and_is_told_each_time() {
    let bench = Bench::new();
    let list = bench.path("list");
    let server = backed_up(3, |mail| {
        let armor = "-----BEGIN PGP MESSAGE-----\n\nhQEM\n-----END PGP MESSAGE-----\n";
        put(
            &mail.join("example.com/alice/cur/1.pgp:2,S"),
            format!("{FIELDS}\n{armor}"),
        );
    });
    let list = list.to_str().unwrap();
    let set = server.daily(DAY);
    let scan = || bench.tool().args(["--accepted", list]).arg(&set).run();
    let accept = |digest: &str, reason: &str| {
        let args = ["--accepted", list, "--accept", digest, reason];
        mail_tests::run::Tool::new("mail-scan").args(args).run()
    };
    let is_of_member = |verdict: &&serde_json::Value| {
        let member = verdict["member"].as_str().unwrap_or_default();
        member.ends_with("1.pgp:2,S")
    };
    let member = |outcome: &mail_tests::run::Outcome| {
        let verdicts = outcome.data("verdict");
        verdicts.iter().find(is_of_member).unwrap().clone()
    };
    let before = member(&scan().assert_code(1));
    assert_eq!(before["status"], "unscanned");
    let digest = before["sha256"].as_str().unwrap();
    for (digest, reason) in [(digest, " "), ("abc", "known")] {
        let _ = accept(digest, reason).assert_code(2);
    }
    let _ = accept(&"0".repeat(64), "another").assert_code(0);
    assert_eq!(member(&scan().assert_code(1))["status"], "unscanned");
    let _ = accept(digest, "Ito's key")
        .assert_code(0)
        .assert_stderr("will pass where it cannot be scanned");
    for _ in 0..2 {
        let outcome = scan()
            .assert_code(0)
            .assert_stderr("1 contents were not scanned");
        let after = member(&outcome);
        let reason = after["reason"].as_str().unwrap();
        assert!(reason.starts_with("not scanned: encrypted: "), "{reason}");
        assert!(
            reason.ends_with(": Ito's key") && reason.contains("; accepted "),
            "{reason}"
        );
        assert_eq!(total(&outcome, "accepted"), 1);
        let whole = outcome.data("verdict");
        let noted = whole.iter().filter(|verdict| {
            let reason = verdict["reason"].as_str().unwrap_or_default();
            verdict["member"].is_null() && reason.contains("members let pass: not scanned")
        });
        assert_eq!(noted.count(), 1, "{whole:#?}");
    }
    let gone = put(&bench.path("broken"), "{\"sha256\":1}\n");
    let broken = bench.tool().arg("--accepted").arg(gone).arg(&set).run();
    let _ = broken.assert_code(2).assert_stderr("line 1");
}

#[test]
fn an_infection_cannot_be_accepted() {
    let bench = Bench::new();
    let file = bench.put("mail/x/cur/1.bad:2,", crate::support::infected_mail());
    let list = bench.path("list");
    let accept = [
        "--accept",
        &crate::support::sha256(&file),
        "surely harmless",
    ];
    let tool = mail_tests::run::Tool::new("mail-scan").args(accept);
    let _ = tool.arg("--accepted").arg(&list).run().assert_code(0);
    let outcome = bench
        .tool()
        .arg("--accepted")
        .arg(&list)
        .arg(bench.path("mail"))
        .run();
    let outcome = outcome.assert_code(1);
    assert_eq!(total(&outcome, "infected"), 1);
    assert_eq!(total(&outcome, "accepted"), 0);
}
