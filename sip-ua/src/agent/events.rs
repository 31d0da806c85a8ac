//! What the agent tells the application.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sip_auth::PendingLookup;
use sip_message::{NameAddr, Reason, Request, Response, RetryAfter, StatusCode, Uri};
use sip_transaction::ServerKey;
use sip_transport::{ListenerId, TransportError};

use super::reason::reasons;
use crate::registration::RegistrationEvent;
use crate::{
    CallKey, NotifierKey, NotifierUpdate, PublicationEvent, PublicationKey, ReferKey, ReferOutcome,
    RegistrationKey, RequestKey, Sender, SubscriptionKey, SubscriptionUpdate,
};

/// Something happened that the application wants to know.
#[derive(Debug)]
#[non_exhaustive]
pub enum AgentEvent {
    /// Someone calls. Answer with [`Agent::ring`](crate::Agent::ring), [`accept`](crate::Agent::accept) or
    /// [`reject`](crate::Agent::reject); with neither it ends by itself after the ringing limit.
    Invitation {
        /// The new call.
        call: CallKey,
        /// The INVITE.
        request: Arc<Request>,
        /// Who sent it.
        sender: Sender,
    },
    /// A call moved on.
    Call {
        /// Which.
        call: CallKey,
        /// How.
        update: CallUpdate,
    },
    /// A request that the application must answer by [`Agent::reply`](crate::Agent::reply): MESSAGE, INFO,
    /// and OPTIONS if the agent was told not to answer that itself. Without a reply it is answered 500
    /// after a while.
    Request {
        /// What to reply to.
        key: ServerKey,
        /// The call in whose dialog it came, if it came in one.
        call: Option<CallKey>,
        /// The request.
        request: Arc<Request>,
        /// Who sent it.
        sender: Sender,
    },
    /// Someone asks us to call someone else (REFER). Answer with [`Agent::follow`](crate::Agent::follow),
    /// [`report`](crate::Agent::report) or [`decline`](crate::Agent::decline). With none of them it is accepted
    /// after [`AgentConfig::reply_guard`](crate::AgentConfig::reply_guard), as RFC 3515 §2.4.2 wants it, and
    /// can still be followed or declined until the subscription runs out.
    Referred {
        /// What to answer.
        refer: ReferKey,
        /// The call with the one who asks, if it came in the dialog of one or knows it by Target-Dialog.
        call: Option<CallKey>,
        /// The REFER.
        request: Arc<Request>,
        /// Who sent it.
        sender: Sender,
    },
    /// A REFER of ours ([`Agent::refer`](crate::Agent::refer)) moved on.
    Refer {
        /// Which.
        refer: ReferKey,
        /// How.
        update: ReferUpdate,
    },
    /// The outcome of [`Agent::send`](crate::Agent::send) or [`Agent::request`](crate::Agent::request).
    Response {
        /// Which of them.
        key: RequestKey,
        /// The final response, whatever its status.
        result: Result<Response, RequestFailure>,
    },
    /// Whose request this is must be looked up: await `pending`, and give what comes of it to
    /// [`Agent::looked_up`](crate::Agent::looked_up). If that never happens, the request is answered 503
    /// after a while ([`ServerAuthentication::lookup_limit`](crate::ServerAuthentication::lookup_limit)).
    Lookup {
        /// The request that waits.
        key: ServerKey,
        /// What it waits for.
        pending: PendingLookup,
    },
    /// The networks of this machine have changed, as [`Agent::network_changed`](crate::Agent::network_changed)
    /// has said. Registrations are being made anew; each call gets [`CallUpdate::NetworkChanged`].
    NetworkChanged {
        /// The listeners whose addresses this machine does not have any more: nothing comes there, and what
        /// is sent from there fails, until they are back.
        lost: Vec<ListenerId>,
    },
    /// A peer subscribes to a state of ours. Answer at once with
    /// [`Agent::accept_subscription`](crate::Agent::accept_subscription), or refuse with
    /// [`Agent::reply`](crate::Agent::reply); with neither it is answered 500 after a while.
    Subscribe {
        /// What to answer.
        key: ServerKey,
        /// The SUBSCRIBE.
        request: Arc<Request>,
        /// Who sent it.
        sender: Sender,
    },
    /// A subscription of ours moved on.
    Subscription {
        /// Which.
        subscription: SubscriptionKey,
        /// Which of its notifiers, where a proxy forked it: 0 is the first.
        notifier: u16,
        /// How.
        update: SubscriptionUpdate,
    },
    /// A subscription of a peer moved on.
    Notifier {
        /// Which.
        notifier: NotifierKey,
        /// How.
        update: NotifierUpdate,
    },
    /// A publication moved on.
    Publication {
        /// Which.
        publication: PublicationKey,
        /// How. Nothing follows `Removed`, and a `Failed` that is not tried again.
        event: PublicationEvent,
    },
    /// A registration moved on.
    Registration {
        /// Which.
        registration: RegistrationKey,
        /// How.
        event: RegistrationEvent,
    },
}

