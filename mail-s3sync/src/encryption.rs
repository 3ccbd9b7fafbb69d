//! Encryption to public keys, in the format of the program `age` (<https://age-encryption.org/v1>).
//!
//! The private key is not needed to push, and is not on the mail server.

use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use age::x25519;
use mail_common::checksum::{Sha256, Sha256Writer};
use mail_common::failure::{Failure, FailureKind};
use mail_common::trusted;

use crate::store::{Body, LocalError};

/// Encrypted at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// `age` encrypts so much at a time, and adds a tag to each.
const AGE_PIECE_BYTES: u64 = 64 * 1024;
const AGE_TAG_BYTES: u64 = 16;

/// Who can read what is encrypted.
#[derive(Debug)]
pub(crate) struct Recipients {
    keys: Vec<Recipient>,
    text: String,
}

/// A public key: `age1...`.
#[derive(Clone)]
pub(crate) struct Recipient(x25519::Recipient);

/// Private keys, from a file as `age-keygen` writes it.
pub(crate) struct Identities(Vec<x25519::Identity>);

/// A file that was encrypted into a temporary one.
pub(crate) struct EncryptedFile {
    pub(crate) body: Body,
}

/// Encryption, or its way back, failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "encrypt {} into a temporary file in {}",
        path.display(),
        std::env::temp_dir().display()
    )]
    Encrypt { path: PathBuf, source: io::Error },
    #[error("decrypt: none of the keys in the identity file fits, or the file is damaged")]
    NoKey(#[source] age::DecryptError),
    #[error("read the identity file {}", path.display())]
    ReadIdentities { path: PathBuf, source: io::Error },
    #[error(
        "the identity file {} has no line that is a key of age-keygen (AGE-SECRET-KEY-1...)",
        path.display()
    )]
    NoIdentities { path: PathBuf },
    #[error(transparent)]
    Local(#[from] LocalError),
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Encrypt { source, .. } => FailureKind::of_io(source),
            // Found out before anything is written.
            Self::NoKey(_) => FailureKind::Usage,
            Self::ReadIdentities { .. } | Self::NoIdentities { .. } => FailureKind::Configuration,
            Self::Local(error) => error.kind(),
        }
    }
}

/// The text is not a public key. It is not repeated: people paste the private one by mistake.
#[derive(Debug, thiserror::Error)]
#[error("not a public key of age-keygen (age1...)")]
pub(crate) struct NotARecipient;

impl FromStr for Recipient {
    type Err = NotARecipient;

    fn from_str(text: &str) -> Result<Self, NotARecipient> {
        text.parse().map(Self).map_err(|_| NotARecipient)
    }
}

impl std::fmt::Debug for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Recipients {
    /// These keys; `None` when there is none.
    pub(crate) fn new(keys: &[Recipient]) -> Option<Self> {
        let mut texts: Vec<String> = keys.iter().map(|key| key.0.to_string()).collect();
        texts.sort();
        texts.dedup();
        (!keys.is_empty()).then(|| Self {
            keys: keys.to_vec(),
            text: texts.join(" "),
        })
    }

