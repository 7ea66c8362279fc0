//! `satgas export statistics`: a crossed table of cases as one file.
//!
//! Invariant: all cells come with one answer of the server, so with one log position.

use std::io::{self, BufWriter, Write};

use clap::ValueEnum;
use satgas_proto::v1;

use super::{
    draft::{Draft, Target, target},
    rows::Rows,
    standing::Standing,
    table::{self, Field, Value},
    workbook,
};
use crate::{
    connect::Connection,
    print::{self, SAMPLE, hex},
    statistics::{Cross, Selection, column},
    time,
};

/// Of the columns of a Parquet file; a column that changes its name or meaning raises it.
const SCHEMA_VERSION: u32 = 1;

/// Which statistics, and where they go.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    selection: Selection,
    /// The last of several periods, such as 2026-06 [default: the first alone]
    #[arg(long, value_name = "PERIOD", default_value = "", hide_default_value = true, requires = "from")]
    until: String,
    /// File to write; its ending, .csv, .xlsx or .parquet, chooses what it is
    #[arg(long, value_name = "FILE", value_parser = target::<Kind>)]
    to: Target<Kind>,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

/// What a file of statistics is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Csv,
    Xlsx,
    Parquet,
}

/// Counts and writes.
pub(super) async fn run(args: &Args, server: &Connection) -> anyhow::Result<()> {
    let draft = Draft::beside(&args.to.path, args.force)?;
    let log = server.log().await?;
    let cross = args.selection.ask(&args.until, server, &log).await?;
    let standing = Standing {
        period: cross.answer.period.clone().unwrap_or_default(),
        area: args.selection.area.clone(),
        basis: cross.answer.basis.clone().unwrap_or_default(),
        zone: log.zone,
        exported_at: time::now(),
    };
    match args.to.kind {
        Kind::Csv => write_csv(&cross, &standing, BufWriter::new(draft.file()))?,
        Kind::Xlsx => workbook::write_crossed(&cross, &standing, BufWriter::new(draft.file()))?,
        Kind::Parquet => write_parquet(&cross, &standing, draft.file())?,
    }
    draft.publish()?;
    let mut out = io::stdout().lock();
    let v1::Basis { position, head_hash, sample_data, .. } = &standing.basis;
    print::banner(&mut out, *sample_data)?;
    let (file, cells, period, head) =
        (args.to.path.display(), cross.answer.cells.len(), &standing.period.code, hex(head_hash, 16));
    writeln!(out, "{file}: {cells} cells with cases of {period} at log position {position}, head {head}")?;
    Ok(())
}

/// The columns: a code for each dimension, absent where the row is the sum over it, the cases, and what they are made of.
fn fields(cross: &Cross) -> Vec<Field> {
    let dimensions = cross.dimensions.iter().map(|&dimension| Field::optional(&column(dimension), table::Kind::Text));
    let others = [
        Field::required("cases", table::Kind::Count),
        Field::required("period", table::Kind::Text),
        Field::optional("as_of", table::Kind::Time),
        Field::required("position", table::Kind::Count),
        Field::required("head_hash", table::Kind::Text),
        Field::required("rule_set", table::Kind::Text),
        Field::optional("data", table::Kind::Text),
    ];
    dimensions.chain(others).collect()
}

fn row(cell: &v1::TableCell, standing: &Standing) -> Vec<Value> {
    let v1::Basis { position, head_hash, as_of, rule_set, sample_data } = &standing.basis;
    let facts = [
        Value::Count(cell.cases),
        Value::Text(standing.period.code.clone()),
        Value::time(as_of.as_ref()),
        Value::Count(*position),
        Value::Text(hex(head_hash, 64)),
        Value::Text(rule_set.clone()),
        Value::text(if *sample_data { SAMPLE } else { "" }),
    ];
    cell.codes.iter().map(Value::text).chain(facts).collect()
}

fn write_csv(cross: &Cross, standing: &Standing, out: impl Write) -> anyhow::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(fields(cross).iter().map(|field| &field.name))?;
    for cell in &cross.answer.cells {
        writer.write_record(row(cell, standing).into_iter().map(Value::into_csv))?;
    }
    Ok(writer.flush()?)
}

fn write_parquet(cross: &Cross, standing: &Standing, out: impl Write + Send) -> anyhow::Result<()> {
    let mut facts = vec![("schema", "satgas.v1.TableCell".to_owned()), ("schema_version", SCHEMA_VERSION.to_string())];
    facts.extend(standing.facts());
    let mut rows = Rows::new(out, "table_cell", &fields(cross), facts)?;
    for cell in &cross.answer.cells {
        rows.push(row(cell, standing))?;
    }
    rows.finish()
}
