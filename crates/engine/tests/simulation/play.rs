//! One seed, from an empty town to a log that is checked.

use std::{collections::BTreeMap, sync::Arc};

use prost::Message as _;
use satgas_domain::{
    id::Level,
    time::{Instant, Period},
    views::{EvaluatedBody, ListQuery, Moment, Views},
};
use satgas_engine::{Engine, Handed, Options, Stepped, Writable};
use satgas_journal::{Head, Journal as _};
use satgas_proof::merkle;
use satgas_proto::v1;

use crate::{
    check, client,
    commands::{Refused, Trouble, ended_right},
    disk::Disk,
    history::Sent,
    ledger::Ledger,
    make, reader,
    tasks::drive,
    vault,
    world::World,
};

/// Turns after which a history must have come to its end.
const TURNS_MAX: usize = 20_000;

/// How a seed was played.
#[derive(Clone, Debug)]
pub(crate) struct Played {
    pub(crate) trace: String,
    /// How many events there are of each kind.
    pub(crate) kinds: BTreeMap<&'static str, usize>,
    pub(crate) turns: usize,
    pub(crate) restarts: usize,
    /// Parts of checkpoints that lay there at the openings.
    pub(crate) parts: usize,
    /// How often the writer waited for the fold.
    pub(crate) waits: usize,
}

/// Why an engine's life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Everybody has done what they wanted, and everybody knows.
    Done,
    Crash,
    Shutdown,
}

/// Plays a seed and checks it; panics where something does not hold.
pub(crate) fn play(seed: u64, printed: bool) -> Played {
    let world = World::new(seed, printed);
    let before = world.durable();
    let options = options(&world);
    let (mut turns, mut restarts, mut parts) = (0, 0, 0);
    let mut stepped = open(&world, &options);
    loop {
        let end = live(&world, &mut stepped, &mut turns, restarts);
        world.note(format_args!("{end:?} at {}", world.durable()));
        match end {
            End::Done => break,
            End::Crash => {
                world.tasks.clear();
                drop(stepped);
                let reached = world.chance(0.5);
                world.platter.lock().crash(reached);
                world.kept.lock().crashed(&world);
            }
            End::Shutdown => {
                stepped.shutdown();
                let head = world.platter.lock().log().head();
                world.kept.lock().shut_down(&world, head.position);
                // Those who wait are answered before the machine stops.
                while !world.tasks.runnable().is_empty() {
                    world.poll_one();
                }
                world.tasks.clear();
                let reached = world.chance(0.5);
                world.platter.lock().crash(reached);
            }
        }
        restarts += 1;
        parts += world.kept.lock().parts();
        world.keys.lock().restart(&world);
        stepped = open(&world, &options);
        world.keys.lock().holds_no_key_of_the_erased(&log(&world));
        let expected = rebuilt(&world, &log(&world), stepped.engine().head());
        assert_eq!(shown(stepped.engine()), expected, "views after opening, against those rebuilt");
    }
    let log = wind_up(&world, stepped, &options, before);
    let mut kinds = BTreeMap::new();
    log.iter().for_each(|event| *kinds.entry(event.kind().as_str_name()).or_default() += 1);
    Played { trace: world.trace(), kinds, turns, restarts, parts, waits: world.waits() }
}

fn options(world: &World) -> Options {
    Options {
        vault: Some(world.keys.lock().options()),
        checkpoints: world.plan.checkpoint_every.map(|_| world.kept.lock().folder()),
        checkpoint_every: world.plan.checkpoint_every.unwrap_or(1),
        parts: world.plan.parts,
        fold_bytes_max: world.plan.fold_bytes_max,
        queue_bytes_max: world.plan.queue_bytes_max,
        tail_bytes_max: world.plan.tail_bytes_max,
        ..Options::default()
    }
}

