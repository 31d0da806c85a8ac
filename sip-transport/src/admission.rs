//! Who may send at all, and how much: asked before anything of a message is looked at.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use std::hash::{BuildHasher, RandomState};
#[cfg(feature = "tcp")]
use std::time::Duration;
use std::time::Instant;

use sip_message::Transport;

#[cfg(test)]
mod tests;

/// Decides for each datagram, and for each connection that comes in, whether it is looked at.
///
/// It is asked on the path of the messages, so it shall be quick and not block: a look into a table.
///
/// ```
/// use sip_transport::{Entry, Gate};
///
/// # fn gate() -> impl Gate {
/// let trunk = "192.0.2.7".parse::<std::net::IpAddr>().unwrap();
/// move |_transport, _local: std::net::SocketAddr, remote: std::net::SocketAddr| {
///     if remote.ip() == trunk { Entry::Trusted } else { Entry::Rationed }
/// }
/// # }
/// ```
pub trait Gate: Send {
    /// What becomes of what arrives from `remote` at the address `local` of ours.
    fn admit(&mut self, transport: Transport, local: SocketAddr, remote: SocketAddr) -> Entry;
}

impl Gate for Box<dyn Gate> {
    fn admit(&mut self, transport: Transport, local: SocketAddr, remote: SocketAddr) -> Entry {
        (**self).admit(transport, local, remote)
    }
}

impl<F: FnMut(Transport, SocketAddr, SocketAddr) -> Entry + Send> Gate for F {
    fn admit(&mut self, transport: Transport, local: SocketAddr, remote: SocketAddr) -> Entry {
        self(transport, local, remote)
    }
}

/// What a [`Gate`] says of what arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Entry {
    /// It comes in, however much that source sends. For peers that are known, such as a trunk: who
    /// can forge their address cannot use up their ration, because they have none.
    Trusted,
    /// It comes in as far as the source keeps to its ration
    /// ([`Config::source_rate`](crate::Config::source_rate)). So it is without a gate.
    Rationed,
    /// The datagram is dropped, the connection closed; nothing is answered.
    Refused,
}

/// The gate and the rations of one endpoint.
pub(crate) struct Admission {
    gate: Option<Box<dyn Gate>>,
    rations: Rations,
    began: Instant,
}

/// Why something is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Gate,
    Ration,
}

impl Admission {
    pub(crate) fn new(rate: u32, bad_weight: u32, now: Instant) -> Self {
        Self { gate: None, rations: Rations::new(rate, bad_weight), began: now }
    }

    pub(crate) fn set_gate(&mut self, gate: Box<dyn Gate>) {
        self.gate = Some(gate);
    }

    /// Whether one more datagram or connection comes in. `now` is asked only if it matters.
    pub(crate) fn admit(
        &mut self,
        now: impl FnOnce() -> Instant,
        transport: Transport,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Result<Entry, Refused> {
        if let Some(gate) = &mut self.gate {
            match gate.admit(transport, local, remote) {
                Entry::Trusted => return Ok(Entry::Trusted),
                Entry::Rationed => {}
                Entry::Refused => return Err(Refused::Gate),
            }
        }
        if self.rations.rate == 0 {
            return Ok(Entry::Rationed);
        }
        let now = milliseconds(self.began, now());
        let is_within = self.rations.take(now, remote.ip());
        if is_within { Ok(Entry::Rationed) } else { Err(Refused::Ration) }
    }

    /// Takes one unit for a message on a connection that was admitted. It is there and comes in; how long
    /// nothing more is to be read, if the source is over its ration by now.
    #[cfg(feature = "tcp")]
    pub(crate) fn take(
        &mut self,
        now: impl FnOnce() -> Instant,
        source: IpAddr,
    ) -> Option<Duration> {
        if self.rations.rate == 0 {
            return None;
        }
        let now = milliseconds(self.began, now());
        let over = self.rations.overtake(now, source)?;
        let rate = u64::from(self.rations.rate);
        Some(Duration::from_millis(u64::from(over).saturating_mul(1000).div_ceil(rate)))
    }

    /// What came from there was bad.
    pub(crate) fn blame(&mut self, now: Instant, source: IpAddr) {
        if self.rations.rate > 0 {
            self.rations.charge(milliseconds(self.began, now), source);
        }
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").field("gate", &self.gate.is_some()).finish_non_exhaustive()
    }
}

/// Milliseconds between the two, which wrap after 49 days as the arithmetic on them does.
#[expect(clippy::cast_possible_truncation, reason = "the low bits are meant")]
fn milliseconds(from: Instant, to: Instant) -> u32 {
    let time = to.saturating_duration_since(from);
    (time.as_secs() as u32).wrapping_mul(1000).wrapping_add(time.subsec_millis())
}

/// How much each source has used up lately.
///
/// A source is an IPv4 address, or the /64 network of an IPv6 address, for who has one address of it has
/// them all. Each has two buckets, found by two parts of a keyed hash in tables of a fixed size; it is over
/// its ration when both are full. So nobody can fill a table, nothing is ever cleaned up, and to share
/// both buckets with somebody who floods has a chance of one in 16 million.
struct Rations {
    /// Units a second; also what a bucket holds.
    rate: u32,
    bad_weight: u32,
    key: RandomState,
    rows: [Box<[Bucket]>; 2],
    /// The source asked about last, with its hash: what comes from one source often comes in a row, and the
    /// hash is most of what a question costs.
    last: (u64, u64),
}

/// Fills by what is taken, leaks at the rate.
#[derive(Clone, Copy, Default)]
struct Bucket {
    level: u32,
    /// When it leaked last, in milliseconds.
    at: u32,
}

/// Buckets of a row.
const BUCKETS: usize = 4096;

impl Rations {
    fn new(rate: u32, bad_weight: u32) -> Self {
        let row = || vec![Bucket::default(); BUCKETS].into_boxed_slice();
        let key = RandomState::new();
        let last = (0, key.hash_one(0_u64));
        Self { rate, bad_weight, key, rows: [row(), row()], last }
    }

