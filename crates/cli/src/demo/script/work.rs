//! The everyday work of the task forces: monthly reports, school visits, and what was agreed at them.

use satgas_proto::v1::{
    self, ActivityKind, RiskSignal, Topic, VisitPurpose,
    submission::{Content, Reporter},
};

use super::{
    super::{
        cast::{Cast, Habits, Home, School, Team},
        dice::Dice,
        year::{END, Minute, Month, Slot, date_text, months},
    },
    Arrival, Book, fate,
};

const STREAM: u64 = 1_000;
const SPARE_STREAM: u64 = 2;
/// Follow-ups that one record may report as done.
const DONE_MAX: usize = 50;

const TOPICS: [Topic; 5] =
    [Topic::KeamananDigital, Topic::Ksbe, Topic::Persetujuan, Topic::SaluranPelaporan, Topic::Pengasuhan];
const SIGNALS: [RiskSignal; 6] = [
    RiskSignal::GrupDigital,
    RiskSignal::Perundungan,
    RiskSignal::Pemerasan,
    RiskSignal::Grooming,
    RiskSignal::Ketidakhadiran,
    RiskSignal::KekerasanRumah,
];
const ACTIONS: [&str; 4] = [
    "Membentuk kelompok teman sebaya",
    "Memasang poster saluran pelaporan",
    "Melatih guru piket",
    "Rapat dengan orang tua",
];
const OBSTACLES: [&str; 4] = ["", "", "Anggaran transportasi terbatas.", "Jaringan internet terputus."];

/// Writes the year of every task force.
pub(super) fn write(book: &mut Book, seed: u64, cast: &Cast, scale: u32) {
    for (stream, team) in (STREAM..).zip(&cast.teams) {
        let schools = match &team.home {
            Home::Area => cast.schools_near(team.area),
            Home::Institution(_) => Vec::new(),
        };
        let mut work = Work {
            team,
            habits: team.temperament.habits(),
            schools,
            dice: Dice::new(seed, stream),
            agreed: Vec::new(),
            scale,
        };
        work.year(book);
    }
}

/// A good visit that is not part of the story: to the first school, on the morning when the demo ends.
pub(super) fn spare_visit(book: &mut Book, seed: u64, cast: &Cast) -> v1::Submission {
    let mut dice = Dice::new(seed, SPARE_STREAM);
    let school = &cast.schools[0];
    let visit = visit(&mut dice, &school.id, Vec::new(), Vec::new());
    let reporter = Reporter::AreaCode(school.area.to_owned());
    book.submission(&mut dice, "hp-tamu-1", reporter, END.plus(-30), Content::SchoolVisit(visit))
}

/// Something agreed at a visit that will be done on a day.
#[derive(Clone, Debug)]
struct Agreed {
    visit_id: String,
    number: u32,
    done: i32,
}

/// One task force at work.
struct Work<'a> {
    team: &'a Team,
    habits: Habits,
    schools: Vec<&'a School>,
    dice: Dice,
    agreed: Vec<Agreed>,
    scale: u32,
}

