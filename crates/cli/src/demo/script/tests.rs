//! What the story promises.

use std::collections::{BTreeMap, BTreeSet};

use satgas_proto::v1::submission::Content;

use super::*;

fn script(seed: u64) -> (Cast, Script) {
    let cast = Cast::of(seed);
    let script = Script::of(seed, &cast, 1);
    (cast, script)
}

/// Every record of a script with the answer that it should get, and the number of its wave.
fn records(script: &Script) -> Vec<(usize, &v1::Submission, Answer)> {
    let mut found = Vec::new();
    for (wave, call) in
        script.waves.iter().enumerate().flat_map(|(n, wave)| wave.calls.iter().map(move |call| (n, call)))
    {
        match call {
            Call::Submit(record, answer) | Call::Open(record, answer) => found.push((wave, record, *answer)),
            Call::Batch(records) => found.extend(records.iter().map(|(record, answer)| (wave, record, *answer))),
            Call::Advance(..) | Call::Register(_) => {}
        }
    }
    found
}

fn steps(script: &Script) -> Vec<(usize, &v1::CaseCommand, Answer)> {
    let mut found = Vec::new();
    for (number, wave) in script.waves.iter().enumerate() {
        for call in &wave.calls {
            if let Call::Advance(command, answer) = call {
                found.push((number, command, *answer));
            }
        }
    }
    found
}

#[test]
fn one_seed_tells_one_story_and_another_seed_another() {
    let told = |seed| format!("{:?}", script(seed).1.waves);
    let first = told(1);
    assert!(first == told(1), "the same seed tells the same story");
    assert!(first != told(2), "another seed tells another story");
}

#[test]
fn the_year_is_as_much_work_as_promised() {
    let counts = script(1).1.counts();
    assert!((10_000..30_000).contains(&counts.sent()), "{}", counts.sent());
    for (what, count) in [
        ("held", counts.held),
        ("duplicates", counts.duplicates),
        ("conflicts", counts.conflicts),
        ("rejected", counts.rejected),
        ("refused steps", counts.refused_steps),
    ] {
        assert!(count >= 10, "{count} {what}");
    }
}

#[test]
fn more_scale_is_more_work() {
    let cast = Cast::of(1);
    let [once, thrice] = [1, 3].map(|scale| Script::of(1, &cast, scale).counts().sent());
    assert!(thrice > 2 * once, "{once} and {thrice}");
}

#[test]
fn every_good_record_and_step_has_an_id_of_its_own_that_is_a_uuid_of_version_seven() {
    let (_, script) = script(1);
    let good = |answer: Answer| matches!(answer, Answer::Accepted | Answer::Held);
    let records = records(&script).into_iter().filter(|r| good(r.2)).map(|r| r.1.submission_id.clone());
    let steps = steps(&script).into_iter().filter(|s| good(s.2)).map(|s| s.1.command_id.clone());
    let mut known = BTreeSet::from([script.spare.submission_id.clone()]);
    for id in records.chain(steps) {
        assert_eq!(uuid::Uuid::parse_str(&id).unwrap().get_version_num(), 7, "{id}");
        assert!(known.insert(id.clone()), "{id} is used once");
    }
}

#[test]
fn what_depends_on_an_order_comes_in_different_waves() {
    let (_, script) = script(1);
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (wave, record, answer) in records(&script) {
        let before = seen.insert(&record.submission_id, wave);
        assert!(before.is_none_or(|before| before < wave), "{} comes twice in a wave", record.submission_id);
        if matches!(answer, Answer::AlreadyKnown | Answer::Conflict)
            && !matches!(record.content, Some(Content::Amendment(_)))
        {
            assert!(before.is_some(), "{} repeats or contradicts something", record.submission_id);
        }
    }
    let came = first_waves(&script);
    for (wave, record, answer) in records(&script) {
        let target = match &record.content {
            Some(Content::Amendment(a)) => &a.corrects_id,
            Some(Content::Retraction(r)) => &r.retracts_id,
            _ => continue,
        };
        match (came.get(target.as_str()), answer) {
            (None, answer) => assert_eq!(answer, Answer::Held, "the target never comes"),
            (Some(target), Answer::Held) => assert!(*target > wave, "the target comes later"),
            (Some(target), _) => assert!(*target < wave, "the target came before"),
        }
    }
}

/// The wave in which each id first comes and is not refused.
fn first_waves(script: &Script) -> BTreeMap<&str, usize> {
    let mut came = BTreeMap::new();
    for (wave, record, answer) in records(script) {
        if !matches!(answer, Answer::Rejected(_)) {
            came.entry(record.submission_id.as_str()).or_insert(wave);
        }
    }
    came
}

#[test]
fn the_versions_of_a_case_follow_each_other_wave_by_wave() {
    let (_, script) = script(1);
    let came = first_waves(&script);
    let mut latest: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
    for (wave, command, answer) in steps(&script) {
        let (last_wave, version) =
            latest.get(command.case_id.as_str()).copied().unwrap_or((came[command.case_id.as_str()], 1));
        assert!(last_wave < wave, "{} takes two steps in one wave", command.case_id);
        let version = match answer {
            Answer::Accepted => {
                assert_eq!(command.expected_version, version);
                version + 1
            }
            Answer::AlreadyKnown | Answer::Refused("STALE_VERSION") => {
                assert_eq!(command.expected_version + 1, version);
                version
            }
            _ => version,
        };
        latest.insert(&command.case_id, (wave, version));
    }
    assert!(latest.len() > 300, "{} cases", latest.len());
}

#[test]
fn nothing_reaches_the_server_before_it_happened() {
    let (_, script) = script(1);
    for wave in &script.waves {
        let now = wave.slot.minute().proto().seconds;
        for call in &wave.calls {
            match call {
                Call::Submit(r, answer) | Call::Open(r, answer) if !matches!(answer, Answer::Rejected(_)) => {
                    assert!(r.occurred_at.as_ref().unwrap().seconds <= now, "{r:?}");
                }
                Call::Advance(c, _) => assert!(c.occurred_at.as_ref().unwrap().seconds <= now, "{c:?}"),
                _ => {}
            }
        }
    }
}

#[test]
fn the_group_is_seen_at_eight_schools_within_six_weeks() {
    let (_, script) = script(1);
    let mut schools = BTreeSet::new();
    let mut seconds = Vec::new();
    for (_, record, _) in records(&script) {
        if let Some(Content::ExposureSignal(signal)) = &record.content
            && signal.group_fingerprint == script.group_fingerprint
        {
            schools.extend(signal.school_ids.clone());
            seconds.push(record.occurred_at.as_ref().unwrap().seconds);
        }
    }
    assert_eq!(schools.len(), signals::GROUP_SCHOOLS);
    assert_eq!(schools.len(), 8);
    let (first, last) = (seconds.iter().min().unwrap(), seconds.iter().max().unwrap());
    assert!(last - first < 42 * 86_400, "within six weeks");
}