/// A REFER of ours moved on. Each has exactly one [`ReferUpdate::Ended`], and it is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReferUpdate {
    /// The referee has called, and this provisional status came of it so far.
    Progress(StatusCode),
    /// This is what came of it.
    Ended(ReferOutcome),
}

/// A call moved on. Each call has exactly one [`CallUpdate::Ended`], and it is the last.
#[derive(Debug)]
#[non_exhaustive]
pub enum CallUpdate {
    /// 180: the callee is being alerted.
    Ringing {
        /// Which of the callees, if the call was forked.
        early: EarlyId,
        /// The response; it may hold a session description (early media).
        response: Response,
        /// As in [`CallUpdate::Progress`].
        answer_owed: bool,
    },
    /// Another provisional response from 101 to 199.
    Progress {
        /// Which of the callees, if the call was forked.
        early: EarlyId,
        /// The response; it may hold a session description (early media).
        response: Response,
        /// It was sent reliably and its body is an offer, for our INVITE had none: the PRACK waits for the application's
        /// answer by [`Agent::answer_early`](crate::Agent::answer_early). What else is sent reliably has its PRACK.
        answer_owed: bool,
    },
    /// 199: this callee rings no more, while others may (RFC 6228). Its early media is over.
    EarlyEnded {
        /// Which of the callees.
        early: EarlyId,
        /// The response; its Reason says why.
        response: Response,
    },
    /// The caller acknowledged a provisional response of ours that was sent reliably.
    Acknowledged {
        /// The PRACK if it has a body: the answer, if the offer was in our response.
        prack: Option<Request>,
    },
    /// The call goes on to another address: it was redirected (3xx), or the one before refused, and it
    /// [follows redirections](crate::OutgoingCall::follow_redirects). What was said of the callee before no longer counts.
    Redirected {
        /// The address that is tried now; of a 305 still the same.
        to: Uri<'static>,
    },
    /// The PRACK to the provisional response that was just told waits, since the call was placed to
    /// [hold PRACKs](crate::OutgoingCall::hold_pracks) and the response holds the answer to our offer:
    /// [`Agent::offer_early`](crate::Agent::offer_early) sends it with a new offer, and
    /// [`Agent::answer_early`](crate::Agent::answer_early) without a body sends it without. After
    /// [`AgentConfig::answer_guard`](crate::AgentConfig::answer_guard) it goes without by itself.
    PrackHeld {
        /// Which of the callees.
        early: EarlyId,
    },
    /// The call was refused for now, and is placed again by itself when the refusal says
    /// ([`OutgoingCall::retry_after`](crate::OutgoingCall::retry_after)). To hang up ends it at once.
    Postponed {
        /// When: Retry-After.
        wait: Duration,
        /// The refusal.
        response: Arc<Response>,
    },
    /// The callee accepted.
    Answered {
        /// The 2xx.
        response: Response,
        /// Its body is an offer, for our INVITE had none: the ACK waits for the application's answer by
        /// [`Agent::acknowledge`](crate::Agent::acknowledge). Otherwise it is on its way.
        answer_owed: bool,
    },
    /// The caller acknowledged our 2xx.
    Confirmed {
        /// The ACK if it has a body: an answer, if the offer was in our 2xx.
        ack: Option<Request>,
    },
    /// The peer wants to modify the session, by a re-INVITE, an UPDATE or a PRACK. Answer with
    /// [`Agent::answer_modification`](crate::Agent::answer_modification), at once unless it is a re-INVITE; without it
    /// the agent refuses after
    /// [`AgentConfig::modification_guard`](crate::AgentConfig::modification_guard).
    Modification {
        /// In which early dialog, where a call of ours is not answered yet.
        early: Option<EarlyId>,
        /// The request that asks for it; it holds an offer, or is a re-INVITE that wants ours.
        request: Arc<Request>,
    },
    /// The peer acknowledged our 2xx to its re-INVITE, which had none, so that the offer was ours.
    ModificationConfirmed {
        /// The ACK if it has a session description: the answer. `None` if the peer gave none, and then the session
        /// is what it was before.
        ack: Option<Request>,
    },
    /// The peer withdrew its re-INVITE before it was answered: there is nothing to answer any more.
    ModificationWithdrawn,
    /// The peer accepted our re-INVITE or UPDATE, or answered the offer in our PRACK.
    Modified {
        /// The 2xx.
        response: Response,
        /// Its body is an offer, for our re-INVITE had none: the ACK waits for the application's answer by
        /// [`Agent::acknowledge`](crate::Agent::acknowledge). Otherwise it is on its way.
        answer_owed: bool,
    },
    /// Our re-INVITE or UPDATE failed, or the offer in our PRACK was refused. The session is as it was before.
    ModificationFailed {
        /// Why.
        failure: RequestFailure,
    },
    /// The other end of the call is somebody else now, or the one who answered says who that is (RFC 4916): From of a
    /// request in the call, which was accepted, names another than before. It is said by who sent it, as From of an
    /// INVITE is.
    Connected {
        /// In which early dialog, where a call of ours is not answered yet.
        early: Option<EarlyId>,
        /// Who it is.
        identity: NameAddr<'static>,
    },
    /// The networks of this machine have changed, and the peer knows an address of ours that may lead
    /// nowhere, for media as well: send it a session description with the new ones by
    /// [`Agent::reinvite`](crate::Agent::reinvite). Its Contact says where requests find us from then on
    /// (RFC 3261 §14). Until that is answered, what the peer sends in this call may be lost.
    NetworkChanged,
    /// The peer says why it hangs up: the Reason values of its BYE or CANCEL (RFC 3326), at least one. The end
    /// follows.
    Reason {
        /// What they say: a status of SIP, a cause of Q.850, a text for people.
        reasons: Vec<Reason<'static>>,
    },
    /// The call is over. No event of this call follows.
    Ended(EndReason),
}

