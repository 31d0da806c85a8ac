//! The endpoint: what comes in broken, too much, or twice; and that all of it repeats by its seed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip_message::{Limits, StreamFramer, Transport};
use sip_transaction::{Config, Output};
use sip_transport::tls::Peer;
use sip_transport::{Destination, Input};

use crate::script::{Run, answer, flow, header, incoming, input, peer};

const NOTHING: [&str; 0] = [];

fn datagram(bytes: &[u8]) -> Input {
    Input::Datagram { flow: flow(Transport::Udp), payload: Bytes::copy_from_slice(bytes) }
}

impl Run {
    fn takes(&mut self, input: Input) -> Vec<String> {
        self.endpoint.handle_input(self.start, input);
        self.drain()
    }
}

#[test]
fn what_is_not_sip_is_dropped_from_a_datagram() {
    let mut run = Run::new("udp");
    for rubbish in [&b""[..], b"\r\n\r\n", b"\0\0\0\0", b"GET / HTTP/1.1\r\n\r\n", b"hello"] {
        assert_eq!(run.takes(datagram(rubbish)), ["blame"], "{rubbish:?}");
    }
    run.assert_over();
}

#[test]
fn what_is_not_sip_closes_a_connection() {
    let mut run = Run::new("tcp");
    assert_eq!(run.takes(input(Transport::Tcp, "GET / HTTP/1.1\r\n\r\n")), ["blame", "close"]);
    assert_eq!(
        run.other_outputs,
        [Output::Close(flow(Transport::Tcp).connection.unwrap())],
        "that connection"
    );
    assert_eq!(run.endpoint.stats().dropped_malformed, 1);
    // A response whose status is none is dropped alone: the next message may be good.
    assert_eq!(run.takes(input(Transport::Tcp, "SIP/2.0 4294967301 ?\r\nl: 0\r\n\r\n")), ["blame"]);
    assert_eq!(run.endpoint.stats().dropped_malformed, 2);
}

#[test]
fn a_stream_that_cannot_be_framed_gets_one_400_and_is_closed() {
    let whole = incoming("OPTIONS", "z9hG4bK-1", "", Transport::Tcp);
    let broken = whole.replace("Content-Length: 0", "Content-Length: -1");
    let error_of = |text: &str| {
        StreamFramer::new(Limits::default()).next(text.as_bytes()).expect_err("it can be framed")
    };
    let malformed_by = |text: &str, error| Input::Malformed {
        flow: flow(Transport::Tcp),
        payload: Bytes::copy_from_slice(text.as_bytes()),
        error,
    };
    let malformed = |text: &str| malformed_by(text, error_of(&broken));
    let mut run = Run::new("tcp");
    assert_eq!(run.takes(malformed(&broken)), ["blame", "send 400", "close"]);
    // What would do as a datagram is not framed on a stream all the same.
    let endless = whole.replace("Content-Length: 0\r\n", "");
    let answers = run.takes(malformed_by(&endless, error_of(&endless)));
    assert_eq!(answers, ["blame", "send 400", "close"]);
    let huge = whole.replace("Content-Length: 0", "Content-Length: 99999999");
    assert_eq!(run.takes(malformed_by(&huge, error_of(&huge))), ["blame", "send 513", "close"]);
    // Neither rubbish nor an ACK has an answer.
    assert_eq!(run.takes(malformed("hello")), ["blame", "close"]);
    assert_eq!(run.takes(malformed(&broken.replace("OPTIONS", "ACK"))), ["blame", "close"]);
    run.assert_over();
}

#[test]
fn a_request_that_is_not_acceptable_gets_its_status_without_a_transaction() {
    let good = incoming("OPTIONS", "z9hG4bK-1", "", Transport::Udp);
    let cases = [
        (good.replace("9 OPTIONS", "9 INFO"), "send 400"),
        (good.replace("Call-ID: call-2@192.0.2.2\r\n", ""), "send 400"),
        (good.replace("alice@192.0.2.1 SIP/2.0", "alice@192.0.2.1 SIP/7.0"), "send 505"),
    ];
    for (bad, answer) in cases {
        let mut run = Run::new("udp");
        assert_eq!(run.takes(input(Transport::Udp, &bad)), ["blame", answer], "{bad}");
        assert_eq!(run.takes(input(Transport::Udp, &bad)), ["blame", answer], "{bad}: again");
        assert_eq!(run.sent[0], run.sent[1], "the same answer each time");
        assert!(header(&run.sent[0].payload, "To")[0].contains(";tag="));
        assert_eq!(run.endpoint.stats().refused_invalid, 2);
        run.assert_over();
    }
}

