//! Searches a shard: what it was built with by the plan, what came since beside it.

use crate::{
    eligible::Eligible,
    error::Error,
    exact,
    hit::Hit,
    plan::{self, Plan, Strategy, Wanted},
    quantized::Quantized,
    shard::{
        Rows, Shard, TIERS,
        found::{Found, merge},
        query::Query,
    },
    tail::Sought,
};

impl<R: Rows> Shard<R> {
    /// Finds the best items that pass the filter and are not excluded, by the greatest score over the queries.
    ///
    /// Scores are dot products of the rows as they are, the same whichever way was searched. Every row that may be returned
    /// is compared if the query or the plan says so, and where the graph comes up with fewer than `min(k, eligible)`.
    ///
    /// # Errors
    /// If the vectors or the excluded ids are not as [`Query`] says, a vector is zero or not finite, or the shard cannot be
    /// seen as of the delta named.
    pub fn search(&self, query: &Query<'_>) -> Result<Found, Error> {
        let rows = self.rows.view();
        query.check(rows.dim())?;
        let (as_of, gone) = {
            let tail = self.tail();
            let as_of = tail.as_of(query.as_of)?;
            (as_of, tail.gone(as_of))
        };
        let old = rows.len() - gone.len();
        let eligible = Eligible::new(rows, &self.attributes, query.filter, query.exclude, gone);
        let count = match query.fresh_only {
            true => 0,
            false => eligible.count(rows.len()),
        };
        let k = query.k.min(count);
        let strategy = if query.exact {
            Strategy::Scan
        } else {
            self.strategy
        };
        let tier = if query.steady { TIERS } else { self.tier() };
        let wanted = self.wanted(query.vectors, k, &eligible);
        let mut plan = plan::choose(strategy, wanted);
        let mut hits = self.run(plan, query.vectors, k, &eligible, tier)?;
        if hits.len() < k {
            plan = plan::choose(Strategy::Scan, wanted);
            hits = self.run(plan, query.vectors, k, &eligible, tier)?;
        }
        let fresh = self.tail().search(&Sought {
            queries: query.vectors,
            k: query.k,
            exclude: query.exclude,
            filter: query.filter,
            as_of,
        });
        let (hits, places) = merge(hits, &fresh, query.k);
        Ok(Found {
            hits,
            eligible: (count + fresh.eligible) as u64,
            searched: (count + fresh.eligible) as u64,
            plan,
            fresh: places,
            rows: (old + fresh.rows) as u64,
            fresh_rows: fresh.rows as u64,
            as_of,
        })
    }

    /// What the plan depends on.
    fn wanted(&self, queries: &[f32], k: usize, eligible: &Eligible) -> Wanted {
        let rows = self.rows.view();
        let row_bytes = match &self.quantized {
            Some(_) => Quantized::row_bytes(rows.dim()),
            None => rows.dim() * size_of::<f32>(),
        };
        Wanted {
            rows: rows.len(),
            row_bytes,
            dim: rows.dim(),
            connectivity: self.connectivity,
            effort: self.effort,
            cells: self.quantized.as_ref().map_or(1, Quantized::cells),
            share: self.quantized.as_ref().map_or(1.0, Quantized::share),
            queries: queries.len() / rows.dim(),
            k,
            eligible: eligible.count(rows.len()),
            listed: matches!(eligible, Eligible::Only(..)),
            excluded: eligible.excluded(),
        }
    }

    /// Searches one way; only a walk may find fewer than there are.
    fn run(
        &self,
        plan: Plan,
        queries: &[f32],
        k: usize,
        eligible: &Eligible,
        tier: usize,
    ) -> Result<Vec<Hit>, Error> {
        let rows = self.rows.view();
        Ok(match (plan, &self.quantized, eligible) {
            _ if k == 0 => Vec::new(),
            (Plan::Graph { fetch }, ..) => self.walk(queries, k, fetch, eligible, tier)?,
            (Plan::Matches, _, Eligible::Only(matches, _)) => {
                exact::rank(rows, matches.iter().map(|row| row as usize), queries, k)
            }
            (Plan::Cells, Some(quantized), _) => {
                quantized.scan_cells(rows, queries, k, eligible, tier).hits
            }
            (_, Some(quantized), _) => quantized.scan(rows, queries, k, eligible),
            (_, None, _) => exact::scan_eligible(rows, queries, k, eligible),
        })
    }

    /// Walks the graph for every query and scores what comes up with all of them.
    fn walk(
        &self,
        queries: &[f32],
        k: usize,
        fetch: usize,
        eligible: &Eligible,
        tier: usize,
    ) -> Result<Vec<Hit>, Error> {
        let rows = self.rows.view();
        // A walk for more looks at as many as it wants.
        let fetch = match tier {
            0 => fetch,
            tier => fetch.max(self.effort).saturating_mul(1 << tier),
        };
        let mut candidates = Vec::new();
        for query in queries.chunks_exact(rows.dim()) {
            candidates.extend(self.graph.search(query, fetch)?);
        }
        candidates.sort_unstable();
        candidates.dedup();
        candidates.retain(|row| eligible.has(*row));
        Ok(exact::rank(rows, candidates.into_iter(), queries, k))
    }
}
