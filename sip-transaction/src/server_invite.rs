//! The INVITE server transaction: RFC 3261 §17.2.1 (figure 7) as corrected by RFC 6026 §8.5-8.8.
//!
//! ```text
//!                               | INVITE
//!                               | to TU
//!                               V
//!                INVITE   +------------+ 101-199 from TU: send
//!    send response +------|            |-------+
//!                  +----->| Proceeding |<------+
//!          200 ms: +------|            |-------+ transport error
//!         send 100 +----->|            |<------+ tell TU
//!                         +------------+
//!            300-699 from TU |      | 2xx from TU
//!              send response |      | send response
//!                            V      +---------------+
//!        INVITE, Timer G  +-----------+             V
//!    send response +------|           |         +----------+ INVITE
//!                  +----->| Completed |         |          |-------+ -
//!       transport  +------|           |     ACK |          |<------+
//!   error: tell TU +----->|           |   to TU | Accepted |
//!                         +-----------+ +-------|          |-------+ 2xx from TU: send
//!                           |       |   +------>|          |<------+ transport error: tell TU
//!                  Timer H  |       | ACK       +----------+
//!                  tell TU  |       | tell TU     |
//!                           |       V             |
//!                           |   +-----------+     | Timer L
//!                           |   | Confirmed |     |
//!                           |   +-----------+     |
//!                           |       | Timer I     |
//!                           V       V             V
//!                         +-------------------------+
//!                         |       Terminated        |
//!                         +-------------------------+
//! ```

use crate::machine::{Action, Actions, Interval};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Proceeding,
    Completed,
    Confirmed,
    Accepted,
    Terminated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The transaction user is silent: send 100.
    Trying,
    /// Send the response again.
    G,
    /// No ACK came.
    H,
    /// Wait for repeats of the ACK.
    I,
    /// Wait for repeats of an accepted INVITE.
    L,
}

