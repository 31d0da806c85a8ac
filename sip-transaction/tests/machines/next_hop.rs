//! Where a request goes, what its Via says, and what happens when it cannot go there.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sip_message::{Request, Transport};
use sip_transaction::{ClientKey, Config, Endpoint, Event, NextHop, Output, RequestError};
use sip_transport::locate::{Answer, LookupError, Naptr, Question, QuestionNumber, Srv};
use sip_transport::{Destination, Flow, Input, ListenerId, Local, Locals, Target, TransportError};

use crate::script::{Recorder, Run, US, answer, flow, header, input, outgoing, peer, request};

const NOTHING: [&str; 0] = [];

fn uri(text: &str) -> NextHop {
    NextHop::Uri(text.parse().unwrap())
}

impl Run {
    fn requests(&mut self, request: Request, hop: NextHop) -> Result<ClientKey, RequestError> {
        let now = self.start;
        let key =
            self.endpoint.with(now, |_, transactions| transactions.request(now, request, hop))?;
        self.client = Some(key);
        Ok(key)
    }

    /// The last question, and what it was about.
    fn question(&self) -> (u64, QuestionNumber, Question) {
        match self.other_outputs.last().unwrap() {
            Output::Resolve { id, number, question } => (*id, *number, question.clone()),
            other => panic!("no question: {other:?}"),
        }
    }

    /// Answers the last question.
    fn resolves(&mut self, result: Result<Answer, LookupError>) -> Vec<String> {
        let (id, number, _) = self.question();
        self.endpoint.handle_input(self.start, Input::Resolved { id, number, result });
        self.drain()
    }

    /// Answers that there are no records until the addresses of the host are asked for.
    fn resolves_host(&mut self, addresses: &[IpAddr]) -> Vec<String> {
        loop {
            let (_, _, question) = self.question();
            if question == Question::Host("example.com".into()) {
                return self.resolves(Ok(Answer::Host(addresses.to_vec())));
            }
            let open: Vec<_> = self.other_outputs.drain(..).collect();
            for output in open {
                let Output::Resolve { id, number, question } = output else { panic!() };
                let result = Ok(Answer::none(&question));
                self.endpoint.handle_input(self.start, Input::Resolved { id, number, result });
            }
            self.drain();
        }
    }
}

/// A request that is `len` bytes long when it leaves.
fn of_len(len: usize) -> Request {
    let mut probe = Run::new("udp");
    probe.requests(outgoing("MESSAGE"), uri("sip:192.0.2.2")).unwrap();
    probe.drain();
    let bare = probe.sent[0].payload.len();
    // The Content-Length of the filling has three or four digits instead of one.
    let digits = if len - bare - 3 >= 1_000 { 3 } else { 2 };
    let mut request = outgoing("MESSAGE");
    request.set_body(vec![b'x'; len - bare - digits]);
    request
}

#[test]
fn a_literal_address_is_used_at_once() {
    let cases = [
        ("sip:bob@192.0.2.2", Transport::Udp),
        ("sip:bob@192.0.2.2:5060", Transport::Udp),
        ("sip:bob@192.0.2.2;transport=udp", Transport::Udp),
        ("sip:bob@192.0.2.2;transport=TCP", Transport::Tcp),
        ("sip:bob@example.com;maddr=192.0.2.2;transport=tcp", Transport::Tcp),
    ];
    for (text, transport) in cases {
        let mut run = Run::new("udp");
        run.requests(outgoing("OPTIONS"), uri(text)).unwrap();
        assert_eq!(run.drain(), ["send OPTIONS"], "{text}");
        let via = header(&run.sent[0].payload, "Via")[0];
        assert!(via.starts_with(&format!("SIP/2.0/{} {US};branch=z9hG4bK", transport.as_str())));
        assert!(via.ends_with(";rport"), "{via}");
        let Destination::Target(target) = run.sent[0].destination else { panic!() };
        assert_eq!((target.transport, target.remote), (transport, peer()), "{text}");
    }
}

