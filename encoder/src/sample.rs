//! A small artifact whose vectors can be told in advance: an example of the format, and what tests serve.
//!
//! An item's vector is its row of a table, and that of its kind if it reads one; a user's is the sum of the rows of the
//! history, plus [`BIAS`] in the first place. If it [`Reads::Ages`], the age of each event of the history, in hours, is
//! added to every place too. If it [`tells`](Sample::tells) how much an event counts, that is its item's line in the
//! vocabulary: 2 for the first item, 3 for the next. The towers are true ONNX graphs, so ONNX Runtime runs them, and the user tower needs no table
//! if it [`Reads::Vectors`].

mod graph;

use std::{fs, path::Path};

use prost::Message as _;
use serde_json::json;

use crate::{
    artifact::{self, ITEM_TOWER, SIGNATURE, USER_TOWER},
    error::Error,
    features::{Event, Item, User, history},
    golden::{self, Raw},
    messages::TensorProto,
};

/// The first number of a user without a history; the others are 0.
pub const BIAS: f32 = 0.5;

/// Seconds that count as 1 where ages are read.
const HOUR: f64 = 3_600.0;

/// What an item's `kind` may be.
pub const KINDS: [&str; 2] = ["a", "b"];

/// What the user tower is given of each event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reads {
    /// The item's id.
    #[default]
    Ids,
    /// The item's id, and how long before the request the event was.
    Ages,
    /// The item's vector in the generation, so that the user tower has no table.
    Vectors,
}

/// What the artifact is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The items that it knows.
    pub items: Vec<u64>,
    /// The length of a vector.
    pub dim: usize,
    /// Events that the user tower sees at most.
    pub history: usize,
    /// Another seed makes other vectors, and so another space.
    pub seed: u64,
    /// What the user tower is given.
    pub reads: Reads,
    /// Whether an item's feature `kind`, one of [`KINDS`], adds to its vector; that of an unknown item is all zero without.
    pub reads_kind: bool,
    /// Whether the user tower tells how much each event counts; one that [`Reads::Vectors`] cannot.
    pub tells: bool,
}

impl Default for Sample {
    /// Items 1 to 20, vectors of length 8, the last 5 events.
    fn default() -> Self {
        Self {
            items: (1..=20).collect(),
            dim: 8,
            history: 5,
            seed: 1,
            reads: Reads::default(),
            reads_kind: false,
            tells: false,
        }
    }
}

impl Sample {
    /// Writes the artifact into a directory, which is made if it is absent, and returns its space.
    ///
    /// # Errors
    /// [`Error::File`] if a file cannot be written.
    pub fn write(&self, dir: &Path) -> Result<String, Error> {
        let put = |name: &str, bytes: Vec<u8>| put(&dir.join(name), bytes);
        put(
            "vocabulary/item.id.txt",
            vocabulary(self.items.iter().map(u64::to_string)),
        )?;
        if self.reads_kind {
            let kinds = KINDS.iter().map(|kind| (*kind).to_owned());
            put("vocabulary/item.kind.txt", vocabulary(kinds))?;
        }
        put(SIGNATURE, format!("{:#}\n", self.signature()).into_bytes())?;
        put(USER_TOWER, self.user_tower().encode_to_vec())?;
        put(ITEM_TOWER, self.item_tower().encode_to_vec())?;
        let (users, items) = (self.golden_users(), self.golden_items());
        let user_vectors = users
            .iter()
            .flat_map(|user| self.user(user))
            .collect::<Vec<f32>>();
        let item_vectors = items
            .iter()
            .flat_map(|item| self.row(item.id))
            .collect::<Vec<f32>>();
        let shape = |rows: usize| [rows, self.dim];
        let tensor = |rows: usize, values: &[f32]| {
            TensorProto::f32s("", &shape(rows), values).encode_to_vec()
        };
        put(
            "golden/test_data_set_0/output_0.pb",
            tensor(users.len(), &user_vectors),
        )?;
        put(
            "golden/test_data_set_1/output_0.pb",
            tensor(items.len(), &item_vectors),
        )?;
        put(
            golden::RAW,
            golden::lines(&[Raw::User(users), Raw::Item(items)]),
        )?;
        artifact::seal(dir, "encoder::sample")
    }

    /// Returns what a kind adds to an item's vector; nothing if it is none of [`KINDS`].
    pub fn kind(&self, kind: &str) -> Vec<f32> {
        let known = KINDS.iter().position(|known| *known == kind);
        self.row_at(known.map(|at| self.items.len() + at))
    }

    /// Returns the vector of an item without a kind; all zero if the artifact does not know it.
    pub fn row(&self, item: u64) -> Vec<f32> {
        self.row_at(self.items.iter().position(|known| *known == item))
    }

