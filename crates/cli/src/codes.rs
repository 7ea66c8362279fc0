//! The code lists as people write and read them: `VISIT_PURPOSE_TINDAK_LANJUT` is "tindak lanjut", typed as `tindak-lanjut`.
//!
//! A label is the proto name without its prefix, so a value that is added there is known here without a change.

use satgas_proto::v1;

/// No code list has a higher number. Numbers may be left out.
const NUMBER_MAX: i32 = 1_000;

/// An enum of the vocabulary.
pub(crate) trait Code: TryFrom<i32> + Into<i32> + Copy {
    /// What every value's proto name begins with, such as `RISK_`.
    const PREFIX: &str;
    /// The value's proto name.
    fn proto_name(self) -> &'static str;

    /// Its label, with spaces: "tindak lanjut".
    fn label(self) -> String {
        self.word().replace('-', " ")
    }

    /// Its label as one word to type: "tindak-lanjut".
    fn word(self) -> String {
        let name = self.proto_name();
        name.strip_prefix(Self::PREFIX).unwrap_or(name).to_lowercase().replace('_', "-")
    }

    /// Every value but UNSPECIFIED, in the order of the vocabulary.
    fn all() -> impl Iterator<Item = Self> {
        (1..=NUMBER_MAX).filter_map(|number| Self::try_from(number).ok())
    }
}

macro_rules! codes {
    ($($name:ident = $prefix:literal),* $(,)?) => {$(
        impl Code for v1::$name {
            const PREFIX: &str = $prefix;
            fn proto_name(self) -> &'static str {
                self.as_str_name()
            }
        }
    )*};
}

codes! {
    ActivityKind = "ACTIVITY_KIND_",
    AgeGroup = "AGE_GROUP_",
    AreaLevel = "AREA_LEVEL_",
    CaseOutcome = "CASE_OUTCOME_",
    CaseStatus = "CASE_STATUS_",
    ConflictCause = "CONFLICT_CAUSE_",
    ConflictDecision = "CONFLICT_DECISION_",
    DeadlineKind = "DEADLINE_KIND_",
    Dimension = "DIMENSION_",
    ElectronicViolence = "ELECTRONIC_VIOLENCE_",
    ErasureStatus = "ERASURE_STATUS_",
    EvaluatedBody = "EVALUATED_BODY_",
    EventKind = "EVENT_KIND_",
    IdentityKind = "IDENTITY_KIND_",
    IndicatorKind = "INDICATOR_KIND_",
    InstitutionKind = "INSTITUTION_KIND_",
    LegalStage = "LEGAL_STAGE_",
    Offender = "OFFENDER_",
    Place = "PLACE_",
    Platform = "PLATFORM_",
    PublicReportStatus = "PUBLIC_REPORT_STATUS_",
    PublicReportVerdict = "PUBLIC_REPORT_VERDICT_",
    QuarantineVerdict = "QUARANTINE_VERDICT_",
    ReleaseTable = "RELEASE_TABLE_",
    ReferralStatus = "REFERRAL_STATUS_",
    RightEnd = "RIGHT_END_",
    Risk = "RISK_",
    RiskSignal = "RISK_SIGNAL_",
    Service = "SERVICE_",
    Sex = "SEX_",
    Topic = "TOPIC_",
    Violence = "VIOLENCE_",
    VisitPurpose = "VISIT_PURPOSE_",
    WarningKind = "WARNING_KIND_",
}

/// What a person typed, in any case, with `-`, `_` or a space between words.
///
/// # Errors
/// A sentence that lists what is taken.
pub(crate) fn parse<C: Code>(text: &str) -> Result<C, String> {
    let wanted = text.trim().to_lowercase().replace(['_', ' ', '/'], "-");
    let found = C::all().find(|code| code.word() == wanted);
    found.ok_or_else(|| format!("`{text}` is none of: {}", words::<C>()))
}

/// Everything that [`parse`] takes, separated by commas.
pub(crate) fn words<C: Code>() -> String {
    C::all().map(Code::word).collect::<Vec<_>>().join(", ")
}

/// The label of a number from the wire, "-" when unset, the number itself when this client is too old to know it.
pub(crate) fn label<C: Code>(number: i32) -> String {
    match C::try_from(number) {
        _ if number == 0 => "-".to_owned(),
        Ok(code) => code.label(),
        Err(_) => format!("code {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_taken_in_any_case_and_with_any_separator() {
        for typed in ["tindak-lanjut", "TINDAK_LANJUT", " Tindak Lanjut "] {
            assert_eq!(parse::<v1::VisitPurpose>(typed), Ok(v1::VisitPurpose::TindakLanjut), "{typed}");
        }
    }

    #[test]
    fn a_wrong_label_is_answered_with_the_whole_list() {
        assert_eq!(parse::<v1::Risk>("high"), Err("`high` is none of: tinggi, sedang, rendah".to_owned()));
    }

    #[test]
    fn every_value_of_every_list_is_found_by_its_own_word() {
        fn check<C: Code>() {
            assert!(C::all().count() > 1, "{}", C::PREFIX);
            for code in C::all() {
                assert!(code.proto_name().starts_with(C::PREFIX), "{}", code.proto_name());
                let found = parse::<C>(&code.word()).map(Into::<i32>::into);
                assert_eq!(found, Ok(code.into()), "{}", code.word());
            }
        }
        check::<v1::AgeGroup>();
        check::<v1::EventKind>();
        check::<v1::Service>();
        check::<v1::WarningKind>();
    }

    #[test]
    fn a_number_that_this_client_does_not_know_is_shown_as_it_is() {
        assert_eq!(label::<v1::Risk>(1), "tinggi");
        assert_eq!(label::<v1::Risk>(0), "-");
        assert_eq!(label::<v1::Risk>(99), "code 99");
    }
}