/// One of the callees that a forked INVITE reached: counted from 0 in the order of their first responses.
/// Those whose provisional response had no To tag all count as the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EarlyId(pub u16);

/// Why a call is over.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EndReason {
    /// We hung up an established call, or refused one.
    Local,
    /// The peer hung up: BYE.
    Remote,
    /// We gave up before the call was answered.
    Cancelled,
    /// The caller gave up before we answered: CANCEL.
    CancelledByPeer,
    /// Another call that came in took the place of this one (RFC 3891): we sent BYE or CANCEL.
    Replaced,
    /// The callee, or someone before it, refused.
    Rejected(Arc<Response>),
    /// The callee is elsewhere: 3xx. The addresses to try, the most wanted first; it may be empty.
    Redirected(Arc<[Uri<'static>]>),
    /// Nobody answered in time: no response at all came, or no final one, or we did not answer.
    TimedOut,
    /// The caller never acknowledged our 2xx; we sent BYE.
    NoAck,
    /// The caller never acknowledged a provisional response of ours that was sent reliably; we refused by 504.
    NoPrack,
    /// The peer no longer knows the call, or answers no longer: 481, 408 or silence to a request within
    /// it; we sent BYE.
    PeerLost,
    /// The session was not refreshed in time (RFC 4028); we sent BYE.
    Expired,
    /// The message could not be sent.
    TransportError(TransportError),
    /// The endpoint has no room, or the response is one that cannot be worked with (a 2xx without
    /// Contact, say); where there was something to end, we sent BYE.
    Failed,
}

impl EndReason {
    /// A short name that stays the same through versions: what counters are labelled with.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
            Self::Cancelled => "cancelled",
            Self::CancelledByPeer => "cancelled_by_peer",
            Self::Replaced => "replaced",
            Self::Rejected(_) => "rejected",
            Self::Redirected(_) => "redirected",
            Self::TimedOut => "timed_out",
            Self::NoAck => "no_ack",
            Self::NoPrack => "no_prack",
            Self::PeerLost => "peer_lost",
            Self::TransportError(_) => "transport_error",
            Self::Expired => "expired",
            Self::Failed => "failed",
        }
    }

    /// The Reason values of the response that ended the call (RFC 3326), a cause of Q.850 for one. Those of a BYE
    /// or CANCEL come by [`CallUpdate::Reason`].
    pub fn reasons(&self) -> Vec<Reason<'static>> {
        match self {
            Self::Rejected(response) => reasons(response.headers()),
            _ => Vec::new(),
        }
    }

    /// After how many seconds the response that ended the call suggests to try again: Retry-After of a 413,
    /// 480, 486, 500, 503, 600 or 603 (RFC 3261 §20.33).
    pub fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Rejected(response) => {
                let after = response.headers().get::<RetryAfter<'_>>().ok().flatten();
                after.map(|after| after.seconds())
            }
            _ => None,
        }
    }

    /// The status of the response that ended the call, if one did.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Rejected(response) => Some(response.status()),
            _ => None,
        }
    }
}

