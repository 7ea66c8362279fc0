//! Names of sheets: what spreadsheets take, each once.

use std::collections::HashSet;

/// Longest name of a sheet.
const CHARS_MAX: usize = 31;

/// The names that are taken.
#[derive(Debug, Default)]
pub(super) struct Names(HashSet<String>);

impl Names {
    /// `wanted`, as far as a sheet may be called so; with `code` behind it when another sheet is, or `code` alone when nothing is left.
    pub(super) fn take(&mut self, wanted: &str, code: &str) -> String {
        let cleaned = clean(wanted);
        let beside = clean(&format!("{} {code}", cut(&cleaned, CHARS_MAX.saturating_sub(code.len() + 1))));
        let numbered = (2_u32..).map(|number| format!("{} {number}", cut(&cleaned, CHARS_MAX - 11)));
        let mut candidates = [cleaned.clone(), beside].into_iter().chain(numbered);
        let free = candidates.find(|name| !name.is_empty() && self.0.insert(name.to_lowercase()));
        free.unwrap_or_default()
    }
}

/// Without the characters that no sheet may have in its name, nor an apostrophe at an end.
fn clean(name: &str) -> String {
    let allowed = |c: char| if c.is_control() || "[]:*?/\\".contains(c) { ' ' } else { c };
    let name: String = name.chars().map(allowed).collect();
    let trim = |c: char| c == '\'' || c.is_whitespace();
    cut(name.trim_matches(trim), CHARS_MAX).trim_matches(trim).to_owned()
}

/// At most so many characters, counted as spreadsheets count them.
fn cut(text: &str, chars_max: usize) -> &str {
    let mut length = 0;
    let end = text.char_indices().find(|(_, c)| {
        length += c.len_utf16();
        length > chars_max
    });
    end.map_or(text, |(at, _)| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_loses_only_what_no_sheet_may_have() {
        let mut names = Names::default();
        assert_eq!(names.take("Kota Raja", "53.71.05"), "Kota Raja");
        assert_eq!(names.take("'Oebobo/Timur'", "53.71.03"), "Oebobo Timur");
        assert_eq!(names.take("[]", "53.71.02"), "53.71.02");
    }

    #[test]
    fn the_second_of_one_name_carries_its_code_in_any_case() {
        let mut names = Names::default();
        assert_eq!(names.take("Alak", "53.71.01"), "Alak");
        assert_eq!(names.take("ALAK", "53.72.01"), "ALAK 53.72.01");
        assert_eq!(names.take("Alak", "53.72.01"), "Alak 2");
    }

    #[test]
    fn a_long_name_is_cut_and_still_unlike_the_others() {
        let mut names = Names::default();
        let long = "Kecamatan dengan nama yang sangat panjang sekali";
        let (first, second) = (names.take(long, "53.71.01"), names.take(long, "53.71.02"));
        assert_eq!(first.chars().count(), 31);
        assert!(second.ends_with(" 53.71.02") && second.chars().count() <= 31, "{second}");
    }
}