#[test]
fn the_via_goes_above_those_of_a_proxied_request() {
    let text = String::from_utf8(outgoing("OPTIONS").to_bytes().to_vec()).unwrap();
    let proxied = text.replacen("Max", "Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK7\r\nMax", 1);
    let mut run = Run::new("udp");
    run.requests(request(&proxied), uri("sip:192.0.2.2")).unwrap();
    run.drain();
    let vias = header(&run.sent[0].payload, "Via");
    assert_eq!(vias.len(), 2);
    assert!(vias[0].contains(US) && vias[1].contains("192.0.2.7"));
}

#[test]
fn what_cannot_be_sent_is_refused_at_once() {
    let mut run = Run::new("udp");
    let cases = [
        (outgoing("ACK"), uri("sip:192.0.2.2"), RequestError::Method),
        (outgoing("CANCEL"), uri("sip:192.0.2.2"), RequestError::Method),
        (outgoing("BYE"), uri("tel:+4930123456"), RequestError::NextHop),
        (outgoing("BYE"), uri("sip:192.0.2.2;transport=pigeon"), RequestError::NextHop),
        (outgoing("BYE"), uri("sip:example.com;transport=pigeon"), RequestError::NextHop),
        (outgoing("BYE"), uri("sips:192.0.2.2;transport=udp"), RequestError::NextHop),
        (
            outgoing("BYE"),
            uri("sip:[2001:db8::1]"),
            RequestError::Transport(TransportError::NoListener),
        ),
        (
            outgoing("BYE"),
            uri("sips:192.0.2.2"),
            RequestError::Transport(TransportError::NoListener),
        ),
    ];
    for (request, hop, error) in cases {
        assert_eq!(run.requests(request, hop.clone()), Err(error), "{hop:?}");
    }
    let mut mismatched = outgoing("BYE");
    mismatched.headers_mut().set_raw(sip_message::HeaderName::CSeq, b"7 INFO").unwrap();
    assert_eq!(run.requests(mismatched, uri("sip:192.0.2.2")), Err(RequestError::CSeq));
    assert_eq!(run.drain(), NOTHING);
    run.assert_over();
}

#[test]
fn the_table_of_transactions_has_an_end_but_bye_gets_through() {
    let mut run = Run::with("udp", Config::default().transactions(8));
    for _ in 0..8 {
        run.requests(outgoing("OPTIONS"), uri("sip:192.0.2.2")).unwrap();
    }
    let full = Err(RequestError::Full);
    assert_eq!(run.requests(outgoing("OPTIONS"), uri("sip:192.0.2.2")), full);
    for _ in 0..2 {
        run.requests(outgoing("BYE"), uri("sip:192.0.2.2")).unwrap();
    }
    assert_eq!(run.requests(outgoing("BYE"), uri("sip:192.0.2.2")), full, "an eighth and one more");
}

#[test]
fn a_name_is_resolved_and_then_used() {
    let mut run = Run::new("udp");
    run.requests(outgoing("OPTIONS"), uri("sip:bob@Example.com;transport=tcp")).unwrap();
    assert_eq!(run.drain(), ["resolve"]);
    assert_eq!(run.question().2, Question::Srv("_sip._tcp.example.com".into()));
    assert_eq!(run.resolves(Err(LookupError::NoSuchName)), ["resolve"]);
    assert_eq!(run.question().2, Question::Host("example.com".into()));
    // An address that we have no listener for is passed over.
    let addresses = vec!["2001:db8::2".parse().unwrap(), peer().ip()];
    assert_eq!(run.resolves(Ok(Answer::Host(addresses.clone()))), ["send OPTIONS"]);
    assert_eq!(run.sent[0].destination.transport(), Transport::Tcp);
    assert_eq!(run.sent[0].destination.remote(), peer());
    let ok = answer(&run.sent[0].payload.clone(), 200, "them");
    run.endpoint.handle_input(run.start, input(Transport::Tcp, &ok));
    assert_eq!(run.drain(), ["to_tu 200", "ended"]);
    // A second answer to the same question is nobody's.
    assert_eq!(run.resolves(Ok(Answer::Host(addresses))), NOTHING);
    run.assert_over();
}

#[test]
fn a_port_in_the_uri_is_kept() {
    let mut run = Run::new("udp");
    run.requests(outgoing("OPTIONS"), uri("sip:bob@example.com:5070")).unwrap();
    run.drain();
    assert_eq!(run.question().2, Question::Host("example.com".into()));
    let text = "2001:db8::2".parse().unwrap();
    assert_eq!(run.resolves(Ok(Answer::Host(vec![text, peer().ip()]))), ["send OPTIONS"]);
    assert_eq!(run.sent[0].destination.transport(), Transport::Udp);
    assert_eq!(run.sent[0].destination.remote().port(), 5070);
}

