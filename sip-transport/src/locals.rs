//! The addresses an endpoint listens on, and how it names itself.

use core::net::{IpAddr, SocketAddr};

use sip_message::Transport;

use crate::ListenerId;

/// One address an endpoint listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// Its place in the list.
    pub id: ListenerId,
    /// The protocol below SIP.
    pub transport: Transport,
    /// The address bound, with the real port.
    pub addr: SocketAddr,
    /// What Via and Contact say: `host:port`, an IPv6 address in brackets.
    pub sent_by: Box<str>,
    /// Whether connections are accepted here, and not only opened from here.
    pub listens: bool,
    /// Whether `sent_by` was given, and is not an address that we took for ours: no other is better then.
    pub is_advertised: bool,
    /// The address of the interface by which others reach it, where all of them are listened on.
    pub interface: Option<IpAddr>,
}

impl Local {
    /// A listener whose Via and Contact say the address itself, without the link of a link-local one,
    /// which is our own number for it.
    pub fn new(id: ListenerId, transport: Transport, addr: SocketAddr) -> Self {
        let named = SocketAddr::new(addr.ip(), addr.port());
        Self {
            id,
            transport,
            addr,
            sent_by: named.to_string().into_boxed_str(),
            listens: true,
            is_advertised: false,
            interface: None,
        }
    }

    /// Whether this is an address of the listener: the one that is bound, or where all are, loopback and that of its
    /// [`interface`](Self::interface). Of other interfaces nothing is known.
    pub fn has_ip(&self, ip: IpAddr) -> bool {
        let bound = self.addr.ip();
        bound == ip
            || bound.is_unspecified()
                && bound.is_ipv4() == ip.is_ipv4()
                && (ip.is_loopback() || self.interface == Some(ip))
    }

    /// An address as it is reached from this listener: a link-local one that does not say on which link is
    /// on the listener's own.
    pub fn scoped(&self, mut remote: SocketAddr) -> SocketAddr {
        if let (SocketAddr::V6(to), SocketAddr::V6(from)) = (&mut remote, self.addr)
            && to.ip().is_unicast_link_local()
            && to.scope_id() == 0
        {
            to.set_scope_id(from.scope_id());
        }
        remote
    }

    /// The same, from which connections are only opened.
    pub const fn dial_only(mut self) -> Self {
        self.listens = false;
        self
    }

    /// The same, known to others by another name: the public side of a NAT, or a host name.
    pub fn with_sent_by(mut self, sent_by: &str) -> Self {
        self.sent_by = sent_by.into();
        self.is_advertised = true;
        self
    }

    /// The same, listening on all interfaces and reached by that with this address.
    pub fn by_interface(mut self, ip: IpAddr) -> Self {
        self.interface = Some(ip);
        self
    }

    /// The same, reached at this address (`host` or `host:port`) as far as we can tell: that of an interface
    /// while all are listened on, or one that others see.
    pub fn reached_at(mut self, sent_by: &str) -> Self {
        self.sent_by = sent_by.into();
        self
    }
}

/// The addresses an endpoint listens on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Locals {
    list: Vec<Local>,
}

impl Locals {
    /// The list; each element's `id` becomes its place. Those beyond 65,536 are left out.
    pub fn new(list: impl IntoIterator<Item = Local>) -> Self {
        let list = (0..=u16::MAX)
            .zip(list)
            .map(|(index, local)| Local { id: ListenerId::new(index), ..local })
            .collect();
        Self { list }
    }

    /// The listener with that id.
    pub fn get(&self, id: ListenerId) -> Option<&Local> {
        self.list.get(usize::from(id.index()))
    }

    /// The listener from which a message goes to `remote`: the first of that transport and of the
    /// remote's address family. One that is bound to loopback is passed over for a remote that is
    /// not on loopback, since nothing sent from there arrives.
    pub fn select(&self, transport: Transport, remote: &SocketAddr) -> Option<&Local> {
        let fits = |local: &&Local| {
            local.transport == transport && local.addr.is_ipv4() == remote.is_ipv4()
        };
        let reaches = |local: &&Local| remote.ip().is_loopback() || !local.addr.ip().is_loopback();
        self.list
            .iter()
            .find(|local| fits(local) && reaches(local))
            .or_else(|| self.list.iter().find(fits))
    }

    /// The first listener of that transport.
    pub fn first(&self, transport: Transport) -> Option<&Local> {
        self.list.iter().find(|local| local.transport == transport)
    }

    /// All, in order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Local> {
        self.list.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locals() -> Locals {
        let of = |transport, addr: &str| {
            Local::new(ListenerId::new(9), transport, addr.parse().unwrap())
        };
        Locals::new([
            of(Transport::Udp, "127.0.0.1:5060"),
            of(Transport::Udp, "192.0.2.1:5060"),
            of(Transport::Udp, "[::1]:5060"),
            of(Transport::Tcp, "0.0.0.0:5060").with_sent_by("203.0.113.9:5070"),
        ])
    }

    #[test]
    fn ids_are_places() {
        let locals = locals();
        assert_eq!(locals.len(), 4);
        for (index, local) in locals.iter().enumerate() {
            assert_eq!(usize::from(local.id.index()), index);
            assert_eq!(locals.get(local.id), Some(local));
        }
        assert_eq!(locals.get(ListenerId::new(4)), None);
    }

    #[test]
    fn selects_by_transport_family_and_reach() {
        let locals = locals();
        let select = |transport, remote: &str| {
            locals.select(transport, &remote.parse().unwrap()).map(|local| local.id.index())
        };
        assert_eq!(select(Transport::Udp, "127.0.0.1:1"), Some(0));
        assert_eq!(select(Transport::Udp, "198.51.100.1:1"), Some(1));
        assert_eq!(select(Transport::Udp, "[2001:db8::1]:1"), Some(2), "better than none");
        assert_eq!(select(Transport::Tcp, "198.51.100.1:1"), Some(3));
        assert_eq!(select(Transport::Tcp, "[::1]:1"), None);
    }

    #[test]
    fn a_listener_on_all_interfaces_has_loopback_and_the_address_of_the_one_in_use() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let locals = locals();
        let one = locals.get(ListenerId::new(1)).unwrap();
        assert!(one.has_ip(ip("192.0.2.1")));
        assert!(!one.has_ip(ip("127.0.0.1")));
        let all = locals.get(ListenerId::new(3)).unwrap().clone();
        assert!(all.has_ip(ip("127.0.0.1")) && !all.has_ip(ip("::1")));
        assert!(!all.has_ip(ip("192.168.1.5")));
        assert!(all.by_interface(ip("192.168.1.5")).has_ip(ip("192.168.1.5")));
    }

    #[test]
    fn an_ipv6_sent_by_has_brackets() {
        let locals = locals();
        assert_eq!(&*locals.get(ListenerId::new(2)).unwrap().sent_by, "[::1]:5060");
    }
}
