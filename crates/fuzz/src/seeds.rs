//! Where fuzzing begins: for each target what is good, and what is known to be nasty. The same at each call.

use std::{env, fs, path::Path};

use prost::Message as _;
use satgas_domain::rules;
use satgas_journal::frame::{BODY_BYTES_MAX, CONTENT_BYTES_MAX, Frame, Key};
use satgas_proto::v1::{self, case_command::Step, event::Body, submission::Content};
use serde_json::json;

use crate::{import, requests::MESSAGES, tokens, town};

/// Seeds by name.
type Seeds = Vec<(String, Vec<u8>)>;

/// The seeds of a target.
///
/// # Panics
/// If there is no such target.
#[must_use]
pub fn of(target: &str) -> Seeds {
    match target {
        "frame" => frame(),
        "import" => import(),
        "requests" => requests(),
        "tokens" => tokens(),
        other => panic!("{other} is no target"),
    }
}

/// Writes the seeds of a target into the folder that the variable `SATGAS_FUZZ_SEEDS` names, if it is set: a fuzzer begins so.
///
/// # Panics
/// If a file cannot be written.
pub fn write(target: &str) {
    let Some(folder) = env::var_os("SATGAS_FUZZ_SEEDS") else { return };
    for (name, bytes) in of(target) {
        fs::write(Path::new(&folder).join(name), bytes).expect("the folder is there and can be written");
    }
}

fn add(seeds: &mut Seeds, name: &str, first: usize, bytes: &[&[u8]]) {
    let first = u8::try_from(first).expect("a choice is a byte");
    seeds.push((name.to_owned(), [&[first][..], &bytes.concat()].concat()));
}

/// A piece with its length in front.
fn piece(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let len = u16::try_from(bytes.as_ref().len()).expect("a seed is short");
    [&len.to_le_bytes()[..], bytes.as_ref()].concat()
}

/// What `made` reads before the body.
fn header(flags: u8, part: u16, first: u64, count: u32, len: u32) -> Vec<u8> {
    let numbers = [&part.to_le_bytes()[..], &first.to_le_bytes(), &count.to_le_bytes(), &len.to_le_bytes()].concat();
    [&[flags, 0][..], &numbers, &[0]].concat()
}

/// The head of a Zstandard frame of one segment that tells this length, and one raw block of nothing.
fn bomb(len: u64) -> Vec<u8> {
    [&[0x28, 0xB5, 0x2F, 0xFD, 0xE0][..], &len.to_le_bytes(), &[1, 0, 0]].concat()
}