#[test]
fn a_domain_is_asked_for_its_services() {
    let mut run = Run::new("udp");
    run.requests(outgoing("OPTIONS"), uri("sip:bob@example.com")).unwrap();
    assert_eq!(run.drain(), ["resolve"]);
    assert_eq!(run.question().2, Question::Naptr("example.com".into()));
    let naptr = Naptr::new(1, 1, "SIP+D2T", "_sip._tcp.example.com");
    assert_eq!(run.resolves(Ok(Answer::Naptr(vec![naptr]))), ["resolve"]);
    let srv = Srv::new(0, 0, 5062, "192.0.2.2");
    assert_eq!(run.resolves(Ok(Answer::Srv(vec![srv]))), ["send OPTIONS"]);
    assert_eq!(run.sent[0].destination.transport(), Transport::Tcp);
    assert_eq!(run.sent[0].destination.remote().port(), 5062);
}

#[test]
fn a_name_without_an_address_is_a_transport_error() {
    let no_address = [&[][..], &["2001:db8::2".parse().unwrap()]];
    for addresses in no_address {
        let mut run = Run::new("udp");
        run.requests(outgoing("INVITE"), uri("sip:bob@example.com")).unwrap();
        run.drain();
        assert_eq!(run.resolves_host(addresses), ["to_tu transport_error", "ended"]);
        run.assert_over();
    }
}

#[test]
fn a_resolver_that_never_answers_is_a_transport_error_that_says_so() {
    let mut run = Run::new("udp");
    run.requests(outgoing("OPTIONS"), uri("sip:bob@example.com")).unwrap();
    run.drain();
    run.endpoint.handle_timeout(run.start + Duration::from_secs(32));
    let told = run.endpoint.user_mut().events.pop_front();
    let Some(Event::TransportError { error, .. }) = told.or_else(|| run.endpoint.poll_event())
    else {
        panic!("nothing was told")
    };
    assert_eq!(error, TransportError::NotLocated(LookupError::Timeout.into()));
    assert_eq!(run.drain(), ["ended"]);
    assert_eq!(run.resolves(Ok(Answer::Naptr(Vec::new()))), NOTHING);
    run.assert_over();
}

/// One of the hosts of a domain has name servers that do not answer.
#[test]
fn a_host_that_is_not_found_in_time_holds_up_nobody() {
    let mut run = Run::new("udp");
    run.requests(outgoing("OPTIONS"), uri("sip:bob@example.com;transport=udp")).unwrap();
    run.drain();
    let services = vec![Srv::new(1, 0, 5060, "slow.example"), Srv::new(2, 0, 5060, "b.example")];
    assert_eq!(run.resolves(Ok(Answer::Srv(services))), ["resolve", "resolve"]);
    let slow = run.other_outputs.remove(run.other_outputs.len() - 2);
    // The second host is known, and has to wait for the first for T1 at most.
    assert_eq!(run.resolves(Ok(Answer::Host(vec![peer().ip()]))), NOTHING);
    let due = run.endpoint.poll_timeout().unwrap();
    assert_eq!(due, run.start + Duration::from_millis(500));
    run.endpoint.handle_timeout(due);
    assert_eq!(run.drain(), ["send OPTIONS"]);
    // What comes after that is nobody's.
    let Output::Resolve { id, number, .. } = slow else { panic!() };
    let result = Ok(Answer::Host(vec![peer().ip()]));
    run.endpoint.handle_input(due, Input::Resolved { id, number, result });
    assert_eq!(run.drain(), NOTHING);
    let ok = answer(&run.sent[0].payload.clone(), 200, "them");
    run.endpoint.handle_input(due, input(Transport::Udp, &ok));
    assert_eq!(run.drain(), ["to_tu 200"]);
    run.endpoint.handle_timeout(due + Duration::from_secs(5));
    assert_eq!(run.drain(), ["ended"]);
    run.assert_over();
}

