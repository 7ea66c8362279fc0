//! Groups of a form that repeat. Exports write each to a file of its own, whose rows name the row of the export that they belong to: its
//! parent.
//!
//! Invariants: the rows of a parent have the same order however the file is sorted, by the number that the tool gave each; only columns
//! that the mapping names are kept; a row whose parent never comes is told by file and line, never by what stands in it.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::{
    header::{self, columns},
    identity,
    mapping::Mapping,
    sheet::Sheet,
};

/// How the tools name a parent: the column of the repeat's file, and the column of the export that holds the same.
const LINKS: [(&str, &str); 5] = [
    ("PARENT_KEY", "KEY"),
    ("_submission__uuid", "_uuid"),
    ("_submission_meta/rootUuid", "meta/rootUuid"),
    ("_submission__id", "_id"),
    ("_parent_index", "_index"),
];
/// What the rows of all repeats may take in memory, in bytes of their cells.
const REPEATS_BYTES_MAX: usize = 256 << 20;

/// Where the rows of a group are that repeats.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RepeatSource {
    /// What its file may be called; it lies beside the export.
    pub(super) files: Vec<String>,
    /// The column that names a row's parent; the tools' own by default.
    parent: Option<String>,
    /// The column of the export that holds the same; by default the one that belongs to `parent`.
    parent_is: Option<String>,
}

impl RepeatSource {
    /// The columns that join its rows to the export, when the mapping says them.
    pub(super) fn link(&self) -> Option<(&str, &str)> {
        let parent = self.parent.as_deref()?;
        let known = LINKS.iter().find(|(child, _)| *child == parent).map(|&(_, export)| export);
        Some((parent, self.parent_is.as_deref().or(known)?))
    }

    /// What is wrong with it, seen without a file.
    pub(super) fn problem(&self) -> Option<&'static str> {
        if self.files.is_empty() {
            return Some("files: name at least one");
        }
        match (&self.parent, &self.parent_is) {
            (None, Some(_)) => Some("parent: say which column of the repeat's file holds what stands in parent_is"),
            (Some(_), None) if self.link().is_none() => {
                Some("parent_is: say which column of the export holds what stands in parent")
            }
            _ => None,
        }
    }
}

/// Where the repeats are, by their names.
pub(super) type Files = BTreeMap<String, PathBuf>;

/// Finds the file of every repeat: the one that is named for it, or the one of the mapping's that lies beside the export.
///
/// # Errors
/// When there is none, or more than one.
pub(super) fn find(mapping: &Mapping, folder: &Path, named: &[(String, PathBuf)]) -> anyhow::Result<Files> {
    if let Some((unknown, _)) = named.iter().find(|(name, _)| !mapping.repeats.contains_key(name)) {
        let known: Vec<&str> = mapping.repeats.keys().map(String::as_str).collect();
        bail!("--repeat {unknown}: the mapping has no such repeat; it has: {}", known.join(", "));
    }
    let file = |(name, source): (&String, &RepeatSource)| {
        let path = match named.iter().find(|(of, _)| of == name) {
            Some((_, path)) => path.clone(),
            None => beside(name, source, folder)?,
        };
        Ok((name.clone(), path))
    };
    mapping.repeats.iter().map(file).collect()
}

fn beside(name: &str, source: &RepeatSource, folder: &Path) -> anyhow::Result<PathBuf> {
    let candidates: Vec<PathBuf> = source.files.iter().map(|file| folder.join(file)).collect();
    let there: Vec<&PathBuf> = candidates.iter().filter(|path| path.is_file()).collect();
    let names = || candidates.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    match &*there {
        [only] => Ok(PathBuf::clone(only)),
        [] => bail!(
            "the rows of the repeat `{name}` are missing: looked for {}; export them as well, or name their file with --repeat \
             {name}=FILE. Nothing was sent",
            names()
        ),
        _ => bail!(
            "the rows of the repeat `{name}` are there more than once: {}; name the file that belongs to this export with --repeat \
             {name}=FILE. Nothing was sent",
            names()
        ),
    }
}

/// All repeats of an export.
#[derive(Default)]
pub(super) struct Repeats(BTreeMap<String, Repeat>);