impl Timer {
    pub(crate) fn is_retransmission(self) -> bool {
        matches!(self, Self::Trying | Self::G)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// The INVITE came again.
    Invite,
    Ack,
    /// The transaction user answers 100 to 199.
    Provisional,
    /// The transaction user answers 200 to 299.
    Success,
    /// The transaction user answers 300 to 699.
    Failure,
    Timer(Timer),
    TransportError,
}

#[derive(Debug)]
pub(crate) struct ServerInvite {
    state: State,
    is_reliable: bool,
    /// How often Timer G was doubled.
    doublings: u8,
}

impl ServerInvite {
    /// RFC 3261 §17.2.1: "When a server transaction is constructed for a request, it enters the
    /// "Proceeding" state. The server transaction MUST generate a 100 (Trying) response unless it
    /// knows that the TU will generate a provisional or final response within 200 ms"
    ///
    /// Which is known when the 200 ms are over.
    pub(crate) fn start(is_reliable: bool, out: &mut Actions<Timer>) -> Self {
        // RFC 3261 §17.2.1: "The request MUST be passed to the TU."
        out.push(Action::Deliver);
        out.push(Action::Start(Timer::Trying, Interval::Trying));
        Self { state: State::Proceeding, is_reliable, doublings: 0 }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    pub(crate) fn handle(&mut self, input: Input, out: &mut Actions<Timer>) {
        use self::Timer::{G, H, I, L, Trying};
        use Input::{Ack, Failure, Invite, Provisional, Success, Timer, TransportError};
        use State::{Accepted, Completed, Confirmed, Proceeding, Terminated};
        match (self.state, input) {
            // RFC 3261 §17.2.1: "If a request retransmission is received while in the "Proceeding" state,
            // the most recent provisional response that was received from the TU MUST be passed to the
            // transport layer for retransmission."
            (Proceeding, Invite) => out.push(Action::Resend),
            // RFC 3261 §17.2.1: "Furthermore, while in the "Completed" state, if a request retransmission
            // is received, the server SHOULD pass the response to the transport for retransmission."
            (Completed, Invite) => out.push(Action::Resend),
            // RFC 6026 §8.7: "The purpose of the "Accepted" state is to absorb retransmissions of an
            // accepted INVITE request."
            // RFC 6026 §7.1: "The server transaction MUST NOT generate 2xx retransmissions on its own."
            (Accepted, Invite) => {}
            // The ACK came: the peer has the response.
            (Confirmed, Invite) => {}

            // RFC 3261 §17.2.1: "So long as the server transaction is in the "Proceeding" state, each of
            // these MUST be passed to the transport layer for transmission."
            (Proceeding, Provisional) => {
                out.push(Action::Stop(Trying));
                out.push(Action::Send);
            }
            // RFC 6026 §8.5: "If, while in the "Proceeding" state, the TU passes a 2xx response to the
            // server transaction, the server transaction MUST pass this response to the transport layer
            // for transmission. It is not retransmitted by the server transaction; retransmissions of 2xx
            // responses are handled by the TU. The server transaction MUST then transition to the
            // "Accepted" state."
            // RFC 6026 §6: "An element sending or receiving a 2xx to an INVITE transaction MUST NOT destroy
            // any matching INVITE transaction state."
            // RFC 3261 §17.2.1: "If, while in the "Proceeding" state, the TU passes a 2xx response to the
            // server transaction, the server transaction MUST pass this response to the transport layer
            // for transmission."
            (Proceeding, Success) => {
                out.push(Action::Stop(Trying));
                out.push(Action::Send);
                self.state = Accepted;
                // RFC 6026 §8.7: "When the INVITE server transaction enters the "Accepted" state, Timer L
                // MUST be set to fire in 64*T1 for all transports."
                // RFC 6026 §7.1: "the state machine MUST transition to the "Accepted" state and set Timer
                // L to 64*T1"
                out.push(Action::Start(L, Interval::Lifetime));
            }
            // RFC 6026 §8.7: "While in the "Accepted" state, if the TU passes a 2xx response, the server
            // transaction MUST pass the response to the transport layer for transmission."
            // RFC 6026 §7.1: "Any retransmission of the 2xx response passed from the TU to the transaction
            // while in the "Accepted" state MUST be passed to the transport layer for transmission."
            (Accepted, Success) => out.push(Action::Send),
            // RFC 3261 §17.2.1: "While in the "Proceeding" state, if the TU passes a response with status
            // code from 300 to 699 to the server transaction, the response MUST be passed to the transport
            // layer for transmission, and the state machine MUST enter the "Completed" state. For
            // unreliable transports, timer G is set to fire in T1 seconds, and is not set to fire for
            // reliable transports."
            (Proceeding, Failure) => {
                out.push(Action::Stop(Trying));
                out.push(Action::Send);
                self.state = Completed;
                if !self.is_reliable {
                    out.push(Action::Start(G, Interval::Backoff(0)));
                }
                // RFC 3261 §17.2.1: "When the "Completed" state is entered, timer H MUST be set to fire in
                // 64*T1 seconds for all transports."
                out.push(Action::Start(H, Interval::Lifetime));
            }
            // A final response is final; figure 7 has no arrow for what comes after it.
            (Completed | Confirmed, Provisional | Success | Failure)
            | (Accepted, Provisional | Failure) => {}

            // RFC 3261 §17.2.1: "If an ACK is received while the server transaction is in the "Completed"
            // state, the server transaction MUST transition to the "Confirmed" state. As Timer G is
            // ignored in this state, any retransmissions of the response will cease."
            (Completed, Ack) => {
                out.push(Action::Stop(G));
                out.push(Action::Stop(H));
                // The user waits for this state before an INVITE of its own in the same dialog (§14.1).
                out.push(Action::Confirm);
                // RFC 3261 §17.2.1: "When this state is entered, timer I is set to fire in T4 seconds for
                // unreliable transports, and zero seconds for reliable transports."
                if self.is_reliable {
                    self.terminate(out);
                } else {
                    self.state = Confirmed;
                    out.push(Action::Start(I, Interval::T4));
                }
            }
            // RFC 3261 §17.2.1: "The purpose of the "Confirmed" state is to absorb any additional ACK
            // messages that arrive"
            (Confirmed, Ack) => {}
            // RFC 6026 §7.1: "Any ACKs received from the network while in the "Accepted" state MUST be
            // passed directly to the TU and not absorbed."
            // RFC 6026 §6: "the matching transaction MUST be checked to see if it is in the "Accepted"
            // state. If it is, then the ACK must be passed directly to the transaction user instead of
            // being absorbed by the transaction state machine."
            (Accepted, Ack) => out.push(Action::Deliver),
            // An ACK of nothing.
            (Proceeding, Ack) => {}

            (Proceeding, Timer(Trying)) => out.push(Action::SendTrying),
            // RFC 3261 §17.2.1: "If timer G fires, the response is passed to the transport layer once more
            // for retransmission, and timer G is set to fire in MIN(2*T1, T2) seconds. From then on, when
            // timer G fires, the response is passed to the transport again for transmission, and timer G
            // is reset with a value that doubles, unless that value exceeds T2, in which case it is reset
            // with the value of T2."
            (Completed, Timer(G)) => {
                self.doublings = self.doublings.saturating_add(1);
                out.push(Action::Resend);
                out.push(Action::Start(G, Interval::CappedBackoff(self.doublings)));
            }
            // RFC 3261 §17.2.1: "If timer H fires while in the "Completed" state, it implies that the ACK
            // was never received."
            // RFC 3261 §17.2.1: "In this case, the server transaction MUST transition to the "Terminated"
            // state, and MUST indicate to the TU that a transaction failure has occurred."
            (Completed, Timer(H)) => {
                out.push(Action::Timeout);
                self.terminate(out);
            }
            // RFC 3261 §17.2.1: "Once timer I fires, the server MUST transition to the "Terminated" state."
            (Confirmed, Timer(I)) => self.terminate(out),
            // RFC 6026 §8.7: "If Timer L fires while the INVITE server transaction is in the "Accepted"
            // state, the transaction MUST transition to the "Terminated" state."
            // RFC 6026 §7.1: "When Timer L fires and the state machine is in the "Accepted" state, the
            // machine MUST transition to the "Terminated" state."
            (Accepted, Timer(L)) => self.terminate(out),
            // Stopped when these states were entered; named so that nothing is forgotten.
            (Proceeding, Timer(G | H | I | L))
            | (Completed, Timer(Trying | I | L))
            | (Confirmed, Timer(Trying | G | H | L))
            | (Accepted, Timer(Trying | G | H | I)) => {}

            // RFC 6026 §8.8: "If those should all fail, based on the definition of failure in [4], the
            // server transaction SHOULD inform the TU that a failure has occurred, and MUST remain in the
            // current state."
            // RFC 6026 §7.1: "A server transaction MUST NOT discard transaction state based only on
            // encountering a non-recoverable transport error when sending a response. Instead, the
            // associated INVITE server transaction state machine MUST remain in its current state."
            // RFC 6026 §6: "An element encountering an unrecoverable transport error when trying to send a
            // response to an INVITE request MUST NOT immediately destroy the associated INVITE server
            // transaction state."
            (Proceeding | Completed | Accepted, TransportError) => {
                out.push(Action::TransportError);
            }
            // The ACK proves that one copy of the response arrived.
            (Confirmed, TransportError) => {}

            (
                Terminated,
                Invite | Ack | Provisional | Success | Failure | Timer(_) | TransportError,
            ) => {}
        }
    }

    /// RFC 3261 §17.2.1: "Once the transaction is in the "Terminated" state, it MUST be destroyed
    /// immediately."
    /// RFC 6026 §8.7: "Once the transaction is in the "Terminated" state, it MUST be destroyed
    /// immediately."
    fn terminate(&mut self, out: &mut Actions<Timer>) {
        self.state = State::Terminated;
        out.push(Action::Terminate);
    }
}
