//! `StatisticsService`: cases in the categories of Simfoni PPA.

use satgas_domain::views::CrossTable;
use satgas_engine::Engine;
use satgas_proto::v1::{self, statistics_service_server::StatisticsService};
use tonic::{Request, Response, Status};

use crate::{
    look::{look_at, moment, parse},
    status,
};

/// Cases that are counted in one go. Between two goes the views take in what has come meanwhile.
const PART: u32 = 4_096;

pub(crate) struct Statistics {
    pub(crate) engine: Engine,
}

#[tonic::async_trait]
impl StatisticsService for Statistics {
    async fn cross_table(
        &self,
        request: Request<v1::CrossTableRequest>,
    ) -> Result<Response<v1::CrossTableResponse>, Status> {
        let mut r = request.into_inner();
        let moment = moment(&self.engine, r.min_position, parse(r.as_of.take(), "as_of")?).await?;
        let begin = look_at(&self.engine, moment, |known| {
            known.has_within(&r.area_prefix).then(|| (known.current_year(), known.case_count()))
        });
        let (this_year, cases) = begin.await?.ok_or_else(status::no_area_within)?;
        let mut table = CrossTable::asked_for(&r, &this_year).map_err(status::invalid)?;
        let mut first = 0;
        while first < cases {
            let end = cases.min(first.saturating_add(PART));
            look_at(&self.engine, moment, |known| table.count(known, first..end)).await?;
            first = end;
            tokio::task::consume_budget().await;
        }
        look_at(&self.engine, moment, |known| table.to_proto(known)).await.map(Response::new)
    }
}
