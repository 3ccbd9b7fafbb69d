//! `--component`: which parts of the mail server are meant.

use std::str::FromStr;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser, ValueParserFactory};

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

/// A closed list: shells complete it, and a name that is not in it is refused with those that are.
impl ValueParserFactory for ComponentArg {
    type Parser = clap::builder::ValueParser;

    fn value_parser() -> Self::Parser {
        let names = Component::ALL.map(|component| match component {
            Component::Mailboxes => PossibleValue::new(component.name()).alias("mail"),
            _ => PossibleValue::new(component.name()),
        });
        let names = names.into_iter().chain([PossibleValue::new("all")]);
        PossibleValuesParser::new(names)
            .try_map(|name| name.parse::<Self>())
            .into()
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

    #[test]
    fn shells_know_every_component_and_the_command_line_takes_what_they_know() {
        let command = clap::Command::new("t")
            .arg(clap::Arg::new("component").value_parser(clap::value_parser!(ComponentArg)));
        let names = command
            .get_arguments()
            .next()
            .unwrap()
            .get_possible_values();
        let names: Vec<&str> = names.iter().map(PossibleValue::get_name).collect();
        assert_eq!(
            names,
            ["mailboxes", "mysql", "config", "ssl", "dkim", "all"]
        );
        for name in names.into_iter().chain(["mail"]) {
            let matches = command.clone().get_matches_from(["t", name]);
            let found = matches.get_one::<ComponentArg>("component");
            assert_eq!(found.copied(), name.parse().ok(), "{name}");
        }
    }
}
