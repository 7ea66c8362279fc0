//! An event as one line.

use jiff::tz::TimeZone;
use satgas_proto::v1::{self, event::Body, registry_entry::Entry, submission::Content};

use crate::{
    case::steps,
    codes::{self, Code as _},
    print::{SAMPLE, shorten},
    time,
    told::{FEW, WITHHELD, why_not},
};

/// Position, when it was recorded, kind, where, and what.
pub(super) fn line(event: &v1::Event, zone: &TimeZone) -> String {
    let place = match (event.area_code.as_str(), event.institution_id.as_str()) {
        ("", "") => "-".to_owned(),
        (area, "") => area.to_owned(),
        ("", institution) => institution.to_owned(),
        (area, institution) => format!("{area} {institution}"),
    };
    let what = match &event.body {
        Some(body) => body_text(body, event.shaping.as_ref(), zone),
        // Only that there was one is told.
        None => event.shaping.as_ref().map(|_| WITHHELD.to_owned()).unwrap_or_default(),
    };
    let recorded = time::show(event.recorded_at.as_ref(), zone);
    let kind = codes::label::<v1::EventKind>(event.kind);
    shorten(&format!("#{}  {recorded}  {kind:<17}  {place:<13}  {what}", event.position), 200)
}

fn body_text(body: &Body, shaping: Option<&v1::Shaping>, zone: &TimeZone) -> String {
    match body {
        Body::LogOpened(opened) => {
            let mark = if opened.sample_data { format!(" {SAMPLE}") } else { String::new() };
            format!("log {} in {}{mark}", opened.log_id, opened.time_zone)
        }
        Body::Registered(entry) => entry.entry.as_ref().map(entry_text).unwrap_or_default(),
        Body::Submitted(submission) => submission_text(submission, shaping, zone),
        Body::Conflicting(conflicting) => {
            let kept = conflicting.submission.clone().unwrap_or_default();
            let cause = conflicting.cause().label();
            format!("{cause}, beside #{}: {}", conflicting.stands_position, submission_text(&kept, shaping, zone))
        }
        Body::CaseAdvanced(advanced) => {
            let command = advanced.command.clone().unwrap_or_default();
            let step = command.step.as_ref().map_or("-", steps::word_of);
            format!("case {} v{}: {step}", command.case_id, advanced.version)
        }
        Body::RuleSetRecorded(recorded) => {
            let rules = recorded.rule_set.clone().unwrap_or_default();
            format!("{} from {}: {}", rules.name, rules.valid_from, recorded.reason)
        }
        Body::ReleasePublished(release) => {
            let draft = release.draft.clone().unwrap_or_default();
            let corrects =
                if draft.corrects_id.is_empty() { String::new() } else { format!(", corrects {}", draft.corrects_id) };
            format!("{} as {}{corrects}: {}", draft.period, release.release_id, draft.note)
        }
        Body::DeadlineMissed(missed) => {
            let due = time::show(missed.due_at.as_ref(), zone);
            format!("{} of {} {} was due {due}", missed.kind().label(), missed.item_id, missed.detail)
        }
        Body::ConflictResolved(resolution) => {
            format!(
                "conflict #{}: {}: {}",
                resolution.conflict_position,
                resolution.decision().label(),
                resolution.reason
            )
        }
        Body::Quarantined(kept) => {
            let right = kept.right.clone().unwrap_or_default();
            let ended = time::show(right.ended_at.as_ref(), zone);
            let record = submission_text(&kept.submission.clone().unwrap_or_default(), None, zone);
            format!("token {} {} {ended}: {record}", right.token_id, right.end().label())
        }
        Body::QuarantineDecided(decided) => {
            let decision = decided.decision.clone().unwrap_or_default();
            let verdict = decision.verdict().label();
            format!("quarantined #{}: {verdict}: {}", decision.quarantined_position, decision.reason)
        }
        Body::IdentitySealed(sealed) => {
            let by = sealed.by.as_ref().map_or_else(String::new, |by| format!(" by {}", by.id));
            format!("case {} v{}: {}{by}", sealed.case_id, sealed.version, sealed.kind().label())
        }
        Body::PublicReportReceived(received) => format!("report {}", received.report_id),
        Body::PublicReportTriaged(e) => {
            let by = e.by.as_ref().map_or_else(String::new, |by| format!(" by {}", by.id));
            format!("report {} v{}: {}{by} {}", e.report_id, e.version, e.verdict().label(), e.reason)
        }
        Body::PublicReportMessage(e) => {
            let by = e.by.as_ref().map_or_else(|| "its reporter".to_owned(), |by| by.id.clone());
            format!("report {} v{}: by {by}", e.report_id, e.version)
        }
        Body::IdentityRead(_)
        | Body::HoldPlaced(_)
        | Body::HoldLifted(_)
        | Body::ErasureRequested(_)
        | Body::ErasureApproved(_)
        | Body::ErasureDeclined(_)
        | Body::CaseAssigned(_)
        | Body::CaseUnassigned(_)
        | Body::IdentityErased(_) => about_seals_text(body),
    }
}

