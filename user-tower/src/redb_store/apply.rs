//! Applies writes to the tables of one transaction.

use redb::{ReadableTable as _, WriteTransaction};

use crate::{
    history::{Arrival, Event, Tally, Write},
    redb_store::{schema, tables::Tables},
};

/// Applies `writes` as if one after another; returns what became of each.
///
/// Each gets the arrival `now`, or, if that is no later, the one after the last: arrivals only grow.
pub(super) fn apply(
    transaction: &WriteTransaction,
    writes: &[&Write],
    keep: usize,
    now: Arrival,
) -> Result<Vec<Tally>, redb::Error> {
    let mut meta = transaction.open_table(schema::META)?;
    let mut last = meta.get(schema::ARRIVED)?.map_or(0, |last| last.value());
    let mut settled = meta.get(schema::SETTLED)?.map_or(0, |epoch| epoch.value());
    let mut tallies = vec![Tally::default(); writes.len()];
    for (write, tally) in writes.iter().zip(&mut tallies) {
        let copies = write.copies.iter();
        let newest = copies.map(|copy| copy.arrived.max(copy.deleted)).max();
        let newest = newest.unwrap_or_default().max(write.arrives_after);
        last = now.max(last.max(newest) + 1);
        tally.arrived = last;
        settled = settled.max(write.settles);
    }
    let mut tables = Tables::open(transaction, keep)?;
    let numbers: Vec<usize> = (0..writes.len()).collect();
    // Those that only add events go together, whatever else comes between in its turn.
    for run in numbers.chunk_by(|a, b| only_records(writes[*a]) && only_records(writes[*b])) {
        for arrivals in by_user(writes, run, &tallies).chunk_by(|a, b| a.user == b.user) {
            tables.append(arrivals, &mut tallies)?;
        }
        for &number in run {
            tables.change(writes[number], &mut tallies[number])?;
        }
    }
    meta.insert(schema::ARRIVED, last)?;
    meta.insert(schema::SETTLED, settled)?;
    Ok(tallies)
}

fn only_records(write: &Write) -> bool {
    write.profiles.is_empty() && write.copies.is_empty() && write.removals.is_empty()
}

/// An event, whose it is, when it arrived, and which write brought it.
pub(super) struct Arriving<'a> {
    pub(super) user: &'a str,
    pub(super) event: &'a Event,
    pub(super) arrived: Arrival,
    pub(super) is_copy: bool,
    pub(super) write: usize,
}

impl Arriving<'_> {
    /// What is stored of it beside its key.
    pub(super) fn row(&self) -> (u64, &str, f32, Arrival) {
        let event = self.event;
        (event.item, &event.kind, event.value, self.arrived)
    }
}

/// Groups the events of a run of writes by user, the newest first, those of one key in the order of the writes.
///
/// The newest first, because then those that are too old to be kept are never stored at all.
fn by_user<'a>(writes: &[&'a Write], run: &[usize], tallies: &[Tally]) -> Vec<Arriving<'a>> {
    let mut arriving: Vec<Arriving> = Vec::new();
    for &number in run {
        let records = writes[number].records.iter();
        arriving.extend(records.map(|record| Arriving {
            user: &record.user,
            event: &record.event,
            arrived: tallies[number].arrived,
            is_copy: false,
            write: number,
        }));
    }
    arriving.sort_by(|a, b| {
        let newest_first = b.event.key().cmp(&a.event.key());
        a.user.cmp(b.user).then(newest_first)
    });
    arriving
}
