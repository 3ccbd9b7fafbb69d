//! The Debian package: what lintian says of it, what is in it, and its life on a machine, from
//! installation to purge.
#![expect(
    clippy::disallowed_methods,
    reason = "what an administrator changes is not a stored file"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mail_tests::run::{Tool, binary};
use tempfile::TempDir;

/// The date of the first entry of the changelog.
const DATE: &str = "2026-11-25 00:00";

/// A package built from the tools of this test's own build, and an empty machine.
struct Package {
    dir: TempDir,
    file: PathBuf,
}

impl Package {
    fn build() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let tools = binary("mail-backup");
        let bin_dir = tools.parent().expect("a program lies in a directory");
        let deb = Tool::script("deb")
            .arg("--output")
            .arg(dir.path().join("out"))
            .arg("--bin-dir")
            .arg(bin_dir);
        // The bytes are the same with another compression, and sooner there.
        let built = deb
            .env("DPKG_DEB_COMPRESSOR_TYPE", "gzip")
            .run()
            .assert_code(0);
        let file = PathBuf::from(built.text().trim());
        Self { dir, file }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// The same with a higher version.
    fn successor(&self) -> PathBuf {
        let (tree, file) = (
            self.dir.path().join("tree"),
            self.dir.path().join("successor.deb"),
        );
        let _ = succeed(
            Command::new("dpkg-deb")
                .arg("-R")
                .arg(&self.file)
                .arg(&tree),
        );
        let control = tree.join("DEBIAN/control");
        let text = fs::read_to_string(&control).expect("a package has a control file");
        fs::write(&control, text.replace("0.1.0-1", "0.1.0-2")).expect("it is ours");
        let _ = succeed(
            Command::new("dpkg-deb")
                .args(["-Znone", "--build"])
                .arg(tree)
                .arg(&file),
        );
        file
    }

    /// dpkg on the empty machine, whose maintainer scripts run outside of it and are passed where
    /// it is.
    fn dpkg(&self, action: &str, what: &Path) -> Output {
        for directory in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/log"] {
            fs::create_dir_all(self.root().join(directory)).expect("a directory can be made");
        }
        let status = self.root().join("var/lib/dpkg/status");
        if !status.exists() {
            fs::write(status, "").expect("it is ours");
        }
        let mut dpkg = Command::new("dpkg");
        dpkg.arg("--root").arg(self.root()).arg("--log=/dev/null");
        dpkg.args([
            "--force-script-chrootless",
            "--force-unsafe-io",
            "--force-depends",
            "--force-not-root",
            "--force-confold",
        ]);
        succeed(dpkg.arg(action).arg(what))
    }

    /// Files and links of the machine, those of dpkg itself left out.
    fn files(&self) -> BTreeSet<String> {
        let mut find = Command::new("find");
        find.arg(self.root()).args([
            "!",
            "-type",
            "d",
            "!",
            "-path",
            "*/var/lib/dpkg/*",
            "-printf",
            "%P\n",
        ]);
        String::from_utf8_lossy(&succeed(&mut find).stdout)
            .lines()
            .map(str::to_owned)
            .collect()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("it lies in a directory"))
            .expect("a directory can be made");
        fs::write(path, text).expect("it is ours");
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).unwrap_or_else(|e| panic!("read {path}: {e}"))
    }
}

#[track_caller]
fn succeed(command: &mut Command) -> Output {
    let output = command
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("it starts");
    let printed = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{command:?}: {printed}");
    output
}

#[track_caller]
fn assert_lintian(file: &Path) {
    let output = succeed(
        Command::new("lintian")
            .args(["--allow-root", "--fail-on", "error,warning"])
            .arg(file),
    );
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        !printed
            .lines()
            .any(|line| line.starts_with("E:") || line.starts_with("W:")),
        "{printed}"
    );
}

