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
