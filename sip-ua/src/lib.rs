//! A SIP user agent: accounts, registrations, incoming and outgoing calls (RFC 3261 §8, §10, §13-§15).
//!
//! The first call, in ten lines:
//!
//! ```no_run
//! use sip_ua::{Account, CallEvent, UserAgent};
//!
//! # async fn first_call(sdp: &'static str) -> Result<(), Box<dyn std::error::Error>> {
//! let account = Account::new("sip:alice@example.com".parse()?);
//! let ua = UserAgent::builder().listen("udp:0.0.0.0:5060".parse()?).account(account).start().await?;
//! let mut call = ua.call("sip:bob@192.0.2.4".parse()?).offer(sdp).start().await?;
//! while let Some(event) = call.next().await {
//!     match event {
//!         CallEvent::Ringing { .. } => println!("it rings"),
//!         CallEvent::Answered { response, .. } => println!("{} bytes of SDP came", response.body().len()),
//!         CallEvent::Ended(reason) => println!("over: {reason}"),
//!         _ => {} // a dropped re-INVITE or request is refused
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! And to be called:
//!
//! ```no_run
//! # async fn be_called(ua: sip_ua::UserAgent, sdp: &'static str) -> Result<(), Box<dyn std::error::Error>> {
//! use sip_ua::Incoming;
//!
//! while let Some(incoming) = ua.incoming().await {
//!     if let Incoming::Invitation(invitation) = incoming {
//!         let mut call = invitation.ring().await?.accept(sdp).await?;
//!         tokio::spawn(async move { call.ended().await });
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Calls can be passed on: [`UserAgent::bridge`] ties one that came in to one that is placed, `UserAgent::dial` calls two
//! and ties them together. The machine beneath, [`BridgeCore`], knows neither sockets nor tasks, and [`Bridges`] runs it
//! wherever an agent runs.
//!
//! What must be sent, repeated, acknowledged, refreshed or given up is, whether or not anyone asks for
//! events: handles hold no protocol state. What dropping one means:
//!
//! | dropped | what happens |
//! | --- | --- |
//! | [`Call`] | it is hung up: CANCEL before the answer, BYE after it |
//! | [`Invitation`] | the call is refused by 480 |
//! | [`Modification`] | the change is refused by 488, the call goes on |
//! | [`IncomingRequest`] | it is refused by 480 |
//! | [`Referral`] | it is declined by 603 |
//! | [`Bridge`] | both of its calls are hung up |
//! | [`Registration`] | the binding is removed |
//! | [`Subscription`] | it is ended |
//! | [`Notifier`] | the subscriber is sent away, and may come back |
//! | [`Publication`] | the state is removed |
//! | [`CallControl`] | nothing |
//! | the last [`UserAgent`] | no more calls are taken; those that have a handle go on |
//!
//! Session descriptions are opaque here: bytes in, bytes out.
//!
//! # Layers
//!
//! [`Agent`] is the user agent core: it owns calls and registrations and touches no socket, clock or
//! thread. It is a [`TransactionUser`](sip_transaction::TransactionUser), so it runs in a simulated network
//! as well. The handles above ([`UserAgent`], [`Call`] …) speak to one task that owns it with its sockets;
//! they need the feature `udp` or `tcp`, which are on by default.
//!
//! With the feature `metrics` (off by default) what happens is counted by the `metrics` facade:
//! `docs/metrics.md` of the repository lists the names.
//!
//! With the feature `sdp` (off by default) a media engine makes the offers and answers of a call by itself: one that
//! implements `OfferAnswer` of `sip-sdp`, which may be its `MediaSession`. `CallBuilder::start_with` and
//! `Invitation::with` plug it in.
//!
//! A [`Recorder`] keeps every message that passes, and a [`Ladder`] draws what it kept.
#![forbid(unsafe_code)]

mod account;
mod agent;
mod answering;
mod bridge;
mod caller;
#[cfg(feature = "tokio")]
mod handle;
mod keep_alive;
mod ladder;
mod recorder;
mod registration;

pub use account::{Account, Body, ExtraHeaders, OutgoingCall};
pub use agent::CallSnapshot;
pub use agent::{
    Agent, AgentConfig, AgentError, AgentEvent, BridgeKey, CallKey, CallState, CallUpdate, EarlyId,
    EndReason, Grant, Live, NotifierKey, NotifierUpdate, PublicationKey, PublicationWish, ReferKey,
    ReferUpdate, RegistrationKey, Related, Reliability, RequestFailure, RequestKey, Sender,
    ServerAuthentication, SessionIds, SubscriptionKey, SubscriptionUpdate, SubscriptionWish,
};
pub use answering::{AnswerRights, Answering};
pub use bridge::{
    Action, BadHeaderName, BridgeCore, BridgeIdentity, BridgeMedia, BridgeOptions, BridgeRefer,
    BridgeUpdate, Bridges, HeaderPass, Leg, MediaFactory, Order,
};
pub use caller::Caller;
#[cfg(feature = "tokio")]
pub use handle::{
    Bridge, Call, CallBuilder, CallControl, CallError, CallEvent, Errand, Incoming,
    IncomingRequest, Invitation, LiveCounts, Modification, Notifier, Publication,
    PublicationBuilder, Reference, Referral, RegisterError, Registration, RequestBuilder,
    RequestError, StartError, Stopped, Subscription, SubscriptionBuilder, SubscriptionRequest,
    UserAgent, UserAgentBuilder,
};
#[cfg(feature = "sdp")]
pub use handle::{MediaCall, MediaError, MediaInvitation};
pub use keep_alive::KeepAlive;
pub use ladder::Ladder;
pub use recorder::{Recorded, Recorder, RecorderTap};
pub use registration::{RegistrationEvent, RegistrationFailure};
pub use sip_auth::{
    Aka, AkaAnswer, AkaChallenge, Algorithm, AuthError, Authority, BadText, Claim, Credentials,
    Ha1, Hash, LookedUp, Lookup, NonceId, NonceKey, NonceUse, PendingLookup, Qop, Secret,
    SharedNonces, ShortKey, Unavailable, Use, UsedNonces, User, UserTable, Users,
};
pub use sip_dialog::{
    Compositor, CompositorConfig, NotifierConfig, NotifierEnd, PublicationEvent, Rate, Rates,
    ReferOutcome, SessionTimerPolicy, Side, SubscriberConfig, SubscriptionEnd, SubscriptionEvent,
    TerminationReason,
};

/// The README's code compiles.
#[cfg(all(doctest, feature = "udp", feature = "tcp"))]
#[doc = include_str!("../../README.md")]
struct Readme;
