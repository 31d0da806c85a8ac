//! The client side: requests that we send.

use core::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sip_message::{HeaderName, Message, Method, Request, Response, Transport, Via};
use sip_transport::locate::Failure;
use sip_transport::{
    Destination, Flow, ListenerId, Local, Target, Transmit, TransportError, is_own_via,
    request_via_with, requires_congestion_control,
};

use super::locate::{Hop, Purpose, Way};
use super::stateless::NO_SLOT;
use super::{
    Expiry, Running, TimerName, TransactionSpan, Transactions, trace_in, transaction_span,
};
use crate::branch::{Branch, LoopMark};
use crate::client_invite::{self, ClientInvite};
use crate::client_non_invite::{self, ClientNonInvite};
use crate::machine::{Action, Actions};
use crate::overload;
use crate::slots::SlotKey;
use crate::{ClientKey, Event, Key, NextHop, Output, RequestError, construct};

/// One client transaction.
#[derive(Debug)]
pub(super) struct Client {
    machine: Machine,
    pub(super) method: Method,
    /// With the slot, the branch.
    pub(super) nonce: u64,
    pub(super) target: Target,
    /// Set if the request was moved from UDP to TCP for its size: the listener that was asked for.
    pub(super) moved: Option<Option<ListenerId>>,
    /// Set if there are other targets, or the one has to prove its domain.
    pub(super) way: Option<Box<Way>>,
    /// The request as it was sent; the ACK after a final response other than a 2xx; empty when
    /// nothing will be sent again.
    pub(super) message: Bytes,
    pub(super) is_sent: bool,
    /// Whether its Via offers keep-alives.
    pub(super) keep: bool,
    is_acknowledged: bool,
    is_counted_unfinished: bool,
    pub(super) running: Running,
    /// Of an INVITE its CANCEL, of a CANCEL its INVITE: both have one branch.
    partner: Option<ClientKey>,
    pub(super) span: TransactionSpan,
}

#[derive(Debug)]
enum Machine {
    /// Not started: the address of the next hop is being looked up, or is known since just now.
    Waiting(Option<SlotKey>),
    Invite(ClientInvite),
    NonInvite(ClientNonInvite),
}

impl Transactions {
    /// Starts a client transaction. The request comes without the Via that this layer adds (the
    /// Vias of a proxied request stay, below it).
    ///
    /// # Errors
    ///
    /// [`RequestError`]; nothing was sent then, and no event will follow.
    pub fn request(
        &mut self,
        now: Instant,
        request: Request,
        hop: NextHop,
    ) -> Result<ClientKey, RequestError> {
        let nonce = self.random.next_u64();
        self.begin(now, request, hop, nonce, false)
    }

    /// Starts a client transaction as [`request`](Self::request) does. With `keep` its Via offers to send
    /// keep-alives over the flow that the request goes by (RFC 6223): for a REGISTER, and for a request that
    /// makes a dialog or refreshes its target. What is answered is the `keep` of the response's Via
    /// ([`Via::keep`](sip_message::Via::keep)).
    ///
    /// # Errors
    ///
    /// As for [`request`](Self::request).
    pub fn request_with_keep(
        &mut self,
        now: Instant,
        request: Request,
        hop: NextHop,
        keep: bool,
    ) -> Result<ClientKey, RequestError> {
        let nonce = self.random.next_u64();
        self.begin(now, request, hop, nonce, keep)
    }

    /// As [`request`](Self::request), for a proxy: the branch carries the mark, by which
    /// [`has_looped`](Self::has_looped) knows the request again.
    ///
    /// # Errors
    ///
    /// [`RequestError`]; nothing was sent then, and no event will follow.
    pub fn forward(
        &mut self,
        now: Instant,
        request: Request,
        hop: NextHop,
        mark: LoopMark,
    ) -> Result<ClientKey, RequestError> {
        let nonce = mark.nonce(self.random.next_u64());
        self.begin(now, request, hop, nonce, false)
    }

    /// The mark of a request that is about to be forwarded, of all that decides where it goes: the received
    /// Request-URI and Route at least, never the method (RFC 5393 §4.2.1). Equal parts make equal marks within
    /// one endpoint, and nobody outside can foretell them.
    pub fn loop_mark(&self, parts: &[&[u8]]) -> LoopMark {
        construct::loop_mark(self.config.seed, parts)
    }

