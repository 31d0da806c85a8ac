//! Locating servers (RFC 3263): from a SIP or SIPS URI to the transports, addresses and ports to try, in
//! order.
//!
//! [`Locator`] is the procedure. It asks [`Question`]s and takes [`Answer`]s, and does no I/O: whoever
//! drives it asks the DNS (the feature `dns`, off by default, adds a client of it), the system's resolver or a
//! table ([`Zone`]). [`next`] says what follows when a
//! target fails, and [`BadTargets`] remembers which did.
//!
//! ```
//! use sip_message::{Transport, Uri};
//! use sip_transport::locate::{Locator, Naptr, Preferences, Srv, Zone};
//!
//! let zone = Zone::default()
//!     .naptr("example.com", Naptr::new(50, 50, "SIPS+D2T", "_sips._tcp.example.com"))
//!     .naptr("example.com", Naptr::new(90, 50, "SIP+D2T", "_sip._tcp.example.com"))
//!     .srv("_sip._tcp.example.com", Srv::new(0, 1, 5060, "server1.example.com"))
//!     .host("server1.example.com", "192.0.2.1".parse()?);
//! let uri: Uri<'_> = "sip:user@example.com".parse()?;
//! // A client without TLS.
//! let preferences = Preferences::new([Transport::Udp, Transport::Tcp]);
//! let located = zone.locate(Locator::new(&uri, preferences, 7))?;
//! let target = located.targets[0];
//! assert_eq!((target.transport, target.remote), (Transport::Tcp, "192.0.2.1:5060".parse()?));
//! assert_eq!(&*located.domain, "example.com");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use core::net::IpAddr;

use sip_message::Transport;

use crate::Target;

mod cache;
#[cfg(feature = "dns")]
mod dns;
mod failover;
mod locator;
mod srv;
mod zone;

pub use cache::{Cache, FAILURE_VALID, Found, NOTHING_VALID_AT_MOST, VALID_AT_MOST};
#[cfg(feature = "dns")]
pub use dns::Dns;
pub use failover::{BAD_FOR, BAD_FOR_AT_MOST, BadTargets, Failure, Next, next};
pub use locator::{Locator, domain, is_invalid, numeric_target};
pub use zone::Zone;

/// SRV records of one service that are used at most, the best by priority and weight.
pub const MAX_HOSTS: usize = 16;

/// Targets in one list at most.
pub const MAX_TARGETS: usize = 32;

/// What a [`Locator`] wants to know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Question {
    /// The NAPTR records of this name (RFC 3403).
    Naptr(Box<str>),
    /// The SRV records of this name (RFC 2782).
    Srv(Box<str>),
    /// The addresses of this host: A and AAAA (RFC 3596).
    Host(Box<str>),
}

impl Question {
    /// The name that is asked for: in lower case and without a dot at its end, if a [`Locator`] asks.
    pub fn name(&self) -> &str {
        let (Self::Naptr(name) | Self::Srv(name) | Self::Host(name)) = self;
        name
    }
}

/// Which question of a [`Locator`] an answer is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QuestionNumber(u8);

/// The records that answer a [`Question`]; none if the name has none of that kind.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// To [`Question::Naptr`].
    Naptr(Vec<Naptr>),
    /// To [`Question::Srv`].
    Srv(Vec<Srv>),
    /// To [`Question::Host`]: the best first, if the resolver has an opinion.
    Host(Vec<IpAddr>),
}

impl Answer {
    /// That there is no record.
    pub fn none(question: &Question) -> Self {
        match question {
            Question::Naptr(_) => Self::Naptr(Vec::new()),
            Question::Srv(_) => Self::Srv(Vec::new()),
            Question::Host(_) => Self::Host(Vec::new()),
        }
    }

    /// Whether it holds no record.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Naptr(records) => records.is_empty(),
            Self::Srv(records) => records.is_empty(),
            Self::Host(addresses) => addresses.is_empty(),
        }
    }
}

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// The name does not exist.
    #[error("the name does not exist")]
    NoSuchName,
    /// No server could say: a failure of theirs or of the way to them.
    #[error("no name server could answer")]
    Failed,
    /// The answer did not come in time.
    #[error("the answer did not come in time")]
    Timeout,
    /// As many lookups are under way as are allowed.
    #[error("as many lookups are under way as are allowed")]
    Busy,
}

