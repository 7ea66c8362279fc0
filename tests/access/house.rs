//! A server with two kelurahan, a school in each, a case in each, and tokens for whoever is asked for.

use anyhow::{Context as _, ensure};
use satgas_proto::v1::{
    self, Role, assignment::Own, case_service_client::CaseServiceClient,
    identity_service_client::IdentityServiceClient, submission::Content, submission::Reporter,
    submission_service_client::SubmissionServiceClient,
};
use tonic::{Code, Status};

use crate::{
    door::{self, Door},
    process::Served,
};

pub(crate) const OWN: &str = "53.71.03.1010";
pub(crate) const NEIGHBOUR: &str = "53.71.03.1011";
pub(crate) const SCHOOL: &str = "99900001";
pub(crate) const OTHER_SCHOOL: &str = "99900002";
/// 2026-03-10 in seconds: when everything in these tests happened.
const OCCURRED: i64 = 1_773_100_800;

pub(crate) struct House {
    pub(crate) served: Served,
    pub(crate) folder: tempfile::TempDir,
    /// The case that each area reported.
    pub(crate) own_case: String,
    pub(crate) neighbours_case: String,
}

impl House {
    pub(crate) async fn open() -> anyhow::Result<Self> {
        Self::open_with(&[]).await
    }

    /// The same with settings of the server.
    pub(crate) async fn open_with(settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let served = Served::start_with(&folder.path().join("data"), &["--sample-data"], settings)?;
        let door = served.connect().await?;
        register(&door).await?;
        let own_case = report(&door, &area(OWN)).await?;
        let neighbours_case = report(&door, &area(NEIGHBOUR)).await?;
        Ok(Self { served, folder, own_case, neighbours_case })
    }

    /// A new token of a role: its id and secret.
    pub(crate) async fn token(
        &self,
        role: Role,
        own: Option<Own>,
        lifetime_s: i64,
    ) -> anyhow::Result<(String, String)> {
        let assignment = v1::Assignment { role: role.into(), own };
        door::issue(&self.served.channel().await?, &self.served.operator()?, assignment, lifetime_s).await
    }

    /// A channel with a new token of a role.
    pub(crate) async fn door(&self, role: Role, own: Option<Own>) -> anyhow::Result<Door> {
        let (_, secret) = self.token(role, own, 3_600).await?;
        self.with(&secret).await
    }

    /// Position of the last record.
    pub(crate) async fn head(&self) -> anyhow::Result<u64> {
        let mut identity = IdentityServiceClient::new(self.served.connect().await?);
        Ok(identity.who_am_i(v1::WhoAmIRequest {}).await?.into_inner().head_position)
    }

    /// The task force of the own kelurahan.
    pub(crate) async fn satgas(&self) -> anyhow::Result<Door> {
        self.door(Role::Satgas, Some(Own::AreaCode(OWN.to_owned()))).await
    }

    pub(crate) async fn with(&self, secret: &str) -> anyhow::Result<Door> {
        Ok(Door::with(self.served.channel().await?, secret))
    }
}

pub(crate) fn area(code: &str) -> Reporter {
    Reporter::AreaCode(code.to_owned())
}

async fn register(door: &Door) -> anyhow::Result<()> {
    let areas = ["53.71", "53.71.03", OWN, NEIGHBOUR].map(door::town_area);
    let schools = [(SCHOOL, OWN), (OTHER_SCHOOL, NEIGHBOUR)].map(|(id, area)| door::town_school(id, area));
    door::register(door, areas.into_iter().chain(schools).collect()).await
}

pub(crate) fn case_report(reporter: &Reporter) -> v1::Submission {
    submission(
        reporter,
        Content::CaseReport(v1::CaseReport {
            violence: vec![v1::Violence::Fisik.into()],
            place: v1::Place::Sekolah.into(),
            victim_age: v1::AgeGroup::AgeGroup1317.into(),
            victim_sex: v1::Sex::Perempuan.into(),
            offender: v1::Offender::PacarTeman.into(),
            ..Default::default()
        }),
    )
}

pub(crate) fn visit(reporter: &Reporter) -> v1::Submission {
    submission(
        reporter,
        Content::SchoolVisit(v1::SchoolVisit {
            school_id: SCHOOL.to_owned(),
            purpose: v1::VisitPurpose::Sosialisasi.into(),
            reach: Some(v1::Reach { pupils_female: 20, ..Default::default() }),
            ..Default::default()
        }),
    )
}

pub(crate) fn submission(reporter: &Reporter, content: Content) -> v1::Submission {
    v1::Submission {
        submission_id: uuid::Uuid::now_v7().to_string(),
        device_id: "hp-contoh".to_owned(),
        device_sequence: 1,
        occurred_at: Some(pbjson_types::Timestamp { seconds: OCCURRED, nanos: 0 }),
        reporter: Some(reporter.clone()),
        content: Some(content),
    }
}

async fn report(door: &Door, reporter: &Reporter) -> anyhow::Result<String> {
    let request = v1::OpenCaseRequest { submission: Some(case_report(reporter)), identities: Vec::new() };
    let opened = CaseServiceClient::new(door.clone()).open_case(request).await?.into_inner();
    Ok(opened.case.context("the case")?.case_id)
}

pub(crate) async fn submit(door: &Door, submission: &v1::Submission) -> Result<v1::Receipt, Status> {
    let request = v1::SubmitRequest { submission: Some(submission.clone()) };
    let answer = SubmissionServiceClient::new(door.clone()).submit(request).await?.into_inner();
    Ok(answer.receipt.unwrap_or_default())
}

/// The refusal of a call that must be refused.
pub(crate) fn refused<T>(answer: Result<T, Status>) -> anyhow::Result<Status> {
    answer.err().context("it was answered, and had to be refused")
}

pub(crate) fn ensure_code<T: std::fmt::Debug>(answer: &Result<T, Status>, code: Code) -> anyhow::Result<()> {
    ensure!(answer.as_ref().err().map(Status::code) == Some(code), "{answer:?} is not {code:?}");
    Ok(())
}
