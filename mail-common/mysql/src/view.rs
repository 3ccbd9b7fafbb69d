//! Views, in an order in which they can be made.

use crate::script::{StoredCode, name};

/// A view that can be made again.
pub(crate) struct View {
    pub(crate) name: String,
    pub(crate) columns: Vec<String>,
    pub(crate) code: StoredCode,
}

impl View {
    /// Whether its definition has `part` anywhere.
    pub(crate) fn names(&self, part: &str) -> bool {
        holds(&self.code.create, part)
    }
}

/// Puts views after those that they name. A circle, which a column's name can feign, is left to the
/// placeholders.
pub(crate) fn in_order_of_use(mut rest: Vec<View>) -> Vec<View> {
    let mut ordered = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let names: Vec<_> = rest.iter().map(|view| name(&view.name)).collect();
        let is_free = |view: &View| {
            let own = name(&view.name);
            names
                .iter()
                .all(|other| *other == own || !holds(body(&view.code.create), other))
        };
        let next = rest.iter().position(is_free).unwrap_or(0);
        ordered.push(rest.remove(next));
    }
    ordered
}

/// The text of a view without its own name.
fn body(create: &[u8]) -> &[u8] {
    const AS: &[u8] = b" AS ";
    let at = create.windows(AS.len()).position(|bytes| bytes == AS);
    at.map_or(create, |at| &create[at + AS.len()..])
}

fn holds(text: &[u8], part: &str) -> bool {
    text.windows(part.len())
        .any(|bytes| bytes == part.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_order(views: &[(&str, &str)], expected: &[&str]) {
        let code = |body: &str| StoredCode {
            create: format!("CREATE VIEW `x` AS {body}").into_bytes(),
            sql_mode: None,
            character_set_client: String::new(),
            collation_connection: String::new(),
            database_collation: None,
            time_zone: None,
        };
        let view = |(view, body): &(&str, &str)| View {
            name: (*view).to_owned(),
            columns: Vec::new(),
            code: code(body),
        };
        let order: Vec<_> = in_order_of_use(views.iter().map(view).collect())
            .into_iter()
            .map(|view| view.name)
            .collect();
        assert_eq!(order, expected);
    }

    #[test]
    fn views_come_after_those_they_use() {
        check_order(&[], &[]);
        check_order(
            &[
                ("a", "select 1 from `b`"),
                ("b", "select 1 from `c`"),
                ("c", "select 1"),
            ],
            &["c", "b", "a"],
        );
        check_order(
            &[("a", "select `b`.`x` from `b`"), ("b", "select 1 AS `a`")],
            &["a", "b"],
        );
    }
}
