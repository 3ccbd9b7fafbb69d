//! Too large, encrypted, damaged, cut short: not scanned, with the reason, and never clean.

use std::fs::File;
use std::time::{Duration, Instant};

use mail_tests::clamd::{Clamd, eicar};
use serde_json::Value;

use crate::support::{Bench, mail_with, tool, verdict_on, verdicts};

/// A zip whose member is encrypted, in hexadecimal.
const ENCRYPTED_ZIP: &str = "504b03040a0009000000911a795d8cb2ebe213000000070000000100000068684f865b4abb41e36ec245562eca44af2e2f70504b0708\
    8cb2ebe21300000007000000504b01021e030a0009000000911a795d8cb2ebe21300000007000000010000000000000001000000a4810000000068504b0506\
    00000000010001002f000000420000000000";

fn encrypted_zip() -> Vec<u8> {
    let digits: Vec<u32> = ENCRYPTED_ZIP
        .chars()
        .filter_map(|c| c.to_digit(16))
        .collect();
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap())
        .collect()
}

#[track_caller]
fn assert_unscanned(verdict: &Value, reason: &str) {
    assert_eq!(verdict["status"], "unscanned", "{verdict}");
    assert!(
        verdict["reason"].as_str().unwrap().contains(reason),
        "{verdict}"
    );
}

/// EICAR, and so much behind it that clamd says OK in silence.
fn large_eicar(bytes: usize) -> Vec<u8> {
    let mut content = eicar();
    content.resize(bytes, b' ');
    content
}

#[test]
fn what_clamd_skips_in_silence_is_not_clean() {
    let bench = Bench::with(Clamd::start_with(
        "MaxFileSize 1M\nMaxScanSize 3M\nStreamMaxLength 10M\n",
    ));
    bench.put("large", large_eicar(1_200_000));
    bench.put("small", large_eicar(600_000));
    bench.shell("tar -cf both.tar large small; zstd -q --rm both.tar");
    for address in [bench.clamd.unix(), bench.clamd.tcp()] {
        let outcome = tool(&[&address])
            .arg("--no-cache")
            .arg(bench.dir())
            .run()
            .assert_code(1);
        let expected = [
            "both.tar.zst infected",
            "both.tar.zst: large unscanned",
            "both.tar.zst: small infected",
            "large unscanned",
            "small infected",
        ];
        assert_eq!(verdicts(&outcome, bench.dir()), expected, "{address}");
        assert_unscanned(
            &verdict_on(&outcome, "/large"),
            "1200000 bytes are more than clamd looks into",
        );
    }
}

#[test]
fn what_is_over_the_limit_of_streams_is_not_clean() {
    let bench = Bench::with(Clamd::start_with("StreamMaxLength 1M\n"));
    bench.put("large", vec![b'x'; 1_500_000]);
    bench.put("small", vec![b'x'; 500_000]);
    let outcome = tool(&[&bench.clamd.tcp()])
        .arg("--no-cache")
        .arg(bench.dir())
        .run()
        .assert_code(1);
    assert_eq!(
        verdicts(&outcome, bench.dir()),
        ["large unscanned", "small clean"]
    );
    // By descriptor there is no such limit.
    bench.scan(bench.dir()).assert_code(0);
}

#[test]
fn a_huge_sparse_file_is_named_at_once() {
    let bench = Bench::new();
    File::create(bench.path("sparse"))
        .unwrap()
        .set_len(10 << 30)
        .unwrap();
    bench.put("small", "harmless");
    let start = Instant::now();
    let outcome = bench.scan(bench.dir()).assert_code(1);
    assert!(start.elapsed() < Duration::from_secs(60), "it was read");
    assert_eq!(
        verdicts(&outcome, bench.dir()),
        ["small clean", "sparse unscanned"]
    );
    assert_eq!(outcome.data("end")[0]["status"], "incomplete");
}

#[test]
fn contents_larger_than_the_memory_for_all_are_scanned_one_by_one() {
    let bench = Bench::new();
    // Three members that are more than all contents together may take, between small ones.
    bench.shell(
        "for i in 1 2 3; do head -c 70000000 /dev/zero > large$i; echo $i > small$i; done
        for i in 1 2; do tar -c small* large* small* | zstd -q > $i.tar.zst; done; rm small* large*",
    );
    let outcome = bench.scan(bench.dir()).assert_code(0);
    assert_eq!(
        verdicts(&outcome, bench.dir()),
        ["1.tar.zst clean", "2.tar.zst clean"]
    );
}

#[test]
fn a_limit_on_purpose_is_reported() {
    let bench = Bench::new();
    bench.put("large", vec![b'x'; 3000]);
    bench.put("small", "x");
    bench.put("dump.sql", "x".repeat(3000));
    bench.shell("tar -cf both.tar large small; zstd -q --rm both.tar; zstd -q --rm dump.sql");
    let outcome = bench
        .tool()
        .args(["--max-size", "2K"])
        .arg(bench.dir())
        .run()
        .assert_code(1);
    let expected = [
        "both.tar.zst unscanned",
        "both.tar.zst: large unscanned",
        "dump.sql.zst unscanned",
        "large unscanned",
        "small clean",
    ];
    assert_eq!(verdicts(&outcome, bench.dir()), expected);
    assert_unscanned(&verdict_on(&outcome, "/large"), "--max-size 2048");
    assert_unscanned(
        &verdict_on(&outcome, "both.tar.zst"),
        "1 of 2 members not scanned",
    );
}

