//! Whose entries are: applied by who may, else written down so that who may can do it later.

use std::fmt::Write as _;

use mail_common::relpath::RelPath;

use super::attributes::{Attributes, Owner};

/// What becomes of owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owners {
    /// They are applied; where that is not permitted, the restore fails.
    Apply,
    /// They are written down, since an ordinary user may not give files away.
    Record,
}

impl Owners {
    /// The owner to apply to an entry.
    pub(super) fn owner(self, attributes: &Attributes) -> Owner {
        (self == Self::Apply).then_some((attributes.uid, attributes.gid))
    }
}

/// Entries as `setfacl --restore` reads them, which sets owner, group and mode (getfacl(1)).
pub(crate) fn acl_text(entries: &[(RelPath, Attributes)]) -> String {
    entries
        .iter()
        .map(|(path, attributes)| acl_entry(path, attributes))
        .collect()
}

fn acl_entry(path: &RelPath, attributes: &Attributes) -> String {
    let mut text = String::from("# file: ");
    for &byte in path.as_bytes() {
        match byte {
            b'\\' | 0..=32 | 127.. => _ = write!(text, "\\{byte:03o}"),
            _ => text.push(char::from(byte)),
        }
    }
    let Attributes { mode, uid, gid, .. } = attributes;
    let special = [(0o4000, 's'), (0o2000, 's'), (0o1000, 't')];
    let flags: String = special
        .map(|(bit, letter)| if mode & bit == 0 { '-' } else { letter })
        .into_iter()
        .collect();
    let class = |shift: u32| {
        let bits = mode >> shift;
        [(4, 'r'), (2, 'w'), (1, 'x')]
            .map(|(bit, letter)| if bits & bit == 0 { '-' } else { letter })
    };
    let class = |shift| class(shift).into_iter().collect::<String>();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "\n# owner: {uid}\n# group: {gid}\n# flags: {flags}");
    let _ = writeln!(
        text,
        "user::{}\ngroup::{}\nother::{}\n",
        class(6),
        class(3),
        class(0)
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_as_getfacl_writes_it() {
        let attributes = Attributes {
            mode: 0o2750,
            uid: 5000,
            gid: 5001,
            ..Attributes::default()
        };
        let path = RelPath::new("example.com/a b\\ü").unwrap();
        let expected = "# file: example.com/a\\040b\\134\\303\\274\n\
                        # owner: 5000\n# group: 5001\n# flags: -s-\n\
                        user::rwx\ngroup::r-x\nother::---\n\n";
        assert_eq!(
            acl_text(&[(path.clone(), attributes.clone()), (path, attributes)]),
            expected.repeat(2)
        );
    }
}
