//! The gateway to ask, and whether its answers are printed for people or for programs.

use std::{path::PathBuf, time::Duration};

use anyhow::ensure;
use serde_json::Value;
use service::client::{Connector, Token};
use tonic::{
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint, Error},
};

use crate::print;

/// A connection to the gateway, each of whose calls has the token.
pub(crate) type Gateway = InterceptedService<Channel, Token>;

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
    /// The authority of the gateway's certificate, PEM: the connection is encrypted.
    #[arg(long, env = "TWOTOWER_AUTHORITY", value_name = "FILE")]
    authority: Option<PathBuf>,
    /// The file of a token that says who calls.
    #[arg(long, env = "TWOTOWER_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print the answer as one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Connection {
    /// Connects to the gateway.
    ///
    /// # Errors
    /// If nothing answers at its address, or a file that it is told of cannot be read.
    pub(crate) async fn channel(&self) -> anyhow::Result<Gateway> {
        ensure!(
            self.token_file.is_none() || self.authority.is_some() || self.is_loopback(),
            "a token is sent by TLS alone: give --authority, too"
        );
        let connector = match &self.authority {
            Some(authority) => Connector::trusting(authority)?,
            None => Connector::default(),
        };
        let token = match &self.token_file {
            Some(file) => Token::read(file)?,
            None => Token::default(),
        };
        let endpoint = Endpoint::from_shared(self.gateway.clone());
        let endpoint = endpoint.map_err(|cause| self.unreachable(cause))?;
        let connected = connector.connect(endpoint.connect_timeout(PATIENCE)).await;
        let channel = connected.map_err(|cause| self.unreachable(cause))?;
        Ok(InterceptedService::new(channel, token))
    }

    /// Whether the gateway is on this machine.
    fn is_loopback(&self) -> bool {
        let uri: Option<http::Uri> = self.gateway.parse().ok();
        let host = uri.as_ref().and_then(|uri| uri.host()).unwrap_or_default();
        let address: Option<std::net::IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        host == "localhost" || address.is_some_and(|address| address.is_loopback())
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
