//! `satgas export` with the real binary: files that other programs read back, and files that are not there when they should not be.

mod door;
mod opened;
mod process;

use std::{fs, path::Path};

use anyhow::{Context as _, ensure};
use calamine::{Data, Reader as _, Xlsx, open_workbook};
use parquet::{
    file::reader::{FileReader as _, SerializedFileReader},
    record::{Row, RowAccessor as _},
};
use satgas_proto::v1::{
    self,
    evaluation_service_server::{EvaluationService, EvaluationServiceServer},
    event::Body,
    event_service_server::{EventService, EventServiceServer},
    registry_entry::Entry,
    registry_service_client::RegistryServiceClient,
    submission::{Content, Reporter},
    submission_service_client::SubmissionServiceClient,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use door::Door;
use opened::Opened;
use process::{Answer, Served, ask};

/// 2026-03-10 in seconds: when every visit took place.
const OCCURRED: i64 = 1_773_100_800;
const VISITS: u64 = 40;
const PERIOD: [&str; 2] = ["--period", "2026-Q1"];

/// A server on a log of invented data with two kecamatan and some visits, and a folder beside its data.
struct Contoh {
    served: Served,
    folder: tempfile::TempDir,
}

impl Contoh {
    async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let served = Served::start(&folder.path().join("data"), &["--sample-data"])?;
        fill(served.connect().await?).await?;
        Ok(Self { served, folder })
    }

    /// `satgas export` into a file of the server's folder.
    fn export(&self, what: &str, file: &str, args: &[&str]) -> anyhow::Result<Answer> {
        let path = self.folder.path().join(file);
        let path = path.to_str().context("a path in UTF-8")?;
        self.served.ask(&[&["export", what, "--to", path], args].concat())
    }

    /// The names of the files that exports left.
    fn files(&self) -> anyhow::Result<Vec<String>> {
        let entries = fs::read_dir(self.folder.path())?.collect::<Result<Vec<_>, _>>()?;
        let mut names: Vec<String> = entries.iter().map(|entry| entry.file_name().to_string_lossy().into()).collect();
        names.retain(|name| name != "data");
        names.sort();
        Ok(names)
    }

    fn path(&self, file: &str) -> std::path::PathBuf {
        self.folder.path().join(file)
    }
}

async fn fill(channel: Door) -> anyhow::Result<()> {
    let entry = |entry| v1::RegistryEntry { entry: Some(entry), ..Default::default() };
    let area = |(code, name): (&str, &str)| {
        entry(Entry::Area(v1::Area {
            code: code.into(),
            name: name.into(),
            valid_from: "2025-01-01".into(),
            ..Default::default()
        }))
    };
    let areas = [
        ("53.71", "Kota Contoh"),
        ("53.71.01", "Alak"),
        ("53.71.02", "Maulafa/Baru"),
        ("53.71.01.1001", "Satu"),
        ("53.71.01.1002", "Dua"),
        ("53.71.02.1001", "Tiga"),
    ];
    let mut entries: Vec<v1::RegistryEntry> = areas.map(area).into();
    for number in 1..=3 {
        entries.push(entry(Entry::Institution(v1::Institution {
            institution_id: format!("9990000{number}"),
            name: format!("SMP Contoh {number}"),
            kind: v1::InstitutionKind::Sekolah.into(),
            area_code: "53.71.01.1001".into(),
            valid_from: "2025-01-01".into(),
            valid_until: String::new(),
        })));
    }
    let request = v1::RegisterRequest { entries, skip_bad: false };
    let refused = RegistryServiceClient::new(channel.clone()).register(request).await?.into_inner().refused;
    ensure!(refused.is_empty(), "{refused:?}");
    let mut client = SubmissionServiceClient::new(channel);
    for sequence in 1..=VISITS {
        client.submit(v1::SubmitRequest { submission: Some(visit(sequence)) }).await?;
    }
    Ok(())
}

