//! SIP messages: URIs, header fields, requests and responses; parse, build and print (RFC 3261 §7, §19, §20, §25)
#![forbid(unsafe_code)]
#![no_std]
#![warn(clippy::arithmetic_side_effects)]

extern crate alloc;
#[cfg(test)]
extern crate std;

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

pub use error::{BuildError, ParseError, ParseErrorKind, Refusal, RefusalKind};
pub use header::{Header, HeaderError, HeaderErrorKind, Values, values};
pub use header_name::HeaderName;
pub use headers::{
    Accept, Allow, AuthParam, AuthParams, Authorization, CSeq, CallId, Challenge, Contact,
    ContentLength, ContentType, Credentials, Date, DigestChallenge, DigestResponse, Expires, From,
    MaxForwards, MediaRange, MinExpires, Organization, ProxyAuthenticate, ProxyAuthorization,
    ProxyRequire, QValue, RecordRoute, ReferTo, ReplyTo, Require, RetryAfter, Route, Server,
    Subject, Supported, Timestamp, To, Tokens, Unsupported, UserAgent, Via, Warning, Weekday,
    WwwAuthenticate,
};
pub use host::Host;
pub use limits::Limits;
pub use message::{
    CSeqRef, Frame, FrameError, HeaderField, Headers, KeepAlive, Message, Request, RequestBuilder,
    Response, ResponseBuilder, StreamFramer,
};
pub use method::{InvalidMethod, Method};
pub use name_addr::NameAddr;
pub use params::{Param, Params};
pub use status::StatusCode;
pub use transport::{Transport, UnknownTransport};
pub use uri::{Scheme, Uri, UriError, UriErrorKind, UriParam, UriParams};
