//! Decisions on `BackupService`: a copy of the log of records tells of every case in it, and is recorded as such before anything is sent.

use satgas_domain::policy::Rpc;
use satgas_proto::v1::{self, access_event::Body, backup_service_server::BackupService};
use tonic::{Request, Response, Status};

use super::Authorized;
use crate::{
    backup::{Bound, Confirmer},
    status,
    stream::BoxStream,
};

#[tonic::async_trait]
impl<S: BackupService<CopyLogStream = BoxStream<v1::CopyLogResponse>>> BackupService for Authorized<S> {
    type CopyLogStream = BoxStream<v1::CopyLogResponse>;

    async fn copy_log(
        &self,
        mut request: Request<v1::CopyLogRequest>,
    ) -> Result<Response<Self::CopyLogStream>, Status> {
        let pass = self.gate.pass(&request, Rpc::CopyLog);
        pass.permit().await?;
        let r = request.get_ref();
        match r.log() {
            v1::LogKind::Unspecified => {}
            v1::LogKind::Records => {
                // What is recorded and what is sent must end at the same place.
                let (at, head) = self.gate.engine.settled_head().await.map_err(status::query)?;
                if r.after_position < head.position {
                    let range = v1::EventRange {
                        after_position: r.after_position,
                        up_to_position: head.position,
                        ..Default::default()
                    };
                    pass.saw_events(range).await?;
                }
                request.extensions_mut().insert(Bound { at, head });
            }
            // Only ids: that it was copied is told, of no case in particular.
            v1::LogKind::Access => {
                let record = Body::AccessRecorded(pass.access());
                self.gate.access.record(record).await.map_err(|error| status::access(&error))?;
            }
        }
        let inner = self.inner.copy_log(request).await?.into_inner();
        Ok(Response::new(pass.until_end(inner)))
    }

    async fn confirm_backup(
        &self,
        mut request: Request<v1::ConfirmBackupRequest>,
    ) -> Result<Response<v1::ConfirmBackupResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::ConfirmBackup);
        pass.permit().await?;
        request.extensions_mut().insert(Confirmer(pass.holder.token_id.to_string()));
        self.inner.confirm_backup(request).await
    }
}
