//! Offers and answers of SDP, sans-IO: what RFC 3264 and RFC 6337 ask of both sides of a session, on the text
//! of RFC 8866 that `sdp-types` reads and writes.
//!
//! - [`Medium`] is what we can do: [codecs](Codec), packet times, bandwidth. [`Stream`] is one stream of it: at
//!   a port, in a [`Direction`], [keyed](Keying) or not.
//! - [`MediaSession`] is our side of one session. It makes [offers](MediaSession::offer),
//!   [answers](MediaSession::answer) them, [takes answers](MediaSession::take_answer),
//!   [rolls back](MediaSession::roll_back), [holds](MediaSession::hold) and [resumes](MediaSession::resume),
//!   [adds](MediaSession::add), [changes](MediaSession::modify) and [removes](MediaSession::remove) streams. It
//!   keeps what must hold for as long as the session lasts: the order of m= lines, the numbers of codecs, the
//!   o= line and its version.
//! - [`Changes`] says what an exchange has changed, and [`Agreed`] what a media engine needs of each stream: where
//!   to send, which codec by which number, in which direction, with which keys.
//! - [`Preconditions`] is what has to be reserved before anybody is alerted (RFC 3312), and [`Conditional`] a session
//!   with them.
//! - [`SdpError`] names the line, what is wrong with it, and the status and Warning owed.
//! - [`OfferAnswer`] is the seam to whoever carries the descriptions: bytes in, bytes out. A media engine that has
//!   SDP of its own implements it in place of [`MediaSession`].
//!
//! A call is offered, answered, and put on hold:
//!
//! ```
//! use sip_sdp::{Change, Codec, Direction, Hold, MediaSession, Medium};
//!
//! // What both can do. Alice prefers Opus; Bob knows G.711 alone.
//! let alices = Medium::audio()
//!     .codec(Codec::OPUS)
//!     .codec(Codec::PCMU)
//!     .codec(Codec::telephone_event(8000, "0-15"));
//! let bobs = Medium::audio().codec(Codec::PCMU).codec(Codec::telephone_event(8000, "0-11")).packet_time(20);
//! let mut alice = MediaSession::new(rand(), [192, 0, 2, 1].into()).stream(alices.at(40_000));
//! let mut bob = MediaSession::new(rand(), [192, 0, 2, 2].into()).stream(bobs.at(50_000));
//!
//! // The INVITE and its 200.
//! let offer = alice.offer()?;
//! let (answer, changes) = bob.answer(&offer)?;
//! assert_eq!(changes.streams[0].change, Change::Added);
//! alice.take_answer(&answer)?;
//!
//! // What Alice's media engine is told.
//! let audio = alice.agreed(0).unwrap();
//! assert_eq!((audio.remote.port, audio.packet_time), (50_000, Some(20)));
//! assert_eq!(audio.codec().unwrap().codec.name(), "PCMU");
//! let dtmf = audio.telephone_event().unwrap();
//! assert_eq!(dtmf.payload_type, 97); // 96 is Opus, for good.
//! assert!(dtmf.codec.events().unwrap().contains(11));
//!
//! // Bob holds Alice, by a re-INVITE.
//! bob.hold(Hold::Music);
//! let (answer, changes) = alice.answer(&bob.offer()?)?;
//! bob.take_answer(&answer)?;
//! assert!(matches!(changes.streams[0].change, Change::Changed(aspects) if aspects.direction));
//! assert_eq!(alice.agreed(0).unwrap().direction, Direction::RecvOnly);
//!
//! // An offer that fits nothing is owed a status, and says why in a Warning.
//! let video = "v=0\r\no=- 1 1 IN IP4 192.0.2.3\r\ns=-\r\nc=IN IP4 192.0.2.3\r\nt=0 0\r\nm=video 6000 RTP/AVP 31\r\n";
//! let mut carol = MediaSession::new(rand(), [192, 0, 2, 4].into()).stream(bobs.at(50_002));
//! let error = carol.answer(video.as_bytes()).unwrap_err();
//! assert_eq!((error.status().as_u16(), error.line()), (488, Some(6)));
//! assert_eq!(error.warning().unwrap(), (304, "Media type not available".to_owned()));
//! # fn rand() -> u64 { 4 }
//! # Ok::<(), sip_sdp::SdpError>(())
//! ```
//!
//! # With a user agent
//!
//! The stack's own user agent, `sip-ua`, carries descriptions as bytes and depends on nothing here. Its calls and
//! the methods of a session meet so:
//!
//! | what happens | `sip-ua` | here |
//! | --- | --- | --- |
//! | a call is placed | `ua.call(uri).offer(session.offer()?).start()` | [`offer`](MediaSession::offer) |
//! | it is answered | the body of the 2xx, or of the first reliable provisional response | [`take_answer`](MediaSession::take_answer) |
//! | it forks | one session for each early dialog | `session.clone()`, then [`take_answer`](MediaSession::take_answer) |
//! | a call comes in | `invitation.accept(answer)` | [`answer`](MediaSession::answer), of no bytes if it has no offer |
//! | it fits nothing | `invitation.reject_with(error.status(), …)` | [`SdpError::warning`] |
//! | hold, resume, a new stream | `call.reinvite(session.offer()?)` | [`hold`](MediaSession::hold), [`resume`](MediaSession::resume), [`add`](MediaSession::add) |
//! | that is refused | `RequestFailure::Refused` | [`roll_back`](MediaSession::roll_back) |
//! | the peer changes the session | `modification.accept(answer)` | [`answer`](MediaSession::answer) |
//! | its offer comes in a response | `call.answer(answer)` | [`answer`](MediaSession::answer), else [`refuse_all`](MediaSession::refuse_all) |
//! | OPTIONS, or a 488 | a body | [`capabilities`] |
//!
//! With its feature `sdp` it does all of this by itself, for a [`MediaSession`] or any other [`OfferAnswer`].
//!
//! # What is passed through
//!
//! ICE, DTLS and the keys of SDES are a media engine's. Fingerprints and keys are negotiated here as
//! [`Keying`] says; what a [`Stream`] has as [attributes](Stream::attribute) is said as it is, and what the peer says
//! that is not understood here is in [`Agreed::attributes`]. [`MediaSession::answer_with`] lets an engine look at
//! each offered stream before it is answered.
#![forbid(unsafe_code)]

mod agreed;
mod answer;
mod codec;
mod compose;
mod description;
mod direction;
mod engine;
mod error;
mod limits;
mod preconditions;
mod session;
mod slot;
mod stream;
mod taking;

pub use agreed::{Agreed, Aspects, Change, Changes, Remote, Security, StreamChange};
pub use codec::{Codec, Events, Format, ParameterRule};
pub use description::{Address, MediaDescription, Setup};
pub use direction::Direction;
pub use engine::{OfferAnswer, Refusal, Watched};
pub use error::{Breach, Fault, Misuse, Reason, SdpError};
pub use limits::Limits;
pub use preconditions::{Conditional, Precondition, Preconditions, StatusType, Strength};
pub use sdp_types::{Attribute, Bandwidth};
pub use session::{MediaSession, capabilities};
pub use stream::{Crypto, Hold, Keying, Medium, Stream};
