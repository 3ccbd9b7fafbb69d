//! `tls`, on certificates on disk and as a private Dovecot serves them.

use mail_tests::certificate::{Authority, Certificate};
use mail_tests::mail_server::{Half, MailServer};

use crate::server::support::Bench;

#[test]
fn certificates_on_disk_are_judged_by_their_days() {
    let bench = Bench::new();
    let authority = Authority::new(&bench.path("authority"));
    let path = |name: &str| {
        bench.path(format!(
            "mail-server/data/certbot/live/{name}/fullchain.pem"
        ))
    };
    for (name, from, to) in [
        ("good", -1, 60),
        ("near", -60, 20),
        ("late", -60, 3),
        ("gone", -60, -1),
        ("soon", 2, 60),
    ] {
        let file = path(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        authority.issue(
            &Certificate::default().valid(from, to),
            &file,
            &bench.path("key.pem"),
        );
    }
    bench.put(
        "mail-server/data/certbot/live/odd/fullchain.pem",
        "no certificate\n",
    );
    let found = bench.check(
        "tls",
        &format!("[tls]\nfiles = ['{}']\n", path("*").display()),
    );
    let check = |name: &str, status: &str, words: &str| {
        found.assert(
            "certificate",
            &path(name).display().to_string(),
            status,
            words,
        );
    };
    check("good", "ok", "days left");
    check("near", "warning", "renew it");
    check("late", "critical", "renew it");
    check("gone", "critical", "expired at");
    check("soon", "critical", "valid only from");
    check("odd", "unknown", "cannot be read");
    let usual = bench.check("tls", "");
    usual.assert(
        "certificate",
        &path("near").display().to_string(),
        "warning",
        "renew it",
    );
    let absent = bench.check("tls", "[tls]\nfiles = ['/nonexistent/*.pem']\n");
    absent.assert(
        "certificate",
        "/nonexistent/*.pem",
        "unknown",
        "cannot be read",
    );
}

#[test]
fn served_certificates_are_judged_and_a_forgotten_reload_is_seen() {
    let (server, bench) = (
        MailServer::start_with(&Certificate::default().valid(-60, 60)),
        Bench::new(),
    );
    let (submission, imaps) = (server.ports().submission, server.ports().imaps);
    let settings = format!(
        "[services]\nname = 'mail.test'\nsubmission = ['127.0.0.1:{submission}']\nimaps = ['127.0.0.1:{imaps}']\n\
         [tls]\nca_file = {:?}\nfiles = [{:?}]\n",
        server.authority(),
        server.certificate()
    );
    let targets = [
        format!("submission 127.0.0.1:{submission}"),
        format!("imaps 127.0.0.1:{imaps}"),
    ];
    let found = bench.check("tls", &settings);
    assert_eq!(found.troubles(), Vec::<String>::new(), "{found:?}");
    for target in &targets {
        found.assert("certificate", target, "ok", "60 days left");
    }
    server.set_certificate(&Certificate::default().valid(-1, 90));
    bench.check("tls", &settings).assert(
        "certificate",
        &targets[1],
        "warning",
        "reload the service",
    );
    server.stop(Half::Dovecot);
    let down = bench.check("tls", &settings);
    down.assert(
        "certificate",
        &targets[1],
        "unknown",
        "no certificate was seen: nobody listens",
    );
}

#[test]
fn a_name_whose_certificate_cannot_be_read_is_unknown() {
    let bench = Bench::new();
    let authority = Authority::new(&bench.path("authority"));
    let live = bench.path("mail-server/data/certbot/live");
    for name in ["whole", "dangling", "empty"] {
        std::fs::create_dir_all(live.join(name)).unwrap();
    }
    let whole = live.join("whole/fullchain.pem");
    let issue = |days, path: &std::path::Path| {
        let certificate = Certificate::default().valid(-60, days);
        authority.issue(&certificate, path, &bench.path("key.pem"));
    };
    issue(60, &whole);
    let link = live.join("dangling/fullchain.pem");
    std::os::unix::fs::symlink("../../archive/dangling/fullchain1.pem", &link).unwrap();
    let found = bench.check("tls", "");
    let check = |found: &crate::server::support::Found, path: &std::path::Path, status, words| {
        found.assert("certificate", &path.display().to_string(), status, words);
    };
    check(&found, &whole, "ok", "days left");
    check(&found, &link, "unknown", "cannot be read");
    check(
        &found,
        &live.join("empty/fullchain.pem"),
        "unknown",
        "cannot be read",
    );

    // One of the chain ends before the certificate of the server does.
    let near = bench.path("near.pem");
    issue(5, &near);
    let chain = [
        std::fs::read(&whole).unwrap(),
        std::fs::read(&near).unwrap(),
    ]
    .concat();
    std::fs::write(&whole, &chain).unwrap();
    check(&bench.check("tls", ""), &whole, "critical", "5 days left");
    let broken = [
        &chain[..],
        b"-----BEGIN CERTIFICATE-----\nbm9uc2Vuc2U=\n-----END CERTIFICATE-----\n",
    ]
    .concat();
    std::fs::write(&whole, broken).unwrap();
    check(&bench.check("tls", ""), &whole, "unknown", "certificate 3");
}

/// Makes a file of each kind in the working directory, by openssl alone.
const KINDS: &str = r#"
set -e
key() { openssl genpkey -quiet -algorithm "$@"; }
own() { openssl req -x509 -key "$1.key" -out "$1.pem" -subj /CN=mail.test -days "${2:-60}"; }
key EC -pkeyopt ec_paramgen_curve:P-256 >ec.key; own ec
key EC -pkeyopt ec_paramgen_curve:P-384 -pkeyopt ec_param_enc:explicit >explicit.key; own explicit
key ED25519 >ed25519.key; own ed25519
key ED448 >ed448.key; own ed448
key RSA-PSS -pkeyopt rsa_keygen_bits:2048 >pss.key; own pss
cp ec.key far.key; own far 20000
cp ec.key ca.key; openssl req -x509 -key ca.key -out ca.pem -subj '/CN=An authority' -days 900
openssl req -x509 -key ec.key -out nameless.pem -subj / -addext subjectAltName=DNS:mail.test -days 60
openssl req -new -key ed25519.key -out request.pem -subj /CN=mail.test
sign() { openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -days 60; }
sign >leaf.pem
faketime '2 years ago' openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -days 60 >old.pem
cat leaf.pem old.pem >expired-issuer.pem
cat leaf.pem ca.pem >chain.pem
cat ca.pem leaf.pem >wrong-order.pem
(openssl x509 -in leaf.pem -text; echo 'a text'; openssl x509 -in ca.pem -text) >text.pem
sed 's/$/\r/' text.pem >crlf.pem
(printf '\357\273\277'; cat leaf.pem) >bom.pem
(cat leaf.pem; echo garbage; head -c 100 /dev/urandom) >garbage.pem
cat ed25519.key leaf.pem >key-and-leaf.pem
openssl x509 -in leaf.pem -trustout -out trusted.pem
sed 's/CERTIFICATE/X509 &/' leaf.pem >x509.pem
openssl x509 -in leaf.pem -outform DER -out der.pem
openssl crl2pkcs7 -nocrl -certfile leaf.pem -out pkcs7.pem
openssl crl2pkcs7 -nocrl -certfile leaf.pem -outform DER -out pkcs7-der.pem
openssl pkcs12 -export -in leaf.pem -inkey ed25519.key -passout pass: -out pkcs12.pem
cp ec.key key.pem
: >empty.pem
head -c 300 leaf.pem >cut.pem
sed '4s/./!/' leaf.pem >damaged.pem
sed 's/^/  /' leaf.pem >indented.pem
iconv -t UTF-16 leaf.pem >utf16.pem
"#;

#[test]
fn every_kind_that_openssl_writes_is_counted_or_told() {
    let bench = Bench::new();
    let kinds = bench.path("kinds");
    std::fs::create_dir_all(&kinds).unwrap();
    let made = std::process::Command::new("bash")
        .args(["-c", KINDS])
        .current_dir(&kinds)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let settings = format!("[tls]\nfiles = ['{}/*.pem']\n", kinds.display());
    let found = bench.check("tls", &settings);
    let rows = [
        ("ec", "ok", "for CN=mail.test has 60 days left"),
        ("explicit", "ok", "60 days"),
        ("ed25519", "ok", "60 days"),
        ("ed448", "ok", "60 days"),
        ("pss", "ok", "60 days"),
        ("far", "ok", "20000 days"),
        ("nameless", "ok", "for mail.test has 60 days"),
        ("leaf", "ok", "60 days"),
        ("chain", "ok", "60 days"),
        ("text", "ok", "60 days"),
        ("crlf", "ok", "60 days"),
        ("bom", "ok", "60 days"),
        ("garbage", "ok", "60 days"),
        ("key-and-leaf", "ok", "60 days"),
        ("trusted", "ok", "60 days"),
        ("x509", "ok", "60 days"),
        ("der", "ok", "60 days"),
        ("old", "critical", "expired at"),
        ("expired-issuer", "critical", "days left"),
        ("wrong-order", "warning", "the server's own must come first"),
        ("pkcs7", "unknown", "it is PKCS#7"),
        ("pkcs7-der", "unknown", "it is PKCS#7"),
        ("pkcs12", "unknown", "it is PKCS#12"),
        ("key", "unknown", "no certificate, but PRIVATE KEY"),
        (
            "request",
            "unknown",
            "no certificate, but CERTIFICATE REQUEST",
        ),
        ("empty", "unknown", "it is empty"),
        ("cut", "unknown", "does not end"),
        ("damaged", "unknown", "is damaged"),
        ("indented", "unknown", "must begin its line"),
        ("utf16", "unknown", "UTF-16"),
    ];
    for (name, status, words) in rows {
        let target = kinds.join(format!("{name}.pem"));
        found.assert("certificate", &target.display().to_string(), status, words);
    }
}
