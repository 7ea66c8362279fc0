//! Backup and restore on the real binary: under load, piece by piece, to a point in time, and everything that is refused. All invented.

mod door;
#[path = "access/house.rs"]
#[allow(dead_code, reason = "the house has more rooms than this story needs")]
mod house;
mod process;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context as _, ensure};
use satgas_proto::v1::{self, ReceiptStatus, Role, event_service_client::EventServiceClient};

use house::{House, OWN, area, submit, visit};
use process::{Answer, QUIET, Served, satgas, text};

/// A run, as an operator starts it: where each log ends now, and the key.
fn back_up(served: &Served, to: &Path) -> anyhow::Result<serde_json::Value> {
    let printed = served.ask(&["backup", "--to", text(to), "--format", "json"])?.good()?;
    Ok(serde_json::from_str(&printed)?)
}

fn restore(from: &Path, more: &[&str]) -> anyhow::Result<Answer> {
    Ok(satgas(&["restore", "--from", text(from)]).args(more).output()?.into())
}

fn position(run: &serde_json::Value, log: &str) -> anyhow::Result<u64> {
    run[log]["head"]["position"].as_u64().context("a position")
}

/// The whole log.
async fn events(served: &Served) -> anyhow::Result<Vec<v1::Event>> {
    let mut client = EventServiceClient::new(served.connect().await?);
    let (mut events, mut after_position) = (Vec::new(), 0);
    loop {
        let page = client.read(v1::ReadRequest { after_position, ..Default::default() }).await?.into_inner();
        events.extend(page.events);
        after_position = page.next_after_position;
        if after_position >= page.head_position {
            return Ok(events);
        }
    }
}

/// What supervisors ask of the log as it was at a position: the same at any hour.
fn figures(served: &Served, position: u64) -> anyhow::Result<String> {
    let as_of = position.to_string();
    let ask = |args: &[&str]| served.ask(&[args, &["--as-of", &as_of, "--format", "csv"]].concat())?.good();
    Ok(ask(&["evaluate", "--period", "2026-03"])? + &ask(&["statistics", "--by", "violence", "--from", "2026"])?)
}