/// Who did what about a case's sealed identities, and why.
fn about_seals_text(body: &Body) -> String {
    let (case_id, what, by) = match body {
        Body::IdentityRead(e) => (&e.case_id, format!("{}: {}", e.kind().label(), e.purpose), &e.by),
        Body::HoldPlaced(e) => (&e.case_id, e.reason.clone(), &e.by),
        Body::HoldLifted(e) => (&e.case_id, format!("{}: {}", e.hold_id, e.reason), &e.by),
        Body::ErasureRequested(e) => (&e.case_id, e.reason.clone(), &e.by),
        Body::ErasureApproved(e) => (&e.case_id, "approved".to_owned(), &e.by),
        Body::ErasureDeclined(e) => (&e.case_id, e.reason.clone(), &e.by),
        Body::CaseAssigned(e) => (&e.case_id, format!("to {}: {}", e.subject, e.reason), &e.by),
        Body::CaseUnassigned(e) => (&e.case_id, format!("from {}: {}", e.subject, e.reason), &e.by),
        Body::IdentityErased(e) => (&e.case_id, format!("{} seals", e.seals), &None),
        _ => return String::new(),
    };
    let by = by.as_ref().map_or_else(String::new, |by| format!("by {}, ", by.id));
    format!("case {case_id}: {by}{what}")
}

fn entry_text(entry: &Entry) -> String {
    match entry {
        Entry::Area(area) => format!("{} {}", area.code, area.name),
        Entry::Institution(institution) => format!("{} {}", institution.institution_id, institution.name),
        Entry::TaskForce(task_force) => {
            format!("{} ({}), since {}", task_force.task_force_id, task_force.kind, task_force.formed_on)
        }
        Entry::Member(member) => format!("{} of {}", member.member_id, member.task_force_id),
    }
}

fn submission_text(submission: &v1::Submission, shaping: Option<&v1::Shaping>, zone: &TimeZone) -> String {
    let what = submission.content.as_ref().map(|content| content_text(content, shaping)).unwrap_or_default();
    if submission.submission_id.is_empty() {
        return format!("of {}: {what}", time::show_day(submission.occurred_at.as_ref(), zone));
    }
    format!("{} of {}: {what}", submission.submission_id, time::show(submission.occurred_at.as_ref(), zone))
}

