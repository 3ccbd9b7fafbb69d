//! EICAR wherever it can lie, and what is no file at all.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use mail_tests::clamd::{Clamd, MARKER, eicar};
use mail_tests::run::{Running, binary};
use mail_tests::swapper::{Swapper, give_to_another, rounds};
use rustix::process::{Signal, kill_process};

use crate::support::{Bench, infected_mail, mail_with, sha256, total, verdict_on, verdicts};

#[test]
fn eicar_is_found_wherever_it_lies() {
    let bench = Bench::new();
    bench.put("raw/plain.com", eicar());
    bench.put("raw/mail", infected_mail());
    bench.put("raw/clean", "harmless");
    bench.shell(
        r#"
        python3 - <<'PY'
import zipfile
with zipfile.ZipFile('inner.zip', 'w', zipfile.ZIP_DEFLATED) as z: z.write('raw/plain.com', 'x.com')
with zipfile.ZipFile('raw/nested.zip', 'w', zipfile.ZIP_DEFLATED) as z: z.write('inner.zip', 'inner.zip')
PY
        rm inner.zip; mkdir packed
        tar -C raw -cf packed/all.tar clean mail nested.zip plain.com
        zstd -q packed/all.tar -o packed/all.tar.zst
        gzip -k packed/all.tar; cp packed/all.tar.gz packed/all.tgz
        zstd -q raw/plain.com -o packed/single.com.zst
        gzip -c raw/mail > packed/mail.gz
        mkdir -p box/cur box/new box/tmp
        zstd -q raw/mail -o box/cur/1.compressed-by-dovecot:2,S; cp raw/mail box/new/2.a.gz
        gzip -c raw/clean > packed/clean.gz
        "#,
    );
    let outcome = bench.scan(bench.dir()).assert_code(1);
    let mut expected: Vec<String> = Vec::new();
    for archive in ["all.tar", "all.tar.gz", "all.tar.zst", "all.tgz"] {
        expected.push(format!("packed/{archive} infected"));
        expected.extend(
            ["mail", "nested.zip", "plain.com"].map(|m| format!("packed/{archive}: {m} infected")),
        );
    }
    for file in [
        "packed/single.com.zst",
        "packed/mail.gz",
        "box/new/2.a.gz",
        "box/cur/1.compressed-by-dovecot:2,S",
    ] {
        expected.push(format!("{file} infected"));
    }
    expected.extend(["plain.com", "mail", "nested.zip"].map(|name| format!("raw/{name} infected")));
    expected.extend(["raw/clean clean", "packed/clean.gz clean"].map(str::to_owned));
    expected.sort();
    assert_eq!(verdicts(&outcome, bench.dir()), expected);
    assert_eq!(outcome.data("end")[0]["status"], "bad");
    let plain = verdict_on(&outcome, "raw/plain.com");
    assert_eq!(plain["signature"], "Eicar-Test-Signature.UNOFFICIAL");
    for name in ["raw/plain.com", "packed/all.tar.zst", "raw/clean"] {
        assert_eq!(
            verdict_on(&outcome, name)["sha256"],
            sha256(&bench.path(name)),
            "{name}"
        );
    }
}

#[test]
fn zstd_is_opened_however_it_begins_and_however_often() {
    let bench = Bench::new();
    bench.put("raw", infected_mail());
    // A frame to be skipped comes first, as pzstd writes it.
    bench.shell(
        r#"
        skip() { printf '\x50\x2a\x4d\x18\x04\x00\x00\x00\x01\x02\x03\x04'; }
        mkdir -p box/cur deep; zstd -q raw
        { skip; cat raw.zst; } > box/cur/skip:2,S
        cp box/cur/skip:2,S skip.zst; tar -cf deep/all.tar raw; { skip; zstd -qc deep/all.tar; } > all.tar.zst
        zstd -qc raw.zst > box/cur/twice; zstd -qc box/cur/twice > box/cur/thrice
        cp raw.zst many; for i in 1 2 3 4 5 6; do zstd -qc many > more; mv more many; done
        head -c 3000000 /dev/zero | zstd -qc > box/cur/large-and-clean
        { cat raw; head -c 3000000 /dev/zero; } | zstd -qc > box/cur/large
        rm -r raw raw.zst deep
        "#,
    );
    let outcome = bench.scan(bench.dir()).assert_code(1);
    let mut expected = vec![
        "all.tar.zst infected",
        "all.tar.zst: raw infected",
        "box/cur/large infected",
    ];
    expected.extend(["box/cur/large-and-clean clean", "box/cur/skip:2,S infected"]);
    expected.extend([
        "box/cur/thrice infected",
        "box/cur/twice infected",
        "many unscanned",
        "skip.zst infected",
    ]);
    assert_eq!(verdicts(&outcome, bench.dir()), expected);
    assert_eq!(
        verdict_on(&outcome, "many")["reason"],
        "not unpacked: compressed again and again"
    );
}

