//! Which connection loads which table.
//!
//! Between two statements that need all others to be idle, tables are independent of each other.
//! The largest goes first, each to the connection that has least to do.

use std::collections::HashMap;

use super::found::TableKey;

/// A stretch of a dump between two statements that are run alone.
pub(super) type Stretch = u32;

/// How much is to be inserted into each table, by stretch.
#[derive(Clone, Debug, Default)]
pub(super) struct Weights(HashMap<(Stretch, TableKey), u64>);

/// The connection of each table, by stretch.
#[derive(Clone, Debug, Default)]
pub(super) struct Shares(HashMap<(Stretch, TableKey), usize>);

impl Weights {
    /// Adds a statement of `bytes` bytes.
    pub(super) fn add(&mut self, stretch: Stretch, table: TableKey, bytes: u64) {
        *self.0.entry((stretch, table)).or_default() += bytes;
    }

    /// Shares the tables among `connections`.
    pub(super) fn share(&self, connections: usize) -> Shares {
        let mut tables: Vec<_> = self.0.iter().collect();
        tables.sort_by(|(left, left_bytes), (right, right_bytes)| {
            left.0
                .cmp(&right.0)
                .then(right_bytes.cmp(left_bytes))
                .then(left.1.cmp(&right.1))
        });
        let mut shares = HashMap::with_capacity(tables.len());
        let (mut stretch, mut load_bytes) = (0, vec![0; connections]);
        for (key, bytes) in tables {
            if key.0 != stretch {
                (stretch, load_bytes) = (key.0, vec![0; connections]);
            }
            let least = (0..connections)
                .min_by_key(|connection| load_bytes[*connection])
                .unwrap_or(0);
            load_bytes[least] += bytes;
            shares.insert(key.clone(), least);
        }
        Shares(shares)
    }

    /// The most tables that can be loaded at the same time.
    pub(super) fn widest(&self) -> usize {
        let mut tables: HashMap<Stretch, usize> = HashMap::new();
        for (stretch, _) in self.0.keys() {
            *tables.entry(*stretch).or_default() += 1;
        }
        tables.into_values().max().unwrap_or(0)
    }
}

impl Shares {
    /// The connection that has `table` in `stretch`.
    pub(super) fn owner(&self, stretch: Stretch, table: &TableKey) -> usize {
        // Every table of the dump was seen when it was surveyed.
        self.0.get(&(stretch, table.clone())).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str) -> TableKey {
        ("d".to_owned(), name.to_owned())
    }

    #[test]
    fn the_largest_go_first_to_who_has_least_to_do() {
        let mut weights = Weights::default();
        for (name, bytes) in [("a", 1), ("b", 5), ("c", 3), ("d", 3), ("a", 1)] {
            weights.add(0, table(name), bytes);
        }
        weights.add(1, table("b"), 1);
        weights.add(1, table("e"), 9);
        let shares = weights.share(2);
        let owners = ["b", "c", "d", "a"].map(|name| shares.owner(0, &table(name)));
        assert_eq!(owners, [0, 1, 1, 0]);
        assert_eq!(["e", "b"].map(|name| shares.owner(1, &table(name))), [0, 1]);
        assert_eq!(weights.widest(), 4);
    }
}
