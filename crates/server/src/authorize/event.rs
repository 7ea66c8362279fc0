//! Decisions on `EventService`: which events a caller gets, and in which shape, is decided when it asks, and done where they are read.

use prost::Message as _;
use satgas_domain::policy::{Grant, Reach, Resource, Rpc, TELLING_OF_CASES};
use satgas_proto::{
    encoded::{Encoded, event_service_server::EventService},
    v1::{self, AccessRefusal, access_event::Body, subscribe_request::Start},
};
use tonic::{Request, Response, Status};

use super::{Authorized, Gate, Pass};
use crate::stream::BoxStream;

#[tonic::async_trait]
impl<S: EventService<SubscribeStream = BoxStream<Encoded>>> EventService for Authorized<S> {
    async fn read(&self, mut request: Request<v1::ReadRequest>) -> Result<Response<Encoded>, Status> {
        let pass = self.gate.pass(&request, Rpc::Read);
        let after_position = request.get_ref().after_position;
        let filter = request.get_mut().filter.get_or_insert_default();
        let grant = narrow(&pass, filter).await?;
        let (tells, mut range) = (tells_of_cases(grant, filter), range(filter, after_position));
        request.extensions_mut().insert(pass.sight());
        let response = self.inner.read(request).await?;
        // The last piece holds the fields after the events: with no other piece there are no events.
        if let (true, [_, .., tail]) = (tells, response.get_ref().0.as_slice()) {
            let tail = v1::ReadResponse::decode(tail.clone()).map_err(|_| Status::internal("a page without an end"))?;
            range.up_to_position = tail.next_after_position;
            pass.saw_events(range).await?;
        }
        Ok(response)
    }

    type SubscribeStream = BoxStream<Encoded>;

    async fn subscribe(
        &self,
        mut request: Request<v1::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let pass = self.gate.pass(&request, Rpc::Subscribe);
        let after_position = match request.get_ref().start {
            None => 0,
            Some(Start::AfterPosition(position)) => position,
            // Not behind where the service will start: what is recorded may reach further than what is sent, never less far.
            Some(Start::FromNow(_)) => self.gate.engine.head().position,
        };
        let filter = request.get_mut().filter.get_or_insert_default();
        let grant = narrow(&pass, filter).await?;
        let (tells, range) = (tells_of_cases(grant, filter), range(filter, after_position));
        request.extensions_mut().insert(pass.sight());
        let inner = self.inner.subscribe(request).await?.into_inner();
        let closing = match tells {
            true => Some(Closing {
                gate: std::sync::Arc::clone(&self.gate),
                access_position: pass.saw_events(range).await?,
            }),
            false => None,
        };
        let inner = futures_util::StreamExt::map(inner, move |message| {
            // Goes when the stream goes.
            let _ = &closing;
            message
        });
        Ok(Response::new(pass.until_end(inner)))
    }
}

async fn narrow(pass: &Pass, filter: &mut v1::EventFilter) -> Result<Grant, Status> {
    let asked = filter.area_prefix.clone();
    let permit = pass.decide(Resource::Within(&asked)).await?;
    permit.prefix.clone_into(&mut filter.area_prefix);
    filter.kinds = permit.kinds(&filter.kinds);
    if let Reach::Institution(own) = permit.reach {
        if !filter.institution_id.is_empty() && filter.institution_id != *own {
            return Err(pass.refuse(AccessRefusal::NotOwn).await);
        }
        own.clone_into(&mut filter.institution_id);
    }
    Ok(permit.grant)
}

/// Whether what is let through can tell of a single case. In the shape of a dashboard nothing does.
fn tells_of_cases(grant: Grant, filter: &v1::EventFilter) -> bool {
    if grant == Grant::Shaped {
        return false;
    }
    filter.kinds.is_empty() || TELLING_OF_CASES.iter().any(|kind| filter.kinds.contains(&i32::from(*kind)))
}

fn range(filter: &v1::EventFilter, after_position: u64) -> v1::EventRange {
    v1::EventRange {
        after_position,
        up_to_position: 0,
        area_prefix: filter.area_prefix.clone(),
        institution_id: filter.institution_id.clone(),
    }
}

/// Records the end of a stream when it is dropped. Without the record, after a crash, the next start ends it.
struct Closing {
    gate: std::sync::Arc<Gate>,
    access_position: u64,
}

impl Drop for Closing {
    fn drop(&mut self) {
        let up_to_position = self.gate.engine.head().position;
        let ended = v1::StreamEnded { access_position: self.access_position, up_to_position };
        let access = std::sync::Arc::clone(&self.gate.access);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = access.record(Body::StreamEnded(ended)).await {
                    tracing::warn!(%error, "the end of a stream is not in the access log");
                }
            });
        }
    }
}
