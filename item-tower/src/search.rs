//! Searches shards of one held generation, where the size of the work says: here or on the pool.

use std::{collections::BTreeSet, sync::Arc};

use generation::partition;
use index::{
    filter::Filter,
    shard::{self, Found},
};
use service::{blocking::Blocking, deadline::Deadline};
use tokio::time::timeout;

use crate::{
    error::Error,
    metrics,
    shards::{held::Held, snapshot::Snapshot},
};

/// The most query vectors of one search.
pub(crate) const INTERESTS_LIMIT: usize = 16;
/// The most items asked of a shard.
pub(crate) const K_LIMIT: usize = 1_000;
/// The most vectors of one call.
const VECTORS_LIMIT: usize = 2_048;
/// Products that a scan does in place, off the pool. A shard's 592,000 (5 interests of 64 dimensions, rows in 8 bits) took 41 to 49 us
/// on one core with AVX-512 VNNI, which is `floor_us_search_3k7` of `make bench-gateway` over its two shards.
const IN_PLACE_PRODUCTS: usize = 800_000;

/// A search that is whole in itself; [`Query::check`] holds it against a generation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Query {
    /// The generation, named.
    pub(crate) generation: String,
    /// The embedding space of the vectors.
    pub(crate) space: String,
    /// The length of a vector.
    pub(crate) dim: usize,
    /// `[interests, dim]`, finite.
    pub(crate) interests: Vec<f32>,
    /// Shards, each once, and the items of each to leave out, ascending.
    pub(crate) shards: Vec<(u32, Vec<u64>)>,
    /// How many items a shard.
    pub(crate) k: usize,
    /// What the items must be; all, if it is none.
    pub(crate) filter: Option<Filter>,
    /// Compare every item that may be returned.
    pub(crate) exact: bool,
    /// See the catalog as of this delta; as it is, if it is none.
    pub(crate) as_of: Option<u64>,
    /// Find only items that came since the generation was made.
    pub(crate) fresh_only: bool,
    /// Look as hard as ever.
    pub(crate) steady: bool,
}

/// What one shard found.
#[derive(Clone, Debug)]
pub(crate) struct ShardFound {
    /// The shard's number.
    pub(crate) shard: u32,
    /// Its answer.
    pub(crate) found: Found,
}

/// Runs `query` on the generation it names; shards answer in the order asked, all as of one delta.
///
/// # Errors
/// If the generation or a shard is not held, the vectors are of another space or length, or the delta to see is folded into
/// the generation or does not come by `deadline`.
pub(crate) async fn search(
    mut query: Query,
    snapshot: &Snapshot,
    blocking: &Blocking,
    deadline: Deadline,
) -> Result<Vec<ShardFound>, Error> {
    let held = Arc::clone(snapshot.get(&query.generation)?);
    query.check(&held)?;
    query.as_of = Some(as_of(&held, query.as_of, deadline).await?);
    let query = Arc::new(query);
    let found = if query.products(&held) <= IN_PLACE_PRODUCTS {
        blocking.run_here(|| query.run(&held))?
    } else {
        let (query, held) = (Arc::clone(&query), Arc::clone(&held));
        blocking.run(move || query.run(&held)).await??
    };
    for shard in &found {
        metrics::searched(shard.found.plan);
    }
    if held.meter.is_due() {
        let exact = found.iter().filter(|found| found.found.plan.is_exact());
        exact.for_each(|found| metrics::measured(found.shard, 1.0));
        let blocking = blocking.clone();
        let missing = found.iter().filter(|found| !found.found.plan.is_exact());
        let missing: Vec<ShardFound> = missing.cloned().collect();
        tokio::spawn(async move { blocking.run(move || query.measure(&held, &missing)).await });
    }
    Ok(found)
}