#[test]
fn the_same_is_found_over_tcp() {
    let bench = Bench::new();
    bench.put("plain.com", eicar());
    bench.put("mail", infected_mail());
    bench.put("clean", vec![b'x'; 3_000_000]);
    bench.shell("tar -cf all.tar mail clean; zstd -q --rm all.tar");
    let outcome = crate::support::tool(&[&bench.clamd.tcp()])
        .arg("--no-cache")
        .arg(bench.dir())
        .run()
        .assert_code(1)
        .assert_stderr("; 3 infected,");
    let expected = [
        "all.tar.zst infected",
        "all.tar.zst: mail infected",
        "clean clean",
        "mail infected",
        "plain.com infected",
    ];
    assert_eq!(verdicts(&outcome, bench.dir()), expected);
    assert!(outcome.text().contains("by stream"));
    // Three things and an archive of one of them.
    assert_eq!(total(&outcome, "infected"), 3);
    assert_eq!(total(&outcome, "infected_archives"), 1);
}

#[test]
fn what_is_cut_by_a_frame_is_found() {
    let bench = Bench::new();
    bench.put("mail", infected_mail());
    bench.shell(
        "tar -cf all.tar mail; head -c 700 all.tar | zstd -q > two.tar.zst; tail -c +701 all.tar | zstd -q >> two.tar.zst
        rm all.tar mail; zstd -lq two.tar.zst | grep -q '^ *2 '",
    );
    let outcome = bench.scan(bench.dir()).assert_code(1);
    assert_eq!(
        verdicts(&outcome, bench.dir()),
        ["two.tar.zst infected", "two.tar.zst: mail infected"]
    );
}

#[test]
fn a_row_of_a_large_dump_is_found_across_two_windows() {
    // Windows of 1 MiB, since clamd looks into no more than 2 MB.
    let bench = Bench::with(Clamd::start_with("MaxFileSize 2M\nMaxScanSize 4M\n"));
    let row = "INSERT INTO t VALUES (1, 'nothing to see here');\n";
    let mut dump = row.repeat(80_000);
    bench.put("clean.sql", &dump);
    // The first window ends in the middle of it.
    dump.replace_range((1 << 20) - 10..(1 << 20) - 10 + MARKER.len(), MARKER);
    bench.put("infected.sql", &dump);
    bench.shell("gzip -k clean.sql; zstd -q clean.sql infected.sql; rm infected.sql");
    let outcome = bench.scan(bench.dir()).assert_code(1);
    assert_eq!(
        verdicts(&outcome, bench.dir()),
        [
            "clean.sql clean",
            "clean.sql.gz clean",
            "clean.sql.zst clean",
            "infected.sql.zst infected"
        ]
    );
    let clean = verdict_on(&outcome, "clean.sql.zst");
    assert_eq!(
        clean["reason"],
        "scanned in 4 overlapping windows of 1048576 bytes"
    );
    let infected = verdict_on(&outcome, "infected.sql.zst");
    assert_eq!(infected["signature"], "Local.Test.Marker.UNOFFICIAL");
    assert_eq!(infected["reason"], "found in its bytes 983040 to 2031616");
}

#[test]
fn an_infected_message_is_named_by_its_header_made_safe() {
    let bench = Bench::new();
    let head = "Message-ID: <a\x1b[2J@example.com>\r\nSubject: =?UTF-8?B?6KuL5rGC5pu4?=\r\n =?UTF-8?Q?=0A1?=\r\n";
    bench.put("mail", mail_with(&eicar(), head));
    let outcome = bench
        .scan(bench.path("mail"))
        .assert_code(1)
        .assert_stderr("請求書");
    let verdict = verdict_on(&outcome, "mail");
    assert_eq!(verdict["message_id"], "<a\\u{1b}[2J@example.com>");
    assert_eq!(verdict["subject"], "請求書\\n1");
    assert!(!outcome.stderr.contains('\x1b'));
}

