//! Swaps CURRENT and MEMBERS: one writer wins, the others learn what they went by is gone.

use crate::{
    durable,
    error::Error,
    pointer::{self, Pointer, Version, Versioned},
    store::Store,
};

/// The most bytes that CURRENT and MEMBERS may have.
const LIMIT: u64 = 1 << 20;

/// Reads a pointer; `None` if there is none.
pub(crate) fn read<P: Pointer>(store: &Store) -> Result<Option<Versioned<P>>, Error> {
    let bytes = store.read_now(P::NAME, LIMIT)?;
    bytes.as_deref().map(pointer::decode).transpose()
}

/// Returns the pointer's value if it is at `expected`.
pub(crate) fn expect<P: Pointer>(
    store: &Store,
    expected: Option<&Version>,
) -> Result<Option<P>, Error> {
    compare(read(store)?, expected)
}

/// Replaces a pointer if it is still at `expected`; durable on return.
///
/// In a directory the caller holds the lock; a bucket's server compares once more as it writes.
pub(crate) fn swap<P: Pointer>(
    store: &Store,
    expected: Option<&Version>,
    new: &P,
) -> Result<(), Error> {
    let bytes = pointer::encode(new)?;
    let Some(bucket) = store.bucket() else {
        check_successor(expect(store, expected)?, new)?;
        return durable::replace(&store.root().join(P::NAME), &bytes);
    };
    let found = bucket.read(P::NAME, LIMIT)?;
    let old = found.as_ref().map(|found| pointer::decode(&found.bytes));
    check_successor(compare(old.transpose()?, expected)?, new)?;
    let swapped = match found {
        None => bucket.create(P::NAME, &bytes)?,
        Some(found) => bucket.replace(P::NAME, &bytes, found.version)?,
    };
    if swapped {
        return Ok(());
    }
    // It may be ours after all: put, but the answer got lost, and put again.
    match bucket.read(P::NAME, LIMIT)? {
        Some(found) if found.bytes == bytes => Ok(()),
        found => {
            let found = found.map(|found| pointer::decode::<P>(&found.bytes));
            let found = found.transpose()?.map(|found| found.version);
            Err(conflict::<P>(found.as_ref(), expected))
        }
    }
}

fn compare<P: Pointer>(
    found: Option<Versioned<P>>,
    expected: Option<&Version>,
) -> Result<Option<P>, Error> {
    let version = found.as_ref().map(|found| &found.version);
    match version == expected {
        true => Ok(found.map(|found| found.value)),
        false => Err(conflict::<P>(version, expected)),
    }
}

fn check_successor<P: Pointer>(old: Option<P>, new: &P) -> Result<(), Error> {
    old.map_or(Ok(()), |old| new.check_successor(&old))
}

fn conflict<P: Pointer>(found: Option<&Version>, expected: Option<&Version>) -> Error {
    Error::Conflict {
        name: P::NAME,
        found: Version::describe(found),
        expected: Version::describe(expected),
    }
}
