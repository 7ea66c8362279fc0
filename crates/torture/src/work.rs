//! What the clients of a round send: made from the seed alone, so that the same seed sends the same bytes.

use pbjson_types::Timestamp;
use rand::{Rng as _, RngExt as _, SeedableRng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;
use satgas_proto::v1::{
    self, FollowUp, IdentityKind, IdentityToSeal, Reach, RegistryEntry, RiskSignal, Submission, Topic,
    case_command::Step as CaseStep, registry_entry::Entry, submission::Content, submission::Reporter,
};
use uuid::Builder;

/// 2025-03-10 in milliseconds: when everything that is reported happened. Long enough ago for deadlines to have passed, so that the server
/// writes events of its own beside those of the clients.
const OCCURRED_MS: u64 = 1_741_566_000_000;
const KELURAHAN: [&str; 4] = ["53.71.04.1001", "53.71.04.1002", "53.71.05.1001", "53.71.05.1002"];
const SCHOOLS: [&str; 4] = ["99900001", "99900002", "99900003", "99900004"];

/// One thing that a client does before it goes on to the next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Act {
    /// One record, and how often it is sent again although it was answered.
    Submit(Submission, usize),
    /// A stream of messages with records.
    Batch(Vec<Vec<Submission>>),
    /// A case, with identities to seal, and then steps, each on the version that the one before left; the number says on how many versions
    /// fewer it is, which is refused.
    Case(Submission, Vec<IdentityToSeal>, Vec<(v1::CaseCommand, u64)>),
}

/// An act, and whether its client gives up when it is not answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Turn {
    pub(crate) act: Act,
    pub(crate) gives_up: bool,
}

/// The generator of one part of a run.
pub(crate) fn random(seed: u64, round: u64, part: u64) -> ChaCha8Rng {
    let mut bytes = [0; 32];
    for (into, from) in bytes.chunks_mut(8).zip([seed, round, part, 0]) {
        into.copy_from_slice(&from.to_le_bytes());
    }
    ChaCha8Rng::from_seed(bytes)
}

/// What is registered before anything else.
pub(crate) fn registry() -> Vec<RegistryEntry> {
    let since = || "2025-01-01".to_owned();
    let area = |code: &str| {
        Entry::Area(v1::Area { code: code.into(), name: "Contoh".into(), valid_from: since(), ..Default::default() })
    };
    let mut entries: Vec<_> = ["53.71", "53.71.04", "53.71.05"].into_iter().chain(KELURAHAN).map(area).collect();
    for (index, (code, school)) in KELURAHAN.iter().zip(SCHOOLS).enumerate() {
        entries.push(Entry::TaskForce(v1::TaskForce {
            task_force_id: format!("satgas-{index}"),
            home: Some(v1::task_force::Home::AreaCode((*code).to_owned())),
            kind: "Satgas PPA".to_owned(),
            formed_on: since(),
            ..Default::default()
        }));
        entries.push(Entry::Institution(v1::Institution {
            institution_id: school.to_owned(),
            name: format!("SMP Contoh {index}"),
            kind: v1::InstitutionKind::Sekolah.into(),
            area_code: (*code).to_owned(),
            valid_from: since(),
            ..Default::default()
        }));
    }
    entries.into_iter().map(|entry| RegistryEntry { entry: Some(entry), ..Default::default() }).collect()
}

/// Makes what one client sends in a round.
pub(crate) struct Author {
    random: ChaCha8Rng,
    device: String,
    sequence: u64,
    /// Ids of records that this client has made, which later ones correct, withdraw or contradict.
    known: Vec<String>,
}

impl Author {
    pub(crate) fn new(seed: u64, round: u64, client: u64) -> Self {
        let device = format!("hp-{round}-{client}");
        Self { random: random(seed, round, client + 1), device, sequence: 0, known: Vec::new() }
    }

