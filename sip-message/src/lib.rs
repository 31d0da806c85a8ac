//! SIP messages: URIs, header fields, requests and responses; parse, build and print (RFC 3261 §7,
//! §19, §20, §25).
//!
//! A [`Message`] is one buffer and a list of where its header fields are. Reading is liberal:
//! whatever has a start line becomes a message, its unknown methods, header fields and schemes,
//! folds, compact forms and odd spacing kept as they came. [`Message::validate`] is strict, and says
//! which status a bad request is owed, and for which byte of which header field. Typed values are
//! read when they are asked for, and borrow from the message.
//!
//! ```
//! use sip_message::{Contact, Limits, Message, Method, Response, StatusCode};
//!
//! let datagram = b"INVITE sip:bob@example.com SIP/2.0\r\n\
//!     Via: SIP/2.0/UDP pc33.example.com;branch=z9hG4bKnashds8\r\n\
//!     Max-Forwards: 70\r\n\
//!     To: Bob <sip:bob@example.com>\r\n\
//!     From: Alice <sip:alice@example.com>;tag=1928301774\r\n\
//!     Call-ID: a84b4c76e66710\r\n\
//!     CSeq: 314159 INVITE\r\n\
//!     m: <sip:alice@pc33.example.com>\r\n\
//!     Content-Length: 0\r\n\r\n";
//!
//! // Read it.
//! let message = Message::parse(datagram[..].into(), &Limits::default())?;
//! message.validate()?;
//! let Message::Request(invite) = message else { unreachable!() };
//! assert_eq!(invite.method(), &Method::Invite);
//! assert_eq!(invite.uri()?.user(), Some("bob"));
//! assert_eq!(invite.headers().from_tag(), Some("1928301774"));
//! let contact = invite.get::<Contact>()?.expect("an INVITE has a Contact");
//! assert_eq!(contact.to_string(), "<sip:alice@pc33.example.com>");
//!
//! // Answer it.
//! let ringing = Response::to_request(&invite, StatusCode::RINGING).to_tag("a6c85cf").build()?;
//! assert!(ringing.to_bytes().starts_with(b"SIP/2.0 180 Ringing\r\nVia: SIP/2.0/UDP pc33"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | to | see |
//! | --- | --- |
//! | read, edit and print a message | [`Message`], [`Request`], [`Response`], [`Headers`] |
//! | build one | [`Request::builder`], [`Response::to_request`] |
//! | find messages on a stream | [`StreamFramer`] |
//! | read or build a header field | [`Header`] and the types that implement it |
//! | read, build or compare a URI | [`Uri`] |
//! | take a body apart, or put one together | [`Content`], [`MultipartBuilder`] |
//! | make the request that a URI asks for | [`Request::builder_from`] |
//! | send a part of a message | [`SipFrag`], [`Response::fragment`] |
//! | bound what a peer may send | [`Limits`] |
//!
//! The crate is `no_std` with `alloc`. The feature `std`, on by default, changes no API: it lets
//! `memchr` choose its instructions at run time.
#![forbid(unsafe_code)]
#![no_std]
// Nothing that a stranger wrote may panic, wrap or be cut short (the workspace's lints are against
// `unwrap`, `expect`, `panic` and indexing); what is allowed says why it cannot.
#![cfg_attr(
    not(test),
    warn(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        clippy::string_slice,
        clippy::unreachable
    )
)]
#![warn(clippy::allow_attributes_without_reason)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod body;
mod error;
mod header;
mod header_name;
mod headers;
mod host;
mod limits;
mod message;
mod method;
mod name_addr;
mod params;
mod scan;
mod status;
mod transport;
mod uri;

pub use body::{
    BodyError, BodyErrorKind, Content, MultipartBuilder, PartBuilder, Parts, TransferEncoding,
};
pub use error::{BuildError, ParseError, ParseErrorKind, Refusal, RefusalKind};
pub use header::{Header, HeaderError, HeaderErrorKind, Values, values};
pub use header_name::HeaderName;
pub use headers::{
    Accept, AcceptContact, AcceptEncoding, AcceptLanguage, AcceptResourcePriority, AlertInfo,
    Allow, AllowEvents, AnswerMode, AuthParam, AuthParams, AuthenticationInfo, Authorization, CSeq,
    CallId, CallInfo, Challenge, Contact, ContentDisposition, ContentEncoding, ContentLanguage,
    ContentLength, ContentType, Credentials, Date, DigestChallenge, DigestInfo, DigestResponse,
    Directive, Diversion, Element, Elements, ErrorInfo, Event, Expires, Feature, FeatureCaps,
    FeatureKind, FeatureValue, FlowTimer, From, Geolocation, GeolocationError, GeolocationRouting,
    HistoryIndex, HistoryInfo, Identity, InReplyTo, InfoPackage, IsupLocation, Join, MaxBreadth,
    MaxForwards, MediaRange, MimeVersion, MinExpires, MinSe, OcSeq, Organization,
    PAccessNetworkInfo, PAssertedIdentity, PAssociatedUri, PCalledPartyId,
    PChargingFunctionAddresses, PChargingVector, PEarlyMedia, PPreferredIdentity,
    PPrivateNetworkIndication, PServedUser, PVisitedNetworkId, Path, Priority, PrivAnswerMode,
    Privacy, ProxyAuthenticate, ProxyAuthorization, ProxyRequire, QValue, RAck, RSeq, Reason,
    RecordRoute, RecvInfo, ReferEventsAt, ReferSub, ReferTo, ReferredBy, Refresher, RejectContact,
    Replaces, ReplyTo, RequestDisposition, Require, ResourcePriority, RetryAfter, Route,
    SecurityClient, SecurityServer, SecurityVerify, Server, ServiceRoute, SessionCase,
    SessionExpires, SessionId, SipEtag, SipIfMatch, Subject, SubscriptionState, Supported,
    SuppressIfMatch, TargetDialog, Timestamp, To, Tokens, Unsupported, UserAgent, UserToUser, Via,
    Warning, Weekday, WwwAuthenticate,
};
pub use host::Host;
pub use limits::Limits;
pub use message::{
    CSeqRef, FragmentBuilder, Frame, FrameError, HeaderField, Headers, KeepAlive, Message, Request,
    RequestBuilder, Response, ResponseBuilder, SipFrag, StreamFramer,
};
pub use method::{InvalidMethod, Method};
pub use name_addr::NameAddr;
pub use params::{Param, Params};
pub use status::StatusCode;
pub use transport::{Transport, UnknownTransport};
pub use uri::{
    Gruu, Mailbox, PhoneContext, Scheme, ServiceUrn, TelephoneSubscriber, Uri, UriError,
    UriErrorKind, UriParam, UriParams,
};
