//! Everything a developer runs: `cargo xtask test | bench | demo`.

fn main() {}
