use core::net::SocketAddr;
use core::time::Duration;
use std::time::Instant;

use sip_message::{Header, HeaderName, Limits, Message, Request, Response, StatusCode, Via};

use super::{Category, Feedback, LossFilter, MAX_HOPS, SAMPLE, Throttle, clean};
use crate::Random;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn request(uri: &str, to: &str, more: &str) -> Request {
    let text = format!(
        "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: {to}\r\n\
         Call-ID: 1\r\nCSeq: 1 INVITE\r\n{more}\r\n"
    );
    let message = Message::parse(text.into_bytes().into(), &Limits::default()).unwrap();
    message.into_request().unwrap()
}

#[test]
fn dialogs_emergencies_and_named_priorities_are_preferred() {
    let ets: [Box<str>; 2] = ["ets".into(), "wps.0".into()];
    let of = |uri, to, more| Category::of(&request(uri, to, more), &ets);
    assert_eq!(of("sip:b@c", "<sip:b@c>", ""), Category::Reducible);
    assert_eq!(of("sip:b@c", "<sip:b@c>;tag=2", ""), Category::Preferred);
    assert_eq!(of("urn:service:sos", "<urn:service:sos>", ""), Category::Preferred);
    assert_eq!(of("URN:service:SOS.fire", "<sip:b@c>", ""), Category::Preferred);
    assert_eq!(of("sip:psap@c", "<urn:service:sos.police>", ""), Category::Preferred);
    // Counselling is a service, but no emergency.
    assert_eq!(of("urn:service:counseling", "<sip:b@c>", ""), Category::Reducible);
    let of = |more| of("sip:b@c", "<sip:b@c>", more);
    assert_eq!(of("Resource-Priority: ets.3\r\n"), Category::Preferred);
    assert_eq!(of("Resource-Priority: dsn.flash, WPS.0\r\n"), Category::Preferred);
    assert_eq!(of("Resource-Priority: wps.1\r\n"), Category::Reducible);
    assert_eq!(of("Resource-Priority: broken\r\n"), Category::Reducible);
    // Anybody can write one: without a name in the configuration it counts for nothing.
    let bare = request("sip:b@c", "<sip:b@c>", "Resource-Priority: ets.0\r\n");
    assert_eq!(Category::of(&bare, &[]), Category::Reducible);
}

/// How many of each category pass, of 10,000 with `first` of 100 in the first, after the shares are known.
fn passed(loss: u32, first: u32) -> (u32, u32) {
    let mut random = Random::new([7, 7]);
    let mut filter = LossFilter::default();
    let start = Instant::now();
    let category = |dice: &mut Random| match dice.below(100) < first {
        true => Category::Reducible,
        false => Category::Preferred,
    };
    for _ in 0..1_000 {
        let category = category(&mut random);
        filter.passes(start, category, 0, 50);
    }
    let (mut one, mut two) = (0, 0);
    let settle = category(&mut random);
    filter.passes(start + SAMPLE, settle, 0, 50);
    for _ in 0..10_000 {
        let category = category(&mut random);
        if filter.passes(start + SAMPLE, category, loss, random.below(100)) {
            match category {
                Category::Reducible => one += 1,
                Category::Preferred => two += 1,
            }
        }
    }
    (one, two)
}

#[test]
fn the_first_category_bears_the_loss_and_the_second_what_is_left_of_it() {
    let close = |found: u32, wanted: u32| assert!(found.abs_diff(wanted) < 250, "{found} {wanted}");
    // The example of RFC 7339 §7.2: a loss of 10 with 40 of 100 in the first category.
    let (one, two) = passed(10, 40);
    close(one, 3_000);
    close(two, 6_000);
    // More than the first category holds: all of it, and of the second the rest.
    let (one, two) = passed(70, 40);
    assert_eq!(one, 0);
    close(two, 3_000);
    assert_eq!(passed(100, 40), (0, 0));
    let (one, two) = passed(0, 40);
    assert_eq!(one + two, 10_000);
    // Nothing is in the first category.
    let (one, two) = passed(30, 0);
    assert_eq!(one, 0);
    close(two, 7_000);
}

#[test]
fn until_the_shares_are_counted_four_fifths_are_of_the_first_category() {
    let mut filter = LossFilter::default();
    let now = Instant::now();
    // 20 of 80 is a quarter.
    assert!(!filter.passes(now, Category::Reducible, 20, 24));
    assert!(filter.passes(now, Category::Reducible, 20, 25));
    assert!(filter.passes(now, Category::Preferred, 80, 0));
    assert!(!filter.passes(now, Category::Preferred, 90, 49));
}

