//! The door: the first thing that every call meets. Who calls, and may that role make this call at all? Nothing of the request's body has
//! been read by then. A token that has ended gets no further, but with records of its own time.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header::AUTHORIZATION, request::Parts},
    middleware::Next,
    response::Response,
};
use satgas_domain::policy::{Rpc, outlives_its_token};
use satgas_proto::v1::AccessRefusal;
use tonic::Status;

use super::{Gate, Holder};

/// Services that tell nothing of any record: whether the server is well, and its vocabulary, which is public.
const OPEN: [&str; 2] = ["/grpc.health.v1.Health/", "/grpc.reflection.v1.ServerReflection/"];

/// Lets a call in, or answers it.
pub(crate) async fn door(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if OPEN.iter().any(|service| path.starts_with(service)) {
        return next.run(request).await;
    }
    let Some(rpc) = path.strip_prefix("/satgas.v1.").and_then(Rpc::from_path) else {
        return Status::unimplemented("there is no such call").into_http();
    };
    let (mut parts, body) = request.into_parts();
    match admit(&gate, rpc, &parts).await {
        Ok(holder) => {
            parts.extensions.insert(holder);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(status) => status.into_http(),
    }
}

async fn admit(gate: &Gate, rpc: Rpc, parts: &Parts) -> Result<Holder, Status> {
    let mut call = tonic::Request::new(());
    *call.metadata_mut() = tonic::metadata::MetadataMap::from_headers(parts.headers.clone());
    if let Some(peer) = parts.extensions.get::<crate::listen::Peer>() {
        call.extensions_mut().insert(*peer);
    }
    let mut pass = gate.pass(&call, rpc);
    match bearer(&parts.headers) {
        Bearer::None => {}
        Bearer::Secret(secret) => match gate.identity.holder(secret, gate.engine.now()).await {
            Some(holder) if !holder.ended => pass.holder = holder,
            Some(holder) if outlives_its_token(rpc, holder.caller.role) => {
                pass.holder = holder;
                pass.comes_late().await?;
            }
            _ => return Err(pass.refuse(AccessRefusal::BadToken).await),
        },
        Bearer::Malformed => return Err(pass.refuse(AccessRefusal::BadToken).await),
    }
    let without_token = pass.holder.token_id.is_empty();
    match satgas_domain::policy::decide(&pass.holder.caller, rpc, satgas_domain::policy::Resource::Unnamed) {
        Ok(_) => Ok(pass.holder),
        Err(_) if without_token => Err(pass.refuse(AccessRefusal::NoToken).await),
        Err(_) => Err(pass.refuse(AccessRefusal::Role).await),
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
