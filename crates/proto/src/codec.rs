//! How messages are put into calls and taken out of them: as tonic does it, with buffers of the size that these messages have, and nothing
//! that would grow beyond measure in memory.

use std::marker::PhantomData;

use bytes::Buf as _;
use tonic::{
    Status,
    codec::{BufferSettings, DecodeBuf, Decoder},
};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

use crate::lists::{self, Listed};

/// Bytes that a buffer begins with. Most requests and receipts are shorter; tonic's own 8 KiB, twice for each call and stream, are memory that
/// each call has to fetch.
const BUFFER_BYTES: usize = 1024;
/// Bytes after which a stream's buffer goes out.
const YIELD_BYTES: usize = 32 * 1024;

/// Of all calls and streams.
pub(crate) fn buffers() -> BufferSettings {
    BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
}

/// Encodes and decodes protobuf messages.
#[derive(Debug)]
pub struct Codec<Encode, Decode>(PhantomData<(Encode, Decode)>);

impl<Encode, Decode> Default for Codec<Encode, Decode> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Encode, Decode> tonic::codec::Codec for Codec<Encode, Decode>
where
    Encode: prost::Message + Send + 'static,
    Decode: prost::Message + Default + Listed + Send + 'static,
{
    type Encode = Encode;
    type Decode = Decode;
    type Encoder = ProstEncoder<Encode>;
    type Decoder = Bounded<Decode>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<Encode, Decode>::raw_encoder(buffers())
    }

    fn decoder(&mut self) -> Self::Decoder {
        Bounded(ProstCodec::<Encode, Decode>::raw_decoder(buffers()))
    }
}

/// Decodes a protobuf message, unless it is a request with more elements than one may have.
#[derive(Debug)]
pub struct Bounded<M>(ProstDecoder<M>);

impl<M: prost::Message + Default + Listed> Decoder for Bounded<M> {
    type Item = M;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<M>, Status> {
        // The whole message lies in one piece.
        if !lists::fits::<M>(buffer.chunk()) {
            return Err(Status::invalid_argument("the request holds too many things: send fewer at once"));
        }
        self.0.decode(buffer)
    }

    fn buffer_settings(&self) -> BufferSettings {
        self.0.buffer_settings()
    }
}
