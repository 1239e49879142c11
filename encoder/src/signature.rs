//! Where each tensor of the towers comes from (`signature.json`).
//!
//! Nothing fixes a tensor's name: the signature maps names to raw features, so that a model trained elsewhere is served
//! as it is. Axis 0 of every tensor is the batch and dynamic (`null`); the other axes are fixed. Per row a tensor holds
//! - one value, for an id, a feature or `history.length`: shape `[null]` (or `[null, 1]`);
//! - `m` values, for a feature that may be a list: shape `[null, m]`, **padded ids** (never multi-hot): the first `m`
//!   values of the list in their order, then the padding id;
//! - one value an event, for the other `history.*` sources: shape `[null, length]`, padded as [`HistorySpec`] says;
//! - the item's vector an event, for `history.item` encoded as `item_vector`: shape `[null, length, dim]`, zeros where
//!   padding is. Then the items that have a vector are those that the model knows.

mod source;
mod validate;

use serde::{Deserialize, Serialize};

pub use crate::signature::source::Source;

/// The version of `signature.json` that this code reads.
pub const FORMAT: u32 = 1;

/// The whole of `signature.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// The version of this file.
    pub format: u32,
    /// How a user vector and an item vector are compared.
    pub metric: Metric,
    /// Whether the towers give rows of length 1.
    #[serde(default)]
    pub normalized: bool,
    /// The length of a vector.
    pub dim: usize,
    /// Vectors per user.
    pub interests: usize,
    /// How a history becomes a row.
    pub history: HistorySpec,
    /// `user_tower.onnx`: output `[batch, dim]` or `[batch, interests, dim]`.
    pub user: Tower,
    /// `item_tower.onnx`: output `[batch, dim]`.
    pub item: Tower,
}

/// How two vectors are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Their dot product.
    Dot,
    /// The cosine of their angle; the towers' rows must be normalized, so that it is their dot product.
    Cosine,
}

/// How a history is cut and padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistorySpec {
    /// Events that the model sees at most: the newest.
    pub length: usize,
    /// Where padding goes.
    pub side: Side,
    /// Which event comes first.
    pub order: Order,
}

/// A side of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Before the events.
    Left,
    /// Behind the events.
    Right,
}

/// An order of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// By time.
    OldestFirst,
    /// Against time.
    NewestFirst,
}

/// One ONNX file's tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tower {
    /// All of its inputs.
    pub inputs: Vec<Input>,
    /// The outputs that matter.
    pub output: Output,
}

/// The names of a tower's output tensors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// The vectors.
    pub name: String,
    /// Weights of a user's interests, `[batch, interests]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// How much each event weighs in each interest, `[batch, interests, length]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention: Option<String>,
}

/// One input tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its name in the ONNX graph.
    pub name: String,
    /// Its element type.
    pub dtype: Dtype,
    /// Its shape; `null` is the batch, at axis 0 only.
    pub shape: Vec<Option<usize>>,
    /// The raw value.
    pub source: Source,
    /// How the raw value becomes an element.
    pub encoding: Encoding,
}

/// An element type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 64-bit integers.
    I64,
    /// 32-bit integers.
    I32,
    /// 32-bit floats.
    F32,
    /// Truth values.
    Bool,
}

/// How a raw value becomes an element of a tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Encoding {
    /// The line of a vocabulary file, counted from 0. A missing or unseen value takes `unknown`.
    Vocabulary {
        /// Path in the artifact, such as `vocabulary/item.id.txt`.
        file: String,
        /// The id of what is missing or unseen.
        unknown: u32,
        /// The id of padding; needed where a row may be padded.
        #[serde(default)]
        padding: Option<u32>,
    },
    /// `offset` plus the number of edges that are at most the value. Missing, not a number and padding: 0.
    Bucket {
        /// Ascending.
        edges: Vec<f64>,
        /// 1 keeps id 0 for padding and for what is missing.
        #[serde(default)]
        offset: u32,
    },
    /// `(value - mean) / std`. Missing, not a number and padding: 0.
    Numeric {
        /// Of the training data.
        mean: f64,
        /// Of the training data.
        std: f64,
    },
    /// `offset` plus the hash of the value's text modulo `buckets`. Missing hashes as the empty text; padding: 0.
    Hash {
        /// Which hash.
        function: HashFunction,
        /// Its seed.
        #[serde(default)]
        seed: u64,
        /// How many ids it may give.
        buckets: u32,
        /// 1 keeps id 0 for padding.
        #[serde(default)]
        offset: u32,
    },
    /// 1 where an event is, 0 where padding is (`history.mask`).
    Mask,
    /// The number of events, at most the history's length (`history.length`).
    Length,
    /// The item's vector in the generation (`history.item`), see [`crate::gather`]. Padding: zeros.
    ItemVector,
}

/// A hash that any language can compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HashFunction {
    /// FNV-1a, 64 bits, over the text's UTF-8 bytes; the seed is combined with the offset basis by exclusive or.
    Fnv1a64,
    /// MurmurHash3 x86, 32 bits, as in scikit-learn's `murmurhash3_32(positive=True)`; the seed's low 32 bits.
    Murmur3_32,
}

impl Input {
    /// Returns how many elements a row has; `usize::MAX` stands for all that is more.
    pub fn width(&self) -> usize {
        let axes = self.shape.iter().skip(1).flatten();
        axes.fold(1, |width, axis| width.saturating_mul(*axis))
    }

    /// Returns whether it takes the vectors of items.
    pub fn is_item_vector(&self) -> bool {
        self.encoding == Encoding::ItemVector
    }
}

impl Signature {
    /// Returns whether a user's vectors depend on when they are asked for: then none may be kept for later.
    pub fn reads_time(&self) -> bool {
        self.user.input(&Source::HistoryAge).is_some()
    }

    /// Returns whether the user tower takes the vectors of the history's items: then it embeds nobody without them.
    pub fn reads_item_vectors(&self) -> bool {
        self.user.inputs.iter().any(Input::is_item_vector)
    }
}

impl Tower {
    /// Returns the input that takes `source`, the first if there are several.
    pub fn input(&self, source: &Source) -> Option<&Input> {
        self.inputs.iter().find(|input| input.source == *source)
    }
}
