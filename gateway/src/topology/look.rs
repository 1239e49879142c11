//! Asks one member what it holds.

use std::collections::{BTreeMap, BTreeSet};

use futures::{FutureExt as _, future::BoxFuture};
use proto::v1::{
    ListGenerationsRequest, ListShardsRequest, generation_service_client::GenerationServiceClient,
    search_service_client::SearchServiceClient,
};
use tokio::time::Instant;

use crate::{failure::Failure, replica::Replica};

/// How a kind of member is asked, and by which service its health goes.
pub(super) struct Kind<H> {
    /// Asks one.
    pub(super) look: for<'a> fn(&'a Replica, Instant) -> BoxFuture<'a, Result<H, Failure>>,
    /// The service that must serve.
    pub(super) service: &'static str,
}

/// What an item tower holds: space and shards by generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shards(BTreeMap<String, (String, BTreeSet<u32>)>);

/// What a user tower holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Models {
    /// Its name in MEMBERS.
    pub(super) name: String,
    /// Generations whose user model is loaded.
    pub(super) generations: BTreeSet<String>,
}

/// Item towers.
pub(super) const ITEM_TOWERS: Kind<Shards> = Kind {
    look: |replica, until| shards(replica, until).boxed(),
    service: "twotower.v1.SearchService",
};

/// User towers.
pub(super) const USER_TOWERS: Kind<Models> = Kind {
    look: |replica, until| models(replica, until).boxed(),
    service: "twotower.v1.UserTowerService",
};

impl Shards {
    /// The generations, if only no shard of them is held.
    pub(super) fn generations(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether the generation is known, if only to hold no shard of it.
    pub(super) fn knows(&self, generation: &str) -> bool {
        self.0.contains_key(generation)
    }

    /// Whether the shard of that generation and space is held.
    pub(super) fn has(&self, generation: &str, space: &str, shard: u32) -> bool {
        let held = self.0.get(generation);
        held.is_some_and(|(held, shards)| held == space && shards.contains(&shard))
    }
}

async fn shards(replica: &Replica, until: Instant) -> Result<Shards, Failure> {
    let asked = replica.probe(ListShardsRequest {}, until, |channel, request| async {
        SearchServiceClient::new(channel).list_shards(request).await
    });
    let generations = asked.await?.generations.into_iter();
    let told = generations.map(|held| {
        let shards = held.shards.iter().map(|shard| shard.shard).collect();
        (held.generation, (held.space, shards))
    });
    Ok(Shards(told.collect()))
}

async fn models(replica: &Replica, until: Instant) -> Result<Models, Failure> {
    let asked = replica.probe(ListGenerationsRequest {}, until, |channel, request| async {
        GenerationServiceClient::new(channel)
            .list_generations(request)
            .await
    });
    let told = asked.await?;
    Ok(Models {
        name: told.member,
        generations: told.generations.into_iter().map(|held| held.id).collect(),
    })
}
