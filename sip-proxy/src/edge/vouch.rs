//! What a node lets in, the others need not: it vouches for it.
//!
//! ```text
//!   alice --- INVITE, proven ---> node B ---- Route: <sip:TOKEN@A;lr;vouched=PROOF> ----> node A --- its flow ---> bob
//! ```
//!
//! A request for a phone whose flow another node has goes to that node. Who sent it was asked at this one, and
//! cannot be asked twice: a proxy that answers a challenge is not the user. So a keyed hash, which only nodes that share
//! the keys can make, says of which request that is true, and for which flow.

use sip_message::{HeaderName, Request, Route, Uri, UriParam};

use super::seal::Purpose;
use super::{Edge, FlowToken};

/// The parameter of the Route that the other node takes off.
const PARAM: &str = "vouched";

impl Edge {
    /// The first element of a path, with word for the node there that this request was let in here; as it is if the
    /// flow is not one of another node of the cluster.
    pub(crate) fn vouch(&self, request: &Request, first: &Uri<'static>) -> Option<Uri<'static>> {
        let user = first.user()?;
        let Ok(Some(FlowToken::At(_))) = self.tokens.read(user) else { return None };
        let proof =
            with_texts(request, user, |texts| self.tokens.keys().prove(Purpose::Vouch, texts))?;
        first.with_param(PARAM, Some(&proof)).ok()
    }

    /// Whether another node of the cluster has let this request in, and sent it on to a flow of this one.
    pub(crate) fn is_vouched(&self, request: &Request) -> bool {
        let Some(Ok(first)) = request.get_all::<Route<'_>>().next() else { return false };
        let uri = first.uri();
        let proof = uri.param(PARAM);
        let (Some(user), Some(proof)) = (uri.user(), proof.as_ref().and_then(UriParam::value))
        else {
            return false;
        };
        if !Self::is_token(user) {
            return false;
        }
        let proven = with_texts(request, user, |texts| {
            self.tokens.keys().is_proof(Purpose::Vouch, texts, proof)
        });
        proven == Some(true)
    }
}

/// What the word is about: this request of this sender to this phone. What a request for another, or from another, has
/// in common with it is not enough.
fn with_texts<T>(request: &Request, token: &str, use_: impl FnOnce(&[&[u8]]) -> T) -> Option<T> {
    let headers = request.headers();
    let number = headers.cseq()?.number.to_be_bytes();
    let from = headers.raw(HeaderName::From)?;
    let call = headers.call_id()?.as_bytes();
    let method = request.method().as_str().as_bytes();
    Some(use_(&[token.as_bytes(), method, request.uri_bytes(), from, call, &number]))
}
