//! `EvaluationService`: evaluations, asked for and watched.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use satgas_domain::{
    id::Level,
    registry::Scope,
    time::Period,
    views::{EvaluatedBody, Known, ListQuery, Moment, Ranks, Subject, sort, subject_code},
};
use satgas_engine::{Engine, Folded};
use satgas_proto::v1::{
    self, AreaLevel, evaluation_service_server::EvaluationService, explain_indicator_request as explain,
    get_evaluation_request as get,
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::{
    look::{Page, each, look, look_at, look_within, moment, parse},
    sight::Sight,
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
        let sight = Sight::beside(&request)?;
        let r = request.into_inner();
        let (period, body) = (parse_period("period", &r.period)?, parse_body(r.body)?);
        let subject = match &r.subject {
            None => return Err(no_subject()),
            Some(get::Subject::AreaCode(code)) => Subject::Area(code, body),
            Some(get::Subject::InstitutionId(id)) => Subject::Institution(id),
        };
        let evaluate = |known: Known<'_>| {
            let evaluation = known.evaluate(subject, &period.unwrap_or_else(|| known.current_month()))?;
            Some(sight.evaluation(&known, evaluation))
        };
        let evaluation = look(&self.engine, r.min_position, r.as_of, evaluate).await?;
        let evaluation = evaluation.ok_or_else(|| not_registered(subject))?;
        Ok(Response::new(v1::GetEvaluationResponse { evaluation: Some(evaluation) }))
    }

    async fn list_evaluations(
        &self,
        request: Request<v1::ListEvaluationsRequest>,
    ) -> Result<Response<v1::ListEvaluationsResponse>, Status> {
        let sight = Sight::beside(&request)?;
        let r = request.into_inner();
        let (size, page) = (page_size(r.page_size, 1_000, 10_000)?, Page::parse(&r.page_token)?);
        known_code::<v1::EvaluationOrder>("order", r.order)?;
        let asked = Asked::parse(&r.period, &r.area_prefix, r.level, r.body)?;
        let moment = page.moment(&self.engine, r.min_position, r.as_of).await?;
        let (query, subjects) = asked.listed(&self.engine, moment).await?;
        // Shaped before they are put in order: an order by what is withheld would tell it.
        let evaluate = |known: Known<'_>, part: &[Scope]| evaluations(&sight, known, &query, part);
        let (evaluations, next_page_token) = if r.order() == v1::EvaluationOrder::Unspecified {
            // By code: only those of the page need figures.
            let (subjects, next) = page.cut(subjects, size, moment);
            (each(&self.engine, moment, &subjects, evaluate).await?, next)
        } else {
            let mut all = each(&self.engine, moment, &subjects, evaluate).await?;
            sort(&mut all, r.order());
            page.cut(all, size, moment)
        };
        Ok(Response::new(v1::ListEvaluationsResponse { evaluations, next_page_token }))
    }

    async fn explain_indicator(
        &self,
        request: Request<v1::ExplainIndicatorRequest>,
    ) -> Result<Response<v1::ExplainIndicatorResponse>, Status> {
        let sight = Sight::beside(&request)?;
        let r = request.into_inner();
        let (size, page) = (page_size(r.page_size, 1_000, 10_000)?, Page::parse(&r.page_token)?);
        let (period, body) = (parse_period("period", &r.period)?, parse_body(r.body)?);
        known_code::<v1::IndicatorKind>("indicator", r.indicator)?;
        if r.indicator() == v1::IndicatorKind::Unspecified {
            return Err(status::invalid_field("indicator", "is missing"));
        }
        let subject = match &r.subject {
            None => return Err(no_subject()),
            Some(explain::Subject::AreaCode(code)) => Subject::Area(code, body),
            Some(explain::Subject::InstitutionId(id)) => Subject::Institution(id),
        };
        let moment = page.moment(&self.engine, r.min_position, r.as_of).await?;
        let explain = |known: Known<'_>| {
            let period = period.unwrap_or_else(|| known.current_month());
            let evaluation = sight.evaluation(&known, known.evaluate(subject, &period)?);
            Some((evaluation, known.explain(subject, &period, r.indicator())?))
        };
        let explained = look_at(&self.engine, moment, explain).await?;
        let (evaluation, explained) = explained.ok_or_else(|| not_registered(subject))?;
        let (items, next_page_token) = page.cut(explained.items, size, moment);
        Ok(Response::new(v1::ExplainIndicatorResponse {
            evaluation: Some(evaluation),
            indicator: Some(explained.indicator),
            weight: explained.weight,
            cut: Some(explained.cut.to_proto()),
            items,
            next_page_token,
        }))
    }

    async fn list_trends(
        &self,
        request: Request<v1::ListTrendsRequest>,
    ) -> Result<Response<v1::ListTrendsResponse>, Status> {
        let sight = Sight::beside(&request)?;
        let r = request.into_inner();
        let (size, page) = (page_size(r.page_size, 1_000, 10_000)?, Page::parse(&r.page_token)?);
        let asked = Asked::parse(&r.period, &r.area_prefix, r.level, r.body)?;
        let moment = page.moment(&self.engine, r.min_position, r.as_of).await?;
        let (query, subjects) = asked.listed(&self.engine, moment).await?;
        let (subjects, next_page_token) = page.cut(subjects, size, moment);
        // Ranks are among all of a kota, whatever part of it is asked for, and no other kota than those of the page need figures.
        let kota = look_at(&self.engine, moment, |known| known.ranked_within(&query, &subjects)).await?;
        let mut placed = Vec::new();
        for prefix in &kota {
            let all = ListQuery { prefix, ..query.clone() };
            let ranked = look_at(&self.engine, moment, |known| known.listed(&all)).await?;
            placed.extend(each(&self.engine, moment, &ranked, |known, part| known.placed(&all, part)).await?);
        }
        let ranks = Ranks::of(&placed);
        let trends = |known: Known<'_>, part: &[Scope]| {
            let trends = known.trends(&query, part, &ranks).into_iter();
            trends.map(|trend| sight.trend(&known, trend)).collect()
        };
        let trends = each(&self.engine, moment, &subjects, trends).await?;
        Ok(Response::new(v1::ListTrendsResponse { trends, next_page_token }))
    }

    async fn compare_evaluations(
        &self,
        request: Request<v1::CompareEvaluationsRequest>,
    ) -> Result<Response<v1::CompareEvaluationsResponse>, Status> {
        let sight = Sight::beside(&request)?;
        let r = request.into_inner();
        let (size, page) = (page_size(r.page_size, 100, 1_000)?, Page::parse(&r.page_token)?);
        let asked = Asked::parse(&r.period, &r.area_prefix, r.level, r.body)?;
        let then = parse(r.then, "then")?.ok_or_else(|| status::invalid_field("then", "is missing"))?;
        parse(r.now, "now")?;
        let now = page.moment(&self.engine, 0, r.now).await?;
        let then = moment(&self.engine, 0, Some(then)).await?;
        if now.position < then.position || now.now < then.now {
            return Err(status::invalid_field("then", "lies after now"));
        }
        let (query, _) = asked.listed(&self.engine, now).await?;
        let (body, period) = (query.body, &query.period);
        let either = |folded: &Folded| folded.views.at(now).listed_since(&folded.views.at(then), &query);
        let subjects = self.engine.query(now.position, either).await.map_err(status::query)?;
        // A page goes on with the subject that the one before stopped at, so that each is compared once and few are kept.
        let mut changes = Vec::new();
        let mut numbered = (0..).zip(subjects).skip(page.first()).collect::<Vec<(usize, Scope)>>().into_iter();
        while changes.len() <= size && numbered.len() > 0 {
            let part: Vec<(usize, Scope)> = numbered.by_ref().take(PART).collect();
            let compare = |folded: &Folded| {
                let (then, now) = (folded.views.at(then), folded.views.at(now));
                let change = |(at, subject): (usize, Scope)| {
                    let mut change = now.change_since(&then, subject, body, period)?;
                    sight.change(&mut change).then_some((at, change))
                };
                part.into_iter().filter_map(change).collect::<Vec<_>>()
            };
            changes.extend(self.engine.query(now.position, compare).await.map_err(status::query)?);
            tokio::task::consume_budget().await;
        }
        let next_page_token = changes.get(size).map_or_else(String::new, |(at, _)| Page::token(*at, now));
        let changes = changes.into_iter().take(size).map(|(_, change)| change).collect();
        let basis = |known: Known<'_>| known.basis(known.rules_of(period));
        let (then, now) = (look_at(&self.engine, then, basis).await?, look_at(&self.engine, now, basis).await?);
        Ok(Response::new(v1::CompareEvaluationsResponse { changes, next_page_token, then: Some(then), now: Some(now) }))
    }

    type WatchEvaluationsStream = BoxStream<v1::WatchEvaluationsResponse>;

    async fn watch_evaluations(
        &self,
        request: Request<v1::WatchEvaluationsRequest>,
    ) -> Result<Response<Self::WatchEvaluationsStream>, Status> {
        let sight = Sight::beside(&request)?;
        let r = request.into_inner();
        let asked = Asked::parse(&r.period, &r.area_prefix, r.level, r.body)?;
        let watch = Watch { engine: self.engine.clone(), asked, sight, seen: None, sent: HashMap::new() };
        look_within(&self.engine, 0, None, &watch.asked.prefix, |_| ()).await?;
        let stop = self.streams.stop.clone();
        self.streams.open(move |sink| watch.run(sink, stop)).map(Response::new)
    }
}

