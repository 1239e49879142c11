//! The objects of an S3 bucket below a prefix, for blocking threads.
//!
//! Every request ends within 40 seconds whatever the server does: a try has 30, 5 of them to connect, and the last one
//! begins within 10.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures::{StreamExt as _, TryStreamExt as _, future};
use object_store::{
    Error as Cause, ObjectMeta, ObjectStore as _, ObjectStoreExt as _, PutMode, PutPayload,
    RetryConfig, UpdateVersion,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey},
    path::Path as Key,
};

use crate::{
    error::{AtPath as _, Error},
    executor::Executor,
    name,
};

mod transfer;

/// How the location of a store in a bucket begins.
pub(crate) const SCHEME: &str = "s3://";
/// How often a request is tried again, and until how long after it began.
const RETRIES: (usize, Duration) = (3, Duration::from_secs(10));
/// How often an object is to be created that the server says another writer is just creating.
const CREATIONS: usize = 5;

/// The objects of a bucket below a prefix; clones share their connections.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    objects: Arc<AmazonS3>,
    prefix: String,
    executor: Arc<Executor>,
}

/// An object as it was read.
#[derive(Debug)]
pub(crate) struct Object {
    /// Its content.
    pub(crate) bytes: Vec<u8>,
    /// What a replacement must name.
    pub(crate) version: UpdateVersion,
}

/// What lies directly below a prefix, by the last part of the name, in order.
#[derive(Debug, Default)]
pub(crate) struct Below {
    /// Prefixes of more.
    pub(crate) directories: Vec<String>,
    /// Objects, with the time since each was written.
    pub(crate) objects: Vec<(String, Duration)>,
}

impl Bucket {
    /// Connects to `s3://BUCKET/PREFIX` by the settings that are named `AWS_*`; nothing is asked of the server yet.
    pub(crate) fn connect(location: &str, settings: &[(String, String)]) -> Result<Self, Error> {
        let place = location.strip_prefix(SCHEME).unwrap_or(location);
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        name::check("bucket", bucket)?;
        // Where the process chose a provider for TLS already, that one stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // As `AmazonS3Builder::from_env` does it.
        let named = settings
            .iter()
            .filter(|(key, _)| key.starts_with("AWS_"))
            .filter_map(|(key, value)| {
                let key: AmazonS3ConfigKey = key.to_ascii_lowercase().parse().ok()?;
                Some((key, value))
            });
        let (max_retries, retry_timeout) = RETRIES;
        let objects = named
            .fold(AmazonS3Builder::new(), |builder, (key, value)| {
                builder.with_config(key, value)
            })
            .with_bucket_name(bucket)
            .with_retry(RetryConfig {
                max_retries,
                retry_timeout,
                ..RetryConfig::default()
            })
            .build()
            .map_err(at(location))?;
        Ok(Self {
            objects: Arc::new(objects),
            prefix: prefix.to_owned(),
            executor: Arc::new(Executor::start().at(location)?),
        })
    }

    /// Reads an object whole; `None` if there is none.
    pub(crate) fn read(&self, name: &str, limit: u64) -> Result<Option<Object>, Error> {
        self.ask(name, move |objects, key, name| async move {
            let found = match objects.get(&key).await {
                Err(Cause::NotFound { .. }) => return Ok(None),
                found => found.map_err(at(&name))?,
            };
            if found.meta.size > limit {
                let expected = format!("at most {limit}");
                let size = found.meta.size;
                return Err(Error::mismatch(name, "size in bytes", size, expected));
            }
            let version = UpdateVersion {
                e_tag: found.meta.e_tag.clone(),
                version: found.meta.version.clone(),
            };
            let bytes = found.bytes().await.map_err(at(&name))?.to_vec();
            Ok(Some(Object { bytes, version }))
        })
    }

    /// Returns an object's size in bytes; `None` if there is none.
    pub(crate) fn size(&self, name: &str) -> Result<Option<u64>, Error> {
        self.ask(name, |objects, key, name| async move {
            match objects.head(&key).await {
                Err(Cause::NotFound { .. }) => Ok(None),
                found => Ok(Some(found.map_err(at(&name))?.size)),
            }
        })
    }

