//! Asks the holders of many shards at once: one call a member, and once more elsewhere if a member is unreachable.

use std::{future::Future, sync::Arc};

use futures::future::join_all;

use crate::{
    error::Error,
    replica::{Failure, Replica},
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
/// The shards of a member that cannot be reached are asked of their other holders, once; `ask` must be idempotent.
pub(crate) async fn gather<T, F>(
    generation: &Held,
    shards: impl IntoIterator<Item = u32>,
    ask: impl Fn(Arc<Replica>, Vec<u32>) -> F,
) -> Gathered<T>
where
    F: Future<Output = Result<T, Failure>>,
{
    let (calls, mut lost) = assign(generation, shards, None);
    let ask = &ask;
    let asked = join_all(calls.into_iter().map(|(member, shards)| async move {
        match ask(member.clone(), shards.clone()).await {
            Err(failure) if failure.may_try_another() => {
                retry(generation, shards, &member, failure, ask).await
            }
            answer => Gathered::of(answer, &shards),
        }
    }));
    let mut gathered = Gathered::join(asked.await);
    gathered.lost.append(&mut lost);
    gathered
}

/// Asks any holder of the generation, and another one if the first cannot be reached; `ask` must be idempotent.
///
/// # Errors
/// If nobody answers, or what the one asked says.
pub(crate) async fn anyone<T, F>(
    generation: &Held,
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
    let mut answer = ask(first.clone()).await;
    if answer.as_ref().is_err_and(Failure::may_try_another)
        && let Some(second) = generation.anyone(Some(first))
    {
        answer = ask(second.clone()).await;
    }
    answer.map_err(|failure| Error::of("an item tower", failure))
}

/// Asks the shards of a member that failed of their other holders.
async fn retry<T, F>(
    generation: &Held,
    shards: Vec<u32>,
    failed: &Replica,
    failure: Failure,
    ask: &impl Fn(Arc<Replica>, Vec<u32>) -> F,
) -> Gathered<T>
where
    F: Future<Output = Result<T, Failure>>,
{
    let (calls, orphans) = assign(generation, shards, Some(failed));
    let asked = join_all(calls.into_iter().map(|(member, shards)| async move {
        Gathered::of(ask(member, shards.clone()).await, &shards)
    }));
    let mut gathered = Gathered::join(asked.await);
    let orphans = orphans
        .into_iter()
        .map(|(shard, _)| (shard, failure.clone()));
    gathered.lost.extend(orphans);
    gathered
}

type Calls = Vec<(Arc<Replica>, Vec<u32>)>;

/// Chooses a holder for each shard, other than `not`, and collects the shards by member.
fn assign(
    generation: &Held,
    shards: impl IntoIterator<Item = u32>,
    not: Option<&Replica>,
) -> (Calls, Vec<(u32, Failure)>) {
    let mut calls = Calls::new();
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
