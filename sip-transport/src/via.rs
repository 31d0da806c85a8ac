//! What the transport layer does with the top Via: RFC 3261 §18.1.1, §18.1.2, §18.2.1, §18.2.2 and
//! RFC 3581.

use core::net::{IpAddr, SocketAddr};

use sip_message::{HeaderError, HeaderName, Host, Request, Response, Transport, Via};

use crate::{Destination, Flow, Local, Locals, Target};

/// The Via that a request gets on its way to `target` from the listener `local`: its sent-by, the
/// branch, `rport`, and with `keep` the offer of keep-alives (RFC 6223).
///
/// # Errors
///
/// If `branch` is no token, or [`Local::sent_by`] no host with or without a port.
pub fn request_via(
    local: &Local,
    target: &Target,
    branch: &str,
    keep: bool,
) -> Result<Via<'static>, HeaderError> {
    request_via_with(local, target, branch, keep, "")
}

/// The same with more parameters, as they are written: `;alias`.
///
/// # Errors
///
/// As for [`request_via`], or if `more` are no parameters.
pub fn request_via_with(
    local: &Local,
    target: &Target,
    branch: &str,
    keep: bool,
    more: &str,
) -> Result<Via<'static>, HeaderError> {
    // RFC 3261 §18.1.1: "Before a request is sent, the client transport MUST insert a value of the
    // "sent-by" field into the Via header field."
    // RFC 3261 §18.1.1: "If this causes a change in the transport protocol from the one indicated
    // in the top Via, the value in the top Via MUST be changed."
    // RFC 3581 §3: "This parameter MUST have no value; it serves as a flag to indicate to the
    // server that this extension is supported and requested for the transaction."
    let via = match more {
        "" => Via::new_with(target.transport, &local.sent_by, branch, ";rport")?,
        more => {
            let params = format!(";rport{more}");
            Via::new_with(target.transport, &local.sent_by, branch, &params)?
        }
    };
    let group = target.remote.ip();
    if !group.is_multicast() {
        // RFC 6223 §4.3: "it MUST insert a "keep" parameter in the topmost Via
        // header field that it adds to the request, to indicate willingness to
        // send keep-alives."
        return if keep { via.with_keep(None) } else { Ok(via) };
    }
    // RFC 3261 §18.1.1: "A client that sends a request to a multicast address MUST add the "maddr"
    // parameter to its Via header field value containing the destination multicast address, and for
    // IPv4, SHOULD add the "ttl" parameter with a value of 1."
    let via = via.with_param("maddr", Some(&Host::from(group).to_string()))?;
    if group.is_ipv4() { via.with_param("ttl", Some("1")) } else { Ok(via) }
}

/// Marks the top Via of a request that arrived with where it came from, over WebSocket too: RFC 7118 §5.3
/// leaves that to the server, and who asks for `rport` wants to know.
///
/// A `received` or `rport` that claims an address already is overwritten: only the one who takes a
/// request in may say where it came from, or else responses could be sent to a third party.
pub fn stamp(request: &mut Request, source: SocketAddr) {
    if let Some(via) = request.headers().top_via().and_then(|via| stamped(&via, source)) {
        let headers = request.headers_mut();
        headers.pop_front(HeaderName::Via);
        headers.push_front(&via);
    }
}

/// Has [`stamp`] treat a request as if it had asked for `rport`: behind a NAT box, its sender gets no response that
/// goes where Via says. It is no use to who listens on another port than it sends from, and says so.
pub fn ask_for_rport(request: &mut Request) {
    let via = request.headers().top_via().filter(|via| via.rport().is_none());
    if let Some(via) = via.map(|via| via.with_rport()) {
        let headers = request.headers_mut();
        headers.pop_front(HeaderName::Via);
        headers.push_front(&via);
    }
}