/// The items of `ids` that there are, and their vectors, `[items, dim]`.
///
/// # Errors
/// [`Error::Field`] if there are too many, [`Error::ShardNotHeld`] if one is of a shard that is not held, [`Error::AsOf`] if the shards
/// cannot be seen as of the delta by `deadline`.
pub(crate) async fn vectors(
    held: &Held,
    ids: &[u64],
    asked: Option<u64>,
    deadline: Deadline,
) -> Result<(Vec<u64>, Vec<f32>), Error> {
    if ids.len() > VECTORS_LIMIT {
        return Err(Error::Field {
            field: "ids",
            description: format!("has {}, may have at most {VECTORS_LIMIT}", ids.len()),
        });
    }
    let as_of = Some(as_of(held, asked, deadline).await?);
    let shards = held.manifest.partitioner.shards;
    let mut vectors = Vec::with_capacity(ids.len() * held.manifest.dim);
    let mut found = Vec::with_capacity(ids.len());
    for &id in ids {
        let shard = held.shard(partition::shard_of(id, shards))?;
        if shard.vector(id, as_of, &mut vectors)? {
            found.push(id);
        }
    }
    Ok((found, vectors))
}

/// The delta to see, once the shards have it.
async fn as_of(held: &Held, asked: Option<u64>, deadline: Deadline) -> Result<u64, Error> {
    let Some(asked) = asked else {
        return Ok(held.delta());
    };
    let first = held.manifest.updates_from;
    // In time to say so.
    let patience = deadline.remaining().mul_f64(0.9);
    if asked < first || timeout(patience, held.reaches(asked)).await.is_err() {
        return Err(Error::AsOf {
            generation: held.manifest.id.clone(),
            asked,
            first,
            last: held.delta(),
        });
    }
    Ok(asked)
}

impl Query {
    /// Checks what the query says of itself.
    ///
    /// # Errors
    /// [`Error::Field`] for the first field out of its bounds.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let count = match self.dim {
            0 => 0,
            dim => self.interests.len() / dim,
        };
        let numbers: BTreeSet<u32> = self.shards.iter().map(|(shard, _)| *shard).collect();
        let ascending = |ids: &[u64]| ids.is_sorted_by(|a, b| a < b);
        let rules: [(&'static str, bool, &dyn Fn() -> String); 7] = [
            ("generation", !self.generation.is_empty(), &|| {
                "must be named".to_owned()
            }),
            ("interests", (1..=INTERESTS_LIMIT).contains(&count), &|| {
                format!("has {count} vectors, must have 1 to {INTERESTS_LIMIT}")
            }),
            (
                "interests.f32",
                self.interests.chunks(self.dim.max(1)).all(comparable),
                &|| "has a vector that is zero or not finite".to_owned(),
            ),
            ("k", (1..=K_LIMIT).contains(&self.k), &|| {
                format!("is {}, must be 1 to {K_LIMIT}", self.k)
            }),
            ("shards", !self.shards.is_empty(), &|| {
                "must name a shard".to_owned()
            }),
            ("shards", numbers.len() == self.shards.len(), &|| {
                "names a shard twice".to_owned()
            }),
            (
                "shards.exclude",
                self.shards.iter().all(|(_, ids)| ascending(ids)),
                &|| "must be ascending, each id once".to_owned(),
            ),
        ];
        match rules.iter().find(|(_, holds, _)| !holds) {
            None => Ok(()),
            Some((field, _, description)) => Err(Error::Field {
                field,
                description: description(),
            }),
        }
    }

    /// Checks the query against the generation it names.
    fn check(&self, held: &Held) -> Result<(), Error> {
        let manifest = &held.manifest;
        if self.space != manifest.space {
            return Err(Error::SpaceMismatch {
                generation: manifest.id.clone(),
                asked: self.space.clone(),
                held: manifest.space.clone(),
            });
        }
        if self.dim != manifest.dim {
            return Err(Error::Field {
                field: "interests.dim",
                description: format!("is {}, the generation has {}", self.dim, manifest.dim),
            });
        }
        self.shards
            .iter()
            .try_for_each(|(shard, _)| held.shard(*shard).map(drop))
    }

    /// At most how many products of floats the search does: those of a scan.
    fn products(&self, held: &Held) -> usize {
        let rows: usize = self
            .shards
            .iter()
            .filter_map(|(shard, _)| held.shards.get(shard))
            .map(|shard| shard.len() + shard.changed())
            .sum();
        rows.saturating_mul(self.interests.len())
    }

    /// Searches again where something may have been missed, counts what was, and lets searches look as hard as that asks for.
    fn measure(&self, held: &Held, found: &[ShardFound]) {
        let exactly = Self {
            exact: true,
            ..self.clone()
        };
        for ShardFound { shard, found } in found {
            let asked = self.shards.iter().find(|(number, _)| number == shard);
            let exclude = asked.map_or(&[][..], |(_, exclude)| exclude);
            let Ok(truth) = exactly.search(held, *shard, exclude) else {
                continue;
            };
            let harder = held.meter.count(*shard, found, &truth);
            metrics::measured(*shard, held.meter.recall(*shard).recall);
            if harder && let Some(opened) = held.shards.get(shard) {
                opened.set_tier(opened.tier() + 1);
            }
        }
    }

    fn run(&self, held: &Held) -> Result<Vec<ShardFound>, Error> {
        let shards = self.shards.iter().map(|(shard, exclude)| {
            Ok(ShardFound {
                shard: *shard,
                found: self.search(held, *shard, exclude)?,
            })
        });
        shards.collect()
    }

    fn search(&self, held: &Held, shard: u32, exclude: &[u64]) -> Result<Found, Error> {
        Ok(held.shard(shard)?.search(&shard::Query {
            vectors: &self.interests,
            k: self.k,
            exclude,
            filter: self.filter.as_ref(),
            exact: self.exact,
            as_of: self.as_of,
            fresh_only: self.fresh_only,
            steady: self.steady,
        })?)
    }
}

