//! A member, as it is asked while users are handed over.

use std::time::{Duration, Instant};

use anyhow::ensure;
use proto::v1::{
    ListGenerationsRequest, ListGenerationsResponse,
    generation_service_client::GenerationServiceClient,
    user_tower_service_client::UserTowerServiceClient,
};
use service::client::Connector;
use tonic::transport::Channel;

use crate::client::Address;

/// How long a member may take to go by the new MEMBERS.
const FOLLOW: Duration = Duration::from_secs(60);
/// Between two looks at whether it does.
const LOOK: Duration = Duration::from_millis(50);

/// A member's two services.
pub(super) struct Peer {
    pub(super) users: UserTowerServiceClient<Channel>,
    generations: GenerationServiceClient<Channel>,
}

impl Peer {
    /// Connects to the member `name`, whom `uri` must lead to.
    pub(super) async fn connect(
        name: &str,
        uri: &str,
        connector: &Connector,
    ) -> anyhow::Result<Self> {
        let channel = Address::new(uri, connector).connect().await?;
        let peer = Self {
            users: UserTowerServiceClient::new(channel.clone()),
            generations: GenerationServiceClient::new(channel),
        };
        let found = peer.state().await?.member;
        ensure!(
            found == name,
            "the user tower at {uri} is {found}, not {name}"
        );
        Ok(peer)
    }

    /// Waits until it goes by the MEMBERS of `epoch`.
    pub(super) async fn follows(&self, name: &str, epoch: u64) -> anyhow::Result<()> {
        let until = Instant::now() + FOLLOW;
        loop {
            let found = self.state().await?.members_epoch;
            if found == epoch {
                return Ok(());
            }
            ensure!(
                Instant::now() < until,
                "{name} goes by epoch {found} of MEMBERS, {epoch} holds"
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Who it is, and which MEMBERS it goes by.
    async fn state(&self) -> anyhow::Result<ListGenerationsResponse> {
        let mut generations = self.generations.clone();
        let answer = generations
            .list_generations(ListGenerationsRequest {})
            .await?;
        Ok(answer.into_inner())
    }
}
