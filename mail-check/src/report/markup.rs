//! Text that is inert in HTML.

use std::fmt::{self, Write};

use mail_common::text::printable;

/// Shows itself escaped, in content and in quoted attributes, and what would act as text, too.
pub(super) struct Text<'a>(pub(super) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in printable(self.0).chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                plain => f.write_char(plain)?,
            }
        }
        Ok(())
    }
}

/// The first row of a table.
pub(super) fn table_head(names: &[&str]) -> String {
    let cells = names.iter();
    let cells = cells.map(|name| format!("<th scope=\"col\">{name}</th>"));
    format!("<thead><tr>{}</tr></thead>", cells.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_markup_is_text() {
        let hostile = "<script>alert('x')</script> \"&amp;\" \u{1b}[31m \u{202e}cod.exe \u{200b}";
        let expected = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &quot;&amp;amp;&quot; \\u{1b}[31m \\u{202e}cod.exe \\u{200b}";
        assert_eq!(Text(hostile).to_string(), expected);
    }
}
