//! What is true in a story: the generations, what each user likes in each, and when which member holds what.

use std::{collections::BTreeSet, time::Duration};

use generation::{
    manifest::{Engine, Manifest, Metric, ShardEntry},
    partition, placement,
    publish::{Draft, Staging},
    rows::Rows,
    store::{Current, Members, Store},
};
use rand::{Rng as _, rngs::StdRng};
use tempfile::TempDir;

/// Items of every generation: 1 to this.
pub(super) const ITEMS: u64 = 300;
/// Numbers a vector: the user, and the generation.
pub(super) const DIM: usize = 2;
/// Shards of the generations; the last two are of one space.
const SHARDS: [u32; 3] = [2, 7, 4];
/// How long members keep a generation that is named no more.
const LINGER: Duration = Duration::from_secs(2);

/// A store with all generations of all stories.
pub(super) struct Shelf {
    pub(super) store: Store,
    pub(super) generations: Vec<Manifest>,
    _folder: TempDir,
}

/// One story's members and how generations follow one another.
#[derive(Clone, Debug)]
pub(super) struct Truth {
    pub(super) generations: Vec<Manifest>,
    pub(super) item_towers: Vec<String>,
    pub(super) user_towers: Vec<String>,
    /// When which generation comes to serve, from the first on.
    pub(super) swaps: Vec<(Duration, usize)>,
    /// By member: how long it takes to load a generation.
    loading: Vec<Duration>,
    /// Whether the best items of all users lie in the first shard.
    skewed: bool,
    copies: usize,
    /// Whether all that happens happens to one item tower.
    one_victim: bool,
}

impl Shelf {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().to_str().unwrap()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        let generations = runtime.block_on(async {
            let mut generations = Vec::new();
            for (number, shards) in SHARDS.into_iter().enumerate() {
                generations.push(publish(&store, number.min(1), shards).await);
            }
            let members = Members {
                epoch: 1,
                members: vec!["user-0".to_owned(), "user-1".to_owned()],
            };
            store.swap_members(None, &members).await.unwrap();
            generations
        });
        Self {
            store,
            generations,
            _folder: folder,
        }
    }

    /// Lets a generation serve.
    pub(super) async fn serve(&self, new: Current) {
        let found = self.store.current().await.unwrap().unwrap();
        let swapped = self.store.swap_current(Some(&found.version), &new).await;
        swapped.unwrap();
    }
}

async fn publish(store: &Store, space: usize, shards: u32) -> Manifest {
    let space = format!("space-{space}");
    std::fs::create_dir_all(store.artifact_dir(&space).unwrap()).unwrap();
    let staging = Staging::create(store).unwrap();
    let mut entries = Vec::new();
    for shard in 0..shards {
        let mine = |id: &u64| partition::shard_of(*id, shards) == shard;
        let ids: Vec<u64> = (1..=ITEMS).filter(mine).collect();
        let entry = ShardEntry::named(shard, ids.len() as u64);
        let file = |name: &str| staging.dir().join(name);
        Rows::write(&file(&entry.rows), DIM, &ids, &vec![1.0; ids.len() * DIM]).unwrap();
        std::fs::write(file(&entry.graph), "graph").unwrap();
        std::fs::write(file(&entry.items_file), "items").unwrap();
        entries.push(entry);
    }
    let draft = Draft {
        space,
        dim: DIM,
        metric: Metric::Dot,
        shards: entries,
        engine: Engine {
            name: "none".to_owned(),
            version: "0".to_owned(),
            connectivity: 0,
            expansion_add: 0,
            expansion_search: 0,
        },
        updates_from: 0,
        catalog: None,
        report: None,
    };
    staging.commit(draft).await.unwrap()
}

