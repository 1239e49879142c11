//! Chooses how to search a shard.

/// Which way a shard is searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// The one that costs less, by what was measured.
    #[default]
    Auto,
    /// Always a scan.
    Scan,
    /// The cells that are near, if the shard is divided into cells.
    Cells,
    /// The graph, unless a good part of the shard is wanted.
    Graph,
}

/// A way to search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Compare every row.
    Scan,
    /// Compare the rows that may be returned, wherever they lie.
    Matches,
    /// Compare the rows of the cells that are near.
    Cells,
    /// Walk the graph for so many rows a query.
    Graph {
        /// Rows wanted of each query: those asked for and those that will be left out.
        fetch: usize,
    },
}

/// A shard, and what is wanted of it.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Rows of the shard.
    pub rows: usize,
    /// Bytes of a row that a scan reads.
    pub row_bytes: usize,
    /// Numbers of a vector.
    pub dim: usize,
    /// Neighbours of a node of the graph.
    pub connectivity: usize,
    /// Nodes that a walk looks at, at least.
    pub effort: usize,
    /// Cells that the rows are divided into; one is no division.
    pub cells: usize,
    /// The share of the rows that a search of the cells looks at for one query.
    pub share: f64,
    /// Queries.
    pub queries: usize,
    /// Rows to return.
    pub k: usize,
    /// Rows that may be returned.
    pub eligible: usize,
    /// Whether it is a list of rows that may be returned.
    pub listed: bool,
    /// Rows that may not although they pass the filter.
    pub excluded: usize,
}

/// How many times the rows fetched a shard must have for the graph to be worth walking.
const WORTHWHILE: usize = 10;

/// Chooses a way to search: the one that costs least of those that the strategy allows.
///
/// The graph is never walked for a good part of the shard: a scan reads memory in order, compares all queries at once, and
/// misses nothing.
pub fn choose(strategy: Strategy, wanted: Wanted) -> Plan {
    let fetch = wanted.fetch();
    let worthwhile = wanted.k > 0 && wanted.rows >= fetch.saturating_mul(WORTHWHILE);
    let ways = [
        (Plan::Scan, wanted.scan()),
        (Plan::Matches, wanted.matches()),
        (Plan::Cells, wanted.cells()),
        (Plan::Graph { fetch }, wanted.walk(fetch)),
    ];
    let divided = wanted.cells > 1 && wanted.k > 0;
    let compares = match strategy {
        Strategy::Auto | Strategy::Scan => true,
        Strategy::Cells => !divided,
        Strategy::Graph => !worthwhile,
    };
    let allowed = |plan: Plan| match plan {
        Plan::Scan => compares,
        Plan::Matches => compares && wanted.listed,
        Plan::Cells => divided && matches!(strategy, Strategy::Auto | Strategy::Cells),
        Plan::Graph { .. } => worthwhile && matches!(strategy, Strategy::Auto | Strategy::Graph),
    };
    let ways = ways.into_iter().filter(|(plan, _)| allowed(*plan));
    let least = ways.min_by(|a, b| a.1.total_cmp(&b.1));
    least.map_or(Plan::Scan, |(plan, _)| plan)
}

impl Plan {
    /// Whether every row that may be returned is compared.
    pub fn is_exact(self) -> bool {
        matches!(self, Self::Scan | Self::Matches)
    }
}

// Measured over 30,000 and 100,000 rows of 64 numbers, for 1 to 16 queries. Only the ratios matter, and they move less from
// machine to machine than the nanoseconds.
impl Wanted {
    /// Rows to fetch so that `k` are left.
    ///
    /// The excluded come on top, for what a user has seen is near. What does not pass the filter is anywhere: so many more as
    /// its share says, and a fifth, or all of it.
    fn fetch(&self) -> usize {
        let passing = self.eligible + self.excluded;
        let share = self.k as f64 * self.rows as f64 / passing.max(1) as f64;
        let all = self.k.saturating_add(self.rows - passing);
        all.min((1.2 * share) as usize)
            .saturating_add(self.excluded)
    }

    /// Nanoseconds of a scan: reading a row at 20 GB/s, and comparing it with each query.
    fn scan(&self) -> f64 {
        let numbers = (self.row_bytes * self.queries) as f64;
        self.rows as f64 * (0.05 * self.row_bytes as f64 + 0.004 * numbers)
    }

    /// Nanoseconds of comparing the rows that may be returned: each is fetched from somewhere in memory.
    fn matches(&self) -> f64 {
        let numbers = (self.dim * self.queries) as f64;
        self.eligible as f64 * (100.0 + 0.1 * numbers)
    }

