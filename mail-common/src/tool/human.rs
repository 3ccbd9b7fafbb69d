//! Numbers as people read and write them: sizes and lengths of time. Records have them exact.

use std::num::NonZeroU64;
use std::time::Duration;

/// A size with a binary unit and four digits at most: `0 B`, `1023 B`, `4.2 MiB`.
#[must_use]
pub fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 would be printed as 1024.0.
    while size >= 1023.95 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// A number with its noun, and commas between thousands: `1 mailbox`, `2,000 messages`.
#[must_use]
pub fn human_count(count: u64, one: &str, many: &str) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{text} {}", if count == 1 { one } else { many })
}

/// Reads a number of bytes, with `K`, `M` or `G` in either case for units of 1024; `None` for
/// anything else, for 0, and for more than fits.
#[must_use]
pub fn parse_size(text: &str) -> Option<NonZeroU64> {
    const UNITS: [(char, u64); 3] = [('K', 1 << 10), ('M', 1 << 20), ('G', 1 << 30)];
    let with_unit = UNITS.iter().find_map(|(letter, unit)| {
        let digits = text.strip_suffix([*letter, letter.to_ascii_lowercase()])?;
        Some((digits, *unit))
    });
    let (digits, unit) = with_unit.unwrap_or((text, 1));
    let number: u64 = digits.parse().ok()?;
    NonZeroU64::new(number.checked_mul(unit)?)
}

/// A length of time in its two largest units, the second only where it is not 0: `40 ms`, `9.5 s`,
/// `12 min 5 s`, `26 h`, `3 d 4 h`.
#[must_use]
pub fn human_duration(duration: Duration) -> String {
    let moment = duration.as_secs_f64();
    if moment > 0.0 && moment < 0.9995 {
        return format!("{:.0} ms", moment * 1000.0);
    }
    if duration.subsec_nanos() > 0 && moment < 9.95 {
        return format!("{moment:.1} s");
    }
    let seconds = moment.round() as u64;
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes, seconds) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, 0) => format!("{m} min"),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, h, 0, _) => format!("{h} h"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (d, 0, _, _) => format!("{d} d"),
        (d, h, _, _) => format!("{d} d {h} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_commas_and_their_noun() {
        let check = |count, expected: &str| assert_eq!(human_count(count, "day", "days"), expected);
        check(0, "0 days");
        check(1, "1 day");
        check(999, "999 days");
        check(1000, "1,000 days");
        check(1_234_567, "1,234,567 days");
    }

    #[test]
    fn sizes_are_read_with_and_without_a_unit() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(parse_size(text).map(NonZeroU64::get), expected, "{text:?}");
        };
        check("1", Some(1));
        check("1000", Some(1000));
        check("500k", Some(512_000));
        check("20M", Some(20_971_520));
        check("1g", Some(1_073_741_824));
        for wrong in [
            "",
            "0",
            "0K",
            "M",
            "1MM",
            "1T",
            "-1",
            "1.5M",
            "é",
            "99999999999G",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn sizes_have_units() {
        let check = |bytes, expected: &str| assert_eq!(human_size(bytes), expected);
        check(0, "0 B");
        check(1023, "1023 B");
        check(1024, "1.0 KiB");
        check(1536, "1.5 KiB");
        check(1024 * 1024 - 1, "1.0 MiB");
        check(64 << 20, "64.0 MiB");
        check(u64::MAX, "16.0 EiB");
    }

    #[test]
    fn lengths_of_time_have_two_units_at_most() {
        let check = |seconds: f64, expected: &str| {
            assert_eq!(human_duration(Duration::from_secs_f64(seconds)), expected);
        };
        check(0.0, "0 s");
        check(0.04, "40 ms");
        check(0.97, "970 ms");
        check(0.9999, "1.0 s");
        check(1.0, "1 s");
        check(9.94, "9.9 s");
        check(9.99, "10 s");
        check(61.4, "1 min 1 s");
        check(120.0, "2 min");
        check(3600.0, "1 h");
        check(3599.7, "1 h");
        check(5400.0, "1 h 30 min");
        check(86_400.0, "1 d");
        check(273_600.0, "3 d 4 h");
    }
}
