//! Watching the real binary: its figures, alerts and dashboard, its log for programs, its traces, its doctor, and the check of its settings.

mod door;
mod process;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    trace::v1::Span,
};
use rcgen::{CertificateParams, KeyPair};
use satgas_domain::id::SubmissionId;
use satgas_engine::vault::{self, Masters, Vault};
use satgas_proto::v1::{
    self, backup_service_client::BackupServiceClient, event_service_client::EventServiceClient, submission::Content,
    submission::Reporter, submission_service_client::SubmissionServiceClient,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Response, Status};

use door::Door;
use process::{Answer, Served, satgas};

const AREA: &str = "53.71.04.1001";
const SCHOOL: &str = "99900001";
/// 2026-03-10 in seconds.
const OCCURRED: i64 = 1_773_100_800;

/// What every frame of the log begins with.
const MAGIC: [u8; 4] = [0xF5, b'S', b'G', b'J'];

/// A server whose figures are read, and whose log is JSON in a file.
struct Watched {
    served: Served,
    log: PathBuf,
    metrics: String,
}

impl Watched {
    fn start(folder: &Path, more: &[&str]) -> anyhow::Result<Self> {
        let log = folder.join("log.jsonl");
        let flags = [&["--metrics-listen", "127.0.0.1:0", "--log-format", "json"], more].concat();
        let served = Served::start_logging(&folder.join("data"), &flags, &[], fs::File::create(&log)?)?;
        let lines = lines(&log)?;
        let told =
            lines.iter().find_map(|line| line["fields"]["address"].as_str().filter(|_| says(line, "metrics are at")));
        let metrics = told.context("the log says where the figures are")?.to_owned();
        Ok(Self { served, log, metrics })
    }

    async fn figures(&self) -> anyhow::Result<Figures> {
        let (head, body) = ask(&self.metrics, "GET /metrics").await?;
        ensure!(head.starts_with("HTTP/1.1 200 ") && head.contains("text/plain; version=0.0.4"), "{head}");
        Ok(Figures(body))
    }
}

/// The log's lines, each of which must be JSON.
fn lines(log: &Path) -> anyhow::Result<Vec<Value>> {
    let text = fs::read_to_string(log)?;
    text.lines().map(|line| serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))).collect()
}

fn says(line: &Value, words: &str) -> bool {
    line["fields"]["message"].as_str().is_some_and(|message| message.contains(words))
}

async fn ask(address: &str, line: &str) -> anyhow::Result<(String, String)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("{line} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_string(&mut answer)).await??;
    let (head, body) = answer.split_once("\r\n\r\n").context("a head and a body")?;
    Ok((head.to_owned(), body.to_owned()))
}

/// What Prometheus reads.
struct Figures(String);

impl Figures {
    fn of(&self, name: &str) -> f64 {
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        self.0.lines().find_map(value).unwrap_or(f64::NAN)
    }

    /// Lines of a figure, and of the parts of a histogram.
    fn lines_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let is = move |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        self.0.lines().filter(is)
    }

    /// Every figure of an expression is there, with the labels that the expression and the legend beside it name, and with every value that it
    /// asks for.
    fn has_all_of(&self, expression: &str, legend: &str) -> anyhow::Result<()> {
        let names = named(expression);
        ensure!(!names.is_empty() || expression.starts_with("up{"), "it names no figure: {expression}");
        for name in &names {
            ensure!(self.lines_of(name).next().is_some(), "there is no {name}: {expression}");
        }
        let groups = expression.split(" by (").skip(1).filter_map(|rest| rest.split(')').next());
        let shown = legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
        for label in groups.flat_map(|group| group.split(", ")).chain(shown) {
            let is_there = |name: &String| self.lines_of(name).any(|line| line.contains(&format!("{label}=\"")));
            ensure!(names.iter().any(is_there), "no label {label}: {expression}");
        }
        for (name, label, value) in matched(expression) {
            let wanted = format!("{label}=\"{value}\"");
            ensure!(self.lines_of(&name).any(|line| line.contains(&wanted)), "no {name} with {wanted}");
        }
        Ok(())
    }

    /// Names of the families.
    fn names(&self) -> BTreeSet<&str> {
        let names = self.0.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        names.filter_map(|line| line.split(' ').next()).collect()
    }
}

