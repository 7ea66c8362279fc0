//! What is wrong with a configuration, and what to write instead.

use std::fmt;

use figment::{
    Figment, Source,
    error::{Actual, Kind},
    providers::Serialized,
    value::Value,
};

use super::Config;

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Where it stands: a file, or a variable of the environment; empty where it is no single place.
    pub place: String,
    /// What is wrong, and what to do.
    pub what: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() { f.write_str(&self.what) } else { write!(f, "{}: {}", self.place, self.what) }
    }
}

/// Units at the end of a setting's name, and what they are in words.
const UNITS: [(&str, &str); 2] = [("_mib", "MiB"), ("_s", "seconds")];
/// Units that people write behind a number: how many bytes, or milliseconds, one is.
const BYTES: [(&str, u128); 8] = [
    ("b", 1),
    ("kb", 1_000),
    ("kib", 1 << 10),
    ("mb", 1_000_000),
    ("m", 1 << 20),
    ("mib", 1 << 20),
    ("gb", 1_000_000_000),
    ("gib", 1 << 30),
];
const MILLISECONDS: [(&str, u128); 12] = [
    ("ms", 1),
    ("s", 1_000),
    ("sec", 1_000),
    ("second", 1_000),
    ("seconds", 1_000),
    ("m", 60_000),
    ("min", 60_000),
    ("minutes", 60_000),
    ("h", 3_600_000),
    ("hours", 3_600_000),
    ("d", 86_400_000),
    ("days", 86_400_000),
];

/// Everything that keeps settings from being taken, key by key; `first` is what stopped the reading.
pub(super) fn all(figment: &Figment, first: figment::Error) -> Vec<Wrong> {
    let Ok(given) = figment.extract::<figment::value::Dict>() else { return vec![whole(&first)] };
    let defaults = defaults();
    let mut wrong: Vec<Wrong> = Vec::new();
    for (key, value) in given {
        let place = place(figment, &key);
        if !defaults.contains_key(&key) {
            wrong.push(Wrong { place, what: unknown(&key, &defaults) });
            continue;
        }
        let alone = Figment::from(Serialized::defaults(Config::default())).merge(Serialized::default(&key, &value));
        if let Err(error) = alone.extract::<Config>() {
            wrong.push(Wrong { place, what: mistyped(&key, &error, &defaults) });
        }
    }
    if wrong.is_empty() { vec![whole(&first)] } else { wrong }
}

/// All settings with their defaults.
pub(super) fn defaults() -> figment::value::Dict {
    Value::serialize(Config::default()).ok().and_then(Value::into_dict).unwrap_or_default()
}

/// A file that cannot be read as TOML at all.
fn whole(error: &figment::Error) -> Wrong {
    Wrong { place: String::new(), what: error.to_string() }
}

/// Where a key was set.
fn place(figment: &Figment, key: &str) -> String {
    match figment.find_metadata(key) {
        Some(from) => match &from.source {
            Some(Source::File(path)) => path.display().to_string(),
            _ if from.name.contains("environment") => format!("SATGAS_{}", key.to_uppercase()),
            _ => String::new(),
        },
        None => String::new(),
    }
}

fn unknown(key: &str, known: &figment::value::Dict) -> String {
    let stem = |key: &str| key.rsplit_once('_').map_or(key, |(stem, _)| stem).to_owned();
    let has_unit = |key: &&String| UNITS.iter().any(|(unit, _)| key.ends_with(unit));
    let other_unit = known.keys().filter(has_unit).find(|other| stem(other) == stem(key) || stem(other) == key);
    if let Some(meant) = other_unit {
        return format!("there is no setting `{key}`: `{meant}` takes {}", takes(meant, known));
    }
    let nearest = known.keys().map(|other| (distance(key, other), other)).min();
    match nearest.filter(|(distance, other)| *distance <= 2.max(other.len() / 4)) {
        Some((_, meant)) => {
            format!("there is no setting `{key}`: did you mean `{meant}`, which takes {}?", takes(meant, known))
        }
        None => format!("there is no setting `{key}`: remove it; `satgas config show` prints all that there are"),
    }
}

