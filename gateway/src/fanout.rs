//! Asks the holders of many shards at once: one call a member, and once more elsewhere if a member is unreachable or slow.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use futures::future::{Either, join_all, select};
use tokio::time::{Instant, timeout};

use crate::{
    error::Error, failure::Failure, metrics, pace::Pace, replica::Replica, retries::Retries,
    topology::Held,
};

/// What came of asking many shards.
#[derive(Debug)]
pub(crate) struct Gathered<T> {
    /// The members' answers, in no order.
    pub(crate) answers: Vec<T>,
    /// The shards without an answer, and why.
    pub(crate) lost: Vec<(u32, Failure)>,
}

/// Calls `ask` once a member with all the shards wanted of it.
///
/// The shards of a member that cannot be reached are asked of their other holders, once; so are those of a member that takes longer
/// than most calls by their `pace`, or half of the time until `until`, and what comes first counts. Both only as far as the budget of
/// retries goes. `ask` must be idempotent, and end at `until`.
pub(crate) async fn gather<T, F>(
    generation: &Held,
    pace: &Pace,
    until: Instant,
    shards: impl IntoIterator<Item = u32>,
    ask: impl Fn(Arc<Replica>, Vec<u32>) -> F,
) -> Gathered<T>
where
    F: Future<Output = Result<T, Failure>>,
{
    let (calls, mut lost) = assign(generation, shards, None);
    let asked = calls.into_iter().map(|(member, shards)| {
        let asking = Asking {
            generation,
            pace,
            until,
            member,
            shards,
            ask: &ask,
        };
        asking.answer()
    });
    let mut gathered = Gathered::join(join_all(asked).await);
    gathered.lost.append(&mut lost);
    gathered
}

/// Asks any holder of the generation, and another one if the first cannot be reached or takes half of the time until `until`; `ask` must
/// be idempotent, and end at `until`.
///
/// # Errors
/// If nobody answers, or what the one asked says.
pub(crate) async fn anyone<T, F>(
    generation: &Held,
    until: Instant,
    ask: impl Fn(Arc<Replica>) -> F,
) -> Result<T, Error>
where
    F: Future<Output = Result<T, Failure>>,
{
    let Some(first) = generation.anyone(None) else {
        return Err(Error::Unreachable {
            member: "every item tower".to_owned(),
            cause: format!("none holds generation {}", generation.manifest.id),
        });
    };
    let retries = &generation.calls.retries;
    retries.earn();
    let mut asked = pin!(ask(first.clone()));
    let early = timeout(half_way(until), &mut asked).await;
    let may_try_another = match &early {
        Ok(answer) => answer.as_ref().is_err_and(Failure::may_try_another),
        Err(_) => true,
    };
    let second = generation.anyone(Some(first));
    let answer = match (early, second.filter(|_| may_try_another && retries.spend())) {
        (_, Some(second)) => ask(second.clone()).await,
        (Ok(answer), None) => answer,
        (Err(_), None) => asked.await,
    };
    answer.map_err(|failure| Error::of("an item tower", failure))
}

/// Half of the time that is left.
fn half_way(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()) / 2
}

/// One member to ask, and the shards wanted of it.
struct Asking<'a, A> {
    generation: &'a Held,
    pace: &'a Pace,
    until: Instant,
    member: Arc<Replica>,
    shards: Vec<u32>,
    ask: &'a A,
}

