//! What the commands that talk to a running user tower share.

use std::time::Duration;

use anyhow::Context as _;
use tonic::{
    Request,
    transport::{Channel, Endpoint},
};

/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a call that goes through many users may take; the server may allow less.
const TIME: Duration = Duration::from_secs(3600);

/// Connects to the user tower at `uri`.
///
/// # Errors
/// If it is no address, or nobody answers there.
pub(crate) async fn connect(uri: &str) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from_shared(uri.to_owned())?.connect_timeout(CONNECT);
    let channel = endpoint.connect().await;
    channel.with_context(|| format!("no user tower at {uri}"))
}

/// A request that may take as long as going through many users does.
pub(crate) fn long<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(TIME);
    request
}