#[test]
fn a_refusal_says_what_is_wrong() {
    let mut run = Run::new("udp");
    let good = incoming("OPTIONS", "z9hG4bK-1", "", Transport::Udp);
    run.takes(input(Transport::Udp, &good.replace("Call-ID: call-2@192.0.2.2\r\n", "")));
    let text = String::from_utf8_lossy(&run.sent[0].payload).into_owned();
    assert!(text.starts_with("SIP/2.0 400 Call-ID is missing\r\n"), "{text}");
}

#[test]
fn an_ack_or_a_response_that_is_not_acceptable_has_no_answer() {
    let mut run = Run::new("udp");
    let ack = incoming("ACK", "z9hG4bK-1", "", Transport::Udp).replace("9 ACK", "9 INVITE");
    assert_eq!(run.takes(input(Transport::Udp, &ack)), ["blame"]);
    run.input(Duration::ZERO, &["from_tu".to_owned(), "OPTIONS".to_owned()]);
    let ok = answer(&run.sent[0].payload.clone(), 200, "them").replace("CSeq", "X-CSeq");
    assert_eq!(run.takes(input(Transport::Udp, &ok)), ["blame"]);
    // The datagram ends before the body does.
    let ok = answer(&run.sent[0].payload.clone(), 200, "them");
    let ok = ok.replace("Content-Length: 0", "Content-Length: 9");
    assert!(ok.contains("Content-Length: 9\r\n"));
    assert_eq!(run.takes(input(Transport::Udp, &ok)), ["blame"]);
    let stats = run.endpoint.stats();
    assert_eq!((stats.dropped_acks, stats.dropped_responses), (1, 2));
}

#[test]
fn a_full_table_answers_503_with_retry_after() {
    let mut run = Run::with("udp", Config::default().transactions(3).retry_after(7));
    for n in 0..3 {
        let options = incoming("OPTIONS", &format!("z9hG4bK-{n}"), "", Transport::Udp);
        assert_eq!(run.takes(input(Transport::Udp, &options)), ["to_tu OPTIONS"]);
    }
    let invite = incoming("INVITE", "z9hG4bK-4", "", Transport::Udp);
    assert_eq!(run.takes(input(Transport::Udp, &invite)), ["send 503"]);
    assert_eq!(header(&run.sent[0].payload, "Retry-After"), ["7"]);
    // What ends something gets through; what is known already is not new; an ACK has no transaction.
    let bye = incoming("BYE", "z9hG4bK-5", ";tag=us", Transport::Udp);
    assert_eq!(run.takes(input(Transport::Udp, &bye)), ["to_tu BYE"]);
    let again = incoming("OPTIONS", "z9hG4bK-0", "", Transport::Udp);
    assert_eq!(run.takes(input(Transport::Udp, &again)), NOTHING);
    let ack = incoming("ACK", "z9hG4bK-6", ";tag=us", Transport::Udp);
    assert_eq!(run.takes(input(Transport::Udp, &ack)), ["to_tu ACK"]);
    // Full to the brim: a CANCEL of what is there is answered without a transaction of its own.
    let cancel = incoming("CANCEL", "z9hG4bK-0", "", Transport::Udp);
    assert_eq!(run.takes(input(Transport::Udp, &cancel)), ["send 200"]);
    let stats = run.endpoint.stats();
    assert_eq!((stats.refused_full, stats.live_servers), (1, 4));
}