impl<A, T, F> Asking<'_, A>
where
    A: Fn(Arc<Replica>, Vec<u32>) -> F,
    F: Future<Output = Result<T, Failure>>,
{
    /// Asks the member, and others if it cannot be reached or takes long.
    async fn answer(self) -> Gathered<T> {
        self.generation.calls.retries.earn();
        let begun = Instant::now();
        let mut first = pin!((self.ask)(self.member.clone(), self.shards.clone()));
        let Some(after) = self.hedge_after() else {
            return self.finish(begun, first.await).await;
        };
        if let Ok(answer) = timeout(after, &mut first).await {
            return self.finish(begun, answer).await;
        }
        let others = self.others(Retries::spend_on_hedge);
        if others.calls.is_empty() {
            return self.finish(begun, first.await).await;
        }
        metrics::hedged();
        // Whoever answers first; the other call is dropped, which cancels it.
        match select(first, pin!(self.ask_others(others))).await {
            Either::Left((Err(failure), second)) if !failure.is_stale() => {
                self.instead(second.await, failure)
            }
            Either::Left((answer, _)) => self.take(begun, answer),
            Either::Right((found, _)) if found.lost.is_empty() => {
                self.pace.record(begun.elapsed());
                self.member.outrun(begun.elapsed());
                found
            }
            Either::Right((found, first)) => match first.await {
                Err(failure) if !failure.is_stale() => self.instead(found, failure),
                answer => self.take(begun, answer),
            },
        }
    }

    /// After how long the others are asked, too; none if there is none.
    fn hedge_after(&self) -> Option<Duration> {
        let another = |shard: &u32| self.generation.spare(*shard, &self.member);
        let half = half_way(self.until);
        let usual = self.generation.calls.hedge_after(self.pace);
        let after = usual.map_or(half, |after| after.min(half));
        self.shards.iter().any(another).then_some(after)
    }

    /// Takes the member's answer, or asks others.
    async fn finish(&self, begun: Instant, answer: Result<T, Failure>) -> Gathered<T> {
        match answer {
            Err(failure) if failure.may_try_another() => {
                if matches!(failure, Failure::Malformed(_)) {
                    self.member.broke_contract();
                }
                let found = self.ask_others(self.others(Retries::spend)).await;
                self.instead(found, failure)
            }
            answer => self.take(begun, answer),
        }
    }

    fn take(&self, begun: Instant, answer: Result<T, Failure>) -> Gathered<T> {
        if answer.is_ok() {
            self.pace.record(begun.elapsed());
        }
        Gathered::of(answer, &self.shards)
    }

    /// What others found instead of a member that failed: shards that nobody else could be asked for are lost for its reason.
    fn instead(&self, mut found: Gathered<T>, failure: Failure) -> Gathered<T> {
        for (_, why) in &mut found.lost {
            if matches!(why, Failure::Unreachable(_)) {
                *why = failure.clone();
            }
        }
        found
    }

    /// The other holders of the shards, as far as there is budget to ask them.
    fn others(&self, spend: impl Fn(&Retries) -> bool) -> Others {
        let shards = self.shards.iter().copied();
        let (mut calls, mut lost) = assign(self.generation, shards, Some(&self.member));
        calls.retain(|(_, shards)| {
            let paid = spend(&self.generation.calls.retries);
            if !paid {
                let spent = || Failure::Unreachable("too many calls fail".to_owned());
                lost.extend(shards.iter().map(|shard| (*shard, spent())));
            }
            paid
        });
        Others { calls, lost }
    }

    async fn ask_others(&self, others: Others) -> Gathered<T> {
        let asked = others.calls.into_iter().map(|(member, shards)| async move {
            Gathered::of((self.ask)(member, shards.clone()).await, &shards)
        });
        let mut gathered = Gathered::join(join_all(asked).await);
        gathered.lost.extend(others.lost);
        gathered
    }
}

/// Whom to ask for which shards, and the shards that nobody can be asked for.
struct Others {
    calls: Assigned,
    lost: Vec<(u32, Failure)>,
}

type Assigned = Vec<(Arc<Replica>, Vec<u32>)>;

/// Chooses a holder for each shard, other than `not`, and collects the shards by member.
fn assign(
    generation: &Held,
    shards: impl IntoIterator<Item = u32>,
    not: Option<&Replica>,
) -> (Assigned, Vec<(u32, Failure)>) {
    let mut calls = Assigned::new();
    let mut orphans = Vec::new();
    for shard in shards {
        let Some(holder) = generation.holder(shard, not) else {
            let cause = format!("no member that can be reached holds shard {shard}");
            orphans.push((shard, Failure::Unreachable(cause)));
            continue;
        };
        match calls
            .iter_mut()
            .find(|(member, _)| Arc::ptr_eq(member, holder))
        {
            Some((_, shards)) => shards.push(shard),
            None => calls.push((holder.clone(), vec![shard])),
        }
    }
    (calls, orphans)
}

impl<T> Gathered<T> {
    fn of(answer: Result<T, Failure>, shards: &[u32]) -> Self {
        match answer {
            Ok(answer) => Self {
                answers: vec![answer],
                lost: Vec::new(),
            },
            Err(failure) => Self {
                answers: Vec::new(),
                lost: shards
                    .iter()
                    .map(|&shard| (shard, failure.clone()))
                    .collect(),
            },
        }
    }

    fn join(parts: Vec<Self>) -> Self {
        let mut all = Self {
            answers: Vec::new(),
            lost: Vec::new(),
        };
        for part in parts {
            all.answers.extend(part.answers);
            all.lost.extend(part.lost);
        }
        all
    }
}
