//! What a text must hold: one of several texts, or of several patterns.

use memchr::memmem::Finder;
use regex::{Regex, RegexBuilder};

use super::error::Error;
use super::fold::{folded, normal};

/// How the texts of a command line are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// As they are.
    Plain,
    /// As regular expressions.
    Regex,
}

/// Texts or patterns, of which any will do.
#[derive(Clone, Debug)]
pub(crate) struct Words(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Plain(Vec<Finder<'static>>),
    Regex(Vec<Regex>),
}

impl Words {
    /// Those of a flag; `None` where it is not given.
    pub(crate) fn of(texts: &[String], language: Language) -> Result<Option<Self>, Error> {
        if texts.is_empty() {
            return Ok(None);
        }
        let kind = match language {
            Language::Plain => Kind::Plain(collect(texts, finder)?),
            Language::Regex => Kind::Regex(collect(texts, regex)?),
        };
        Ok(Some(Self(kind)))
    }

    /// Whether `text` holds one of them.
    pub(crate) fn are_in(&self, text: &str) -> bool {
        match &self.0 {
            Kind::Plain(finders) => {
                let text = folded(text);
                finders
                    .iter()
                    .any(|finder| finder.find(text.as_bytes()).is_some())
            }
            Kind::Regex(patterns) => {
                let text = normal(text);
                patterns.iter().any(|pattern| pattern.is_match(&text))
            }
        }
    }
}

fn collect<T>(texts: &[String], each: impl Fn(&str) -> Result<T, Error>) -> Result<Vec<T>, Error> {
    texts.iter().map(|text| each(text)).collect()
}

/// A text of which nothing is left would be in every message.
fn finder(text: &str) -> Result<Finder<'static>, Error> {
    let folded = folded(text);
    if folded.is_empty() {
        return Err(Error::EmptyText);
    }
    Ok(Finder::new(folded.as_bytes()).into_owned())
}

fn regex(text: &str) -> Result<Regex, Error> {
    let mut builder = RegexBuilder::new(text);
    let built = builder.case_insensitive(true).multi_line(true).build();
    built.map_err(|source| Error::Regex {
        text: text.to_owned(),
        source: Box::new(source),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(texts: &[&str], language: Language) -> Result<Option<Words>, Error> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        Words::of(&texts, language)
    }

    #[test]
    fn any_of_them_will_do() {
        let check = |texts: &[&str], language, text: &str, expected| {
            let words = words(texts, language).unwrap().unwrap();
            assert_eq!(words.are_in(text), expected, "{texts:?} {text}");
        };
        check(
            &["estimate"],
            Language::Plain,
            "Your ESTIMATE of June",
            true,
        );
        check(&["invoice", "見積"], Language::Plain, "御見\r\n積書", true);
        check(&["a.c"], Language::Plain, "abc", false);
        check(&["A.c"], Language::Regex, "xＡbＣ", true);
        check(
            &["^offer [0-9]+$"],
            Language::Regex,
            "Re:\nOffer 12\n",
            true,
        );
        check(&["a\\b"], Language::Regex, "ab", false);
    }

    #[test]
    fn what_means_nothing_is_refused() {
        assert!(words(&[], Language::Plain).unwrap().is_none());
        for text in ["", " ", "\u{200b}"] {
            let refused = words(&[text], Language::Plain);
            assert!(matches!(refused, Err(Error::EmptyText)), "{text:?}");
        }
        assert!(matches!(
            words(&["a("], Language::Regex),
            Err(Error::Regex { .. })
        ));
        // What would take all memory.
        assert!(words(&["(((a{999}){999}){999})"], Language::Regex).is_err());
    }
}
