//! The store: artifacts, generations, CURRENT and MEMBERS, in a directory or in an S3 bucket.
//!
//! ```text
//! CURRENT                          which generation serves
//! MEMBERS                          which user towers share the users
//! artifacts/<space>/               sealed artifacts, each whole or absent
//! generations/<id>/manifest.json   published generations, each whole or absent
//! deltas/<number>                  what changed in the catalog since, see [`crate::deltas`]
//! claims/<id>/                     in a bucket: who lets a generation serve now, or removes it
//! staging/                         in a directory: what is being written; collected when its writer is dead
//! LOCK                             in a directory: taken while CURRENT or MEMBERS is swapped
//! ```
//!
//! A store in a bucket keeps what it fetches, and stages, in a directory of the same layout: its cache.

use std::{
    env,
    path::{Path, PathBuf},
};

use tokio::task;

use crate::{
    bucket::{Bucket, SCHEME},
    claims, durable,
    error::{AtPath as _, Error},
    lock::Lock,
    manifest, name,
    pointer::Pointer,
    swap,
};

pub use crate::pointer::{Candidate, Current, Members, Version, Versioned};

/// The variable that says in which directory the stores in buckets keep their caches.
pub const CACHE: &str = "TWOTOWER_CACHE";
/// Where they do if it does not.
const CACHE_DEFAULT: &str = "var/cache";

/// A store; clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    bucket: Option<Bucket>,
}

impl Store {
    /// Opens the directory `location`, creating it if it is absent, or `s3://BUCKET/PREFIX`.
    ///
    /// The environment says how to reach a bucket: `AWS_ENDPOINT`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_ALLOW_HTTP` and all else that [`object_store::aws::AmazonS3Builder::from_env`] reads.
    /// What is fetched lies in a directory of its own below `TWOTOWER_CACHE`, `var/cache` if that is not set. Nothing is
    /// asked of the bucket's server yet.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory cannot be created or read, [`Error::Name`] or [`Error::Object`] if the location of
    /// a bucket or a setting makes no sense.
    pub fn open(location: &str) -> Result<Self, Error> {
        let variables = env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
        Self::open_with(location, variables)
    }

    /// Opens a store as [`Store::open`] does, by these settings instead of the environment's variables.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(
        location: &str,
        settings: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let (root, bucket) = match Self::is_in_bucket(location) {
            false => (PathBuf::from(location), None),
            true => {
                let settings: Vec<_> = settings.into_iter().collect();
                let bucket = Bucket::connect(location, &settings)?;
                (cache_dir(location, &settings), Some(bucket))
            }
        };
        durable::create_dir(&root)?;
        let root = root.canonicalize().at(root)?;
        Ok(Self { root, bucket })
    }

    /// Whether a location is in a bucket, not a directory.
    pub fn is_in_bucket(location: &str) -> bool {
        location.starts_with(SCHEME)
    }

    /// The store's directory, or its cache if it is in a bucket.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Reads CURRENT; `None` before the first generation.
    ///
    /// # Errors
    /// [`Error::Json`] or [`Error::Name`] if it holds what nobody wrote.
    pub async fn current(&self) -> Result<Option<Versioned<Current>>, Error> {
        self.blocking(|store| swap::read(&store)).await
    }

    /// Replaces CURRENT if it is still at `expected` (`None`: if there is none); durable on return.
    ///
    /// # Errors
    /// [`Error::Conflict`] if another writer got there first.
    pub async fn swap_current(
        &self,
        expected: Option<&Version>,
        new: &Current,
    ) -> Result<(), Error> {
        let named = new.clone();
        self.swap(expected, new, move |store, work| {
            claims::serving(store, named.generations(), work)
        })
        .await
    }

    /// Reads MEMBERS; `None` if no user tower ever started.
    ///
    /// # Errors
    /// As [`Store::current`].
    pub async fn members(&self) -> Result<Option<Versioned<Members>>, Error> {
        self.blocking(|store| swap::read(&store)).await
    }

    /// Replaces MEMBERS as [`Store::swap_current`] does CURRENT.
    ///
    /// # Errors
    /// [`Error::Conflict`] if another writer got there first, [`Error::Mismatch`] if the epoch does
    /// not grow or the names are not distinct.
    pub async fn swap_members(
        &self,
        expected: Option<&Version>,
        new: &Members,
    ) -> Result<(), Error> {
        self.swap(expected, new, |_, work| work()).await
    }

    /// Lists the published generations, newest first.
    ///
    /// # Errors
    /// If the store cannot be listed.
    pub async fn generations(&self) -> Result<Vec<String>, Error> {
        self.blocking(|store| {
            let mut published = Vec::new();
            for id in store.directories("generations")? {
                if store.is_published(&id)? {
                    published.push(id);
                }
            }
            published.reverse();
            Ok(published)
        })
        .await
    }

    /// The bucket, if the store is in one.
    pub(crate) fn bucket(&self) -> Option<&Bucket> {
        self.bucket.as_ref()
    }

    /// Returns where generation `id` is on this machine, or would be.
    pub(crate) fn generation_dir(&self, id: &str) -> Result<PathBuf, Error> {
        let name = name::check("generation", id)?;
        Ok(self.root.join("generations").join(name))
    }

    pub(crate) fn staging_dir(&self) -> PathBuf {
        self.root.join("staging")
    }

    /// Waits until nobody else swaps a pointer or collects; blocks the thread. A bucket has no lock: its server compares.
    pub(crate) fn lock(&self) -> Result<Option<Lock>, Error> {
        match self.bucket {
            Some(_) => Ok(None),
            None => Lock::wait(&self.root.join("LOCK")).map(Some),
        }
    }

    /// Whether generation `id` has its manifest.
    pub(crate) fn is_published(&self, id: &str) -> Result<bool, Error> {
        match &self.bucket {
            Some(bucket) => Ok(bucket.size(&manifest::object(id))?.is_some()),
            None => Ok(self.root.join(manifest::object(id)).is_file()),
        }
    }

    /// Swaps a pointer within `guard`, in the lock.
    async fn swap<P: Pointer>(
        &self,
        expected: Option<&Version>,
        new: &P,
        guard: impl FnOnce(&Self, &dyn Fn() -> Result<(), Error>) -> Result<(), Error> + Send + 'static,
    ) -> Result<(), Error> {
        let (expected, new) = (expected.cloned(), new.clone());
        self.blocking(move |store| {
            let _lock = store.lock()?;
            guard(&store, &|| swap::swap(&store, expected.as_ref(), &new))
        })
        .await
    }

    /// Runs to its end on a blocking thread even if the caller goes away, so that nothing stops in the middle.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let store = self.clone();
        task::spawn_blocking(move || work(store)).await?
    }
}

/// The cache of the store at `location`.
fn cache_dir(location: &str, settings: &[(String, String)]) -> PathBuf {
    let named = settings.iter().find(|(key, _)| key == CACHE);
    let caches = named.map_or(CACHE_DEFAULT, |(_, dir)| dir.as_str());
    let hash = blake3::hash(location.as_bytes()).to_hex();
    Path::new(caches).join(&hash[..16])
}
