//! `--component`: which parts of the mail server are meant.

use std::str::FromStr;

use crate::set::{Component, UnknownComponent};

/// What one `--component` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComponentArg {
    /// `all`
    All,
    /// `mailboxes` (or `mail`), `mysql`, `config`, `ssl`, `dkim`
    One(Component),
}

impl ComponentArg {
    /// The components that are named, each once, in the order of [`Component::ALL`]; `None` where
    /// none or all are.
    #[must_use]
    pub fn named(args: &[Self]) -> Option<Vec<Component>> {
        if args.is_empty() || args.contains(&Self::All) {
            return None;
        }
        Some(
            Component::ALL
                .into_iter()
                .filter(|component| args.contains(&Self::One(*component)))
                .collect(),
        )
    }
}

impl FromStr for ComponentArg {
    type Err = UnknownComponent;

    fn from_str(text: &str) -> Result<Self, UnknownComponent> {
        match text {
            "all" => Ok(Self::All),
            _ => text.parse().map(Self::One),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_come_in_order_and_once() {
        let check = |args: &str, expected: Option<&[Component]>| {
            let args: Vec<ComponentArg> = args
                .split_whitespace()
                .map(|text| text.parse().unwrap())
                .collect();
            assert_eq!(ComponentArg::named(&args).as_deref(), expected);
        };
        check("", None);
        check("ssl all", None);
        check(
            "dkim mail mailboxes",
            Some(&[Component::Mailboxes, Component::Dkim]),
        );
        assert!("mails".parse::<ComponentArg>().is_err());
    }
}
