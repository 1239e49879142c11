//! The command line.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use generation::{collect::collect, store::Store, traffic::roll_back};
use serde::Serialize;
use service::{
    config,
    telemetry::{self, Format},
};
use tokio::runtime::Runtime;

use crate::{
    build,
    config::{Config, DEFAULTS},
    embed,
    error::Error,
    inspect, job, plan, publish, verify,
};

/// The exit code of a generation that is broken.
const BROKEN: u8 = 3;

/// Makes generations: a catalog in, a published index out. Looks after those that are published.
#[derive(Debug, Parser)]
#[command(name = "index-builder", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Embed the catalog, build, verify and publish one generation: all steps, or those that an unfinished job of the same plan
    /// has left.
    Run(Options),
    /// Step 1: note what the job is made of: catalog, artifact, settings, and what serves.
    Plan(Options),
    /// Step 2, once for each part: embed one part of the catalog.
    Embed {
        /// The part, from 1, and how many there are (setting `parts`), such as 1/4.
        #[arg(long, value_name = "I/N", value_parser = part)]
        part: (u32, u32),
        #[command(flatten)]
        options: Options,
    },
    /// Step 3, once for each shard: build its files of what the parts made.
    Build {
        /// The shard, from 0.
        #[arg(long)]
        shard: u32,
        #[command(flatten)]
        options: Options,
    },
    /// Step 4: measure what was built.
    Verify(Options),
    /// Step 5: let it serve.
    Publish(Options),
    /// List the generations of the store, newest first.
    List(Options),
    /// Hash every file of a generation and open what it holds; exit with 3 if it is broken.
    Check {
        /// The generation; without it, the one that serves.
        generation: Option<String>,
        #[command(flatten)]
        options: Options,
    },
    /// Let an earlier generation serve; the one that serves becomes the previous.
    Rollback {
        /// The generation; without it, the previous one.
        #[arg(long, value_name = "GENERATION")]
        to: Option<String>,
        #[command(flatten)]
        options: Options,
    },
    /// Remove old generations, never one that CURRENT names.
    Gc {
        /// How many stay, those that CURRENT names among them; overrides `keep_generations`.
        #[arg(long)]
        keep: Option<usize>,
        #[command(flatten)]
        options: Options,
    },
}

#[derive(Debug, Args)]
struct Options {
    /// A TOML file of settings that override the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the effective settings and exit.
    #[arg(long)]
    print_config: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
    /// How logs look; overrides `telemetry.format`.
    #[arg(long, value_name = "FORMAT")]
    log: Option<Format>,
}

/// Parses the command line and does what it says.
///
/// # Errors
/// Why it could not be done.
pub fn run() -> anyhow::Result<ExitCode> {
    let command = Cli::parse().command;
    let options = command.options();
    let mut settings: Config =
        config::layered("index-builder", DEFAULTS, options.config.as_deref())?;
    if let Command::Gc {
        keep: Some(keep), ..
    } = command
    {
        settings.keep_generations = keep;
    }
    settings.validate()?;
    if options.print_config {
        print(config::print(&settings)?.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let mut logs = settings.telemetry.clone();
    logs.format = options.log.unwrap_or(logs.format);
    telemetry::init(&logs);
    let json = options.json;
    Runtime::new()?.block_on(perform(command, settings, json))
}

async fn perform(command: Command, settings: Config, json: bool) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(_) => {
            let summary = crate::run(settings).await?;
            answer(&summary, json, &summary)?;
        }
        Command::Plan(_) => {
            let done = job::plan(settings).await?;
            answer(&done, json, &done)?;
        }
        Command::Embed {
            part: (part, of), ..
        } => {
            let name = plan::part_step(part);
            let done = job::step(settings, &name, async |job| {
                embed::part(job, part, of).await
            });
            let done = done.await?;
            answer(&done, json, &done)?;
        }
        Command::Build { shard, .. } => {
            let name = plan::shard_step(shard);
            let done = job::step(settings, &name, async |job| build::shard(job, shard).await);
            let done = done.await?;
            answer(&done, json, &done)?;
        }
        Command::Verify(_) => {
            let done = job::step(settings, "verify", verify::job).await?;
            answer(&done, json, &done)?;
        }
        Command::Publish(_) => {
            let done = job::step(settings, "publish", publish::job).await?;
            answer(&done, json, &done)?;
        }
        Command::List(_) => {
            let listing = inspect::list(&open(&settings)?).await?;
            answer(&listing, json, &listing)?;
        }
        Command::Check { generation, .. } => {
            let checked = inspect::check(&open(&settings)?, generation).await?;
            answer(&checked, json, &checked)?;
            if !checked.problems.is_empty() {
                return Ok(ExitCode::from(BROKEN));
            }
        }
        Command::Rollback { to, .. } => {
            let current = roll_back(&open(&settings)?, to.as_deref()).await?;
            let text = format!("CURRENT names {}", current.serving);
            answer(&current, json, text)?;
        }
        Command::Gc { .. } => {
            let removed = collect(&open(&settings)?, settings.keep_generations).await?;
            let text = format!("removed {}: {}", removed.len(), removed.join(", "));
            answer(&removed, json, text)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Opens a store that is there; only a run makes one, but in a bucket, where nothing is to be made.
fn open(settings: &Config) -> Result<Store, Error> {
    match Store::is_in_bucket(&settings.store) || Path::new(&settings.store).is_dir() {
        true => Ok(Store::open(&settings.store)?),
        false => Err(Error::NoStore(settings.store.clone().into())),
    }
}

impl Command {
    fn options(&self) -> &Options {
        match self {
            Self::Run(options)
            | Self::Plan(options)
            | Self::Embed { options, .. }
            | Self::Build { options, .. }
            | Self::Verify(options)
            | Self::Publish(options)
            | Self::List(options)
            | Self::Check { options, .. }
            | Self::Rollback { options, .. }
            | Self::Gc { options, .. } => options,
        }
    }
}

/// Reads a part such as `1/4`.
fn part(text: &str) -> Result<(u32, u32), String> {
    let read = |(part, of): (&str, &str)| Some((part.parse().ok()?, of.parse().ok()?));
    let part = text.split_once('/').and_then(read);
    part.ok_or_else(|| "expected a part and how many there are, such as 1/4".to_owned())
}

fn answer(answer: &impl Serialize, json: bool, text: impl Display) -> anyhow::Result<()> {
    print(&match json {
        true => serde_json::to_string(answer)?,
        false => text.to_string(),
    });
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the answer to the command, not a log")]
fn print(text: &str) {
    println!("{text}");
}
