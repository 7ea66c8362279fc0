//! `satgas registry`: who and where, from CSV files and back.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::{Subcommand, ValueEnum};
use satgas_proto::v1;

use crate::{
    EXIT_PARTLY, as_of, codes,
    connect::{Connection, unary},
    pages,
    print::{self, Align, Format, ListFormat, Table},
};

/// The largest file that the service takes.
const CSV_BYTES_MAX: u64 = 16 << 20;

/// The long help of an import.
const IMPORT_ABOUT: &str = "\
Register the rows of a CSV file; the same file again changes nothing

A row that differs from what is known is a correction: it holds from the same day as what it corrects. With a day in effective_on, of an \
area or school, it is a change from that day on, such as a new name or a move to another kelurahan, and everything before that day stays \
as it was. effective_on stays empty for what is new. valid_until is the last day on which an area or school exists; succeeds_codes names \
the areas that an area came out of.";

/// Import or list.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Register the rows of a CSV file; the same file again changes nothing
    #[command(long_about = IMPORT_ABOUT)]
    Import(Import),
    /// List what is registered
    List(List),
}

/// A file to import.
#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// What the rows are
    #[arg(value_enum)]
    kind: Kind,
    /// CSV file with a header line
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// Import the good rows even if some are bad
    #[arg(long)]
    skip_bad: bool,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What the rows of a file are.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// Columns: code, name, valid_from; if wanted valid_until, succeeds_codes (separated by spaces), effective_on
    Areas,
    /// Columns: institution_id, name, area_code, valid_from, valid_until; if wanted effective_on
    Schools,
    /// Columns: member_id, task_force_id, joined_on, left_on, training_topic, training_valid_from, training_valid_until
    Members,
    /// Columns: task_force_id, area_code, institution_id, kind, legal_basis, formed_on, dissolved_on
    TaskForces,
}

/// What to list.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// What
    #[arg(value_enum)]
    what: What,
    /// Only in areas whose code begins with these segments, such as 53.71.04
    #[arg(long, value_name = "PREFIX", default_value = "")]
    area: String,
    #[command(flatten)]
    as_of: as_of::Args,
    /// How the list is printed
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    Areas,
    Institutions,
    /// Institutions that are schools
    Schools,
    TaskForces,
    Members,
}

/// Imports or lists.
pub(crate) async fn run(command: Command, server: &Connection) -> anyhow::Result<ExitCode> {
    match command {
        Command::Import(args) => import(args, server).await,
        Command::List(args) => list(args, server).await,
    }
}

async fn import(args: Import, server: &Connection) -> anyhow::Result<ExitCode> {
    let named = || args.file.display().to_string();
    let size = std::fs::metadata(&args.file).with_context(named)?.len();
    if size > CSV_BYTES_MAX {
        bail!("{} has {size} bytes; one import takes at most 16 MiB, split the file", named());
    }
    let csv = std::fs::read(&args.file).with_context(named)?.into();
    let kind = match args.kind {
        Kind::Areas => v1::CsvKind::Areas,
        Kind::Schools => v1::CsvKind::Schools,
        Kind::Members => v1::CsvKind::Members,
        Kind::TaskForces => v1::CsvKind::TaskForces,
    };
    let request = v1::ImportCsvRequest { kind: kind.into(), csv, skip_bad: args.skip_bad };
    let response = server.registry().import_csv(unary(request)).await?.into_inner();
    report(&args, &response, server.log().await?.sample_data)?;
    Ok(if response.refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_PARTLY) })
}

fn report(args: &Import, response: &v1::ImportCsvResponse, sample_data: bool) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if args.format == Format::Text {
        print::banner(&mut out, sample_data)?;
    } else {
        print::banner(&mut io::stderr().lock(), sample_data)?;
        return Ok(writeln!(out, "{}", serde_json::to_string(response)?)?);
    }
    for row in &response.refused {
        for violation in &row.violations {
            writeln!(out, "line {}, {}: {}", row.line, violation.field, violation.reason)?;
        }
    }
    let summary = response.summary.unwrap_or_default();
    let v1::RegistrySummary { created, changed, unchanged, position } = summary;
    writeln!(out, "{created} new, {changed} changed, {unchanged} as they were (log position {position})")?;
    match response.refused.len() {
        0 => {}
        bad if args.skip_bad => writeln!(out, "{bad} bad rows were left out")?,
        bad => writeln!(out, "{bad} bad rows: nothing was imported; mend them, or leave them out with --skip-bad")?,
    }
    Ok(())
}

