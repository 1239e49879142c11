//! Keeps apart, in a bucket, those who let CURRENT name a generation and those who remove it.
//!
//! There is no lock between machines. Both sides put a claim on the generation first and look for the other's after
//! that, so that of two at once at least one sees the other and withdraws. A collector looks at CURRENT last: who named
//! the generation there may have let go of the claim.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    time::Duration,
};

use crate::{bucket::Bucket, error::Error, name, store::Store};

/// From when on a claim, or a file of a generation without a manifest, is that of a dead process.
pub(crate) const DEAD: Duration = Duration::from_secs(24 * 60 * 60);

/// What a generation is claimed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// CURRENT is to name it.
    Serve,
    /// It is to be removed.
    Remove,
}

/// A claim, given up when it is dropped; that of a process that died ends a day after it was put.
#[derive(Debug)]
pub(crate) struct Claim {
    bucket: Bucket,
    object: String,
}

impl Claim {
    /// Claims a generation; `None` if somebody claims it for the opposite.
    pub(crate) fn put(bucket: &Bucket, id: &str, purpose: Purpose) -> Result<Option<Self>, Error> {
        let claims = format!("claims/{}", name::check("generation", id)?);
        // Every state's keys are random.
        let random = RandomState::new().build_hasher().finish();
        let claim = Self {
            bucket: bucket.clone(),
            object: format!("{claims}/{}{random:016x}", purpose.prefix()),
        };
        bucket.create(&claim.object, b"")?;
        let opposite = purpose.opposite().prefix();
        let others = bucket.below(&claims)?.objects;
        let refused = others
            .iter()
            .any(|(name, age)| name.starts_with(opposite) && *age < DEAD);
        Ok((!refused).then_some(claim))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // One that stays ends by its age.
        let _ = self.bucket.remove(&self.object);
    }
}

impl Purpose {
    fn prefix(self) -> &'static str {
        match self {
            Self::Serve => "serve-",
            Self::Remove => "remove-",
        }
    }

    fn opposite(self) -> Self {
        match self {
            Self::Serve => Self::Remove,
            Self::Remove => Self::Serve,
        }
    }
}

/// Does `work`, which lets CURRENT name the generations `ids`, while nobody removes one of them; in a directory the
/// caller holds the lock for that.
///
/// # Errors
/// [`Error::Missing`] if one is being removed.
pub(crate) fn serving<'a, T>(
    store: &Store,
    ids: impl IntoIterator<Item = &'a str>,
    work: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    let mut claims = Vec::new();
    for id in ids {
        if let Some(bucket) = store.bucket() {
            let claim = Claim::put(bucket, id, Purpose::Serve)?;
            claims.push(claim.ok_or_else(|| Error::Missing {
                what: "generation",
                name: id.to_owned(),
            })?);
        }
    }
    work()
}

/// Removes the claims of processes that died.
pub(crate) fn tidy(bucket: &Bucket) -> Result<(), Error> {
    for id in bucket.below("claims")?.directories {
        let claims = format!("claims/{id}");
        for (name, age) in bucket.below(&claims)?.objects {
            if age >= DEAD {
                bucket.remove(&format!("{claims}/{name}"))?;
            }
        }
    }
    Ok(())
}