impl EndReason {
    /// What a call that did not come about came to, as a status.
    pub(crate) fn as_status(&self) -> StatusCode {
        match self {
            Self::Rejected(response) => response.status(),
            Self::Redirected(_) => StatusCode::MOVED_TEMPORARILY,
            Self::TimedOut | Self::NoAck | Self::NoPrack | Self::PeerLost | Self::Expired => {
                StatusCode::REQUEST_TIMEOUT
            }
            Self::Cancelled
            | Self::CancelledByPeer
            | Self::Local
            | Self::Remote
            | Self::Replaced => StatusCode::REQUEST_TERMINATED,
            Self::TransportError(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Failed => StatusCode::SERVER_INTERNAL_ERROR,
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "we hung up",
            Self::Remote => "the peer hung up",
            Self::Cancelled => "cancelled",
            Self::CancelledByPeer => "cancelled by the caller",
            Self::Replaced => "replaced by another call",
            Self::Rejected(response) => {
                let status = response.status();
                return write!(f, "rejected with {} {}", status.as_u16(), status.reason());
            }
            Self::Redirected(_) => "redirected",
            Self::TimedOut => "nobody answered in time",
            Self::NoAck => "the caller did not acknowledge",
            Self::NoPrack => "the caller did not acknowledge that it rings",
            Self::PeerLost => "the peer no longer answers",
            Self::Expired => "the session was not refreshed in time",
            Self::TransportError(error) => {
                return write!(f, "a message could not be sent: {error}");
            }
            Self::Failed => "the peer's answer cannot be worked with",
        })
    }
}

/// Why a request has no answer to give, or a re-INVITE no success.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestFailure {
    /// A final response that is not a 2xx.
    #[error("refused with {}", .0.status().as_u16())]
    Refused(Arc<Response>),
    /// No final response came in 64*T1.
    #[error("no answer in time")]
    TimedOut,
    /// It could not be sent.
    #[error("it could not be sent: {0}")]
    TransportError(TransportError),
    /// It collided with the peer's own again and again (491).
    #[error("it collided with the peer's re-INVITE too often")]
    Glare,
    /// The call ended first.
    #[error("the call ended")]
    CallEnded,
    /// The endpoint had no room to send it again with credentials.
    #[error("no room to send it again")]
    Full,
}

impl RequestFailure {
    /// The status that stands for it.
    pub(crate) fn as_status(&self) -> StatusCode {
        match self {
            Self::Refused(response) => response.status(),
            // RFC 3261 §8.1.3.1: "When a timeout error is
            // received from the transaction layer, it MUST be treated as if a 408
            // (Request Timeout) status code has been received."
            Self::TimedOut => StatusCode::REQUEST_TIMEOUT,
            // RFC 3261 §8.1.3.1: "If a fatal
            // transport error is reported by the transport layer (generally, due to
            // fatal ICMP errors in UDP or connection failures in TCP), the
            // condition MUST be treated as a 503 (Service Unavailable) status code."
            Self::TransportError(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Glare => StatusCode::REQUEST_PENDING,
            Self::CallEnded => StatusCode::REQUEST_TERMINATED,
            Self::Full => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}
