//! Sealed identities on the real binary: recorded, read, held, erased, over restarts and a rotation of the master key, and looked for in
//! every byte that the server leaves behind. All invented.

mod door;
mod process;

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};
use satgas_proto::v1::{
    self, ErasureStatus, IdentityKind, ReceiptStatus, Role, assignment::Own, audit_service_client::AuditServiceClient,
    case_service_client::CaseServiceClient, erasure_service_client::ErasureServiceClient, event::Body,
    event_service_client::EventServiceClient, submission::Content, submission::Reporter,
};
use tonic::Code;
use tonic_types::StatusExt as _;

use door::Door;
use process::{Served, satgas};

const AREA: &str = "53.71.04.1001";
const NAME: &str = "Kenanga Contohwati";
const STREET: &str = "Jalan Flamboyan Contoh 17";
const TELLER: &str = "Cempaka Contohsari";
const PURPOSE: &str = "Pendampingan pemeriksaan di rumah sakit";
const HOLD: &str = "Perkara nomor 12/Pid.Sus/2028";

/// A data folder, and the server's own log beside it.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { folder: tempfile::tempdir()? })
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    /// Starts a server whose own log, at its most talkative, goes on in the same file.
    fn serve(&self, flags: &[&str]) -> anyhow::Result<Served> {
        let log = File::options().create(true).append(true).open(self.log())?;
        Served::start_logging(&self.data(), flags, &[("RUST_LOG", "trace")], log)
    }

    /// Runs a command that works on the data folder, and tells its exit code and output.
    fn run(&self, args: &[&str], more: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
        let answer = process::Answer::from(satgas(args).arg("--data").arg(self.data()).args(more).output()?);
        Ok((answer.code, answer.out + &answer.error))
    }

    fn good(&self, args: &[&str], more: &[&str]) -> anyhow::Result<String> {
        let (code, out) = self.run(args, more)?;
        ensure!(code == Some(0), "{code:?} {out}");
        Ok(out)
    }

    /// Files under the folder that hold a text.
    fn holding(&self, text: &str) -> anyhow::Result<Vec<PathBuf>> {
        process::holding(self.folder.path(), text.as_bytes())
    }

    fn text(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

async fn register(door: &Door) -> anyhow::Result<()> {
    door::register(door, ["53.71", "53.71.04", AREA].map(door::town_area).into()).await
}

fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn report() -> v1::Submission {
    v1::Submission {
        submission_id: new_id(),
        device_id: "hp-contoh".into(),
        device_sequence: 1,
        occurred_at: Some(pbjson_types::Timestamp { seconds: 1_773_100_800, nanos: 0 }),
        reporter: Some(Reporter::AreaCode(AREA.into())),
        content: Some(Content::CaseReport(v1::CaseReport {
            violence: vec![v1::Violence::Seksual.into()],
            place: v1::Place::Daring.into(),
            victim_age: v1::AgeGroup::AgeGroup1317.into(),
            victim_sex: v1::Sex::Perempuan.into(),
            offender: v1::Offender::TidakDiketahui.into(),
            ..Default::default()
        })),
    }
}

fn victim() -> v1::PersonIdentity {
    v1::PersonIdentity { full_name: NAME.into(), address: STREET.into(), ..Default::default() }
}

/// Opens a case with the victim's identity, and the case worker takes it.
async fn open_case(served: &Served, channel: &Door) -> anyhow::Result<String> {
    let submission = report();
    let id = submission.submission_id.clone();
    let kind = IdentityKind::Victim.into();
    let identities = vec![v1::IdentityToSeal { command_id: new_id(), kind, identity: Some(victim()) }];
    let request = v1::OpenCaseRequest { submission: Some(submission), identities };
    let mut client = CaseServiceClient::new(channel.clone());
    for expected in [ReceiptStatus::Accepted, ReceiptStatus::AlreadyKnown] {
        let answer = client.open_case(request.clone()).await?.into_inner();
        ensure!(answer.receipt.unwrap_or_default().status() == expected);
        let case = answer.case.context("the case")?;
        ensure!(case.version == 2 && case.sealing.unwrap_or_default().identities.len() == 1, "sealed once");
    }
    served.ask(&["case", "take", &id])?.good()?;
    Ok(id)
}

async fn unseal(channel: &Door, case_id: &str, purpose: &str) -> Result<v1::UnsealIdentityResponse, tonic::Status> {
    let (case_id, purpose) = (case_id.to_owned(), purpose.to_owned());
    let request = v1::UnsealIdentityRequest { case_id, kind: IdentityKind::Victim.into(), purpose, sealed_position: 0 };
    Ok(CaseServiceClient::new(channel.clone()).unseal_identity(request).await?.into_inner())
}

async fn name_of(channel: &Door, case_id: &str) -> anyhow::Result<String> {
    Ok(unseal(channel, case_id, PURPOSE).await?.identity.context("an identity")?.full_name)
}

#[expect(clippy::disallowed_methods, reason = "the server is another process, which reads the wall clock")]
fn now_s() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// A channel of another person in the same role.
async fn another(served: &Served, role: Role, own: Option<Own>) -> anyhow::Result<Door> {
    let channel = served.channel().await?;
    let assignment = v1::Assignment { role: role.into(), own };
    let (_, secret) = door::issue(&channel, &served.operator()?, assignment, 3_600).await?;
    Ok(Door::with(channel, &secret))
}

async fn log(channel: &Door) -> anyhow::Result<Vec<v1::Event>> {
    let request = v1::ReadRequest { after_position: 0, filter: None, page_size: 10_000 };
    Ok(EventServiceClient::new(channel.clone()).read(request).await?.into_inner().events)
}

fn reason(status: &tonic::Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// The log is put back to a time at which a case that is erased now was not: who it is about stays erased.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_restored_to_before_an_erasure_brings_nobody_back() -> anyhow::Result<()> {
    let place = Place::new()?;
    let served = place.serve(&[])?;
    let channel = served.connect().await?;
    register(&channel).await?;
    let case_id = open_case(&served, &channel).await?;
    ensure!(name_of(&channel, &case_id).await? == NAME);
    let (backup, keys, restored) = (place.text("backup"), place.text("kunci"), place.text("restored"));
    place.good(&["vault", "backup"], &["--to", &keys])?;
    served.ask(&["backup", "--to", &backup])?.good()?;
    for entry in fs::read_dir(&backup)? {
        let name = entry?.file_name();
        ensure!(!name.to_string_lossy().contains("key"), "no key is in a backup: {name:?}");
    }
    request_erasure(&channel, &case_id).await?;
    approve_erasure(&another(&served, Role::Supervisor, None).await?, &case_id).await?;
    place.good(&["vault", "backup"], &["--to", &keys])?;
    served.kill()?;

    let good = |args: &[&str]| process::Answer::from(satgas(args).output()?).good();
    good(&["restore", "--from", &backup, "--to", &restored])?;
    // The master key comes from where it is kept.
    let new = Path::new(&restored).join("keys");
    fs::create_dir(&new)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o700))?;
    fs::copy(place.data().join("keys/master.key"), new.join("master.key"))?;
    good(&["vault", "restore", "--data", &restored, "--from", &keys])?;
    let served = Served::start(Path::new(&restored), &[])?;
    let channel = served.connect().await?;
    ensure!(!log(&channel).await?.iter().any(|event| matches!(event.body, Some(Body::IdentityErased(_)))), "before it");
    let refused = unseal(&channel, &case_id, PURPOSE).await.err().context("nobody is shown")?;
    ensure!(reason(&refused) == "VAULT_UNUSABLE", "{refused:?}");
    // Approved once more, the log says so again.
    request_erasure(&channel, &case_id).await?;
    approve_erasure(&another(&served, Role::Supervisor, None).await?, &case_id).await?;
    ensure!(served.terminate()? == Some(0));
    let shown = good(&["verify", "--data", &restored, "--erased", &case_id, "--backup", &keys])?;
    ensure!(!shown.contains(NAME), "{shown}");
    Ok(())
}