    /// The keys, sorted, a blank between them.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Encrypts `plain` into an unnamed temporary file, so that its digest is known before it is
    /// sent.
    pub(crate) fn encrypt(&self, name: &Path, mut plain: Body) -> Result<EncryptedFile, Error> {
        let failed = |source: io::Error| Error::Encrypt {
            path: name.to_owned(),
            source,
        };
        let keys = self.keys.iter().map(|key| &key.0 as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(keys)
            .map_err(|error| failed(io::Error::other(error)))?;
        let spool = Sha256Writer::new(tempfile::tempfile().map_err(failed)?);
        let mut stream = encryptor.wrap_output(spool).map_err(failed)?;
        while let Some(piece) = plain.next(PIECE_BYTES)? {
            stream.write_all(&piece).map_err(failed)?;
        }
        if plain.bytes() == 0 {
            plain.whole()?;
        }
        let (mut file, sha256, bytes) = stream.finish().map_err(failed)?.into_parts();
        file.rewind().map_err(failed)?;
        Ok(EncryptedFile {
            body: Body::new(name, Box::new(file), sha256, bytes),
        })
    }
}

impl Recipients {
    /// As much as `plain` would be when it is encrypted, within some bytes: a header of random
    /// length, and 16 bytes for each piece of 64 KiB. There is no content behind it.
    pub(crate) fn rehearse(&self, name: &Path, plain: &Body) -> Result<EncryptedFile, Error> {
        let empty = self.encrypt(name, Body::of_bytes("", ""))?.body.bytes();
        let pieces = plain.bytes().div_ceil(AGE_PIECE_BYTES).max(1);
        let bytes = empty + plain.bytes() + (pieces - 1) * AGE_TAG_BYTES;
        // Any digest will do that nothing else has.
        let stand_in = Sha256::of(format!("rehearsed {}", plain.sha256()).as_bytes());
        Ok(EncryptedFile {
            body: Body::new(name, Box::new(io::empty()), stand_in, bytes),
        })
    }
}

impl Identities {
    /// Reads the keys in the file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let text = trusted::read_to_string(path).map_err(|source| Error::ReadIdentities {
            path: path.to_owned(),
            source,
        })?;
        let keys: Vec<x25519::Identity> = text
            .lines()
            .filter_map(|line| line.trim().parse().ok())
            .collect();
        if keys.is_empty() {
            return Err(Error::NoIdentities {
                path: path.to_owned(),
            });
        }
        Ok(Self(keys))
    }

    /// What was encrypted. Its end is checked: a cut file is an error of the reader.
    pub(crate) fn decrypt(&self, encrypted: impl Read) -> Result<impl Read, Error> {
        let decryptor = age::Decryptor::new(encrypted).map_err(Error::NoKey)?;
        decryptor
            .decrypt(self.0.iter().map(|key| key as &dyn age::Identity))
            .map_err(Error::NoKey)
    }
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identities")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_common::checksum::Sha256;

    fn encrypted(to: &x25519::Identity, content: &[u8]) -> Vec<u8> {
        let recipients = Recipients::new(&[Recipient(to.to_public())]).unwrap();
        let file = recipients
            .encrypt(Path::new("x"), Body::of_bytes("x", content))
            .unwrap();
        file.body.whole().unwrap().to_vec()
    }

    #[test]
    fn what_is_encrypted_comes_back_to_the_right_key_alone() {
        let (right, wrong) = (x25519::Identity::generate(), x25519::Identity::generate());
        for content in [&b""[..], b"mail", &[7; 200_000]] {
            let sent = encrypted(&right, content);
            assert!(content.is_empty() || !sent.windows(content.len()).any(|part| part == content));
            let mut back = Vec::new();
            Identities(vec![wrong.clone(), right.clone()])
                .decrypt(&sent[..])
                .unwrap()
                .read_to_end(&mut back)
                .unwrap();
            assert_eq!(back, content);
            assert!(matches!(
                Identities(vec![wrong.clone()]).decrypt(&sent[..]),
                Err(Error::NoKey(_))
            ));
            let cut = &sent[..sent.len() - 1];
            let read = Identities(vec![right.clone()])
                .decrypt(cut)
                .map(Sha256::of_reader);
            assert!(!matches!(read, Ok(Ok(_))));
        }
    }

    #[test]
    fn damaged_content_is_not_encrypted() {
        let key = x25519::Identity::generate();
        let recipients = Recipients::new(&[Recipient(key.to_public())]).unwrap();
        let damaged = Body::new(Path::new("x"), Box::new(&b"X"[..]), Sha256::of(b"a"), 1);
        assert!(matches!(
            recipients.encrypt(Path::new("x"), damaged),
            Err(Error::Local(LocalError::Digest { .. }))
        ));
    }

    #[test]
    fn a_private_key_given_as_recipient_is_refused_and_not_shown() {
        let error = "AGE-SECRET-KEY-1ABC".parse::<Recipient>().unwrap_err();
        assert!(!error.to_string().contains("ABC"));
        assert!(Recipients::new(&[]).is_none());
    }
}
