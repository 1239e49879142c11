//! The house that is measured, and the truth about its model.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use onnx::dataset::split::{ItemSet, Split};
use proto::v1::{
    EmbedUsersRequest, GetVectorsRequest, RecallOptions, RecallRequest, RecallResponse, UserQuery,
    Vectors, recall_service_client::RecallServiceClient,
    search_service_client::SearchServiceClient, user_tower_service_client::UserTowerServiceClient,
};
use stack::{
    fill,
    house::{House, Plan},
    prepare::{self, Prepared},
};
use tonic::transport::Channel;

/// A house that serves a model of MovieLens-1M.
pub(crate) struct Site {
    house: House,
    pub(crate) prepared: Prepared,
    pub(crate) generation: String,
    store: PathBuf,
    shards: u32,
    /// Users with a held-back item, and that item.
    pub(crate) tests: Vec<(String, u64)>,
    /// The genres of each item of the catalog, and its year.
    pub(crate) items: BTreeMap<u64, (BTreeSet<String>, Option<f64>)>,
    /// The vectors of all items.
    pub(crate) vectors: Arc<BTreeMap<u64, Vec<f32>>>,
    gateway: Channel,
}

/// A user as the user tower tells them.
pub(crate) struct Known {
    pub(crate) interests: Vec<Vec<f32>>,
    pub(crate) seen: BTreeSet<u64>,
}

impl Site {
    pub(crate) async fn start(
        work: &Path,
        prepared: Prepared,
        shards: u32,
    ) -> anyhow::Result<Self> {
        let options = prepare::Options {
            data: String::new(),
            work: work.to_path_buf(),
            towers: "onnx/towers".into(),
            recipe: "capsules".to_owned(),
            epochs: None,
        };
        prepare::store(&prepared, &options.store()).await?;
        // Each run records events of its own.
        let history = work.join("history");
        if history.exists() {
            std::fs::remove_dir_all(&history)?;
        }
        let mut plan = Plan::at(work, 0);
        plan.history = history.join("history.redb");
        plan.shards = shards;
        let mut house = House::start(&plan).await?;
        let item_tower = format!("http://{}", house.item_towers[0]);
        let space = prepared.evaluation.space.clone();
        let indexed = fill::index(
            &options.store(),
            &options.dataset(),
            &space,
            &item_tower,
            shards,
        )
        .await?;
        let held = fill::held_back(&prepared.dataset, ItemSet::S);
        let user_tower = format!("http://{}", house.user_tower);
        fill::import(&prepared.dataset, &user_tower, |event| {
            !held.contains(&event)
        })
        .await?;
        house.serves(&indexed.generation).await?;
        let gateway = house.channel()?;

        let dataset = &prepared.dataset;
        let split = Split::new(dataset, ItemSet::S);
        let tests = split.users.iter().filter_map(|user| {
            let item = split.items[user.test()? as usize];
            let id = dataset.users[user.user as usize].id.clone();
            Some((id, dataset.items[item as usize].id))
        });
        let items = dataset.items.iter().map(|item| {
            let texts = |name: &str| match item.features.get(name) {
                Some(encoder::features::Value::List(texts)) => texts.iter().cloned().collect(),
                _ => BTreeSet::new(),
            };
            let year = match item.features.get("year") {
                Some(encoder::features::Value::Number(year)) => Some(*year),
                _ => None,
            };
            (item.id, (texts("genres"), year))
        });
        let mut site = Self {
            tests: tests.collect(),
            items: items.collect(),
            generation: indexed.generation,
            store: options.store(),
            shards,
            vectors: Arc::default(),
            house,
            gateway,
            prepared,
        };
        site.vectors = Arc::new(site.read_vectors().await?);
        Ok(site)
    }

    async fn read_vectors(&self) -> anyhow::Result<BTreeMap<u64, Vec<f32>>> {
        let mut vectors = BTreeMap::new();
        for (shard, address) in (0..).zip(&self.house.item_towers) {
            let of_shard = |id: &&u64| generation::partition::shard_of(**id, self.shards) == shard;
            let ids: Vec<u64> = self.items.keys().filter(of_shard).copied().collect();
            let mut towers = SearchServiceClient::connect(format!("http://{address}")).await?;
            for ids in ids.chunks(1_000) {
                let request = GetVectorsRequest {
                    generation: self.generation.clone(),
                    ids: ids.to_vec(),
                    as_of: None,
                };
                let found = towers.get_vectors(request).await?.into_inner();
                let found_vectors = found.vectors.context("no vectors")?;
                vectors.extend(found.ids.into_iter().zip(rows(&found_vectors)));
            }
        }
        Ok(vectors)
    }