/// Whether a vector has a length that is finite and not zero.
pub(crate) fn comparable(vector: &[f32]) -> bool {
    let squared: f32 = vector.iter().map(|value| value * value).sum();
    squared.is_finite() && squared > 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query() -> Query {
        Query {
            generation: "g".to_owned(),
            space: "s".to_owned(),
            dim: 2,
            interests: vec![1.0, 0.0],
            shards: vec![(0, vec![1, 5]), (1, Vec::new())],
            k: 10,
            filter: None,
            exact: false,
            as_of: None,
            fresh_only: false,
            steady: false,
        }
    }

    #[test]
    fn a_whole_query_is_taken() {
        assert!(query().validate().is_ok());
    }

    #[test]
    fn numbers_at_their_limits_are_taken_and_one_more_is_refused() {
        let check = |k: usize, interests: usize| {
            let query = Query {
                k,
                interests: vec![0.5; 2 * interests],
                ..query()
            };
            query.validate().map_err(|refused| refused.to_string())
        };
        assert_eq!(check(1_000, 16), Ok(()));
        let many = "k: is 1001, must be 1 to 1000";
        assert_eq!(check(1_001, 16), Err(many.to_owned()));
        let many = "interests: has 17 vectors, must have 1 to 16";
        assert_eq!(check(1_000, 17), Err(many.to_owned()));
    }

    #[test]
    fn a_field_out_of_bounds_is_named() {
        type Change = fn(&mut Query);
        let cases: [(&str, Change); 11] = [
            ("generation:", |q| q.generation.clear()),
            ("interests:", |q| q.interests.clear()),
            ("interests:", |q| q.interests = vec![0.5; 34]),
            ("interests.f32:", |q| q.interests[1] = f32::NAN),
            ("interests.f32:", |q| q.interests[0] = 0.0),
            ("interests.f32:", |q| q.interests[0] = f32::MAX),
            ("k:", |q| q.k = 0),
            ("k:", |q| q.k = K_LIMIT + 1),
            ("shards:", |q| q.shards.clear()),
            ("shards:", |q| q.shards[1].0 = 0),
            ("shards.exclude:", |q| q.shards[0].1 = vec![5, 1]),
        ];
        for (field, change) in cases {
            let mut query = query();
            change(&mut query);
            let refused = query.validate().map_err(|cause| cause.to_string());
            assert!(
                refused
                    .as_ref()
                    .is_err_and(|cause| cause.starts_with(field)),
                "{field} {refused:?}"
            );
        }
    }
}
