//! Golden vectors: raw features with the vectors that they must become.
//!
//! Line `i` of `golden/raw.jsonl` holds raw rows for one tower, `{"tower":"user","rows":[..]}` or
//! `{"tower":"item","rows":[..]}`. `golden/test_data_set_i/output_0.pb` holds the vectors of these rows (an ONNX
//! `TensorProto`), and `output_1.pb` the weights if the tower has them. `input_j.pb`, in the order of the signature's
//! inputs, may be there too: then the tensors are compared as well, which tells a wrong preprocessing from a wrong model.
//!
//! A user tower that reads item vectors gets those that the artifact's own item tower makes of the item rows of
//! `raw.jsonl`: an item of a history that has no such row is unknown.

mod compare;

use prost::Message as _;
use serde::{Deserialize, Serialize};

use crate::{
    artifact::Artifact,
    error::Error,
    features::{Item, User, tensors::Tensor},
    gather::{Gathered, ItemVectors},
    messages::TensorProto,
    session::{BUCKETS, ItemEncoder, LARGEST, UserEncoder},
    signature::{Output, Signature},
};

/// How far a number may be from its golden value.
pub const TOLERANCE: f32 = 1e-4;
/// The file of raw features.
pub const RAW: &str = "golden/raw.jsonl";

const LIMIT: u64 = 64 << 20;

/// One line of `golden/raw.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "tower", content = "rows", rename_all = "snake_case")]
pub enum Raw {
    /// Rows for the user tower.
    User(Vec<User>),
    /// Rows for the item tower.
    Item(Vec<Item>),
}

/// One set of golden vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct Set {
    /// The raw rows.
    pub raw: Raw,
    /// The tensors that they become, if given.
    pub inputs: Vec<Tensor>,
    /// The vectors that they become, `[rows, ..]`.
    pub vectors: Vec<f32>,
    /// The weights that they become, if the tower has them.
    pub weights: Vec<f32>,
}

/// Reads the golden vectors of an artifact.
///
/// # Errors
/// [`Error::Golden`] if a tower has none, or a tensor is not of the shape that the rows make.
pub fn read(artifact: &Artifact) -> Result<Vec<Set>, Error> {
    sets(artifact).into_iter().collect()
}

/// Returns the content of `golden/raw.jsonl`.
pub fn lines(raw: &[Raw]) -> Vec<u8> {
    let mut lines = Vec::new();
    for set in raw {
        // Maps with text keys and finite numbers always have a JSON form.
        serde_json::to_writer(&mut lines, set).expect("raw features have a JSON form");
        lines.push(b'\n');
    }
    lines
}

/// Compares every set with what the encoders make of its raw rows, at every batch bucket.
///
/// Returns one error a set that is wrong. Where the model reads item vectors, sets that cannot be read are told alone: the
/// items of the others' histories may stand in them.
pub(crate) fn findings(artifact: &Artifact, user: &UserEncoder, item: &ItemEncoder) -> Vec<Error> {
    let sets = sets(artifact);
    let reads_item_vectors = artifact.signature().reads_item_vectors();
    if reads_item_vectors && sets.iter().any(Result::is_err) {
        return sets.into_iter().filter_map(Result::err).collect();
    }
    let gathered = match reads_item_vectors {
        true => match Gathered::embed(&item_rows(sets.iter().flatten()), item) {
            Ok(gathered) => Some(gathered),
            Err(cause) => return vec![cause],
        },
        false => None,
    };
    let vectors = gathered.as_ref().map(|gathered| gathered as _);
    let compared = sets.into_iter().enumerate();
    compared
        .filter_map(|(at, set)| {
            set.and_then(|set| check(artifact, at, &set, user, item, vectors))
                .err()
        })
        .collect()
}

/// Returns the raw items of all sets, in order.
pub fn item_rows<'a>(sets: impl IntoIterator<Item = &'a Set>) -> Vec<Item> {
    let items = sets.into_iter().flat_map(|set| match &set.raw {
        Raw::Item(items) => items.as_slice(),
        Raw::User(_) => &[],
    });
    items.cloned().collect()
}

impl Raw {
    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::User(users) => users.len(),
            Self::Item(items) => items.len(),
        }
    }

    /// Returns whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many numbers the vectors of one row have, and the names of the outputs.
    fn outputs<'a>(&self, signature: &'a Signature) -> (usize, &'a Output) {
        match self {
            Self::User(_) => (signature.interests * signature.dim, &signature.user.output),
            Self::Item(_) => (signature.dim, &signature.item.output),
        }
    }
}

