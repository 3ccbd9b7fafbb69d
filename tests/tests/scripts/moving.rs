//! A prefix with plain sets gets a pool beside it, by the commands of the document.

#![allow(clippy::disallowed_methods, reason = "sample files")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use mail_tests::maildir::TreePlan;
use mail_tests::run::{Tool, binary, repository};
use mail_tests::s3::{S3Server, program};
use mail_tests::server::Server;

/// The commands of the section, one a line.
fn commands() -> Vec<String> {
    let document = fs::read_to_string(repository().join("docs/off-site.md"))
        .unwrap_or_else(|e| panic!("docs/off-site.md: {e}"));
    let (_, section) = document
        .split_once("## Move a prefix with plain sets to a pool\n")
        .expect("the section is there");
    let (_, block) = section.split_once("```sh\n").expect("it has commands");
    let (block, _) = block.split_once("```").expect("they end");
    block.lines().map(str::to_owned).collect()
}

/// PATH with the AWS command line of the tests and our tools first.
fn search_path() -> String {
    let directory = |path: PathBuf| path.parent().map(|path| path.display().to_string());
    let programs = [program("aws"), binary("mail-s3sync")];
    let mut path: Vec<String> = programs.into_iter().filter_map(directory).collect();
    path.extend(std::env::var("PATH"));
    path.join(":")
}

#[test]
fn a_prefix_with_plain_sets_gets_a_pool_beside_it_by_the_commands_of_the_document() {
    let store = S3Server::moto();
    let server = Server::new(&TreePlan::new(20, 2, 7));
    let tool = |name: &str| {
        let tool = match name.split_once('/') {
            Some(_) => Tool::script(name).env("PATH", search_path()),
            None => Tool::new(name),
        };
        let tool = tool.env("S3_BUCKET", "off-site").env("S3_PREFIX", "mx");
        let settings = server.settings().into_iter();
        let tool = settings.fold(tool, |tool, (name, value)| tool.env(name, value));
        let keys = store.environment().into_iter();
        keys.fold(tool, |tool, (name, value)| tool.env(name, value))
    };
    let backup = ["--component", "mail"];
    let old = "2026-01-05";
    let _ = tool("mail-backup")
        .args(backup)
        .args(["--date", old])
        .run()
        .assert_code(0);
    let _ = tool("mail-backup").args(backup).run().assert_code(0);
    // As it was before there were pools.
    let made = tool("aws/make-bucket").args(["--bucket", "off-site"]).run();
    assert_eq!(made.code(), 1, "{}", made.stderr);
    let push = tool("mail-s3sync").args(["push", "--date", old]);
    let _ = push.env("S3_LAYOUT", "plain").run().assert_code(0);

    let lines = commands();
    let script: String = lines
        .iter()
        .map(|line| {
            let line = line.replace("BUCKET", "off-site").replace("PREFIX", "mx");
            format!("{line}\necho \"exit $? of {line}\" >&2\n")
        })
        .collect();
    let mut bash = tool("mail-s3sync");
    let environment: Vec<_> = bash
        .command()
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(repository())
        .envs(environment)
        .env("PATH", search_path())
        .output()
        .expect("bash can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    for line in said.lines().filter(|line| line.starts_with("exit ")) {
        // Plain HTTP, as the server of the test speaks it, is named by make-bucket.
        let is_fine = line.starts_with("exit 0 ") || line.starts_with("exit 1 of scripts/aws");
        assert!(is_fine, "{said}");
    }
    assert_eq!(said.matches("\nexit ").count() + 1, lines.len(), "{said}");
    assert!(said.contains("would push"), "{said}");

    // Both are whole, the new one in the pool, and the next push goes on there.
    let sets = tool("mail-s3sync")
        .args(["list"])
        .run()
        .assert_code(0)
        .data("set");
    assert_eq!(sets.len(), 2);
    assert!(sets.iter().all(|set| set["complete"] == true), "{sets:?}");
    let to = server.dir().join("down");
    let pull = tool("mail-s3sync").args(["pull", "--date", old, "--to"]);
    let _ = pull.arg(&to).run().assert_code(0);
    let next = "2099-01-05";
    let _ = tool("mail-backup")
        .args(backup)
        .args(["--date", next])
        .run()
        .assert_code(0);
    let push = tool("mail-s3sync")
        .args(["push", "--date", next])
        .run()
        .assert_code(0);
    let urls: Vec<String> = push
        .data("transfer")
        .iter()
        .map(|transfer| transfer["url"].to_string())
        .collect();
    assert!(urls.iter().any(|url| url.contains("/mx/pool/")), "{urls:?}");
}
