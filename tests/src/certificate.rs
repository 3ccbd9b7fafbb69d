//! Certificates with chosen names and dates, signed by a private authority or by themselves.
#![expect(
    clippy::disallowed_methods,
    reason = "certificates of a test are not stored files"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::{Timestamp, ToSpan};

/// What a certificate says.
#[derive(Clone, Debug)]
pub struct Certificate {
    names: Vec<String>,
    days: (i64, i64),
    signer: Signer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signer {
    Authority,
    Itself,
}

/// A directory with an authority and what it signed.
#[derive(Debug)]
pub struct Authority {
    dir: PathBuf,
}

impl Default for Certificate {
    fn default() -> Self {
        Self::for_names(&["DNS:mail.test", "DNS:localhost", "IP:127.0.0.1"])
    }
}

impl Certificate {
    /// For names such as `DNS:mail.test` or `IP:127.0.0.1`; valid from yesterday, for ninety days
    /// more.
    #[must_use]
    pub fn for_names(names: &[&str]) -> Self {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            names,
            days: (-1, 90),
            signer: Signer::Authority,
        }
    }

    /// Valid from `from` to `to`, in days after now; days before now are negative.
    #[must_use]
    pub fn valid(self, from: i64, to: i64) -> Self {
        Self {
            days: (from, to),
            ..self
        }
    }

    /// Signed by nobody else.
    #[must_use]
    pub fn self_signed(self) -> Self {
        Self {
            signer: Signer::Itself,
            ..self
        }
    }
}

impl Authority {
    /// Makes one in the directory `dir`.
    ///
    /// # Panics
    /// When openssl is not installed (`scripts/test` installs it).
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        fs::create_dir_all(dir).expect("a directory can be made");
        openssl(
            dir,
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=test-authority \
             -days 3650",
        );
        fs::rename(dir.join("privkey.pem"), dir.join("ca.key")).expect("openssl made a key");
        fs::rename(dir.join("out.pem"), dir.join("ca.pem")).expect("openssl made a certificate");
        Self {
            dir: dir.to_owned(),
        }
    }

    /// Its own certificate, in PEM: what a client must trust.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// Writes a certificate and its key, each in the place of what was there.
    ///
    /// # Panics
    /// With what openssl says when it cannot.
    pub fn issue(&self, wanted: &Certificate, certificate: &Path, key: &Path) {
        let dir = &self.dir;
        let names = wanted.names.join(",");
        let settings = format!(
            "[ca]\ndefault_ca = d\n[d]\ndatabase = index\nrand_serial = yes\nnew_certs_dir = .\ndefault_md = sha256\n\
             policy = p\nunique_subject = no\nx509_extensions = x\n[p]\ncommonName = supplied\n[x]\n\
             subjectAltName = {names}\nbasicConstraints = CA:FALSE\n"
        );
        fs::write(dir.join("settings"), settings).expect("a file can be written");
        fs::write(dir.join("index"), "").expect("a file can be written");
        openssl(
            dir,
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=test",
        );
        let signer = match wanted.signer {
            Signer::Authority => "-cert ca.pem -keyfile ca.key",
            Signer::Itself => "-selfsign -keyfile privkey.pem",
        };
        let (from, to) = (date_in(wanted.days.0), date_in(wanted.days.1));
        fs::rename(dir.join("out.pem"), dir.join("request.pem")).expect("openssl made a request");
        openssl(
            dir,
            &format!(
                "ca -batch -config settings {signer} -in request.pem -notext \
                 -startdate {from} -enddate {to}"
            ),
        );
        fs::copy(dir.join("out.pem"), certificate).expect("a certificate can be copied");
        fs::copy(dir.join("privkey.pem"), key).expect("a key can be copied");
        fs::set_permissions(key, fs::Permissions::from_mode(0o600))
            .expect("a key of ours can be closed");
    }
}

/// As openssl takes it: `20261123120000Z`.
fn date_in(days: i64) -> String {
    let time = Timestamp::now() + (days * 24).hours();
    time.strftime("%Y%m%d%H%M%SZ").to_string()
}

/// Its result is in `out.pem`, a new key in `privkey.pem`.
fn openssl(dir: &Path, arguments: &str) {
    let mut command = Command::new("openssl");
    command.args(arguments.split(' ')).args(["-out", "out.pem"]);
    if arguments.starts_with("req") {
        command.args(["-keyout", "privkey.pem"]);
    }
    let output = command.current_dir(dir).output().expect("openssl runs");
    assert!(
        output.status.success(),
        "openssl {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
