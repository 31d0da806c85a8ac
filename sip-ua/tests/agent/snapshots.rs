//! Calls that outlive a restart of one end.

use std::time::Duration;

use sip_message::StatusCode;
use sip_ua::{AgentError, Body, CallKey, CallSnapshot};

use crate::harness::*;

/// A call of which one end starts anew `after` the snapshot was taken; the calls of both ends.
fn restarted(end: usize, after: Duration) -> (Pair, [CallKey; 2]) {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.established();
    let mut calls = [ours, theirs];
    let key = calls[end];
    let snapshot = pair.tell(end, |agent, now, _| agent.snapshot(now, key)).unwrap();
    pair.run(after);
    pair.restart(end);
    calls[end] = pair
        .tell(end, |agent, now, tx| agent.restore(now, tx, &alice(), &snapshot, after))
        .unwrap();
    assert_eq!(pair.live(end).active_calls, 1);
    pair.take(end);
    (pair, calls)
}

/// Nothing is left of the call at either end.
fn over(mut pair: Pair) {
    pair.run(secs(70));
    for end in [ALICE, BOB] {
        assert_eq!(pair.live(end), Default::default(), "{}", pair.wire_log());
    }
}

#[test]
fn a_call_that_was_taken_up_again_is_hung_up() {
    for end in [ALICE, BOB] {
        let (mut pair, calls) = restarted(end, secs(100));
        pair.tell(end, |agent, now, tx| agent.hang_up(now, tx, calls[end])).unwrap();
        pair.run(ms(50));
        pair.expect(end, &["ended: we hung up"]);
        pair.expect(1 - end, &["ended: the peer hung up"]);
        over(pair);
        let (mut pair, calls) = restarted(end, secs(100));
        pair.tell(1 - end, |agent, now, tx| agent.hang_up(now, tx, calls[1 - end])).unwrap();
        pair.run(ms(50));
        pair.expect(end, &["ended: the peer hung up"]);
        over(pair);
    }
}

#[test]
fn a_call_that_was_taken_up_again_is_changed_by_both() {
    for end in [ALICE, BOB] {
        let (mut pair, calls) = restarted(end, secs(100));
        for who in [end, 1 - end] {
            let hold = Body::sdp(format!("v=0\r\no=- {who} 2\r\na=sendonly\r\n").into_bytes());
            let (change, other) = (calls[who], calls[1 - who]);
            pair.tell(who, |agent, now, tx| agent.reinvite(now, tx, change, Some(&hold))).unwrap();
            pair.run(ms(50));
            pair.expect(1 - who, &["reinvited"]);
            pair.tell(1 - who, |agent, now, tx| {
                agent.answer_modification(now, tx, other, StatusCode::OK, Some(&sdp()))
            })
            .unwrap();
            pair.run(ms(50));
            pair.expect(who, &["reinvite answered"]);
        }
        pair.tell(end, |agent, now, tx| agent.hang_up(now, tx, calls[end])).unwrap();
        over(pair);
    }
}

#[test]
fn a_call_that_was_taken_up_again_is_refreshed_in_time() {
    // Alice refreshes at 900 s after the answer, whoever was away until 500 s.
    for end in [ALICE, BOB] {
        let (mut pair, calls) = restarted(end, secs(500));
        pair.flow();
        pair.run(secs(399));
        assert_eq!(pair.flow(), Vec::<String>::new());
        pair.run(secs(2));
        // The new agent does not know whether its peer allows UPDATE, and asks by what all do.
        let expected = match end {
            ALICE => &["alice: INVITE", "bob: 200 INVITE", "alice: ACK"][..],
            _ => &["alice: UPDATE", "bob: 200 UPDATE"][..],
        };
        assert_eq!(pair.flow(), expected);
        pair.run(secs(3600));
        pair.expect(ALICE, &[]);
        pair.expect(BOB, &[]);
        pair.tell(end, |agent, now, tx| agent.hang_up(now, tx, calls[end])).unwrap();
        over(pair);
    }
}

#[test]
fn a_session_that_expired_meanwhile_ends_by_bye() {
    let mut pair = Pair::new();
    let (_, theirs) = pair.established();
    let snapshot = pair.tell(BOB, |agent, now, _| agent.snapshot(now, theirs)).unwrap();
    pair.restart(BOB);
    pair.tell(BOB, |agent, now, tx| agent.restore(now, tx, &alice(), &snapshot, secs(4000)))
        .unwrap();
    pair.run(ms(50));
    pair.expect(BOB, &["ended: the session was not refreshed in time"]);
    pair.expect(ALICE, &["ended: the peer hung up"]);
    over(pair);
}

#[test]
fn what_cannot_be_taken_up_is_refused() {
    let mut pair = Pair::new();
    let ours = pair.call();
    let early = pair.tell(ALICE, |agent, now, _| agent.snapshot(now, ours));
    assert!(matches!(early, Err(AgentError::State { .. })), "{early:?}");
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, ours)).unwrap();
    let mut pair = Pair::new();
    let (ours, theirs) = pair.established();
    let snapshot = pair.tell(ALICE, |agent, now, _| agent.snapshot(now, ours)).unwrap();
    let twice =
        pair.tell(ALICE, |agent, now, tx| agent.restore(now, tx, &alice(), &snapshot, secs(1)));
    assert!(matches!(twice, Err(AgentError::Full { .. })), "{twice:?}");
    pair.tell(ALICE, |agent, now, tx| agent.reinvite(now, tx, ours, Some(&sdp()))).unwrap();
    let busy = pair.tell(ALICE, |agent, now, _| agent.snapshot(now, ours));
    assert!(matches!(busy, Err(AgentError::Busy)), "{busy:?}");
    pair.run(ms(50));
    pair.tell(BOB, |agent, now, tx| agent.hang_up(now, tx, theirs)).unwrap();
    pair.run(ms(50));
    let gone = pair.tell(ALICE, |agent, now, _| agent.snapshot(now, ours));
    assert!(gone.is_err());
}

/// A snapshot is written and read; what was changed in between makes no call.
#[cfg(feature = "serde")]
#[test]
fn a_snapshot_is_written_and_read() {
    let mut pair = Pair::new();
    let (ours, _) = pair.established();
    let snapshot = pair.tell(ALICE, |agent, now, _| agent.snapshot(now, ours)).unwrap();
    let text = serde_json::to_string(&snapshot).unwrap();
    assert_eq!(serde_json::from_str::<CallSnapshot>(&text).unwrap(), snapshot);
    pair.restart(ALICE);
    for (from, to) in [("sip:", "\\u0000"), ("\"local_cseq\":1", "\"local_cseq\":4294967295")] {
        let broken: CallSnapshot = serde_json::from_str(&text.replace(from, to)).unwrap();
        let refused =
            pair.tell(ALICE, |agent, now, tx| agent.restore(now, tx, &alice(), &broken, secs(1)));
        assert!(matches!(refused, Err(AgentError::Address)), "{refused:?}");
    }
}

#[cfg(not(feature = "serde"))]
#[test]
fn a_snapshot_is_plain_data() {
    fn is_plain<T: Clone + Eq + Send + Sync + 'static>() {}
    is_plain::<CallSnapshot>();
}
