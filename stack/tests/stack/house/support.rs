//! A house that serves a small model, really trained on a small generated dataset; one for each test binary.

use std::{
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex},
};

use onnx::dataset::{Dataset, generator, split::ItemSet};
use stack::{
    fill,
    house::{House, Plan, SHARDS},
    prepare::{self, Options, Prepared},
};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::transport::Channel;

/// Everything that a test may ask for.
pub(crate) struct Small {
    pub(crate) prepared: Prepared,
    pub(crate) generation: String,
    pub(crate) address: String,
    pub(crate) user_tower: String,
    pub(crate) item_towers: Vec<String>,
    /// Stops the house and removes its files when the process ends.
    _house: Mutex<House>,
    _folder: TempDir,
}

/// Runs every future of the tests, so that the house outlives each of them.
pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// Made on a thread of its own: whoever asks first may be inside a runtime, where nobody may wait for another.
pub(crate) static SMALL: LazyLock<Small> =
    LazyLock::new(|| std::thread::spawn(make).join().unwrap());

fn make() -> Small {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        data: folder.path().join("source").display().to_string(),
        work: folder.path().to_path_buf(),
        towers: PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../onnx/towers")),
        recipe: "quick".to_owned(),
        epochs: Some(1),
    };
    generator::generate(&generator::Options {
        users: 60,
        items: 150,
        events: 3_000,
        ..Default::default()
    })
    .write(Path::new(&options.data))
    .unwrap();
    let prepared = prepare::run(&options).unwrap();
    let (house, generation) = RUNTIME.block_on(start(&options, &prepared)).unwrap();
    Small {
        address: house.gateway.to_string(),
        user_tower: format!("http://{}", house.user_tower),
        item_towers: house
            .item_towers
            .iter()
            .map(|at| format!("http://{at}"))
            .collect(),
        prepared,
        generation,
        _house: Mutex::new(house),
        _folder: folder,
    }
}

/// Starts the house, indexes the catalog, and imports everything but the test events.
async fn start(options: &Options, prepared: &Prepared) -> anyhow::Result<(House, String)> {
    prepare::store(prepared, &options.store()).await?;
    let mut house = House::start(&Plan::at(&options.work, 0)).await?;
    let item_tower = format!("http://{}", house.item_towers[0]);
    let space = &prepared.evaluation.space;
    let indexed = fill::index(
        &options.store(),
        &options.dataset(),
        space,
        &item_tower,
        SHARDS,
    )
    .await?;
    let held = fill::held_back(&prepared.dataset, ItemSet::S);
    let user_tower = format!("http://{}", house.user_tower);
    fill::import(&prepared.dataset, &user_tower, |event| {
        !held.contains(&event)
    })
    .await?;
    house.serves(&indexed.generation).await?;
    Ok((house, indexed.generation))
}

impl Small {
    pub(crate) fn dataset(&self) -> &Dataset {
        &self.prepared.dataset
    }

    /// A connection of its own to the gateway.
    pub(crate) async fn gateway(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.address))
            .unwrap()
            .connect()
            .await
            .unwrap()
    }
}
