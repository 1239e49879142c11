//! The two small files that say what serves and who keeps users: CURRENT and MEMBERS.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{error::Error, name};

/// The version of a pointer's content; equal versions mean equal content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(String);

/// A pointer's content with the version to go by when swapping it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The content.
    pub value: T,
    /// The version that was read.
    pub version: Version,
}

/// Names the generations that are served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Current {
    /// The generation that answers.
    pub serving: String,
    /// The generation that answered before, kept for going back.
    pub previous: Option<String>,
}

/// Names the user towers that share the users among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Members {
    /// Grows by every change.
    pub epoch: u64,
    /// The members' names, each once.
    pub members: Vec<String>,
}

/// Content of a small JSON file that is swapped as a whole.
pub(crate) trait Pointer: Clone + Serialize + DeserializeOwned + Send + 'static {
    /// The file's name in the store.
    const NAME: &'static str;

    /// Refuses content that nobody could act on.
    fn check(&self) -> Result<(), Error>;

    /// Refuses a change from `old` to this.
    fn check_successor(&self, old: &Self) -> Result<(), Error>;
}

impl Version {
    fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).to_hex()[..16].to_owned())
    }

    /// The version in words, for errors.
    pub(crate) fn describe(version: Option<&Self>) -> String {
        version.map_or_else(|| "none".to_owned(), |version| version.0.clone())
    }
}

impl Current {
    /// The generations named, the serving one first.
    pub fn generations(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.serving.as_str()).chain(self.previous.as_deref())
    }
}

impl Pointer for Current {
    const NAME: &'static str = "CURRENT";

    fn check(&self) -> Result<(), Error> {
        self.generations()
            .try_for_each(|id| name::check("generation", id).map(drop))
    }

    fn check_successor(&self, _: &Self) -> Result<(), Error> {
        Ok(())
    }
}

impl Pointer for Members {
    const NAME: &'static str = "MEMBERS";

    fn check(&self) -> Result<(), Error> {
        for member in &self.members {
            name::check("member", member)?;
        }
        let distinct = self.members.iter().collect::<BTreeSet<_>>().len();
        if distinct == 0 || distinct != self.members.len() {
            let found = format!("{:?}", self.members);
            return Err(Error::mismatch(
                Self::NAME,
                "members",
                found,
                "distinct names, at least one",
            ));
        }
        Ok(())
    }

    fn check_successor(&self, old: &Self) -> Result<(), Error> {
        if self.epoch <= old.epoch {
            let expected = format!("more than {}", old.epoch);
            return Err(Error::mismatch(Self::NAME, "epoch", self.epoch, expected));
        }
        Ok(())
    }
}

/// Reads a pointer's file.
pub(crate) fn decode<P: Pointer>(bytes: &[u8]) -> Result<Versioned<P>, Error> {
    let value: P = serde_json::from_slice(bytes).map_err(|source| Error::Json {
        name: P::NAME.to_owned(),
        source,
    })?;
    value.check()?;
    Ok(Versioned {
        value,
        version: Version::of(bytes),
    })
}

/// Writes a pointer's file.
pub(crate) fn encode<P: Pointer>(value: &P) -> Result<Vec<u8>, Error> {
    value.check()?;
    serde_json::to_vec_pretty(value).map_err(|source| Error::Json {
        name: P::NAME.to_owned(),
        source,
    })
}
