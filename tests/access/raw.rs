//! Any call by its path: bytes out, bytes back. What differs between unary calls and streams does not show on the wire.

use bytes::{Buf as _, BufMut as _};
use tokio_stream::StreamExt as _;
use tonic::{
    Request, Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
};

use crate::door::Door;

/// Makes a call and takes its first message.
pub(crate) async fn call(door: &Door, path: &str, message: Vec<u8>) -> Result<Vec<u8>, Status> {
    let mut client = tonic::client::Grpc::new(door.clone());
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::try_from(path).map_err(|error| Status::internal(error.to_string()))?;
    let answer = client.server_streaming(Request::new(message), path, Bytes).await?;
    Ok(answer.into_inner().message().await?.unwrap_or_default())
}

/// A call whose headers have gone and whose message has not.
pub(crate) struct Begun {
    message: tokio::sync::oneshot::Sender<Vec<u8>>,
    answer: tokio::task::JoinHandle<Result<Vec<u8>, Status>>,
}

impl Begun {
    /// Begins a call.
    pub(crate) async fn call(door: &Door, path: &str) -> anyhow::Result<Self> {
        let (message, comes) = tokio::sync::oneshot::channel();
        let (sending, sent) = tokio::sync::oneshot::channel();
        // Messages are asked for when the headers have been sent.
        let mut once = Some((sending, comes));
        let messages = tokio_stream::once(()).then(move |()| {
            let once = once.take();
            async move {
                let Some((sending, comes)) = once else { return Vec::new() };
                // Whoever began the call waits for this.
                let _ = sending.send(());
                comes.await.unwrap_or_default()
            }
        });
        let mut client = tonic::client::Grpc::new(door.clone());
        client.ready().await?;
        let path = PathAndQuery::try_from(path)?;
        let answer = tokio::spawn(async move {
            let answer = client.streaming(Request::new(messages), path, Bytes).await?;
            Ok(answer.into_inner().message().await?.unwrap_or_default())
        });
        sent.await?;
        Ok(Self { message, answer })
    }

    /// Sends the message, and takes the first one of the answer.
    pub(crate) async fn send(self, message: Vec<u8>) -> anyhow::Result<Result<Vec<u8>, Status>> {
        // A server that has answered already takes no message.
        let _ = self.message.send(message);
        Ok(self.answer.await?)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining()).to_vec()))
    }
}
