//! Ids for records that a form collected: made from the form's own, so that an export can be sent as often as one likes.
//!
//! Invariant: an id depends on the instance id and the kind of record, and on nothing else. A time from the export would be
//! convenient for a UUID version 7, but is not the same text twice: Kobo drops the milliseconds that ODK Central keeps, a spreadsheet
//! rewrites a date when a row is mended, an edit may move it; each would make a second record of the same visit. So its 48 bits are
//! zero, which also tells a derived id from one that a device made, and the other 74 are a hash.

use uuid::Uuid;

/// Separates these hashes from all others; another text would give every record another id.
const SUBMISSION_DOMAIN: &str = "satgas 2026-03 submission id of a form instance";
const DEVICE_DOMAIN: &str = "satgas 2026-03 device id of a form's deviceid";
/// Longer ids are no ids.
const INSTANCE_BYTES_MAX: usize = 200;

/// What makes a submission itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// UUID version 7.
    pub(super) submission_id: String,
    /// Stands in for a number that a form does not count; never 0.
    pub(super) sequence: u64,
}

/// The identity of an instance as a record of a kind, such as `school_visit`; `None` if it is no instance id.
pub(super) fn of(record: &str, instance_id: &str) -> Option<Identity> {
    let canonical = canonical(instance_id)?;
    let mut hasher = blake3::Hasher::new_derive_key(SUBMISSION_DOMAIN);
    // The kind has no zero byte, so that no two pairs read alike.
    hasher.update(record.as_bytes()).update(&[0]).update(canonical.as_bytes());
    let hash = hasher.finalize();
    let (id, rest) = hash.as_bytes().split_first_chunk::<10>()?;
    let sequence = u64::from(u32::from_le_bytes(*rest.first_chunk()?)) + 1;
    let submission_id = uuid::Builder::from_unix_timestamp_millis(0, id).into_uuid().to_string();
    Some(Identity { submission_id, sequence })
}

/// A token for a device whose own name must not be kept.
pub(super) fn device(name: &str) -> String {
    let hash = blake3::Hasher::new_derive_key(DEVICE_DOMAIN).update(name.as_bytes()).finalize();
    format!("form-{}", &hash.to_hex()[..16])
}

/// `uuid:4E30…` and `4e30…` are one.
pub(super) fn canonical(instance_id: &str) -> Option<String> {
    let text = instance_id.trim();
    let text = text.strip_prefix("uuid:").unwrap_or(text);
    match Uuid::try_parse(text) {
        Ok(uuid) => Some(uuid.to_string()),
        // The rules of forms allow others, with a prefix of their own.
        Err(_) => (1..=INSTANCE_BYTES_MAX).contains(&text.len()).then(|| text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSTANCE: &str = "4e30afbf-d6cf-4fd7-ac59-77c30ece4b6b";

    #[test]
    fn an_instance_has_the_same_id_however_its_own_is_written() {
        let known = of("school_visit", INSTANCE).unwrap();
        for written in [format!("uuid:{INSTANCE}"), format!(" {INSTANCE} "), INSTANCE.to_uppercase()] {
            assert_eq!(of("school_visit", &written).as_ref(), Some(&known), "{written}");
        }
    }

    #[test]
    fn an_id_never_changes_from_one_release_to_the_next() {
        let known = of("school_visit", INSTANCE).unwrap();
        assert_eq!(known.submission_id, "00000000-0000-737b-8c58-60711244fbba");
        assert_eq!(known.sequence, 3_241_965_543);
    }

    #[test]
    fn an_id_is_a_uuid_of_version_7() {
        let id = Uuid::try_parse(&of("school_visit", INSTANCE).unwrap().submission_id).unwrap();
        assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
    }

    #[test]
    fn another_instance_and_another_kind_have_other_ids() {
        let visit = of("school_visit", INSTANCE).unwrap().submission_id;
        assert_ne!(visit, of("monitoring_report", INSTANCE).unwrap().submission_id);
        assert_ne!(visit, of("school_visit", &INSTANCE.replace('4', "5")).unwrap().submission_id);
    }

    #[test]
    fn an_id_with_a_prefix_of_its_own_is_taken_and_an_empty_one_is_not() {
        assert!(of("school_visit", "org.contoh:17").is_some());
        assert_eq!(of("school_visit", " "), None);
        assert_eq!(of("school_visit", "uuid:"), None);
        assert_eq!(of("school_visit", &"x".repeat(201)), None);
    }

    #[test]
    fn a_device_is_a_token_that_does_not_hold_its_name() {
        let token = device("collect:Contoh01");
        assert_eq!(token.len(), 21);
        assert!(!token.contains("Contoh"));
        assert_eq!(token, device("collect:Contoh01"));
    }
}
