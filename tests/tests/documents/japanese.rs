//! The Japanese documents are in step with the English ones, and speak as those who read them do.

use std::path::{Path, PathBuf};

use mail_tests::run::repository;

use crate::text::{files, text};

/// What a reader finds at the same place in either language.
#[derive(Debug, PartialEq)]
enum Part {
    Heading(usize),
    Item,
    Table {
        rows: usize,
        columns: usize,
    },
    Block {
        language: String,
        commands: Vec<String>,
    },
}

/// A page of its own: what it holds is spread over several English ones.
const WITHOUT_TWIN: &str = "docs/format.ja.md";

/// Words that the readers do not use, and what they say instead.
const AVOIDED: [(&str, &str); 12] = [
    ("復元", "リストア"),
    ("利用者", "ユーザー"),
    ("使用者", "ユーザー"),
    ("写し", "コピー"),
    ("複写", "コピー"),
    ("証明", "検証"),
    ("機械", "マシン"),
    ("書庫", "アーカイブ"),
    ("索引", "インデックス"),
    ("走査", "スキャン"),
    ("見張", "監視"),
    ("災厄", "障害"),
];

/// The lines of a block without comments, which are in the reader's language.
fn commands(block: &[&str]) -> Vec<String> {
    let of_program = block
        .iter()
        .filter(|line| !line.trim_start().starts_with('#'));
    of_program
        .filter_map(|line| line.split("  #").next())
        .map(|line| line.trim_end().to_owned())
        .collect()
}

fn columns(row: &str) -> usize {
    row.replace("\\|", "").matches('|').count() - 1
}

fn is_item(line: &str) -> bool {
    let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
    line.starts_with("- ") || (number.len() < line.len() && number.starts_with(". "))
}

/// The parts of a text, in order.
fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            let is_inside = |line: &&str| !line.trim_start().starts_with("```");
            let block: Vec<&str> = lines.by_ref().take_while(is_inside).collect();
            parts.push(Part::Block {
                language: language.to_owned(),
                commands: commands(&block),
            });
        } else if line.starts_with('|') {
            let mut rows = 1;
            while lines.next_if(|line| line.starts_with('|')).is_some() {
                rows += 1;
            }
            parts.push(Part::Table {
                rows,
                columns: columns(line),
            });
        } else if line.starts_with('#') {
            let rest = line.trim_start_matches('#');
            parts.push(Part::Heading(line.len() - rest.len()));
        } else if is_item(line) {
            parts.push(Part::Item);
        }
    }
    parts
}

fn japanese() -> Vec<PathBuf> {
    let found = files(repository(), ".ja.md");
    assert!(found.len() >= 10, "{found:?}");
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(repository())
        .unwrap_or(path)
        .display()
        .to_string()
}

#[test]
fn every_japanese_document_is_in_step_with_the_english_one() {
    for document in japanese() {
        let name = shown(&document);
        if name == WITHOUT_TWIN {
            continue;
        }
        let english = repository().join(name.replace(".ja.md", ".md"));
        let (one, other) = (parts(&text(&english)), parts(&text(&document)));
        for (number, (one, other)) in one.iter().zip(&other).enumerate() {
            assert_eq!(one, other, "{name}, part {number}");
        }
        assert_eq!(one.len(), other.len(), "{name}");
    }
}

/// The lines of a text that have a word which is avoided, with the word that is used.
fn avoided(text: &str) -> Vec<String> {
    let text = text.replace("証明書", "");
    let found = text.lines().flat_map(|line| {
        let words = AVOIDED.iter().filter(|(word, _)| line.contains(word));
        words.map(move |(word, used)| format!("{word}, not {used}: {line}"))
    });
    found.collect()
}

#[test]
fn no_japanese_document_has_a_word_that_its_readers_do_not_use() {
    assert_eq!(avoided("証明書の写しを復元").len(), 2);
    for document in japanese() {
        let found = avoided(&text(&document));
        assert!(found.is_empty(), "{}: {found:#?}", shown(&document));
    }
}
