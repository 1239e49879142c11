//! Streams the catalog through an item tower and keeps what comes back.

use std::sync::Arc;

use encoder::{artifact::Artifact, features::CatalogItem};
use futures::{
    Stream, StreamExt as _,
    future::join_all,
    stream::{self, SelectAll},
};
use tokio::sync::{Mutex, mpsc};
use tracing::warn;

use crate::{
    catalog::Counts,
    config::Config,
    error::Error,
    item_tower::{self, Answer, ItemTower},
    kept::Kept,
    progress,
    read_ahead::ReadAhead,
};

/// Chunks read ahead of the stream, and chunks sent whose answers are awaited.
const AHEAD: usize = 4;

/// The catalog's items with their vectors: those that were embedded, then those that were kept.
#[derive(Debug, Default)]
pub(crate) struct Embedded {
    /// The length of a vector.
    pub(crate) dim: usize,
    /// The items.
    pub(crate) items: Vec<CatalogItem>,
    /// `[items, dim]`.
    pub(crate) vectors: Vec<f32>,
    /// Items whose vectors were kept.
    pub(crate) kept: u64,
    /// Items left out: the artifact does not know them, and no other feature makes a vector of them.
    pub(crate) left_out: u64,
    /// Items that the artifact does not know, indexed by their other features.
    pub(crate) unknown: u64,
    /// What the lines of the catalog were.
    pub(crate) counts: Counts,
}

/// Embeds every item of the catalog that `artifact` knows, and the others if `embed.unknown_items` says so; an item that did
/// not change has the vector that is `kept` of it.
///
/// Reading, embedding and keeping run at once; each waits for the next when that falls behind.
///
/// # Errors
/// The first of: a catalog that cannot be read or names an item twice, a refusal by the item
/// tower, an answer of another space, length or count, a vector that is not finite or is zero.
pub(crate) async fn catalog(
    config: &Config,
    artifact: &Arc<Artifact>,
    kept: Option<Arc<Kept>>,
) -> Result<Embedded, Error> {
    let bar = progress::bar("embed", 0);
    let towers = connect(&config.item_towers).await?;
    let space = artifact.space().to_owned();
    let mut embedded = Embedded {
        dim: artifact.signature().dim,
        ..Embedded::default()
    };
    let known = |item: &CatalogItem| artifact.knows_item(item.id);

    let reading = ReadAhead::begin(config, Arc::clone(artifact), kept, AHEAD)?;
    // Whichever tower is free takes the next chunk.
    let chunks = Arc::new(Mutex::new(reading.chunks));
    let mut answers = SelectAll::new();
    for tower in towers {
        let (sent, awaited) = mpsc::channel(AHEAD);
        let requests = send(Arc::clone(&chunks), sent);
        let answered = tower.embed(space.clone(), config.embed.deadline, requests);
        answers.push(Box::pin(with_chunk(answered.await?, awaited)));
    }
    drop(chunks);
    while let Some(answer) = answers.next().await {
        let (chunk, answer) = answer?;
        check(&chunk, &answer, &space, embedded.dim, known)?;
        bar.inc(chunk.len() as u64);
        embedded.keep(chunk, &answer.values, known);
    }
    drop(answers);
    bar.finish_and_clear();

    let read = reading.done.await??;
    let answered = embedded.items.len() as u64 + embedded.left_out;
    if read.items != answered {
        return Err(Error::Unanswered {
            asked: read.items,
            answered,
        });
    }
    embedded.left_out += read.left_out;
    embedded.kept = read.kept.len() as u64;
    embedded.unknown += read.kept.iter().filter(|item| !known(item)).count() as u64;
    embedded.items.extend(read.kept);
    embedded.vectors.extend(read.kept_vectors);
    embedded.counts = read.counts;
    Ok(embedded)
}

