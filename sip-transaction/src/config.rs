//! What an endpoint can be told: timers, limits, the seed.

use core::time::Duration;
use std::hash::{BuildHasher, RandomState};

use sip_message::Limits;
use sip_transport::locate::FamilyOrder;

/// The settings of one endpoint. Plain values with setters; [`validate`](Self::validate) is called
/// once, by the constructor of the endpoint.
///
/// ```
/// use std::time::Duration;
/// use sip_transaction::Config;
///
/// let config = Config::default().t1(Duration::from_millis(200)).seed([1, 2]);
/// assert!(config.validate().is_ok());
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// T1, the estimate of the round-trip time. Default 500 ms (RFC 3261 §17.1.1.1).
    pub t1: Duration,
    /// T2, the longest interval between retransmissions of a non-INVITE request or of a response
    /// to an INVITE. Default 4 s.
    pub t2: Duration,
    /// T4, how long a message stays in the network. Default 5 s.
    pub t4: Duration,
    /// Timer D, how long a client repeats its ACK over an unreliable transport. At least 32 s, which
    /// is the default.
    pub timer_d: Duration,
    /// How long the transaction user may be silent about an INVITE before the layer answers 100.
    /// Default 200 ms (RFC 3261 §17.2.1).
    pub trying_after: Duration,
    /// The smallest MTU of the paths to the peers, in bytes, if it is known. A request within 200
    /// bytes of it goes over TCP; if it is unknown (the default) one of more than 1300 bytes does
    /// (RFC 3261 §18.1.1).
    pub path_mtu: Option<usize>,
    /// How many transactions may live at a time, client and server together; what comes on top is
    /// answered 503. Default 500,000: over UDP a call leaves two transactions for 32 s
    /// each, so this is good for some 7,000 calls a second. Each takes a few hundred bytes and its last
    /// message. Requests that end something (BYE, CANCEL, PRACK) are taken up to
    /// an eighth above it, since to refuse them would keep alive what they end.
    pub transactions: usize,
    /// The Retry-After of that 503, in seconds. Default 5.
    pub retry_after: u32,
    /// How many timers one call of `handle_timeout` fires at most. Default 1,024.
    pub timers_per_call: usize,
    /// In which order the IPv6 and IPv4 addresses of a host are tried. Default: that of the resolver.
    pub families: FamilyOrder,
    /// Whether requests go back over connections that others opened (RFC 5923), and ours ask for it.
    pub connection_reuse: ConnectionReuse,
    /// Whether the endpoint takes part in overload control (RFC 7339): its requests say so, it sends less to who
    /// asks for it, and its responses ask for less when the user demands it
    /// ([`Transactions::demand_loss`](crate::Transactions::demand_loss)). Default no: it makes each request
    /// some 20 bytes longer.
    pub overload_control: bool,
    /// Whether responses over UDP go back to where the request came from though it did not ask for that (RFC 3581):
    /// behind a NAT box nothing else arrives. Default no: a client may listen on another port than it sends from.
    pub force_rport: bool,
    /// Which values of Resource-Priority (RFC 4412) are kept back last, each a namespace (`ets`) or a value of one
    /// (`wps.0`). Default none, since anybody can write one.
    pub preferred_resources: Vec<Box<str>>,
    /// The limits of the message parser.
    pub message: Limits,
    /// The seed of everything random: branches, tags, Call-IDs, jitter, and the key of the hash over
    /// what peers choose. By default drawn from the operating system's randomness. Two endpoints with equal seeds
    /// and equal inputs make equal outputs, byte for byte.
    pub seed: [u64; 2],
}

