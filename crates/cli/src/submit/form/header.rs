//! The header of an export: which of its columns the mapping means, and which of them hold the instance's id.
//!
//! Exports write a question in a group as `group/question`, `group-question` and so on, or without its group; the same way in
//! the whole file. The mapping always writes `group/question`.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use anyhow::bail;

use super::mapping::Mapping;
use crate::submit::rejected::LINE_COLUMN;

/// How exports separate a group from what is in it, besides leaving it out.
const SEPARATORS: [&str; 5] = ["/", "-", ":", ".", "__"];

/// Columns with an id that stays through edits.
const STABLE_IDS: [&str; 2] = ["meta/rootUuid", "KEY"];
/// Columns whose id is another one after an edit.
const VERSION_IDS: [&str; 4] = ["_uuid", "meta/instanceID", "instanceID", "_instanceID"];
/// Columns that are filled when a row is an edited version.
const EDITED: [&str; 2] = ["meta/deprecatedID", "deprecatedID"];

/// What is known of an export before its first row.
#[derive(Debug)]
pub(super) struct Header {
    /// Columns with the instance's id, the first with content counts.
    pub(super) stable_ids: Vec<usize>,
    /// Columns with an id that an edit changes.
    pub(super) version_ids: Vec<usize>,
    /// Columns that tell that there was an edit.
    pub(super) edited: Vec<usize>,
    /// Whether the file is one of rejected rows, so a part of an export.
    pub(super) holds_rejected: bool,
    /// What the file of rejected rows keeps.
    pub(super) layout: Arc<Layout>,
    by_name: HashMap<String, usize>,
}

/// The columns that are looked at, and nothing of the others.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Separator of the export.
    pub(crate) delimiter: u8,
    /// The export's own names of the columns kept, in its order.
    pub(crate) columns: Vec<String>,
    /// The export's columns by the paths of the fields that they give.
    pub(crate) by_field: HashMap<String, String>,
    /// Where the columns kept are in a row of the export.
    pub(super) places: Vec<usize>,
}

impl Header {
    /// Finds the mapping's columns in a header line. `linked` are the places of columns by which repeats find their parents.
    ///
    /// # Errors
    /// Every column that is missing or there twice, or that the export has no id.
    pub(super) fn new(
        names: &[String],
        mapping: &Mapping,
        delimiter: u8,
        linked: impl Iterator<Item = usize>,
    ) -> anyhow::Result<Self> {
        let mut fields = mapping.fields();
        fields.retain(|field| field.repeat.is_none());
        let wanted = fields.iter().filter_map(|field| field.source.column_name()).collect();
        let by_name = columns(names, &wanted, None)?;
        let (stable_ids, version_ids) = match &mapping.instance_id {
            Some(named) => (places(names, named.iter().map(String::as_str)), Vec::new()),
            None => (places(names, STABLE_IDS), places(names, VERSION_IDS)),
        };
        if stable_ids.is_empty() && version_ids.is_empty() {
            bail!(
                "the export has no column with the id of the form's instance ({}), so its records could not be told apart \
                 when it is sent again; export it with that column, or name another one in the mapping's instance_id",
                [&STABLE_IDS[..], &VERSION_IDS[..]].concat().join(", ")
            );
        }
        let edited = if mapping.instance_id.is_some() { Vec::new() } else { places(names, EDITED) };
        let ids = [&stable_ids, &version_ids, &edited].into_iter().flatten();
        let kept: BTreeSet<usize> = by_name.values().chain(ids).copied().chain(linked).collect();
        let by_field = fields.iter().filter_map(|field| {
            let place = by_name.get(field.source.column_name()?)?;
            Some((field.path.clone(), names[*place].clone()))
        });
        let layout = Layout {
            delimiter,
            columns: kept.iter().map(|&place| names[place].clone()).collect(),
            by_field: by_field.collect(),
            places: kept.into_iter().collect(),
        };
        let holds_rejected = names.iter().any(|name| name == LINE_COLUMN);
        Ok(Self { stable_ids, version_ids, edited, holds_rejected, layout: Arc::new(layout), by_name })
    }

