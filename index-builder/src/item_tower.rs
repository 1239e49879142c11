//! The client of the item tower that embeds.

use std::time::Duration;

use encoder::features::{CatalogItem, Features, Value};
use futures::{Stream, StreamExt as _};
use proto::v1::{
    self as pb, feature_value::Kind, item_tower_service_client::ItemTowerServiceClient,
};
use service::client::Connector;
use tonic::{Request, transport::Channel};

use crate::error::Error;

/// How long the item tower may take to accept the connection.
const CONNECT: Duration = Duration::from_secs(10);
/// The greatest answer: 1,024 vectors of 4,096 dimensions.
const ANSWER_BYTES: usize = 16 << 20;

/// An item as the item tower takes it.
pub(crate) type Input = pb::ItemInput;

/// An item tower, connected.
pub(crate) struct ItemTower {
    client: ItemTowerServiceClient<Channel>,
    address: String,
}

/// The vectors of one chunk, as the item tower sent them; nothing is checked yet.
pub(crate) struct Answer {
    /// The embedding space.
    pub(crate) space: String,
    /// The length of a vector.
    pub(crate) dim: usize,
    /// Row after row.
    pub(crate) values: Vec<f32>,
}

impl ItemTower {
    /// Connects to `address`.
    ///
    /// # Errors
    /// [`Error::Connect`] if nobody answers there.
    pub(crate) async fn connect(connector: &Connector, address: &str) -> Result<Self, Error> {
        let connect = |source| Error::Connect {
            address: address.to_owned(),
            source,
        };
        let endpoint = Channel::from_shared(address.to_owned())
            .map_err(|_| Error::Address(address.to_owned()))?
            .connect_timeout(CONNECT);
        let channel = connector.connect(endpoint).await.map_err(connect)?;
        Ok(Self {
            client: ItemTowerServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES),
            address: address.to_owned(),
        })
    }

    /// Embeds chunk after chunk with the artifact `space`; answers come in the order of `chunks`.
    ///
    /// # Errors
    /// [`Error::Embed`] if the item tower refuses, at once or at some chunk.
    pub(crate) async fn embed(
        mut self,
        space: String,
        deadline: Duration,
        chunks: impl Stream<Item = Vec<Input>> + Send + 'static,
    ) -> Result<impl Stream<Item = Result<Answer, Error>>, Error> {
        let mut request = Request::new(chunks.map(move |items| pb::EmbedItemsRequest {
            artifact: space.clone(),
            items,
        }));
        request.set_timeout(deadline);
        let address = self.address;
        let refused = move |status: tonic::Status| Error::Embed {
            address: address.clone(),
            status: Box::new(status),
        };
        let answers = self.client.embed_items(request).await.map_err(&refused)?;
        Ok(answers.into_inner().map(move |answer| {
            let vectors = answer.map_err(&refused)?.vectors.unwrap_or_default();
            Ok(Answer::from(vectors))
        }))
    }
}

impl From<pb::Vectors> for Answer {
    fn from(vectors: pb::Vectors) -> Self {
        let values = vectors
            .f32
            .as_chunks()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect();
        Self {
            space: vectors.space,
            dim: vectors.dim as usize,
            values,
        }
    }
}

/// Makes of an item what the item tower takes.
pub(crate) fn input(item: &CatalogItem) -> Input {
    pb::ItemInput {
        id: item.id,
        features: Some(features(&item.features)),
    }
}

fn features(features: &Features) -> pb::Features {
    let value = |value: &Value| pb::FeatureValue {
        kind: Some(match value {
            Value::Number(number) => Kind::Number(*number),
            Value::Text(text) => Kind::Text(text.clone()),
            Value::List(values) => Kind::List(pb::TextList {
                values: values.clone(),
            }),
        }),
    };
    let values = features.iter().map(|(name, v)| (name.clone(), value(v)));
    pb::Features {
        values: values.collect(),
    }
}