    /// A client of the gateway.
    pub(crate) fn recalls(&self) -> RecallServiceClient<Channel> {
        RecallServiceClient::new(self.gateway.clone()).max_decoding_message_size(64 << 20)
    }

    /// The connection to the gateway.
    pub(crate) fn gateway(&self) -> Channel {
        self.gateway.clone()
    }

    pub(crate) async fn recall(&self, request: RecallRequest) -> anyhow::Result<RecallResponse> {
        Ok(self.recalls().recall(request).await?.into_inner())
    }

    /// Embeds a user as the user tower does for a reproducible recall.
    pub(crate) async fn known(&self, user: UserQuery) -> anyhow::Result<Known> {
        let address = format!("http://{}", self.house.user_tower);
        let mut towers = UserTowerServiceClient::connect(address).await?;
        let request = EmbedUsersRequest {
            generation: self.generation.clone(),
            users: vec![user],
            reproducible: true,
            ..EmbedUsersRequest::default()
        };
        let answer = towers.embed_users(request).await?.into_inner();
        let user = answer.users.into_iter().next().context("no user")?;
        Ok(Known {
            interests: rows(&user.interests.context("no interests")?),
            seen: user.seen.into_iter().collect(),
        })
    }

    /// Publishes one more generation of the same items and model; it serves from then on.
    pub(crate) async fn publish(&self) -> anyhow::Result<String> {
        let item_tower = format!("http://{}", self.house.item_towers[0]);
        let data = self.store.with_file_name("data");
        let space = &self.prepared.evaluation.space;
        let indexed = fill::index(&self.store, &data, space, &item_tower, self.shards).await?;
        stack::ready::serves(self.gateway(), &indexed.generation).await?;
        Ok(indexed.generation)
    }

    /// Stops the item tower that holds a shard.
    pub(crate) async fn lose(&mut self, shard: usize) -> anyhow::Result<()> {
        self.house.stop_item_tower(shard).await
    }

    /// Stops the house; what was prepared is given back.
    pub(crate) async fn stop(self) -> anyhow::Result<Prepared> {
        self.house.stop().await?;
        Ok(self.prepared)
    }
}

impl Known {
    /// The score of a vector.
    pub(crate) fn score(&self, vector: &[f32]) -> f32 {
        let scores = self.interests.iter().map(|interest| {
            let products = interest.iter().zip(vector).map(|(a, b)| a * b);
            products.sum::<f32>()
        });
        scores.fold(f32::NEG_INFINITY, f32::max)
    }

    /// The items that pass, best first, with their scores.
    pub(crate) fn ranking(
        &self,
        vectors: &BTreeMap<u64, Vec<f32>>,
        passes: impl Fn(u64) -> bool,
    ) -> Vec<(u64, f32)> {
        let passing = vectors.iter().filter(|(id, _)| passes(**id));
        let mut ranking: Vec<(u64, f32)> = passing
            .map(|(id, vector)| (*id, self.score(vector)))
            .collect();
        ranking.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        ranking
    }
}

fn rows(vectors: &Vectors) -> Vec<Vec<f32>> {
    let (numbers, _) = vectors.f32.as_chunks();
    let numbers: Vec<f32> = numbers.iter().copied().map(f32::from_le_bytes).collect();
    let rows = numbers.chunks_exact(vectors.dim as usize);
    rows.map(<[f32]>::to_vec).collect()
}

/// A stored user, exactly and equal to the bit.
pub(crate) fn exactly(user: &str, page_size: u32) -> RecallRequest {
    RecallRequest {
        user_id: user.to_owned(),
        page_size,
        options: Some(RecallOptions {
            exact: true,
            reproducible: true,
            ..RecallOptions::default()
        }),
        ..RecallRequest::default()
    }
}

/// The stored user as the user tower is asked for them.
pub(crate) fn stored(user: &str) -> UserQuery {
    UserQuery {
        user_id: user.to_owned(),
        ..UserQuery::default()
    }
}
