//! Rounds: random work, a death at a random moment, and everything checked.
//!
//! The plan of a round comes from the seed: what each client sends, after how many acknowledgements the server is killed, whether it is killed
//! again while it starts, and how it ends. What the plan cannot say is how the calls interleave, which the machine decides.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use rand::RngExt as _;
use satgas_proto::v1::{
    ReadRequest, RegisterRequest, Role, event_service_client::EventServiceClient,
    registry_service_client::RegistryServiceClient,
};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    client::{self, Ledger},
    follow::{self, Kind, Subscriber},
    history,
    route::{Route, Signpost},
    server::{House, Served, Verified},
    work::{self, Author, Turn},
};

/// A round that takes longer is stuck.
const ROUND_MAX: Duration = Duration::from_secs(180);
/// Breaches that are told one by one.
const TOLD_MAX: usize = 10;

/// How much the clients of a round do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Clients that send single records, and how many each.
    pub(crate) singles: (u64, usize),
    /// Clients that send batches, and how many each.
    pub(crate) batches: (u64, usize),
    /// Clients that lead cases, and how many each.
    pub(crate) cases: (u64, usize),
}

impl Load {
    pub(crate) const USUAL: Self = Self { singles: (6, 14), batches: (2, 4), cases: (2, 4) };

    /// The turns of each client, from the seed.
    pub(crate) fn turns(self, seed: u64, round: u64) -> Vec<Vec<Turn>> {
        let mut turns = Vec::new();
        let author = |turns: &Vec<_>| Author::new(seed, round, turns.len() as u64);
        for _ in 0..self.singles.0 {
            turns.push(author(&turns).singles(self.singles.1));
        }
        for _ in 0..self.batches.0 {
            turns.push(author(&turns).batches(self.batches.1, 40));
        }
        for _ in 0..self.cases.0 {
            turns.push(author(&turns).cases(self.cases.1));
        }
        turns
    }
}

/// How a server dies in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Death {
    /// It is killed after so many acknowledgements of the round.
    after: u64,
    /// Then it is started and killed once more after so long.
    again: Option<Duration>,
    /// At the end of the round it is asked to stop; otherwise it is killed.
    in_order: bool,
}

impl Death {
    pub(crate) fn new(seed: u64, round: u64) -> Self {
        let mut random = work::random(seed, round, 0);
        Self {
            after: random.random_range(1..220),
            again: random.random_bool(0.25).then(|| Duration::from_millis(random.random_range(1..200))),
            in_order: random.random_bool(0.3),
        }
    }
}

/// What the rounds of a run came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    pub(crate) acknowledged: u64,
    pub(crate) unanswered: usize,
    pub(crate) not_taken: u64,
    pub(crate) records: usize,
    pub(crate) kills: u64,
    pub(crate) rebuilds: u64,
}

/// A house with its server, clients and subscribers over many rounds.
pub(crate) struct Run {
    pub(crate) house: House,
    pub(crate) served: Option<Served>,
    pub(crate) signpost: Signpost,
    pub(crate) ledger: Ledger,
    subscribers: Vec<Subscriber>,
    /// Fingerprints of the log as it was read last: what stood there stands there for good.
    stood: Vec<u64>,
    seed: u64,
    pub(crate) told: Told,
}

/// The clients and subscribers of a round at work.
pub(crate) struct AtWork {
    clients: JoinSet<Result<()>>,
    subscribers: JoinSet<Result<Subscriber>>,
    goal: watch::Sender<Option<u64>>,
}

impl AtWork {
    /// Whether the clients have nothing left to do.
    pub(crate) fn is_done(&mut self) -> Result<bool> {
        while let Some(done) = self.clients.try_join_next() {
            done??;
        }
        Ok(self.clients.is_empty())
    }
}

impl Run {
    /// Starts a server on an empty folder and registers the city.
    pub(crate) async fn begin(house: House, seed: u64) -> Result<Self> {
        let served = house.serve()?;
        let signpost = Signpost::new(&served.url(), &house.data).await?;
        signpost.point(Some(served.url()));
        let mut registry = RegistryServiceClient::new(signpost.route().door().await?);
        let request = RegisterRequest { entries: work::registry(), skip_bad: false };
        let refused = registry.register(request).await?.into_inner().refused;
        ensure!(refused.is_empty(), "{refused:?}");
        let subscribers = Kind::ALL.into_iter().map(Subscriber::new).collect();
        let (ledger, told) = (Ledger::new(), Told::default());
        Ok(Self { house, served: Some(served), signpost, ledger, subscribers, stood: Vec::new(), seed, told })
    }