    /// Whether this endpoint forwarded the request with one of these marks before: whether one of its Vias is ours
    /// and has it. By chance alone that is so of one in 2^32.
    pub fn has_looped(&self, request: &Request, marks: &[LoopMark]) -> bool {
        // RFC 5393 §4.2.2: "Each
        // Via header field value in the request whose sent-by value matches a
        // value placed into previous requests by this proxy MUST be inspected
        // for the "second part" defined in Section 4.2.1 of RFC 5393."
        request.get_all::<Via<'_>>().flatten().filter(|via| is_own_via(&self.locals, via)).any(
            |via| {
                via.branch()
                    .and_then(Branch::decode)
                    .is_some_and(|it| marks.contains(&LoopMark::of(it.nonce)))
            },
        )
    }

    fn begin(
        &mut self,
        now: Instant,
        request: Request,
        hop: NextHop,
        nonce: u64,
        keep: bool,
    ) -> Result<ClientKey, RequestError> {
        if matches!(request.method(), Method::Ack | Method::Cancel) {
            return Err(RequestError::Method);
        }
        if !request.headers().cseq().is_some_and(|cseq| cseq.is(request.method())) {
            return Err(RequestError::CSeq);
        }
        let hop = self.hop(hop, &request)?;
        if !self.has_room(eases_the_load(request.method())) {
            return Err(RequestError::Full);
        }
        let method = request.method().clone();
        match hop {
            Hop::Known(target, domain) => {
                if !self.may_go_to(now, &request, &target) {
                    return Err(TransportError::Throttled.into());
                }
                let key = self.insert_client(method, nonce, target, domain, keep);
                if let Err(error) = self.send_first(now, key, request) {
                    self.remove_client(key);
                    return Err(error.into());
                }
                Ok(key)
            }
            Hop::Name(locator) => {
                // Of no meaning until the first target is known.
                let target = Target::new(Transport::Udp, SocketAddr::from(([0, 0, 0, 0], 0)));
                let key = self.insert_client(method, nonce, target, None, keep);
                let lookup = self.look_up(now, Purpose::Request(key, request), locator);
                if let Some(client) = self.clients.get_mut(key.0) {
                    client.machine = Machine::Waiting(Some(lookup));
                }
                Ok(key)
            }
        }
    }

    /// Sends a request without a transaction, with a branch of its own: the ACK to a 2xx.
    ///
    /// RFC 3261 §17.1: "If the TU wishes to send an ACK, it passes one directly to the transport layer for
    /// transmission."
    ///
    /// RFC 3261 §17.1.1.3: "A UAC core that generates an ACK for 2xx MUST instead follow the rules
    /// described in Section 13."
    ///
    /// # Errors
    ///
    /// [`RequestError`]; nothing was sent then.
    pub fn send_request(
        &mut self,
        now: Instant,
        request: Request,
        hop: NextHop,
    ) -> Result<(), RequestError> {
        let nonce = self.random.next_u64();
        self.pass(now, request, hop, nonce, false)
    }

    /// Cancels an INVITE (RFC 3261 §9.1): the CANCEL goes out when a provisional response has come,
    /// and does not if a final one has. The INVITE's own final response (487 as a rule) ends it; if
    /// none comes within 64·T1, [`Event::Timeout`] does. Does nothing for other transactions.
    pub fn cancel(&mut self, now: Instant, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key.0) else { return };
        if let Some(way) = &mut client.way {
            way.is_cancelled = true;
        }
        match &mut client.machine {
            Machine::Waiting(lookup) if client.method == Method::Invite => {
                // Nothing was sent: there is nobody to tell.
                let lookup = lookup.take().and_then(|lookup| self.lookups.remove(lookup));
                if let Some(lookup) = lookup {
                    self.timers.cancel(lookup.running);
                }
                self.stats.timeouts += 1;
                self.events.push_back(Event::Timeout { key });
                self.end_client(key);
            }
            Machine::Invite(machine) => {
                let mut actions = Actions::new();
                machine.handle(client_invite::Input::Cancel, &mut actions);
                self.carry_out_client(now, key, actions, Expiry::ClientInvite, None, None);
            }
            Machine::Waiting(_) | Machine::NonInvite(_) => {}
        }
    }

    /// The same, and the CANCEL says why by this value of its Reason (RFC 3326). One that cannot be a header field is
    /// left out.
    pub fn cancel_with(&mut self, now: Instant, key: ClientKey, reason: impl Into<Bytes>) {
        if self.clients.get(key.0).is_some() {
            self.cancel_reasons.insert(key, reason.into());
        }
        self.cancel(now, key);
    }

    /// A response that is well-formed and has a Via of ours on top.
    pub(crate) fn receive_response(&mut self, now: Instant, flow: Flow, mut response: Response) {
        let Some(key) = self.match_response(&response) else {
            if self.is_of_the_past(&response) || self.passes_back(&response) {
                return;
            }
            // RFC 6026 §8.9: "Otherwise, any element other than a stateless proxy MUST silently discard the
            // response."
            // RFC 6026 §7.3: "When receiving any SIP response, a transaction-stateful proxy MUST compare the
            // transaction identifier in that response against its existing transaction state machines. The
            // proxy MUST NOT forward the response if there is no matching transaction state machine."
            // RFC 6026 §8.2: "If none is found, the element MUST NOT forward the response."
            self.stats.dropped_strays += 1;
            return;
        };
        let status = response.status();
        let Some(client) = self.clients.get_mut(key.0) else { return };
        trace_in!(client.span, status = status.as_u16(), "response received");
        if self.config.overload_control {
            overload::clean(&mut response);
            if let Some(via) = response.headers().top_via() {
                self.throttle.note(now, client.target.remote, &via);
            }
        }
        if self.response_fails_over(now, key, &response) {
            return;
        }
        let Some(client) = self.clients.get_mut(key.0) else { return };
        // RFC 3261 §18.1.2: "If there is a match, the response MUST be passed to that transaction."
        // RFC 6026 §8.9: "If there is a match, the response MUST be passed to that transaction."
        match &mut client.machine {
            // Nothing was sent that could be answered.
            Machine::Waiting(_) => self.stats.dropped_strays += 1,
            Machine::Invite(machine) => {
                let input = if status.is_provisional() {
                    client_invite::Input::Provisional
                } else if status.is_success() {
                    client_invite::Input::Success
                } else {
                    client_invite::Input::Failure
                };
                let mut actions = Actions::new();
                machine.handle(input, &mut actions);
                self.carry_out_client(
                    now,
                    key,
                    actions,
                    Expiry::ClientInvite,
                    Some((response, flow)),
                    None,
                );
            }
            Machine::NonInvite(machine) => {
                let input = if status.is_provisional() {
                    client_non_invite::Input::Provisional
                } else {
                    client_non_invite::Input::Final
                };
                let mut actions = Actions::new();
                machine.handle(input, &mut actions);
                self.carry_out_client(
                    now,
                    key,
                    actions,
                    Expiry::ClientNonInvite,
                    Some((response, flow)),
                    None,
                );
            }
        }
    }

    pub(super) fn client_invite_timer(
        &mut self,
        now: Instant,
        key: ClientKey,
        timer: client_invite::Timer,
    ) {
        if !timer.is_retransmission() && self.silence_fails_over(now, key) {
            return;
        }
        let Some(client) = self.clients.get_mut(key.0) else { return };
        let Machine::Invite(machine) = &mut client.machine else { return };
        trace_in!(client.span, ?timer, "timer fired");
        let mut actions = Actions::new();
        machine.handle(client_invite::Input::Timer(timer), &mut actions);
        self.carry_out_client(now, key, actions, Expiry::ClientInvite, None, None);
    }

    pub(super) fn client_non_invite_timer(
        &mut self,
        now: Instant,
        key: ClientKey,
        timer: client_non_invite::Timer,
    ) {
        if !timer.is_retransmission() && self.silence_fails_over(now, key) {
            return;
        }
        let Some(client) = self.clients.get_mut(key.0) else { return };
        let Machine::NonInvite(machine) = &mut client.machine else { return };
        trace_in!(client.span, ?timer, "timer fired");
        let mut actions = Actions::new();
        machine.handle(client_non_invite::Input::Timer(timer), &mut actions);
        self.carry_out_client(now, key, actions, Expiry::ClientNonInvite, None, None);
    }

    pub(super) fn client_send_failed(
        &mut self,
        now: Instant,
        key: ClientKey,
        target: Target,
        error: TransportError,
    ) {
        let Some(client) = self.clients.get_mut(key.0) else { return };
        trace_in!(client.span, %error, "not sent");
        // The failure of what was sent before the request went elsewhere is no news.
        let (then, now_at) = (&target, &client.target);
        if then.transport != now_at.transport || then.remote != now_at.remote {
            return;
        }
        if client.moved.is_some() && error.permits_retry_over_udp() && client.awaits_an_answer() {
            self.retry_over_udp(now, key);
            return;
        }
        if self.fails_over(now, key, Failure::Transport(error)) {
            return;
        }
        let Some(client) = self.clients.get_mut(key.0) else { return };
        let mut actions = Actions::new();
        match &mut client.machine {
            Machine::Waiting(_) => {}
            Machine::Invite(machine) => {
                machine.handle(client_invite::Input::TransportError, &mut actions);
                self.carry_out_client(now, key, actions, Expiry::ClientInvite, None, Some(error));
            }
            Machine::NonInvite(machine) => {
                let mut actions = Actions::new();
                machine.handle(client_non_invite::Input::TransportError, &mut actions);
                self.carry_out_client(
                    now,
                    key,
                    actions,
                    Expiry::ClientNonInvite,
                    None,
                    Some(error),
                );
            }
        }
    }

    /// RFC 3261 §17.1.3: "A response matches a client transaction under two conditions:"
    fn match_response(&self, response: &Response) -> Option<ClientKey> {
        let headers = response.headers();
        // RFC 3261 §17.1.3: "If the response has the same value of the branch parameter in the top Via
        // header field as the branch parameter in the top Via header field of the request that created
        // the transaction."
        let branch = Branch::decode(headers.branch()?)?;
        let (key, client) = self.clients.at(branch.slot)?;
        if client.nonce != branch.nonce {
            return None;
        }
        // RFC 3261 §17.1.3: "If the method parameter in the CSeq header field matches the method of the
        // request that created the transaction. The method is needed since a CANCEL request constitutes a
        // different transaction, but shares the same value of the branch parameter."
        let cseq = headers.cseq()?;
        if cseq.is(&client.method) {
            return Some(ClientKey(key));
        }
        client.partner.filter(|_| cseq.is(&Method::Cancel))
    }

    fn insert_client(
        &mut self,
        method: Method,
        nonce: u64,
        target: Target,
        domain: Option<Arc<str>>,
        keep: bool,
    ) -> ClientKey {
        self.stats.transactions += 1;
        self.unfinished += 1;
        ClientKey(self.clients.insert(Client {
            machine: Machine::Waiting(None),
            method,
            nonce,
            target,
            moved: None,
            way: Way::new(domain, Vec::new()),
            message: Bytes::new(),
            is_sent: false,
            keep,
            is_acknowledged: false,
            is_counted_unfinished: true,
            running: Running::default(),
            partner: None,
            span: None,
        }))
    }

    /// Puts the Via on the request, and starts the machine.
    pub(super) fn send_first(
        &mut self,
        now: Instant,
        key: ClientKey,
        mut request: Request,
    ) -> Result<(), TransportError> {
        let Some(client) = self.clients.get(key.0) else { return Ok(()) };
        let branch = Branch { slot: key.0.slot, nonce: client.nonce };
        let keep = client.keep;
        let target = self.by_alias(client.target, client.domain().as_deref());
        let (target, moved) = self.dress(&mut request, target, branch, keep)?;
        let Some(client) = self.clients.get_mut(key.0) else { return Ok(()) };
        client.span = transaction_span!("client", request.method(), request.headers());
        client.message = request.to_bytes();
        client.target = target;
        client.moved = moved;
        self.start(now, key);
        Ok(())
    }

    pub(super) fn start(&mut self, now: Instant, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key.0) else { return };
        let is_reliable = client.target.transport.is_reliable();
        if client.method == Method::Invite {
            let mut actions = Actions::new();
            client.machine = Machine::Invite(ClientInvite::start(is_reliable, &mut actions));
            self.carry_out_client(now, key, actions, Expiry::ClientInvite, None, None);
        } else {
            let mut actions = Actions::new();
            client.machine = Machine::NonInvite(ClientNonInvite::start(is_reliable, &mut actions));
            self.carry_out_client(now, key, actions, Expiry::ClientNonInvite, None, None);
        }
    }

    /// RFC 3261 §18.1.1: "if the attempt to establish the connection generates either an ICMP Protocol
    /// Not Supported, or results in a TCP reset, the element SHOULD retry the request, using UDP."
    fn retry_over_udp(&mut self, now: Instant, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key.0) else { return };
        let Some(listener) = client.moved.take() else { return };
        client.running.stop_all(&mut self.timers);
        client.target.transport = Transport::Udp;
        client.target.listener = listener;
        client.target.connection = None;
        let (target, keep) = (client.target, client.keep);
        let branch = Branch { slot: key.0.slot, nonce: client.nonce }.encode();
        let message = Message::parse(client.message.clone(), &self.config.message);
        let dressed = self.listener(&target).and_then(|local| {
            let via = request_via_with(local, &target, branch.as_str(), keep, self.offer());
            Ok((local.id, via.map_err(|_| TransportError::NoListener)?))
        });
        match (message, dressed) {
            (Ok(Message::Request(mut request)), Ok((listener, via))) => {
                request.headers_mut().pop_front(HeaderName::Via);
                request.headers_mut().push_front(&via);
                if let Some(client) = self.clients.get_mut(key.0) {
                    client.target.listener = Some(listener);
                    client.message = request.to_bytes();
                }
                self.start(now, key);
            }
            (_, _) => self.fail_client(key, TransportError::NoListener),
        }
    }

    pub(super) fn send_statelessly(
        &mut self,
        mut request: Request,
        target: Target,
        domain: Option<Arc<str>>,
        nonce: u64,
    ) -> Result<(), TransportError> {
        let branch = Branch { slot: NO_SLOT, nonce };
        // RFC 6223 §4.3: "a SIP entity
        // MUST NOT insert a "keep" parameter in the topmost Via header field of
        // an ACK request."
        let target = self.by_alias(target, domain.as_deref());
        let (target, _) = self.dress(&mut request, target, branch, false)?;
        self.stats.requests_sent += 1;
        self.outputs.push_back(Output::Transmit(Transmit {
            destination: Destination::Target(target),
            fallback: None,
            payload: request.to_bytes(),
            domain,
            token: 0,
        }));
        Ok(())
    }

    /// Puts our Via on top, and says over which transport the request goes at last.
    pub(super) fn dress(
        &self,
        request: &mut Request,
        mut target: Target,
        branch: Branch,
        keep: bool,
    ) -> Result<(Target, Option<Option<ListenerId>>), TransportError> {
        let branch = branch.encode();
        let asked_for = target.listener;
        let local = self.listener(&target)?;
        let via = |local: &Local, target: &Target| {
            let via = request_via_with(local, target, branch.as_str(), keep, self.offer())?;
            // RFC 5923 §8.1: "The "alias" header field parameter is included in a Via header field value to
            // indicate that the client wants to create a transport layer alias."
            if self.offers_alias(local) { via.with_param("alias", None) } else { Ok(via) }
        };
        // A listener that names itself by what is no host is none that can be answered.
        let no_listener = |_| TransportError::NoListener;
        // RFC 3261 §8.1.1.7: "When the UAC creates a request, it MUST insert a Via into that
        // request.  The protocol name and protocol version in the header field
        // MUST be SIP and 2.0, respectively.  The Via header field value MUST
        // contain a branch parameter."
        request.headers_mut().push_front(&via(local, &target).map_err(no_listener)?);
        target.listener = Some(local.id);
        target.remote = local.scoped(target.remote);
        if target.transport != Transport::Udp
            || target.is_only_way
            || target.remote.ip().is_multicast()
            || !requires_congestion_control(request.wire_len(), self.config.path_mtu)
        {
            return Ok((target, None));
        }
        let over_tcp = Target::new(Transport::Tcp, target.remote);
        // Without a listener for TCP the request goes as it can.
        let Ok(local) = self.listener(&over_tcp) else { return Ok((target, None)) };
        // RFC 3261 §18.1.1: "If this causes a change in the transport protocol from the one indicated in
        // the top Via, the value in the top Via MUST be changed."
        let via = via(local, &over_tcp).map_err(no_listener)?;
        request.headers_mut().pop_front(HeaderName::Via);
        request.headers_mut().push_front(&via);
        Ok((over_tcp.with_listener(local.id), Some(asked_for)))
    }

    /// What our Vias say of overload control.
    fn offer(&self) -> &'static str {
        if self.config.overload_control { overload::OFFER } else { "" }
    }

    /// The listener from which a request goes there.
    pub(super) fn listener(&self, target: &Target) -> Result<&Local, TransportError> {
        let asked_for = target.listener.and_then(|id| self.locals.get(id));
        asked_for
            .filter(|local| local.transport == target.transport)
            .or_else(|| self.locals.select(target.transport, &target.remote))
            .ok_or(TransportError::NoListener)
    }

    /// Does what a machine asked for; `expiry` names its timers in the store.
    fn carry_out_client<T: TimerName>(
        &mut self,
        now: Instant,
        key: ClientKey,
        actions: Actions<T>,
        expiry: fn(ClientKey, T) -> Expiry,
        mut response: Option<(Response, Flow)>,
        error: Option<TransportError>,
    ) {
        self.recount_client(key);
        for action in actions {
            let Some(client) = self.clients.get_mut(key.0) else { return };
            match action {
                Action::Start(timer, interval) => client.running.start(
                    now,
                    &mut self.timers,
                    &self.config,
                    timer,
                    interval,
                    expiry(key, timer),
                ),
                Action::Stop(timer) => client.running.stop(&mut self.timers, timer),
                Action::SendAck => {
                    self.send_ack(key, response.as_ref().map(|(response, _)| response))
                }
                Action::SendCancel => self.send_cancel(now, key),
                Action::Deliver => self.deliver(key, response.take()),
                action => self.carry_out_client_action(key, action, error),
            }
        }
    }

    fn recount_client(&mut self, key: ClientKey) {
        if let Some(client) = self.clients.get_mut(key.0) {
            let is = client.is_unfinished();
            Self::count_unfinished(&mut self.unfinished, &mut client.is_counted_unfinished, is);
        }
    }

    /// What takes neither a timer nor the response.
    fn carry_out_client_action<T>(
        &mut self,
        key: ClientKey,
        action: Action<T>,
        error: Option<TransportError>,
    ) {
        match action {
            Action::Send => self.send_message(key),
            Action::Timeout => {
                self.stats.timeouts += 1;
                self.tell(key, Event::Timeout { key });
            }
            Action::TransportError => {
                let error = error.unwrap_or(TransportError::Closed);
                self.tell(key, Event::TransportError { key: Key::Client(key), error });
            }
            Action::Terminate => self.end_client(key),
            // Asked for by the other machines only.
            Action::Resend
            | Action::Confirm
            | Action::SendTrying
            | Action::SendAck
            | Action::SendCancel
            | Action::Deliver
            | Action::Start(..)
            | Action::Stop(_) => {}
        }
    }

    fn send_message(&mut self, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key.0) else { return };
        if client.message.is_empty() {
            return;
        }
        if core::mem::replace(&mut client.is_sent, true) {
            self.stats.request_retransmissions += 1;
        }
        self.stats.requests_sent += 1;
        // RFC 3261 §17.1.1.2: "The formal definition of retransmit within the context of the transaction
        // layer is to take the message previously sent to the transport layer and pass it to the transport
        // layer once more."
        self.outputs.push_back(Output::Transmit(Transmit {
            destination: Destination::Target(client.target),
            fallback: None,
            payload: client.message.clone(),
            domain: client.domain(),
            token: Key::Client(key).as_u64(),
        }));
    }

    fn deliver(&mut self, key: ClientKey, response: Option<(Response, Flow)>) {
        let Some((response, flow)) = response else { return };
        if let Some(client) = self.clients.get_mut(key.0)
            && response.status().is_final()
            && !client.is_acknowledged
        {
            // The request will not be sent again.
            client.message = Bytes::new();
        }
        self.tell(key, Event::Response { key, response, flow });
    }

    /// An event of a transaction that the user knows of. CANCEL transactions are this layer's own:
    /// the end of a CANCEL shows in that of its INVITE.
    fn tell(&mut self, key: ClientKey, event: Event) {
        if self.clients.get(key.0).is_some_and(|client| client.method != Method::Cancel) {
            self.events.push_back(event);
        }
    }

    fn send_ack(&mut self, key: ClientKey, response: Option<&Response>) {
        let (Some(client), Some(response)) = (self.clients.get_mut(key.0), response) else {
            return;
        };
        if !client.is_acknowledged {
            let invite = Message::parse(client.message.clone(), &self.config.message);
            let Ok(Message::Request(invite)) = invite else { return };
            let Some(ack) = construct::ack(&invite, response) else { return };
            // From here on only the ACK will be sent again.
            client.message = ack;
            client.is_acknowledged = true;
        }
        self.stats.requests_sent += 1;
        // RFC 3261 §17.1.1.2: "The ACK MUST be sent to the same address, port, and transport to which the
        // original request was sent."
        // RFC 6026 §8.4: "The ACK MUST be sent to the same address, port, and transport to which the
        // original request was sent."
        self.outputs.push_back(Output::Transmit(Transmit {
            destination: Destination::Target(client.target),
            fallback: None,
            payload: client.message.clone(),
            domain: client.domain(),
            token: Key::Client(key).as_u64(),
        }));
    }

    fn send_cancel(&mut self, now: Instant, key: ClientKey) {
        let Some(client) = self.clients.get(key.0) else { return };
        let (target, nonce, domain) = (client.target, client.nonce, client.domain());
        let invite = Message::parse(client.message.clone(), &self.config.message);
        let Ok(Message::Request(invite)) = invite else { return };
        let reason = self.cancel_reasons.remove(&key);
        let cancel = construct::cancel(&invite, reason.as_deref());
        let Some(cancel) = cancel.or_else(|| construct::cancel(&invite, None)) else { return };
        // RFC 3261 §9.1: "The destination address, port, and transport for the CANCEL MUST be identical to
        // those used to send the original request."
        let cancel_key = self.insert_client(Method::Cancel, nonce, target, domain, false);
        if let Some(client) = self.clients.get_mut(cancel_key.0) {
            client.message = cancel;
            client.partner = Some(key);
        }
        if let Some(client) = self.clients.get_mut(key.0) {
            client.partner = Some(cancel_key);
        }
        self.start(now, cancel_key);
    }

    /// The transport refused before the machine could start.
    pub(super) fn fail_client(&mut self, key: ClientKey, error: TransportError) {
        self.events.push_back(Event::TransportError { key: Key::Client(key), error });
        self.end_client(key);
    }

    fn remove_client(&mut self, key: ClientKey) -> Option<Client> {
        let mut client = self.clients.remove(key.0)?;
        client.running.stop_all(&mut self.timers);
        Self::count_unfinished(&mut self.unfinished, &mut client.is_counted_unfinished, false);
        Some(client)
    }

    pub(super) fn end_client(&mut self, key: ClientKey) {
        let Some(client) = self.remove_client(key) else { return };
        self.cancel_reasons.remove(&key);
        trace_in!(client.span, "terminated");
        if client.method == Method::Cancel {
            let invite = client.partner.and_then(|invite| self.clients.get_mut(invite.0));
            if let Some(invite) = invite {
                invite.partner = None;
            }
            return;
        }
        // The INVITE is decided: what its CANCEL would still learn is of no use, and no response could
        // find it any more.
        if let Some(cancel) = client.partner {
            self.remove_client(cancel);
        }
        self.events.push_back(Event::Terminated { key: Key::Client(key) });
    }
}

impl Client {
    pub(super) fn is_unfinished(&self) -> bool {
        match &self.machine {
            Machine::Waiting(_) => true,
            Machine::Invite(machine) => match machine.state() {
                client_invite::State::Calling | client_invite::State::Proceeding => true,
                client_invite::State::Completed
                | client_invite::State::Accepted
                | client_invite::State::Terminated => false,
            },
            Machine::NonInvite(machine) => match machine.state() {
                client_non_invite::State::Trying | client_non_invite::State::Proceeding => true,
                client_non_invite::State::Completed | client_non_invite::State::Terminated => false,
            },
        }
    }

    pub(super) fn awaits_an_answer(&self) -> bool {
        match &self.machine {
            Machine::Waiting(_) => false,
            Machine::Invite(machine) => machine.state() == client_invite::State::Calling,
            Machine::NonInvite(machine) => machine.state() == client_non_invite::State::Trying,
        }
    }
}

/// BYE, CANCEL and PRACK end something: to refuse them keeps alive what they end.
pub(super) fn eases_the_load(method: &Method) -> bool {
    matches!(method, Method::Bye | Method::Cancel | Method::Prack)
}
