//! A model artifact: a directory named by the hash of its content.
//!
//! ```text
//! artifact.json      format, space, producer, every file with its size and blake3
//! user_tower.onnx    item_tower.onnx     (and external data, if listed)
//! signature.json     where each tensor comes from
//! vocabulary/F.txt   raw values, line i is id i
//! golden/            raw.jsonl and test_data_set_i/{input,output}_j.pb
//! report.json        evaluation, if there was one
//! ```
//!
//! Bytes are hashed before anything else reads them, each time they are read.

mod listing;
mod read;
mod seal;

use std::path::{Path, PathBuf};

use crate::{
    error::Error,
    features::{
        Features,
        tensors::{ItemTensors, UserTensors},
    },
    golden,
    session::{ItemEncoder, UserEncoder},
    signature::{Signature, Source},
    vocabulary::Vocabularies,
};

pub use crate::artifact::{
    listing::{FileEntry, Listing},
    seal::seal,
};

/// The file that lists the others.
pub const LISTING: &str = "artifact.json";
/// The user tower's model.
pub const USER_TOWER: &str = "user_tower.onnx";
/// The item tower's model.
pub const ITEM_TOWER: &str = "item_tower.onnx";
/// The towers' signature.
pub const SIGNATURE: &str = "signature.json";
/// The evaluation's report.
pub const REPORT: &str = "report.json";

const MIB: u64 = 1 << 20;

/// An artifact whose every file was found to be what the listing says.
#[derive(Debug)]
pub struct Artifact {
    dir: PathBuf,
    listing: Listing,
    signature: Signature,
    vocabularies: Vocabularies,
    items: ItemTensors,
    report: Option<serde_json::Value>,
}

impl Artifact {
    /// Opens a directory: hashes every file, then reads the signature and the vocabularies.
    ///
    /// # Errors
    /// [`Error`] naming the file and what is wrong with it.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let listing = Listing::read(dir)?;
        for (name, entry) in listing.all() {
            read::verify(dir, name, entry)?;
        }
        let get = |name: &str, limit: u64| read::listed(dir, &listing, name, limit);
        let signature = Signature::parse(&get(SIGNATURE, MIB)?)?;
        let vocabularies = Vocabularies::read(&signature, |name| get(name, 1024 * MIB))?;
        let report = match &listing.report {
            None => None,
            Some(_) => Some(parse(dir, REPORT, &get(REPORT, 16 * MIB)?)?),
        };
        Ok(Self {
            items: ItemTensors::new(&signature, &vocabularies),
            dir: dir.to_owned(),
            listing,
            signature,
            vocabularies,
            report,
        })
    }

    /// Returns the embedding space: the artifact's name, 32 hex digits.
    pub fn space(&self) -> &str {
        &self.listing.space
    }

    /// Returns what made the artifact.
    pub fn producer(&self) -> &str {
        &self.listing.producer
    }

    /// Returns the signature.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Returns the vocabularies that the signature names.
    pub fn vocabularies(&self) -> &Vocabularies {
        &self.vocabularies
    }

    /// Returns the files listed, without the report.
    pub fn listing(&self) -> &Listing {
        &self.listing
    }

    /// Returns whether the item tower reads one of these features of an item.
    pub fn reads_any(&self, features: &Features) -> bool {
        let inputs = &self.signature().item.inputs;
        inputs.iter().any(|input| match &input.source {
            Source::Item(feature) => features.contains_key(feature),
            _ => false,
        })
    }

    /// Returns whether the item tower can tell the item from one it has never seen.
    pub fn knows_item(&self, id: u64) -> bool {
        self.items.knows(id)
    }

    /// Returns the evaluation's report, if there was one.
    pub fn report(&self) -> Option<&serde_json::Value> {
        self.report.as_ref()
    }

    /// Returns the directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns what makes the user tower's tensors.
    pub fn user_tensors(&self) -> UserTensors {
        UserTensors::new(&self.signature, &self.vocabularies)
    }

    /// Returns what makes the item tower's tensors.
    pub fn item_tensors(&self) -> ItemTensors {
        ItemTensors::new(&self.signature, &self.vocabularies)
    }

    /// Checks that raw features still become the golden vectors, at every batch bucket.
    ///
    /// # Errors
    /// [`Error::Golden`] if there are none for a tower, [`Error::GoldenMismatch`] at the first that differs by more than
    /// [`golden::TOLERANCE`], or what the encoders give.
    pub fn check_golden(&self, user: &UserEncoder, item: &ItemEncoder) -> Result<(), Error> {
        let first = self.golden_findings(user, item).into_iter().next();
        first.map_or(Ok(()), Err)
    }

    /// Compares every set of golden vectors as [`Artifact::check_golden`] does, and returns one error a wrong set.
    pub fn golden_findings(&self, user: &UserEncoder, item: &ItemEncoder) -> Vec<Error> {
        golden::findings(self, user, item)
    }

    /// Reads a listed file of at most `limit` bytes, and hashes what was read.
    ///
    /// # Errors
    /// [`Error`] naming the file and what is wrong with it.
    pub fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, Error> {
        read::listed(&self.dir, &self.listing, name, limit)
    }
}

/// Compares every listed file of a directory with the listing, and returns one error a wrong file.
pub fn damage(dir: &Path) -> Vec<Error> {
    match Listing::read(dir) {
        Ok(listing) => listing
            .all()
            .filter_map(|(name, entry)| read::verify(dir, name, entry).err())
            .collect(),
        Err(cause) => vec![cause],
    }
}

fn parse<T: serde::de::DeserializeOwned>(dir: &Path, name: &str, bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|cause| Error::Content {
        path: dir.join(name),
        problem: cause.to_string(),
    })
}

#[cfg(test)]
mod tests;
