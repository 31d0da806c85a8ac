//! Binding the addresses of an endpoint, and naming them.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sip_message::{Host, Transport};
#[cfg(feature = "tcp")]
use socket2::{Domain, Protocol, Socket, Type};
#[cfg(feature = "tcp")]
use tokio::net::TcpListener;

#[cfg(feature = "tcp")]
use super::BACKLOG;
use super::Listener;
#[cfg(feature = "tcp")]
use super::layered::Layer;
#[cfg(feature = "udp")]
use super::udp::Udp;
use crate::{Config, ListenAddr, ListenerId, Local, Locals};

/// Binds every address, and the TCP listeners that belong beside the UDP ones.
pub(super) fn bind_all(
    addrs: &[ListenAddr],
    config: &Config,
) -> io::Result<(Vec<Listener>, Locals)> {
    let mut listeners = Vec::new();
    let mut locals = Vec::new();
    let mut beside = Vec::new();
    for addr in addrs {
        let (listener, partner) = bind_one(addr, addrs, &locals, config)?;
        locals.push(local(addr, &listener)?);
        listeners.push(listener);
        beside.extend(partner);
    }
    for (addr, listener) in beside {
        locals.push(local(&addr, &listener)?);
        listeners.push(listener);
    }
    Ok((listeners, Locals::new(locals)))
}

