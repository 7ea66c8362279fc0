//! What must be recorded and cannot be is not answered: all services, behind an access log whose disk is full.

use std::path::Path;

use satgas_engine::{ManualClock, vault};
use satgas_journal::{
    Journal, MemoryJournal,
    faulty::{FaultyJournal, Plan},
};
use satgas_proto::v1::{
    Role, assignment::Own, audit_service_client::AuditServiceClient, case_service_client::CaseServiceClient,
    erasure_service_client::ErasureServiceClient, event_service_client::EventServiceClient,
    identity_service_client::IdentityServiceClient, registry_entry::Entry,
    registry_service_client::RegistryServiceClient, submission::Content, submission::Reporter,
    submission_service_client::SubmissionServiceClient,
};
use tonic::{
    Code, Request, Status,
    service::interceptor::{InterceptedService, Interceptor},
};
use tonic_types::StatusExt as _;

use tower::Layer as _;

use super::*;
use crate::{authorize::Door, identity::Wanted};

const AREA: &str = "53.71.03.1010";
/// 2026-03-10, when everything here happens.
const NOW_S: i64 = 1_773_100_800;

/// The services, and what lies behind them.
struct Services {
    routes: Door<Routes>,
    access: Arc<AccessLog>,
    identity: Arc<Identity>,
    now: satgas_domain::time::Instant,
}

impl Services {
    async fn open(engine: &Engine, journal: Arc<dyn Journal>, keys: &Keys, clock: &Arc<dyn Clock>) -> Self {
        let access = Arc::new(AccessLog::over(journal, keys.id(), Arc::clone(clock)).unwrap());
        let identity = Arc::new(Identity::of_server(Arc::clone(&access), keys));
        let log = log_opened(engine).await.unwrap();
        let gate = Arc::new(Gate {
            engine: engine.clone(),
            access: Arc::clone(&access),
            identity: Arc::clone(&identity),
            failures: Arc::new(Failures::new(1_000)),
            quotas: Arc::new(Quotas::new(0, 0, 0)),
            publics: Anonymous::new(0, 0, 0),
            sights: sights(&Config::default(), &log).unwrap(),
        });
        let streams = Streams {
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            places: Places::new(10),
            stall: Duration::from_secs(30),
            subscribers: Subscribers::default(),
        };
        let routes = routes(&gate, log, keys.heads(), &streams).await.unwrap();
        let watch = Arc::new(Watch { calls: Calls::default(), traces: None });
        let routes = DoorLayer { gate, patience: Duration::from_secs(20), watch }.layer(routes);
        Self { routes, access, identity, now: engine.now() }
    }

    /// The secret of a new token.
    async fn issue(&self, role: Role) -> String {
        let own = (role == Role::Satgas).then(|| Own::AreaCode(AREA.to_owned()));
        let assignment = v1::Assignment { role: role.into(), own };
        let lifetime_ns = satgas_domain::time::DAY_NS;
        let wanted = Wanted { assignment, purpose: "contoh".to_owned(), lifetime_ns, ..Wanted::default() };
        self.identity.issue(wanted, self.now).await.unwrap().1
    }

    /// The services as they answer whoever has a token.
    fn with(&self, secret: &str) -> InterceptedService<Door<Routes>, Bearer> {
        InterceptedService::new(self.routes.clone(), Bearer(format!("Bearer {secret}")))
    }

    async fn close(self) {
        tokio::task::spawn_blocking(move || self.access.shutdown()).await.unwrap();
    }
}

/// Says what a call is for, and shows no token.
#[derive(Clone)]
struct Purpose(&'static str);

impl Interceptor for Purpose {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("satgas-purpose", self.0.parse().unwrap());
        Ok(request)
    }
}

#[derive(Clone)]
struct Bearer(String);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.parse().unwrap());
        Ok(request)
    }
}

fn id() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn engine(folder: &Path, clock: &Arc<dyn Clock>) -> Engine {
    let master = folder.join("master.key");
    let vault = vault::Options { folder: folder.join("vault"), masters: vault::Masters::made_at(master) };
    let options = Options { vault: Some(vault), ..Options::default() };
    Engine::open(Arc::new(MemoryJournal::new()), Arc::clone(clock), &options).unwrap()
}

fn report() -> v1::Submission {
    v1::Submission {
        submission_id: id(),
        device_id: "hp-contoh".to_owned(),
        device_sequence: 1,
        occurred_at: Some(pbjson_types::Timestamp { seconds: NOW_S, nanos: 0 }),
        reporter: Some(Reporter::AreaCode(AREA.to_owned())),
        content: Some(Content::CaseReport(v1::CaseReport {
            violence: vec![v1::Violence::Fisik.into()],
            place: v1::Place::Sekolah.into(),
            victim_age: v1::AgeGroup::AgeGroup1317.into(),
            victim_sex: v1::Sex::Perempuan.into(),
            offender: v1::Offender::PacarTeman.into(),
            ..Default::default()
        })),
    }
}

