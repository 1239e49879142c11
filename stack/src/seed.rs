//! The order of `twotower seed`: prepare, then fill servers that run already, unless they are filled.

use anyhow::Context;
use generation::store::Store;
use tonic::transport::Endpoint;

use crate::{
    fill,
    house::SHARDS,
    prepare::{self, Options},
    print, ready, show,
};

/// Seeds the servers at these addresses, then asks for recommendations.
///
/// # Errors
/// The first step that fails says why.
pub async fn run(
    options: &Options,
    item_tower: &str,
    user_tower: &str,
    gateway: &str,
) -> anyhow::Result<()> {
    let prepared = {
        let options = options.clone();
        tokio::task::spawn_blocking(move || prepare::run(&options)).await??
    };
    let store = Store::open(&options.store().display().to_string())?;
    if store.current().await?.is_none() {
        prepare::store(&prepared, &options.store()).await?;
        let space = &prepared.evaluation.space;
        let indexed = fill::index(
            &options.store(),
            &options.dataset(),
            space,
            item_tower,
            SHARDS,
        )
        .await?;
        print::line(indexed.to_string());
    }
    let imported = fill::import(&prepared.dataset, user_tower, |_| true).await?;
    print::line(format!(
        "imported        {} events, {} known already",
        imported.recorded, imported.duplicates
    ));

    let current = store
        .current()
        .await?
        .context("no generation was published")?;
    let gateway = Endpoint::from_shared(gateway.to_owned())?.connect_lazy();
    ready::serves(gateway.clone(), &current.value.serving).await?;
    let user = &prepared.dataset.users[prepared.dataset.users.len().min(42) - 1].id;
    show::before_and_after(gateway, user).await
}
