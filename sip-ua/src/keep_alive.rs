//! Keeping one flow alive and noticing its end (RFC 5626 §4.4): a machine without clock or socket.
//!
//! ```text
//!              timer: ping              answered
//!     Resting ─────────────► Asking ───────────────► Resting
//!        ▲  │ timer: blank     │ no answer, an error, another address
//!        └──┘                  ▼
//!                            Failed
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use sip_transport::StunId;
use smallvec::SmallVec;

use crate::registration::Draw;

/// How the flow of a registration is kept alive, so that NAT boxes and firewalls on the way stay open for
/// what comes from the registrar's side; and that of a call for as long as it lasts, if the next element
/// agrees to it in the response to the INVITE (RFC 6223). All but `Off` offer keep-alives, by a `keep` in the
/// Via of REGISTER and INVITE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeepAlive {
    /// Not at all.
    Off,
    /// As RFC 5626 has it, if the response to the REGISTER says that the other side takes part: by
    /// `Require: outbound`, a Flow-Timer, or a value for the `keep` of our Via (RFC 6223). On streams line ends
    /// that are to be answered within 10 s, on UDP STUN Binding requests. A flow that fails is replaced: the
    /// registration begins anew.
    #[default]
    Agreed,
    /// The same whatever the response says: this next hop is known to answer.
    ///
    /// RFC 5626 §4.4: "A configuration option indicating keep-alive support for a specific
    /// target is considered an explicit indication."
    Expected,
    /// Line ends that nobody need answer, on UDP as well. They keep what is on the way open with any peer; that
    /// a flow has failed goes unnoticed.
    ///
    /// RFC 5626 §4.4.1 has this for streams only: "it MUST NOT be used with connection-less transports
    /// such as UDP", where a lost binding would never show. With a peer that knows no STUN it is what there
    /// is.
    Blank,
}

impl KeepAlive {
    /// What goes over a flow, if anything does.
    pub(crate) fn method(self, is_stream: bool, agreed: bool) -> Option<Method> {
        match (self, is_stream) {
            (Self::Off, _) => None,
            (Self::Agreed, _) if !agreed => None,
            (Self::Agreed | Self::Expected, true) => Some(Method::Ping),
            (Self::Agreed | Self::Expected, false) => {
                cfg!(feature = "stun").then_some(Method::Stun)
            }
            (Self::Blank, _) => Some(Method::Blank),
        }
    }
}

/// RFC 5626 §4.4.1: "If a pong is not received within 10 seconds after sending a ping (or
/// immediately after processing any incoming message being received when
/// that 10 seconds expires), then the client MUST treat the flow as
/// failed."
const PONG_WAIT: Duration = Duration::from_secs(10);

/// RFC 8489 §6.2.1: the first wait for an answer (RTO), the number of requests (Rc), and the last wait as a
/// multiple of the first (Rm).
const RTO: Duration = Duration::from_millis(500);
const REQUESTS: u8 = 7;
const LAST_WAIT: u32 = 16;

/// The most time between two keep-alives if neither the server nor the user says, in milliseconds.
///
/// RFC 5626 §4.4.1: "The fixed upper bound or the default
/// configurable upper bound SHOULD be 120 seconds (95 seconds for the
/// lower bound) where battery power is not a concern"
const STREAM_INTERVAL: (u32, u32) = (95_000, 120_000);

/// RFC 5626 §4.4.2: "When a Flow-Timer header field is not included in a successful
/// registration response, the time between each keep-alive request
/// SHOULD be a random number between 24 and 29 seconds."
const DATAGRAM_INTERVAL: (u32, u32) = (24_000, 29_000);

/// The least time between two keep-alives, whatever a server asks for, in milliseconds.
const LEAST_INTERVAL: u32 = 1_000;

/// The least and the most time between two keep-alives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    least: u32,
    most: u32,
}

impl Interval {
    /// `flow_timer` is what the server says, `most` what the user wants.
    pub(crate) fn new(
        is_stream: bool,
        flow_timer: Option<Duration>,
        most: Option<Duration>,
    ) -> Self {
        // RFC 5626 §4.4: "The UA MUST
        // send keep-alives at least as often as this number of seconds."
        let said = flow_timer.into_iter().chain(most).min();
        let (least, most) = match said {
            None if is_stream => STREAM_INTERVAL,
            None => DATAGRAM_INTERVAL,
            // RFC 5626 §4.4: "If the
            // UA uses the server-recommended keep-alive frequency it SHOULD send
            // its keep-alives so that the interval between each keep-alive is
            // randomly distributed between 80% and 100% of the server-provided
            // time."
            Some(said) => {
                let most = u32::try_from(said.as_millis()).unwrap_or(u32::MAX).max(LEAST_INTERVAL);
                (most / 5 * 4, most)
            }
        };
        Self { least, most }
    }

    fn draw(self, draw: Draw<'_>) -> Duration {
        Duration::from_millis(draw(self.least..=self.most).clamp(self.least, self.most).into())
    }
}

/// What goes over the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// Line ends that are answered.
    Ping,
    /// STUN Binding requests.
    Stun,
    /// Line ends that are not.
    Blank,
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Input {
    /// The timer that [`Action::Arm`] asked for fired.
    Timer,
    /// A pong came over the flow.
    Pong,
    /// An answer to a Binding request came over the flow.
    Binding { id: StunId, mapped: Option<SocketAddr> },
}