fn frame() -> Seeds {
    let mut seeds = Seeds::new();
    let good = Frame {
        key: Key { first: 1, part: 0 },
        last: true,
        continues: false,
        continued: false,
        count: 1,
        previous: [0; 32],
        compressed: false,
        body: b"\x0A\x04satu",
    };
    let mut bytes = Vec::new();
    good.encode(&mut bytes);
    add(&mut seeds, "good", 0, &[&bytes]);
    add(&mut seeds, "truncated", 0, &[&bytes[..bytes.len() - 5]]);
    add(&mut seeds, "among-decoys", 0, &[b"\xF5SGJ\x01\x00 half \xF5SGJ", &bytes, &bytes, &bytes[..60]]);
    let mut flipped = bytes.clone();
    flipped[57] ^= 1;
    add(&mut seeds, "flipped", 0, &[&flipped]);
    let edited = bytes.len() - 4;
    let crc = crc32c::crc32c(&flipped[..edited]).to_le_bytes();
    add(&mut seeds, "edited-with-a-right-crc", 0, &[&flipped[..edited], &crc]);

    let record = [b"\x0A\x64".as_slice(), &[b'a'; 100]].concat().repeat(3);
    let compressed = zstd::bulk::compress(&record, 1).expect("any bytes can be compressed");
    let too_long = zstd::bulk::compress(&vec![0; CONTENT_BYTES_MAX + 1], 1).expect("any bytes can be compressed");
    let real_bomb = zstd::bulk::compress(&vec![0; 32 * 1024 * 1024], 19).expect("any bytes can be compressed");
    let mut lies = zstd::bulk::compress(&vec![0; 60 * 1024], 1).expect("any bytes can be compressed");
    lies.truncate(lies.len() - 1);
    let bodies: [(&str, &[u8]); 10] = [
        ("compressed", &compressed),
        ("compressed-too-long", &too_long),
        ("compressed-bomb", &real_bomb[..real_bomb.len().min(BODY_BYTES_MAX)]),
        ("compressed-cut", &lies),
        ("bomb-of-4-gib", &bomb(1 << 32)),
        ("bomb-of-4-eib", &bomb(1 << 62)),
        ("bomb-of-all", &bomb(u64::MAX)),
        ("bomb-at-the-limit", &bomb(CONTENT_BYTES_MAX as u64)),
        ("bomb-of-nothing", &bomb(0)),
        ("no-zstandard", b"\x0A\x04satu"),
    ];
    for (name, body) in bodies {
        add(&mut seeds, name, 1, &[&header(0x11, 0, 1, 3, 0), body]);
    }
    let positions: [(&str, Vec<u8>); 9] = [
        ("first-0", header(1, 0, 0, 0, 0)),
        ("first-0-with-one", header(1, 0, 0, 1, 0)),
        ("first-at-the-end", header(1, 0, u64::MAX, 1, 0)),
        ("count-over-the-end", header(1, 0, u64::MAX - 1, u32::MAX, 0)),
        ("part-at-the-end", header(2, u16::MAX, 1, 0, 0)),
        ("part-and-first-at-the-end", header(6, u16::MAX, u64::MAX, 0, 0)),
        ("every-flag", header(0xFF, 0, 1, 1, 0)),
        ("length-of-4-gib", header(1, 0, 1, 1, u32::MAX)),
        ("length-of-one-more", header(1, 0, 1, 1, 7)),
    ];
    for (name, header) in positions {
        add(&mut seeds, name, 1, &[&header, b"\x0A\x04satu"]);
    }
    add(&mut seeds, "record-of-32-gib", 1, &[&header(3, 0, 1, 0, 0), b"\x0A\xFF\xFF\xFF\xFF\x7F begins"]);
    add(&mut seeds, "record-with-an-overlong-length", 1, &[&header(1, 0, 1, 1, 0), b"\x0A\x80\x80\x80\x80\x80\x00"]);

    let records: Vec<u8> = [("satu", 1), ("", 1), ("dua", 200), ("tiga ", 255)]
        .iter()
        .flat_map(|(text, times)| [&[0, *times][..], &piece(text)].concat())
        .collect();
    add(&mut seeds, "written", 2, &[&[0, 1], &records]);
    add(&mut seeds, "written-long", 2, &[&[1, 0], &[7, 255], &piece([b'x'; 300]), &[255], &piece(records)]);

    let commit = |text: &str| [&[0, 0][..], &piece(text)].concat();
    let fork = |from: u8, text: &str| [&[1, from, 0][..], &piece(text)].concat();
    let noise = |bytes: &[u8]| [&[2][..], &piece(bytes)].concat();
    add(&mut seeds, "salvaged", 3, &[&commit("satu"), &noise(b"sled"), &commit("dua"), &commit("tiga")]);
    let others = [fork(1, "lain"), fork(1, "lain lagi"), commit("dua"), fork(2, "jauh")].concat();
    add(&mut seeds, "salvaged-of-two-branches", 3, &[&commit("satu"), &others, &commit("tiga")]);
    add(&mut seeds, "salvaged-with-half-a-frame", 3, &[&commit("satu"), &commit("dua"), &[3, 140, 0], &commit("tiga")]);
    add(&mut seeds, "salvaged-with-a-flipped-byte", 3, &[&commit("satu"), &[4, 58, 0, 1], &commit("dua")]);
    add(&mut seeds, "salvaged-with-decoys", 3, &[&commit("\u{0}"), &noise(b"\xF5SGJ\x01\x01"), &commit("dua")]);
    let decoy = [&[0, 0][..], &piece(b"\xF5SGJ\x01\x01 in a record")].concat();
    add(&mut seeds, "salvaged-with-a-record-like-a-frame", 3, &[&commit("satu"), &decoy, &commit("tiga")]);
    seeds
}

fn id(n: u32) -> String {
    format!("01970f3e-8b1c-7000-8000-{n:012x}")
}