    fn row_at(&self, place: Option<usize>) -> Vec<f32> {
        match place {
            Some(at) => (0..self.dim)
                .map(|place| self.number(at * self.dim + place))
                .collect(),
            None => vec![0.0; self.dim],
        }
    }

    /// Returns a user's vector.
    pub fn user(&self, user: &User) -> Vec<f32> {
        let known = user
            .history
            .iter()
            .filter(|event| self.items.contains(&event.item));
        let newest: Vec<_> = known.rev().take(self.history).collect();
        let mut vector = vec![0.0; self.dim];
        vector[0] = BIAS;
        for event in newest {
            vector
                .iter_mut()
                .zip(self.row(event.item))
                .for_each(|(sum, number)| *sum += number);
            if self.reads == Reads::Ages {
                let hours = history::age(event.time, user.time) as f64 / HOUR;
                vector.iter_mut().for_each(|sum| *sum += hours as f32);
            }
        }
        vector
    }

    /// A number in [-1, 1), by SplitMix64.
    fn number(&self, at: usize) -> f32 {
        let mut bits = self
            .seed
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(at as u64 + 1);
        bits = bits.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ bits >> 31) >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn signature(&self) -> serde_json::Value {
        let vocabulary =
            json!({"vocabulary": {"file": "vocabulary/item.id.txt", "unknown": 1, "padding": 0}});
        let mut inputs = vec![match self.reads {
            Reads::Ids | Reads::Ages => json!({
                "name": "history", "dtype": "i64", "shape": [null, self.history], "source": "history.item",
                "encoding": vocabulary,
            }),
            Reads::Vectors => json!({
                "name": "history", "dtype": "f32", "shape": [null, self.history, self.dim], "source": "history.item",
                "encoding": "item_vector",
            }),
        }];
        if self.reads == Reads::Ages {
            inputs.push(json!({
                "name": "hours", "dtype": "f32", "shape": [null, self.history], "source": "history.age",
                "encoding": {"numeric": {"mean": 0.0, "std": HOUR}},
            }));
        }
        let mut of_item = vec![
            json!({"name": "item", "dtype": "i64", "shape": [null], "source": "item.id", "encoding": vocabulary}),
        ];
        if self.reads_kind {
            of_item.push(json!({
                "name": "kind", "dtype": "i64", "shape": [null], "source": "item.kind",
                "encoding": {"vocabulary": {"file": "vocabulary/item.kind.txt", "unknown": 1, "padding": 0}},
            }));
        }
        let mut of_user = json!({"name": "user"});
        if self.tells {
            of_user["attention"] = json!("attention");
        }
        json!({
            "format": 1, "metric": "dot", "normalized": false, "dim": self.dim, "interests": 1,
            "history": {"length": self.history, "side": "left", "order": "oldest_first"},
            "user": {"inputs": inputs, "output": of_user},
            "item": {
                "inputs": of_item,
                "output": {"name": "vector"},
            },
        })
    }

    fn golden_users(&self) -> Vec<User> {
        let history = |items: &mut dyn Iterator<Item = &u64>| {
            items
                .map(|item| Event {
                    item: *item,
                    kind: String::new(),
                    value: 0.0,
                    time: 0,
                })
                .collect()
        };
        vec![
            User::default(),
            User {
                history: history(&mut self.items.iter().take(2)),
                ..User::default()
            },
            User {
                history: history(&mut self.items.iter().chain(&[u64::MAX])),
                time: (self.reads == Reads::Ages).then_some(5_400),
                ..User::default()
            },
        ]
    }

    fn golden_items(&self) -> Vec<Item> {
        let ids: Vec<u64> = match self.reads {
            // All that the histories may name.
            Reads::Vectors => self.items.clone(),
            Reads::Ids | Reads::Ages => {
                let ids = self.items.iter().copied().take(3);
                ids.chain([u64::MAX]).collect()
            }
        };
        let item = |id| Item {
            id,
            ..Item::default()
        };
        ids.into_iter().map(item).collect()
    }
}

/// A vocabulary's file: two reserved lines, then the values'.
fn vocabulary(values: impl Iterator<Item = String>) -> Vec<u8> {
    let reserved = ["<pad>".to_owned(), "<unk>".to_owned()].into_iter();
    let lines = reserved.chain(values).map(|line| line + "\n");
    lines.collect::<String>().into_bytes()
}

fn put(path: &Path, bytes: Vec<u8>) -> Result<(), Error> {
    let written = match path.parent() {
        Some(parent) => fs::create_dir_all(parent).and_then(|()| fs::write(path, bytes)),
        None => fs::write(path, bytes),
    };
    written.map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })
}
