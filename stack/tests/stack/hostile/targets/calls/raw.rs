//! Calls with bytes for messages, whatever they are.

use std::time::Duration;

use futures::stream;
use prost::bytes::{Buf as _, BufMut as _};
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
    transport::Channel,
};

/// The most bytes of an answer.
const ANSWER_LIMIT: usize = 64 << 20;

/// Sends bytes as they are, and hands them out as they came.
#[derive(Clone, Copy, Debug)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, bytes: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&bytes);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut bytes = vec![0; from.remaining()];
        from.copy_to_slice(&mut bytes);
        Ok(Some(bytes))
    }
}

/// Makes a call of any kind, and returns all that is answered.
pub(super) async fn call(
    channel: Channel,
    path: PathAndQuery,
    messages: Vec<Vec<u8>>,
    deadline: Duration,
) -> Result<Vec<Vec<u8>>, Status> {
    let mut client = Grpc::new(channel).max_decoding_message_size(ANSWER_LIMIT);
    let ready = client.ready().await;
    ready.map_err(|cause| Status::unknown(format!("no connection: {cause}")))?;
    let mut request = Request::new(stream::iter(messages));
    request.set_timeout(deadline);
    let mut answers = client.streaming(request, path, Raw).await?.into_inner();
    let mut all = Vec::new();
    while let Some(answer) = answers.message().await? {
        all.push(answer);
    }
    Ok(all)
}
