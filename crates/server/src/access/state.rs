//! What the access log says now: which tokens and codes there are, and what ended.

use std::collections::{BTreeSet, HashMap};

use satgas_domain::time::Instant;
use satgas_proto::v1::{self, access_event::Body};

/// A fold of the access log.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The key that signs tokens now: those of another one have ended.
    key_id: String,
    /// The one that the log says signs, and when those ended that did so before.
    last_key_id: String,
    keys_ended: HashMap<String, Instant>,
    /// In the order in which they were issued.
    tokens: Vec<v1::Token>,
    by_id: HashMap<String, usize>,
    /// All tokens of one person.
    by_person: HashMap<String, Vec<usize>>,
    /// Ids that were revoked without having been issued here: those of another issuer's subjects.
    revoked_elsewhere: HashMap<String, Instant>,
    /// By hash of the code.
    enrolments: HashMap<Vec<u8>, v1::EnrolmentCreated>,
    /// Positions of the records of streams whose end is not recorded.
    open_streams: BTreeSet<u64>,
    last_backup: LastBackup,
}

/// The last backup that was confirmed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LastBackup {
    /// Seconds since 1970; 0 for never.
    pub(crate) at: i64,
    /// It has the log of records up to this position.
    pub(crate) position: u64,
}

impl State {
    /// Nothing recorded yet.
    pub(super) fn signed_by(key_id: String) -> Self {
        Self { key_id, ..Self::default() }
    }

    pub(super) fn apply(&mut self, event: &v1::AccessEvent) {
        let at = event.recorded_at.unwrap_or_default();
        match &event.body {
            Some(Body::TokenIssued(issued)) => self.issue(issued, at),
            Some(Body::TokenRevoked(revoked)) => match self.by_id.get(&revoked.token_id) {
                Some(index) => {
                    let token = &mut self.tokens[*index];
                    if token.revoked_at.is_none() {
                        token.revoked_at = Some(at);
                        token.revoked_reason.clone_from(&revoked.reason);
                    }
                }
                None => {
                    let at = Instant::from_proto(&at).unwrap_or(Instant(0));
                    self.revoked_elsewhere.entry(revoked.token_id.clone()).or_insert(at);
                }
            },
            Some(Body::EnrolmentCreated(created)) => {
                self.enrolments.insert(created.code_hash.to_vec(), created.clone());
            }
            Some(Body::Enrolled(enrolled)) => {
                self.enrolments.retain(|_, created| created.enrolment_id != enrolled.enrolment_id);
                if let Some(token) = &enrolled.token {
                    self.issue(token, at);
                }
            }
            Some(Body::KeyExchanged(exchanged)) => self.sign_with(&exchanged.key_id, at),
            Some(Body::AccessRecorded(v1::AccessRecorded { range: Some(range), .. })) if range.up_to_position == 0 => {
                self.open_streams.insert(event.position);
            }
            Some(Body::StreamEnded(ended)) => {
                self.open_streams.remove(&ended.access_position);
            }
            // The last one counts, also where it has less: a log that was put back to a point in time begins again from there.
            Some(Body::BackupConfirmed(confirmed)) => {
                self.last_backup = LastBackup { at: at.seconds, position: confirmed.records_position };
            }
            Some(Body::AccessRecorded(_)) | None => {}
        }
    }

    /// From a moment on, tokens are signed by this key.
    fn sign_with(&mut self, key_id: &str, at: pbjson_types::Timestamp) {
        if self.last_key_id != key_id {
            let former = std::mem::replace(&mut self.last_key_id, key_id.to_owned());
            self.keys_ended.insert(former, end(Some(&at)));
            self.keys_ended.remove(key_id);
        }
    }

    fn issue(&mut self, issued: &v1::TokenIssued, at: pbjson_types::Timestamp) {
        // In logs of before exchanges were recorded, the first token of a key tells of it.
        self.sign_with(&issued.key_id, at);
        self.by_id.insert(issued.token_id.clone(), self.tokens.len());
        let token = v1::Token {
            token_id: issued.token_id.clone(),
            assignment: issued.assignment.clone(),
            purpose: issued.purpose.clone(),
            issued_at: Some(at),
            expires_at: issued.expires_at,
            revoked_at: None,
            issued_by: issued.issued_by.clone(),
            key_id: issued.key_id.clone(),
            // In logs of before it stands as it was given.
            subject: self.stands_for(&issued.subject),
            revoked_reason: String::new(),
        };
        self.by_person.entry(person(&token).to_owned()).or_default().push(self.tokens.len());
        self.tokens.push(token);
    }

