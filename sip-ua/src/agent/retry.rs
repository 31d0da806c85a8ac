//! What a refusal of our INVITE leads to, in one table: [`Remedy::of`]. The page `docs/statuses.md` says it in words,
//! for other requests as well.
//!
//! A remedy changes the INVITE that is kept, and it is sent again: under the next CSeq number, with the same Call-ID,
//! From and To. What there is no remedy for is told to the application with the response that says so.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_dialog::TimerFields;
use sip_message::{
    Accept, Contact, HeaderName, Method, Request, Response, RetryAfter, StatusCode, Unsupported,
    Uri,
};
use sip_transaction::Transactions;

use super::call::Caller;
use super::compose::{FirstHop, contact, listener_towards, over_this_flow};
use super::history::{self, found_by};
use super::outgoing::contacts;
use super::session_id::{heard_again, heard_nothing};
use super::table::TimerKind;
use super::{Agent, preconditions};
use crate::{Body, CallKey, CallUpdate, EndReason, OutgoingCall};

/// How an INVITE may get past a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remedy {
    /// The addresses in Contact, if the call follows redirections.
    Contacts,
    /// By way of the proxy in Contact, if the call follows redirections.
    Proxy,
    /// With credentials.
    Credentials,
    /// With another of the bodies that the call was given: one that is smaller, or of a type in Accept.
    OtherBody,
    /// Without the extensions in Unsupported.
    FewerExtensions,
    /// With the session interval in Min-SE.
    LongerInterval,
    /// At the next address of a redirection before, if there is one.
    NextTarget,
    /// None: it is the last word of the user, and an alternative that people must choose.
    Nothing,
}

impl Remedy {
    fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            // RFC 3261 §21.3.4: "The requested resource MUST be accessed through the proxy given by
            // the Contact field."
            305 => Self::Proxy,
            // RFC 3261 §21.3.5: "The call was not successful, but alternative services are
            // possible."
            380 => Self::Nothing,
            // RFC 3261 §8.1.3.4: "Upon receipt of a redirection response (for example, a 301 response
            // status code), clients SHOULD use the URI(s) in the Contact header
            // field to formulate one or more new requests based on the redirected
            // request."
            300..=399 => Self::Contacts,
            // RFC 3261 §8.1.3.5: "If a 401 (Unauthorized) or 407 (Proxy Authentication Required)
            // response is received, the UAC SHOULD follow the authorization
            // procedures of Section 22.2 and Section 22.3 to retry the request with
            // credentials."
            401 | 407 => Self::Credentials,
            // RFC 3261 §8.1.3.5: "If possible, the UAC SHOULD retry the
            // request, either omitting the body or using one of a smaller length."
            // RFC 3261 §8.1.3.5: "The UAC SHOULD retry sending the request, this time only using
            // content with types listed in the Accept header field in the response"
            413 | 415 => Self::OtherBody,
            // RFC 3261 §8.1.3.5: "The UAC SHOULD retry the request, this time omitting any extensions listed in
            // the Unsupported header field in the response."
            420 => Self::FewerExtensions,
            // RFC 4028 §7.3: "If the response to a session refresh request is a 422 (Session
            // Interval Too Small) response message, then the UAC MAY retry the
            // request."
            422 => Self::LongerInterval,
            // RFC 3261 §21.6: "6xx responses indicate that a server has definitive information about
            // a particular user, not just the particular instance indicated in the
            // Request-URI."
            600..=699 => Self::Nothing,
            // RFC 3261 §8.1.3.4: "When a failure for a particular contact address is received, the
            // client SHOULD try the next contact address."
            _ => Self::NextTarget,
        }
    }
}

/// What a call of ours may still try, if it was given anything.
pub(crate) struct Retry {
    /// The addresses of redirections, the next first.
    targets: VecDeque<Uri<'static>>,
    /// Those that were, and the one that was called.
    tried: Vec<Uri<'static>>,
    /// How those were found, as the redirections say it (RFC 7044).
    found_by: Vec<(Uri<'static>, (&'static str, String))>,
    /// How many more may be tried.
    left: u8,
    /// Bodies in place of the one that was refused, the most wanted first.
    bodies: VecDeque<Body>,
    /// Whether it is placed again when a refusal says when.
    later: Option<Later>,
}