#[test]
fn a_response_goes_where_the_via_says() {
    let via = |sent_by: &str| {
        incoming("OPTIONS", "z9hG4bK-1", "", Transport::Udp).replace("192.0.2.2:5060", sent_by)
    };
    // The sent-by's port by default; the source's with rport (RFC 3581), whatever the sent-by says.
    for (sent_by, rport, port) in [
        ("192.0.2.2:5060", "", 5060),
        ("peer.example.com", "", 5060),
        ("10.0.0.1:9999", ";rport", 5060),
    ] {
        let mut run = Run::new("udp");
        let text = via(sent_by).replace(";branch", &format!("{rport};branch"));
        assert_eq!(run.takes(input(Transport::Udp, &text)), ["to_tu OPTIONS"]);
        assert_eq!(run.input(Duration::ZERO, &["from_tu".into(), "200".into()]), ["send 200"]);
        let remote = run.sent[0].destination.remote();
        assert_eq!((remote.ip(), remote.port()), (peer().ip(), port), "{sent_by}{rport}");
    }
    // The source's for all, if so configured: behind a NAT box nothing else arrives.
    let mut run = Run::with("udp", Config::default().force_rport(true));
    run.takes(input(Transport::Udp, &via("10.0.0.1:9999")));
    run.input(Duration::ZERO, &["from_tu".into(), "200".into()]);
    assert_eq!(run.sent[0].destination, Destination::Flow(flow(Transport::Udp)));
    // Over a connection, back over it; if it is gone, to the sent-by.
    let mut run = Run::new("tcp");
    run.takes(input(Transport::Tcp, &incoming("OPTIONS", "z9hG4bK-1", "", Transport::Tcp)));
    run.input(Duration::ZERO, &["from_tu".into(), "200".into()]);
    assert_eq!(run.sent[0].destination, Destination::Flow(flow(Transport::Tcp)));
    assert_eq!(run.sent[0].fallback.map(|target| target.remote), Some(peer()));
}

#[test]
fn a_response_to_a_transaction_that_is_over_is_refused() {
    let mut run = Run::new("tcp");
    run.takes(input(Transport::Tcp, &incoming("BYE", "z9hG4bK-1", "", Transport::Tcp)));
    let (key, now) = (run.server.unwrap(), run.start);
    let ok = answer(&run.received.as_ref().unwrap().to_bytes(), 200, "us");
    let ok = crate::script::response(&ok);
    let respond = |run: &mut Run, ok| {
        run.endpoint.with(now, |_, transactions| transactions.respond(now, key, ok))
    };
    assert_eq!(respond(&mut run, ok.clone()), Ok(()));
    assert_eq!(run.drain(), ["send 200", "ended"]);
    assert_eq!(respond(&mut run, ok), Err(sip_transaction::Gone));
}

#[test]
fn the_users_own_timers_fire_unless_disarmed() {
    let mut run = Run::new("udp");
    let now = run.start;
    let after = Duration::from_secs;
    let disarmed = run.endpoint.with(now, |_, transactions| {
        transactions.arm(now, after(3), 3);
        transactions.arm(now, after(1), 1);
        transactions.arm(now, after(2), 2)
    });
    assert!(run.endpoint.with(now, |_, transactions| transactions.disarm(disarmed)));
    assert!(!run.endpoint.with(now, |_, transactions| transactions.disarm(disarmed)));
    assert_eq!(run.endpoint.poll_timeout(), Some(now + after(1)));
    run.endpoint.handle_timeout(now + after(9));
    assert_eq!(run.drain(), ["to_tu timer1", "to_tu timer3"]);
    assert_eq!(run.endpoint.poll_timeout(), None);
}

#[test]
fn one_call_fires_so_many_timers_and_no_more() {
    let mut run = Run::with("udp", Config::default().timers_per_call(2));
    let now = run.start;
    run.endpoint.with(now, |_, transactions| {
        for n in 0..5 {
            transactions.arm(now, Duration::ZERO, n);
        }
    });
    let mut fired = Vec::new();
    while run.endpoint.poll_timeout().is_some_and(|next| next <= now) {
        run.endpoint.handle_timeout(now);
        fired.push(run.drain().len());
    }
    assert_eq!(fired, [2, 2, 1]);
}

#[test]
fn the_end_of_a_connection_is_told() {
    let mut run = Run::new("tcp");
    let closed = Input::Closed { flow: flow(Transport::Tcp), error: None };
    assert_eq!(run.takes(closed), ["to_tu closed"]);
}

