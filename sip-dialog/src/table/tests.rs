use super::*;
use crate::test_support::{answer, from_bob, invite, request};
use sip_message::Transport;
use std::format;
use std::string::ToString;

const CONTACT: &str = "Contact: <sip:bob@192.0.2.2>";

fn early(tag: &str) -> Dialog {
    Dialog::uac(&invite(""), &answer("180 Ringing", tag, CONTACT), Transport::Udp).unwrap()
}

fn confirmed(tag: &str) -> Dialog {
    Dialog::uac(&invite(""), &answer("200 OK", tag, CONTACT), Transport::Udp).unwrap()
}

#[test]
fn a_request_finds_its_dialog_with_the_tags_swapped() {
    let mut dialogs = Dialogs::new([1, 2], 10);
    let key = dialogs.insert(confirmed("b1"), "call").unwrap();
    assert_eq!(dialogs.find(&from_bob("BYE", 1, "")), Found::Dialog(key));
    assert_eq!(dialogs.find_response(&answer("200 OK", "b1", CONTACT)), Some(key));
    assert_eq!(dialogs.find_response(&answer("200 OK", "b2", CONTACT)), None);
    assert_eq!(dialogs.find_response(&answer("100 Trying", "", "")), None);
    let (dialog, value) = dialogs.get(key).unwrap();
    assert_eq!((dialog.id().remote_tag, *value), ("b1", "call"));

    // Our own INVITE, come back to us: the tags are the wrong way round, and To has none.
    assert_eq!(dialogs.find(&invite("")), Found::Outside);
    let (dialog, _) = dialogs.get_mut(key).unwrap();
    assert_eq!(dialog.next_cseq(), Ok(11));
}

/// RFC 3261 §12.2.2: 481 to a request of a dialog that is not there.
#[test]
fn a_request_without_its_dialog_is_owed_481() {
    let mut dialogs = Dialogs::new([1, 2], 10);
    assert_eq!(dialogs.find(&from_bob("BYE", 1, "")), Found::NoSuchDialog);
    let key = dialogs.insert(confirmed("b2"), ()).unwrap();
    assert_eq!(dialogs.find(&from_bob("BYE", 1, "")), Found::NoSuchDialog);
    dialogs.remove(key);
    let rejection = crate::Rejection::no_such_dialog();
    let response = rejection.response(&from_bob("BYE", 1, "")).build().unwrap();
    assert_eq!(response.status().as_u16(), 481);
    assert_eq!(response.headers().call_id(), Some("call@alice"));
}

/// RFC 3261 §13.2.2.1, §13.2.2.4: several early dialogs and several 2xx of one INVITE.
#[test]
fn the_forks_of_one_invite_are_apart_and_found_together() {
    let mut dialogs = Dialogs::new([1, 2], 10);
    let first = dialogs.insert(early("b1"), 1).unwrap();
    let second = dialogs.insert(early("b2"), 2).unwrap();
    let third = dialogs.insert(confirmed("b3"), 3).unwrap();
    for (tag, key) in [("b1", first), ("b2", second), ("b3", third)] {
        assert_eq!(dialogs.find_response(&answer("200 OK", tag, CONTACT)), Some(key));
    }
    let mut all: Vec<_> = dialogs.of_invite("call@alice", "a1").map(|(key, ..)| key).collect();
    all.sort();
    assert_eq!(all, [first, second, third]);
    let mut early: Vec<_> = dialogs.early_of_invite("call@alice", "a1").collect();
    early.sort();
    assert_eq!(early, [first, second]);
    assert_eq!(dialogs.of_invite("call@alice", "a2").count(), 0);
    assert_eq!(dialogs.of_invite("call", "@alicea1").count(), 0);

    for key in early {
        assert!(dialogs.remove(key).is_some());
    }
    assert_eq!(dialogs.len(), 1);
    assert_eq!(dialogs.early_of_invite("call@alice", "a1").count(), 0);
}