#[test]
fn an_invite_that_is_cancelled_before_its_address_is_known_ends_at_once() {
    let mut run = Run::new("udp");
    let key = run.requests(outgoing("INVITE"), uri("sip:bob@example.com")).unwrap();
    run.drain();
    let now = run.start;
    run.endpoint.with(now, |_, transactions| transactions.cancel(now, key));
    assert_eq!(run.drain(), ["to_tu timeout", "ended"]);
    assert_eq!(run.resolves(Ok(Answer::Naptr(Vec::new()))), NOTHING);
    run.assert_over();
}

#[test]
fn an_ack_goes_without_a_transaction() {
    let mut run = Run::new("udp");
    let now = run.start;
    for hop in [uri("sip:192.0.2.2"), uri("sip:bob@example.com")] {
        run.endpoint
            .with(now, |_, transactions| transactions.send_request(now, outgoing("ACK"), hop))
            .unwrap();
    }
    assert_eq!(run.drain(), ["send ACK", "resolve"]);
    assert_eq!(run.resolves_host(&[peer().ip()]), ["send ACK"]);
    let branch = |ack: &[u8]| header(ack, "Via")[0].to_owned();
    assert_ne!(branch(&run.sent[0].payload), branch(&run.sent[1].payload));
    assert_eq!(run.sent[0].token, 0, "nobody waits for news of it");
    run.assert_over();
}

#[test]
fn a_flow_is_gone_back_over() {
    let mut run = Run::new("tcp");
    let flow = flow(Transport::Tcp);
    run.requests(outgoing("OPTIONS"), NextHop::Flow(flow)).unwrap();
    assert_eq!(run.drain(), ["send OPTIONS"]);
    let Destination::Target(target) = run.sent[0].destination else { panic!() };
    assert_eq!(target.connection, flow.connection);
    assert_eq!(target.listener, Some(flow.listener));
}

/// Should its connection be closed by now, who takes the new one proves the domain that was asked for first.
#[test]
fn a_flow_of_tls_is_gone_back_over_for_a_domain() {
    let mut run = Run::new("udp");
    let addr: SocketAddr = US.parse().unwrap();
    run.endpoint = Endpoint::new(
        Config::default(),
        Locals::new([Local::new(ListenerId::new(0), Transport::Tls, addr)]),
        run.start,
        Recorder::default(),
    )
    .unwrap();
    let flow =
        Flow { transport: Transport::Tls, listener: ListenerId::new(0), ..flow(Transport::Tcp) };
    let uri = "sip:example.com;transport=tls".parse().unwrap();
    run.requests(outgoing("OPTIONS"), NextHop::FlowFor { flow, uri }).unwrap();
    assert_eq!(run.drain(), ["send OPTIONS"]);
    let Destination::Target(target) = run.sent[0].destination else { panic!() };
    assert_eq!((target.connection, target.remote), (flow.connection, flow.remote));
    assert_eq!(run.sent[0].domain.as_deref(), Some("example.com"));
}

#[test]
fn an_ipv4_address_in_the_clothes_of_an_ipv6_one_is_reached_by_ipv4() {
    let mut run = Run::new("udp");
    run.requests(outgoing("OPTIONS"), uri("sip:bob@[::ffff:192.0.2.2]")).unwrap();
    assert_eq!(run.drain(), ["send OPTIONS"]);
    assert_eq!(run.sent[0].destination.remote(), peer());

    let mut run = Run::new("udp");
    run.requests(outgoing("OPTIONS"), uri("sip:example.com")).unwrap();
    run.drain();
    assert_eq!(run.resolves_host(&["::ffff:192.0.2.2".parse().unwrap()]), ["send OPTIONS"]);
    assert_eq!(run.sent[0].destination.remote(), peer());
}

/// RFC 4007 §6: a link-local address means something on one link only, and a URI cannot say on which.
#[test]
fn a_link_local_address_is_reached_on_the_link_of_the_listener() {
    let mut run = Run::new("udp");
    let of = |addr: &str| Local::new(ListenerId::new(0), Transport::Udp, addr.parse().unwrap());
    run.endpoint = Endpoint::new(
        Config::default(),
        Locals::new([of("[fe80::1%7]:5060")]),
        run.start,
        Recorder::default(),
    )
    .unwrap();
    run.requests(outgoing("OPTIONS"), uri("sip:bob@[fe80::2]")).unwrap();
    let Some(Output::Transmit(sent)) = run.endpoint.poll_output() else { panic!() };
    assert_eq!(sent.destination.remote(), "[fe80::2%7]:5060".parse().unwrap());
    let via = header(&sent.payload, "Via")[0];
    assert!(via.starts_with("SIP/2.0/UDP [fe80::1]:5060;"), "our number of the link: {via}");
}

