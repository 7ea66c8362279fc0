//! The door: the first thing that every call meets. Who calls, and may that role make this call at all? Nothing of the request's body has
//! been read by then. A token that has ended gets no further, but with records of its own time.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::{HeaderMap, Request, Response, header::AUTHORIZATION, http::request::Parts};
use satgas_domain::policy::{self, Resource, Rpc, outlives_its_token};
use satgas_proto::v1::AccessRefusal;
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use super::{Gate, Holder};
use crate::{
    metrics::Watch,
    status,
    timely::timely,
    trace::{Inside, Part},
};

/// Services that tell nothing of any record: whether the server is well, and its vocabulary, which is public.
const OPEN: [&str; 2] = ["/grpc.health.v1.Health/", "/grpc.reflection.v1.ServerReflection/"];

/// Puts the door before services.
#[derive(Clone)]
pub(crate) struct DoorLayer {
    pub(crate) gate: Arc<Gate>,
    /// How long a request's bytes may take.
    pub(crate) patience: Duration,
    /// Counts every call, and traces it where that is wanted.
    pub(crate) watch: Arc<Watch>,
}

impl<S> Layer<S> for DoorLayer {
    type Service = Door<S>;

    fn layer(&self, inner: S) -> Door<S> {
        Door { inner, door: self.clone() }
    }
}

/// Services behind the door.
#[derive(Clone)]
pub(crate) struct Door<S> {
    inner: S,
    door: DoorLayer,
}

impl<S> Service<Request<Body>> for Door<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The one that is ready takes the call.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let DoorLayer { gate, patience, watch } = self.door.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let path = parts.uri.path();
            if OPEN.iter().any(|service| path.starts_with(service)) {
                let body = timely(None, patience, body);
                return Ok(readable(inner.call(Request::from_parts(parts, body)).await?));
            }
            let Some(rpc) = path.strip_prefix("/satgas.v1.").and_then(Rpc::from_path) else {
                return Ok(Status::unimplemented("there is no such call").into_http());
            };
            let call = watch.begin(rpc, &mut parts);
            let part = Part::of(parts.extensions.get::<Inside>(), "door");
            let admitted = admit(&gate, rpc, &parts).await;
            drop(part);
            match admitted {
                Ok(holder) => drop(parts.extensions.insert(holder)),
                Err(status) => return Ok(call.answered(status.into_http())),
            }
            let body = timely(Some(rpc), patience, body);
            Ok(call.answered(readable(inner.call(Request::from_parts(parts, body)).await?)))
        })
    }
}

/// An unreadable request gets the status that its sender can act on.
fn readable(answer: Response<Body>) -> Response<Body> {
    match Status::from_header_map(answer.headers()) {
        Some(refused) => status::unreadable(refused).into_http(),
        None => answer,
    }
}

/// Who calls, when it may.
async fn admit(gate: &Arc<Gate>, rpc: Rpc, parts: &Parts) -> Result<Holder, Status> {
    let pass = |holder| gate.pass_of(holder, rpc, &parts.headers, parts.extensions.get());
    let refused = async |why| Err(pass(Holder::anybody()).refuse(why).await);
    let holder = match bearer(&parts.headers) {
        Bearer::None => Holder::anybody(),
        Bearer::Secret(secret) => match gate.identity.holder(secret, gate.engine.now()).await {
            Some(holder) if !holder.ended => holder,
            Some(holder) if outlives_its_token(rpc, holder.caller.role) => {
                pass(holder.clone()).comes_late().await?;
                holder
            }
            _ => return refused(AccessRefusal::BadToken).await,
        },
        Bearer::Malformed => return refused(AccessRefusal::BadToken).await,
    };
    match policy::decide(&holder.caller, rpc, Resource::Unnamed) {
        Ok(_) => Ok(holder),
        Err(_) if holder.token_id.is_empty() => Err(pass(holder).refuse(AccessRefusal::NoToken).await),
        Err(_) => Err(pass(holder).refuse(AccessRefusal::Role).await),
    }
}

enum Bearer<'a> {
    None,
    Secret(&'a str),
    Malformed,
}

fn bearer(headers: &HeaderMap) -> Bearer<'_> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let Some(header) = all.next() else { return Bearer::None };
    let secret = header.to_str().ok().and_then(|text| {
        let (scheme, secret) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
    });
    // Two tokens would leave it to chance whose rights count.
    match secret.filter(|_| all.next().is_none()) {
        Some(secret) => Bearer::Secret(secret),
        None => Bearer::Malformed,
    }
}
