//! Single objects of the store, of which each is there whole or not at all.

use std::time::Duration;

use crate::{directory, error::Error, name, store::Store};

impl Store {
    /// Writes the object `name`, names with slashes between them, if there is none; returns whether there was none.
    ///
    /// A reader sees all of it or nothing; durable on return.
    ///
    /// # Errors
    /// [`Error::Name`] if a component is no name.
    pub async fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool, Error> {
        let name = name::check_path("object", name)?.to_owned();
        self.blocking(move |store| match store.bucket() {
            Some(bucket) => bucket.create(&name, &bytes),
            None => directory::create(&store, &name, &bytes),
        })
        .await
    }

    /// Reads an object whole; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if it has more than `limit` bytes.
    pub async fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let name = name::check_path("object", name)?.to_owned();
        self.blocking(move |store| store.read_now(&name, limit))
            .await
    }

    /// Lists the objects directly below `prefix` by the last component of their names, in order.
    ///
    /// # Errors
    /// [`Error::Name`] if a component is no name.
    pub async fn list(&self, prefix: &str) -> Result<Vec<String>, Error> {
        self.list_older(prefix, Duration::ZERO).await
    }

    /// Lists as [`Store::list`] does what was written at least as long ago as `age`.
    pub(crate) async fn list_older(
        &self,
        prefix: &str,
        age: Duration,
    ) -> Result<Vec<String>, Error> {
        let prefix = name::check_path("object", prefix)?.to_owned();
        self.blocking(move |store| {
            let objects = match store.bucket() {
                Some(bucket) => bucket.below(&prefix)?.objects,
                None => directory::objects(store.root(), &prefix)?,
            };
            let old = objects.into_iter().filter(|(_, found)| *found >= age);
            Ok(old.map(|(name, _)| name).collect())
        })
        .await
    }

    /// Whether there is an object `name`.
    pub(crate) async fn exists(&self, name: &str) -> Result<bool, Error> {
        let name = name::check_path("object", name)?.to_owned();
        self.blocking(move |store| match store.bucket() {
            Some(bucket) => Ok(bucket.size(&name)?.is_some()),
            None => Ok(store.root().join(name).is_file()),
        })
        .await
    }

    /// Removes an object, if there is one.
    ///
    /// # Errors
    /// [`Error::Name`] if a component is no name.
    pub async fn remove(&self, name: &str) -> Result<(), Error> {
        let name = name::check_path("object", name)?.to_owned();
        self.blocking(move |store| match store.bucket() {
            Some(bucket) => bucket.remove(&name),
            None => directory::remove(store.root(), &name),
        })
        .await
    }

    /// Reads as [`Store::read`] does, on this thread.
    pub(crate) fn read_now(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        match self.bucket() {
            Some(bucket) => Ok(bucket.read(name, limit)?.map(|object| object.bytes)),
            None => directory::read(self.root(), name, limit),
        }
    }

    /// Lists what is a directory, or a prefix of objects, below `name`, in order.
    pub(crate) fn directories(&self, name: &str) -> Result<Vec<String>, Error> {
        match self.bucket() {
            Some(bucket) => Ok(bucket.below(name)?.directories),
            None => directory::directories(self.root(), name),
        }
    }
}
