//! Publishing statistical releases. What is published was counted by who asks for it; the writer decides whether it may still be.

use prost::Message as _;
use satgas_proto::v1;
use tokio::sync::oneshot;

use crate::{Engine, ResolveError, ids::ContentHash, writer::Job};

/// What the id of a release stands for: what was asked for, whatever was counted.
pub(crate) fn content_of(release: &v1::ReleasePublished) -> ContentHash {
    let (release_id, draft) = (release.release_id.clone(), release.draft.clone());
    ContentHash::of(&v1::ReleasePublished { release_id, draft, ..Default::default() }.encode_to_vec())
}

impl Engine {
    /// Publishes a release: the receipt, or why it is refused. Returns when the views have it.
    pub async fn publish_release(&self, release: v1::ReleasePublished) -> Result<v1::Receipt, ResolveError> {
        let release_id = release.release_id.clone();
        let room = self.room_now(release.encoded_len() + std::mem::size_of::<v1::ReleasePublished>())?;
        let (answer, reply) = oneshot::channel();
        self.send(Job::PublishRelease { release: Box::new(release), room, answer })?;
        self.decision(release_id, reply).await
    }
}
