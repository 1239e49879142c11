//! Recalls of stored users, of our gateway and of the peer's front.

use std::{pin::Pin, sync::Arc};

use proto::v1::{
    RecallRequest, RecallResponse, ShardHits, recall_service_client::RecallServiceClient,
};
use tonic::{Request, client::Grpc, codegen::http::uri::PathAndQuery, transport::Channel};
use tonic_prost::ProstCodec;

use crate::K;

/// Whom a recall is asked of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    /// Our gateway.
    Gateway,
    /// The peer's front, which answers with columns.
    Front,
}

/// A recall on its way.
pub(crate) type Recall = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

/// Items for a stored user.
pub(crate) fn request(user: &str, k: usize) -> RecallRequest {
    RecallRequest {
        user_id: user.to_owned(),
        page_size: k as u32,
        ..RecallRequest::default()
    }
}

/// Recalls for the users in turn; an answer of ours of fewer than [`K`] items is an error. The peer may find fewer for a user who has
/// seen most of what its search comes up with; its recall says so.
pub(crate) fn turns(
    whom: Whom,
    channel: &Channel,
    users: &Arc<Vec<String>>,
) -> impl Fn(usize) -> Recall + Clone + Send + use<> {
    let (channel, users) = (channel.clone(), Arc::clone(users));
    move |call| {
        let (channel, users) = (channel.clone(), Arc::clone(&users));
        Box::pin(async move {
            let found = ask(whom, channel, &users[call % users.len()]).await?;
            let enough = found.len() == K || whom == Whom::Front;
            anyhow::ensure!(enough, "{} items, asked for {K}", found.len());
            Ok(())
        })
    }
}

/// The ids that one user gets.
pub(crate) async fn ask(whom: Whom, channel: Channel, user: &str) -> anyhow::Result<Vec<u64>> {
    let request = request(user, K);
    match whom {
        Whom::Gateway => {
            let answer = RecallServiceClient::new(channel).recall(request).await?;
            let RecallResponse { candidates, .. } = answer.into_inner();
            Ok(candidates.iter().map(|found| found.id).collect())
        }
        Whom::Front => {
            let mut client = Grpc::new(channel);
            client.ready().await?;
            let path = PathAndQuery::from_static("/peer.Front/Recall");
            let codec = ProstCodec::<RecallRequest, ShardHits>::default();
            let answer = client.unary(Request::new(request), path, codec).await?;
            Ok(answer.into_inner().ids)
        }
    }
}
