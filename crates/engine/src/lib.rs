//! One writer, views, cursors and an injected clock over the journal.
