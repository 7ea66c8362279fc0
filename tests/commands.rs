//! Commands against a server that answers the same each time: what they ask it, what they print, and files that other programs read back.
//! One test asks the real server the same.

mod door;
mod opened;
mod process;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, ensure};
use calamine::{Data, Reader as _, Xlsx, open_workbook};
use parquet::{
    file::reader::{FileReader as _, SerializedFileReader},
    record::RowAccessor as _,
};
use satgas_proto::v1::{
    self, Dimension, IndicatorKind,
    evaluation_service_server::{EvaluationService, EvaluationServiceServer},
    event::Body,
    event_service_server::{EventService, EventServiceServer},
    statistics_service_server::{StatisticsService, StatisticsServiceServer},
    submission_service_server::{SubmissionService, SubmissionServiceServer},
};
use serde_json::{Value, json};
use tokio_stream::{Empty, wrappers::TcpListenerStream};
use tonic::{Request, Response, Status};

use opened::Opened;
use process::{Answer, Served, ask};

const KELURAHAN: &str = "53.71.04.1001";

/// Answers with invented figures, and keeps what it was asked.
#[derive(Clone, Default)]
struct Fixed {
    asked: Arc<Mutex<Vec<Value>>>,
}

/// The fixed server on a port of its own, and a folder for files.
struct Running {
    fixed: Fixed,
    url: String,
    folder: tempfile::TempDir,
    serving: tokio::task::JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Running {
    async fn start() -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let fixed = Fixed::default();
        let router = tonic::transport::Server::builder()
            .add_service(Opened { sample_data: true, head_position: 7 }.service())
            .add_service(EventServiceServer::new(fixed.clone()))
            .add_service(EvaluationServiceServer::new(fixed.clone()))
            .add_service(StatisticsServiceServer::new(fixed.clone()))
            .add_service(SubmissionServiceServer::new(fixed.clone()));
        let serving = tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
        Ok(Self { fixed, url, folder: tempfile::tempdir()?, serving })
    }

    async fn ask(&self, args: &[&str]) -> anyhow::Result<Answer> {
        let (url, args) = (self.url.clone(), args.iter().map(|&arg| arg.to_owned()).collect::<Vec<_>>());
        let asking = move || ask(&url, "contoh", &args.iter().map(String::as_str).collect::<Vec<_>>());
        tokio::task::spawn_blocking(asking).await?
    }

    /// What a command that succeeds prints, and what it asked.
    async fn good(&self, args: &[&str]) -> anyhow::Result<(String, Vec<Value>)> {
        let out = self.ask(args).await?.good()?;
        Ok((out, std::mem::take(&mut *self.fixed.asked.lock().unwrap_or_else(PoisonError::into_inner))))
    }

    /// `satgas export statistics` into a file of the folder.
    async fn export(&self, name: &str, args: &[&str]) -> anyhow::Result<PathBuf> {
        let path = self.folder.path().join(name);
        let to = path.to_str().context("a path in UTF-8")?;
        self.good(&[&["export", "statistics", "--to", to], args].concat()).await?;
        Ok(path)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Fixed {
    fn note(&self, request: serde_json::Result<Value>) -> Result<(), Status> {
        let request = request.map_err(|error| Status::internal(error.to_string()))?;
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        Ok(())
    }
}

fn not_here<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("not here"))
}

fn basis() -> v1::Basis {
    v1::Basis {
        position: 7,
        head_hash: vec![0xab; 32].into(),
        as_of: Some(pbjson_types::Timestamp { seconds: 1_775_091_600, nanos: 0 }),
        rule_set: "bawaan-1".into(),
        sample_data: true,
    }
}