/// A call that may be placed again later.
struct Later {
    /// The longest wait.
    longest: Duration,
    /// How often.
    left: u8,
    /// What it was refused by, while it waits.
    refused: Option<Arc<Response>>,
}

impl Retry {
    pub(crate) fn of(call: &OutgoingCall) -> Option<Box<Self>> {
        let later = call.retry_after.filter(|(times, _)| *times > 0);
        if call.redirects == 0 && call.alternatives.is_empty() && later.is_none() {
            return None;
        }
        Some(Box::new(Self {
            targets: VecDeque::new(),
            tried: vec![call.to.clone()],
            found_by: Vec::new(),
            left: call.redirects,
            bodies: call.alternatives.iter().cloned().collect(),
            later: later.map(|(left, longest)| Later { longest, left, refused: None }),
        }))
    }

    /// What the call was refused by, if it waits to be placed again.
    pub(super) fn refused(&self) -> Option<&Arc<Response>> {
        self.later.as_ref()?.refused.as_ref()
    }

    /// Puts the addresses of a redirection before those that are left.
    // RFC 3261 §8.1.3.4: "As with proxy recursion, a client processing
    // 3xx class responses MUST NOT add any given URI to the target set more
    // than once."
    fn redirected(&mut self, response: &Response, was_secure: bool) {
        for uri in contacts(response).iter().rev() {
            let known = |old: &Uri<'_>| old.is_equivalent(uri);
            // RFC 3261 §8.1.3.4: "If the original request had a SIPS URI in the Request-
            // URI, the client MAY choose to recurse to a non-SIPS URI, but SHOULD
            // inform the user of the redirection to an insecure URI."
            // One that asks for another method is no place to call.
            let is_place = uri.is_sip() && uri.method_param().is_none();
            let fits = is_place && (uri.is_secure() || !was_secure);
            if fits && !self.tried.iter().any(known) && !self.targets.iter().any(known) {
                self.targets.push_front(uri.clone());
            }
        }
        for contact in response.headers().get_all::<Contact<'_>>().map_while(Result::ok) {
            if let (Some(uri), Some(found_by)) = (contact.uri(), found_by(&contact))
                && self.targets.iter().any(|target| *target == uri)
            {
                self.found_by.push((uri.to_static(), found_by));
            }
        }
    }

    fn next(&mut self) -> Option<Uri<'static>> {
        self.left = self.left.checked_sub(1)?;
        let next = self.targets.pop_front()?;
        self.tried.push(next.clone());
        Some(next)
    }
}

impl Agent {
    /// Whether the INVITE, changed by what this refusal asks for, is worth another try at the same address.
    pub(crate) fn mend(&mut self, key: CallKey, response: &Response) -> bool {
        match Remedy::of(response.status()) {
            Remedy::Credentials => self.challenge_call(key, response),
            Remedy::LongerInterval => self.raise_interval(key, response),
            Remedy::OtherBody => self.change_body(key, response).is_some(),
            Remedy::FewerExtensions => self.drop_extensions(key, response).is_some(),
            Remedy::Contacts | Remedy::Proxy | Remedy::NextTarget | Remedy::Nothing => false,
        }
    }

    /// Whether the INVITE, now for another address, is worth another try. Without a response nobody answered there.
    pub(crate) fn turn_elsewhere(
        &mut self,
        tx: &mut Transactions,
        key: CallKey,
        response: Option<&Response>,
    ) -> bool {
        self.redirect(tx, key, response).is_some()
    }

    /// Whether the call waits now, to be placed again when this refusal says.
    // RFC 3261 §20.33: "The Retry-After header field can be used with a 500 (Server Internal
    // Error) or 503 (Service Unavailable) response to indicate how long the
    // service is expected to be unavailable to the requesting client and
    // with a 404 (Not Found), 413 (Request Entity Too Large), 480
    // (Temporarily Unavailable), 486 (Busy Here), 600 (Busy), or 603
    // (Decline) response to indicate when the called party anticipates
    // being available again."
    pub(super) fn wait_for_it(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        response: &Response,
    ) -> bool {
        let Some(caller) = self.calls.get_mut(key).and_then(|call| call.caller.as_mut()) else {
            return false;
        };
        let Some(later) = caller.retry.as_mut().and_then(|retry| retry.later.as_mut()) else {
            return false;
        };
        // RFC 3261 §21.5.4: "If no Retry-After is given, the client MUST act as if it had
        // received a 500 (Server Internal Error) response."
        let Ok(Some(wait)) = response.headers().get::<RetryAfter<'_>>() else { return false };
        let wait = Duration::from_secs(wait.seconds().into());
        if !says_when(response.status()) || later.left == 0 || wait > later.longest {
            return false;
        }
        later.left -= 1;
        let response = Arc::new(response.clone());
        later.refused = Some(Arc::clone(&response));
        caller.challenges = 0;
        heard_again(&mut caller.invite, &response);
        let timer = tx.arm(now, wait, TimerKind::PlaceAgain.token(key));
        if let Some(before) = caller.timer.replace(timer) {
            tx.disarm(before);
        }
        self.update(key, CallUpdate::Postponed { wait, response });
        true
    }

