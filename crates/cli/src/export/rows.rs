//! A Parquet file, written row by row.
//!
//! Invariant: memory holds one row group at most. It is written when it has [`GROUP_ROWS`] rows or [`GROUP_BYTES`] bytes, so a file of
//! any length takes the same memory, but for a few kilobytes of footer for each group.

use std::{io::Write, sync::Arc};

use anyhow::{Context as _, bail};
use parquet::{
    basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical},
    data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type},
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties},
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::{ColumnPath, Type},
};

use super::table::{Field, Kind, Value};

/// Rows of a group.
const GROUP_ROWS: usize = 50_000;
/// Bytes of values of a group, roughly.
const GROUP_BYTES: usize = 24 << 20;
/// What a value takes in memory beside its text.
const VALUE_BYTES: usize = 40;

/// The file.
pub(super) struct Rows<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
}

impl<W: Write + Send> Rows<W> {
    /// Begins the file. `facts` go into its metadata, each under a name of `satgas.`.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub(super) fn new(out: W, message: &str, fields: &[Field], facts: Vec<(&str, String)>) -> anyhow::Result<Self> {
        let schema = fields.iter().map(schema_of).collect::<Result<Vec<_>, _>>()?;
        let schema = Type::group_type_builder(message).with_fields(schema).build()?;
        let facts = facts.into_iter().map(|(name, fact)| KeyValue::new(format!("satgas.{name}"), fact)).collect();
        let mut properties = WriterProperties::builder()
            .set_created_by(concat!("satgas ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::SNAPPY)
            .set_key_value_metadata(Some(facts));
        for field in fields.iter().filter(|field| field.kind == Kind::Document) {
            // No two documents are alike: a dictionary of them, or the first and last in the alphabet, help nobody.
            let path = ColumnPath::from(field.name.as_str());
            properties = properties.set_column_dictionary_enabled(path.clone(), false);
            properties = properties.set_column_statistics_enabled(path, EnabledStatistics::None);
        }
        let writer = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties.build()))?;
        Ok(Self { writer, columns: fields.iter().map(Column::of).collect(), rows: 0, bytes: 0 })
    }

    /// Adds a row with a value for each field, in their order.
    ///
    /// # Errors
    /// When a full group cannot be written, or the row does not fit the fields.
    pub(super) fn push(&mut self, row: Vec<Value>) -> anyhow::Result<()> {
        if row.len() != self.columns.len() {
            bail!("a row of {} values for {} columns", row.len(), self.columns.len());
        }
        for (column, value) in self.columns.iter_mut().zip(row) {
            self.bytes += VALUE_BYTES + column.push(value)?;
        }
        self.rows += 1;
        if self.rows >= GROUP_ROWS || self.bytes >= GROUP_BYTES {
            self.write_group()?;
        }
        Ok(())
    }

    /// Writes what is left, and the footer.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        if self.rows > 0 {
            self.write_group()?;
        }
        self.writer.into_inner()?.flush().map_err(Into::into)
    }

    fn write_group(&mut self) -> anyhow::Result<()> {
        let mut group = self.writer.next_row_group()?;
        for column in &mut self.columns {
            column.write(&mut group)?;
        }
        group.close()?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}

fn schema_of(field: &Field) -> parquet::errors::Result<Arc<Type>> {
    let (physical, logical) = match field.kind {
        Kind::Count => (Physical::INT64, None),
        Kind::Real => (Physical::DOUBLE, None),
        Kind::Flag => (Physical::BOOLEAN, None),
        Kind::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
        Kind::Text | Kind::Document => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
    };
    let repetition = if field.required { Repetition::REQUIRED } else { Repetition::OPTIONAL };
    let builder = Type::primitive_type_builder(&field.name, physical).with_repetition(repetition);
    builder.with_logical_type(logical).build().map(Arc::new)
}

/// The values of one column of the group that is being filled.
struct Column {
    values: Values,
    /// 1 for each row with a value, 0 for each without; kept for optional columns only.
    present: Option<Vec<i16>>,
}

enum Values {
    Integers(Vec<i64>),
    Reals(Vec<f64>),
    Flags(Vec<bool>),
    Texts(Vec<ByteArray>),
}

impl Column {
    fn of(field: &Field) -> Self {
        let values = match field.kind {
            Kind::Count | Kind::Time => Values::Integers(Vec::new()),
            Kind::Real => Values::Reals(Vec::new()),
            Kind::Flag => Values::Flags(Vec::new()),
            Kind::Text | Kind::Document => Values::Texts(Vec::new()),
        };
        Self { values, present: (!field.required).then(Vec::new) }
    }

    /// Adds a value, and tells the bytes of its text.
    fn push(&mut self, value: Value) -> anyhow::Result<usize> {
        let mut text_bytes = 0;
        let present = value != Value::Absent;
        match (&mut self.values, value) {
            (_, Value::Absent) if self.present.is_some() => {}
            (Values::Integers(values), Value::Count(count)) => {
                values.push(i64::try_from(count).context("a count too large for a file")?);
            }
            (Values::Integers(values), Value::Time(time)) => values.push(time.as_microsecond()),
            (Values::Reals(values), Value::Real(number)) => values.push(number),
            (Values::Flags(values), Value::Flag(flag)) => values.push(flag),
            (Values::Texts(values), Value::Text(text)) => {
                text_bytes = text.len();
                values.push(ByteArray::from(text.into_bytes()));
            }
            _ => bail!("a value does not belong into its column"),
        }
        if let Some(levels) = &mut self.present {
            levels.push(present.into());
        }
        Ok(text_bytes)
    }