fn visit() -> v1::Submission {
    v1::Submission {
        submission_id: uuid::Uuid::now_v7().to_string(),
        device_id: "hp-contoh".into(),
        device_sequence: 1,
        occurred_at: Some(pbjson_types::Timestamp { seconds: OCCURRED, nanos: 0 }),
        reporter: Some(Reporter::AreaCode(AREA.into())),
        content: Some(Content::SchoolVisit(v1::SchoolVisit {
            school_id: SCHOOL.into(),
            purpose: v1::VisitPurpose::Sosialisasi.into(),
            reach: Some(v1::Reach { pupils_female: 20, pupils_male: 18, ..Default::default() }),
            ..Default::default()
        })),
    }
}

async fn register(door: &Door) -> anyhow::Result<()> {
    let areas = ["53.71", "53.71.04", AREA].map(door::town_area);
    door::register(door, areas.into_iter().chain([door::town_school(SCHOOL, AREA)]).collect()).await
}

async fn submit(door: &Door, submission: &v1::Submission) -> Result<v1::ReceiptStatus, Status> {
    let request = v1::SubmitRequest { submission: Some(submission.clone()) };
    let answer = SubmissionServiceClient::new(door.clone()).submit(request).await?.into_inner();
    Ok(answer.receipt.unwrap_or_default().status())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_figures_move_with_what_is_handed_in_refused_and_read_and_name_nobody() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let watched = Watched::start(folder.path(), &[])?;
    let door = watched.served.connect().await?;
    register(&door).await?;
    let before = watched.figures().await?;

    let visits: Vec<_> = (0..5).map(|_| visit()).collect();
    for visit in &visits {
        ensure!(submit(&door, visit).await? == v1::ReceiptStatus::Accepted);
    }
    ensure!(submit(&door, &visits[0]).await? == v1::ReceiptStatus::AlreadyKnown);
    let unknown_school = Some(Content::SchoolVisit(v1::SchoolVisit { school_id: "1".into(), ..Default::default() }));
    let bad = submit(&door, &v1::Submission { content: unknown_school, ..visit() }).await;
    ensure!(bad.is_err_and(|status| status.code() == Code::InvalidArgument));
    let stranger = Door::with(watched.served.channel().await?, "");
    let refused = submit(&stranger, &visit()).await;
    ensure!(refused.is_err_and(|status| status.code() == Code::Unauthenticated));
    let start = Some(v1::subscribe_request::Start::AfterPosition(0));
    let request = v1::SubscribeRequest { start, ..Default::default() };
    let mut stream = EventServiceClient::new(door.clone()).subscribe(request).await?.into_inner();
    stream.message().await?.context("a first message")?;

    let after = watched.figures().await?;
    let moved = |name: &str| after.of(name) - before.of(name);
    for (name, by) in [
        ("satgas_submissions_total{outcome=\"accepted\"}", 5.0),
        ("satgas_submissions_total{outcome=\"already_known\"}", 1.0),
        ("satgas_submissions_total{outcome=\"rejected\"}", 1.0),
        ("satgas_submissions_total{outcome=\"not_written\"}", 0.0),
        ("satgas_head_position", 5.0),
        ("satgas_commit_records_sum", 5.0),
        ("satgas_commit_records_count", 5.0),
        ("satgas_commit_seconds_count", 5.0),
        ("satgas_sync_seconds_count", 5.0),
        ("satgas_sync_seconds_bucket{le=\"+Inf\"}", 5.0),
        ("satgas_refusals_total{reason=\"NEEDS_TOKEN\"}", 1.0),
        ("satgas_refusals_total{reason=\"OTHER\"}", 1.0),
        ("satgas_subscribers", 1.0),
        ("satgas_streams", 1.0),
    ] {
        ensure!(moved(name) == by, "{name} moved by {}", moved(name));
    }
    for (name, value) in [
        ("satgas_calls_total{method=\"SubmissionService/Submit\",code=\"OK\"}", 6.0),
        ("satgas_calls_total{method=\"SubmissionService/Submit\",code=\"INVALID_ARGUMENT\"}", 1.0),
        ("satgas_calls_total{method=\"SubmissionService/Submit\",code=\"UNAUTHENTICATED\"}", 1.0),
        ("satgas_call_seconds_count{method=\"SubmissionService/Submit\"}", 8.0),
        ("satgas_writable{state=\"yes\"}", 1.0),
        ("satgas_writable{state=\"failed\"}", 0.0),
        ("satgas_fold_lag_events", 0.0),
        ("satgas_queue_jobs", 0.0),
        ("satgas_commit_failures_total{why=\"disk_full\"}", 0.0),
    ] {
        ensure!(after.of(name) == value, "{name} is {}", after.of(name));
    }
    for name in ["satgas_sync_seconds_sum", "satgas_data_bytes{part=\"journal\"}", "process_resident_memory_bytes"] {
        ensure!(after.of(name) > 0.0, "{name} is {}", after.of(name));
    }
    drop(stream);
    let gone = async {
        while watched.figures().await?.of("satgas_subscribers") > 0.0 {}
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.context("who has gone is counted on")??;

    let operator = watched.served.operator()?;
    for named in [AREA, SCHOOL, "hp-contoh", &visits[0].submission_id, &operator, "petugas", "127.0.0.1"] {
        ensure!(!after.0.contains(named), "{named} is in the figures");
    }
    ensure!(ask(&watched.metrics, "GET /").await?.0.starts_with("HTTP/1.1 404 "));
    ensure!(ask(&watched.metrics, "POST /metrics").await?.0.starts_with("HTTP/1.1 405 "));
    Ok(())
}

fn repository(path: &str) -> anyhow::Result<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).context(path.to_owned())
}