impl Truth {
    pub(super) fn new(dice: &mut StdRng, shelf: &Shelf) -> Self {
        let names = |kind: &str, count| (0..count).map(|at| format!("{kind}-{at}")).collect();
        let item_towers: Vec<String> = names("item", dice.random_range(2..=5));
        let user_towers: Vec<String> = names("user", 2);
        let mut swaps = vec![(Duration::ZERO, dice.random_range(0..SHARDS.len()))];
        for second in [2, 4] {
            if dice.random_bool(0.6) {
                let next = (swaps[swaps.len() - 1].1 + dice.random_range(1..3)) % SHARDS.len();
                swaps.push((Duration::from_secs(second), next));
            }
        }
        let members = item_towers.len() + user_towers.len();
        let mut loading = |_| Duration::from_millis(dice.random_range(20..900));
        Self {
            generations: shelf.generations.clone(),
            loading: (0..members).map(&mut loading).collect(),
            skewed: dice.random_bool(0.4),
            copies: dice.random_range(1..=2),
            one_victim: dice.random_bool(0.5),
            item_towers,
            user_towers,
            swaps,
        }
    }

    /// Whether each shard has a replica that is well all the time.
    pub(super) fn has_spares(&self) -> bool {
        self.one_victim && self.copies == 2
    }

    /// The members to whom something happens.
    pub(super) fn victims(&self) -> Vec<&String> {
        match self.one_victim {
            true => self.item_towers.iter().take(1).collect(),
            false => self.item_towers.iter().chain(&self.user_towers).collect(),
        }
    }

    /// What CURRENT says after the swap.
    pub(super) fn current(&self, swap: usize) -> Current {
        let id = |swap: usize| self.generations[self.swaps[swap].1].id.clone();
        let previous = swap.checked_sub(1).map(id);
        Current {
            previous,
            ..Current::of(id(swap))
        }
    }

    /// The number of a generation.
    pub(super) fn number(&self, generation: &str) -> Option<usize> {
        let mut all = self.generations.iter();
        all.position(|manifest| manifest.id == generation)
    }

    /// The generations that a member holds at a time, which began at `since`.
    pub(super) fn held(&self, member: usize, since: Duration, now: Duration) -> BTreeSet<usize> {
        let mut held = BTreeSet::new();
        for (swap, (begun, generation)) in self.swaps.iter().enumerate() {
            let loaded = since.max(*begun) + self.loading[member];
            // It is named as the one that serves, then as the previous.
            let unnamed = self.swaps.get(swap + 2).map(|(at, _)| *at + LINGER);
            if loaded <= now && unnamed.is_none_or(|unnamed| now < unnamed) {
                held.insert(*generation);
            }
        }
        held
    }

    /// The shards of a generation that an item tower holds.
    pub(super) fn shards(&self, generation: usize, tower: usize) -> Vec<u32> {
        let all = 0..self.generations[generation].shards.len() as u32;
        let mine = |shard: &u32| {
            let holders = placement::replicas(*shard, &self.item_towers, self.copies);
            holders.contains(&self.item_towers[tower].as_str())
        };
        all.filter(mine).collect()
    }

    /// The items of a shard.
    pub(super) fn items(&self, generation: usize, shard: u32) -> impl Iterator<Item = u64> {
        let shards = self.generations[generation].shards.len() as u32;
        (1..=ITEMS).filter(move |id| partition::shard_of(*id, shards) == shard)
    }

    /// How much a user likes an item in a generation.
    pub(super) fn score(&self, generation: usize, user: u64, id: u64) -> f32 {
        let shards = self.generations[generation].shards.len() as u32;
        let first = self.skewed && partition::shard_of(id, shards) == 0;
        let mixed = mix(mix(user) ^ mix(generation as u64 + 77) ^ id);
        (mixed >> 40) as f32 / (1 << 24) as f32 + if first { 1.0 } else { 0.0 }
    }

    /// Whether a user has seen an item.
    pub(super) fn has_seen(user: u64, id: u64) -> bool {
        mix(user ^ mix(id)).is_multiple_of(15)
    }

    /// The best items of all for a user, but those `excluded`.
    pub(super) fn best(
        &self,
        generation: usize,
        user: u64,
        k: usize,
        excluded: &[u64],
    ) -> Vec<u64> {
        let free = |id: &u64| !Self::has_seen(user, *id) && !excluded.contains(id);
        let mut ids: Vec<u64> = (1..=ITEMS).filter(free).collect();
        let score = |id: &u64| self.score(generation, user, *id);
        ids.sort_by(|a, b| score(b).total_cmp(&score(a)).then(a.cmp(b)));
        ids.truncate(k);
        ids
    }
}

/// The finalizer of splitmix64.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
