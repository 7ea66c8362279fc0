//! `satgas export evaluations`: a period's evaluations of every level as one file.
//!
//! Invariant: all of them show one log position, or there is no file.

use std::{
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use jiff::tz::TimeZone;
use satgas_proof::{
    Checkpoint,
    file::{ExportProof, Since},
};
use satgas_proto::v1::{self, AreaLevel};
use tonic::Code;

use super::{
    draft::{Draft, Target, target},
    figures,
    rows::Rows,
    standing::Standing,
    table::Value,
    workbook,
};
use crate::{
    as_of,
    connect::{Connection, unary},
    evaluate::{Levels, Selection, basis},
    print::{self, hex},
    proof::{self, check},
    time,
};

/// How often all levels are read again until they show the same position. Each time takes milliseconds.
const READS_MAX: u32 = 50;
/// Of the columns of a Parquet file; a column that changes its name or meaning raises it.
const SCHEMA_VERSION: u32 = 1;

/// Which evaluations, and where they go.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Period: 2026 (year), 2026-S1 (semester), 2026-Q1 (quarter) or 2026-01 (month)
    #[arg(long, value_name = "PERIOD")]
    period: String,
    /// Only areas whose code begins with these segments, such as 53.71.04
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    area: String,
    #[command(flatten)]
    as_of: as_of::Args,
    /// File to write; its ending, .csv, .xlsx or .parquet, chooses what it is
    #[arg(long, value_name = "FILE", value_parser = target::<Kind>)]
    to: Target<Kind>,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
    /// Also prove that the log goes on from this checkpoint, which was kept before (see `satgas heads`)
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
}

/// What a file of evaluations is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Csv,
    Xlsx,
    Parquet,
}

/// What was evaluated, and what must be said of it.
pub(super) struct Report {
    /// The evaluations of every level.
    pub(super) levels: Levels,
    /// What all of them stand on. As of the latest time at which one was made.
    pub(super) standing: Standing,
}

impl Report {
    fn of(levels: Levels, area: &str, zone: TimeZone) -> Self {
        let nanos = |basis: &v1::Basis| basis.as_of.as_ref().map(|time| (time.seconds, time.nanos));
        let latest = levels.all().map(basis).max_by_key(nanos).unwrap_or_default();
        let period = levels.all().find_map(|evaluation| evaluation.period.clone()).unwrap_or_default();
        let standing = Standing { period, area: area.to_owned(), basis: latest, zone, exported_at: time::now() };
        Self { levels, standing }
    }

    /// Each evaluation with its level: kelurahan, then kecamatan, then kota.
    pub(super) fn rows(&self) -> impl Iterator<Item = (AreaLevel, &v1::Evaluation)> {
        let Levels { asked, kecamatan, kota } = &self.levels;
        let of = |level: AreaLevel| move |evaluation| (level, evaluation);
        let above = kecamatan.iter().map(of(AreaLevel::Kecamatan)).chain(kota.iter().map(of(AreaLevel::Kota)));
        asked.iter().map(of(AreaLevel::Kelurahan)).chain(above)
    }
}

/// Evaluates and writes.
pub(super) async fn run(args: &Args, server: &Connection) -> anyhow::Result<()> {
    let draft = Draft::beside(&args.to.path, args.force)?;
    let proof_path = args.to.path.with_added_extension("proof");
    let proof_draft = Draft::beside(&proof_path, args.force)?;
    let report = read(args, server).await?;
    let head = signed_head(args, server, report.standing.basis.position).await?;
    match args.to.kind {
        Kind::Csv => write_csv(&report, BufWriter::new(draft.file()))?,
        Kind::Xlsx => workbook::write(&report, BufWriter::new(draft.file()))?,
        Kind::Parquet => write_parquet(&report, draft.file())?,
    }
    let file = args.to.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let sha256 = check::hash_of(draft.path())?;
    draft.publish()?;
    let mut out = io::stdout().lock();
    let proven = head.is_some();
    if let Some((checkpoint, since, note)) = head {
        let proof = ExportProof { file, sha256, position: checkpoint.size, since, note };
        proof_draft.file().write_all(proof.to_text().as_bytes())?;
        proof_draft.publish()?;
    }
    let Standing { period, basis, .. } = &report.standing;
    print::banner(&mut out, basis.sample_data)?;
    let Levels { asked, kecamatan, kota } = &report.levels;
    let parts = format!("{} kelurahan, {} kecamatan, {} kota", asked.len(), kecamatan.len(), kota.len());
    let v1::Basis { position, head_hash, .. } = basis;
    let (file, period, head) = (args.to.path.display(), &period.code, hex(head_hash, 16));
    writeln!(out, "{file}: {parts} of {period} at log position {position}, head {head}")?;
    match proven {
        true => writeln!(out, "{}: the signed head that they stand on (`satgas check-proof`)", proof_path.display())?,
        false => eprintln!("satgas: this server signs no checkpoints, so there is no proof beside the file"),
    }
    Ok(())
}

