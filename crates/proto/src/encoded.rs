//! Responses that are encoded already.
//!
//! The log stores events in the very bytes that `ReadResponse` and `SubscribeResponse` carry. `EventService` is generated a second
//! time here with [`Encoded`] as its response, so that the server sends stored bytes instead of decoding and encoding every event
//! for every subscriber. `ReleaseService` is, too: the areas of a release never change and are encoded once for everybody.

use std::marker::PhantomData;

use bytes::{BufMut as _, Bytes};
use tonic::{
    Status,
    codec::{BufferSettings, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use crate::codec::buffers;

#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/satgas.v1.EventService.rs"));
    include!(concat!(env!("OUT_DIR"), "/satgas.v1.ReleaseService.rs"));
}
pub use generated::{event_service_server, release_service_server};

/// An encoded message, in pieces that are sent one after the other. Pieces are shared, not copied, until they go out.
#[derive(Clone, Debug, Default)]
pub struct Encoded(pub Vec<Bytes>);

/// Decodes requests as messages and sends responses as they are.
#[derive(Debug)]
pub struct Codec<Request>(PhantomData<Request>);

impl<Request> Default for Codec<Request> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Request: prost::Message + Default + Send + 'static> tonic::codec::Codec for Codec<Request> {
    type Encode = Encoded;
    type Decode = Request;
    type Encoder = Verbatim;
    type Decoder = MessageDecoder<Request>;

    fn encoder(&mut self) -> Verbatim {
        Verbatim
    }

    fn decoder(&mut self) -> MessageDecoder<Request> {
        MessageDecoder(PhantomData)
    }
}

/// Sends bytes as they are.
#[derive(Debug)]
pub struct Verbatim;

impl Encoder for Verbatim {
    type Item = Encoded;
    type Error = Status;

    fn encode(&mut self, item: Encoded, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(item.0.iter().map(Bytes::len).sum());
        for piece in item.0 {
            buffer.put(piece);
        }
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}

/// Decodes a protobuf message.
#[derive(Debug)]
pub struct MessageDecoder<M>(PhantomData<M>);

impl<M: prost::Message + Default> Decoder for MessageDecoder<M> {
    type Item = M;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<M>, Status> {
        M::decode(buffer).map(Some).map_err(|error| Status::invalid_argument(format!("not a valid message: {error}")))
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}
