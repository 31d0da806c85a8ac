use super::*;
use Transport::{Sctp, Tcp, Tls, Udp, Ws, Wss};

#[test]
fn names_ports_and_natures() {
    for (transport, name, port, reliable, secure) in [
        (Udp, "UDP", 5060, false, false),
        (Tcp, "TCP", 5060, true, false),
        (Tls, "TLS", 5061, true, true),
        (Sctp, "SCTP", 5060, true, false),
        (Ws, "WS", 80, true, false),
        (Wss, "WSS", 443, true, true),
    ] {
        assert_eq!(transport.as_str(), name);
        assert_eq!(transport.default_port(), port);
        assert_eq!((transport.is_reliable(), transport.is_secure()), (reliable, secure), "{name}");
        assert_eq!(name.parse(), Ok(transport));
        assert_eq!(name.to_lowercase().parse(), Ok(transport));
    }
}

#[test]
fn others_are_not_known() {
    for name in ["", "UD", "UDPX", "T%6CS", "TLS-SCTP", "DTLS"] {
        assert_eq!(name.parse::<Transport>(), Err(UnknownTransport), "{name}");
    }
}

#[test]
fn which_keep_messages_apart_and_which_are_websocket() {
    for (transport, message_oriented, websocket) in [
        (Udp, true, false),
        (Tcp, false, false),
        (Tls, false, false),
        (Sctp, true, false),
        (Ws, true, true),
        (Wss, true, true),
    ] {
        assert_eq!(transport.is_message_oriented(), message_oriented, "{transport}");
        assert_eq!(transport.is_websocket(), websocket, "{transport}");
    }
}