/// Words of an expression that are names of figures.
fn named(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("satgas_") || word.starts_with("process_")).map(str::to_owned).collect()
}

/// What an expression asks of labels: figure, label, and each value that it may have.
fn matched(expression: &str) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for (at, _) in expression.match_indices('{') {
        let name = expression[..at].rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
        let inside = expression[at + 1..].split('}').next().unwrap_or_default();
        for matcher in inside.split(',').filter(|_| name.starts_with("satgas_")) {
            let (label, values) = matcher.split_once('=').unwrap_or((matcher, ""));
            let values = values.trim_start_matches('~').trim_matches('"').split('|');
            found.extend(values.map(|value| (name.to_owned(), label.trim().to_owned(), value.to_owned())));
        }
    }
    found
}

/// The counters that a rule takes the rise of, each with its matchers.
fn rises(rule: &str) -> Vec<&str> {
    let expression = rule.lines().find_map(|line| line.trim().strip_prefix("expr: ")).unwrap_or_default();
    expression.split("increase(").skip(1).filter_map(|rest| rest.split('[').next()).collect()
}

/// The part between backticks that each row of a table begins with.
fn rows<'a>(document: &'a str, heading: &str) -> BTreeSet<&'a str> {
    let section = document.split(heading).nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap_or_default();
    section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_figure_is_documented_and_dashboard_and_alerts_use_none_that_is_not_there() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (chain, key) = certificate(folder.path(), 2040)?;
    let tls = ["--tls-certificate", &chain, "--tls-key", &key, "--otlp-endpoint", "http://127.0.0.1:9"];
    let watched = Watched::start(folder.path(), &tls)?;
    // Of a method that nobody called there is no line.
    let ca = ["--ca-file", &chain, "token", "whoami"];
    process::ask(&watched.served.url.replace("127.0.0.1", "localhost"), &watched.served.operator()?, &ca)?.good()?;
    let figures = watched.figures().await?;
    let names = figures.names();
    ensure!(figures.of("satgas_tls_certificate_end_timestamp_seconds") == 2_208_988_800.0, "the year 2040");

    let document = repository("docs/watching.md")?;
    ensure!(rows(&document, "\n## Figures") == names, "docs/watching.md has other figures than the server");

    let dashboard: Value = serde_json::from_str(&repository("ops/grafana/satgas.json")?)?;
    let panels = dashboard["panels"].as_array().context("panels")?;
    let of_panel = |panel: &Value| panel["targets"].as_array().cloned().unwrap_or_default();
    let expressions: Vec<Value> = panels.iter().flat_map(of_panel).collect();
    ensure!(expressions.len() >= panels.len(), "each panel shows something");
    for target in &expressions {
        let (expression, legend) = (target["expr"].as_str(), target["legendFormat"].as_str());
        let expression = expression.context("an expression")?;
        figures.has_all_of(expression, legend.unwrap_or_default()).context("the dashboard")?;
    }

    let rules = repository("ops/prometheus/satgas.rules.yml")?;
    let alerts: BTreeSet<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    ensure!(rows(&document, "\n## Alerts") == alerts, "docs/watching.md has other alerts than the rules");
    for rule in rules.split("- alert: ").skip(1) {
        let expression = rule.lines().find_map(|line| line.trim().strip_prefix("expr: ")).context("an expression")?;
        figures.has_all_of(expression, "").context("an alert")?;
        ensure!(["summary: ", "action: ", "severity: "].iter().all(|part| rule.contains(part)), "what to do: {rule}");
    }
    // What an alert takes the rise of begins at 0: of a counter that begins with its first count, that one would not be seen.
    for counter in rules.split("- alert: ").skip(1).flat_map(rises) {
        let name = counter.split('{').next().unwrap_or_default();
        let wanted: Vec<String> =
            matched(counter).into_iter().map(|(_, l, value)| format!("{l}=\"{value}\"")).collect();
        let is_wanted = |line: &&str| wanted.is_empty() || wanted.iter().any(|wanted| line.contains(wanted));
        let all: Vec<&str> = figures.lines_of(name).filter(is_wanted).collect();
        let has = |wanted: &String| all.iter().any(|line| line.contains(wanted));
        ensure!(!all.is_empty() && wanted.iter().all(has), "{counter} begins with its first count: {all:?}");
        ensure!(all.iter().all(|line| line.ends_with(" 0")), "{counter} begins at 0: {all:?}");
    }
    let job = repository("ops/prometheus/prometheus.yml")?.contains("job_name: satgas\n");
    ensure!(
        job && rules.contains("up{job=\"satgas\"}"),
        "the alert that it is down names the job of the configuration"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_a_log_in_json_is_an_object_from_the_start_to_the_end() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let watched = Watched::start(folder.path(), &[])?;
    let door = watched.served.connect().await?;
    register(&door).await?;
    submit(&door, &visit()).await?;
    let second = satgas(&["serve", "--log-format", "json", "--listen", "127.0.0.1:0", "--data"])
        .arg(folder.path().join("data"))
        .output()?;
    let error = String::from_utf8(second.stderr)?;
    let told: Vec<Value> = error.lines().map(serde_json::from_str).collect::<Result<_, _>>().context(error.clone())?;
    ensure!(second.status.code() == Some(1) && told.iter().any(|line| says(line, "is in use by process")), "{error}");

    ensure!(watched.served.terminate()? == Some(0));
    let lines = lines(&watched.log)?;
    for line in &lines {
        ensure!(line["level"].is_string() && line["timestamp"].is_string(), "{line}");
    }
    ensure!(
        ["serving", "stopping", "stopped"].iter().all(|word| lines.iter().any(|line| says(line, word))),
        "{lines:?}"
    );
    Ok(())
}

