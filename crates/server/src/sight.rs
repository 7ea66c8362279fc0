//! How much a caller gets to see of what it may see at all: everything, or the shape of its class.

use std::sync::Arc;

use satgas_domain::{
    policy::{Grant, Reach},
    shape::{CLASSES, Class, Shape},
    time::Calendar,
    views::Known,
};
use satgas_engine::Lens;
use satgas_proto::v1::{self, submission::Reporter};
use tonic::{Request, Status};

/// The institution that the items of a list are limited to, where that is what the caller has; the decision on a call puts it beside the
/// request. Lists are cut to pages of what is left, so that no page and no token tells how many of others there are.
#[derive(Clone)]
pub(crate) struct OwnInstitution(Option<String>);

impl OwnInstitution {
    /// What a reach leaves beside its area prefix.
    pub(crate) fn of(reach: &Reach) -> Self {
        Self(if let Reach::Institution(own) = reach { Some(own.clone()) } else { None })
    }

    /// What stands beside a request.
    pub(crate) fn beside<T>(request: &Request<T>) -> Result<Self, Status> {
        let own = request.extensions().get::<Self>().cloned();
        own.ok_or_else(|| Status::internal("it was not decided whose items may be listed"))
    }

    /// Whether something that an institution reported, or nobody in particular, may be listed.
    pub(crate) fn has(&self, institution: Option<&str>) -> bool {
        self.0.is_none() || self.0.as_deref() == institution
    }

    /// The same of a record.
    pub(crate) fn reported(&self, submission: Option<&v1::Submission>) -> bool {
        match submission.and_then(|submission| submission.reporter.as_ref()) {
            Some(Reporter::InstitutionId(id)) => self.has(Some(id)),
            _ => self.has(None),
        }
    }
}

/// The shape of each class, with what was shaped lately for all of its callers.
#[derive(Clone)]
pub(crate) struct Sights(Arc<[(Class, Shaped)]>);

/// One class' shape.
#[derive(Clone)]
pub(crate) struct Shaped {
    shape: Arc<Shape>,
    lens: Lens,
}

/// What one caller sees. The decision on a call puts it beside the request; a service that finds none answers nothing.
#[derive(Clone)]
pub(crate) struct Sight(Option<Shaped>);

impl Sights {
    /// Numbers below `small_below` are small; each class keeps about `bytes_max` of the latest events and as much of history.
    pub(crate) fn new(small_below: u32, calendar: &Calendar, bytes_max: usize) -> Self {
        let shaped = |class| {
            let shape = Arc::new(Shape::new(class, small_below, calendar.clone()));
            let of_events = Arc::clone(&shape);
            let lens = Lens::new(bytes_max, move |event| of_events.event(event));
            (class, Shaped { shape, lens })
        };
        Self(CLASSES.into_iter().map(shaped).collect())
    }

    /// What is seen of what was granted.
    pub(crate) fn of(&self, grant: Grant) -> Sight {
        let class = Class::of(grant);
        Sight(class.and_then(|class| self.0.iter().find(|(of, _)| *of == class)).map(|(_, shaped)| shaped.clone()))
    }
}

impl Sight {
    /// What stands beside a request.
    pub(crate) fn beside<T>(request: &Request<T>) -> Result<Self, Status> {
        let sight = request.extensions().get::<Self>().cloned();
        sight.ok_or_else(|| Status::internal("it was not decided how much of the answer may be shown"))
    }

    /// What events are read through; none reads them as they are stored.
    pub(crate) fn lens(&self) -> Option<&Lens> {
        self.0.as_ref().map(|shaped| &shaped.lens)
    }

    /// An evaluation as it is shown, of the moment that it was made at.
    pub(crate) fn evaluation(&self, known: &Known<'_>, mut evaluation: v1::Evaluation) -> v1::Evaluation {
        if let Some(shaped) = &self.0 {
            shaped.shape.evaluation(known, &mut evaluation);
        }
        evaluation
    }

    /// The same of a trend.
    pub(crate) fn trend(&self, known: &Known<'_>, mut trend: v1::Trend) -> v1::Trend {
        if let Some(shaped) = &self.0 {
            shaped.shape.trend(known, &mut trend);
        }
        trend
    }

    /// Leaves of a comparison what is shown; false when nothing of it is left.
    pub(crate) fn change(&self, change: &mut v1::EvaluationChange) -> bool {
        self.0.as_ref().is_none_or(|shaped| shaped.shape.change(change))
    }

    /// Whether the event that changed an evaluation is named.
    pub(crate) fn tells_causes(&self) -> bool {
        self.0.as_ref().is_none_or(|shaped| shaped.shape.tells_causes())
    }

    /// Leaves of a warning what is shown.
    pub(crate) fn warning(&self, warning: &mut v1::Warning) {
        if let Some(shaped) = &self.0 {
            shaped.shape.warning(warning);
        }
    }

    /// Leaves of a case what is shown.
    pub(crate) fn case(&self, case: &mut v1::Case) {
        if let Some(shaped) = &self.0 {
            shaped.shape.case(case);
        }
    }

    /// Leaves what is shown of what is sealed, held and erased of a case.
    pub(crate) fn sealing(&self, sealing: &mut v1::CaseSealing) {
        if let Some(shaped) = &self.0 {
            shaped.shape.sealing(sealing);
        }
    }
}
