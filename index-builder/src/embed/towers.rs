//! Lets item towers embed chunk by chunk, and checks what comes back.

use std::{sync::Arc, time::Duration};

use futures::{
    Stream, StreamExt as _,
    future::join_all,
    stream::{self, BoxStream, SelectAll},
};
use service::client::Connector;
use tokio::sync::{Mutex, mpsc};
use tracing::warn;

use crate::{
    embed::AHEAD,
    error::Error,
    item_tower::{self, Answer, ItemTower},
    items::Entry,
};

/// A chunk and what came back for it.
pub(super) type Answered = Result<(Vec<Entry>, Answer), Error>;

/// Connects to the item towers that can be reached, one at least, and sends them the chunks: whichever is free takes the next.
///
/// # Errors
/// If none can be reached, or one refuses at once.
pub(super) async fn embed(
    connector: &Connector,
    addresses: &[String],
    space: &str,
    deadline: Duration,
    chunks: mpsc::Receiver<Vec<Entry>>,
) -> Result<SelectAll<BoxStream<'static, Answered>>, Error> {
    let chunks = Arc::new(Mutex::new(chunks));
    let mut answers = SelectAll::new();
    for tower in connect(connector, addresses).await? {
        let (sent, awaited) = mpsc::channel(AHEAD);
        let requests = send(Arc::clone(&chunks), sent);
        let answered = tower.embed(space.to_owned(), deadline, requests).await?;
        answers.push(with_chunk(answered, awaited).boxed());
    }
    Ok(answers)
}

/// Connects to the item towers that can be reached; to one at least.
async fn connect(connector: &Connector, addresses: &[String]) -> Result<Vec<ItemTower>, Error> {
    let (mut towers, mut first) = (Vec::new(), None);
    let all = addresses.iter();
    let all = all.map(|address| ItemTower::connect(connector, address));
    for connected in join_all(all).await {
        match connected {
            Ok(tower) => towers.push(tower),
            Err(cause) => {
                warn!(%cause, "embedding without it");
                first.get_or_insert(cause);
            }
        }
    }
    match first {
        Some(cause) if towers.is_empty() => Err(cause),
        _ => Ok(towers),
    }
}

/// Turns chunks into requests to one tower; each chunk waits in `sent` for its answer.
fn send(
    chunks: Arc<Mutex<mpsc::Receiver<Vec<Entry>>>>,
    sent: mpsc::Sender<Vec<Entry>>,
) -> impl Stream<Item = Vec<item_tower::Input>> + Send + 'static {
    stream::unfold((chunks, sent), |(chunks, sent)| async move {
        let chunk = chunks.lock().await.recv().await?;
        let items = chunk.iter().map(|entry| &entry.item);
        let inputs = items.map(item_tower::input).collect();
        sent.send(chunk).await.ok()?;
        Some((inputs, (chunks, sent)))
    })
}

/// Puts the answers of one tower together with the chunks that they answer.
fn with_chunk(
    answers: impl Stream<Item = Result<Answer, Error>> + Send + 'static,
    awaited: mpsc::Receiver<Vec<Entry>>,
) -> impl Stream<Item = Answered> + Send + 'static {
    stream::unfold(
        (Box::pin(answers), awaited),
        |(mut answers, mut awaited)| async move {
            let answer = answers.next().await?;
            let chunk = awaited.recv().await.ok_or(Error::Unasked);
            let both = answer.and_then(|answer| Ok((chunk?, answer)));
            Some((both, (answers, awaited)))
        },
    )
}

/// Refuses an answer whose vectors cannot be those of the chunk; only an unknown item's may be zero.
///
/// # Errors
/// [`Error::Space`], [`Error::AnswerShape`], or [`Error::Vector`] with the first item.
pub(super) fn check(
    chunk: &[Entry],
    answer: &Answer,
    space: &str,
    dim: usize,
    known: impl Fn(&Entry) -> bool,
) -> Result<(), Error> {
    if answer.space != space {
        return Err(Error::Space {
            asked: space.to_owned(),
            found: answer.space.clone(),
        });
    }
    if answer.dim != dim || answer.values.len() != chunk.len() * dim {
        return Err(Error::AnswerShape {
            items: chunk.len(),
            dim,
            found_dim: answer.dim,
            found_values: answer.values.len(),
        });
    }
    let bad = |entry: &Entry, row: &[f32]| {
        row.iter().any(|value| !value.is_finite()) || (is_zero(row) && known(entry))
    };
    let mut rows = chunk.iter().zip(answer.values.chunks(dim));
    match rows.find(|(entry, row)| bad(entry, row)) {
        Some((entry, _)) => Err(Error::Vector { id: entry.item.id }),
        None => Ok(()),
    }
}

/// Whether a vector says nothing.
pub(super) fn is_zero(row: &[f32]) -> bool {
    row.iter().all(|value| *value == 0.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use encoder::features::CatalogItem;

    use super::*;

    fn entry(id: u64) -> Entry {
        let item = CatalogItem {
            id,
            ..CatalogItem::default()
        };
        Entry { row: id, item }
    }

    fn answer(space: &str, dim: usize, values: &[f32]) -> Answer {
        Answer {
            space: space.to_owned(),
            dim,
            values: values.to_vec(),
        }
    }

    fn refusal(answer: &Answer) -> String {
        check(&[entry(1), entry(2)], answer, "s", 2, |_| true)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_vector_for_every_item_is_taken() {
        let good = answer("s", 2, &[1.0, 0.0, 0.0, -1.0]);
        assert!(check(&[entry(1), entry(2)], &good, "s", 2, |_| true).is_ok());
    }

    #[test]
    fn only_an_unknown_item_may_have_the_zero_vector() {
        let zero = answer("s", 2, &[1.0, 0.0, 0.0, 0.0]);
        let known = |entry: &Entry| entry.item.id == 1;
        assert!(check(&[entry(1), entry(2)], &zero, "s", 2, known).is_ok());
        assert!(refusal(&zero).contains("item 2"));
    }

    #[test]
    fn an_answer_of_another_space_dimension_or_count_is_refused() {
        assert!(refusal(&answer("t", 2, &[1.0; 4])).contains("space"));
        assert!(refusal(&answer("s", 3, &[1.0; 6])).contains("dimension"));
        assert!(refusal(&answer("s", 2, &[1.0; 2])).contains("2 values"));
    }

    #[test]
    fn a_vector_that_cannot_be_compared_is_refused_by_its_item() {
        assert!(refusal(&answer("s", 2, &[1.0, 0.0, f32::NAN, 0.0])).contains("item 2"));
        assert!(refusal(&answer("s", 2, &[0.0, 0.0, 1.0, 0.0])).contains("item 1"));
    }
}