/// A collector of traces.
struct Collector(mpsc::UnboundedSender<Span>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let scopes = request.into_inner().resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        for span in scopes.flat_map(|scope| scope.spans) {
            self.0.send(span).map_err(|_| Status::unavailable("the test is over"))?;
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_reach_a_collector_with_the_callers_trace_and_without_any_content() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let (sender, mut spans) = mpsc::unbounded_channel();
    let collector = tonic::transport::Server::builder().add_service(TraceServiceServer::new(Collector(sender)));
    let collecting = tokio::spawn(collector.serve_with_incoming(TcpListenerStream::new(listener)));

    let folder = tempfile::tempdir()?;
    let watched = Watched::start(folder.path(), &["--otlp-endpoint", &endpoint])?;
    let door = watched.served.connect().await?;
    register(&door).await?;
    let submission = visit();
    let mut request = Request::new(v1::SubmitRequest { submission: Some(submission.clone()) });
    let (trace, caller) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    request.metadata_mut().insert("traceparent", format!("00-{trace}-{caller}-01").parse()?);
    request.metadata_mut().insert("tracestate", "contoh=rahasia".parse()?);
    let receipt =
        SubmissionServiceClient::new(door).submit(request).await?.into_inner().receipt.context("a receipt")?;
    let stranger = Door::with(watched.served.channel().await?, "");
    ensure!(submit(&stranger, &visit()).await.is_err());
    let operator = watched.served.operator()?;
    // A stop sends what waits.
    ensure!(watched.served.terminate()? == Some(0));
    collecting.abort();
    let mut all = Vec::new();
    while let Ok(span) = spans.try_recv() {
        all.push(span);
    }

    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let of_trace: Vec<&Span> = all.iter().filter(|span| hex(&span.trace_id) == trace).collect();
    let find = |name: &str| of_trace.iter().find(|span| span.name == name).context(format!("{name} in {all:?}"));
    let call = find("SubmissionService/Submit")?;
    ensure!(hex(&call.parent_span_id) == caller, "it goes on where its caller is");
    for part in [find("door")?, find("commit")?] {
        ensure!(part.parent_span_id == call.span_id && part.end_time_unix_nano <= call.end_time_unix_nano, "{part:?}");
    }
    let number = |span: &Span, key: &str| -> Option<i64> {
        use opentelemetry_proto::tonic::common::v1::any_value::Value;
        match span.attributes.iter().find(|kv| kv.key == key)?.value.as_ref()?.value.as_ref()? {
            Value::IntValue(number) => Some(*number),
            _ => None,
        }
    };
    ensure!(number(call, "rpc.grpc.status_code") == Some(0));
    ensure!(number(find("commit")?, "satgas.position") == Some(i64::try_from(receipt.position)?));
    ensure!(number(find("commit")?, "satgas.records") == Some(1));
    let refused =
        all.iter().find(|span| number(span, "rpc.grpc.status_code") == Some(16)).context("the refused call")?;
    ensure!(format!("{refused:?}").contains("NEEDS_TOKEN"), "{refused:?}");

    let known = [
        "rpc.system",
        "rpc.service",
        "rpc.method",
        "rpc.grpc.status_code",
        "error.type",
        "satgas.records",
        "satgas.position",
    ];
    for span in &all {
        ensure!(span.attributes.iter().all(|kv| known.contains(&kv.key.as_str())), "{span:?}");
        ensure!(span.events.is_empty() && span.trace_state.is_empty(), "{span:?}");
        let text = format!("{span:?}");
        for content in [AREA, SCHOOL, "hp-contoh", &submission.submission_id, &operator, "petugas", "rahasia"] {
            ensure!(!text.contains(content), "{content} is in {text}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_gone_keeps_nobody_waiting_and_is_told_once() -> anyhow::Result<()> {
    let gone = std::net::TcpListener::bind("127.0.0.1:0")?;
    let endpoint = format!("http://{}", gone.local_addr()?);
    drop(gone);
    let folder = tempfile::tempdir()?;
    let watched = Watched::start(folder.path(), &["--otlp-endpoint", &endpoint])?;
    let door = watched.served.connect().await?;
    register(&door).await?;
    for _ in 0..20 {
        ensure!(submit(&door, &visit()).await? == v1::ReceiptStatus::Accepted);
    }
    let failed = async {
        while watched.figures().await?.of("satgas_trace_spans_total{outcome=\"failed\"}") == 0.0 {}
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(30), failed).await.context("what was lost is counted")??;
    ensure!(watched.served.terminate()? == Some(0));
    let told = lines(&watched.log)?.iter().filter(|line| says(line, "traces are lost")).count();
    ensure!(told == 1, "told {told} times");
    Ok(())
}

#[test]
fn figures_and_traces_leave_the_machine_only_where_that_is_said() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    for (flag, value, what) in [
        ("--metrics-listen", "0.0.0.0:0", "metrics_beyond_loopback = true"),
        ("--otlp-endpoint", "http://192.0.2.1:4317", "https://"),
    ] {
        let data = folder.path().join("data");
        let answer: Answer =
            satgas(&["serve", "--listen", "127.0.0.1:0", flag, value, "--data"]).arg(&data).output()?.into();
        ensure!(answer.code == Some(1) && answer.error.contains(what), "{answer:?}");
        ensure!(!data.exists(), "nothing was made");
    }
    Ok(())
}

/// A certificate for localhost that ends with a year's beginning, and its key: their paths.
fn certificate(folder: &Path, end_year: i32) -> anyhow::Result<(String, String)> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
    params.not_before = rcgen::date_time_ymd(2019, 1, 1);
    params.not_after = rcgen::date_time_ymd(end_year, 1, 1);
    let [chain, secret] = ["chain.pem", "key.pem"].map(|name| folder.join(name));
    fs::write(&chain, params.self_signed(&key)?.pem())?;
    fs::write(&secret, key.serialize_pem())?;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
    Ok((chain.to_string_lossy().into_owned(), secret.to_string_lossy().into_owned()))
}

/// What the doctor finds: its exit code, and each check with its level and words.
struct Visit {
    code: Option<i32>,
    findings: Vec<(String, String, String)>,
}

impl Visit {
    fn of(data: &Path, more: &[&str]) -> anyhow::Result<Self> {
        let answer: Answer = satgas(&["doctor", "--format", "json", "--data"]).arg(data).args(more).output()?.into();
        let object: Value = serde_json::from_str(&answer.out).with_context(|| format!("{answer:?}"))?;
        let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        let of =
            |f: &Value| (text(f, "check"), text(f, "level"), format!("{} | {}", text(f, "what"), text(f, "remedy")));
        let findings: Vec<_> = object["findings"].as_array().context("findings")?.iter().map(of).collect();
        let worst = findings.iter().any(|(_, level, _)| level == "problem");
        ensure!((object["doctor"] == "problem") == worst && (answer.code == Some(1)) == worst, "{object}");
        Ok(Self { code: answer.code, findings })
    }

    /// There is a finding of this check and level that says and advises so.
    fn found(&self, check: &str, level: &str, words: &[&str]) -> anyhow::Result<()> {
        let is = |(c, l, text): &&(String, String, String)| {
            c == check && l == level && words.iter().all(|w| text.contains(w))
        };
        ensure!(
            self.findings.iter().any(|finding| is(&finding)),
            "no {check} {level} {words:?} in {:#?}",
            self.findings
        );
        Ok(())
    }

    fn no_problem(&self) -> anyhow::Result<()> {
        ensure!(self.code == Some(0), "{:#?}", self.findings);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_a_healthy_server_healthy_while_it_runs_and_when_it_is_stopped() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let watched = Watched::start(folder.path(), &[])?;
    let door = watched.served.connect().await?;
    register(&door).await?;
    submit(&door, &visit()).await?;
    let token = data.join("keys/operator.token");
    let token = token.to_str().context("UTF-8")?;
    let running =
        Visit::of(&data, &["--server", &watched.served.url, "--metrics", &watched.metrics, "--token-file", token])?;
    running.no_problem()?;
    running.found("log", "skipped", &["in use by process"])?;
    running.found("server", "ok", &["takes records"])?;
    running.found("tokens", "ok", &["14 days"])?;
    running.found("figures", "ok", &["keep up"])?;

    running.found("backups", "warning", &["never told of a whole backup", "satgas-backup"])?;

    let url = watched.served.url.clone();
    let backup = folder.path().join("backup");
    fs::create_dir(&backup)?;
    let backup_flag = ["--server", &url, "--backup", process::text(&backup)];
    Visit::of(&data, &backup_flag)?.found("backup", "problem", &["holds no backup", "make a backup now"])?;
    watched.served.ask(&["backup", "--to", process::text(&backup)])?.good()?;
    ensure!(watched.served.terminate()? == Some(0));
    let stopped = Visit::of(&data, &backup_flag)?;
    stopped.no_problem()?;
    for check in ["settings", "folder", "disk space", "clock", "log", "access log", "token key", "case keys", "backup"]
    {
        stopped.found(check, "ok", &[])?;
    }
    stopped.found("server", "warning", &["no server answers"])?;
    stopped.found("certificate", "skipped", &[])?;
    Ok(())
}

#[test]
fn the_doctor_says_what_is_wrong_with_a_data_folder_and_what_to_do_and_changes_nothing() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let served = Served::start(&data, &[])?;
    let url = served.url.clone();
    // Tokens are issued, so that the access log has something in it.
    served.ask(&["token", "whoami"])?.good()?;
    ensure!(served.terminate()? == Some(0));
    let visit = |more: &[&str]| Visit::of(&data, &[&["--server", &url], more].concat());
    visit(&[])?.no_problem()?;

    fs::set_permissions(&data, fs::Permissions::from_mode(0o755))?;
    visit(&[])?.found("folder", "problem", &["open to everybody", "chmod 700"])?;
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700))?;

    let signing = data.join("keys/signing.pem");
    fs::set_permissions(&signing, fs::Permissions::from_mode(0o644))?;
    visit(&[])?.found("token key", "problem", &["chmod 600", "--new-key"])?;
    fs::set_permissions(&signing, fs::Permissions::from_mode(0o600))?;

    let anchor = fs::File::options().write(true).open(data.join("journal/head"))?;
    let written = anchor.metadata()?.modified()?;
    anchor.set_modified(written + Duration::from_secs(7 * 86_400))?;
    visit(&[])?.found("clock", "problem", &["after that", "NTP"])?;
    anchor.set_modified(written)?;

    let (chain, key) = certificate(folder.path(), 2020)?;
    let config = folder.path().join("satgas.toml");
    fs::write(&config, format!("tls_certificate = {chain:?}\ntls_key = {key:?}\n"))?;
    let config = config.to_str().context("UTF-8")?;
    visit(&["--config", config])?.found("certificate", "problem", &["ended on 2020-01-01", "new certificate"])?;

    let master = data.join("keys/master.key");
    let keys = vault::Options { folder: data.join("keys/cases"), masters: Masters::made_at(master.clone()) };
    let case = SubmissionId::parse("0198c0de-0000-7000-8000-000000000001").ok().context("an id")?;
    Vault::open(keys)?.key_or_new(case)?;
    visit(&[])?.found("case keys", "ok", &["opens the keys of all cases"])?;
    let right = fs::read_to_string(&master)?;
    fs::write(&master, format!("{}=\n", "A".repeat(43)))?;
    visit(&[])?.found("case keys", "problem", &["does not open", "master_key_file"])?;
    fs::write(&master, right)?;

    let database = data.join("journal/log/db");
    let whole = fs::read(&database)?;
    let mut damaged = whole.clone();
    let frames: Vec<usize> = whole.windows(4).enumerate().filter(|(_, w)| *w == MAGIC).map(|(at, _)| at).collect();
    ensure!(!frames.is_empty(), "frames lie in the file");
    for at in frames {
        damaged[at + 40] ^= 1;
    }
    fs::write(&database, &damaged)?;
    visit(&[])?.found(
        "log",
        "problem",
        &["were acknowledged and are damaged or missing", "satgas recover", "do not start"],
    )?;
    ensure!(fs::read(&database)? == damaged, "nothing was changed");
    fs::write(&database, &whole)?;
    visit(&[])?.no_problem()?;

    Visit::of(&folder.path().join("nowhere"), &["--server", &url])?.found("folder", "problem", &["there is no folder"])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_goes_by_what_a_backup_says_of_itself_and_not_by_when_its_file_was_touched() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    let served = Served::start(&data, &[])?;
    served.ask(&["backup", "--to", process::text(&backup)])?.good()?;
    let visit = || Visit::of(&data, &["--server", &served.url, "--backup", process::text(&backup)]);
    visit()?.found("backup", "ok", &["was taken at", "0 hours ago"])?;

    let manifest = backup.join("manifest.json");
    let good = fs::read_to_string(&manifest)?;
    let object: Value = serde_json::from_str(&good)?;
    let taken_at: jiff::Timestamp = object["taken_at"].as_str().context("a time")?.parse()?;
    let told = |hours: i64| {
        let at = taken_at + jiff::SignedDuration::from_hours(hours);
        fs::write(&manifest, good.replace(&taken_at.to_string(), &at.to_string()))
    };
    // The file is new, and what it tells of is not.
    told(-27)?;
    visit()?.found("backup", "problem", &["27 hours ago", "make a backup now"])?;
    told(1)?;
    visit()?.found("backup", "problem", &["still to come", "set the clock"])?;
    told(0)?;
    for broken in ["", "{}", &good[..good.len() / 2]] {
        fs::write(&manifest, broken)?;
        visit()?.found("backup", "problem", &["the manifest is damaged", "into a new folder"])?;
    }
    fs::write(&manifest, &good)?;

    let segment = object["records"]["segments"][0]["file"].as_str().context("a segment")?;
    let (segment, away) = (backup.join(segment), folder.path().join("away"));
    fs::rename(&segment, &away)?;
    visit()?.found("backup", "problem", &["is missing", "into a new folder"])?;
    fs::rename(&away, &segment)?;
    visit()?.found("backup", "ok", &[])?;

    // Another server's backup in its place.
    let other = Served::start(&folder.path().join("other"), &[])?;
    other.ask(&["backup", "--to", process::text(&folder.path().join("others"))])?.good()?;
    let others = folder.path().join("others");
    Visit::of(&data, &["--server", &served.url, "--backup", process::text(&others)])?.found(
        "backup",
        "problem",
        &["another key", "into a new folder"],
    )?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_backup_shows_in_the_figures_after_a_restart_too_and_what_is_none_does_not() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let backup = folder.path().join("backup");
    let watched = Watched::start(folder.path(), &[])?;
    register(&watched.served.connect().await?).await?;
    let (when, what) = ("satgas_backup_timestamp_seconds", "satgas_backup_position");
    let before = watched.figures().await?;
    ensure!(before.of(when) == 0.0 && before.of(what) == 0.0, "never one yet");

    // A copy alone is no backup, and neither is the end of another log.
    let operator = Door::with(watched.served.channel().await?, &watched.served.operator()?);
    let mut backups = BackupServiceClient::new(operator);
    let all = v1::CopyLogRequest { log: v1::LogKind::Records.into(), ..Default::default() };
    let mut stream = backups.copy_log(all).await?.into_inner();
    while stream.message().await?.is_some() {}
    let end = |position, hash: &[u8]| Some(v1::CopyEnd { position, hash: hash.to_vec().into() });
    for (records, code) in [
        (end(1, &[7; 32]), Code::FailedPrecondition),
        (end(1_000_000, &[7; 32]), Code::FailedPrecondition),
        (end(1, b"short"), Code::InvalidArgument),
        (end(0, &[]), Code::InvalidArgument),
        (None, Code::InvalidArgument),
    ] {
        let request = v1::ConfirmBackupRequest { records, access: end(0, &[]) };
        let refused = backups.confirm_backup(request).await.err().context("it is refused")?;
        ensure!(refused.code() == code, "{refused:?}");
    }
    ensure!(watched.figures().await?.of(when) == 0.0, "nothing was backed up");

    let answer = watched.served.ask(&["backup", "--to", process::text(&backup)])?;
    ensure!(answer.error.is_empty(), "{answer:?}");
    answer.good()?;
    let after = watched.figures().await?;
    let at = after.of(when);
    ensure!(at > 0.0 && after.of(what) == after.of("satgas_head_position"), "{at} {}", after.of(what));
    ensure!(after.of("satgas_access_sync_seconds_count") > 0.0, "the syncs of the access log are counted");
    ensure!(watched.served.terminate()? == Some(0));

    let again = Watched::start(folder.path(), &[])?;
    let figures = again.figures().await?;
    ensure!(figures.of(when) == at, "a restart does not make a backup younger, or forget it");
    Ok(())
}