    /// The time that a refusal named has come.
    pub(super) fn place_again(&mut self, now: Instant, tx: &mut Transactions, key: CallKey) {
        let Some(caller) = self.calls.get_mut(key).and_then(|call| call.caller.as_mut()) else {
            return;
        };
        caller.timer = None;
        let later = caller.retry.as_mut().and_then(|retry| retry.later.as_mut());
        let Some(refused) = later.and_then(|later| later.refused.take()) else { return };
        if !self.resend_invite(now, tx, key) {
            self.end_call(now, tx, key, EndReason::Rejected(refused));
        }
    }

    fn redirect(
        &mut self,
        tx: &mut Transactions,
        key: CallKey,
        response: Option<&Response>,
    ) -> Option<()> {
        let call = self.calls.get_mut(key)?;
        let account = call.account.clone()?;
        let caller = call.caller.as_mut()?;
        let retry = caller.retry.as_mut()?;
        let was_secure = caller.invite.uri().is_ok_and(|uri| uri.is_secure());
        let remedy = response.map_or(Remedy::NextTarget, |response| Remedy::of(response.status()));
        let (target, hop) = match (remedy, response) {
            (Remedy::Nothing, _) => return None,
            (Remedy::Proxy, Some(response)) => {
                // RFC 3261 §21.3.4: "The Contact field gives the URI of the proxy.  The
                // recipient is expected to repeat this single request via the
                // proxy."
                let proxy = contacts(response).first()?.clone();
                if retry.tried.iter().any(|old| old.is_equivalent(&proxy)) {
                    return None;
                }
                retry.targets.push_front(proxy);
                let proxy = retry.next()?;
                (caller.invite.uri().ok()?.to_static(), FirstHop::by_way_of(&proxy))
            }
            (Remedy::Contacts, Some(response)) => {
                retry.redirected(response, was_secure);
                let target = retry.next()?;
                let hop = FirstHop::of(&account, &target);
                (target, hop)
            }
            _ => {
                let target = retry.next()?;
                let hop = FirstHop::of(&account, &target);
                (target, hop)
            }
        };
        let listener = listener_towards(tx, &hop.uri);
        // RFC 3261 §8.1.1.8: "If the Request-URI or top Route header field value contains a SIPS
        // URI, the Contact header field MUST contain a SIPS URI as well."
        let secure = target.is_secure() || hop.uri.is_secure();
        let plain = || contact(listener, account.contact_user(), secure);
        let contact = self.gruus.contact(Some(&account), secure).unwrap_or_else(plain);
        let contact = over_this_flow(contact, Some(&account));
        let found_by = retry.found_by.iter().find(|(of, _)| *of == target);
        let history = history::after(&caller.invite, response, &target, found_by.map(|(_, by)| by));
        let change = Change {
            headers: &[
                (HeaderName::Contact, Some(contact.as_bytes())),
                (HeaderName::Route, hop.route().map(str::as_bytes)),
                (HeaderName::HistoryInfo, history.as_deref().map(str::as_bytes)),
            ],
            body: None,
        };
        caller.invite = change.made(&caller.invite, &target)?;
        heard_nothing(&mut caller.invite);
        caller.hop = hop.next_hop();
        caller.challenges = 0;
        call.listener = listener.map(|local| local.id);
        self.update(key, CallUpdate::Redirected { to: target });
        Some(())
    }

