//! The order in which dumps are loaded: a view needs what it names, also in another database.

use std::collections::BTreeSet;

use super::dump::Dump;
use super::error::Error;
use super::survey::Survey;

/// Puts dumps after those whose databases they name. A circle, which an alias can feign, keeps the
/// order of names.
pub(super) fn in_order(mut rest: Vec<(Dump, Survey)>) -> Result<Vec<(Dump, Survey)>, Error> {
    check_apart(&rest)?;
    let mut ordered = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let is_free = |at: &usize| {
            let needs = &rest[*at].1.found.mentioned;
            let others = rest.iter().enumerate().filter(|(other, _)| other != at);
            others
                .into_iter()
                .all(|(_, (_, survey))| survey.found.databases.is_disjoint(needs))
        };
        let next = (0..rest.len()).find(is_free).unwrap_or(0);
        ordered.push(rest.remove(next));
    }
    Ok(ordered)
}

/// Two dumps of one database cannot both be what it shall hold.
fn check_apart(dumps: &[(Dump, Survey)]) -> Result<(), Error> {
    for (at, (first, survey)) in dumps.iter().enumerate() {
        for (second, other) in &dumps[at + 1..] {
            if let Some(database) = survey
                .found
                .databases
                .intersection(&other.found.databases)
                .next()
            {
                let (first, second) = (first.path.clone(), second.path.clone());
                return Err(Error::Twice {
                    database: database.clone(),
                    first,
                    second,
                });
            }
        }
    }
    Ok(())
}

/// All databases that the dumps concern.
pub(super) fn databases(dumps: &[(Dump, Survey)]) -> BTreeSet<String> {
    dumps
        .iter()
        .flat_map(|(_, survey)| survey.found.databases.iter().cloned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::databases::route::{Found, Rules};
    use crate::databases::share::Weights;
    use crate::databases::survey::Footer;
    use mail_common::relpath::RelPath;

    fn dump(name: &str, databases: &[&str], mentioned: &[&str]) -> (Dump, Survey) {
        let set = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let path = RelPath::new(format!("mysql/{name}.sql")).unwrap();
        let found = Found {
            databases: set(databases),
            mentioned: set(mentioned),
            ..Found::default()
        };
        let survey = Survey {
            rules: Rules::Stock(name.to_owned()),
            found,
            footer: Footer::Stock,
            statements: 1,
            longest_bytes: 1,
            bytes: 1,
            weights: Weights::default(),
        };
        (
            Dump {
                path,
                file: "x".into(),
                stem: name.to_owned(),
                recorded: None,
            },
            survey,
        )
    }

    #[track_caller]
    fn check(dumps: Vec<(Dump, Survey)>, expected: &[&str]) {
        let ordered: Vec<_> = in_order(dumps)
            .unwrap()
            .into_iter()
            .map(|(dump, _)| dump.stem)
            .collect();
        assert_eq!(ordered, expected);
    }

    #[test]
    fn what_is_named_comes_first() {
        let dumps = vec![
            dump("a", &["a"], &["c", "a"]),
            dump("b", &["b"], &[]),
            dump("c", &["c"], &["b", "x"]),
        ];
        check(dumps, &["b", "c", "a"]);
        check(
            vec![dump("a", &["a"], &["b"]), dump("b", &["b"], &["a"])],
            &["a", "b"],
        );
    }

    #[test]
    fn two_dumps_of_one_database_are_refused() {
        let error =
            in_order(vec![dump("all", &["a", "b"], &[]), dump("b", &["b"], &[])]).unwrap_err();
        assert!(matches!(error, Error::Twice { database, .. } if database == "b"));
    }
}
