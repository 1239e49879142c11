//! How many bytes a recall moves between the gateway and its item towers, by shards, items asked for, and interests.

use std::path::Path;

use proto::v1::{
    recall_service_client::RecallServiceClient, search_service_client::SearchServiceClient,
};
use tonic::transport::Channel;

use crate::{
    K, Options, SHARDS, USERS, asked,
    figure::Figure,
    house::{self, House, WITHOUT_CACHE},
    proxy::Proxy,
    recalls,
    site::Site,
    users,
};

/// A holder a shard.
const SPREAD: [u32; 3] = [2, 8, 32];
const DEPTHS: [usize; 3] = [10, K, 1_000];
const INTERESTS: [usize; 3] = [1, 5, 16];

/// Counts what passes between servers of catalogs in more and more shards, each held by an item tower of its own.
pub(crate) async fn measure(
    model: &str,
    store: &Path,
    items: usize,
    options: &Options,
) -> anyhow::Result<Vec<Figure>> {
    let users = users::read(&options.data, USERS)?;
    let names: Vec<String> = users.into_iter().map(|user| user.id).collect();
    let mut figures = Vec::new();
    for shards in SPREAD {
        let site = Site::of(model, store, items, shards, options).await?;
        let item_towers = house::item_towers(&site, options)?;
        let mut proxies = Vec::new();
        for tower in &item_towers {
            proxies.push(Proxy::to(&tower.uri).await?);
        }
        let uris: Vec<String> = proxies.iter().map(|proxy| proxy.uri.clone()).collect();
        let house =
            House::before(item_towers, &uris, &site, &names, &WITHOUT_CACHE, options).await?;
        let gateway = house.gateway.channel().await?;
        let depths = if shards == SHARDS { &DEPTHS[..] } else { &[K] };
        for &k in depths {
            let row = match k {
                K => format!("bytes_per_recall_{shards}_shards"),
                k => format!("bytes_per_recall_{shards}_shards_k{k}"),
            };
            let moved = recalled(&proxies, &gateway, &names, k).await?;
            figures.push(Figure::new(row, moved, "B"));
        }
        if shards == SHARDS {
            for interests in INTERESTS {
                let row = format!("bytes_per_recall_{shards}_shards_{interests}_interests");
                let moved = searched(&site, &house, &proxies, &names, interests).await?;
                figures.push(Figure::new(row, moved, "B"));
            }
        }
    }
    Ok(figures)
}

/// Bytes a recall of `k` items.
async fn recalled(
    proxies: &[Proxy],
    gateway: &Channel,
    users: &[String],
    k: usize,
) -> anyhow::Result<f64> {
    let mut gateway = RecallServiceClient::new(gateway.clone());
    let before = through(proxies);
    for user in users {
        gateway.recall(recalls::request(user, k)).await?;
    }
    Ok((through(proxies) - before) as f64 / users.len() as f64)
}

/// Bytes of the searches that a recall with so many interests makes; where a user has fewer, others' are added.
async fn searched(
    site: &Site,
    house: &House,
    proxies: &[Proxy],
    users: &[String],
    interests: usize,
) -> anyhow::Result<f64> {
    let (wanted, _) = asked::of(site, house, users).await?;
    let mut towers = Vec::new();
    for proxy in proxies {
        let channel = Channel::from_shared(proxy.uri.clone())?.connect().await?;
        towers.push(SearchServiceClient::new(channel));
    }
    let all = wanted.iter().flat_map(|wanted| &wanted.interests).copied();
    let all: Vec<f32> = all.collect();
    let before = through(proxies);
    for (number, wanted) in wanted.iter().enumerate() {
        let from = number * site.catalog.dim;
        let vectors = all
            .iter()
            .cycle()
            .skip(from)
            .take(interests * site.catalog.dim);
        let vectors: Vec<f32> = vectors.copied().collect();
        for (shard, tower) in (0..).zip(&mut towers) {
            tower
                .search(asked::search(site, &vectors, &wanted.seen, shard))
                .await?;
        }
    }
    Ok((through(proxies) - before) as f64 / wanted.len() as f64)
}

fn through(proxies: &[Proxy]) -> u64 {
    proxies.iter().map(Proxy::bytes).sum()
}
