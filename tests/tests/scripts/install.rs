//! `scripts/install`: what it puts where, that a running job does not notice, and that nothing
//! stays behind.
#![expect(
    clippy::disallowed_methods,
    reason = "files of a pretended older version are not stored files"
)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use mail_tests::run::{Outcome, Tool, binary, repository};
use tempfile::TempDir;

const TOOLS: [&str; 5] = [
    "mail-backup",
    "mail-restore",
    "mail-scan",
    "mail-s3sync",
    "mail-check",
];
/// A script that is in the middle of its work while it is installed again.
const SLOW: &str =
    "#!/bin/bash\n. \"$(dirname \"$(readlink -f \"$0\")\")/lib/slow.sh\"\nanswer old\n";

/// A directory to install into, below one that everybody may enter.
struct Site {
    dir: TempDir,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        Self { dir }
    }

    fn prefix(&self) -> PathBuf {
        self.dir.path().join("opt")
    }

    fn tool(&self, script: &Path) -> Tool {
        Tool::program(script).arg("--prefix").arg(self.prefix())
    }

    fn install(&self, flags: &[&str]) -> Outcome {
        self.install_from(repository(), flags)
    }

    fn install_from(&self, source: &Path, flags: &[&str]) -> Outcome {
        self.tool(&source.join("scripts/install"))
            .arg("--bin-dir")
            .arg(bin_dir())
            .args(flags)
            .run()
    }

    fn uninstall(&self) -> Outcome {
        self.tool(&repository().join("scripts/install"))
            .arg("--uninstall")
            .run()
    }

    /// Everything below the prefix, by its path from there.
    fn files(&self) -> Vec<String> {
        let output = Command::new("find")
            .arg(self.prefix())
            .args(["-mindepth", "1", "-printf", "%P\n"])
            .output();
        let mut files: Vec<String> = String::from_utf8_lossy(&output.expect("find runs").stdout)
            .lines()
            .map(str::to_owned)
            .collect();
        files.sort();
        files
    }

    /// A copy of what the installation reads, to be changed, with a script that other scripts do
    /// not have.
    fn source(&self) -> PathBuf {
        let source = self.dir.path().join("source");
        fs::create_dir_all(source.join("mail-check")).expect("a directory can be made");
        for name in [
            "scripts",
            "README.md",
            "CHANGELOG.md",
            "LICENSE",
            "docs",
            "mail-check/README.md",
        ] {
            let copied = Command::new("cp")
                .arg("-r")
                .arg(repository().join(name))
                .arg(source.join(name))
                .status();
            assert!(copied.expect("cp runs").success());
        }
        executable(&source.join("scripts/slow.sh"), SLOW);
        // What a script sources, what that reads, and what has nothing to do with it.
        let answer =
            "answer() { cat \"$(dirname \"$(readlink -f \"$0\")\")/lib/words/$1.txt\"; }\n";
        fs::create_dir(source.join("scripts/lib/words")).expect("a directory can be made");
        for (name, text) in [
            ("slow.sh", answer),
            ("words/old.txt", "old\n"),
            ("else.sh", "exit 5\n"),
        ] {
            fs::write(source.join("scripts/lib").join(name), text)
                .expect("a script can be written");
        }
        source
    }
}

fn bin_dir() -> PathBuf {
    TOOLS.map(binary)[0]
        .parent()
        .expect("a program lies in a directory")
        .to_owned()
}

