//! Reads Parquet files: those that `export` writes, or events and profiles of somebody else.

use std::path::Path;

use anyhow::Context as _;
use encoder::features::Features;
use indicatif::ProgressBar;

use crate::{
    export::{EVENTS, SEEN, USERS},
    grpc,
    import::{
        chunk::Chunks,
        dataset::EventLine,
        table::{Cells, Table},
    },
};

/// The bytes of a number on the wire, at most.
const NUMBER: usize = 10;

/// Sends the files chunk by chunk; stops where nobody listens any more.
///
/// Without the columns that say what arrived when, events are recorded and profiles put as if they came now.
pub(super) fn read(dir: &Path, bar: &ProgressBar, chunks: &mut Chunks) -> anyhow::Result<()> {
    let [users, seen, events] = [USERS, SEEN, EVENTS].map(|name| dir.join(name));
    let size = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
    bar.set_length(size(&users) + size(&seen) + size(&events));
    let columns = [
        ("user", true),
        ("item", true),
        ("time", true),
        ("event_id", true),
        ("kind", false),
        ("value", false),
        ("arrived", false),
    ];
    if !Table::open(&events, &columns)?.each(bar, |cells| event(cells, chunks))? {
        return Ok(());
    }
    if seen.exists() {
        let columns = [("user", true), ("item", true), ("arrived", true)];
        let each = |cells: &Cells<'_>| {
            let (item, arrived) = (cells.whole(1)?, cells.whole(2)?);
            Ok(chunks.part(cells.text(0)?, 2 * NUMBER, |user| {
                user.seen.push(item);
                user.seen_arrived.push(arrived);
            }))
        };
        if !Table::open(&seen, &columns)?.each(bar, each)? {
            return Ok(());
        }
    }
    if users.exists() {
        let columns = [
            ("user", true),
            ("profile", false),
            ("profile_arrived", false),
            ("deleted", false),
            ("arrived", false),
        ];
        // At last, for they say what has arrived.
        Table::open(&users, &columns)?.each(bar, |cells| user(cells, chunks))?;
    }
    Ok(())
}

fn user(cells: &Cells<'_>, chunks: &mut Chunks) -> anyhow::Result<bool> {
    let user = cells.text(0)?;
    let json = cells.maybe(1).then(|| cells.text(1)).transpose()?;
    let profile: Option<Features> = json
        .map(|json| serde_json::from_str(json).context("the profile is no JSON of features"))
        .transpose()?;
    if !cells.has(4) {
        return Ok(profile.is_none_or(|profile| chunks.profile(user.to_owned(), &profile)));
    }
    let arrived = cells.whole(4)?;
    let deleted = cells.whole_or(3, 0)?;
    let profile_arrived = cells.whole_or(2, arrived)?;
    let bytes = 3 * NUMBER + json.map_or(0, str::len);
    Ok(chunks.part(user, bytes, |user| {
        user.profile = profile.as_ref().map(grpc::write::features);
        user.profile_arrived = profile.map_or(0, |_| profile_arrived);
        user.deleted = deleted;
        user.arrived = arrived;
    }))
}

fn event(cells: &Cells<'_>, chunks: &mut Chunks) -> anyhow::Result<bool> {
    let line = EventLine {
        user: cells.text(0)?.to_owned(),
        item: cells.whole(1)?,
        time: cells.whole(2)? as i64,
        event_id: cells.text(3)?.to_owned(),
        kind: match cells.maybe(4) {
            true => cells.text(4)?.to_owned(),
            false => String::new(),
        },
        value: match cells.maybe(5) {
            true => cells.real(5)?,
            false => 0.0,
        },
    };
    if !cells.has(6) {
        return Ok(chunks.event(line));
    }
    let arrived = cells.whole(6)?;
    let (user, bytes) = (line.user.clone(), line.bytes());
    Ok(chunks.part(&user, bytes, |user| {
        user.events.push(line.into());
        user.events_arrived.push(arrived);
    }))
}
