//! The order of `twotower demo`: prepare, start the house, fill it, compare, show, report.

use std::{fs, path::Path, time::Instant};

use onnx::{bench::report, dataset::split::ItemSet, evaluate};

use crate::{
    figures, fill,
    house::{House, Plan, SHARDS},
    prepare::{self, Options},
    print, served, show,
};

/// Users whose served answers are compared with offline evaluation, and how much of each.
const COMPARED_USERS: usize = 200;
const COMPARED_DEPTH: usize = 10;

/// Runs the demo, and writes its figures to `report`.
///
/// # Errors
/// The first step that fails says why.
pub async fn run(options: &Options, report: &Path) -> anyhow::Result<()> {
    let prepared = {
        let options = options.clone();
        tokio::task::spawn_blocking(move || prepare::run(&options)).await??
    };
    prepare::store(&prepared, &options.store()).await?;

    print::heading("Serving");
    let plan = Plan::at(&options.work, 0);
    // An earlier demo's histories hold the events that evaluation holds back.
    if plan.history.exists() {
        fs::remove_file(&plan.history)?;
    }
    let mut house = House::start(&plan).await?;
    let indexed = fill::index(
        &options.store(),
        &options.dataset(),
        &prepared.evaluation.space,
        &format!("http://{}", house.item_towers[0]),
        SHARDS,
    )
    .await?;
    print::line(indexed.to_string());
    let user_tower = format!("http://{}", house.user_tower);
    let dataset = &prepared.dataset;
    let held = fill::held_back(dataset, ItemSet::S);
    let imported = fill::import(dataset, &user_tower, |event| !held.contains(&event)).await?;
    print::line(format!(
        "imported        {} events, {} profiles",
        imported.recorded, imported.profiles
    ));
    house.serves(&indexed.generation).await?;

    let gateway = house.channel()?;
    let offline = {
        let (artifact, dataset) = (prepared.artifact.clone(), dataset.clone());
        let answers = move || {
            evaluate::answers(
                &artifact,
                &dataset,
                ItemSet::S,
                COMPARED_USERS,
                COMPARED_DEPTH,
            )
        };
        tokio::task::spawn_blocking(answers).await??
    };
    let compared = served::compare(gateway.clone(), &indexed.generation, dataset, &offline).await?;
    print::line(format!(
        "compared        {} of {} users are served what offline evaluation recommends",
        compared.equal, compared.users
    ));

    fill::import(dataset, &user_tower, |event| held.contains(&event)).await?;
    let user = &dataset.users[dataset.users.len().min(42) - 1].id;
    show::before_and_after(gateway, user).await?;

    let rows = figures::rows(
        options,
        &prepared,
        &compared,
        prepared.begun.map(|begun: Instant| begun.elapsed()),
    );
    report::merge(report, &rows)?;
    figures::print(&rows, report);
    figures::print_next(options, user);
    house.stop().await
}