#[test]
fn pipes_sockets_devices_and_links_are_not_waited_for() {
    let bench = Bench::new();
    bench.put("deep/file", "harmless");
    bench.shell("mkfifo deep/pipe; mknod deep/null c 1 3 || true");
    let _socket = UnixListener::bind(bench.path("deep/socket")).unwrap();
    symlink(".", bench.path("deep/loop")).unwrap();
    symlink("/etc/passwd", bench.path("deep/link")).unwrap();
    symlink("nowhere", bench.path("deep/dangling")).unwrap();
    let outcome = bench
        .scan(bench.dir())
        .assert_code(0)
        .assert_stderr("a named pipe")
        .assert_stderr("a socket");
    assert_eq!(verdicts(&outcome, bench.dir()), ["deep/file clean"]);
    let devices = u64::from(bench.path("deep/null").exists());
    assert_eq!(total(&outcome, "no_files"), 2 + devices);
}

#[test]
fn an_empty_directory_is_named() {
    let bench = Bench::new();
    bench.shell("mkdir -p mail/cur full; echo hello > full/file");
    let outcome = bench
        .tool()
        .args([bench.path("mail"), bench.path("full")])
        .run()
        .assert_code(0);
    let _ = outcome
        .assert_stderr("there is no file in")
        .assert_stderr("/mail: nothing is scanned there");
    let _ = bench
        .scan(bench.path("mail"))
        .assert_code(0)
        .assert_stderr("there was nothing to scan: 0 files");
}

#[test]
fn a_pipe_is_not_opened() {
    let bench = Bench::new();
    bench.shell("mkfifo pipe packed.tar.zst");
    // Whoever writes to a pipe waits until somebody opens it to read.
    let open = |name: &str| {
        Command::new("sh")
            .args(["-c", "exec 3>\"$0\"; echo open >\"$0.open\""])
            .arg(bench.path(name))
            .spawn()
            .unwrap()
    };
    let mut writers = [open("pipe"), open("packed.tar.zst")];
    std::thread::sleep(std::time::Duration::from_millis(200));
    let outcome = bench.scan(bench.dir()).assert_code(0);
    assert_eq!(total(&outcome, "no_files"), 2);
    std::thread::sleep(std::time::Duration::from_millis(100));
    let is_open =
        ["pipe", "packed.tar.zst"].map(|name| bench.path(&format!("{name}.open")).exists());
    for writer in &mut writers {
        writer.kill().unwrap();
        writer.wait().unwrap();
    }
    assert_eq!(is_open, [false, false]);
}

