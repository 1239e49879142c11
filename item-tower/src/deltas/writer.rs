//! Puts the changes of many callers into the catalog's log, all that wait in one delta.

use std::{convert::Infallible, future};

use generation::{
    deltas::{self, Changes, Vectors},
    store::Store,
};
use tokio::sync::{Mutex, mpsc, oneshot};
use tracing::warn;

use crate::{deltas::Log, error::Error, shards::Shards};

/// Callers that wait for a delta; one more waits for its place.
const QUEUE: usize = 256;
/// Items of one delta, and bytes of them, at most, but for those of the caller that comes last.
const ITEMS: usize = 8_192;
const BYTES: usize = 16 << 20;

/// Takes changes.
pub(crate) struct Writer {
    queue: mpsc::Sender<Wanted>,
    wanted: Mutex<mpsc::Receiver<Wanted>>,
}

/// One caller's changes.
#[derive(Debug, PartialEq)]
pub(crate) struct Change {
    /// Items put in and taken out.
    pub(crate) changes: Changes,
    /// The vectors of the items put in, and their space; none if no item is.
    pub(crate) vectors: Option<(String, Vectors)>,
}

struct Wanted {
    change: Change,
    reply: oneshot::Sender<Result<u64, String>>,
}

impl Writer {
    /// Takes changes from now on; [`Writer::write_all`] writes them.
    pub(crate) fn new() -> Self {
        let (queue, wanted) = mpsc::channel(QUEUE);
        Self {
            queue,
            wanted: Mutex::new(wanted),
        }
    }

    /// Returns the number of the delta that holds the change, once it is on disk.
    ///
    /// # Errors
    /// [`Error::NotStored`] if it could not be put there.
    pub(crate) async fn put(&self, change: Change) -> Result<u64, Error> {
        let (reply, answer) = oneshot::channel();
        let not_stored = |cause| Error::NotStored { cause };
        let gone = || not_stored("the server is shutting down".to_owned());
        let wanted = Wanted { change, reply };
        self.queue.send(wanted).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?.map_err(not_stored)
    }

    /// Writes for good what comes.
    pub(crate) async fn write_all(&self, log: &Log, shards: &Shards) -> Infallible {
        let mut wanted = self.wanted.lock().await;
        let (mut last, mut next) = (0, None);
        loop {
            let first = match next.take() {
                Some(first) => first,
                None => match wanted.recv().await {
                    Some(first) => first,
                    // Never while the queue lives, which is in `self`.
                    None => future::pending().await,
                },
            };
            let (change, replies);
            (change, replies, next) = gather(first, &mut wanted);
            let snapshot = shards.snapshot();
            let held = snapshot.held().iter().map(|held| held.delta());
            let after = held.max().unwrap_or(0).max(last);
            let put = put(&log.store, change, after).await;
            last = put.as_ref().map_or(last, |number| *number);
            log.news.notify_one();
            for reply in replies {
                // Who went away meanwhile does not wait for it.
                let _ = reply.send(put.clone());
            }
        }
    }
}

type Replies = Vec<oneshot::Sender<Result<u64, String>>>;

/// Takes what waits into one change; returns the first that cannot be in it.
fn gather(first: Wanted, wanted: &mut mpsc::Receiver<Wanted>) -> (Change, Replies, Option<Wanted>) {
    let (mut change, mut replies) = (first.change, vec![first.reply]);
    while change.changes.items.len() < ITEMS
        && change.bytes() < BYTES
        && let Ok(next) = wanted.try_recv()
    {
        if !change.goes_with(&next.change) {
            return (change, replies, Some(next));
        }
        change.add(next.change);
        replies.push(next.reply);
    }
    (change, replies, None)
}

impl Change {
    /// Whether the vectors of both are of one space.
    fn goes_with(&self, other: &Self) -> bool {
        match (&self.vectors, &other.vectors) {
            (Some((space, _)), Some((other, _))) => space == other,
            _ => true,
        }
    }

    /// Bytes of the items put in.
    fn bytes(&self) -> usize {
        let items = self.changes.items.values().flatten();
        items.map(Vec::len).sum()
    }

    /// Takes up a later change, which wins where both name an item.
    fn add(&mut self, later: Self) {
        if let Some((_, vectors)) = &mut self.vectors {
            vectors
                .rows
                .retain(|id, _| !later.changes.items.contains_key(id));
        }
        self.changes.items.extend(later.changes.items);
        match (&mut self.vectors, later.vectors) {
            (Some((_, vectors)), Some((_, later))) => vectors.rows.extend(later.rows),
            (vectors @ None, later) => *vectors = later,
            (Some(_), None) => {}
        }
    }
}

async fn put(store: &Store, change: Change, after: u64) -> Result<u64, String> {
    let put = deltas::append(store, &change.changes, after).await;
    let number = put.map_err(|cause| cause.to_string())?;
    if let Some((space, vectors)) = change.vectors
        && let Err(cause) = deltas::put_vectors(store, number, &space, &vectors).await
    {
        // The items are in the log all the same, and whoever applies it embeds them.
        warn!(number, %cause, "the vectors of a delta were not stored");
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Puts items in that say `text`, or takes them out if it is none.
    fn change(ids: &[u64], text: Option<&str>, space: &str) -> Change {
        let items = ids
            .iter()
            .map(|id| (*id, text.map(|text| text.as_bytes().to_vec())));
        let rows = ids.iter().map(|id| (*id, vec![*id as f32]));
        let vectors = Vectors {
            dim: 1,
            rows: rows.collect(),
        };
        Change {
            changes: Changes {
                items: items.collect(),
            },
            vectors: text.map(|_| (space.to_owned(), vectors)),
        }
    }

    #[test]
    fn of_changes_in_one_delta_the_later_wins() {
        let mut all = change(&[1, 2, 3], Some("a"), "s");
        all.add(change(&[2], None, "s"));
        all.add(change(&[3, 4], Some("b"), "s"));
        let text = |text: &str| Some(text.as_bytes().to_vec());
        let expected = [(1, text("a")), (2, None), (3, text("b")), (4, text("b"))];
        assert_eq!(all.changes.items, BTreeMap::from(expected));
        let rows = all.vectors.map(|(_, vectors)| vectors.rows);
        let ids = rows.map(|rows| rows.into_keys().collect());
        assert_eq!(ids, Some(vec![1, 3, 4]));
    }

    #[test]
    fn vectors_of_two_spaces_are_never_in_one_delta() {
        let (a, out) = (change(&[1], Some("a"), "s"), change(&[1], None, "s"));
        assert!(a.goes_with(&change(&[2], Some("b"), "s")) && a.goes_with(&out));
        assert!(!a.goes_with(&change(&[2], Some("b"), "t")));
        let mut out = out;
        out.add(change(&[2], Some("b"), "t"));
        assert!(!out.goes_with(&a));
    }
}