    /// Nanoseconds of comparing every cell, and then the rows of those that are near: the more, the fewer may be returned.
    fn cells(&self) -> f64 {
        let numbers = (self.cells * self.dim * self.queries) as f64;
        let share = self.share * (self.queries * self.rows) as f64 / self.eligible.max(1) as f64;
        0.05 * numbers + 1.3 * share.min(1.0) * self.scan()
    }

    /// Nanoseconds of walking for every query: each node looked at has its neighbours fetched and compared.
    fn walk(&self, fetch: usize) -> f64 {
        let nodes = self.effort.max(fetch) as f64 * (self.connectivity * self.queries) as f64;
        nodes * (40.0 + self.dim as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARD: Wanted = Wanted {
        rows: 100_000,
        row_bytes: 76,
        dim: 64,
        connectivity: 32,
        effort: 256,
        cells: 1,
        share: 1.0,
        queries: 1,
        k: 100,
        eligible: 100_000,
        listed: true,
        excluded: 0,
    };

    fn auto(change: impl FnOnce(&mut Wanted)) -> Plan {
        plan(Strategy::Auto, change)
    }

    fn plan(strategy: Strategy, change: impl FnOnce(&mut Wanted)) -> Plan {
        let mut wanted = SHARD;
        change(&mut wanted);
        choose(strategy, wanted)
    }

    fn rows(rows: usize) -> impl FnOnce(&mut Wanted) {
        move |wanted| (wanted.rows, wanted.eligible) = (rows, rows)
    }

    #[test]
    fn small_shards_are_scanned_and_large_ones_walked() {
        assert_eq!(auto(rows(20_000)), Plan::Scan);
        assert_eq!(auto(rows(2_000_000)), Plan::Graph { fetch: 100 });
    }

    #[test]
    fn one_scan_for_several_interests_costs_less_than_as_many_walks() {
        assert_eq!(auto(rows(400_000)), Plan::Graph { fetch: 100 });
        let several = |wanted: &mut Wanted| {
            rows(400_000)(wanted);
            wanted.queries = 5;
        };
        assert_eq!(auto(several), Plan::Scan);
    }

    #[test]
    fn rows_of_more_bytes_are_walked_sooner() {
        assert_eq!(auto(|_| {}), Plan::Scan);
        assert_eq!(
            auto(|wanted| wanted.row_bytes = 256),
            Plan::Graph { fetch: 100 }
        );
    }

    #[test]
    fn cells_are_searched_where_few_rows_are_in_those_that_are_near() {
        let divided = |share: f64| auto(|wanted| (wanted.cells, wanted.share) = (316, share));
        assert_eq!(divided(0.02), Plan::Cells);
        assert_eq!(divided(0.9), Plan::Scan);
        let whole = plan(Strategy::Cells, |_| {});
        assert_eq!(whole, Plan::Scan);
        let divided = plan(Strategy::Cells, |wanted| wanted.cells = 316);
        assert_eq!(divided, Plan::Cells);
    }

    #[test]
    fn few_matches_are_compared_one_by_one_and_many_by_a_scan() {
        assert_eq!(auto(|wanted| wanted.eligible = 1_000), Plan::Matches);
        assert_eq!(auto(|wanted| wanted.eligible = 20_000), Plan::Scan);
        let unlisted = |wanted: &mut Wanted| (wanted.eligible, wanted.listed) = (1_000, false);
        assert_eq!(auto(unlisted), Plan::Scan);
    }

    #[test]
    fn a_strategy_that_is_set_holds() {
        assert_eq!(
            plan(Strategy::Graph, rows(2_000)),
            Plan::Graph { fetch: 100 }
        );
        assert_eq!(plan(Strategy::Scan, rows(10_000_000)), Plan::Scan);
    }

    #[test]
    fn what_will_be_left_out_is_fetched_too() {
        let graph = |eligible, excluded| {
            plan(Strategy::Graph, |wanted| {
                (wanted.eligible, wanted.excluded) = (eligible, excluded);
            })
        };
        assert_eq!(graph(99_700, 300), Plan::Graph { fetch: 400 });
        assert_eq!(graph(99_990, 0), Plan::Graph { fetch: 110 });
        assert_eq!(graph(50_000, 0), Plan::Graph { fetch: 240 });
        assert_eq!(graph(49_950, 50), Plan::Graph { fetch: 290 });
    }

    #[test]
    fn a_graph_is_not_walked_for_much_of_the_shard() {
        for k in [0, 10_001, usize::MAX] {
            assert_eq!(plan(Strategy::Graph, |wanted| wanted.k = k), Plan::Scan);
        }
        let rare = plan(Strategy::Graph, |wanted| wanted.eligible = 500);
        assert_eq!(rare, Plan::Matches);
        assert_eq!(
            plan(Strategy::Graph, |wanted| wanted.eligible = 0),
            Plan::Matches
        );
    }
}