fn via(text: &str) -> Via<'static> {
    Via::parse(format!("SIP/2.0/UDP h;branch=z9hG4bK1{text}").as_bytes()).unwrap().to_static()
}

/// Whether a request of the first category passes that a loss of 80 would keep back for certain.
fn passes(throttle: &mut Throttle, now: Instant) -> bool {
    throttle.passes(now, hop(1), Category::Reducible, 0)
}

fn hop(port: u16) -> SocketAddr {
    ([192, 0, 2, 1], port).into()
}

#[test]
fn a_demand_holds_for_its_validity_and_for_its_hop_alone() {
    let (mut throttle, now) = (Throttle::default(), Instant::now());
    throttle.note(now, hop(1), &via(";oc=80;oc-algo=\"loss\";oc-validity=1000;oc-seq=1.1"));
    assert!(!passes(&mut throttle, now));
    assert!(throttle.passes(now, hop(2), Category::Reducible, 0));
    assert!(!passes(&mut throttle, now + ms(999)));
    assert!(passes(&mut throttle, now + ms(1_000)));
    assert!(throttle.is_idle());
    // Half a second where nothing is said.
    throttle.note(now, hop(1), &via(";oc=80;oc-algo=\"loss\";oc-seq=1.1"));
    assert!(!passes(&mut throttle, now + ms(499)));
    assert!(passes(&mut throttle, now + ms(500)));
    // A minute at most.
    throttle.note(now, hop(1), &via(";oc=80;oc-algo=\"loss\";oc-validity=4000000000;oc-seq=1.1"));
    assert!(!passes(&mut throttle, now + ms(59_999)));
    assert!(passes(&mut throttle, now + ms(60_000)));
}

#[test]
fn an_older_demand_or_the_same_again_changes_nothing() {
    let (mut throttle, now) = (Throttle::default(), Instant::now());
    throttle.note(now, hop(1), &via(";oc=80;oc-algo=\"loss\";oc-seq=5.2"));
    // The validity period is not begun anew by the same demand.
    throttle.note(now + ms(400), hop(1), &via(";oc=80;oc-algo=\"loss\";oc-seq=5.2"));
    throttle.note(now + ms(400), hop(1), &via(";oc=0;oc-algo=\"loss\";oc-seq=5.1"));
    assert!(!passes(&mut throttle, now + ms(499)));
    assert!(passes(&mut throttle, now + ms(500)));
    throttle.note(now, hop(1), &via(";oc=80;oc-algo=\"loss\";oc-seq=5.2"));
    throttle.note(now + ms(400), hop(1), &via(";oc=80;oc-algo=\"loss\";oc-seq=5.3"));
    assert!(!passes(&mut throttle, now + ms(899)));
}

#[test]
fn a_validity_of_zero_ends_it_and_what_overtook_it_does_not_begin_it_again() {
    let (mut throttle, now) = (Throttle::default(), Instant::now());
    throttle.note(now, hop(1), &via(";oc=80;oc-algo=\"loss\";oc-seq=5.2"));
    throttle.note(now, hop(1), &via(";oc=80;oc-algo=\"loss\";oc-validity=0;oc-seq=5.4"));
    assert!(passes(&mut throttle, now));
    throttle.note(now, hop(1), &via(";oc=80;oc-algo=\"loss\";oc-seq=5.3"));
    assert!(passes(&mut throttle, now));
    assert!(passes(&mut throttle, now + ms(500)));
    assert!(throttle.is_idle());
}

#[test]
fn what_is_no_demand_is_passed_over() {
    let (mut throttle, now) = (Throttle::default(), Instant::now());
    for text in [
        "",
        ";oc;oc-algo=\"loss\"",
        ";oc=x;oc-algo=\"loss\"",
        ";oc=101;oc-algo=\"loss\";oc-seq=1.1",
        ";oc=20;oc-algo=\"rate\";oc-seq=1.1",
        ";oc-algo=\"loss\";oc-validity=500;oc-seq=1.1",
        ";oc=0;oc-algo=\"loss\";oc-validity=0;oc-seq=1.1",
    ] {
        throttle.note(now, hop(1), &via(text));
        assert!(throttle.is_idle(), "{text}");
    }
}

