//! What an event package defines (RFC 6665 §5.4).

use std::time::Duration;

/// An event package: its constants, and how its state is read and written.
pub trait EventPackage: Sized {
    /// The event type (RFC 6665 §5.4.1).
    const NAME: &'static str;
    /// The life of a subscription whose SUBSCRIBE says nothing, in seconds (RFC 6665 §5.4.4).
    const DEFAULT_EXPIRES: u32;
    /// The type of body that is meant where no Accept says another (RFC 6665 §5.4.5).
    const CONTENT_TYPE: &'static str;
    /// The least time between two notifications of one subscription (RFC 6665 §5.4.10), if the package has one.
    const LEAST_INTERVAL: Option<Duration>;
    /// Whether a SUBSCRIBE that forks may make several subscriptions (RFC 6665 §5.4.9).
    const FORKS: bool;

    /// Reads a body.
    ///
    /// # Errors
    /// Says what is wrong with it.
    fn parse(body: &[u8]) -> Result<Self, BodyError>;

    /// Writes a body.
    fn render(&self) -> String;
}

/// Why a body cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// It is no UTF-8.
    #[error("the body is no UTF-8")]
    Encoding,
    /// It is larger, deeper or has more parts than is read.
    #[error("the body has too many {0}")]
    TooMany(&'static str),
    /// It is no well-formed XML, or has what is not read: a document type, entities.
    #[error("the body is no XML that is read: {0}")]
    Xml(String),
    /// Something of it is missing.
    #[error("there is no {0}")]
    Missing(&'static str),
    /// Something of it is not what it should be.
    #[error("the {0} makes no sense")]
    Invalid(&'static str),
}
