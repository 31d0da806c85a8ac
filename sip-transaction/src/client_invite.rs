//! The INVITE client transaction: RFC 3261 §17.1.1 (figure 5) as corrected by RFC 6026 §8.4, with the
//! CANCEL of §9.1.
//!
//! ```text
//!                              | INVITE from TU
//!                              | send INVITE
//!                              V
//!            Timer A     +-----------+  Timer B, transport error
//!       send INVITE +----|  Calling  |  tell TU
//!                   +--->|           |-------------------------------------+
//!                        +-----------+                                     |
//!                  300-699 |   | 1xx   \  2xx                              |
//!            ACK, resp. to |   | to TU  \ to TU                            |
//!                       TU |   V         \                                 |
//!                          |  +----------+|  64*T1 after CANCEL            |
//!                          |  |Proceeding||  tell TU                       |
//!                 1xx +----|--|          |-|------------------------------>|
//!               to TU +----|->|          | |                               |
//!                          |  +----------+ |                               |
//!                          |    |300-699 \ | 2xx                           |
//!                          |    |ACK,     \| to TU                         |
//!                          V    V to TU    V                               |
//!                       +-----------+   +----------+                       |
//!           300-699 +---| Completed |   | Accepted |---+ 2xx               |
//!               ACK +-->|           |   |          |<--+ to TU             |
//!                       +-----------+   +----------+                       |
//!                Timer D, |                | Timer M                       |
//!        transport error: |                |                               |
//!                 tell TU V                V                               V
//!                     +--------------------------------------------------------+
//!                     |                       Terminated                       |
//!                     +--------------------------------------------------------+
//! ```

use crate::machine::{Action, Actions, Interval};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Calling,
    Proceeding,
    Completed,
    Accepted,
    Terminated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// Send the INVITE again.
    A,
    /// Nobody answered.
    B,
    /// Wait for repeats of a final response other than a 2xx.
    D,
    /// Wait for more 2xx.
    M,
    /// A CANCEL went out, and no final response came.
    Cancelled,
}

