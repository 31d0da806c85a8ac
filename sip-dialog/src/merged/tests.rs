use super::*;
use crate::test_support::{from_bob, invite, request};
use std::format;

fn options(from_tag: &str, call_id: &str, cseq: &str) -> Request {
    request(&format!(
        "OPTIONS sip:bob@example.com SIP/2.0
         From: <sip:a@example.com>{from_tag}
         To: <sip:bob@example.com>
         Call-ID: {call_id}
         CSeq: {cseq}"
    ))
}

/// RFC 3261 §8.2.2.2.
#[test]
fn the_second_of_two_equal_requests_is_merged() {
    let mut merged = MergedRequests::new([1, 2]);
    let key = merged.enter(&invite("")).unwrap().unwrap();
    let rejection = merged.enter(&invite("")).unwrap_err();
    assert_eq!(rejection.status, StatusCode::LOOP_DETECTED);
    assert_eq!(merged.len(), 1);

    merged.leave(key);
    assert!(merged.is_empty());
    let again = merged.enter(&invite("")).unwrap();
    assert!(again.is_some());
    merged.leave(key);
    assert!(merged.is_empty());
    merged.leave(key);
}

#[test]
fn from_tag_call_id_and_cseq_must_all_match() {
    let mut merged = MergedRequests::new([1, 2]);
    for (number, (tag, call_id, cseq)) in [
        (";tag=x", "1", "1 OPTIONS"),
        (";tag=y", "1", "1 OPTIONS"),
        ("", "1", "1 OPTIONS"),
        (";tag=x", "2", "1 OPTIONS"),
        (";tag=x", "1", "2 OPTIONS"),
        (";tag=x1", "1", "1 OPTIONS"),
        (";tag=x", "11", "1 OPTIONS"),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(merged.enter(&options(tag, call_id, cseq)).unwrap().is_some());
        assert_eq!(merged.len(), number + 1);
        assert!(merged.enter(&options(tag, call_id, cseq)).is_err());
    }
}

#[test]
fn requests_of_a_dialog_ack_and_cancel_are_not_looked_at() {
    let mut merged = MergedRequests::new([1, 2]);
    for method in ["INVITE", "OPTIONS", "BYE"] {
        for _ in 0..2 {
            assert_eq!(merged.enter(&from_bob(method, 5, "")), Ok(None), "{method}");
        }
    }
    for method in ["ACK", "CANCEL"] {
        let text = format!(
            "{method} sip:bob@example.com SIP/2.0
             From: <sip:a@example.com>;tag=1
             To: <sip:bob@example.com>
             Call-ID: c
             CSeq: 1 {method}"
        );
        for _ in 0..2 {
            assert_eq!(merged.enter(&request(&text)), Ok(None), "{method}");
        }
    }
    assert!(merged.is_empty());
}