fn content_text(content: &Content, shaping: Option<&v1::Shaping>) -> String {
    match content {
        Content::MonitoringReport(report) => {
            format!("report of {} on {}, {} activities", report.task_force_id, report.month, report.activities.len())
        }
        Content::SchoolVisit(visit) => {
            let reach = visit.reach.unwrap_or_default();
            let purpose = match visit.purpose() {
                v1::VisitPurpose::Unspecified => "visit".to_owned(),
                purpose => purpose.label(),
            };
            let pupils = i64::from(reach.pupils_female) + i64::from(reach.pupils_male);
            // Part of the sum may be few.
            let path = |group: &str| format!("submitted.school_visit.reach.{group}");
            let few = ["pupils_female", "pupils_male"].iter().any(|group| why_not(shaping, &path(group)).is_some());
            let and_few = if few { format!(" and {FEW}") } else { String::new() };
            format!("{purpose} at {}, {pupils}{and_few} pupils", visit.school_id)
        }
        Content::ExposureSignal(signal) if signal.school_ids.is_empty() => {
            let platform = codes::label::<v1::Platform>(signal.platform);
            format!("a group on {platform}, schools {WITHHELD}")
        }
        Content::ExposureSignal(signal) => format!(
            "group {} on {}, schools {}",
            shorten(&signal.group_fingerprint, 13),
            codes::label::<v1::Platform>(signal.platform),
            signal.school_ids.join(" "),
        ),
        Content::CaseReport(report) => {
            let violence = report.violence.iter().map(|&code| codes::label::<v1::Violence>(code));
            format!("case: {}", violence.collect::<Vec<_>>().join(", "))
        }
        Content::Amendment(amendment) => format!("corrects {}: {}", amendment.corrects_id, amendment.reason),
        Content::Retraction(retraction) => format!("withdraws {}: {}", retraction.retracts_id, retraction.reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visit_is_told_in_one_line() {
        let visit = v1::SchoolVisit {
            school_id: "99900001".into(),
            purpose: v1::VisitPurpose::TindakLanjut.into(),
            reach: Some(v1::Reach { pupils_female: 12, pupils_male: 15, ..Default::default() }),
            ..Default::default()
        };
        let submission = v1::Submission {
            submission_id: "v-1".into(),
            content: Some(Content::SchoolVisit(visit)),
            ..Default::default()
        };
        let event = v1::Event {
            position: 12,
            kind: v1::EventKind::SchoolVisit.into(),
            area_code: "53.71.04.1001".into(),
            body: Some(Body::Submitted(Box::new(submission))),
            ..Default::default()
        };
        let expected = "#12  -  school visit       53.71.04.1001  v-1 of -: tindak lanjut at 99900001, 27 pupils";
        assert_eq!(line(&event, &TimeZone::UTC), expected);
    }

    #[test]
    fn what_a_role_is_not_told_is_said_and_not_left_out() {
        let visit = v1::SchoolVisit {
            school_id: "99900001".into(),
            reach: Some(v1::Reach { pupils_male: 15, ..Default::default() }),
            ..Default::default()
        };
        let submission = v1::Submission { content: Some(Content::SchoolVisit(visit)), ..Default::default() };
        let few = vec!["submitted.school_visit.reach.pupils_female".to_owned()];
        let visit = v1::Event {
            position: 12,
            kind: v1::EventKind::SchoolVisit.into(),
            area_code: "53.71.04.1001".into(),
            shaping: Some(v1::Shaping { few, ..Default::default() }),
            body: Some(Body::Submitted(Box::new(submission))),
            ..Default::default()
        };
        let expected = "#12  -  school visit       53.71.04.1001  of -: visit at 99900001, 15 and few pupils";
        assert_eq!(line(&visit, &TimeZone::UTC), expected);
        let fact = v1::Event {
            position: 13,
            kind: v1::EventKind::CaseReport.into(),
            area_code: "53.71".into(),
            shaping: Some(v1::Shaping::default()),
            ..Default::default()
        };
        assert_eq!(line(&fact, &TimeZone::UTC), "#13  -  case report        53.71          withheld");
    }

    #[test]
    fn a_log_of_invented_data_says_so_in_its_first_line() {
        let opened = v1::LogOpened { log_id: "l".into(), sample_data: true, time_zone: "Asia/Makassar".into() };
        let event = v1::Event { position: 1, body: Some(Body::LogOpened(opened)), ..Default::default() };
        assert!(line(&event, &TimeZone::UTC).ends_with("log l in Asia/Makassar DATA CONTOH"));
    }
}
