//! Who may do what, against the real binary: every cell of the policy, bad tokens, tricks with scopes, codes, TLS, and the record of it all.

mod audit;
mod burdens;
mod cells;
mod connections;
#[path = "../door/mod.rs"]
mod door;
mod ends;
mod enrolment;
mod house;
mod limits;
mod openid;
mod persons;
#[path = "../process/mod.rs"]
mod process;
mod quarantine;
mod raw;
mod recovery;
mod rights;
mod scope;
mod shapes;
mod strangers;
mod tls;
mod tokens;
