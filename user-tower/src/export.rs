//! Writes all that a running user tower keeps into Parquet files: the client of `ExportUsers`.
//!
//! | file | columns |
//! |---|---|
//! | `users.parquet` | `user` text; `profile` text, JSON, may be missing; `profile_arrived`, `deleted`, `arrived` i64 |
//! | `seen.parquet` | `user` text; `item` u64; `arrived` i64 |
//! | `events.parquet` | `user` text; `item` u64; `kind` text; `value` f32; `time` i64, seconds; `event_id` text; `arrived` i64 |
//!
//! `import` reads them; what arrived when is in microseconds since the epoch.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use encoder::features::Features;
use indicatif::{ProgressBar, ProgressStyle};
use proto::v1::{
    ExportUsersRequest, StoredUser, item_ref::Name,
    user_tower_service_client::UserTowerServiceClient,
};
use service::{Settings as _, client::Connector};
use tracing::info;

use crate::{
    client::{self, Address},
    config::Config,
    export::table::{Column, Table},
    grpc,
};

mod table;

/// The files.
pub(crate) const USERS: &str = "users.parquet";
pub(crate) const SEEN: &str = "seen.parquet";
pub(crate) const EVENTS: &str = "events.parquet";

/// Write all users of the running server into Parquet files.
#[derive(Debug, Args)]
pub struct Export {
    /// The directory to make.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The server; the one that the settings describe if left out.
    #[arg(long, value_name = "URI")]
    address: Option<String>,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Users.
    pub users: u64,
    /// Items that they have seen.
    pub seen: u64,
    /// Events.
    pub events: u64,
}

/// The command `export`.
///
/// # Errors
/// As [`export`].
pub async fn command(config: Config, export: Export) -> anyhow::Result<()> {
    let uri = export
        .address
        .unwrap_or_else(|| config.server().local_admin_uri());
    let tower = Address::new(uri, &Connector::new(&config.identity)?);
    let style = ProgressStyle::with_template("{msg} {human_pos} users {per_sec}")?;
    let bar = ProgressBar::no_length().with_style(style);
    bar.set_message("exporting");
    let done = self::export(&export.out, tower, &bar).await?;
    bar.finish_and_clear();
    info!(
        users = done.users,
        seen_items = done.seen,
        events = done.events,
        "exported"
    );
    Ok(())
}

/// Writes the users of the user tower `tower` into the new directory `dir`; `bar` counts them.
///
/// Each user is as of one moment; with copies of all members, `import` makes one whole of them.
///
/// # Errors
/// If the directory exists or cannot be written, or the server cannot be reached.
pub async fn export(
    dir: &Path,
    tower: impl Into<Address>,
    bar: &ProgressBar,
) -> anyhow::Result<Exported> {
    let channel = tower.into().connect().await?;
    anyhow::ensure!(!dir.exists(), "{} exists already", dir.display());
    let partial = dir.with_extension("partial");
    std::fs::create_dir_all(&partial).with_context(|| partial.display().to_string())?;
    let mut pages = UserTowerServiceClient::new(channel)
        .export_users(client::long(ExportUsersRequest::default()))
        .await?
        .into_inner();
    let mut files = Files::create(&partial)?;
    while let Some(page) = pages.message().await? {
        for user in page.users {
            files.add(user)?;
        }
        bar.set_position(files.done.users);
    }
    let done = files.close()?;
    std::fs::rename(&partial, dir).with_context(|| dir.display().to_string())?;
    Ok(done)
}

/// The files, half written.
struct Files {
    users: Table,
    seen: Table,
    events: Table,
    done: Exported,
}

impl Files {
    fn create(dir: &Path) -> anyhow::Result<Self> {
        use Column::{Id, MaybeText, Number, Real, Text};
        let create = |name: &str, columns| Table::create(&dir.join(name), columns);
        let [text, maybe, id, number, real] = [
            Text(Vec::new()),
            MaybeText(Vec::new()),
            Id(Vec::new()),
            Number(Vec::new()),
            Real(Vec::new()),
        ];
        Ok(Self {
            users: create(
                USERS,
                vec![
                    ("user", text.clone()),
                    ("profile", maybe),
                    ("profile_arrived", number.clone()),
                    ("deleted", number.clone()),
                    ("arrived", number.clone()),
                ],
            )?,
            seen: create(
                SEEN,
                vec![
                    ("user", text.clone()),
                    ("item", id.clone()),
                    ("arrived", number.clone()),
                ],
            )?,
            events: create(
                EVENTS,
                vec![
                    ("user", text.clone()),
                    ("item", id),
                    ("kind", text.clone()),
                    ("value", real),
                    ("time", number.clone()),
                    ("event_id", text),
                    ("arrived", number),
                ],
            )?,
            done: Exported::default(),
        })
    }

    fn add(&mut self, stored: StoredUser) -> anyhow::Result<()> {
        let user = stored.user_id.as_str();
        let profile = stored.profile.map(grpc::read::stored_features);
        let json = |profile: Features| serde_json::to_string(&profile);
        if stored.arrived > 0 {
            self.users.row(|row| {
                row.text(user);
                row.maybe_text(profile.map(json).transpose()?.as_deref());
                row.number(stored.profile_arrived);
                row.number(stored.deleted);
                row.number(stored.arrived);
                Ok(())
            })?;
            // A user comes in several parts if there is much; the last says when the last write arrived.
            self.done.users += 1;
        }
        for (item, arrived) in stored.seen.iter().zip(stored.seen_arrived) {
            self.seen.row(|row| {
                row.text(user);
                row.id(*item);
                row.number(arrived);
                Ok(())
            })?;
            self.done.seen += 1;
        }
        for (event, arrived) in stored.events.iter().zip(stored.events_arrived) {
            let item = match event.item.as_ref().and_then(|item| item.name.as_ref()) {
                Some(Name::Id(id)) => *id,
                _ => anyhow::bail!("the user tower sent an event without an item's id"),
            };
            self.events.row(|row| {
                row.text(user);
                row.id(item);
                row.text(&event.r#type);
                row.real(event.value);
                row.signed(event.time);
                row.text(&event.event_id);
                row.number(arrived);
                Ok(())
            })?;
            self.done.events += 1;
        }
        Ok(())
    }

    fn close(self) -> anyhow::Result<Exported> {
        self.users.close()?;
        self.seen.close()?;
        self.events.close()?;
        Ok(self.done)
    }
}