/// Subjects that a comparison looks at in one go.
const PART: usize = 8;

/// What a list of evaluations is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    period: Option<Period>,
    prefix: String,
    level: Option<Level>,
    body: EvaluatedBody,
}

impl Asked {
    pub(crate) fn parse(period: &str, prefix: &str, level: i32, body: i32) -> Result<Self, Status> {
        known_code::<AreaLevel>("level", level)?;
        let level = match AreaLevel::try_from(level).unwrap_or_default() {
            AreaLevel::Kota => Some(Level::Kota),
            AreaLevel::Kecamatan => Some(Level::Kecamatan),
            AreaLevel::Kelurahan | AreaLevel::Unspecified => Some(Level::Kelurahan),
            AreaLevel::Institution => None,
        };
        let (period, body) = (parse_period("period", period)?, parse_body(body)?);
        Ok(Self { period, prefix: prefix.to_owned(), level, body })
    }

    fn query(&self, known: Known<'_>) -> ListQuery<'_> {
        let period = self.period.clone().unwrap_or_else(|| known.current_month());
        ListQuery { period, prefix: &self.prefix, level: self.level, body: self.body, draft: None }
    }

    /// Those that are asked for, as of a moment, and the question.
    pub(crate) async fn listed(&self, engine: &Engine, moment: Moment) -> Result<(ListQuery<'_>, Vec<Scope>), Status> {
        let listed = |known: Known<'_>| {
            let query = self.query(known);
            known.has_within(&self.prefix).then(|| (query.clone(), known.listed(&query)))
        };
        look_at(engine, moment, listed).await?.ok_or_else(status::no_area_within)
    }
}

