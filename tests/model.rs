//! placeholder
mod reference;
