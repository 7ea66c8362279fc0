//! What the access log says afterwards: whose data could this token have seen?

use anyhow::{Context as _, ensure};
use satgas_proto::v1::{
    self, Role, audit_service_client::AuditServiceClient, case_service_client::CaseServiceClient,
    erasure_service_client::ErasureServiceClient, event_service_client::EventServiceClient,
};
use tonic::Code;

use crate::{
    house::{House, OWN, area, case_report, ensure_code},
    process::Served,
};

pub(crate) async fn seen(house: &House, token_id: &str) -> anyhow::Result<v1::ListAccessResponse> {
    let request = v1::ListAccessRequest { token_id: token_id.to_owned(), ..Default::default() };
    let supervisor = house.door(Role::Supervisor, None).await?;
    Ok(AuditServiceClient::new(supervisor).list_access(request).await?.into_inner())
}

fn ids(answer: &v1::ListAccessResponse) -> Vec<&str> {
    answer.cases.iter().map(|case| case.case_id.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_case_that_was_read_is_listed_and_each_refusal_is_counted() -> anyhow::Result<()> {
    let house = House::open().await?;
    let (id, secret) = house.token(Role::CaseWorker, None, 600).await?;
    let mut cases = CaseServiceClient::new(house.with(&secret).await?);
    ensure!(seen(&house, &id).await?.cases.is_empty());
    let get = |case_id: &str| v1::GetCaseRequest { case_id: case_id.to_owned(), ..Default::default() };
    cases.get_case(get(&house.own_case)).await?;
    ensure!(ids(&seen(&house, &id).await?) == [house.own_case.as_str()]);
    cases.list_cases(v1::ListCasesRequest::default()).await?;
    let answer = seen(&house, &id).await?;
    let mut both = [house.own_case.as_str(), house.neighbours_case.as_str()];
    both.sort_unstable();
    ensure!(ids(&answer) == both && answer.cases_total == 2, "{answer:?}");

    let request = v1::RegisterRequest::default();
    let mut registry = v1::registry_service_client::RegistryServiceClient::new(house.with(&secret).await?);
    ensure!(registry.register(request).await.is_err());
    let answer = seen(&house, &id).await?;
    let counts = |rpc: &str| {
        let found = answer.rpcs.iter().find(|access| access.rpc == format!("satgas.v1.{rpc}"));
        found.map(|access| (access.answered, access.refused))
    };
    ensure!(counts("CaseService/GetCase") == Some((1, 0)) && counts("RegistryService/Register") == Some((0, 1)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_step_tells_of_the_case_and_is_recorded_as_a_reading_of_it() -> anyhow::Result<()> {
    let house = House::open().await?;
    let (id, secret) = house.token(Role::CaseWorker, None, 600).await?;
    let mut cases = CaseServiceClient::new(house.with(&secret).await?);
    let step = |case_id: &str| {
        let command = v1::CaseCommand {
            command_id: uuid::Uuid::now_v7().to_string(),
            case_id: case_id.to_owned(),
            expected_version: 7,
            occurred_at: Some(pbjson_types::Timestamp { seconds: 1_773_100_800, nanos: 0 }),
            step: Some(v1::case_command::Step::Assess(v1::AssessCase { risk: v1::Risk::Tinggi.into() })),
        };
        v1::AdvanceCaseRequest { command: Some(command) }
    };
    ensure_code(&cases.advance_case(step(&house.own_case)).await, Code::Aborted)?;
    ensure!(ids(&seen(&house, &id).await?) == [house.own_case.as_str()], "its version was told");
    ensure_code(&cases.advance_case(step(&uuid::Uuid::now_v7().to_string())).await, Code::NotFound)?;
    ensure!(ids(&seen(&house, &id).await?) == [house.own_case.as_str()], "one that is not there is nobody's");

    let (id, secret) = house.token(Role::Supervisor, None, 600).await?;
    let mut erasures = ErasureServiceClient::new(house.with(&secret).await?);
    let lift = v1::LiftHoldRequest {
        command_id: uuid::Uuid::now_v7().to_string(),
        case_id: house.own_case.clone(),
        hold_id: uuid::Uuid::now_v7().to_string(),
        reason: "alasan contoh untuk diuji".to_owned(),
    };
    ensure_code(&erasures.lift_hold(lift).await, Code::FailedPrecondition)?;
    ensure!(ids(&seen(&house, &id).await?) == [house.own_case.as_str()], "that it has no such hold was told");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_pages_of_events_count_by_the_cases_in_them() -> anyhow::Result<()> {
    let house = House::open().await?;
    let (watching, secret) = house.token(Role::Supervisor, None, 600).await?;
    let door = house.with(&secret).await?;
    let mut stream = EventServiceClient::new(door).subscribe(v1::SubscribeRequest::default()).await?.into_inner();
    stream.message().await?.context("events")?;
    ensure!(seen(&house, &watching).await?.cases.len() == 2, "while it is open");
    drop(stream);

    let (reading, secret) = house.token(Role::Supervisor, None, 600).await?;
    let mut events = EventServiceClient::new(house.with(&secret).await?);
    let page = events.read(v1::ReadRequest { page_size: 7, ..Default::default() }).await?.into_inner();
    ensure!(page.events.len() == 7 && ids(&seen(&house, &reading).await?).is_empty(), "the opening and the registry");
    events.read(v1::ReadRequest { after_position: 7, page_size: 1, ..Default::default() }).await?;
    ensure!(ids(&seen(&house, &reading).await?) == [house.own_case.as_str()]);

    let (dashboard, secret) = house.token(Role::Dashboard, None, 600).await?;
    EventServiceClient::new(house.with(&secret).await?).read(v1::ReadRequest::default()).await?;
    let answer = seen(&house, &dashboard).await?;
    ensure!(answer.cases.is_empty() && answer.rpcs.is_empty(), "it got nothing of a case: {answer:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_before_lists_nothing_and_the_record_outlives_the_server() -> anyhow::Result<()> {
    let house = House::open().await?;
    let (id, secret) = house.token(Role::CaseWorker, None, 600).await?;
    let request = v1::GetCaseRequest { case_id: house.own_case.clone(), ..Default::default() };
    CaseServiceClient::new(house.with(&secret).await?).get_case(request).await?;
    let House { served, folder, own_case, .. } = house;
    served.kill()?;
    let served = Served::start(&folder.path().join("data"), &[])?;
    let listed = served.ask(&["audit", "--token", &id, "--format", "json"])?.good()?;
    ensure!(listed.contains(&own_case), "{listed}");
    let mistyped = served.ask(&["audit", "--token", &own_case])?;
    ensure!(mistyped.code == Some(1) && mistyped.error.contains("there is no such token"), "{mistyped:?}");
    let before = served.ask(&["audit", "--token", &id, "--to", "2026-01-01", "--format", "json"])?.good()?;
    ensure!(!before.contains(&own_case), "{before}");
    let files = std::fs::read_dir(folder.path().join("data/access"))?.count();
    ensure!(files > 0, "it lies in a folder of its own");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_access_log() -> anyhow::Result<()> {
    let house = House::open().await?;
    let (_, secret) = house.token(Role::CaseWorker, None, 600).await?;
    let args = ["token", "enrol", "--role", "supervisor", "--for", "contoh"];
    let out = house.served.ask(&args)?.good()?;
    let code = out.lines().last().context("a code")?.to_owned();
    let House { served, folder, .. } = house;
    ensure!(served.terminate()? == Some(0));
    let signature = secret.rsplit('.').next().context("a signature")?;
    let holds = |needle: &str| -> anyhow::Result<bool> {
        let mut folders = vec![folder.path().join("data/access")];
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(next)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if std::fs::read(&path)?.windows(needle.len()).any(|window| window == needle.as_bytes()) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    };
    ensure!(holds("contoh")?, "what was written is found so");
    ensure!(!holds(signature)? && !holds(&code)? && !holds(&code.replace('-', ""))?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_correction_is_a_reading_of_the_case() -> anyhow::Result<()> {
    use v1::{amendment::Replacement, submission::Content, submission_service_client::SubmissionServiceClient};
    let house = House::open().await?;
    let mut satgas = SubmissionServiceClient::new(house.satgas().await?);
    let mut corrects_id = house.own_case.clone();
    for _ in 0..2 {
        let report = case_report(&area(OWN));
        let Some(Content::CaseReport(replacement)) = report.content.clone() else { anyhow::bail!("no case report") };
        let amendment = v1::Amendment {
            corrects_id,
            reason: "contoh".to_owned(),
            replacement: Some(Replacement::CaseReport(v1::CaseReport { victim_disability: true, ..replacement })),
            ..Default::default()
        };
        corrects_id = report.submission_id.clone();
        let submission = v1::Submission { content: Some(Content::Amendment(amendment)), ..report };
        satgas.submit(v1::SubmitRequest { submission: Some(submission) }).await?;
    }
    let (id, secret) = house.token(Role::Supervisor, None, 600).await?;
    let mut events = EventServiceClient::new(house.with(&secret).await?);
    let head = events.read(v1::ReadRequest { page_size: 1, ..Default::default() }).await?.into_inner().head_position;
    let last = v1::ReadRequest { after_position: head - 1, ..Default::default() };
    ensure!(events.read(last).await?.into_inner().events.len() == 1, "the second correction alone");
    ensure!(ids(&seen(&house, &id).await?) == [house.own_case.as_str()]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_byte_of_the_access_log_is_found() -> anyhow::Result<()> {
    let house = House::open().await?;
    let House { served, folder, .. } = house;
    ensure!(served.terminate()? == Some(0));
    let data = folder.path().join("data");
    let verify = || -> anyhow::Result<crate::process::Answer> {
        Ok(crate::process::satgas(&["verify", "--data"]).arg(&data).output()?.into())
    };
    verify()?.good()?;
    let file = data.join("access/log/db");
    let mut bytes = std::fs::read(&file)?;
    let purpose = b"operator's first";
    let at = bytes.windows(purpose.len()).position(|window| window == purpose).context("the first token's purpose")?;
    bytes[at] ^= 1;
    std::fs::write(&file, bytes)?;
    let answer = verify()?;
    ensure!(answer.code == Some(1) && answer.error.contains("the access log"), "{answer:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_a_crash_cut_off_has_not_gone_on() -> anyhow::Result<()> {
    let house = House::open().await?;
    let (id, secret) = house.token(Role::Supervisor, None, 600).await?;
    let mut events = EventServiceClient::new(house.with(&secret).await?);
    let mut stream = events.subscribe(v1::SubscribeRequest::default()).await?.into_inner();
    stream.message().await?.context("events")?;
    let House { served, folder, own_case, neighbours_case } = house;
    served.kill()?;
    let served = Served::start(&folder.path().join("data"), &[])?;
    let house = House { served, folder, own_case, neighbours_case };
    let request = v1::OpenCaseRequest { submission: Some(case_report(&area(OWN))), identities: Vec::new() };
    CaseServiceClient::new(house.satgas().await?).open_case(request).await?;
    let mut both = [house.own_case.as_str(), house.neighbours_case.as_str()];
    both.sort_unstable();
    ensure!(ids(&seen(&house, &id).await?) == both, "the case that was reported later is not among them");
    Ok(())
}