fn area(code: &str) -> v1::RegistryEntry {
    let (code, name, valid_from) = (code.to_owned(), "Contoh".to_owned(), "2025-01-01".to_owned());
    let area = v1::Area { code, name, valid_from, ..Default::default() };
    v1::RegistryEntry { entry: Some(Entry::Area(area)), ..Default::default() }
}

fn person(kind: v1::IdentityKind) -> v1::IdentityToSeal {
    let identity = v1::PersonIdentity { full_name: "Nama Contoh".to_owned(), ..Default::default() };
    v1::IdentityToSeal { command_id: id(), kind: kind.into(), identity: Some(identity) }
}

fn assess(case_id: &str) -> v1::AdvanceCaseRequest {
    let command = v1::CaseCommand {
        command_id: id(),
        case_id: case_id.to_owned(),
        expected_version: 1,
        occurred_at: Some(pbjson_types::Timestamp { seconds: NOW_S, nanos: 0 }),
        step: Some(v1::case_command::Step::Assess(v1::AssessCase { risk: v1::Risk::Tinggi.into() })),
    };
    v1::AdvanceCaseRequest { command: Some(command) }
}

/// It was not answered because it could not be recorded, and says nothing of the case.
fn unanswered<T: std::fmt::Debug>(what: &str, case_id: &str, answer: Result<T, Status>) {
    let refused = answer.map(|_| what).unwrap_err();
    let reason = refused.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    assert_eq!((refused.code(), reason.as_str()), (Code::Unavailable, "ACCESS_LOG_FAILED"), "{what}");
    let told = format!("{refused:?}");
    assert!(!told.contains(case_id) && !told.contains(AREA) && !told.contains("Contoh"), "{what}: {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_access_log_takes_nothing_no_call_is_answered_that_must_be_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(jiff::Timestamp::from_second(NOW_S).unwrap()));
    let keys = Keys::open(folder.path().join("keys")).unwrap();
    let engine = engine(folder.path(), &clock);
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new());

    let healthy = Services::open(&engine, Arc::clone(&journal), &keys, &clock).await;
    let (operator, supervisor) = (healthy.issue(Role::Operator).await, healthy.issue(Role::Supervisor).await);
    let (worker, satgas) = (healthy.issue(Role::CaseWorker).await, healthy.issue(Role::Satgas).await);
    let entries = ["53.71", "53.71.03", AREA].map(area).into();
    let registered = RegistryServiceClient::new(healthy.with(&supervisor))
        .register(v1::RegisterRequest { entries, skip_bad: false })
        .await;
    assert!(registered.unwrap().into_inner().refused.is_empty());
    let opened = v1::OpenCaseRequest { submission: Some(report()), identities: vec![person(v1::IdentityKind::Victim)] };
    let case_id = opened.submission.as_ref().unwrap().submission_id.clone();
    CaseServiceClient::new(healthy.with(&satgas)).open_case(opened).await.unwrap();
    let subject = IdentityServiceClient::new(healthy.with(&worker)).who_am_i(v1::WhoAmIRequest {}).await.unwrap();
    let subject = subject.into_inner().subject;
    let taken = v1::AssignCaseRequest { command_id: id(), case_id: case_id.clone(), subject, ..Default::default() };
    CaseServiceClient::new(healthy.with(&worker)).assign_case(taken).await.unwrap();
    let stranger = healthy.issue(Role::CaseWorker).await;
    let moment = |offset_s: i64| Some(pbjson_types::Timestamp { seconds: NOW_S + offset_s, nanos: 0 });
    let right = v1::EndedRight { began_at: moment(-60), ended_at: moment(60), ..Default::default() };
    engine.submit(satgas_engine::Handed { submission: report(), ended: Some(right) }).await.unwrap();
    healthy.close().await;

    let full = FaultyJournal::new(journal, Plan { disk_full: Some(1..=u64::MAX), ..Plan::default() });
    let services = Services::open(&engine, Arc::new(full), &keys, &clock).await;
    let unanswered_to = |what: &str, answer: Result<(), Status>| unanswered(what, &case_id, answer);
    let case = || v1::GetCaseRequest { case_id: case_id.clone(), ..Default::default() };

    let mut cases = CaseServiceClient::new(services.with(&worker));
    unanswered_to("a case", cases.get_case(case()).await.map(drop));
    unanswered_to("cases", cases.list_cases(v1::ListCasesRequest::default()).await.map(drop));
    unanswered_to("a step", cases.advance_case(assess(&case_id)).await.map(drop));
    unanswered_to("a refused step", cases.advance_case(assess(&case_id)).await.map(drop));
    let kind = v1::IdentityKind::Victim.into();
    let purpose = "tujuan contoh untuk diuji".to_owned();
    let unseal = v1::UnsealIdentityRequest { case_id: case_id.clone(), kind, purpose, ..Default::default() };
    unanswered_to("an identity", cases.unseal_identity(unseal.clone()).await.map(drop));
    let mut strangers = CaseServiceClient::new(services.with(&stranger));
    unanswered_to("an identity of another's case", strangers.unseal_identity(unseal).await.map(drop));

    let mut cases = CaseServiceClient::new(services.with(&satgas));
    unanswered_to("its own case", cases.get_case(case()).await.map(drop));
    let unknown = v1::GetCaseRequest { case_id: id(), ..Default::default() };
    unanswered_to("a case that is not there", cases.get_case(unknown).await.map(drop));
    let opened = v1::OpenCaseRequest { submission: Some(report()), identities: Vec::new() };
    unanswered_to("a case that is opened", cases.open_case(opened).await.map(drop));

    let mut events = EventServiceClient::new(services.with(&supervisor));
    unanswered_to("events", events.read(v1::ReadRequest::default()).await.map(drop));
    let mut submissions = SubmissionServiceClient::new(services.with(&supervisor));
    let waiting = v1::ListQuarantinedRequest::default();
    unanswered_to("what waits for a supervisor", submissions.list_quarantined(waiting).await.map(drop));
    unanswered_to("a stream", events.subscribe(v1::SubscribeRequest::default()).await.map(drop));
    let reason = "alasan contoh untuk diuji".to_owned();
    let hold = v1::PlaceHoldRequest { command_id: id(), case_id: case_id.clone(), reason, until: None };
    let mut erasures = ErasureServiceClient::new(services.with(&supervisor));
    unanswered_to("a hold", erasures.place_hold(hold).await.map(drop));
    let mut cases = CaseServiceClient::new(services.with(&supervisor));
    unanswered_to("what the role may not do", cases.advance_case(assess(&case_id)).await.map(drop));

    let mut tokens = IdentityServiceClient::new(services.with(&operator));
    let assignment = Some(v1::Assignment { role: Role::Supervisor.into(), own: None });
    let issue = v1::IssueTokenRequest { assignment, purpose: "contoh".to_owned(), ..Default::default() };
    unanswered_to("a token", tokens.issue_token(issue).await.map(drop));
    let revoke = v1::RevokeTokenRequest { token_id: "oidc-contoh".to_owned(), reason: "contoh".to_owned() };
    unanswered_to("a revocation", tokens.revoke_token(revoke).await.map(drop));
    let mut strangers = IdentityServiceClient::new(services.routes.clone());
    unanswered_to("a wrong code", strangers.enrol(v1::EnrolRequest { code: "00000-00000".to_owned() }).await.map(drop));
    unanswered_to("no token", strangers.who_am_i(v1::WhoAmIRequest {}).await.map(drop));

    // What needs no record goes on, so that people can look for the reason.
    let mut registry = RegistryServiceClient::new(services.with(&supervisor));
    assert!(registry.list_areas(v1::ListAreasRequest::default()).await.is_ok());
    assert!(tokens.who_am_i(v1::WhoAmIRequest {}).await.is_ok());
    let list = v1::ListAccessRequest { token_id: id(), ..Default::default() };
    let nobody = AuditServiceClient::new(services.with(&operator)).list_access(list).await;
    assert_eq!(nobody.err().map(|status| status.code()), Some(Code::NotFound), "it was looked for");
    services.close().await;
    tokio::task::spawn_blocking(move || engine.shutdown()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_without_a_token_is_not_written_down_with_the_refusal() {
    const SAID: &str = "whatever a stranger likes to have in the records";
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(jiff::Timestamp::from_second(NOW_S).unwrap()));
    let keys = Keys::open(folder.path().join("keys")).unwrap();
    let (engine, journal) = (engine(folder.path(), &clock), Arc::new(MemoryJournal::new()));
    let services = Services::open(&engine, Arc::clone(&journal) as Arc<dyn Journal>, &keys, &clock).await;
    let before = journal.head().position;
    let stranger = InterceptedService::new(services.routes.clone(), Purpose(SAID));
    let refused = IdentityServiceClient::new(stranger).who_am_i(v1::WhoAmIRequest {}).await;
    assert_eq!(refused.err().map(|status| status.code()), Some(Code::Unauthenticated));
    services.close().await;
    let records = journal.read(before, usize::MAX).unwrap();
    let records: Vec<_> = records.records().map(|(_, record)| record).collect();
    assert!(!records.is_empty(), "the refusal is recorded");
    let holds = |record: &[u8]| record.windows(SAID.len()).any(|window| window == SAID.as_bytes());
    assert!(!records.iter().any(|record| holds(record)));
    tokio::task::spawn_blocking(move || engine.shutdown()).await.unwrap();
}
