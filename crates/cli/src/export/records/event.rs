//! An event as a row: what one sorts and filters by in columns, the whole fact as JSON.

use satgas_proto::v1::{self, event::Body};

use crate::{
    codes::{self, Code as _},
    export::table::{Field, Kind, Value},
};

/// The columns, in the order of [`row`].
pub(super) fn fields() -> [Field; 8] {
    [
        Field::required("position", Kind::Count),
        Field::optional("recorded_at", Kind::Time),
        Field::optional("occurred_at", Kind::Time),
        Field::required("kind", Kind::Text),
        Field::optional("area_code", Kind::Text),
        Field::optional("institution_id", Kind::Text),
        Field::optional("submission_id", Kind::Document),
        Field::required("body_json", Kind::Document),
    ]
}

/// The event's row. `body_json` is the fact in canonical JSON under its name, such as `{"submitted":{...}}`.
///
/// # Errors
/// When the fact cannot be written as JSON.
pub(super) fn row(event: v1::Event) -> anyhow::Result<Vec<Value>> {
    let v1::Event { position, recorded_at, kind, area_code, institution_id, shaping, body, salt: _ } = event;
    let submission = body.as_ref().and_then(submission);
    let occurred_at = match &body {
        Some(Body::CaseAdvanced(advanced)) => advanced.command.as_ref().and_then(|step| step.occurred_at.as_ref()),
        _ => submission.and_then(|submission| submission.occurred_at.as_ref()),
    };
    let occurred_at = Value::time(occurred_at);
    let submission_id = Value::text(submission.map(|submission| submission.submission_id.as_str()).unwrap_or_default());
    let kind = v1::EventKind::try_from(kind).map_or_else(|_| codes::label::<v1::EventKind>(kind), |kind| kind.word());
    // An event with nothing but its body, and what is missing from it: its canonical JSON leaves everything else out.
    let body_json = serde_json::to_string(&v1::Event { shaping, body, ..Default::default() })?;
    Ok(vec![
        Value::Count(position),
        Value::time(recorded_at.as_ref()),
        occurred_at,
        Value::Text(kind),
        Value::text(area_code),
        Value::text(institution_id),
        submission_id,
        Value::Text(body_json),
    ])
}

fn submission(body: &Body) -> Option<&v1::Submission> {
    match body {
        Body::Submitted(submission) => Some(submission),
        Body::Conflicting(conflicting) => conflicting.submission.as_ref(),
        Body::Quarantined(kept) => kept.submission.as_ref(),
        Body::LogOpened(_)
        | Body::Registered(_)
        | Body::CaseAdvanced(_)
        | Body::RuleSetRecorded(_)
        | Body::DeadlineMissed(_)
        | Body::ConflictResolved(_)
        | Body::IdentitySealed(_)
        | Body::IdentityRead(_)
        | Body::HoldPlaced(_)
        | Body::HoldLifted(_)
        | Body::ErasureRequested(_)
        | Body::ErasureApproved(_)
        | Body::IdentityErased(_)
        | Body::QuarantineDecided(_)
        | Body::CaseAssigned(_)
        | Body::CaseUnassigned(_)
        | Body::ErasureDeclined(_)
        | Body::PublicReportReceived(_)
        | Body::PublicReportTriaged(_)
        | Body::PublicReportMessage(_)
        | Body::ReleasePublished(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_found_by_its_id_and_time_and_keeps_everything_in_its_body() {
        let submission = v1::Submission {
            submission_id: "v-1".into(),
            occurred_at: Some(pbjson_types::Timestamp { seconds: 60, nanos: 0 }),
            ..Default::default()
        };
        let event = v1::Event {
            position: 9,
            kind: v1::EventKind::SchoolVisit.into(),
            area_code: "53.71.04.1001".into(),
            body: Some(Body::Submitted(Box::new(submission))),
            ..Default::default()
        };
        let row = row(event).unwrap();
        assert_eq!(row.len(), fields().len());
        assert_eq!((&row[0], &row[3]), (&Value::Count(9), &Value::Text("school-visit".into())));
        assert_eq!(row[2], Value::Time("1970-01-01T00:01:00Z".parse().unwrap()));
        assert_eq!((&row[1], &row[5], &row[6]), (&Value::Absent, &Value::Absent, &Value::Text("v-1".into())));
        let expected = r#"{"submitted":{"submissionId":"v-1","occurredAt":"1970-01-01T00:01:00+00:00"}}"#;
        assert_eq!(row[7], Value::Text(expected.into()));
    }

    #[test]
    fn a_step_of_a_case_has_the_time_at_which_it_was_taken() {
        let command = v1::CaseCommand {
            occurred_at: Some(pbjson_types::Timestamp { seconds: 60, nanos: 0 }),
            ..Default::default()
        };
        let body = Body::CaseAdvanced(v1::CaseAdvanced { command: Some(command), version: 2 });
        let row = row(v1::Event { body: Some(body), ..Default::default() }).unwrap();
        assert_eq!((&row[2], &row[6]), (&Value::Time("1970-01-01T00:01:00Z".parse().unwrap()), &Value::Absent));
    }
}