/// Whether a connection that one side opened carries the requests of the other as well (RFC 5923): `alias` in
/// the Via of our requests says that we take requests back, and what is heard from others is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionReuse {
    /// Requests go over connections that were opened to where they go.
    Off,
    /// Over TLS: back over a connection whose far end proved, by a certificate, to be of the domain that the
    /// request goes to. So TLS must be set up to ask clients for certificates.
    #[default]
    Authenticated,
    /// Over TCP too, where nobody proves anything. For networks without strangers:
    ///
    /// RFC 5923 §9.3: "a normal TCP or SCTP connection cannot be used to send requests in the backwards
    /// direction without a significant risk of inadvertent (or otherwise) connection hijacking."
    Any,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            timer_d: Duration::from_secs(32),
            trying_after: Duration::from_millis(200),
            path_mtu: None,
            transactions: 500_000,
            retry_after: 5,
            timers_per_call: 1_024,
            families: FamilyOrder::default(),
            connection_reuse: ConnectionReuse::default(),
            overload_control: false,
            force_rport: false,
            preferred_resources: Vec::new(),
            message: Limits::default(),
            // The standard library keys its hash maps from the operating system; two hashes under
            // such a key are a seed, and cost no dependency.
            seed: [RandomState::new().hash_one(0_u64), RandomState::new().hash_one(1_u64)],
        }
    }
}

impl Config {
    /// Sets T1.
    #[must_use]
    pub fn t1(mut self, t1: Duration) -> Self {
        self.t1 = t1;
        self
    }

    /// Sets T2.
    #[must_use]
    pub fn t2(mut self, t2: Duration) -> Self {
        self.t2 = t2;
        self
    }

    /// Sets T4.
    #[must_use]
    pub fn t4(mut self, t4: Duration) -> Self {
        self.t4 = t4;
        self
    }

    /// Sets Timer D.
    #[must_use]
    pub fn timer_d(mut self, timer_d: Duration) -> Self {
        self.timer_d = timer_d;
        self
    }

    /// Sets how long the transaction user may be silent before a 100 goes out.
    #[must_use]
    pub fn trying_after(mut self, trying_after: Duration) -> Self {
        self.trying_after = trying_after;
        self
    }

    /// Sets whose connections are used for requests back.
    #[must_use]
    pub fn connection_reuse(mut self, connection_reuse: ConnectionReuse) -> Self {
        self.connection_reuse = connection_reuse;
        self
    }

    /// Sets whether the endpoint takes part in overload control (RFC 7339).
    #[must_use]
    pub fn overload_control(mut self, takes_part: bool) -> Self {
        self.overload_control = takes_part;
        self
    }

    /// Sets whether responses over UDP go back to where the request came from though it did not ask for that.
    #[must_use]
    pub fn force_rport(mut self, forced: bool) -> Self {
        self.force_rport = forced;
        self
    }

    /// Adds a value of Resource-Priority that is kept back last: a namespace, or a value of one.
    #[must_use]
    pub fn prefer_resource(mut self, value: &str) -> Self {
        self.preferred_resources.push(value.into());
        self
    }

    /// Sets the path MTU, in bytes; `None` if it is not known.
    #[must_use]
    pub fn path_mtu(mut self, path_mtu: Option<usize>) -> Self {
        self.path_mtu = path_mtu;
        self
    }

    /// Sets the limit of live transactions.
    #[must_use]
    pub fn transactions(mut self, transactions: usize) -> Self {
        self.transactions = transactions;
        self
    }

