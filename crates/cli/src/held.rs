//! `satgas held`: corrections and withdrawals that wait for what they correct.

use std::process::ExitCode;

use satgas_proto::v1;

use crate::{
    as_of,
    conflicts::reporter,
    connect::{Connection, unary},
    pages,
    print::{self, Align, ListFormat, Table},
};

/// Which of them.
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

/// Lists what waits.
pub(crate) async fn run(args: Args, server: &Connection) -> anyhow::Result<ExitCode> {
    let log = server.log().await?;
    let as_of = args.as_of.moment(&log)?;
    let mut client = server.submissions();
    let held = pages::all(async |after_position| {
        let area_prefix = args.area.clone();
        let request = v1::ListHeldRequest { area_prefix, page_size: 1_000, after_position, min_position: 0, as_of };
        let page = client.list_held(unary(request)).await?.into_inner();
        Ok((page.held, page.next_after_position))
    });
    let held = held.await?;
    let mut table = Table::new([
        ("position", Align::Right),
        ("submission", Align::Left),
        ("waits_for", Align::Left),
        ("reporter", Align::Left),
    ]);
    for waiting in &held {
        let submission = waiting.submission.clone().unwrap_or_default();
        table.row(vec![
            waiting.position.to_string(),
            submission.submission_id.clone(),
            waiting.waits_for_id.clone(),
            reporter(&submission).to_owned(),
        ]);
    }
    print::list(args.format, &held, &table, log.sample_data)?;
    Ok(ExitCode::SUCCESS)
}
