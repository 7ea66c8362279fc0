//! The client kit in `examples/clients`, each client against the real binary: it hands in a visit, watches an evaluation, and goes on
//! following the log after its connection was cut.
//!
//! `cargo xtask test` installs what the clients in other languages need. Without it these tests fail, and say so.

mod door;
mod process;

use std::{
    fs, io,
    net::{Shutdown, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use process::{Answer, Served, ask};

const AREA: &str = "53.71.04.1001";
const SCHOOL: &str = "99900001";
const PERIOD: &str = "2026-03";
/// 2026-03-05 10:00 in Kupang, in milliseconds.
const VISITED_MS: u64 = 1_772_676_000_000;
/// A client that says nothing for so long has failed. It is no measure of how fast one is.
const PATIENCE: Duration = Duration::from_secs(60);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Id of a visit.
fn id(number: u64) -> String {
    format!("{:08x}-{:04x}-7000-8000-{number:012x}", VISITED_MS >> 16, VISITED_MS & 0xFFFF)
}

/// A program that must be there, or how it gets there.
fn installed(path: PathBuf, how: &str) -> anyhow::Result<PathBuf> {
    ensure!(path.exists(), "{} is not there: `{how}` makes it", path.display());
    Ok(path)
}

/// The folder that cargo builds this test in, with the profile's name.
fn built() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    Ok(test.ancestors().nth(2).context("a test lies in `deps`")?.to_owned())
}

/// How a client is started.
struct Kit {
    program: PathBuf,
    first: Vec<PathBuf>,
    settings: Vec<(&'static str, PathBuf)>,
}

fn rust() -> anyhow::Result<Kit> {
    let program = installed(built()?.join("examples/client"), "cargo build --example client")?;
    Ok(Kit { program, first: Vec::new(), settings: Vec::new() })
}

fn shell() -> anyhow::Result<Kit> {
    let buf = installed(root().join("node_modules/.bin/buf"), "cargo xtask test --only clients")?;
    let settings = vec![("BUF", buf), ("SATGAS", env!("CARGO_BIN_EXE_satgas").into())];
    Ok(Kit { program: "sh".into(), first: vec![root().join("examples/clients/shell/client.sh")], settings })
}

/// Generates the modules as README.md in the client's folder says.
fn python(generated: &Path) -> anyhow::Result<Kit> {
    let tools = built()?.parent().context("a folder of a profile")?.join("tools");
    let program = installed(tools.join("python-client/bin/python"), "cargo xtask test --only clients")?;
    let proto = root().join("proto");
    let files = fs::read_dir(proto.join("satgas/v1"))?.map(|file| Ok(file?.path())).collect::<io::Result<Vec<_>>>()?;
    let flag = |name: &str, folder: &Path| format!("--{name}={}", folder.display());
    let out = Command::new(&program)
        .args(["-m", "grpc_tools.protoc"])
        .args([flag("proto_path", &proto), flag("python_out", generated), flag("grpc_python_out", generated)])
        .args(files)
        .output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let settings = vec![("PYTHONPATH", generated.to_owned())];
    Ok(Kit { program, first: vec![root().join("examples/clients/python/client.py")], settings })
}

/// A server with an area and a school in it, and the token of a phone there.
struct City {
    served: Served,
    folder: tempfile::TempDir,
}

impl City {
    fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let served = Served::start(&folder.path().join("data"), &["--sample-data"])?;
        let city = Self { served, folder };
        let areas = "code,name,valid_from\n53.71,Kota Contoh,2024-01-01\n53.71.04,Kecamatan Contoh,2024-01-01\n\
                     53.71.04.1001,Kelurahan Contoh,2024-01-01\n";
        let school = "institution_id,name,area_code,valid_from\n99900001,SMP Contoh 01,53.71.04.1001,2024-01-01\n";
        for (kind, rows) in [("areas", areas), ("schools", school)] {
            let file = city.folder.path().join(kind);
            fs::write(&file, rows)?;
            let file = file.to_str().context("a path in UTF-8")?;
            city.served.ask(&["registry", "import", kind, "--file", file])?.good()?;
        }
        let token = city.token();
        let token = token.to_str().context("a path in UTF-8")?;
        let issue = ["token", "issue", "--role", "satgas", "--area", AREA, "--for", "contoh", "--to", token];
        ask(&city.served.url, &city.served.operator()?, &issue)?.good()?;
        Ok(city)
    }

    fn token(&self) -> PathBuf {
        self.folder.path().join("phone.token")
    }

    /// A client that asks the server at a URL as the phone.
    fn client(&self, kit: &Kit, url: &str, args: &[&str]) -> Command {
        let mut command = Command::new(&kit.program);
        command.args(&kit.first).args(args).envs(kit.settings.iter().map(|(name, value)| (name, value)));
        command.env("SATGAS_SERVER_URL", url).env("SATGAS_TOKEN_FILE", self.token()).stdin(Stdio::null());
        command
    }

    /// Hands in a visit with a client: what it answered.
    fn visit(&self, kit: &Kit, number: u64) -> anyhow::Result<String> {
        let answer: Answer =
            self.client(kit, &self.served.url, &["submit", AREA, SCHOOL, &id(number)]).output()?.into();
        Ok(answer.good()?.trim().to_owned())
    }

    /// Every event of the area, as the clients print them.
    fn events(&self) -> anyhow::Result<Vec<String>> {
        let secret = fs::read_to_string(self.token())?;
        let printed = ask(&self.served.url, secret.trim(), &["events", "--area", AREA, "--format", "jsonl"])?.good()?;
        let line = |line: &str| -> anyhow::Result<String> {
            let event: serde_json::Value = serde_json::from_str(line)?;
            let text = |field: &str| event[field].as_str().context("a text").map(str::to_owned);
            Ok(format!("event {} {}", text("position")?, text("kind")?))
        };
        printed.lines().map(line).collect()
    }
}

/// A client that runs, line by line; ended when it is dropped.
struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Running {
    fn start(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn().context("the client cannot be started")?;
        let out = child.stdout.take().context("its output is piped")?;
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            let lines = io::BufRead::lines(io::BufReader::new(out));
            lines.map_while(Result::ok).try_for_each(|line| send.send(line))
        });
        Ok(Self { child, lines })
    }

    fn line(&self) -> anyhow::Result<String> {
        self.lines.recv_timeout(PATIENCE).context("the client says no more")
    }

    fn ends_well(mut self) -> anyhow::Result<()> {
        let more: Vec<String> = self.lines.iter().collect();
        let status = self.child.wait()?;
        ensure!(status.success() && more.is_empty(), "{status}, and it said {more:?}");
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A way to a server that can be cut. Whoever connects again gets through.
struct Way {
    url: String,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Way {
    fn to(server: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}", listener.local_addr()?);
        let server = server.replace("http://", "");
        let open = Arc::new(Mutex::new(Vec::new()));
        let held = Arc::clone(&open);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client?, TcpStream::connect(&server)?);
                for (mut from, mut to) in
                    [(client.try_clone()?, server.try_clone()?), (server.try_clone()?, client.try_clone()?)]
                {
                    std::thread::spawn(move || {
                        let copied = io::copy(&mut from, &mut to);
                        // One direction that ended ends the other.
                        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                        copied
                    });
                }
                held.lock().map_err(|_| io::Error::other("a thread panicked"))?.extend([client, server]);
            }
            io::Result::Ok(())
        });
        Ok(Self { url, open })
    }

    fn cut(&self) -> anyhow::Result<()> {
        let mut open = self.open.lock().map_err(|_| anyhow::anyhow!("a thread panicked"))?;
        ensure!(!open.is_empty(), "nobody is connected");
        for stream in open.drain(..) {
            // The other side may have gone already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        Ok(())
    }
}

