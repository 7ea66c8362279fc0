//! `Debug` of messages that say who a person is, what a reporter wrote, or by which code it is found: it says that they do, and nothing of
//! what.

use std::fmt;

use crate::v1::{FollowUpRequest, PersonIdentity, PublicMessageText, PublicReportText};

macro_rules! not_shown {
    ($($message:ident)*) => {
        $(impl fmt::Debug for $message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($message), "(not shown)"))
            }
        })*
    };
}

not_shown!(PersonIdentity PublicReportText PublicMessageText FollowUpRequest);
