//! The real binary, driven as its users drive it: killed, started twice, told to stop, and playing the demo.

mod door;
mod process;

use std::{
    collections::HashSet,
    process::{Command, Output},
    sync::{Arc, Mutex},
};

use anyhow::{Context as _, ensure};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use satgas_proto::v1::{
    self, StreamNotice, event::Body, event_service_client::EventServiceClient, submission::Content,
    submission::Reporter, submission_service_client::SubmissionServiceClient,
    warning_service_client::WarningServiceClient,
};
use tonic::{Code, codegen::http::uri::PathAndQuery};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_types::StatusExt as _;

use door::Door;
use process::{Served, satgas};

const AREA: &str = "53.71.04.1001";
const SCHOOL: &str = "99900001";
/// 2026-03-10 in seconds: when everything in these tests happened.
const OCCURRED: i64 = 1_773_100_800;

fn output(command: &mut Command) -> anyhow::Result<(Output, String)> {
    let output = command.output()?;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((output, error))
}

async fn register(door: &Door) -> anyhow::Result<()> {
    let areas = ["53.71", "53.71.04", AREA].map(door::town_area);
    door::register(door, areas.into_iter().chain([door::town_school(SCHOOL, AREA)]).collect()).await
}

fn visit(sequence: u64) -> v1::Submission {
    v1::Submission {
        submission_id: uuid::Uuid::now_v7().to_string(),
        device_id: "hp-contoh".into(),
        device_sequence: sequence,
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

/// Submits visits one after the other until the server goes; what was acknowledged goes into the set.
async fn submit_until_it_goes(channel: Door, acknowledged: Arc<Mutex<HashSet<String>>>) -> anyhow::Result<()> {
    let mut client = SubmissionServiceClient::new(channel);
    for sequence in 1..1_000_000 {
        let submission = visit(sequence);
        let id = submission.submission_id.clone();
        match client.submit(v1::SubmitRequest { submission: Some(submission) }).await {
            Ok(response) => {
                let receipt = response.into_inner().receipt.context("a receipt")?;
                ensure!(receipt.status() == v1::ReceiptStatus::Accepted, "{receipt:?}");
                acknowledged.lock().map_err(|_| anyhow::anyhow!("a task panicked"))?.insert(id);
            }
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}

async fn all_events(channel: Door) -> anyhow::Result<Vec<v1::Event>> {
    let mut client = EventServiceClient::new(channel).max_decoding_message_size(16 * 1024 * 1024);
    let (mut events, mut after) = (Vec::new(), 0);
    loop {
        let request = v1::ReadRequest { after_position: after, page_size: 10_000, filter: None };
        let page = client.read(request).await?.into_inner();
        events.extend(page.events);
        after = page.next_after_position;
        if after >= page.head_position {
            return Ok(events);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_twenty_kills_under_load_every_acknowledged_record_is_there_once() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let acknowledged = Arc::new(Mutex::new(HashSet::new()));
    let mut random = ChaCha8Rng::seed_from_u64(20);
    for round in 0..20 {
        let served = Served::start(&data, &[])?;
        let channel = served.connect().await?;
        register(&channel).await?;
        let before = acknowledged.lock().map(|known| known.len()).unwrap_or_default();
        let goal = before + random.random_range(20..200);
        let clients: Vec<_> =
            (0..8).map(|_| tokio::spawn(submit_until_it_goes(channel.clone(), Arc::clone(&acknowledged)))).collect();
        while acknowledged.lock().map(|known| known.len()).unwrap_or_default() < goal {
            tokio::task::yield_now().await;
        }
        served.kill()?;
        for client in clients {
            client.await?.with_context(|| format!("round {round}"))?;
        }
    }

    let served = Served::start(&data, &[])?;
    let events = all_events(served.connect().await?).await?;
    let positions: Vec<u64> = events.iter().map(|event| event.position).collect();
    let expected: Vec<u64> = (1..=events.len() as u64).collect();
    ensure!(positions == expected, "positions have a gap or repeat");
    let ids: Vec<&str> = events
        .iter()
        .filter_map(|event| match &event.body {
            Some(Body::Submitted(s)) => Some(s.submission_id.as_str()),
            _ => None,
        })
        .collect();
    let distinct: HashSet<&str> = ids.iter().copied().collect();
    ensure!(distinct.len() == ids.len(), "a record stands twice");
    let acknowledged = acknowledged.lock().map_err(|_| anyhow::anyhow!("a task panicked"))?;
    let lost: Vec<_> = acknowledged.iter().filter(|id| !distinct.contains(id.as_str())).collect();
    ensure!(lost.is_empty(), "{} of {} acknowledged records are lost", lost.len(), acknowledged.len());
    ensure!(served.terminate()? == Some(0));

    let (verified, error) = output(satgas(&["verify", "--data"]).arg(&data))?;
    ensure!(verified.status.success(), "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_the_same_folder_is_refused_and_told_who_has_it() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let first = Served::start(&data, &[])?;
    let (second, error) = output(satgas(&["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data))?;
    ensure!(second.status.code() == Some(1), "{error}");
    let address = first.url.trim_start_matches("http://");
    ensure!(error.contains(&first.child.id().to_string()) && error.contains(address), "{error}");

    let (verify, error) = output(satgas(&["verify", "--data"]).arg(&data))?;
    ensure!(verify.status.code() == Some(1) && error.contains(address), "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_no_longer_opens_is_salvaged_with_its_tokens_and_served_again() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (data, fresh) = (folder.path().join("data"), folder.path().join("fresh"));
    let served = Served::start(&data, &[])?;
    let channel = served.connect().await?;
    register(&channel).await?;
    let before = all_events(channel).await?;
    let (tokens, _) = output(
        satgas(&["token", "list", "--format", "json", "--server", &served.url])
            .env("SATGAS_TOKEN_FILE", data.join("keys/operator.token")),
    )?;
    ensure!(served.terminate()? == Some(0));

    for log in ["journal", "access"] {
        let database = data.join(log).join("log/db");
        let mut bytes = std::fs::read(&database)?;
        bytes.iter_mut().take(16).for_each(|byte| *byte = 0xEE);
        std::fs::write(&database, bytes)?;
    }
    let (refused, error) = output(satgas(&["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data))?;
    ensure!(refused.status.code() == Some(1) && error.contains("satgas recover"), "{error}");

    let salvage = |to: &std::path::Path| output(satgas(&["recover", "--from"]).arg(&data).arg("--to").arg(to));
    let (salvaged, error) = salvage(&fresh)?;
    let told = String::from_utf8_lossy(&salvaged.stdout);
    ensure!(salvaged.status.success(), "{told}{error}");
    ensure!(told.contains(&format!("complete  up to record {}, acknowledged last", before.len())), "{told}");
    let (again, error) = salvage(&fresh)?;
    ensure!(again.status.code() == Some(1) && error.contains("is not empty: choose a new folder"), "{error}");

    let served = Served::start(&fresh, &[])?;
    ensure!(all_events(served.connect().await?).await? == before);
    let (same, error) = output(
        satgas(&["token", "list", "--format", "json", "--server", &served.url])
            .env("SATGAS_TOKEN_FILE", fresh.join("keys/operator.token")),
    )?;
    let listed = |output: &Output| output.stdout.split(|byte| *byte == b'\n').count();
    ensure!(same.status.success() && listed(&same) >= listed(&tokens) && listed(&tokens) > 1, "{error}");
    ensure!(served.terminate()? == Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_server_tells_a_subscriber_where_to_resume_and_ends_well() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let served = Served::start(&folder.path().join("data"), &[])?;
    let channel = served.connect().await?;
    register(&channel).await?;
    let mut stream = EventServiceClient::new(channel).subscribe(v1::SubscribeRequest::default()).await?.into_inner();
    let mut last = 0;
    loop {
        let message = stream.message().await?.context("the stream goes on")?;
        last = message.events.last().map_or(last, |event| event.position);
        if message.notice() == StreamNotice::CaughtUp {
            break;
        }
    }
    ensure!(last == 5, "the log's opening and four entries, not {last}");
    let stopping = tokio::task::spawn_blocking(move || served.terminate());
    let notice = stream.message().await?.context("a notice")?;
    ensure!(notice.notice() == StreamNotice::ShuttingDown && notice.resume_position == 5, "{notice:?}");
    ensure!(stream.message().await?.is_none(), "nothing comes after the notice");
    ensure!(stopping.await?? == Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_records_are_refused_with_the_time_to_wait_and_reads_go_on() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let served = Served::start(&data, &[])?;
    register(&served.connect().await?).await?;
    ensure!(served.terminate()? == Some(0));

    // As full as a disk can be: more must stay free than there is.
    let config = folder.path().join("satgas.toml");
    std::fs::write(&config, "disk_free_min_mib = 1000000000\n")?;
    let config = config.to_str().context("a path in UTF-8")?;
    let served = Served::start(&data, &["--config", config])?;
    let channel = served.connect().await?;
    let request = v1::SubmitRequest { submission: Some(visit(1)) };
    let refused = SubmissionServiceClient::new(channel.clone()).submit(request).await.err().context("it is refused")?;
    ensure!(refused.code() == Code::Unavailable, "{refused:?}");
    let details = refused.get_error_details();
    ensure!(details.error_info().is_some_and(|info| info.reason == "DISK_FULL"), "{refused:?}");
    ensure!(details.retry_info().is_some(), "{refused:?}");
    ensure!(all_events(channel.clone()).await?.len() == 5, "reads go on");

    let mut health = HealthClient::new(channel);
    let mut serving = async |service: &str| {
        let asked = HealthCheckRequest { service: service.to_owned() };
        anyhow::Ok(health.check(asked).await?.into_inner().status())
    };
    ensure!(serving("satgas.v1.SubmissionService").await? == ServingStatus::NotServing);
    ensure!(serving("satgas.v1.EventService").await? == ServingStatus::Serving);
    ensure!(serving("").await? == ServingStatus::Serving, "nothing that a restart would mend");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_cannot_be_read_is_the_senders_to_mend() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let served = Served::start(&folder.path().join("data"), &[])?;
    let channel = served.connect().await?;

    // Where a submission is expected stands a text that is none.
    let mut raw = tonic::client::Grpc::new(channel.clone());
    raw.ready().await?;
    let text = v1::GetCaseRequest { case_id: "no submission".to_owned(), ..Default::default() };
    let codec = tonic_prost::ProstCodec::<v1::GetCaseRequest, v1::SubmitResponse>::default();
    let path = PathAndQuery::from_static("/satgas.v1.SubmissionService/Submit");
    let refused = raw.unary(tonic::Request::new(text), path, codec).await.err().context("it is refused")?;
    ensure!(refused.code() == Code::InvalidArgument, "{refused:?}");

    let mut large = visit(1);
    large.device_id = "x".repeat(5 * 1024 * 1024);
    let request = v1::SubmitRequest { submission: Some(large.clone()) };
    let refused = SubmissionServiceClient::new(channel.clone()).submit(request).await.err().context("it is refused")?;
    ensure!(refused.code() == Code::InvalidArgument, "{refused:?}");
    let batch = tokio_stream::iter([v1::SubmitBatchRequest { submissions: vec![large] }]);
    let mut receipts = SubmissionServiceClient::new(channel.clone()).submit_batch(batch).await?.into_inner();
    let refused = receipts.message().await.err().context("it is refused")?;
    ensure!(refused.code() == Code::InvalidArgument, "{refused:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistyped_area_is_refused_and_does_not_look_like_no_incidents() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let served = Served::start(&folder.path().join("data"), &[])?;
    let channel = served.connect().await?;
    register(&channel).await?;
    let warnings =
        |area_prefix: &str| v1::ListWarningsRequest { area_prefix: area_prefix.to_owned(), ..Default::default() };
    let mut client = WarningServiceClient::new(channel);
    client.list_warnings(warnings("53.71")).await?;
    for mistyped in ["53.7", "53.71.40", "53.71.04.1001.1", "Kupang"] {
        let refused = client.list_warnings(warnings(mistyped)).await.err().context(mistyped)?;
        ensure!(refused.code() == Code::InvalidArgument, "{refused:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_stalls_is_told_the_very_position_after_which_it_got_nothing() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("satgas.toml");
    std::fs::write(&config, "stall_s = 1\n")?;
    let served =
        Served::start(&folder.path().join("data"), &["--config", config.to_str().context("a path in UTF-8")?])?;
    let channel = served.connect().await?;
    register(&channel).await?;
    let batches = (0..40).map(|batch| v1::SubmitBatchRequest {
        submissions: (1..=500).map(|sequence| visit(batch * 500 + sequence)).collect(),
    });
    let request = tokio_stream::iter(batches.collect::<Vec<_>>());
    let mut receipts = SubmissionServiceClient::new(channel.clone()).submit_batch(request).await?.into_inner();
    let mut accepted = 0;
    while let Some(message) = receipts.message().await? {
        accepted += message.receipts.len();
    }
    ensure!(accepted == 20_000);

    // A healthy subscriber on another connection waits out the stall by its heartbeats, so that nothing here sleeps.
    let mut stalled = EventServiceClient::new(channel).subscribe(v1::SubscribeRequest::default()).await?.into_inner();
    let healthy = v1::SubscribeRequest {
        start: Some(v1::subscribe_request::Start::FromNow(v1::FromNow {})),
        heartbeat_interval: Some(pbjson_types::Duration { seconds: 1, nanos: 0 }),
        filter: None,
    };
    let mut healthy = EventServiceClient::new(served.connect().await?).subscribe(healthy).await?.into_inner();
    for _ in 0..4 {
        healthy.message().await?.context("it goes on")?;
    }
    let mut got = 0;
    let end = loop {
        match stalled.message().await {
            Ok(Some(message)) => {
                ensure!(message.events.first().is_none_or(|event| event.position == got + 1), "a gap after {got}");
                got = message.resume_position;
            }
            Ok(None) => anyhow::bail!("the stream ended without a word"),
            Err(status) => break status,
        }
    };
    ensure!(got < 20_005, "it kept up, so there was no stall");
    ensure!(end.code() == Code::ResourceExhausted, "{end:?}");
    let details = end.get_error_details();
    let resume = details.error_info().and_then(|info| info.metadata.get("resume_position").cloned());
    ensure!(
        resume.as_ref().and_then(|position| position.parse().ok()) == Some(got),
        "got up to {got}, told {resume:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_follows_a_quiet_area_hears_that_the_stream_lives_while_others_report() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let served = Served::start(&folder.path().join("data"), &[])?;
    let channel = served.connect().await?;
    register(&channel).await?;
    let quiet = v1::SubscribeRequest {
        start: Some(v1::subscribe_request::Start::FromNow(v1::FromNow {})),
        heartbeat_interval: Some(pbjson_types::Duration { seconds: 1, nanos: 0 }),
        filter: Some(v1::EventFilter { area_prefix: "53.71.99".to_owned(), ..Default::default() }),
    };
    let mut quiet = EventServiceClient::new(served.connect().await?).subscribe(quiet).await?.into_inner();
    let caught_up = quiet.message().await?.context("the stream began")?;
    ensure!(caught_up.notice() == v1::StreamNotice::CaughtUp);
    let heard = tokio::spawn(async move { quiet.message().await });
    let mut submissions = SubmissionServiceClient::new(channel);
    for sequence in 1..=200_000 {
        submissions.submit(v1::SubmitRequest { submission: Some(visit(sequence)) }).await?;
        if heard.is_finished() {
            let message = heard.await??.context("the stream goes on")?;
            ensure!(message.notice() == v1::StreamNotice::Heartbeat && message.events.is_empty());
            ensure!(message.resume_position > caught_up.resume_position, "it looks at everything again after a cut");
            return Ok(());
        }
    }
    anyhow::bail!("the stream was silent while 200,000 records arrived")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_reads_nothing_does_not_keep_the_server_from_stopping_in_order() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let served = Served::start(&folder.path().join("data"), &[])?;
    let channel = served.connect().await?;
    register(&channel).await?;
    let submissions = (1..=1_000).map(visit).collect();
    let request = tokio_stream::iter([v1::SubmitBatchRequest { submissions }]);
    let mut receipts = SubmissionServiceClient::new(channel.clone()).submit_batch(request).await?.into_inner();
    while receipts.message().await?.is_some() {}
    let _unread = EventServiceClient::new(channel).subscribe(v1::SubscribeRequest::default()).await?.into_inner();
    ensure!(tokio::task::spawn_blocking(move || served.terminate()).await?? == Some(0));
    Ok(())
}

#[test]
fn the_demo_of_a_seed_gives_the_same_evaluations_and_warnings_to_the_byte() -> anyhow::Result<()> {
    let play = |clients: &str| -> anyhow::Result<serde_json::Value> {
        let args =
            ["demo", "--exit", "--format", "json", "--seed", "7", "--listen", "127.0.0.1:0", "--clients", clients];
        let (output, error) = output(&mut satgas(&args))?;
        ensure!(output.status.success(), "{error}");
        Ok(serde_json::from_slice(&output.stdout)?)
    };
    let (few, many) = (play("3")?, play("40")?);
    ensure!(few["areas"] == 51 && few["verify"] == "ok" && few["sample_data"] == true);
    ensure!(few["evaluations"].as_array().is_some_and(|list| list.len() == 51));
    for part in ["evaluations", "warnings", "records", "duplicates", "conflicts", "rejected"] {
        ensure!(few[part] == many[part], "{part} differ");
    }
    let spreads = few["warnings"].as_array().into_iter().flatten().any(|w| {
        w["kind"] == "WARNING_KIND_GROUP_SPREADS"
            && w["institutionIds"].as_array().is_some_and(|schools| schools.len() == 8)
    });
    ensure!(spreads, "the group at eight schools is warned of");
    Ok(())
}
