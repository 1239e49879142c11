//! What the towers say of a user and of all items, to compare what the gateway answers with.

use std::collections::{BTreeMap, BTreeSet};

use proto::v1::{
    EmbedUsersRequest, GetItemsRequest, GetVectorsRequest, Item, UserQuery, Vectors,
    catalog_service_client::CatalogServiceClient, search_service_client::SearchServiceClient,
    user_tower_service_client::UserTowerServiceClient,
};

use crate::house::{recall::item, support::SMALL};

/// A user, and every item.
pub(crate) struct Truth {
    /// The user's interests.
    pub(crate) interests: Vec<Vec<f32>>,
    /// What the user has seen.
    pub(crate) seen: BTreeSet<u64>,
    /// The vectors of all items.
    pub(crate) vectors: BTreeMap<u64, Vec<f32>>,
}

fn rows(vectors: &Vectors) -> Vec<Vec<f32>> {
    let (numbers, _) = vectors.f32.as_chunks();
    let numbers: Vec<f32> = numbers.iter().copied().map(f32::from_le_bytes).collect();
    let rows = numbers.chunks_exact(vectors.dim as usize);
    rows.map(<[f32]>::to_vec).collect()
}

/// The dot product.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Truth {
    /// Asks the towers.
    pub(crate) async fn of(user: UserQuery) -> Self {
        let mut towers = UserTowerServiceClient::connect(SMALL.user_tower.clone())
            .await
            .unwrap();
        let request = EmbedUsersRequest {
            generation: SMALL.generation.clone(),
            users: vec![user],
            reproducible: true,
            ..Default::default()
        };
        let answer = towers.embed_users(request).await.unwrap().into_inner();
        let user = answer.users.into_iter().next().unwrap();
        let mut vectors = BTreeMap::new();
        let ids: Vec<u64> = SMALL.dataset().items.iter().map(|item| item.id).collect();
        for (shard, address) in SMALL.item_towers.iter().enumerate() {
            let of_shard = |id: &&u64| generation::partition::shard_of(**id, 2) == shard as u32;
            let request = GetVectorsRequest {
                generation: SMALL.generation.clone(),
                ids: ids.iter().filter(of_shard).copied().collect(),
                as_of: None,
            };
            let mut towers = SearchServiceClient::connect(address.clone()).await.unwrap();
            let found = towers.get_vectors(request).await.unwrap().into_inner();
            vectors.extend(found.ids.into_iter().zip(rows(&found.vectors.unwrap())));
        }
        assert!(vectors.len() > 100, "{}", vectors.len());
        Self {
            interests: rows(&user.interests.unwrap()),
            seen: user.seen.into_iter().collect(),
            vectors,
        }
    }

    /// The score of an item.
    pub(crate) fn score(&self, id: u64) -> f32 {
        let vector = &self.vectors[&id];
        let scores = self.interests.iter().map(|interest| dot(interest, vector));
        scores.fold(f32::NEG_INFINITY, f32::max)
    }

    /// All items that the user has not seen, best first.
    pub(crate) fn ranking(&self) -> Vec<u64> {
        let mut unseen: Vec<u64> = self.vectors.keys().copied().collect();
        unseen.retain(|id| !self.seen.contains(id));
        unseen.sort_by(|a, b| self.score(*b).total_cmp(&self.score(*a)).then(a.cmp(b)));
        unseen
    }
}

/// Titles and features of items.
pub(crate) async fn items(ids: &[u64]) -> BTreeMap<u64, Item> {
    let request = GetItemsRequest {
        items: ids.iter().filter_map(|id| item(*id)).collect(),
        ..Default::default()
    };
    let mut catalog = CatalogServiceClient::new(SMALL.gateway().await);
    let found = catalog.get_items(request).await.unwrap().into_inner();
    found
        .items
        .into_iter()
        .map(|item| (item.id, item))
        .collect()
}