    /// All tokens of one person, whether they have ended or not, in the order in which they were issued.
    pub(crate) fn tokens_of(&self, person: &str) -> impl Iterator<Item = &v1::Token> {
        self.by_person.get(person).into_iter().flatten().map(|index| &self.tokens[*index])
    }

    /// Whom a subject stands for: the id of any of a person's tokens stands for that person. However it is written: two people are not told
    /// apart by a capital letter.
    pub(crate) fn stands_for(&self, subject: &str) -> String {
        let subject = subject.to_ascii_lowercase();
        self.token(&subject).map(|token| person(token).to_owned()).unwrap_or(subject)
    }

    /// A token that was issued here.
    pub(crate) fn token(&self, id: &str) -> Option<&v1::Token> {
        self.by_id.get(id).map(|index| &self.tokens[*index])
    }

    /// All tokens from an index on, in the order in which they were issued.
    pub(crate) fn tokens_from(&self, first: usize) -> impl Iterator<Item = (usize, &v1::Token)> {
        self.tokens.iter().enumerate().skip(first)
    }

    /// Whether an id was revoked, wherever it was issued, or ended with the key that signed it.
    pub(crate) fn is_revoked(&self, id: &str) -> bool {
        let ended = |token: &v1::Token| token.revoked_at.is_some() || token.key_id != self.key_id;
        self.revoked_elsewhere.contains_key(id) || self.token(id).is_some_and(ended)
    }

    /// Whether a token that was good until `expires_at` when it was looked at has ended by `now`, wherever it was issued.
    pub(crate) fn has_ended(&self, token_id: &str, expires_at: Instant, now: Instant) -> bool {
        expires_at <= now || self.is_revoked(token_id)
    }

    /// Whether a token may be used.
    pub(crate) fn is_valid(&self, token: &v1::Token, now: Instant) -> bool {
        token.revoked_at.is_none() && token.key_id == self.key_id && end(token.expires_at.as_ref()) > now
    }

    /// When a token ended or will end, and how.
    pub(crate) fn ending(&self, token: &v1::Token) -> (Instant, v1::RightEnd) {
        let expired = (end(token.expires_at.as_ref()), v1::RightEnd::Expired);
        let revoked = token.revoked_at.as_ref().map(|at| (end(Some(at)), v1::RightEnd::Revoked));
        // Of a key whose end is not recorded nothing is known to have been signed in time.
        let key_ended = || self.keys_ended.get(&token.key_id).copied().unwrap_or(Instant(i64::MIN));
        let exchanged = (token.key_id != self.key_id).then(|| (key_ended(), v1::RightEnd::KeyExchanged));
        revoked.into_iter().chain(exchanged).fold(expired, |first, other| if other.0 < first.0 { other } else { first })
    }

    /// Whether tokens were signed by another key than now when the log was last written.
    pub(crate) fn is_key_new(&self) -> bool {
        !self.last_key_id.is_empty() && self.last_key_id != self.key_id
    }

    /// Streams whose end is not recorded, by the positions of the records of their beginnings.
    pub(crate) fn open_streams(&self) -> Vec<u64> {
        self.open_streams.iter().copied().collect()
    }

    /// The last backup that was confirmed.
    pub(crate) fn last_backup(&self) -> LastBackup {
        self.last_backup
    }

    /// The enrolment of a code that may still be exchanged.
    pub(crate) fn enrolment(&self, code_hash: &[u8], now: Instant) -> Option<&v1::EnrolmentCreated> {
        self.enrolments.get(code_hash).filter(|created| end(created.expires_at.as_ref()) > now)
    }
}

/// Who holds a token: its subject, and its own id where it has none.
pub(crate) fn person(token: &v1::Token) -> &str {
    if token.subject.is_empty() { &token.token_id } else { &token.subject }
}

/// When something ends; what names no end has ended, and none is ever issued so.
pub(crate) fn end(at: Option<&pbjson_types::Timestamp>) -> Instant {
    at.and_then(Instant::from_proto).unwrap_or(Instant(i64::MIN))
}