/// A run through all that is random: branches, tags, a CANCEL, refusals.
fn trace(seed: [u64; 2]) -> Vec<Vec<u8>> {
    let mut run = Run::with("udp", Config::default());
    run.endpoint = sip_transaction::Endpoint::new(
        Config::default().seed(seed).transactions(6),
        crate::script::locals(),
        run.start,
        Default::default(),
    )
    .unwrap();
    let ms = Duration::from_millis;
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let steps = ["from_tu INVITE", "recv 180", "from_tu cancel", "recv 487", "recv INVITE"];
    for (n, step) in steps.iter().enumerate() {
        run.input(ms(n as u64), &words(step));
    }
    for (n, step) in ["recv CANCEL", "from_tu 487", "recv ACK", "recv BYE"].iter().enumerate() {
        run.input(ms(10 + n as u64), &words(step));
    }
    for n in 0..4 {
        let options = incoming("OPTIONS", &format!("z9hG4bK-o{n}"), "", Transport::Udp);
        run.takes(input(Transport::Udp, &options));
    }
    let random = run.endpoint.with(run.start, |_, transactions| transactions.random().token(128));
    while let Some(next) = run.endpoint.poll_timeout() {
        run.endpoint.handle_timeout(next);
        run.drain();
    }
    let sent = run.sent.iter().map(|sent| sent.payload.to_vec());
    sent.chain([random.into_bytes()]).collect()
}

#[test]
fn equal_seeds_and_inputs_give_equal_outputs() {
    let first = trace([7, 7]);
    assert!(first.len() > 12, "{}", first.len());
    assert_eq!(trace([7, 7]), first);
    assert_ne!(trace([7, 8]), first);
}

#[test]
fn a_transaction_is_unfinished_while_somebody_waits_for_it() {
    let unfinished = |steps: &[(&str, usize)]| {
        let mut run = Run::new("udp");
        for (n, (step, expected)) in steps.iter().enumerate() {
            let words: Vec<String> = step.split(' ').map(str::to_owned).collect();
            run.input(Duration::from_millis(n as u64), &words);
            assert_eq!(run.endpoint.transactions().unfinished(), *expected, "{step} of {steps:?}");
        }
        run.endpoint.handle_timeout(run.start + Duration::from_secs(100));
        assert_eq!(run.endpoint.transactions().unfinished(), 0, "{steps:?}");
    };
    unfinished(&[("from_tu INVITE", 1), ("recv 180", 1), ("recv 200", 0)]);
    unfinished(&[("from_tu INVITE", 1), ("recv 486", 0)]);
    unfinished(&[("from_tu INVITE", 1), ("recv 180", 1), ("from_tu cancel", 2), ("recv 487", 1)]);
    unfinished(&[("from_tu BYE", 1), ("recv 100", 1), ("recv 200", 0)]);
    unfinished(&[("from_tu BYE", 1), ("transport_error", 0)]);
    unfinished(&[("recv INVITE", 1), ("from_tu 180", 1), ("from_tu 200", 0)]);
    unfinished(&[("recv INVITE", 1), ("from_tu 486", 1), ("recv ACK", 0)]);
    unfinished(&[("recv BYE", 1), ("from_tu 200", 0), ("recv BYE", 0)]);
}

#[test]
fn counters_count() {
    let mut run = Run::new("udp");
    run.input(Duration::ZERO, &["from_tu".into(), "OPTIONS".into()]);
    run.endpoint.handle_timeout(run.start + Duration::from_millis(500));
    run.drain();
    let ok = answer(&run.sent[0].payload.clone(), 200, "them");
    run.takes(input(Transport::Udp, &ok));
    run.takes(input(Transport::Udp, &incoming("BYE", "z9hG4bK-1", "", Transport::Udp)));
    run.input(Duration::from_secs(1), &["from_tu".into(), "200".into()]);
    run.takes(input(Transport::Udp, &incoming("BYE", "z9hG4bK-1", "", Transport::Udp)));
    let stats = run.endpoint.stats();
    let counted = [
        stats.requests_sent,
        stats.request_retransmissions,
        stats.responses_received,
        stats.requests_received,
        stats.requests_absorbed,
        stats.responses_sent,
        stats.response_retransmissions,
        stats.transactions,
    ];
    assert_eq!(counted, [2, 1, 1, 2, 1, 2, 1, 2]);
    assert_eq!((stats.live_clients, stats.live_servers, stats.live_timers), (1, 1, 2));
}

#[test]
fn who_is_at_the_far_end_is_known_till_the_connection_closes() {
    let mut run = Run::new("tcp");
    let flow = flow(Transport::Tls);
    let peer = || Peer::new(["example.com".into()], Bytes::from_static(b"DER"));
    assert_eq!(run.endpoint.transactions().peer(&flow), None);
    run.takes(Input::Authenticated { flow, peer: peer().into() });
    assert_eq!(run.endpoint.transactions().peer(&flow), Some(&Arc::new(peer())));
    run.takes(Input::Closed { flow, error: None });
    assert_eq!(run.endpoint.transactions().peer(&flow), None);
}
