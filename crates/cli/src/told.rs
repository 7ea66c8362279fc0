//! What the caller's role is not told, so that it is not printed as if it were 0.

use satgas_proto::v1;

/// Stands for a number that is too small to be told.
pub(crate) const FEW: &str = "few";
/// Stands for what is not told at all.
pub(crate) const WITHHELD: &str = "withheld";

/// A figure at a path such as "cases.reported", or why it is not told.
pub(crate) fn figure(shaping: Option<&v1::Shaping>, path: &str, figure: impl ToString) -> String {
    match why_not(shaping, path) {
        Some(why) => why.to_owned(),
        None => figure.to_string(),
    }
}

/// Why what stands at a path is not told; `None` when it is.
pub(crate) fn why_not(shaping: Option<&v1::Shaping>, path: &str) -> Option<&'static str> {
    let shaping = shaping?;
    let holds =
        |field: &String| path.strip_prefix(field.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    if shaping.few.iter().any(holds) {
        return Some(FEW);
    }
    shaping.withheld.iter().any(holds).then_some(WITHHELD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_told_is_no_0() {
        let shaping = v1::Shaping {
            withheld: vec!["cases".to_owned()],
            few: vec!["activity.pupils_reached".to_owned()],
            coarser: vec!["score".to_owned()],
        };
        assert_eq!(figure(Some(&shaping), "cases.reported", 0), WITHHELD);
        assert_eq!(figure(Some(&shaping), "activity.pupils_reached", 0), FEW);
        assert_eq!(figure(Some(&shaping), "casesnot", 0), "0");
        assert_eq!(figure(Some(&shaping), "score", 7), "7");
        assert_eq!(figure(None, "cases.reported", 0), "0");
    }
}