/// Connects to the item towers that can be reached; to one at least.
async fn connect(addresses: &[String]) -> Result<Vec<ItemTower>, Error> {
    let (mut towers, mut first) = (Vec::new(), None);
    for connected in join_all(addresses.iter().map(|address| ItemTower::connect(address))).await {
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

impl Embedded {
    /// Keeps the answer to a chunk, but for unknown items whose vector says nothing.
    fn keep(
        &mut self,
        chunk: Vec<CatalogItem>,
        values: &[f32],
        known: impl Fn(&CatalogItem) -> bool,
    ) {
        for (item, row) in chunk.into_iter().zip(values.chunks_exact(self.dim)) {
            let known = known(&item);
            if !known && is_zero(row) {
                self.left_out += 1;
                continue;
            }
            self.unknown += u64::from(!known);
            self.items.push(item);
            self.vectors.extend(row);
        }
    }
}

fn is_zero(row: &[f32]) -> bool {
    row.iter().all(|value| *value == 0.0)
}

/// Turns chunks into requests to one tower; each chunk waits in `sent` for its answer.
fn send(
    chunks: Arc<Mutex<mpsc::Receiver<Vec<CatalogItem>>>>,
    sent: mpsc::Sender<Vec<CatalogItem>>,
) -> impl Stream<Item = Vec<item_tower::Input>> + Send + 'static {
    stream::unfold((chunks, sent), |(chunks, sent)| async move {
        let chunk = chunks.lock().await.recv().await?;
        let inputs = chunk.iter().map(item_tower::input).collect();
        sent.send(chunk).await.ok()?;
        Some((inputs, (chunks, sent)))
    })
}

/// Puts the answers of one tower together with the chunks that they answer.
fn with_chunk(
    answers: impl Stream<Item = Result<Answer, Error>>,
    awaited: mpsc::Receiver<Vec<CatalogItem>>,
) -> impl Stream<Item = Result<(Vec<CatalogItem>, Answer), Error>> {
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
fn check(
    chunk: &[CatalogItem],
    answer: &Answer,
    space: &str,
    dim: usize,
    known: impl Fn(&CatalogItem) -> bool,
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
    let bad = |item: &CatalogItem, row: &[f32]| {
        row.iter().any(|value| !value.is_finite()) || (is_zero(row) && known(item))
    };
    match chunk
        .iter()
        .zip(answer.values.chunks(dim))
        .find(|(item, row)| bad(item, row))
    {
        Some((item, _)) => Err(Error::Vector { id: item.id }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn item(id: u64) -> CatalogItem {
        serde_json::from_str(&format!("{{\"id\":{id},\"features\":{{}}}}")).unwrap()
    }

    fn answer(space: &str, dim: usize, values: &[f32]) -> Answer {
        Answer {
            space: space.to_owned(),
            dim,
            values: values.to_vec(),
        }
    }

    fn refusal(answer: &Answer) -> String {
        check(&[item(1), item(2)], answer, "s", 2, |_| true)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_vector_for_every_item_is_taken() {
        let good = answer("s", 2, &[1.0, 0.0, 0.0, -1.0]);
        assert!(check(&[item(1), item(2)], &good, "s", 2, |_| true).is_ok());
    }

    #[test]
    fn an_unknown_item_is_kept_unless_its_vector_is_zero() {
        let known = |item: &CatalogItem| item.id == 1;
        let chunk = || (1..=3).map(item).collect::<Vec<_>>();
        let good = answer("s", 2, &[1.0, 0.0, 0.0, 0.0, 0.0, 2.0]);
        assert!(check(&chunk(), &good, "s", 2, known).is_ok());
        let mut embedded = Embedded {
            dim: 2,
            ..Embedded::default()
        };
        embedded.keep(chunk(), &good.values, known);
        assert_eq!((embedded.unknown, embedded.left_out), (1, 1));
        assert_eq!(embedded.vectors, [1.0, 0.0, 0.0, 2.0]);
        assert_eq!(embedded.items[1].id, 3);
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
