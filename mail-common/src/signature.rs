//! Who made a set: `checksums.sha256.sig`, made and verified by `ssh-keygen -Y` (ssh-keygen(1),
//! OpenSSH's PROTOCOL.sshsig).
//!
//! The checksums name every file of a set by its digest. Among them is the manifest, which says
//! which set it is and which one came before it, so a signature of the checksums is one of all
//! that. No key and no cipher is handled here: the stock program does both, by a file or by an
//! agent.

use std::collections::BTreeMap;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::beneath;
use crate::checksum::{ChecksumFile, Sha256};
use crate::failure::{Failed, Failure, FailureKind};
use crate::relpath::RelPath;
use crate::set::{CHECKSUMS, Inventory, MANIFEST, SIGNATURE, SetId};
use crate::text::printable;
use crate::trusted;

/// What signatures are for: one that was made for anything else, such as a commit, is not one of a
/// set.
pub const NAMESPACE: &str = "mail-backup";

/// An agent on another machine may have gone away.
const WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(5);

/// Signatures have less than 2 KiB.
const MAX_BYTES: usize = 64 * 1024;

/// What sets are signed with: a private key, or a public one whose private part is in an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey(PathBuf);

/// Whose signatures are accepted: a file as ssh-keygen(1) describes it under ALLOWED SIGNERS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedSigners(PathBuf);

/// Why a set was not signed, or is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program cannot be used.
    #[error(
        "run ssh-keygen, which signs and verifies sets; if it is missing: \
         apt-get install openssh-client"
    )]
    Program(#[source] io::Error),
    /// It does not end.
    #[error(
        "ssh-keygen did not end within {} s: is the agent that holds the key there, and does it wait \
         for somebody?",
        WITHIN.as_secs()
    )]
    Late,
    /// The key cannot be used.
    #[error("sign with {}: {reason}; see BACKUP_SIGNING_KEY", key.display())]
    Sign {
        /// The key.
        key: PathBuf,
        /// What ssh-keygen says.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    Failed(#[from] Failed),
    /// There is no signature.
    #[error(
        "{set} has no {SIGNATURE}, and only signed sets are accepted (ALLOWED_SIGNERS): it was not \
         made by this server, or before it signed"
    )]
    Unsigned {
        /// The set.
        set: String,
    },
    /// There is one, and not of these checksums by a signer that is accepted.
    #[error(
        "{set} is not signed by anyone in {}: {reason}; do not use it before you know who changed \
         it",
        signers.display()
    )]
    NotAccepted {
        /// The set.
        set: String,
        /// Who is accepted.
        signers: PathBuf,
        /// What ssh-keygen says.
        reason: String,
    },
    /// It is another set, signed by right, under this name.
    #[error("{set} was signed as {signed}: it was put in the place of another set")]
    OtherName {
        /// The set.
        set: String,
        /// What it calls itself.
        signed: String,
    },
    /// The checksums list a manifest, and it is not there to say which set it is.
    #[error("{set} does not say which set it is: its {MANIFEST} is gone; use another set")]
    NoName {
        /// The set.
        set: String,
    },
    /// A file is not the one that was signed.
    #[error(
        "{set}: {file} is not what the signed {CHECKSUMS} says; do not use it before you know who \
         changed it"
    )]
    Differs {
        /// The set.
        set: String,
        /// The file.
        file: RelPath,
    },
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Program(_) | Self::Late => FailureKind::Program,
            Self::Sign { .. } => FailureKind::Configuration,
            Self::Failed(failed) => failed.kind(),
            Self::Unsigned { .. }
            | Self::NotAccepted { .. }
            | Self::OtherName { .. }
            | Self::NoName { .. }
            | Self::Differs { .. } => FailureKind::Refused,
        }
    }
}

impl SigningKey {
    /// The key in the file `path`.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The signature of `checksums`, as it is stored.
    ///
    /// # Errors
    /// [`Error::Program`], [`Error::Sign`].
    pub fn sign(&self, checksums: &[u8]) -> Result<Vec<u8>, Error> {
        let mut command = ssh_keygen("sign");
        command.arg("-f").arg(&self.0);
        // Nobody is there at night to ask for a passphrase, and at a terminal a run does not stop
        // for one either: a key that has one is refused.
        command.args(["-P", ""]);
        let output = run(&mut command, checksums, WITHIN)?;
        if output.status.success() && !output.stdout.is_empty() {
            return Ok(output.stdout);
        }
        Err(Error::Sign {
            key: self.0.clone(),
            reason: reason_of(&output),
        })
    }
}