    /// The place of a column of the mapping.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }
}

/// The places of all columns that the mapping names, in the export or in the file of a repeat, whose name may stand before each.
///
/// # Errors
/// Every column that is missing or there twice.
pub(super) fn columns(
    names: &[String],
    wanted: &BTreeSet<&str>,
    repeat: Option<&str>,
) -> anyhow::Result<HashMap<String, usize>> {
    let style = Style::of(names, wanted, repeat);
    let mut found = HashMap::new();
    let mut problems = Vec::new();
    for &name in wanted {
        let written = style.write(name);
        match &*places_of(names, &written) {
            [place] => {
                if let Some((other, _)) = found.iter().find(|&(_, taken)| taken == place) {
                    problems
                        .push(format!("`{name}` and `{other}` are both `{written}` there: export it with its groups"));
                }
                found.insert(name.to_owned(), *place);
            }
            [] if written == name => problems.push(format!("`{name}` is missing")),
            [] => problems.push(format!("`{name}` is missing, also as `{written}`")),
            _ => problems.push(format!("`{written}` is there more than once")),
        }
    }
    if problems.is_empty() {
        return Ok(found);
    }
    problems.sort_unstable();
    bail!("the export does not fit the mapping; mend one of them, nothing was sent yet:\n  {}", problems.join("\n  "))
}

/// How an export writes a question in a group.
#[derive(Clone, Copy)]
enum Style<'a> {
    /// Groups before the question, a separator between them.
    Separated(&'static str),
    /// As before, and the repeat in front of all.
    WithinRepeat(&'static str, &'a str),
    WithoutGroup,
}

impl<'a> Style<'a> {
    /// The way that finds most of what is wanted; with groups before without.
    fn of(names: &[String], wanted: &BTreeSet<&str>, repeat: Option<&'a str>) -> Self {
        let within = repeat.into_iter().flat_map(|repeat| SEPARATORS.map(|by| Self::WithinRepeat(by, repeat)));
        let styles = SEPARATORS.map(Self::Separated).into_iter().chain(within).chain([Self::WithoutGroup]);
        let styles: Vec<Self> = styles.collect();
        let hits = |style: &Self| wanted.iter().filter(|name| names.contains(&style.write(name))).count();
        // `max_by_key` takes the last of equals.
        styles.into_iter().rev().max_by_key(hits).unwrap_or(Self::WithoutGroup)
    }

    fn write(self, name: &str) -> String {
        match self {
            Self::Separated(separator) => name.replace('/', separator),
            Self::WithinRepeat(separator, repeat) => format!("{repeat}/{name}").replace('/', separator),
            Self::WithoutGroup => name.rsplit('/').next().unwrap_or(name).to_owned(),
        }
    }
}

/// The places of those of the columns that are there, however they are written.
pub(super) fn places<'a>(names: &[String], wanted: impl IntoIterator<Item = &'a str>) -> Vec<usize> {
    let mut places = Vec::new();
    for name in wanted {
        let written = SEPARATORS.map(|separator| name.replace('/', separator));
        let found = written.iter().find_map(|written| places_of(names, written).first().copied());
        places.extend(found.filter(|place| !places.contains(place)));
    }
    places
}

fn places_of(names: &[String], wanted: &str) -> Vec<usize> {
    names.iter().enumerate().filter(|(_, name)| *name == wanted).map(|(place, _)| place).collect()
}