/// What is to be done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Send line ends.
    Ping,
    /// Send a Binding request.
    Ask(StunId),
    /// Arm the one timer, in place of what it was armed with.
    Arm(Duration),
    /// The flow works: an answer came, the first one on it.
    Proven,
    /// The flow has failed. Nothing more comes.
    Fail,
}

/// The keep-alives of one flow.
#[derive(Debug)]
pub(crate) struct Keeper {
    method: Method,
    interval: Interval,
    state: State,
    /// Where the far end saw us last.
    mapped: Option<SocketAddr>,
    proven: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The next one is sent when the timer fires.
    Resting,
    /// An answer is awaited.
    Ponging,
    /// An answer is awaited, after so many requests.
    Binding {
        id: StunId,
        sent: u8,
    },
    Failed,
}

type Actions = SmallVec<[Action; 2]>;

impl Keeper {
    /// A keeper, and the time to its first timer.
    pub(crate) fn new(method: Method, interval: Interval, draw: Draw<'_>) -> (Self, Duration) {
        let state = State::Resting;
        (Self { method, interval, state, mapped: None, proven: false }, interval.draw(draw))
    }

    /// Another interval, from the next keep-alive on.
    pub(crate) fn set_interval(&mut self, interval: Interval) {
        self.interval = interval;
    }

    /// Where the far end saw us last, if it was asked and has answered.
    pub(crate) fn mapped(&self) -> Option<SocketAddr> {
        self.mapped
    }

    pub(crate) fn method(&self) -> Method {
        self.method
    }

    /// Whether the flow counts as successful.
    ///
    /// RFC 5626 §4.5: "a flow is considered successful if outbound registration
    /// succeeded, and if keep-alives are in use on this flow, at least one
    /// subsequent keep-alive response was received."
    pub(crate) fn is_proven(&self) -> bool {
        self.proven || self.method == Method::Blank
    }

    pub(crate) fn handle(&mut self, input: Input, draw: Draw<'_>) -> Actions {
        let mut out = Actions::new();
        match (self.state, input) {
            (State::Resting, Input::Timer) => match self.method {
                Method::Blank => {
                    out.push(Action::Ping);
                    out.push(Action::Arm(self.interval.draw(draw)));
                }
                Method::Ping => {
                    self.state = State::Ponging;
                    out.push(Action::Ping);
                    out.push(Action::Arm(PONG_WAIT));
                }
                Method::Stun => {
                    let id = new_id(draw);
                    self.ask(id, 0, &mut out);
                }
            },
            (State::Ponging, Input::Pong) => self.answered(draw, &mut out),
            (State::Ponging, Input::Timer) => self.fail(&mut out),
            (State::Binding { id, sent }, Input::Timer) if sent < REQUESTS => {
                self.ask(id, sent, &mut out);
            }
            // RFC 5626 §4.4.2: "If a STUN Binding Error Response is received, or if no Binding
            // Response is received after 7 retransmissions (16 times the STUN "RTO"
            // timer -- where RTO is an estimate of round-trip time), the UA
            // considers the flow failed."
            (State::Binding { .. }, Input::Timer) => self.fail(&mut out),
            (State::Binding { id, .. }, Input::Binding { id: of, mapped }) if id == of => {
                match mapped {
                    // RFC 5626 §4.4.2: "If the XOR-MAPPED-ADDRESS in the STUN
                    // Binding Response changes, the UA MUST treat this event as a failure
                    // on the flow."
                    Some(mapped) if self.mapped.is_none_or(|before| before == mapped) => {
                        self.mapped = Some(mapped);
                        self.answered(draw, &mut out);
                    }
                    Some(_) | None => self.fail(&mut out),
                }
            }
            // An answer that comes late, or to nothing that was asked.
            (
                State::Resting | State::Ponging | State::Binding { .. },
                Input::Pong | Input::Binding { .. },
            ) => {}
            (State::Failed, Input::Timer | Input::Pong | Input::Binding { .. }) => {}
        }
        out
    }

    fn ask(&mut self, id: StunId, sent: u8, out: &mut Actions) {
        let sent = sent.saturating_add(1);
        self.state = State::Binding { id, sent };
        out.push(Action::Ask(id));
        let times = if sent == REQUESTS { LAST_WAIT } else { 1 << (sent - 1) };
        out.push(Action::Arm(RTO * times));
    }

    fn answered(&mut self, draw: Draw<'_>, out: &mut Actions) {
        self.state = State::Resting;
        if !self.proven {
            self.proven = true;
            out.push(Action::Proven);
        }
        out.push(Action::Arm(self.interval.draw(draw)));
    }

    fn fail(&mut self, out: &mut Actions) {
        self.state = State::Failed;
        out.push(Action::Fail);
    }
}

fn new_id(draw: Draw<'_>) -> StunId {
    let mut id = StunId::default();
    for part in id.chunks_mut(4) {
        part.copy_from_slice(&draw(0..=u32::MAX).to_be_bytes());
    }
    id
}

#[cfg(test)]
#[cfg(feature = "stun")]
mod tests;
