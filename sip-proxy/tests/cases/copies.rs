//! What the proxy changes of a message that it passes on, and what it leaves as it is (RFC 3261 §16.6, §16.7).

use sip_message::{HeaderName, Headers, Message, Method, Request};
use sip_proxy::{Route, RouteTarget};
use sip_transaction::NextHop;
use sip_transport::Target;

use crate::stage::{BOB, Stage, phone, raw, reply};

/// Header fields known, unknown, repeated, of one value or of several, and a body that is no text.
const ODD: &str = "X-First: 1\r\n\
    Subject: lunch\r\n\
    Supported: a, b\r\n\
    X-Many: one\r\n\
    Warning: 301 isi.edu \"bad\"\r\n\
    x-MANY: two, three\r\n\
    Supported: c\r\n\
    Call-Info: <http://a.example/>;purpose=icon\r\n\
    Record-Route: <sip:192.0.2.60;lr>, <sip:192.0.2.61;lr>\r\n\
    Record-Route: <sip:192.0.2.62;lr>\r\n\
    Content-Type: application/x-odd\r\n";
const BODY: &[u8] = b"\x00\xff\r\n\r\nINVITE sip:a@b SIP/2.0\r\n";

/// All fields in their order but those.
fn fields(headers: &Headers, but: &[HeaderName<'_>]) -> Vec<(String, Vec<u8>)> {
    let kept = headers.iter().filter(|field| !but.contains(&field.name()));
    kept.map(|field| (field.name().as_str().to_owned(), field.value().to_vec())).collect()
}

fn with_odd_body(text: &str) -> Vec<u8> {
    let text = text.replace("Content-Length: 0", &format!("Content-Length: {}", BODY.len()));
    [text.as_bytes(), BODY].concat()
}

fn parsed(bytes: &[u8]) -> Message {
    Message::parse(bytes.to_vec().into(), &sip_message::Limits::default()).unwrap()
}

/// A request of Alice's, the number of whose branch is `branch`.
fn odd(method: &Method, branch: u8) -> Vec<u8> {
    let text = crate::stage::request(method, BOB, &format!("Max-Forwards: 9\r\n{ODD}"));
    with_odd_body(&text.replace("z9hG4bKalice", &format!("z9hG4bKalice{branch}")))
}

#[test]
fn a_forwarded_request_keeps_its_fields_their_order_and_its_body() {
    use HeaderName::{MaxBreadth, MaxForwards, RecordRoute, Via};
    let mut stage = Stage::parallel(2);
    for (method, branch) in
        [Method::Invite, Method::Other("FROBNICATE".into()), Method::Message].into_iter().zip(0..)
    {
        let bytes = odd(&method, branch);
        let Message::Request(received) = parsed(&bytes) else { panic!("a request") };
        stage.recv(10, &bytes);
        for last in [11, 12] {
            let copy = stage.request(last, &method);
            let but = [Via, MaxForwards, MaxBreadth, RecordRoute];
            assert_eq!(fields(copy.headers(), &but), fields(received.headers(), &but));
            assert_eq!(copy.body(), BODY);
            assert_eq!(copy.uri_bytes(), phone(last).as_bytes());
            assert_eq!(copy.headers().max_forwards(), Some(8));
            // The proxy's own values come before those that there were, and these stay what they were.
            let vias = raw(copy.headers(), Via);
            assert_eq!(vias.len(), 2);
            assert!(vias[0].starts_with("SIP/2.0/UDP 192.0.2.1:5060;"), "{vias:?}");
            assert!(vias[0].contains(";branch=z9hG4bK"), "{vias:?}");
            let alice = raw(received.headers(), Via).remove(0);
            assert!(vias[1].starts_with(&alice), "{vias:?}");
            let recorded = raw(copy.headers(), RecordRoute).join(", ");
            let before = raw(received.headers(), RecordRoute).join(", ");
            let own = if method == Method::Message { "" } else { "<sip:192.0.2.1:5060;lr>, " };
            assert_eq!(recorded, format!("{own}{before}"), "{method}");
        }
        let branch = |last| stage.request(last, &method).headers().branch().unwrap().to_owned();
        assert_ne!(branch(11), branch(12), "each is a transaction of its own");
    }
}

#[test]
fn a_forwarded_response_keeps_all_but_the_topmost_via() {
    let mut stage = Stage::parallel(1);
    stage.recv(10, odd(&Method::Invite, 0));
    let invite = stage.request(11, &Method::Invite);
    for (status, tag) in [(180, "ring"), (183, "other"), (200, "taken")] {
        let answer = with_odd_body(&reply(&invite, status, tag, ODD));
        let Message::Response(sent) = parsed(&answer) else { panic!("a response") };
        assert_eq!(stage.recv(11, &answer), [format!("{status} > 10")]);
        let got = stage.response(10, status);
        assert_eq!(
            fields(got.headers(), &[HeaderName::Via]),
            fields(sent.headers(), &[HeaderName::Via])
        );
        assert_eq!(got.headers().to_tag(), Some(tag));
        assert_eq!(got.body(), BODY);
        let via = raw(sent.headers(), HeaderName::Via);
        assert_eq!(raw(got.headers(), HeaderName::Via), via[1..]);
    }
    stage.finish();
}

/// RFC 3261 §16.7 item 9: what the proxy noted beside the Via of the one before it stays there.
#[test]
fn what_was_noted_of_where_a_request_came_from_stays_in_the_response() {
    let mut stage = Stage::parallel(1);
    let invite = crate::stage::request(&Method::Invite, BOB, "")
        .replace("192.0.2.10:5060;branch", "alice.example:5080;rport;branch");
    stage.recv(10, &invite);
    assert_eq!(stage.answer(11, 200), ["200 > 10"]);
    let via = raw(stage.response(10, 200).headers(), HeaderName::Via).remove(0);
    assert!(via.contains(";received=192.0.2.10"), "{via}");
    assert!(via.contains(";rport=5060"), "{via}");
    stage.finish();
}

/// No tag is put into a response that has none, and none is changed in one to a request within a dialog.
#[test]
fn the_to_of_a_response_passes_as_it_is() {
    let mut stage = Stage::parallel(1);
    stage.invite("");
    let bare = reply(&stage.request(11, &Method::Invite), 180, "x", "").replace(";tag=x", "");
    assert_eq!(stage.recv(11, bare), ["180 > 10"]);
    assert_eq!(stage.response(10, 180).headers().to_tag(), None);
    stage.answer(11, 200);
    stage.finish();

    for status in [200, 404, 480] {
        let mut stage = Stage::parallel(1);
        let within = crate::stage::request(&Method::Info, BOB, "")
            .replace("To: <sip:bob@example.com>", "To: <sip:bob@example.com>;tag=known");
        assert_eq!(stage.recv(10, within), ["INFO > 11"]);
        stage.answer_to(11, &Method::Info, status, "");
        assert_eq!(stage.response(10, status).headers().to_tag(), Some("known"));
        stage.finish();
    }
}

/// RFC 3261 §16.3: the same request by two ways is two requests to a proxy; whoever answers it merges them.
#[test]
fn a_request_that_comes_by_two_ways_is_forwarded_twice() {
    let mut stage = Stage::parallel(1);
    assert_eq!(stage.recv(10, odd(&Method::Invite, 1)), ["INVITE > 11", "100 > 10"]);
    assert_eq!(stage.recv(9, odd(&Method::Invite, 2)), ["INVITE > 11", "100 > 9"]);
}

fn routed(target: impl Fn() -> RouteTarget + 'static, more: &str) -> (Request, u8) {
    let mut stage = Stage::new(move |_| Route::groups(vec![vec![target()]]));
    stage.invite(more);
    let (to, _) = stage.sent[0].clone();
    (stage.request(to, &Method::Invite), to)
}

/// RFC 3261 §16.6 item 6: the proxies that the request has to visit, and item 7: the one that it goes to whatever
/// its Route says.
#[test]
fn routes_are_pushed_before_those_there_are_and_a_next_hop_takes_their_place() {
    let via = |last: u8| format!("sip:192.0.2.{last};lr").parse().unwrap();
    let (request, to) = routed(move || RouteTarget::new(phone(11)).via([via(41), via(42)]), "");
    let routes = raw(request.headers(), HeaderName::Route).join(", ");
    assert_eq!((routes.as_str(), to), ("<sip:192.0.2.41;lr>, <sip:192.0.2.42;lr>", 41));
    assert_eq!(request.uri_bytes(), phone(11).as_bytes());

    let hop = || {
        NextHop::Target(Target::new(sip_message::Transport::Udp, ([192, 0, 2, 50], 5060).into()))
    };
    let (request, to) = routed(move || RouteTarget::new(phone(11)).over(hop()), "");
    assert_eq!(to, 50);
    assert!(!request.headers().contains(HeaderName::Route));
}

/// RFC 3261 §16.5: by the rules of equality of URIs; but phones that are reached by two ways are two.
#[test]
fn a_target_that_is_named_twice_is_tried_once() {
    let mut stage = Stage::new(|_| {
        let target = |uri: &str| RouteTarget::new(uri.parse().unwrap());
        Route::groups(vec![
            vec![
                target("sip:bob@192.0.2.11"),
                target("SIP:bob@192.0.2.11"),
                target("sip:bob@192.0.2.12"),
            ],
            vec![target("sip:b%6fb@192.0.2.11"), target("sip:Bob@192.0.2.11")],
        ])
    });
    assert_eq!(stage.invite(""), ["INVITE > 11", "INVITE > 12", "100 > 10"]);
    stage.answer(11, 404);
    assert_eq!(stage.answer(12, 404), ["ACK > 12", "INVITE > 11"], "another user of that host");
    assert_eq!(stage.request(11, &Method::Invite).uri_bytes(), b"sip:Bob@192.0.2.11");
    assert_eq!(stage.answer(11, 200), ["200 > 10"]);
    stage.finish();

    let mut stage = Stage::new(|_| {
        let by = |last: u8| {
            RouteTarget::new(phone(11)).via([format!("sip:192.0.2.{last};lr").parse().unwrap()])
        };
        Route::groups(vec![vec![by(41), by(42), by(41)]])
    });
    assert_eq!(stage.invite(""), ["INVITE > 41", "INVITE > 42", "100 > 10"]);
}

/// RFC 3261 §16.6 item 2: of the target as of what came in.
#[test]
fn what_no_request_uri_may_have_is_taken_off() {
    let odd = "sip:bob@192.0.2.11;method=BYE;x=1?Subject=a";
    let mut stage = Stage::new(move |_| Route::to(odd.parse().unwrap()));
    stage.invite("");
    assert_eq!(stage.request(11, &Method::Invite).uri_bytes(), b"sip:bob@192.0.2.11;x=1");
    // For another domain it goes on as it came.
    let mut stage = Stage::new(|_| panic!("it must not be asked"));
    stage.recv(10, crate::stage::request(&Method::Invite, "sip:bob@192.0.2.11;method=BYE;x=1", ""));
    assert_eq!(stage.request(11, &Method::Invite).uri_bytes(), b"sip:bob@192.0.2.11;x=1");
}
