//! What an application holds: handles on one task that owns the agent and its sockets.
//!
//! ```text
//! UserAgent  Call  Invitation  IncomingRequest  Registration      any task, any thread
//!     |        |       |              |              |  ^
//!     |  commands, a bounded channel; releases, a list  |  mailboxes, bounded
//!     V        V       V              V              V  |
//! +---------------------- Desk ------------------------------+
//! |  Agent   Transactions   Sockets                          |   one task: the shard
//! +----------------------------------------------------------+
//! ```
//!
//! No protocol state is out here: a handle is a key and a way to speak of it. So a task of the user's
//! that is slow, or gone, holds nothing up.

mod bridge;
mod builder;
mod call;
mod command;
mod desk;
mod error;
mod invitation;
mod mailbox;
#[cfg(feature = "sdp")]
mod media;
#[cfg(feature = "metrics")]
mod meter;
#[cfg(not(feature = "metrics"))]
#[path = "handle/no_meter.rs"]
mod meter;
mod notifier;
mod publication;
mod refer;
mod registration;
mod request;
mod subscription;
mod user_agent;

pub use bridge::Bridge;
pub use builder::UserAgentBuilder;
pub use call::{Call, CallBuilder, CallControl, CallEvent, Modification};
pub use error::{CallError, RegisterError, RequestError, StartError, Stopped};
pub use invitation::Invitation;
#[cfg(feature = "sdp")]
pub use media::{MediaCall, MediaError, MediaInvitation};
pub use notifier::{Notifier, SubscriptionRequest};
pub use publication::{Publication, PublicationBuilder};
pub use refer::{Errand, Reference, Referral};
pub use registration::Registration;
pub use request::{IncomingRequest, RequestBuilder};
pub use subscription::{Subscription, SubscriptionBuilder};
pub use user_agent::{Incoming, LiveCounts, UserAgent};
