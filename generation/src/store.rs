//! The store: a directory that holds artifacts, generations, CURRENT and MEMBERS.
//!
//! ```text
//! <store>/CURRENT                          which generation serves
//! <store>/MEMBERS                          which user towers share the users
//! <store>/artifacts/<space>/               sealed artifacts, each whole or absent
//! <store>/generations/<id>/manifest.json   published generations, each whole or absent
//! <store>/deltas/<number>                  what changed in the catalog since, see [`crate::deltas`]
//! <store>/incoming/                        single files that are being written
//! <store>/staging/                         what is being written; collected when its writer is dead
//! <store>/LOCK                             taken while CURRENT or MEMBERS is swapped
//! ```

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use object_store::{ObjectStore, ObjectStoreExt as _, local::LocalFileSystem, path::Path as Key};

use crate::{
    artifacts, durable,
    error::{AtPath as _, Error},
    lock::Lock,
    manifest, name,
    pointer::{self, Pointer},
};

pub use crate::pointer::{Current, Members, Version, Versioned};

/// A store; clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    objects: Arc<dyn ObjectStore>,
}

impl Store {
    /// Opens the directory `location`, creating it if it is absent.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory cannot be created or read.
    pub fn open(location: &str) -> Result<Self, Error> {
        let root = Path::new(location);
        durable::create_dir(root)?;
        let root = root.canonicalize().at(root)?;
        let objects = LocalFileSystem::new_with_prefix(&root).map_err(object_error(location))?;
        Ok(Self {
            root,
            objects: Arc::new(objects),
        })
    }

    /// The store's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Reads CURRENT; `None` before the first generation.
    ///
    /// # Errors
    /// [`Error::Json`] or [`Error::Name`] if it holds what nobody wrote.
    pub async fn current(&self) -> Result<Option<Versioned<Current>>, Error> {
        self.read_pointer().await
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
        self.swap(expected, new).await
    }

    /// Reads MEMBERS; `None` if no user tower ever started.
    ///
    /// # Errors
    /// As [`Store::current`].
    pub async fn members(&self) -> Result<Option<Versioned<Members>>, Error> {
        self.read_pointer().await
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
        self.swap(expected, new).await
    }

    /// Copies the artifact directory `dir` into the store under its `space`, whole or not at all;
    /// an artifact that is there already is replaced if its listing or its report is another.
    ///
    /// # Errors
    /// [`Error::Name`] for a space that is no name, [`Error::Mismatch`] if `dir` holds anything but
    /// regular files and directories of them.
    pub async fn put_artifact(&self, dir: &Path, space: &str) -> Result<(), Error> {
        let (store, dir) = (self.clone(), dir.to_owned());
        let target = self.artifact_dir(space)?;
        tokio::task::spawn_blocking(move || artifacts::put(&store, &dir, &target)).await?
    }

    /// Returns where the artifact of `space` is, or would be.
    ///
    /// # Errors
    /// [`Error::Name`] for a space that is no name.
    pub fn artifact_dir(&self, space: &str) -> Result<PathBuf, Error> {
        Ok(self.artifacts_dir().join(name::check("artifact", space)?))
    }

    /// Lists the spaces of the artifacts, in the order of their names.
    ///
    /// # Errors
    /// If the store cannot be listed.
    pub async fn artifacts(&self) -> Result<Vec<String>, Error> {
        self.directories("artifacts").await
    }

    /// Lists the published generations, newest first.
    ///
    /// # Errors
    /// If the store cannot be listed.
    pub async fn generations(&self) -> Result<Vec<String>, Error> {
        let mut published = Vec::new();
        for id in self.directories("generations").await? {
            if self
                .generations_dir()
                .join(&id)
                .join(manifest::FILE)
                .is_file()
            {
                published.push(id);
            }
        }
        published.reverse();
        Ok(published)
    }

    pub(crate) fn artifacts_dir(&self) -> PathBuf {
        self.root.join("artifacts")
    }

    pub(crate) fn generations_dir(&self) -> PathBuf {
        self.root.join("generations")
    }

    /// Returns where generation `id` is, or would be.
    pub(crate) fn generation_dir(&self, id: &str) -> Result<PathBuf, Error> {
        Ok(self.generations_dir().join(name::check("generation", id)?))
    }

    pub(crate) fn staging_dir(&self) -> PathBuf {
        self.root.join("staging")
    }

    /// Waits until nobody else swaps a pointer or collects; blocks the thread.
    pub(crate) fn lock(&self) -> Result<Lock, Error> {
        Lock::wait(&self.root.join("LOCK"))
    }

