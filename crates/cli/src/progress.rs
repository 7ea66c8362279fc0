//! How far something has come, for a person who waits.

use std::io::{self, IsTerminal as _};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar up to `length`, or a spinner when nobody knows how much there is; hidden where no person looks on.
pub(crate) fn bar(length: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match length {
        Some(length) => (ProgressBar::new(length), "{bar:40} {percent}%  {msg}  {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg}"),
    };
    bar.with_style(ProgressStyle::with_template(template).expect("the template is well-formed"))
}

/// A spinner that counts records.
pub(crate) fn counting() -> ProgressBar {
    let template = "{spinner} {pos} records, {per_sec}";
    bar(None).with_style(ProgressStyle::with_template(template).expect("the template is well-formed"))
}
