//! `satgas release`: statistical releases. Publishing is a supervisor's; listing and showing ask for no token.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Subcommand;
use satgas_proto::v1::{self, ReleaseTable};

use crate::{
    codes::{self, Code as _},
    connect::{Connection, unary},
    pages,
    print::{self, Align, ListFormat, SAMPLE, Table},
    time,
};

/// Preview, publish, list or show.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say what a release would show and withhold; nothing is recorded
    Preview(Preview),
    /// Publish the tables of a period that is over; they never change after that
    Publish(Publish),
    /// List what was published; needs no token
    List(List),
    /// Print the tables of a release; needs no token
    Show(Show),
}

/// What is asked for.
#[derive(Debug, clap::Args)]
pub(crate) struct Draft {
    /// A period that is over: 2026 (year), 2026-S1 (semester), 2026-Q1 (quarter) or 2026-01 (month)
    #[arg(long, value_name = "PERIOD")]
    period: String,
    /// Only areas whose code begins with these segments, such as 53.71; no kelurahan
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    area: String,
    /// Counts below this are withheld, 3 to 100 [default: 5]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    threshold: u32,
    /// The tables: victims, violence, place, offender [default: all]
    #[arg(long = "table", value_name = "TABLE,..", value_delimiter = ',', value_parser = codes::parse::<ReleaseTable>)]
    tables: Vec<ReleaseTable>,
    /// Id of the release that this one corrects
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    corrects: String,
    /// What the public should know of it; no names
    #[arg(long)]
    note: String,
}

impl Draft {
    fn message(&self) -> v1::ReleaseDraft {
        v1::ReleaseDraft {
            period: self.period.clone(),
            area_prefix: self.area.clone(),
            threshold: self.threshold,
            tables: self.tables.iter().map(|table| (*table).into()).collect(),
            corrects_id: self.corrects.clone(),
            note: self.note.clone(),
        }
    }
}