    /// The seed of the run.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// One round with a death in it.
    pub(crate) async fn kill_round(&mut self, round: u64, load: Load) -> Result<()> {
        let death = Death::new(self.seed, round);
        let limited = tokio::time::timeout(ROUND_MAX, async {
            if self.served.is_none() {
                self.serve()?;
            }
            let mut at_work = self.set_to_work(load.turns(self.seed, round), self.signpost.route());
            self.wait_for(death.after, &mut at_work).await?;
            self.die(death)?;
            self.serve()?;
            self.finish(at_work).await?;
            self.end(death.in_order).await
        });
        let limited = limited.await.unwrap_or_else(|_| bail!("it did not end within {} s", ROUND_MAX.as_secs()));
        limited.with_context(|| format!("round {round}, {death:?}; the server's log ends:\n{}", self.house.told()))
    }

    /// Starts the server and tells everybody where it is.
    pub(crate) fn serve(&mut self) -> Result<()> {
        let served = self.house.serve()?;
        self.signpost.point(Some(served.url()));
        self.served = Some(served);
        Ok(())
    }

    fn die(&mut self, death: Death) -> Result<()> {
        self.kill()?;
        if let Some(after) = death.again {
            self.house.kill_at_start(after)?;
            self.told.kills += 1;
        }
        Ok(())
    }

