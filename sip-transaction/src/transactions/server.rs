//! The server side: requests that we receive.

use std::time::Instant;

use bytes::Bytes;
use sip_message::{Message, Method, Request, Response, StatusCode, Via};
use sip_transport::{Destination, Flow, Target, TransportError, response_target};

use super::client::eases_the_load;
use super::{
    Expiry, Running, TimerName, TransactionSpan, Transactions, trace_in, transaction_span,
};
use crate::machine::{Action, Actions};
use crate::matching::{MatchKey, Probe, is_method_of};
use crate::overload;
use crate::server_invite::{self, ServerInvite};
use crate::server_non_invite::{self, ServerNonInvite};
use crate::{Event, Gone, Key, ServerKey, construct};

/// One server transaction. Of the request only what matches its repeats is kept.
#[derive(Debug)]
pub(super) struct Server {
    machine: Machine,
    method: Method,
    match_key: MatchKey,
    pub(super) destination: Destination,
    pub(super) fallback: Option<Target>,
    pub(super) kept: Kept,
    running: Running,
    /// The INVITE was cancelled; the user knows.
    is_cancelled: bool,
    is_counted_unfinished: bool,
    /// Who sent the request takes part in overload control.
    pub(super) may_be_asked: bool,
    span: TransactionSpan,
}

#[derive(Debug)]
enum Machine {
    Invite(ServerInvite),
    NonInvite(ServerNonInvite),
}

/// The one message that a server transaction may still need.
#[derive(Debug)]
pub(super) enum Kept {
    /// The request as it came, and whence: until a response exists, a 100 may have to be made of it.
    Request(Box<(Bytes, Flow)>),
    /// The last response.
    Response(Bytes),
    Nothing,
}

impl Transactions {
    /// Answers a request. Responses that no machine sends are passed over in silence: after a final
    /// one (but for repeats of a 2xx to an INVITE, which the user owes), a 408 or a provisional one other
    /// than 100 to anything but an INVITE (RFC 4320), an early 100 to such a request over UDP.
    ///
    /// # Errors
    ///
    /// [`Gone`] if the transaction is over.
    pub fn respond(
        &mut self,
        now: Instant,
        key: ServerKey,
        mut response: Response,
    ) -> Result<(), Gone> {
        // RFC 4320 §4.2: "A transaction-stateful SIP proxy MUST NOT send any response to a non-INVITE
        // request unless it has a matching server transaction that is not in the Terminated state."
        let server = self.servers.get_mut(key.0).ok_or(Gone)?;
        let status = response.status();
        trace_in!(server.span, status = status.as_u16(), "response from the transaction user");
        if server.may_be_asked {
            // RFC 7339 §5.11: "implementations that insert overload control
            // information in the 100 Trying MUST re-insert the
            // same (or updated) overload control information in the first non-100
            // Trying response being sent to the upstream SIP client."
            // It is in each.
            self.feedback.put_on(&mut response);
        }
        match &mut server.machine {
            Machine::Invite(machine) => {
                let input = if status.is_provisional() {
                    server_invite::Input::Provisional
                } else if status.is_success() {
                    server_invite::Input::Success
                } else {
                    server_invite::Input::Failure
                };
                let mut actions = Actions::new();
                machine.handle(input, &mut actions);
                self.carry_out_server(
                    now,
                    key,
                    actions,
                    Expiry::ServerInvite,
                    Given::Response(response),
                );
            }
            Machine::NonInvite(machine) => {
                let input = if status == StatusCode::TRYING {
                    server_non_invite::Input::Trying
                } else if status.is_provisional() {
                    server_non_invite::Input::OtherProvisional
                } else if status == StatusCode::REQUEST_TIMEOUT {
                    server_non_invite::Input::RequestTimeout
                } else {
                    server_non_invite::Input::Final
                };
                let mut actions = Actions::new();
                machine.handle(input, &mut actions);
                self.carry_out_server(
                    now,
                    key,
                    actions,
                    Expiry::ServerNonInvite,
                    Given::Response(response),
                );
            }
        }
        Ok(())
    }

