//! Text that is inert in HTML, and numbers as people read them.

use std::fmt;

/// Shows itself escaped, in content and in quoted attributes; control characters are shown as such.
pub(super) struct Text<'a>(pub(super) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                control if control.is_control() => write!(f, "{}", control.escape_default())?,
                // Marks that turn the direction of what follows them make a name look like another.
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    write!(f, "{}", character.escape_default())?
                }
                plain => write!(f, "{plain}")?,
            }
        }
        Ok(())
    }
}

/// A size, as `1.2 GB`: decimal, as disks are sold.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1000.0, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if value < 9.95 {
        format!("{value:.1} {}", UNITS[unit])
    } else {
        format!("{value:.0} {}", UNITS[unit])
    }
}

/// A length of time, as `4 min 10 s`.
pub(super) fn duration(seconds: f64) -> String {
    match seconds {
        moment if moment > 0.0 && moment < 0.95 => format!("{:.0} ms", moment * 1000.0),
        short if short < 10.0 => format!("{short:.1} s"),
        long => crate::span::Span::seconds(long.round() as u64).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_markup_is_text() {
        let hostile = "<script>alert('x')</script> \"&amp;\" \u{1b}[31m \u{202e}cod.exe";
        let expected = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &quot;&amp;amp;&quot; \\u{1b}[31m \\u{202e}cod.exe";
        assert_eq!(Text(hostile).to_string(), expected);
    }

    #[test]
    fn numbers_are_short() {
        let sizes = [0, 999, 1000, 9_949, 9_960, 999_400, 999_600, 1_234_567_890].map(size);
        assert_eq!(
            sizes,
            [
                "0 B", "999 B", "1.0 kB", "9.9 kB", "10 kB", "999 kB", "1.0 MB", "1.2 GB"
            ]
        );
        assert_eq!(
            [0.0, 0.04, 0.97, 9.9, 61.4, 3600.0].map(duration),
            ["0.0 s", "40 ms", "1.0 s", "9.9 s", "1 min 1 s", "1 h"]
        );
    }
}