/// Reads the sets one by one: a set that cannot be read does not hide the others.
fn sets(artifact: &Artifact) -> Vec<Result<Set, Error>> {
    let text = match text(artifact) {
        Ok(text) => text,
        Err(cause) => return vec![Err(cause)],
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let mut sets: Vec<Result<Set, Error>> = lines
        .enumerate()
        .map(|(at, line)| {
            let raw = serde_json::from_str(line)
                .map_err(|cause| golden(format!("raw.jsonl, set {at}: {cause}")))?;
            read_set(artifact, at, raw)
        })
        .collect();
    if sets.iter().all(Result::is_ok) {
        let has = |wanted: fn(&Raw) -> bool| sets.iter().flatten().any(|set| wanted(&set.raw));
        let towers = [
            ("user", has(|raw| matches!(raw, Raw::User(_)))),
            ("item", has(|raw| matches!(raw, Raw::Item(_)))),
        ];
        for (tower, _) in towers.iter().filter(|(_, there)| !there) {
            let problem = format!("raw.jsonl has no rows for the {tower} tower");
            sets.push(Err(golden(problem)));
        }
    }
    sets
}

fn text(artifact: &Artifact) -> Result<String, Error> {
    let bytes = artifact
        .read(RAW, LIMIT)
        .map_err(|cause| golden(cause.to_string()))?;
    String::from_utf8(bytes).map_err(|cause| golden(format!("raw.jsonl: {cause}")))
}

/// Compares one set: all of its rows at the largest bucket, the first ones at every other.
fn check(
    artifact: &Artifact,
    at: usize,
    set: &Set,
    user: &UserEncoder,
    item: &ItemEncoder,
    vectors: Option<&dyn ItemVectors>,
) -> Result<(), Error> {
    compare::inputs(artifact, at, set, vectors)?;
    let rows = set.raw.len();
    for bucket in BUCKETS {
        let count = if bucket == LARGEST {
            rows.next_multiple_of(LARGEST)
        } else {
            bucket
        };
        match &set.raw {
            Raw::User(users) => {
                let found = user.encode_with(&compare::cycle(users, count), vectors)?;
                compare::rows(at, bucket, rows, &found.values, &set.vectors)?;
                compare::rows(at, bucket, rows, &found.weights, &set.weights)?;
            }
            Raw::Item(items) => {
                let found = item.encode(&compare::cycle(items, count))?;
                compare::rows(at, bucket, rows, &found.values, &set.vectors)?;
            }
        }
    }
    Ok(())
}

fn read_set(artifact: &Artifact, at: usize, raw: Raw) -> Result<Set, Error> {
    if raw.is_empty() {
        return Err(golden(format!("raw.jsonl, set {at}: it has no rows")));
    }
    let (size, output) = raw.outputs(artifact.signature());
    let weighted = output.weights.is_some();
    let inputs = match &raw {
        Raw::User(_) => artifact.signature().user.inputs.len(),
        Raw::Item(_) => artifact.signature().item.inputs.len(),
    };
    let name = |kind: &str, j: usize| format!("golden/test_data_set_{at}/{kind}_{j}.pb");
    let given = (0..inputs)
        .filter(|j| artifact.listing().files.contains_key(&name("input", *j)))
        .count();
    if given != 0 && given != inputs {
        return Err(golden(format!(
            "set {at} has {given} input tensors, the tower has {inputs} inputs"
        )));
    }
    Ok(Set {
        inputs: (0..given)
            .map(|j| tensor(artifact, &name("input", j)))
            .collect::<Result<_, _>>()?,
        vectors: floats(artifact, &name("output", 0), raw.len() * size)?,
        weights: match weighted {
            true => floats(
                artifact,
                &name("output", 1),
                raw.len() * artifact.signature().interests,
            )?,
            false => Vec::new(),
        },
        raw,
    })
}

fn floats(artifact: &Artifact, name: &str, expected: usize) -> Result<Vec<f32>, Error> {
    match tensor(artifact, name)?.data {
        crate::features::tensors::Data::F32(values) if values.len() == expected => Ok(values),
        other => Err(golden(format!(
            "{name} holds {} numbers, the rows make {expected} f32",
            other.len()
        ))),
    }
}

fn tensor(artifact: &Artifact, name: &str) -> Result<Tensor, Error> {
    let bytes = artifact
        .read(name, LIMIT)
        .map_err(|cause| golden(cause.to_string()))?;
    let proto = TensorProto::decode(bytes.as_slice())
        .map_err(|cause| golden(format!("{name}: {cause}")))?;
    Tensor::try_from(&proto).map_err(|problem| golden(format!("{name}: {problem}")))
}

fn golden(problem: String) -> Error {
    Error::Golden { problem }
}
