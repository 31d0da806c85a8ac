//! The machine of a shard as the outside sees it: bytes in, bytes out.

use std::time::Instant;

use bytes::Bytes;
use sip_message::{Message, Method, ParseErrorKind, Refusal, Request, Response};
use sip_transport::{Flow, Input, Locals};

use crate::{Config, ConfigError, Output, Stats, TransactionUser, Transactions};

/// A sans-IO SIP endpoint: all transactions of a shard, and above them their user `U`.
///
/// Whoever owns it feeds it what comes from the network ([`handle_input`](Self::handle_input)), tells
/// it when the time of [`poll_timeout`](Self::poll_timeout) has come
/// ([`handle_timeout`](Self::handle_timeout)), gives the user commands ([`with`](Self::with)), and drains
/// [`poll_output`](Self::poll_output) and [`poll_event`](Self::poll_event). Any call is legal at any
/// time; nothing blocks, and nothing reads a clock.
#[derive(Debug)]
pub struct Endpoint<U> {
    transactions: Transactions,
    user: U,
}

impl<U: TransactionUser> Endpoint<U> {
    /// An endpoint at rest, that listens at those addresses.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the configuration makes no sense.
    pub fn new(config: Config, locals: Locals, now: Instant, user: U) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self { transactions: Transactions::new(config, locals, now), user })
    }

    /// Takes in what the transport has to say.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            // RFC 5626 §8: "If a server compliant to this section receives SIP requests on a
            // given interface and UDP port, it MUST also provide a limited version
            // of a STUN server on the same interface and UDP port."
            #[cfg(feature = "stun")]
            Input::Datagram { flow, payload } if sip_transport::is_stun(&payload) => {
                self.transactions.receive_stun(flow, &payload);
            }
            Input::Datagram { flow, payload } => {
                self.receive(now, flow, payload);
            }
            Input::Message { flow, payload } => {
                // Where messages are kept apart, what is wrong with one says nothing about the next.
                if !self.receive(now, flow, payload) && !flow.transport.is_message_oriented() {
                    self.transactions.close(flow);
                }
            }
            Input::Malformed { flow, payload, error } => {
                self.refuse_malformed(flow, payload, error.refusal());
                self.transactions.close(flow);
            }
            Input::Authenticated { flow, peer } => self.transactions.authenticated(flow, peer),
            Input::Pong { flow } => self.transactions.ponged(flow),
            Input::Rebound { locals, lost } => self.transactions.rebound(locals, lost),
            Input::Closed { flow, error } => self.transactions.closed(flow, error),
            Input::SendFailed { token, target, error, payload } => {
                self.transactions.send_failed(now, token, target, error, payload);
            }
            Input::Resolved { id, number, result } => {
                self.transactions.resolved(now, id, number, result);
            }
        }
        self.hand_on(now);
    }

    /// Fires the timers whose time has come, up to
    /// [`Config::timers_per_call`]; what is left keeps `poll_timeout` in the past.
    pub fn handle_timeout(&mut self, now: Instant) {
        for _ in 0..self.transactions.config().timers_per_call {
            if !self.transactions.fire(now) {
                break;
            }
            self.hand_on(now);
        }
    }

    /// What is to be done outside, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.transactions.poll_output()
    }

    /// When the next timer fires; `None` while none is armed.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.transactions.poll_timeout()
    }

    /// What the user has to say to those above.
    pub fn poll_event(&mut self) -> Option<U::Event> {
        self.user.poll_event()
    }

    /// Gives the user a command: the closure may call it and the transactions.
    pub fn with<T>(
        &mut self,
        now: Instant,
        command: impl FnOnce(&mut U, &mut Transactions) -> T,
    ) -> T {
        let result = command(&mut self.user, &mut self.transactions);
        self.hand_on(now);
        result
    }

    /// The user.
    pub fn user(&self) -> &U {
        &self.user
    }

    /// The user, for what needs no transactions.
    pub fn user_mut(&mut self) -> &mut U {
        &mut self.user
    }

    /// The transactions, to look at.
    pub fn transactions(&self) -> &Transactions {
        &self.transactions
    }

    /// What was counted so far, and what lives now.
    pub fn stats(&self) -> Stats {
        self.transactions.stats()
    }

    fn hand_on(&mut self, now: Instant) {
        while let Some(event) = self.transactions.poll_event() {
            self.user.handle(now, event, &mut self.transactions);
        }
    }

    /// Takes in a message; whether it was SIP, if only a response of a status that is none.
    fn receive(&mut self, now: Instant, flow: Flow, payload: Bytes) -> bool {
        match Message::parse(payload.clone(), &self.transactions.config().message) {
            Ok(Message::Request(request)) => self.receive_request(now, flow, request, payload),
            Ok(Message::Response(response)) => self.receive_response(now, flow, response),
            Err(error) => {
                tracing::debug!(%error, remote = %flow.remote, "dropped what is not SIP");
                self.transactions.stats_mut().dropped_malformed += 1;
                self.transactions.blame(flow);
                // RFC 4475 §3.1.2.19: "This response has a response code larger than 699.  An element
                // receiving this response should simply drop it."
                return error.kind() == ParseErrorKind::StatusCode;
            }
        }
        true
    }

    fn receive_request(&mut self, now: Instant, flow: Flow, mut request: Request, raw: Bytes) {
        let verdict = request.validate();
        self.transactions.stamp(&mut request, &flow);
        match verdict {
            Ok(()) => {
                self.transactions.stats_mut().requests_received += 1;
                self.transactions.receive_request(now, request, raw, flow);
            }
            // Nothing answers an ACK.
            Err(_) if *request.method() == Method::Ack => {
                self.transactions.stats_mut().dropped_acks += 1;
                self.transactions.blame(flow);
            }
            Err(refusal) => {
                self.transactions.stats_mut().refused_invalid += 1;
                self.transactions.blame(flow);
                self.refuse(&request, &flow, &refusal);
            }
        }
    }

    fn receive_response(&mut self, now: Instant, flow: Flow, response: Response) {
        // RFC 3261 §18.3: "If the message is a response, it MUST be discarded."
        if !self.transactions.is_own_response(&response) || response.validate().is_err() {
            self.transactions.stats_mut().dropped_responses += 1;
            self.transactions.blame(flow);
            return;
        }
        self.transactions.stats_mut().responses_received += 1;
        self.transactions.receive_response(now, flow, response);
    }

    /// A stream went wrong: at most one answer, if what came can be answered at all. The framing knows what
    /// is wrong: alone, as a datagram, the same bytes might do.
    fn refuse_malformed(&mut self, flow: Flow, payload: Bytes, refusal: &Refusal) {
        self.transactions.stats_mut().dropped_malformed += 1;
        self.transactions.blame(flow);
        let message = Message::parse(payload, &self.transactions.config().message);
        let Ok(Message::Request(mut request)) = message else { return };
        if *request.method() == Method::Ack {
            return;
        }
        self.transactions.stamp(&mut request, &flow);
        self.refuse(&request, &flow, refusal);
    }

    fn refuse(&mut self, request: &Request, flow: &Flow, refusal: &Refusal) {
        tracing::debug!(%refusal, remote = %flow.remote, "refused a request");
        // RFC 3261 §21.4.1: "The Reason-Phrase SHOULD identify the syntax problem in more detail"
        let reason = refusal.detail().to_string();
        self.transactions.refuse(request, flow, refusal.status(), Some(&reason));
    }
}