impl Work<'_> {
    fn year(&mut self, book: &mut Book) {
        for month in months() {
            let spell = self.offline_spell(&month);
            for day in month.first..month.after {
                let visits = (0..self.scale).filter(|_| self.dice.permille(self.habits.visits)).count();
                if self.team.works_on(day) && !self.schools.is_empty() {
                    (0..visits).for_each(|_| self.visit(book, day, spell));
                }
            }
            if self.team.exists_within(month.first, month.after) {
                self.report(book, &month);
            }
        }
    }

    /// The days of the month on which the device has no network, if any: from the first to the one on which it is back.
    fn offline_spell(&mut self, month: &Month) -> Option<(i32, i32)> {
        let from = self.dice.number(month.first..=month.after - 1);
        let days = self.dice.number(5..=16);
        self.dice.percent(self.habits.offline).then_some((from, from + days))
    }

    fn visit(&mut self, book: &mut Book, day: i32, spell: Option<(i32, i32)>) {
        let at = Minute::on(day, self.dice.number(8 * 60..=14 * 60));
        let school = self.dice.pick(&self.schools).id.clone();
        let follow_ups = self.follow_ups(day);
        let done = self.done_by(day);
        let visit = visit(&mut self.dice, &school, follow_ups.iter().map(|(f, _)| f.clone()).collect(), done);
        let device = self.team.device(1);
        let record = book.submission(&mut self.dice, &device, self.team.reporter(), at, Content::SchoolVisit(visit));
        for (follow_up, done) in follow_ups {
            let visit_id = record.submission_id.clone();
            self.agreed.extend(done.map(|done| Agreed { visit_id, number: follow_up.number, done }));
        }
        let arrival = match spell {
            Some((from, back)) if (from..back).contains(&day) => {
                Arrival { slot: Slot::at_or_after(Minute::on(back, 12 * 60)).min(Slot::LAST), in_batch: true }
            }
            _ => Arrival { slot: Slot::at_or_after(at.plus(self.dice.number(0..=600))), in_batch: false },
        };
        fate::send(book, &mut self.dice, record, arrival);
    }

    /// What is agreed at a visit, each with the day on which it will be done, if ever.
    fn follow_ups(&mut self, day: i32) -> Vec<(v1::FollowUp, Option<i32>)> {
        let count = *self.dice.pick(&[0, 0, 1, 1, 2]);
        (1..=count)
            .map(|number| {
                let due = day + self.dice.number(7..=28);
                let (kept, late) = (self.habits.follow_ups_kept, self.habits.follow_ups_late);
                let done = match self.dice.number(0..=99).unsigned_abs() {
                    roll if roll < kept => Some(self.dice.number(day + 2..=due)),
                    roll if roll < kept + late => Some(due + self.dice.number(1..=25)),
                    _ => None,
                };
                let action = (*self.dice.pick(&ACTIONS)).to_owned();
                (v1::FollowUp { number, action, due_on: date_text(due) }, done)
            })
            .collect()
    }

    /// What was done by a day and not told yet.
    fn done_by(&mut self, day: i32) -> Vec<v1::FollowUpDone> {
        let (mut told, mut left) = (Vec::new(), Vec::new());
        for agreed in self.agreed.drain(..) {
            if agreed.done <= day && told.len() < DONE_MAX {
                told.push(v1::FollowUpDone {
                    visit_id: agreed.visit_id,
                    number: agreed.number,
                    done_on: date_text(agreed.done),
                });
            } else {
                left.push(agreed);
            }
        }
        self.agreed = left;
        told
    }

    fn report(&mut self, book: &mut Book, month: &Month) {
        let (in_time, late) = (self.habits.reports_in_time, self.habits.reports_late);
        let day = match self.dice.number(0..=99).unsigned_abs() {
            roll if roll < in_time => month.after + self.dice.number(0..=3),
            roll if roll < in_time + late => month.after + self.dice.number(6..=18),
            _ => return,
        };
        if self.team.silent_from <= day {
            return;
        }
        let at = Minute::on(day, self.dice.number(9 * 60..=17 * 60));
        let report = self.monthly_report(month, day);
        let device = self.team.device(1);
        let record =
            book.submission(&mut self.dice, &device, self.team.reporter(), at, Content::MonitoringReport(report));
        let arrival = Arrival { slot: Slot::at_or_after(at), in_batch: false };
        fate::send(book, &mut self.dice, record, arrival);
    }

    fn monthly_report(&mut self, month: &Month, day: i32) -> v1::MonitoringReport {
        let kinds = [
            ActivityKind::Rapat,
            ActivityKind::Sosialisasi,
            ActivityKind::KunjunganRumah,
            ActivityKind::Patroli,
            ActivityKind::Koordinasi,
        ];
        let activities = self
            .dice
            .some(&kinds, 3)
            .into_iter()
            .map(|kind| v1::Activity {
                kind: kind.into(),
                count: self.dice.number(1..=6),
                participants: self.dice.number(5..=120),
            })
            .collect();
        v1::MonitoringReport {
            task_force_id: self.team.id.clone(),
            month: month.code.clone(),
            activities,
            members_present: self.dice.number(1..=8),
            obstacles: (*self.dice.pick(&OBSTACLES)).to_owned(),
            risk_signals: seen(&mut self.dice),
            follow_ups_done: self.done_by(day),
        }
    }
}

fn visit(
    dice: &mut Dice,
    school_id: &str,
    follow_ups: Vec<v1::FollowUp>,
    follow_ups_done: Vec<v1::FollowUpDone>,
) -> v1::SchoolVisit {
    let purposes =
        [VisitPurpose::Sosialisasi, VisitPurpose::Sosialisasi, VisitPurpose::Pemantauan, VisitPurpose::TindakLanjut];
    v1::SchoolVisit {
        school_id: school_id.to_owned(),
        purpose: (*dice.pick(&purposes)).into(),
        topics: dice.some(&TOPICS, 2).into_iter().map(Into::into).collect(),
        reach: Some(v1::Reach {
            pupils_female: dice.number(8..=60),
            pupils_male: dice.number(8..=60),
            teachers_female: dice.number(0..=6),
            teachers_male: dice.number(0..=4),
            parents_female: dice.number(0..=12),
            parents_male: dice.number(0..=6),
        }),
        risk_signals: seen(dice),
        follow_ups,
        follow_ups_done,
        notes: String::new(),
    }
}

fn seen(dice: &mut Dice) -> Vec<i32> {
    let count = *dice.pick(&[0, 0, 0, 1, 2]);
    dice.some(&SIGNALS, count).into_iter().map(Into::into).collect()
}
