//! What a class of readers gets: every field has a row, and nothing that was planted in a withheld one comes through.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use prost::{
    Message as _,
    encoding::{self, WireType},
};
use prost_types::{DescriptorProto, FieldDescriptorProto, field_descriptor_proto::Type};
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use satgas_domain::{
    policy::Grant,
    shape::{CLASSES, Class, FIELDS, KINDS, Place, SMALL_BELOW, Sending, Shape, Treatment},
    time::Calendar,
};
use satgas_proto::v1::{self, EventKind, event::Body, submission::Content, submission::Reporter};

use crate::policy::line;

const KELURAHAN: &str = "53.71.04.1001";

fn shape(class: Class) -> Shape {
    Shape::new(class, SMALL_BELOW, Calendar::new("Asia/Makassar").unwrap())
}

fn shaped(class: Class, event: &v1::Event) -> Option<v1::Event> {
    let bytes = shape(class).event(&event.encode_to_vec()).unwrap()?;
    Some(v1::Event::decode(bytes.as_slice()).unwrap())
}

fn messages() -> BTreeMap<String, DescriptorProto> {
    let files = prost_types::FileDescriptorSet::decode(satgas_proto::DESCRIPTORS).unwrap().file;
    let files = files.into_iter().filter(|file| file.package() == "satgas.v1");
    files.flat_map(|file| file.message_type).map(|message| (message.name().to_owned(), message)).collect()
}

