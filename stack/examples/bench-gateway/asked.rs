//! What the servers of a recall ask each other for each user, and how long those messages are.

use anyhow::Context as _;
use generation::partition;
use prost::Message;
use proto::v1::{
    EmbedUsersRequest, SearchRequest, ShardQuery, UserQuery, Vectors,
    recall_service_client::RecallServiceClient, search_service_client::SearchServiceClient,
    user_tower_service_client::UserTowerServiceClient,
};

use crate::{K, house::House, recalls, site::Site};

/// What a user's recall searches for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// `[interests, dim]`, none of them zero.
    pub(crate) interests: Vec<f32>,
    /// Items that the user has seen, ascending.
    pub(crate) seen: Vec<u64>,
}

/// Mean bytes of a message there and of its answer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Length {
    pub(crate) request: f64,
    pub(crate) answer: f64,
}

/// Mean bytes of the messages of a recall.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lengths {
    /// Between the caller and the gateway.
    pub(crate) recall: Length,
    /// Between the gateway and the user tower.
    pub(crate) embed: Length,
    /// Between the gateway and one item tower.
    pub(crate) search: Length,
}

/// Asks each server of a house what it is asked in a recall of each of these users.
pub(crate) async fn of(
    site: &Site,
    house: &House,
    users: &[String],
) -> anyhow::Result<(Vec<Wanted>, Lengths)> {
    let mut gateway = RecallServiceClient::new(house.gateway.channel().await?);
    let mut user_tower = UserTowerServiceClient::new(house.user_tower.channel().await?);
    let (mut wanted, mut lengths) = (Vec::new(), Lengths::default());
    for user in users {
        let request = recalls::request(user, K);
        lengths.recall.request += request.encoded_len() as f64;
        lengths.recall.answer += length(gateway.recall(request).await?);

        let request = embedding(site, user);
        lengths.embed.request += request.encoded_len() as f64;
        let answer = user_tower.embed_users(request).await?.into_inner();
        lengths.embed.answer += answer.encoded_len() as f64;
        let user = answer.users.into_iter().next().context("no user")?;
        wanted.push(Wanted::of(&user.interests.unwrap_or_default(), user.seen)?);
    }
    for (shard, tower) in (0..).zip(&house.item_towers) {
        let mut tower = SearchServiceClient::new(tower.channel().await?);
        for wanted in &wanted {
            let request = search(site, &wanted.interests, &wanted.seen, shard);
            lengths.search.request += request.encoded_len() as f64;
            lengths.search.answer += length(tower.search(request).await?);
        }
    }
    let calls = users.len() as f64;
    lengths.recall.over(calls);
    lengths.embed.over(calls);
    lengths.search.over(calls * house.item_towers.len() as f64);
    Ok((wanted, lengths))
}

/// What a gateway asks the holder of one shard.
pub(crate) fn search(site: &Site, interests: &[f32], seen: &[u64], shard: u32) -> SearchRequest {
    let bytes = interests.iter().flat_map(|value| value.to_le_bytes());
    SearchRequest {
        generation: site.generation.clone(),
        interests: Some(Vectors {
            f32: bytes.collect(),
            dim: site.catalog.dim as u32,
            space: site.space.clone(),
        }),
        shards: vec![ShardQuery {
            shard,
            exclude: of_shard(seen, shard, site.shards),
        }],
        k: K as u32,
        ..SearchRequest::default()
    }
}

/// Those of these items, ascending, that a shard would hold.
pub(crate) fn of_shard(items: &[u64], shard: u32, shards: u32) -> Vec<u64> {
    let held = |item: &&u64| partition::shard_of(**item, shards) == shard;
    items.iter().filter(held).copied().collect()
}

fn embedding(site: &Site, user: &str) -> EmbedUsersRequest {
    EmbedUsersRequest {
        generation: site.generation.clone(),
        users: vec![UserQuery {
            user_id: user.to_owned(),
            ..UserQuery::default()
        }],
        ..EmbedUsersRequest::default()
    }
}

fn length<M: Message>(answer: tonic::Response<M>) -> f64 {
    answer.get_ref().encoded_len() as f64
}

impl Length {
    fn over(&mut self, calls: f64) {
        self.request /= calls;
        self.answer /= calls;
    }
}

impl Wanted {
    fn of(vectors: &Vectors, seen: Vec<u64>) -> anyhow::Result<Self> {
        let (values, _) = vectors.f32.as_chunks();
        let values: Vec<f32> = values.iter().copied().map(f32::from_le_bytes).collect();
        let rows = values.chunks_exact(vectors.dim as usize);
        let some = rows.filter(|row| row.iter().any(|value| *value != 0.0));
        let interests = some.flatten().copied().collect::<Vec<_>>();
        anyhow::ensure!(!interests.is_empty(), "a user without an interest");
        Ok(Self { interests, seen })
    }
}