/// The Via as it shall be, if it is not yet.
fn stamped(via: &Via<'_>, source: SocketAddr) -> Option<Via<'static>> {
    let ip = source.ip().to_canonical();
    // RFC 3261 §18.2.1: "When the server transport receives a request over any transport, it MUST
    // examine the value of the "sent-by" parameter in the top Via header field value. If the host
    // portion of the "sent-by" parameter contains a domain name, or if it contains an IP address
    // that differs from the packet source address, the server MUST add a "received" parameter to
    // that Via header field value."
    let differs = host_ip(via.host()) != Some(ip);
    let claims = via.param("received").is_some();
    let rport = via.rport();
    if !differs && !claims && rport.is_none() {
        return None;
    }
    // RFC 3261 §18.2.1: "This parameter MUST contain the source address from which the packet was
    // received."
    // RFC 3581 §4: "the server MUST insert a "received" parameter containing the source IP address
    // that the request came from, even if it is identical to the value of the "sent-by" component"
    let via = via.with_param("received", Some(&ip.to_string())).ok()?;
    if rport.is_none() {
        return Some(via);
    }
    // RFC 3581 §4: "If this Via header field value contains an "rport" parameter with no value, it
    // MUST set the value of the parameter to the source port of the request."
    via.with_param("rport", Some(&source.port().to_string())).ok()
}

/// Where a response goes, by its top Via and the flow on which its request came; and where it goes
/// if that connection is gone.
///
/// Whether the transport is reliable is asked of the flow, which cannot be wrong about it. An
/// `maddr` that is a host name is passed over.
pub fn response_target(via: &Via<'_>, flow: &Flow) -> (Destination, Option<Target>) {
    // RFC 3261 §18.2.2: "The server transport uses the value of the top Via header field in order to
    // determine where to send a response. It MUST follow the following process:"
    let ip = via.received().unwrap_or_else(|| flow.remote.ip()).to_canonical();
    // RFC 3261 §18.1.1: "If the port is absent, the default value depends on the transport. It is
    // 5060 for UDP, TCP and SCTP, 5061 for TLS."
    let port = via.port().unwrap_or_else(|| flow.transport.default_port());
    // RFC 7118 §5.3: "Given the fact that SIP responses can only be sent over the existing WebSocket
    // connection, the Via "received" parameter is of little use."
    if flow.transport.is_websocket() {
        return (Destination::Flow(*flow), None);
    }
    if flow.transport.is_reliable() {
        // RFC 3261 §18.2.2: "If the "sent-protocol" is a reliable transport protocol such as TCP or
        // SCTP, or TLS over those, the response MUST be sent using the existing connection to the
        // source of the original request that created the transaction, if that connection is still
        // open."
        // RFC 3261 §18.2.2: "If that connection is no longer open, the server SHOULD open a
        // connection to the IP address in the "received" parameter, if present, using the port in
        // the "sent-by" value, or the default port for that transport, if no port is specified."
        let target = Target::new(flow.transport, on_the_link(SocketAddr::new(ip, port), flow));
        return (Destination::Flow(*flow), Some(target.with_listener(flow.listener)));
    }
    let to = |ip, port| Target::new(flow.transport, on_the_link(SocketAddr::new(ip, port), flow));
    let target = if let Some(maddr) = via.maddr().and_then(host_ip) {
        // RFC 3261 §18.2.2: "Otherwise, if the Via header field value contains a "maddr" parameter,
        // the response MUST be forwarded to the address listed there, using the port indicated in
        // "sent-by", or port 5060 if none is present."
        // RFC 3261 §18.2.2: "If the address is a multicast address, the response SHOULD be sent
        // using the TTL indicated in the "ttl" parameter, or with a TTL of 1 if that parameter is
        // not present."
        to(maddr, port).with_ttl(via.ttl().unwrap_or(1))
    } else if let (Some(received), Some(Some(rport))) = (via.received(), via.rport()) {
        // RFC 3581 §4: "there is no "maddr" parameter, but there is both a "received" parameter
        // and an "rport" parameter, the response MUST be sent to the IP address listed in the
        // "received" parameter, and the port in the "rport" parameter."
        to(received, rport)
    } else {
        // RFC 3261 §18.2.2: "Otherwise (for unreliable unicast transports), if the top Via has a
        // "received" parameter, the response MUST be sent to the address in the "received"
        // parameter, using the port indicated in the "sent-by" value, or using port 5060 if none is
        // specified explicitly."
        // RFC 3261 §18.2.2: "Otherwise, if it is not receiver-tagged, the response MUST be sent to
        // the address indicated by the "sent-by" value"
        // That is the source address then: from any other it would have been tagged.
        to(ip, port)
    };
    // A socket that takes IPv4 as well may name an IPv4 address as an IPv6 one.
    let is_source = target.remote.ip().to_canonical() == flow.remote.ip().to_canonical()
        && target.remote.port() == flow.remote.port();
    if is_source {
        return (Destination::Flow(*flow), None);
    }
    // RFC 3581 §4: "The response MUST be sent from the same address and port that the corresponding
    // request was received on."
    (Destination::Target(target.with_listener(flow.listener)), None)
}

/// An address on the link from which the flow comes: link-local addresses mean something on one link only,
/// and no header field says which (RFC 4007 §6).
fn on_the_link(mut to: SocketAddr, flow: &Flow) -> SocketAddr {
    if let (SocketAddr::V6(to), SocketAddr::V6(from)) = (&mut to, flow.remote)
        && to.ip().is_unicast_link_local()
    {
        to.set_scope_id(from.scope_id());
    }
    to
}

/// Whether a response answers a request of ours; if not, it is dropped.
pub fn is_own_response(locals: &Locals, response: &Response) -> bool {
    // RFC 3261 §18.1.2: "When a response is received, the client transport examines the top Via
    // header field value. If the value of the "sent-by" parameter in that header field value does
    // not correspond to a value that the client transport is configured to insert into requests, the
    // response MUST be silently discarded."
    response.headers().top_via().is_some_and(|via| is_own_via(locals, &via))
}

/// Whether a Via names one of these listeners, so that this endpoint wrote it, or claims to have.
pub fn is_own_via(locals: &Locals, via: &Via<'_>) -> bool {
    let as_written = |local: &Local| local.sent_by.eq_ignore_ascii_case(via.sent_by());
    locals.iter().any(as_written) || locals.iter().any(|local| is_equivalent(local, via))
}

/// The same host and port, differently written.
fn is_equivalent(local: &Local, via: &Via<'_>) -> bool {
    let default =
        |transport: Option<Transport>| transport.unwrap_or(local.transport).default_port();
    let Some((host, port)) = split_sent_by(&local.sent_by) else { return false };
    host == via.host()
        && port.unwrap_or(default(None)) == via.port().unwrap_or(default(via.transport()))
}

fn split_sent_by(text: &str) -> Option<(Host<'_>, Option<u16>)> {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            Some((Host::parse(host)?, Some(port.parse().ok()?)))
        }
        _ => Some((Host::parse(text)?, None)),
    }
}

fn host_ip(host: Host<'_>) -> Option<IpAddr> {
    host.ip().map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests;
