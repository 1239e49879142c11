//! The catalog's log: numbered deltas, the changes of items since the generations were made.
//!
//! ```text
//! <store>/deltas/<number>            items put in and taken out, raw
//! <store>/deltas/<number>.<space>    vectors of the items put in, of one embedding space
//! ```
//!
//! Numbers have 20 digits and no gaps. Both kinds of file are put once and never changed: of two writers one gets the
//! number, and of two that embed the same items one's vectors count, so that every replica goes by the same. A generation
//! says which number it holds everything up to; [`collect`](crate::collect) removes what every generation holds, but never
//! the newest.

mod format;

use std::{collections::BTreeMap, time::Duration};

use crate::{error::Error, name, store::Store};

/// The folder of the log in the store.
pub(crate) const FOLDER: &str = "deltas";
/// The most bytes of one file.
const BYTES_LIMIT: u64 = 256 << 20;

/// Items put in and taken out at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// By item: its bytes as a catalog stores them, or none if it is taken out.
    pub items: BTreeMap<u64, Option<Vec<u8>>>,
}

/// Vectors of the items that a delta puts in; an item without one cannot be embedded in the space.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vectors {
    /// Numbers a vector.
    pub dim: usize,
    /// By item: its vector, `dim` numbers.
    pub rows: BTreeMap<u64, Vec<f32>>,
}

/// Puts a delta into the log and returns its number: the first that nobody has after `after`, the last that the caller
/// knows of. Durable on return.
///
/// # Errors
/// [`Error::Missing`] if `after` was removed from the log long ago: nobody would ever read what follows it.
/// [`Error::Mismatch`] if the delta is too large to be read back.
pub async fn append(store: &Store, changes: &Changes, after: u64) -> Result<u64, Error> {
    if after == 0 || !store.exists(&path(after)).await? {
        // Where nobody has a number yet, any follows; else the log must go on from here.
        let first = numbers(store).await?.first().copied();
        if first.is_some_and(|first| first > after + 1) {
            return Err(Error::Missing {
                what: "delta",
                name: after.to_string(),
            });
        }
    }
    let mut number = after + 1;
    loop {
        let bytes = format::encode_changes(number, changes);
        if bytes.len() as u64 > BYTES_LIMIT {
            let expected = format!("at most {BYTES_LIMIT}");
            return Err(Error::mismatch(
                path(number),
                "size in bytes",
                bytes.len(),
                expected,
            ));
        }
        if store.create(&path(number), bytes).await? {
            return Ok(number);
        }
        number += 1;
    }
}

/// Reads a delta; `None` if there is none of that number, or no longer.
///
/// # Errors
/// [`Error::Mismatch`] if it is not what was put.
pub async fn read(store: &Store, number: u64) -> Result<Option<Changes>, Error> {
    let path = path(number);
    let bytes = store.read(&path, BYTES_LIMIT).await?;
    let decode = |bytes: Vec<u8>| format::decode_changes(&path, number, &bytes);
    bytes.map(decode).transpose()
}

/// Puts the vectors of a delta in a space, unless somebody did.
///
/// # Errors
/// [`Error::Name`] for a space that is no name, [`Error::Mismatch`] for a vector of another length.
pub async fn put_vectors(
    store: &Store,
    number: u64,
    space: &str,
    vectors: &Vectors,
) -> Result<(), Error> {
    let path = vectors_path(number, space)?;
    let bytes = format::encode_vectors(&path, number, space, vectors)?;
    store.create(&path, bytes).await?;
    Ok(())
}

/// Reads the vectors of a delta in a space; `None` if nobody put them.
///
/// # Errors
/// As [`read`].
pub async fn read_vectors(
    store: &Store,
    number: u64,
    space: &str,
) -> Result<Option<Vectors>, Error> {
    let path = vectors_path(number, space)?;
    let bytes = store.read(&path, BYTES_LIMIT).await?;
    let decode = |bytes: Vec<u8>| format::decode_vectors(&path, number, space, &bytes);
    bytes.map(decode).transpose()
}

/// The numbers of the deltas in the log, ascending.
///
/// # Errors
/// If the store cannot be listed.
pub async fn numbers(store: &Store) -> Result<Vec<u64>, Error> {
    let names = store.list(FOLDER).await?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| parse(name)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

/// Refuses a log that goes on after `end` where a delta of it is missing; lists the whole log.
///
/// # Errors
/// [`Error::Hole`], or if the store cannot be listed.
pub async fn check_end(store: &Store, end: u64) -> Result<(), Error> {
    let after = numbers(store).await?;
    let after = after.into_iter().find(|number| *number > end);
    match after.filter(|after| *after > end + 1) {
        None => Ok(()),
        Some(after) => Err(Error::Hole { end, after }),
    }
}

/// Removes all deltas up to `number` that are as old as `age`, but never the newest.
pub(crate) async fn remove(store: &Store, number: u64, age: Duration) -> Result<(), Error> {
    let newest = numbers(store).await?.pop().unwrap_or_default();
    for name in store.list_older(FOLDER, age).await? {
        let of = parse(name.split('.').next().unwrap_or_default());
        if of.is_some_and(|of| of <= number && of < newest) {
            store.remove(&format!("{FOLDER}/{name}")).await?;
        }
    }
    Ok(())
}

/// The number of a delta by its file's name.
fn parse(name: &str) -> Option<u64> {
    (name.len() == 20).then(|| name.parse().ok()).flatten()
}

fn path(number: u64) -> String {
    format!("{FOLDER}/{number:020}")
}

fn vectors_path(number: u64, space: &str) -> Result<String, Error> {
    let space = name::check("artifact", space)?;
    Ok(format!("{}.{space}", path(number)))
}