/// A release to look at beforehand.
#[derive(Debug, clap::Args)]
pub(crate) struct Preview {
    #[command(flatten)]
    draft: Draft,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

/// A release to publish.
#[derive(Debug, clap::Args)]
pub(crate) struct Publish {
    #[command(flatten)]
    draft: Draft,
    /// Its id, from `satgas new-id`: publishing the same again with it changes nothing [default: a new one]
    #[arg(long)]
    id: Option<String>,
}

/// Which releases.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only of this period
    #[arg(long, value_name = "PERIOD", default_value = "", hide_default_value = true)]
    period: String,
    /// How the list is printed
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

/// Which release.
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// Its id, as `satgas release list` prints it
    id: String,
    /// How it is printed. CSV has a row for each number, the withheld ones of the areas that are shown, too
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

/// Does what was asked.
pub(crate) async fn run(command: Command, server: &Connection) -> anyhow::Result<ExitCode> {
    match command {
        Command::Preview(args) => preview(args, server).await,
        Command::Publish(args) => publish(args, server).await,
        Command::List(args) => list(args, server).await,
        Command::Show(args) => show(args, server).await,
    }?;
    Ok(ExitCode::SUCCESS)
}

async fn preview(args: Preview, server: &Connection) -> anyhow::Result<()> {
    let request = v1::PreviewReleaseRequest { draft: Some(args.draft.message()), min_position: 0 };
    let answer = server.releases().preview_release(unary(request)).await?.into_inner();
    let listed = v1::ListedRelease {
        draft: answer.draft,
        known_position: answer.known_position,
        share: answer.share,
        sample_data: answer.sample_data,
        ..Default::default()
    };
    let tables = Tables { release: listed, columns: answer.columns, areas: answer.areas };
    tables.print(args.format)
}

async fn publish(args: Publish, server: &Connection) -> anyhow::Result<()> {
    let release_id = args.id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    let request = v1::PublishReleaseRequest { release_id, draft: Some(args.draft.message()) };
    let answer = server.releases().publish_release(unary(request)).await?.into_inner();
    let release = answer.release.context("the answer names no release")?;
    let mut out = io::stdout().lock();
    print::banner(&mut out, release.sample_data)?;
    let how = if answer.already_known { "was published before" } else { "is published" };
    writeln!(out, "{} {how}, position {}; {}", release.release_id, release.position, share(&release))?;
    Ok(())
}

async fn list(args: List, server: &Connection) -> anyhow::Result<()> {
    let all = pages::all(async |after_position| {
        let request = v1::ListReleasesRequest { period: args.period.clone(), page_size: 0, after_position };
        let page = server.releases().list_releases(unary(request)).await?.into_inner();
        Ok((page.releases, page.next_after_position))
    });
    let all = all.await?;
    let mut table = Table::new([
        ("id", Align::Left),
        ("period", Align::Left),
        ("areas", Align::Left),
        ("published", Align::Left),
        ("threshold", Align::Right),
        ("withheld", Align::Right),
        ("corrects", Align::Left),
        ("corrected by", Align::Left),
        ("note", Align::Left),
    ]);
    for release in &all {
        let draft = release.draft.clone().unwrap_or_default();
        table.row(vec![
            release.release_id.clone(),
            draft.period,
            or_all(&draft.area_prefix).to_owned(),
            release.published_at.as_ref().and_then(time::from_proto).map(|at| at.to_string()).unwrap_or_default(),
            draft.threshold.to_string(),
            percent(release),
            draft.corrects_id,
            release.corrected_by_id.clone(),
            draft.note,
        ]);
    }
    let sample_data = all.iter().any(|release| release.sample_data);
    print::list(args.format, &all, &table, sample_data)
}

async fn show(args: Show, server: &Connection) -> anyhow::Result<()> {
    let mut tables = Tables::default();
    let areas = pages::all(async |page_token| {
        let request = v1::GetReleaseRequest { release_id: args.id.clone(), page_size: 0, page_token };
        let page = server.releases().get_release(unary(request)).await?.into_inner();
        tables.release = page.release.unwrap_or_default();
        tables.columns = page.columns;
        Ok((page.areas, page.next_page_token))
    });
    tables.areas = areas.await?;
    tables.print(args.format)
}

/// A release with its tables.
#[derive(Debug, Default)]
struct Tables {
    release: v1::ListedRelease,
    columns: Vec<v1::ReleaseColumn>,
    areas: Vec<v1::ReleasedArea>,
}

impl Tables {
    fn print(self, format: ListFormat) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        match format {
            ListFormat::Table => {
                print::banner(&mut out, self.release.sample_data)?;
                self.write(&mut out)?;
            }
            ListFormat::Csv => self.flat().write_csv(out)?,
            ListFormat::Json => {
                let Self { release, columns, areas } = self;
                let answer =
                    v1::GetReleaseResponse { release: Some(release), columns, areas, next_page_token: String::new() };
                serde_json::to_writer_pretty(&mut out, &answer)?;
                writeln!(out)?;
            }
        }
        Ok(())
    }