/// The rows of one repeat.
pub(super) struct Repeat {
    /// The file, as reasons name it.
    file: String,
    /// Where the mapping's columns are in a row's cells.
    places: HashMap<String, usize>,
    /// Where the export has what names the parent.
    parent_place: usize,
    families: HashMap<String, Family>,
}

/// The rows of one parent.
#[derive(Default)]
struct Family {
    rows: Vec<Member>,
    claimed: Cell<bool>,
}

/// A row.
pub(super) struct Member {
    /// Its line in the file.
    line: u64,
    /// Its number by the tool.
    order: Option<u64>,
    /// Why it cannot be taken.
    pub(super) problem: Option<String>,
    cells: csv::ByteRecord,
}

impl Repeats {
    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be read, does not fit the mapping, or does not name its parents by a column of the export.
    pub(super) fn read(mapping: &Mapping, files: &Files, export: &[String]) -> anyhow::Result<Self> {
        let mut left = REPEATS_BYTES_MAX;
        let mut repeats = BTreeMap::new();
        for (name, path) in files {
            let named = || format!("{} (the repeat `{name}`)", path.display());
            let input = BufReader::new(File::open(path).with_context(named)?);
            let file = path.file_name().map_or_else(|| path.display().to_string(), |name| name.display().to_string());
            let repeat = Repeat::read(input, file, name, mapping, export, &mut left).with_context(named)?;
            repeats.insert(name.clone(), repeat);
        }
        Ok(Self(repeats))
    }

    /// The places of the export's columns that name parents: they are kept, so that a mended row finds its own again.
    pub(super) fn parent_places(&self) -> impl Iterator<Item = usize> {
        self.0.values().map(|repeat| repeat.parent_place)
    }

    /// The rows of a repeat that belong to a row of the export.
    pub(super) fn of<'a>(&'a self, name: &str, parent: &csv::ByteRecord) -> (Option<&'a Repeat>, &'a [Member]) {
        let repeat = self.0.get(name);
        let family = repeat.and_then(|repeat| repeat.family(parent));
        (repeat, family.map_or(&[], |family| &family.rows))
    }

    /// Notes that a row of the export is there, whatever becomes of it.
    pub(super) fn claim(&self, parent: &csv::ByteRecord) {
        self.0.values().filter_map(|repeat| repeat.family(parent)).for_each(|family| family.claimed.set(true));
    }

    /// The file and line of every row whose parent never came, in order.
    pub(super) fn orphans(&self) -> Vec<(&str, u64)> {
        let of = |repeat: &Repeat| {
            let unclaimed = repeat.families.values().filter(|family| !family.claimed.get());
            let mut lines: Vec<u64> = unclaimed.flat_map(|family| &family.rows).map(|row| row.line).collect();
            lines.sort_unstable();
            lines
        };
        self.0.values().flat_map(|repeat| of(repeat).into_iter().map(|line| (repeat.file.as_str(), line))).collect()
    }
}

impl Repeat {
    fn read(
        input: impl BufRead,
        file: String,
        name: &str,
        mapping: &Mapping,
        export: &[String],
        left: &mut usize,
    ) -> anyhow::Result<Self> {
        let mut sheet = Sheet::open(input, mapping.delimiter)?;
        let fields = mapping.fields();
        let of_repeat = fields.iter().filter(|field| field.repeat == Some(name));
        let wanted: BTreeSet<&str> = of_repeat.filter_map(|field| field.source.column_name()).collect();
        let found = columns(&sheet.names, &wanted, Some(name))?;
        let (link_place, parent_place) = link(mapping.repeats.get(name), &sheet.names, export)?;
        let order = Order::of(&sheet.names);
        let kept: BTreeSet<usize> = found.values().copied().collect();
        let place_of = |place: &usize| kept.iter().position(|kept| kept == place).unwrap_or(usize::MAX);
        let places = found.iter().map(|(column, place)| (column.clone(), place_of(place))).collect();
        let mut families: HashMap<String, Family> = HashMap::new();
        let mut cells = csv::ByteRecord::new();
        while let Some(line) = sheet.next(&mut cells)? {
            let parent = key(cells.get(link_place).unwrap_or_default());
            let row = Member {
                line,
                order: order.of_row(&cells),
                problem: sheet.misfit(&cells),
                cells: kept.iter().map(|&place| cells.get(place).unwrap_or_default()).collect(),
            };
            let bytes = row.cells.as_slice().len() + parent.len();
            *left = left
                .checked_sub(bytes)
                .context("the repeats have more than 256 MiB together: export a shorter time")?;
            families.entry(parent).or_default().rows.push(row);
        }
        families.values_mut().for_each(|family| family.put_in_order());
        Ok(Self { file, places, parent_place, families })
    }