fn mistyped(key: &str, error: &figment::Error, known: &figment::value::Dict) -> String {
    let (takes, example) = (takes(key, known), example(key, known));
    let given = match &error.kind {
        Kind::InvalidType(Actual::Str(text), _) => match converted(key, text) {
            Some(number) => return format!("`{key}` takes {takes}, without a unit behind it: write {key} = {number}"),
            None => format!("\"{text}\""),
        },
        Kind::UnknownVariant(text, _) => format!("\"{text}\""),
        Kind::InvalidType(actual, _) | Kind::InvalidValue(actual, _) => match actual {
            Actual::Bool(yes) => yes.to_string(),
            Actual::Unsigned(number) => number.to_string(),
            Actual::Signed(number) => number.to_string(),
            Actual::Float(number) => number.to_string(),
            other => other.to_string(),
        },
        other => return format!("`{key}` takes {takes}: {other}; write such as {key} = {example}"),
    };
    format!("`{key}` takes {takes}, and {given} is none: write such as {key} = {example}")
}

/// What a setting takes, in words.
fn takes(key: &str, known: &figment::value::Dict) -> String {
    if let Some((_, unit)) = UNITS.iter().find(|(ending, _)| key.ends_with(ending)) {
        return format!("a whole number of {unit}");
    }
    match key {
        "listen" | "metrics_listen" => "an address with a port in quotes",
        "log_format" => "\"text\" or \"json\"",
        "issuers" => "a list of tables, as docs/access.md describes them",
        _ => match known.get(key) {
            Some(Value::Num(..)) => "a whole number",
            Some(Value::Bool(..)) => "true or false",
            Some(Value::Array(..)) => "a list of texts",
            _ => "a text in quotes",
        },
    }
    .to_owned()
}

/// A value that a setting would take.
fn example(key: &str, known: &figment::value::Dict) -> String {
    match (key, known.get(key)) {
        ("metrics_listen", _) => "\"127.0.0.1:5372\"".to_owned(),
        ("issuers" | "master_key_command", _) => "[]".to_owned(),
        (_, Some(Value::Num(_, number))) => number.to_u128().map_or_else(String::new, |number| number.to_string()),
        (_, Some(Value::Bool(_, yes))) => yes.to_string(),
        (_, Some(Value::String(_, text))) => format!("\"{text}\""),
        _ => "\"...\"".to_owned(),
    }
}

/// A value as it is written in TOML; none for what is not set, and for tables, which `satgas config show` does not print.
pub(super) fn written(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(format!("{text:?}")),
        Value::Bool(_, yes) => Some(yes.to_string()),
        Value::Num(_, number) => number.to_u128().map(|number| number.to_string()),
        Value::Array(_, values) => {
            values.iter().map(written).collect::<Option<Vec<_>>>().map(|v| format!("[{}]", v.join(", ")))
        }
        Value::Char(..) | Value::Empty(..) | Value::Dict(..) => None,
    }
}

/// A number with a unit behind it, such as "64 MB", in the unit of a setting; rounded up.
fn converted(key: &str, text: &str) -> Option<u128> {
    let text = text.trim().to_lowercase();
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (text[..split].parse::<u128>().ok()?, text[split..].trim());
    if unit.is_empty() {
        return Some(number);
    }
    let (units, own): (&[_], u128) = match () {
        () if key.ends_with("_mib") => (&BYTES, 1 << 20),
        () if key.ends_with("_s") => (&MILLISECONDS, 1_000),
        () => return None,
    };
    let (_, size) = units.iter().find(|(name, _)| *name == unit)?;
    Some(number.checked_mul(*size)?.div_ceil(own))
}

/// How many characters must be added, removed or changed to make one name of the other.
pub(super) fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for (j, b) in other.chars().enumerate() {
            let changed = before + usize::from(a != b);
            before = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(before + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units_are_turned_into_those_of_the_setting() {
        let cases = [
            ("cache_mib", "64 MiB", Some(64)),
            ("cache_mib", "64MB", Some(62)),
            ("cache_mib", "1GiB", Some(1_024)),
            ("stall_s", "500ms", Some(1)),
            ("stall_s", "2 min", Some(120)),
            ("stall_s", "30", Some(30)),
            ("stall_s", "64 MiB", None),
            ("streams_max", "10k", None),
            ("cache_mib", "much", None),
        ];
        for (key, text, number) in cases {
            assert_eq!(converted(key, text), number, "{key} {text}");
        }
    }

    #[test]
    fn names_are_as_far_apart_as_letters_must_be_changed() {
        let cases = [("listen", "listen", 0), ("lisen", "listen", 1), ("data", "date", 1), ("", "abc", 3)];
        assert!(cases.into_iter().all(|(one, other, apart)| distance(one, other) == apart));
    }
}