    /// Sets the Retry-After (in seconds) of the 503 that a full table answers.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = seconds;
        self
    }

    /// Sets how many timers one call of `handle_timeout` fires at most.
    #[must_use]
    pub fn timers_per_call(mut self, timers: usize) -> Self {
        self.timers_per_call = timers;
        self
    }

    /// Sets in which order the IPv6 and IPv4 addresses of a host are tried.
    #[must_use]
    pub fn families(mut self, families: FamilyOrder) -> Self {
        self.families = families;
        self
    }

    /// Sets the limits of the message parser.
    #[must_use]
    pub fn message(mut self, limits: Limits) -> Self {
        self.message = limits;
        self
    }

    /// Sets the seed.
    #[must_use]
    pub fn seed(mut self, seed: [u64; 2]) -> Self {
        self.seed = seed;
        self
    }

    /// Whether the settings make sense together.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first setting that does not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        // RFC 3261 §17.1.1.2: "Whatever the value of T1, the exponential backoffs on retransmissions
        // described in this section MUST be used."
        // There is no setting to turn them off, and a T1 of zero, which would, is refused.
        if self.t1.is_zero() || self.t1 > Duration::from_secs(60) {
            return Err(ConfigError::T1);
        }
        if self.t2 < self.t1 || self.t2 > Duration::from_secs(3_600) {
            return Err(ConfigError::T2);
        }
        if self.t4.is_zero() || self.t4 > Duration::from_secs(3_600) {
            return Err(ConfigError::T4);
        }
        // RFC 6026 §8.4: "with a value of at least 32 seconds for unreliable transports"
        if self.timer_d < Duration::from_secs(32) || self.timer_d > Duration::from_secs(3_600) {
            return Err(ConfigError::TimerD);
        }
        // The 100 may be put off for so long and no longer.
        // RFC 3261 §17.2.1: "unless it knows that the TU will generate a provisional or final response
        // within 200 ms"
        if self.trying_after > Duration::from_millis(200) {
            return Err(ConfigError::TryingAfter);
        }
        if self.path_mtu.is_some_and(|mtu| mtu < 576) {
            return Err(ConfigError::PathMtu);
        }
        if self.transactions == 0 || self.transactions > MOST_TRANSACTIONS {
            return Err(ConfigError::Transactions);
        }
        if self.timers_per_call == 0 {
            return Err(ConfigError::TimersPerCall);
        }
        Ok(())
    }
}

/// What the number of a slot in a branch has room for, with some to spare.
const MOST_TRANSACTIONS: usize = 1 << 28;

/// A setting that does not make sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// T1 is zero or more than a minute.
    #[error("T1 must be above zero and at most 60 s")]
    T1,
    /// T2 is less than T1 or more than an hour.
    #[error("T2 must be at least T1 and at most an hour")]
    T2,
    /// T4 is zero or more than an hour.
    #[error("T4 must be above zero and at most an hour")]
    T4,
    /// Timer D is less than the 32 s of RFC 3261 §17.1.1.2, or more than an hour.
    #[error("Timer D must be at least 32 s and at most an hour")]
    TimerD,
    /// The 100 Trying would come later than 200 ms.
    #[error("100 Trying must come within 200 ms")]
    TryingAfter,
    /// A path MTU below what IPv4 guarantees.
    #[error("the path MTU must be at least 576 bytes")]
    PathMtu,
    /// No transaction at all, or more than a branch can number.
    #[error("the limit of transactions must be above zero and at most 268,435,456")]
    Transactions,
    /// No timer would ever fire.
    #[error("at least one timer must fire in a call")]
    TimersPerCall,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_rfc_and_valid() {
        let config = Config::default();
        assert_eq!(config.validate(), Ok(()));
        assert_eq!(
            (config.t1, config.t2, config.t4),
            (Duration::from_millis(500), Duration::from_secs(4), Duration::from_secs(5))
        );
    }

    #[test]
    fn two_default_seeds_differ() {
        assert_ne!(Config::default().seed, Config::default().seed);
    }

    #[test]
    fn each_setting_is_checked() {
        let ms = Duration::from_millis;
        let wrong = [
            (Config::default().t1(Duration::ZERO), ConfigError::T1),
            (Config::default().t1(ms(60_001)), ConfigError::T1),
            (Config::default().t2(ms(499)), ConfigError::T2),
            (Config::default().t4(Duration::ZERO), ConfigError::T4),
            (Config::default().timer_d(ms(31_999)), ConfigError::TimerD),
            (Config::default().trying_after(ms(201)), ConfigError::TryingAfter),
            (Config::default().path_mtu(Some(575)), ConfigError::PathMtu),
            (Config::default().transactions(0), ConfigError::Transactions),
            (Config::default().transactions(usize::MAX), ConfigError::Transactions),
            (Config::default().timers_per_call(0), ConfigError::TimersPerCall),
        ];
        for (config, error) in wrong {
            assert_eq!(config.validate(), Err(error), "{config:?}");
        }
    }
}