/// The separator that the first line has most of, outside quotation marks.
pub(super) fn delimiter(first_line: &[u8]) -> u8 {
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    let mut quoted = false;
    for &byte in first_line {
        quoted ^= byte == b'"';
        let count = counts.iter_mut().find(|(separator, _)| *separator == byte && !quoted);
        if let Some((_, count)) = count {
            *count += 1;
        }
    }
    // Of equals the first: a comma.
    counts.into_iter().rev().max_by_key(|&(_, count)| count).map_or(b',', |(separator, _)| separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPPING: &str = r#"
        device_id = { value = "kobo" }
        occurred_at = "kunjungan/tanggal"
        area_code = "lokasi/kelurahan"
        [school_visit]
        school_id = "lokasi/sekolah"
        purpose = "tujuan"
    "#;

    fn header(line: &str) -> anyhow::Result<Header> {
        let names: Vec<String> = line.split(',').map(str::to_owned).collect();
        Header::new(&names, &Mapping::parse(MAPPING).unwrap(), b',', std::iter::empty())
    }

    #[test]
    fn a_question_is_found_however_the_export_writes_its_group() {
        for line in [
            "_uuid,kunjungan/tanggal,lokasi/kelurahan,lokasi/sekolah,tujuan",
            "_uuid,kunjungan-tanggal,lokasi-kelurahan,lokasi-sekolah,tujuan",
            "_uuid,kunjungan:tanggal,lokasi:kelurahan,lokasi:sekolah,tujuan",
            "_uuid,tanggal,kelurahan,sekolah,tujuan",
        ] {
            let header = header(line).unwrap();
            let place = |name| header.place(name);
            assert_eq!((place("kunjungan/tanggal"), place("tujuan")), (Some(1), Some(4)), "{line}");
        }
    }

    #[test]
    fn all_that_is_missing_or_there_twice_is_named_at_once() {
        let error = header("_uuid,kunjungan/tanggal,lokasi/kelurahan,lokasi/kelurahan").unwrap_err().to_string();
        assert!(error.contains("`lokasi/sekolah` is missing"), "{error}");
        assert!(error.contains("`tujuan` is missing"), "{error}");
        assert!(error.contains("`lokasi/kelurahan` is there more than once"), "{error}");
    }

    #[test]
    fn two_questions_that_read_alike_without_their_groups_are_refused() {
        let mapping = MAPPING.replace("\"tujuan\"", "\"kunjungan/sekolah\"");
        let names = ["_uuid", "tanggal", "kelurahan", "sekolah"].map(str::to_owned);
        let mapping = Mapping::parse(&mapping).unwrap();
        let error = Header::new(&names, &mapping, b',', std::iter::empty()).unwrap_err().to_string();
        assert!(error.contains("export it with its groups"), "{error}");
    }

    #[test]
    fn an_export_without_any_id_is_refused() {
        let error = header("kunjungan/tanggal,lokasi/kelurahan,lokasi/sekolah,tujuan").unwrap_err().to_string();
        assert!(error.contains("_uuid") && error.contains("instance_id"), "{error}");
    }

    #[test]
    fn an_id_that_stays_goes_before_one_that_an_edit_changes() {
        let kobo = header("_uuid,meta/rootUuid,kunjungan/tanggal,lokasi/kelurahan,lokasi/sekolah,tujuan").unwrap();
        assert_eq!((kobo.stable_ids, kobo.version_ids), (vec![1], vec![0]));
        let odk = header("meta-instanceID,kunjungan-tanggal,lokasi-kelurahan,lokasi-sekolah,tujuan,KEY").unwrap();
        assert_eq!((odk.stable_ids, odk.version_ids), (vec![5], vec![0]));
    }

    #[test]
    fn only_columns_that_are_looked_at_are_kept() {
        let header = header("nama,_uuid,kunjungan/tanggal,telepon,lokasi/kelurahan,lokasi/sekolah,tujuan").unwrap();
        let kept = ["_uuid", "kunjungan/tanggal", "lokasi/kelurahan", "lokasi/sekolah", "tujuan"];
        assert_eq!(header.layout.columns, kept);
        assert_eq!(header.layout.places, [1, 2, 4, 5, 6]);
    }

    #[test]
    fn the_separator_is_counted_outside_quotation_marks() {
        assert_eq!(delimiter(b"a;b;c"), b';');
        assert_eq!(delimiter(b"\"a;b;c;d\",e,f"), b',');
        assert_eq!(delimiter(b"a\tb"), b'\t');
        assert_eq!(delimiter(b"alone"), b',');
    }
}
