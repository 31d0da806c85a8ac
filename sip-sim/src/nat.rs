//! NAT boxes: who is behind one reaches the world, and the world reaches back only as the box allows.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use sip_message::Transport;

/// A NAT box of a [`Network`](crate::Network).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NatId(pub(crate) usize);

/// What a NAT box lets in, by the names of RFC 3489 §5 (RFC 4787 §4 and §5 say the same in more words).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NatKind {
    /// One mapping for an inside address, open to everybody.
    FullCone,
    /// One mapping for an inside address, open to the hosts that were sent something by it.
    AddressRestricted,
    /// One mapping for an inside address, open to the hosts and ports that were sent something by it.
    PortRestricted,
    /// A mapping for each far end, open to that one.
    Symmetric,
}

impl NatKind {
    /// All kinds, the most open one first.
    pub const ALL: [Self; 4] =
        [Self::FullCone, Self::AddressRestricted, Self::PortRestricted, Self::Symmetric];
}

/// What a NAT box is like.
///
/// Its mappings are refreshed by what goes out; for streams, by traffic in either direction. A stream
/// that it has forgotten ends with a reset for the end that sends next. Nobody tells the other end.
/// Connections that come from outside are never let in, since nobody inside listens on the port of a
/// connection that was opened from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Nat {
    /// What it lets in.
    pub kind: NatKind,
    /// Its outer address.
    pub address: IpAddr,
    /// How long a mapping of UDP lives without a datagram from inside. Default 30 s, as little as boxes in
    /// homes give.
    pub udp_timeout: Duration,
    /// How long a stream may be silent. Default 5 minutes.
    pub stream_timeout: Duration,
    /// Whether what is sent from inside to the outer address comes back in. Default no.
    pub hairpin: bool,
}

impl Nat {
    /// A box of that kind with that outer address, which no node may have.
    pub const fn new(kind: NatKind, address: IpAddr) -> Self {
        Self {
            kind,
            address,
            udp_timeout: Duration::from_secs(30),
            stream_timeout: Duration::from_secs(300),
            hairpin: false,
        }
    }

    /// The same, whose mappings of UDP live that long.
    pub const fn with_udp_timeout(mut self, timeout: Duration) -> Self {
        self.udp_timeout = timeout;
        self
    }

    /// The same, whose streams may be silent that long.
    pub const fn with_stream_timeout(mut self, timeout: Duration) -> Self {
        self.stream_timeout = timeout;
        self
    }

    /// The same, that lets those inside reach one another by its outer address.
    pub const fn with_hairpin(mut self) -> Self {
        self.hairpin = true;
        self
    }
}

/// A box with what it remembers.
#[derive(Debug)]
pub(crate) struct NatBox {
    pub(crate) nat: Nat,
    /// In order of their making, so that equal runs find equal mappings.
    mappings: Vec<Mapping>,
    last_port: u16,
}

#[derive(Debug)]
struct Mapping {
    transport: Transport,
    inside: SocketAddr,
    /// The one far end of a symmetric box.
    remote: Option<SocketAddr>,
    port: u16,
    /// The far ends that were sent something, and until when that counts.
    sent_to: BTreeMap<SocketAddr, Instant>,
}

impl NatBox {
    pub(crate) const fn new(nat: Nat) -> Self {
        Self { nat, mappings: Vec::new(), last_port: 20_000 }
    }

    /// Forgets everything; ports are not used again.
    pub(crate) fn reboot(&mut self) {
        self.mappings.clear();
    }

    /// Something goes out: the address that the far end sees.
    pub(crate) fn outbound(
        &mut self,
        now: Instant,
        transport: Transport,
        inside: SocketAddr,
        remote: SocketAddr,
    ) -> SocketAddr {
        self.mappings.retain(|mapping| mapping.lives(now));
        let one = (self.nat.kind == NatKind::Symmetric).then_some(remote);
        let found = self.mappings.iter().position(|mapping| {
            mapping.transport == transport && mapping.inside == inside && mapping.remote == one
        });
        let index = found.unwrap_or_else(|| {
            let port = self.free_port();
            let sent_to = BTreeMap::new();
            self.mappings.push(Mapping { transport, inside, remote: one, port, sent_to });
            self.mappings.len() - 1
        });
        let until = now + self.timeout(transport);
        let address = self.nat.address;
        match self.mappings.get_mut(index) {
            Some(mapping) => {
                mapping.sent_to.retain(|_, until| *until > now);
                // RFC 4787 §4.3 (REQ-6): what goes out refreshes, in every box.
                mapping.sent_to.insert(remote, until);
                SocketAddr::new(address, mapping.port)
            }
            None => SocketAddr::new(address, 0),
        }
    }

    /// Something comes from outside to a port: the inside address it goes to, if it is let in.
    pub(crate) fn inbound(
        &self,
        now: Instant,
        transport: Transport,
        port: u16,
        remote: SocketAddr,
    ) -> Option<SocketAddr> {
        let mapping = self.mappings.iter().find(|mapping| {
            mapping.transport == transport && mapping.port == port && mapping.lives(now)
        })?;
        let mut open = mapping.sent_to.iter().filter(|(_, until)| **until > now);
        let is_let_in = match self.nat.kind {
            NatKind::FullCone => true,
            NatKind::AddressRestricted => open.any(|(to, _)| to.ip() == remote.ip()),
            NatKind::PortRestricted | NatKind::Symmetric => open.any(|(to, _)| *to == remote),
        };
        is_let_in.then_some(mapping.inside)
    }

