//! `RegistryService`: areas, institutions, task forces, members.

use satgas_domain::views::Known;
use satgas_engine::{Engine, Folded, Registered};
use satgas_proto::v1::{self, registry_service_server::RegistryService, task_force::Home};
use tonic::{Request, Response, Status};

use crate::{csv_import, look::look_within, sight::OwnInstitution, status, stream::Streams, submission::page_size};

/// Entries that one request may have.
const ENTRIES_MAX: usize = 10_000;

pub(crate) struct RegistryApi {
    pub(crate) engine: Engine,
    pub(crate) streams: Streams,
}

#[tonic::async_trait]
impl RegistryService for RegistryApi {
    async fn register(&self, request: Request<v1::RegisterRequest>) -> Result<Response<v1::RegisterResponse>, Status> {
        let _call = self.streams.tasks.token();
        let r = request.into_inner();
        if r.entries.is_empty() || r.entries.len() > ENTRIES_MAX {
            return Err(status::invalid_field("entries", "is not 1 to 10000 entries"));
        }
        let Registered { summary, refused } =
            self.engine.register(r.entries, r.skip_bad).await.map_err(|error| status::write(&error))?;
        let refused = refused.into_iter().map(|(index, violations)| v1::RefusedEntry {
            index: u32::try_from(index).unwrap_or(u32::MAX),
            violations,
        });
        Ok(Response::new(v1::RegisterResponse { summary: Some(summary), refused: refused.collect() }))
    }

    async fn import_csv(
        &self,
        request: Request<v1::ImportCsvRequest>,
    ) -> Result<Response<v1::ImportCsvResponse>, Status> {
        let _call = self.streams.tasks.token();
        let r = request.into_inner();
        let kind = r.kind();
        let csv_import::Rows { entries, mut refused, .. } = csv_import::parse(kind, &r.csv)?;
        if !refused.is_empty() && !r.skip_bad {
            // The good rows are looked at too, so that everything that is wrong is heard at once; nothing is written.
            refused.extend(self.import(kind, entries, false, true).await?.1);
            refused.sort_by_key(|row| row.line);
            return Ok(Response::new(v1::ImportCsvResponse { summary: Some(v1::RegistrySummary::default()), refused }));
        }
        let (summary, bad) = self.import(kind, entries, r.skip_bad, false).await?;
        refused.extend(bad);
        refused.sort_by_key(|row| row.line);
        Ok(Response::new(v1::ImportCsvResponse { summary: Some(summary), refused }))
    }

    async fn list_areas(
        &self,
        request: Request<v1::ListAreasRequest>,
    ) -> Result<Response<v1::ListAreasResponse>, Status> {
        let r = request.into_inner();
        let size = page_size(r.page_size, 1_000, 10_000)?;
        let list = |known: Known<'_>| page(known.areas(&r.area_prefix), &r.page_token, size, |a: &v1::Area| &a.code);
        let (areas, next_page_token) = self.list(r.min_position, r.as_of, &r.area_prefix, list).await?;
        Ok(Response::new(v1::ListAreasResponse { areas, next_page_token }))
    }

    async fn list_institutions(
        &self,
        request: Request<v1::ListInstitutionsRequest>,
    ) -> Result<Response<v1::ListInstitutionsResponse>, Status> {
        let r = request.into_inner();
        let size = page_size(r.page_size, 1_000, 10_000)?;
        let list = |known: Known<'_>| {
            page(known.institutions(&r.area_prefix), &r.page_token, size, |i: &v1::Institution| &i.institution_id)
        };
        let (institutions, next_page_token) = self.list(r.min_position, r.as_of, &r.area_prefix, list).await?;
        Ok(Response::new(v1::ListInstitutionsResponse { institutions, next_page_token }))
    }

    async fn list_task_forces(
        &self,
        request: Request<v1::ListTaskForcesRequest>,
    ) -> Result<Response<v1::ListTaskForcesResponse>, Status> {
        let own = OwnInstitution::beside(&request)?;
        let r = request.into_inner();
        let size = page_size(r.page_size, 1_000, 10_000)?;
        let list = |known: Known<'_>| {
            let all = known.task_forces(&r.area_prefix);
            let is_own = |task_force: &&v1::TaskForce| match &task_force.home {
                Some(Home::InstitutionId(id)) => own.has(Some(id)),
                _ => own.has(None),
            };
            page(all.filter(is_own).cloned(), &r.page_token, size, |t: &v1::TaskForce| &t.task_force_id)
        };
        let (task_forces, next_page_token) = self.list(r.min_position, r.as_of, &r.area_prefix, list).await?;
        Ok(Response::new(v1::ListTaskForcesResponse { task_forces, next_page_token }))
    }

    async fn list_members(
        &self,
        request: Request<v1::ListMembersRequest>,
    ) -> Result<Response<v1::ListMembersResponse>, Status> {
        let own = OwnInstitution::beside(&request)?;
        let r = request.into_inner();
        let size = page_size(r.page_size, 1_000, 10_000)?;
        let list = |known: Known<'_>| {
            let is_own = |member: &&v1::Member| own.has(known.home_institution(&member.task_force_id));
            page(known.members(&r.area_prefix).filter(is_own).cloned(), &r.page_token, size, |m: &v1::Member| {
                &m.member_id
            })
        };
        let (members, next_page_token) = self.list(r.min_position, r.as_of, &r.area_prefix, list).await?;
        Ok(Response::new(v1::ListMembersResponse { members, next_page_token }))
    }
}

impl RegistryApi {
    async fn list<T>(
        &self,
        min_position: u64,
        as_of: Option<v1::AsOf>,
        prefix: &str,
        list: impl FnOnce(Known<'_>) -> T,
    ) -> Result<T, Status> {
        look_within(&self.engine, min_position, as_of, prefix, list).await
    }

    /// Registers rows, or only finds out what is wrong with them.
    async fn import(
        &self,
        kind: v1::CsvKind,
        rows: Vec<csv_import::Row>,
        skip_bad: bool,
        only_look: bool,
    ) -> Result<(v1::RegistrySummary, Vec<v1::RefusedRow>), Status> {
        let (lines, entries): (Vec<u32>, Vec<_>) = rows.into_iter().map(|row| (row.line, row.entry)).unzip();
        let Registered { summary, refused } = if only_look {
            let decide = |folded: &Folded| folded.views.registry().decide_all(&entries).refused;
            let refused = self.engine.query(0, decide).await.map_err(status::query)?;
            Registered { refused, ..Default::default() }
        } else {
            self.engine.register(entries, skip_bad).await.map_err(|error| status::write(&error))?
        };
        let rows = refused.into_iter().map(|(index, violations)| v1::RefusedRow {
            line: lines.get(index).copied().unwrap_or_default(),
            violations: csv_import::by_column(kind, violations),
        });
        Ok((summary, rows.collect()))
    }
}

/// A page of messages by id, after a token that is the last id of the page before; and the next token.
fn page<T>(all: impl Iterator<Item = T>, token: &str, size: usize, id: impl Fn(&T) -> &String) -> (Vec<T>, String) {
    let mut list: Vec<T> = all.filter(|item| id(item).as_str() > token).collect();
    list.sort_unstable_by(|a, b| id(a).cmp(id(b)));
    let more = list.len() > size;
    list.truncate(size);
    let next = list.last().filter(|_| more).map(|last| id(last).clone()).unwrap_or_default();
    (list, next)
}