    /// Puts an object where none is; returns whether none was.
    pub(crate) fn create(&self, name: &str, bytes: &[u8]) -> Result<bool, Error> {
        for _ in 1..CREATIONS {
            if self.put(name, bytes, PutMode::Create)? {
                return Ok(true);
            }
            // A server may refuse while another creates it, who may fail yet.
            if self.size(name)?.is_some() {
                return Ok(false);
            }
        }
        self.put(name, bytes, PutMode::Create)
    }

    /// Replaces an object if it is still at `version`; returns whether it was.
    pub(crate) fn replace(
        &self,
        name: &str,
        bytes: &[u8],
        version: UpdateVersion,
    ) -> Result<bool, Error> {
        self.put(name, bytes, PutMode::Update(version))
    }

    fn put(&self, name: &str, bytes: &[u8], mode: PutMode) -> Result<bool, Error> {
        let bytes = PutPayload::from(bytes.to_vec());
        self.ask(name, |objects, key, name| async move {
            match objects.put_opts(&key, bytes, mode.into()).await {
                Err(Cause::AlreadyExists { .. } | Cause::Precondition { .. }) => Ok(false),
                put => put.map(|_| true).map_err(at(&name)),
            }
        })
    }

    /// Lists what lies directly below `prefix`.
    pub(crate) fn below(&self, prefix: &str) -> Result<Below, Error> {
        self.ask(prefix, |objects, key, name| async move {
            let listed = objects.list_with_delimiter(Some(&key)).await;
            let listed = listed.map_err(at(&name))?;
            let name = |key: &Key| key.filename().map(str::to_owned);
            // Some servers keep an object in place of a directory, with its name.
            let objects = listed.objects.iter().filter(|meta| meta.location != key);
            let mut below = Below {
                directories: listed.common_prefixes.iter().filter_map(name).collect(),
                objects: objects
                    .filter_map(|meta| Some((name(&meta.location)?, age(meta))))
                    .collect(),
            };
            below.directories.sort_unstable();
            below.objects.sort_unstable();
            Ok(below)
        })
    }

    /// Returns the time since the newest object anywhere below `prefix` was written; `None` if there is none.
    pub(crate) fn newest(&self, prefix: &str) -> Result<Option<Duration>, Error> {
        self.ask(prefix, |objects, key, name| async move {
            let ages = objects.list(Some(&key)).map_ok(|meta| age(&meta));
            let ages: Vec<_> = ages.try_collect().await.map_err(at(&name))?;
            Ok(ages.into_iter().min())
        })
    }

    /// Removes an object, if there is one.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Error> {
        self.ask(name, |objects, key, name| async move {
            match objects.delete(&key).await {
                Err(Cause::NotFound { .. }) => Ok(()),
                removed => removed.map_err(at(&name)),
            }
        })
    }

    /// Removes every object below `prefix`.
    pub(crate) fn remove_below(&self, prefix: &str) -> Result<(), Error> {
        self.ask(prefix, |objects, key, name| async move {
            let keys = objects.list(Some(&key)).map_ok(|meta| meta.location);
            let removed = objects.delete_stream(keys.boxed());
            let removed = removed.try_for_each(|_| future::ready(Ok(()))).await;
            removed.map_err(at(&name))
        })
    }

    /// Runs a request on the object `name`, or below it, to its end.
    fn ask<T, F, A>(&self, name: &str, request: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(Arc<AmazonS3>, Key, String) -> A,
        A: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let key = Key::from(format!("{}/{name}", self.prefix));
        let objects = Arc::clone(&self.objects);
        self.executor.wait(request(objects, key, name.to_owned()))
    }
}

/// The time since an object was written; 0 if its server's clock is ahead of this one.
fn age(meta: &ObjectMeta) -> Duration {
    let written = SystemTime::from(meta.last_modified);
    SystemTime::now()
        .duration_since(written)
        .unwrap_or_default()
}

/// Names the object in an error.
fn at(name: &str) -> impl FnOnce(Cause) -> Error {
    let name = name.to_owned();
    move |source| Error::Object { name, source }
}