fn evaluation(period: &str, numerator: u64, body: v1::EvaluatedBody) -> v1::Evaluation {
    v1::Evaluation {
        subject: Some(v1::evaluation::Subject::AreaCode(KELURAHAN.into())),
        name: "Kelurahan Contoh".into(),
        period: Some(v1::Period { code: period.into(), ..Default::default() }),
        indicators: vec![v1::Indicator {
            kind: IndicatorKind::SchoolCoverage.into(),
            applicable: true,
            numerator,
            denominator: 8,
        }],
        score: Some(50.0),
        basis: Some(basis()),
        body: body.into(),
        missed: Some(v1::MissedFigures { reports: 2, follow_ups: 0, responses: 1 }),
        ..Default::default()
    }
}

#[tonic::async_trait]
impl EventService for Fixed {
    type SubscribeStream = Empty<Result<v1::SubscribeResponse, Status>>;

    async fn read(&self, _: Request<v1::ReadRequest>) -> Result<Response<v1::ReadResponse>, Status> {
        let opened =
            v1::LogOpened { time_zone: "Asia/Makassar".into(), sample_data: true, log_id: "log-contoh".into() };
        let event = v1::Event { position: 1, body: Some(Body::LogOpened(opened)), ..Default::default() };
        Ok(Response::new(v1::ReadResponse { events: vec![event], next_after_position: 1, head_position: 7 }))
    }

    async fn subscribe(&self, _: Request<v1::SubscribeRequest>) -> Result<Response<Self::SubscribeStream>, Status> {
        not_here()
    }
}

#[tonic::async_trait]
impl EvaluationService for Fixed {
    type WatchEvaluationsStream = Empty<Result<v1::WatchEvaluationsResponse, Status>>;

    async fn get_evaluation(
        &self,
        _: Request<v1::GetEvaluationRequest>,
    ) -> Result<Response<v1::GetEvaluationResponse>, Status> {
        not_here()
    }

    async fn list_evaluations(
        &self,
        request: Request<v1::ListEvaluationsRequest>,
    ) -> Result<Response<v1::ListEvaluationsResponse>, Status> {
        let request = request.into_inner();
        self.note(serde_json::to_value(&request))?;
        let evaluations = vec![evaluation("2026-Q1", 4, request.body())];
        Ok(Response::new(v1::ListEvaluationsResponse { evaluations, ..Default::default() }))
    }

    async fn explain_indicator(
        &self,
        request: Request<v1::ExplainIndicatorRequest>,
    ) -> Result<Response<v1::ExplainIndicatorResponse>, Status> {
        let request = request.into_inner();
        self.note(serde_json::to_value(&request))?;
        let item = v1::Item { item_id: "sg-contoh-1".into(), detail: "2026-03".into(), ..Default::default() };
        let items = vec![v1::Item { missed_position: 41, ..item.clone() }, item];
        let indicator = v1::Indicator { kind: request.indicator, applicable: true, numerator: 0, denominator: 2 };
        let evaluation = Some(evaluation("2026-03", 0, request.body()));
        let indicator = Some(indicator);
        Ok(Response::new(v1::ExplainIndicatorResponse { evaluation, indicator, items, ..Default::default() }))
    }

    /// Two pages.
    async fn list_trends(
        &self,
        request: Request<v1::ListTrendsRequest>,
    ) -> Result<Response<v1::ListTrendsResponse>, Status> {
        let request = request.into_inner();
        self.note(serde_json::to_value(&request))?;
        let change = |difference, is_clear| Some(v1::IndicatorChange { difference, is_clear, ..Default::default() });
        let trend = v1::Trend {
            evaluation: Some(evaluation("2026-Q1", 4, request.body())),
            previous: Some(evaluation("2025-Q4", 1, request.body())),
            year_before: Some(evaluation("2025-Q1", 5, request.body())),
            indicators: vec![v1::IndicatorTrend {
                kind: IndicatorKind::SchoolCoverage.into(),
                previous: change(0.375, true),
                year_before: change(-0.125, false),
                ..Default::default()
            }],
            rank_in_kota: Some(v1::Rank { rank: 3, of: 51 }),
            ..Default::default()
        };
        let next_page_token = if request.page_token.is_empty() && request.area_prefix.is_empty() { "2" } else { "" };
        Ok(Response::new(v1::ListTrendsResponse { trends: vec![trend], next_page_token: next_page_token.into() }))
    }