/// Opens an engine on the world's disk, and has its clients and subscribers come back.
fn open(world: &Arc<World>, options: &Options) -> Stepped {
    let reach = world.kept.lock().reach();
    let mut platter = world.platter.lock();
    (platter.faulty, platter.read_from) = (false, None);
    drop(platter);
    let stepped = Stepped::open(Disk::of(world), Arc::clone(&world.time) as _, options).expect("the log opens");
    let read_from = world.platter.lock().read_from;
    assert!(read_from.is_none_or(|from| from >= reach), "of {reach} folded before, all behind {read_from:?} is again");
    let head = stepped.engine().head();
    world.kept.lock().opened(head.position);
    world.note(format_args!("opened at {}, with what was folded up to {reach}", head.position));
    let clients = world.clients.lock().count();
    for me in 0..clients {
        world.tasks.spawn(client::name(me), client::live(Arc::clone(world), stepped.engine().clone(), me));
    }
    let readers = world.readers.lock().all().len();
    for me in 0..readers {
        let reading = reader::live(Arc::clone(world), stepped.engine().clone(), me);
        world.tasks.spawn(format!("reader {me}"), reading);
    }
    stepped
}

/// Gives turns until all is done or something stops the engine.
fn live(world: &Arc<World>, stepped: &mut Stepped, turns: &mut usize, restarts: usize) -> End {
    let calm = restarts >= world.plan.restarts;
    world.platter.lock().faulty = !calm;
    loop {
        *turns += 1;
        assert!(*turns < TURNS_MAX, "it does not come to an end");
        if world.platter.lock().crashed || (!calm && world.chance(world.plan.crash)) {
            return End::Crash;
        }
        if !calm && world.chance(world.plan.stop) {
            return End::Shutdown;
        }
        if !calm && world.plan.checkpoint_every.is_some() {
            world.kept.lock().pass(world);
        }
        if world.chance(0.1) {
            world.pass_time();
        }
        if world.chance(0.02) && !world.tasks.is_there("judge") {
            world.tasks.spawn("judge".into(), judge(Arc::clone(world), stepped.engine().clone()));
        }
        if turn(world, stepped) {
            continue;
        }
        if !world.platter.lock().is_poisoned() {
            assert!(world.clients.lock().are_done() && !world.tasks.is_there("judge"), "somebody waits for ever");
            return End::Done;
        }
        assert_eq!(
            *stepped.engine().writable().borrow(),
            Writable::Failed,
            "nothing more is taken, and nobody is told"
        );
        return if world.chance(0.5) { End::Crash } else { End::Shutdown };
    }
}

/// One turn of somebody. False when nobody has anything to do.
fn turn(world: &World, stepped: &mut Stepped) -> bool {
    let (tasks, plan) = (world.tasks.runnable().len(), &world.plan);
    let chosen = world.below(tasks + plan.writer + plan.fold);
    if chosen < tasks {
        world.poll_one();
        return true;
    }
    let (write, fold) = (Stepped::write as fn(&mut Stepped) -> bool, Stepped::fold as fn(&mut Stepped) -> bool);
    let order = if chosen < tasks + plan.writer {
        [("writer", write), ("fold", fold)]
    } else {
        [("fold", fold), ("writer", write)]
    };
    for (name, step) in order {
        let folded = *stepped.engine().folded().borrow();
        if step(stepped) {
            world.note(format_args!("{name}: head {}", stepped.engine().head().position));
            if name == "writer" && *stepped.engine().folded().borrow() > folded {
                world.waited();
            }
            return true;
        }
    }
    if tasks > 0 {
        world.poll_one();
    }
    tasks > 0
}

async fn judge(world: Arc<World>, engine: Engine) {
    match engine.judge_deadlines().await {
        Ok(missed) => world.note(format_args!("{missed} deadlines were missed")),
        Err(error) => world.note(format_args!("deadlines were not judged: {error}")),
    }
}

