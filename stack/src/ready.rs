//! Waits until a gateway answers from a generation.

use std::time::Duration;

use anyhow::{Context, bail};
use proto::v1::{ListGenerationsRequest, generation_service_client::GenerationServiceClient};
use tokio::time::{Instant, interval};
use tonic::transport::Channel;

/// How long the parts of a house may take to hold a new generation.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Returns once the gateway serves `generation`.
///
/// # Errors
/// If it does not within [`PATIENCE`].
pub async fn serves(gateway: Channel, generation: &str) -> anyhow::Result<()> {
    let mut gateway = GenerationServiceClient::new(gateway);
    let late = Instant::now() + PATIENCE;
    let mut ticks = interval(Duration::from_millis(20));
    loop {
        ticks.tick().await;
        let held = gateway.list_generations(ListGenerationsRequest {}).await;
        let serving = |held: &proto::v1::Generation| held.serving && held.id == generation;
        if held
            .as_ref()
            .is_ok_and(|held| held.get_ref().generations.iter().any(serving))
        {
            return Ok(());
        }
        if Instant::now() > late {
            held.context("the gateway does not answer")?;
            bail!("the gateway does not serve generation {generation} after {PATIENCE:?}");
        }
    }
}