    /// A request that is well-formed, with `received` and `rport` filled in; `raw` is it as it came.
    pub(crate) fn receive_request(
        &mut self,
        now: Instant,
        request: Request,
        raw: Bytes,
        flow: Flow,
    ) {
        // Validation refuses a request without a Via.
        let Some(via) = request.headers().top_via() else { return };
        let (probe, way_back) = (Probe::new(&request, &via), response_target(&via, &flow));
        self.note_alias(&flow, &via);
        let method = request.method();
        if let Some(key) = self.match_request(&probe, method) {
            self.repeated(now, key, request, flow);
            return;
        }
        match method {
            // RFC 3261 §13.3.1.4, and RFC 6026 §8.10: an ACK that matches nothing is the core's.
            Method::Ack => self.events.push_back(Event::Ack { key: None, request, flow }),
            Method::Cancel => self.receive_cancel(now, request, raw, flow, &probe, way_back),
            method if !self.has_room(eases_the_load(method)) => {
                self.stats.refused_full += 1;
                self.refuse(&request, &flow, StatusCode::SERVICE_UNAVAILABLE, None);
            }
            _ => {
                self.create(now, request, raw, flow, &probe, way_back);
            }
        }
    }

    pub(super) fn server_invite_timer(
        &mut self,
        now: Instant,
        key: ServerKey,
        timer: server_invite::Timer,
    ) {
        let Some(server) = self.servers.get_mut(key.0) else { return };
        let Machine::Invite(machine) = &mut server.machine else { return };
        trace_in!(server.span, ?timer, "timer fired");
        let mut actions = Actions::new();
        machine.handle(server_invite::Input::Timer(timer), &mut actions);
        self.carry_out_server(now, key, actions, Expiry::ServerInvite, Given::Nothing);
    }

    pub(super) fn server_non_invite_timer(
        &mut self,
        now: Instant,
        key: ServerKey,
        timer: server_non_invite::Timer,
    ) {
        let Some(server) = self.servers.get_mut(key.0) else { return };
        let Machine::NonInvite(machine) = &mut server.machine else { return };
        trace_in!(server.span, ?timer, "timer fired");
        let mut actions = Actions::new();
        machine.handle(server_non_invite::Input::Timer(timer), &mut actions);
        self.carry_out_server(now, key, actions, Expiry::ServerNonInvite, Given::Nothing);
    }

    pub(super) fn server_send_failed(
        &mut self,
        now: Instant,
        key: ServerKey,
        target: Target,
        error: TransportError,
    ) {
        let Some(server) = self.servers.get_mut(key.0) else { return };
        trace_in!(server.span, %error, "not sent");
        if !self.seeks_another_way_back(now, key, target, error) {
            self.fail_server(now, key, error);
        }
    }

    /// Tells the machine that a response could not be sent.
    pub(super) fn fail_server(&mut self, now: Instant, key: ServerKey, error: TransportError) {
        let Some(server) = self.servers.get_mut(key.0) else { return };
        match &mut server.machine {
            Machine::Invite(machine) => {
                let mut actions = Actions::new();
                machine.handle(server_invite::Input::TransportError, &mut actions);
                self.carry_out_server(now, key, actions, Expiry::ServerInvite, Given::Error(error));
            }
            Machine::NonInvite(machine) => {
                let mut actions = Actions::new();
                machine.handle(server_non_invite::Input::TransportError, &mut actions);
                self.carry_out_server(
                    now,
                    key,
                    actions,
                    Expiry::ServerNonInvite,
                    Given::Error(error),
                );
            }
        }
    }

    /// RFC 3261 §17.2.3: "When a request is received from the network by the server, it has to be matched
    /// to an existing transaction."
    fn match_request(&self, probe: &Probe, method: &Method) -> Option<ServerKey> {
        self.find_server(probe, |server| {
            if !is_method_of(method, &server.method) {
                return false;
            }
            match (method, &server.kept) {
                // In the Accepted state nothing is kept, and the user sees every ACK.
                (Method::Ack, Kept::Response(response)) => {
                    server.match_key.is_acknowledged_by(probe, response)
                }
                (Method::Ack, Kept::Request(_) | Kept::Nothing) => {
                    server.match_key.is_acknowledged_by_any_tag(probe)
                }
                _ => server.match_key.is_repeated_by(probe),
            }
        })
    }