#[test]
fn the_limit_and_duplicates_are_refused_and_given_back() {
    let mut dialogs = Dialogs::new([1, 2], 2);
    assert_eq!(dialogs.limit(), 2);
    let key = dialogs.insert(early("b1"), 1).unwrap();
    match dialogs.insert(confirmed("b1"), 2) {
        Err(InsertError::Duplicate(other, dialog, 2)) => {
            assert_eq!(other, key);
            assert_eq!(dialog, confirmed("b1"));
        }
        other => panic!("{other:?}"),
    }
    dialogs.insert(early("b2"), 2).unwrap();
    let error = dialogs.insert(early("b3"), 3).unwrap_err();
    assert_eq!(error.to_string(), "the table of dialogs is full");
    assert!(matches!(error, InsertError::Full(dialog, 3) if dialog == early("b3")));
    dialogs.remove(key).unwrap();
    dialogs.insert(early("b3"), 3).unwrap();
    assert_eq!(dialogs.len(), 2);
}

#[test]
fn keys_do_not_find_what_came_after() {
    let mut dialogs = Dialogs::new([1, 2], 10);
    let old = dialogs.insert(early("b1"), 1).unwrap();
    assert_eq!(dialogs.remove(old).unwrap().1, 1);
    let new = dialogs.insert(early("b2"), 2).unwrap();
    assert_eq!(new.slot, old.slot);
    assert!(dialogs.get(old).is_none());
    assert!(dialogs.get_mut(old).is_none());
    assert!(dialogs.remove(old).is_none());
    assert!(dialogs.get(new).is_some());
    assert_eq!(DialogKey::from_u64(new.to_u64()), new);
    assert_ne!(new.to_u64(), old.to_u64());
}

/// Many dialogs come and go; what is found is what is there, and nothing is left at the end.
#[test]
fn agrees_with_a_list() {
    let mut dialogs = Dialogs::new([7, 8], 1000);
    let mut list: Vec<(std::string::String, DialogKey)> = Vec::new();
    let mut state = 1_u64;
    for round in 0..4000 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let pick = (state >> 33) as usize;
        if list.len() > 200 || (pick.is_multiple_of(3) && !list.is_empty()) {
            let (tag, key) = list.swap_remove(pick % list.len());
            assert_eq!(dialogs.remove(key).unwrap().0.id().remote_tag, tag);
        } else {
            let tag = format!("t{round}");
            let key = dialogs.insert(early(&tag), round).unwrap();
            list.push((tag, key));
        }
        let Some((tag, key)) = list.get(pick % list.len().max(1)) else { continue };
        let id = DialogId { call_id: "call@alice", local_tag: "a1", remote_tag: tag };
        assert_eq!(dialogs.find_id(&id), Some(*key));
        assert_eq!(dialogs.len(), list.len());
    }
    assert_eq!(dialogs.iter().count(), list.len());
    for (_, key) in list {
        dialogs.remove(key).unwrap();
    }
    assert!(dialogs.is_empty());
    assert!(dialogs.slots.len() <= 202, "slots are used again");
}

/// RFC 3261 §12.1.2: a peer without tags (RFC 2543) has the null tag on both ways.
#[test]
fn a_peer_without_tags_is_found() {
    let mut dialogs = Dialogs::new([1, 2], 10);
    let key = dialogs.insert(confirmed(""), ()).unwrap();
    assert_eq!(dialogs.find_response(&answer("200 OK", "", CONTACT)), Some(key));
    let bye = request(
        "BYE sip:alice@192.0.2.1 SIP/2.0
         Via: SIP/2.0/UDP 192.0.2.2
         From: <sip:bob@example.com>
         To: <sip:alice@example.com>;tag=a1
         Call-ID: call@alice
         CSeq: 1 BYE",
    );
    assert_eq!(dialogs.find(&bye), Found::Dialog(key));
}