#[test]
fn wrong_settings_are_all_told_at_once_with_what_to_write_instead() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("satgas.toml");
    let path = file.to_str().context("UTF-8")?;
    let check = |text: &str| -> anyhow::Result<Answer> {
        fs::write(&file, text)?;
        Ok(satgas(&["config", "check", "--config", path]).current_dir(folder.path()).output()?.into())
    };
    let good = check("cache_mib = 128\nmetrics_listen = \"127.0.0.1:5372\"\n")?;
    ensure!(good.code == Some(0) && good.out.starts_with("ok"), "{good:?}");

    let bad = "cache_mb = 64\nlisen = \"127.0.0.1:1\"\nqueue_mib = \"64 MiB\"\nstall_s = \"2 min\"\nstall_minutes = 2\n\
               tail_mib = 1.5\nsample_data = \"yes\"\nmetrics_listen = 5372\nlog_format = \"xml\"\nfavourite_colour = 1\nstreams_max = -1\n";
    let refused = check(bad)?;
    ensure!(refused.code == Some(1) && refused.out.is_empty(), "{refused:?}");
    for told in [
        "there is no setting `cache_mb`: `cache_mib` takes a whole number of MiB",
        "there is no setting `lisen`: did you mean `listen`",
        "`queue_mib` takes a whole number of MiB, without a unit behind it: write queue_mib = 64",
        "write stall_s = 120",
        "there is no setting `stall_minutes`: `stall_s` takes a whole number of seconds",
        "`tail_mib` takes a whole number of MiB, and 1.5 is none",
        "`sample_data` takes true or false",
        "metrics_listen = \"127.0.0.1:5372\"",
        "`log_format` takes \"text\" or \"json\"",
        "there is no setting `favourite_colour`: remove it",
        "`streams_max` takes a whole number, and -1 is none",
    ] {
        ensure!(refused.error.contains(told), "{told} is not in {}", refused.error);
    }
    ensure!(refused.error.matches("satgas.toml: ").count() == 11, "each with its place: {}", refused.error);
    let serve: Answer = satgas(&["serve", "--config", path]).current_dir(folder.path()).output()?.into();
    ensure!(serve.code == Some(1) && serve.error.contains("did you mean `listen`"), "{serve:?}");

    let apart = check("listen = \"0.0.0.0:5371\"\ntime_zone = \"Kupang\"\nsmall_numbers_below = 1\n")?;
    for told in ["is not loopback", "such as \"Asia/Makassar\"", "small_numbers_below is 1, and must be 2 at least"] {
        ensure!(apart.code == Some(1) && apart.error.contains(told), "{told} is not in {}", apart.error);
    }
    let broken = check("listen = ")?;
    ensure!(broken.code == Some(1) && broken.error.contains("refused"), "{broken:?}");

    let variables = [("SATGAS_LISTN", "127.0.0.1:1"), ("SATGAS_CACHE_MIB", "1 GiB")];
    let answer: Answer =
        satgas(&["config", "check", "--format", "json"]).envs(variables).current_dir(folder.path()).output()?.into();
    let object: Value = serde_json::from_str(&answer.out)?;
    ensure!(answer.code == Some(1) && object["config"] == "refused", "{object}");
    ensure!(object["wrong"][0]["place"] == "SATGAS_CACHE_MIB", "{object}");
    ensure!(
        object["wrong"][0]["what"].as_str().is_some_and(|what| what.ends_with("write cache_mib = 1024")),
        "{object}"
    );
    ensure!(object["stray"][0]["place"] == "SATGAS_LISTN", "{object}");

    let shown: Answer = satgas(&["config", "show"]).current_dir(folder.path()).output()?.into();
    let shown = shown.good()?;
    for key in ["metrics_listen", "tls_certificate", "otlp_endpoint"] {
        ensure!(shown.contains(&format!("# {key} is not set\n")), "what can be set is told: {shown}");
    }
    fs::write(&file, shown)?;
    let again: Answer = satgas(&["config", "check", "--config", path]).current_dir(folder.path()).output()?.into();
    ensure!(again.code == Some(0), "what is shown can be read: {again:?}");
    Ok(())
}
