//! Streams the catalog through an item tower and keeps what comes back.

use std::sync::Arc;

use encoder::{artifact::Artifact, features::CatalogItem};
use futures::{Stream, StreamExt as _, stream};
use tokio::sync::mpsc;

use crate::{
    catalog::Counts,
    config::Config,
    error::Error,
    item_tower::{self, Answer, ItemTower},
    progress,
    read_ahead::ReadAhead,
};

/// Chunks read ahead of the stream, and chunks sent whose answers are awaited.
const AHEAD: usize = 4;

/// The catalog's items with their vectors, in the order of the catalog.
#[derive(Debug, Default)]
pub(crate) struct Embedded {
    /// The length of a vector.
    pub(crate) dim: usize,
    /// The items.
    pub(crate) items: Vec<CatalogItem>,
    /// `[items, dim]`.
    pub(crate) vectors: Vec<f32>,
    /// Items left out because the artifact does not know them.
    pub(crate) unknown: u64,
    /// What the lines of the catalog were.
    pub(crate) counts: Counts,
}

/// Embeds every item of the catalog that `artifact` knows.
///
/// Reading, embedding and keeping run at once; each waits for the next when that falls behind.
///
/// # Errors
/// The first of: a catalog that cannot be read or names an item twice, a refusal by the item
/// tower, an answer of another space, length or count, a vector that is not finite or is zero.
pub(crate) async fn catalog(config: &Config, artifact: &Arc<Artifact>) -> Result<Embedded, Error> {
    let bar = progress::bar("embed", 0);
    let tower = ItemTower::connect(&config.item_tower).await?;
    let space = artifact.space().to_owned();
    let mut embedded = Embedded {
        dim: artifact.signature().dim,
        ..Embedded::default()
    };

    let reading = ReadAhead::begin(config, Arc::clone(artifact), AHEAD)?;
    let (sent, mut awaited) = mpsc::channel(AHEAD);
    let requests = send(reading.chunks, sent);
    let mut answers = Box::pin(
        tower
            .embed(space.clone(), config.embed.deadline, requests)
            .await?,
    );
    while let Some(answer) = answers.next().await {
        let answer = answer?;
        let chunk = awaited.recv().await.ok_or(Error::Unasked)?;
        check(&chunk, &answer, &space, embedded.dim)?;
        bar.inc(chunk.len() as u64);
        embedded.items.extend(chunk);
        embedded.vectors.extend(answer.values);
    }
    drop(answers);
    bar.finish_and_clear();

    let read = reading.done.await??;
    if read.known != embedded.items.len() as u64 {
        return Err(Error::Unanswered {
            asked: read.known,
            answered: embedded.items.len(),
        });
    }
    embedded.unknown = read.unknown;
    embedded.counts = read.counts;
    Ok(embedded)
}

/// Turns chunks into requests; each chunk waits in `sent` for its answer.
fn send(
    chunks: mpsc::Receiver<Vec<CatalogItem>>,
    sent: mpsc::Sender<Vec<CatalogItem>>,
) -> impl Stream<Item = Vec<item_tower::Input>> + Send + 'static {
    stream::unfold((chunks, sent), |(mut chunks, sent)| async move {
        let chunk = chunks.recv().await?;
        let inputs = chunk.iter().map(item_tower::input).collect();
        sent.send(chunk).await.ok()?;
        Some((inputs, (chunks, sent)))
    })
}

/// Refuses an answer whose vectors cannot be those of the chunk.
fn check(chunk: &[CatalogItem], answer: &Answer, space: &str, dim: usize) -> Result<(), Error> {
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
    let bad = |row: &[f32]| row.iter().any(|v| !v.is_finite()) || row.iter().all(|v| *v == 0.0);
    match chunk
        .iter()
        .zip(answer.values.chunks(dim))
        .find(|(_, row)| bad(row))
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
        check(&[item(1), item(2)], answer, "s", 2)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_vector_for_every_item_is_taken() {
        let good = answer("s", 2, &[1.0, 0.0, 0.0, -1.0]);
        assert!(check(&[item(1), item(2)], &good, "s", 2).is_ok());
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
