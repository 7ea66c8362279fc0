//! Statistical releases with the real binary: published by a supervisor, read by anybody, attacked with everything that is public.

mod door;
#[path = "../crates/domain/tests/attack/linear.rs"]
mod linear;
mod process;

use std::{fs, path::Path};

use anyhow::{Context as _, ensure};
use satgas_proto::v1::{self, release_service_client::ReleaseServiceClient};
use serde_json::{Value, json};
use tonic::Code;
use tonic_types::StatusExt as _;

use linear::Attack;
use process::Served;

const THRESHOLD: f64 = 5.0;
const FIRST: &str = "0198c0de-0000-7000-8000-00000000a001";
const SECOND: &str = "0198c0de-0000-7000-8000-00000000a002";
const OTHER: &str = "0198c0de-0000-7000-8000-00000000a003";

/// Kelurahan of an invented city: three kecamatan, codes with gaps.
fn kelurahan() -> Vec<String> {
    let of_one = |kecamatan: usize| (0..4).map(move |n| format!("53.71.{:02}.{}", 2 * kecamatan + 1, 1_001 + 2 * n));
    (0..3).flat_map(of_one).collect()
}

/// A case of 2025 in the n-th kelurahan, and of kinds that come from its number.
fn case(number: usize, at: usize) -> Value {
    let pick = |codes: &[&str], by: usize| codes[by % codes.len()].to_owned();
    json!({
        "submissionId": format!("0198c0de-0000-7000-8000-{number:012x}"),
        "deviceId": "hp-1", "deviceSequence": number.to_string(),
        "occurredAt": "2025-05-10T02:00:00Z", "areaCode": kelurahan()[at],
        "caseReport": {
            "violence": [pick(&["VIOLENCE_SEKSUAL", "VIOLENCE_FISIK", "VIOLENCE_PSIKIS"], number / 3)],
            "place": pick(&["PLACE_RUMAH_TANGGA", "PLACE_SEKOLAH", "PLACE_DARING"], number / 7),
            "victimAge": pick(&["AGE_GROUP_13_17", "AGE_GROUP_6_12", "AGE_GROUP_25_44", "AGE_GROUP_18_24"], number / 5),
            "victimSex": pick(&["SEX_PEREMPUAN", "SEX_PEREMPUAN", "SEX_LAKI_LAKI"], number),
            "offender": pick(&["OFFENDER_PACAR_TEMAN", "OFFENDER_KELUARGA", "OFFENDER_GURU"], number / 11),
        }
    })
}

fn start(folder: &Path) -> anyhow::Result<Served> {
    let served = Served::start(&folder.join("data"), &["--sample-data"])?;
    let mut areas = "code,name,valid_from\n53.71,Kota Contoh,2025-01-01\n".to_owned();
    for kecamatan in ["53.71.01", "53.71.03", "53.71.05"] {
        areas.push_str(&format!("{kecamatan},Kecamatan Contoh,2025-01-01\n"));
    }
    for code in kelurahan() {
        areas.push_str(&format!("{code},Kelurahan Contoh,2025-01-01\n"));
    }
    let file = folder.join("areas.csv");
    fs::write(&file, areas)?;
    served.ask(&["registry", "import", "areas", "--file", file.to_str().context("UTF-8")?])?.good()?;
    Ok(served)
}

fn report(served: &Served, folder: &Path, cases: &[Value]) -> anyhow::Result<()> {
    let file = folder.join("cases.jsonl");
    fs::write(&file, cases.iter().map(|case| format!("{case}\n")).collect::<String>())?;
    served.ask(&["submit", "--file", file.to_str().context("UTF-8")?])?.good().map(drop)
}

/// Most cases in the first kelurahan of each kecamatan.
fn year() -> Vec<Value> {
    (1..=180).map(|number| case(number, (number % 3) * 4 + (number / 9) % 13 % 4)).collect()
}

fn draft(period: &str) -> v1::ReleaseDraft {
    v1::ReleaseDraft { period: period.to_owned(), note: "Data contoh".to_owned(), ..Default::default() }
}

