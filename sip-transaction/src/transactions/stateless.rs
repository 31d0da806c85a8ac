//! What is forwarded without a transaction (RFC 3261 §16.11): requests under a branch that is made of the message
//! alone, and the responses to them.
//!
//! ```text
//!   request ----> branch = the number of no slot, the mark of what decides where the request goes, and a keyed hash
//!                 of that mark and of the Via, Call-ID, From tag and CSeq number below
//!   response <--- its top Via has that branch, and what is below makes the same hash: the Via comes off
//! ```
//!
//! By the hash a response that was reflected or altered is none of ours, but for one in 2^32: nothing is kept, and yet
//! nobody gets the endpoint to send what it never forwarded a request for. By the mark a request is known again that
//! comes back in a circle (RFC 5393), as one that has a transaction is.

use core::net::SocketAddr;
use std::time::Instant;

use sip_message::{HeaderName, Headers, Host, Request, Response, Via};
use sip_transport::{Destination, Target, Transmit, is_own_via};

use super::Transactions;
use super::locate::{Hop, Purpose};
use super::stray::StrayNumber;
use crate::branch::{Branch, LoopMark, without_cookie};
use crate::{NextHop, Output, RequestError, ServerKey, construct};

impl Transactions {
    /// Forgets a request that is to have no transaction: one that is forwarded without
    /// ([`forward_statelessly`](Self::forward_statelessly)), or that is not answered at all. Nothing is sent; a
    /// repeat of it is a new request.
    pub fn discard(&mut self, key: ServerKey) {
        self.end_server(key);
    }

    /// Whether a request can be forwarded without a transaction: whether its branch is one of RFC 3261.
    pub fn has_stateless_branch(&self, request: &Request) -> bool {
        stateless_nonce(self.config.seed, request.headers(), 0, LoopMark(0)).is_some()
    }

    /// Forwards a request without a transaction. Its branch is made of what is equal in every repeat of it, in its
    /// CANCEL and in the ACK to a refusal; responses go by their next Via and nobody is told of them. The hop and the
    /// mark must be the same for all of these: the mark of nothing that only one of them has. ACK and CANCEL are
    /// welcome. Which of several servers was bad lately plays no part.
    ///
    /// # Errors
    ///
    /// [`RequestError`]; nothing was sent then. [`RequestError::Method`] also if the request
    /// [has no branch](Self::has_stateless_branch) that another could be made of.
    pub fn forward_statelessly(
        &mut self,
        now: Instant,
        request: Request,
        hop: NextHop,
        mark: LoopMark,
    ) -> Result<(), RequestError> {
        // RFC 3261 §16.11: "If it begins with the magic cookie, the first
        // component of the branch ID of the outgoing request is computed
        // as a hash of the received branch ID."
        let nonce = stateless_nonce(self.config.seed, request.headers(), 0, mark);
        self.pass(now, request, hop, nonce.ok_or(RequestError::Method)?, true)
    }

    /// Passes on the ACK to a 2xx under a new branch that has the mark: [`has_looped`](Self::has_looped) knows it
    /// again.
    ///
    /// # Errors
    ///
    /// [`RequestError`]; nothing was sent then.
    pub fn forward_ack(
        &mut self,
        now: Instant,
        ack: Request,
        hop: NextHop,
        mark: LoopMark,
    ) -> Result<(), RequestError> {
        let nonce = mark.nonce(self.random.next_u64());
        self.pass(now, ack, hop, nonce, false)
    }

    /// Has a CANCEL that matches nothing told as [`Event::Cancel`](crate::Event::Cancel), where it is answered 481
    /// otherwise: what a proxy asks for.
    // RFC 3261 §16.10: "It MUST statelessly forward the
    // CANCEL request (it may have statelessly forwarded the associated
    // request previously)."
    pub fn take_stray_cancels(&mut self) {
        self.takes_stray_cancels = true;
    }

