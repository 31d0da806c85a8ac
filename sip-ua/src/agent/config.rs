//! What an agent can be told: what it says it can do, and its limits.

use std::time::Duration;

use sip_dialog::SessionTimerPolicy;
use sip_message::Method;

use crate::{Sender, SessionIds};

/// Whether provisional responses to INVITE are sent reliably (RFC 3262).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reliability {
    /// Not at all: an INVITE that requires it is refused by 420.
    Never,
    /// As the other side wants: our INVITEs say that we can, and responses of ours are sent reliably if the caller
    /// requires it, or supports it and the response holds a session description.
    #[default]
    Supported,
    /// Always: our INVITEs require it, until one is refused by 420 (RFC 3261 §8.1.3.5); and one that does not support it
    /// is refused by 421.
    Required,
}

/// The settings of an [`Agent`](crate::Agent): plain values with setters.
///
/// ```
/// use sip_ua::AgentConfig;
///
/// let config = AgentConfig::default().user_agent("desk-phone/1.0").max_calls(100);
/// assert_eq!(config.max_calls, 100);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AgentConfig {
    /// What User-Agent and Server say; `None` leaves them out. Default `sip-ua/` and the version.
    pub user_agent: Option<String>,
    /// The methods besides INVITE, ACK, CANCEL, BYE and OPTIONS that the application answers, listed in
    /// Allow. A method that is known to SIP but not here is answered 405, an unknown one 501. NOTIFYs about a
    /// REFER are the agent's own. Default MESSAGE, INFO, REFER and NOTIFY.
    pub methods: Vec<Method>,
    /// The option tags that are listed in Supported beside those of what is set here otherwise; a request that requires another is answered 420. The
    /// agent itself knows `replaces`, which it handles, and `join`, which it does the checks for; without
    /// the tag the header field is ignored. `norefersub`
    /// and `nosub` say that a REFER is also taken without reports, `tdialog` that one outside of the dialog of
    /// its call is. All others are the application's. Default `replaces`, `norefersub`, `nosub` and `tdialog`.
    pub supported: Vec<String>,
    /// The types of body that the application reads, listed in Accept: `type/subtype`, `type/*` or
    /// `*/*`. A body of another type is answered 415. Default `application/sdp`, `text/plain`,
    /// `message/cpim`,
    /// `application/dtmf-relay` and `application/dtmf`.
    pub accept: Vec<String>,
    /// Whether provisional responses to INVITE are sent reliably. Default [`Reliability::Supported`]. An account or a
    /// call may have it otherwise: [`Account::reliable`](crate::Account::reliable),
    /// [`OutgoingCall::reliable`](crate::OutgoingCall::reliable).
    pub reliable: Reliability,
    /// The INFO packages (RFC 6086) that the application takes, said in Recv-Info; an INFO of another is answered
    /// 469. `None`, the default, leaves the header field out, and all INFOs are the application's; an empty
    /// list says that packages are known and none is wanted.
    pub info_packages: Option<Vec<String>>,
    /// The largest MESSAGE outside of a call, in bytes with its Via. Default 1,300 (RFC 3428 §8); more is for
    /// who knows that every link on the way avoids congestion, or its MTU.
    pub max_message: usize,
    /// How many calls may live at a time, those that are being wound up included; an INVITE on top of them
    /// is answered 503. Default 100,000.
    pub max_calls: usize,
    /// How many requests of the application may wait for their answers at a time. Default 10,000.
    pub max_requests: usize,
    /// How many requests may wait for the application's reply at a time, not counting INVITEs; what comes
    /// on top is answered 503. Default 10,000.
    pub max_owed_replies: usize,
    /// How many of them may belong to one call. Default 16.
    pub max_owed_replies_per_call: u8,
    /// How many REFERs, sent and received, may be under way at a time, until their outcome is known and told;
    /// one that comes on top is answered 503. Default 1,000.
    pub max_refers: usize,
    /// How many registrations may be kept at a time. Default 1,000.
    pub max_registrations: usize,
    /// The event types for which the application is a notifier, listed in Allow-Events; a SUBSCRIBE for another
    /// is answered 489. Default none, and SUBSCRIBE is answered 405.
    pub event_packages: Vec<String>,
    /// How many subscriptions the application may have at a time, those that forks make included. Default
    /// 10,000.
    pub max_subscriptions: usize,
    /// How many states the application may publish at a time. Default 1,000.
    pub max_publications: usize,
    /// How many subscriptions peers may have at a time; a SUBSCRIBE on top of them is answered 503. Default
    /// 100,000.
    pub max_notifiers: usize,
    /// How many of them one peer may have, by the URI of its From. Default 256.
    pub max_notifiers_per_peer: u32,
    /// How many early dialogs one INVITE may make at its caller by forking; further branches are reported
    /// without a dialog. Default 16.
    pub max_forks: u16,
    /// Retry-After of a 503, in seconds. Default 5.
    pub retry_after: u32,
    /// Whether the agent answers OPTIONS itself. Default yes.
    pub answer_options: bool,
    /// How long a call may ring: at the callee, when no `Expires` of the INVITE is shorter, until it is
    /// refused by 480; at the caller, after the first provisional response, until it is cancelled. Default
    /// three minutes.
    pub ringing_limit: Duration,
    /// How long the application may take to answer a re-INVITE before it is refused by 500 (an UPDATE by 504, an offer
    /// in a PRACK by 488), and how long a re-INVITE of ours may hang in provisional responses before it is cancelled. Default 20 s.
    pub modification_guard: Duration,
    /// How long the application may take to answer the offer in the 2xx, or in a reliable provisional response, to an
    /// INVITE or re-INVITE of ours that had none ([`Agent::acknowledge`](crate::Agent::acknowledge)), before the call is ended by an ACK
    /// that refuses every stream and a BYE; at most 60*T1, before the callee gives up. Default 20 s.
    pub answer_guard: Duration,
    /// How long the application may take to reply to another request before it is answered 500; at most
    /// the 32 s that its sender waits. Default 20 s.
    pub reply_guard: Duration,
    /// How often a re-INVITE or UPDATE of ours is tried again after 491. Default 4.
    pub glare_retries: u8,
    /// How often we want the keep-alives that peers offer us by `keep` in the Via of a REGISTER or an INVITE
    /// (RFC 6223): at least as often as this, in whole seconds; with zero as they like. They are answered
    /// in any case, by line ends on streams and by STUN on UDP. Default `None`: we do not ask for them.
    pub keep: Option<Duration>,
    /// Whether sessions have timers (RFC 4028), and which: a call whose peer is gone is then noticed within the
    /// interval, and ended by [`EndReason::Expired`](crate::EndReason::Expired). Refreshing is the agent's own
    /// business, and a re-INVITE of the peer with the session description that it sent last is answered by our own
    /// last one. `None` is not to know of them. Default 30 minutes, refreshed by the caller.
    pub session_timer: Option<SessionTimerPolicy>,
    /// Whether messages say to which session they belong (Session-ID, RFC 7989), so that logs of all elements that a
    /// call passed can be put together. Default [`SessionIds::Follow`]: where the peer does.
    pub session_ids: SessionIds,
    /// Whether From of our requests in a call may name another than before, and the peer's likewise (RFC 4916):
    /// `from-change` is listed in Supported, and a caller that lists it is told by an UPDATE who has answered, once it has
    /// acknowledged. Default no. What a peer says of itself is told in any case
    /// ([`CallUpdate::Connected`](crate::CallUpdate::Connected)).
    pub connected_identity: bool,
    /// Whether accounts that have an [instance](crate::Account::instance) ask their registrars for globally routable
    /// URIs (RFC 5627), and name them by Contact: the public one, or in what is
    /// [private](crate::Account::private) the temporary one; `gruu` is listed in Supported. Default no.
    pub gruu: bool,
    /// Which senders belong to our trust domain: only what they assert of a caller is used
    /// ([`Caller::asserted`](crate::Caller::asserted), RFC 3325 §8). Default `None`: nobody.
    pub trust: Option<fn(&Sender) -> bool>,
    /// Max-Forwards of requests. Default 70 (RFC 3261 §8.1.1.6).
    pub max_forwards: u8,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            user_agent: Some(concat!("sip-ua/", env!("CARGO_PKG_VERSION")).to_owned()),
            methods: vec![Method::Message, Method::Info, Method::Refer, Method::Notify],
            supported: ["replaces", "norefersub", "nosub", "tdialog"].map(str::to_owned).to_vec(),
            accept: [
                "application/sdp",
                "text/plain",
                "message/cpim",
                "application/dtmf-relay",
                "application/dtmf",
            ]
            .map(str::to_owned)
            .to_vec(),
            info_packages: None,
            max_message: 1_300,
            reliable: Reliability::default(),
            max_calls: 100_000,
            max_requests: 10_000,
            max_owed_replies: 10_000,
            max_owed_replies_per_call: 16,
            max_refers: 1_000,
            max_registrations: 1_000,
            event_packages: Vec::new(),
            max_subscriptions: 10_000,
            max_publications: 1_000,
            max_notifiers: 100_000,
            max_notifiers_per_peer: 256,
            max_forks: 16,
            retry_after: 5,
            answer_options: true,
            ringing_limit: Duration::from_secs(180),
            modification_guard: Duration::from_secs(20),
            answer_guard: Duration::from_secs(20),
            reply_guard: Duration::from_secs(20),
            glare_retries: 4,
            keep: None,
            session_timer: Some(SessionTimerPolicy::default()),
            session_ids: SessionIds::default(),
            connected_identity: false,
            gruu: false,
            trust: None,
            max_forwards: 70,
        }
    }
}

