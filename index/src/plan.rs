//! Chooses how to search a shard.

/// A way to search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Compare every row.
    Exact,
    /// Walk the graph for so many rows a query.
    Ann {
        /// Rows wanted of each query: those asked for and those that will be left out.
        fetch: usize,
    },
}

/// How many times the rows fetched a shard must have for the graph to be worth walking.
const WORTHWHILE: usize = 10;

/// Chooses for `k` of `rows` rows, `excluded` of which will be left out.
///
/// Small shards are scanned, and so are those of which a good part would be fetched: a scan reads
/// memory in order, compares all queries at once, and misses nothing.
pub fn choose(rows: usize, k: usize, excluded: usize, exact_below: usize) -> Plan {
    let fetch = k.saturating_add(excluded);
    if k == 0 || rows < exact_below || rows < fetch.saturating_mul(WORTHWHILE) {
        Plan::Exact
    } else {
        Plan::Ann { fetch }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_shards_are_scanned() {
        assert_eq!(choose(19_999, 100, 0, 20_000), Plan::Exact);
        assert_eq!(choose(20_000, 100, 0, 20_000), Plan::Ann { fetch: 100 });
    }

    #[test]
    fn nothing_is_found_without_a_walk() {
        assert_eq!(choose(100_000, 0, 5, 0), Plan::Exact);
    }

    #[test]
    fn what_will_be_left_out_is_fetched_too() {
        assert_eq!(choose(100_000, 100, 50, 20_000), Plan::Ann { fetch: 150 });
    }

    #[test]
    fn a_shard_of_which_much_is_wanted_is_scanned() {
        assert_eq!(choose(100_000, 1_000, 9_001, 0), Plan::Exact);
        assert_eq!(choose(100_000, usize::MAX, 1, 0), Plan::Exact);
    }
}
