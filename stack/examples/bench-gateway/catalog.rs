//! A catalog of any size: a model's own items, and others near them.

use std::{
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::Path,
    sync::Arc,
};

use encoder::{
    artifact::Artifact,
    features::{CatalogItem, Item},
    session::ItemEncoder,
};
use parquet::{
    data_type::{FloatType, Int64Type},
    file::{metadata::KeyValue, properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// How far an item lies from the one that it is near, as a share of the vector's length.
const NOISE: f32 = 0.7;
const SEED: u64 = 1;
/// Rows of a group of the Parquet file.
const GROUP: usize = 1 << 16;
const SCHEMA: &str = "message vectors { required int64 item_id; \
    required group vector (LIST) { repeated group list { required float element; } } }";

/// The items 1 to `n`, and their vectors.
pub(crate) struct Catalog {
    items: Vec<CatalogItem>,
    /// The length of a vector.
    pub(crate) dim: usize,
    /// `[n, dim]`.
    pub(crate) vectors: Vec<f32>,
}

impl Catalog {
    /// The first items of a prepared dataset with the vectors that the artifact makes of them; of more than it has, each is one of
    /// those with another id, and a vector of the same length in a direction near by. One that it knows nothing of gets such a vector, too.
    pub(crate) fn of(artifact: &Artifact, data: &Path, count: usize) -> anyhow::Result<Self> {
        let lines = fs::read_to_string(data.join("items.jsonl"))?;
        let own = lines.lines().take(count).map(serde_json::from_str);
        let mut items = own.collect::<Result<Vec<CatalogItem>, _>>()?;
        let in_order = items.iter().zip(1..).all(|(item, id)| item.id == id);
        anyhow::ensure!(in_order, "the dataset's items are not 1 to their number");
        let named: Vec<Item> = items.iter().map(Item::from).collect();
        let embedded = ItemEncoder::open(artifact, 1)?.encode(&named)?;
        let (dim, own) = (embedded.dim, items.len());
        let mut vectors = embedded.values;
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        let known = |row: &usize| length(&vectors[row * dim..][..dim]) > 0.0;
        let (known, unknown): (Vec<usize>, Vec<usize>) = (0..own).partition(known);
        anyhow::ensure!(!known.is_empty(), "the artifact knows no item");
        let mut like = |vectors: &[f32], number: usize| {
            let row = known[number % known.len()];
            (row, near(&vectors[row * dim..][..dim], &mut rng))
        };
        for row in unknown {
            let (_, near) = like(&vectors, row);
            vectors[row * dim..][..dim].copy_from_slice(&near);
        }
        for number in own..count {
            let (row, near) = like(&vectors, number);
            items.push(CatalogItem {
                id: number as u64 + 1,
                ..items[row].clone()
            });
            vectors.extend(near);
        }
        Ok(Self {
            items,
            dim,
            vectors,
        })
    }

    /// Writes `items.jsonl`, `vectors.parquet` and, for Python, `rows.f32`.
    pub(crate) fn write(&self, folder: &Path, space: &str) -> anyhow::Result<()> {
        let mut lines = BufWriter::new(File::create(folder.join("items.jsonl"))?);
        for item in &self.items {
            writeln!(lines, "{}", serde_json::to_string(item)?)?;
        }
        lines.flush()?;
        let bytes = self.vectors.iter().flat_map(|value| value.to_le_bytes());
        fs::write(folder.join("rows.f32"), bytes.collect::<Vec<_>>())?;

        let schema = Arc::new(parse_message_type(SCHEMA)?);
        let key = KeyValue::new("space".to_owned(), space.to_owned());
        let properties = WriterProperties::builder()
            .set_dictionary_enabled(false)
            .set_key_value_metadata(Some(vec![key]));
        let file = File::create(folder.join("vectors.parquet"))?;
        let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties.build()))?;
        let groups = self.items.chunks(GROUP);
        for (items, vectors) in groups.zip(self.vectors.chunks(GROUP * self.dim)) {
            let mut group = writer.next_row_group()?;
            let ids: Vec<i64> = items.iter().map(|item| item.id as i64).collect();
            let defined = vec![1; vectors.len()];
            let later = (0..vectors.len()).map(|at| i16::from(at % self.dim != 0));
            let later: Vec<i16> = later.collect();
            if let Some(mut column) = group.next_column()? {
                column.typed::<Int64Type>().write_batch(&ids, None, None)?;
                column.close()?;
            }
            if let Some(mut column) = group.next_column()? {
                let values = column.typed::<FloatType>();
                values.write_batch(vectors, Some(&defined), Some(&later))?;
                column.close()?;
            }
            group.close()?;
        }
        writer.close()?;
        Ok(())
    }
}

/// A vector of the same length, [`NOISE`] times that away before it is made as long.
fn near(vector: &[f32], rng: &mut ChaCha8Rng) -> Vec<f32> {
    let long = length(vector);
    // The numbers of a cube's points have the mean square 1/3.
    let scale = NOISE * long / (vector.len() as f32 / 3.0).sqrt();
    let mut moved: Vec<f32> = vector
        .iter()
        .map(|value| value + scale * rng.random_range(-1.0_f32..1.0))
        .collect();
    let scale = long / length(&moved);
    moved.iter_mut().for_each(|value| *value *= scale);
    moved
}

fn length(vector: &[f32]) -> f32 {
    vector.iter().map(|value| value * value).sum::<f32>().sqrt()
}
