//! Keeps the vectors of stored users until something is written for them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use moka::sync::Cache;
use tracing::debug;

use crate::{batcher::Embedded, metrics};

/// About what the cache takes for a user beside the name and the vectors, in bytes.
const ENTRY: usize = 160;

/// The vectors that one model made lately. They go with the model, so those of two generations never mix.
pub(crate) struct Vectors {
    /// By user. None if no vectors are kept.
    cache: Option<Cache<String, (Version, Embedded)>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What vectors are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// The number of the last write for the user.
    pub(crate) arrived: u64,
    /// The last delta of the catalog's log that the model's rows held before; 0 for a model that reads none.
    pub(crate) delta: u64,
}

impl Vectors {
    /// Keeps vectors in at most `bytes` of memory; 0 keeps none.
    pub(crate) fn new(bytes: u64) -> Self {
        let cache = Cache::builder().max_capacity(bytes).weigher(
            |user: &String, (_, embedded): &(Version, Embedded)| {
                u32::try_from(ENTRY + user.len() + embedded.bytes()).unwrap_or(u32::MAX)
            },
        );
        Self {
            cache: (bytes > 0).then(|| cache.build()),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Whether any are kept.
    pub(crate) fn keeps_any(&self) -> bool {
        self.cache.is_some()
    }

    /// Returns the vectors of a user that are made of exactly this, if they are kept.
    pub(crate) fn get(&self, user: &str, of: Version) -> Option<Embedded> {
        let kept = self.cache.as_ref()?.get(user);
        let kept = kept.filter(|(made_of, _)| *made_of == of);
        let count = if kept.is_some() {
            &self.hits
        } else {
            &self.misses
        };
        count.fetch_add(1, Relaxed);
        metrics::looked("vectors", kept.is_some());
        kept.map(|(_, embedded)| embedded)
    }

    /// Keeps the vectors of a user, which are made of this.
    pub(crate) fn put(&self, user: String, of: Version, embedded: Embedded) {
        if let Some(cache) = &self.cache {
            cache.insert(user, (of, embedded));
        }
    }

    /// Lets go of the vectors of a user.
    pub(crate) fn forget(&self, user: &str) {
        if let Some(cache) = &self.cache {
            cache.invalidate(user);
        }
    }

    /// How often vectors were looked for and found, and how often not.
    pub(crate) fn hits_and_misses(&self) -> (u64, u64) {
        (self.hits.load(Relaxed), self.misses.load(Relaxed))
    }
}

impl Drop for Vectors {
    fn drop(&mut self) {
        let (hits, misses) = self.hits_and_misses();
        debug!(hits, misses, "the vectors of a model were let go");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn embedded(number: f32) -> Embedded {
        Embedded {
            interests: vec![number; 64],
            dim: 64,
            weights: Vec::new(),
            cold: false,
            attention: None,
        }
    }

    fn of(arrived: u64, delta: u64) -> Version {
        Version { arrived, delta }
    }

    #[test]
    fn vectors_are_kept_as_of_one_write_and_one_delta() {
        let vectors = Vectors::new(1 << 20);
        assert_eq!(vectors.get("7", of(1, 0)), None);
        vectors.put("7".to_owned(), of(1, 0), embedded(1.0));
        assert_eq!(vectors.get("7", of(1, 0)), Some(embedded(1.0)));
        assert_eq!(vectors.get("7", of(2, 0)), None);
        assert_eq!(vectors.get("7", of(1, 1)), None);
        vectors.put("7".to_owned(), of(2, 0), embedded(2.0));
        assert_eq!(vectors.get("7", of(2, 0)), Some(embedded(2.0)));
        assert_eq!(vectors.hits_and_misses(), (2, 3));
    }

    #[test]
    fn they_take_no_more_memory_than_they_may() {
        let vectors = Vectors::new(100_000);
        for user in 0..1_000 {
            vectors.put(user.to_string(), of(1, 0), embedded(1.0));
        }
        let cache = vectors.cache.as_ref().unwrap();
        cache.run_pending_tasks();
        let (users, bytes) = (cache.entry_count(), cache.weighted_size());
        assert!(bytes <= 100_000 && users > 100, "{users} take {bytes}");
        assert!(bytes >= users * 64 * 4);
    }

    #[test]
    fn none_are_kept_in_no_memory() {
        let vectors = Vectors::new(0);
        vectors.put("7".to_owned(), of(1, 0), embedded(1.0));
        assert_eq!(vectors.get("7", of(1, 0)), None);
        assert_eq!(vectors.hits_and_misses(), (0, 0));
    }
}