    fn find_server(
        &self,
        probe: &Probe,
        mut is_it: impl FnMut(&Server) -> bool,
    ) -> Option<ServerKey> {
        let hash = probe.hash(self.config.seed);
        let slot = self
            .matches
            .find(hash, |slot| self.servers.at(*slot).is_some_and(|(_, server)| is_it(server)))?;
        self.servers.at(*slot).map(|(key, _)| ServerKey(key))
    }

    /// A request that its transaction knows already, or the ACK of one.
    fn repeated(&mut self, now: Instant, key: ServerKey, request: Request, flow: Flow) {
        let Some(server) = self.servers.get_mut(key.0) else { return };
        trace_in!(server.span, method = request.method().as_str(), "request received again");
        let is_ack = *request.method() == Method::Ack;
        if !is_ack {
            self.stats.requests_absorbed += 1;
        }
        match &mut server.machine {
            Machine::Invite(machine) => {
                let input =
                    if is_ack { server_invite::Input::Ack } else { server_invite::Input::Invite };
                let mut actions = Actions::new();
                machine.handle(input, &mut actions);
                self.carry_out_server(
                    now,
                    key,
                    actions,
                    Expiry::ServerInvite,
                    Given::Request(request, flow),
                );
            }
            Machine::NonInvite(machine) => {
                let mut actions = Actions::new();
                machine.handle(server_non_invite::Input::Request, &mut actions);
                self.carry_out_server(now, key, actions, Expiry::ServerNonInvite, Given::Nothing);
            }
        }
    }

    /// A CANCEL seen for the first time.
    fn receive_cancel(
        &mut self,
        now: Instant,
        request: Request,
        raw: Bytes,
        flow: Flow,
        probe: &Probe,
        way_back: (Destination, Option<Target>),
    ) {
        // RFC 3261 §9.2: "assuming that the request method is anything but CANCEL or ACK and applying the
        // transaction matching procedures of Section 17.2.3."
        let cancelled = self.find_server(probe, |server| {
            server.method != Method::Cancel && server.match_key.is_repeated_by(probe)
        });
        let Some(cancelled) = cancelled else {
            if self.takes_stray_cancels {
                self.events.push_back(Event::Cancel { request, flow });
                return;
            }
            // RFC 3261 §9.2: "If the UAS did not find a matching transaction for the CANCEL according to the
            // procedure above, it SHOULD respond to the CANCEL with a 481 (Call Leg/Transaction Does Not
            // Exist)."
            self.stats.refused_cancels += 1;
            self.refuse(&request, &flow, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST, None);
            return;
        };
        // RFC 3261 §9.2: "Regardless of the method of the original request, as long as the CANCEL matched an
        // existing transaction, the UAS answers the CANCEL request itself with a 200 (OK) response."
        let last = self.last_response_of(cancelled);
        let response = construct::cancelled(&request, last.as_ref(), &self.local_tag(cancelled));
        if let Some(response) = response {
            if self.has_room(true) {
                let key = self.create(now, request.clone(), raw, flow, probe, way_back);
                // It was made just now.
                self.respond(now, key, response).ok();
            } else {
                self.respond_statelessly(&response, &flow);
            }
        }
        let Some(server) = self.servers.get_mut(cancelled.0) else { return };
        // RFC 3261 §9.2: "If the UAS has not issued a final response for the original request, its behavior
        // depends on the method of the original request. If the original request was an INVITE, the UAS
        // SHOULD immediately respond to the INVITE with a 487 (Request Terminated)."
        let is_pending = match &server.machine {
            Machine::Invite(machine) => machine.state() == server_invite::State::Proceeding,
            Machine::NonInvite(_) => false,
        };
        if is_pending && !server.is_cancelled {
            server.is_cancelled = true;
            trace_in!(server.span, "cancelled");
            self.events.push_back(Event::Cancelled { key: cancelled, request });
        }
    }