/// The signed checkpoint of the figures' position, and what shows that it goes on from one that was kept; `None` from a server that signs none.
async fn signed_head(
    args: &Args,
    server: &Connection,
    position: u64,
) -> anyhow::Result<Option<(Checkpoint, Option<Since>, String)>> {
    let request = unary(v1::GetCheckpointRequest { size: position });
    let answer = match server.proofs().get_checkpoint(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) if status.code() == Code::Unimplemented => return Ok(None),
        Err(status) => return Err(status.into()),
    };
    let (checkpoint, _, note) = proof::opened(answer.checkpoint)?;
    if checkpoint.size != position {
        bail!("the server signed a checkpoint of {} records for figures at {position}", checkpoint.size);
    }
    let since = match &args.since {
        Some(kept) => {
            let known = Checkpoint::read_unchecked(&proof::read_checkpoint(kept)?);
            let known = known.with_context(|| kept.display().to_string())?;
            proof::since(server, &known, &checkpoint).await?
        }
        None => None,
    };
    Ok(Some((checkpoint, since, note)))
}

async fn read(args: &Args, server: &Connection) -> anyhow::Result<Report> {
    let selection = Selection {
        period: args.period.clone(),
        area: args.area.clone(),
        level: AreaLevel::Kelurahan,
        body: v1::EvaluatedBody::Kelurahan,
        above: true,
        order: v1::EvaluationOrder::Unspecified,
        min_position: 0,
        as_of: args.as_of.moment(&server.log().await?)?,
    };
    let levels = selection.read(server, READS_MAX).await?;
    if levels.all().next().is_none() {
        bail!("nothing to export: there is no area yet; `satgas registry import areas` registers them");
    }
    if levels.all().any(|evaluation| evaluation.shaping.is_some()) {
        bail!(
            "this role is not told all figures, and a file would show those as 0; export with a supervisor's or evaluator's token, or \
             print them with `satgas evaluate --format csv`"
        );
    }
    let (lowest, highest) = levels.positions();
    if lowest != highest {
        bail!(
            "the log moved on from position {lowest} to {highest} while the levels were read, {READS_MAX} times in a row, so they \
             would not fit together; no file was written: run the command again when fewer records come in"
        );
    }
    Ok(Report::of(levels, &args.area, server.log().await?.zone))
}

fn write_csv(report: &Report, out: impl Write) -> anyhow::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(figures::fields().iter().map(|field| &field.name))?;
    for (level, evaluation) in report.rows() {
        writer.write_record(figures::row(level, evaluation).into_iter().map(Value::into_csv))?;
    }
    Ok(writer.flush()?)
}

