//! Cases and how they are handled: assessed, answered, followed up, referred, sheltered, brought to court, closed, reopened, merged.
//!
//! A course only ever takes steps that are allowed, except for those that are meant to be refused. Each step reaches the server in a
//! later wave than the one before it.

use satgas_proto::v1::{
    self, AgeGroup, CaseOutcome, ElectronicViolence, LegalStage, Offender, Place, Risk, Service, Sex, Violence,
    case_command::Step,
    submission::{Content, Reporter},
};

use super::{
    super::{
        cast::{Cast, Home, Team},
        dice::Dice,
        year::{DAYS, Minute, Slot, date_text},
    },
    Answer, Arrival, Book, Call, fate,
};

const STREAM: u64 = 2_000;
/// Cases of one kelurahan in a thousand days.
const CASES_PERMILLE: u32 = 22;
const DAY_MIN: i32 = 24 * 60;

/// Writes the cases of every kelurahan.
pub(super) fn write(book: &mut Book, seed: u64, cast: &Cast, scale: u32) {
    for (stream, team) in (STREAM..).zip(cast.teams.iter().filter(|team| team.home == Home::Area)) {
        let mut dice = Dice::new(seed, stream);
        let schools: Vec<_> = cast.schools.iter().filter(|s| s.area == team.area).map(|s| s.id.as_str()).collect();
        for day in 0..DAYS {
            let count = (0..scale).filter(|_| dice.permille(CASES_PERMILLE)).count();
            if team.works_on(day) {
                for _ in 0..count {
                    let school = (!schools.is_empty() && dice.percent(45)).then(|| *dice.pick(&schools));
                    let report = any_report(&mut dice, school.unwrap_or_default());
                    let reporting_school = school.filter(|_| dice.percent(35));
                    any_case(book, &mut dice, &cast.offices, team, reporting_school, day, report);
                }
            }
        }
    }
}

/// A case of a child who was exposed through the group that spreads.
pub(super) fn exposed_child(book: &mut Book, dice: &mut Dice, offices: &[String], team: &Team, school: &str, day: i32) {
    let report = v1::CaseReport {
        violence: vec![Violence::Seksual.into(), Violence::Psikis.into()],
        electronic: vec![(*dice.pick(&[ElectronicViolence::Transmisi, ElectronicViolence::Perekaman])).into()],
        extortion: dice.percent(30),
        place: Place::Daring.into(),
        victim_age: AgeGroup::AgeGroup1317.into(),
        victim_sex: (*dice.pick(&[Sex::Perempuan, Sex::Perempuan, Sex::LakiLaki])).into(),
        victim_disability: false,
        offender: (*dice.pick(&[Offender::PacarTeman, Offender::TidakDiketahui])).into(),
        school_id: school.to_owned(),
    };
    let case = reported(book, dice, team, None, day, report);
    let handling = Handling {
        risk: if dice.percent(70) { Risk::Tinggi } else { Risk::Sedang },
        in_time: true,
        shelter: dice.percent(60),
        court: false,
    };
    let course = Course::new(dice, offices, case.at).handled(&handling);
    lead(book, dice, &case, course);
}

/// A case on its way: what its steps have to know of its report.
#[derive(Debug)]
struct Reported {
    id: String,
    at: Minute,
    slot: Slot,
    /// Sexual violence against a child: no mediation.
    of_a_child: bool,
}

fn reported(
    book: &mut Book,
    dice: &mut Dice,
    team: &Team,
    reporting_school: Option<&str>,
    day: i32,
    report: v1::CaseReport,
) -> Reported {
    let at = Minute::on(day, dice.number(7 * 60..=21 * 60));
    let of_a_child = is_of_a_child(&report);
    let (device, reporter) = match reporting_school {
        Some(id) => (format!("hp-{id}-3"), Reporter::InstitutionId(id.to_owned())),
        None => (team.device(3), team.reporter()),
    };
    let record = book.submission(dice, &device, reporter, at, Content::CaseReport(report));
    let (id, slot) = (record.submission_id.clone(), Slot::at_or_after(at));
    fate::send(book, dice, record, Arrival { slot, in_batch: false });
    Reported { id, at, slot, of_a_child }
}