fn visit() -> v1::SchoolVisit {
    v1::SchoolVisit {
        school_id: town::SCHOOL.into(),
        purpose: v1::VisitPurpose::Sosialisasi.into(),
        topics: vec![v1::Topic::Ksbe.into()],
        reach: Some(v1::Reach { pupils_female: 12, pupils_male: 8, ..Default::default() }),
        follow_ups: vec![v1::FollowUp { number: 1, action: "Bicara".into(), due_on: "2027-02-01".into() }],
        ..Default::default()
    }
}

/// One good record of each kind.
pub(crate) fn records() -> Vec<v1::Submission> {
    let activity = v1::Activity { kind: v1::ActivityKind::Rapat.into(), count: 2, participants: 14 };
    let report = v1::MonitoringReport {
        task_force_id: town::TASK_FORCE.into(),
        month: "2027-01".into(),
        activities: vec![activity],
        members_present: 7,
        ..Default::default()
    };
    let signal = v1::ExposureSignal {
        platform: v1::Platform::Whatsapp.into(),
        group_fingerprint: "a".repeat(64),
        school_ids: vec![town::SCHOOL.into()],
        estimated_members: 300,
        contents: vec![v1::ContentKind::Video.into()],
        evidence: Vec::new(),
    };
    let amendment = v1::Amendment {
        corrects_id: town::CASE.into(),
        reason: "Salah ketik".into(),
        occurred_at: None,
        replacement: Some(v1::amendment::Replacement::CaseReport(town::case_report())),
    };
    let retraction = v1::Retraction { retracts_id: town::CASE.into(), reason: "Tercatat dua kali".into() };
    let contents = [
        Content::MonitoringReport(report),
        Content::SchoolVisit(visit()),
        Content::ExposureSignal(signal),
        Content::CaseReport(town::case_report()),
        Content::Amendment(amendment),
        Content::Retraction(retraction),
    ];
    (10..).zip(contents).map(|(n, content)| town::submitted(&id(n), content)).collect()
}

/// Steps of the town's case.
pub(crate) fn steps() -> Vec<v1::CaseCommand> {
    let follow_up = v1::FollowUp { number: 1, action: "Kunjungan".into(), due_on: "2027-06-01".into() };
    let offer = v1::OfferReferral { to_institution_id: town::OFFICE.into(), reason: "Di luar wilayah".into() };
    let steps = [
        Step::Assess(v1::AssessCase { risk: v1::Risk::Tinggi.into() }),
        Step::PlanFollowUp(v1::PlanFollowUp { follow_up: Some(follow_up) }),
        Step::RecordService(v1::RecordService { service: v1::Service::Psikologis.into() }),
        Step::OfferReferral(offer),
        Step::Merge(v1::MergeCase { into_case_id: town::CASE.into() }),
    ];
    let command = |(n, step)| v1::CaseCommand {
        command_id: id(n),
        case_id: town::CASE.into(),
        expected_version: 1,
        occurred_at: Some(town::now().to_proto()),
        step: Some(step),
    };
    (20..).zip(steps).map(command).collect()
}

