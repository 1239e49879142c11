//! Asks one member what it holds and whether it is healthy.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proto::v1::{
    ListGenerationsRequest, ListShardsRequest, ListShardsResponse,
    generation_service_client::GenerationServiceClient, search_service_client::SearchServiceClient,
};
use tokio::time::Instant;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tracing::{info, warn};

use crate::replica::{Failure, Replica};

/// An item tower as it last described itself.
#[derive(Clone, Debug)]
pub(super) struct ItemMember {
    pub(super) replica: Arc<Replica>,
    /// Whether its search answers, by the last poll.
    pub(super) healthy: bool,
    /// Space and shards by generation; the last answer, also when the last poll had none.
    held: BTreeMap<String, (String, BTreeSet<u32>)>,
}

/// A user tower as it last described itself.
#[derive(Clone, Debug)]
pub(crate) struct UserMember {
    pub(crate) name: String,
    pub(crate) replica: Arc<Replica>,
    /// Whether its embedding answers, by the last poll.
    pub(super) healthy: bool,
    /// Whether it answered the last poll.
    answers: bool,
    /// Generations whose user model is loaded; the last answer, also when the last poll had none.
    pub(crate) held: BTreeSet<String>,
}

impl ItemMember {
    /// Whether the member holds the shard of that generation and space.
    pub(super) fn holds(&self, generation: &str, space: &str, shard: u32) -> bool {
        self.held
            .get(generation)
            .is_some_and(|(held, shards)| held == space && shards.contains(&shard))
    }

    /// Whether the member knows the generation, if only to hold no shard of it.
    pub(super) fn knows(&self, generation: &str) -> bool {
        self.held.contains_key(generation)
    }
}

/// The generations that any of the members holds.
pub(super) fn generations(members: &[ItemMember]) -> BTreeSet<&str> {
    members
        .iter()
        .flat_map(|member| member.held.keys().map(String::as_str))
        .collect()
}

impl UserMember {
    /// Whether the member answers neither polls nor calls, so that it is no use to ask it.
    pub(crate) fn is_gone(&self) -> bool {
        !self.answers && self.replica.is_failing()
    }
}

/// Asks an item tower; without an answer it is not healthy and holds what it held `before`.
pub(super) async fn item_member(
    replica: &Arc<Replica>,
    before: Option<&ItemMember>,
    until: Instant,
) -> ItemMember {
    let list = replica.probe(ListShardsRequest {}, until, |channel, request| async {
        SearchServiceClient::new(channel).list_shards(request).await
    });
    let health = is_serving(replica, "twotower.v1.SearchService", until);
    let (list, healthy) = tokio::join!(list, health);
    let healthy = list.is_ok() && healthy;
    let was_healthy = before.is_some_and(|before| before.healthy);
    note(replica, was_healthy, healthy, list.as_ref().err());
    let told = |list: ListShardsResponse| {
        let generations = list.generations.into_iter();
        let told = generations.map(|held| {
            let shards = held.shards.iter().map(|shard| shard.shard).collect();
            (held.generation, (held.space, shards))
        });
        told.collect()
    };
    ItemMember {
        replica: replica.clone(),
        healthy,
        held: match list {
            Ok(list) => told(list),
            Err(_) => before.map(|before| before.held.clone()).unwrap_or_default(),
        },
    }
}

/// Asks a user tower; without an answer it is not healthy and holds what it held `before`.
pub(super) async fn user_member(
    (name, replica): (&String, &Arc<Replica>),
    before: Option<&UserMember>,
    until: Instant,
) -> UserMember {
    let list = replica.probe(ListGenerationsRequest {}, until, |channel, request| async {
        GenerationServiceClient::new(channel)
            .list_generations(request)
            .await
    });
    let health = is_serving(replica, "twotower.v1.UserTowerService", until);
    let (list, healthy) = tokio::join!(list, health);
    let healthy = list.is_ok() && healthy;
    let was_healthy = before.is_some_and(|before| before.healthy);
    note(replica, was_healthy, healthy, list.as_ref().err());
    UserMember {
        name: name.clone(),
        replica: replica.clone(),
        healthy,
        answers: list.is_ok(),
        held: match list {
            Ok(list) => list.generations.into_iter().map(|held| held.id).collect(),
            Err(_) => before.map(|before| before.held.clone()).unwrap_or_default(),
        },
    }
}

/// Whether the member says that it serves `service`.
async fn is_serving(replica: &Replica, service: &str, until: Instant) -> bool {
    let request = HealthCheckRequest {
        service: service.to_owned(),
    };
    replica
        .probe(request, until, |channel, request| async {
            HealthClient::new(channel).check(request).await
        })
        .await
        .is_ok_and(|answer| answer.status() == ServingStatus::Serving)
}

/// Logs a member that comes or goes.
fn note(replica: &Replica, was_healthy: bool, healthy: bool, failure: Option<&Failure>) {
    let member = replica.address();
    match (was_healthy, healthy) {
        (false, true) => info!(member, "member is healthy"),
        (true, false) => warn!(member, ?failure, "member is not healthy"),
        _ => {}
    }
}
