//! Lists the most popular items: of each shard when it is built, of all of them when the generation is put together.

use std::{cmp::Reverse, collections::BinaryHeap, fs, io, path::Path};

use crate::{
    error::{Error, JobError},
    work::unwritable,
};

/// The list's name in every generation, and in the directory of a shard that is built.
pub(crate) const FILE: &str = "popularity.json";
/// How many items are listed; nobody asks for more.
const LISTED: usize = 10_000;

/// The most popular of the items that were pushed; no more of them are in memory.
#[derive(Debug, Default)]
pub(crate) struct Popular {
    /// The least popular on top.
    heap: BinaryHeap<(Reverse<u64>, u64)>,
}

impl Popular {
    /// Takes an item with its count.
    pub(crate) fn push(&mut self, id: u64, count: u64) {
        self.heap.push((Reverse(count), id));
        if self.heap.len() > LISTED {
            self.heap.pop();
        }
    }

    /// Takes the list of `dir`.
    ///
    /// # Errors
    /// [`Error::Read`], or [`JobError::Malformed`] if it is no list.
    pub(crate) fn merge(&mut self, dir: &Path) -> Result<(), Error> {
        let path = dir.join(FILE);
        let read =
            || -> io::Result<Vec<(u64, u64)>> { Ok(serde_json::from_slice(&fs::read(&path)?)?) };
        let listed = read().map_err(|cause| JobError::Malformed {
            path: path.clone(),
            reason: cause.to_string(),
        })?;
        for (id, count) in listed {
            self.push(id, count);
        }
        Ok(())
    }

    /// Writes the list into `dir`: `[[item id, count], ..]`, most popular first; ties go to the smaller id.
    ///
    /// # Errors
    /// [`Error::Write`] if the file cannot be written.
    pub(crate) fn write(self, dir: &Path) -> Result<(), Error> {
        let path = dir.join(FILE);
        let text = serde_json::json!(self.list()).to_string();
        fs::write(&path, text).map_err(unwritable(&path))
    }

    fn list(self) -> Vec<(u64, u64)> {
        let sorted = self.heap.into_sorted_vec().into_iter();
        sorted.map(|(Reverse(count), id)| (id, count)).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn ties_go_to_the_smaller_id() {
        let mut popular = Popular::default();
        for (id, count) in [(3, 5), (9, 7), (1, 5)] {
            popular.push(id, count);
        }
        assert_eq!(popular.list(), [(9, 7), (1, 5), (3, 5)]);
    }

    #[test]
    fn the_lists_of_two_shards_make_the_list_of_all() {
        let dirs = [0, 1].map(|_| tempfile::tempdir().unwrap());
        let mut all = Popular::default();
        for (dir, first) in dirs.iter().zip([0, 1]) {
            let mut popular = Popular::default();
            for id in (first..3 * LISTED as u64).step_by(2) {
                popular.push(id, id / 3);
            }
            popular.write(dir.path()).unwrap();
            all.merge(dir.path()).unwrap();
        }
        let mut expected: Vec<(u64, u64)> = (0..3 * LISTED as u64).map(|id| (id, id / 3)).collect();
        expected.sort_by_key(|&(id, count)| (Reverse(count), id));
        expected.truncate(LISTED);
        assert_eq!(all.list(), expected);
    }
}
