//! The non-INVITE client transaction: RFC 3261 §17.1.2 (figure 6).
//!
//! ```text
//!                            | request from TU
//!                            | send request
//!                            V
//!           Timer E    +------------+  Timer F, transport error
//!      send request +--|   Trying   |  tell TU
//!                   +->|            |------------------------------+
//!                      +------------+                              |
//!                200-699 |       | 1xx                             |
//!                  to TU |       | to TU                           |
//!                        |       V                                 |
//!           Timer E    +-|----------+  Timer F, transport error    |
//!      send request +--| | Proceed- |  tell TU                     |
//!                   +->| |   ing    |----------------------------->|
//!             1xx   +--| |          |                              |
//!             to TU +->+-|----------+                              |
//!                        |       | 200-699                         |
//!                        V       V to TU                           |
//!                      +------------+                              |
//!                      | Completed  |                              |
//!                      +------------+                              |
//!                            | Timer K                             |
//!                            V                                     V
//!                      +-----------------------------------------------+
//!                      |                  Terminated                   |
//!                      +-----------------------------------------------+
//! ```

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
    /// Send the request again.
    E,
    /// Nobody answered.
    F,
    /// Wait for repeats of the final response.
    K,
}

impl Timer {
    pub(crate) fn is_retransmission(self) -> bool {
        matches!(self, Self::E)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// A response of 100 to 199.
    Provisional,
    /// A response of 200 to 699.
    Final,
    Timer(Timer),
    TransportError,
}

#[derive(Debug)]
pub(crate) struct ClientNonInvite {
    state: State,
    is_reliable: bool,
    /// How often Timer E was doubled.
    doublings: u8,
}

impl ClientNonInvite {
    /// RFC 3261 §17.1.2.2: "The "Trying" state is entered when the TU initiates a new client
    /// transaction with a request."
    pub(crate) fn start(is_reliable: bool, out: &mut Actions<Timer>) -> Self {
        // RFC 3261 §17.1.2.2: "The request MUST be passed to the transport layer for transmission."
        out.push(Action::Send);
        // RFC 3261 §17.1.2.2: "If an unreliable transport is in use, the client transaction MUST set
        // timer E to fire in T1 seconds."
        if !is_reliable {
            out.push(Action::Start(Timer::E, Interval::Backoff(0)));
        }
        // RFC 3261 §17.1.2.2: "When entering this state, the client transaction SHOULD set timer F to
        // fire in 64*T1 seconds."
        out.push(Action::Start(Timer::F, Interval::Lifetime));
        Self { state: State::Trying, is_reliable, doublings: 0 }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    pub(crate) fn handle(&mut self, input: Input, out: &mut Actions<Timer>) {
        use self::Timer::{E, F, K};
        use Input::{Final, Provisional, Timer, TransportError};
        use State::{Completed, Proceeding, Terminated, Trying};
        match (self.state, input) {
            // RFC 3261 §17.1.2.2: "If a provisional response is received while in the "Trying" state, the
            // response MUST be passed to the TU, and then the client transaction SHOULD move to the
            // "Proceeding" state."
            (Trying, Provisional) => {
                out.push(Action::Deliver);
                self.state = Proceeding;
            }
            // Figure 6: passed up, without a sentence that says so.
            (Proceeding, Provisional) => out.push(Action::Deliver),
            (Completed, Provisional) => {}

            // RFC 3261 §17.1.2.2: "If a final response (status codes 200-699) is received while in the
            // "Trying" state, the response MUST be passed to the TU, and the client transaction MUST
            // transition to the "Completed" state."
            // RFC 3261 §17.1.2.2: "If a final response (status codes 200-699) is received while in the
            // "Proceeding" state, the response MUST be passed to the TU, and the client transaction MUST
            // transition to the "Completed" state."
            (Trying | Proceeding, Final) => {
                out.push(Action::Stop(E));
                out.push(Action::Stop(F));
                out.push(Action::Deliver);
                // RFC 3261 §17.1.2.2: "Once the client transaction enters the "Completed" state, it MUST
                // set Timer K to fire in T4 seconds for unreliable transports, and zero seconds for
                // reliable transports."
                if self.is_reliable {
                    self.terminate(out);
                } else {
                    self.state = Completed;
                    out.push(Action::Start(K, Interval::T4));
                }
            }
            // RFC 3261 §17.1.2.2: "The "Completed" state exists to buffer any additional response
            // retransmissions that may be received"
            (Completed, Final) => {}

            // RFC 3261 §17.1.2.2: "If timer E fires while still in this state, the timer is reset, but
            // this time with a value of MIN(2*T1, T2). When the timer fires again, it is reset to a
            // MIN(4*T1, T2)."
            (Trying, Timer(E)) => {
                self.doublings = self.doublings.saturating_add(1);
                out.push(Action::Send);
                out.push(Action::Start(E, Interval::CappedBackoff(self.doublings)));
            }
            // RFC 3261 §17.1.2.2: "If Timer E fires while in the "Proceeding" state, the request MUST be
            // passed to the transport layer for retransmission, and Timer E MUST be reset with a value of
            // T2 seconds."
            (Proceeding, Timer(E)) => {
                out.push(Action::Send);
                out.push(Action::Start(E, Interval::T2));
            }
            // RFC 3261 §17.1.2.2: "If Timer F fires while the client transaction is still in the "Trying"
            // state, the client transaction SHOULD inform the TU about the timeout, and then it SHOULD
            // enter the "Terminated" state."
            // RFC 3261 §17.1.2.2: "If timer F fires while in the "Proceeding" state, the TU MUST be
            // informed of a timeout, and the client transaction MUST transition to the terminated state."
            (Trying | Proceeding, Timer(F)) => {
                out.push(Action::Timeout);
                self.terminate(out);
            }
            // RFC 3261 §17.1.2.2: "If Timer K fires while in this state, the client transaction MUST
            // transition to the "Terminated" state."
            (Completed, Timer(K)) => self.terminate(out),
            // Stopped when these states were entered; named so that nothing is forgotten.
            (Trying | Proceeding, Timer(K)) | (Completed, Timer(E | F)) => {}

            // RFC 3261 §17.1.4: "The client transaction SHOULD inform the TU that a transport failure has
            // occurred, and the client transaction SHOULD transition directly to the "Terminated" state."
            (Trying | Proceeding, TransportError) => {
                out.push(Action::TransportError);
                self.terminate(out);
            }
            // The answer is here: that a repeat of the request got lost no longer matters.
            (Completed, TransportError) => {}

            (Terminated, Provisional | Final | Timer(_) | TransportError) => {}
        }
    }

    /// RFC 3261 §17.1.2.2: "Once the transaction is in the terminated state, it MUST be destroyed
    /// immediately."
    fn terminate(&mut self, out: &mut Actions<Timer>) {
        self.state = State::Terminated;
        out.push(Action::Terminate);
    }
}
