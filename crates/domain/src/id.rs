//! Identifiers, parsed once at the edge and then trusted.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
};
use uuid::Uuid;

/// Id of a submission or case command: a UUID version 7 made by the client. A case bears the id of the submission that reported it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubmissionId {
    // Two halves: as one number of 128 bits it would make whatever holds it eight bytes longer.
    high: u64,
    low: u64,
}

impl SubmissionId {
    /// Parses the canonical form: 36 lower-case characters with hyphens, version 7. The error says what is taken.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const TAKEN: &str = "is not a UUID version 7 in lower case with hyphens";
        // Of the forms that are parsed only the one with hyphens has 36 characters.
        if text.len() != 36 || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(TAKEN);
        }
        let uuid = Uuid::try_parse(text).map_err(|_| TAKEN)?;
        if uuid.get_version_num() != 7 {
            return Err(TAKEN);
        }
        let (high, low) = uuid.as_u64_pair();
        Ok(Self { high, low })
    }

    /// The 128 bits.
    #[must_use]
    pub fn bits(self) -> u128 {
        u128::from(self.high) << 64 | u128::from(self.low)
    }
}

/// As bytes: every bit may be set, and a number would be written as one that is mostly small.
impl Serialize for SubmissionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.bits().to_be_bytes())
    }
}

impl<'de> Deserialize<'de> for SubmissionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = SubmissionId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("16 bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<SubmissionId, E> {
                let bytes = bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))?;
                let (high, low) = Uuid::from_bytes(bytes).as_u64_pair();
                Ok(SubmissionId { high, low })
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

impl fmt::Display for SubmissionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_u64_pair(self.high, self.low).hyphenated().fmt(f)
    }
}

/// Level of an area in the official division.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Level {
    /// Kota or kabupaten: two segments.
    Kota,
    /// Kecamatan: three segments.
    Kecamatan,
    /// Kelurahan or desa: four segments.
    Kelurahan,
}

impl Level {
    /// Level of a code, or `None` if it is not a code: segments of 2, 2, 2 and 4 digits joined by dots, the first two at least.
    #[must_use]
    pub fn of(code: &str) -> Option<Self> {
        let mut segments = 0;
        for (index, segment) in code.split('.').enumerate() {
            let digits = if index == 3 { 4 } else { 2 };
            if index > 3 || segment.len() != digits || !segment.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            segments = index + 1;
        }
        match segments {
            2 => Some(Self::Kota),
            3 => Some(Self::Kecamatan),
            4 => Some(Self::Kelurahan),
            _ => None,
        }
    }
}

/// Whether `code` lies within `prefix` by whole segments: "53.71.04.1001" within "53.71.04", not within "53.71.0". Everything lies
/// within the empty prefix.
#[must_use]
pub fn is_within(code: &str, prefix: &str) -> bool {
    prefix.is_empty() || code.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Parses 64 lower-case hexadecimal digits.
#[must_use]
pub fn parse_hash(text: &str) -> Option<[u8; 32]> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let bytes = text.as_bytes();
    if bytes.len() != 64 {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(bytes.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(hash)
}

/// Writes a hash as 64 lower-case hexadecimal digits.
#[must_use]
pub fn format_hash(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a text is a name that people chose for a thing: 1 to `max` of the characters a-z, A-Z, 0-9, '.', '_' and '-'.
#[must_use]
pub fn is_token(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_matches_whole_segments_only() {
        assert!(is_within("53.71.03.1010", "53.71.03"));
        assert!(is_within("53.71.03.1010", ""));
        assert!(is_within("53.71.03", "53.71.03"));
        assert!(!is_within("53.71.03.1010", "53.71.0"));
        assert!(!is_within("53.71.03", "53.71.03.1010"));
    }

    #[test]
    fn a_code_has_two_to_four_segments_of_digits() {
        assert_eq!(Level::of("53.71.04.1001"), Some(Level::Kelurahan));
        assert_eq!(Level::of("53.71.04"), Some(Level::Kecamatan));
        assert_eq!(Level::of("53.71"), Some(Level::Kota));
        for bad in ["", "53", "53.7", "53.71.4", "53.71.04.101", "53.71.04.1001.1", "53.71.", "53.71.04.10a1", "53,71"]
        {
            assert_eq!(Level::of(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_the_canonical_form_of_version_7_is_an_id() {
        let good = "01970f3e-8b1c-7000-8000-000000000001";
        assert_eq!(SubmissionId::parse(good).map(|id| id.to_string()), Ok(good.to_owned()));
        for bad in [
            "01970F3E-8B1C-7000-8000-000000000001",
            "01970f3e8b1c70008000000000000001",
            "01970f3e-8b1c-4000-8000-000000000001",
            "",
        ] {
            assert!(SubmissionId::parse(bad).is_err(), "{bad}");
        }
    }
}
