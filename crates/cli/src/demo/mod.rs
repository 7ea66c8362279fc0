//! `satgas demo`: a server on a fresh folder, and a year of invented work of all task forces of Kota Kupang sent to it.
//!
//! The server is the real one, in this process, on a clock that the player moves; everything reaches it as gRPC over loopback, so
//! the demo can do nothing that another client could not. The same seed gives the same evaluations to the byte. Everything that is
//! printed says DATA CONTOH.

mod cast;
mod dice;
mod folder;
mod kupang;
mod outcome;
mod player;
mod print;
mod script;
mod tokens;
mod year;

use std::{
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum;
use satgas_proto::v1;
use satgas_server::{Config, ManualClock, Server, StartError, Verified};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::MissedTickBehavior,
};

use self::{
    cast::Cast,
    folder::Folder,
    outcome::Outcome,
    player::Player,
    script::{Counts, Script},
    tokens::Tokens,
    year::{END, Minute},
};

/// When the registry is filled: the morning before the year begins.
const BEFORE: Minute = Minute::on(-1, 8 * 60);
/// How often the clock of a server that goes on is moved.
const TICK: Duration = Duration::from_millis(200);

/// Plays a year of invented work of all task forces of Kota Kupang (DATA CONTOH), prints the city's evaluation, and goes on serving.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder for the data, empty or not there yet [default: a temporary one that goes with the demo]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 5371)))]
    listen: SocketAddr,
    /// End after the print instead of going on serving
    #[arg(long)]
    exit: bool,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The same number plays the same year
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Clients that send at once
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=512))]
    clients: u16,
    /// So many times the visits, signals and cases
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20))]
    scale: u32,
}

/// How the result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Tables for people.
    Table,
    /// One JSON object.
    Json,
}

/// A year that was played.
#[derive(Debug)]
struct Played {
    seed: u64,
    clients: usize,
    counts: Counts,
    /// Deadlines that passed unmet.
    missed: u64,
    outcome: Outcome,
    playing: Duration,
    append_per_s: f64,
    latency_p50: Duration,
    latency_p99: Duration,
    /// A visit that was not played.
    spare: v1::Submission,
    tokens: Tokens,
}

/// Plays the year, prints what it came to, and serves until a signal unless it is told to end.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let mut stop = Stop::listen()?;
    let folder = Folder::take(args.data.clone())?;
    let clock = Arc::new(ManualClock::new(BEFORE.timestamp()));
    let server = start(&args, &folder, Arc::clone(&clock)).await?;
    let played = tokio::select! {
        played = play(&args, &server, &clock) => played,
        () = stop.signalled() => Err(anyhow::anyhow!("the demo was interrupted")),
    };
    let played = match played {
        Ok(played) => played,
        Err(error) => {
            // What went wrong first is what counts.
            let _ = server.shutdown().await;
            return Err(error);
        }
    };
    if args.exit {
        server.shutdown().await.context("the server did not stop in order")?;
        let data = folder.path().to_owned();
        let verified =
            tokio::task::spawn_blocking(move || satgas_server::verify(&data, |_| {}).map(|checked| checked.log))
                .await?;
        return print(&args, &played, &verified.context("the log does not hold")?);
    }
    let ended = go_on(&args, &folder, &played, &server, &clock, &mut stop).await;
    server.shutdown().await.context("the server did not stop in order")?;
    ended
}

async fn start(args: &Args, folder: &Folder, clock: Arc<ManualClock>) -> anyhow::Result<Server> {
    let config = Config {
        listen: args.listen,
        data: folder.path().to_owned(),
        sample_data: true,
        // The player says when: by itself the server would look at moments that are different each time.
        deadlines_every_s: 0,
        ..Config::default()
    };
    match Server::start(config, clock).await {
        Err(StartError::Listen { address, error }) if error.kind() == io::ErrorKind::AddrInUse => {
            bail!(
                "{address} is taken, perhaps by another server: end that one, or choose a port with --listen 127.0.0.1:0"
            )
        }
        started => started.context("the demo's server cannot start"),
    }
}

async fn play(args: &Args, server: &Server, clock: &ManualClock) -> anyhow::Result<Played> {
    let address = server.address();
    let cast = Cast::of(args.seed);
    let script = Script::of(args.seed, &cast, args.scale);
    let mut wanted = script.counts();
    wanted.registered += cast.registered.len() as u64;
    let clients = usize::from(args.clients);
    eprintln!("{} DATA CONTOH records for http://{address}, by {clients} clients", wanted.sent());

    let url = format!("http://{address}");
    let tokens = Tokens::issue(&url, server.operator_token().0).await?;
    let mut player = Player::to(&url, clients, &tokens)?;
    player.register(cast.registered).await?;
    let before = player.counts.events();
    player.play(script.waves, server, clock).await?;
    clock.set(END.timestamp());
    player.judge(server).await?;

    let counts = player.counts;
    ensure!(counts == wanted, "the story wants {wanted:?}, the server's receipts say {counts:?}");
    let outcome = Outcome::ask(player.supervisor(), player.position).await?;
    outcome.check(&counts, player.missed, script.held_for_ever)?;
    let appended = u32::try_from(counts.events() - before).unwrap_or(u32::MAX);
    Ok(Played {
        seed: args.seed,
        clients,
        counts,
        missed: player.missed,
        outcome,
        playing: player.playing,
        append_per_s: f64::from(appended) / player.playing.as_secs_f64(),
        latency_p50: player.latency(50),
        latency_p99: player.latency(99),
        spare: script.spare,
        tokens,
    })
}

/// Prints the result. The log that was verified has to be the one that was evaluated.
fn print(args: &Args, played: &Played, verified: &Verified) -> anyhow::Result<()> {
    let basis = &played.outcome.basis;
    ensure!(
        verified.head.position == basis.position && verified.head.hash[..] == basis.head_hash[..],
        "the log ends at {} and the evaluations are made of {}",
        verified.head.position,
        basis.position
    );
    let mut out = io::stdout().lock();
    match args.format {
        Format::Table => print::tables(&mut out, played, verified)?,
        Format::Json => print::json(&mut out, played, verified)?,
    }
    Ok(out.flush()?)
}

/// Prints, and serves until a signal. The clock goes on from the year's end as fast as time does.
async fn go_on(
    args: &Args,
    folder: &Folder,
    played: &Played,
    server: &Server,
    clock: &ManualClock,
    stop: &mut Stop,
) -> anyhow::Result<()> {
    let verified = server.verify().await.context("the log does not hold")?;
    print(args, played, &verified)?;
    // With --format json the one object stays alone on standard output.
    match args.format {
        Format::Table => print::how_to_go_on(&mut io::stdout().lock(), server.address(), folder, played)?,
        Format::Json => print::how_to_go_on(&mut io::stderr().lock(), server.address(), folder, played)?,
    }
    let begun = Instant::now();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                clock.set(END.timestamp() + begun.elapsed());
                server.judge_deadlines().await?;
            }
            () = stop.signalled() => return Ok(()),
        }
    }
}

/// The signals that end the demo.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn signalled(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
