//! How messages are coded: with Protocol Buffers, and little room for one until its length is known.
//!
//! tonic holds 8 KiB for each call from its beginning on, also for one whose caller never says anything.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{BufferSettings, Codec as Coded};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

/// Bytes of room before the length of a message is known; then there is room for all of it.
const ROOM: usize = 16;
/// From so many bytes on encoded messages are sent; tonic's own number.
const YIELD: usize = 32 * 1024;

/// Encodes messages `T`, decodes messages `U`.
#[derive(Debug)]
pub struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Coded for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> ProstEncoder<T> {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> ProstDecoder<U> {
        ProstCodec::<T, U>::raw_decoder(BufferSettings::new(ROOM, YIELD))
    }
}