    /// Kills the server, and tells nobody: the clients have to find out.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.served.take().context("the server runs")?.kill()?;
        self.signpost.point(None);
        self.told.kills += 1;
        Ok(())
    }

    /// Sets clients and subscribers to work.
    pub(crate) fn set_to_work(&mut self, turns: Vec<Vec<Turn>>, route: Route) -> AtWork {
        let goal = watch::Sender::new(None);
        let mut at_work = AtWork { clients: JoinSet::new(), subscribers: JoinSet::new(), goal };
        for turns in turns {
            at_work.clients.spawn(client::work(self.ledger.clone(), route.clone(), turns));
        }
        for subscriber in self.subscribers.drain(..) {
            at_work.subscribers.spawn(subscriber.listen(route.clone(), at_work.goal.subscribe()));
        }
        at_work
    }

    /// Waits for so many more acknowledgements, or until there is nothing left to acknowledge.
    pub(crate) async fn wait_for(&self, more: u64, at_work: &mut AtWork) -> Result<()> {
        let before = self.ledger.history().acknowledgements();
        let mut acknowledgements = self.ledger.acknowledgements();
        loop {
            if at_work.clients.is_empty() {
                return Ok(());
            }
            tokio::select! {
                enough = acknowledgements.wait_for(|count| *count >= before + more) => {
                    enough?;
                    return Ok(());
                }
                Some(done) = at_work.clients.join_next() => done??,
            }
        }
    }

    /// Waits until everybody is done, and checks what is to be seen through the API.
    pub(crate) async fn finish(&mut self, mut at_work: AtWork) -> Result<()> {
        while let Some(done) = at_work.clients.join_next().await {
            done??;
        }
        let mut route = self.signpost.route();
        let mut door = EventServiceClient::new(route.door().await?);
        let head = door.read(ReadRequest { page_size: 1, ..Default::default() }).await?.into_inner().head_position;
        at_work.goal.send_replace(Some(head));
        while let Some(done) = at_work.subscribers.join_next().await {
            self.subscribers.push(done??);
        }
        self.check().await
    }

    /// Holds the whole log against what the clients know and the subscribers heard.
    pub(crate) async fn check(&mut self) -> Result<()> {
        let mut route = self.signpost.route();
        let log = follow::read_all(EventServiceClient::new(route.door().await?), None).await?;
        let stand: Vec<u64> = log.iter().map(follow::fingerprint).collect();
        ensure!(stand.starts_with(&self.stood), "what stood in the log before stands there no more, or otherwise");
        self.stood = stand;
        let breaches = history::check(&self.ledger.history(), &log);
        if !breaches.is_empty() {
            let told = breaches.iter().take(TOLD_MAX).map(String::as_str).collect::<Vec<_>>().join("\n");
            bail!("{} breaches:\n{told}", breaches.len());
        }
        for subscriber in &self.subscribers {
            subscriber.check(&mut route, &log).await?;
        }
        self.told.records = log.len();
        let history = self.ledger.history();
        (self.told.acknowledged, self.told.unanswered) = (history.acknowledgements(), history.unanswered());
        drop(history);
        self.told.not_taken = self.ledger.reasons().values().sum();
        Ok(())
    }

    /// Ends the server, and has its folder verified.
    pub(crate) async fn end(&mut self, in_order: bool) -> Result<()> {
        if in_order {
            self.served.take().context("the server runs")?.stop().await?;
            self.signpost.point(None);
        } else {
            self.kill()?;
        }
        self.house.ensure_no_blobs()?;
        match self.house.verify()? {
            // The server may have written of itself since it was read.
            Verified::Holds(records) => ensure!(records >= self.stood.len() as u64, "verify finds {records} records"),
            Verified::Damaged(what) => bail!("verify: {what}"),
        }
        Ok(())
    }

    /// Serves the stopped folder as it is, and a copy without its checkpoints, and compares everything that is folded from the log.
    pub(crate) async fn compare_with_rebuilt(&mut self, scratch: &Path) -> Result<()> {
        ensure!(self.served.is_none(), "the server is stopped first");
        let position = self.stood.len();
        let mut answers = Vec::new();
        for name in ["kept", "rebuilt"] {
            let house = self.house.copy(scratch.join(name))?.with("SATGAS_DEADLINES_EVERY_S", 0);
            if name == "rebuilt" {
                ensure!(house.remove_checkpoints()? > 0, "the folder has no checkpoints, so nothing would be compared");
            }
            let served = house.serve()?;
            answers.push(self.answers(&house, &served, position, scratch)?);
            served.stop().await?;
            fs::remove_dir_all(&house.data)?;
        }
        let [kept, rebuilt] = answers.as_slice() else { bail!("two were asked") };
        for ((asked, kept), (_, rebuilt)) in kept.iter().zip(rebuilt) {
            ensure!(kept == rebuilt, "`satgas {asked}` differs without checkpoints");
        }
        self.told.rebuilds += 1;
        Ok(())
    }

    /// What the command line prints or writes of all views.
    fn answers(
        &self,
        house: &House,
        served: &Served,
        position: usize,
        scratch: &Path,
    ) -> Result<Vec<(String, Vec<u8>)>> {
        let position = position.to_string();
        let asked: [&[&str]; 9] = [
            &["export", "evaluations", "--period", "2025", "--as-of", &position, "--to", "evaluations.csv"],
            &["export", "records", "--until", &position, "--to", "records.jsonl"],
            &["evaluate", "--period", "2025-03", "--as-of", &position, "--format", "json"],
            &["warnings", "--as-of", &position, "--format", "json"],
            &["conflicts", "--as-of", &position, "--format", "json"],
            &["case", "list", "--as-of", &position, "--format", "json"],
            &["case", "list", "--format", "json"],
            &["conflicts", "--format", "json"],
            &["held", "--format", "json"],
        ];
        let mut answers = Vec::new();
        for args in asked {
            let mut command = Command::new(&house.satgas);
            command.args(args).current_dir(scratch).env("SATGAS_SERVER_URL", served.url());
            let output = command.env("SATGAS_TOKEN", self.signpost.token(Role::Supervisor)).output()?;
            let error = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "satgas {} ended with {}: {error}", args.join(" "), output.status);
            let written = args.iter().position(|arg| *arg == "--to").and_then(|at| args.get(at + 1));
            let bytes = match written {
                None => output.stdout,
                Some(file) => {
                    let bytes = fs::read(scratch.join(file))?;
                    fs::remove_file(scratch.join(file))?;
                    if args[1] == "evaluations" {
                        // Its proof names the head, which has moved on.
                        fs::remove_file(scratch.join(format!("{file}.proof")))?;
                    }
                    bytes
                }
            };
            ensure!(!bytes.is_empty(), "satgas {} says nothing", args.join(" "));
            answers.push((args.join(" "), bytes));
        }
        Ok(answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_round_make_one_plan() {
        assert_eq!(Death::new(3, 9), Death::new(3, 9));
        assert_eq!(Load::USUAL.turns(3, 9), Load::USUAL.turns(3, 9));
        assert_ne!(Load::USUAL.turns(3, 9), Load::USUAL.turns(3, 10));
    }
}
