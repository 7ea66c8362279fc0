//! Fetches an issuer's keys from a file, or with one HTTP request: no redirects, a deadline, a limit on what comes.

use std::{fs, io, path::Path, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, Uri, header};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

const DEADLINE: Duration = Duration::from_secs(10);
const BYTES_MAX: usize = 256 * 1024;

/// Why keys were not fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL is none that may be used.
    #[error("`{0}` is no file and no URL that may be used: https://, or http:// within this machine")]
    Url(String),
    /// A file cannot be read.
    #[error("{path} cannot be read: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        error: io::Error,
    },
    /// The authority's file holds no certificate, or the system has none.
    #[error("there is no certificate to trust the keys' server by")]
    Authority,
    /// The server cannot be asked.
    #[error("their server cannot be asked: {0}")]
    Unreachable(String),
    /// The server answers something else.
    #[error("their server answers {0}")]
    Status(u16),
    /// It took too long.
    #[error("their server does not answer")]
    Late,
    /// What came is no set of keys.
    #[error("what came is no set of keys")]
    NoKeys,
}

/// Where keys are fetched from.
pub(super) enum Source {
    File(PathBuf),
    Url { uri: Uri, host: String, tls: Option<TlsConnector> },
}

impl Source {
    pub(super) fn new(text: &str, authority: Option<&Path>) -> Result<Self, FetchError> {
        if !text.contains("://") {
            return Ok(Self::File(text.into()));
        }
        let wrong = || FetchError::Url(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let host = uri.host().ok_or_else(wrong)?.trim_matches(['[', ']']).to_owned();
        let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let tls = match uri.scheme_str() {
            Some("https") => Some(connector(authority)?),
            Some("http") if here => None,
            _ => return Err(wrong()),
        };
        Ok(Self::Url { uri, host, tls })
    }

    /// Fetches the bytes.
    pub(super) async fn fetch(&self) -> Result<Bytes, FetchError> {
        match self {
            Self::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || (fs::read(&path), path)).await;
                let (bytes, path) = read.map_err(|error| FetchError::Unreachable(error.to_string()))?;
                bytes.map(Bytes::from).map_err(|error| FetchError::File { path, error })
            }
            Self::Url { uri, host, tls } => {
                let asked = ask(uri, host, tls.as_ref());
                tokio::time::timeout(DEADLINE, asked).await.map_err(|_| FetchError::Late)?
            }
        }
    }
}

fn connector(authority: Option<&Path>) -> Result<TlsConnector, FetchError> {
    let mut roots = RootCertStore::empty();
    match authority {
        Some(path) => {
            let pem = fs::read(path).map_err(|error| FetchError::File { path: path.to_owned(), error })?;
            roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).flatten());
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(FetchError::Authority);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| FetchError::Authority)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn ask(uri: &Uri, host: &str, tls: Option<&TlsConnector>) -> Result<Bytes, FetchError> {
    let unreachable = |error: &dyn std::fmt::Display| FetchError::Unreachable(error.to_string());
    let port = uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
    let stream = TcpStream::connect((host, port)).await.map_err(|error| unreachable(&error))?;
    match tls {
        None => request(uri, stream).await,
        Some(tls) => {
            let name = ServerName::try_from(host.to_owned()).map_err(|error| unreachable(&error))?;
            request(uri, tls.connect(name, stream).await.map_err(|error| unreachable(&error))?).await
        }
    }
}

async fn request(uri: &Uri, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Bytes, FetchError> {
    let unreachable = |error: &dyn std::fmt::Display| FetchError::Unreachable(error.to_string());
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| unreachable(&error))?;
    // Ends with the answer: sender and body hold it open.
    let driving = tokio::spawn(connection);
    let asked = Request::builder()
        .uri(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(header::HOST, uri.authority().map_or("", |authority| authority.as_str()))
        .header(header::ACCEPT, "application/json")
        .body(Empty::<Bytes>::new())
        .map_err(|error| unreachable(&error))?;
    let answer = async {
        let response = sender.send_request(asked).await.map_err(|error| unreachable(&error))?;
        if !response.status().is_success() {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let body = Limited::new(response.into_body(), BYTES_MAX).collect().await;
        Ok(body.map_err(|error| unreachable(&error))?.to_bytes())
    };
    let answer = answer.await;
    driving.abort();
    answer
}
