//! What passes between the transactions and their user, and out of the machine.

use sip_message::{Request, Response, Uri};
use sip_transport::locate::{Question, QuestionNumber};
use sip_transport::{ConnectionId, Flow, ListenerId, StunId, Target, Transmit, TransportError};
use std::net::SocketAddr;
use std::time::Instant;

use crate::{ClientKey, Key, ServerKey, Transactions};

/// What the transactions tell their user.
///
/// Each key that the user was given or was returned ends with one [`Terminated`](Self::Terminated);
/// nothing about it comes after that.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A new request, neither an ACK nor a CANCEL. The user owes a response.
    Request {
        /// The server transaction that was made for it.
        key: ServerKey,
        /// The request, with `received` and `rport` filled in.
        request: Request,
        /// Where it came from.
        flow: Flow,
    },
    /// An ACK to a 2xx, or one that matches nothing (the ACKs to other responses are absorbed).
    Ack {
        /// The INVITE transaction in its Accepted state, if the ACK matches one. It does so only if
        /// the peer used the branch of the INVITE for it, as RFC 2543 clients do.
        key: Option<ServerKey>,
        /// The ACK.
        request: Request,
        /// Where it came from.
        flow: Flow,
    },
    /// The INVITE of this transaction was cancelled before its final response. The CANCEL has been
    /// answered with 200; the user owes the INVITE a 487 (RFC 3261 §9.2). At most one for a
    /// transaction.
    Cancelled {
        /// The INVITE's transaction.
        key: ServerKey,
        /// The CANCEL.
        request: Request,
    },
    /// A CANCEL that matches nothing, for who asked for those ([`Transactions::take_stray_cancels`]): to be forwarded
    /// without a transaction, or refused ([`Transactions::refuse_cancel`]).
    Cancel {
        /// The CANCEL.
        request: Request,
        /// Where it came from.
        flow: Flow,
    },
    /// A response: provisional ones, one final one, and to an INVITE every 2xx, also repeated ones
    /// (each needs its ACK from the user).
    Response {
        /// The request's transaction.
        key: ClientKey,
        /// The response.
        response: Response,
        /// Where it came from.
        flow: Flow,
    },
    /// No final response came: Timer B or F, or 64·T1 after a CANCEL; also when an INVITE was cancelled
    /// before its next hop was found.
    Timeout {
        /// The request's transaction.
        key: ClientKey,
    },
    /// The ACK to a final response other than a 2xx came. From here on the dialog is free for an INVITE
    /// of the user's own (RFC 3261 §14.1); the transaction only absorbs repeats.
    Confirmed {
        /// The INVITE's transaction.
        key: ServerKey,
    },
    /// No ACK came for a final response other than a 2xx (Timer H).
    NoAck {
        /// The INVITE's transaction.
        key: ServerKey,
    },
    /// A message could not be sent. It ends a client transaction, but not a server transaction.
    TransportError {
        /// Whose message it was.
        key: Key,
        /// Why it could not be sent.
        error: TransportError,
    },
    /// The transaction is over; its key finds nothing any more.
    Terminated {
        /// The transaction.
        key: Key,
    },
    /// A timer that the user armed with [`Transactions::arm`] has fired.
    Timer {
        /// What it was armed with.
        token: u64,
    },
    /// The far end of a stream answered a keep-alive (RFC 5626 §3.5.1).
    Pong {
        /// Over which connection.
        flow: Flow,
    },
    /// The answer to a STUN Binding request ([`Transactions::ask_binding`]), or what claims to be one.
    Binding {
        /// Where it came from.
        flow: Flow,
        /// What the request had.
        id: StunId,
        /// Where the request came from, as the far end saw it; none in an error response.
        mapped: Option<SocketAddr>,
    },
    /// The addresses of this machine were looked at anew ([`Transactions::rebind`]): those of
    /// [`Transactions::locals`] have the names that they have now, and no connection that was open is.
    Rebound {
        /// The listeners whose addresses this machine does not have any more.
        lost: Vec<ListenerId>,
    },
    /// A connection is gone.
    Closed {
        /// The flow that ended.
        flow: Flow,
        /// Why, unless it ended in order.
        error: Option<TransportError>,
    },
}

/// Whoever stands above the transactions: a user agent core, a proxy core.
///
/// The endpoint hands it every event, in order; it answers by calling the methods of
/// [`Transactions`]. It never blocks, and reads no clock: `now` is the time of all it does.
pub trait TransactionUser {
    /// What the user itself tells those who stand above it.
    type Event;

    /// Takes an event in.
    fn handle(&mut self, now: Instant, event: Event, transactions: &mut Transactions);

    /// The next thing it has to say to those above.
    fn poll_event(&mut self) -> Option<Self::Event>;
}

/// Where a request goes next.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum NextHop {
    /// To this address.
    Target(Target),
    /// Where this SIP or SIPS URI leads by RFC 3263. What is to be asked for that comes out as
    /// [`Output::Resolve`]. If a domain has several targets, the request goes to the next when one
    /// answers 503, cannot be reached or stays silent (RFC 3263 §4.3); only what the last one says is told.
    Uri(Uri<'static>),
    /// Back over a flow: its connection while it is open, else a new one to the same far end. Over TLS
    /// nobody knows then whom that is to be: see [`FlowFor`](Self::FlowFor).
    Flow(Flow),
    /// The same for what this URI asks for: over TLS the far end of a new connection has to prove the
    /// URI's domain.
    FlowFor {
        /// The flow.
        flow: Flow,
        /// What led there at first.
        uri: Uri<'static>,
    },
    /// Over this flow and no other, however long the request is (RFC 5626 §5.3.1): it fails when the connection
    /// is gone. For who is reached over what they opened.
    Over(Flow),
}

/// What the machine wants done outside.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Send a message.
    Transmit(Transmit),
    /// Ask the DNS, or whatever stands in for it; the answer is
    /// [`Input::Resolved`](sip_transport::Input::Resolved) with this id and number.
    Resolve {
        /// Names the lookup.
        id: u64,
        /// Which of its questions this is; several may be open.
        number: QuestionNumber,
        /// What to ask.
        question: Question,
    },
    /// Close a connection after what is queued on it was written.
    Close(ConnectionId),
    /// Look at the addresses of this machine anew; the answer is
    /// [`Input::Rebound`](sip_transport::Input::Rebound).
    Rebind,
    /// What came by this flow was no SIP, or had to be refused as malformed. Whoever rations sources
    /// charges this one for it
    /// ([`Sockets::blame`](https://docs.rs/sip-transport/latest/sip_transport/struct.Sockets.html#method.blame)).
    Blame(Flow),
}

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// As many transactions live as the configuration allows.
    #[error("as many transactions live as are allowed")]
    Full,
    /// An ACK has no client transaction: send it with [`Transactions::send_request`]. A CANCEL is made
    /// by [`Transactions::cancel`].
    #[error("this method has no client transaction of its own")]
    Method,
    /// The URI of the next hop is neither SIP nor SIPS, or names a transport that is not known.
    #[error("the next hop cannot be reached by SIP")]
    NextHop,
    /// The request lacks what the layer needs of it: a CSeq with the method of the request.
    #[error("the request has no CSeq with its method")]
    CSeq,
    /// No address of ours has the transport and the address family of the next hop.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// The transaction is over, or never was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the transaction is over")]
pub struct Gone;