impl AgentConfig {
    /// The option tags of all extensions that we handle: what Supported lists and Require may ask for.
    pub(crate) fn option_tags(&self) -> impl Iterator<Item = &str> {
        let own = [
            self.session_timer.map(|_| "timer"),
            // RFC 4916 §4.1: "a UA compliant with this
            // specification MUST include the "from-change" option tag in the
            // Supported header field."
            self.connected_identity.then_some("from-change"),
            // RFC 5627 §4.1: "When a UA compliant to this specification generates a REGISTER
            // request (initial or refresh), it MUST include the Supported header
            // field in the request."
            // RFC 5627 §4.4: "a UA SHOULD include a Supported header with the
            // option tag "gruu" in requests and responses it generates."
            self.gruu.then_some("gruu"),
        ];
        let given = self.supported.iter().map(String::as_str);
        let is_given = |tag: &&str| self.supported.iter().any(|given| given == tag);
        given.chain(own.into_iter().flatten().filter(move |tag| !is_given(tag)))
    }
}

macro_rules! setters {
    ($($name:ident: $type:ty,)*) => {
        impl AgentConfig {
            /// Sets [`AgentConfig::user_agent`].
            #[must_use]
            pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
                self.user_agent = Some(user_agent.into());
                self
            }

            $(
                #[doc = concat!("Sets [`AgentConfig::", stringify!($name), "`].")]
                #[must_use]
                pub fn $name(mut self, $name: $type) -> Self {
                    self.$name = $name;
                    self
                }
            )*
        }
    };
}

setters! {
    methods: Vec<Method>,
    supported: Vec<String>,
    accept: Vec<String>,
    reliable: Reliability,
    info_packages: Option<Vec<String>>,
    max_message: usize,
    max_calls: usize,
    max_requests: usize,
    max_owed_replies: usize,
    max_owed_replies_per_call: u8,
    max_refers: usize,
    max_registrations: usize,
    event_packages: Vec<String>,
    max_subscriptions: usize,
    max_publications: usize,
    max_notifiers: usize,
    max_notifiers_per_peer: u32,
    max_forks: u16,
    retry_after: u32,
    answer_options: bool,
    ringing_limit: Duration,
    modification_guard: Duration,
    answer_guard: Duration,
    reply_guard: Duration,
    glare_retries: u8,
    keep: Option<Duration>,
    session_timer: Option<SessionTimerPolicy>,
    session_ids: SessionIds,
    connected_identity: bool,
    gruu: bool,
    trust: Option<fn(&Sender) -> bool>,
    max_forwards: u8,
}