fn segments(folder: &Path) -> anyhow::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let paths = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let paths: Vec<PathBuf> = paths.collect::<Result<_, _>>()?;
    let frames = paths.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "frames"));
    frames.map(|path| Ok((path.clone(), fs::read(&path)?))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_backed_up_under_load_is_restored_record_for_record() -> anyhow::Result<()> {
    let House { served, folder, own_case, .. } = House::open_with(&QUIET).await?;
    let to = folder.path().join("backup");
    let served = Arc::new(served);
    // Four phones that send until the runs are done.
    let done = Arc::new(AtomicBool::new(false));
    let mut phones = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (door, done) = (served.connect().await?, Arc::clone(&done));
        phones.spawn(async move {
            let mut sent = 0;
            while !done.load(Ordering::Relaxed) && sent < 50_000 {
                let receipt = submit(&door, &visit(&area(OWN))).await?;
                ensure!(receipt.status() == ReceiptStatus::Accepted, "{receipt:?}");
                sent += 1;
            }
            Ok(sent)
        });
    }
    let (runs, place) = (Arc::clone(&served), to.clone());
    let runs = tokio::task::spawn_blocking(move || {
        let first = back_up(&runs, &place)?;
        let sealed = segments(&place)?;
        let more = (0..3).map(|_| back_up(&runs, &place)).collect::<anyhow::Result<Vec<_>>>()?;
        Ok::<_, anyhow::Error>((first, sealed, more))
    });
    let outcome = runs.await?;
    done.store(true, Ordering::Relaxed);
    let mut sent = 0;
    while let Some(phone) = phones.join_next().await {
        sent += phone??;
    }
    let (first, sealed, more) = outcome?;
    ensure!(sent > 0, "nothing was sent");
    let last = more.last().context("runs")?;
    ensure!(position(&first, "records")? < position(last, "records")?, "the log grew from run to run: {first} {last}");
    let now = segments(&to)?;
    ensure!(sealed.iter().all(|(path, bytes)| now.get(path) == Some(bytes)), "a segment was written again");

    // What came in after the last run is in no backup, so there is one more.
    let run = back_up(&served, &to)?;
    let expected = events(&served).await?;
    ensure!(position(&run, "records")? == expected.len() as u64, "{run}");
    let head = position(&run, "records")?;
    let figures_before = figures(&served, head)?;
    // A copy of the log tells of every case in it.
    let operator = v1::Assignment { role: Role::Operator.into(), own: None };
    let (id, secret) = door::issue(&served.channel().await?, &served.operator()?, operator, 3_600).await?;
    let other = folder.path().join("other");
    process::ask(&served.url, &secret, &["backup", "--to", text(&other)])?.good()?;
    let seen = served.ask(&["audit", "--token", &id])?.good()?;
    ensure!(seen.contains(&own_case), "{seen}");
    Arc::into_inner(served).context("nobody else has it")?.kill()?;

    let data = folder.path().join("restored");
    let key = run["key"].as_str().context("a key")?;
    let told = restore(&to, &["--to", text(&data), "--key", key])?.good()?;
    ensure!(told.contains(&format!("records 1 to {}", expected.len())) && told.contains(key), "{told}");
    satgas(&["verify", "--data", text(&data)]).output().map(Answer::from)?.good()?;
    let served = Served::start_with(&data, &[], &QUIET)?;
    ensure!(events(&served).await? == expected, "another log");
    ensure!(figures(&served, head)? == figures_before, "other figures");
    // It goes on as a log does.
    let receipt = submit(&served.connect().await?, &visit(&area(OWN))).await?;
    ensure!(receipt.position == expected.len() as u64 + 1, "{receipt:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn restored_to_a_point_in_time_the_server_knows_what_came_before_it_and_nothing_after() -> anyhow::Result<()> {
    let House { served, folder, .. } = House::open_with(&QUIET).await?;
    let to = folder.path().join("backup");
    let door = served.connect().await?;
    let (before, after) = (visit(&area(OWN)), visit(&area(OWN)));
    let known = submit(&door, &before).await?;
    let figures_then = figures(&served, known.position)?;
    back_up(&served, &to)?;
    let forgotten = submit(&door, &after).await?;
    let run = back_up(&served, &to)?;
    let all = events(&served).await?;
    let at = all.iter().find(|event| event.position == known.position).and_then(|event| event.recorded_at);
    let at = at.context("when it was recorded")?;
    let until = jiff::Timestamp::new(at.seconds, at.nanos)?.to_string();
    served.kill()?;

    for (name, cut) in [("by-time", ["--until", &until]), ("by-position", ["--position", &known.position.to_string()])]
    {
        let data = folder.path().join(name);
        let told = restore(&to, &[&["--to", text(&data)][..], &cut].concat())?.good()?;
        ensure!(told.contains(&format!("left out: {} to {}", forgotten.position, all.len())), "{told}");
        let served = Served::start_with(&data, &[], &QUIET)?;
        let expected: Vec<v1::Event> = all.iter().filter(|event| event.position <= known.position).cloned().collect();
        ensure!(events(&served).await? == expected, "another log");
        ensure!(figures(&served, known.position)? == figures_then, "other figures");
        // The phone sends both again, as it does when it does not know.
        let door = served.connect().await?;
        let again = submit(&door, &before).await?;
        ensure!(again.status() == ReceiptStatus::AlreadyKnown && again.position == known.position, "{again:?}");
        let new = submit(&door, &after).await?;
        ensure!(new.status() == ReceiptStatus::Accepted && new.position == forgotten.position, "{new:?}");
        // Its log is another one from here on, and so is its key: the old backup is not written over.
        let refused = served.ask(&["backup", "--to", text(&to)])?;
        ensure!(refused.code == Some(1) && refused.error.contains("new folder"), "{refused:?}");
        back_up(&served, &folder.path().join(format!("{name}-backup")))?;
        ensure!(served.terminate()? == Some(0));
    }
    let told = restore(&to, &["--check"])?.good()?;
    ensure!(told.contains("every byte of the backup holds") && told.contains(&position(&run, "records")?.to_string()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_right_is_refused_with_what_to_do() -> anyhow::Result<()> {
    let House { served, folder, .. } = House::open_with(&QUIET).await?;
    let place = |name: &str| folder.path().join(name);
    let (to, data) = (place("backup"), place("data"));
    let head = position(&back_up(&served, &to)?, "records")?;

    fs::create_dir(place("photos"))?;
    fs::write(place("photos/pasar.jpg"), "")?;
    let refuse = |answer: Answer, words: &[&str]| {
        ensure!(
            answer.code == Some(1) && words.iter().all(|word| answer.error.contains(word)),
            "{words:?}: {answer:?}"
        );
        Ok(())
    };
    refuse(served.ask(&["backup", "--to", text(&place("photos"))])?, &["is no backup", "pasar.jpg", "new folder"])?;
    let supervisor = served.tokens().await?.of(Role::Supervisor).to_owned();
    let denied = process::ask(&served.url, &supervisor, &["backup", "--to", text(&place("denied"))])?;
    refuse(denied, &["role"])?;

    let new = place("new");
    let attempt = |from: &Path, more: &[&str]| restore(from, &[&["--to", text(&new)][..], more].concat());
    refuse(attempt(&place("photos"), &[])?, &["holds no backup", "satgas backup --to"])?;
    // Onto a living data folder, and onto one that nobody uses.
    refuse(restore(&to, &["--to", text(&data)])?, &["is not empty", "new folder"])?;
    ensure!(served.terminate()? == Some(0));
    refuse(restore(&to, &["--to", text(&data)])?, &["is not empty", "move that one away"])?;
    for outside in ["0", &(head + 1).to_string()] {
        refuse(attempt(&to, &["--position", outside])?, &["not in the backup", &format!("1 to {head}")])?;
    }
    for outside in ["2001-01-01", "2999-01-01 10:00"] {
        refuse(attempt(&to, &["--until", outside])?, &["not in the backup", "reaches from"])?;
    }
    refuse(attempt(&to, &["--until", "tadi pagi"])?, &["--until", "2026-03-05 10:00"])?;
    refuse(attempt(&to, &["--key", "satgas"])?, &["it is no key"])?;

    let segment = segments(&to)?.into_keys().find(|path| text(path).contains("records-")).context("a segment")?;
    let (name, bytes) = (segment.file_name().and_then(|name| name.to_str()).context("a name")?, fs::read(&segment)?);
    let mut altered = bytes.clone();
    altered[bytes.len() / 2] ^= 1;
    fs::write(&segment, altered)?;
    refuse(attempt(&to, &[])?, &[name, "altered", "another copy"])?;
    refuse(restore(&to, &["--check"])?, &[name, "altered"])?;
    fs::remove_file(&segment)?;
    refuse(attempt(&to, &[])?, &[name, "is missing", "another copy"])?;
    ensure!(!new.exists(), "nothing is left of what was refused");
    fs::write(&segment, bytes)?;

    // A restore that was cut short is no data folder.
    attempt(&to, &[])?.good()?;
    fs::write(new.join("restoring"), "")?;
    let served = satgas(&["serve", "--listen", "127.0.0.1:0", "--data", text(&new)]).output()?.into();
    refuse(served, &["did not come to its end", "restore again"])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_stopped_is_backed_up_from_its_folder_and_its_backup_goes_on() -> anyhow::Result<()> {
    let House { served, folder, .. } = House::open_with(&QUIET).await?;
    let place = |name: &str| folder.path().join(name);
    let (to, data) = (place("backup"), place("data"));
    let stopped = |data: &Path, to: &Path| -> anyhow::Result<Answer> {
        Ok(satgas(&["backup", "--format", "json", "--data", text(data), "--to", text(to)]).output()?.into())
    };
    let refuse = |answer: Answer, words: &[&str]| {
        ensure!(
            answer.code == Some(1) && words.iter().all(|word| answer.error.contains(word)),
            "{words:?}: {answer:?}"
        );
        Ok(())
    };
    let first = back_up(&served, &to)?;
    let sealed = segments(&to)?;
    let new = submit(&served.connect().await?, &visit(&area(OWN))).await?;
    // Not while a server has it.
    refuse(stopped(&data, &place("living"))?, &["is in use by process", "stop that one", "leave --data out"])?;
    let expected = events(&served).await?;
    ensure!(served.terminate()? == Some(0));

    refuse(stopped(&place("nowhere"), &place("none"))?, &["there is no log", "right folder"])?;
    ensure!(!place("nowhere").exists(), "a mistyped folder became one");
    let run: serde_json::Value = serde_json::from_str(&stopped(&data, &to)?.good()?)?;
    ensure!(run["key"] == first["key"] && run["records"]["added"] == 1, "{run}");
    ensure!(position(&run, "records")? == new.position, "{run}");
    let now = segments(&to)?;
    ensure!(sealed.iter().all(|(path, bytes)| now.get(path) == Some(bytes)), "a segment was written again");

    // Everything is in it, and what comes later goes on from there.
    let restored = place("restored");
    let key = run["key"].as_str().context("a key")?;
    restore(&to, &["--to", text(&restored), "--key", key])?.good()?;
    let served = Served::start_with(&restored, &[], &QUIET)?;
    ensure!(events(&served).await? == expected, "another log");
    ensure!(served.terminate()? == Some(0));
    let served = Served::start_with(&data, &[], &QUIET)?;
    submit(&served.connect().await?, &visit(&area(OWN))).await?;
    let after = back_up(&served, &to)?;
    ensure!(after["records"]["added"] == 1 && position(&after, "records")? == new.position + 1, "{after}");
    restore(&to, &["--check", "--key", key])?.good()?;
    ensure!(served.terminate()? == Some(0));

    // A folder that went another way, one of another log, and one that cannot sign.
    refuse(stopped(&restored, &to)?, &["another key", "new folder"])?;
    fs::copy(data.join("keys/heads.pem"), restored.join("keys/heads.pem"))?;
    let served = Served::start_with(&restored, &[], &QUIET)?;
    let door = served.connect().await?;
    for _ in 0..3 {
        submit(&door, &visit(&area(OWN))).await?;
    }
    ensure!(served.terminate()? == Some(0));
    refuse(stopped(&restored, &to)?, &["does not go on from the backup", "new folder"])?;
    stopped(&restored, &place("restored-backup"))?.good()?;
    let other = Served::start(&place("other"), &[])?;
    ensure!(other.terminate()? == Some(0));
    refuse(stopped(&place("other"), &to)?, &["is of the log", "another folder"])?;
    fs::remove_file(data.join("keys/heads.pem"))?;
    refuse(stopped(&data, &to)?, &["heads.pem", "put it back"])?;
    ensure!(!data.join("keys/heads.pem").exists(), "another key was made");
    restore(&to, &["--check", "--key", key])?.good()?;
    Ok(())
}