/// Evaluations of some of those that are asked for, as the caller sees them.
fn evaluations<'a>(sight: &Sight, known: Known<'a>, query: &ListQuery<'a>, part: &[Scope]) -> Vec<v1::Evaluation> {
    let evaluations = known.evaluations(query, part).into_iter();
    evaluations.map(|evaluation| sight.evaluation(&known, evaluation)).collect()
}

fn no_subject() -> Status {
    status::invalid_field("subject", "is missing: give area_code or institution_id")
}

fn not_registered(subject: Subject<'_>) -> Status {
    status::not_found(match subject {
        Subject::Area(..) => "area",
        Subject::Institution(_) => "institution",
    })
}

/// A period, or `None` for the current month.
fn parse_period(field: &str, code: &str) -> Result<Option<Period>, Status> {
    if code.is_empty() {
        return Ok(None);
    }
    let period = Period::parse(code);
    period
        .map(Some)
        .ok_or_else(|| status::invalid_field(field, "is not a period such as 2026, 2026-S1, 2026-Q1 or 2026-01"))
}

fn parse_body(body: i32) -> Result<EvaluatedBody, Status> {
    known_code::<v1::EvaluatedBody>("body", body)?;
    Ok(match v1::EvaluatedBody::try_from(body).unwrap_or_default() {
        v1::EvaluatedBody::Unspecified | v1::EvaluatedBody::Kelurahan => EvaluatedBody::Kelurahan,
        v1::EvaluatedBody::Institution => EvaluatedBody::Institutions,
    })
}