async fn request_erasure(channel: &Door, case_id: &str) -> Result<ErasureStatus, tonic::Status> {
    let reason = "Permintaan tertulis keluarga".into();
    let request = v1::RequestErasureRequest { command_id: new_id(), case_id: case_id.to_owned(), reason };
    let answer = ErasureServiceClient::new(channel.clone()).request_erasure(request).await?.into_inner();
    Ok(answer.sealing.unwrap_or_default().erasure())
}

async fn approve_erasure(channel: &Door, case_id: &str) -> Result<ErasureStatus, tonic::Status> {
    let request = v1::ApproveErasureRequest { command_id: new_id(), case_id: case_id.to_owned() };
    let answer = ErasureServiceClient::new(channel.clone()).approve_erasure(request).await?.into_inner();
    Ok(answer.sealing.unwrap_or_default().erasure())
}

#[tokio::test]
async fn an_identity_is_read_with_a_purpose_over_restarts_and_lies_nowhere_in_the_clear() -> anyhow::Result<()> {
    let place = Place::new()?;
    let served = place.serve(&[])?;
    let channel = served.connect().await?;
    register(&channel).await?;
    let case_id = open_case(&served, &channel).await?;
    let mode = fs::metadata(place.data().join("keys/master.key"))?.permissions().mode();
    ensure!(mode & 0o777 == 0o600, "{mode:o}");

    // The command line takes an identity from standard input and never repeats it.
    let mut record = satgas(&["case", "identity", "record", &case_id, "--kind", "reporter", "--file", "-"])
        .env("SATGAS_SERVER_URL", &served.url)
        .env("SATGAS_TOKEN", served.tokens().await?.of(Role::CaseWorker))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdin = record.stdin.take().context("its input is piped")?;
    write!(stdin, r#"{{"fullName": "{TELLER}", "phone": "0000-contoh"}}"#)?;
    drop(stdin);
    let out = String::from_utf8(record.wait_with_output()?.stdout)?;
    ensure!(out.contains("version         3") && out.contains("reporter, sealed") && !out.contains(TELLER), "{out}");
    let unsealed = ["case", "identity", "unseal", &case_id, "--kind", "reporter", "--purpose", PURPOSE];
    ensure!(served.ask(&unsealed)?.good()?.contains(TELLER));

    let head = log(&channel).await?.len();
    let refused = unseal(&channel, &case_id, "perlu").await.err().context("a purpose is needed")?;
    ensure!(refused.code() == Code::InvalidArgument && log(&channel).await?.len() == head, "{refused:?}");
    let answer = unseal(&channel, &case_id, PURPOSE).await?;
    ensure!(answer.identity == Some(victim()), "what was sealed is read");
    let last = log(&channel).await?.pop().context("an event")?;
    ensure!(last.position == answer.read_position);
    let Some(Body::IdentityRead(read)) = &last.body else { anyhow::bail!("{last:?}") };
    let by = read.by.clone().unwrap_or_default();
    ensure!(read.purpose == PURPOSE && by.role == "case_worker" && !by.id.is_empty(), "{read:?}");

    ensure!(served.terminate()? == Some(0));
    let served = place.serve(&[])?;
    ensure!(name_of(&served.connect().await?, &case_id).await? == NAME);
    served.kill()?;
    let served = place.serve(&[])?;
    ensure!(name_of(&served.connect().await?, &case_id).await? == NAME);
    ensure!(served.terminate()? == Some(0));

    let plain = place.holding(PURPOSE)?;
    ensure!(
        plain.iter().any(|path| path.starts_with(place.data())),
        "what is not sealed is found, so the search works"
    );
    ensure!(fs::metadata(place.log())?.len() > 10_000, "the server's own log is searched, too");
    let lines = fs::read_to_string(place.log())?;
    ensure!(lines.contains("TRACE"), "it is at its most talkative");
    // As text, as numbers, and compressed: then the frame that it lies in begins like all.
    let as_numbers = format!("{:?}", PURPOSE.as_bytes());
    let frame = format!("{:?}", [0xF5, b'S', b'G', b'J']);
    for form in [PURPOSE, as_numbers.trim_matches(['[', ']']), frame.trim_matches(['[', ']'])] {
        let line = lines.lines().find(|line| line.contains(form)).unwrap_or_default();
        ensure!(line.is_empty(), "the server's log tells what is stored: {}", &line[..line.len().min(200)]);
    }
    for part in ["Kenanga", "Flamboyan", "Cempaka", "0000-contoh"] {
        ensure!(place.holding(part)?.is_empty(), "{part} lies in {:?}", place.holding(part)?);
    }
    Ok(())
}

#[tokio::test]
async fn a_held_case_is_not_erased_and_an_erased_one_opens_with_no_key_in_any_copy() -> anyhow::Result<()> {
    let place = Place::new()?;
    let served = place.serve(&[])?;
    let channel = served.connect().await?;
    register(&channel).await?;
    let second = another(&served, Role::Supervisor, None).await?;
    let (case_id, other) = (open_case(&served, &channel).await?, open_case(&served, &channel).await?);
    let (copy, old_copy) = (place.text("copies/today"), place.text("copies/before"));
    for to in [&copy, &old_copy] {
        ensure!(place.good(&["vault", "backup"], &["--to", to])?.contains("copied     2"));
    }

    let command_id = new_id();
    let held = v1::PlaceHoldRequest {
        command_id: command_id.clone(),
        case_id: case_id.clone(),
        reason: HOLD.into(),
        until: None,
    };
    let mut erasures = ErasureServiceClient::new(channel.clone());
    erasures.place_hold(held).await?;
    let refused = request_erasure(&channel, &case_id).await.err().context("it is held")?;
    ensure!(refused.code() == Code::FailedPrecondition && reason(&refused) == "HELD", "{refused:?}");
    ensure!(refused.message().contains(HOLD), "{refused:?}");
    let lift = ["case", "hold", "lift", &case_id, &command_id, "--reason", "Putusan berkekuatan tetap"];
    served.ask(&lift)?.good()?;

    ensure!(request_erasure(&channel, &case_id).await? == ErasureStatus::Requested);
    let alone = approve_erasure(&channel, &case_id).await.err().context("the same person")?;
    ensure!(alone.code() == Code::PermissionDenied && reason(&alone) == "SAME_PERSON", "{alone:?}");
    ensure!(name_of(&channel, &case_id).await? == NAME);
    ensure!(approve_erasure(&second, &case_id).await? == ErasureStatus::Erased);
    let refused = unseal(&channel, &case_id, PURPOSE).await.err().context("it is erased")?;
    ensure!(refused.code() == Code::FailedPrecondition && reason(&refused) == "ERASED", "{refused:?}");
    ensure!(name_of(&channel, &other).await? == NAME, "another case's identity is still there");
    let shown = served.ask(&["case", "show", &case_id])?.good()?;
    ensure!(shown.contains("victim, sealed") && shown.contains(", erased") && shown.contains("erasure         erased"));
    ensure!(served.terminate()? == Some(0));

    let verify = ["verify", "--erased", &case_id];
    let ok = place.good(&verify, &[])?;
    ensure!(ok.contains("seals           1") && ok.contains("keys tried      1") && ok.contains("ok: no key"), "{ok}");
    // The copies were made before: the key is in them until they are brought up to date.
    let copies = place.text("copies");
    let (code, out) = place.run(&verify, &["--backup", &copies])?;
    ensure!(code == Some(1) && out.matches("KEY FOUND").count() == 2 && out.contains("NOT ERASED"), "{out}");
    let updated = place.good(&["vault", "backup"], &["--to", &copy])?;
    ensure!(updated.contains("of erased cases destroyed 1"), "{updated}");
    place.good(&verify, &["--backup", &copy])?;
    // What it cannot look into is named, and is no proof.
    let opaque = place.folder.path().join("opaque");
    fs::create_dir_all(opaque.join("deep"))?;
    fs::write(opaque.join("deep/keys.tar.gz"), [0x1f, 0x8b, 8, 0])?;
    std::os::unix::fs::symlink(&old_copy, opaque.join("link"))?;
    let opaque = opaque.display().to_string();
    let (code, out) = place.run(&verify, &["--backup", &opaque])?;
    ensure!(code == Some(1) && out.contains("keys.tar.gz") && out.contains("opaque/link"), "{out}");
    ensure!(out.contains("NOT SHOWN") && !out.contains("ok:"), "{out}");
    let looked = place.good(&verify, &["--backup", &opaque, "--others-hold-no-keys"])?;
    ensure!(looked.contains("not looked into") && looked.contains("ok: no key"), "{looked}");
    let restored = place.good(&["vault", "restore"], &["--from", &old_copy])?;
    ensure!(restored.contains("restored   0, there already 1, of erased cases refused 1"), "{restored}");
    // Under another name it is found as well.
    let key = format!("{case_id}.key");
    let hidden = place.folder.path().join("hidden");
    fs::create_dir(&hidden)?;
    fs::copy(place.folder.path().join("copies/before").join(&key), hidden.join("lain.bak"))?;
    let (code, out) = place.run(&verify, &["--backup", &hidden.display().to_string()])?;
    ensure!(code == Some(1) && out.contains("lain.bak"), "{out}");
    // Put back by hand, it is destroyed again when the server starts.
    let put_back = place.data().join("keys/cases").join(&key);
    fs::copy(hidden.join("lain.bak"), &put_back)?;
    let served = place.serve(&[])?;
    ensure!(!put_back.exists());
    let refused = unseal(&served.connect().await?, &case_id, PURPOSE).await.err().context("it is erased")?;
    ensure!(reason(&refused) == "ERASED");
    ensure!(served.terminate()? == Some(0));
    let (code, out) = place.run(&["verify", "--erased", &other], &[])?;
    ensure!(code == Some(1) && out.contains("erased          no"), "a case that was not erased: {out}");
    Ok(())
}

#[tokio::test]
async fn a_task_force_seals_for_its_own_cases_only_and_nobody_but_a_case_worker_reads() -> anyhow::Result<()> {
    let place = Place::new()?;
    let served = place.serve(&[])?;
    let channel = served.connect().await?;
    register(&channel).await?;
    let case_id = open_case(&served, &channel).await?;
    let own = another(&served, Role::Satgas, Some(Own::AreaCode(AREA.into()))).await?;
    let neighbour = another(&served, Role::Satgas, Some(Own::AreaCode("53.71.03".into()))).await?;
    let supervisor = another(&served, Role::Supervisor, None).await?;
    let record = |door: &Door, case_id: &str, expected_version| {
        let (command_id, case_id) = (new_id(), case_id.to_owned());
        let (kind, identity) = (IdentityKind::Reporter.into(), Some(victim()));
        let request = v1::RecordIdentityRequest { command_id, case_id, expected_version, kind, identity };
        let mut client = CaseServiceClient::new(door.clone());
        async move { client.record_identity(request).await.map(|answer| answer.into_inner().version) }
    };
    let head = log(&channel).await?.len();
    let refused = record(&neighbour, &case_id, 2).await.err().context("a neighbour's case")?;
    let unknown = record(&neighbour, &new_id(), 2).await.err().context("no case")?;
    ensure!(refused.code() == Code::NotFound && refused.message() == unknown.message(), "{refused:?} {unknown:?}");
    for door in [&own, &neighbour, &supervisor] {
        let refused = unseal(door, &case_id, PURPOSE).await.err().context("not a case worker")?;
        ensure!(refused.code() == Code::PermissionDenied, "{refused:?}");
    }
    ensure!(log(&channel).await?.len() == head, "nothing of it is in the log");
    ensure!(record(&own, &case_id, 2).await? == 3);
    ensure!(name_of(&channel, &case_id).await? == NAME);
    Ok(())
}

#[tokio::test]
async fn a_task_force_cannot_seal_over_what_a_case_worker_sealed_nor_with_a_report_that_is_known() -> anyhow::Result<()>
{
    let place = Place::new()?;
    let served = place.serve(&[])?;
    let channel = served.connect().await?;
    register(&channel).await?;
    let own = Some(Own::AreaCode(AREA.into()));
    let (satgas, _) = of(&served, Role::Satgas, own, "anggota-1").await?;
    let mut client = CaseServiceClient::new(satgas.clone());
    let case = report();
    let case_id = case.submission_id.clone();
    let with = |kinds: &[IdentityKind]| {
        let identity = Some(victim());
        let seal = |kind: &IdentityKind| v1::IdentityToSeal {
            command_id: new_id(),
            kind: (*kind).into(),
            identity: identity.clone(),
        };
        v1::OpenCaseRequest { submission: Some(case.clone()), identities: kinds.iter().map(seal).collect() }
    };
    client.open_case(with(&[])).await?;
    // As after a crash between the report and its identities: nothing else has happened to the case, so they are sealed.
    let opened = with(&[IdentityKind::Reporter, IdentityKind::Victim]);
    for _ in 0..2 {
        let case = client.open_case(opened.clone()).await?.into_inner().case.context("the case")?;
        ensure!(case.version == 3, "sealed once: {case:?}");
    }
    let late = client.open_case(with(&[IdentityKind::Reporter])).await.err().context("the case has moved on")?;
    ensure!(late.code() == Code::Aborted && reason(&late) == "STALE_VERSION", "{late:?}");

    let worker = |door: &Door, expected_version| {
        let kind = IdentityKind::AllegedOffender.into();
        let identity = Some(v1::PersonIdentity { full_name: TELLER.into(), ..Default::default() });
        let (command_id, case_id) = (new_id(), case_id.clone());
        let request = v1::RecordIdentityRequest { command_id, case_id, expected_version, kind, identity };
        let mut client = CaseServiceClient::new(door.clone());
        async move { client.record_identity(request).await.map(tonic::Response::into_inner) }
    };
    let (first, _) = of(&served, Role::CaseWorker, None, "petugas-17").await?;
    let (second, _) = of(&served, Role::CaseWorker, None, "petugas-18").await?;
    let told = worker(&first, 3).await?;
    let by = |told: v1::RecordIdentityResponse| {
        let offender = told.sealing.unwrap_or_default().identities.pop().unwrap_or_default();
        (offender.by.unwrap_or_default().subject, offender.earlier.len())
    };
    ensure!(by(told) == ("petugas-17".to_owned(), 0));
    let head = log(&channel).await?.len();
    let refused = worker(&satgas, 4).await.err().context("a case worker's")?;
    ensure!(refused.code() == Code::FailedPrecondition && reason(&refused) == "NOT_ALLOWED", "{refused:?}");
    ensure!(refused.message().contains("tell the case worker") && log(&channel).await?.len() == head, "{refused:?}");
    ensure!(by(worker(&second, 4).await?) == ("petugas-18".to_owned(), 1), "a correction");
    let get = v1::GetCaseRequest { case_id: case_id.clone(), ..Default::default() };
    let seen = client.get_case(get).await?.into_inner().case.unwrap_or_default().sealing.unwrap_or_default();
    ensure!(seen.identities.len() == 3, "{seen:?}");
    ensure!(seen.identities.iter().all(|identity| identity.by.is_none() && identity.earlier.is_empty()), "{seen:?}");

    served.ask(&["case", "take", &case_id])?.good()?;
    let shown = served.ask(&["case", "show", &case_id])?.good()?;
    ensure!(shown.contains("by petugas-18 (case_worker)"), "{shown}");
    let before = shown.lines().find(|line| line.contains("before it")).context("what was sealed before")?;
    ensure!(before.contains("by petugas-17 (case_worker): event "), "{shown}");
    let position = before.rsplit(' ').next().unwrap_or_default();
    let unseal = ["case", "identity", "unseal", &case_id, "--kind", "alleged-offender", "--purpose", PURPOSE];
    let out = served.ask(&[&unseal[..], &["--sealed-at", position]].concat())?.good()?;
    ensure!(out.contains(TELLER) && out.contains("by petugas-17 (case_worker)"), "{out}");
    Ok(())
}

#[tokio::test]
async fn nobody_can_try_a_guessed_name_on_somebody_elses_command() -> anyhow::Result<()> {
    let place = Place::new()?;
    let served = place.serve(&[])?;
    let channel = served.connect().await?;
    register(&channel).await?;
    let case = report();
    let seal = |name: &str, command_id: &str| v1::RecordIdentityRequest {
        command_id: command_id.to_owned(),
        case_id: case.submission_id.clone(),
        expected_version: 2,
        kind: IdentityKind::AllegedOffender.into(),
        identity: Some(v1::PersonIdentity { full_name: name.to_owned(), ..Default::default() }),
    };
    let (opened, recorded) = (new_id(), new_id());
    let open = |name: &str| {
        let v1::RecordIdentityRequest { command_id, kind, identity, .. } = seal(name, &opened);
        let identities = vec![v1::IdentityToSeal { command_id, kind, identity }];
        v1::OpenCaseRequest { submission: Some(case.clone()), identities }
    };
    let own = Some(Own::AreaCode(AREA.into()));
    let (teller, _) = of(&served, Role::Satgas, own.clone(), "anggota-1").await?;
    CaseServiceClient::new(teller).open_case(open(TELLER)).await?;
    let (worker, _) = of(&served, Role::CaseWorker, None, "petugas-17").await?;
    CaseServiceClient::new(worker).record_identity(seal(NAME, &recorded)).await?;

    let (colleague, colleague_id) = of(&served, Role::Satgas, own.clone(), "anggota-2").await?;
    let (second, second_id) = of(&served, Role::CaseWorker, None, "petugas-18").await?;
    let told = |status: tonic::Status| (status.code(), status.message().to_owned(), reason(&status));
    for (door, token_id) in [(colleague, colleague_id), (second, second_id)] {
        let mut client = CaseServiceClient::new(door);
        for (command_id, right) in [(&recorded, NAME), (&opened, TELLER)] {
            let [hit, miss] = [right, "Orang Lain Contoh"].map(|name| seal(name, command_id));
            let hit = told(client.record_identity(hit).await.err().context("another's command")?);
            ensure!(hit.0 == Code::AlreadyExists && hit.2 == "ID_TAKEN", "{hit:?}");
            ensure!(hit == told(client.record_identity(miss).await.err().context("another's command")?));
        }
        let hit = told(client.open_case(open(TELLER)).await.err().context("another's command")?);
        ensure!(hit == told(client.open_case(open("Orang Lain Contoh")).await.err().context("another's command")?));
        let asked = v1::ListAccessRequest { token_id, ..Default::default() };
        let seen = AuditServiceClient::new(channel.clone()).list_access(asked).await?.into_inner();
        let refused = |rpc: &str| {
            let found = seen.rpcs.iter().find(|access| access.rpc.ends_with(rpc));
            found.map_or((0, 0), |access| (access.answered, access.refused))
        };
        ensure!(refused("/RecordIdentity") == (0, 4) && refused("/OpenCase") == (0, 2), "{seen:?}");
    }
    let (renewed, _) = of(&served, Role::Satgas, own, "anggota-1").await?;
    let again = CaseServiceClient::new(renewed).open_case(open(TELLER)).await?.into_inner();
    ensure!(again.receipt.unwrap_or_default().status() == ReceiptStatus::AlreadyKnown, "the same person");
    let (renewed, _) = of(&served, Role::CaseWorker, None, "petugas-17").await?;
    let again = CaseServiceClient::new(renewed).record_identity(seal(NAME, &recorded)).await?.into_inner();
    ensure!(again.receipt.unwrap_or_default().status() == ReceiptStatus::AlreadyKnown && again.version == 3);
    Ok(())
}

/// A channel of somebody whose tokens bear a subject, and the token's id.
async fn of_subject(served: &Served, role: Role, subject: &str) -> anyhow::Result<(Door, String)> {
    of(served, role, None, subject).await
}

async fn of(served: &Served, role: Role, own: Option<Own>, subject: &str) -> anyhow::Result<(Door, String)> {
    let channel = served.channel().await?;
    let assignment = v1::Assignment { role: role.into(), own };
    let (id, secret) = door::issue_to(subject, &channel, &served.operator()?, assignment, 3_600).await?;
    Ok((Door::with(channel, &secret), id))
}

async fn assign(door: &Door, request: v1::AssignCaseRequest) -> Result<Vec<String>, tonic::Status> {
    let request = v1::AssignCaseRequest { command_id: new_id(), ..request };
    let answer = CaseServiceClient::new(door.clone()).assign_case(request).await?.into_inner();
    Ok(answer.assignees.into_iter().map(|assignee| assignee.subject).collect())
}

#[tokio::test]
async fn only_the_case_worker_who_has_the_case_reads_and_a_supervisor_hands_it_over() -> anyhow::Result<()> {
    let place = Place::new()?;
    let served = place.serve(&[])?;
    let channel = served.connect().await?;
    register(&channel).await?;
    // The tests' own case worker takes both.
    let (case_id, other) = (open_case(&served, &channel).await?, open_case(&served, &channel).await?);
    let first = format!("petugas-{}", Role::CaseWorker.as_str_name().to_lowercase());
    let (second, second_id) = of_subject(&served, Role::CaseWorker, "petugas-18").await?;
    let (supervisor, _) = of_subject(&served, Role::Supervisor, "pengawas-1").await?;
    let head = log(&channel).await?.len();
    let told = |status: tonic::Status| (status.code(), status.message().to_owned(), reason(&status));
    let refused = told(unseal(&second, &case_id, PURPOSE).await.err().context("it is another's case")?);
    ensure!(refused == told(unseal(&second, &new_id(), PURPOSE).await.err().context("there is no such case")?));
    ensure!(refused.0 == Code::PermissionDenied && refused.2 == "NOT_ASSIGNED", "{refused:?}");
    ensure!(log(&channel).await?.len() == head, "nothing was read");
    let asked = v1::ListAccessRequest { token_id: second_id, ..Default::default() };
    let seen = AuditServiceClient::new(supervisor.clone()).list_access(asked).await?.into_inner();
    ensure!(seen.cases.is_empty() && seen.rpcs.iter().any(|rpc| rpc.refused == 2), "{seen:?}");

    let to = |subject: &str| v1::AssignCaseRequest {
        case_id: case_id.clone(),
        subject: subject.to_owned(),
        reason: "Pembagian tugas contoh".to_owned(),
        ..Default::default()
    };
    let taken = assign(&second, to("petugas-18")).await.err().context("somebody has it")?;
    ensure!(taken.code() == Code::FailedPrecondition, "{taken:?}");
    let mistyped = assign(&supervisor, to("petugas-81")).await.err().context("nobody is that")?;
    ensure!(mistyped.code() == Code::InvalidArgument && mistyped.message().contains("subject"), "{mistyped:?}");
    let in_an_hour = now_s() + 3_600;
    let until = Some(pbjson_types::Timestamp { seconds: in_an_hour, nanos: 0 });
    let both = assign(&supervisor, v1::AssignCaseRequest { until, ..to("petugas-18") }).await?;
    ensure!(both == [first.as_str(), "petugas-18"], "{both:?}");
    ensure!(name_of(&second, &case_id).await? == NAME && name_of(&channel, &case_id).await? == NAME);
    let shown = served.ask(&["case", "show", &case_id])?.good()?;
    ensure!(shown.contains("assigned        to petugas-18 since") && shown.contains(" until "), "{shown}");
    let end = ["case", "unassign", &case_id, "--from", "petugas-18", "--reason", "Tugas contoh selesai"];
    served.ask(&end)?.good()?;
    ensure!(unseal(&second, &case_id, PURPOSE).await.is_err());

    let over = ["case", "hand-over", "--from", &first, "--to", "petugas-18", "--reason", "Petugas pindah tugas"];
    ensure!(served.ask(&over)?.good()?.contains("2 cases were handed over"));
    for case_id in [&case_id, &other] {
        ensure!(name_of(&second, case_id).await? == NAME);
        ensure!(
            reason(&unseal(&channel, case_id, PURPOSE).await.err().context("it was handed over")?) == "NOT_ASSIGNED"
        );
    }
    let listed = served.ask(&["case", "list", "--assigned-to", "petugas-18", "--format", "json"])?.good()?;
    ensure!(listed.contains(&case_id) && listed.contains(&other), "{listed}");
    let none = served.ask(&["case", "list", "--assigned-to", &first, "--format", "json"])?.good()?;
    ensure!(!none.contains(&case_id), "{none}");
    Ok(())
}

#[tokio::test]
async fn an_erasure_is_declined_or_withdrawn_and_two_tokens_of_one_person_are_not_two_persons() -> anyhow::Result<()> {
    let place = Place::new()?;
    let served = place.serve(&[])?;
    let channel = served.connect().await?;
    register(&channel).await?;
    let case_id = open_case(&served, &channel).await?;
    let (asking, _) = of_subject(&served, Role::Supervisor, "pengawas-1").await?;
    let (same_person, _) = of_subject(&served, Role::Supervisor, "pengawas-1").await?;
    let (another, _) = of_subject(&served, Role::Supervisor, "pengawas-2").await?;
    let decline = async |door: &Door| {
        let (command_id, case_id) = (new_id(), case_id.clone());
        let request = v1::DeclineErasureRequest { command_id, case_id, reason: "Perkara masih berjalan".into() };
        let answer = ErasureServiceClient::new(door.clone()).decline_erasure(request).await?.into_inner();
        Ok::<_, tonic::Status>(answer.sealing.unwrap_or_default().erasure())
    };
    let nothing = decline(&another).await.err().context("nobody asked")?;
    ensure!(nothing.code() == Code::FailedPrecondition, "{nothing:?}");
    ensure!(request_erasure(&asking, &case_id).await? == ErasureStatus::Requested);
    let alone = approve_erasure(&same_person, &case_id).await.err().context("the same person")?;
    ensure!(reason(&alone) == "SAME_PERSON", "{alone:?}");
    ensure!(decline(&another).await? == ErasureStatus::Declined);
    ensure!(approve_erasure(&another, &case_id).await.is_err() && name_of(&channel, &case_id).await? == NAME);
    let shown = served.ask(&["case", "show", &case_id])?.good()?;
    ensure!(shown.contains("erasure         declined") && shown.contains("Perkara masih berjalan"), "{shown}");
    ensure!(request_erasure(&asking, &case_id).await? == ErasureStatus::Requested, "it can be asked for again");
    ensure!(decline(&same_person).await? == ErasureStatus::Withdrawn);
    request_erasure(&asking, &case_id).await?;
    let out = served.ask(&["case", "erase", "decline", &case_id, "--reason", "Perkara masih berjalan"])?.good()?;
    ensure!(out.contains("erasure         declined"), "{out}");
    request_erasure(&asking, &case_id).await?;
    ensure!(approve_erasure(&another, &case_id).await? == ErasureStatus::Erased);
    Ok(())
}

#[tokio::test]
async fn a_rotation_leaves_every_identity_readable_and_no_key_under_the_former_master() -> anyhow::Result<()> {
    let place = Place::new()?;
    let served = place.serve(&[])?;
    let channel = served.connect().await?;
    register(&channel).await?;
    let case_id = open_case(&served, &channel).await?;
    let (code, out) = place.run(&["vault", "rotate"], &[])?;
    ensure!(code == Some(1) && out.contains("in use"), "not while a server uses it: {out}");
    ensure!(served.terminate()? == Some(0));
    let key_file = place.data().join("keys/master.key");
    let (former, sealed) = (fs::read(&key_file)?, fs::read(place.data().join(format!("keys/cases/{case_id}.key")))?);

    let out = place.good(&["vault", "rotate"], &[])?;
    ensure!(out.contains("1 wrapped anew") && out.contains("former master key is destroyed"), "{out}");
    ensure!(
        fs::read(&key_file)? != former && fs::read(place.data().join(format!("keys/cases/{case_id}.key")))? != sealed
    );
    ensure!(place.holding(std::str::from_utf8(&former)?)?.is_empty(), "the former master key lies nowhere");
    let served = place.serve(&[])?;
    ensure!(name_of(&served.connect().await?, &case_id).await? == NAME);
    ensure!(served.terminate()? == Some(0));

    // From the data folder's own key to a file elsewhere.
    let elsewhere = place.text("kms/master.key");
    place.good(&["vault", "rotate"], &["--new-file", &elsewhere])?;
    let served = place.serve(&["--master-key-file", &elsewhere])?;
    ensure!(name_of(&served.connect().await?, &case_id).await? == NAME);
    ensure!(served.terminate()? == Some(0));
    // With the wrong master nothing is shown, and the log of the server says why.
    let served = place.serve(&[])?;
    let refused = unseal(&served.connect().await?, &case_id, PURPOSE).await.err().context("another master key")?;
    ensure!(refused.code() == Code::Unavailable && reason(&refused) == "VAULT_UNUSABLE", "{refused:?}");
    ensure!(served.terminate()? == Some(0));
    ensure!(fs::read_to_string(place.log())?.contains("wrapped by the master key"));
    Ok(())
}

#[tokio::test]
async fn the_master_key_comes_from_the_environment_or_a_command_and_an_open_file_is_refused() -> anyhow::Result<()> {
    let place = Place::new()?;
    let file = place.text("master.key");
    fs::write(&file, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")?;
    let start = |flags: &[&str], variables: &[(&str, &str)]| -> anyhow::Result<(bool, String)> {
        let mut command: Command = satgas(&["serve", "--listen", "127.0.0.1:0", "--data"]);
        command.arg(place.data()).args(flags).envs(variables.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let out = child.stdout.take().context("its output is piped")?;
        let ready = BufReader::new(out).lines().map_while(Result::ok).any(|line| line.contains("http://"));
        if ready {
            ensure!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status()?.success());
        }
        Ok((ready, String::from_utf8(child.wait_with_output()?.stderr)?))
    };
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
    let (ready, error) = start(&["--master-key-file", &file], &[])?;
    ensure!(!ready && error.contains("chmod 600"), "{error}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    ensure!(start(&["--master-key-file", &file], &[])?.0);
    let (ready, error) = start(&[], &[("SATGAS_MASTER_KEY", "pendek")])?;
    ensure!(!ready && error.contains("SATGAS_MASTER_KEY is not 32 bytes") && !error.contains("pendek"), "{error}");
    let (ready, error) = start(&["--master-key-file", &file], &[("SATGAS_MASTER_KEY", "pendek")])?;
    ensure!(!ready && error.contains("configured twice"), "{error}");
    let command = format!(r#"["cat", "{file}"]"#);
    ensure!(start(&[], &[("SATGAS_MASTER_KEY_COMMAND", &command)])?.0);
    let (ready, error) = start(&[], &[("SATGAS_MASTER_KEY_COMMAND", r#"["false"]"#)])?;
    ensure!(!ready && error.contains("master_key_command"), "{error}");
    // Commands that never end, with their output open and closed.
    for hanging in [r#"["sleep", "600"]"#, r#"["sh", "-c", "exec 1>&-; exec sleep 600"]"#] {
        let variables = [("SATGAS_MASTER_KEY_COMMAND", hanging), ("SATGAS_MASTER_KEY_COMMAND_DEADLINE_S", "1")];
        let (ready, error) = start(&[], &variables)?;
        ensure!(!ready && error.contains("does not end within"), "{error}");
    }
    Ok(())
}
