//! `EvaluationService`: evaluations, asked for and watched.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use satgas_domain::{
    id::Level,
    rules::RuleSet,
    time::{Instant, Period},
    views::{ListQuery, Subject},
};
use satgas_engine::{AsOf, Engine, Folded};
use satgas_proto::v1::{
    self, AreaLevel, evaluation_service_server::EvaluationService, get_evaluation_request::Subject as Asked,
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::{
    look::{Page, look, look_within, parse},
    status,
    stream::{BoxStream, Gone, Sink, Streams},
    submission::{known_code, page_size},
};

/// How long changes are gathered before they are sent: figures that change a hundred times a second help nobody.
const GATHER: Duration = Duration::from_millis(100);
const HEARTBEAT: Duration = Duration::from_secs(15);

pub(crate) struct Evaluations {
    pub(crate) engine: Engine,
    pub(crate) streams: Streams,
}

#[tonic::async_trait]
impl EvaluationService for Evaluations {
    async fn get_evaluation(
        &self,
        request: Request<v1::GetEvaluationRequest>,
    ) -> Result<Response<v1::GetEvaluationResponse>, Status> {
        let r = request.into_inner();
        let period = parse_period(&r.period)?;
        let (subject, what) = match &r.subject {
            None => return Err(no_subject()),
            Some(Asked::AreaCode(code)) => (Subject::Area(code), "area"),
            Some(Asked::InstitutionId(id)) => (Subject::Institution(id), "institution"),
        };
        let evaluate = |folded: &Folded, now: Instant| {
            let period = period.unwrap_or_else(|| current_month(folded, now));
            folded.views.evaluate(subject, &period, now).map(|evaluation| with_head(evaluation, folded))
        };
        let evaluation = look(&self.engine, r.min_position, r.as_of, evaluate).await?;
        let evaluation = evaluation.ok_or_else(|| status::not_found(what))?;
        Ok(Response::new(v1::GetEvaluationResponse { evaluation: Some(evaluation) }))
    }

    async fn list_evaluations(
        &self,
        request: Request<v1::ListEvaluationsRequest>,
    ) -> Result<Response<v1::ListEvaluationsResponse>, Status> {
        let r = request.into_inner();
        let size = page_size(r.page_size, 1_000, 10_000)?;
        known_code::<AreaLevel>("level", r.level)?;
        known_code::<v1::EvaluationOrder>("order", r.order)?;
        let period = parse_period(&r.period)?;
        let (level, order) = (level(r.level()), r.order());
        let list = |folded: &Folded, now: Instant| {
            let period = period.unwrap_or_else(|| current_month(folded, now));
            let list = folded.views.list(&ListQuery { period, prefix: &r.area_prefix, level, order, now, draft: None });
            list.into_iter().map(|evaluation| with_head(evaluation, folded)).collect()
        };
        let list: Vec<v1::Evaluation> =
            look_within(&self.engine, r.min_position, r.as_of, &r.area_prefix, list).await?;
        let (evaluations, next_page_token) = offset_page(list, &r.page_token, size)?;
        Ok(Response::new(v1::ListEvaluationsResponse { evaluations, next_page_token }))
    }

    async fn explain_indicator(
        &self,
        request: Request<v1::ExplainIndicatorRequest>,
    ) -> Result<Response<v1::ExplainIndicatorResponse>, Status> {
        use v1::explain_indicator_request::Subject as Asked;
        let r = request.into_inner();
        let size = page_size(r.page_size, 1_000, 10_000)?;
        let (page, period) = (Page::parse(&r.page_token)?, parse_period(&r.period)?);
        known_code::<v1::IndicatorKind>("indicator", r.indicator)?;
        if r.indicator() == v1::IndicatorKind::Unspecified {
            return Err(status::invalid_field("indicator", "is missing"));
        }
        let (subject, what) = match &r.subject {
            None => return Err(no_subject()),
            Some(Asked::AreaCode(code)) => (Subject::Area(code), "area"),
            Some(Asked::InstitutionId(id)) => (Subject::Institution(id), "institution"),
        };
        let explain = |folded: &Folded, now: Instant| {
            let period = period.unwrap_or_else(|| current_month(folded, now));
            let evaluation = with_head(folded.views.evaluate(subject, &period, now)?, folded);
            let explained = folded.views.explain(subject, &period, r.indicator(), now)?;
            let (items, next_page_token) = page.cut(explained.items, size, folded, now);
            Some(v1::ExplainIndicatorResponse {
                evaluation: Some(evaluation),
                indicator: Some(explained.indicator),
                weight: explained.weight,
                cut: Some(explained.cut.to_proto()),
                items,
                next_page_token,
            })
        };
        let explained = page.look(&self.engine, r.min_position, r.as_of, explain).await?;
        explained.map(Response::new).ok_or_else(|| status::not_found(what))
    }

    async fn list_trends(&self, _: Request<v1::ListTrendsRequest>) -> Result<Response<v1::ListTrendsResponse>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn compare_evaluations(
        &self,
        request: Request<v1::CompareEvaluationsRequest>,
    ) -> Result<Response<v1::CompareEvaluationsResponse>, Status> {
        let r = request.into_inner();
        let size = page_size(r.page_size, 100, 1_000)?;
        known_code::<AreaLevel>("level", r.level)?;
        let (level, period) = (level(r.level()), parse_period(&r.period)?);
        let page = Page::parse(&r.page_token)?;
        let then = parse(r.then, "then")?.ok_or_else(|| status::invalid_field("then", "is missing"))?;
        let (now, made_at) = (parse(r.now, "now")?, page.made_at());
        // Both moments of the past at once: who has one and waits for another keeps others waiting.
        let moments: Vec<AsOf> =
            [Some(then), made_at.map(|(position, _)| AsOf::Position(position)).or(now)].into_iter().flatten().collect();
        let past = self.engine.as_of(&moments).await.map_err(status::query)?;
        let Some((then, then_now)) = past.moments.first() else { return Err(status::stopping()) };
        let compare = |folded: &Folded, now: Instant| {
            if folded.views.position() < then.views.position() || now < *then_now {
                return Err(status::invalid_field("then", "lies after now"));
            }
            let period = period.unwrap_or_else(|| current_month(folded, now));
            let registry = folded.views.registry();
            if !registry.has_within(&r.area_prefix) {
                return Err(status::no_area_within());
            }
            let areas = registry.areas_within(&r.area_prefix, level).map(|area| &registry.area(area).message.code);
            let mut changes: Vec<v1::EvaluationChange> = areas
                .filter_map(|code| folded.views.change_since((&then.views, *then_now), code, &period, now))
                .collect();
            for change in &mut changes {
                change.then = change.then.take().map(|evaluation| with_head(evaluation, then));
                change.now = change.now.take().map(|evaluation| with_head(evaluation, folded));
            }
            let first_day = period.first.first_day();
            let of = |folded: &Folded, now| basis(folded, now, folded.views.rule_sets().on(first_day));
            let (changes, next_page_token) = page.cut(changes, size, folded, now);
            let (then, now) = (Some(of(then, *then_now)), Some(of(folded, now)));
            Ok(v1::CompareEvaluationsResponse { changes, next_page_token, then, now })
        };
        let compared = match past.moments.get(1) {
            Some((folded, now)) => compare(folded, made_at.map_or(*now, |(_, now)| now)),
            None => look(&self.engine, 0, None, compare).await?,
        };
        compared.map(Response::new)
    }

    type WatchEvaluationsStream = BoxStream<v1::WatchEvaluationsResponse>;

    async fn watch_evaluations(
        &self,
        request: Request<v1::WatchEvaluationsRequest>,
    ) -> Result<Response<Self::WatchEvaluationsStream>, Status> {
        let r = request.into_inner();
        known_code::<AreaLevel>("level", r.level)?;
        let watch = Watch {
            engine: self.engine.clone(),
            period: parse_period(&r.period)?,
            level: level(r.level()),
            prefix: r.area_prefix,
            seen: 0,
            sent: HashMap::new(),
        };
        look_within(&self.engine, 0, None, &watch.prefix, |_, _| ()).await?;
        let stop = self.streams.stop.clone();
        self.streams.open(move |sink| watch.run(sink, stop)).map(Response::new)
    }
}

fn no_subject() -> Status {
    status::invalid_field("subject", "is missing: give area_code or institution_id")
}

/// What figures of a moment under some rules are made of.
pub(crate) fn basis(folded: &Folded, now: Instant, rules: &RuleSet) -> v1::Basis {
    v1::Basis { head_hash: folded.head.hash.to_vec().into(), ..folded.views.basis(now, rules) }
}

/// A period, or `None` for the current month.
pub(crate) fn parse_period(code: &str) -> Result<Option<Period>, Status> {
    if code.is_empty() {
        return Ok(None);
    }
    let period = Period::parse(code);
    period
        .map(Some)
        .ok_or_else(|| status::invalid_field("period", "is not a period such as 2026, 2026-S1, 2026-Q1 or 2026-01"))
}

pub(crate) fn current_month(folded: &Folded, now: Instant) -> Period {
    Period::month(folded.views.calendar().month(now))
}

pub(crate) fn level(level: AreaLevel) -> Level {
    match level {
        AreaLevel::Kota => Level::Kota,
        AreaLevel::Kecamatan => Level::Kecamatan,
        AreaLevel::Kelurahan | AreaLevel::Unspecified | AreaLevel::Institution => Level::Kelurahan,
    }
}

pub(crate) fn with_head(mut evaluation: v1::Evaluation, folded: &Folded) -> v1::Evaluation {
    if let Some(basis) = &mut evaluation.basis {
        basis.head_hash = folded.head.hash.to_vec().into();
    }
    evaluation
}

/// A page of a list by a token that is the offset of its first item; and the next token.
pub(crate) fn offset_page<T>(list: Vec<T>, token: &str, size: usize) -> Result<(Vec<T>, String), Status> {
    let first: usize = match token {
        "" => 0,
        token => token.parse().map_err(|_| status::invalid_field("page_token", "is not a token that was given out"))?,
    };
    let next = first.saturating_add(size);
    let token = if next < list.len() { next.to_string() } else { String::new() };
    Ok((list.into_iter().skip(first).take(size).collect(), token))
}

/// One client's watch: what it was told last, by area code.
struct Watch {
    engine: Engine,
    period: Option<Period>,
    level: Level,
    prefix: String,
    /// The views' position when it was last told.
    seen: u64,
    /// Hash of the figures that were sent, by area code.
    sent: HashMap<String, u64>,
}

impl Watch {
    async fn run(mut self, sink: Sink<v1::WatchEvaluationsResponse>, stop: CancellationToken) -> Option<Status> {
        let mut folded = self.engine.folded();
        loop {
            folded.borrow_and_update();
            let changes = match self.changes().await {
                Ok(changes) => changes,
                Err(error) => return Some(status::query(error)),
            };
            for change in changes {
                if let Some(end) = send(&sink, change, self.seen).await {
                    return end;
                }
            }
            tokio::select! {
                moved = folded.changed() => {
                    if moved.is_err() {
                        return Some(status::stopping());
                    }
                    tokio::time::sleep(GATHER).await;
                }
                () = tokio::time::sleep(HEARTBEAT) => {
                    if let Some(end) = send(&sink, v1::WatchEvaluationsResponse::default(), self.seen).await {
                        return end;
                    }
                }
                () = stop.cancelled() => return Some(status::stopping()),
                () = sink.closed() => return None,
            }
        }
    }

    /// Evaluations that differ from what was sent: all of them at first.
    async fn changes(&mut self) -> Result<Vec<v1::WatchEvaluationsResponse>, satgas_engine::QueryError> {
        let engine = self.engine.clone();
        let now = engine.now();
        let (seen, level, first) = (self.seen, self.level, self.sent.is_empty());
        let (prefix, period) = (&self.prefix, &self.period);
        let look = |folded: &Folded| {
            let period = period.clone().unwrap_or_else(|| current_month(folded, now));
            // A change of a kelurahan changes what it rolls up to.
            let mut causes: BTreeMap<&str, u64> = BTreeMap::new();
            if first {
                let areas = folded.views.registry().areas_within(prefix, level);
                causes.extend(areas.map(|area| (folded.views.registry().area(area).message.code.as_str(), 0)));
            } else {
                for (code, position) in folded.views.changed_after(seen, prefix) {
                    let cause = causes.entry(at_level(code, level)).or_default();
                    *cause = position.max(*cause);
                }
            }
            let evaluate = |(code, cause): (&str, u64)| {
                let evaluation = folded.views.evaluate(Subject::Area(code), &period, now)?;
                Some(v1::WatchEvaluationsResponse {
                    evaluation: Some(with_head(evaluation, folded)),
                    cause_position: cause,
                })
            };
            (causes.into_iter().filter_map(evaluate).collect::<Vec<_>>(), folded.views.position())
        };
        let (mut changes, position) = engine.query(0, look).await?;
        self.seen = position;
        changes.retain(|change| self.is_news(change));
        Ok(changes)
    }

    fn is_news(&mut self, change: &v1::WatchEvaluationsResponse) -> bool {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};

        use prost::Message as _;
        let Some(evaluation) = &change.evaluation else { return false };
        let Some(v1::evaluation::Subject::AreaCode(code)) = &evaluation.subject else { return false };
        // Of the basis only the rules are news.
        let rule_set = evaluation.basis.as_ref().map(|basis| basis.rule_set.clone()).unwrap_or_default();
        let basis = Some(v1::Basis { rule_set, ..Default::default() });
        let figures = v1::Evaluation { basis, ..evaluation.clone() };
        let mut hasher = DefaultHasher::new();
        figures.encode_to_vec().hash(&mut hasher);
        self.sent.insert(code.clone(), hasher.finish()) != Some(hasher.finish())
    }
}