    fn change_body(&mut self, key: CallKey, response: &Response) -> Option<()> {
        let caller = self.calls.get_mut(key)?.caller.as_mut()?;
        let bodies = &mut caller.retry.as_mut()?.bodies;
        let length = caller.invite.body().len();
        let fits = |body: &Body| match response.status() {
            StatusCode::REQUEST_ENTITY_TOO_LARGE => body.bytes.len() < length,
            _ => accepts(response, &body.content_type),
        };
        let body = bodies.remove(bodies.iter().position(fits)?)?;
        caller.change(&Change { headers: &[], body: Some(&body) })
    }

    fn drop_extensions(&mut self, key: CallKey, response: &Response) -> Option<()> {
        let caller = self.calls.get_mut(key)?.caller.as_mut()?;
        let lines: Vec<Unsupported<'_>> =
            response.headers().get_all::<Unsupported<'_>>().flatten().collect();
        let unknown = |tag: &str| lines.iter().any(|line| line.contains(tag));
        // Without the extension nobody would keep what the offer insists on.
        if unknown(preconditions::TAG) && preconditions::are_mandatory(caller.invite.body()) {
            return None;
        }
        let mut dropped = false;
        let mut left = |name: HeaderName<'static>| {
            let mut tags = Vec::new();
            for line in caller.invite.headers().raw_all(name) {
                for tag in String::from_utf8_lossy(line).split(',').map(str::trim) {
                    if unknown(tag) {
                        dropped = true;
                    } else {
                        tags.push(tag.to_owned());
                    }
                }
            }
            (!tags.is_empty()).then(|| tags.join(", "))
        };
        let require = left(HeaderName::Require);
        let proxy_require = left(HeaderName::ProxyRequire);
        let supported = left(HeaderName::Supported);
        // It refuses what we did not ask for: it would again.
        if !dropped {
            return None;
        }
        let timed = supported.as_ref().is_some_and(|tags| tags.contains("timer"));
        let fields = TimerFields::of(caller.invite.headers());
        let interval = fields.session_expires.filter(|_| timed).map(|seconds| seconds.to_string());
        let headers = [
            (HeaderName::Require, require.as_deref()),
            (HeaderName::ProxyRequire, proxy_require.as_deref()),
            (HeaderName::Supported, supported.as_deref()),
            (HeaderName::SessionExpires, interval.as_deref()),
        ];
        let headers = headers.map(|(name, value)| (name, value.map(str::as_bytes)));
        caller.change(&Change { headers: &headers, body: None })
    }
}

impl Caller {
    fn change(&mut self, change: &Change<'_>) -> Option<()> {
        let uri = self.invite.uri().ok()?.to_static();
        self.invite = change.made(&self.invite, &uri)?;
        Some(())
    }
}

/// What is different in an INVITE that is sent again.
struct Change<'a> {
    /// Header fields that get another value, or are left out.
    headers: &'a [(HeaderName<'a>, Option<&'a [u8]>)],
    body: Option<&'a Body>,
}

impl Change<'_> {
    // RFC 3261 §8.1.3.4: "In all other respects, requests sent upon receipt of a redirect
    // response SHOULD re-use the header fields and bodies of the original
    // request."
    fn made(&self, old: &Request, target: &Uri<'_>) -> Option<Request> {
        // RFC 3261 §8.1.3.4: "It uses the "header" parameters to create header field values for the
        // new request, overwriting header field values associated with the
        // redirected request in accordance with the guidelines in Section
        // 19.1.5."
        // The body is the offer, whoever answers it; and To stays as it was:
        // RFC 3261 §8.1.3.4: "It is RECOMMENDED that the UAC reuse the same To, From, and Call-ID
        // used in the original redirected request"
        let mut builder = Request::builder(Method::Invite, &target.without_headers().ok()?);
        let mut given = Vec::new();
        for header in target.headers() {
            let name = header.name_decoded().into_owned();
            if HeaderName::from_bytes(name.as_bytes()).is_some_and(is_taken_over) {
                given.push((name, header.value_decoded().unwrap_or_default().into_owned()));
            }
        }
        for field in old.headers().iter() {
            let name = field.name();
            let replaced = self.headers.iter().any(|(other, _)| *other == name)
                || given
                    .iter()
                    .any(|(given, _)| HeaderName::from_bytes(given.as_bytes()) == Some(name));
            // The credentials for one address are not for another, and are written anew.
            let left_out = matches!(
                name,
                HeaderName::ContentLength
                    | HeaderName::ContentType
                    | HeaderName::Authorization
                    | HeaderName::ProxyAuthorization
            );
            if !replaced && !left_out {
                builder = builder.raw(name, field.value());
            }
        }
        for (name, value) in &given {
            if let Some(name) = HeaderName::from_bytes(name.as_bytes()) {
                builder = builder.raw(name, value.as_bytes());
            }
        }
        for (name, value) in self.headers {
            if let Some(value) = value {
                builder = builder.raw(*name, value);
            }
        }
        match (self.body, old.headers().raw(HeaderName::ContentType)) {
            (Some(body), _) => {
                builder = builder.body(body.content_type.as_bytes(), body.bytes.clone());
            }
            (None, Some(kind)) if !old.body().is_empty() => {
                builder = builder.body(kind, old.body().to_vec());
            }
            (None, _) => {}
        }
        builder.build().ok()
    }
}

