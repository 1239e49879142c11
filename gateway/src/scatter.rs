//! Searches every shard of a generation at once, and decodes what comes by the soft deadline into hits.

use std::collections::BTreeSet;

use proto::v1::{SearchRequest, ShardHits, ShardQuery, search_service_client::SearchServiceClient};
use tokio::time::Instant;
use tracing::debug;

use crate::{
    answer::{Coverage, Degraded},
    error::Error,
    exclusion::Exclusion,
    fanout::{self, Gathered},
    filter::Filter,
    hit::{Hit, Source},
    query::Query,
    replica::{ANSWER_BYTES, Failure},
    topology::Held,
    user_tower::Interests,
};

/// What the shards found.
#[derive(Debug)]
pub(crate) struct Scattered {
    /// The hits of each shard that answered, best first.
    pub(crate) lists: Vec<Vec<Hit>>,
    /// What was searched.
    pub(crate) coverage: Coverage,
    /// Why shards are missing.
    pub(crate) degraded: BTreeSet<Degraded>,
}

/// Searches all shards, each without the excluded items that it would hold.
///
/// A shard without an answer by `until` is a smaller answer, not an error.
///
/// # Errors
/// If no shard answered, or a member does not hold what it said it holds ([`Error::Stale`]).
pub(crate) async fn search(
    generation: &Held,
    interests: &Interests,
    exclusion: &Exclusion,
    query: &Query,
    until: Instant,
) -> Result<Scattered, Error> {
    let gathered = fanout::gather(generation, 0..generation.shards(), |member, shards| {
        let request = SearchRequest {
            generation: generation.manifest.id.clone(),
            interests: Some(interests.vectors.clone()),
            shards: shards
                .iter()
                .map(|&shard| ShardQuery {
                    shard,
                    exclude: exclusion.of(shard).to_vec(),
                })
                .collect(),
            k: query.k as u32,
            exact: query.exact,
            filter: query.filter.as_ref().map(Filter::to_wire),
            as_of: None,
        };
        async move {
            let answer = member
                .call(request, until, |channel, request| async {
                    SearchServiceClient::new(channel)
                        .max_decoding_message_size(ANSWER_BYTES)
                        .search(request)
                        .await
                })
                .await?;
            decode(answer.shards, &shards, interests)
        }
    })
    .await;
    cover(generation, gathered)
}

/// One shard's answer.
#[derive(Debug)]
struct Shard {
    hits: Vec<Hit>,
    eligible: u64,
    searched: u64,
    exact: bool,
    items: u64,
    fresh_items: u64,
    delta: u64,
}

/// Decodes one member's answer for the shards `asked`, which must come in that order.
fn decode(
    answered: Vec<ShardHits>,
    asked: &[u32],
    interests: &Interests,
) -> Result<Vec<Shard>, Failure> {
    let shards: Vec<_> = answered.iter().map(|shard| shard.shard).collect();
    if shards != asked {
        return Err(Failure::Malformed(format!(
            "shards {shards:?}, asked for {asked:?}"
        )));
    }
    let shards = answered.into_iter();
    shards.map(|shard| decode_shard(shard, interests)).collect()
}

fn decode_shard(shard: ShardHits, asked: &Interests) -> Result<Shard, Failure> {
    let number = shard.shard;
    let columns = [shard.ids.len(), shard.scores.len(), shard.interests.len()];
    if columns.iter().any(|&length| length != columns[0]) {
        return Err(Failure::Malformed(format!(
            "columns of {columns:?} entries for shard {number}"
        )));
    }
    let source = if shard.exact {
        Source::Exact
    } else {
        Source::Ann
    };
    let rows = shard.ids.iter().zip(&shard.scores).zip(&shard.interests);
    let mut hits: Vec<_> = rows
        .map(|((&id, &score), &row)| {
            let interest = asked.number(row).ok_or_else(|| {
                Failure::Malformed(format!("interest {row} of item {id} of shard {number}"))
            })?;
            Ok(Hit {
                id,
                score,
                interest,
                source,
            })
        })
        .collect::<Result<_, Failure>>()?;
    for &place in &shard.fresh {
        let hit = hits
            .get_mut(place as usize)
            .ok_or_else(|| Failure::Malformed(format!("fresh hit {place} of shard {number}")))?;
        hit.source = Source::Fresh;
    }
    if let Some(hit) = hits.iter().find(|hit| !hit.score.is_finite()) {
        return Err(Failure::Malformed(format!(
            "score {} of item {} of shard {number}",
            hit.score, hit.id
        )));
    }
    if !hits.is_sorted() {
        return Err(Failure::Malformed(format!(
            "hits of shard {number} that are not best first"
        )));
    }
    Ok(Shard {
        hits,
        eligible: shard.eligible,
        searched: shard.searched,
        exact: shard.exact,
        items: shard.items,
        fresh_items: shard.fresh_items,
        delta: shard.as_of,
    })
}

/// What shards without an answer mean for the whole.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    /// Why they are missing.
    pub(crate) degraded: BTreeSet<Degraded>,
    /// The first failure.
    pub(crate) first: Option<Error>,
}

impl Losses {
    /// Takes up why shards gave no answer.
    ///
    /// # Errors
    /// [`Error::Stale`] if a member does not hold what it said it holds.
    pub(crate) fn of(generation: &Held, lost: Vec<(u32, Failure)>) -> Result<Self, Error> {
        let id = &generation.manifest.id;
        let mut losses = Self::default();
        for (shard, failure) in lost {
            losses.degraded.insert(match failure {
                Failure::Late => Degraded::Deadline,
                _ => Degraded::ShardUnreachable,
            });
            match Error::of(&format!("shard {shard} of generation {id}"), failure) {
                stale @ Error::Stale { .. } => return Err(stale),
                error => {
                    debug!(generation = id, shard, cause = %error, "shard left out");
                    losses.first.get_or_insert(error);
                }
            }
        }
        Ok(losses)
    }
}

/// Sums up what the shards say they searched, and what the missing ones would have had to search.
///
/// A missing shard counts in full, for which excluded items it holds is not known: coverage may be
/// understated, never overstated.
fn cover(generation: &Held, gathered: Gathered<Vec<Shard>>) -> Result<Scattered, Error> {
    let mut coverage = Coverage {
        shards_total: generation.shards(),
        ..Coverage::default()
    };
    for (shard, _) in &gathered.lost {
        coverage.items_eligible += generation.shard_items(*shard);
        coverage.items_total += generation.shard_items(*shard);
    }
    let Losses { degraded, first } = Losses::of(generation, gathered.lost)?;

    let shards: Vec<_> = gathered.answers.into_iter().flatten().collect();
    coverage.shards_answered = shards.len() as u32;
    coverage.exact = !shards.is_empty() && shards.iter().all(|shard| shard.exact);
    for shard in &shards {
        coverage.items_eligible += shard.eligible;
        coverage.items_searched += shard.searched.min(shard.eligible);
        coverage.items_total += shard.items;
        coverage.items_fresh += shard.fresh_items;
    }
    coverage.delta = shards.iter().map(|shard| shard.delta).min().unwrap_or(0);
    match first {
        Some(failure) if shards.is_empty() => Err(failure),
        _ => Ok(Scattered {
            lists: shards.into_iter().map(|shard| shard.hits).collect(),
            coverage,
            degraded,
        }),
    }
}
