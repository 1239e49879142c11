//! The manifest: what one generation consists of, and the limits within which it is believed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    error::Error,
    name, partition,
    rows::{self, Storage},
};

/// The manifest's name in a generation's directory.
pub const FILE: &str = "manifest.json";
/// The format that this code writes and reads.
pub const FORMAT: u32 = 1;

/// The most bytes of a manifest.
pub(crate) const BYTES_LIMIT: u64 = 16 << 20;
/// The most numbers of a vector.
const DIM_LIMIT: usize = 65_536;
/// The most shards.
const SHARDS_LIMIT: usize = 65_536;

/// What one generation consists of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format, [`FORMAT`].
    pub format: u32,
    /// `YYYYMMDDTHHMMSSZ-` and 8 hex digits of this manifest's hash; sorts by age.
    pub id: String,
    /// When it was published, RFC 3339 in UTC.
    pub created: String,
    /// The embedding space: the artifact whose item tower made the vectors.
    pub space: String,
    /// Numbers a vector.
    pub dim: usize,
    /// What scores mean.
    pub metric: Metric,
    /// Items over all shards.
    pub items: u64,
    /// The shards in the order of their numbers.
    pub shards: Vec<ShardEntry>,
    /// How items were divided.
    pub partitioner: Partitioner,
    /// What built the graphs.
    pub engine: Engine,
    /// Every file but the manifest, by name.
    pub files: BTreeMap<String, FileEntry>,
    /// The last delta of the catalog's log that the shards hold, see [`crate::deltas`].
    #[serde(default)]
    pub updates_from: u64,
    /// The catalog that they were made of, beside the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog: Option<CatalogEntry>,
    /// The evaluation report of the artifact, if it had one.
    pub report: Option<serde_json::Value>,
}

/// What scores mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// The dot product of raw vectors.
    Dot,
    /// The cosine; vectors are normalized, so that the dot product is the cosine.
    Cosine,
}

/// One shard and the names of its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardEntry {
    /// The shard's number.
    pub shard: u32,
    /// Items in it.
    pub items: u64,
    /// Ids and vectors, see [`crate::rows`].
    pub rows: String,
    /// The graph.
    pub graph: String,
    /// Titles and raw features.
    pub items_file: String,
    /// Which rows lie near each other, in a shard that has enough of them; generations of before have no such file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cells: Option<String>,
    /// How the vectors' numbers are stored.
    #[serde(default, skip_serializing_if = "Storage::is_f32")]
    pub storage: Storage,
}

/// How items were divided among the shards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partitioner {
    /// [`partition::PARTITIONER`].
    pub name: String,
    /// How many shards.
    pub shards: u32,
}

/// What built the graphs, and with which settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    /// The library, `usearch`.
    pub name: String,
    /// The library's version.
    pub version: String,
    /// Neighbours a node.
    pub connectivity: usize,
    /// Candidates looked at while a node is added.
    pub expansion_add: usize,
    /// Candidates looked at while searching.
    pub expansion_search: usize,
}

/// The catalog that a generation was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogEntry {
    /// BLAKE3 of the catalog's file, in hex.
    pub blake3: String,
    /// The last delta that the file is taken to hold: those after it, up to [`Manifest::updates_from`], won over it.
    pub delta: u64,
}

/// Size and hash of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Size in bytes.
    pub bytes: u64,
    /// BLAKE3 of the content, in hex.
    pub blake3: String,
}

/// The manifest's name in the store.
pub(crate) fn object(id: &str) -> String {
    format!("generations/{id}/{FILE}")
}

impl ShardEntry {
    /// An entry with the usual names, `shard-0000.rows`, `.graph` and `.items`, of vectors as they are and without
    /// cells.
    pub fn named(shard: u32, items: u64) -> Self {
        let file = |kind| format!("shard-{shard:04}.{kind}");
        Self {
            shard,
            items,
            rows: file("rows"),
            graph: file("graph"),
            items_file: file("items"),
            cells: None,
            storage: Storage::F32,
        }
    }

    /// The usual name of a shard's cells: `shard-0000.cells`.
    pub fn cells_named(shard: u32) -> String {
        format!("shard-{shard:04}.cells")
    }

    /// The names of the shard's files.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        let always = [&self.rows, &self.graph, &self.items_file];
        always.into_iter().chain(&self.cells).map(String::as_str)
    }
}