impl AllowedSigners {
    /// Those in the file `path`.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Whether the set is signed as a whole, as it was read, and under its own name. Returns who
    /// signed it.
    ///
    /// # Errors
    /// When it is not, or that cannot be told.
    pub fn check(&self, inventory: &Inventory) -> Result<String, Error> {
        let directory = &inventory.set;
        let path = directory.join(CHECKSUMS);
        let checksums = beneath::read(&path).map_err(Failed::at("read", &path))?;
        let signer = self.check_beside(directory, &checksums)?;
        let set = directory.display().to_string();
        // The inventory was read before the checksums that were verified.
        let files = inventory.files.iter();
        let files = files.map(|file| (file.path.clone(), file.sha256));
        let others = must_list(&set, &checksums, files)?;
        let signed = inventory
            .begin
            .as_ref()
            .and_then(|begin| begin.set.as_ref());
        let is_manifest = |path: &RelPath| path.as_bytes() == MANIFEST.as_bytes();
        match signed {
            Some(signed) => {
                // As `.`, or by a link, it would have no name.
                let place = directory.canonicalize();
                has_own_name(&place.map_err(Failed::at("read", directory))?, signed)?;
            }
            None if others.iter().any(is_manifest) => return Err(Error::NoName { set }),
            // The old scripts wrote none; somebody has signed their set since.
            None => {}
        }
        Ok(signer)
    }

    /// Whether the signature in `directory` is one of `checksums`. Returns who signed them.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn check_beside(&self, directory: &Path, checksums: &[u8]) -> Result<String, Error> {
        let path = directory.join(SIGNATURE);
        let signature = of_directory(directory).map_err(Failed::at("read", &path))?;
        let set = directory.display().to_string();
        self.verify(&set, checksums, signature.as_deref())
    }

    /// Whether `signature` is one of `checksums`, which are those of `set`. Returns who signed
    /// them.
    ///
    /// # Errors
    /// [`Error::Unsigned`], [`Error::NotAccepted`], [`Error::Program`], [`Error::Failed`].
    pub fn verify(
        &self,
        set: &str,
        checksums: &[u8],
        signature: Option<&[u8]>,
    ) -> Result<String, Error> {
        let Some(signature) = signature else {
            return Err(Error::Unsigned {
                set: set.to_owned(),
            });
        };
        let refused = |reason: String| Error::NotAccepted {
            set: set.to_owned(),
            signers: self.0.clone(),
            reason,
        };
        if signature.len() > MAX_BYTES {
            return Err(refused(format!("{SIGNATURE} is not a signature")));
        }
        // A list that others may write accepts nobody, but it is not the set's fault.
        must_be_ours(&self.0).map_err(Failed::at("trust", &self.0))?;
        let mut file = tempfile::NamedTempFile::new().map_err(scratch)?;
        file.write_all(signature).map_err(scratch)?;
        let with_files = |command: &mut Command| {
            command.arg("-s").arg(file.path()).arg("-f").arg(&self.0);
        };
        let mut find = ssh_keygen("find-principals");
        with_files(&mut find);
        let found = run(&mut find, &[], WITHIN)?;
        let mut reason = reason_of(&found);
        for principal in String::from_utf8_lossy(&found.stdout).lines() {
            let mut verify = ssh_keygen("verify");
            with_files(&mut verify);
            verify.arg("-I").arg(principal);
            let output = run(&mut verify, checksums, WITHIN)?;
            if output.status.success() {
                return Ok(principal.to_owned());
            }
            reason = reason_of(&output);
        }
        Err(refused(reason))
    }
}

