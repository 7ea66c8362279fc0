//! `RuleService`: the rule sets, and what a period would be under others.

use satgas_domain::{
    registry::Scope,
    rules::RuleSet,
    views::{Known, ListQuery},
};
use satgas_engine::Engine;
use satgas_proto::v1::{self, rule_service_server::RuleService};
use tonic::{Request, Response, Status};

use crate::{
    evaluation::Asked,
    look::{Page, each, look},
    status,
    stream::Streams,
    submission::page_size,
};

pub(crate) struct Rules {
    pub(crate) engine: Engine,
    pub(crate) streams: Streams,
}

#[tonic::async_trait]
impl RuleService for Rules {
    async fn record_rule_set(
        &self,
        request: Request<v1::RecordRuleSetRequest>,
    ) -> Result<Response<v1::RecordRuleSetResponse>, Status> {
        let _call = self.streams.tasks.token();
        let v1::RecordRuleSetRequest { rule_set, reason } = request.into_inner();
        let recorded = self.engine.record_rules(v1::RuleSetRecorded { rule_set, reason }).await;
        let (position, already_known) = recorded.map_err(|error| status::write(&error))?.map_err(status::invalid)?;
        Ok(Response::new(v1::RecordRuleSetResponse { position, already_known }))
    }

    async fn list_rule_sets(
        &self,
        request: Request<v1::ListRuleSetsRequest>,
    ) -> Result<Response<v1::ListRuleSetsResponse>, Status> {
        let r = request.into_inner();
        let list = |known: Known<'_>| known.rule_sets();
        let rule_sets = look(&self.engine, r.min_position, r.as_of, list).await?;
        Ok(Response::new(v1::ListRuleSetsResponse { rule_sets }))
    }

    async fn what_if(&self, request: Request<v1::WhatIfRequest>) -> Result<Response<v1::WhatIfResponse>, Status> {
        let r = request.into_inner();
        let (size, page) = (page_size(r.page_size, 1_000, 10_000)?, Page::parse(&r.page_token)?);
        let asked = Asked::parse(&r.period, &r.area_prefix, r.level, 0)?;
        let draft = r.draft.as_ref().ok_or_else(|| status::invalid_field("draft", "is missing"))?;
        let draft = RuleSet::parse(draft, "draft").map_err(status::invalid)?;
        let moment = page.moment(&self.engine, r.min_position, r.as_of).await?;
        let (recorded, subjects) = asked.listed(&self.engine, moment).await?;
        let (subjects, next_page_token) = page.cut(subjects, size, moment);
        let drafted = ListQuery { draft: Some(&draft), ..recorded.clone() };
        let both = |known: Known<'_>, part: &[Scope]| {
            let pairs = known.evaluations(&recorded, part).into_iter().zip(known.evaluations(&drafted, part));
            pairs
                .map(|(recorded, draft)| v1::WhatIfEvaluation { recorded: Some(recorded), draft: Some(draft) })
                .collect()
        };
        let evaluations = each(&self.engine, moment, &subjects, both).await?;
        Ok(Response::new(v1::WhatIfResponse { evaluations, next_page_token }))
    }
}