fn bind_one(
    addr: &ListenAddr,
    addrs: &[ListenAddr],
    locals: &[Local],
    config: &Config,
) -> io::Result<Bound> {
    let _ = (addrs, locals);
    match addr.transport() {
        #[cfg(feature = "udp")]
        Transport::Udp => bind_udp(addr, addrs, config),
        other if !is_spoken(other, config) => {
            let text = format!("cannot listen on {addr}: no {} here", other.as_str());
            Err(io::Error::new(io::ErrorKind::Unsupported, text))
        }
        #[cfg(feature = "tls")]
        other if other.is_secure() && !addr.is_dial_only() && !can_serve(config) => {
            let text = format!("cannot listen on {addr}: there is no certificate to show");
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        }
        _ if addr.is_dial_only() => Ok((Listener::DialOnly(addr.addr()), None)),
        #[cfg(feature = "tcp")]
        Transport::Tcp => Ok((bind_beside(addr, locals)?, None)),
        #[cfg(feature = "tcp")]
        _ => Ok((bind_tcp(addr)?, None)),
        #[cfg(not(feature = "tcp"))]
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Whether this build and the configuration have that transport.
fn is_spoken(transport: Transport, config: &Config) -> bool {
    let _ = config;
    match transport {
        Transport::Udp => cfg!(feature = "udp"),
        Transport::Tcp => cfg!(feature = "tcp"),
        #[cfg(feature = "tcp")]
        other => Layer::of(other, config).is_some(),
        #[cfg(not(feature = "tcp"))]
        _ => false,
    }
}

#[cfg(feature = "tls")]
fn can_serve(config: &Config) -> bool {
    config.tls.as_ref().is_some_and(crate::tls::Tls::can_serve)
}

type Bound = (Listener, Option<(ListenAddr, Listener)>);

/// Binds UDP, and TCP on the same port unless that is in the list itself.
#[cfg(feature = "udp")]
fn bind_udp(addr: &ListenAddr, addrs: &[ListenAddr], config: &Config) -> io::Result<Bound> {
    let _ = addrs;
    // RFC 3261 §18.2.1: "For any port and interface that a server listens on for UDP, it MUST
    // listen on that same port and interface for TCP."
    #[cfg(feature = "tcp")]
    {
        let listed =
            |other: &ListenAddr| other.transport() == Transport::Tcp && other.addr() == addr.addr();
        if config.tcp_beside_udp && !addrs.iter().any(listed) {
            return bind_both(addr, config);
        }
    }
    let udp = Udp::bind(addr.addr(), config).map_err(|error| bind_error(addr, &error))?;
    Ok((Listener::Udp(udp), None))
}

#[cfg(all(feature = "udp", feature = "tcp"))]
fn bind_both(addr: &ListenAddr, config: &Config) -> io::Result<Bound> {
    // A port that the system chose for UDP may be taken for TCP: then it chooses again.
    let attempts = if addr.addr().port() == 0 { PORT_ATTEMPTS } else { 1 };
    let mut attempt = 1;
    loop {
        let udp = Udp::bind(addr.addr(), config).map_err(|error| bind_error(addr, &error))?;
        let tcp = retarget(addr, Transport::Tcp, udp.local_addr()?);
        match bind_tcp(&tcp) {
            Ok(listener) => return Ok((Listener::Udp(udp), Some((tcp, listener)))),
            Err(_) if attempt < attempts => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Attempts to find a port that is free for UDP and for TCP.
#[cfg(all(feature = "udp", feature = "tcp"))]
const PORT_ATTEMPTS: u32 = 16;

/// Binds TCP; where the system chooses the port, on that of a UDP listener of the same address if
/// it is free, so that RFC 3261 §18.2.1 holds for these too.
#[cfg(feature = "tcp")]
fn bind_beside(addr: &ListenAddr, locals: &[Local]) -> io::Result<Listener> {
    let partner = locals
        .iter()
        .find(|local| local.transport == Transport::Udp && local.addr.ip() == addr.addr().ip());
    if addr.addr().port() == 0
        && let Some(partner) = partner
        && let Ok(listener) = bind_tcp(&retarget(addr, Transport::Tcp, partner.addr))
    {
        return Ok(listener);
    }
    bind_tcp(addr)
}

#[cfg(feature = "tcp")]
fn bind_tcp(addr: &ListenAddr) -> io::Result<Listener> {
    let bind = || {
        let domain = Domain::for_address(addr.addr());
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        if addr.addr().is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // So that a restart need not wait for old connections to time out.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&addr.addr().into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    let listener = bind().map_err(|error| bind_error(addr, &error))?;
    Ok(Listener::Tcp { listener, pause: None })
}

fn bind_error(addr: &ListenAddr, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen on {addr}: {error}"))
}

#[cfg(feature = "tcp")]
fn retarget(addr: &ListenAddr, transport: Transport, to: SocketAddr) -> ListenAddr {
    let other = ListenAddr::new(transport, to);
    match addr.advertised() {
        Some(advertised) => other.clone().with_advertised(advertised).unwrap_or(other),
        None => other,
    }
}

fn local(addr: &ListenAddr, listener: &Listener) -> io::Result<Local> {
    let bound = match listener {
        #[cfg(feature = "udp")]
        Listener::Udp(udp) => udp.local_addr(),
        #[cfg(feature = "tcp")]
        Listener::Tcp { listener, .. } => listener.local_addr(),
        Listener::DialOnly(addr) => Ok::<_, io::Error>(*addr),
    }?;
    let local = by_interface(Local::new(ListenerId::new(0), addr.transport(), bound));
    let local = match addr.advertised() {
        Some(advertised) => local.with_sent_by(advertised),
        None if addr.is_dial_only() && addr.transport().is_websocket() => {
            local.with_sent_by(&invalid_host())
        }
        None if addr.is_dial_only() => {
            local.reached_at(&Host::from(reachable_ip(bound.ip())).to_string())
        }
        // An address and a port by which every server that follows the rules comes back to us:
        // RFC 3261 §18.1.1: "It also MUST be prepared to receive incoming connections on any address
        // and port that would be selected by a server based on the procedures described in Section 5
        // of [4]."
        // RFC 3261 §18.1.1: "The client MUST be prepared to receive responses on any address and port
        // that would be selected by a server based on the procedures described in Section 5 of [4]."
        None => {
            let named = SocketAddr::new(reachable_ip(bound.ip()), bound.port());
            local.reached_at(&named.to_string())
        }
    };
    Ok(if addr.is_dial_only() { local.dial_only() } else { local })
}

/// The listener, which knows by which interface it is reached now.
fn by_interface(local: Local) -> Local {
    match local.addr.ip() {
        ip if ip.is_unspecified() => local.by_interface(reachable_ip(ip)),
        _ => local,
    }
}

/// The listeners with the names that they have now, and those whose address is gone.
pub(super) fn rebound(locals: &Locals) -> (Locals, Vec<ListenerId>) {
    let is_lost = |local: &&Local| {
        let ip = local.addr.ip();
        let bind = || std::net::UdpSocket::bind(with_port(local.addr, 0));
        // Other errors say nothing of the address.
        !ip.is_unspecified()
            && bind().is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
    };
    let lost = locals.iter().filter(is_lost).map(|local| local.id).collect();
    let renamed = locals.iter().cloned().map(by_interface).map(|local| {
        if local.is_advertised {
            return local;
        }
        let ip = reachable_ip(local.addr.ip());
        let name = if local.listens {
            SocketAddr::new(ip, local.addr.port()).to_string()
        } else {
            Host::from(ip).to_string()
        };
        local.reached_at(&name)
    });
    (Locals::new(renamed), lost)
}

fn with_port(mut addr: SocketAddr, port: u16) -> SocketAddr {
    addr.set_port(port);
    addr
}

/// How a client over WebSocket names itself, since nobody can connect to it.
// RFC 7118 §B.1: "A SIP WebSocket Client running in such an environment can construct a domain name consisting
// of a random token followed by the ".invalid" top-level domain name, as stated in [RFC2606], and uses it
// within its Via and Contact headers."
fn invalid_host() -> String {
    // The keys of a new hasher are random.
    format!("{:016x}.invalid", RandomState::new().hash_one(0_u64))
}

/// The address by which others reach a listener bound to `ip`: for the unspecified address the one
/// from which the system would send to the Internet, or loopback if it has no route.
fn reachable_ip(ip: IpAddr) -> IpAddr {
    if !ip.is_unspecified() {
        return ip;
    }
    // Addresses for documentation (RFC 5737, RFC 3849): connecting a UDP socket asks for a route
    // and sends nothing.
    let (any, far, loopback) = match ip {
        IpAddr::V4(_) => (
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            IpAddr::V4(Ipv4Addr::LOCALHOST),
        ),
        IpAddr::V6(_) => (
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ),
    };
    let routed = || {
        let socket = std::net::UdpSocket::bind((any, 0))?;
        socket.connect((far, 5060))?;
        Ok::<_, io::Error>(socket.local_addr()?.ip())
    };
    match routed() {
        Ok(ip) if !ip.is_unspecified() => ip,
        _ => loopback,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listened_on_is_named_anew_and_what_is_gone_reported() {
        let of = |transport, addr: &str| {
            Local::new(ListenerId::new(0), transport, addr.parse().unwrap())
        };
        let before = Locals::new([
            // An address that this machine took for its own on another network.
            of(Transport::Udp, "0.0.0.0:5060").reached_at("198.51.100.77:5060"),
            of(Transport::Udp, "0.0.0.0:5062").with_sent_by("sip.example.com"),
            of(Transport::Tls, "0.0.0.0:0").dial_only().reached_at("198.51.100.77"),
            of(Transport::Udp, "127.0.0.1:5060"),
            // RFC 5737: nobody has it.
            of(Transport::Udp, "203.0.113.77:5060"),
        ]);
        let (after, lost) = rebound(&before);
        let name = |index| &*after.get(ListenerId::new(index)).unwrap().sent_by;
        let here = reachable_ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        assert_eq!(name(0), format!("{here}:5060"));
        assert_eq!(name(1), "sip.example.com");
        assert_eq!(name(2), here.to_string());
        assert_eq!((name(3), name(4)), ("127.0.0.1:5060", "203.0.113.77:5060"));
        assert_eq!(lost, [ListenerId::new(4)]);
        let rest = |locals: &Locals| {
            let of = |local: &Local| (local.id, local.addr, local.listens, local.is_advertised);
            locals.iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(rest(&before), rest(&after));
    }
}
