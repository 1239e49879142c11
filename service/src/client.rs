//! Connections to our servers: from one of them, from an operator's command, or from anybody with a token.

use std::{io, path::Path, sync::Arc};

use anyhow::Context as _;
use http::Uri;
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{
    ConnectError, Request, Status,
    metadata::AsciiMetadataValue,
    service::Interceptor,
    transport::{Channel, Endpoint, Error},
};
use tower::{Service, ServiceExt as _, service_fn};

use crate::{
    coalesce::Coalesced,
    identity::{
        Identity, IdentityConfig,
        tls::{self, Tls},
    },
};

/// Makes connections, with TLS or without.
#[derive(Clone, Debug, Default)]
pub struct Connector {
    tls: Option<Side>,
}

/// The caller's side of TLS.
#[derive(Clone, Debug)]
enum Side {
    /// One of our own servers: both have a certificate, and the other's must have the role of a service.
    Ours(Arc<Tls>),
    /// Anybody: the server's certificate must be that of its host.
    Anybody(Arc<ClientConfig>),
}

impl Connector {
    /// Connects as `identity` says: without TLS, or as one of our own.
    ///
    /// # Errors
    /// If what it names cannot be read.
    pub fn new(identity: &IdentityConfig) -> anyhow::Result<Self> {
        Ok(Self {
            tls: Identity::load(identity)?.tls.map(Side::Ours),
        })
    }

    /// Connects by TLS without a certificate of its own, to hosts that the authorities in the PEM file `authority` vouch for.
    ///
    /// # Errors
    /// If the file cannot be read or has no certificate.
    pub fn trusting(authority: &Path) -> anyhow::Result<Self> {
        let side = tls::trusting(authority).with_context(|| authority.display().to_string())?;
        Ok(Self {
            tls: Some(Side::Anybody(Arc::new(side))),
        })
    }

    /// A connection that opens with the first call.
    pub fn lazy(&self, endpoint: Endpoint) -> Channel {
        match self.tls.clone() {
            None if is_https(&endpoint) => endpoint.connect_with_connector_lazy(service_fn(refuse)),
            None => Channel::new(plain(&endpoint), endpoint),
            Some(side) => {
                let connector = service_fn(move |uri| open(side.clone(), uri));
                endpoint.connect_with_connector_lazy(connector)
            }
        }
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// If nobody answers, or somebody else than expected.
    pub async fn connect(&self, endpoint: Endpoint) -> Result<Channel, Error> {
        match self.tls.clone() {
            None if is_https(&endpoint) => {
                endpoint.connect_with_connector(service_fn(refuse)).await
            }
            None => Channel::connect(plain(&endpoint), endpoint).await,
            Some(side) => {
                let connector = service_fn(move |uri| open(side.clone(), uri));
                endpoint.connect_with_connector(connector).await
            }
        }
    }
}

fn is_https(endpoint: &Endpoint) -> bool {
    endpoint.uri().scheme_str() == Some("https")
}

/// Connects without TLS, as [`Endpoint`] does by itself.
fn plain(
    endpoint: &Endpoint,
) -> impl Service<
    Uri,
    Response = TokioIo<Coalesced<TcpStream>>,
    Error = ConnectError,
    Future: Send + Unpin,
> + Send
+ 'static {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(endpoint.get_connect_timeout());
    connector
        .map_response(|socket| TokioIo::new(Coalesced::new(socket.into_inner())))
        .map_err(|cause| ConnectError(cause.into()))
}

/// Nothing is sent in clear to an address that asks for TLS.
async fn refuse(uri: Uri) -> io::Result<TokioIo<TcpStream>> {
    Err(io::Error::other(format!(
        "{uri} needs TLS: an authority, or identity.certificate"
    )))
}

/// What a caller without a certificate says who it is by, in every call: a token, or nothing.
#[derive(Clone, Debug, Default)]
pub struct Token(Option<AsciiMetadataValue>);

impl Token {
    /// Reads a token from a file.
    ///
    /// # Errors
    /// If the file cannot be read or has no token.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let context = || file.display().to_string();
        let text = std::fs::read_to_string(file).with_context(context)?;
        let mut header: AsciiMetadataValue = format!("Bearer {}", text.trim())
            .parse()
            .with_context(context)?;
        header.set_sensitive(true);
        Ok(Self(Some(header)))
    }
}

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = self.0.clone() {
            request.metadata_mut().insert("authorization", token);
        }
        Ok(request)
    }
}

async fn open(side: Side, uri: Uri) -> io::Result<TokioIo<Coalesced<TlsStream<TcpStream>>>> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidInput, format!("{uri} has no host"));
    let host = uri.host().ok_or_else(malformed)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let socket = TcpStream::connect((host, uri.port_u16().unwrap_or(443))).await?;
    socket.set_nodelay(true)?;
    let name = ServerName::try_from(host.to_owned()).map_err(|_| malformed())?;
    let config = match side {
        Side::Ours(tls) => tls.client(),
        Side::Anybody(config) => config,
    };
    let stream = TlsConnector::from(config).connect(name, socket).await?;
    Ok(TokioIo::new(Coalesced::new(stream)))
}
