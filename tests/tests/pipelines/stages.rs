//! The whole pipeline of a night, with each of its stages killed in the middle: the exit status
//! tells, nothing half is called a set, and the next night is well.
#![expect(
    clippy::disallowed_methods,
    reason = "a program that is put in the way is not a stored file"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use mail_tests::host::{Host, TOOLS, ended_with};
use mail_tests::run::binary;
use mail_tests::set::assert_checksums;

const NIGHT: &str = "set -o pipefail
mail-backup --daily -q --format jsonl | mail-scan - -q | mail-s3sync push - -q --to file://$STORE | mail-check - --checks $CHECKS -q >$OUT
echo \"${PIPESTATUS[@]}\" >$STATUS";

struct Site {
    host: Host,
}

impl Site {
    fn new() -> Self {
        let site = Self {
            host: Host::new(60),
        };
        fs::create_dir(site.host.server.dir().join("store")).expect("a directory can be made");
        fs::write(site.host.server.dir().join("check.toml"), "").expect("it can be written");
        site
    }

    /// The exit statuses of the four stages, and what came out of the last.
    fn night(&self) -> (Vec<i32>, String) {
        let dir = self.host.server.dir();
        let mut bash = self.host.bash(NIGHT);
        for (name, value) in self.host.server.settings() {
            bash.env(name, value);
        }
        bash.env("CLAMD_ADDRESS", self.host.clamd.unix())
            .env("STORE", dir.join("store"))
            .env("CHECKS", dir.join("check.toml"));
        bash.env("OUT", dir.join("out"))
            .env("STATUS", dir.join("status"));
        ended_with(&mut bash, 0);
        let text = fs::read_to_string(dir.join("status")).expect("bash wrote it");
        let codes = text
            .split_whitespace()
            .map(|code| code.parse().expect("a status is a number"))
            .collect();
        (
            codes,
            fs::read_to_string(dir.join("out")).expect("bash made it"),
        )
    }

    /// Puts a program in the place of a tool that is killed after `lines` lines of what the tool
    /// would have printed.
    fn kill_after(&self, tool: &str, lines: u32) {
        let path = self.host.bin().join(tool);
        fs::remove_file(&path).expect("the tool is installed");
        let real = binary(tool);
        fs::write(
            &path,
            format!(
                "#!/bin/bash\n{} \"$@\" | head -n {lines}\nkill -KILL $$\n",
                real.display()
            ),
        )
        .expect("it can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .expect("it can be made executable");
    }

    fn heal(&self, tool: &str) {
        let path = self.host.bin().join(tool);
        fs::remove_file(&path).expect("it is there");
        symlink(binary(tool), path).expect("a link can be made");
    }

    fn stored_sets(&self) -> Vec<std::path::PathBuf> {
        let days = fs::read_dir(self.host.server.dir().join("store/daily"))
            .into_iter()
            .flatten();
        let days = days.map(|day| day.expect("a directory can be read").path());
        days.filter(|day| day.join("checksums.sha256").exists())
            .collect()
    }
}

#[test]
fn each_stage_that_is_killed_shows_in_the_statuses_and_the_next_night_is_well() {
    for (index, tool) in TOOLS
        .iter()
        .filter(|tool| **tool != "mail-restore")
        .enumerate()
    {
        for lines in [0, 1, 5] {
            let site = Site::new();
            site.kill_after(tool, lines);
            let (codes, out) = site.night();
            assert_eq!(codes[index], 137, "{tool} after {lines}: {codes:?}");
            // Who reads from it knows no more than that it died, and says so; to mail-check that is
            // unknown at least.
            if index < 3 {
                assert!(
                    codes[index + 1..3].iter().all(|code| *code == 3),
                    "{tool} after {lines}: {codes:?}"
                );
                assert!(matches!(codes[3], 2 | 3), "{tool} after {lines}: {codes:?}");
                let is_bad = |line: &str| {
                    line.contains("\"type\":\"check\"")
                        && (line.contains("critical\",") || line.contains("unknown\","))
                };
                assert!(out.lines().any(is_bad), "{tool} after {lines}: {out}");
            }
            for set in site.stored_sets() {
                assert_checksums(&set);
            }
            site.heal(tool);
            let (codes, out) = site.night();
            assert_eq!(codes, [0, 0, 0, 0], "{tool} after {lines}: {out}");
            assert_eq!(site.stored_sets().len(), 1);
        }
    }
}