    fn last_response_of(&self, key: ServerKey) -> Option<Response> {
        let Kept::Response(response) = &self.servers.get(key.0)?.kept else { return None };
        match Message::parse(response.clone(), &self.config.message) {
            Ok(Message::Response(response)) => Some(response),
            Ok(Message::Request(_)) | Err(_) => None,
        }
    }

    fn create(
        &mut self,
        now: Instant,
        mut request: Request,
        raw: Bytes,
        flow: Flow,
        probe: &Probe,
        way_back: (Destination, Option<Target>),
    ) -> ServerKey {
        let (destination, fallback) = way_back;
        let via = if self.config.overload_control { request.headers().top_via() } else { None };
        let via = via.filter(Via::has_oc);
        let may_be_asked = via.as_ref().is_some_and(overload::is_offered);
        if via.is_some() {
            overload::take_off(&mut request);
        }
        let method = request.method().clone();
        let is_reliable = flow.transport.is_reliable();
        self.stats.transactions += 1;
        self.stats.server_transactions += 1;
        let (mut invite, mut non_invite) = (Actions::new(), Actions::new());
        let machine = if method == Method::Invite {
            Machine::Invite(ServerInvite::start(is_reliable, &mut invite))
        } else {
            Machine::NonInvite(ServerNonInvite::start(is_reliable, &mut non_invite))
        };
        let key = ServerKey(self.servers.insert(Server {
            machine,
            match_key: probe.to_key(),
            destination,
            fallback,
            kept: Kept::Request(Box::new((raw, flow))),
            running: Running::default(),
            is_cancelled: false,
            is_counted_unfinished: false,
            may_be_asked,
            span: transaction_span!("server", method, request.headers()),
            method,
        }));
        let (seed, servers) = (self.config.seed, &self.servers);
        self.matches.insert_unique(probe.hash(seed), key.0.slot, |slot| {
            servers.at(*slot).map_or(0, |(_, server)| server.match_key.hash(seed))
        });
        if invite.is_empty() {
            self.carry_out_server(
                now,
                key,
                non_invite,
                Expiry::ServerNonInvite,
                Given::Request(request, flow),
            );
        } else {
            self.carry_out_server(
                now,
                key,
                invite,
                Expiry::ServerInvite,
                Given::Request(request, flow),
            );
        }
        key
    }

    /// Does what a machine asked for; `expiry` names its timers in the store.
    fn carry_out_server<T: TimerName>(
        &mut self,
        now: Instant,
        key: ServerKey,
        actions: Actions<T>,
        expiry: fn(ServerKey, T) -> Expiry,
        mut given: Given,
    ) {
        self.recount_server(key);
        for action in actions {
            let Some(server) = self.servers.get_mut(key.0) else { return };
            match action {
                Action::Start(timer, interval) => server.running.start(
                    now,
                    &mut self.timers,
                    &self.config,
                    timer,
                    interval,
                    expiry(key, timer),
                ),
                Action::Stop(timer) => server.running.stop(&mut self.timers, timer),
                action => self.carry_out_server_action(now, key, action, &mut given),
            }
        }
    }

    fn recount_server(&mut self, key: ServerKey) {
        if let Some(server) = self.servers.get_mut(key.0) {
            let is = server.is_unfinished();
            Self::count_unfinished(&mut self.unfinished, &mut server.is_counted_unfinished, is);
        }
    }

