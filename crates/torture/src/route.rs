//! The way to a server that comes and goes.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result};
use satgas_proto::v1::Role;
use tokio::sync::watch;
use tonic::transport::Endpoint;

use crate::door::{CITY, Door, Tokens};

/// How long anything may stay silent before a client takes the connection for dead.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Between two tries while the server is where it was.
const BREATH: Duration = Duration::from_millis(20);

/// Where the server is, as far as anybody knows. Clones follow the same server.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    url: watch::Receiver<Option<String>>,
    tokens: Tokens,
}

/// Who tells where the server is.
#[derive(Debug)]
pub(crate) struct Signpost {
    url: watch::Sender<Option<String>>,
    tokens: Tokens,
}

impl Signpost {
    /// Has tokens issued by a server, and points nowhere yet.
    pub(crate) async fn new(url: &str, data: &Path) -> Result<Self> {
        let channel = Endpoint::from_shared(url.to_owned())?.connect().await?;
        let tokens = Tokens::issue(&channel, &data.join("keys"), CITY).await?;
        Ok(Self { url: watch::Sender::new(None), tokens })
    }

    /// Points to where the server is; nowhere while there is none.
    pub(crate) fn point(&self, url: Option<String>) {
        self.url.send_replace(url);
    }

    /// Follows where the server is.
    pub(crate) fn follow(&self) -> watch::Receiver<Option<String>> {
        self.url.subscribe()
    }

    /// The same tokens, for a server or a way to it at another address.
    pub(crate) fn elsewhere(&self, url: String) -> Self {
        Self { url: watch::Sender::new(Some(url)), tokens: self.tokens.clone() }
    }

    pub(crate) fn route(&self) -> Route {
        Route { url: self.url.subscribe(), tokens: self.tokens.clone() }
    }

    /// The secret of a role's token.
    pub(crate) fn token(&self, role: Role) -> &str {
        self.tokens.of(role)
    }
}

impl Route {
    /// A new connection, as soon as there is a server.
    pub(crate) async fn door(&mut self) -> Result<Door> {
        let url = self.url.wait_for(Option::is_some).await.context("nobody tells where the server is")?.clone();
        let endpoint = Endpoint::from_shared(url.context("it is some")?)?
            .tcp_nodelay(true)
            .connect_timeout(SILENCE_MAX)
            .http2_keep_alive_interval(Duration::from_secs(1))
            .keep_alive_timeout(Duration::from_secs(4))
            .keep_alive_while_idle(true);
        Ok(Door::by_role(endpoint.connect_lazy(), self.tokens.clone()))
    }

    /// The same, as one role whatever the call.
    pub(crate) async fn door_of(&mut self, role: Role) -> Result<Door> {
        let secret = self.tokens.of(role).to_owned();
        Ok(self.door().await?.instead(&secret))
    }

    /// Waits until trying again may help.
    pub(crate) async fn wait(&mut self) {
        // The sender outlives the clients; if it does not, the next connection says so.
        let _ = tokio::time::timeout(BREATH, self.url.changed()).await;
    }
}
