//! `onnx`: from data to an artifact in the store.

mod output;

use std::{path::Path, process::ExitCode};

use anyhow::Context as _;
use clap::Parser as _;
use generation::store::Store;
use onnx::{
    adopt,
    bench::{models, report, serving::Effort},
    check, cold_start,
    config::{Adopt, Bench, Cli, ColdStart, Command, Data, Evaluate, Export, Speed, Train},
    dataset::{self, Dataset, fetch, generator, import, movielens},
    evaluate::{self, Evaluation},
    export,
    model::recipe::{Overrides, Recipe},
    train,
};
use service::telemetry::{self, Format, TelemetryConfig};
use tokio::runtime::Runtime;

use crate::output::line;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    telemetry::init(&TelemetryConfig::logs(&cli.log, Format::Pretty));
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    match cli.command {
        Command::Data(data) => prepare(data)?,
        Command::Train(arguments) => learn(&arguments)?,
        Command::Export(arguments) => runtime.block_on(publish(&arguments))?,
        Command::Evaluate(arguments) => measure(&arguments, &runtime)?,
        Command::Bench(Bench::Models(arguments)) => {
            models::run(&arguments, Effort::default(), &mut |text| line(text))?;
        }
        Command::Bench(Bench::ColdStart(arguments)) => hide(&arguments)?,
        Command::Bench(Bench::Speed(arguments)) => time(&arguments)?,
        Command::Check { dir } => return Ok(judge(&dir)),
        Command::Adopt(arguments) => runtime.block_on(take_in(&arguments))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn prepare(data: Data) -> anyhow::Result<()> {
    let (dataset, out) = match data {
        Data::Generate {
            seed,
            users,
            items,
            events,
            out,
        } => {
            let options = generator::Options {
                seed,
                users,
                items,
                events,
            };
            (generator::generate(&options), out)
        }
        Data::Ml1m(source) => {
            let options = movielens::Options {
                bad_lines: source.bad_lines,
            };
            (movielens::read(&source.dir, &options)?, source.out)
        }
        Data::Import(source) => {
            let options = import::Options {
                bad_lines: source.bad_lines,
            };
            (import::read(&source.dir, &options)?, source.out)
        }
        Data::Export {
            dir,
            out,
            items,
            history,
            negatives,
            seed,
        } => {
            let options = dataset::export::Options {
                items,
                history,
                negatives,
                seed,
            };
            let exported = dataset::export::export(&Dataset::read(&dir)?, &out, &options)?;
            line(format!("{exported} in {}", out.display()));
            return Ok(());
        }
        Data::Fetch { what: _, out } => {
            line(fetch::fetch(&out, &fetch::Options::default())?);
            line(format!(
                "fetched into {}; prepare it with `onnx data ml-1m {0} --out DIR`",
                out.display()
            ));
            return Ok(());
        }
    };
    dataset.write(&out)?;
    line(format!(
        "{}: {} users, {} items, {} events in {}; bad lines: {}",
        dataset.name,
        dataset.users.len(),
        dataset.items.len(),
        dataset.events.len(),
        out.display(),
        dataset.bad_lines
    ));
    Ok(())
}

fn learn(arguments: &Train) -> anyhow::Result<()> {
    let recipe = Recipe::read(&arguments.recipe)?;
    let dataset = Dataset::read(&arguments.data)?;
    let overrides = Overrides {
        epochs: arguments.epochs,
        seed: arguments.seed,
        shards: arguments.shards.map(usize::from),
    };
    let report = train::train(
        &recipe,
        &dataset,
        &arguments.out,
        &overrides,
        arguments.resume,
    )?;
    line(format!(
        "{} in {}: {} parameters, best of {} epochs is {}, validation HR@10 {:.4}, NDCG@10 {:.4}, {:.1} minutes",
        recipe.name,
        arguments.out.display(),
        report.parameters,
        report.epochs.len(),
        report.best_epoch,
        report.validation.hr_10,
        report.validation.ndcg_10,
        report.wall_seconds / 60.0
    ));
    Ok(())
}

async fn publish(arguments: &Export) -> anyhow::Result<()> {
    let store = open_store(&arguments.store)?;
    let data = arguments.data.as_deref().map(Dataset::read).transpose()?;
    let (exported, evaluation) = export::publish(&arguments.run, &store, data.as_ref()).await?;
    line(exported.to_string());
    show(evaluation.as_ref());
    Ok(())
}

fn measure(arguments: &Evaluate, runtime: &Runtime) -> anyhow::Result<()> {
    let dir = match (&arguments.dir, &arguments.store, &arguments.artifact) {
        (Some(dir), ..) => dir.clone(),
        (None, Some(store), Some(space)) => {
            runtime.block_on(open_store(store)?.fetch_artifact(space))?
        }
        _ => anyhow::bail!("name the artifact's directory, or the store and the artifact"),
    };
    let dataset = Dataset::read(&arguments.data)?;
    let options = evaluate::Options {
        slices: arguments.slices,
        top_n: arguments.top_n.is_some().then_some(arguments.k.into()),
        ..evaluate::Options::default()
    };
    let evaluation = evaluate::evaluate(&dir, &dataset, &options)?;
    if let (Some(top_n), Some(file)) = (&evaluation.top_n, &arguments.top_n) {
        top_n.write(file)?;
    }
    match arguments.json {
        true => line(evaluation.to_json().to_string()),
        false => line(evaluation.to_string()),
    }
    Ok(())
}

fn judge(dir: &Path) -> ExitCode {
    let findings = check::check(dir);
    findings.iter().for_each(line);
    if findings.is_empty() {
        line(format!("{} can be served", dir.display()));
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn take_in(arguments: &Adopt) -> anyhow::Result<()> {
    let store = open_store(&arguments.store)?;
    let data = arguments.data.as_deref().map(Dataset::read).transpose()?;
    let (space, evaluation) =
        adopt::adopt(&arguments.dir, &arguments.producer, &store, data.as_ref()).await?;
    line(format!("space {space}"));
    show(evaluation.as_ref());
    Ok(())
}

fn hide(arguments: &ColdStart) -> anyhow::Result<()> {
    let recipe = Recipe::read(&arguments.recipe)?;
    let dataset = Dataset::read(&arguments.data)?;
    let overrides = Overrides {
        epochs: arguments.epochs,
        seed: arguments.seed,
        shards: None,
    };
    let found = cold_start::measure(
        &recipe,
        &dataset,
        &arguments.out,
        &overrides,
        arguments.hidden_seed,
    )?;
    line(found.to_string());
    if let Some(report) = &arguments.report {
        report::merge(report, &found.rows())?;
    }
    Ok(())
}

fn time(arguments: &Speed) -> anyhow::Result<()> {
    let recipe = Recipe::read(&arguments.recipe)?.overridden(&Overrides {
        shards: arguments.shards.map(usize::from),
        ..Overrides::default()
    });
    let dataset = Dataset::read(&arguments.data)?;
    let speed = train::speed::measure(&recipe, &dataset, arguments.whole_catalog)?;
    line(serde_json::to_string(&speed)?);
    if let (Some(report), Some(name)) = (&arguments.report, &arguments.name) {
        report::merge(report, &speed.rows(name))?;
    }
    Ok(())
}

fn open_store(path: &Path) -> anyhow::Result<Store> {
    Store::open(&path.display().to_string())
        .with_context(|| format!("the store {}", path.display()))
}

fn show(evaluation: Option<&Evaluation>) {
    if let Some(evaluation) = evaluation {
        line(evaluation.to_string());
    }
}
