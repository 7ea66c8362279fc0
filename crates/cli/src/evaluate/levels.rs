//! Evaluations of several levels of areas that belong together.
//!
//! Invariant: each level is evaluated by the server. Levels that show one position stand on the very same events.

use satgas_proto::v1::{self, AreaLevel, EvaluatedBody};

use super::basis;
use crate::{
    connect::{Connection, unary},
    pages,
};

/// Which areas, when, and which levels.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    /// The period's code.
    pub(crate) period: String,
    /// What the areas' codes begin with.
    pub(crate) area: String,
    /// The level asked for.
    pub(crate) level: AreaLevel,
    /// Whose figures an area shows.
    pub(crate) body: EvaluatedBody,
    /// Whether the levels above it are wanted too.
    pub(crate) above: bool,
    /// Order within a level.
    pub(crate) order: v1::EvaluationOrder,
    /// The log position that must have been taken in.
    pub(crate) min_position: u64,
    /// The moment of the past that is asked about.
    pub(crate) as_of: Option<v1::AsOf>,
}

/// Evaluations of the level asked for, and of those above it.
#[derive(Debug, Default)]
pub(crate) struct Levels {
    /// The level asked for.
    pub(crate) asked: Vec<v1::Evaluation>,
    /// The kecamatan above it.
    pub(crate) kecamatan: Vec<v1::Evaluation>,
    /// The kota above it.
    pub(crate) kota: Vec<v1::Evaluation>,
}

impl Selection {
    /// Reads all levels, again and again until they show one position, at most so many times.
    ///
    /// # Errors
    /// When a call fails.
    pub(crate) async fn read(&self, server: &Connection, reads_max: u32) -> anyhow::Result<Levels> {
        let mut min_position = self.min_position;
        let mut reads = 0;
        loop {
            reads += 1;
            let levels = self.read_once(min_position, server).await?;
            let (lowest, highest) = levels.positions();
            if lowest == highest || reads >= reads_max {
                return Ok(levels);
            }
            min_position = highest;
        }
    }

    async fn read_once(&self, min_position: u64, server: &Connection) -> anyhow::Result<Levels> {
        let list = async |level, wanted: bool| match wanted {
            true => self.list(level, min_position, server).await,
            false => Ok(Vec::new()),
        };
        // At the same time: the shorter the while between them, the likelier that the log did not move on.
        let (asked, kecamatan, kota) = tokio::try_join!(
            list(self.level, true),
            list(
                AreaLevel::Kecamatan,
                self.above && matches!(self.level, AreaLevel::Kelurahan | AreaLevel::Institution)
            ),
            list(AreaLevel::Kota, self.above && self.level != AreaLevel::Kota),
        )?;
        Ok(Levels { asked, kecamatan, kota })
    }

    /// Above institutions stand the sums over institutions.
    fn body_of(&self, level: AreaLevel) -> EvaluatedBody {
        match (self.level, level) {
            (AreaLevel::Institution, AreaLevel::Institution) => EvaluatedBody::Unspecified,
            (AreaLevel::Institution, _) => EvaluatedBody::Institution,
            _ => self.body,
        }
    }

    async fn list(
        &self,
        level: AreaLevel,
        min_position: u64,
        server: &Connection,
    ) -> anyhow::Result<Vec<v1::Evaluation>> {
        let mut client = server.evaluations();
        let evaluations = pages::all(async |page_token| {
            let request = v1::ListEvaluationsRequest {
                period: self.period.clone(),
                area_prefix: self.area.clone(),
                level: level.into(),
                order: self.order.into(),
                page_size: 1_000,
                page_token,
                min_position,
                as_of: self.as_of,
                body: self.body_of(level).into(),
            };
            let page = client.list_evaluations(unary(request)).await?.into_inner();
            Ok((page.evaluations, page.next_page_token))
        });
        Ok(evaluations.await?)
    }
}

impl Levels {
    /// All of them, the level asked for first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &v1::Evaluation> {
        self.asked.iter().chain(&self.kecamatan).chain(&self.kota)
    }

    /// The lowest and the highest position that the figures are made of.
    pub(crate) fn positions(&self) -> (u64, u64) {
        let positions = || self.all().map(|evaluation| basis(evaluation).position);
        (positions().min().unwrap_or(0), positions().max().unwrap_or(0))
    }
}