/// Fetches every page of a list.
macro_rules! pages {
    ($client:expr, $call:ident, $request:ident, $items:ident, $area:expr, $as_of:expr) => {{
        let mut client = $client;
        let pages = pages::all(async |page_token| {
            let (area_prefix, as_of) = ($area.clone(), $as_of);
            let request = v1::$request { area_prefix, page_size: 10_000, page_token, min_position: 0, as_of };
            let page = client.$call(unary(request)).await?.into_inner();
            Ok((page.$items, page.next_page_token))
        });
        pages.await?
    }};
}

async fn list(args: List, server: &Connection) -> anyhow::Result<ExitCode> {
    let log = server.log().await?;
    let (sample_data, as_of) = (log.sample_data, args.as_of.moment(&log)?);
    let (client, area) = (server.registry(), &args.area);
    match args.what {
        What::Areas => {
            let areas = pages!(client, list_areas, ListAreasRequest, areas, area, as_of);
            print::list(args.format, &areas, &area_table(&areas), sample_data)?;
        }
        What::Institutions | What::Schools => {
            let mut all = pages!(client, list_institutions, ListInstitutionsRequest, institutions, area, as_of);
            if matches!(args.what, What::Schools) {
                all.retain(|institution| institution.kind == i32::from(v1::InstitutionKind::Sekolah));
            }
            print::list(args.format, &all, &institution_table(&all), sample_data)?;
        }
        What::TaskForces => {
            let all = pages!(client, list_task_forces, ListTaskForcesRequest, task_forces, area, as_of);
            print::list(args.format, &all, &task_force_table(&all), sample_data)?;
        }
        What::Members => {
            let members = pages!(client, list_members, ListMembersRequest, members, area, as_of);
            print::list(args.format, &members, &member_table(&members), sample_data)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn area_table(areas: &[v1::Area]) -> Table {
    let mut table = Table::new(["code", "name", "valid_from", "valid_until", "succeeds_codes"].map(left));
    for area in areas {
        table.row(vec![
            area.code.clone(),
            area.name.clone(),
            area.valid_from.clone(),
            area.valid_until.clone(),
            area.succeeds_codes.join(" "),
        ]);
    }
    table
}

fn institution_table(institutions: &[v1::Institution]) -> Table {
    let columns = ["institution_id", "name", "kind", "area_code", "valid_from", "valid_until"];
    let mut table = Table::new(columns.map(left));
    for institution in institutions {
        table.row(vec![
            institution.institution_id.clone(),
            institution.name.clone(),
            codes::label::<v1::InstitutionKind>(institution.kind),
            institution.area_code.clone(),
            institution.valid_from.clone(),
            institution.valid_until.clone(),
        ]);
    }
    table
}

fn task_force_table(task_forces: &[v1::TaskForce]) -> Table {
    let columns = ["task_force_id", "area_code", "institution_id", "kind", "legal_basis", "formed_on", "dissolved_on"];
    let mut table = Table::new(columns.map(left));
    for task_force in task_forces {
        let (area, institution) = match task_force.home.clone() {
            Some(v1::task_force::Home::AreaCode(code)) => (code, String::new()),
            Some(v1::task_force::Home::InstitutionId(id)) => (String::new(), id),
            None => Default::default(),
        };
        table.row(vec![
            task_force.task_force_id.clone(),
            area,
            institution,
            task_force.kind.clone(),
            task_force.legal_basis.clone(),
            task_force.formed_on.clone(),
            task_force.dissolved_on.clone(),
        ]);
    }
    table
}

fn member_table(members: &[v1::Member]) -> Table {
    let columns = ["member_id", "task_force_id", "joined_on", "left_on", "trainings"];
    let mut table = Table::new(columns.map(left));
    for member in members {
        let trainings = member.trainings.iter().map(|t| format!("{} until {}", t.topic, t.valid_until));
        table.row(vec![
            member.member_id.clone(),
            member.task_force_id.clone(),
            member.joined_on.clone(),
            member.left_on.clone(),
            trainings.collect::<Vec<_>>().join("; "),
        ]);
    }
    table
}

fn left(title: &'static str) -> (&'static str, Align) {
    (title, Align::Left)
}
