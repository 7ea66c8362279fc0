//! TLS by rustls: certificate, key and the authority of client certificates from files, read again when they change.
//!
//! Invariant: what is in force was whole. Files that do not fit together are refused with a line in the log, and what was in force stays.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::RwLock;
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use x509_cert::der::Decode as _;

use crate::rights;

/// How often the files are looked at; SIGHUP makes it at once.
const LOOK: Duration = Duration::from_secs(10);

/// The files of TLS.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    /// Certificate chain, PEM.
    pub(crate) certificate: PathBuf,
    /// Private key, PEM.
    pub(crate) key: PathBuf,
    /// Authority whose client certificates are required, PEM.
    pub(crate) client_authority: Option<PathBuf>,
}

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path} cannot be read: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        error: io::Error,
    },
    /// Others may use the private key.
    #[error(
        "the private key {0} may be read by others: take their rights away with `chmod 600` (or 640, for a group of its own)"
    )]
    Open(PathBuf),
    /// A file is not what it should be.
    #[error("{path} holds no {what} in PEM")]
    Form {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// The files do not make a server.
    #[error("certificate and key cannot be used together: {0}")]
    Refused(String),
    /// One of certificate and key is named without the other.
    #[error("TLS needs both: name the certificate with --tls-certificate and its key with --tls-key")]
    Half,
}

/// What new connections are met with.
pub(crate) struct Tls {
    files: Files,
    now: RwLock<(Vec<Vec<u8>>, Arc<ServerConfig>)>,
}

impl Tls {
    pub(crate) fn open(files: Files) -> Result<Self, TlsError> {
        let contents = files.read()?;
        let config = files.config(&contents)?;
        Ok(Self { files, now: RwLock::new((contents, config)) })
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.now.read().1))
    }

    /// When the certificate in force ends, in seconds since 1970.
    pub(crate) fn ends(&self) -> Option<i64> {
        ends(self.now.read().0.first()?)
    }

    /// Reads the files again. True when others are in force now.
    fn reload(&self) -> Result<bool, TlsError> {
        let contents = self.files.read()?;
        if self.now.read().0 == contents {
            return Ok(false);
        }
        let config = self.files.config(&contents)?;
        *self.now.write() = (contents, config);
        Ok(true)
    }

    /// Follows the files until `stop`.
    pub(crate) async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let mut hangup = signal(SignalKind::hangup()).ok();
        loop {
            let hung_up = async {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = hung_up => {}
                () = tokio::time::sleep(LOOK) => {}
                () = stop.cancelled() => return,
            }
            let tls = Arc::clone(&self);
            match tokio::task::spawn_blocking(move || tls.reload()).await {
                Ok(Ok(true)) => tracing::info!("another certificate is in force"),
                Ok(Ok(false)) | Err(_) => {}
                Ok(Err(error)) => tracing::error!(%error, "the certificate that was in force stays"),
            }
        }
    }
}

impl Files {
    fn read(&self) -> Result<Vec<Vec<u8>>, TlsError> {
        // Many machines keep such keys for a group whose programs speak TLS: that one may read, nobody else.
        let open = rights::of_others(&self.key, rights::OTHERS | 0o030);
        if open.map_err(|error| TlsError::Read { path: self.key.clone(), error })? != 0 {
            return Err(TlsError::Open(self.key.clone()));
        }
        let read = |path: &PathBuf| fs::read(path).map_err(|error| TlsError::Read { path: path.clone(), error });
        [Some(&self.certificate), Some(&self.key), self.client_authority.as_ref()]
            .into_iter()
            .flatten()
            .map(read)
            .collect()
    }

    fn config(&self, contents: &[Vec<u8>]) -> Result<Arc<ServerConfig>, TlsError> {
        let form = |path: &Path, what| TlsError::Form { path: path.to_owned(), what };
        let refused = |error: &dyn std::fmt::Display| TlsError::Refused(error.to_string());
        let chain = certificates(&contents[0]).ok_or_else(|| form(&self.certificate, "certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(&contents[1]).map_err(|_| form(&self.key, "private key"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| refused(&error))?;
        let builder = match (&self.client_authority, contents.get(2)) {
            (Some(path), Some(pem)) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(pem).ok_or_else(|| form(path, "certificate"))? {
                    roots.add(authority).map_err(|error| refused(&error))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| refused(&error))?)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| refused(&error))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }
}

/// When the first certificate of a file in PEM ends, in seconds since 1970; none when it does not say.
pub(crate) fn ends(pem: &[u8]) -> Option<i64> {
    let first = certificates(pem)?.into_iter().next()?;
    let validity = x509_cert::Certificate::from_der(&first).ok()?.tbs_certificate.validity;
    i64::try_from(validity.not_after.to_unix_duration().as_secs()).ok()
}

/// The certificates of a file; `None` when there is none or one is broken.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().ok()?;
    (!all.is_empty()).then_some(all)
}
