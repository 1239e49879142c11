//! Loads a prepared dataset, or Parquet files, into a running user tower: the client of `ImportUsers`.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use proto::v1::{ImportUsersResponse, user_tower_service_client::UserTowerServiceClient};
use service::{Settings as _, client::Connector};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tracing::info;

use crate::{
    client::{self, Address},
    config::Config,
    export::EVENTS,
    import::chunk::Chunks,
};

mod chunk;
mod dataset;
mod table;
mod tables;

/// Chunks read ahead of the server.
const AHEAD: usize = 4;

/// Load a prepared dataset (users.jsonl, events.csv) or Parquet files (events.parquet) into the running server.
#[derive(Debug, Args)]
pub struct Import {
    /// The directory, as `onnx data` or `export` writes it.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The server; the one that the settings describe if left out.
    #[arg(long, value_name = "URI")]
    address: Option<String>,
}

/// What became of a dataset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Events that were new.
    pub recorded: u64,
    /// Events that changed nothing: known, or too old to be kept and of an item already seen.
    pub duplicates: u64,
    /// Profiles stored.
    pub profiles: u64,
    /// Events and profiles left out because another member owns their user.
    pub foreign: u64,
}

/// The command `import`.
///
/// # Errors
/// As [`import`].
pub async fn command(config: Config, import: Import) -> anyhow::Result<()> {
    let uri = import
        .address
        .unwrap_or_else(|| config.server().local_admin_uri());
    let tower = Address::new(uri, &Connector::new(&config.identity)?);
    let style = "{msg} {bar:40} {bytes}/{total_bytes} {bytes_per_sec} eta {eta}";
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(style)?);
    bar.set_message("importing");
    let begin = Instant::now();
    let done = self::import(&import.data, tower, &bar).await?;
    bar.finish_and_clear();
    info!(
        recorded = done.recorded,
        duplicates = done.duplicates,
        profiles = done.profiles,
        foreign = done.foreign,
        seconds = begin.elapsed().as_secs_f64(),
        "imported"
    );
    Ok(())
}

/// Streams the files in `dir` to the user tower `tower`; `bar` counts the bytes of its files.
///
/// May be repeated: events that are known already change nothing.
///
/// # Errors
/// If a line cannot be read (naming file and line), or the server refuses one or cannot be reached;
/// what was sent before may be stored.
pub async fn import(
    dir: &Path,
    tower: impl Into<Address>,
    bar: &ProgressBar,
) -> anyhow::Result<Imported> {
    let channel = tower.into().connect().await?;
    let (sender, chunks) = mpsc::channel(AHEAD);
    let (dir, bar) = (dir.to_owned(), bar.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let mut chunks = Chunks::new(sender);
        match dir.join(EVENTS).exists() {
            true => tables::read(&dir, &bar, &mut chunks)?,
            false => dataset::read(&dir, &bar, &mut chunks)?,
        }
        chunks.finish();
        anyhow::Ok(())
    });

    let answer = UserTowerServiceClient::new(channel)
        .import_users(client::long(ReceiverStream::new(chunks)))
        .await;
    // A file that cannot be read ends the stream early: that is the cause to show.
    reading.await??;
    Ok(answer
        .context("the user tower refused")?
        .into_inner()
        .into())
}

impl From<ImportUsersResponse> for Imported {
    fn from(done: ImportUsersResponse) -> Self {
        Self {
            recorded: done.recorded,
            duplicates: done.duplicates,
            profiles: done.profiles,
            foreign: done.foreign,
        }
    }
}