    /// Turns of single records.
    pub(crate) fn singles(&mut self, count: usize) -> Vec<Turn> {
        (0..count)
            .map(|_| {
                let again = if self.random.random_bool(0.1) { self.random.random_range(1..3) } else { 0 };
                let act = Act::Submit(self.record(), again);
                self.turn(act)
            })
            .collect()
    }

    /// Turns of batches, with up to `records` records each.
    pub(crate) fn batches(&mut self, count: usize, records: usize) -> Vec<Turn> {
        (0..count)
            .map(|_| {
                let messages = self.random.random_range(1..=4);
                let act = Act::Batch(
                    (0..messages)
                        .map(|_| (0..self.random.random_range(1..=records / 4)).map(|_| self.record()).collect())
                        .collect(),
                );
                self.turn(act)
            })
            .collect()
    }

    /// Turns of cases, each with its steps.
    pub(crate) fn cases(&mut self, count: usize) -> Vec<Turn> {
        (0..count)
            .map(|_| {
                let act = self.case();
                self.turn(act)
            })
            .collect()
    }

    /// A visit as plain as most are.
    pub(crate) fn visit(&mut self) -> Submission {
        let content = self.visit_content();
        self.submission(content)
    }

    fn turn(&mut self, act: Act) -> Turn {
        Turn { act, gives_up: self.random.random_bool(0.1) }
    }

    fn id(&mut self) -> String {
        let mut bytes = [0; 10];
        self.random.fill_bytes(&mut bytes);
        Builder::from_unix_timestamp_millis(OCCURRED_MS + self.sequence, &bytes).into_uuid().to_string()
    }

    fn moment(&self) -> Timestamp {
        // Within the year 2025, and far from the year 2200.
        let seconds = i64::try_from(OCCURRED_MS / 1_000 + self.sequence).expect("a time of this century");
        Timestamp { seconds, nanos: 0 }
    }

    fn record(&mut self) -> Submission {
        let known = self.known.choose(&mut self.random).cloned();
        match (self.random.random_range(0..20), known) {
            (0, Some(known)) => {
                // Other content under an id that is known.
                let content = self.visit_content();
                Submission { submission_id: known, ..self.submission(content) }
            }
            (1 | 2, Some(known)) => {
                let Content::SchoolVisit(visit) = self.visit_content() else { unreachable!("it makes visits") };
                self.submission(Content::Amendment(v1::Amendment {
                    corrects_id: known,
                    reason: "salah hitung".to_owned(),
                    occurred_at: None,
                    replacement: Some(v1::amendment::Replacement::SchoolVisit(visit)),
                }))
            }
            (3, Some(known)) => self.submission(Content::Retraction(v1::Retraction {
                retracts_id: known,
                reason: "dikirim dua kali".to_owned(),
            })),
            (4, _) => {
                // Corrects what nobody has sent, and is held.
                let retracts_id = self.id();
                self.submission(Content::Retraction(v1::Retraction { retracts_id, reason: "belum ada".to_owned() }))
            }
            (5, _) => {
                let fingerprint: u128 = self.random.random_range(0..8);
                let school_ids = SCHOOLS.sample(&mut self.random, 2).map(|s| (*s).to_owned()).collect();
                self.submission(Content::ExposureSignal(v1::ExposureSignal {
                    platform: v1::Platform::Whatsapp.into(),
                    group_fingerprint: format!("{fingerprint:064x}"),
                    school_ids,
                    estimated_members: 30,
                    contents: vec![v1::ContentKind::try_from(1).unwrap_or_default().into()],
                    evidence: Vec::new(),
                }))
            }
            _ => {
                let visit = self.visit();
                self.known.push(visit.submission_id.clone());
                visit
            }
        }
    }

    fn submission(&mut self, content: Content) -> Submission {
        self.sequence += 1;
        let area = KELURAHAN.choose(&mut self.random).expect("there are some");
        Submission {
            submission_id: self.id(),
            device_id: self.device.clone(),
            device_sequence: self.sequence,
            occurred_at: Some(self.moment()),
            reporter: Some(Reporter::AreaCode((*area).to_owned())),
            content: Some(content),
        }
    }