#[test]
fn what_cannot_be_read_is_named_and_not_clean() {
    let bench = Bench::new();
    fs::set_permissions(bench.dir(), fs::Permissions::from_mode(0o755)).unwrap();
    bench.put("open/file", "harmless");
    bench.put("secret", "harmless");
    bench.put("closed/file", "harmless");
    // Where others may not look, a checkout may lie.
    fs::copy(binary("mail-scan"), bench.path("open/mail-scan")).unwrap();
    for (name, mode) in [("secret", 0o000), ("closed", 0o000)] {
        fs::set_permissions(bench.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut command = Command::new(bench.path("open/mail-scan"));
    command
        .args(["--no-cache", "--clamd", &bench.clamd.unix()])
        .arg(bench.dir())
        .env_clear()
        .current_dir("/");
    if rustix::process::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    for name in ["secret", "closed"] {
        let path = format!("\"path\":\"{}/{name}\"", bench.dir().display());
        let line = stdout
            .lines()
            .find(|line| line.contains(&path))
            .unwrap_or_else(|| panic!("no {name}:\n{stdout}"));
        assert!(
            line.contains("\"status\":\"unscanned\"") && line.contains("Permission denied"),
            "{line}"
        );
    }
    assert!(
        stdout.contains("\"status\":\"incomplete\",\"exit\":1"),
        "{stdout}"
    );
    fs::set_permissions(bench.path("closed"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_directory_that_becomes_a_link_leads_out_of_no_tree() {
    let bench = Bench::new();
    for number in 0..20 {
        for mailbox in ["a", "c"] {
            let message = format!("Subject: {number}\n\nhello\n");
            bench.put(&format!("mail/{mailbox}/cur/{number}"), message);
        }
    }
    for number in 0..300 {
        bench.put(&format!("theirs/cur/{number}.theirs"), infected_mail());
    }
    give_to_another(&bench.path("theirs"));
    // Both what is listed, and what lies on the way to it.
    symlink(bench.path("theirs/cur"), bench.path("mail/c/new")).unwrap();
    symlink(bench.path("theirs"), bench.path("mail/b")).unwrap();
    let swappers = [("mail/c/cur", "mail/c/new"), ("mail/a", "mail/b")]
        .map(|(a, b)| Swapper::start(&bench.path(a), &bench.path(b)));
    let mut seen = 0;
    for _ in rounds(12) {
        let outcome = bench.tool().arg(bench.path("mail")).run();
        assert_eq!(total(&outcome, "infected"), 0, "{}", outcome.stderr);
        // What was listed through a link would be gone when it is to be read.
        assert!(total(&outcome, "vanished") <= 40, "{}", outcome.stderr);
        assert!(!outcome.text().contains(".theirs"));
        seen += total(&outcome, "clean");
    }
    let exchanges = swappers.map(Swapper::stop);
    println!("{exchanges:?} exchanges, {seen} times clean");
    assert!(
        exchanges.iter().min() > Some(&100) && seen > 0,
        "{exchanges:?}, {seen}"
    );
}

#[test]
fn messages_that_are_flagged_meanwhile_are_all_scanned() {
    let bench = Bench::new();
    for name in ["cur", "tmp", "new"] {
        fs::create_dir_all(bench.path(&format!("box/{name}"))).unwrap();
    }
    let messages = 400;
    for number in 0..messages {
        bench.put(
            &format!("box/cur/{number}.a:2,"),
            format!("Subject: {number}\r\n\r\nhello\r\n"),
        );
    }
    let mut running = bench
        .tool()
        .arg("--jobs")
        .arg("1")
        .arg(bench.path("box"))
        .spawn();
    let mut round = 0;
    while running.is_running() {
        round += 1;
        let flags = if round % 2 == 0 { "" } else { "S" };
        flag_all(&bench.path("box/cur"), flags);
    }
    let outcome = running.wait().assert_code(0);
    assert!(round > 1, "nothing was flagged");
    let name = |verdict: &serde_json::Value| {
        let path = verdict["path"].as_str().unwrap().to_owned();
        path.rsplit('/')
            .next()
            .unwrap()
            .split(':')
            .next()
            .unwrap()
            .to_owned()
    };
    let mut seen: Vec<String> = outcome.data("verdict").iter().map(name).collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len() as u64 + total(&outcome, "vanished"), messages);
    assert_eq!(total(&outcome, "vanished"), 0);
}

/// Stops the clamd once the work has begun, and waits until nothing goes on any more.
fn stop_in_the_middle(bench: &Bench, running: &mut Running) {
    // Found alone, in an archive, in a message: then the work begins.
    while bench.clamd.log().matches("Eicar-Test-Signature").count() < 3 && running.is_running() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    kill_process(bench.clamd.pid(), Signal::STOP).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
}

#[test]
fn messages_that_are_expunged_meanwhile_are_counted_and_no_failure() {
    let bench = Bench::new();
    for number in 0..3000 {
        bench.put(
            &format!("box/cur/{number}.a:2,"),
            format!("Subject: {number}\r\n\r\nhello\r\n"),
        );
    }
    let mut running = bench
        .tool()
        .args(["--jobs", "1"])
        .arg(bench.path("box"))
        .spawn();
    stop_in_the_middle(&bench, &mut running);
    // Some wait for a worker now.
    fs::remove_dir_all(bench.path("box/cur")).unwrap();
    kill_process(bench.clamd.pid(), Signal::CONT).unwrap();
    let outcome = running.wait().assert_code(0);
    assert!(total(&outcome, "vanished") > 0, "{}", outcome.stderr);
    assert!(total(&outcome, "clean") + total(&outcome, "vanished") <= 3000);
    assert_eq!(total(&outcome, "unscanned"), 0);
}

#[test]
fn a_message_that_is_moved_to_a_folder_that_was_listed_is_scanned() {
    let bench = Bench::new();
    let operands = ["first", "second", "third"].map(|name| bench.path(name));
    for operand in &operands {
        for name in ["cur", "tmp", "new"] {
            fs::create_dir_all(operand.join(name)).unwrap();
        }
    }
    // More than may wait for a worker.
    for number in 0..4000 {
        bench.put(
            &format!("second/cur/{number}.a:2,"),
            format!("Subject: {number}\r\n\r\nhello\r\n"),
        );
    }
    bench.put("third/cur/1.bad:2,", infected_mail());
    let mut running = bench.tool().args(["--jobs", "1"]).args(&operands).spawn();
    stop_in_the_middle(&bench, &mut running);
    // The first folder has been listed, and of the second not all has been taken.
    fs::create_dir(bench.path("first/.Junk")).unwrap();
    for folder in ["first/.Junk/cur", "first/.Junk/new", "first/.Junk/tmp"] {
        fs::create_dir(bench.path(folder)).unwrap();
    }
    let copy = bench.path("first/.Junk/cur/2.bad:2,");
    fs::copy(bench.path("third/cur/1.bad:2,"), &copy).unwrap();
    fs::rename(
        bench.path("third/cur/1.bad:2,"),
        bench.path("first/cur/1.bad:2,S"),
    )
    .unwrap();
    kill_process(bench.clamd.pid(), Signal::CONT).unwrap();
    let outcome = running.wait().assert_code(1);
    for name in ["first/cur/1.bad:2,S", "first/.Junk/cur/2.bad:2,"] {
        assert_eq!(verdict_on(&outcome, name)["status"], "infected");
    }
    assert_eq!(
        (total(&outcome, "files"), total(&outcome, "infected")),
        (4002, 2)
    );
}

#[test]
fn a_large_file_that_never_holds_still_is_not_clean_and_a_small_one_is_scanned_as_read() {
    let bench = Bench::new();
    let (large, small) = (
        bench.put("large", vec![b'x'; 20 << 20]),
        bench.put("small", "x"),
    );
    let mut running = bench.tool().arg(bench.dir()).spawn();
    while running.is_running() {
        for path in [&large, &small] {
            let mut file = fs::File::options().append(true).open(path).unwrap();
            std::io::Write::write_all(&mut file, b"x").unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let outcome = running.wait().assert_code(1);
    assert_eq!(
        verdicts(&outcome, bench.dir()),
        ["large unscanned", "small clean"]
    );
    assert_eq!(
        verdict_on(&outcome, "large")["reason"],
        "it changed each time it was scanned"
    );
}

fn flag_all(cur: &Path, flags: &str) {
    for entry in fs::read_dir(cur).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let unique = name.split(':').next().unwrap();
        let _ = fs::rename(entry.path(), cur.join(format!("{unique}:2,{flags}")));
    }
}

#[test]
fn equal_contents_are_shown_once_and_each_has_its_verdict() {
    let bench = Bench::new();
    for number in 0..100 {
        bench.put(&format!("same{number}"), "the same");
        bench.put(&format!("bad{number}"), eicar());
    }
    let outcome = bench
        .tool()
        .args(["--jobs", "1"])
        .arg(bench.dir())
        .run()
        .assert_code(1);
    assert_eq!(
        (total(&outcome, "clean"), total(&outcome, "infected")),
        (100, 100)
    );
    // Those that were asked for at the same time as the first are not among them; infected ones
    // never are.
    assert!(
        (80..100).contains(&total(&outcome, "repeated")),
        "{}",
        total(&outcome, "repeated")
    );
}

#[test]
fn verdicts_are_those_of_clamdscan() {
    let samples = Path::new("/usr/share/clamav-testfiles");
    assert!(samples.is_dir(), "install clamav-testfiles");
    let clamd = Clamd::start();
    let signature = "aa15bcf478d165efd2065190eb473bcb:544:ClamAV-Test-File\n";
    crate::support::put(&clamd.signatures().join("test.hdb"), signature);
    let mut clamd = clamd;
    clamd.kill();
    clamd.resume();
    let bench = Bench::with(clamd);
    let mut command = Command::new("clamdscan");
    command
        .args(["--no-summary", "--infected", "--fdpass", "-c"])
        .arg(bench.clamd.config_file())
        .arg(samples);
    let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let mut expected: Vec<&str> = said
        .lines()
        .filter(|line| line.ends_with("FOUND"))
        .map(|line| line.split(": ").next().unwrap())
        .collect();
    expected.sort_unstable();
    assert!(expected.len() > 10, "{said}");
    let outcome = bench.scan(samples).assert_code(1);
    let infected = outcome
        .data("verdict")
        .into_iter()
        .filter(|verdict| verdict["status"] == "infected");
    let mut found: Vec<String> = infected
        .filter(|v| v["member"].is_null())
        .map(|v| v["path"].as_str().unwrap().to_owned())
        .collect();
    found.sort_unstable();
    assert_eq!(found, expected);
}