/// Nothing fails any more: what an approval began is finished, deadlines are judged, the engine is shut down and opened again, all is checked,
/// and everything is sent once more.
fn wind_up(world: &Arc<World>, mut stepped: Stepped, options: &Options, before: u64) -> Vec<v1::Event> {
    world.platter.lock().faulty = false;
    world.kept.lock().come_back(world);
    if Ledger::of(&log(world), before).unfinished() > 0 {
        // An opening carries out what was approved and not finished.
        world.tasks.clear();
        stepped.shutdown();
        world.kept.lock().shut_down(world, log(world).len() as u64);
        stepped = open(world, options);
        while turn(world, &mut stepped) {}
    }
    let engine = stepped.engine().clone();
    let judged = drive(engine.judge_deadlines(), || stepped.write() || stepped.fold());
    let again = drive(engine.judge_deadlines(), || stepped.write() || stepped.fold());
    assert!(judged.is_ok() && matches!(again, Ok(0)), "what was judged is judged: {judged:?}, {again:?}");
    // Poisoned engines have been restarted by now: everything moves on.
    while turn(world, &mut stepped) {}
    let head = engine.head();
    let (live, log) = (shown(&engine), log(world));
    assert_eq!(live, rebuilt(world, &log, head), "live views against those rebuilt");
    for reader in world.readers.lock().all() {
        assert_eq!(reader.position, head.position, "a subscriber is left behind");
    }
    world.tasks.clear();
    drop(engine);
    stepped.shutdown();
    world.kept.lock().shut_down(world, head.position);

    let mut stepped = open(world, options);
    world.tasks.clear();
    assert_eq!(shown(stepped.engine()), live, "views after a restart against those before");
    assert_eq!(Ledger::of(&log, before).unfinished(), 0, "an approved erasure is not carried out");
    let keys = world.keys.lock();
    keys.holds_no_key_of_the_erased(&log);
    stepped.engine().verify(&mut |_| ()).expect("the chain is whole");
    let held = check::check(&world.history.lock(), world.readers.lock().all(), &log, &keys.opened(&log), before);
    drop(keys);
    send_again(&held, &log, &mut stepped);
    assert_eq!(stepped.engine().head(), head, "what was sent again wrote nothing");
    world.note(format_args!("ends at {}", head.position));
    log
}

/// Everything that is in the log, once more: it is known, where it stands.
fn send_again(held: &BTreeMap<u64, Sent>, log: &[v1::Event], stepped: &mut Stepped) {
    use v1::ReceiptStatus::{AlreadyKnown, QuarantineRefused, Quarantined};
    let engine = stepped.engine().clone();
    let mut work = || stepped.write() || stepped.fold();
    let records = held.iter().filter_map(|(position, sent)| match sent {
        Sent::Record(record) => Some((*position, Handed::from(record.clone()))),
        _ => None,
    });
    let (positions, records): (Vec<u64>, Vec<Handed>) = records.unzip();
    let again = async { engine.enqueue(records).await?.receipts().await };
    let receipts = drive(again, &mut work).expect("it is answered");
    assert!(receipts.iter().all(|receipt| receipt.status() == AlreadyKnown), "{receipts:?}");
    assert!(receipts.iter().map(|receipt| receipt.position).eq(positions), "known elsewhere: {receipts:?}");
    let erased = vault::erased(log);
    for (position, sent) in held {
        match sent {
            Sent::Late(record) => {
                let handed = Handed { submission: record.clone(), ended: Some(ended_right()) };
                let receipt = drive(engine.submit(handed), &mut work).expect("it is answered");
                let stands = match receipt.status() {
                    Quarantined | QuarantineRefused => receipt.position == *position,
                    status => status == AlreadyKnown,
                };
                assert!(stands, "the late record at {position}: {receipt:?}");
            }
            Sent::Command(command) => {
                let answer = drive(command.send(&engine), &mut work);
                let is_erased = command.case().is_some_and(|case| erased.contains(case));
                match answer {
                    Ok(None) => {}
                    Ok(Some(receipt)) => {
                        let known = (receipt.status(), receipt.position) == (AlreadyKnown, *position);
                        assert!(known, "what is at {position}: {receipt:?}");
                    }
                    Err(Trouble::Refused(Refused::Seals(_)) | Trouble::IdTaken(0))
                        if is_erased && command.needs_key() => {}
                    Err(trouble) => panic!("what is at {position}: {trouble:?}"),
                }
            }
            Sent::Record(_) | Sent::Step(_) | Sent::Area(_) => {}
        }
    }
}

