//! The content of sample messages: text of compressible words, and attachments of incompressible
//! data in base64.
//!
//! Sizes are log-normal with a tail: most messages are a few kilobytes of text, one in seven has an
//! attachment around a hundred. At the default mean, `zstd -3` makes 1.4 GB of 2.0 GB, as measured
//! on real mail.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::dice::Dice;
use super::moment::Moment;

/// The mean size of the mail that the sample stands for.
pub const DEFAULT_MEAN_BYTES: u32 = 33_000;

const HEADER_BYTES: f64 = 560.0;
const ATTACHMENT_PERCENT: u32 = 15;
const TEXT_MEDIAN_BYTES: f64 = 2_500.0;
const TEXT_OCTAVES: f64 = 1.44;
const ATTACHMENT_MEDIAN_BYTES: f64 = 92_000.0;
const ATTACHMENT_OCTAVES: f64 = 1.73;
/// Postfix' default `message_size_limit`.
const ATTACHMENT_MAX_BYTES: f64 = 10_240_000.0;

const SYLLABLES: [&str; 24] = [
    "ba", "den", "co", "ri", "ta", "mel", "sun", "fo", "gra", "hi", "jo", "kel", "lan", "mo", "ne",
    "par", "qui", "ro", "ser", "ti", "ul", "ver", "wen", "zo",
];

static VOCABULARY: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut dice = Dice::new(0, 0);
    (0..3_000)
        .map(|_| {
            (0..=dice.below(4))
                .map(|_| *dice.pick(&SYLLABLES))
                .collect()
        })
        .collect()
});

/// Writes a message to `to` that was delivered at `delivered`, from a population with this mean
/// size.
#[must_use]
pub fn compose(dice: &mut Dice, mean_bytes: u32, to: &str, delivered: Moment) -> Vec<u8> {
    let scale = ((f64::from(mean_bytes) - HEADER_BYTES)
        / (f64::from(DEFAULT_MEAN_BYTES) - HEADER_BYTES))
        .max(0.0);
    let text_bytes = dice.log_normal(TEXT_MEDIAN_BYTES * scale, TEXT_OCTAVES) as usize;
    let mut mail = Vec::with_capacity(text_bytes + 1_024);
    header(dice, to, delivered, &mut mail);
    if !dice.percent(ATTACHMENT_PERCENT) {
        mail.extend_from_slice(b"Content-Type: text/plain; charset=utf-8\n\n");
        text(dice, text_bytes, &mut mail);
        return mail;
    }
    let attached_bytes = dice
        .log_normal(ATTACHMENT_MEDIAN_BYTES * scale, ATTACHMENT_OCTAVES)
        .min(ATTACHMENT_MAX_BYTES) as usize;
    mail.reserve(attached_bytes + 1_024);
    mail.extend_from_slice(
        b"Content-Type: multipart/mixed; boundary=\"=-sample-part\"\n\n--=-sample-part\n",
    );
    mail.extend_from_slice(b"Content-Type: text/plain; charset=utf-8\n\n");
    text(dice, text_bytes, &mut mail);
    mail.extend_from_slice(
        b"--=-sample-part\nContent-Type: application/pdf; name=\"document.pdf\"\n",
    );
    mail.extend_from_slice(
        b"Content-Disposition: attachment\nContent-Transfer-Encoding: base64\n\n",
    );
    attachment(dice, attached_bytes, &mut mail);
    mail.extend_from_slice(b"--=-sample-part--\n");
    mail
}

/// The size that a message has on the wire, with CRLF line ends: Dovecot's `W=`.
#[must_use]
pub fn wire_bytes(mail: &[u8]) -> usize {
    mail.len() + mail.iter().filter(|&&byte| byte == b'\n').count()
}

fn header(dice: &mut Dice, to: &str, delivered: Moment, mail: &mut Vec<u8>) {
    let date = delivered.mail_date();
    let id = dice.below(u32::MAX);
    let subject: Vec<&str> = (0..2 + dice.below(6)).map(|_| word(dice)).collect();
    let from = word(dice);
    let lines = [
        format!("Return-Path: <{from}@mail.example>"),
        format!("Delivered-To: {to}"),
        "Received: from mail.example (mail.example [192.0.2.25])".to_owned(),
        format!("\tby mx.example.com (Postfix) with ESMTPS id {id:08X}\n\tfor <{to}>; {date}"),
        format!("Date: {date}"),
        format!("From: {from} <{from}@mail.example>"),
        format!("To: {to}"),
        format!("Subject: {}", subject.join(" ")),
        format!(
            "Message-ID: <{}.{}.{id:08x}@mail.example>",
            delivered.seconds, delivered.nanoseconds
        ),
        "MIME-Version: 1.0".to_owned(),
    ];
    for line in lines {
        mail.extend_from_slice(line.as_bytes());
        mail.push(b'\n');
    }
}

/// About `bytes` of words, in lines of about 70.
fn text(dice: &mut Dice, bytes: usize, mail: &mut Vec<u8>) {
    let end = mail.len() + bytes;
    while mail.len() < end {
        let line_end = (mail.len() + 64).min(end);
        while mail.len() < line_end {
            mail.extend_from_slice(word(dice).as_bytes());
            mail.push(b' ');
        }
        mail.push(b'\n');
    }
}

/// A word, frequent ones more often.
fn word(dice: &mut Dice) -> &'static str {
    let u = dice.unit();
    &VOCABULARY[(u * u * VOCABULARY.len() as f64) as usize]
}

/// About `bytes` of base64 in lines of 76 (RFC 2045, 6.8).
fn attachment(dice: &mut Dice, bytes: usize, mail: &mut Vec<u8>) {
    let mut raw = vec![0; bytes / 77 * 57 + 57];
    dice.fill(&mut raw);
    let mut line = [0; 76];
    for chunk in raw.chunks(57) {
        let length = BASE64
            .encode_slice(chunk, &mut line)
            .expect("57 bytes are 76 in base64");
        mail.extend_from_slice(&line[..length]);
        mail.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_of(count: u64, mean_bytes: u32) -> f64 {
        let moment = Moment {
            seconds: 1_767_225_600,
            nanoseconds: 0,
        };
        let bytes: usize = (1..=count)
            .map(|n| compose(&mut Dice::new(3, n), mean_bytes, "a@example.com", moment).len())
            .sum();
        bytes as f64 / count as f64
    }

    #[test]
    fn sizes_have_the_mean_that_was_asked_for() {
        for mean_bytes in [2_000, 33_000] {
            let mean = mean_of(4_000, mean_bytes);
            let ratio = mean / f64::from(mean_bytes);
            assert!(
                (0.85..1.15).contains(&ratio),
                "{mean} instead of {mean_bytes}"
            );
        }
    }

    #[test]
    fn wire_size_counts_each_line_end_twice() {
        assert_eq!(wire_bytes(b"a\nb\n"), 6);
    }
}