/// The signature in the directory of a set; `None` when it has none.
///
/// # Errors
/// When it cannot be read.
pub fn of_directory(directory: &Path) -> io::Result<Option<Vec<u8>>> {
    match beneath::read(&directory.join(SIGNATURE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// Whether `checksums` list each of `files` with its digest. Returns what else they list.
///
/// # Errors
/// [`Error::Differs`] for the first that they do not.
pub fn must_list(
    set: &str,
    checksums: &[u8],
    files: impl IntoIterator<Item = (RelPath, Sha256)>,
) -> Result<Vec<RelPath>, Error> {
    let parsed = ChecksumFile::parse(checksums);
    let entries = parsed.iter().flat_map(ChecksumFile::entries);
    let mut listed: BTreeMap<_, _> = entries.map(|(sha256, path)| (path, sha256)).collect();
    for (file, sha256) in files {
        if listed.remove(&file) != Some(&sha256) {
            let set = set.to_owned();
            return Err(Error::Differs { set, file });
        }
    }
    Ok(listed.into_keys().cloned().collect())
}

/// Whoever can write the list could accept themselves.
fn must_be_ours(path: &Path) -> io::Result<()> {
    let metadata = trusted::open(path)?.metadata()?;
    let denied = |reason| io::Error::new(io::ErrorKind::PermissionDenied, reason);
    trusted::check_ours(&metadata).map_err(denied)
}

fn scratch(source: io::Error) -> Error {
    Error::Failed(Failed::at("write", &std::env::temp_dir())(source))
}

/// A set under the name of another day, signed by right, would be taken for that day. A directory
/// that is not called like a set may hold any.
///
/// # Errors
/// [`Error::OtherName`].
pub fn has_own_name(directory: &Path, signed: &str) -> Result<(), Error> {
    let mut parts = directory.components().rev();
    let (Some(name), Some(kind)) = (parts.next(), parts.next()) else {
        return Ok(());
    };
    let text = |part: std::path::Component<'_>| part.as_os_str().to_string_lossy().into_owned();
    let called = format!("{}/{}", text(kind), text(name));
    let is_called_like_a_set = called
        .trim_end_matches(".incomplete")
        .parse::<SetId>()
        .is_ok();
    if !is_called_like_a_set || called == signed {
        return Ok(());
    }
    Err(Error::OtherName {
        set: directory.display().to_string(),
        signed: signed.to_owned(),
    })
}

fn ssh_keygen(operation: &str) -> Command {
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", operation, "-n", NAMESPACE]);
    command.env("SSH_ASKPASS_REQUIRE", "never");
    command.env("LC_ALL", "C");
    command
}

/// Runs the program with `input`, for no longer than `within`.
fn run(command: &mut Command, input: &[u8], within: Duration) -> Result<Output, Error> {
    let mut stdin = tempfile::tempfile().map_err(scratch)?;
    stdin.write_all(input).map_err(scratch)?;
    stdin.rewind().map_err(scratch)?;
    let mut child = command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Error::Program)?;
    let started = Instant::now();
    // It prints less than a pipe holds.
    while child.try_wait().map_err(Error::Program)?.is_none() {
        if started.elapsed() > within {
            // It may have ended by itself meanwhile.
            let _ = child.kill();
            let _ = child.wait();
            return Err(Error::Late);
        }
        thread::sleep(POLL);
    }
    child.wait_with_output().map_err(Error::Program)
}

/// What the program printed, on one line and without the frame of its warnings: the first line says
/// why the last one came about.
fn reason_of(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let printed = format!("{stderr}\n{}", String::from_utf8_lossy(&output.stdout));
    let lines = printed
        .lines()
        .map(|line| line.trim().trim_end_matches('.'));
    let lines: Vec<&str> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('@'))
        .collect();
    if lines.is_empty() {
        return "ssh-keygen does not say why".to_owned();
    }
    printable(&lines.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::net::UnixListener;
    use tempfile::TempDir;

    /// A directory with two keys, of which `ours` is allowed with these options.
    struct Keys(TempDir);

    impl Keys {
        fn new(options: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            for name in ["ours", "other"] {
                let made = Command::new("ssh-keygen")
                    .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
                    .arg(dir.path().join(name))
                    .status();
                assert!(made.expect("ssh-keygen runs").success());
            }
            let public = fs::read_to_string(dir.path().join("ours.pub")).unwrap();
            let line = format!("backup@mx.example.com {options} {public}");
            fs::write(dir.path().join("allowed"), line).unwrap();
            Self(dir)
        }

        fn sign(&self, name: &str) -> Vec<u8> {
            let key = SigningKey::new(self.0.path().join(name));
            key.sign(b"0123  a\n").unwrap()
        }

        fn verify(&self, checksums: &[u8], signature: Option<&[u8]>) -> Result<String, Error> {
            let allowed = AllowedSigners::new(self.0.path().join("allowed"));
            allowed.verify("daily/2026-11-23", checksums, signature)
        }
    }

    #[track_caller]
    fn check_refused(result: Result<String, Error>, part: &str) {
        let error = result.expect_err("it is refused");
        assert_eq!(error.kind(), FailureKind::Refused, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }

    #[test]
    fn only_these_checksums_by_an_accepted_key_are_accepted() {
        let keys = Keys::new("namespaces=\"mail-backup\"");
        let signature = keys.sign("ours");
        let signer = keys.verify(b"0123  a\n", Some(&signature)).unwrap();
        assert_eq!(signer, "backup@mx.example.com");
        check_refused(
            keys.verify(b"0123  b\n", Some(&signature)),
            "incorrect signature",
        );
        check_refused(
            keys.verify(b"0123  a\n", None),
            "has no checksums.sha256.sig",
        );
        check_refused(
            keys.verify(b"0123  a\n", Some(b"")),
            "is not signed by anyone",
        );
        check_refused(
            keys.verify(b"0123  a\n", Some(&[b'x'; 70_000])),
            "not a signature",
        );
        let other = keys.sign("other");
        check_refused(
            keys.verify(b"0123  a\n", Some(&other)),
            "No principal matched",
        );
    }

    #[test]
    fn a_key_that_has_expired_or_is_for_something_else_is_not_accepted() {
        for options in ["valid-before=\"20250101\"", "namespaces=\"git\""] {
            let keys = Keys::new(options);
            let signature = keys.sign("ours");
            check_refused(
                keys.verify(b"0123  a\n", Some(&signature)),
                "is not signed by anyone",
            );
        }
    }

    #[test]
    fn a_signature_for_something_else_is_not_one_of_a_set() {
        let keys = Keys::new("");
        let text = keys.0.path().join("text");
        fs::write(&text, b"0123  a\n").unwrap();
        let signed = Command::new("ssh-keygen")
            .args(["-q", "-Y", "sign", "-n", "git", "-f"])
            .arg(keys.0.path().join("ours"))
            .arg(&text)
            .status();
        assert!(signed.expect("ssh-keygen runs").success());
        let signature = fs::read(keys.0.path().join("text.sig")).unwrap();
        check_refused(
            keys.verify(b"0123  a\n", Some(&signature)),
            "is not signed by anyone",
        );
    }

    #[test]
    fn a_key_that_cannot_be_used_at_night_is_named_with_the_reason() {
        let keys = Keys::new("");
        let key = keys.0.path().join("ours");
        let check = |expected: &str| {
            let error = SigningKey::new(key.clone()).sign(b"0123  a\n").unwrap_err();
            assert_eq!(error.kind(), FailureKind::Configuration);
            assert!(error.to_string().contains(expected), "{error}");
        };
        let mode = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(&key, mode(0o644)).unwrap();
        check("too open");
        fs::set_permissions(&key, mode(0o600)).unwrap();
        let changed = Command::new("ssh-keygen")
            .args(["-q", "-p", "-P", "", "-N", "secret", "-f"])
            .arg(&key)
            .stdout(Stdio::null())
            .status();
        assert!(changed.expect("ssh-keygen runs").success());
        check("incorrect passphrase");
    }

    #[test]
    fn an_agent_that_does_not_answer_is_not_waited_for() {
        let keys = Keys::new("");
        let socket = keys.0.path().join("agent");
        let _agent = UnixListener::bind(&socket).unwrap();
        let mut command = ssh_keygen("sign");
        command.arg("-f").arg(keys.0.path().join("ours.pub"));
        command.env("SSH_AUTH_SOCK", socket);
        let result = run(&mut command, b"0123  a\n", Duration::from_millis(500));
        assert!(matches!(result, Err(Error::Late)), "{result:?}");
    }

    #[test]
    fn a_key_or_a_list_that_is_not_there_is_named() {
        let key = SigningKey::new("/nonexistent/key".into());
        let error = key.sign(b"").unwrap_err();
        assert_eq!(error.kind(), FailureKind::Configuration);
        assert!(error.to_string().contains("/nonexistent/key"), "{error}");
        let allowed = AllowedSigners::new("/nonexistent/allowed".into());
        let error = allowed.verify("s", b"", Some(b"x")).unwrap_err();
        assert!(matches!(error, Error::Failed(_)), "{error}");
    }

    #[test]
    fn a_list_that_others_may_write_accepts_nobody() {
        let keys = Keys::new("");
        let signature = keys.sign("ours");
        let allowed = keys.0.path().join("allowed");
        let others_write = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        fs::set_permissions(allowed, others_write).unwrap();
        let error = keys.verify(b"0123  a\n", Some(&signature)).unwrap_err();
        assert!(matches!(error, Error::Failed(_)), "{error}");
    }

    #[test]
    fn every_file_must_be_in_the_signed_checksums_with_its_digest() {
        let digest = Sha256::of(b"a");
        let checksums = format!("{digest}  a\n{digest}  b\n");
        let check = |path: &str, content: &[u8], others: Option<&[&str]>| {
            let file = (path.parse().unwrap(), Sha256::of(content));
            let found = must_list("s", checksums.as_bytes(), [file]).ok();
            let others = others.map(|paths| paths.iter().map(|path| path.parse().unwrap()));
            assert_eq!(found, others.map(Iterator::collect), "{path}");
        };
        check("a", b"a", Some(&["b"]));
        check("a", b"other", None);
        check("c", b"a", None);
    }

    #[test]
    fn a_set_in_the_place_of_another_has_not_its_own_name() {
        let check = |directory: &str, is_own: bool| {
            let result = has_own_name(Path::new(directory), "daily/2026-11-23");
            assert_eq!(result.is_ok(), is_own, "{directory}");
        };
        check("/b/daily/2026-11-23", true);
        check("/b/daily/2026-11-24", false);
        check("/b/daily/2026-11-23.incomplete", false);
        check("/b/weekly/2026-week-47", false);
        check("/srv/pulled", true);
    }
}
