//! Decisions on `RuleService`.

use satgas_domain::policy::Rpc;
use satgas_proto::v1::{self, rule_service_server::RuleService};
use tonic::{Request, Response, Status};

use super::Authorized;

#[tonic::async_trait]
impl<S: RuleService> RuleService for Authorized<S> {
    async fn record_rule_set(
        &self,
        request: Request<v1::RecordRuleSetRequest>,
    ) -> Result<Response<v1::RecordRuleSetResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::RecordRuleSet);
        pass.permit().await?;
        pass.writes(1, self.inner.record_rule_set(request)).await
    }

    async fn list_rule_sets(
        &self,
        request: Request<v1::ListRuleSetsRequest>,
    ) -> Result<Response<v1::ListRuleSetsResponse>, Status> {
        self.gate.pass(&request, Rpc::ListRuleSets).permit().await?;
        self.inner.list_rule_sets(request).await
    }

    async fn what_if(&self, mut request: Request<v1::WhatIfRequest>) -> Result<Response<v1::WhatIfResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::WhatIf);
        pass.narrow(&mut request.get_mut().area_prefix).await?;
        self.inner.what_if(request).await
    }
}
