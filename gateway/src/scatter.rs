//! Searches every shard of a generation at once, and merges what comes by the soft deadline.

use std::collections::BTreeSet;

use proto::v1::{SearchRequest, ShardHits, ShardQuery, search_service_client::SearchServiceClient};
use tokio::time::Instant;
use tracing::debug;

use crate::{
    answer::{Coverage, Degraded},
    budget::Budget,
    error::Error,
    exclusion::Exclusion,
    failure::Failure,
    fanout::{self, Gathered},
    filter::Filter,
    hit::{Hit, Source},
    merge::merge,
    replica::ANSWER_BYTES,
    shard_k::shard_k,
    topology::Held,
    user_tower::Interests,
};

/// What to search for, in all shards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Search<'a> {
    /// The vectors to be near to; at least one.
    pub(crate) interests: &'a Interests,
    /// Items to leave out.
    pub(crate) exclusion: &'a Exclusion,
    /// What the items must be; all, if it is none.
    pub(crate) filter: Option<&'a Filter>,
    /// How many items.
    pub(crate) k: usize,
    /// Compare every item that may be returned.
    pub(crate) exact: bool,
    /// Find only items that came since the generation was made.
    pub(crate) fresh_only: bool,
    /// See the catalog as of this delta; as it is, if it is none.
    pub(crate) as_of: Option<u64>,
    /// Look as hard as ever, so that the same search finds the same again.
    pub(crate) steady: bool,
}

/// What the shards found.
#[derive(Debug)]
pub(crate) struct Scattered {
    /// The best hits of all shards that answered, best first.
    pub(crate) hits: Vec<Hit>,
    /// What was searched.
    pub(crate) coverage: Coverage,
    /// Why shards are missing.
    pub(crate) degraded: BTreeSet<Degraded>,
    /// The last delta that any answering shard had taken up.
    pub(crate) newest: u64,
}

/// Searches all shards for the best items, each without the excluded items that it would hold.
///
/// Of many shards each is asked for fewer, as many as it almost surely has of the best; one whose every hit is among the best may have
/// more of them, and is asked for all. So the answer is the same as if every shard had been. A shard without an answer by the soft
/// deadline is a smaller answer, not an error.
///
/// # Errors
/// If no shard answered, or a member does not hold what it said it holds ([`Error::Stale`]).
pub(crate) async fn search(
    generation: &Held,
    search: Search<'_>,
    budget: &Budget,
) -> Result<Scattered, Error> {
    let mut asking = Asking {
        generation,
        search,
        until: budget.search,
    };
    let k = search.k;
    let asked = shard_k(k, generation.shards());
    let Gathered { answers, lost } = asking.ask(0..generation.shards(), asked).await;
    let mut shards: Vec<Shard> = answers.into_iter().flatten().collect();
    let mut losses = Losses::of(generation, lost)?;
    let mut hits = merged(&shards, k);
    let more: Vec<u32> = shards
        .iter()
        .filter(|shard| shard.may_have_more(asked, k, &hits))
        .map(|shard| shard.number)
        .collect();
    if !more.is_empty() {
        asking.until = budget.again;
        let Gathered { answers, lost } = asking.ask(more, k).await;
        // Where nothing comes, what was found before counts, and the answer says that it may be worse.
        losses.add(Losses::of(generation, lost)?);
        for again in answers.into_iter().flatten() {
            shards.retain(|shard| shard.number != again.number);
            shards.push(again);
        }
        hits = merged(&shards, k);
    }
    match losses.first.take() {
        Some(failure) if shards.is_empty() => Err(failure),
        _ => Ok(Scattered {
            hits,
            coverage: cover(generation, &shards),
            newest: shards.iter().map(|shard| shard.delta).max().unwrap_or(0),
            degraded: losses.degraded,
        }),
    }
}

fn merged(shards: &[Shard], k: usize) -> Vec<Hit> {
    merge(shards.iter().map(|shard| shard.hits.as_slice()), k)
}

/// A search that is the same for every member.
struct Asking<'a> {
    generation: &'a Held,
    search: Search<'a>,
    until: Instant,
}