fn requests() -> Seeds {
    let mut seeds = Seeds::new();
    let number = |wanted: &str| {
        MESSAGES.iter().position(|(name, _)| *name == wanted).expect("a message of this name is in the table")
    };
    for (index, (name, _)) in MESSAGES.iter().enumerate() {
        // Field 1 as a text, as a number and as something that goes on past the end.
        add(&mut seeds, &format!("{name}-text"), index, &[b"\x0A\x0D53.71.04.1001"]);
        add(&mut seeds, &format!("{name}-numbers"), index, &[b"\x08\x01\x10\x02\x18\x03\x20\x04"]);
        add(&mut seeds, &format!("{name}-cut"), index, &[b"\x0A\xFF\xFF\xFF\xFF\x07short"]);
    }
    let submit = number("SubmitRequest");
    for (n, submission) in records().into_iter().enumerate() {
        let event = v1::Event {
            position: 9,
            recorded_at: submission.occurred_at,
            kind: satgas_domain::event::submission_kind(&submission).into(),
            area_code: town::AREA.into(),
            institution_id: String::new(),
            body: Some(Body::Submitted(submission.clone().into())),
            ..Default::default()
        };
        add(&mut seeds, &format!("Event-{n}"), number("Event"), &[&event.encode_to_vec()]);
        let request = v1::SubmitRequest { submission: Some(submission) }.encode_to_vec();
        add(&mut seeds, &format!("SubmitRequest-{n}"), submit, &[&request]);
        add(&mut seeds, &format!("SubmitRequest-{n}-truncated"), submit, &[&request[..request.len() - 3]]);
    }
    let batch = v1::SubmitBatchRequest { submissions: records() }.encode_to_vec();
    add(&mut seeds, "SubmitBatchRequest-good", number("SubmitBatchRequest"), &[&batch]);
    for (n, command) in steps().into_iter().enumerate() {
        let request = v1::AdvanceCaseRequest { command: Some(command) }.encode_to_vec();
        add(&mut seeds, &format!("AdvanceCaseRequest-{n}"), number("AdvanceCaseRequest"), &[&request]);
    }
    let entries = v1::RegisterRequest { entries: town::entries(), ..Default::default() }.encode_to_vec();
    add(&mut seeds, "RegisterRequest-good", number("RegisterRequest"), &[&entries]);
    let draft =
        v1::ReleaseDraft { period: "2026".into(), note: "Contoh".into(), tables: vec![1, 2], ..Default::default() };
    let release = v1::PublishReleaseRequest { release_id: id(90), draft: Some(draft) }.encode_to_vec();
    add(&mut seeds, "PublishReleaseRequest-good", number("PublishReleaseRequest"), &[&release]);
    let rule_set = rules::built_in();
    let good = v1::RecordRuleSetRequest { rule_set: Some(rule_set.clone()), reason: "SK 1".into() }.encode_to_vec();
    add(&mut seeds, "RecordRuleSetRequest-good", number("RecordRuleSetRequest"), &[&good]);
    for (name, weight) in
        [("nan", f64::NAN), ("endless", f64::INFINITY), ("negative", -0.0), ("tiny", f64::MIN_POSITIVE)]
    {
        let mut rule_set = rule_set.clone();
        rule_set.weights.iter_mut().for_each(|w| w.weight = weight);
        rule_set.bands.iter_mut().for_each(|band| band.score_min = weight);
        let draft = v1::WhatIfRequest { draft: Some(rule_set), period: "2027-Q1".into(), ..Default::default() };
        add(&mut seeds, &format!("WhatIfRequest-{name}"), number("WhatIfRequest"), &[&draft.encode_to_vec()]);
    }
    let identity =
        v1::PersonIdentity { full_name: "Contoh".into(), born_on: "2014-02-30".into(), ..Default::default() };
    let record = v1::RecordIdentityRequest { identity: Some(identity), ..Default::default() }.encode_to_vec();
    add(&mut seeds, "RecordIdentityRequest-good", number("RecordIdentityRequest"), &[&record]);
    let table = v1::CrossTableRequest { dimensions: vec![1, 2, 3], first_period: "2027".into(), ..Default::default() };
    add(&mut seeds, "CrossTableRequest-good", number("CrossTableRequest"), &[&table.encode_to_vec()]);
    let own = Some(v1::assignment::Own::AreaCode("53.71".into()));
    let assignment = Some(v1::Assignment { role: v1::Role::Satgas.into(), own });
    let issue = v1::IssueTokenRequest { assignment, purpose: "hp".into(), ..Default::default() };
    add(&mut seeds, "IssueTokenRequest-good", number("IssueTokenRequest"), &[&issue.encode_to_vec()]);

    add(&mut seeds, "varint-of-11-bytes", submit, &[b"\x0A\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"]);
    add(&mut seeds, "varint-longer-than-needed", submit, &[b"\x0A\x84\x80\x80\x00\x18\x81\x80\x00"]);
    add(&mut seeds, "text-that-is-not-utf-8", submit, &[b"\x0A\x06\x0A\x04\xC3\x28\xA0\xFF"]);
    add(&mut seeds, "nested-groups", submit, &[&[0x0B; 200]]);
    add(&mut seeds, "nested-unknown-fields", submit, &[&b"\xFB\x07".repeat(200)]);
    add(&mut seeds, "field-0", submit, &[b"\x02\x00"]);
    add(&mut seeds, "many-empty-entries", number("RegisterRequest"), &[&b"\x0A\x00".repeat(2_000)]);
    for (name, seconds, nanos) in
        [("latest", i64::MAX, i32::MAX), ("earliest", i64::MIN, i32::MIN), ("year-10000", 253_402_300_800, 0)]
    {
        let mut submission = records().remove(0);
        submission.occurred_at = Some(pbjson_types::Timestamp { seconds, nanos });
        let request = v1::SubmitRequest { submission: Some(submission) };
        add(&mut seeds, &format!("time-{name}"), submit, &[&request.encode_to_vec()]);
    }
    seeds
}

