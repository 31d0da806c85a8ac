//! Digest authentication for SIP, client and server, sans-IO (RFC 3261 §22, RFC 7616, RFC 8760, RFC 3310).
//!
//! Nothing here knows a clock, a socket or a source of randomness: messages, the time and random bits go in,
//! header fields and verdicts come out. The crate is `no_std` with `alloc`.
//!
//! - An [`Authenticator`] answers the challenges that a client gets, with [`Credentials`]: a password, its
//!   [`Ha1`], or a SIM ([`Aka`]).
//! - An [`Authority`] challenges what a server, a registrar or a proxy gets, and judges what comes back; an
//!   [`AkaAuthority`] does so for the SIMs of a home network.
//! - A [`Verifier`] is an authority with its users and the nonces that they used: it brings a request to its verdict,
//!   and waits where [`Users`] are kept elsewhere.
//!
//! MD5, SHA-256 and SHA-512/256, each also as `-sess`; `auth`, `auth-int` and the digest of RFC 2069;
//! several realms and algorithms at once; hidden usernames; mutual authentication.
//!
//! # What holds against whom
//!
//! | who | what |
//! | --- | --- |
//! | guesses nonces | an HMAC-SHA-256 over time, realm and algorithm ([`NonceKey`]) |
//! | replays a request | each count of a nonce is let through once ([`UsedNonces`], [`NonceStore`]) |
//! | makes one algorithm's challenge into another's | a nonce is good for its algorithm only |
//! | leaves out the stronger challenges | [`Authority::algorithms`] without MD5, [`Credentials::only`] |
//! | measures how long a comparison takes | it takes as long for every answer |
//! | looks for usernames | [`Claim::unknown_user`] is refused like a wrong secret |
//! | challenges for ever | see [`Authenticator`] |
#![forbid(unsafe_code)]
#![no_std]
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
#[cfg(any(test, feature = "std"))]
extern crate std;

mod aka;
mod algorithm;
mod client;
mod digest;
mod nonce;
mod replay;
mod secret;
mod server;
mod users;
mod verifier;

pub use aka::{Aka, AkaAnswer, AkaChallenge};
pub use algorithm::{Algorithm, Hash, Qop, UnknownAlgorithm};
pub use client::{AuthError, Authenticator, Confirmation};
pub use nonce::{NonceId, NonceKey, ShortKey};
pub use replay::{NonceStore, NonceUse, Use, UsedNonces};
pub use secret::{BadHa1, Credentials, Ha1, Secret};
pub use server::{
    AkaAuthority, AkaHome, AkaVector, Answer, Arrival, Authenticated, Authority, BadText, Checked,
    Claim, Proof, Refusal, User,
};
pub use users::{Lookup, SharedNonces, Unavailable, UserTable, Users};
pub use verifier::{LookedUp, PendingLookup, Verdict, Verifier, Waiting};

/// Who asks: it decides which header field asks and which answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asker {
    /// WWW-Authenticate, answered by Authorization.
    Server,
    /// Proxy-Authenticate, answered by Proxy-Authorization.
    Proxy,
}