#[test]
fn encrypted_archives_are_not_clean() {
    let bench = Bench::new();
    bench.put("secret.zip", encrypted_zip());
    bench.put("mail", mail_with(&encrypted_zip(), ""));
    let outcome = bench.scan(bench.dir()).assert_code(1);
    assert_eq!(
        verdicts(&outcome, bench.dir()),
        ["mail unscanned", "secret.zip unscanned"]
    );
    assert_unscanned(
        &verdict_on(&outcome, "mail"),
        "encrypted: Heuristics.Encrypted.Zip",
    );
}

#[test]
fn a_password_is_seen_where_clamd_keeps_silent_about_it() {
    let bench = Bench::with(Clamd::start_with(""));
    bench.put("secret.zip", encrypted_zip());
    bench.put("mail", mail_with(&encrypted_zip(), ""));
    bench.put("clean", mail_with(b"harmless", ""));
    bench.shell("tar -cf all.tar clean mail; zstd -q --rm all.tar");
    let outcome = bench.scan(bench.dir()).assert_code(1);
    let expected = [
        "all.tar.zst unscanned",
        "all.tar.zst: mail unscanned",
        "clean clean",
        "mail unscanned",
        "secret.zip unscanned",
    ];
    assert_eq!(verdicts(&outcome, bench.dir()), expected);
    assert_unscanned(
        &verdict_on(&outcome, "/mail"),
        "encrypted: a zip archive with a password",
    );
}

#[test]
fn an_encrypted_pdf_is_not_clean_where_clamd_keeps_silent_about_it() {
    let bench = Bench::with(Clamd::start_with(""));
    let pdf = |trailer: &str| format!("%PDF-1.7\n1 0 obj<<>>endobj\ntrailer<<{trailer}>>\n");
    let (secret, open) = (pdf("/Encrypt 5 0 R"), pdf("/Root 1 0 R"));
    bench.put("secret.pdf", &secret);
    bench.put("open.pdf", &open);
    bench.put("mail", mail_with(secret.as_bytes(), ""));
    bench.put("mail-open", mail_with(open.as_bytes(), ""));
    let outcome = bench.scan(bench.dir()).assert_code(1);
    let expected = [
        "mail unscanned",
        "mail-open clean",
        "open.pdf clean",
        "secret.pdf unscanned",
    ];
    assert_eq!(verdicts(&outcome, bench.dir()), expected);
    assert_unscanned(&verdict_on(&outcome, "/mail"), "encrypted: a PDF document");
}

#[test]
fn a_clamd_that_keeps_silent_is_named() {
    let bench = Bench::with(Clamd::start_with(""));
    bench.put("file", "harmless");
    let outcome = bench
        .scan(bench.dir())
        .assert_code(0)
        .assert_stderr("AlertEncrypted")
        .assert_stderr("AlertExceedsMax");
    let silence = outcome
        .data("check")
        .into_iter()
        .find(|check| check["name"] == "clamd-silence")
        .unwrap();
    assert_eq!(silence["status"], "warning");
}

#[test]
fn what_is_nested_beyond_clamds_depth_is_not_clean() {
    let bench = Bench::new();
    bench.put("0", "deep");
    bench.shell(
        "for i in $(seq 1 60); do tar -cf n $((i - 1)); rm $((i - 1)); mv n $i; done; gzip -c 60 > deep.bin; rm 60",
    );
    let outcome = bench.scan(bench.dir()).assert_code(1);
    assert_unscanned(
        &verdict_on(&outcome, "deep.bin"),
        "Heuristics.Limits.Exceeded",
    );
}

#[test]
fn a_damaged_or_cut_file_is_an_error_and_not_clean() {
    let bench = Bench::new();
    bench.put("mail", "Subject: x\r\n\r\nhello\r\n".repeat(5000));
    bench.shell(
        "tar -cf whole.tar mail; zstd -q whole.tar; gzip -k whole.tar; zstd -q mail -o dump.sql.zst
        head -c -9 whole.tar.zst > cut.tar.zst; head -c -9 whole.tar.gz > cut.tar.gz; head -c -9 dump.sql.zst > cut.sql.zst
        cp whole.tar.zst flipped.tar.zst; printf '\\xff' | dd of=flipped.tar.zst bs=1 seek=60 conv=notrunc status=none
        head -c 2000 whole.tar | zstd -q > half.tar.zst; head -c 50000 whole.tar > cut.tar
        rm whole.tar dump.sql.zst mail",
    );
    let outcome = bench.scan(bench.dir()).assert_code(1);
    let whole = |verdict: &String| !verdict.contains(": mail");
    let found: Vec<String> = verdicts(&outcome, bench.dir())
        .into_iter()
        .filter(whole)
        .collect();
    let expected = [
        "cut.sql.zst unscanned",
        "cut.tar unscanned",
        "cut.tar.gz unscanned",
        "cut.tar.zst unscanned",
        "flipped.tar.zst unscanned",
        "half.tar.zst unscanned",
        "whole.tar.gz clean",
        "whole.tar.zst clean",
    ];
    assert_eq!(found, expected);
    assert_eq!(outcome.data("error").len(), 6);
}
