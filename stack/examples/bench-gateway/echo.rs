//! A server with nothing to do: answers so many bytes, once others have answered that it asks so many.
//!
//! `bench-gateway echo` in the place of each server makes the RPCs of a recall without the recall.

use std::convert::Infallible;

use anyhow::Context as _;
use clap::Parser;
use futures::future::try_join_all;
use prost::Message as _;
use proto::v1::Vectors;
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    body::Body,
    client,
    codegen::{BoxFuture, Context, Poll, Service, http, http::uri::PathAndQuery},
    server::{self, NamedService, UnaryService},
    transport::{Channel, Server, server::TcpIncoming},
};
use tonic_prost::ProstCodec;

const PATH: &str = "/bench.Echo/Call";

/// What to answer, and whom to ask before.
#[derive(Clone, Debug, Parser)]
pub(crate) struct Options {
    /// Bytes of an answer.
    #[arg(long)]
    answer: usize,
    /// Who is asked first, and with how many bytes.
    #[arg(long, value_name = "URI=BYTES")]
    first: Vec<String>,
    /// Who are asked at once after that.
    #[arg(long, value_name = "URI=BYTES")]
    then: Vec<String>,
}

/// Serves on a free port, which it tells on standard error.
#[expect(clippy::print_stderr, reason = "who starts it reads its address there")]
pub(crate) async fn serve(options: Options) -> anyhow::Result<()> {
    let echo = Echo {
        answer: filled(options.answer),
        first: options
            .first
            .iter()
            .map(|next| to(next))
            .collect::<Result<_, _>>()?,
        then: options
            .then
            .iter()
            .map(|next| to(next))
            .collect::<Result<_, _>>()?,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("listening {}", listener.local_addr()?);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Ok(Server::builder()
        .add_service(echo)
        .serve_with_incoming(incoming)
        .await?)
}

/// Asks a server with a message.
pub(crate) async fn call(channel: Channel, message: Vectors) -> Result<Vectors, Status> {
    let mut client = client::Grpc::new(channel);
    let ready = client.ready().await;
    ready.map_err(|cause| Status::unavailable(cause.to_string()))?;
    let path = PathAndQuery::from_static(PATH);
    let codec = ProstCodec::<Vectors, Vectors>::default();
    let answer = client.unary(Request::new(message), path, codec).await?;
    Ok(answer.into_inner())
}

/// A message that is so many bytes long, or a byte less where no message is just as long.
pub(crate) fn filled(bytes: usize) -> Vectors {
    let with = |length: usize| Vectors {
        f32: vec![1; length].into(),
        ..Vectors::default()
    };
    let lengths = (0..=bytes).rev().map(with);
    let mut fitting = lengths.skip_while(|message| message.encoded_len() > bytes);
    fitting.next().unwrap_or_default()
}

/// A server, and what it asks it.
#[derive(Clone)]
struct Next {
    channel: Channel,
    message: Vectors,
}

fn to(next: &str) -> anyhow::Result<Next> {
    let (uri, bytes) = next.rsplit_once('=').context("expected URI=BYTES")?;
    Ok(Next {
        channel: Channel::from_shared(uri.to_owned())?.connect_lazy(),
        message: filled(bytes.parse()?),
    })
}

#[derive(Clone)]
struct Echo {
    answer: Vectors,
    first: Vec<Next>,
    then: Vec<Next>,
}

impl NamedService for Echo {
    const NAME: &'static str = "bench.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let echo = self.clone();
        Box::pin(async move {
            let codec = ProstCodec::<Vectors, Vectors>::default();
            Ok(server::Grpc::new(codec).unary(echo, request).await)
        })
    }
}

impl UnaryService<Vectors> for Echo {
    type Response = Vectors;
    type Future = BoxFuture<Response<Vectors>, Status>;

    fn call(&mut self, _: Request<Vectors>) -> Self::Future {
        let echo = self.clone();
        Box::pin(async move {
            for stage in [&echo.first, &echo.then] {
                let calls = stage.iter().cloned();
                try_join_all(calls.map(|next| call(next.channel, next.message))).await?;
            }
            Ok(Response::new(echo.answer))
        })
    }
}
