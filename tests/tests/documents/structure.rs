//! The house keeps its shape: no tool stands on a tool, and no two files of a crate stand on each
//! other, directly or by way of others.
#![expect(
    clippy::disallowed_methods,
    reason = "a source file of a test is not a stored file of a set"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use mail_tests::run::repository;

const TOOLS: [&str; 5] = [
    "mail-backup",
    "mail-restore",
    "mail-scan",
    "mail-s3sync",
    "mail-check",
];

/// The circles of a checkout, and the names that tie them.
fn circles(checkout: &Path) -> String {
    let mut script = Command::new(repository().join("scripts/measure-code"));
    let output = script.args(["--list", "circles"]).arg(checkout).output();
    let output = output.expect("the script starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("it is text")
}

#[test]
fn no_two_files_stand_on_each_other() {
    let found = circles(repository());
    assert!(found.is_empty(), "{found}");
}

#[test]
fn a_circle_is_found_also_through_a_third_file() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let put = |path: &str, text: &str| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().expect("it has one")).expect("a directory can be made");
        fs::write(path, text).expect("it can be written");
    };
    put("Cargo.toml", "[workspace]\nmembers = [\"mail-common\"]\n");
    put(
        "mail-common/Cargo.toml",
        "[package]\nname = \"mail-common\"\n",
    );
    put("mail-common/src/lib.rs", "mod a;\nmod b;\nmod room;\n");
    put(
        "mail-common/src/a.rs",
        "use crate::b::{B, other};\n// use crate::room::leaf;\n",
    );
    put("mail-common/src/b.rs", "use crate::room::Leaf;\n");
    put(
        "mail-common/src/room/mod.rs",
        "mod leaf;\npub(crate) use leaf::Leaf;\n",
    );
    put("mail-common/src/room/leaf.rs", "pub(crate) struct Leaf;\n");
    assert_eq!(circles(dir.path()), "");
    put(
        "mail-common/src/room/leaf.rs",
        "fn f() { crate::a::g(\"//\") }\n",
    );
    assert_eq!(
        circles(dir.path()),
        "mail-common: 3 files\n  a -> b: B, other\n  b -> room/leaf: Leaf\n  room/leaf -> a: g\n"
    );
}

#[test]
fn no_tool_stands_on_a_tool() {
    for name in TOOLS.iter().chain(&["mail-common", "mail-common/mysql"]) {
        let path = repository().join(name).join("Cargo.toml");
        let manifest = fs::read_to_string(path).expect("it can be read");
        let dependencies = manifest.lines().filter(|line| line.contains("workspace"));
        let of_tools = dependencies.filter(|line| TOOLS.iter().any(|tool| line.starts_with(tool)));
        assert_eq!(
            of_tools.collect::<Vec<_>>(),
            Vec::<&str>::new(),
            "of {name}"
        );
    }
}
