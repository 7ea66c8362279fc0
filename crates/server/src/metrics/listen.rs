//! The port that Prometheus asks: `GET /metrics`, and nothing else. It is not the port that clients use, and knows no token: it listens on
//! loopback unless the configuration says otherwise.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Figures;

/// Connections at once. Prometheus needs one.
const CONNECTIONS_MAX: usize = 8;
/// How long a connection may last: one question and its answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long to wait when the operating system takes no more connections.
const BREATH: Duration = Duration::from_millis(50);

/// Answers until `stop`. Connections are tasks of `tasks`.
pub(crate) async fn serve(listener: TcpListener, figures: Arc<Figures>, tasks: TaskTracker, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection for metrics was not taken");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        let (figures, stop) = (Arc::clone(&figures), stop.clone());
        tasks.spawn(async move {
            let answering = http1::Builder::new().timer(TokioTimer::new()).keep_alive(false).serve_connection(
                TokioIo::new(stream),
                service_fn(move |request| answer(request, Arc::clone(&figures))),
            );
            // Who goes away while it is answered, or takes too long, has no answer; that is all.
            tokio::select! {
                _ = tokio::time::timeout(DEADLINE, answering) => {}
                () = stop.cancelled() => {}
            }
            drop(place);
        });
    }
}

async fn answer(request: Request<Incoming>, figures: Arc<Figures>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() != "/metrics" {
        return Ok(plain(StatusCode::NOT_FOUND, "the figures are at /metrics\n".to_owned()));
    }
    if request.method() != Method::GET {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "ask with GET\n".to_owned());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return Ok(refused);
    }
    match tokio::task::spawn_blocking(move || figures.text()).await {
        Ok(text) => Ok(plain(StatusCode::OK, text)),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be read");
            Ok(plain(StatusCode::INTERNAL_SERVER_ERROR, "the server's log says why\n".to_owned()))
        }
    }
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let form = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, form);
    response
}