/// Everything that is public of a release, without a token, in small pages.
async fn read(served: &Served, release_id: &str) -> anyhow::Result<v1::ReleasePublished> {
    let mut client = ReleaseServiceClient::new(served.channel().await?);
    let mut all = v1::ReleasePublished { release_id: release_id.to_owned(), ..Default::default() };
    let mut page_token = String::new();
    loop {
        let request = v1::GetReleaseRequest { release_id: release_id.to_owned(), page_size: 2, page_token };
        let page = client.get_release(request).await?.into_inner();
        all.columns = page.columns;
        all.areas.extend(page.areas);
        if page.next_page_token.is_empty() {
            return Ok(all);
        }
        page_token = page.next_page_token;
    }
}

fn publish(release_id: &str, draft: v1::ReleaseDraft) -> v1::PublishReleaseRequest {
    v1::PublishReleaseRequest { release_id: release_id.to_owned(), draft: Some(draft) }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_anybody_can_read_gives_no_small_count_away_not_even_with_the_correction_beside_it() -> anyhow::Result<()>
{
    let folder = tempfile::tempdir()?;
    let served = start(folder.path())?;
    report(&served, folder.path(), &year())?;
    let mut supervisor = ReleaseServiceClient::new(served.connect().await?);

    let request = v1::PreviewReleaseRequest { draft: Some(draft("2025")), min_position: 0 };
    let preview = supervisor.preview_release(request).await?.into_inner();
    let request = publish(FIRST, draft("2025"));
    let answer = supervisor.publish_release(request.clone()).await?.into_inner();
    let listed = answer.release.context("a release")?;
    let (share, seen) = (listed.share.context("a share")?, preview.share.context("a share")?);
    ensure!(!answer.already_known && listed.sample_data && share.withheld < share.cells, "{listed:?}");
    ensure!((share.cells, share.withheld) == (seen.cells, seen.withheld), "{share:?} {seen:?}");
    // How many large numbers are withheld tells how neighbours divide theirs: the agency sees it, and nobody else.
    ensure!(seen.withheld_to_protect > 0 && share.withheld_to_protect == 0, "{share:?} {seen:?}");
    // Sent again because the answer was lost.
    let again = supervisor.publish_release(request).await?.into_inner();
    ensure!(again.already_known && again.release.map(|r| r.position) == Some(listed.position));

    // Eight cases come late, all of one kind and place.
    let late: Vec<Value> = (1_000..1_008)
        .map(|number| {
            let mut late = case(3, 0);
            late["submissionId"] = json!(format!("0198c0de-0000-7000-8000-{number:012x}"));
            late["deviceSequence"] = json!(number.to_string());
            late
        })
        .collect();
    report(&served, folder.path(), &late)?;
    let correction = v1::ReleaseDraft { corrects_id: FIRST.to_owned(), ..draft("2025") };
    let request = publish(SECOND, correction);
    supervisor.publish_release(request).await?;

    let (first, second) = (read(&served, FIRST).await?, read(&served, SECOND).await?);
    ensure!(first.areas[0].cases == 180 && second.areas[0].cases == 188, "frozen, and corrected");
    ensure!(first.areas.iter().any(|area| area.code.len() > 5 && !area.counts.is_empty()), "a kecamatan has a table");
    let attacks = [Attack::on(&kelurahan(), &first), Attack::on(&kelurahan(), &second)];
    for attack in attacks {
        for target in attack.withheld().into_iter().step_by(31) {
            let (least, most) = attack.bounds(&target);
            ensure!(most - least >= THRESHOLD - 1e-6, "{target:?} is {least} to {most}");
        }
    }
    // The two beside one another: what changed by a few cases is not worked out either.
    let between = Attack::between(&kelurahan(), &first, &second);
    for target in between.withheld().into_iter().step_by(31) {
        let (least, most) = between.bounds(&target);
        ensure!(most - least > 1e-6 || !(0.5..THRESHOLD - 0.5).contains(&least), "{target:?} changed by {least}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_published_is_refused_with_what_to_do() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let served = start(folder.path())?;
    report(&served, folder.path(), &year())?;
    let mut supervisor = ReleaseServiceClient::new(served.connect().await?);
    supervisor.publish_release(publish(FIRST, v1::ReleaseDraft { tables: vec![1], ..draft("2025") })).await?;
    let corrects =
        |corrects_id: &str| v1::ReleaseDraft { corrects_id: corrects_id.to_owned(), tables: vec![1], ..draft("2025") };
    supervisor.publish_release(publish(SECOND, v1::ReleaseDraft { threshold: 6, ..corrects(FIRST) })).await?;
    for (wrong, says) in [
        (draft("2199"), "draft.period is not over"),
        (draft("2025-13"), "draft.period is not a period"),
        (draft("2025"), "was published as release"),
        (draft("2025-Q2"), "draft.period overlaps with 2025 of release"),
        (v1::ReleaseDraft { area_prefix: "53.71.01".to_owned(), ..draft("2025") }, "overlaps"),
        (v1::ReleaseDraft { tables: vec![99], ..draft("2026-01") }, "draft.tables holds one that is not of the list"),
        (v1::ReleaseDraft { tables: vec![1, 1], ..draft("2026-01") }, "draft.tables holds one twice"),
        (v1::ReleaseDraft { threshold: 2, ..draft("2026-01") }, "draft.threshold is not 3 to 100"),
        (v1::ReleaseDraft { area_prefix: "53.71.01.1001".to_owned(), ..draft("2026-01") }, "is a kelurahan's"),
        (v1::ReleaseDraft { area_prefix: "99".to_owned(), ..draft("2026-01") }, "no registered area"),
        (v1::ReleaseDraft { note: String::new(), ..draft("2026-01") }, "draft.note"),
        (draft("2025-01"), "overlaps"),
        (draft("2026-01"), "has fewer cases than the threshold"),
        (corrects(OTHER), "draft.corrects_id is not the id of a release"),
        (corrects(FIRST), "is corrected already"),
        (corrects(SECOND), "draft.threshold is lower"),
        (v1::ReleaseDraft { threshold: 6, tables: vec![2], ..corrects(SECOND) }, "draft.tables are not those"),
        (v1::ReleaseDraft { threshold: 6, period: "2024".to_owned(), ..corrects(SECOND) }, "draft.period is not that"),
    ] {
        let refused = supervisor.publish_release(publish(OTHER, wrong.clone())).await.err().context(says)?;
        let text = format!("{} {:?}", refused.message(), refused);
        ensure!(refused.code() != Code::Internal && text.contains(says), "{wrong:?}: {text}");
    }
    let taken =
        supervisor.publish_release(publish(FIRST, draft("2026-01"))).await.err().context("an id that is taken")?;
    ensure!(taken.code() != Code::Internal, "{taken:?}");
    let mut anybody = ReleaseServiceClient::new(served.channel().await?);
    let unknown = v1::GetReleaseRequest { release_id: OTHER.to_owned(), ..Default::default() };
    let refused = anybody.get_release(unknown).await.err().context("nothing was published under it")?;
    ensure!(refused.code() == Code::NotFound, "{refused:?}");
    let listed = anybody.list_releases(v1::ListReleasesRequest::default()).await?.into_inner().releases;
    ensure!(listed.len() == 2 && listed[0].corrected_by_id == SECOND, "{listed:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_reads_so_much_an_hour_without_a_token_and_who_has_one_goes_on() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let settings = [("SATGAS_PUBLIC_READINGS_PER_SOURCE_PER_HOUR", "5")];
    let served = Served::start_with(&folder.path().join("data"), &["--sample-data"], &settings)?;
    let mut anybody = ReleaseServiceClient::new(served.channel().await?);
    let unknown = || v1::GetReleaseRequest { release_id: OTHER.to_owned(), ..Default::default() };
    for _ in 0..4 {
        anybody.list_releases(v1::ListReleasesRequest::default()).await?;
    }
    ensure!(anybody.get_release(unknown()).await.err().context("there is none")?.code() == Code::NotFound);
    for refused in [
        anybody.list_releases(v1::ListReleasesRequest::default()).await.err(),
        anybody.get_release(unknown()).await.err(),
    ] {
        let refused = refused.context("it read as much as it may")?;
        ensure!(refused.code() == Code::ResourceExhausted && refused.message().contains("go on later"), "{refused:?}");
        ensure!(refused.get_details_retry_info().is_some_and(|info| info.retry_delay.is_some()), "{refused:?}");
    }
    let token = served.tokens().await?.of(v1::Role::Supervisor).to_owned();
    let mut supervisor = ReleaseServiceClient::new(door::Door::with(served.channel().await?, &token));
    supervisor.list_releases(v1::ListReleasesRequest::default()).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_that_would_tell_of_a_few_cases_waits_and_one_is_made_though_areas_came_elsewhere()
-> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let served = start(folder.path())?;
    report(&served, folder.path(), &year())?;
    let mut supervisor = ReleaseServiceClient::new(served.connect().await?);
    supervisor.publish_release(publish(FIRST, draft("2025"))).await?;
    let correction = || v1::ReleaseDraft { corrects_id: FIRST.to_owned(), ..draft("2025") };
    let late = |numbers: std::ops::Range<usize>| -> Vec<Value> {
        let late = |number: usize| {
            let mut late = case(3, 0);
            late["submissionId"] = json!(format!("0198c0de-0000-7000-8000-{number:012x}"));
            late["deviceSequence"] = json!(number.to_string());
            late
        };
        numbers.map(late).collect()
    };
    report(&served, folder.path(), &late(1_000..1_001))?;
    let refused = supervisor.publish_release(publish(SECOND, correction())).await.err().context("one came late")?;
    let text = format!("{} {refused:?}", refused.message());
    ensure!(refused.code() == Code::InvalidArgument && text.contains("changed by fewer cases"), "{text}");
    // Another kota is registered meanwhile: the correction is of the areas that the release was of.
    let file = folder.path().join("more.csv");
    fs::write(
        &file,
        "code,name,valid_from\n53.72,Kota Lain Contoh,2025-01-01\n53.72.01,Kecamatan Contoh,2025-01-01\n53.72.01.1001,Kelurahan Contoh,2025-01-01\n",
    )?;
    served.ask(&["registry", "import", "areas", "--file", file.to_str().context("UTF-8")?])?.good()?;
    report(&served, folder.path(), &late(1_001..1_008))?;
    supervisor.publish_release(publish(SECOND, correction())).await?;
    let second = read(&served, SECOND).await?;
    ensure!(second.areas[0].code == "53.71" && second.areas[0].cases == 188, "{:?}", second.areas[0]);
    Ok(())
}

#[test]
fn a_supervisor_publishes_with_the_command_line_and_anybody_reads_without_a_token() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let served = start(folder.path())?;
    report(&served, folder.path(), &year())?;
    let preview = served.ask(&["release", "preview", "--period", "2025", "--note", "Data contoh"])?.good()?;
    ensure!(preview.starts_with("DATA CONTOH") && preview.contains("numbers withheld"), "{preview}");
    let publish = ["release", "publish", "--period", "2025", "--note", "Data contoh", "--id", FIRST];
    ensure!(served.ask(&publish)?.good()?.contains("is published"));
    ensure!(served.ask(&publish)?.good()?.contains("was published before"));
    // Stopped and started anew, it is still there.
    served.terminate()?;
    let served = Served::start(&folder.path().join("data"), &["--sample-data"])?;
    let public = |args: &[&str]| process::ask(&served.url, "", args)?.good();
    ensure!(public(&["release", "list"])?.contains(FIRST));
    let csv = public(&["release", "show", FIRST, "--format", "csv"])?;
    ensure!(
        csv.contains("\n53.71,all,,180,no,2025,5,") && csv.contains(",yes,") && csv.contains("DATA CONTOH"),
        "{csv}"
    );
    let shown = public(&["release", "show", FIRST])?;
    ensure!(shown.contains("below 5 cases"), "{shown}");
    Ok(())
}
