//! A client of satgas in Rust: hands in a visit, watches an evaluation, follows the log.
//!
//! ```text
//! client submit AREA SCHOOL ID        prints `accepted POSITION` or `already known POSITION`
//! client watch AREA PERIOD COUNT      prints `stands ...`, then `changed ... at POSITION`, until COUNT changes were seen
//! client follow AREA AFTER COUNT      prints `event POSITION KIND` for COUNT events after a position, each once
//! ```
//!
//! The server is `$SATGAS_SERVER_URL`, the token stands in the file `$SATGAS_TOKEN_FILE`, and `$SATGAS_CA_FILE` may name the authority of the
//! server's certificate. It depends on `satgas-proto` (feature `grpc`), `tonic`, `tokio`, `uuid`, `pbjson-types` and `anyhow`, and nothing else.

use std::{env, fs, process::ExitCode, time::Duration};

use anyhow::{Context as _, bail};
use satgas_proto::v1::{
    self, EventKind, ReceiptStatus, evaluation_service_client::EvaluationServiceClient,
    event_service_client::EventServiceClient, submission::Content, submission::Reporter,
    submission_service_client::SubmissionServiceClient, subscribe_request::Start,
};
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};
use uuid::Uuid;

/// A call that is answered once waits for the disk, which takes milliseconds: seconds mean that the answer is lost.
const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// Attempts in a row that bring nothing, with a pause between them that doubles up to the longest.
const ATTEMPTS_MAX: u32 = 12;
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["submit", area, school, id] => submit(connect()?, area, school, id).await,
        ["watch", area, period, count] => watch(connect()?, area, period, count.parse()?).await,
        ["follow", area, after, count] => follow(connect()?, area, after.parse()?, count.parse()?).await,
        _ => {
            eprintln!("client submit AREA SCHOOL ID | watch AREA PERIOD COUNT | follow AREA AFTER COUNT");
            Ok(ExitCode::from(64))
        }
    }
}

/// The channel, and the token that goes with each call.
type Server = InterceptedService<Channel, Token>;

/// A channel that connects when it is used, and again after it was cut.
fn connect() -> anyhow::Result<Server> {
    let url = env::var("SATGAS_SERVER_URL").unwrap_or_else(|_| "http://127.0.0.1:5371".to_owned());
    let file = env::var("SATGAS_TOKEN_FILE").context("SATGAS_TOKEN_FILE names the file with the token")?;
    let token = fs::read_to_string(&file).context(file)?;
    let mut bearer: MetadataValue<Ascii> = format!("Bearer {}", token.trim()).parse()?;
    bearer.set_sensitive(true);
    let mut endpoint = Endpoint::from_shared(url.clone())?.connect_timeout(Duration::from_secs(5));
    if url.starts_with("https://") {
        let mut tls = ClientTlsConfig::new().with_native_roots();
        if let Ok(file) = env::var("SATGAS_CA_FILE") {
            tls = tls.ca_certificate(Certificate::from_pem(fs::read(&file).context(file)?));
        }
        endpoint = endpoint.tls_config(tls)?;
    } else if !["127.0.0.1", "localhost", "[::1]"].contains(&endpoint.uri().host().unwrap_or_default()) {
        bail!("a token over http:// could be read on the way: use https://");
    }
    Ok(InterceptedService::new(endpoint.connect_lazy(), Token(bearer)))
}

