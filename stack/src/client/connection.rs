//! The gateway to ask, and whether its answers are printed for people or for programs.

use std::time::Duration;

use serde_json::Value;
use tonic::transport::{Channel, Endpoint, Error};

use crate::print;

/// How long connecting may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the gateway is, and how its answers are printed.
#[derive(Debug, clap::Args)]
pub(crate) struct Connection {
    /// The gateway's address.
    #[arg(
        long,
        env = "TWOTOWER_GATEWAY",
        value_name = "URL",
        default_value = "http://127.0.0.1:50050"
    )]
    gateway: String,
    /// Print the answer as one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Connection {
    /// Connects to the gateway.
    ///
    /// # Errors
    /// If nothing answers at its address.
    pub(crate) async fn channel(&self) -> anyhow::Result<Channel> {
        let endpoint = Endpoint::from_shared(self.gateway.clone());
        let endpoint = endpoint.map_err(|cause| self.unreachable(cause))?;
        let connected = endpoint.connect_timeout(PATIENCE).connect().await;
        connected.map_err(|cause| self.unreachable(cause))
    }

    /// Prints an answer: the one document, or lines of text.
    pub(crate) fn print(&self, json: impl FnOnce() -> Value, text: impl FnOnce() -> Vec<String>) {
        if self.json {
            print::line(format!("{:#}", json()));
            return;
        }
        for line in text() {
            print::line(line);
        }
    }

    fn unreachable(&self, cause: Error) -> anyhow::Error {
        let cause = anyhow::Error::from(cause);
        anyhow::anyhow!(
            "no gateway answers at {}: {}",
            self.gateway,
            cause.root_cause()
        )
    }
}