impl Timer {
    pub(crate) fn is_retransmission(self) -> bool {
        matches!(self, Self::A)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// A response of 100 to 199.
    Provisional,
    /// A response of 200 to 299.
    Success,
    /// A response of 300 to 699.
    Failure,
    Timer(Timer),
    TransportError,
    /// The transaction user wants the INVITE cancelled.
    Cancel,
}

#[derive(Debug)]
pub(crate) struct ClientInvite {
    state: State,
    is_reliable: bool,
    /// How often Timer A was doubled.
    doublings: u8,
    cancel: Cancel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cancel {
    No,
    /// Wanted, but no provisional response has come yet.
    Wanted,
    Sent,
}

impl ClientInvite {
    /// RFC 3261 §17.1.1.2: "The initial state, "calling", MUST be entered when the TU
    /// initiates a new client transaction with an INVITE request."
    pub(crate) fn start(is_reliable: bool, out: &mut Actions<Timer>) -> Self {
        // RFC 3261 §17.1.1.2: "The client transaction MUST pass the request to the transport layer for
        // transmission (see Section 18)."
        out.push(Action::Send);
        // RFC 3261 §17.1.1.2: "If an unreliable transport is being used, the client transaction MUST
        // start timer A with a value of T1. If a reliable transport is being used, the client transaction
        // SHOULD NOT start timer A (Timer A controls request retransmissions)."
        if !is_reliable {
            out.push(Action::Start(Timer::A, Interval::Backoff(0)));
        }
        // RFC 3261 §17.1.1.2: "For any transport, the client transaction MUST start timer B with a value
        // of 64*T1 seconds (Timer B controls transaction timeouts)."
        out.push(Action::Start(Timer::B, Interval::Lifetime));
        Self { state: State::Calling, is_reliable, doublings: 0, cancel: Cancel::No }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    pub(crate) fn handle(&mut self, input: Input, out: &mut Actions<Timer>) {
        use self::Timer::{A, B, D, M};
        use Input::{Failure, Provisional, Success, Timer, TransportError};
        use State::{Accepted, Calling, Completed, Proceeding, Terminated};
        match (self.state, input) {
            // RFC 3261 §17.1.1.2: "If the client transaction receives a provisional response while in
            // the "Calling" state, it transitions to the "Proceeding" state. In the "Proceeding" state,
            // the client transaction SHOULD NOT retransmit the request any longer. Furthermore, the
            // provisional response MUST be passed to the TU."
            (Calling, Provisional) => {
                self.state = Proceeding;
                out.push(Action::Stop(A));
                out.push(Action::Stop(B));
                out.push(Action::Deliver);
                // RFC 3261 §9.1: "If no provisional response has been received, the CANCEL request MUST
                // NOT be sent; rather, the client MUST wait for the arrival of a provisional response
                // before sending the request."
                if self.cancel == Cancel::Wanted {
                    self.send_cancel(out);
                }
            }
            // RFC 3261 §17.1.1.2: "Any further provisional responses MUST be passed up to the TU while
            // in the "Proceeding" state."
            (Proceeding, Provisional) => out.push(Action::Deliver),
            // Provisional responses that were overtaken by a final one: nobody waits for them.
            (Completed | Accepted, Provisional) => {}

            // RFC 6026 §8.4: "When a 2xx response is received while in either the "Calling" or
            // "Proceeding" states, the client transaction MUST transition to the "Accepted" state, and
            // Timer M MUST be started with a value of 64*T1. The 2xx response MUST be passed up to the
            // TU. The client transaction MUST NOT generate an ACK to the 2xx response -- its handling is
            // delegated to the TU."
            // RFC 6026 §7.2: "The client transaction MUST NOT generate an ACK to any 2xx response on its own."
            // RFC 6026 §7.2: "If a 2xx response is received while the client INVITE state machine is in the
            // "Calling" or "Proceeding" states, it MUST transition to the "Accepted" state, pass the 2xx
            // response to the TU, and set Timer M to 64*T1."
            // RFC 6026 §6: "An element sending or receiving a 2xx to an INVITE transaction MUST NOT destroy
            // any matching INVITE transaction state."
            // So the state is not that of RFC 3261, but the rest of its sentence holds.
            // RFC 3261 §17.1.1.2: "reception of a 2xx response MUST cause the client transaction to enter the
            // … and the response MUST be passed up to the TU."
            (Calling | Proceeding, Success) => {
                self.stop_waiting(out);
                self.state = Accepted;
                out.push(Action::Start(M, Interval::Lifetime));
                out.push(Action::Deliver);
            }
            // RFC 6026 §8.4: "Any 2xx responses that match this client transaction and that are received
            // while in the "Accepted" state MUST be passed up to the TU. The client transaction MUST NOT
            // generate an ACK to the 2xx response. The client transaction takes no further action."
            // RFC 6026 §7.2: "A 2xx response received while in the "Accepted" state MUST be passed to the
            // TU and the machine remains in the "Accepted" state."
            (Accepted, Success) => out.push(Action::Deliver),
            // A fork that answers 2xx after another final response was taken: no state passes it up.
            (Completed, Success) => {}

            // RFC 3261 §17.1.1.2: "When in either the "Calling" or "Proceeding" states, reception of a
            // response with status code from 300-699 MUST cause the client transaction to transition to
            // "Completed". The client transaction MUST pass the received response up to the TU, and the
            // client transaction MUST generate an ACK request, even if the transport is reliable
            // (guidelines for constructing the ACK from the response are given in Section 17.1.1.3) and
            // then pass the ACK to the transport layer for transmission."
            // RFC 6026 §8.4: "When in either the "Calling" or "Proceeding" states, reception of a response
            // with status code from 300-699 MUST cause the client transaction to transition to "Completed"."
            // RFC 6026 §8.4: "The client transaction MUST pass the received response up to the TU, and the
            // client transaction MUST generate an ACK request, even if the transport is reliable"
            (Calling | Proceeding, Failure) => {
                self.stop_waiting(out);
                out.push(Action::SendAck);
                out.push(Action::Deliver);
                // RFC 6026 §8.4: "The client transaction MUST start Timer D when it enters the "Completed"
                // state for any reason, with a value of at least 32 seconds for unreliable transports, and
                // a value of zero seconds for reliable transports."
                if self.is_reliable {
                    self.terminate(out);
                } else {
                    self.state = Completed;
                    out.push(Action::Start(D, Interval::TimerD));
                }
            }
            // RFC 3261 §17.1.1.2: "Any retransmissions of the final response that are received while in
            // the "Completed" state MUST cause the ACK to be re-passed to the transport layer for
            // retransmission, but the newly received response MUST NOT be passed up to the TU."
            // RFC 6026 §8.4: "Any retransmissions of a response with status code 300-699 that are received
            // while in the "Completed" state MUST cause the ACK to be re-passed to the transport layer for
            // retransmission, but the newly received response MUST NOT be passed up to the TU."
            (Completed, Failure) => out.push(Action::SendAck),
            // A fork that refuses after another accepted: figure 5 of RFC 6026 has no arrow for it.
            (Accepted, Failure) => {}

            // RFC 3261 §17.1.1.2: "When timer A fires, the client transaction MUST retransmit the request
            // by passing it to the transport layer, and MUST reset the timer with a value of 2*T1."
            // RFC 3261 §17.1.1.2: "When timer A fires 2*T1 seconds later, the request MUST be
            // retransmitted again (assuming the client transaction is still in this state). This process
            // MUST continue so that the request is retransmitted with intervals that double after each
            // transmission."
            (Calling, Timer(A)) => {
                self.doublings = self.doublings.saturating_add(1);
                out.push(Action::Send);
                out.push(Action::Start(A, Interval::Backoff(self.doublings)));
            }
            // RFC 3261 §17.1.1.2: "If the client transaction is still in the "Calling" state when timer B
            // fires, the client transaction SHOULD inform the TU that a timeout has occurred. The client
            // transaction MUST NOT generate an ACK."
            (Calling, Timer(B)) => {
                out.push(Action::Timeout);
                self.terminate(out);
            }
            // RFC 3261 §9.1: "If there is no final response for the original request in 64*T1 seconds …
            // the client SHOULD then consider the original transaction cancelled and SHOULD destroy the
            // client transaction handling the original request."
            (Proceeding, Timer(self::Timer::Cancelled)) => {
                out.push(Action::Timeout);
                self.terminate(out);
            }
            // RFC 3261 §17.1.1.2: "If timer D fires while the client transaction is in the "Completed"
            // state, the client transaction MUST move to the terminated state."
            // RFC 6026 §8.4: "If Timer D fires while the client transaction is in the "Completed" state,
            // the client transaction MUST move to the "Terminated" state."
            (Completed, Timer(D)) => self.terminate(out),
            // RFC 6026 §8.4: "If Timer M fires while the client transaction is in the "Accepted" state,
            // the client transaction MUST move to the "Terminated" state."
            // RFC 6026 §7.2: "When Timer M fires and the state machine is in the "Accepted" state, the
            // machine MUST transition to the "Terminated" state."
            (Accepted, Timer(M)) => self.terminate(out),
            // Stopped when these states were entered; named so that nothing is forgotten.
            (Calling, Timer(D | M | self::Timer::Cancelled))
            | (Proceeding, Timer(A | B | D | M))
            | (Completed, Timer(A | B | M | self::Timer::Cancelled))
            | (Accepted, Timer(A | B | D | self::Timer::Cancelled)) => {}

            // RFC 3261 §17.1.4: "The client transaction SHOULD inform the TU that a transport failure has
            // occurred, and the client transaction SHOULD transition directly to the "Terminated" state."
            (Calling | Completed, TransportError) => {
                out.push(Action::TransportError);
                self.terminate(out);
            }
            // Nothing is sent in these states: this is news of an INVITE that did arrive after all.
            (Proceeding | Accepted, TransportError) => {}

            (Calling, Input::Cancel) => self.cancel = Cancel::Wanted,
            (Proceeding, Input::Cancel) => {
                if self.cancel != Cancel::Sent {
                    self.send_cancel(out);
                }
            }
            // RFC 3261 §9.1: "If the original request has generated a final response, the CANCEL SHOULD
            // NOT be sent"
            (Completed | Accepted, Input::Cancel) => {}

            (
                Terminated,
                Provisional | Success | Failure | Timer(_) | TransportError | Input::Cancel,
            ) => {}
        }
    }

    fn send_cancel(&mut self, out: &mut Actions<Timer>) {
        self.cancel = Cancel::Sent;
        out.push(Action::SendCancel);
        out.push(Action::Start(Timer::Cancelled, Interval::Lifetime));
    }

    /// Stops what runs in Calling and Proceeding.
    fn stop_waiting(&self, out: &mut Actions<Timer>) {
        match self.state {
            State::Calling => {
                out.push(Action::Stop(Timer::A));
                out.push(Action::Stop(Timer::B));
            }
            State::Proceeding => out.push(Action::Stop(Timer::Cancelled)),
            State::Completed | State::Accepted | State::Terminated => {}
        }
    }

    /// RFC 3261 §17.1.1.2: "The client transaction MUST be destroyed the instant it enters the
    /// "Terminated" state."
    /// RFC 6026 §8.4: "The client transaction MUST be destroyed the instant it enters the "Terminated"
    /// state."
    /// RFC 6026 §7.2: "Once the transaction is in the "Terminated" state, it MUST be destroyed
    /// immediately."
    fn terminate(&mut self, out: &mut Actions<Timer>) {
        self.state = State::Terminated;
        out.push(Action::Terminate);
    }
}
