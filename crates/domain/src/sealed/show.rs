//! What a case shows of it: that something is sealed, never what.

use satgas_proto::v1::{self, ErasureStatus};

use super::{Declined, Sealed, Sealing, Stamp};
use crate::time::Instant;

/// Seals that are shown behind the latest of their kind: the others are in the log.
const EARLIER_SHOWN: usize = 100;

impl Sealing {
    /// As it was known at a position and stood at a time; `None` when there was nothing yet.
    #[must_use]
    pub fn to_proto(&self, until: u64, now: Instant) -> Option<v1::CaseSealing> {
        let known = |stamp: &&Stamp| stamp.position <= until;
        let erased = self.erased.as_ref().filter(known);
        let requested = self.requests.iter().rev().find(|request| request.at.position <= until);
        let declined = requested.and_then(|request| request.declined.as_ref()).filter(|d| d.at.position <= until);
        let (status, at) = match (erased, self.approved.as_ref().filter(known), requested) {
            (Some(at), ..) => (ErasureStatus::Erased, Some(*at)),
            (None, Some(at), _) => (ErasureStatus::Approved, Some(*at)),
            (None, None, Some(request)) => match declined {
                Some(Declined { withdrawn: true, at, .. }) => (ErasureStatus::Withdrawn, Some(*at)),
                Some(Declined { at, .. }) => (ErasureStatus::Declined, Some(*at)),
                None => (ErasureStatus::Requested, Some(request.at)),
            },
            (None, None, None) => (ErasureStatus::Unspecified, None),
        };
        let reason = declined.map(|declined| &declined.reason).or(requested.map(|request| &request.reason));
        let shown = v1::CaseSealing {
            identities: self.identities(until, erased.is_some()),
            holds: self
                .standing(now, until)
                .map(|hold| v1::Hold {
                    hold_id: hold.id.to_string(),
                    reason: hold.reason.clone(),
                    until: hold.until.map(Instant::to_proto),
                    placed_at: Some(hold.placed.recorded.to_proto()),
                })
                .collect(),
            erasure: status.into(),
            erasure_requested_by: requested.map(|request| request.by.clone()),
            erasure_reason: reason.cloned().unwrap_or_default(),
            erasure_at: at.map(|at| at.recorded.to_proto()),
        };
        (shown != v1::CaseSealing::default()).then_some(shown)
    }

    /// The latest seal of each kind with those before it, in the order of the kinds.
    fn identities(&self, until: u64, erased: bool) -> Vec<v1::SealedIdentity> {
        let mut shown: Vec<v1::SealedIdentity> = Vec::new();
        for sealed in self.seals.iter().filter(|sealed| sealed.at.position <= until) {
            let latest = sealed.to_proto(erased);
            match shown.iter_mut().find(|known| known.kind == sealed.kind) {
                Some(known) => put_before(known, latest),
                None => shown.push(latest),
            }
        }
        shown.sort_by_key(|identity| identity.kind);
        shown
    }
}

impl Sealed {
    fn to_proto(&self, erased: bool) -> v1::SealedIdentity {
        v1::SealedIdentity {
            kind: self.kind,
            sealed_at: Some(self.at.recorded.to_proto()),
            sealed_position: self.at.position,
            erased,
            by: Some(self.by.clone()).filter(|by| *by != v1::Actor::default()),
            earlier: Vec::new(),
        }
    }
}

/// Puts an identity before one that is known, which goes behind it with all that it had.
fn put_before(known: &mut v1::SealedIdentity, latest: v1::SealedIdentity) {
    let v1::SealedIdentity { sealed_at, sealed_position, by, mut earlier, .. } = std::mem::replace(known, latest);
    if earlier.len() == EARLIER_SHOWN {
        earlier.remove(0);
    }
    earlier.push(v1::EarlierSeal { sealed_at, sealed_position, by });
    known.earlier = earlier;
}
