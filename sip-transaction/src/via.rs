//! Stand-in for the Via rules of sip-transport.
use sip_message::{HeaderName, Request, Via};
use sip_transport::{Destination, Flow, Locals, Target};
use std::net::SocketAddr;

pub(crate) fn stamp(request: &mut Request, source: SocketAddr) {
    let Some(via) = request.headers().top_via() else { return };
    let mut via = via.to_static();
    let wants_port = via.rport().is_some();
    if wants_port {
        via = via.with_param("rport", Some(&source.port().to_string())).unwrap_or(via);
    }
    if wants_port || via.host().ip() != Some(source.ip()) {
        via = via.with_param("received", Some(&source.ip().to_string())).unwrap_or(via);
    } else {
        return;
    }
    request.headers_mut().pop_front(HeaderName::Via);
    request.headers_mut().push_front(&via);
}

pub(crate) fn response_target(via: &Via<'_>, flow: &Flow) -> (Destination, Option<Target>) {
    let port = via.port().unwrap_or(flow.transport.default_port());
    let ip = via.received().or(via.host().ip()).unwrap_or(flow.remote.ip());
    if flow.transport.is_reliable() {
        let fallback = Target::new(flow.transport, SocketAddr::new(ip, port));
        return (Destination::Flow(*flow), Some(fallback));
    }
    if let Some(ip) = via.maddr().and_then(|maddr| maddr.ip()) {
        let target = Target::new(flow.transport, SocketAddr::new(ip, port));
        return (Destination::Target(target.with_listener(flow.listener)), None);
    }
    let remote = match via.rport() {
        Some(Some(port)) => SocketAddr::new(ip, port),
        _ => SocketAddr::new(ip, port),
    };
    (Destination::Flow(Flow { remote, ..*flow }), None)
}

pub(crate) fn check_response_via(via: &Via<'_>, locals: &Locals) -> bool {
    locals.iter().any(|local| local.sent_by.eq_ignore_ascii_case(via.sent_by()))
}