/// A visit to the first of the three schools.
fn visit(sequence: u64) -> v1::Submission {
    v1::Submission {
        submission_id: uuid::Uuid::now_v7().to_string(),
        device_id: "hp-contoh".into(),
        device_sequence: sequence,
        occurred_at: Some(pbjson_types::Timestamp { seconds: OCCURRED, nanos: 0 }),
        reporter: Some(Reporter::AreaCode("53.71.01.1001".into())),
        content: Some(Content::SchoolVisit(v1::SchoolVisit {
            school_id: "99900001".into(),
            purpose: v1::VisitPurpose::Sosialisasi.into(),
            reach: Some(v1::Reach { pupils_female: 20, pupils_male: 18, ..Default::default() }),
            ..Default::default()
        })),
    }
}

fn parquet(path: &Path) -> anyhow::Result<(Vec<Row>, impl Fn(&str) -> Option<String> + use<>)> {
    let reader = SerializedFileReader::new(fs::File::open(path)?)?;
    let rows = reader.get_row_iter(None)?.collect::<Result<_, _>>()?;
    let facts = reader.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
    let fact = move |name: &str| facts.iter().find(|fact| fact.key == name).and_then(|fact| fact.value.clone());
    Ok((rows, fact))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workbook_shows_another_reader_the_figures_of_every_level() -> anyhow::Result<()> {
    let served = Contoh::start().await?;
    let output = served.export("evaluations", "q1.xlsx", &PERIOD)?;
    ensure!(output.code == Some(0), "{}", output.error);
    ensure!(output.out.starts_with("DATA CONTOH"), "{}", output.out);
    ensure!(output.out.contains("3 kelurahan, 2 kecamatan, 1 kota of 2026-Q1 at log position 50"));

    let mut workbook: Xlsx<_> = open_workbook(served.path("q1.xlsx"))?;
    ensure!(workbook.sheet_names() == ["Ringkasan", "Alak", "Maulafa Baru", "Dasar"], "{:?}", workbook.sheet_names());
    for name in workbook.sheet_names() {
        let title = workbook.worksheet_range(&name)?.get_value((0, 0)).map(ToString::to_string).unwrap_or_default();
        ensure!(title.starts_with("DATA CONTOH: "), "{name}: {title}");
    }
    let alak = &workbook.worksheet_range("Alak")?;
    let codes: Vec<String> = (5..8).filter_map(|row| alak.get_value((row, 0)).map(ToString::to_string)).collect();
    ensure!(codes == ["53.71.01.1001", "53.71.01.1002", "53.71.01"], "{codes:?}");
    let group = |title: &str| {
        let columns = 0..u32::try_from(alak.width()).unwrap_or(0);
        columns.into_iter().find(|&column| alak.get_value((3, column)) == Some(&Data::String(title.into())))
    };
    let schools = group("Cakupan sekolah").context("a group of columns on schools")?;
    let cells =
        |row| (schools..schools + 3).map(move |column| alak.get_value((row, column)).cloned().unwrap_or_default());
    ensure!(cells(5).eq([Data::Float(1.0), Data::Float(3.0), Data::Float(1.0 / 3.0)]), "one school of three");
    ensure!(cells(6).eq([Data::Empty, Data::Empty, Data::Empty]), "an area without a school: empty, not 0");
    let basis = workbook.worksheet_range("Dasar")?;
    let texts: Vec<String> = basis.rows().filter_map(|row| row.get(1)).map(ToString::to_string).collect();
    ensure!(texts.contains(&"50".to_owned()) && texts.iter().any(|text| text.len() == 64), "{texts:?}");
    ensure!(served.files()? == ["q1.xlsx", "q1.xlsx.proof"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_and_parquet_hold_the_same_evaluations() -> anyhow::Result<()> {
    let served = Contoh::start().await?;
    for file in ["q1.csv", "q1.parquet"] {
        let output = served.export("evaluations", file, &PERIOD)?;
        ensure!(output.code == Some(0), "{}", output.error);
    }
    let csv = fs::read_to_string(served.path("q1.csv"))?;
    let (rows, fact) = parquet(&served.path("q1.parquet"))?;
    ensure!(csv.lines().count() == 7 && rows.len() == 6);
    let header: Vec<&str> = csv.lines().next().context("a header")?.split(',').collect();
    let names: Vec<&str> = rows[0].get_column_iter().map(|(name, _)| name.as_str()).collect();
    ensure!(header == names);
    let column = |name: &str| names.iter().position(|title| *title == name).context("the column");
    for (line, row) in csv.lines().skip(1).zip(&rows) {
        let cells: Vec<&str> = line.split(',').collect();
        let (code, visits, percent) = (column("code")?, column("visits")?, column("school_coverage_percent")?);
        ensure!(cells[code] == row.get_string(code)? && cells[visits] == row.get_long(visits)?.to_string());
        // The crate's reader answers a null with an error.
        ensure!(row.get_double(percent).map(|percent| percent.to_string()).unwrap_or_default() == cells[percent]);
    }
    ensure!(
        fact("satgas.head_position").as_deref() == Some("50") && fact("satgas.sample_data").as_deref() == Some("true")
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn records_come_out_as_events_prints_them_and_as_rows() -> anyhow::Result<()> {
    let served = Contoh::start().await?;
    for (file, args) in [
        ("log.jsonl", &[][..]),
        ("log.parquet", &[]),
        ("visits.parquet", &["--kinds", "school-visit", "--area", "53.71.01", "--after", "20", "--until", "30"]),
        ("none.parquet", &["--kinds", "case-report"]),
    ] {
        let output = served.export("records", file, args)?;
        ensure!(output.code == Some(0), "{file}: {}", output.error);
        ensure!(file != "none.parquet" || output.out.contains("no event of positions 1 to 50 matches"));
    }
    let printed = served.served.ask(&["events", "--format", "jsonl"])?;
    ensure!(fs::read(served.path("log.jsonl"))? == printed.out.as_bytes(), "the very bytes");

    let (rows, fact) = parquet(&served.path("log.parquet"))?;
    let positions: Vec<i64> = rows.iter().map(|row| row.get_long(0)).collect::<Result<_, _>>()?;
    ensure!(positions == (1..=50).collect::<Vec<_>>());
    for (line, row) in printed.out.lines().zip(&rows) {
        let event: v1::Event = serde_json::from_str(line)?;
        let body: v1::Event = serde_json::from_str(row.get_string(7)?)?;
        ensure!(event.body == body.body && row.get_string(4).cloned().unwrap_or_default() == event.area_code);
        if let Some(Body::Submitted(submission)) = event.body {
            ensure!(
                row.get_timestamp_micros(2)? == OCCURRED * 1_000_000 && *row.get_string(6)? == submission.submission_id
            );
        }
    }
    ensure!(fact("satgas.head_position").as_deref() == Some("50"));
    ensure!(fact("satgas.head_hash").is_some_and(|hash| hash.len() == 64));

    let (rows, fact) = parquet(&served.path("visits.parquet"))?;
    let positions: Vec<i64> = rows.iter().map(|row| row.get_long(0)).collect::<Result<_, _>>()?;
    ensure!(positions == (21..=30).collect::<Vec<_>>() && rows[0].get_string(3)? == "school-visit");
    ensure!(fact("satgas.until_position").as_deref() == Some("30"));
    ensure!(parquet(&served.path("none.parquet"))?.0.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_exported_says_why_and_leaves_no_file() -> anyhow::Result<()> {
    let served = Contoh::start().await?;
    let refused = |what: &str, file: &str, args: &[&str], code: i32, sentence: &str| -> anyhow::Result<()> {
        let output = served.export(what, file, args)?;
        let error = &output.error;
        ensure!(output.code == Some(code) && error.contains(sentence), "{file} {args:?}: {error}");
        Ok(())
    };
    refused("evaluations", "q1.pdf", &PERIOD, 64, ".csv, .xlsx or .parquet")?;
    refused("records", "log.csv", &[], 64, ".jsonl or .parquet")?;
    refused("records", "no/such/log.jsonl", &[], 1, "there is no folder")?;
    refused(
        "evaluations",
        "q1.csv",
        &[&PERIOD[..], &["--area", "53.99"]].concat(),
        1,
        "no registered area's code begins with",
    )?;
    refused("evaluations", "q1.csv", &["--period", "2026-Q5"], 1, "period")?;
    refused("records", "log.jsonl", &["--after", "51"], 1, "the log ends at position 50")?;
    ensure!(served.files()?.is_empty(), "{:?}", served.files()?);

    fs::write(served.path("q1.csv"), "theirs")?;
    refused("evaluations", "q1.csv", &PERIOD, 1, "--force")?;
    ensure!(fs::read_to_string(served.path("q1.csv"))? == "theirs");
    let output = served.export("evaluations", "q1.csv", &[&PERIOD[..], &["--force"]].concat())?;
    ensure!(output.code == Some(0) && fs::read_to_string(served.path("q1.csv"))?.starts_with("level,"));
    ensure!(served.files()? == ["q1.csv", "q1.csv.proof"]);
    Ok(())
}

/// A server that has ten of its twenty events to give, and then goes away.
struct GoesAway;

#[tonic::async_trait]
impl EventService for GoesAway {
    type SubscribeStream = tokio_stream::Empty<Result<v1::SubscribeResponse, Status>>;

    async fn read(&self, request: Request<v1::ReadRequest>) -> Result<Response<v1::ReadResponse>, Status> {
        let v1::ReadRequest { after_position, page_size, .. } = request.into_inner();
        if after_position >= 10 {
            return Err(Status::unavailable("going"));
        }
        let opened = v1::LogOpened { time_zone: "Asia/Makassar".into(), ..Default::default() };
        let event =
            |position| v1::Event { position, body: Some(Body::LogOpened(opened.clone())), ..Default::default() };
        let last = u64::from(page_size).min(10);
        let events = (1..=last).map(event).collect();
        Ok(Response::new(v1::ReadResponse { events, next_after_position: last, head_position: 20 }))
    }

    async fn subscribe(&self, _: Request<v1::SubscribeRequest>) -> Result<Response<Self::SubscribeStream>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

#[tonic::async_trait]
impl EvaluationService for GoesAway {
    async fn explain_indicator(
        &self,
        _: Request<v1::ExplainIndicatorRequest>,
    ) -> Result<Response<v1::ExplainIndicatorResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn compare_evaluations(
        &self,
        _: Request<v1::CompareEvaluationsRequest>,
    ) -> Result<Response<v1::CompareEvaluationsResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    type WatchEvaluationsStream = tokio_stream::Empty<Result<v1::WatchEvaluationsResponse, Status>>;

    async fn list_trends(&self, _: Request<v1::ListTrendsRequest>) -> Result<Response<v1::ListTrendsResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn get_evaluation(
        &self,
        _: Request<v1::GetEvaluationRequest>,
    ) -> Result<Response<v1::GetEvaluationResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn list_evaluations(
        &self,
        _: Request<v1::ListEvaluationsRequest>,
    ) -> Result<Response<v1::ListEvaluationsResponse>, Status> {
        Ok(Response::new(v1::ListEvaluationsResponse::default()))
    }

    async fn watch_evaluations(
        &self,
        _: Request<v1::WatchEvaluationsRequest>,
    ) -> Result<Response<Self::WatchEvaluationsStream>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_in_the_middle_leaves_no_half_file_and_a_way_to_go_on() -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = tonic::transport::Server::builder()
        .add_service(EventServiceServer::new(GoesAway))
        .add_service(EvaluationServiceServer::new(GoesAway))
        .add_service(Opened { sample_data: false, head_position: 20 }.service());
    let serving = tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
    let folder = tempfile::tempdir()?;
    for name in ["log.jsonl", "log.parquet"] {
        let path = folder.path().join(name);
        let path = path.to_str().context("a path in UTF-8")?.to_owned();
        let url = url.clone();
        let export = move || ask(&url, "contoh", &["export", "records", "--give-up-after", "0", "--to", &path]);
        let output = tokio::task::spawn_blocking(export).await??;
        ensure!(output.code == Some(1), "{}", output.out);
        let error = &output.error;
        ensure!(
            error.contains("--until 10") && error.contains("--after 10") && error.contains("was not written"),
            "{error}"
        );
        ensure!(fs::read_dir(folder.path())?.next().is_none(), "a file was left");
    }
    serving.abort();
    Ok(())
}