/// A NAPTR record (RFC 3403 §4.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Naptr {
    /// The lowest is taken first.
    pub order: u16,
    /// Among those of one order the lowest is preferred.
    pub preference: u16,
    /// `s` where an SRV record comes next.
    pub flags: Box<str>,
    /// What the record is for: `SIP+D2U`.
    pub services: Box<str>,
    /// Empty where there is a replacement.
    pub regexp: Box<str>,
    /// The name to ask for next.
    pub replacement: Box<str>,
}

impl Naptr {
    /// A record that leads to SRV records, as SIP has them: flag `s`, no regular expression.
    pub fn new(order: u16, preference: u16, services: &str, replacement: &str) -> Self {
        Self {
            order,
            preference,
            flags: "s".into(),
            services: services.into(),
            regexp: "".into(),
            replacement: replacement.into(),
        }
    }

    /// The same with other flags.
    pub fn with_flags(mut self, flags: &str) -> Self {
        self.flags = flags.into();
        self
    }

    /// The same with a regular expression.
    pub fn with_regexp(mut self, regexp: &str) -> Self {
        self.regexp = regexp.into();
        self
    }
}

/// An SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Srv {
    /// The lowest is tried first.
    pub priority: u16,
    /// The share among those of one priority.
    pub weight: u16,
    /// The port of the service.
    pub port: u16,
    /// The host; `.` if the domain does not offer the service.
    pub target: Box<str>,
}

impl Srv {
    /// A record.
    pub fn new(priority: u16, weight: u16, port: u16, target: &str) -> Self {
        Self { priority, weight, port, target: target.into() }
    }
}

/// What we can do and like best.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Preferences {
    /// The transports that we have, the most preferred first.
    pub transports: Vec<Transport>,
    /// In which order the addresses of one host are tried.
    pub families: FamilyOrder,
}

impl Preferences {
    /// These transports, the most preferred first; addresses in the order of the resolver.
    pub fn new(transports: impl IntoIterator<Item = Transport>) -> Self {
        let mut list = Vec::new();
        for transport in transports {
            if !list.contains(&transport) {
                list.push(transport);
            }
        }
        Self { transports: list, families: FamilyOrder::AsGiven }
    }

    /// The same with another order of the addresses.
    pub fn with_families(mut self, families: FamilyOrder) -> Self {
        self.families = families;
        self
    }
}

/// In which order the IPv6 and IPv4 addresses of one host are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FamilyOrder {
    /// As the resolver gives them: the system's resolver sorts them by RFC 6724, as RFC 6157 §5 wants.
    #[default]
    AsGiven,
    /// All of IPv6, then all of IPv4.
    Ipv6First,
    /// One of IPv6, one of IPv4, and so on: a broken family costs one attempt, not all.
    Interleaved,
}

/// Where a message can go, in the order to try.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Located {
    /// At least one target, each once, at most [`MAX_TARGETS`].
    pub targets: Vec<Target>,
    /// The host that was asked for. Over TLS the far end must prove to be this one, not the host that a
    /// record named.
    // RFC 5922 §7.3: "the client MUST compare the original domain portion of the SIP AUS used as input to
    // the RFC 3263 [8] server location procedures to the SIP domain identities obtained from the
    // certificate."
    pub domain: Box<str>,
}

/// Why no server was located.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum LocateError {
    /// The URI is neither SIP nor SIPS.
    #[error("the URI is neither SIP nor SIPS")]
    NotSip,
    /// The URI asks for a transport that nobody knows.
    #[error("the URI asks for a transport that is not known")]
    UnknownTransport,
    /// A SIPS URI asks for a transport that has no TLS.
    #[error("a SIPS URI cannot be reached by a transport without TLS")]
    NotSecure,
    /// We do not have the transport that the URI or the domain asks for.
    #[error("no transport of ours is one that leads there")]
    NoSupportedTransport,
    /// The domain says that it does not offer SIP (an SRV record with the target `.`).
    #[error("the domain does not offer the service")]
    ServiceUnavailable,
    /// Neither the domain nor a host that its records name has an address; for a name under `.invalid`
    /// nobody is asked.
    #[error("no host has an address")]
    NoAddress,
    /// The addresses could not be asked for.
    #[error("the lookup failed: {0}")]
    Lookup(#[from] LookupError),
}

#[cfg(test)]
mod tests;
