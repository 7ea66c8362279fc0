//! `ReleaseService`: statistical releases. What the public gets is what was published; nothing is counted for it.

use bytes::BytesMut;
use satgas_domain::{
    release::{self, Areas, Counts, Draft, Earlier, Release, Unpublishable},
    time::Period,
    validate,
    views::{Known, Moment},
};
use satgas_engine::{AsOf, Engine};
use satgas_proto::{
    encoded::{Encoded, release_service_server::ReleaseService},
    v1,
};
use tonic::{Request, Response, Status};

use crate::{
    frozen::{Frozen, Shelf},
    look::{first_index, look, look_at, moment},
    status,
    stream::Streams,
    submission::{page, page_size},
};

/// Cases that are counted in one go. Between two goes the views take in what has come meanwhile.
const PART: u32 = 4_096;
/// Areas of one answer.
const AREAS_MAX: usize = 500;

pub(crate) struct Releases {
    pub(crate) engine: Engine,
    pub(crate) streams: Streams,
    pub(crate) shelf: Shelf,
}

#[tonic::async_trait]
impl ReleaseService for Releases {
    async fn preview_release(
        &self,
        request: Request<v1::PreviewReleaseRequest>,
    ) -> Result<Response<v1::PreviewReleaseResponse>, Status> {
        let r = request.into_inner();
        let moment = moment(&self.engine, r.min_position, None).await?;
        let (mut release, to_protect) = self.count(r.draft.as_ref(), moment).await?;
        release.areas.truncate(AREAS_MAX);
        let sample_data = look_at(&self.engine, moment, |known| known.is_sample_data()).await?;
        let v1::ReleasePublished { draft, known_position, columns, areas, share, .. } = release;
        let share = share.map(|share| v1::ReleaseShare { withheld_to_protect: to_protect, ..share });
        Ok(Response::new(v1::PreviewReleaseResponse { draft, known_position, share, columns, areas, sample_data }))
    }

    async fn publish_release(
        &self,
        request: Request<v1::PublishReleaseRequest>,
    ) -> Result<Response<v1::PublishReleaseResponse>, Status> {
        let _call = self.streams.tasks.token();
        let v1::PublishReleaseRequest { release_id, draft } = request.into_inner();
        let moment = moment(&self.engine, 0, None).await?;
        let asked = draft.as_ref().and_then(|draft| Draft::parse(draft).ok());
        let known = look_at(&self.engine, moment, |known| {
            let release = known.releases().find(&release_id)?;
            let same = release.message.draft.as_ref() == asked.as_ref().map(Draft::message);
            same.then(|| known.listed_release(release))
        });
        // The same again is answered before it is looked at: its period is published by now.
        if let release @ Some(_) = known.await? {
            return Ok(Response::new(v1::PublishReleaseResponse { release, already_known: true }));
        }
        let (counted, _) = self.count(draft.as_ref(), moment).await?;
        let receipt = self.engine.publish_release(v1::ReleasePublished { release_id, ..counted }).await;
        let receipt = receipt.map_err(status::resolution)?;
        let listed = |known: Known<'_>| {
            known.releases().find(&receipt.submission_id).map(|release| known.listed_release(release))
        };
        let release = look(&self.engine, receipt.position, None, listed).await?;
        let already_known = receipt.status() == v1::ReceiptStatus::AlreadyKnown;
        Ok(Response::new(v1::PublishReleaseResponse { release, already_known }))
    }

    async fn list_releases(
        &self,
        request: Request<v1::ListReleasesRequest>,
    ) -> Result<Response<v1::ListReleasesResponse>, Status> {
        let r = request.into_inner();
        let size = page_size(r.page_size, 100, 500)?;
        let code = match (r.period.as_str(), Period::parse(&r.period)) {
            ("", _) => None,
            (_, Some(period)) => Some(period.code()),
            (_, None) => {
                return Err(status::invalid_field("period", "is not a period such as 2026, 2026-Q1 or 2026-01"));
            }
        };
        let releases: Vec<_> = look(&self.engine, 0, None, |known| {
            let wanted = |release: &&Release| {
                let of = release.message.draft.as_ref().map(|draft| &draft.period);
                release.position > r.after_position && code.as_ref().is_none_or(|code| of == Some(code))
            };
            let releases = known.releases().until(known.position()).filter(wanted);
            releases.take(size + 1).map(|release| known.listed_release(release)).collect()
        })
        .await?;
        let (releases, next_after_position) = page(releases, size, |release| release.position);
        Ok(Response::new(v1::ListReleasesResponse { releases, next_after_position }))
    }

    async fn get_release(&self, request: Request<v1::GetReleaseRequest>) -> Result<Response<Encoded>, Status> {
        let r = request.into_inner();
        let (size, first) = (page_size(r.page_size, 200, AREAS_MAX)?, first_index::<usize>(&r.page_token)?);
        let kept = self.shelf.find(&r.release_id);
        let found = look(&self.engine, 0, None, |known| {
            let release = known.releases().find(&r.release_id)?;
            let tables = kept.is_none().then(|| release.message.clone());
            Some((known.listed_release(release), tables))
        });
        let missing = || Status::not_found("there is no such release: ListReleases names those that were published");
        let (listed, tables) = found.await?.ok_or_else(missing)?;
        let frozen = kept.unwrap_or_else(|| self.shelf.keep(r.release_id, Frozen::of(&tables.unwrap_or_default())));
        // Small, and it changes: by which release it is corrected.
        let mut head = BytesMut::new();
        prost::encoding::message::encode(1, &listed, &mut head);
        Ok(Response::new(Encoded([head.freeze()].into_iter().chain(frozen.page(first, size)).collect())))
    }
}