/// Equal bytes from equal tools: nothing of the time or the person of the build is in it.
#[track_caller]
fn assert_reproducible(file: &Path) {
    let list = succeed(
        Command::new("dpkg-deb")
            .arg("--contents")
            .arg(file)
            .env("TZ", "UTC"),
    );
    for line in String::from_utf8_lossy(&list.stdout).lines() {
        assert!(
            line.contains(" root/root ") && line.contains(DATE),
            "{line}"
        );
    }
}

#[track_caller]
fn assert_control(file: &Path) {
    let field = |name: &str| {
        let output = succeed(Command::new("dpkg-deb").arg("--field").arg(file).arg(name));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    assert_eq!(field("Version"), "0.1.0-1");
    let depends = field("Depends");
    for name in ["libc6 (>= 2.", "libssl3", "jq", "zstd"] {
        assert!(depends.contains(name), "{name}: {depends}");
    }
    let conffiles = succeed(
        Command::new("dpkg-deb")
            .arg("--info")
            .arg(file)
            .arg("conffiles"),
    );
    assert_eq!(
        String::from_utf8_lossy(&conffiles.stdout),
        "/etc/logrotate.d/mail-tools\n"
    );
}

/// Installed, changed by its administrator and by its services, upgraded, removed, purged.
#[track_caller]
fn assert_life(package: &Package) {
    package.write("etc/mailserver-backup/config", "BACKUP_ROOT=/mine\n");
    let before = package.files();
    let _ = package.dpkg("--install", &package.file);
    let version = Tool::program(&package.root().join("usr/bin/mail-backup"))
        .arg("--version")
        .run()
        .assert_code(0);
    assert!(version.text().starts_with("mail-backup 0.1.0"));
    let there = package.files();
    for name in [
        "usr/share/man/man1/mail-check.1.gz",
        "usr/lib/systemd/system/mail-scan.timer",
        "etc/logrotate.d/mail-tools",
    ] {
        assert!(there.contains(name), "{name}: {there:#?}");
    }
    let switched_on = |files: &BTreeSet<String>| files.iter().any(|file| file.contains(".wants/"));
    assert!(!switched_on(&there), "a timer was switched on");

    package.write("etc/logrotate.d/mail-tools", "# mine\n");
    package.write("var/lib/mail-check/notify.json", "{}");
    package.write("var/log/mailserver/scan.jsonl", "");
    let _ = package.dpkg("--install", &package.successor());
    assert_eq!(package.read("etc/logrotate.d/mail-tools"), "# mine\n");
    assert_eq!(
        package.read("etc/mailserver-backup/config"),
        "BACKUP_ROOT=/mine\n"
    );

    let name = Path::new("mail-tools");
    let _ = package.dpkg("--remove", name);
    let kept = package.files();
    assert!(
        !kept.iter().any(|file| file.starts_with("usr/")),
        "{kept:#?}"
    );
    assert!(
        kept.contains("etc/logrotate.d/mail-tools")
            && kept.contains("var/lib/mail-check/notify.json")
    );
    let _ = package.dpkg("--purge", name);
    assert_eq!(package.files(), before);
}

/// One test, since the package is built once.
#[test]
fn the_package_is_clean_and_comes_and_goes_without_a_trace() {
    let package = Package::build();
    assert_control(&package.file);
    assert_reproducible(&package.file);
    assert_life(&package);
    assert_lintian(&package.file);
}

#[test]
fn wrong_usage_builds_nothing() {
    let _ = Tool::script("deb")
        .arg("--what")
        .run()
        .assert_code(2)
        .assert_stderr("scripts/deb [--output DIR]");
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let deb = Tool::script("deb")
        .arg("--output")
        .arg(dir.path())
        .args(["--bin-dir", "/nowhere"])
        .run();
    let _ = deb
        .assert_code(1)
        .assert_stderr("--bin-dir /nowhere: not all of");
    assert!(
        fs::read_dir(dir.path())
            .expect("it is ours")
            .next()
            .is_none()
    );
}
