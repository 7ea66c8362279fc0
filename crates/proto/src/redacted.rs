//! `Debug` of messages that say who a person is: it says that they do, and nothing of what.

use std::fmt;

use crate::v1::PersonIdentity;

impl fmt::Debug for PersonIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonIdentity(not shown)")
    }
}
