//! What the domain decides and counts, told as stories: given these events, when this is asked, then this follows.

mod bad_input;
mod case_table;
mod cases;
mod corrections;
mod deadlines;
mod evaluation;
mod policy;
mod registry;
mod rollup;
mod sealed;
mod shape;
mod states;
mod submissions;
mod support;
mod warnings;
