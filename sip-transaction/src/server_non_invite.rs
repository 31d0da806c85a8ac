//! The non-INVITE server transaction: RFC 3261 §17.2.2 (figure 8) with RFC 4320 §4, and RFC 6026 §8.8
//! on transport errors.
//!
//! ```text
//!                              | request
//!                              | to TU
//!                              V
//!                        +------------+
//!            request +---|   Trying   |--------------+
//!                  - +-->|            |              |
//!                        +------------+              |
//!          100 from TU, or |                         | 200-699 from TU
//!        silence: send 100 |                         | send response
//!                          V                         |
//!                        +------------+              |
//!   request: send 100 +--|            |              |
//!                     +->|            | 64*T1        |
//!    100 from TU: send+--| Proceeding |-----------+  |
//!                     +->|            |           |  |
//!     transport error +--|            |           |  |
//!             tell TU +->|            |           |  |
//!                        +------------+           |  |
//!          200-699 from TU |                      |  |
//!            send response |                      |  |
//!                          V                      |  |
//!   request: send again  +------------+           |  |
//!     transport error +--| Completed  |<----------|--+
//!             tell TU +->|            |           |
//!                        +------------+           |
//!                  Timer J |                      |
//!                          V                      V
//!                        +--------------------------+
//!                        |        Terminated        |
//!                        +--------------------------+
//! ```
//!
//! Two things that figure 8 does not have: a transport error leaves the transaction where it is
//! (RFC 6026 §8.8 replaced the paragraph that figure 8 draws), so that a repeat of the request is not
//! taken for a new one; and a transaction user that never answers loses the transaction when the
//! client's Timer F has fired and no answer can be of use.

use crate::machine::{Action, Actions, Interval};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Trying,
    Proceeding,
    Completed,
    Terminated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The transaction user is silent: send 100.
    Trying,
    /// It never answered: the client has given up.
    Abandoned,
    /// Wait for repeats of the request.
    J,
}

