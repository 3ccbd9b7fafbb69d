//! What the documents point to is there: links, tests that prove, files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use mail_tests::run::repository;

/// The files below `directory` whose names end so, without what is built.
pub(crate) fn files(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("it can be read") {
        let path = entry.expect("it can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || name == "target" {
            continue;
        }
        if path.is_dir() && !path.is_symlink() {
            found.extend(files(&path, ending));
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found
}

pub(crate) fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()))
}

/// What stands between backticks outside of blocks.
fn quoted(text: &str) -> Vec<&str> {
    let outside = text.split("```").step_by(2);
    outside
        .flat_map(|part| part.split('`').skip(1).step_by(2))
        .collect()
}

/// The name that a heading can be linked by, as the usual hosts make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | 'ー'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn has_heading(path: &Path, wanted: &str) -> bool {
    let text = text(path);
    let outside = text.split("```").step_by(2);
    let mut headings = outside
        .flat_map(str::lines)
        .filter(|line| line.starts_with('#'));
    headings.any(|heading| anchor(heading) == wanted)
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    for document in files(repository(), ".md") {
        let text = text(&document);
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if link.contains("://") {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() {
                document.clone()
            } else {
                document.with_file_name(path)
            };
            if !target.exists() || (!heading.is_empty() && !has_heading(&target, heading)) {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_test_that_is_named_as_a_proof_is_there() {
    let sources: String = files(repository(), ".rs")
        .iter()
        .map(|path| text(path))
        .collect();
    let tests: BTreeSet<&str> = sources
        .split("fn ")
        .skip(1)
        .map(|rest| rest.split(['(', '<']).next().unwrap_or_default())
        .collect();
    let mut missing = Vec::new();
    let mut named = 0;
    for document in files(repository(), ".md") {
        let text = text(&document);
        for proofs in text.split("\n## ").filter(|part| part.starts_with("What ")) {
            let names = quoted(proofs).into_iter().filter(|name| {
                name.matches('_').count() >= 2
                    && name
                        .chars()
                        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            });
            for name in names {
                named += 1;
                if !tests.contains(name) {
                    missing.push(format!("{}: {name}", document.display()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(named > 100, "only {named} tests are named");
}

#[test]
fn every_file_that_is_named_is_there() {
    let mut missing = Vec::new();
    for document in files(repository(), ".md") {
        for name in quoted(&text(&document)) {
            let is_path = ["mail-", "tests/", "scripts/", "docs/"]
                .iter()
                .any(|start| name.starts_with(start))
                && name.contains('/')
                && !name.contains([' ', '<', '*', '…', '=', '{']);
            if is_path && !repository().join(name).exists() {
                missing.push(format!("{}: {name}", document.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The words of the messages in the table of that head, without what differs (`…`) and what other
/// programs print.
fn explained<'a>(manual: &'a str, head: &str) -> Vec<&'a str> {
    let of_others = [
        "No space left",
        "Operation not permitted",
        "Permission denied",
        "No such file",
    ];
    let table = manual
        .split_once(head)
        .unwrap_or_else(|| panic!("no {head}"))
        .1;
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let messages = rows
        .filter_map(|row| row.split(" | ").next())
        .flat_map(quoted);
    let words = messages.flat_map(|message| message.split('…'));
    words
        .map(|words| words.trim().trim_end_matches(':'))
        .filter(|words| words.len() > 3 && !words.starts_with('.'))
        .filter(|words| !of_others.iter().any(|other| words.contains(other)))
        .collect()
}

#[test]
fn every_message_that_the_manuals_explain_is_one_of_the_tools() {
    let sources: String = files(repository(), ".rs")
        .iter()
        .map(|path| text(path))
        .collect();
    let sources = sources.replace("\\\"", "\"").replace("\\\n", " ");
    let sources = sources.split_whitespace().collect::<Vec<_>>().join(" ");
    for (manual, head) in [
        ("docs/manual.md", "| message |"),
        ("docs/manual.ja.md", "| メッセージ |"),
        ("docs/mail-scan.md", "| reason |"),
        ("docs/mail-scan.ja.md", "| 理由 |"),
    ] {
        let text = text(&repository().join(manual));
        let mut unknown = explained(&text, head);
        unknown.retain(|words| !sources.contains(words));
        assert!(unknown.is_empty(), "{manual}: {unknown:#?}");
    }
}
