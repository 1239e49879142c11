//! Callers that embed stored users.

use std::{sync::Arc, time::Duration};

use proto::v1::{EmbedUsersRequest, UserQuery, user_tower_service_client::UserTowerServiceClient};
use tonic::transport::Channel;

use crate::calls;

/// Embeds `calls` users, `callers` at a time, each as soon as the one before is answered.
pub(crate) async fn closed(
    channel: &Channel,
    users: &Arc<Vec<String>>,
    callers: usize,
    calls: usize,
) -> anyhow::Result<()> {
    calls::closed(callers, calls, embed(channel, users)).await
}

/// How many milliseconds each of the calls took that are begun `every` so often for as long as `time`, and how many failed.
pub(crate) async fn open(
    channel: &Channel,
    users: &Arc<Vec<String>>,
    every: Duration,
    time: Duration,
) -> anyhow::Result<(Vec<f64>, usize)> {
    calls::open(every, time, embed(channel, users)).await
}

/// One user's embedding, the users in turn.
fn embed(
    channel: &Channel,
    users: &Arc<Vec<String>>,
) -> impl Fn(usize) -> Embedding + Clone + Send + use<> {
    let (channel, users) = (channel.clone(), Arc::clone(users));
    move |call| {
        let mut client = UserTowerServiceClient::new(channel.clone());
        let request = request(&users[call % users.len()]);
        Box::pin(async move {
            client.embed_users(request).await?;
            Ok(())
        })
    }
}

type Embedding = std::pin::Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

fn request(user: &str) -> EmbedUsersRequest {
    EmbedUsersRequest {
        users: vec![UserQuery {
            user_id: user.to_owned(),
            ..UserQuery::default()
        }],
        ..EmbedUsersRequest::default()
    }
}
