//! `satgas conflicts`: what only a person can decide.

use std::process::ExitCode;

use satgas_proto::v1;

use crate::{
    as_of, codes,
    connect::{Connection, unary},
    print::{self, Align, ListFormat, Table},
};

/// Which conflicts.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only of areas whose code begins with these segments, such as 53.71.04
    #[arg(long, value_name = "PREFIX", default_value = "")]
    area: String,
    #[command(flatten)]
    as_of: as_of::Args,
    /// How the list is printed
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

/// Lists the open conflicts.
pub(crate) async fn run(args: Args, server: &Connection) -> anyhow::Result<ExitCode> {
    let log = server.log().await?;
    let mut client = server.submissions();
    let mut conflicts: Vec<v1::Conflict> = Vec::new();
    let mut after_position = 0;
    loop {
        let (area_prefix, as_of) = (args.area.clone(), args.as_of.moment(&log)?);
        let request =
            v1::ListConflictsRequest { area_prefix, page_size: 1_000, after_position, min_position: 0, as_of };
        let page = client.list_conflicts(unary(request)).await?.into_inner();
        conflicts.extend(page.conflicts);
        after_position = page.next_after_position;
        if after_position == 0 {
            break;
        }
    }
    let mut table = Table::new([
        ("position", Align::Right),
        ("stands", Align::Right),
        ("cause", Align::Left),
        ("submission", Align::Left),
        ("reporter", Align::Left),
    ]);
    for conflict in &conflicts {
        let submission = conflict.submission.clone().unwrap_or_default();
        table.row(vec![
            conflict.position.to_string(),
            conflict.stands_position.to_string(),
            codes::label::<v1::ConflictCause>(conflict.cause),
            submission.submission_id.clone(),
            reporter(&submission).to_owned(),
        ]);
    }
    print::list(args.format, &conflicts, &table, log.sample_data)?;
    Ok(ExitCode::SUCCESS)
}

/// The area or institution that reported.
pub(crate) fn reporter(submission: &v1::Submission) -> &str {
    match &submission.reporter {
        Some(v1::submission::Reporter::AreaCode(id) | v1::submission::Reporter::InstitutionId(id)) => id,
        None => "-",
    }
}
