//! The messages that the transaction layer makes itself: ACK, CANCEL, refusals.

use core::hash::Hasher;

use bytes::Bytes;
use sip_message::{
    CSeq, HeaderName, Headers, MaxForwards, Method, Request, RequestBuilder, Response,
    ResponseBuilder, RetryAfter, SessionId, StatusCode,
};
use siphasher::sip::SipHasher24;
use smallvec::SmallVec;

use crate::LoopMark;
use crate::random::digit;

/// The ACK to a final response other than a 2xx: RFC 3261 §17.1.1.3.
pub(crate) fn ack(invite: &Request, response: &Response) -> Option<Bytes> {
    let to = response.headers().raw(HeaderName::To)?;
    in_the_steps_of(invite, Method::Ack, to, None, response.headers().get().ok().flatten())
}

/// The CANCEL of an INVITE: RFC 3261 §9.1, and why: RFC 3326.
pub(crate) fn cancel(invite: &Request, reason: Option<&[u8]>) -> Option<Bytes> {
    let to = invite.headers().raw(HeaderName::To)?;
    in_the_steps_of(invite, Method::Cancel, to, reason, None)
}

/// The offer of keep-alives, where [`request_via`](sip_transport::request_via) puts it.
const KEEP: &[u8] = b";keep";

/// A request that goes where the INVITE went, and is known there as belonging to it.
fn in_the_steps_of(
    invite: &Request,
    method: Method,
    to: &[u8],
    reason: Option<&[u8]>,
    answered: Option<SessionId<'_>>,
) -> Option<Bytes> {
    let headers = invite.headers();
    let number = headers.cseq()?.number;
    // RFC 3261 §17.1.1.3: "The ACK request constructed by the client transaction MUST contain values for
    // the Call-ID, From, and Request-URI that are equal to the values of those header fields in the request
    // passed to the transport by the client transaction (call this the "original request")."
    // RFC 3261 §9.1: "The Request-URI, Call-ID, To, the numeric part of CSeq, and From header fields in the
    // CANCEL request MUST be identical to those in the request being cancelled, including tags."
    let mut builder = Request::builder(method.clone(), &invite.uri().ok()?);
    // RFC 3261 §17.1.1.3: "The ACK MUST contain a single Via header field, and this MUST be equal to the top
    // Via header field of the original request."
    // RFC 3261 §9.1: "A CANCEL constructed by a client MUST have only a single Via header field value
    // matching the top Via value in the request being cancelled."
    let via = headers.top_via()?;
    // RFC 6223 §4.3: "a SIP entity
    // MUST NOT insert a "keep" parameter in the topmost Via header field of
    // an ACK request."
    // What a transaction is matched by stays the same.
    let via = via.as_bytes().strip_suffix(KEEP).unwrap_or(via.as_bytes());
    builder = builder.raw(HeaderName::Via, via);
    builder = builder.header(&MaxForwards(70));
    // RFC 3261 §17.1.1.3: "If the INVITE request whose response is being acknowledged had Route header
    // fields, those header fields MUST appear in the ACK."
    // RFC 3261 §9.1: "If the request being cancelled contains a Route header field, the CANCEL request MUST
    // include that Route header field's values."
    builder = copy(builder, invite, HeaderName::Route);
    builder = copy(builder, invite, HeaderName::From);
    // RFC 3261 §17.1.1.3: "The To header field in the ACK MUST equal the To header field in the response
    // being acknowledged"
    builder = builder.raw(HeaderName::To, to);
    builder = copy(builder, invite, HeaderName::CallId);
    // RFC 3261 §17.1.1.3: "The CSeq header field in the ACK MUST contain the same value for the sequence
    // number as was present in the original request, but the method parameter MUST be equal to "ACK"."
    // RFC 3261 §9.1: "However, the method part of the CSeq header field MUST have a value of CANCEL."
    builder = builder.header(&CSeq::new(number, method).ok()?);
    if let Some(reason) = reason {
        builder = builder.raw(HeaderName::Reason, reason);
    }
    // RFC 3841 §5: "The Accept-Contact, Reject-Contact, and Request-Disposition header
    // fields in an ACK for a non-2xx final response, or in a CANCEL
    // request, MUST be equal to the values in the original request being
    // acknowledged or cancelled."
    for name in PREFERENCES {
        builder = copy(builder, invite, name);
    }
    builder = match (answered, headers.get::<SessionId<'_>>().ok().flatten()) {
        // RFC 7989 §6: "Endpoints MUST include this received UUID value as the "remote"
        // parameter when transmitting subsequent messages"
        (Some(peer), Some(own)) if is_of_another(&peer, &own) => {
            builder.header(&SessionId::new(own.local(), peer.local()))
        }
        // RFC 7989 §6: "The one exception is
        // when the endpoint sends a CANCEL request, in which case the Session-
        // ID header field value MUST be identical to the Session-ID header
        // field value sent in the original request."
        _ => copy(builder, invite, HeaderName::SessionId),
    };
    // RFC 3261 §9.1: "The CANCEL request MUST NOT contain any Require or Proxy-Require header fields."
    Some(builder.build().ok()?.to_bytes())
}

