//! Addresses on the command line and in the output.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use sip_message::{Host, NameAddr, Uri};
use sip_transport::{ListenAddr, Locals};

/// Reads a SIP URI from the command line; `alice@example.com` means `sip:alice@example.com`.
///
/// # Errors
///
/// What is wrong with it.
pub fn parse_uri(text: &str) -> Result<Uri<'static>, String> {
    let schemed = text.to_ascii_lowercase();
    let schemed = ["sip:", "sips:", "tel:"].iter().any(|scheme| schemed.starts_with(scheme));
    let text = if schemed { text.to_owned() } else { format!("sip:{text}") };
    text.parse().map_err(|error| format!("{error}"))
}

/// Listeners on free ports, for who only calls out: UDP and TCP over the IP version of `to`.
#[must_use]
pub fn free_listeners(to: &Uri<'_>) -> Vec<ListenAddr> {
    let any = if matches!(to.host(), Some(Host::V6(_))) { "[::]:0" } else { "0.0.0.0:0" };
    ["udp", "tcp"].iter().filter_map(|scheme| format!("{scheme}:{any}").parse().ok()).collect()
}

/// The listener that others know by `host`, and by the port that it listens on.
///
/// # Errors
///
/// If the system is to choose the port, or `host` is no name of a host and no address.
pub fn advertised(listener: ListenAddr, host: &str) -> Result<ListenAddr, String> {
    if listener.addr().port() == 0 {
        return Err(format!("{listener} cannot be advertised: write which port it has"));
    }
    let host = match host.parse() {
        Ok(IpAddr::V6(ip)) => format!("[{ip}]"),
        _ => host.to_owned(),
    };
    let named = format!("{host}:{}", listener.addr().port());
    listener.with_advertised(&named).map_err(|error| error.to_string())
}

/// The address that peers reach the first listener by: where media is to go.
#[must_use]
pub fn local_ip(locals: &Locals) -> IpAddr {
    locals
        .iter()
        .find_map(|local| {
            let bound = local.addr.ip();
            // Then what Via says is the address that the system found for going out.
            let named = || local.sent_by.parse::<SocketAddr>().ok().map(|addr| addr.ip());
            if bound.is_unspecified() { named() } else { Some(bound) }
        })
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// The URI of a From or To, fit for a line of output.
#[must_use]
pub fn shown(address: &NameAddr<'_>) -> String {
    address.uri().to_string().chars().filter(|char| !char.is_control()).collect()
}
