//! The order of `twotower serve`: starts the house on what the demo made, until Ctrl-C.

use std::path::Path;

use anyhow::Context;
use generation::store::Store;
use service::telemetry::{self, Format, TelemetryConfig};

use crate::{
    house::{House, Plan},
    print,
};

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
/// If there is nothing to serve, a port is taken, or a part fails.
pub async fn run(work: &Path, port: u16) -> anyhow::Result<()> {
    telemetry::init(&TelemetryConfig::logs("info", Format::Pretty));
    let store = Store::open(&work.join("store").display().to_string())?;
    let current = store.current().await?;
    let current = current.with_context(|| {
        format!(
            "nothing to serve in {}; run make demo first",
            work.display()
        )
    })?;

    let mut house = House::start(&Plan::at(work, port)).await?;
    house.serves(&current.value.serving).await?;
    print::line(format!("gateway      {}", house.gateway));
    print::line(format!("user tower   {}", house.user_tower));
    for (shard, address) in house.item_towers.iter().enumerate() {
        print::line(format!("item tower   {address} (shard {shard})"));
    }
    print::line(format!("generation   {}", current.value.serving));
    print::line("Ctrl-C stops it; make demo says what to try");
    let stop = service::drain::Shutdown::on_signals()?;
    house.run(async move { stop.requested().await }).await
}