impl Timer {
    pub(crate) fn is_retransmission(self) -> bool {
        matches!(self, Self::Trying)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// The request came again.
    Request,
    /// The transaction user answers 100.
    Trying,
    /// The transaction user answers 101 to 199.
    OtherProvisional,
    /// The transaction user answers 200 to 699, but not 408.
    Final,
    /// The transaction user answers 408.
    RequestTimeout,
    Timer(Timer),
    TransportError,
}

#[derive(Debug)]
pub(crate) struct ServerNonInvite {
    state: State,
    is_reliable: bool,
}

impl ServerNonInvite {
    /// RFC 3261 §17.2.2: "The state machine is initialized in the "Trying" state and is passed a
    /// request other than INVITE or ACK when initialized. This request is passed up to the TU."
    pub(crate) fn start(is_reliable: bool, out: &mut Actions<Timer>) -> Self {
        out.push(Action::Deliver);
        out.push(Action::Start(Timer::Trying, Interval::NonInviteTrying));
        Self { state: State::Trying, is_reliable }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    pub(crate) fn handle(&mut self, input: Input, out: &mut Actions<Timer>) {
        use self::Timer::{Abandoned, J};
        use Input::{Final, OtherProvisional, Request, RequestTimeout, Timer, TransportError};
        use State::{Completed, Proceeding, Terminated, Trying};
        match (self.state, input) {
            // RFC 3261 §17.2.2: "Once in the "Trying" state, any further request retransmissions are
            // discarded."
            (Trying, Request) => {}
            // RFC 3261 §17.2.2: "If a retransmission of the request is received while in the "Proceeding"
            // state, the most recently sent provisional response MUST be passed to the transport layer for
            // retransmission."
            (Proceeding, Request) => out.push(Action::Resend),
            // RFC 3261 §17.2.2: "While in the "Completed" state, the server transaction MUST pass the final
            // response to the transport layer for retransmission whenever a retransmission of the request
            // is received."
            (Completed, Request) => out.push(Action::Resend),

            (Trying, Input::Trying) => {
                // RFC 4320 §4.1: "An SIP element MUST NOT respond to a non-INVITE request with a
                // Status-Code of 100 over any unreliable transport, such as UDP, before the amount of time
                // it takes a client transaction's Timer E to be reset to T2."
                // The timer will send it then.
                if self.is_reliable {
                    // RFC 3261 §17.2.2: "While in the "Trying" state, if the TU passes a provisional response
                    // to the server transaction, the server transaction MUST enter the "Proceeding" state.
                    // The response MUST be passed to the transport layer for transmission."
                    out.push(Action::Stop(self::Timer::Trying));
                    out.push(Action::Send);
                    self.proceed(out);
                }
            }
            // RFC 3261 §17.2.2: "Any further provisional responses that are received from the TU while in
            // the "Proceeding" state MUST be passed to the transport layer for transmission."
            (Proceeding, Input::Trying) => out.push(Action::Send),
            // RFC 4320 §4.1: "An SIP element MUST NOT send any provisional response with a Status-Code
            // other than 100 to a non-INVITE request."
            (Trying | Proceeding, OtherProvisional) => {}

            // RFC 3261 §17.2.2: "If the TU passes a final response (status codes 200-699) to the server
            // while in the "Proceeding" state, the transaction MUST enter the "Completed" state, and the
            // response MUST be passed to the transport layer for transmission."
            (Trying | Proceeding, Final) => {
                out.push(Action::Send);
                self.complete(out);
            }
            // RFC 4320 §4.2: "A transaction-stateful SIP element MUST NOT send a response with Status-Code
            // of 408 to a non-INVITE request. As a consequence, an element that cannot respond before the
            // transaction expires will not send a final response at all."
            // Repeats of the request are absorbed as after any other answer.
            (Trying | Proceeding, RequestTimeout) => self.complete(out),
            // RFC 3261 §17.2.2: "Any other final responses passed by the TU to the server transaction MUST
            // be discarded while in the "Completed" state."
            (Completed, Input::Trying | OtherProvisional | Final | RequestTimeout) => {}

            // RFC 4320 §4.1: "Without regard to transport, an SIP element MUST respond to a non-INVITE
            // request with a Status-Code of 100 if it has not otherwise responded after the amount of time
            // it takes a client transaction's Timer E to be reset to T2."
            (Trying, Timer(self::Timer::Trying)) => {
                out.push(Action::SendTrying);
                self.proceed(out);
            }
            // Nobody waits for an answer any longer.
            (Proceeding, Timer(Abandoned)) => self.terminate(out),
            // RFC 3261 §17.2.2: "The server transaction remains in this state until Timer J fires, at which
            // point it MUST transition to the "Terminated" state."
            (Completed, Timer(J)) => self.terminate(out),
            // Stopped when these states were entered; named so that nothing is forgotten.
            (Trying, Timer(Abandoned | J))
            | (Proceeding, Timer(self::Timer::Trying | J))
            | (Completed, Timer(self::Timer::Trying | Abandoned)) => {}

            // RFC 6026 §8.8: "the server transaction SHOULD inform the TU that a failure has occurred, and
            // MUST remain in the current state."
            (Proceeding | Completed, TransportError) => out.push(Action::TransportError),
            // Nothing was sent yet.
            (Trying, TransportError) => {}

            (
                Terminated,
                Request
                | Input::Trying
                | OtherProvisional
                | Final
                | RequestTimeout
                | Timer(_)
                | TransportError,
            ) => {}
        }
    }

    fn proceed(&mut self, out: &mut Actions<Timer>) {
        self.state = State::Proceeding;
        out.push(Action::Start(Timer::Abandoned, Interval::Lifetime));
    }

    fn complete(&mut self, out: &mut Actions<Timer>) {
        match self.state {
            State::Trying => out.push(Action::Stop(Timer::Trying)),
            State::Proceeding => out.push(Action::Stop(Timer::Abandoned)),
            State::Completed | State::Terminated => {}
        }
        // RFC 3261 §17.2.2: "When the server transaction enters the "Completed" state, it MUST set Timer J
        // to fire in 64*T1 seconds for unreliable transports, and zero seconds for reliable transports."
        if self.is_reliable {
            self.terminate(out);
        } else {
            self.state = State::Completed;
            out.push(Action::Start(Timer::J, Interval::Lifetime));
        }
    }

    /// RFC 3261 §17.2.2: "The server transaction MUST be destroyed the instant it enters the
    /// "Terminated" state."
    fn terminate(&mut self, out: &mut Actions<Timer>) {
        self.state = State::Terminated;
        out.push(Action::Terminate);
    }
}