#[test]
fn a_request_that_udp_may_not_carry_goes_over_tcp() {
    for (len, mtu, transport) in [
        (1_300, None, Transport::Udp),
        (1_301, None, Transport::Tcp),
        (1_301, Some(9_000), Transport::Udp),
        (1_299, Some(1_500), Transport::Udp),
        (1_300, Some(1_500), Transport::Tcp),
    ] {
        let mut run = Run::with("udp", Config::default().path_mtu(mtu));
        run.requests(of_len(len), uri("sip:192.0.2.2")).unwrap();
        run.drain();
        let sent = &run.sent[0];
        assert_eq!(sent.payload.len(), len, "{mtu:?}");
        assert_eq!(sent.destination.transport(), transport, "{len} {mtu:?}");
        let via = header(&sent.payload, "Via")[0];
        assert!(via.starts_with(&format!("SIP/2.0/{} {US}", transport.as_str())), "{via}");
        assert_eq!(header(&sent.payload, "Via").len(), 1);
        assert_eq!(sent.destination.remote(), peer());
    }
}

#[test]
fn a_large_request_whose_connection_is_refused_goes_over_udp() {
    let mut run = Run::new("udp");
    run.requests(of_len(2_000), uri("sip:192.0.2.2")).unwrap();
    run.drain();
    let words = |text: &str| vec![text.to_owned()];
    assert_eq!(run.input(Duration::from_millis(10), &words("refused")), ["send MESSAGE"]);
    let sent = &run.sent[1];
    assert_eq!(sent.destination.transport(), Transport::Udp);
    let vias = header(&sent.payload, "Via");
    assert_eq!(vias.len(), 1);
    assert!(vias[0].starts_with(&format!("SIP/2.0/UDP {US};branch=z9hG4bK")), "{vias:?}");
    // Over UDP it is repeated, and if UDP fails as well there is nothing left to try.
    run.endpoint.handle_timeout(run.start + Duration::from_millis(510));
    assert_eq!(run.drain(), ["send MESSAGE"]);
    let failed = run.input(Duration::from_millis(600), &words("refused"));
    assert_eq!(failed, ["to_tu transport_error", "ended"]);
    run.assert_over();
}

#[test]
fn a_request_that_was_meant_for_tcp_does_not_fall_back() {
    let mut run = Run::new("udp");
    run.requests(of_len(2_000), uri("sip:192.0.2.2;transport=tcp")).unwrap();
    run.drain();
    let failed = run.input(Duration::ZERO, &["refused".to_owned()]);
    assert_eq!(failed, ["to_tu transport_error", "ended"]);
}

#[test]
fn without_a_tcp_listener_a_large_request_goes_as_it_can() {
    let only = Locals::new([Local::new(ListenerId::new(0), Transport::Udp, US.parse().unwrap())]);
    let mut run = Run::new("udp");
    run.endpoint =
        sip_transaction::Endpoint::new(Config::default(), only, run.start, Recorder::default())
            .unwrap();
    run.requests(of_len(2_000), uri("sip:192.0.2.2")).unwrap();
    run.drain();
    assert_eq!(run.sent[0].destination.transport(), Transport::Udp);
}

#[test]
fn a_multicast_request_names_its_group() {
    let mut run = Run::new("udp");
    let group: SocketAddr = "224.0.1.75:5060".parse().unwrap();
    run.requests(outgoing("REGISTER"), NextHop::Target(Target::new(Transport::Udp, group)))
        .unwrap();
    let Some(Output::Transmit(sent)) = run.endpoint.poll_output() else { panic!() };
    assert_eq!(sent.destination.remote(), group);
    let via = header(&sent.payload, "Via")[0];
    assert!(via.contains(";maddr=224.0.1.75") && via.contains(";ttl=1"), "{via}");
}