impl Manifest {
    /// Reads the manifest of generation `id`.
    ///
    /// # Errors
    /// If it is not that generation's, was changed since it was published, is of another format,
    /// names a file outside its directory, or contradicts itself.
    pub fn parse(text: &[u8], id: &str) -> Result<Self, Error> {
        let name = object(id);
        let json = |source| Error::Json {
            name: name.clone(),
            source,
        };
        let format = serde_json::from_slice::<Format>(text).map_err(json)?.format;
        if format != FORMAT {
            return Err(Error::mismatch(&name, "format", format, FORMAT));
        }
        let manifest: Self = serde_json::from_slice(text).map_err(json)?;
        if manifest.id != id {
            return Err(Error::mismatch(&name, "id", &manifest.id, id));
        }
        let fingerprint = fingerprint(text, id);
        if !id.ends_with(&format!("-{fingerprint}")) {
            return Err(Error::mismatch(&name, "hash", fingerprint, id));
        }
        manifest.check(&name)?;
        Ok(manifest)
    }

    /// Gives the manifest its id and returns it as text.
    pub(crate) fn seal(&mut self) -> Result<Vec<u8>, Error> {
        let timestamp: String = self
            .created
            .chars()
            .filter(|c| !"-:".contains(*c))
            .collect();
        self.id = String::new();
        self.id = format!("{timestamp}-{}", fingerprint(&self.to_json()?, ""));
        self.check(FILE)?;
        self.to_json()
    }

    fn to_json(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec_pretty(self).map_err(|source| Error::Json {
            name: FILE.to_owned(),
            source,
        })
    }

    /// Refuses a manifest that contradicts itself or leaves its directory.
    fn check(&self, name: &str) -> Result<(), Error> {
        name::check("generation", &self.id)?;
        name::check("artifact", &self.space)?;
        for file in self.files.keys() {
            name::check("file", file)?;
        }
        let is = |what, found: u64, expected: u64| match found == expected {
            true => Ok(()),
            false => Err(Error::mismatch(name, what, found, expected)),
        };
        let within = |what, found: usize, limit: usize| match (1..=limit).contains(&found) {
            true => Ok(()),
            false => Err(Error::mismatch(name, what, found, format!("1 to {limit}"))),
        };
        within("dim", self.dim, DIM_LIMIT)?;
        within("number of shards", self.shards.len(), SHARDS_LIMIT)?;
        if self.partitioner.name != partition::PARTITIONER {
            let found = &self.partitioner.name;
            return Err(Error::mismatch(
                name,
                "partitioner",
                found,
                partition::PARTITIONER,
            ));
        }
        is(
            "number of shards",
            self.shards.len() as u64,
            self.partitioner.shards.into(),
        )?;
        is("sum of the shards' items", self.total(), self.items)?;
        for (number, shard) in self.shards.iter().enumerate() {
            is("shard's number", shard.shard.into(), number as u64)?;
            for file in shard.files() {
                self.entry(file)?;
            }
            let bytes = rows::file_bytes(self.dim, shard.items, shard.storage);
            is("size of a rows file", self.entry(&shard.rows)?.bytes, bytes)?;
        }
        Ok(())
    }

    /// The last delta that nobody needs who has this generation and what it was made of.
    pub(crate) fn needs_after(&self) -> u64 {
        let catalog = self.catalog.as_ref();
        catalog.map_or(self.updates_from, |catalog| {
            catalog.delta.min(self.updates_from)
        })
    }

    fn total(&self) -> u64 {
        let items = self.shards.iter().map(|shard| shard.items);
        items.fold(0, u64::saturating_add)
    }

    /// The entry of `file`.
    pub(crate) fn entry(&self, file: &str) -> Result<&FileEntry, Error> {
        self.files.get(file).ok_or_else(|| Error::Missing {
            what: "file",
            name: file.chars().take(80).collect(),
        })
    }
}

/// What every format has.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// The first 8 hex digits of the hash of a manifest's text as it was before it had its id.
fn fingerprint(text: &[u8], id: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    let at = text
        .windows(id.len().max(1))
        .position(|window| window == id.as_bytes());
    match at {
        Some(at) => hasher.update(&text[..at]).update(&text[at + id.len()..]),
        None => hasher.update(text),
    };
    hasher.finalize().to_hex()[..8].to_owned()
}

#[cfg(test)]
mod tests;