/// The code cut to a level.
fn at_level(code: &str, level: Level) -> &str {
    let segments = match level {
        Level::Kota => 2,
        Level::Kecamatan => 3,
        Level::Kelurahan => 4,
    };
    code.match_indices('.').nth(segments - 1).map_or(code, |(end, _)| &code[..end])
}

/// Sends a message. `Some` ends the stream.
async fn send(
    sink: &Sink<v1::WatchEvaluationsResponse>,
    message: v1::WatchEvaluationsResponse,
    seen: u64,
) -> Option<Option<Status>> {
    match sink.send(message).await {
        Ok(()) => None,
        Err(Gone::Closed) => Some(None),
        Err(Gone::Stalled) => Some(Some(status::stalled(seen))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_cut_to_its_level() {
        let cut = [Level::Kota, Level::Kecamatan, Level::Kelurahan].map(|level| at_level("53.71.04.1001", level));
        assert_eq!(cut, ["53.71", "53.71.04", "53.71.04.1001"]);
    }

    #[test]
    fn the_last_page_has_no_token() {
        let page = |token| offset_page(vec![1, 2, 3], token, 2).ok();
        assert_eq!(page(""), Some((vec![1, 2], "2".to_owned())));
        assert_eq!(page("2"), Some((vec![3], String::new())));
        assert_eq!(page("x"), None);
    }
}
