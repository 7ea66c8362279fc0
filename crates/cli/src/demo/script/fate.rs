//! What happens to a record on its way: it comes twice, is corrected, corrected before it came, withdrawn, contradicted, refused.

use satgas_proto::v1::{self, amendment::Replacement, submission::Content};

use super::{
    super::{dice::Dice, year::Slot},
    Answer, Arrival, Book,
};

/// What is wrong with a record on its first try, by the field that the server should name.
const REACH: &str = "school_visit.reach.pupils_female";
const MEMBERS: &str = "monitoring_report.members_present";
const ESTIMATE: &str = "exposure_signal.estimated_members";
const OCCURRED: &str = "occurred_at";
/// No fate takes longer than this.
const FATE_SLOTS_MAX: i32 = 16;

/// Sends a record and lets its fate befall it. A case report always arrives as it should; only what follows it differs.
pub(super) fn send(book: &mut Book, dice: &mut Dice, record: v1::Submission, arrival: Arrival) {
    if arrival.slot.plus(FATE_SLOTS_MAX) > Slot::LAST {
        book.record(arrival, record, Answer::Accepted);
        return;
    }
    let later = arrival.slot.plus(dice.number(1..=8));
    let is_case = matches!(record.content, Some(Content::CaseReport(_)));
    match dice.number(0..=999) {
        0..60 => {
            book.record(arrival, record.clone(), Answer::Accepted);
            book.record(Arrival { slot: later, in_batch: false }, record, Answer::AlreadyKnown);
        }
        60..100 => corrected(book, dice, &record, arrival, later),
        100..108 => contradicted(book, dice, record, arrival, later),
        108..116 if !is_case => corrected_before_it_came(book, dice, record, arrival),
        116..126 if !is_case => withdrawn(book, dice, &record, arrival, later),
        126..134 if !is_case => refused_at_first(book, dice, record, arrival),
        134..136 if !is_case => correction_of_nothing(book, dice, &record, arrival),
        _ => {
            book.record(arrival, record, Answer::Accepted);
        }
    }
}

/// An amendment or retraction made by the record's own device shortly before `slot`.
fn about(book: &mut Book, dice: &mut Dice, record: &v1::Submission, slot: Slot, content: Content) -> v1::Submission {
    let reporter = record.reporter.clone().expect("every record of the story has a reporter");
    book.submission(dice, &record.device_id, reporter, slot.minute().plus(-20), content)
}

fn amendment(corrects: &str, reason: &str, replacement: Replacement) -> Content {
    Content::Amendment(v1::Amendment {
        corrects_id: corrects.to_owned(),
        reason: reason.to_owned(),
        occurred_at: None,
        replacement: Some(replacement),
    })
}

/// The record with another count.
fn mended(dice: &mut Dice, record: &v1::Submission) -> Replacement {
    match record.content.clone().expect("every record of the story has a content") {
        Content::MonitoringReport(mut r) => {
            r.members_present = dice.number(1..=9);
            Replacement::MonitoringReport(r)
        }
        Content::SchoolVisit(mut r) => {
            if let Some(reach) = &mut r.reach {
                reach.pupils_female += dice.number(1..=9);
            }
            Replacement::SchoolVisit(r)
        }
        Content::ExposureSignal(mut r) => {
            r.estimated_members += dice.number(1..=40);
            Replacement::ExposureSignal(r)
        }
        Content::CaseReport(mut r) => {
            r.victim_disability = !r.victim_disability;
            Replacement::CaseReport(r)
        }
        Content::Amendment(_) | Content::Retraction(_) => unreachable!("only records are sent on their way"),
    }
}

/// One correction; sometimes a second one that corrects the first, sometimes one that comes too late and contradicts it.
fn corrected(book: &mut Book, dice: &mut Dice, record: &v1::Submission, arrival: Arrival, later: Slot) {
    book.record(arrival, record.clone(), Answer::Accepted);
    let by_itself = |slot| Arrival { slot, in_batch: false };
    let replacement = mended(dice, record);
    let content = amendment(&record.submission_id, "Salah hitung", replacement);
    let first = about(book, dice, record, later, content);
    book.record(by_itself(later), first.clone(), Answer::Accepted);
    let (next, follow) = (later.plus(dice.number(1..=4)), dice.number(0..=9));
    let (corrects, answer) = match follow {
        0..2 => (&first.submission_id, Answer::Accepted),
        2 => (&record.submission_id, Answer::Conflict),
        _ => return,
    };
    let replacement = mended(dice, record);
    let content = amendment(corrects, "Dihitung ulang", replacement);
    let second = about(book, dice, record, next, content);
    book.record(by_itself(next), second, answer);
}