/// RFC 7339 §5.9: three failures in a row end it, one request at a time finds out whether that is over, and more and
/// more rarely; one answer does.
#[test]
fn who_says_nothing_any_more_is_left_alone_and_tried_now_and_then() {
    let (start, mut throttle) = (Instant::now(), Throttle::default());
    let answer = via(";oc=0;oc-algo=\"loss\";oc-validity=0;oc-seq=1.1");
    throttle.note(start, hop(1), &answer);
    for _ in 0..2 {
        throttle.failed(start, hop(1));
        assert!(passes(&mut throttle, start));
    }
    // An answer between two failures: they are not in a row.
    throttle.note(start, hop(1), &via(""));
    for _ in 0..3 {
        assert!(passes(&mut throttle, start));
        throttle.failed(start, hop(1));
    }
    let mut tried = Vec::new();
    for second in 0..200 {
        let now = start + Duration::from_secs(second);
        if passes(&mut throttle, now) {
            tried.push(second);
            assert!(!passes(&mut throttle, now), "one at a time");
            throttle.failed(now, hop(1));
        }
    }
    assert_eq!(tried, [1, 3, 7, 15, 31, 63, 127, 191]);
    throttle.note(start, hop(1), &answer);
    let end = start + Duration::from_secs(200);
    assert!((0..9).all(|_| passes(&mut throttle, end)));

    // Who takes no part may be a telephone that is switched off for the night.
    let mut throttle = Throttle::default();
    throttle.note(start, hop(1), &via(""));
    for _ in 0..9 {
        throttle.failed(start, hop(1));
        assert!(passes(&mut throttle, start));
    }
}

#[test]
fn the_table_of_hops_is_bounded_and_makes_room_for_the_living() {
    let (mut throttle, now) = (Throttle::default(), Instant::now());
    let asks = via(";oc=80;oc-algo=\"loss\";oc-seq=1.1");
    for port in 0..=u16::try_from(MAX_HOPS).unwrap() {
        throttle.note(now, hop(port), &asks);
    }
    assert_eq!(throttle.len(), MAX_HOPS);
    throttle.note(now + ms(500), hop(9_999), &asks);
    assert_eq!(throttle.len(), 1);
}

fn response(vias: &str) -> Response {
    let text = format!(
        "SIP/2.0 200 OK\r\n{vias}From: <sip:a@b>;tag=1\r\nTo: <sip:b@c>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n"
    );
    let message = Message::parse(text.into_bytes().into(), &Limits::default()).unwrap();
    message.into_response().unwrap()
}

fn vias(response: &Response) -> Vec<String> {
    response.get_all::<Via<'_>>().map(|via| via.unwrap().to_string()).collect()
}

#[test]
fn the_topmost_via_says_what_is_demanded_and_each_demand_has_a_higher_number() {
    let now = Instant::now();
    let mut feedback = Feedback::new(now);
    let ours = |feedback: &Feedback| {
        let mut response = response("Via: SIP/2.0/UDP h;branch=z9hG4bK1;oc;oc-algo=\"A,loss\"\r\n");
        feedback.put_on(&mut response);
        vias(&response).remove(0)
    };
    let head = "SIP/2.0/UDP h;branch=z9hG4bK1";
    let idle = format!("{head};oc=0;oc-algo=\"loss\";oc-validity=0;oc-seq=0.00000");
    assert_eq!(ours(&feedback), idle);
    feedback.demand(now + ms(1_500), 20, ms(500));
    let asks = format!("{head};oc=20;oc-algo=\"loss\";oc-validity=500;oc-seq=1.50000");
    assert_eq!(ours(&feedback), asks);
    feedback.demand(now + ms(1_600), 300, ms(500));
    let most = format!("{head};oc=100;oc-algo=\"loss\";oc-validity=500;oc-seq=1.60000");
    assert_eq!(ours(&feedback), most);
    feedback.demand(now + ms(2_000), 0, ms(500));
    let ends = format!("{head};oc=0;oc-algo=\"loss\";oc-validity=0;oc-seq=2.00000");
    assert_eq!(ours(&feedback), ends);
}

#[test]
fn demands_below_the_topmost_via_are_taken_off() {
    let top = "SIP/2.0/UDP h;branch=z9hG4bK1;oc=20;oc-algo=\"loss\"";
    let mut response = response(&format!(
        "Via: {top}, SIP/2.0/TCP local;branch=z9hG4bK2;oc=100;oc-validity=60000;x=\"a;oc=1\"\r\n\
         v: SIP/2.0/TLS i;OC-SEQ=1.1;branch=z9hG4bK3\r\nVia: SIP/2.0/UDP j;branch=z9hG4bK4\r\n"
    ));
    clean(&mut response);
    let wanted = [
        top,
        "SIP/2.0/TCP local;branch=z9hG4bK2;x=\"a;oc=1\"",
        "SIP/2.0/TLS i;branch=z9hG4bK3",
        "SIP/2.0/UDP j;branch=z9hG4bK4",
    ];
    assert_eq!(vias(&response), wanted);
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers().raw_all(HeaderName::Via).count(), 4);
}