fn is_of_a_child(report: &v1::CaseReport) -> bool {
    let child = matches!(report.victim_age(), AgeGroup::AgeGroup05 | AgeGroup::AgeGroup612 | AgeGroup::AgeGroup1317);
    child && report.violence.contains(&Violence::Seksual.into())
}

fn any_case(
    book: &mut Book,
    dice: &mut Dice,
    offices: &[String],
    team: &Team,
    reporting_school: Option<&str>,
    day: i32,
    report: v1::CaseReport,
) {
    let case = reported(book, dice, team, reporting_school, day, report.clone());
    if dice.percent(4) {
        // Somebody else reports the same thing again; it is noticed and merged.
        let duplicate = reported(book, dice, team, None, day, report);
        let merge = Step::Merge(v1::MergeCase { into_case_id: case.id.clone() });
        let noticed = case.at.max(duplicate.at).plus(dice.number(60..=2 * DAY_MIN));
        let slot = case.slot.max(duplicate.slot);
        lead(book, dice, &Reported { slot, of_a_child: false, ..duplicate }, vec![(noticed, merge)]);
    }
    let handling = Handling {
        risk: *dice.pick(&[Risk::Tinggi, Risk::Sedang, Risk::Sedang, Risk::Rendah, Risk::Rendah]),
        in_time: dice.percent(team.temperament.habits().responses_in_time),
        shelter: dice.percent(8),
        court: dice.percent(22),
    };
    let course = match dice.number(0..=99) {
        // Nobody ever looks at it.
        0..2 => Vec::new(),
        // It is looked at, and nothing follows.
        2..4 => Course::new(dice, offices, case.at).assessed(handling.risk).steps,
        _ => Course::new(dice, offices, case.at).handled(&handling),
    };
    lead(book, dice, &case, course);
}

fn any_report(dice: &mut Dice, school_id: &str) -> v1::CaseReport {
    let ages = [
        AgeGroup::AgeGroup05,
        AgeGroup::AgeGroup612,
        AgeGroup::AgeGroup1317,
        AgeGroup::AgeGroup1317,
        AgeGroup::AgeGroup1824,
        AgeGroup::AgeGroup2544,
        AgeGroup::AgeGroup4559,
    ];
    let violence = *dice.pick(&[
        Violence::Fisik,
        Violence::Psikis,
        Violence::Seksual,
        Violence::Seksual,
        Violence::Penelantaran,
        Violence::Eksploitasi,
    ]);
    let online = violence == Violence::Seksual && dice.percent(45);
    let offenders = [
        Offender::OrangTua,
        Offender::Keluarga,
        Offender::SuamiIstri,
        Offender::Tetangga,
        Offender::PacarTeman,
        Offender::TidakDiketahui,
    ];
    let electronic =
        online.then(|| i32::from(*dice.pick(&[ElectronicViolence::Perekaman, ElectronicViolence::Transmisi])));
    v1::CaseReport {
        violence: vec![violence.into()],
        electronic: electronic.into_iter().collect(),
        extortion: online && dice.percent(25),
        place: if online {
            Place::Daring.into()
        } else {
            (*dice.pick(&[Place::RumahTangga, Place::Sekolah, Place::FasilitasUmum, Place::TempatKerja])).into()
        },
        victim_age: (*dice.pick(&ages)).into(),
        victim_sex: (*dice.pick(&[Sex::Perempuan, Sex::Perempuan, Sex::Perempuan, Sex::LakiLaki])).into(),
        victim_disability: dice.percent(6),
        offender: (*dice.pick(&offenders)).into(),
        school_id: school_id.to_owned(),
    }
}

/// How a case is handled.
#[derive(Debug)]
struct Handling {
    risk: Risk,
    in_time: bool,
    shelter: bool,
    court: bool,
}