/// The same id comes again with other content.
fn contradicted(book: &mut Book, dice: &mut Dice, record: v1::Submission, arrival: Arrival, later: Slot) {
    let mut other = record.clone();
    other.content = Some(match mended(dice, &record) {
        Replacement::MonitoringReport(mut r) => {
            // The draft in the other tab had one more obstacle.
            r.obstacles.push_str(" Laporan dari tab kedua.");
            Content::MonitoringReport(r)
        }
        Replacement::SchoolVisit(r) => Content::SchoolVisit(r),
        Replacement::ExposureSignal(r) => Content::ExposureSignal(r),
        Replacement::CaseReport(r) => Content::CaseReport(r),
    });
    book.record(arrival, record, Answer::Accepted);
    book.record(Arrival { slot: later, in_batch: false }, other, Answer::Conflict);
}

/// The phone with the correction finds a network before the phone with the record.
fn corrected_before_it_came(book: &mut Book, dice: &mut Dice, record: v1::Submission, arrival: Arrival) {
    let replacement = mended(dice, &record);
    let content = amendment(&record.submission_id, "Salah hitung", replacement);
    let correction = about(book, dice, &record, arrival.slot, content);
    book.record(Arrival { slot: arrival.slot, in_batch: false }, correction, Answer::Held);
    let slot = arrival.slot.plus(dice.number(1..=8));
    book.record(Arrival { slot, in_batch: true }, record, Answer::Accepted);
}

/// A withdrawal; sometimes somebody corrects the record all the same.
fn withdrawn(book: &mut Book, dice: &mut Dice, record: &v1::Submission, arrival: Arrival, later: Slot) {
    book.record(arrival, record.clone(), Answer::Accepted);
    let content = Content::Retraction(v1::Retraction {
        retracts_id: record.submission_id.clone(),
        reason: "Dicatat dua kali".to_owned(),
    });
    let retraction = about(book, dice, record, later, content);
    book.record(Arrival { slot: later, in_batch: false }, retraction, Answer::Accepted);
    if dice.percent(30) {
        let slot = later.plus(dice.number(1..=4));
        let replacement = mended(dice, record);
        let content = amendment(&record.submission_id, "Salah hitung", replacement);
        let correction = about(book, dice, record, slot, content);
        book.record(Arrival { slot, in_batch: false }, correction, Answer::Conflict);
    }
}

/// The first try is refused; mended, it is taken under the same id.
fn refused_at_first(book: &mut Book, dice: &mut Dice, record: v1::Submission, arrival: Arrival) {
    let mut bad = record.clone();
    let field = if dice.percent(30) {
        // A clock that runs three days ahead.
        bad.occurred_at = Some(arrival.slot.minute().plus(3 * 24 * 60).proto());
        OCCURRED
    } else {
        match bad.content.as_mut().expect("every record of the story has a content") {
            Content::MonitoringReport(r) => {
                r.members_present = -1;
                MEMBERS
            }
            Content::SchoolVisit(r) => {
                if let Some(reach) = &mut r.reach {
                    reach.pupils_female = -1;
                }
                REACH
            }
            Content::ExposureSignal(r) => {
                r.estimated_members = -1;
                ESTIMATE
            }
            Content::CaseReport(_) | Content::Amendment(_) | Content::Retraction(_) => {
                unreachable!("case reports are not refused, and only records are sent on their way")
            }
        }
    };
    book.record(arrival, bad, Answer::Rejected(field));
    let slot = arrival.slot.plus(dice.number(1..=2));
    book.record(Arrival { slot, in_batch: false }, record, Answer::Accepted);
}

/// A correction of a record that was lost with its phone.
fn correction_of_nothing(book: &mut Book, dice: &mut Dice, record: &v1::Submission, arrival: Arrival) {
    book.record(arrival, record.clone(), Answer::Accepted);
    let replacement = mended(dice, record);
    let lost = dice.id(arrival.slot.minute().plus(-60));
    let content = amendment(&lost, "Salah hitung", replacement);
    let correction = about(book, dice, record, arrival.slot.plus(1), content);
    book.record(Arrival { slot: arrival.slot.plus(1), in_batch: false }, correction, Answer::Held);
    book.held_for_ever += 1;
}
