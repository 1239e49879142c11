//! What the commands that talk to a running user tower share.

use std::time::Duration;

use anyhow::Context as _;
use service::client::Connector;
use tonic::{
    Request,
    transport::{Channel, Endpoint},
};

/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a call that goes through many users may take; the server may allow less.
const TIME: Duration = Duration::from_secs(3600);

/// Where a user tower is, and how to connect to it.
#[derive(Clone, Debug)]
pub struct Address {
    uri: String,
    connector: Connector,
}

impl Address {
    /// The user tower at `uri`, by `connector`.
    pub fn new(uri: impl Into<String>, connector: &Connector) -> Self {
        Self {
            uri: uri.into(),
            connector: connector.clone(),
        }
    }

    /// Connects.
    ///
    /// # Errors
    /// If it is no address, or nobody answers there.
    pub(crate) async fn connect(&self) -> anyhow::Result<Channel> {
        let endpoint = Endpoint::from_shared(self.uri.clone())?.connect_timeout(CONNECT);
        let channel = self.connector.connect(endpoint).await;
        channel.with_context(|| format!("no user tower at {}", self.uri))
    }
}

/// Without TLS.
impl<T: AsRef<str> + ?Sized> From<&T> for Address {
    fn from(uri: &T) -> Self {
        Self::new(uri.as_ref(), &Connector::default())
    }
}

/// A request that may take as long as going through many users does.
pub(crate) fn long<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(TIME);
    request
}