/// The steps of one case as they happen, each not before the one in front of it.
struct Course<'a> {
    dice: &'a mut Dice,
    offices: &'a [String],
    at: Minute,
    steps: Vec<(Minute, Step)>,
}

impl<'a> Course<'a> {
    fn new(dice: &'a mut Dice, offices: &'a [String], at: Minute) -> Self {
        Self { dice, offices, at, steps: Vec::new() }
    }

    /// Takes a step so many minutes after the one before.
    fn step(&mut self, minutes: std::ops::RangeInclusive<i32>, step: Step) {
        self.at = self.at.plus(self.dice.number(minutes));
        self.steps.push((self.at, step));
    }

    fn service(&mut self, minutes: std::ops::RangeInclusive<i32>, services: &[Service]) {
        let service = (*self.dice.pick(services)).into();
        self.step(minutes, Step::RecordService(v1::RecordService { service }));
    }

    fn assessed(mut self, risk: Risk) -> Self {
        let minutes = match risk {
            Risk::Tinggi => 5..=20,
            Risk::Sedang => 20..=90,
            Risk::Rendah | Risk::Unspecified => 60..=900,
        };
        self.step(minutes, Step::Assess(v1::AssessCase { risk: risk.into() }));
        self
    }

    /// The whole way of a case. One with a follow-up that nobody does stays open.
    fn handled(self, handling: &Handling) -> Vec<(Minute, Step)> {
        let mut course = self.assessed(handling.risk);
        course.answered(handling);
        if course.dice.percent(20) {
            course.referred();
        }
        for number in 1..=course.dice.number(0..=3).unsigned_abs() {
            if !course.followed_up(number, handling.in_time) {
                return course.steps;
            }
        }
        if handling.court {
            course.brought_to_court();
        }
        if handling.shelter {
            let days = 10 * DAY_MIN..=60 * DAY_MIN;
            course.step(days, Step::DischargeFromShelter(v1::DischargeFromShelter {}));
        }
        course.closed();
        if course.dice.percent(6) {
            let reason = "Kejadian berulang".to_owned();
            course.step(10 * DAY_MIN..=40 * DAY_MIN, Step::Reopen(v1::ReopenCase { reason }));
            course.service(60..=2 * DAY_MIN, &[Service::Psikologis, Service::BantuanHukum]);
            course.closed();
        }
        course.steps
    }

    /// The first response, within the target of the risk or after it, and more services.
    fn answered(&mut self, handling: &Handling) {
        let minutes = match (handling.risk, handling.in_time) {
            (Risk::Tinggi, true) => 5..=38,
            (Risk::Tinggi, false) => 80..=900,
            (Risk::Sedang, true) => 30..=260,
            (Risk::Sedang, false) => 400..=3 * DAY_MIN,
            (_, true) => 60..=2 * DAY_MIN,
            (_, false) => 7 * DAY_MIN..=14 * DAY_MIN,
        };
        if handling.shelter {
            self.step(minutes, Step::AdmitToShelter(v1::AdmitToShelter {}));
            self.service(30..=DAY_MIN, &[Service::Psikologis, Service::PendampinganTokohAgama]);
        } else {
            self.service(minutes, &[Service::Pengaduan, Service::Psikologis, Service::Kesehatan]);
        }
        for _ in 0..self.dice.number(0..=3) {
            self.service(
                DAY_MIN..=9 * DAY_MIN,
                &[Service::Psikologis, Service::Kesehatan, Service::BantuanHukum, Service::Pendidikan],
            );
        }
    }

    fn referred(&mut self) {
        let to_institution_id = self.dice.pick(self.offices).clone();
        let reason = "Layanan lanjutan".to_owned();
        self.step(60..=2 * DAY_MIN, Step::OfferReferral(v1::OfferReferral { to_institution_id, reason }));
        let answer = match self.dice.number(0..=9) {
            0..6 => Step::AcceptReferral(v1::AcceptReferral {}),
            6..9 => Step::RejectReferral(v1::RejectReferral { reason: "Kapasitas penuh".to_owned() }),
            _ => Step::RevokeReferral(v1::RevokeReferral { reason: "Ditangani sendiri".to_owned() }),
        };
        self.step(60..=3 * DAY_MIN, answer);
    }

