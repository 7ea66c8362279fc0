//! Whether something about a public report may be recorded.

use satgas_proto::v1::{self, PublicReportVerdict, Violation, event::Body};

use super::{ANSWERS_MAX, MESSAGES_MAX, Report, Reports};
use crate::{
    id::{Level, SubmissionId},
    registry::Registry,
    sealed::{self, Refusal, Sealing, Sealings},
    validate::{self, Violations},
};

/// Milliseconds of a day.
const DAY_MS: u128 = 86_400_000;

/// What a decision is made on.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// What would be recorded.
    pub body: &'a Body,
    /// Of a report that is received, the code of its kelurahan, or empty.
    pub area_code: &'a str,
    /// Version that the report must have, where the agency acts.
    pub expected_version: u64,
}

impl Ask<'_> {
    /// Decides: the code of the area that the event belongs to, and the report's version before it.
    pub fn decide(
        &self,
        registry: &Registry,
        reports: &Reports,
        sealings: &Sealings,
    ) -> Result<(String, u64), Refusal> {
        let found = well_formed(self.body);
        if !found.is_empty() {
            return Err(Refusal::Invalid(found));
        }
        if let Body::PublicReportReceived(received) = self.body {
            reports.may_be_received(registry, received, self.area_code)?;
            return Ok((self.area_code.to_owned(), 0));
        }
        let id = sealed::case_of(self.body).unwrap_or_default();
        let report = reports.find_text(id).ok_or(Refusal::UnknownReport)?;
        let is_erased = sealings.get(report.id).is_some_and(Sealing::must_be_erased);
        match self.body {
            Body::PublicReportTriaged(triaged) => self.triage(report, triaged, is_erased)?,
            Body::PublicReportMessage(v1::PublicReportMessage { by: Some(_), .. }) => self.answer(report, is_erased)?,
            Body::PublicReportMessage(_) if is_erased => {
                return Err(Refusal::NotAllowed("this report is closed: send a new one"));
            }
            Body::PublicReportMessage(_) if report.message_count() >= MESSAGES_MAX => {
                return Err(Refusal::NotAllowed("no more messages are taken for this report: send a new one"));
            }
            Body::PublicReportMessage(_) => {}
            _ => return Err(Refusal::NotAllowed("it is nothing about public reports")),
        }
        Ok((report.area_code.clone(), report.version))
    }

    fn triage(&self, report: &Report, triaged: &v1::PublicReportTriaged, is_erased: bool) -> Result<(), Refusal> {
        self.fits(report, is_erased)?;
        match (report.verdict(), triaged.verdict()) {
            (PublicReportVerdict::TakeUp, _) => Err(Refusal::NotAllowed("the report is a case already: go on there")),
            (PublicReportVerdict::Dismiss, PublicReportVerdict::Dismiss) => {
                Err(Refusal::NotAllowed("the report was dismissed already"))
            }
            _ => Ok(()),
        }
    }

    fn answer(&self, report: &Report, is_erased: bool) -> Result<(), Refusal> {
        self.fits(report, is_erased)?;
        if report.messages.len() - report.message_count() >= ANSWERS_MAX {
            return Err(Refusal::NotAllowed("no more messages can be left for this reporter"));
        }
        Ok(())
    }

    fn fits(&self, report: &Report, is_erased: bool) -> Result<(), Refusal> {
        if self.expected_version == 0 {
            return Err(sealed::invalid("expected_version", "is missing: versions are counted from 1"));
        }
        if is_erased {
            return Err(Refusal::Erased);
        }
        if self.expected_version != report.version {
            return Err(Refusal::StaleVersion { current: report.version });
        }
        Ok(())
    }
}

impl Reports {
    /// Looks whether a report fits what is registered and known, which is done before a key is made for it as well. A code that two reports had
    /// would find one of them only: whoever meets this has made the code before.
    pub fn may_be_received(
        &self,
        registry: &Registry,
        received: &v1::PublicReportReceived,
        area_code: &str,
    ) -> Result<(), Refusal> {
        let is_kelurahan = |area| registry.area(area).level == Level::Kelurahan;
        if !area_code.is_empty() && !registry.find_area(area_code).is_some_and(is_kelurahan) {
            let reason = "is not the code of a registered kelurahan: leave it empty when it is not known";
            return Err(sealed::invalid("area_code", reason));
        }
        match received.code_hash.first_chunk() {
            Some(locator) if self.by_code.contains_key(locator) => {
                Err(sealed::invalid("code_hash", "is of a code that was used: make a new one"))
            }
            _ => Ok(()),
        }
    }
}

/// Looks at what is to be recorded by itself: every field that is refused.
#[must_use]
pub fn well_formed(body: &Body) -> Vec<Violation> {
    let mut v = Violations::default();
    match body {
        Body::PublicReportReceived(e) => {
            timeless_id(&mut v, "report_id", &e.report_id);
            v.require(e.code_hash.len() == 32, "code_hash", "is not a hash of 32 bytes");
            if let Some(categories) = &e.categories {
                v.within("categories", |v| validate::reported_categories(v, categories));
            }
        }
        Body::PublicReportTriaged(e) => {
            v.id("command_id", &e.command_id);
            v.id("report_id", &e.report_id);
            match e.verdict() {
                PublicReportVerdict::Unspecified => v.add("decision", "is missing: open_case or dismiss"),
                PublicReportVerdict::Dismiss => sealed::reason(&mut v, "dismiss", &e.reason),
                PublicReportVerdict::TakeUp => {}
            }
        }
        Body::PublicReportMessage(e) if e.by.is_none() => timeless_id(&mut v, "message_id", &e.command_id),
        Body::PublicReportMessage(e) => {
            v.id("command_id", &e.command_id);
            v.id("report_id", &e.report_id);
        }
        _ => {}
    }
    v.into_vec()
}

/// An id that does not tell when it was made: it becomes a case's, which more people see than the report.
fn timeless_id(v: &mut Violations, field: &str, text: &str) {
    match SubmissionId::parse(text) {
        Err(reason) => v.add(field, reason),
        Ok(id) if !(id.bits() >> 80).is_multiple_of(DAY_MS) => {
            v.add(field, "tells the time at which it was made: make it with the time of a midnight in UTC");
        }
        Ok(_) => {}
    }
}

/// Looks at what a report says. No reason repeats anything of it.
pub fn report_text(v: &mut Violations, content: &v1::PublicReportText) {
    let v1::PublicReportText { text, contact, victim, reporter, alleged_offender } = content;
    v.text("text", text, 1, 4_000);
    v.require(text.is_empty() || !text.trim().is_empty(), "text", "is blank: write what happened");
    v.text("contact", contact, 0, 200);
    for (field, person) in [("victim", victim), ("reporter", reporter), ("alleged_offender", alleged_offender)] {
        if let Some(person) = person {
            v.within(field, |v| sealed::identity(v, person));
        }
    }
}

/// Looks at a message to or from a reporter.
pub fn message_text(v: &mut Violations, message: &v1::PublicMessageText) {
    v.text("text", &message.text, 1, 2_000);
    v.require(message.text.is_empty() || !message.text.trim().is_empty(), "text", "is blank");
}
