use sip_message::{CSeq, Header};

use super::*;

const T1: Duration = Duration::from_millis(500);

fn rack(rseq: u32, cseq: u32, method: Method) -> RAck {
    RAck::new(RSeq(NonZeroU32::new(rseq).unwrap()), CSeq::new(cseq, method).unwrap())
}

/// A sender with one response outstanding: RSeq 100, for the INVITE with CSeq 7.
fn sender() -> ReliableSender {
    let mut sender = ReliableSender::new(7);
    assert!(sender.send(T1, |_| 100).is_some());
    sender
}

/// RFC 3262 §3: T1, doubled without the cap of T2, and 64*T1 in all.
#[test]
fn the_schedule() {
    let mut sender = sender();
    let mut at = T1;
    let mut sent = std::vec::Vec::new();
    while let RepeatStep::Again { next } = sender.fired() {
        sent.push(at.as_millis());
        at += next;
    }
    assert_eq!(sent, [500, 1500, 3500, 7500, 15_500, 31_500]);
    assert_eq!(at, T1 * 64);
    assert!(sender.is_outstanding(), "a late PRACK is still taken");
}

#[test]
fn rseq_begins_where_it_is_drawn_and_counts_by_one() {
    for (draw, first) in [(0, 1), (1, 1), (5, 5), (u32::MAX, (1 << 31) - 1)] {
        let mut sender = ReliableSender::new(7);
        for rseq in first..first + 3 {
            let (sent, delay) = sender.send(T1, |_| draw).unwrap();
            assert_eq!((sent.0.get(), delay), (rseq, T1));
            sender.acknowledge(&rack(rseq, 7, Method::Invite)).unwrap();
        }
    }
    let mut asked = None;
    ReliableSender::new(7).send(T1, |range| {
        asked = Some(range);
        1
    });
    assert_eq!(asked, Some(1..=2_147_483_647));
}

#[test]
fn rseq_does_not_wrap_around() {
    let mut sender =
        ReliableSender { last: NonZeroU32::new(u32::MAX - 1), ..ReliableSender::new(7) };
    assert_eq!(sender.send(T1, |_| 1).unwrap().0.0.get(), u32::MAX);
    sender.acknowledge(&rack(u32::MAX, 7, Method::Invite)).unwrap();
    assert_eq!(sender.send(T1, |_| 1), None);
    assert!(!sender.is_outstanding());
}

#[test]
fn one_is_outstanding_at_a_time_and_none_goes_out_after_the_final_response() {
    let mut sender = sender();
    assert_eq!(sender.send(T1, |_| 1), None);
    sender.acknowledge(&rack(100, 7, Method::Invite)).unwrap();
    assert!(sender.send(T1, |_| 1).is_some());
    sender.final_sent();
    assert!(sender.is_outstanding());
    sender.acknowledge(&rack(101, 7, Method::Invite)).unwrap();
    assert_eq!(sender.send(T1, |_| 1), None);
}

#[test]
fn a_prack_that_matches_nothing_is_481() {
    let mut sender = sender();
    for wrong in [
        rack(99, 7, Method::Invite),
        rack(101, 7, Method::Invite),
        rack(100, 8, Method::Invite),
        rack(100, 7, Method::Update),
        RAck::parse(b"100 7 invite").unwrap(),
    ] {
        let before = sender;
        assert_eq!(sender.acknowledge(&wrong).unwrap_err().status.as_u16(), 481, "{wrong}");
        assert_eq!(sender, before);
    }
    let right = rack(100, 7, Method::Invite);
    assert_eq!(sender.matches(&right), Ok(()));
    assert_eq!(sender.acknowledge(&right), Ok(()));
    assert_eq!(sender.acknowledge(&right).unwrap_err().status.as_u16(), 481);
    let nothing = ReliableSender::new(7);
    assert_eq!(nothing.matches(&right).unwrap_err().status.as_u16(), 481);
}

#[test]
fn a_receiver_takes_them_in_order() {
    let rseq = |number| RSeq(NonZeroU32::new(number).unwrap());
    let mut receiver = ReliableReceiver::new();
    for (number, received) in [
        (10, Received::New),
        (10, Received::Repeat),
        (12, Received::Gap),
        (9, Received::Repeat),
        (11, Received::New),
        (10, Received::Repeat),
        (12, Received::New),
        (u32::MAX, Received::Gap),
    ] {
        assert_eq!(receiver.receive(rseq(number)), received, "{number}");
    }
    // The last number there is has none after it.
    let mut receiver = ReliableReceiver::new();
    assert_eq!(receiver.receive(rseq(u32::MAX)), Received::New);
    assert_eq!(receiver.receive(rseq(1)), Received::Repeat);
    assert_eq!(receiver.receive(rseq(u32::MAX)), Received::Repeat);
    assert_eq!(size_of::<ReliableReceiver>(), 4);
}