    /// Reads an object whole; `None` if there is none.
    pub(crate) async fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let found = match self.objects.get(&Key::from(name)).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            found => found.map_err(object_error(name))?,
        };
        if found.meta.size > limit {
            let expected = format!("at most {limit}");
            return Err(Error::mismatch(
                name,
                "size in bytes",
                found.meta.size,
                expected,
            ));
        }
        let bytes = found.bytes().await.map_err(object_error(name))?;
        Ok(Some(bytes.to_vec()))
    }

    /// Writes an object unless there is one of that name; returns whether it did. Durable on return.
    pub(crate) async fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool, Error> {
        let (incoming, path) = (self.root.join(INCOMING), self.root.join(name));
        tokio::task::spawn_blocking(move || durable::create(&incoming, &path, &bytes)).await?
    }

    /// Whether there is an object of that name.
    pub(crate) async fn exists(&self, name: &str) -> Result<bool, Error> {
        match self.objects.head(&Key::from(name)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(cause) => Err(object_error(name)(cause)),
        }
    }

    /// Removes an object; that there is none is fine.
    pub(crate) async fn remove(&self, name: &str) -> Result<(), Error> {
        match self.objects.delete(&Key::from(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(cause) => Err(object_error(name)(cause)),
        }
    }

    /// Lists the objects of a folder by name, in no order.
    pub(crate) async fn list(&self, folder: &str) -> Result<Vec<String>, Error> {
        self.list_older(folder, Duration::ZERO).await
    }

    /// The same of those that were last written longer ago than `age`.
    pub(crate) async fn list_older(
        &self,
        folder: &str,
        age: Duration,
    ) -> Result<Vec<String>, Error> {
        let prefix = Key::from(folder);
        let listed = self.objects.list_with_delimiter(Some(&prefix));
        let listed = listed.await.map_err(object_error(folder))?;
        let old = listed.objects.into_iter().filter(|object| {
            let modified = SystemTime::from(object.last_modified);
            age.is_zero() || modified.elapsed().is_ok_and(|since| since > age)
        });
        let names = old.filter_map(|object| Some(object.location.filename()?.to_owned()));
        Ok(names.collect())
    }

    async fn read_pointer<P: Pointer>(&self) -> Result<Option<Versioned<P>>, Error> {
        let bytes = self.read(P::NAME, POINTER_LIMIT).await?;
        bytes.as_deref().map(pointer::decode).transpose()
    }

    /// Runs to its end on a blocking thread even if the caller goes away, so that the lock is never
    /// released in the middle.
    async fn swap<P: Pointer>(&self, expected: Option<&Version>, new: &P) -> Result<(), Error> {
        let (store, expected, new) = (self.clone(), expected.cloned(), new.clone());
        tokio::task::spawn_blocking(move || {
            let _lock = store.lock()?;
            store.swap_locked(expected.as_ref(), &new)
        })
        .await?
    }

    /// Compares and replaces a pointer; the caller holds the lock.
    pub(crate) fn swap_locked<P: Pointer>(
        &self,
        expected: Option<&Version>,
        new: &P,
    ) -> Result<(), Error> {
        if let Some(old) = self.expect::<P>(expected)? {
            new.check_successor(&old)?;
        }
        durable::replace(&self.root.join(P::NAME), &pointer::encode(new)?)
    }

    /// Returns the pointer's value if it is at `expected`; the caller holds the lock.
    pub(crate) fn expect<P: Pointer>(
        &self,
        expected: Option<&Version>,
    ) -> Result<Option<P>, Error> {
        let found = self.read_pointer_now::<P>()?;
        let version = found.as_ref().map(|found| &found.version);
        if version != expected {
            return Err(Error::Conflict {
                name: P::NAME,
                found: Version::describe(version),
                expected: Version::describe(expected),
            });
        }
        Ok(found.map(|found| found.value))
    }

    /// Reads a pointer on this thread.
    pub(crate) fn read_pointer_now<P: Pointer>(&self) -> Result<Option<Versioned<P>>, Error> {
        let path = self.root.join(P::NAME);
        match fs::read(&path) {
            Ok(bytes) => pointer::decode(&bytes).map(Some),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(source).at(path),
        }
    }

    /// Lists the directories of a prefix by name.
    async fn directories(&self, prefix: &str) -> Result<Vec<String>, Error> {
        let listed = self
            .objects
            .list_with_delimiter(Some(&Key::from(prefix)))
            .await
            .map_err(object_error(prefix))?;
        let mut names: Vec<String> = listed
            .common_prefixes
            .iter()
            .filter_map(|prefix| prefix.filename().map(str::to_owned))
            .collect();
        names.sort_unstable();
        Ok(names)
    }
}

/// The folder where single files are written before they get their names.
pub(crate) const INCOMING: &str = "incoming";
/// The most bytes that CURRENT and MEMBERS may have.
const POINTER_LIMIT: u64 = 1 << 20;

fn object_error(name: &str) -> impl FnOnce(object_store::Error) -> Error {
    let name = name.to_owned();
    move |source| Error::Object { name, source }
}
