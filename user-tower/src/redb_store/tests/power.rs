//! A disk in memory whose power can fail: of what was not synced any part may be lost, in any order.

use std::{
    collections::BTreeSet,
    io,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use futures::future::join_all;
use redb::{StorageBackend, backends::InMemoryBackend};

use super::{RedbStore, config, everyone, on, record};
use crate::history::{HistoryStore as _, Write};

/// The disk; clones are the same one.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Platter>);

#[derive(Debug, Default)]
struct Platter {
    memory: InMemoryBackend,
    /// What was done since the last sync.
    unsynced: Mutex<Vec<Change>>,
    changes: AtomicU64,
    /// The power fails before this change.
    fails_at: AtomicU64,
    failed: AtomicBool,
    syncs: AtomicUsize,
}

#[derive(Debug)]
enum Change {
    /// From and to.
    Len(u64, u64),
    /// Where, what stood there, and what stands there now.
    Write(u64, Vec<u8>, Vec<u8>),
}

impl Disk {
    /// Lets the power fail before the `changes`th change from now.
    fn fail_after(&self, changes: u64) {
        let now = self.0.changes.load(Ordering::SeqCst);
        self.0.fails_at.store(now + changes, Ordering::SeqCst);
    }

    /// Starts again with what was synced, and whatever else `kept` says of each write that was not.
    fn power_on(&self, mut kept: impl FnMut() -> bool) {
        let unsynced: Vec<Change> = self.unsynced().drain(..).collect();
        let memory = &self.0.memory;
        for change in unsynced.iter().rev() {
            match change {
                Change::Len(from, _) => memory.set_len(*from).unwrap(),
                Change::Write(at, before, _) => memory.write(*at, before).unwrap(),
            }
        }
        for change in unsynced {
            match change {
                Change::Len(_, to) => memory.set_len(to).unwrap(),
                Change::Write(at, _, after) if kept() => memory.write(at, &after).unwrap(),
                Change::Write(..) => {}
            }
        }
        self.0.fails_at.store(u64::MAX, Ordering::SeqCst);
        self.0.failed.store(false, Ordering::SeqCst);
    }

    fn unsynced(&self) -> MutexGuard<'_, Vec<Change>> {
        self.0.unsynced.lock().unwrap()
    }

    /// Counts a change, unless there is no power.
    fn change(&self) -> io::Result<()> {
        let number = self.0.changes.fetch_add(1, Ordering::SeqCst);
        if number >= self.0.fails_at.load(Ordering::SeqCst) {
            self.0.failed.store(true, Ordering::SeqCst);
        }
        match self.0.failed.load(Ordering::SeqCst) {
            true => Err(io::Error::other("the power failed")),
            false => Ok(()),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.0.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change()?;
        let before = self.0.memory.len()?;
        if len < before {
            let mut cut = vec![0; (before - len) as usize];
            self.0.memory.read(len, &mut cut)?;
            let zeros = vec![0; cut.len()];
            self.unsynced().push(Change::Write(len, cut, zeros));
        }
        self.unsynced().push(Change::Len(before, len));
        self.0.memory.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.change()?;
        self.unsynced().clear();
        self.0.syncs.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change()?;
        let mut before = vec![0; data.len()];
        self.0.memory.read(offset, &mut before)?;
        self.unsynced()
            .push(Change::Write(offset, before, data.to_vec()));
        self.0.memory.write(offset, data)
    }
}

fn powered(disk: &Disk) -> RedbStore {
    on(disk, &config(usize::MAX, 64))
}

/// The times of a user's events.
async fn times(store: &RedbStore) -> Vec<i64> {
    let page = store.page(everyone()).await.unwrap();
    let events = page.users.iter().flat_map(|user| &user.events);
    events.map(|(event, _)| event.time).collect()
}

/// As many cuts as `TWOTOWER_TEST_POWER_CUTS` says, else a few.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_at_any_moment_loses_nothing_that_was_acknowledged() {
    let cuts = std::env::var("TWOTOWER_TEST_POWER_CUTS");
    let cuts: u64 = cuts.map_or(24, |cuts| cuts.parse().unwrap());
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let disk = Disk::default();
    disk.power_on(|| true);
    let (mut acknowledged, mut next) = (BTreeSet::new(), 1_i64);
    for _ in 0..cuts {
        let store = powered(&disk);
        disk.fail_after(1 + random() % 120);
        loop {
            let writes = (next..next + 5).map(|time| {
                let write = Write {
                    records: vec![record("7", time, "a", time as u64)],
                    ..Write::default()
                };
                let answer = store.write(write);
                async move { (time, answer.await.is_ok()) }
            });
            next += 5;
            let answers = join_all(writes).await;
            acknowledged.extend(answers.iter().filter(|(_, ok)| *ok).map(|(time, _)| *time));
            if answers.iter().any(|(_, ok)| !ok) {
                break;
            }
        }
        drop(store);
        disk.power_on(|| random() % 2 == 0);
        let found = times(&powered(&disk)).await;
        let different: BTreeSet<i64> = found.iter().copied().collect();
        assert_eq!(found.len(), different.len(), "an event is there twice");
        let lost: Vec<_> = acknowledged.difference(&different).collect();
        assert!(lost.is_empty(), "lost {lost:?}");
        assert!(different.iter().all(|time| *time < next));
    }
    assert!(disk.0.syncs.load(Ordering::SeqCst) > 0);
    assert!(
        acknowledged.len() as u64 > cuts,
        "{} of {next}",
        acknowledged.len()
    );
}
