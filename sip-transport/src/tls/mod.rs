//! TLS for SIP (RFC 3261 §26.3.1, RFC 5922): who we are, whom we trust, and who the far end proved to be.

mod error;
#[cfg(feature = "tls")]
mod identity;
mod peer;
#[cfg(feature = "tls")]
mod setup;
#[cfg(feature = "tls")]
mod verify;

pub use error::{Alert, TlsError};
pub use peer::Peer;
#[cfg(feature = "tls")]
pub use setup::{Certificate, ClientCertificates, Tls, TlsBuilder, TlsConfigError};