    /// The published numbers, and what it means that others are not among them.
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let draft = self.release.draft.clone().unwrap_or_default();
        let (period, areas) = (&draft.period, or_all(&draft.area_prefix));
        writeln!(out, "cases reported in {period}, areas: {areas}; {}", share(&self.release))?;
        writeln!(
            out,
            "withheld: below {} cases, or needed so that nobody can work such a number out",
            draft.threshold
        )?;
        if !draft.corrects_id.is_empty() {
            writeln!(out, "corrects {}", draft.corrects_id)?;
        }
        if !self.release.corrected_by_id.is_empty() {
            writeln!(out, "CORRECTED by {}", self.release.corrected_by_id)?;
        }
        writeln!(out, "{}\n", draft.note)?;
        let mut table =
            Table::new([("area", Align::Left), ("table", Align::Left), ("what", Align::Left), ("cases", Align::Right)]);
        for area in &self.areas {
            let code = or_all(&area.code).to_owned();
            table.row(vec![code.clone(), "all".to_owned(), String::new(), area.cases.to_string()]);
            for (column, count) in self.columns.iter().zip(&area.counts).filter(|(_, count)| **count > 0) {
                table.row(vec![code.clone(), column.table().word(), column.code.clone(), count.to_string()]);
            }
        }
        table.write(out)
    }

    /// A row for each number of the areas that are shown.
    fn flat(&self) -> Table {
        let draft = self.release.draft.clone().unwrap_or_default();
        let columns = [
            "area_code",
            "table",
            "code",
            "cases",
            "withheld",
            "period",
            "threshold",
            "release_id",
            "corrects_id",
            "corrected_by_id",
            "data",
        ];
        let mut table = Table::of(columns.map(|column| (column.to_owned(), Align::Left)));
        let sample = if self.release.sample_data { SAMPLE } else { "" };
        let mut row = |area: &str, of: &str, code: &str, count: u64| {
            let withheld = count == 0;
            let (cases, withheld) = if withheld { (String::new(), "yes") } else { (count.to_string(), "no") };
            let threshold = draft.threshold.to_string();
            let cells = [
                area,
                of,
                code,
                &cases,
                withheld,
                &draft.period,
                &threshold,
                &self.release.release_id,
                &draft.corrects_id,
                &self.release.corrected_by_id,
                sample,
            ];
            table.row(cells.map(str::to_owned).to_vec());
        };
        for area in &self.areas {
            row(&area.code, "all", "", area.cases);
            for (at, column) in self.columns.iter().enumerate() {
                row(&area.code, &column.table().word(), &column.code, area.counts.get(at).copied().unwrap_or(0));
            }
        }
        table
    }
}

fn or_all(prefix: &str) -> &str {
    if prefix.is_empty() { "all" } else { prefix }
}

fn percent(release: &v1::ListedRelease) -> String {
    let share = release.share.unwrap_or_default();
    format!("{:.1} %", 100.0 * share.withheld as f64 / share.cells.max(1) as f64)
}

fn share(release: &v1::ListedRelease) -> String {
    let v1::ReleaseShare { cells, withheld, withheld_to_protect } = release.share.unwrap_or_default();
    let withheld = format!("{withheld} of {cells} numbers withheld ({})", percent(release));
    // Told in a preview only.
    if withheld_to_protect == 0 {
        withheld
    } else {
        format!("{withheld}, {withheld_to_protect} of them to protect others")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> Tables {
        let column = |table: ReleaseTable, code: &str| v1::ReleaseColumn { table: table.into(), code: code.to_owned() };
        let draft = v1::ReleaseDraft { period: "2025".to_owned(), threshold: 5, ..Default::default() };
        Tables {
            release: v1::ListedRelease { draft: Some(draft), sample_data: true, ..Default::default() },
            columns: vec![column(ReleaseTable::Victims, "ANAK"), column(ReleaseTable::Victims, "PEREMPUAN")],
            areas: vec![
                v1::ReleasedArea { code: "53.71".to_owned(), cases: 12, counts: vec![7, 0] },
                v1::ReleasedArea { code: "53.71.04".to_owned(), cases: 6, counts: Vec::new() },
            ],
        }
    }

    #[test]
    fn the_csv_says_of_each_number_whether_it_is_withheld() {
        let mut out = Vec::new();
        tables().flat().write_csv(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let rows: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(rows[1], "53.71,victims,ANAK,7,no,2025,5,,,,DATA CONTOH");
        assert_eq!(rows[2], "53.71,victims,PEREMPUAN,,yes,2025,5,,,,DATA CONTOH");
        assert_eq!(rows.len(), 6, "an area without a table has a row for each number, too");
    }

    #[test]
    fn the_table_has_what_is_published_and_says_what_the_rest_means() {
        let mut out = Vec::new();
        tables().write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("below 5 cases") && text.contains("ANAK") && !text.contains("PEREMPUAN"), "{text}");
    }
}
