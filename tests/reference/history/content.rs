//! Contents of records by chance, well-formed unless they are meant not to be.

use jiff::{Timestamp, ToSpan as _, civil::Date};
use rand::{
    RngExt as _,
    seq::{IndexedRandom as _, SliceRandom as _},
};
use satgas_proto::v1::{self, amendment::Replacement};

use super::{people::some_day, world::World};
use crate::reference::time::date_of;

/// Kinds of records, each with how often it comes.
pub(crate) const KINDS: [(Kind, u32); 4] =
    [(Kind::Report, 34), (Kind::Visit, 26), (Kind::Signal, 16), (Kind::Case, 14)];

/// Kind of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Report,
    Visit,
    Signal,
    Case,
}

/// A follow-up that some visit of the history agreed.
pub(crate) struct Agreed {
    visit_id: String,
    number: u32,
    due_on: Date,
}

impl World {
    /// Content of a kind, as the task force with this index would state it at `at` of something that occurred at `occurred`.
    pub(crate) fn content(
        &mut self,
        kind: Kind,
        id: &str,
        task_force: usize,
        occurred: Timestamp,
        at: Timestamp,
    ) -> Replacement {
        match kind {
            Kind::Report => Replacement::MonitoringReport(self.report(task_force, occurred, at)),
            Kind::Visit => Replacement::SchoolVisit(self.visit(id, occurred, at)),
            Kind::Signal => Replacement::ExposureSignal(self.signal(occurred)),
            Kind::Case => Replacement::CaseReport(self.case_report()),
        }
    }

    fn report(&mut self, task_force: usize, occurred: Timestamp, at: Timestamp) -> v1::MonitoringReport {
        let back = [0, 1, 1, 1, 2].choose(&mut self.rng).expect("there are five").months();
        let this_month = date_of(occurred, &self.zone).first_of_month();
        let mut month = this_month.checked_sub(back).expect("far from the ends of time");
        let formed_on = &self.people.task_forces[task_force].formed_on;
        if month.last_of_month().to_string() < *formed_on && self.rng.random_bool(0.9) {
            month = this_month;
        }
        v1::MonitoringReport {
            task_force_id: self.people.task_forces[task_force].task_force_id.clone(),
            month: format!("{}-{:02}", month.year(), month.month()),
            activities: vec![v1::Activity {
                kind: v1::ActivityKind::Rapat.into(),
                count: self.rng.random_range(1..5),
                participants: self.rng.random_range(0..50),
            }],
            members_present: self.rng.random_range(0..12),
            obstacles: String::new(),
            risk_signals: vec![v1::RiskSignal::GrupDigital.into()],
            follow_ups_done: self.follow_ups_done(at),
        }
    }

    fn visit(&mut self, id: &str, occurred: Timestamp, at: Timestamp) -> v1::SchoolVisit {
        let mut follow_ups = Vec::new();
        for number in 1..=self.rng.random_range(0..4) {
            let from = date_of(occurred, &self.zone);
            let until = from.checked_add(40.days()).expect("far from the ends of time");
            let due_on = some_day(&mut self.rng, from, until).max(from.to_string());
            let due_day = due_on.parse().expect("a day");
            self.agreed.push(Agreed { visit_id: id.to_owned(), number, due_on: due_day });
            follow_ups.push(v1::FollowUp { number, action: "Tindakan contoh".to_owned(), due_on });
        }
        v1::SchoolVisit {
            school_id: self.some_school(occurred),
            purpose: v1::VisitPurpose::Sosialisasi.into(),
            topics: vec![v1::Topic::Ksbe.into(), v1::Topic::Persetujuan.into()],
            reach: Some(v1::Reach {
                pupils_female: self.rng.random_range(0..60),
                pupils_male: self.rng.random_range(0..60),
                teachers_female: self.rng.random_range(0..9),
                ..v1::Reach::default()
            }),
            risk_signals: Vec::new(),
            follow_ups,
            follow_ups_done: self.follow_ups_done(at),
            notes: String::new(),
        }
    }

    /// Some follow-ups that were agreed, by anybody and whether or not their visit was sent yet, done early or late.
    fn follow_ups_done(&mut self, at: Timestamp) -> Vec<v1::FollowUpDone> {
        let mut done = Vec::new();
        for _ in 0..self.rng.random_range(0..3) {
            let shift = self.rng.random_range(-4..4_i64).days();
            let Some(agreed) = self.agreed.choose(&mut self.rng) else { break };
            let done_on = agreed.due_on.checked_add(shift).expect("far from the ends of time");
            done.push(v1::FollowUpDone {
                visit_id: agreed.visit_id.clone(),
                number: agreed.number,
                done_on: done_on.min(date_of(at, &self.zone)).to_string(),
            });
        }
        done
    }

    fn signal(&mut self, occurred: Timestamp) -> v1::ExposureSignal {
        let mut school_ids: Vec<String> =
            (0..self.rng.random_range(1..3)).map(|_| self.some_school(occurred)).collect();
        school_ids.sort();
        school_ids.dedup();
        v1::ExposureSignal {
            platform: v1::Platform::Whatsapp.into(),
            group_fingerprint: format!("{:064x}", self.rng.random_range(1..7)),
            school_ids,
            estimated_members: self.rng.random_range(0..300),
            contents: vec![v1::ContentKind::Gambar.into()],
            evidence: Vec::new(),
        }
    }

    fn case_report(&mut self) -> v1::CaseReport {
        let rng = &mut self.rng;
        let mut violence: Vec<i32> = (1..8).collect();
        violence.shuffle(rng);
        violence.truncate(rng.random_range(1..4));
        let mut electronic = Vec::new();
        if violence.contains(&v1::Violence::Seksual.into()) {
            electronic = (1..4).collect();
            electronic.shuffle(rng);
            electronic.truncate(rng.random_range(0..3));
        }
        v1::CaseReport {
            violence,
            electronic,
            extortion: rng.random_bool(0.3),
            place: rng.random_range(1..8),
            victim_age: rng.random_range(1..8),
            victim_sex: rng.random_range(1..3),
            victim_disability: rng.random_bool(0.2),
            offender: rng.random_range(1..11),
            school_id: String::new(),
        }
    }

    /// A school; few of those drawn did not exist then, and the server refuses records of them.
    fn some_school(&mut self, occurred: Timestamp) -> String {
        let day = date_of(occurred, &self.zone).to_string();
        let schools = self.people.schools();
        let mut drawn = &schools[0];
        for _ in 0..4 {
            drawn = schools.choose(&mut self.rng).expect("there are schools");
            let ended = !drawn.valid_until.is_empty() && drawn.valid_until < day;
            if drawn.valid_from <= day && !ended {
                break;
            }
        }
        drawn.institution_id.clone()
    }
}