/// What each client must do.
fn does_its_work(kit: &Kit) -> anyhow::Result<()> {
    let city = City::start()?;
    let first = city.visit(kit, 1)?;
    let position = first.strip_prefix("accepted ").context(first.clone())?;
    ensure!(city.visit(kit, 1)? == format!("already known {position}"), "sent again, it is recorded once");

    let watching = Running::start(city.client(kit, &city.served.url, &["watch", AREA, PERIOD, "1"]))?;
    ensure!(watching.line()? == format!("stands {AREA} visits 1"));
    let second = city.visit(kit, 2)?;
    ensure!(second.starts_with("accepted "), "{second}");
    let changed = watching.line()?;
    ensure!(changed.starts_with(&format!("changed {AREA} visits 2 at ")), "{changed}");
    watching.ends_well()?;

    let way = Way::to(&city.served.url)?;
    let before = city.events()?;
    let count = (before.len() + 1).to_string();
    let following = Running::start(city.client(kit, &way.url, &["follow", AREA, "0", &count]))?;
    for event in &before {
        ensure!(following.line()? == *event);
    }
    way.cut()?;
    let third = city.visit(kit, 3)?;
    let position = third.strip_prefix("accepted ").context(third.clone())?;
    ensure!(
        following.line()? == format!("event {position} EVENT_KIND_SCHOOL_VISIT"),
        "each event once, after the cut too"
    );
    following.ends_well()?;

    let elsewhere = ["submit", "53.71.04.1002", SCHOOL, &id(4)];
    let refused: Answer = city.client(kit, &city.served.url, &elsewhere).output()?.into();
    ensure!(refused.code != Some(0) && refused.error.contains("another area"), "what is wrong is said: {refused:?}");
    Ok(())
}

#[test]
fn the_client_in_rust_submits_watches_and_goes_on_after_a_cut() -> anyhow::Result<()> {
    does_its_work(&rust()?)
}

#[test]
fn the_client_in_the_shell_submits_watches_and_goes_on_after_a_cut() -> anyhow::Result<()> {
    does_its_work(&shell()?)
}

#[test]
fn the_client_in_python_submits_watches_and_goes_on_after_a_cut() -> anyhow::Result<()> {
    let generated = tempfile::tempdir()?;
    does_its_work(&python(generated.path())?)
}
