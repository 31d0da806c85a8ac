//! What a request must be to be forwarded (RFC 3261 §16.3).

use std::time::Instant;

use sip_message::{HeaderName, MaxBreadth, ProxyRequire, Request, Response, StatusCode, Uri};
use sip_transaction::{ServerKey, Transactions};

use super::forward::Marks;
use super::{Proxy, respond};
use crate::{Router, overload};

/// Why a request is not forwarded (RFC 3261 §16.3).
pub(super) enum Unfit {
    Malformed(&'static str),
    Scheme,
    TooManyHops,
    Loop,
    Breadth,
    Extension(String),
    Full,
}

impl<R: Router> Proxy<R> {
    /// RFC 3261 §16.3.
    pub(super) fn check(
        &self,
        tx: &Transactions,
        request: &Request,
        marks: Marks,
    ) -> Result<(), Unfit> {
        // RFC 3261 §16.3: "Any components involved in the remainder of these
        // Request Validation steps or the Request Forwarding section MUST be
        // well-formed."
        if request.get_all::<sip_message::Route<'_>>().any(|route| route.is_err()) {
            return Err(Unfit::Malformed("Malformed Route"));
        }
        // RFC 3261 §16.3: "If the Request-URI has a URI whose scheme is not understood by the
        // proxy, the proxy SHOULD reject the request with a 416 (Unsupported
        // URI Scheme) response."
        if !request.uri().is_ok_and(|uri| uri.is_sip() || is_routable(&uri)) {
            return Err(Unfit::Scheme);
        }
        // RFC 3261 §16.3: "If the request contains a Max-Forwards header field with a field
        // value of zero (0), the element MUST NOT forward the request."
        if request.headers().max_forwards() == Some(0) {
            return Err(Unfit::TooManyHops);
        }
        // RFC 5393 §4.2.2: "If these values are equal,
        // the request has looped and the proxy MUST reject the request with a
        // 482 (Loop Detected) response."
        if marks.are_known(tx, request) {
            return Err(Unfit::Loop);
        }
        // RFC 3261 §16.3: "If the request contains a Proxy-Require header field (Section
        // 20.29) with one or more option-tags this element does not
        // understand, the element MUST return a 420 (Bad Extension)
        // response."
        let mut unknown = String::new();
        for required in request.get_all::<ProxyRequire<'_>>() {
            let Ok(required) = required else {
                return Err(Unfit::Malformed("Malformed Proxy-Require"));
            };
            for tag in required.iter() {
                if !self.config.proxy_require.iter().any(|known| known.eq_ignore_ascii_case(tag)) {
                    unknown.push_str(if unknown.is_empty() { "" } else { ", " });
                    unknown.push_str(tag);
                }
            }
        }
        if !unknown.is_empty() {
            return Err(Unfit::Extension(unknown));
        }
        // RFC 5393 §5.3.3: "If a SIP proxy determines a response context has insufficient
        // Incoming Max-Breadth to carry out a desired parallel fork, and the
        // proxy is unwilling/unable to compensate by forking serially or
        // sending a redirect, that proxy MUST return a 440 (Max-Breadth
        // Exceeded) response."
        if matches!(request.get::<MaxBreadth>(), Ok(Some(MaxBreadth(0)))) {
            return Err(Unfit::Breadth);
        }
        let requests = self.contexts.len().saturating_add(self.held.len());
        if requests >= self.config.max_contexts
            && requests >= overload::room(self.config.max_contexts, overload::category(tx, request))
        {
            return Err(Unfit::Full);
        }
        Ok(())
    }

    pub(super) fn refuse(
        &self,
        now: Instant,
        tx: &mut Transactions,
        key: ServerKey,
        request: &Request,
        unfit: Unfit,
    ) {
        let reply = |status| Response::to_request(request, status).to_tag(&tx.local_tag(key));
        let builder = match unfit {
            Unfit::Malformed(reason) => reply(StatusCode::BAD_REQUEST).reason(reason),
            Unfit::Scheme => reply(StatusCode::UNSUPPORTED_URI_SCHEME),
            // RFC 3261 §16.3: "Otherwise, the element MUST
            // return a 483 (Too many hops) response."
            Unfit::TooManyHops => reply(StatusCode::TOO_MANY_HOPS),
            Unfit::Loop => reply(StatusCode::LOOP_DETECTED),
            Unfit::Breadth => reply(StatusCode::MAX_BREADTH_EXCEEDED),
            // RFC 3261 §16.3: "The response MUST include an Unsupported (Section
            // 20.40) header field listing those option-tags the element did not
            // understand."
            Unfit::Extension(tags) => {
                reply(StatusCode::BAD_EXTENSION).raw(HeaderName::Unsupported, tags)
            }
            Unfit::Full => reply(StatusCode::SERVICE_UNAVAILABLE)
                .raw(HeaderName::RetryAfter, self.config.retry_after.to_string()),
        };
        respond(now, tx, key, builder);
    }
}

pub(super) fn is_routable(uri: &Uri<'_>) -> bool {
    // A service is found by its name (RFC 5031): an emergency call, above all.
    matches!(uri.scheme(), sip_message::Scheme::Tel | sip_message::Scheme::Urn)
}