fn log(world: &World) -> Vec<v1::Event> {
    let log = world.platter.lock().log();
    let all = log.read(0, usize::MAX).expect("it is read");
    all.records().map(|(_, record)| v1::Event::decode(record).expect("an event")).collect()
}

/// What views show, in so far as it says what they hold.
#[derive(Debug, PartialEq)]
struct Shown {
    position: u64,
    /// Of the Merkle tree over all records.
    root: merkle::Hash,
    records: usize,
    evaluations: Vec<v1::Evaluation>,
    warnings: Vec<v1::Warning>,
    cases: Vec<v1::Case>,
    conflicts: Vec<v1::Conflict>,
    held: Vec<v1::Held>,
    kept: Vec<v1::QuarantinedRecord>,
    sealings: BTreeMap<String, Option<v1::CaseSealing>>,
    reports: Vec<v1::PublicReport>,
    releases: Vec<v1::ReleasePublished>,
    changed: Vec<(String, u64)>,
}

fn show(views: &Views, head: Head, root: merkle::Hash) -> Shown {
    let now = Instant::from_jiff(make::time("2028-05-01T12:00:00"));
    let known = views.at(Moment { position: head.position, now, head_hash: head.hash });
    let query = ListQuery {
        period: Period::parse("2028-04").expect("a period"),
        prefix: "",
        level: Some(Level::Kelurahan),
        body: EvaluatedBody::Kelurahan,
        draft: None,
    };
    let mut changed: Vec<_> = views.changed_after(0, "").map(|(code, at)| (code.to_owned(), at)).collect();
    changed.sort_unstable();
    Shown {
        position: views.position(),
        root,
        records: views.record_count(),
        evaluations: known.evaluations(&query, &known.listed(&query)),
        warnings: known.warnings(""),
        cases: known.cases_after(None, "", None).collect(),
        conflicts: known.conflicts("", 0).collect(),
        held: known.held("", 0).collect(),
        kept: known.quarantined("", "", 0).collect(),
        sealings: views.sealings().all().map(|(id, of)| (id.to_string(), of.to_proto(u64::MAX, now))).collect(),
        reports: views.public_reports().after(0).map(|report| views.report_shown(report, now)).collect(),
        releases: known.releases().until(u64::MAX).map(|release| release.message.clone()).collect(),
        changed,
    }
}

/// What the engine's views show; they must stand at the head.
fn shown(engine: &Engine) -> Shown {
    let head = engine.head();
    let tree = drive(engine.tree_head(head.position), || false).expect("the head is reached");
    let look = engine.query(head.position, |folded| {
        assert_eq!(folded.head, head);
        show(&folded.views, head, tree.root)
    });
    drive(look, || false).expect("the head is reached")
}

/// What views show that are folded from the log, from its beginning.
fn rebuilt(world: &World, log: &[v1::Event], head: Head) -> Shown {
    let mut views = Views::new("Asia/Makassar").expect("the zone is bundled");
    log.iter().for_each(|event| views.apply(event));
    let stored = world.platter.lock().log().read(0, usize::MAX).expect("it is read");
    let leaves: Vec<merkle::Hash> = stored.records().map(|(_, record)| merkle::leaf(&record)).collect();
    show(&views, head, merkle::root_of(&leaves))
}