    fn visit_content(&mut self) -> Content {
        let pupils = self.random.random_range(0..200);
        // Now and then a record that does not fit into one frame of the log.
        let words = if self.random.random_bool(0.02) { 110 } else { self.random.random_range(0..12) };
        let follow_ups = (1..=self.random.random_range(0..3))
            .map(|number| FollowUp { number, action: "pertemuan".to_owned(), due_on: "2025-04-10".to_owned() })
            .collect();
        Content::SchoolVisit(v1::SchoolVisit {
            school_id: (*SCHOOLS.choose(&mut self.random).expect("there are some")).to_owned(),
            purpose: v1::VisitPurpose::Sosialisasi.into(),
            topics: vec![Topic::KeamananDigital.into(), Topic::Ksbe.into()],
            reach: Some(Reach { pupils_female: pupils, pupils_male: pupils / 2, ..Default::default() }),
            risk_signals: vec![RiskSignal::GrupDigital.into()],
            follow_ups,
            follow_ups_done: Vec::new(),
            notes: "catatan kunjungan ".repeat(words),
        })
    }

    fn case(&mut self) -> Act {
        let extortion = self.random.random_bool(0.3);
        let school = SCHOOLS.choose(&mut self.random).expect("there are some");
        let report = self.submission(Content::CaseReport(v1::CaseReport {
            violence: vec![v1::Violence::Seksual.into()],
            electronic: vec![v1::ElectronicViolence::Transmisi.into()],
            extortion,
            place: v1::Place::Daring.into(),
            victim_age: v1::AgeGroup::AgeGroup1317.into(),
            victim_sex: v1::Sex::Perempuan.into(),
            victim_disability: false,
            offender: v1::Offender::TidakDiketahui.into(),
            school_id: (*school).to_owned(),
        }));
        let identities = (0..self.random.random_range(0..2))
            .map(|_| IdentityToSeal {
                command_id: self.id(),
                kind: IdentityKind::Victim.into(),
                identity: Some(v1::PersonIdentity { full_name: "Contoh".to_owned(), ..Default::default() }),
            })
            .collect();
        let steps = [
            CaseStep::Assess(v1::AssessCase { risk: v1::Risk::Tinggi.into() }),
            CaseStep::RecordService(v1::RecordService { service: v1::Service::Psikologis.into() }),
            CaseStep::PlanFollowUp(v1::PlanFollowUp {
                follow_up: Some(FollowUp { number: 1, action: "telepon".to_owned(), due_on: "2025-04-01".to_owned() }),
            }),
            CaseStep::RecordService(v1::RecordService { service: v1::Service::BantuanHukum.into() }),
            CaseStep::CompleteFollowUp(v1::CompleteFollowUp { number: 1 }),
            CaseStep::Close(v1::CloseCase { outcome: v1::CaseOutcome::TujuanTercapai.into() }),
        ];
        let count = self.random.random_range(1..=steps.len());
        let mut commands = Vec::new();
        for step in steps.into_iter().take(count) {
            self.sequence += 1;
            let command = v1::CaseCommand {
                command_id: self.id(),
                case_id: report.submission_id.clone(),
                expected_version: 0,
                occurred_at: Some(self.moment()),
                step: Some(step),
            };
            if self.random.random_bool(0.1) {
                commands.push((v1::CaseCommand { command_id: self.id(), ..command.clone() }, 1));
            }
            commands.push((command, 0));
        }
        Act::Case(report, identities, commands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(seed: u64) -> Vec<Turn> {
        let mut author = Author::new(seed, 3, 1);
        [author.singles(200), author.batches(10, 40), author.cases(20)].concat()
    }

    #[test]
    fn the_same_seed_makes_the_same_work_and_another_one_other_work() {
        assert_eq!(all(7), all(7));
        assert_ne!(all(7), all(8));
    }
}
