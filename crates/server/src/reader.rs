//! Who a call comes from, as it is written into the log: an id and a role, never a name.

use satgas_proto::v1;
use tonic::Request;

/// Who a call comes from. Whoever lets calls in puts it among a request's extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// Id of the token.
    pub id: String,
    /// The role in words, such as "supervisor".
    pub role: String,
}

/// Metadata in which a client says who it is, while there are no tokens and the server is on loopback only. A claim and no proof: once a
/// layer puts a [`Reader`] among the extensions, this is not looked at.
const CLAIM: &str = "satgas-reader";
const LOCAL: &str = "local";

/// Who a request comes from.
pub(crate) fn of<T>(request: &Request<T>) -> v1::Actor {
    if let Some(Reader { id, role }) = request.extensions().get::<Reader>() {
        return v1::Actor { id: id.clone(), role: role.clone() };
    }
    let claim = request.metadata().get(CLAIM).and_then(|claim| claim.to_str().ok());
    let claim = claim.filter(|claim| satgas_domain::id::is_token(claim, 64));
    v1::Actor { id: claim.unwrap_or(LOCAL).to_owned(), role: LOCAL.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_let_in_counts_and_not_what_the_client_says() {
        let mut request = Request::new(());
        assert_eq!(of(&request).id, "local");
        request.metadata_mut().insert(CLAIM, "somebody".parse().unwrap());
        assert_eq!(of(&request).id, "somebody");
        request.extensions_mut().insert(Reader { id: "token-7".into(), role: "supervisor".into() });
        assert_eq!(of(&request), v1::Actor { id: "token-7".into(), role: "supervisor".into() });
    }
}