/// Whether Retry-After of this status says when to call again.
fn says_when(status: StatusCode) -> bool {
    matches!(status.as_u16(), 404 | 413 | 480 | 486 | 500 | 503 | 600 | 603)
}

/// Whether a header parameter of an address may say what is in a request to it.
fn is_taken_over(name: HeaderName<'_>) -> bool {
    let is_ours = matches!(name, HeaderName::To | HeaderName::ContentType);
    let is_body = matches!(name, HeaderName::Other(name) if name.eq_ignore_ascii_case("body"));
    !is_ours && !is_body && Request::may_come_from_uri(name)
}

/// Whether the Accept of a 415 has room for a body of this type.
fn accepts(response: &Response, kind: &str) -> bool {
    let Some((kind, subtype)) = kind.split(';').next().and_then(|kind| kind.trim().split_once('/'))
    else {
        return false;
    };
    response.headers().get_all::<Accept<'_>>().flatten().any(|range| range.accepts(kind, subtype))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirection(contacts: &str) -> Response {
        let uri = Uri::parse(b"sip:bob@192.0.2.2").unwrap();
        let invite = Request::builder(Method::Invite, &uri)
            .raw(HeaderName::MaxForwards, b"70")
            .raw(HeaderName::From, b"<sip:a@192.0.2.1>;tag=a")
            .raw(HeaderName::To, b"<sip:bob@192.0.2.2>")
            .raw(HeaderName::CallId, b"1")
            .raw(HeaderName::CSeq, b"1 INVITE")
            .build()
            .unwrap();
        Response::to_request(&invite, StatusCode::MOVED_TEMPORARILY)
            .to_tag("b")
            .raw(HeaderName::Contact, contacts.as_bytes())
            .build()
            .unwrap()
    }

    #[test]
    fn a_secure_call_is_not_redirected_to_an_insecure_one() {
        let call = OutgoingCall::to("sips:bob@example.com".parse().unwrap()).follow_redirects(9);
        let response = redirection("<sip:bob@a.example>, <sips:bob@b.example>, <tel:+15>");
        let mut retry = Retry::of(&call).unwrap();
        retry.redirected(&response, true);
        assert_eq!(retry.next().unwrap().as_str(), "sips:bob@b.example");
        assert!(retry.next().is_none());
        let mut retry = Retry::of(&call).unwrap();
        retry.redirected(&response, false);
        assert_eq!(retry.next().unwrap().as_str(), "sip:bob@a.example");
        assert_eq!(retry.next().unwrap().as_str(), "sips:bob@b.example");
    }

    #[test]
    fn a_new_redirection_comes_before_what_is_left_of_the_old() {
        let call = OutgoingCall::to("sip:bob@example.com".parse().unwrap()).follow_redirects(3);
        let mut retry = Retry::of(&call).unwrap();
        retry.redirected(&redirection("<sip:1@a>;q=0.5, <sip:2@a>;q=0.1"), false);
        assert_eq!(retry.next().unwrap().as_str(), "sip:1@a");
        retry.redirected(&redirection("<sip:3@a>, <sip:2@a>"), false);
        assert_eq!(retry.next().unwrap().as_str(), "sip:3@a");
        assert_eq!(retry.next().unwrap().as_str(), "sip:2@a");
        retry.redirected(&redirection("<sip:4@a>"), false);
        assert!(retry.next().is_none(), "the limit");
    }
}