#[derive(Clone)]
struct Token(MetadataValue<Ascii>);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// Hands in a visit. The id is made before the first attempt and kept: sent again, the visit is recorded once.
async fn submit(server: Server, area: &str, school: &str, id: &str) -> anyhow::Result<ExitCode> {
    // The time in the id, so that the same id always comes with the same content.
    let made = Uuid::parse_str(id)?.get_timestamp().context("the id is of version 7: `satgas new-id`")?.to_unix();
    let visit = v1::SchoolVisit {
        school_id: school.to_owned(),
        purpose: v1::VisitPurpose::Sosialisasi.into(),
        topics: vec![v1::Topic::Ksbe.into()],
        reach: Some(v1::Reach { pupils_female: 12, pupils_male: 15, ..Default::default() }),
        ..Default::default()
    };
    let submission = v1::Submission {
        submission_id: id.to_owned(),
        device_id: "contoh-rust".to_owned(),
        device_sequence: 1,
        occurred_at: Some(pbjson_types::Timestamp { seconds: i64::try_from(made.0)?, nanos: 0 }),
        reporter: Some(Reporter::AreaCode(area.to_owned())),
        content: Some(Content::SchoolVisit(visit)),
    };
    let mut pause = Pause::default();
    let receipt = loop {
        let mut request = Request::new(v1::SubmitRequest { submission: Some(submission.clone()) });
        request.set_timeout(CALL_DEADLINE);
        match SubmissionServiceClient::new(server.clone()).submit(request).await {
            Ok(answer) => break answer.into_inner().receipt.context("an answer has a receipt")?,
            Err(refused) => pause.after(refused).await?,
        }
    };
    match receipt.status() {
        ReceiptStatus::Accepted => println!("accepted {}", receipt.position),
        ReceiptStatus::AlreadyKnown => println!("already known {}", receipt.position),
        // A conflict and a quarantined record are kept by the server, a rejected one is not: its fields are to be mended.
        other => {
            println!("{} {}", other.as_str_name(), receipt.position);
            receipt.violations.iter().for_each(|violation| eprintln!("{} {}", violation.field, violation.reason));
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints how a kelurahan's evaluation stands, and each change. After a cut the first picture comes again, so nothing is missed.
async fn watch(server: Server, area: &str, period: &str, count: u64) -> anyhow::Result<ExitCode> {
    let request =
        v1::WatchEvaluationsRequest { area_prefix: area.to_owned(), period: period.to_owned(), ..Default::default() };
    let (mut seen, mut pause) = (0, Pause::default());
    loop {
        let mut stream = match EvaluationServiceClient::new(server.clone()).watch_evaluations(request.clone()).await {
            Ok(stream) => stream.into_inner(),
            Err(refused) => {
                pause.after(refused).await?;
                continue;
            }
        };
        let ended = loop {
            let message = match stream.message().await {
                Ok(Some(message)) => message,
                Ok(None) => break Status::unavailable("the stream ended"),
                Err(cut) => break cut,
            };
            pause = Pause::default();
            // Without an evaluation it is a heartbeat.
            let Some(evaluation) = &message.evaluation else { continue };
            let visits = evaluation.activity.as_ref().map_or(0, |activity| activity.visits);
            let Some(v1::evaluation::Subject::AreaCode(area)) = &evaluation.subject else { continue };
            if message.cause_position == 0 {
                println!("stands {area} visits {visits}");
                continue;
            }
            println!("changed {area} visits {visits} at {}", message.cause_position);
            seen += 1;
            if seen == count {
                return Ok(ExitCode::SUCCESS);
            }
        };
        pause.after(ended).await?;
    }
}

/// Prints each event of an area once, in order. `after` is all that must be kept for going on where one was, also after a restart.
async fn follow(server: Server, area: &str, mut after: u64, count: u64) -> anyhow::Result<ExitCode> {
    let (mut seen, mut pause) = (0, Pause::default());
    loop {
        let request = v1::SubscribeRequest {
            start: Some(Start::AfterPosition(after)),
            filter: Some(v1::EventFilter { area_prefix: area.to_owned(), ..Default::default() }),
            heartbeat_interval: None,
        };
        let mut stream = match EventServiceClient::new(server.clone()).subscribe(request).await {
            Ok(stream) => stream.into_inner(),
            Err(refused) => {
                pause.after(refused).await?;
                continue;
            }
        };
        let ended = loop {
            let message = match stream.message().await {
                Ok(Some(message)) => message,
                Ok(None) => break Status::unavailable("the stream ended"),
                Err(cut) => break cut,
            };
            pause = Pause::default();
            for event in &message.events {
                let kind = EventKind::try_from(event.kind).unwrap_or_default();
                println!("event {} {}", event.position, kind.as_str_name());
                after = event.position;
                seen += 1;
                if seen == count {
                    return Ok(ExitCode::SUCCESS);
                }
            }
            // Also past what the filter left out, so that it is not looked through again.
            after = after.max(message.resume_position);
        };
        pause.after(ended).await?;
    }
}

/// How long to wait before the next attempt, and how many are left.
struct Pause {
    next: Duration,
    left: u32,
}

impl Default for Pause {
    fn default() -> Self {
        Self { next: PAUSE_FIRST, left: ATTEMPTS_MAX }
    }
}

impl Pause {
    /// Waits, if a later attempt may help. Everything else is the caller's to mend.
    async fn after(&mut self, refused: Status) -> anyhow::Result<()> {
        // A connection that was cut below a call shows as UNKNOWN or INTERNAL.
        let passing = [
            Code::Unavailable,
            Code::ResourceExhausted,
            Code::DeadlineExceeded,
            Code::Aborted,
            Code::Unknown,
            Code::Internal,
            Code::Cancelled,
        ];
        if !passing.contains(&refused.code()) || self.left == 0 {
            return Err(refused.into());
        }
        tokio::time::sleep(self.next).await;
        (self.next, self.left) = ((2 * self.next).min(PAUSE_MAX), self.left - 1);
        Ok(())
    }
}