fn executable(path: &Path, text: &str) {
    fs::write(path, text).expect("a script can be written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
}

/// The first words of a manual page and of completions, as their readers see them.
fn assert_documented(prefix: &Path, tool: &str) {
    let read = |path: &str| fs::read_to_string(prefix.join(path)).expect("it is installed");
    let page = prefix.join(format!("share/man/man1/{tool}.1.gz"));
    let page = Command::new("zcat").arg(page).output().expect("zcat runs");
    assert!(
        String::from_utf8_lossy(&page.stdout).contains(&format!(".TH {tool} 1")),
        "{page:?}"
    );
    assert!(read(&format!("share/bash-completion/completions/{tool}")).contains("complete -F"));
    assert!(
        read(&format!("share/zsh/site-functions/_{tool}")).starts_with(&format!("#compdef {tool}"))
    );
    assert!(
        read(&format!("share/fish/vendor_completions.d/{tool}.fish"))
            .contains(&format!("complete -c {tool}"))
    );
}

#[test]
fn tools_pages_and_completions_are_there_and_nothing_is_left_of_them() {
    let site = Site::new();
    let _ = site.install(&["--with-systemd"]).assert_code(0);
    for tool in TOOLS {
        let outcome = Tool::program(&site.prefix().join("bin").join(tool))
            .arg("--version")
            .run()
            .assert_code(0);
        assert!(outcome.text().starts_with(tool), "{}", outcome.text());
        assert_documented(&site.prefix(), tool);
    }
    let unit = fs::read_to_string(
        site.prefix()
            .join("lib/systemd/system/mail-backup-daily.service"),
    );
    let expected = format!(
        "ExecStart={}/bin/mail-backup --daily",
        site.prefix().display()
    );
    assert!(unit.expect("units are installed").contains(&expected));
    let files = site.files();
    for name in [
        "config.example",
        "crontab.example",
        "aws/make-bucket",
        "check.toml",
    ] {
        assert!(
            files.contains(&format!("share/doc/mail-tools/examples/{name}")),
            "{name}: {files:#?}"
        );
    }

    // Once more, without asking for units: the same files, units too.
    let _ = site.install(&[]).assert_code(0);
    assert_eq!(site.files(), files);

    let _ = site.uninstall().assert_code(0);
    assert!(!site.prefix().exists(), "left: {:?}", site.files());
    let _ = site
        .uninstall()
        .assert_code(1)
        .assert_stderr("nothing is installed");
}

#[test]
fn what_is_not_its_own_stays() {
    let site = Site::new();
    fs::create_dir_all(site.prefix().join("share/man/man1")).expect("a directory can be made");
    let _ = site.install(&[]).assert_code(0);
    let own = site.prefix().join("bin/backup-mine");
    executable(&own, "#!/bin/sh\n");
    let _ = site.uninstall().assert_code(0);
    assert_eq!(
        site.files(),
        [
            "bin",
            "bin/backup-mine",
            "share",
            "share/man",
            "share/man/man1"
        ]
    );
}

#[test]
fn a_script_of_the_same_name_that_is_somebodys_is_not_replaced() {
    let site = Site::new();
    let source = site.source();
    fs::create_dir_all(site.prefix().join("sbin")).expect("a directory can be made");
    let theirs = site.prefix().join("sbin/slow.sh");
    executable(&theirs, "#!/bin/sh\necho theirs\n");
    let _ = site
        .install_from(&source, &[])
        .assert_code(1)
        .assert_stderr("Move it away first");
    assert_eq!(site.files(), ["sbin", "sbin/slow.sh"]);
    assert_eq!(Tool::program(&theirs).run().text(), "theirs\n");
    fs::remove_file(&theirs).expect("it is ours");
    let _ = site.install_from(&source, &[]).assert_code(0);
    let _ = site.install_from(&source, &[]).assert_code(0);
    assert_eq!(Tool::program(&theirs).run().text(), "old\n");
}

#[test]
fn what_a_new_version_has_no_more_goes_with_the_upgrade() {
    let site = Site::new();
    let source = site.source();
    let _ = site.install_from(&source, &[]).assert_code(0);
    let link = site.prefix().join("sbin/slow.sh");
    let outcome = Tool::program(&link).run().assert_code(0);
    assert_eq!(
        outcome.text(),
        "old\n",
        "a script finds what it sources from the directory that its link leads to"
    );
    assert!(
        !site
            .prefix()
            .join("lib/mail-tools/scripts/lib/else.sh")
            .exists(),
        "no script needs it"
    );
    fs::remove_file(source.join("scripts/slow.sh")).expect("it can be removed");
    let _ = site.install_from(&source, &[]).assert_code(0);
    let files = site.files();
    assert!(
        !files
            .iter()
            .any(|file| file.contains("slow") || file.contains("words/old")),
        "{files:#?}"
    );
    assert!(fs::symlink_metadata(link).is_err());
}

/// A process that waits for a line before it goes on.
struct Waiting {
    child: Child,
}

impl Waiting {
    fn start(program: &Path, args: &[&str]) -> Self {
        let mut command = Command::new(program);
        command
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let child = command.spawn().expect("it starts");
        Self { child }
    }

    fn executable(&self) -> String {
        let path = format!("/proc/{}/exe", self.child.id());
        fs::read_link(path).expect("it runs").display().to_string()
    }

    fn first_line(&mut self) -> String {
        let mut line = String::new();
        let stdout = self.child.stdout.as_mut().expect("it is piped");
        // One byte at a time, so that nothing of the rest is taken.
        BufReader::with_capacity(1, stdout)
            .read_line(&mut line)
            .expect("it says something");
        line
    }

    fn go_on(mut self) -> (Option<i32>, String) {
        let mut stdin = self.child.stdin.take().expect("it is piped");
        stdin.write_all(b"go\n").expect("it listens");
        drop(stdin);
        let mut stdout = self.child.stdout.take().expect("it is piped");
        let text = std::io::read_to_string(&mut stdout).expect("it is text");
        (self.child.wait().expect("it ends").code(), text)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // It has ended already where the test got to its end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn jobs_that_run_go_on_with_their_old_files() {
    let site = Site::new();
    let source = site.source();
    let slow = source.join("scripts/slow.sh");
    // Longer than a shell reads at a time, so that it comes back to its file.
    let padding = "# padding\n".repeat(20_000);
    executable(
        &slow,
        &format!("#!/bin/bash\necho begun\nread -r _\n{padding}echo old\nexit 7\n"),
    );
    let _ = site.install_from(&source, &[]).assert_code(0);

    let installed = site.prefix().join("bin/mail-scan");
    let mut tool = Waiting::start(&installed, &["-", "--no-cache", "--format", "jsonl"]);
    let mut script = Waiting::start(&site.prefix().join("sbin/slow.sh"), &[]);
    assert_eq!(script.first_line(), "begun\n");

    executable(&slow, &format!("#!/bin/bash\n{padding}echo new\nexit 8\n"));
    let _ = site.install_from(&source, &[]).assert_code(0);
    assert!(
        tool.child.try_wait().expect("it can be asked").is_none(),
        "the tool has gone on"
    );
    assert_eq!(
        tool.executable(),
        format!("{} (deleted)", installed.display())
    );
    assert_eq!(script.go_on(), (Some(7), "old\n".to_owned()));
    assert_eq!(
        Waiting::start(&site.prefix().join("sbin/slow.sh"), &[]).go_on(),
        (Some(8), "new\n".to_owned())
    );
}

#[test]
fn an_installation_that_was_cut_short_can_be_removed() {
    let site = Site::new();
    // The tools are not all there: the first are installed, then it ends.
    let half = site.dir.path().join("half");
    fs::create_dir(&half).expect("a directory can be made");
    symlink(binary("mail-backup"), half.join("mail-backup")).expect("a link can be made");
    for tool in &TOOLS[1..] {
        executable(&half.join(tool), "#!/bin/sh\nexit 9\n");
    }
    let outcome = site
        .tool(&repository().join("scripts/install"))
        .arg("--bin-dir")
        .arg(&half)
        .run();
    assert_ne!(outcome.code(), 0);
    assert!(site.files().contains(&"bin/mail-backup".to_owned()));
    let _ = site.uninstall().assert_code(0);
    assert!(!site.prefix().exists(), "left: {:?}", site.files());
}

/// A release build would take minutes here: what stands for cargo says how it was called, and gives
/// the tools of this build.
#[test]
fn tools_that_are_not_built_are_built_first() {
    let site = Site::new();
    let (target, stand_in) = (site.dir.path().join("target"), site.dir.path().join("bin"));
    fs::create_dir(&stand_in).expect("a directory can be made");
    let script = format!(
        "#!/bin/sh\necho \"$@\"\nmkdir -p {0} && ln -s {1} {0}/release\n",
        target.display(),
        bin_dir().display()
    );
    executable(&stand_in.join("cargo"), &script);
    let path = format!("{}:/usr/bin:/bin", stand_in.display());
    let install = || {
        site.tool(&repository().join("scripts/install"))
            .env("CARGO_TARGET_DIR", &target)
            .env("PATH", &path)
    };
    let outcome = install().run().assert_code(0);
    assert!(
        outcome
            .text()
            .contains("build --release --locked --package=mail-backup --package=mail-restore"),
        "{}",
        outcome.text()
    );
    assert!(site.prefix().join("bin/mail-check").is_file());
    fs::remove_file(stand_in.join("cargo")).expect("it is ours");
    let _ = install().run().assert_code(0);
}

#[test]
fn wrong_usage_is_reported_and_touches_nothing() {
    let site = Site::new();
    for flags in [
        &["--what"][..],
        &["--prefix"],
        &["--prefix", "relative"],
        &["--prefix", "/a b"],
        &["--uninstall", "--with-systemd"],
    ] {
        let _ = Tool::script("install")
            .args(flags)
            .run()
            .assert_code(2)
            .assert_stderr("scripts/install [--prefix DIR]");
    }
    let outcome = site
        .tool(&repository().join("scripts/install"))
        .args(["--bin-dir", "/nowhere"])
        .run();
    let _ = outcome
        .assert_code(1)
        .assert_stderr("--bin-dir /nowhere: not all of");
    assert!(!site.prefix().exists());
}

#[test]
fn without_the_right_to_write_there_it_asks_for_root() {
    let site = Site::new();
    fs::create_dir(site.prefix()).expect("a directory can be made");
    // Their own copies, since the build may lie where nobody else can go.
    let source = site.source();
    let bin = site.dir.path().join("bin");
    fs::create_dir(&bin).expect("a directory can be made");
    for tool in TOOLS {
        executable(&bin.join(tool), "#!/bin/sh\n");
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(source.join("scripts/install"));
    command
        .arg("--prefix")
        .arg(site.prefix())
        .arg("--bin-dir")
        .arg(bin)
        .current_dir("/");
    if !rustix::process::geteuid().is_root() {
        // Nobody but root can become another user; a directory that cannot be written says the
        // same.
        fs::set_permissions(site.prefix(), fs::Permissions::from_mode(0o555)).expect("it is ours");
        command = Command::new(source.join("scripts/install"));
        command
            .arg("--prefix")
            .arg(site.prefix())
            .arg("--bin-dir")
            .arg(bin_dir());
    }
    let output = command.output().expect("it starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("run it as root"), "{stderr}");
    assert!(site.files().is_empty());
}