    fn family(&self, parent: &csv::ByteRecord) -> Option<&Family> {
        // Rows without a parent are nobody's.
        let key = Some(key(parent.get(self.parent_place)?)).filter(|key| !key.is_empty())?;
        self.families.get(&key)
    }

    /// "tindak_lanjut.csv line 7".
    pub(super) fn origin(&self, row: &Member) -> String {
        format!("{} line {}", self.file, row.line)
    }

    /// What stands in a column of the mapping.
    pub(super) fn cell<'a>(&self, row: &'a Member, column: &str) -> &'a [u8] {
        self.places.get(column).and_then(|&place| row.cells.get(place)).unwrap_or_default()
    }
}

impl Family {
    /// By the tool's numbers where every row has one. A row that is there twice, as in two exports put together, is one; a number with two
    /// contents is refused.
    fn put_in_order(&mut self) {
        if !self.rows.iter().all(|row| row.order.is_some()) {
            return;
        }
        self.rows.sort_by_key(|row| row.order);
        self.rows.dedup_by(|row, before| row.order == before.order && row.cells == before.cells);
        for at in 1..self.rows.len() {
            let (before, row) = self.rows.split_at_mut(at);
            let before = &before[at - 1];
            if before.order == row[0].order {
                row[0].problem = Some(format!("the row is there before with other content, in line {}", before.line));
            }
        }
    }
}

/// Where a row tells its number among its neighbours.
enum Order {
    /// ODK: the last `[n]` of `KEY`.
    Key(usize),
    /// KoboToolbox: `_index`, counted through the whole file.
    Index(usize),
    None,
}

impl Order {
    fn of(names: &[String]) -> Self {
        let place = |wanted: &str| names.iter().position(|name| name == wanted);
        match (place("KEY"), place("_index")) {
            (Some(place), _) => Self::Key(place),
            (None, Some(place)) => Self::Index(place),
            (None, None) => Self::None,
        }
    }

    fn of_row(&self, cells: &csv::ByteRecord) -> Option<u64> {
        let text = |place: usize| std::str::from_utf8(cells.get(place)?).ok();
        match *self {
            Self::Key(place) => text(place)?.strip_suffix(']')?.rsplit_once('[')?.1.parse().ok(),
            Self::Index(place) => text(place)?.parse().ok(),
            Self::None => None,
        }
    }
}

/// The columns that join a repeat to its export: those of the mapping, or the first of the tools' that both have.
fn link(source: Option<&RepeatSource>, repeat: &[String], export: &[String]) -> anyhow::Result<(usize, usize)> {
    let named = source.and_then(RepeatSource::link);
    let links = named.map_or_else(|| LINKS.to_vec(), |named| vec![named]);
    let joined = links.iter().find_map(|&(child, parent)| {
        let place = |names: &[String], wanted: &str| header::places(names, [wanted]).first().copied();
        place(repeat, child).zip(place(export, parent))
    });
    joined.with_context(|| {
        let links: Vec<String> =
            links.iter().map(|(child, parent)| format!("`{child}` with `{parent}` there")).collect();
        format!(
            "no column names the row of the export that a row belongs to; taken are {}. Nothing was sent",
            links.join(", ")
        )
    })
}

/// An id as it is compared: tools write one with `uuid:` in one file and without in the other.
fn key(cell: &[u8]) -> String {
    std::str::from_utf8(cell).ok().and_then(identity::canonical).unwrap_or_default()
}
