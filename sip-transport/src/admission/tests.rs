use super::*;

const RATE: u32 = 1000;

fn rations() -> Rations {
    Rations::new(RATE, 50)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// How many of `count` are taken at that time.
fn taken(rations: &mut Rations, now: u32, source: &str, count: u32) -> u32 {
    (0..count).map(|_| u32::from(rations.take(now, ip(source)))).sum()
}

#[test]
fn a_source_has_its_ration_at_once_and_then_by_time() {
    let mut rations = rations();
    assert_eq!(taken(&mut rations, 0, "192.0.2.1", 5000), RATE);
    assert_eq!(taken(&mut rations, 100, "192.0.2.1", 5000), 100);
    assert_eq!(taken(&mut rations, 2000, "192.0.2.1", 5000), RATE, "not more for having waited");
}

#[test]
fn a_slow_rate_loses_no_part_of_a_unit() {
    let mut rations = Rations::new(3, 1);
    assert_eq!(taken(&mut rations, 0, "192.0.2.1", 10), 3);
    let over_ten_seconds: u32 =
        (1..=10_000).map(|now| taken(&mut rations, now, "192.0.2.1", 1)).sum();
    assert!((29..=30).contains(&over_ten_seconds), "{over_ten_seconds}");
}

#[test]
fn a_bad_message_costs_its_weight() {
    let mut rations = rations();
    let mut bad = 0;
    // A millisecond apart: what leaks in 50 of them pays for one.
    for now in 0..10_000 {
        if rations.take(now, ip("192.0.2.1")) {
            rations.charge(now, ip("192.0.2.1"));
            bad += 1;
        }
    }
    // The bucket holds 20 of them, and 20 a second leak.
    assert!((200..=240).contains(&bad), "{bad}");
    // Who stops is within the ration at once, and wholly after a second.
    assert!(rations.take(10_100, ip("192.0.2.1")));
    assert!(taken(&mut rations, 11_200, "192.0.2.1", 5000) >= RATE - 1);
}

#[test]
fn nobody_pays_for_another() {
    let mut rations = rations();
    for host in 0..=255 {
        taken(&mut rations, 0, &format!("198.51.100.{host}"), 2000);
    }
    // 256 that flood share a bucket of one row with some, and both with hardly anybody.
    let served = (0..=255).filter(|host| rations.take(0, ip(&format!("203.0.113.{host}")))).count();
    assert!(served >= 250, "{served}");
}

#[test]
fn a_network_of_ipv6_is_one_source_and_a_mapped_address_is_its_ipv4() {
    let mut rations = rations();
    assert_eq!(taken(&mut rations, 0, "2001:db8::1", 5000), RATE);
    assert_eq!(taken(&mut rations, 0, "2001:db8::ffff:1", 1), 0, "of the same /64");
    assert_eq!(taken(&mut rations, 0, "2001:db8:0:1::1", 1), 1, "of another");
    assert_eq!(taken(&mut rations, 0, "192.0.2.1", 5000), RATE);
    assert_eq!(taken(&mut rations, 0, "::ffff:192.0.2.1", 1), 0);
}

#[test]
fn the_clock_may_wrap() {
    let mut rations = rations();
    assert_eq!(taken(&mut rations, u32::MAX - 50, "192.0.2.1", 5000), RATE);
    assert_eq!(taken(&mut rations, 49, "192.0.2.1", 5000), 100);
}

#[test]
fn the_gate_is_asked_first() {
    let mut admission = Admission::new(2, 1, Instant::now());
    admission.set_gate(Box::new(|transport, _, remote: SocketAddr| match remote.port() {
        1 => Entry::Trusted,
        2 => Entry::Refused,
        _ => {
            assert_eq!(transport, Transport::Udp);
            Entry::Rationed
        }
    }));
    let now = admission.began;
    let mut admit = |port| {
        let remote = SocketAddr::new(ip("192.0.2.1"), port);
        admission.admit(|| now, Transport::Udp, "192.0.2.2:5060".parse().unwrap(), remote)
    };
    assert_eq!(admit(2), Err(Refused::Gate));
    let rationed = Ok(Entry::Rationed);
    assert_eq!([admit(3), admit(3), admit(3)], [rationed, rationed, Err(Refused::Ration)]);
    assert_eq!([admit(1), admit(1), admit(1), admit(1)], [Ok(Entry::Trusted); 4]);
}

#[test]
fn without_a_rate_nothing_is_rationed() {
    let mut admission = Admission::new(0, 1, Instant::now());
    let local = "192.0.2.2:5060".parse().unwrap();
    let remote = "192.0.2.1:5060".parse().unwrap();
    for _ in 0..10_000 {
        let no_clock = || panic!("no clock is needed");
        let entry = admission.admit(no_clock, Transport::Udp, local, remote);
        assert_eq!(entry, Ok(Entry::Rationed));
        let no_clock = || panic!("no clock is needed");
        assert_eq!(admission.take(no_clock, ip("192.0.2.1")), None);
        admission.blame(admission.began, ip("192.0.2.1"));
    }
}

#[test]
fn a_message_on_a_connection_comes_in_and_then_there_is_a_pause() {
    let mut admission = Admission::new(1000, 50, Instant::now());
    let now = admission.began;
    let source = ip("192.0.2.1");
    for _ in 0..1000 {
        assert_eq!(admission.take(|| now, source), None);
    }
    assert_eq!(admission.take(|| now, source), Some(Duration::from_millis(1)));
    assert_eq!(admission.take(|| now, source), Some(Duration::from_millis(2)));
    // What was bad costs more: so long is the pause.
    admission.blame(now, source);
    assert_eq!(admission.take(|| now, source), Some(Duration::from_millis(51)));
    assert_eq!(admission.take(|| now, ip("192.0.2.2")), None, "another has its own ration");
    let later = now + Duration::from_millis(52);
    assert_eq!(admission.take(|| later, source), None);
}
