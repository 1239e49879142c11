//! How soon an item that was put in is found at every replica, and whether replicas agree.

use std::time::Duration;

use encoder::sample::KINDS;
use proto::v1::{
    self as pb, catalog_service_client::CatalogServiceClient, condition, feature_value::Kind,
    item_ref::Name, search_service_client::SearchServiceClient,
};
use tokio::time::Instant;

use crate::{
    Figure,
    house::{Catalog, Replica},
};

const ITEMS: u64 = 2_000;

/// Puts `upserts` items in and takes every fifth out again, one after the other, and looks for each at two replicas.
pub(crate) async fn measure(upserts: u64) -> anyhow::Result<Vec<Figure>> {
    let catalog = Catalog::new(ITEMS, upserts, 1).await?;
    let replicas = [
        Replica::start(&catalog.store, 0).await?,
        Replica::start(&catalog.store, 1).await?,
    ];
    let made = catalog.index(&replicas[0].address, 0, false).await?;
    for replica in &replicas {
        replica.holds(&made.generation).await?;
    }
    let (mut visible, mut diverged) = (Vec::new(), 0);
    for number in 0..upserts {
        let id = ITEMS + 1 + number;
        let begun = Instant::now();
        let mut delta = upsert(&replicas[number as usize % 2], id).await?;
        for replica in &replicas {
            // As it is: nobody waits for a delta here.
            while !finds(&catalog, replica, &made.generation, id).await? {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        visible.push(begun.elapsed().as_secs_f64() * 1e3);
        if number % 5 == 4 {
            delta = delete(&replicas[number as usize % 2], id).await?;
        }
        for asked in [id, number % ITEMS + 1] {
            let query = query(&catalog, &made.generation, asked, Some(delta));
            let first = search(&replicas[0], query.clone()).await?;
            diverged += usize::from(first != search(&replicas[1], query).await?);
        }
    }
    visible.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| visible[((visible.len() - 1) as f64 * share) as usize];
    Ok(vec![
        ("upsert_visible_ms", at(0.99), "ms", "< 1000"),
        ("upsert_visible_median_ms", at(0.5), "ms", ""),
        ("upserts", upserts as f64, "1", ""),
        ("replicas_diverged", diverged as f64, "1", "0"),
    ])
}

async fn upsert(replica: &Replica, id: u64) -> anyhow::Result<u64> {
    let kind = Kind::Text(KINDS[id as usize % 2].to_owned());
    let kind = pb::FeatureValue { kind: Some(kind) };
    let item = pb::Item {
        id,
        title: format!("Item {id}"),
        features: Some(pb::Features {
            values: [("kind".to_owned(), kind)].into(),
        }),
        ..pb::Item::default()
    };
    let request = pb::UpsertItemsRequest { items: vec![item] };
    let mut client = CatalogServiceClient::new(replica.channel.clone());
    Ok(client.upsert_items(request).await?.into_inner().delta)
}

async fn delete(replica: &Replica, id: u64) -> anyhow::Result<u64> {
    let items = vec![by_id(id)];
    let request = pb::DeleteItemsRequest { items };
    let mut client = CatalogServiceClient::new(replica.channel.clone());
    Ok(client.delete_items(request).await?.into_inner().delta)
}

fn by_id(id: u64) -> pb::ItemRef {
    pb::ItemRef {
        name: Some(Name::Id(id)),
    }
}

/// A search of both shards for what is near item `id`.
fn query(catalog: &Catalog, generation: &str, id: u64, as_of: Option<u64>) -> pb::SearchRequest {
    let (sample, space) = &catalog.samples[0];
    let kind = sample.kind(KINDS[id as usize % 2]);
    let vector = sample.row(id).into_iter().zip(kind).map(|(a, b)| a + b);
    pb::SearchRequest {
        generation: generation.to_owned(),
        interests: Some(pb::Vectors {
            f32: vector.flat_map(f32::to_le_bytes).collect(),
            dim: sample.dim as u32,
            space: space.clone(),
        }),
        shards: (0..2)
            .map(|shard| pb::ShardQuery {
                shard,
                exclude: Vec::new(),
            })
            .collect(),
        k: 100,
        exact: false,
        filter: None,
        as_of,
        fresh_only: false,
        steady: false,
    }
}

async fn search(replica: &Replica, query: pb::SearchRequest) -> anyhow::Result<Vec<pb::ShardHits>> {
    let mut client = SearchServiceClient::new(replica.channel.clone());
    Ok(client.search(query).await?.into_inner().shards)
}

async fn finds(
    catalog: &Catalog,
    replica: &Replica,
    generation: &str,
    id: u64,
) -> anyhow::Result<bool> {
    let has = pb::HasId {
        items: vec![by_id(id)],
    };
    let condition = pb::Condition {
        kind: Some(condition::Kind::HasId(has)),
    };
    let query = pb::SearchRequest {
        filter: Some(pb::Filter {
            must: vec![condition],
            ..pb::Filter::default()
        }),
        ..query(catalog, generation, id, None)
    };
    let found = search(replica, query).await?;
    Ok(found.iter().any(|hits| hits.ids == [id]))
}