impl Asking<'_> {
    /// Asks each of the shards for its best `k`.
    async fn ask(&self, shards: impl IntoIterator<Item = u32>, k: usize) -> Gathered<Vec<Shard>> {
        let pace = &self.generation.calls.search;
        fanout::gather(
            self.generation,
            pace,
            self.until,
            shards,
            |member, shards| {
                let request = self.request(&shards, k);
                async move {
                    let answer = member
                        .call(request, self.until, |channel, request| async {
                            SearchServiceClient::new(channel)
                                .max_decoding_message_size(ANSWER_BYTES)
                                .search(request)
                                .await
                        })
                        .await?;
                    decode(answer.shards, &shards, self.search.interests)
                }
            },
        )
        .await
    }

    fn request(&self, shards: &[u32], k: usize) -> SearchRequest {
        let shards = shards.iter().map(|&shard| ShardQuery {
            shard,
            exclude: self.search.exclusion.of(shard).to_vec(),
        });
        SearchRequest {
            generation: self.generation.manifest.id.clone(),
            interests: Some(self.search.interests.vectors.clone()),
            shards: shards.collect(),
            k: k as u32,
            exact: self.search.exact,
            filter: self.search.filter.map(Filter::to_wire),
            as_of: self.search.as_of,
            fresh_only: self.search.fresh_only,
            steady: self.search.steady,
        }
    }
}

/// One shard's answer.
#[derive(Debug)]
struct Shard {
    number: u32,
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
        number,
        hits,
        eligible: shard.eligible,
        searched: shard.searched,
        exact: shard.exact,
        items: shard.items,
        fresh_items: shard.fresh_items,
        delta: shard.as_of,
    })
}

/// Takes what a further search found, which the answer can do without: where it found nothing, `degraded` says why.
///
/// # Errors
/// [`Error::Stale`] if a member does not hold what it said it holds.
pub(crate) fn spare<T>(
    found: Result<T, Error>,
    degraded: &mut BTreeSet<Degraded>,
) -> Result<Option<T>, Error> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_stale() => Err(error),
        Err(error) => {
            debug!(cause = %error, "the answer goes without a further search");
            degraded.insert(match error {
                Error::Late { .. } => Degraded::Deadline,
                _ => Degraded::ShardUnreachable,
            });
            Ok(None)
        }
    }
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

    /// Takes up more of them.
    pub(crate) fn add(&mut self, more: Self) {
        self.degraded.extend(more.degraded);
        self.first = self.first.take().or(more.first);
    }
}

impl Shard {
    /// Whether the shard, asked for `asked` of `k` hits, may have more that belong to the `best`: it has more, and all that it gave are.
    fn may_have_more(&self, asked: usize, k: usize, best: &[Hit]) -> bool {
        let cut = asked < k && self.hits.len() == asked && self.eligible > asked as u64;
        cut && (best.len() < k || self.hits.last() <= best.last())
    }
}

/// Sums up what the shards say they searched, and what the missing ones would have had to search.
///
/// A missing shard counts in full, for which excluded items it holds is not known: coverage may be
/// understated, never overstated.
fn cover(generation: &Held, shards: &[Shard]) -> Coverage {
    let mut coverage = Coverage {
        shards_total: generation.shards(),
        shards_answered: shards.len() as u32,
        exact: !shards.is_empty() && shards.iter().all(|shard| shard.exact),
        delta: shards.iter().map(|shard| shard.delta).min().unwrap_or(0),
        ..Coverage::default()
    };
    for shard in shards {
        coverage.items_eligible += shard.eligible;
        coverage.items_searched += shard.searched.min(shard.eligible);
        coverage.items_total += shard.items;
        coverage.items_fresh += shard.fresh_items;
    }
    let answered: BTreeSet<u32> = shards.iter().map(|shard| shard.number).collect();
    for shard in (0..generation.shards()).filter(|shard| !answered.contains(shard)) {
        coverage.items_eligible += generation.shard_items(shard);
        coverage.items_total += generation.shard_items(shard);
    }
    coverage
}