    async fn compare_evaluations(
        &self,
        _: Request<v1::CompareEvaluationsRequest>,
    ) -> Result<Response<v1::CompareEvaluationsResponse>, Status> {
        not_here()
    }

    async fn watch_evaluations(
        &self,
        _: Request<v1::WatchEvaluationsRequest>,
    ) -> Result<Response<Self::WatchEvaluationsStream>, Status> {
        not_here()
    }
}

#[tonic::async_trait]
impl StatisticsService for Fixed {
    /// Two cases in two age groups, one of them of two kinds of violence.
    async fn cross_table(
        &self,
        request: Request<v1::CrossTableRequest>,
    ) -> Result<Response<v1::CrossTableResponse>, Status> {
        let request = request.into_inner();
        self.note(serde_json::to_value(&request))?;
        let mut cells = vec![v1::TableCell { codes: vec![], cases: 0 }];
        for dimension in request.dimensions() {
            let codes = match dimension {
                Dimension::Violence => ["", "VIOLENCE_SEKSUAL", "VIOLENCE_FISIK"],
                Dimension::Age => ["", "AGE_GROUP_6_12", "AGE_GROUP_13_17"],
                _ => ["", "2026-01", "2026-02"],
            };
            let with = |cell: &v1::TableCell, code: &str| [cell.codes.clone(), vec![code.to_owned()]].concat();
            let longer = |cell: &v1::TableCell| codes.map(|code| v1::TableCell { codes: with(cell, code), cases: 0 });
            cells = cells.iter().flat_map(longer).collect();
        }
        // Any figures will do that tell the cells apart.
        for (cell, cases) in cells.iter_mut().zip(10..) {
            cell.cases = cases;
        }
        let period =
            v1::Period { code: format!("{}/{}", request.first_period, request.last_period), ..Default::default() };
        Ok(Response::new(v1::CrossTableResponse {
            dimensions: request.dimensions,
            cells,
            basis: Some(basis()),
            period: Some(period),
        }))
    }
}

#[tonic::async_trait]
impl SubmissionService for Fixed {
    type SubmitBatchStream = Empty<Result<v1::SubmitBatchResponse, Status>>;

    async fn submit(&self, _: Request<v1::SubmitRequest>) -> Result<Response<v1::SubmitResponse>, Status> {
        not_here()
    }

    async fn submit_batch(
        &self,
        _: Request<tonic::Streaming<v1::SubmitBatchRequest>>,
    ) -> Result<Response<Self::SubmitBatchStream>, Status> {
        not_here()
    }

    async fn list_conflicts(
        &self,
        request: Request<v1::ListConflictsRequest>,
    ) -> Result<Response<v1::ListConflictsResponse>, Status> {
        self.note(serde_json::to_value(request.into_inner()))?;
        let conflict = |position, can_be_taken| v1::Conflict {
            position,
            stands_position: 3,
            cause: v1::ConflictCause::AlreadyAmended.into(),
            can_be_taken,
            ..Default::default()
        };
        let conflicts = vec![conflict(5, true), conflict(6, false)];
        Ok(Response::new(v1::ListConflictsResponse { conflicts, ..Default::default() }))
    }

    /// The first of position 5 is recorded; position 6 is refused; of position 7 nobody knows.
    async fn resolve_conflict(
        &self,
        request: Request<v1::ResolveConflictRequest>,
    ) -> Result<Response<v1::ResolveConflictResponse>, Status> {
        let request = request.into_inner();
        self.note(serde_json::to_value(&request))?;
        let resolution = request.resolution.ok_or_else(|| Status::invalid_argument("no resolution"))?;
        match resolution.conflict_position {
            5 => {
                let status = v1::ReceiptStatus::Accepted.into();
                let submission_id = resolution.command_id;
                let receipt = v1::Receipt { submission_id, status, position: 8, ..Default::default() };
                Ok(Response::new(v1::ResolveConflictResponse { receipt: Some(receipt) }))
            }
            6 => Err(Status::failed_precondition("this version cannot be taken")),
            _ => Err(Status::unavailable("going")),
        }
    }

