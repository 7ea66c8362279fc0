//! `RuleService`: the rule sets, and what a period would be under others.

use satgas_domain::{rules::RuleSet, time::Instant, views::ListQuery};
use satgas_engine::{Engine, Folded};
use satgas_proto::v1::{self, AreaLevel, rule_service_server::RuleService};
use tonic::{Request, Response, Status};

use crate::{
    evaluation::{current_month, level, parse_period, with_head},
    look::{Page, look},
    status,
    stream::Streams,
    submission::{known_code, page_size},
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
        let list = |folded: &Folded, now: Instant| folded.views.rule_sets().list(folded.views.calendar().day(now));
        let rule_sets = look(&self.engine, r.min_position, r.as_of, list).await?;
        Ok(Response::new(v1::ListRuleSetsResponse { rule_sets }))
    }

    async fn what_if(&self, request: Request<v1::WhatIfRequest>) -> Result<Response<v1::WhatIfResponse>, Status> {
        let r = request.into_inner();
        let (size, page) = (page_size(r.page_size, 1_000, 10_000)?, Page::parse(&r.page_token)?);
        known_code::<AreaLevel>("level", r.level)?;
        let (level, period) = (level(r.level()), parse_period(&r.period)?);
        let draft = r.draft.as_ref().ok_or_else(|| status::invalid_field("draft", "is missing"))?;
        let draft = RuleSet::parse(draft, "draft").map_err(status::invalid)?;
        let both = |folded: &Folded, now: Instant| {
            let period = period.unwrap_or_else(|| current_month(folded, now));
            let under = |draft| {
                let order = v1::EvaluationOrder::Unspecified;
                let query = ListQuery { period: period.clone(), prefix: &r.area_prefix, level, order, now, draft };
                folded.views.list(&query).into_iter().map(|evaluation| with_head(evaluation, folded))
            };
            if !folded.views.registry().has_within(&r.area_prefix) {
                return Err(status::no_area_within());
            }
            let all = under(None)
                .zip(under(Some(&draft)))
                .map(|(recorded, draft)| v1::WhatIfEvaluation { recorded: Some(recorded), draft: Some(draft) })
                .collect();
            let (evaluations, next_page_token) = page.cut(all, size, folded, now);
            Ok(v1::WhatIfResponse { evaluations, next_page_token })
        };
        page.look(&self.engine, r.min_position, r.as_of, both).await?.map(Response::new)
    }
}
