//! What checkpoints look like on disk. A layout that changed under the version that it had would be read as what it is not.

mod types;

use std::{collections::BTreeMap, fs, sync::Arc};

use prost::Message as _;
use satgas_domain::{
    decide::WriteState,
    event,
    parts::{PartId, Sizes},
    views::{self, Views},
};
use satgas_engine::{Options, Stepped};
use satgas_journal::{Hash, Journal as _, MemoryJournal, Records};
use satgas_proto::v1::{self, event::Body, submission::Content};

use crate::support::*;

/// What stands in checkpoints, and the version under which it does so: of the views, of the writer, of the tree.
const KNOWN: [(&str, u32, &str); 8] = [
    ("types of the views", 12, "070e87ba21ab166a"),
    ("types of the writer", 12, "6c186ab5e9b9a658"),
    ("views", 12, "d9088b6f0bdcf5a3"),
    ("views-0", 12, "ec75a1ecbc4b1213"),
    ("views-1", 12, "ddc6d50296860dfd"),
    ("writer", 12, "e3c7f0871c935c9e"),
    ("writer-0", 12, "ab89caeb8464b425"),
    ("tree", 2, "02379fe181459c39"),
];

/// A log that is the same for ever: a town, records and what became of them, a case and its first step.
fn written() -> Arc<MemoryJournal> {
    let opened = v1::LogOpened {
        log_id: "01970f3e-0000-7000-8000-000000000000".into(),
        sample_data: true,
        time_zone: "Asia/Makassar".into(),
    };
    let signal = v1::ExposureSignal {
        platform: v1::Platform::Whatsapp.into(),
        group_fingerprint: "a".repeat(64),
        school_ids: vec![SCHOOL.into()],
        ..v1::ExposureSignal::default()
    };
    let mut agreed = visit_record(7);
    agreed.follow_ups = vec![v1::FollowUp { number: 1, action: "Contoh".into(), due_on: "2028-04-30".into() }];
    let conflict = v1::ConflictingSubmission {
        submission: Some(visit(1, 11)),
        cause: v1::ConflictCause::SameIdOtherContent.into(),
        stands_position: 13,
    };
    let step = v1::CaseAdvanced { command: Some(command(20, 5, 1, assess(v1::Risk::Sedang))), version: 2 };
    let submitted = [
        visit(1, 10),
        visit(2, 20),
        submission(3, SATU, Content::SchoolVisit(agreed)),
        submission(4, SCHOOL, Content::ExposureSignal(signal)),
        case(5),
        amends_visit(6, 1, 12),
        retracts(7, 2),
        // Of what has not come: it waits.
        amends_visit(8, 99, 13),
    ];
    let bodies = [Body::LogOpened(opened)].into_iter().chain(town().into_iter().map(Body::Registered));
    let bodies = bodies
        .chain(submitted.map(|record| Body::Submitted(record.into())))
        .chain([Body::Conflicting(conflict.into()), Body::CaseAdvanced(step)]);
    let mut records = Records::new();
    for (position, body) in (1..).zip(bodies) {
        let event = v1::Event {
            position,
            recorded_at: proto("2028-05-01T11:00:00"),
            kind: event::kind(&body).into(),
            area_code: SATU.into(),
            body: Some(body),
            ..v1::Event::default()
        };
        records.push(&event.encode_to_vec());
    }
    let journal = Arc::new(MemoryJournal::new());
    journal.append(0, &records).expect("an empty log");
    journal
}

/// Files of the checkpoints of that log, by what they are of, one behind the other, and the versions that they name.
fn stored() -> (BTreeMap<String, Vec<u8>>, BTreeMap<String, u32>) {
    let folder = scratch();
    let options = Options {
        checkpoints: Some(folder.path().to_owned()),
        parts: Sizes { records: 2, links: 4, positions: 8 },
        ..Options::default()
    };
    Stepped::open(written(), noon(), &options).expect("it opens").shutdown();
    let entries = fs::read_dir(folder.path()).expect("the folder").map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<_> = entries.collect();
    paths.sort();
    let (mut stored, mut versions) = (BTreeMap::<_, Vec<u8>>::new(), BTreeMap::new());
    for path in paths {
        let (name, mut bytes) = (path.file_stem().expect("a name").to_string_lossy(), fs::read(&path).expect("read"));
        let of = name.rsplit_once('-').expect("a number").0.to_owned();
        if path.extension().is_some_and(|is| is == "checkpoint") {
            let version = bytes[4..8].try_into().map(u32::from_le_bytes).expect("four bytes");
            versions.insert(of.clone(), version);
            // The log's hash at that position is the journal's, and its frames may be compressed in another way one day.
            bytes[16..48].fill(0);
            // Behind the header and the parts there are hash tables, whose order differs from one process to the next, and so does the hash
            // at the end: what stands there is known sorted.
            bytes.truncate(bytes.len() - 32);
            let (_, rest) = postcard::take_from_bytes::<BTreeMap<PartId, Hash>>(&bytes[48..]).expect("its parts");
            let state = bytes.len() - rest.len();
            if of != "tree" {
                bytes[state..].sort_unstable();
            }
        }
        stored.entry(of).or_default().extend(bytes);
    }
    (stored, versions)
}

#[test]
fn a_layout_that_differs_from_the_one_known_is_of_another_version() {
    let (mut stored, versions) = stored();
    for (of, text) in [
        ("types of the views", types::of::<Views>() + &types::of::<views::Part>()),
        ("types of the writer", types::of::<WriteState>()),
    ] {
        println!("{of}:\n{text}");
        stored.insert(of.to_owned(), text.into_bytes());
    }
    let now: BTreeMap<&str, (u32, String)> = stored
        .iter()
        .map(|(of, bytes)| {
            let fold = ["views", "writer", "tree"].into_iter().find(|fold| of.contains(fold)).expect("of a fold");
            (of.as_str(), (versions[fold], blake3::hash(bytes).to_hex()[..16].to_owned()))
        })
        .collect();
    let known: BTreeMap<&str, (u32, String)> =
        KNOWN.into_iter().map(|(of, version, hash)| (of, (version, hash.to_owned()))).collect();
    let differs = |(of, is): &(&&str, &(u32, String))| known.get(**of) != Some(*is);
    let differ: String = now
        .iter()
        .filter(differs)
        .map(|(of, (version, hash))| format!("    (\"{of}\", {version}, \"{hash}\"),\n"))
        .collect();
    assert!(
        differ.is_empty() && known.len() == now.len(),
        "the layout of checkpoints is not the one that is known. Raise VERSION of what changed (crates/domain/src/views/mod.rs, \
         crates/engine/src/writer.rs, crates/engine/src/proofs.rs), so that no older checkpoint is read as what it is not, and then write \
         down in KNOWN:\n{differ}"
    );
}