    async fn list_held(&self, _: Request<v1::ListHeldRequest>) -> Result<Response<v1::ListHeldResponse>, Status> {
        not_here()
    }

    async fn list_quarantined(
        &self,
        _: Request<v1::ListQuarantinedRequest>,
    ) -> Result<Response<v1::ListQuarantinedResponse>, Status> {
        not_here()
    }

    async fn decide_quarantined(
        &self,
        _: Request<v1::DecideQuarantinedRequest>,
    ) -> Result<Response<v1::DecideQuarantinedResponse>, Status> {
        not_here()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_is_listed_with_what_can_be_done_and_decided_once() -> anyhow::Result<()> {
    let running = Running::start().await?;
    let (listed, _) = running.good(&["conflicts", "--format", "csv"]).await?;
    ensure!(listed.lines().next().is_some_and(|header| header.contains("can_be_taken")), "{listed}");
    ensure!(listed.contains("5,3,already amended,yes") && listed.contains("6,3,already amended,no"), "{listed}");

    let decide = ["conflicts", "resolve", "--reason", "Keputusan contoh", "--position"];
    let (printed, asked) = running.good(&[&decide[..], &["5", "--take"]].concat()).await?;
    ensure!(printed.contains("DATA CONTOH") && printed.contains("recorded at position 8"), "{printed}");
    let resolution = &asked[0]["resolution"];
    ensure!(resolution["decision"] == "CONFLICT_DECISION_TAKE" && resolution["conflictPosition"] == "5", "{asked:?}");
    ensure!(
        resolution["reason"] == "Keputusan contoh" && resolution["commandId"].as_str().is_some_and(|id| id.len() == 36)
    );
    let again = running.good(&[&decide[..], &["5", "--keep", "--command-id", "c-1"]].concat()).await?.1;
    ensure!(
        again[0]["resolution"]["commandId"] == "c-1" && again[0]["resolution"]["decision"] == "CONFLICT_DECISION_KEEP"
    );

    let refused = running.ask(&[&decide[..], &["6", "--take"]].concat()).await?;
    ensure!(refused.code == Some(1) && refused.error.contains("this version cannot be taken"), "{refused:?}");
    let lost = running.ask(&[&decide[..], &["7", "--keep", "--command-id", "c-2"]].concat()).await?;
    ensure!(lost.code == Some(1) && lost.error.contains("repeat it with --command-id c-2"), "{lost:?}");
    let neither = running.ask(&[&decide[..], &["5"]].concat()).await?;
    ensure!(neither.code == Some(64), "{neither:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_of_institutions_are_asked_for_at_every_level_and_missed_deadlines_shown() -> anyhow::Result<()> {
    let running = Running::start().await?;
    let levels = |asked: &[Value]| -> Vec<(Value, Value)> {
        let mut levels: Vec<_> =
            asked.iter().map(|request| (request["level"].clone(), request["body"].clone())).collect();
        levels.sort_by_key(|(level, _)| level.to_string());
        levels
    };
    let institution = json!("EVALUATED_BODY_INSTITUTION");
    let (printed, asked) = running.good(&["evaluate", "--period", "2026-Q1", "--body", "institution"]).await?;
    let expected = ["AREA_LEVEL_KECAMATAN", "AREA_LEVEL_KELURAHAN", "AREA_LEVEL_KOTA"];
    ensure!(levels(&asked) == expected.map(|level| (json!(level), institution.clone())), "{asked:?}");
    ensure!(printed.contains("2r 1a") && printed.contains("missed deadlines"), "{printed}");

    let (_, asked) = running.good(&["evaluate", "--level", "institution"]).await?;
    let above = ["AREA_LEVEL_KECAMATAN", "AREA_LEVEL_KOTA"].map(|level| (json!(level), institution.clone()));
    let [first, last] = above;
    ensure!(levels(&asked) == [(json!("AREA_LEVEL_INSTITUTION"), Value::Null), first, last], "{asked:?}");

    let (csv, _) = running.good(&["evaluate", "--body", "institution", "--format", "csv"]).await?;
    ensure!(csv.contains("missed_reports,missed_follow_ups,missed_responses,body"), "{csv}");
    ensure!(csv.contains(",2,0,1,institution,"), "{csv}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_names_the_event_that_recorded_a_missed_deadline() -> anyhow::Result<()> {
    let running = Running::start().await?;
    let explain = ["explain", "--area", KELURAHAN, "--indicator", "reporting-timeliness", "--body", "institution"];
    let (printed, asked) = running.good(&explain).await?;
    ensure!(asked[0]["body"] == "EVALUATED_BODY_INSTITUTION", "{asked:?}");
    let missed: Vec<&str> = printed
        .lines()
        .filter(|line| line.contains("sg-contoh-1"))
        .filter_map(|line| line.split_whitespace().last())
        .collect();
    ensure!(missed == ["#41", "-"], "{printed}");
    let both =
        running.ask(&["explain", "--institution", "x", "--indicator", "training", "--body", "institution"]).await?;
    ensure!(both.code == Some(64), "{both:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn trends_are_read_page_by_page_and_one_area_is_shown_in_full() -> anyhow::Result<()> {
    let running = Running::start().await?;
    let (printed, asked) = running.good(&["trend", "--period", "2026-Q1", "--as-of", "7"]).await?;
    ensure!(asked.len() == 2 && asked[1]["pageToken"] == "2" && asked[1]["asOf"]["position"] == "7", "{asked:?}");
    ensure!(printed.starts_with("DATA CONTOH") && printed.matches("50% ↑").count() == 2, "{printed}");
    ensure!(printed.contains("2026-Q1 against 2025-Q4") && printed.contains("3/51"), "{printed}");
    let (printed, _) = running.good(&["trend", "--against", "year-before"]).await?;
    ensure!(printed.contains("50% ↓?") && printed.contains("2026-Q1 against 2025-Q1"), "{printed}");

    let (printed, _) = running.good(&["trend", "--area", KELURAHAN]).await?;
    ensure!(printed.contains("not clear") && printed.contains("rank in the kota 3/51"), "{printed}");
    let (json, _) = running.good(&["trend", "--format", "json"]).await?;
    let trends: Vec<v1::Trend> = serde_json::from_str(&json)?;
    ensure!(trends.len() == 2 && trends[0].indicators[0].previous.is_some_and(|change| change.is_clear));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_are_printed_crossed_with_the_servers_own_sums() -> anyhow::Result<()> {
    let running = Running::start().await?;
    let count = ["statistics", "--by", "violence,age", "--from", "2026-01", "--to", "2026-06", "--area", "53.71"];
    let (printed, asked) = running.good(&count).await?;
    let expected = json!({
        "firstPeriod": "2026-01", "lastPeriod": "2026-06", "areaPrefix": "53.71",
        "dimensions": ["DIMENSION_VIOLENCE", "DIMENSION_AGE"]
    });
    ensure!(asked == [expected], "{asked:?}");
    let row = |name: &str| -> Vec<String> {
        let line = printed.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().skip(1).map(str::to_owned).collect()
    };
    ensure!(
        (row("fisik"), row("sum"))
            == (["17", "18", "16"].map(Into::into).into(), ["11", "12", "10"].map(Into::into).into()),
        "{printed}"
    );
    let (csv, _) = running.good(&[&count[..], &["--format", "csv"]].concat()).await?;
    ensure!(csv.contains("\nVIOLENCE_FISIK,AGE_GROUP_6_12,17,2026-01/2026-06,") && csv.contains("\n,,10,"), "{csv}");
    let (json, _) = running.good(&[&count[..], &["--format", "json"]].concat()).await?;
    ensure!(serde_json::from_str::<v1::CrossTableResponse>(&json)?.cells.len() == 9);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workbook_of_statistics_has_a_sheet_for_each_third_code_and_says_what_it_is_made_of() -> anyhow::Result<()> {
    let running = Running::start().await?;
    let by = ["--by", "violence,age,month", "--from", "2026-01", "--until", "2026-02"];
    let mut workbook: Xlsx<_> = open_workbook(running.export("q1.xlsx", &by).await?)?;
    ensure!(workbook.sheet_names() == ["Jumlah", "2026-01", "2026-02", "Dasar"], "{:?}", workbook.sheet_names());
    let sheet = workbook.worksheet_range("2026-01")?;
    let text = |at| sheet.get_value(at).map(ToString::to_string).unwrap_or_default();
    ensure!(text((0, 0)).starts_with("DATA CONTOH: Statistik kasus") && text((0, 0)).ends_with("Bulan: 2026-01"));
    ensure!(
        (text((4, 1)), text((4, 3)), text((5, 0)), text((7, 0)))
            == ("6-12".into(), "Jumlah".into(), "fisik".into(), "Jumlah".into())
    );
    // fisik, 6-12, 2026-01 is the 2 * 9 + 1 * 3 + 1st of the cells.
    ensure!(sheet.get_value((5, 1)) == Some(&Data::Float(32.0)), "{:?}", sheet.get_value((5, 1)));
    ensure!(sheet.get_value((7, 3)) == Some(&Data::Float(11.0)), "{:?}", sheet.get_value((7, 3)));
    let basis = workbook.worksheet_range("Dasar")?;
    let texts: Vec<String> = basis.rows().filter_map(|row| row.get(1)).map(ToString::to_string).collect();
    ensure!(texts.contains(&"bawaan-1".to_owned()) && texts.contains(&"7".to_owned()), "{texts:?}");
    ensure!(texts.contains(&"ab".repeat(32)) && texts.iter().any(|text| text.contains("hanya sekali")), "{texts:?}");

    let mut workbook: Xlsx<_> = open_workbook(running.export("one.xlsx", &["--by", "age"]).await?)?;
    ensure!(workbook.sheet_names() == ["Statistik", "Dasar"]);
    ensure!(workbook.worksheet_range("Statistik")?.get_value((7, 1)) == Some(&Data::Float(10.0)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_as_parquet_and_csv_have_a_row_for_each_cell_and_no_code_for_a_sum() -> anyhow::Result<()> {
    let running = Running::start().await?;
    let by = ["--by", "violence,victim-group"];
    let csv = std::fs::read_to_string(running.export("s.csv", &by).await?)?;
    let reader = SerializedFileReader::new(std::fs::File::open(running.export("s.parquet", &by).await?)?)?;
    let rows = reader.get_row_iter(None)?.collect::<Result<Vec<_>, _>>()?;
    let names: Vec<&str> = rows[0].get_column_iter().map(|(name, _)| name.as_str()).collect();
    ensure!(
        names.join(",") == csv.lines().next().unwrap_or_default()
            && names[..3] == ["violence", "victim_group", "cases"]
    );
    ensure!(rows.len() == 9 && csv.lines().count() == 10);
    // The crate's reader answers a null with an error.
    ensure!(rows[0].get_string(0).is_err() && rows[0].get_long(2)? == 10);
    ensure!(rows[3].get_string(0)? == "VIOLENCE_SEKSUAL" && rows[3].get_long(2)? == 13);
    let facts = reader.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
    let fact = |name: &str| facts.iter().find(|fact| fact.key == name).and_then(|fact| fact.value.clone());
    ensure!(
        fact("satgas.head_position").as_deref() == Some("7") && fact("satgas.rule_set").as_deref() == Some("bawaan-1")
    );
    Ok(())
}

#[test]
fn the_real_server_decides_sets_side_by_side_and_counts() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let served = Served::start(&folder.path().join("data"), &["--sample-data"])?;
    let file = |name: &str, text: &str| -> anyhow::Result<String> {
        std::fs::write(folder.path().join(name), text)?;
        Ok(folder.path().join(name).to_str().context("a path in UTF-8")?.to_owned())
    };
    for (kind, rows) in [
        (
            "areas",
            "code,name,valid_from\n53.71,Kota Contoh,2024-01-01\n53.71.04,Kecamatan Contoh,2024-01-01\n\
             53.71.04.1001,Kelurahan Contoh,2024-01-01\n",
        ),
        (
            "schools",
            "institution_id,name,area_code,valid_from\n99900001,SMP Contoh 01,53.71.04.1001,2024-01-01\n\
             99900002,SMP Contoh 02,53.71.04.1001,2024-01-01\n",
        ),
    ] {
        served.ask(&["registry", "import", kind, "--file", &file(&format!("{kind}.csv"), rows)?])?.good()?;
    }
    let record = |id: u32, content: Value| {
        let common = json!({"submissionId": format!("0198c0de-0000-7000-8000-00000000000{id}"), "deviceId": "hp-1",
            "deviceSequence": id.to_string(), "occurredAt": "2026-03-05T02:00:00Z", "areaCode": KELURAHAN});
        let (mut record, content) = (common, content);
        if let (Some(record), Some(content)) = (record.as_object_mut(), content.as_object()) {
            record.extend(content.clone());
        }
        record.to_string()
    };
    let visit = |school: &str| json!({"schoolVisit": {"schoolId": school, "purpose": "VISIT_PURPOSE_SOSIALISASI", "reach": {"pupilsFemale": 12}}});
    let case = json!({"caseReport": {"violence": ["VIOLENCE_FISIK", "VIOLENCE_SEKSUAL"], "place": "PLACE_SEKOLAH",
        "victimAge": "AGE_GROUP_13_17", "victimSex": "SEX_PEREMPUAN", "offender": "OFFENDER_GURU"}});
    let records = [record(1, visit("99900001")), record(1, visit("99900002")), record(2, case)].join("\n");
    let sent = served.ask(&["submit", "--file", &file("records.jsonl", &records)?])?;
    ensure!(sent.code == Some(2), "{sent:?}");

    let conflicts: Value = serde_json::from_str(&served.ask(&["conflicts", "--format", "json"])?.good()?)?;
    let position = conflicts[0]["position"].as_str().context("a conflict")?.to_owned();
    let decide = ["conflicts", "resolve", "--position", &position, "--take", "--reason", "Keputusan contoh"];
    ensure!(served.ask(&decide)?.good()?.contains("the decision is recorded"));
    let again = served.ask(&decide)?;
    ensure!(again.code == Some(1) && again.error.contains("was decided already"), "{again:?}");
    let open: Value = serde_json::from_str(&served.ask(&["conflicts", "--format", "json"])?.good()?)?;
    ensure!(open == json!([]), "{open}");

    let detail = served.ask(&["trend", "--period", "2026-Q1", "--area", KELURAHAN])?.good()?;
    ensure!(detail.contains("1/2  50%") && detail.contains("not clear"), "{detail}");
    let table = served.ask(&["statistics", "--by", "violence,age", "--from", "2026-01", "--to", "2026-06"])?.good()?;
    let row =
        |name: &str| table.lines().find(|line| line.starts_with(name)).map(|line| line.split_whitespace().collect());
    let expected: Vec<&str> = vec!["sum", "1", "1"];
    ensure!(row("sum") == Some(expected) && row("seksual") == Some(vec!["seksual", "1", "1"]), "{table}");
    let kelurahan = served.ask(&["statistics", "--by", "violence", "--area", KELURAHAN])?;
    ensure!(kelurahan.code == Some(1) && kelurahan.error.contains("kecamatan"), "{kelurahan:?}");
    Ok(())
}
