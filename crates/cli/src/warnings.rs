//! `satgas warnings`: what must not wait, the most urgent first.

use std::process::ExitCode;

use satgas_proto::v1;

use crate::{
    as_of, codes,
    connect::{Connection, Log, unary},
    pages,
    print::{self, Align, ListFormat, Table, shorten},
    time,
};

/// Which warnings.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only those that concern areas whose code begins with these segments, such as 53.71.04
    #[arg(long, value_name = "PREFIX", default_value = "")]
    area: String,
    /// Only of this kind, such as group-spreads; may be repeated
    #[arg(long, value_name = "KIND", value_parser = codes::parse::<v1::WarningKind>)]
    kind: Vec<v1::WarningKind>,
    #[command(flatten)]
    as_of: as_of::Args,
    /// How the list is printed
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

/// Lists the warnings.
pub(crate) async fn run(args: Args, server: &Connection) -> anyhow::Result<ExitCode> {
    let log = server.log().await?;
    let as_of = args.as_of.moment(&log)?;
    let mut client = server.warnings();
    let warnings = pages::all(async |page_token| {
        let request = v1::ListWarningsRequest {
            area_prefix: args.area.clone(),
            kinds: args.kind.iter().map(|&kind| kind.into()).collect(),
            page_size: 1_000,
            page_token,
            as_of,
            ..Default::default()
        };
        let page = client.list_warnings(unary(request)).await?.into_inner();
        Ok((page.warnings, page.next_page_token))
    });
    let warnings = warnings.await?;
    // A table has to fit the screen; a file keeps everything.
    let whole = args.format == ListFormat::Csv;
    print::list(args.format, &warnings, &table(&warnings, &log, whole), log.sample_data)?;
    Ok(ExitCode::SUCCESS)
}

fn table(warnings: &[v1::Warning], log: &Log, whole: bool) -> Table {
    let cut = |text: String, chars_max| if whole { text } else { shorten(&text, chars_max) };
    let mut table = Table::new([
        ("kind", Align::Left),
        ("since", Align::Left),
        ("latest", Align::Left),
        ("areas", Align::Left),
        ("institutions", Align::Left),
        ("group", Align::Left),
        ("subject", Align::Left),
    ]);
    for warning in warnings {
        table.row(vec![
            codes::label::<v1::WarningKind>(warning.kind),
            time::show(warning.since.as_ref(), &log.zone),
            time::show(warning.latest.as_ref(), &log.zone),
            cut(counted(&warning.area_codes, whole), 34),
            cut(counted(&warning.institution_ids, whole), 34),
            cut(warning.group_fingerprint.clone(), 13),
            cut(warning.subject_id.clone(), 42),
        ]);
    }
    table
}

/// The ids, and in front how many when not all may be seen.
fn counted(ids: &[String], whole: bool) -> String {
    let list = ids.join(" ");
    if ids.len() > 1 && !whole { format!("{}: {list}", ids.len()) } else { list }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn a_group_at_eight_schools_shows_their_number_and_fits_the_screen() {
        let warning = v1::Warning {
            kind: v1::WarningKind::GroupSpreads.into(),
            area_codes: (1001..1009).map(|number| format!("53.71.04.{number}")).collect(),
            institution_ids: (0..8).map(|number| format!("9990000{number}")).collect(),
            group_fingerprint: "ab".repeat(32),
            ..Default::default()
        };
        let log = Log { sample_data: true, zone: TimeZone::UTC, head_position: 0, shows_all: true };
        let mut out = Vec::new();
        table(std::slice::from_ref(&warning), &log, false).write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("group spreads") && text.contains("8: 99900000"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 200), "{text}");

        let mut csv = Vec::new();
        table(&[warning], &log, true).write_csv(&mut csv).unwrap();
        assert!(String::from_utf8(csv).unwrap().contains(&"ab".repeat(32)));
    }
}
