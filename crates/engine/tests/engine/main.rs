//! The engine over every journal, told as stories: what is acknowledged is durable, what was sent twice is one, what failed left
//! nothing behind, what is folded is the log and nothing else.

mod case_steps;
mod commits;
mod corrections;
mod cursors;
mod deadlines;
mod failures;
mod idempotency;
mod layout;
mod lenses;
mod power_loss;
mod quarantine;
mod queue;
mod sealing;
mod support;
mod views;