fn import() -> Seeds {
    let mut seeds = Seeds::new();
    let secret = import::SECRET;
    let mut all = |name: &str, kind, text: &str| add(&mut seeds, name, kind, &[text.as_bytes()]);
    let areas = "code,name,valid_from,succeeds_codes\n53.71.04.1002,Contoh,2027-01-01,53.71.04.1001 53.71.04.1003\n";
    all("areas", 0, areas);
    all("areas-after-a-mark", 0, &format!("\u{feff}{areas}"));
    all("areas-after-two-marks", 0, &format!("\u{feff}\u{feff}{areas}"));
    all("areas-of-a-spreadsheet", 0, &areas.replace(',', ";").replace('\n', "\r\n"));
    all("areas-of-an-old-machine", 0, &areas.replace('\n', "\r"));
    all("areas-with-empty-lines", 0, &areas.replace('\n', "\n\n\r\n\n"));
    all("areas-in-capitals", 0, &areas.replace("code", "CODE").replace("name", "N\u{c4}ME"));
    all("areas-with-a-quote-left-open", 0, &areas.replace("Contoh", &format!("\"Con\"\"toh,\n{secret}")));
    all("areas-with-lines-in-cells", 0, &areas.replace("Contoh", "\"Con\r\n\rtoh\""));
    all("areas-without-a-header", 0, &format!("53.71,{secret},2027-01-01\n53.71.04,{secret},2027-01-01\n"));
    all("areas-with-a-column-twice", 0, "code,name,valid_from,Code\n1,2,3,4\n");
    all("areas-with-spaces-of-all-kinds", 0, "code,name,valid_from\n\u{a0}53.71\u{2003},\u{85} \u{feff}A,\"\t\"\n");
    all("schools", 1, "institution_id,name,area_code,valid_from\n90000002,Contoh 02,53.71.04.1001,2027-01-01\n");
    all("schools-with-short-rows", 1, &format!("institution_id,name,area_code,valid_from\n{secret}\n,,,\n,\n"));
    let members = "member_id,task_force_id,joined_on,left_on,training_topic,training_valid_from,training_valid_until\n";
    let rows = "m-2,tf-1,2027-01-01,,KSBE,2027-01-01,2027-12-31\nm-2,tf-1,2027-01-01,,Lapor,2027-01-01,2027-12-31\n";
    all("members", 2, &format!("{members}{rows}m-2,tf-2,2027-01-01,,,,\nm-3,tf-1,2027-01-01,,,,\n"));
    let task_forces = "task_force_id,kind,formed_on,area_code,institution_id\n";
    all(
        "task-forces",
        3,
        &format!("{task_forces}tf-2,Satgas,2027-01-01,53.71.04.1001,\ntf-3,Satgas,2027-01-01,,90000001\n"),
    );
    all("task-forces-of-two-homes", 3, &format!("{task_forces}tf-2,{secret},2027-01-01,53.71,90000001\n,,,,\n"));

    let lines: Vec<String> =
        records().iter().map(|s| serde_json::to_string(s).expect("a good record has a form")).collect();
    all("records", 4, &(lines.join("\n") + "\n\n  \n"));
    all("record-after-a-mark", 4, &format!("\u{feff}{}", lines[0]));
    all("record-that-is-broken", 4, &lines[0].replacen('{', "", 1));
    all("record-without-an-id", 4, &lines[0].replace("submissionId", "deviceName"));
    all("record-in-a-text", 4, &json!(lines[0]).to_string());
    all("refused-record", 4, &format!("{{\"line\":1,\"reasons\":[],\"submission\":{}}}", lines[0]));
    all("refused-text", 4, &json!({"reasons": [], "submission": lines[1]}).to_string());
    all("refused-row", 4, "{\"reasons\":[],\"row\":{\"record\":\"school_visit\",\"submission_id\":\"x\"}}");
    all("refused-nothing", 4, "{\"reasons\":[]}\n{\"reasons\":1,\"row\":[]}\n[]\nnull\n\"\\ud800\"");
    all("deep-lists", 4, &format!("{}{}", "[".repeat(500), "]".repeat(500)));
    all("deep-objects", 4, &"{\"schoolVisit\":".repeat(300));
    all("field-twice", 4, "{\"submissionId\":\"a\",\"submissionId\":\"b\",\"submission_id\":\"c\"}");
    let numbers = ["1e400", "-1", "\"18446744073709551616\"", "1.5", "\"1e2\"", "true", "null"];
    all("numbers", 4, &numbers.map(|n| format!("{{\"submissionId\":\"a\",\"deviceSequence\":{n}}}")).join("\n"));
    let times = [
        "2027-01-01T00:00:00Z",
        "-0001-01-01T00:00:00Z",
        "+262142-12-31T23:59:60Z",
        "2027-02-30",
        "9999-12-31T23:59:59.999999999+23:59",
    ];
    all("times", 4, &times.map(|t| format!("{{\"submissionId\":\"a\",\"occurredAt\":\"{t}\"}}")).join("\n"));
    all("codes", 4, "{\"submissionId\":\"a\",\"schoolVisit\":{\"purpose\":99,\"topics\":[-1,\"KSBE\",2147483648]}}");

    let columns = "record,submission_id,device_id,device_sequence,occurred_at,area_code,school_id,purpose,topics,\
                   pupils_female,follow_ups,follow_ups_done,notes,task_force_id,month,activities";
    let row = format!(
        "school_visit,{},hp,1,2027-01-05 10:00,53.71.04.1001,90000001,sosialisasi,ksbe|persetujuan,12,1:2027-02-01:Bicara,\
         {}#1:2027-02-01,catatan,,,",
        id(1),
        id(2)
    );
    let report =
        format!("monitoring_report,{},hp,2,2027-02-01T00:00:00Z,53.71.04.1001,,,,,,,,tf-1,2027-01,rapat:2:14", id(3));
    all("rows", 5, &format!("{columns}\n{row}\n{report}\n"));
    all("rows-of-a-spreadsheet", 5, &format!("{columns}\n{row}\n{report}\n").replace(',', ";").replace('\n', "\r\n"));
    all(
        "rows-with-other-times",
        5,
        &["-009999-01-01T00:00Z", "9999-12-31T23:59:59Z", "2027-03-31T24:00", "x"]
            .map(|time| format!("{columns}\n{}\n", row.replace("2027-01-05 10:00", time)))
            .concat(),
    );
    all("rows-with-short-ones", 5, &format!("{columns}\nschool_visit\n,,\n{row},more\n"));
    all("rows-after-a-mark", 5, &format!("\u{feff}{columns}\n{row}\n"));

    let names = "_uuid,waktu,kelurahan,sekolah,tujuan,topik,catatan,siswi,tindak,batas,kunjungan,nomor,selesai";
    let cells = "uuid:4e30afbf-d6cf-4fd7-ac59-77c30ece4b6b,05/01/2027 10:00,satu,90000001,sos,ksbe,baik,12,Bicara,2027-02-01,,,";
    all("export", 6, &format!("{names}\n{cells}\n{}\n", cells.replace("05/01/2027", secret)));
    all("export-with-tabs", 6, &format!("{names}\n{cells}\n").replace(',', "\t"));
    all("export-that-tells", 6, &format!("{names}\n{}\n", vec![secret; 13].join(",")));
    all("export-with-a-quote-left-open", 6, &format!("{names}\n\"{secret},{cells}\n"));
    for (name, mapping) in [
        ("export-by-a-mapping", import::MAPPING.to_owned()),
        ("export-by-a-format-of-everything", import::MAPPING.replace("%d/%m/%Y %H:%M", "%c %s %f %Q %:z %%")),
        ("export-by-a-quote", format!("delimiter = '\"'\n{}", import::MAPPING)),
        ("export-by-a-line-end", format!("delimiter = \"\\n\"\n{}", import::MAPPING)),
        ("export-by-another-zone", import::MAPPING.replace("Asia/Makassar", "../etc/passwd")),
    ] {
        add(&mut seeds, name, 7, &[&piece(mapping), names.as_bytes(), b"\n", cells.as_bytes(), b"\n"]);
    }
    add(
        &mut seeds,
        "areas-that-are-not-utf-8",
        0,
        &[areas.as_bytes(), b"\xFF\xFE,\xC3\x28,2027-01-01,\n", b"53.71,A,B,C\n"],
    );
    add(&mut seeds, "header-that-is-not-utf-8", 1, &[b"institution_id,\xFF\n1,2\n"]);
    add(&mut seeds, "areas-in-utf-16", 0, &[b"\xFF\xFEc\0o\0d\0e\0,\0n\0a\0m\0e\0\n\0"]);
    add(&mut seeds, "records-that-are-not-utf-8", 4, &[b"{\"submissionId\":\"\xFF\"}\n\xC3\x28\n\0\n"]);
    add(&mut seeds, "rows-that-are-not-utf-8", 5, &[columns.as_bytes(), b"\nschool_visit,\xFF\n"]);
    seeds
}