fn write_parquet(report: &Report, out: impl Write + Send) -> anyhow::Result<()> {
    let mut facts = vec![("schema", "satgas.v1.Evaluation".to_owned()), ("schema_version", SCHEMA_VERSION.to_string())];
    facts.extend(report.standing.facts());
    let mut rows = Rows::new(out, "evaluation", &figures::fields(), facts)?;
    for (level, evaluation) in report.rows() {
        rows.push(figures::row(level, evaluation))?;
    }
    rows.finish()
}

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser;
    use parquet::{
        file::reader::{FileReader as _, SerializedFileReader},
        record::RowAccessor as _,
    };
    use satgas_proto::v1::IndicatorKind;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn evaluation(area: &str, name: &str) -> v1::Evaluation {
        let coverage = v1::Indicator {
            kind: IndicatorKind::SchoolCoverage.into(),
            applicable: true,
            numerator: 1,
            denominator: 8,
        };
        let training = v1::Indicator { kind: IndicatorKind::Training.into(), ..Default::default() };
        let at = |text: &str| Some(time::to_proto(text.parse().unwrap()));
        v1::Evaluation {
            subject: Some(v1::evaluation::Subject::AreaCode(area.into())),
            name: name.into(),
            period: Some(v1::Period {
                code: "2026-Q1".into(),
                start: at("2025-12-31T16:00:00Z"),
                end: at("2026-03-31T16:00:00Z"),
            }),
            indicators: vec![coverage, training],
            score: Some(12.5),
            cases: Some(v1::CaseFigures { first_response_median_s: Some(5_400), ..Default::default() }),
            basis: Some(v1::Basis {
                position: 7,
                head_hash: vec![0xab; 32].into(),
                as_of: at("2026-04-02T01:00:00Z"),
                rule_set: "bawaan-1".into(),
                sample_data: true,
            }),
            ..Default::default()
        }
    }

    /// Two kecamatan with three kelurahan.
    pub(in crate::export) fn report() -> Report {
        let levels = Levels {
            asked: vec![
                evaluation("53.71.01.1001", "Alak"),
                evaluation("53.71.01.1002", "Batuplat"),
                evaluation("53.71.02.1001", "=Sikumana"),
            ],
            kecamatan: vec![evaluation("53.71.01", "Alak"), evaluation("53.71.02", "Maulafa/Baru")],
            kota: vec![evaluation("53.71", "Kota Kupang")],
        };
        Report::of(levels, "", TimeZone::get("Asia/Makassar").unwrap())
    }

    #[test]
    fn every_level_is_a_row_of_the_csv_and_what_is_undefined_an_empty_cell() {
        let mut out = Vec::new();
        write_csv(&report(), &mut out).unwrap();
        let mut reader = csv::Reader::from_reader(out.as_slice());
        let header = reader.headers().unwrap().clone();
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        let cell =
            |row: usize, name: &str| rows[row][header.iter().position(|title| title == name).unwrap()].to_owned();
        let levels: Vec<String> = (0..rows.len()).map(|row| cell(row, "level")).collect();
        assert_eq!(levels, ["kelurahan", "kelurahan", "kelurahan", "kecamatan", "kecamatan", "kota"]);
        assert_eq!((cell(5, "school_coverage_percent"), cell(5, "score")), ("12.5".into(), "12.5".into()));
        assert_eq!((cell(0, "training_num"), cell(0, "training_percent")), (String::new(), String::new()));
        assert_eq!((cell(0, "as_of"), cell(0, "data")), ("2026-04-02T01:00:00Z".into(), "DATA CONTOH".into()));
    }

    #[test]
    fn the_parquet_file_holds_the_same_rows_and_names_what_they_are_made_of() {
        let mut out = Vec::new();
        write_parquet(&report(), &mut out).unwrap();
        let reader = SerializedFileReader::new(prost::bytes::Bytes::from(out)).unwrap();
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        let column = |name: &str| figures::fields().iter().position(|field| field.name == name).unwrap();
        assert_eq!(rows.len(), 6);
        assert_eq!(rows[4].get_string(column("name")).unwrap(), "Maulafa/Baru");
        assert_eq!(rows[4].get_long(column("school_coverage_den")).unwrap(), 8);
        assert!(rows[4].get_long(column("training_den")).is_err(), "null");
        let facts = reader.metadata().file_metadata().key_value_metadata().unwrap().clone();
        let fact = |name: &str| facts.iter().find(|fact| fact.key == name).and_then(|fact| fact.value.clone()).unwrap();
        assert_eq!((fact("satgas.head_position"), fact("satgas.sample_data")), ("7".into(), "true".into()));
        assert_eq!(fact("satgas.head_hash"), "ab".repeat(32));
    }

    #[test]
    fn a_period_and_a_file_with_a_known_ending_are_needed() {
        let parse = |line: &[&str]| Line::try_parse_from([&["evaluations"], line].concat());
        assert_eq!(parse(&["--period", "2026-Q1", "--to", "a.xlsx"]).unwrap().args.to.kind, Kind::Xlsx);
        assert!(parse(&["--to", "a.xlsx"]).is_err());
        let error = parse(&["--period", "2026", "--to", "a.pdf"]).unwrap_err().to_string();
        assert!(error.contains(".csv, .xlsx or .parquet"), "{error}");
    }
}