impl Releases {
    /// Counts a release at a moment and decides what of it is published, and how many numbers are withheld only to protect others. It has no
    /// id yet.
    async fn count(
        &self,
        draft: Option<&v1::ReleaseDraft>,
        moment: Moment,
    ) -> Result<(v1::ReleasePublished, u64), Status> {
        let draft = draft.ok_or_else(|| status::invalid_field("draft", "is missing"))?;
        let refused = |found| status::invalid(validate::within("draft", found));
        let draft = Draft::parse(draft).map_err(refused)?;
        let message = draft.message();
        let begin = look_at(&self.engine, moment, |known| {
            let decided = known.releases().decide(known.calendar(), &draft, known.now());
            let corrected: Vec<_> = known.releases().corrected(message).into_iter().cloned().collect();
            let has_areas = known.has_within(&message.area_prefix);
            // A correction is of the areas that the release was of, also when areas elsewhere were registered since.
            let root = corrected.last().and_then(|first: &Release| first.message.areas.first());
            let areas = known.release_areas(root.map_or(&message.area_prefix, |root| &root.code));
            has_areas.then(|| decided.map(|()| (areas, corrected)))
        });
        let (areas, corrected) = begin.await?.ok_or_else(status::no_area_within)?.map_err(refused)?;
        let counts = self.count_at(&areas, &draft.period, moment).await?;
        let mut earlier = Vec::with_capacity(corrected.len());
        for Release { message, .. } in &corrected {
            let then = crate::look::moment(&self.engine, 0, Some(AsOf::Position(message.known_position))).await?;
            let counts = self.count_at(&areas, &draft.period, then).await?;
            earlier.push(Earlier::of(&areas, counts, message));
        }
        let counting = move || {
            let published = draft.publish(&areas, &counts, &earlier)?;
            let to_protect = release::withheld_to_protect(&areas, &counts, &published);
            let audited = release::audit(&areas, &published);
            Ok::<_, Unpublishable>((published, to_protect, audited))
        };
        // A country takes a moment to go through.
        let counted = tokio::task::spawn_blocking(counting).await;
        let counted = counted.map_err(|_| Status::internal("the release could not be counted"))?;
        let (published, to_protect, audited) =
            counted.map_err(|why| status::invalid_field("draft.period", &why.to_string()))?;
        let threshold = published.draft.as_ref().map_or(0, |draft| draft.threshold);
        let is_protected = match &audited {
            Ok(audit) => audit.recovered == 0 && audit.narrowest.is_none_or(|narrowest| narrowest >= threshold),
            Err(irregular) => {
                tracing::error!(%irregular, "a release was counted that does not protect what it withholds");
                false
            }
        };
        if !is_protected {
            return Err(Status::internal("the release is held back: what it withholds could be worked out"));
        }
        Ok((v1::ReleasePublished { known_position: moment.position, ..published }, to_protect))
    }

    async fn count_at(&self, areas: &Areas, period: &Period, moment: Moment) -> Result<Counts, Status> {
        let mut counts = Counts::none(areas);
        let cases = look_at(&self.engine, moment, |known| known.case_count()).await?;
        let mut first = 0;
        while first < cases {
            let end = cases.min(first.saturating_add(PART));
            look_at(&self.engine, moment, |known| known.count_release(areas, &mut counts, period, first..end)).await?;
            first = end;
            tokio::task::consume_budget().await;
        }
        Ok(counts)
    }
}
