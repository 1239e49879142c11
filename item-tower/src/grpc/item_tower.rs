//! EmbedItems and GetItemModelSignature.

use std::{pin::Pin, sync::Arc};

use encoder::{embedding::Embeddings, features::Item};
use futures::{Stream, StreamExt as _};
use proto::v1::{self as pb, item_tower_service_server::ItemTowerService};
use service::blocking::Blocking;
use tonic::{Request, Response, Status, Streaming};

use crate::{error::Error, grpc::features, models::Models};

/// The most items of one chunk.
const CHUNK_LIMIT: usize = 1_024;
/// Chunks of one stream that are embedded at once; the next is read off the wire when the first of
/// them is answered, so a slow caller or a slow model slows the stream down.
const CHUNKS_AT_ONCE: usize = 2;

/// Embeds with the artifacts that `models` holds.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) models: Arc<Models>,
    pub(crate) blocking: Blocking,
}

/// The items of one request.
struct Chunk {
    artifact: String,
    items: Vec<Item>,
}

#[tonic::async_trait]
impl ItemTowerService for Service {
    type EmbedItemsStream =
        Pin<Box<dyn Stream<Item = Result<pb::EmbedItemsResponse, Status>> + Send>>;

    async fn embed_items(
        &self,
        request: Request<Streaming<pb::EmbedItemsRequest>>,
    ) -> Result<Response<Self::EmbedItemsStream>, Status> {
        let service = self.clone();
        let answers = request
            .into_inner()
            .map(move |chunk| service.clone().embed(chunk))
            .buffered(CHUNKS_AT_ONCE);
        Ok(Response::new(Box::pin(answers)))
    }

    async fn get_item_model_signature(
        &self,
        request: Request<pb::GetItemModelSignatureRequest>,
    ) -> Result<Response<pb::GetItemModelSignatureResponse>, Status> {
        let model = self.models.get(&request.into_inner().artifact).await?;
        let signature =
            serde_json::to_string(model.artifact.signature()).map_err(|source| Error::Json {
                what: "the signature",
                source,
            })?;
        Ok(Response::new(pb::GetItemModelSignatureResponse {
            space: model.artifact.space().to_owned(),
            signature_json: signature,
        }))
    }
}

impl Service {
    /// Embeds one chunk, on the pool that is only for embedding.
    async fn embed(
        self,
        chunk: Result<pb::EmbedItemsRequest, Status>,
    ) -> Result<pb::EmbedItemsResponse, Status> {
        let chunk = Chunk::try_from(chunk?)?;
        let model = self.models.get(&chunk.artifact).await?;
        let space = model.artifact.space().to_owned();
        let embeddings = self
            .blocking
            .run(move || model.encoder.encode(&chunk.items))
            .await
            .map_err(Error::from)?
            .map_err(Error::from)?;
        Ok(pb::EmbedItemsResponse {
            vectors: Some(vectors(&embeddings, space)),
        })
    }
}

impl TryFrom<pb::EmbedItemsRequest> for Chunk {
    type Error = Error;

    fn try_from(request: pb::EmbedItemsRequest) -> Result<Self, Error> {
        if request.items.len() > CHUNK_LIMIT {
            return Err(Error::Field {
                field: "items",
                description: format!("has {}, may have {CHUNK_LIMIT}", request.items.len()),
            });
        }
        let item = |input: pb::ItemInput| Item {
            id: input.id,
            features: features::from_wire(input.features),
        };
        Ok(Self {
            artifact: request.artifact,
            items: request.items.into_iter().map(item).collect(),
        })
    }
}

fn vectors(embeddings: &Embeddings, space: String) -> pb::Vectors {
    let bytes = embeddings
        .values
        .iter()
        .flat_map(|value| value.to_le_bytes());
    pb::Vectors {
        f32: bytes.collect(),
        dim: embeddings.dim as u32,
        space,
    }
}
