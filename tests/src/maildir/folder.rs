//! Maildir++ folders: finding them with their messages, and the control files that Dovecot keeps in
//! them.
#![expect(
    clippy::disallowed_methods,
    reason = "sample mail is written as Dovecot does it, not as a backup set is"
)]

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::dice::Dice;
use super::error::{Error, Result};
use super::moment::{Moment, stamp};
use super::name::MessageName;

/// Where in its folder a message lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// `cur/`: seen by a client.
    Cur,
    /// `new/`: delivered, not yet seen.
    New,
}

impl Place {
    /// The directory's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cur => "cur",
            Self::New => "new",
        }
    }
}

/// A message of a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Message {
    /// Which of the folder's directories holds it.
    pub place: Place,
    /// Its file name.
    pub name: MessageName,
}

/// A folder and its messages, sorted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// The directory that holds `cur`, `new` and `tmp`.
    pub path: PathBuf,
    /// What is in `cur` and `new`.
    pub messages: Vec<Message>,
}

impl Folder {
    /// The path of a message of this folder.
    #[must_use]
    pub fn path_of(&self, message: &Message) -> PathBuf {
        message_path(&self.path, message)
    }

    /// The mailbox that this folder belongs to: itself for the inbox, its parent for `.Sent` and
    /// the like.
    #[must_use]
    pub fn mailbox(&self) -> &Path {
        let is_inbox = !self
            .path
            .file_name()
            .unwrap_or_default()
            .as_encoded_bytes()
            .starts_with(b".");
        if is_inbox {
            &self.path
        } else {
            self.path.parent().unwrap_or(&self.path)
        }
    }
}

/// The path of a message of the folder at `folder`.
#[must_use]
pub fn message_path(folder: &Path, message: &Message) -> PathBuf {
    folder
        .join(message.place.name())
        .join(message.name.to_string())
}

/// Every folder under `dir`, sorted by path.
///
/// # Errors
/// When a directory cannot be read.
pub fn folders(dir: &Path) -> Result<Vec<Folder>> {
    let mut found = Vec::new();
    collect_folders(dir, &mut found)?;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn collect_folders(dir: &Path, found: &mut Vec<Folder>) -> Result<()> {
    let mut children = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::io("read directory", dir))? {
        let entry = entry.map_err(Error::io("read directory", dir))?;
        if entry
            .file_type()
            .map_err(Error::io("read type of", &entry.path()))?
            .is_dir()
        {
            children.push(entry.file_name());
        }
    }
    let has = |name: &str| children.iter().any(|child| child == OsStr::new(name));
    if has("cur") && has("new") {
        let mut messages = messages_in(dir, Place::Cur)?;
        messages.extend(messages_in(dir, Place::New)?);
        messages.sort();
        found.push(Folder {
            path: dir.to_owned(),
            messages,
        });
    }
    for child in children.iter().filter(|child| {
        !["cur", "new", "tmp"]
            .map(OsStr::new)
            .contains(&child.as_os_str())
    }) {
        collect_folders(&dir.join(child), found)?;
    }
    Ok(())
}

/// Names that are not UTF-8 are no messages of ours and are left alone.
fn messages_in(folder: &Path, place: Place) -> Result<Vec<Message>> {
    let dir = folder.join(place.name());
    let mut messages = Vec::new();
    for entry in fs::read_dir(&dir).map_err(Error::io("read directory", &dir))? {
        let entry = entry.map_err(Error::io("read directory", &dir))?;
        if let Some(name) = entry.file_name().to_str() {
            messages.push(Message {
                place,
                name: MessageName::parse(name),
            });
        }
    }
    Ok(messages)
}

/// The text of a `dovecot-uidlist` (version 3) that numbers these messages in order.
#[must_use]
pub fn uidlist<'a>(messages: impl IntoIterator<Item = &'a MessageName>) -> String {
    let mut lines = String::new();
    let mut next_uid = 1;
    for name in messages {
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "{next_uid} :{}", name.unique);
        next_uid += 1;
    }
    format!("3 V1700000000 N{next_uid} G0123456789abcdef0123456789abcdef\n{lines}")
}

/// Writes the folder's `dovecot-uidlist` under the lock's name and renames it, as Dovecot does.
///
/// # Errors
/// When it cannot be written.
pub fn write_uidlist<'a>(
    folder: &Path,
    messages: impl IntoIterator<Item = &'a MessageName>,
) -> Result<()> {
    let lock = folder.join("dovecot-uidlist.lock");
    write_file(&lock, uidlist(messages).as_bytes())?;
    let path = folder.join("dovecot-uidlist");
    fs::rename(&lock, &path).map_err(Error::io("rename", &path))
}

/// Writes the control files of a folder: uidlist, keywords and index log, all dated `moment`.
pub(super) fn write_control_files(
    folder: &Path,
    messages: &[MessageName],
    moment: Moment,
    dice: &mut Dice,
) -> Result<()> {
    write_uidlist(folder, messages)?;
    let keywords = folder.join("dovecot-keywords");
    write_file(&keywords, b"0 $Forwarded\n1 $Junk\n")?;
    let mut log = vec![0; 256 + (messages.len() * 24).min(32_768)];
    dice.fill(&mut log);
    let index_log = folder.join("dovecot.index.log");
    write_file(&index_log, &log)?;
    for name in ["dovecot-uidlist", "dovecot-keywords", "dovecot.index.log"] {
        stamp(&folder.join(name), moment)?;
    }
    Ok(())
}

/// Writes a file that only its owner may read, whatever the umask.
pub(super) fn write_file(path: &Path, content: &[u8]) -> Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(content))
        .map_err(Error::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uidlist_names_what_is_there() {
        let names = [
            MessageName::parse("17.M1P1.mx:2,S"),
            MessageName::parse("18.M1P1.mx"),
        ];
        let text = uidlist(&names);
        assert_eq!(
            text,
            "3 V1700000000 N3 G0123456789abcdef0123456789abcdef\n1 :17.M1P1.mx\n2 :18.M1P1.mx\n"
        );
    }

    #[test]
    fn folders_know_their_mailbox() {
        let folder = |path: &str| Folder {
            path: path.into(),
            messages: Vec::new(),
        };
        assert_eq!(
            folder("m/example.com/al").mailbox(),
            Path::new("m/example.com/al")
        );
        assert_eq!(
            folder("m/example.com/al/.Sent").mailbox(),
            Path::new("m/example.com/al")
        );
    }
}
