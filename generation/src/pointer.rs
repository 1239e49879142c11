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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Current {
    /// The generation that answers.
    pub serving: String,
    /// The generation that answered before, kept for going back.
    pub previous: Option<String>,
    /// The generation that is on trial beside the one that serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Candidate>,
}

/// A generation on trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// The generation.
    pub generation: String,
    /// The share of experiment units that it answers for, 0 to 1.
    pub share: f64,
    /// The share of recalls that it answers too, unseen by the caller, 0 to 1.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub shadow: f64,
}

fn is_zero(share: &f64) -> bool {
    *share == 0.0
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
    /// Only `serving` is named.
    pub fn of(serving: impl Into<String>) -> Self {
        Self {
            serving: serving.into(),
            previous: None,
            candidate: None,
        }
    }

    /// What follows when `generation` serves: the one that served is the previous, and a candidate that serves is none any more.
    #[must_use]
    pub fn followed_by(&self, generation: &str) -> Self {
        let other = |candidate: &&Candidate| candidate.generation != generation;
        Self {
            serving: generation.to_owned(),
            previous: Some(self.serving.clone()),
            candidate: self.candidate.as_ref().filter(other).cloned(),
        }
    }

    /// The same, but that the candidate has no share: equal for those who care which generations are named only.
    #[must_use]
    pub fn without_share(&self) -> Self {
        let mut bare = self.clone();
        if let Some(candidate) = &mut bare.candidate {
            candidate.share = 0.0;
        }
        bare
    }

    /// The generations named, the serving one first.
    pub fn generations(&self) -> impl Iterator<Item = &str> {
        let candidate = self.candidate.as_ref();
        std::iter::once(self.serving.as_str())
            .chain(candidate.map(|candidate| candidate.generation.as_str()))
            .chain(self.previous.as_deref())
    }
}

impl Candidate {
    /// Whether recalls of `unit` are the candidate's. The units of another candidate are others.
    pub fn takes(&self, unit: &str) -> bool {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.generation.as_bytes());
        hasher.update(&[0]);
        hasher.update(unit.as_bytes());
        let mut place = [0; 8];
        place.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        let place = u64::from_le_bytes(place) as f64 / u64::MAX as f64;
        place < self.share
    }
}

impl Pointer for Current {
    const NAME: &'static str = "CURRENT";

    fn check(&self) -> Result<(), Error> {
        let shares = self.candidate.iter().flat_map(|candidate| {
            [
                ("candidate.share", candidate.share),
                ("candidate.shadow", candidate.shadow),
            ]
        });
        for (field, share) in shares {
            if !(0.0..=1.0).contains(&share) {
                let expected = "a share from 0 to 1";
                return Err(Error::mismatch(Self::NAME, field, share, expected));
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_takes_its_share_of_units_and_always_the_same() {
        let candidate = |generation: &str, share| Candidate {
            generation: generation.to_owned(),
            share,
            shadow: 0.0,
        };
        let units: Vec<_> = (0..10_000).map(|unit| unit.to_string()).collect();
        for share in [0.0, 0.1, 0.5, 1.0] {
            let taken = |generation| {
                let candidate = candidate(generation, share);
                let taken = units.iter().filter(|unit| candidate.takes(unit));
                taken.collect::<Vec<_>>()
            };
            let found = taken("a").len() as f64 / 10_000.0;
            assert!((found - share).abs() < 0.015, "{found} of {share}");
            assert_eq!(taken("a"), taken("a"));
            assert_eq!(taken("a") == taken("b"), share == 0.0 || share == 1.0);
        }
    }

    #[test]
    fn a_candidate_that_comes_to_serve_is_no_candidate_any_more() {
        let candidate = Some(Candidate {
            generation: "new".to_owned(),
            share: 0.1,
            shadow: 0.0,
        });
        let before = Current {
            candidate: candidate.clone(),
            ..Current::of("old")
        };
        let after = before.followed_by("new");
        assert_eq!(after.serving, "new");
        assert_eq!(after.previous.as_deref(), Some("old"));
        assert_eq!(after.candidate, None);
        assert_eq!(before.followed_by("other").candidate, candidate);
    }
}
