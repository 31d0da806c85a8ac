//! Request-URI and Route before and after.

use sip_message::{HeaderName, Limits, Message, Request, Transport};
use sip_transport::{Flow, ListenerId, Local, Locals};

use super::{Names, own_uri, postprocess, preprocess};

fn request(uri: &str, routes: &str) -> Request {
    let route = if routes.is_empty() { String::new() } else { format!("Route: {routes}\r\n") };
    let text = format!(
        "MESSAGE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\n{route}\
         From: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\n\
         Content-Length: 0\r\n\r\n"
    );
    match Message::parse(text.into(), &Limits::default()).unwrap() {
        Message::Request(request) => request,
        Message::Response(_) => panic!("a request"),
    }
}

fn said(request: &Request) -> (String, String) {
    let routes: Vec<String> = request
        .headers()
        .raw_all(HeaderName::Route)
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect();
    (String::from_utf8_lossy(request.uri_bytes()).into_owned(), routes.join(","))
}

/// The proxy at 192.0.2.1:5060 for UDP, p.example.com:5061 for TLS, which serves example.com.
fn prepared(uri: &str, routes: &str) -> (String, String) {
    let locals = Locals::new([
        Local::new(ListenerId::new(0), Transport::Udp, ([192, 0, 2, 1], 5060).into()),
        Local::new(ListenerId::new(1), Transport::Tls, ([192, 0, 2, 1], 5061).into())
            .with_sent_by("p.example.com"),
    ]);
    let domains = ["example.com".into()];
    let flow = Flow {
        transport: Transport::Udp,
        listener: ListenerId::new(0),
        connection: None,
        remote: ([192, 0, 2, 9], 5060).into(),
    };
    let mut request = request(uri, routes);
    preprocess(&mut request, &flow, Names { locals: &locals, domains: &domains }, None).unwrap();
    said(&request)
}

#[test]
fn behind_a_nat_box_it_is_known_by_the_addresses_of_both_sides() {
    let local = Local::new(ListenerId::new(0), Transport::Udp, ([0, 0, 0, 0], 5060).into())
        .by_interface([192, 168, 1, 5].into())
        .with_sent_by("sip.example.com:5070");
    let locals = Locals::new([local]);
    let names = Names { locals: &locals, domains: &[] };
    for (uri, is_ours) in [
        ("sip:sip.example.com:5070", true),
        ("sip:192.168.1.5:5060", true),
        ("sip:192.168.1.5", true),
        ("sip:127.0.0.1:5060", true),
        ("sip:sip.example.com", false),
        ("sip:192.168.1.5:5070", false),
        ("sip:192.168.1.6:5060", false),
    ] {
        assert_eq!(names.is_listener(&uri.parse().unwrap()), is_ours, "{uri}");
    }
}

#[test]
fn a_route_of_ours_is_taken_off() {
    for (routes, left) in [
        ("<sip:192.0.2.1;lr>", ""),
        ("<sip:192.0.2.1:5060;lr>,<sip:192.0.2.7;lr>", "<sip:192.0.2.7;lr>"),
        ("<sips:p.example.com;lr>", ""),
        ("<sip:p.example.com:5061;transport=tls;lr>,<sip:192.0.2.1;lr>", ""),
        ("<sip:example.com;lr>", ""),
        ("<sip:192.0.2.1:5070;lr>", "<sip:192.0.2.1:5070;lr>"),
        ("<sip:192.0.2.7;lr>,<sip:192.0.2.1;lr>", "<sip:192.0.2.7;lr>,<sip:192.0.2.1;lr>"),
        ("<sip:bob@example.com>", "<sip:bob@example.com>"),
    ] {
        let uri = "sip:b@192.0.2.8";
        assert_eq!(prepared(uri, routes), (uri.into(), left.into()), "{routes}");
    }
}

#[test]
fn a_listener_for_websocket_says_ws_with_tls_below_or_not() {
    let uri = |transport, sent_by: &str, is_secure| {
        let local = Local::new(ListenerId::new(0), transport, ([192, 0, 2, 1], 443).into())
            .with_sent_by(sent_by);
        own_uri(&local, is_secure, None).unwrap().to_string()
    };
    for (transport, sent_by, is_secure, wanted) in [
        (Transport::Ws, "p.example.com", false, "sip:p.example.com;transport=ws;lr"),
        (Transport::Wss, "p.example.com:8443", false, "sip:p.example.com:8443;transport=ws;lr"),
        (Transport::Wss, "p.example.com", false, "sip:p.example.com:443;transport=ws;lr"),
        (Transport::Wss, "p.example.com", true, "sips:p.example.com;transport=ws;lr"),
    ] {
        assert_eq!(uri(transport, sent_by, is_secure), wanted);
    }
}

#[test]
fn what_a_strict_router_sends_is_put_right() {
    let (uri, routes) = prepared("sip:192.0.2.1;lr", "<sip:192.0.2.7;lr>,<sip:b@192.0.2.8>");
    assert_eq!((uri.as_str(), routes.as_str()), ("sip:b@192.0.2.8", "<sip:192.0.2.7;lr>"));
    // A Request-URI of ours without `lr` is for somebody here.
    let (uri, _) = prepared("sip:192.0.2.1", "<sip:192.0.2.7;lr>");
    assert_eq!(uri, "sip:192.0.2.1");
}

#[test]
fn a_maddr_of_ours_is_taken_off() {
    for (uri, left) in [
        ("sip:b@example.com;maddr=192.0.2.1", "sip:b@example.com"),
        ("sip:b@example.com;maddr=192.0.2.1;transport=udp", "sip:b@example.com"),
        ("sip:b@192.0.2.9;maddr=EXAMPLE.com", "sip:b@192.0.2.9"),
        // On another transport it leads to another door of ours, and has to go there.
        (
            "sip:b@example.com;maddr=192.0.2.1;transport=tcp",
            "sip:b@example.com;maddr=192.0.2.1;transport=tcp",
        ),
        ("sip:b@example.com;maddr=192.0.2.7", "sip:b@example.com;maddr=192.0.2.7"),
    ] {
        assert_eq!(prepared(uri, "").0, left);
    }
}

fn sent(uri: &str, routes: &str) -> (String, String, String) {
    let mut request = request(uri, routes);
    let hop = postprocess(&mut request).unwrap();
    let (uri, routes) = said(&request);
    (uri, routes, hop.as_str().into())
}

#[test]
fn the_next_hop_is_the_first_route_or_the_request_uri() {
    let b = "sip:b@192.0.2.8";
    assert_eq!(sent(b, ""), (b.into(), "".into(), b.into()));
    let route = "<sip:192.0.2.7;lr>";
    assert_eq!(sent(b, route), (b.into(), route.into(), "sip:192.0.2.7;lr".into()));
}

#[test]
fn a_strict_router_gets_the_request_as_it_wants_it() {
    let (uri, routes, hop) = sent("sip:b@192.0.2.8", "<sip:192.0.2.7>,<sip:192.0.2.6;lr>");
    assert_eq!(uri, "sip:192.0.2.7");
    assert_eq!(routes, "<sip:192.0.2.6;lr>,<sip:b@192.0.2.8>");
    assert_eq!(hop, "sip:192.0.2.7");
}

#[test]
fn a_sips_request_leaves_by_tls_whatever_its_route_says() {
    let (_, _, hop) = sent("sips:b@192.0.2.8", "<sip:192.0.2.7:5070;lr>");
    assert_eq!(hop, "sips:192.0.2.7:5070");
}