/// Whether who answered says a UUID of their own: those from before RFC 7989 give back ours.
fn is_of_another(peer: &SessionId<'_>, own: &SessionId<'_>) -> bool {
    peer.local() != SessionId::NIL && peer.local() != own.local()
}

/// What of an INVITE decides to whom it is forked.
const PREFERENCES: [HeaderName<'static>; 3] =
    [HeaderName::AcceptContact, HeaderName::RejectContact, HeaderName::RequestDisposition];

fn copy(mut builder: RequestBuilder, from: &Request, name: HeaderName<'static>) -> RequestBuilder {
    for value in from.headers().raw_all(name) {
        builder = builder.raw(name, value);
    }
    builder
}

/// The 200 to a CANCEL of a request that `last` answered before, or that has that tag if nothing did.
pub(crate) fn cancelled(cancel: &Request, last: Option<&Response>, tag: &str) -> Option<Response> {
    let headers = last.map(Response::headers);
    let tag = headers.and_then(Headers::to_tag).unwrap_or(tag);
    let named = headers.and_then(|headers| headers.get::<SessionId<'_>>().ok().flatten());
    let builder = Response::to_request(cancel, StatusCode::OK).to_tag(tag);
    identified(builder, cancel, named.map(|named| named.local())).build().ok()
}

/// The 100 that this layer sends by itself.
///
/// RFC 3261 §17.2.1: "The 100 (Trying) response is constructed according to the procedures in Section
/// 8.2.6, except that the insertion of tags in the To header field of the response (when none was
/// present in the request) is downgraded from MAY to SHOULD NOT."
pub(crate) fn trying(request: &Request) -> Option<Response> {
    identified(Response::to_request(request, StatusCode::TRYING), request, None).build().ok()
}

/// Says to which session a response belongs, if the request does, as who answers is named: by `named`, else as the
/// request names them.
// RFC 7989 §10.8.1: "any 100 Trying response includes Alice's
// UUID in the "remote-uuid" portion of the Session-ID header-value
// with a nil "local-uuid" value in the response."
fn identified(builder: ResponseBuilder, request: &Request, named: Option<u128>) -> ResponseBuilder {
    match request.headers().get::<SessionId<'_>>() {
        Ok(Some(asked)) => {
            // An implementation from before RFC 7989 has one UUID for both ends.
            let Some(known) = asked.remote() else {
                return builder.header(&SessionId::single(asked.local()));
            };
            builder.header(&SessionId::new(named.unwrap_or(known), asked.local()))
        }
        Ok(None) | Err(_) => builder,
    }
}

/// A refusal: a response without a transaction.
pub(crate) fn refusal(
    request: &Request,
    status: StatusCode,
    reason: Option<&str>,
    tag: &str,
    retry_after: Option<u32>,
) -> Option<Response> {
    let mut builder = Response::to_request(request, status).to_tag(tag);
    if let Some(reason) = reason {
        builder = builder.reason(reason);
    }
    if let Some(seconds) = retry_after {
        builder = builder.header(&RetryAfter::new(seconds));
    }
    builder.build().ok()
}

/// The tag of an answer that no transaction remembers: a repeat of the request gets the same again.
pub(crate) fn request_tag(seed: [u64; 2], request: &Request) -> String {
    let headers = request.headers();
    let cseq = headers.cseq().map_or(0, |cseq| cseq.number).to_be_bytes();
    tag(
        seed,
        &[
            b"request",
            headers.call_id().unwrap_or_default().as_bytes(),
            headers.from_tag().unwrap_or_default().as_bytes(),
            headers.branch().unwrap_or_default().as_bytes(),
            &cseq,
        ],
    )
}

/// A tag of 64 bits that follows from the parts, and cannot be foretold without the seed.
pub(crate) fn tag(seed: [u64; 2], parts: &[&[u8]]) -> String {
    let hash = keyed_hash(seed, parts);
    (0..13).map(|place| char::from(digit(hash >> (5 * place)))).collect()
}

/// What decides between servers that are equal: the requests of one call, those with credentials after a
/// challenge, and those that refresh a registration lead to one server while the records stay the same.
pub(crate) fn lot(seed: [u64; 2], headers: &Headers) -> u64 {
    keyed_hash(seed, &[b"lot", headers.call_id().unwrap_or_default().as_bytes()])
}

/// What a forwarded request is known again by.
pub(crate) fn loop_mark(seed: [u64; 2], parts: &[&[u8]]) -> LoopMark {
    let mut all: SmallVec<[&[u8]; 8]> = SmallVec::new();
    all.push(b"loop");
    all.extend_from_slice(parts);
    LoopMark(keyed_hash(seed, &all) as u32)
}

/// By what a response to a message is known that was forwarded without a transaction.
pub(crate) fn stateless_hash(seed: [u64; 2], parts: &[&[u8]]) -> u64 {
    let mut all: SmallVec<[&[u8]; 8]> = SmallVec::new();
    all.push(b"stateless");
    all.extend_from_slice(parts);
    keyed_hash(seed, &all)
}

fn keyed_hash(seed: [u64; 2], parts: &[&[u8]]) -> u64 {
    let mut hasher = SipHasher24::new_with_keys(seed[0], !seed[1]);
    for part in parts {
        hasher.write_usize(part.len());
        hasher.write(part);
    }
    hasher.finish()
}