/// One client's watch: what it was told last, by area code or institution id.
struct Watch {
    engine: Engine,
    asked: Asked,
    sight: Sight,
    /// The position of what it was told last.
    seen: Option<u64>,
    /// Hash of the figures that were sent, by code or id.
    sent: HashMap<String, u64>,
}

impl Watch {
    async fn run(mut self, sink: Sink<v1::WatchEvaluationsResponse>, stop: CancellationToken) -> Option<Status> {
        let mut folded = self.engine.folded();
        loop {
            folded.borrow_and_update();
            let changes = match self.changes().await {
                Ok(changes) => changes,
                Err(status) => return Some(status),
            };
            let seen = self.seen.unwrap_or_default();
            for change in changes {
                if let Some(end) = send(&sink, change, seen).await {
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
                    if let Some(end) = send(&sink, v1::WatchEvaluationsResponse::default(), seen).await {
                        return end;
                    }
                }
                () = stop.cancelled() => return Some(status::stopping()),
                () = sink.closed() => return None,
            }
        }
    }

    /// Evaluations that differ from what was sent: all of them at first.
    async fn changes(&mut self) -> Result<Vec<v1::WatchEvaluationsResponse>, Status> {
        let moment = moment(&self.engine, 0, None).await?;
        let (query, subjects) =
            self.engine.query(0, |folded| self.changed(folded, moment)).await.map_err(status::query)?;
        let scopes: Vec<Scope> = subjects.iter().map(|(scope, _)| *scope).collect();
        let evaluate = |known: Known<'_>, part: &[Scope]| evaluations(&self.sight, known, &query, part);
        let evaluations = each(&self.engine, moment, &scopes, evaluate).await?;
        self.seen = Some(moment.position);
        let changes = evaluations.into_iter().zip(subjects).map(|(evaluation, (_, cause))| {
            let hides_cause = cause > 0 && !self.sight.tells_causes();
            let cause_position = if hides_cause { moment.position } else { cause };
            v1::WatchEvaluationsResponse { evaluation: Some(evaluation), cause_position }
        });
        let mut changes: Vec<_> = changes.collect();
        changes.retain(|change| is_news(&mut self.sent, change));
        Ok(changes)
    }

    /// Those whose evaluation may have changed since it was told last, and the position of the last event that may have.
    fn changed(&self, folded: &Folded, moment: Moment) -> (ListQuery<'_>, Vec<(Scope, u64)>) {
        let known = folded.views.at(moment);
        let query = self.asked.query(known);
        let Some(seen) = self.seen else {
            let all = known.listed(&query);
            return (query, all.into_iter().map(|scope| (scope, 0)).collect());
        };
        // A change of a kelurahan changes what it rolls up to, and what stands in it.
        let mut causes: BTreeMap<&str, u64> = BTreeMap::new();
        for (code, position) in folded.views.changed_after(seen, query.prefix) {
            let cause = causes.entry(at_level(code, query.level.unwrap_or(Level::Kelurahan))).or_default();
            *cause = position.max(*cause);
        }
        let changed = causes.into_iter().flat_map(|(prefix, cause)| {
            known.listed(&ListQuery { prefix, ..query.clone() }).into_iter().map(move |scope| (scope, cause))
        });
        let changed = changed.collect();
        (query, changed)
    }
}

fn is_news(sent: &mut HashMap<String, u64>, change: &v1::WatchEvaluationsResponse) -> bool {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};

    use prost::Message as _;
    let Some(evaluation) = &change.evaluation else { return false };
    // Of the basis only the rules are news.
    let rule_set = evaluation.basis.as_ref().map(|basis| basis.rule_set.clone()).unwrap_or_default();
    let basis = Some(v1::Basis { rule_set, ..Default::default() });
    let figures = v1::Evaluation { basis, ..evaluation.clone() };
    let mut hasher = DefaultHasher::new();
    figures.encode_to_vec().hash(&mut hasher);
    sent.insert(subject_code(evaluation).to_owned(), hasher.finish()) != Some(hasher.finish())
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
}