    /// Something goes over a stream that was opened from inside; whether the box still knows it.
    pub(crate) fn passes(
        &mut self,
        now: Instant,
        transport: Transport,
        inside: SocketAddr,
        remote: SocketAddr,
    ) -> bool {
        let until = now + self.timeout(transport);
        let known = self
            .mappings
            .iter_mut()
            .filter(|mapping| mapping.transport == transport && mapping.inside == inside)
            .find_map(|mapping| mapping.sent_to.get_mut(&remote));
        match known {
            Some(known) if *known > now => {
                *known = until;
                true
            }
            _ => false,
        }
    }

    fn timeout(&self, transport: Transport) -> Duration {
        if transport.is_reliable() { self.nat.stream_timeout } else { self.nat.udp_timeout }
    }

    fn free_port(&mut self) -> u16 {
        loop {
            self.last_port = self.last_port.checked_add(1).unwrap_or(20_001);
            let port = self.last_port;
            if self.mappings.iter().all(|mapping| mapping.port != port) {
                return port;
            }
        }
    }
}

impl Mapping {
    fn lives(&self, now: Instant) -> bool {
        self.sent_to.values().any(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UDP: Transport = Transport::Udp;
    const SECOND: Duration = Duration::from_secs(1);

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn new_box(kind: NatKind) -> NatBox {
        NatBox::new(Nat::new(kind, at("203.0.113.1:0").ip()))
    }

    #[test]
    fn each_kind_lets_in_whom_it_says() {
        let (inside, far) = (at("10.0.0.2:5060"), at("192.0.2.1:5060"));
        let (same_host, stranger) = (at("192.0.2.1:5080"), at("192.0.2.9:5060"));
        let let_in = NatKind::ALL.map(|kind| {
            let (mut nat, now) = (new_box(kind), Instant::now());
            let seen = nat.outbound(now, UDP, inside, far);
            assert_eq!(seen.ip(), nat.nat.address);
            [far, same_host, stranger].map(|remote| {
                let to = nat.inbound(now, UDP, seen.port(), remote);
                assert!(to.is_none() || to == Some(inside));
                assert_eq!(nat.inbound(now, UDP, seen.port() + 1, remote), None, "no such port");
                assert_eq!(nat.inbound(now, Transport::Tcp, seen.port(), remote), None);
                to.is_some()
            })
        });
        let (yes, no) = (true, false);
        assert_eq!(let_in, [[yes, yes, yes], [yes, yes, no], [yes, no, no], [yes, no, no]]);
    }

    #[test]
    fn only_a_symmetric_box_has_a_mapping_for_each_far_end() {
        let (inside, now) = (at("10.0.0.2:5060"), Instant::now());
        let far = [at("192.0.2.1:5060"), at("192.0.2.2:5060"), at("192.0.2.1:5060")];
        for kind in NatKind::ALL {
            let mut nat = new_box(kind);
            let [one, other, again] = far.map(|far| nat.outbound(now, UDP, inside, far));
            assert_eq!(one, again);
            assert_eq!(one != other, kind == NatKind::Symmetric, "{kind:?}");
            assert_ne!(nat.outbound(now, UDP, at("10.0.0.3:5060"), far[0]), one, "another host");
        }
    }

    #[test]
    fn a_mapping_lives_as_long_as_it_is_refreshed_from_inside() {
        let (inside, far) = (at("10.0.0.2:5060"), at("192.0.2.1:5060"));
        for kind in NatKind::ALL {
            let (mut nat, mut now) = (new_box(kind), Instant::now());
            let seen = nat.outbound(now, UDP, inside, far);
            for _ in 0..10 {
                now += 29 * SECOND;
                assert_eq!(nat.inbound(now, UDP, seen.port(), far), Some(inside));
                assert_eq!(nat.outbound(now, UDP, inside, far), seen);
            }
            // What comes in refreshes nothing.
            assert_eq!(nat.inbound(now + 29 * SECOND, UDP, seen.port(), far), Some(inside));
            assert_eq!(nat.inbound(now + 30 * SECOND, UDP, seen.port(), far), None);
            assert_ne!(nat.outbound(now + 30 * SECOND, UDP, inside, far), seen, "a new mapping");
        }
    }

    #[test]
    fn a_box_that_is_rebooted_gives_other_ports() {
        let (inside, far, now) = (at("10.0.0.2:5060"), at("192.0.2.1:5060"), Instant::now());
        let mut nat = new_box(NatKind::FullCone);
        let before = nat.outbound(now, UDP, inside, far);
        nat.reboot();
        assert_eq!(nat.inbound(now, UDP, before.port(), far), None);
        assert_ne!(nat.outbound(now, UDP, inside, far), before);
    }

    #[test]
    fn streams_have_a_time_of_their_own_and_either_side_refreshes_them() {
        let (inside, far, now) = (at("10.0.0.2:5060"), at("192.0.2.1:5060"), Instant::now());
        let mut nat = new_box(NatKind::PortRestricted);
        assert!(!nat.passes(now, Transport::Tcp, inside, far));
        nat.outbound(now, Transport::Tcp, inside, far);
        assert!(nat.passes(now + 299 * SECOND, Transport::Tcp, inside, far));
        assert!(nat.passes(now + 598 * SECOND, Transport::Tcp, inside, far));
        assert!(!nat.passes(now + 898 * SECOND, Transport::Tcp, inside, far));
    }
}
