//! Reads vectors of items from the members that hold their shards.

use std::collections::{BTreeMap, HashMap};

use futures::future::try_join_all;
use generation::partition;
use proto::v1::{
    GetVectorsRequest, GetVectorsResponse, search_service_client::SearchServiceClient,
};
use tokio::time::Instant;

use crate::{
    error::Error, failure::Failure, fanout, replica::ANSWER_BYTES, scatter::Losses, topology::Held,
};

/// The most vectors that a member reads in one call.
const MOST: usize = 2_048;

/// Vectors by item, and why some could not be asked for.
#[derive(Debug)]
pub(crate) struct Vectors {
    /// The vectors, `[dim]` each, as items are compared.
    pub(crate) of: HashMap<u64, Vec<f32>>,
    /// What shards without an answer mean for the whole.
    pub(crate) losses: Losses,
}

/// Asks the holders for the vectors of the items `ids`, as of a delta if it is given; items that the generation does not have are simply absent.
///
/// # Errors
/// [`Error::Stale`] if a member does not hold what it said it holds.
pub(crate) async fn fetch(
    generation: &Held,
    ids: impl IntoIterator<Item = u64>,
    as_of: Option<u64>,
    until: Instant,
) -> Result<Vectors, Error> {
    let ids: Vec<u64> = ids.into_iter().collect();
    let parts = ids
        .chunks(MOST)
        .map(|ids| fetch_some(generation, ids, as_of, until));
    let mut vectors = Vectors {
        of: HashMap::with_capacity(ids.len()),
        losses: Losses::default(),
    };
    for part in try_join_all(parts).await? {
        vectors.of.extend(part.of);
        vectors.losses.add(part.losses);
    }
    Ok(vectors)
}

async fn fetch_some(
    generation: &Held,
    ids: &[u64],
    as_of: Option<u64>,
    until: Instant,
) -> Result<Vectors, Error> {
    let mut by_shard = BTreeMap::<_, Vec<_>>::new();
    for &id in ids {
        let shard = partition::shard_of(id, generation.shards());
        by_shard.entry(shard).or_default().push(id);
    }
    let shards: Vec<_> = by_shard.keys().copied().collect();
    let gathered = fanout::gather(
        generation,
        &generation.calls.items,
        until,
        shards,
        |member, shards| {
            let ids = shards.iter().filter_map(|shard| by_shard.get(shard));
            let request = GetVectorsRequest {
                generation: generation.manifest.id.clone(),
                ids: ids.flatten().copied().collect(),
                as_of,
            };
            async move {
                let answer = member
                    .probe(request, until, |channel, request| async {
                        SearchServiceClient::new(channel)
                            .max_decoding_message_size(ANSWER_BYTES)
                            .get_vectors(request)
                            .await
                    })
                    .await?;
                decode(generation, answer)
            }
        },
    )
    .await;
    Ok(Vectors {
        of: gathered.answers.into_iter().flatten().collect(),
        losses: Losses::of(generation, gathered.lost)?,
    })
}

fn decode(generation: &Held, answer: GetVectorsResponse) -> Result<Vec<(u64, Vec<f32>)>, Failure> {
    let vectors = answer.vectors.unwrap_or_default();
    let (dim, ids) = (generation.manifest.dim, answer.ids);
    if vectors.f32.len() != ids.len() * dim * size_of::<f32>() || vectors.dim as usize != dim {
        return Err(Failure::Malformed(format!(
            "{} bytes of vectors of dimension {} for {} items, generation {} has dimension {dim}",
            vectors.f32.len(),
            vectors.dim,
            ids.len(),
            generation.manifest.id
        )));
    }
    let (numbers, _) = vectors.f32.as_chunks();
    let numbers: Vec<f32> = numbers.iter().copied().map(f32::from_le_bytes).collect();
    let rows = numbers.chunks_exact(dim).map(<[f32]>::to_vec);
    Ok(ids.into_iter().zip(rows).collect())
}

/// The vector with length 1; as it is, if it has none.
pub(crate) fn direction(vector: &[f32]) -> Vec<f32> {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    let scale = if length > 0.0 { length.recip() } else { 1.0 };
    vector.iter().map(|x| x * scale).collect()
}