    /// Answers a CANCEL that matches nothing by 481 ([`Event::Cancel`](crate::Event::Cancel)).
    pub fn refuse_cancel(&mut self, cancel: &Request, flow: &sip_transport::Flow) {
        self.stats.refused_cancels += 1;
        let status = sip_message::StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
        self.refuse(cancel, flow, status, None);
    }

    pub(super) fn pass(
        &mut self,
        now: Instant,
        request: Request,
        hop: NextHop,
        nonce: u64,
        is_steady: bool,
    ) -> Result<(), RequestError> {
        match self.hop(hop, &request)? {
            Hop::Known(target, domain) => {
                Ok(self.send_statelessly(request, target, domain, nonce)?)
            }
            Hop::Name(locator) => {
                if self.lookups.len() >= self.config.transactions {
                    return Err(RequestError::Full);
                }
                self.look_up(now, Purpose::Pass { request, nonce, is_steady }, locator);
                Ok(())
            }
        }
    }

    /// Passes on a response to what was forwarded without a transaction, and says whether it was one.
    pub(super) fn passes_back(&mut self, response: &Response) -> bool {
        let headers = response.headers();
        let Some(branch) = headers.branch().and_then(Branch::decode) else { return false };
        // RFC 3261 §16.11: "If that address matches the proxy,
        // (it equals a value this proxy has inserted into previous requests)
        // the proxy MUST remove that header field value from the response and
        // forward the result to the location indicated in the next Via header
        // field value."
        if branch.slot != NO_SLOT
            || !headers.top_via().is_some_and(|via| is_own_via(&self.locals, &via))
            || stateless_nonce(self.config.seed, headers, 1, LoopMark::of(branch.nonce))
                != Some(branch.nonce)
        {
            return false;
        }
        let mut response = response.clone();
        response.headers_mut().pop_front(HeaderName::Via);
        let Some((target, fallback)) = response.headers().top_via().and_then(|via| way_of(&via))
        else {
            return false;
        };
        self.stats.responses_sent += 1;
        self.outputs.push_back(Output::Transmit(Transmit {
            destination: Destination::Target(target),
            fallback,
            payload: response.to_bytes(),
            token: StrayNumber::NEW.token(),
            domain: None,
        }));
        true
    }
}

/// A slot that is never used: no response finds a transaction by a branch with it.
pub(super) const NO_SLOT: u32 = u32::MAX;

/// The nonce of the branch under which a message with that mark is forwarded whose own Via is the nth.
fn stateless_nonce(seed: [u64; 2], headers: &Headers, nth: usize, mark: LoopMark) -> Option<u64> {
    let via = headers.get_all::<Via<'_>>().nth(nth)?.ok()?;
    let branch = via.branch().filter(|branch| without_cookie(branch).is_some())?;
    let number = headers.cseq()?.number.to_be_bytes();
    let hash = construct::stateless_hash(
        seed,
        &[
            &mark.0.to_be_bytes(),
            branch.as_bytes(),
            via.host_str().as_bytes(),
            &via.port().unwrap_or_default().to_be_bytes(),
            headers.call_id()?.as_bytes(),
            headers.from_tag().unwrap_or_default().as_bytes(),
            &number,
        ],
    );
    Some(mark.nonce(hash))
}

/// Where the Via of a request leads that came here, and where if that connection is gone. Its host, or what was
/// received, is an address: it was tagged otherwise.
fn way_of(via: &Via<'_>) -> Option<(Target, Option<Target>)> {
    let ip = via.received().or_else(|| match via.host() {
        Host::V4(ip) => Some(ip.into()),
        Host::V6(ip) => Some(ip.into()),
        Host::Name(_) => None,
    })?;
    let transport = via.transport()?;
    let by_name =
        Target::new(transport, SocketAddr::new(ip, via.port().unwrap_or(transport.default_port())));
    Some(match via.rport().flatten() {
        Some(port) => (Target::new(transport, SocketAddr::new(ip, port)), Some(by_name)),
        None => (by_name, None),
    })
}