    /// Takes one unit, if the source is within its ration.
    fn take(&mut self, now: u32, source: IpAddr) -> bool {
        let rate = self.rate;
        let mut buckets = self.buckets(now, source);
        let within = buckets.iter().flatten().any(|bucket| bucket.level < rate);
        if within {
            for bucket in buckets.iter_mut().flatten() {
                bucket.level = bucket.level.saturating_add(1);
            }
        }
        within
    }

    /// Takes one unit in any case; by how many the source is over its ration then.
    #[cfg(feature = "tcp")]
    fn overtake(&mut self, now: u32, source: IpAddr) -> Option<u32> {
        let rate = self.rate;
        let mut least = u32::MAX;
        for bucket in self.buckets(now, source).into_iter().flatten() {
            bucket.level = bucket.level.saturating_add(1);
            least = least.min(bucket.level);
        }
        least.checked_sub(rate).filter(|over| *over > 0)
    }

    /// Takes what a bad message costs. The debt is one such message at most: who stops is within the
    /// ration again a moment later.
    fn charge(&mut self, now: u32, source: IpAddr) {
        let (rate, weight) = (self.rate, self.bad_weight);
        for bucket in self.buckets(now, source).into_iter().flatten() {
            bucket.level = bucket.level.saturating_add(weight).min(rate.saturating_add(weight));
        }
    }

    /// The buckets of a source, as full as they are now.
    fn buckets(&mut self, now: u32, source: IpAddr) -> [Option<&mut Bucket>; 2] {
        let source = network(source);
        if self.last.0 != source {
            self.last = (source, self.key.hash_one(source));
        }
        let (mut hash, rate) = (self.last.1, u64::from(self.rate));
        self.rows.each_mut().map(|row| {
            let place = hash % BUCKETS as u64;
            hash = hash.rotate_right(u64::BITS / 2);
            let bucket = row.get_mut(usize::try_from(place).unwrap_or(0))?;
            bucket.leak(now, rate);
            Some(bucket)
        })
    }
}

impl Bucket {
    fn leak(&mut self, now: u32, rate: u64) {
        let elapsed = now.wrapping_sub(self.at);
        if elapsed == 0 {
            return;
        }
        let leaked = u64::from(elapsed).saturating_mul(rate) / 1000;
        if leaked >= u64::from(self.level) {
            *self = Self { level: 0, at: now };
        } else {
            // Below the level, so that it fits; the part of a unit that is left over leaks later.
            let leaked = u32::try_from(leaked).unwrap_or(self.level);
            let took = u64::from(leaked).saturating_mul(1000).div_ceil(rate.max(1));
            self.level = self.level.saturating_sub(leaked);
            self.at = self.at.wrapping_add(u32::try_from(took).unwrap_or(elapsed));
        }
    }
}

/// What a source is known by.
fn network(source: IpAddr) -> u64 {
    match source.to_canonical() {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        // Never that of an IPv4 address: such a network begins with zeros only in reserved ones.
        IpAddr::V6(v6) => u64::try_from(v6.to_bits() >> 64).unwrap_or(u64::MAX),
    }
}