    /// What takes no timer.
    fn carry_out_server_action<T>(
        &mut self,
        now: Instant,
        key: ServerKey,
        action: Action<T>,
        given: &mut Given,
    ) {
        match action {
            Action::Send => {
                if let Given::Response(response) = given {
                    let payload = response.to_bytes();
                    self.send_response(now, key, payload, true);
                }
            }
            Action::Resend => {
                let Some(server) = self.servers.get(key.0) else { return };
                // Before the first response there is nothing to send again.
                if let Kept::Response(response) = &server.kept {
                    let response = response.clone();
                    self.stats.response_retransmissions += 1;
                    self.send_response(now, key, response, false);
                }
            }
            Action::SendTrying => {
                if let Some(trying) = self.trying(key) {
                    self.send_response(now, key, trying, true);
                }
            }
            Action::Deliver => self.deliver_request(key, core::mem::take(given)),
            Action::TransportError => {
                if let Given::Error(error) = *given {
                    self.tell_of(key, Event::TransportError { key: Key::Server(key), error });
                }
            }
            Action::Terminate => self.end_server(key),
            Action::Timeout => {
                self.stats.unacknowledged += 1;
                self.events.push_back(Event::NoAck { key });
            }
            Action::Confirm => self.events.push_back(Event::Confirmed { key }),
            // Asked for by the client's machines, or done by the caller.
            Action::SendAck | Action::SendCancel | Action::Start(..) | Action::Stop(_) => {}
        }
    }

    fn deliver_request(&mut self, key: ServerKey, given: Given) {
        let Given::Request(request, flow) = given else { return };
        let event = match request.method() {
            Method::Ack => Event::Ack { key: Some(key), request, flow },
            _ => Event::Request { key, request, flow },
        };
        self.tell_of(key, event);
    }

    fn send_response(&mut self, now: Instant, key: ServerKey, payload: Bytes, is_new: bool) {
        self.pass_on(now, key, &payload);
        let Some(server) = self.servers.get_mut(key.0) else { return };
        if is_new {
            // A 2xx to an INVITE is repeated by the user, who keeps it.
            server.kept = match &server.machine {
                Machine::Invite(machine) if machine.state() == server_invite::State::Accepted => {
                    Kept::Nothing
                }
                Machine::Invite(_) | Machine::NonInvite(_) => Kept::Response(payload),
            };
        }
    }

    fn trying(&self, key: ServerKey) -> Option<Bytes> {
        let Kept::Request(kept) = &self.servers.get(key.0)?.kept else { return None };
        let (raw, flow) = kept.as_ref();
        let Ok(Message::Request(mut request)) = Message::parse(raw.clone(), &self.config.message)
        else {
            return None;
        };
        self.stamp(&mut request, flow);
        let trying = construct::trying(&request)?;
        Some(self.with_demand(&trying).unwrap_or(trying).to_bytes())
    }

    /// An event of a transaction that the user knows of: CANCELs are answered by this layer.
    fn tell_of(&mut self, key: ServerKey, event: Event) {
        if self.servers.get(key.0).is_some_and(|server| server.method != Method::Cancel) {
            self.events.push_back(event);
        }
    }

    pub(super) fn end_server(&mut self, key: ServerKey) {
        let Some(mut server) = self.servers.remove(key.0) else { return };
        if !self.ways_back.is_empty() {
            self.ways_back.remove(&key);
        }
        server.running.stop_all(&mut self.timers);
        trace_in!(server.span, "terminated");
        let hash = server.match_key.hash(self.config.seed);
        if let Ok(entry) = self.matches.find_entry(hash, |slot| *slot == key.0.slot) {
            entry.remove();
        }
        debug_assert_eq!(self.matches.len(), self.servers.len(), "an entry for each transaction");
        Self::count_unfinished(&mut self.unfinished, &mut server.is_counted_unfinished, false);
        if server.method != Method::Cancel {
            self.events.push_back(Event::Terminated { key: Key::Server(key) });
        }
    }
}

impl Server {
    fn is_unfinished(&self) -> bool {
        match &self.machine {
            Machine::Invite(machine) => match machine.state() {
                server_invite::State::Proceeding | server_invite::State::Completed => true,
                server_invite::State::Confirmed
                | server_invite::State::Accepted
                | server_invite::State::Terminated => false,
            },
            Machine::NonInvite(machine) => match machine.state() {
                server_non_invite::State::Trying | server_non_invite::State::Proceeding => true,
                server_non_invite::State::Completed | server_non_invite::State::Terminated => false,
            },
        }
    }
}

/// What an input brought along, for the actions that it caused.
#[derive(Debug, Default)]
enum Given {
    #[default]
    Nothing,
    Request(Request, Flow),
    Response(Response),
    Error(TransportError),
}
