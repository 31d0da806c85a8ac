//! SIP dialogs and sessions, sans-IO: route sets, CSeq rules, target refresh, re-INVITE glare (RFC 3261 §12-§15).
//!
//! Nothing here knows a clock, a socket or a source of randomness: messages go in, states and header fields
//! come out.
//!
//! - [`Dialog`] is one dialog: made from a request and a response, it builds the requests that we send in it
//!   and judges those that the peer sends.
//! - [`Dialogs`] is all dialogs of a user agent, found by key or by message.
//! - [`Session`] is the INVITE usage of a dialog: one INVITE at a time, glare, when a BYE may go.
//! - [`Dialogs::replaced`], [`Dialogs::joined`] and [`Dialogs::target_dialog`] find the other dialog that a request points at.
//! - [`Subscriber`] and [`Notifier`] are the two ends of a subscription (RFC 6665), [`Rates`] how often one is told.
//! - [`Publication`] is a state that is published and kept so, [`Compositor`] who keeps what is published (RFC 3903).
//! - [`Effect`] says what a failure ends where a dialog has several usages (RFC 5057).
//! - [`SessionIdentifier`] names the session at both ends, through all dialogs that it passes (RFC 7989).
//! - [`SessionTimer`] says when a session is refreshed, by whom, and when it is over (RFC 4028).
//! - [`OfferAnswer`] is the offer/answer exchange of a dialog: which message may carry what, and what is refused.
//! - [`ReliableSender`] and [`ReliableReceiver`] are provisional responses that arrive for certain (RFC 3262).
//! - [`Referrer`] and [`Reporter`] are the two ends of what a REFER brings about.
//! - [`Repeat2xx`] says when a 2xx to INVITE is sent again; [`MergedRequests`] finds what a fork sent here twice.
//!
//! What a callee does from the INVITE to its own BYE:
//!
//! ```
//! use sip_dialog::{Bye, Dialog, Dialogs, Found, Role, Session, State};
//! use sip_message::{Limits, Message, Method, StatusCode, Transport};
//!
//! let invite = "INVITE sip:bob@example.com SIP/2.0\r\n\
//!     Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
//!     Record-Route: <sip:proxy.example.com;lr>\r\n\
//!     From: Alice <sip:alice@example.com>;tag=a1\r\n\
//!     To: <sip:bob@example.com>\r\n\
//!     Call-ID: 4711@192.0.2.1\r\n\
//!     CSeq: 1 INVITE\r\n\
//!     Contact: <sip:alice@192.0.2.1>\r\n\
//!     Content-Length: 0\r\n\r\n";
//! let Message::Request(invite) = Message::parse(invite.into(), &Limits::default())? else {
//!     panic!("a request")
//! };
//!
//! // The INVITE is answered: a dialog, and the session that it carries.
//! let mut dialogs: Dialogs<Session> = Dialogs::new([1, 2], 10_000);
//! let mut dialog = Dialog::uas(&invite, "b1", Transport::Udp)?;
//! let mut session = Session::new(Role::Uas, 1);
//! dialog.accepted(&invite);
//! session.final_sent(StatusCode::OK);
//! assert_eq!(session.may_bye(), Bye::AfterAck);
//! let key = dialogs.insert(dialog, session)?;
//!
//! // The ACK comes, and is found to belong to it.
//! let ack = "ACK sip:bob@192.0.2.2 SIP/2.0\r\n\
//!     Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK2\r\n\
//!     From: Alice <sip:alice@example.com>;tag=a1\r\n\
//!     To: <sip:bob@example.com>;tag=b1\r\n\
//!     Call-ID: 4711@192.0.2.1\r\n\
//!     CSeq: 1 ACK\r\n\
//!     Content-Length: 0\r\n\r\n";
//! let Message::Request(ack) = Message::parse(ack.into(), &Limits::default())? else {
//!     panic!("a request")
//! };
//! assert_eq!(dialogs.find(&ack), Found::Dialog(key));
//! let (dialog, session) = dialogs.get_mut(key).unwrap();
//! assert_eq!(dialog.state(), State::Confirmed);
//! assert!(session.ack_received(1));
//!
//! // Now a BYE may go: through the proxy, to Alice's Contact.
//! assert_eq!(session.may_bye(), Bye::Now);
//! let bye = dialog.request(Method::Bye)?.build()?;
//! assert_eq!(bye.uri()?.as_str(), "sip:alice@192.0.2.1");
//! assert_eq!(dialog.next_hop().as_str(), "sip:proxy.example.com;lr");
//! session.end();
//! dialogs.remove(key);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
#![forbid(unsafe_code)]
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod compositor;
mod dialog;
mod effect;
mod error;
mod establish;
mod merged;
mod notifier;
mod offer_answer;
mod publication;
mod rate;
mod refer;
mod reference;
mod rejection;
mod reliable;
mod repeat;
mod routes;
mod session;
mod session_id;
mod session_timer;
mod snapshot;
mod subscriber;
mod table;
#[cfg(test)]
mod test_support;

pub use compositor::{Compositor, CompositorConfig, Document, Expired, PublishAnswer};
pub use dialog::{Dialog, DialogId, Role, State};
pub use effect::Effect;
pub use error::DialogError;
pub use establish::{establishing_response, wants_sips_contact};
pub use merged::{MergedKey, MergedRequests};
pub use notifier::{
    Notification, Notifier, NotifierAction, NotifierConfig, NotifierEnd, NotifierInput,
    RefusedSubscribe, TooBrief, told_event,
};
pub use offer_answer::{Carrier, Meaning, OfferAnswer, Unsendable};
pub use publication::{Publication, PublicationAction, PublicationEvent, PublicationInput};
pub use rate::{NoRate, Rate, Rates};
pub use refer::{
    ReferOutcome, Referrer, ReferrerAction, ReferrerInput, Report, ReportState, Reporter,
    ReporterInput,
};
pub use reference::{Replaced, Standing};
pub use rejection::Rejection;
pub use reliable::{Received, ReliableReceiver, ReliableSender};
pub use repeat::{Repeat2xx, RepeatStep};
pub use session::{Answer, Busy, Bye, Session, ends_dialog};
pub use session_id::SessionIdentifier;
pub use session_timer::{
    SessionTimer, SessionTimerPolicy, Side, TimerAction, TimerFields, TimerInput,
};
pub use snapshot::{DialogSnapshot, SnapshotError, TimerSnapshot};
pub use subscriber::{
    Resubscribe, Subscriber, SubscriberAction, SubscriberConfig, SubscriberInput, SubscriptionEnd,
    SubscriptionEvent, TerminationReason, notification,
};
pub use table::{DialogKey, Dialogs, Found, InsertError};