/// The message of the vocabulary that a field holds.
fn held(field: &FieldDescriptorProto) -> Option<&str> {
    field.type_name().strip_prefix(".satgas.v1.").filter(|_| field.r#type() == Type::Message)
}

fn all_kinds() -> impl Iterator<Item = EventKind> {
    // Numbers may be left out.
    (1..1_000).filter_map(|kind| EventKind::try_from(kind).ok())
}

#[test]
fn every_field_of_every_message_in_an_event_has_a_row_and_every_row_a_field() {
    let messages = messages();
    let (mut waiting, mut fields) = (vec!["Event".to_owned()], BTreeSet::new());
    while let Some(name) = waiting.pop() {
        for field in &messages[&name].field {
            if fields.insert(format!("{name}.{}", field.name())) {
                waiting.extend(held(field).map(str::to_owned));
            }
        }
    }
    let rows = FIELDS.iter().flat_map(|(message, fields, _)| fields.iter().map(move |f| format!("{message}.{f}")));
    let rows: Vec<String> = rows.collect();
    assert_eq!(rows.iter().cloned().collect::<BTreeSet<_>>(), fields, "crates/domain/src/shape/table.rs");
    assert_eq!(rows.len(), fields.len(), "no field has two rows");
}

#[test]
fn every_kind_of_event_has_a_row_that_names_its_body() {
    assert!(KINDS.iter().map(|(kind, ..)| *kind).eq(all_kinds()));
    let event = &messages()["Event"];
    let is_body = |name: &str| event.field.iter().any(|f| f.name() == name && f.oneof_index.is_some());
    assert!(KINDS.iter().all(|(_, body, _)| is_body(body)));
}

/// Writes a message with something in every field: texts say which field they are of, of a choice one is taken.
struct Planted {
    messages: BTreeMap<String, DescriptorProto>,
    rng: ChaCha8Rng,
    kind: EventKind,
}

impl Planted {
    fn event(&mut self, kind: EventKind) -> Vec<u8> {
        self.kind = kind;
        let mut event = self.message("Event");
        encoding::int32::encode(3, &kind.into(), &mut event);
        // Stored events have their fields in order, and no shaping.
        v1::Event { shaping: None, ..v1::Event::decode(event.as_slice()).unwrap() }.encode_to_vec()
    }

    /// The member of a choice that fits the kind of the event, or any.
    fn choose(&mut self, message: &DescriptorProto, one_of: i32) -> String {
        let members = message.field.iter().filter(|field| field.oneof_index == Some(one_of));
        let members: Vec<&str> = members.map(FieldDescriptorProto::name).collect();
        let kind = self.kind.as_str_name().trim_start_matches("EVENT_KIND_").to_lowercase();
        let body = KINDS.iter().find(|(of_row, ..)| *of_row == self.kind).map_or("", |(_, body, _)| body);
        let fits = members.iter().find(|name| **name == kind || (message.name() == "Event" && **name == body));
        fits.copied().unwrap_or_else(|| members[self.rng.random_range(0..members.len())]).to_owned()
    }

    fn message(&mut self, name: &str) -> Vec<u8> {
        let message = self.messages[name].clone();
        let chosen: Vec<String> =
            (0..i32::try_from(message.oneof_decl.len()).unwrap()).map(|one_of| self.choose(&message, one_of)).collect();
        let mut out = Vec::new();
        for field in &message.field {
            if field.oneof_index.is_none() || chosen.iter().any(|name| name == field.name()) {
                let times = if field.label() == prost_types::field_descriptor_proto::Label::Repeated { 2 } else { 1 };
                (0..times).for_each(|_| self.field(name, field, &mut out));
            }
        }
        out
    }

    fn field(&mut self, message: &str, field: &FieldDescriptorProto, out: &mut Vec<u8>) {
        let number = u32::try_from(field.number()).unwrap();
        let bytes = match (field.r#type(), held(field)) {
            (Type::Message, Some(held)) => self.message(held),
            (Type::Message, None) => {
                let seconds = 1_770_000_000 + i64::from(self.rng.next_u32() % 10_000_000);
                pbjson_types::Timestamp { seconds, nanos: 7 }.encode_to_vec()
            }
            (Type::String, _) if field.name() == "area_code" => KELURAHAN.as_bytes().to_vec(),
            (Type::String | Type::Bytes, _) => format!("<{message}.{}>{}", field.name(), self.rng.next_u32()).into(),
            (Type::Double, _) => return encoding::double::encode(number, &self.rng.random_range(0.0..9.0), out),
            _ => return encoding::int32::encode(number, &self.rng.random_range(1..9), out),
        };
        encoding::encode_key(number, WireType::LengthDelimited, out);
        encoding::encode_varint(bytes.len() as u64, out);
        out.extend_from_slice(&bytes);
    }
}

fn sending(class: Class, kind: EventKind) -> Sending {
    let row = KINDS.iter().find(|(of_row, ..)| *of_row == kind).unwrap();
    row.2[CLASSES.iter().position(|of_column| *of_column == class).unwrap()]
}

#[test]
fn whatever_is_planted_in_a_withheld_field_does_not_come_through_and_shaping_twice_is_shaping_once() {
    let rng = ChaCha8Rng::seed_from_u64(4);
    let mut planted = Planted { messages: messages(), rng, kind: EventKind::Unspecified };
    let classes: Vec<(Class, Shape)> = CLASSES.into_iter().map(|class| (class, shape(class))).collect();
    let mut sent = 0;
    for round in 0..200 {
        for kind in all_kinds() {
            let event = planted.event(kind);
            for (column, (class, shape)) in classes.iter().enumerate() {
                let told = format!("round {round}: {kind:?} for {class:?}");
                let Some(bytes) = shape.event(&event).unwrap() else {
                    assert_eq!(sending(*class, kind), Sending::Nothing, "{told}");
                    continue;
                };
                sent += 1;
                let text = String::from_utf8_lossy(&bytes);
                for (message, fields, treatments) in FIELDS {
                    let withheld = fields.iter().filter(|_| treatments[column] == Treatment::Withhold);
                    for field in withheld {
                        assert!(!text.contains(&format!("<{message}.{field}>")), "{told}: {message}.{field}");
                    }
                }
                if let Sending::Fact(_) = sending(*class, kind) {
                    assert!(!text.contains('<'), "{told}: {text}");
                    assert_eq!(v1::Event::decode(bytes.as_slice()).unwrap().body, None, "{told}");
                }
                if let Sending::Fact(place) | Sending::Fields(place) = sending(*class, kind)
                    && place != Place::Exact
                {
                    assert!(!text.contains(KELURAHAN) && !text.contains("<Event.institution_id>"), "{told}: {text}");
                }
                assert_eq!(shape.event(&bytes).unwrap().as_ref(), Some(&bytes), "{told}");
            }
        }
    }
    assert!(sent > 200 * 20);
}

#[test]
fn who_was_granted_everything_gets_no_shape_and_whoever_else_comes_gets_the_narrowest() {
    assert_eq!(Class::of(Grant::All), None);
    assert_eq!(Class::of(Grant::Cases), None);
    assert_eq!(Class::of(Grant::Own), Some(Class::TaskForce));
    for grant in [Grant::Shaped, Grant::Anybody, Grant::No] {
        assert_eq!(Class::of(grant), Some(Class::Dashboard), "{grant:?}");
    }
}

#[test]
fn bytes_that_are_no_event_are_an_error_and_a_kind_that_nobody_knows_is_not_sent() {
    for class in CLASSES {
        assert!(shape(class).event(&[0x22, 0x05, b'a']).is_err());
        assert_eq!(
            shape(class).event(&v1::Event { position: 9, kind: 9_999, ..Default::default() }.encode_to_vec()),
            Ok(None)
        );
    }
}

/// 2026-03-10 at 13:00 in Kupang.
const AFTERNOON: i64 = 1_773_118_800;
/// Its first instant there.
const MIDNIGHT: i64 = 1_773_072_000;

fn at(seconds: i64) -> Option<pbjson_types::Timestamp> {
    Some(pbjson_types::Timestamp { seconds, nanos: 0 })
}

fn event(kind: EventKind, reporter: Reporter, content: Content) -> v1::Event {
    let institution_id = if let Reporter::InstitutionId(id) = &reporter { id.clone() } else { String::new() };
    v1::Event {
        position: 7,
        recorded_at: at(AFTERNOON),
        kind: kind.into(),
        area_code: KELURAHAN.to_owned(),
        institution_id,
        shaping: None,
        salt: Default::default(),
        body: Some(Body::Submitted(Box::new(v1::Submission {
            submission_id: "01970f3e-8b1c-7000-8000-000000000001".to_owned(),
            device_id: "hp-1".to_owned(),
            device_sequence: 3,
            occurred_at: at(AFTERNOON),
            reporter: Some(reporter),
            content: Some(content),
        }))),
    }
}

#[test]
fn of_a_visit_a_dashboard_gets_school_topics_and_reach_without_small_numbers() {
    let visit = v1::SchoolVisit {
        school_id: "99900001".to_owned(),
        purpose: v1::VisitPurpose::Pendampingan.into(),
        topics: vec![v1::Topic::Ksbe.into()],
        reach: Some(v1::Reach { pupils_female: 40, pupils_male: 4, teachers_female: 5, ..Default::default() }),
        risk_signals: vec![v1::RiskSignal::Grooming.into()],
        notes: "catatan".to_owned(),
        ..Default::default()
    };
    let visit = event(EventKind::SchoolVisit, Reporter::AreaCode(KELURAHAN.to_owned()), Content::SchoolVisit(visit));
    let seen = shaped(Class::Dashboard, &visit).unwrap();
    assert_eq!((seen.position, seen.area_code.as_str(), &seen.recorded_at), (7, KELURAHAN, &at(MIDNIGHT)));
    let shaping = seen.shaping.unwrap();
    assert_eq!(shaping.few, ["submitted.school_visit.reach.pupils_male"]);
    assert_eq!(shaping.coarser, ["submitted.occurred_at", "recorded_at"]);
    let withheld = ["purpose", "risk_signals", "follow_ups", "follow_ups_done", "notes"];
    assert!(withheld.iter().all(|f| shaping.withheld.contains(&format!("submitted.school_visit.{f}"))), "{shaping:?}");
    assert_eq!(shaping.withheld.len(), withheld.len() + 3, "and id, device and its number: {shaping:?}");
    let expected = v1::SchoolVisit {
        school_id: "99900001".to_owned(),
        topics: vec![v1::Topic::Ksbe.into()],
        reach: Some(v1::Reach { pupils_female: 40, teachers_female: 5, ..Default::default() }),
        ..Default::default()
    };
    let Some(Body::Submitted(submission)) = seen.body else { panic!("a submission") };
    assert_eq!(submission.content, Some(Content::SchoolVisit(expected)));
    assert_eq!(submission.occurred_at, at(MIDNIGHT));
    assert_eq!(shaped(Class::TaskForce, &visit), Some(visit), "its own record is as it is to a task force");
}

#[test]
fn an_exposure_signal_of_a_school_and_one_of_a_kelurahan_look_alike_to_a_dashboard() {
    let signal = v1::ExposureSignal {
        platform: v1::Platform::Whatsapp.into(),
        group_fingerprint: "ab".repeat(32),
        school_ids: vec!["99900001".to_owned()],
        estimated_members: 3,
        contents: vec![v1::ContentKind::Gambar.into()],
        evidence: vec![v1::Evidence { custody_place: "lemari 3".to_owned(), ..Default::default() }],
    };
    let of = |reporter| event(EventKind::ExposureSignal, reporter, Content::ExposureSignal(signal.clone()));
    let of_area = shaped(Class::Dashboard, &of(Reporter::AreaCode(KELURAHAN.to_owned()))).unwrap();
    let of_school = shaped(Class::Dashboard, &of(Reporter::InstitutionId("99900001".to_owned()))).unwrap();
    assert_eq!(of_area, of_school);
    assert_eq!((of_area.area_code.as_str(), of_area.institution_id.as_str()), ("53.71.04", ""));
    let Some(Body::Submitted(submission)) = of_area.body else { panic!("a submission") };
    let expected = v1::ExposureSignal { platform: signal.platform, contents: signal.contents, ..Default::default() };
    assert_eq!(submission.content, Some(Content::ExposureSignal(expected)));
    assert_eq!(submission.reporter, None);
}

#[test]
fn of_a_case_a_dashboard_learns_the_day_and_the_city() {
    let report = v1::CaseReport { violence: vec![v1::Violence::Fisik.into()], ..Default::default() };
    let report =
        event(EventKind::CaseReport, Reporter::InstitutionId("99900001".to_owned()), Content::CaseReport(report));
    let shaping = v1::Shaping {
        withheld: vec!["institution_id".to_owned(), "submitted".to_owned()],
        few: Vec::new(),
        coarser: vec!["recorded_at".to_owned(), "area_code".to_owned()],
    };
    let expected = v1::Event {
        position: 7,
        recorded_at: at(MIDNIGHT),
        kind: EventKind::CaseReport.into(),
        area_code: "53.71".to_owned(),
        shaping: Some(shaping),
        ..Default::default()
    };
    assert_eq!(shaped(Class::Dashboard, &report), Some(expected));
}

#[test]
fn a_task_force_learns_that_its_case_goes_on_and_of_shelter_and_court_not_which() {
    use v1::case_command::Step;
    let step = |step| v1::Event {
        position: 9,
        recorded_at: at(AFTERNOON),
        kind: EventKind::CaseStep.into(),
        area_code: KELURAHAN.to_owned(),
        body: Some(Body::CaseAdvanced(v1::CaseAdvanced {
            command: Some(v1::CaseCommand { case_id: "kasus".to_owned(), step: Some(step), ..Default::default() }),
            version: 4,
        })),
        ..Default::default()
    };
    let seen = |of| {
        let event = shaped(Class::TaskForce, &step(of)).unwrap();
        let Some(Body::CaseAdvanced(v1::CaseAdvanced { command: Some(command), version: 4 })) = event.body else {
            panic!("a step")
        };
        (command.case_id, command.step, event.shaping.unwrap().withheld)
    };
    let (case_id, served, withheld) =
        seen(Step::RecordService(v1::RecordService { service: v1::Service::Psikologis.into() }));
    assert_eq!((case_id.as_str(), served), ("kasus", Some(Step::RecordService(v1::RecordService::default()))));
    assert_eq!(withheld, ["case_advanced.command.record_service.service"]);
    let hidden = [
        Step::AdmitToShelter(v1::AdmitToShelter {}),
        Step::DischargeFromShelter(v1::DischargeFromShelter {}),
        Step::RecordLegalStage(v1::RecordLegalStage { stage: 2 }),
        Step::RecordVerdict(v1::RecordVerdict { guilty: true, prison_months: 120 }),
    ];
    let hidden: Vec<_> = hidden.into_iter().map(seen).collect();
    assert!(hidden.iter().all(|one| *one == hidden[0] && one.1.is_none()), "{hidden:?}");
    assert_eq!(hidden[0].2.len(), 4, "all four are named, whichever it was");
}

/// The tables as docs/access.md has them.
pub(crate) fn tables() -> String {
    let heading = |what: &str| {
        let names = CLASSES.iter().map(|class| class.name().to_owned());
        let rule = vec!["---".to_owned(); CLASSES.len() + 1];
        line([what.to_owned()].into_iter().chain(names)) + &line(rule)
    };
    let mut tables = heading("kind of event");
    for (kind, _, sendings) in KINDS {
        let name = kind.as_str_name().trim_start_matches("EVENT_KIND_");
        let cells = sendings.iter().map(|sending| sending_in_words(*sending).to_owned());
        tables.push_str(&line([format!("`{name}`")].into_iter().chain(cells)));
    }
    tables.push('\n');
    tables.push_str(&heading("fields of"));
    for (message, fields, treatments) in FIELDS.iter().filter(|(message, ..)| *message != "Shaping") {
        let fields: Vec<String> = fields.iter().map(|field| format!("`{field}`")).collect();
        let cells = treatments.iter().map(|treatment| treatment_in_words(*treatment).to_owned());
        tables.push_str(&line([format!("{message}: {}", fields.join(" "))].into_iter().chain(cells)));
    }
    tables
}

fn sending_in_words(sending: Sending) -> &'static str {
    match sending {
        Sending::Nothing => "-",
        Sending::Fact(Place::Exact) => "that there was one",
        Sending::Fact(Place::Kecamatan) => "that there was one, in which kecamatan",
        Sending::Fact(Place::Kota) => "that there was one, in which kota",
        Sending::Fields(Place::Exact) => "its fields",
        Sending::Fields(Place::Kecamatan) => "its fields, the kecamatan for a place",
        Sending::Fields(Place::Kota) => "its fields, the kota for a place",
    }
}

fn treatment_in_words(treatment: Treatment) -> &'static str {
    match treatment {
        Treatment::Keep => "yes",
        Treatment::Withhold => "-",
        Treatment::Few => "not when small",
        Treatment::Day => "its day",
        Treatment::Place => "as exact as the kind's place",
        Treatment::IfExact => "where the kind's place is exact",
    }
}