fn tokens() -> Seeds {
    let mut seeds = Seeds::new();
    for (n, token) in tokens::valid().into_iter().enumerate() {
        add(&mut seeds, &format!("valid-{n}"), 0, &[token.as_bytes()]);
        add(&mut seeds, &format!("valid-{n}-with-a-space"), 0, &[token.as_bytes(), b" "]);
        add(&mut seeds, &format!("valid-{n}-filled-up"), 0, &[token.as_bytes(), b"=="]);
        add(
            &mut seeds,
            &format!("valid-{n}-without-its-signature"),
            0,
            &[&token.as_bytes()[..=token.rfind('.').unwrap_or(0)]],
        );
        // The last letter of a signature has four bits that mean nothing.
        let last = token.as_bytes()[token.len() - 1];
        add(&mut seeds, &format!("valid-{n}-of-other-bits"), 0, &[&token.as_bytes()[..token.len() - 1], &[last + 1]]);
    }
    let foreign_claims = tokens::foreign_claims();
    let end = tokens::NOW_S + 600;
    let own_claims = json!({"iss": "satgas", "aud": "satgas", "jti": "a", "iat": 1, "exp": end});
    for (algorithm, way) in [
        ("none", 0_u8),
        ("None", 0),
        ("EdDSA", 1),
        ("EdDSA", 2),
        ("EdDSA", 3),
        ("HS256", 4),
        ("HS256", 5),
        ("HS384", 6),
        ("HS512", 7),
        ("HS256", 8),
        ("EdDSA", 9),
        ("ES256", 1),
        ("RS256", 1),
    ] {
        let header = json!({"alg": algorithm, "typ": "JWT", "kid": "a", "jwk": tokens::jwk("a", [9; 32])}).to_string();
        for (of, claims) in [("own", &own_claims), ("foreign", &foreign_claims)] {
            let parts = [piece(&header), piece(claims.to_string())].concat();
            add(&mut seeds, &format!("forged-{of}-{algorithm}-{way}"), 1, &[&[way], &parts, b"rahasia"]);
        }
    }
    let header = tokens::foreign_header().to_string();
    let claims = |name: &str, value: serde_json::Value| {
        let mut claims = foreign_claims.clone();
        claims[name] = value;
        claims.to_string()
    };
    let texts = [
        ("good", foreign_claims.to_string()),
        ("of-an-area", claims("groups", json!("lurah"))),
        ("with-an-area", claims("groups", json!(["lurah"])).replace("{", "{\"area\":\"53.71\",")),
        ("for-others", claims("aud", json!(["lain"]))),
        ("for-many", claims("aud", json!(["lain", "satgas-kupang"]))),
        ("by-many", claims("iss", json!(["lain", "https://masuk.contoh.id"]))),
        ("for-nobody", claims("aud", json!([]))),
        ("ended", claims("exp", json!(tokens::NOW_S))),
        ("of-a-fraction", claims("exp", json!(1.8e9 + 600.5))),
        ("of-the-far-end", claims("exp", json!(i64::MAX))),
        ("of-a-text", claims("exp", json!("1800000600"))),
        ("not-begun", claims("nbf", json!(tokens::NOW_S + 61))),
        ("begun-in-fractions", claims("nbf", json!(1.9e9))),
        ("of-nobody", claims("sub", json!(null))),
        ("of-a-number", claims("sub", json!(1))),
        ("said-twice", foreign_claims.to_string().replacen('{', "{\"aud\":\"lain\",\"exp\":1,", 1)),
        ("own", own_claims.to_string()),
        ("own-for-many", own_claims.to_string().replace("\"aud\":\"satgas\"", "\"aud\":[\"satgas\",\"lain\"]")),
        ("list", "[]".to_owned()),
    ];
    for (name, claims) in texts {
        let parts = [piece(&header), piece(claims)].concat();
        add(&mut seeds, &format!("own-key-{name}"), 2, &[&parts]);
        add(&mut seeds, &format!("issuers-key-{name}"), 3, &[&parts]);
    }
    let critical = json!({"alg": "EdDSA", "crit": ["b64"], "b64": false}).to_string();
    add(&mut seeds, "issuers-key-critical", 3, &[&piece(critical), &piece(foreign_claims.to_string())]);

    let (good, stranger) = (tokens::jwk("a", [8; 32]), tokens::jwk("a", [9; 32]));
    let shared = json!({"kty": "oct", "kid": "a", "k": "cmFoYXNpYQ", "alg": "HS256"});
    let generator = json!({
        "kty": "EC", "crv": "P-256", "kid": "a",
        "x": "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY", "y": "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"
    });
    let rsa = json!({"kty": "RSA", "kid": "a", "e": "AQAB", "n": "w".repeat(342)});
    let with = |key: &serde_json::Value, name: &str, value: serde_json::Value| {
        let mut key = key.clone();
        key[name] = value;
        key
    };
    let documents = [
        ("good", json!([good])),
        ("two-of-one-name", json!([stranger, good])),
        ("shared", json!([shared])),
        ("all", json!([shared, generator, rsa, good])),
        ("for-encryption", json!([with(&good, "use", json!("enc"))])),
        ("for-another-algorithm", json!([with(&good, "alg", json!("RS256"))])),
        ("of-another-curve", json!([with(&good, "crv", json!("X25519"))])),
        ("too-short", json!([with(&good, "x", json!("AAAA"))])),
        ("too-long", json!([with(&good, "x", json!("A".repeat(5_000)))])),
        ("no-base64", json!([with(&good, "x", json!("***"))])),
        ("point-of-small-order", json!([with(&good, "x", json!("A".repeat(43)))])),
        ("rsa-of-nothing", json!([with(&rsa, "n", json!(""))])),
        ("rsa-of-exponent-1", json!([with(&rsa, "e", json!("AQ"))])),
        ("ec-off-the-curve", json!([with(&generator, "y", json!("A".repeat(43)))])),
        ("none", json!([])),
    ];
    for (name, keys) in documents {
        add(&mut seeds, &format!("keys-{name}"), 4, &[&tokens::document(&keys)]);
    }
    add(&mut seeds, "keys-deep", 4, &[&b"{\"keys\":[".repeat(300)]);

    for (name, code) in [
        ("as-printed", tokens::CODE),
        ("as-typed", " 7kq2m x4t9b "),
        ("of-letters-that-look-alike", "IL0Oo-lIOoi"),
        ("too-short", "7KQ2M-X4T9"),
        ("too-long", "7KQ2M-X4T9BB"),
        ("with-an-accent", "7KQ2M-X4T9\u{e9}"),
        ("of-wide-letters", "\u{ff17}KQ2M-X4T9B"),
        ("all-dashes", "-----------------------------------------------------------------------"),
    ] {
        add(&mut seeds, &format!("code-{name}"), 5, &[code.as_bytes()]);
    }
    seeds
}