    /// Plans a follow-up and does it, or forgets it; says which.
    fn followed_up(&mut self, number: u32, in_time: bool) -> bool {
        let planned = self.at.plus(self.dice.number(30..=600));
        let days = self.dice.number(5..=21);
        let due = planned.day() + days;
        let action = "Kunjungan pendampingan".to_owned();
        let follow_up = Some(v1::FollowUp { number, action, due_on: date_text(due) });
        self.at = planned;
        self.steps.push((planned, Step::PlanFollowUp(v1::PlanFollowUp { follow_up })));
        if self.dice.percent(4) {
            return false;
        }
        let in_time = self.dice.percent(if in_time { 94 } else { 60 });
        let day = if in_time { self.dice.number(planned.day() + 1..=due) } else { due + self.dice.number(1..=9) };
        self.at = Minute::on(day, self.dice.number(8 * 60..=16 * 60));
        self.steps.push((self.at, Step::CompleteFollowUp(v1::CompleteFollowUp { number })));
        true
    }

    fn brought_to_court(&mut self) {
        let stages =
            [LegalStage::Penyelidikan, LegalStage::Penyidikan, LegalStage::Penuntutan, LegalStage::Persidangan];
        let reached = usize::try_from(self.dice.number(1..=5)).expect("not negative");
        for stage in stages.iter().take(reached) {
            let stage = (*stage).into();
            self.step(5 * DAY_MIN..=25 * DAY_MIN, Step::RecordLegalStage(v1::RecordLegalStage { stage }));
        }
        if reached > stages.len() {
            let guilty = self.dice.percent(80);
            let prison_months = if guilty { self.dice.number(12..=120) } else { 0 };
            self.step(10 * DAY_MIN..=30 * DAY_MIN, Step::RecordVerdict(v1::RecordVerdict { guilty, prison_months }));
        }
    }

    fn closed(&mut self) {
        let outcomes = [
            CaseOutcome::TujuanTercapai,
            CaseOutcome::TujuanTercapai,
            CaseOutcome::TujuanTercapai,
            CaseOutcome::Pindah,
            CaseOutcome::MenolakLayanan,
        ];
        let outcome = (*self.dice.pick(&outcomes)).into();
        self.step(DAY_MIN..=12 * DAY_MIN, Step::Close(v1::CloseCase { outcome }));
    }
}

/// Sends the steps of a case, with the mistakes that people make on the way: a colleague decides on a version that is no longer, the
/// same step is sent twice, mediation is tried where the law forbids it.
fn lead(book: &mut Book, dice: &mut Dice, case: &Reported, course: Vec<(Minute, Step)>) {
    let mut slot = case.slot;
    for (expected_version, (at, step)) in (1..).zip(course) {
        slot = slot.plus(1).max(Slot::at_or_after(at));
        let command = v1::CaseCommand {
            command_id: dice.id(at),
            case_id: case.id.clone(),
            expected_version,
            occurred_at: Some(at.proto()),
            step: Some(step),
        };
        let stale = expected_version > 1 && dice.percent(2);
        let mediation = expected_version == 3 && case.of_a_child && dice.percent(15);
        if stale || mediation {
            let mut refused = v1::CaseCommand { command_id: dice.id(at), ..command.clone() };
            let reason = if stale {
                refused.expected_version -= 1;
                "STALE_VERSION"
            } else {
                refused.step = Some(Step::RecordService(v1::RecordService { service: Service::Mediasi.into() }));
                "STEP_NOT_ALLOWED"
            };
            book.call(slot, Call::Advance(refused, Answer::Refused(reason)));
            slot = slot.plus(1);
        }
        if !book.call(slot, Call::Advance(command.clone(), Answer::Accepted)) {
            return;
        }
        if dice.percent(4) {
            slot = slot.plus(1);
            book.call(slot, Call::Advance(command, Answer::AlreadyKnown));
        }
    }
}
