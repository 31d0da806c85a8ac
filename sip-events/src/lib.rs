//! SIP event packages (RFC 6665 §5): what the bodies of NOTIFY and PUBLISH say, and how partial states are merged.
//!
//! Nothing here knows a message or a socket: bytes go in, states come out, and the other way round. `sip-ua` has the
//! subscriptions ([its `subscribe`](https://docs.rs/sip-ua)); this is for what they carry.
//!
//! | package | RFC | type | feature |
//! | --- | --- | --- | --- |
//! | `message-summary` | 3842 | [`MessageSummary`] | |
//! | `presence` | 3856, 3863 | [`Presence`] | `xml` |
//! | `dialog` | 4235 | [`DialogInfo`], merged by [`Dialogs`] | `xml` |
//! | `reg` | 3680 | [`RegInfo`], merged by [`Registrations`] | `xml` |
//! | `kpml` | 4730 | [`KpmlRequest`], matched by [`KpmlMatcher`], and [`KpmlResponse`] | `xml` |
//! | `conference` | 4575 | [`ConferenceInfo`], merged by [`Conference`] | `xml` |
//!
//! And two bodies of instant messages: [`Cpim`] (RFC 3862), and [`IsComposing`] (RFC 3994, with `xml`) with the two
//! machines of who writes and who is told so, [`Composer`] and [`Watcher`].
//!
//! Another package is one more [`EventPackage`]. XML is read with limits, without external or own entities, and
//! what is of another namespace is skipped.
//!
//! ```
//! use sip_events::{EventPackage, MessageSummary};
//!
//! let body = b"Messages-Waiting: yes\r\nVoice-Message: 2/8 (0/2)\r\n";
//! let summary = MessageSummary::parse(body)?;
//! assert!(summary.waiting);
//! assert_eq!(summary.counts("voice-message").map(|counts| (counts.new, counts.old)), Some((2, 8)));
//! assert_eq!(summary.render().as_bytes(), body);
//! # Ok::<(), sip_events::BodyError>(())
//! ```
#![forbid(unsafe_code)]

mod cpim;
mod message_summary;
mod package;

#[cfg(feature = "xml")]
mod composing;
#[cfg(feature = "xml")]
mod conference;
#[cfg(feature = "xml")]
mod dialog;
#[cfg(feature = "xml")]
mod kpml;
#[cfg(feature = "xml")]
mod merge;
#[cfg(feature = "xml")]
mod presence;
#[cfg(feature = "xml")]
mod reg;
#[cfg(feature = "xml")]
mod xml;

#[cfg(feature = "xml")]
pub use composing::{Composer, IsComposing, Watcher};
#[cfg(feature = "xml")]
pub use conference::{
    Conference, ConferenceDescription, ConferenceEndpoint, ConferenceInfo, ConferenceMedia,
    ConferenceState, ConferenceUser, EndpointStatus, Extent,
};
pub use cpim::{Cpim, CpimHeader};
#[cfg(feature = "xml")]
pub use dialog::{DialogEnd, DialogInfo, DialogParty, DialogState, Dialogs, WatchedDialog};
#[cfg(feature = "xml")]
pub use kpml::{DRegex, KeyPress, KpmlExpression, KpmlMatcher, KpmlRequest, KpmlResponse, Persist};
#[cfg(feature = "xml")]
pub use merge::Merged;
pub use message_summary::{Counts, MessageSummary};
pub use package::{BodyError, EventPackage};
#[cfg(feature = "xml")]
pub use presence::{Note, Presence, Tuple};
#[cfg(feature = "xml")]
pub use reg::{BoundContact, RegInfo, Registrations, WatchedRegistration};