    /// Writes the column as the group's next, and empties it.
    fn write<W: Write + Send>(&mut self, group: &mut SerializedRowGroupWriter<'_, W>) -> anyhow::Result<()> {
        let mut writer = group.next_column()?.context("the file has fewer columns than it was begun with")?;
        let levels = self.present.as_deref();
        match &mut self.values {
            Values::Integers(values) => {
                writer.typed::<Int64Type>().write_batch(values, levels, None)?;
                values.clear();
            }
            Values::Reals(values) => {
                writer.typed::<DoubleType>().write_batch(values, levels, None)?;
                values.clear();
            }
            Values::Flags(values) => {
                writer.typed::<BoolType>().write_batch(values, levels, None)?;
                values.clear();
            }
            Values::Texts(values) => {
                writer.typed::<ByteArrayType>().write_batch(values, levels, None)?;
                values.clear();
            }
        }
        if let Some(levels) = &mut self.present {
            levels.clear();
        }
        writer.close()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use parquet::{
        file::reader::{FileReader as _, SerializedFileReader},
        record::RowAccessor as _,
    };

    use super::*;

    fn fields() -> [Field; 5] {
        [
            Field::required("position", Kind::Count),
            Field::optional("score", Kind::Real),
            Field::required("applicable", Kind::Flag),
            Field::optional("recorded_at", Kind::Time),
            Field::required("body_json", Kind::Document),
        ]
    }

    fn row(position: u64) -> Vec<Value> {
        let even = position.is_multiple_of(2);
        vec![
            Value::Count(position),
            Value::real(even.then_some(0.5)),
            Value::Flag(even),
            Value::time(even.then_some(&pbjson_types::Timestamp { seconds: 1, nanos: 2_000_000 })),
            Value::Text(format!("{{\"n\":{position}}}")),
        ]
    }

    fn written(count: u64) -> SerializedFileReader<prost::bytes::Bytes> {
        let mut out = Vec::new();
        let facts = vec![("head_position", count.to_string())];
        let mut rows = Rows::new(&mut out, "event", &fields(), facts).unwrap();
        (1..=count).for_each(|position| rows.push(row(position)).unwrap());
        rows.finish().unwrap();
        SerializedFileReader::new(prost::bytes::Bytes::from(out)).unwrap()
    }

    #[test]
    fn every_value_comes_back_and_an_absent_one_is_null() {
        let reader = written(2);
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].get_long(0).unwrap(), rows[0].get_bool(2).unwrap()), (1, false));
        assert!(rows[0].get_double(1).is_err() && rows[0].get_timestamp_micros(3).is_err(), "null");
        assert_eq!((rows[1].get_double(1).unwrap(), rows[1].get_timestamp_micros(3).unwrap()), (0.5, 1_002_000));
        assert_eq!(rows[1].get_string(4).unwrap(), "{\"n\":2}");
    }

    #[test]
    fn groups_are_bounded_and_together_hold_every_row_in_order() {
        let count = u64::try_from(GROUP_ROWS).unwrap() * 2 + 7;
        let reader = written(count);
        let groups: Vec<i64> = reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
        assert_eq!(groups, [50_000, 50_000, 7]);
        let positions = reader.get_row_iter(None).unwrap().map(|row| row.unwrap().get_long(0).unwrap());
        assert!(positions.eq(1..=i64::try_from(count).unwrap()));
    }

    #[test]
    fn a_group_of_large_documents_is_written_before_it_has_all_rows() {
        let mut rows = Rows::new(Vec::new(), "event", &[Field::required("body_json", Kind::Document)], vec![]).unwrap();
        for _ in 0..30 {
            rows.push(vec![Value::Text("x".repeat(1 << 20))]).unwrap();
        }
        assert_eq!(rows.writer.flushed_row_groups().len(), 1);
        assert!(rows.bytes < GROUP_BYTES);
    }

    #[test]
    fn a_file_without_rows_still_has_its_columns_and_facts() {
        let reader = written(0);
        let metadata = reader.metadata().file_metadata();
        assert_eq!((metadata.num_rows(), metadata.schema_descr().num_columns()), (0, 5));
        let facts = metadata.key_value_metadata().unwrap();
        assert_eq!((facts[0].key.as_str(), facts[0].value.as_deref()), ("satgas.head_position", Some("0")));
    }

    #[test]
    fn a_value_that_does_not_fit_its_column_is_refused() {
        let mut rows = Rows::new(Vec::new(), "event", &fields(), vec![]).unwrap();
        assert!(rows.push(vec![Value::Count(1)]).is_err());
        let mut row = row(1);
        row[0] = Value::Absent;
        assert!(rows.push(row).is_err());
    }
}
