//! Names of messages in a Maildir: `TIME.MmicrosPpid.host,S=size,W=vsize:2,FLAGS`.

use std::fmt;

/// Letters that stand for flags, in the order in which a name has them.
pub const FLAGS: &str = "DFPRST";

/// A message's file name: the unique name, and the info part where a client has seen the message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageName {
    /// The part before `:2,`, which stays the same for the life of the message.
    pub unique: String,
    /// The flags after `:2,`; none for a message in `new/`.
    pub flags: Option<String>,
}

impl MessageName {
    /// The name of a message that no client has seen.
    #[must_use]
    pub fn unseen(unique: impl Into<String>) -> Self {
        Self {
            unique: unique.into(),
            flags: None,
        }
    }

    /// Takes a file name apart.
    #[must_use]
    pub fn parse(name: &str) -> Self {
        match name.split_once(":2,") {
            Some((unique, flags)) => Self {
                unique: unique.to_owned(),
                flags: Some(flags.to_owned()),
            },
            None => Self::unseen(name),
        }
    }

    /// The same message with `flag` set where it was not, and cleared where it was.
    #[must_use]
    pub fn toggled(&self, flag: char) -> Self {
        let old = self.flags.as_deref().unwrap_or_default();
        let mut flags: Vec<char> = old.chars().filter(|&f| f != flag).collect();
        if flags.len() == old.chars().count() {
            flags.push(flag);
        }
        flags.sort_unstable();
        Self {
            unique: self.unique.clone(),
            flags: Some(flags.into_iter().collect()),
        }
    }

    /// The same message as a client has seen it, with `flag` set.
    #[must_use]
    pub fn with(&self, flag: char) -> Self {
        match self.has(flag) {
            true => self.clone(),
            false => self.toggled(flag),
        }
    }

    /// Whether `flag` is set.
    #[must_use]
    pub fn has(&self, flag: char) -> bool {
        self.flags
            .as_deref()
            .is_some_and(|flags| flags.contains(flag))
    }

    /// The delivery time in the name, in seconds; 0 where the name has none.
    #[must_use]
    pub fn delivered_seconds(&self) -> i64 {
        self.unique
            .split('.')
            .next()
            .and_then(|time| time.parse().ok())
            .unwrap_or(0)
    }
}

impl fmt::Display for MessageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.unique)?;
        match &self.flags {
            Some(flags) => write!(f, ":2,{flags}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_toggled_in_order() {
        let check = |name: &str, flag, expected: &str| {
            assert_eq!(MessageName::parse(name).toggled(flag).to_string(), expected);
        };
        check("17.M1P2.mx,S=3,W=4", 'S', "17.M1P2.mx,S=3,W=4:2,S");
        check("17.M1P2.mx:2,RS", 'F', "17.M1P2.mx:2,FRS");
        check("17.M1P2.mx:2,FRS", 'R', "17.M1P2.mx:2,FS");
        check("17.M1P2.mx:2,S", 'S', "17.M1P2.mx:2,");
    }

    #[test]
    fn the_time_of_delivery_is_in_the_name() {
        assert_eq!(
            MessageName::parse("1767225600.M1P2.mx:2,S").delivered_seconds(),
            1_767_225_600
        );
        assert_eq!(MessageName::parse("odd").delivered_seconds(), 0);
    }
}
