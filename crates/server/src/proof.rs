//! `ProofService`: checkpoints of the log's Merkle tree, signed with the key of the heads, and the hashes that lead to them.
//!
//! Any number of first records may be asked for: the tree of a log that only grows lies in every later one, so that signing an old size
//! again says nothing new.

use satgas_domain::id::SubmissionId;
use satgas_engine::{Engine, TreeHead};
use satgas_proof::{Checkpoint, PublicKey};
use satgas_proto::v1::{self, get_inclusion_proof_request::Record, proof_service_server::ProofService};
use tonic::{Request, Response, Status};

use crate::{identity::HeadKey, status};

pub(crate) struct Proofs {
    pub(crate) engine: Engine,
    pub(crate) key: HeadKey,
}

impl Proofs {
    fn signed(&self, head: TreeHead) -> v1::SignedCheckpoint {
        let TreeHead { size, root } = head;
        let checkpoint = Checkpoint { log_id: self.engine.log_id().to_owned(), size, root };
        let key = PublicKey::of(&checkpoint.log_id, &self.key.0).of_checkpoints();
        v1::SignedCheckpoint { note: checkpoint.sign(&self.key.0), key: key.to_string(), size }
    }

    /// The position of a record that was named.
    async fn position(&self, record: Option<Record>) -> Result<u64, Status> {
        match record {
            Some(Record::Position(0)) => Err(status::invalid_field("position", "is none: positions begin at 1")),
            Some(Record::Position(position)) => Ok(position),
            Some(Record::SubmissionId(id)) => {
                let malformed =
                    || status::invalid_field("submission_id", "is not the id of a record: a UUID of version 7");
                let id = SubmissionId::parse(&id).map_err(|_| malformed())?;
                let found = self.engine.look(0, None, |known| known.position_of(id)).await.map_err(status::query)?;
                found.ok_or_else(|| status::not_found("record among those that were accepted"))
            }
            None => Err(status::invalid_field("record", "is missing: name a position or the id of a submission")),
        }
    }
}

#[tonic::async_trait]
impl ProofService for Proofs {
    async fn get_checkpoint(
        &self,
        request: Request<v1::GetCheckpointRequest>,
    ) -> Result<Response<v1::GetCheckpointResponse>, Status> {
        let head = self.engine.tree_head(request.into_inner().size).await.map_err(status::query)?;
        Ok(Response::new(v1::GetCheckpointResponse { checkpoint: Some(self.signed(head)) }))
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<v1::GetInclusionProofRequest>,
    ) -> Result<Response<v1::GetInclusionProofResponse>, Status> {
        let r = request.into_inner();
        let position = self.position(r.record).await?;
        let proven = self.engine.prove_inclusion(position, r.size).await.map_err(status::query)?;
        Ok(Response::new(v1::GetInclusionProofResponse {
            position,
            leaf_hash: proven.leaf.to_vec().into(),
            hashes: proven.hashes.iter().map(|hash| hash.to_vec().into()).collect(),
            checkpoint: Some(self.signed(proven.head)),
        }))
    }

    async fn get_consistency_proof(
        &self,
        request: Request<v1::GetConsistencyProofRequest>,
    ) -> Result<Response<v1::GetConsistencyProofResponse>, Status> {
        let r = request.into_inner();
        if r.from_size == 0 {
            return Err(status::invalid_field("from_size", "is missing: a log goes on from nothing without any proof"));
        }
        let proven = self.engine.prove_consistency(r.from_size, r.to_size).await.map_err(status::query)?;
        Ok(Response::new(v1::GetConsistencyProofResponse {
            hashes: proven.hashes.iter().map(|hash| hash.to_vec().into()).collect(),
            checkpoint: Some(self.signed(proven.head)),
        }))
    }
}
