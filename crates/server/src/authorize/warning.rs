//! Decisions on `WarningService`.

use satgas_domain::{
    id::is_within,
    policy::{Grant, Reach, Rpc},
    shape::warnings_prefix,
    time::Instant,
    views::in_order,
};
use satgas_engine::Folded;
use satgas_proto::v1::{self, WarningKind, warning_service_server::WarningService};
use tonic::{Request, Response, Status};

use super::{Authorized, CaseIds, area_on};
use crate::{look::look_within, status, warning::Warnings};

#[tonic::async_trait]
impl WarningService for Authorized<Warnings> {
    async fn list_warnings(
        &self,
        mut request: Request<v1::ListWarningsRequest>,
    ) -> Result<Response<v1::ListWarningsResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::ListWarnings);
        pass.narrow(&mut request.get_mut().area_prefix).await?;
        let (permit, sight) = (pass.permit().await?, pass.sight());
        let prefix = request.get_ref().area_prefix.clone();
        if permit.grant == Grant::Shaped {
            look_within(&self.gate.engine, 0, None, &prefix, |_| ()).await?;
            warnings_prefix(&prefix).clone_into(&mut request.get_mut().area_prefix);
        }
        let mut found = self.inner.find(request.into_inner(), permit.grant == Grant::Shaped).await?;
        let warnings = &mut found.warnings;
        warnings.retain(|warning| permit.tells_of(warning.kind()));
        if permit.grant == Grant::Shaped {
            warnings.iter_mut().for_each(|warning| sight.warning(warning));
            in_order(warnings);
            // By what is shown: a kelurahan that matches would be told by that.
            warnings.retain(|warning| warning.area_codes.iter().any(|code| is_within(code, &prefix)));
        }
        let now = pass.now();
        let trim = |folded: &Folded| warnings.retain_mut(|warning| keep_own(warning, permit.reach, folded, now));
        self.gate.engine.query(0, trim).await.map_err(status::query)?;
        let response = found.page();
        let of_cases =
            |w: &&v1::Warning| matches!(w.kind(), WarningKind::ResponseOverdue | WarningKind::FollowUpOverdue);
        // A follow-up is known by its case or visit and its number.
        let cases = response.get_ref().warnings.iter().filter(of_cases);
        pass.saw(CaseIds::of(cases.filter_map(|warning| warning.subject_id.split('#').next()))).await?;
        Ok(response)
    }
}

/// Takes out of a warning what is of others: a group that spreads is told of, the other schools are not. False when nothing is left.
fn keep_own(warning: &mut v1::Warning, reach: &Reach, folded: &Folded, now: Instant) -> bool {
    let area_of = |id: &str| area_on(folded, now, id);
    let concerned = match reach {
        Reach::Everywhere => return true,
        Reach::Area(own) => {
            warning.area_codes.retain(|code| is_within(code, own));
            warning.institution_ids.retain(|id| area_of(id).is_some_and(|code| is_within(code, own)));
            !warning.area_codes.is_empty()
        }
        Reach::Institution(own) => {
            warning.institution_ids.retain(|id| id == own);
            let area = area_of(own).unwrap_or_default();
            warning.area_codes.retain(|code| code == area);
            !warning.institution_ids.is_empty()
        }
    };
    warning.positions.clear();
    concerned
}
