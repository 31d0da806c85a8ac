use super::*;
use crate::Dialog;
use crate::test_support::{answer, invite, request};
use sip_message::Transport;
use std::format;
use std::string::String;

const CONTACT: &str = "Contact: <sip:bob@192.0.2.2>";

/// An INVITE of Carol's outside of any dialog, with this header.
fn from_carol(method: &str, more: &str) -> Request {
    request(&format!(
        "{method} sip:alice@192.0.2.1 SIP/2.0
         Via: SIP/2.0/UDP carol.example.com;branch=z9hG4bKc1
         Max-Forwards: 70
         From: Carol <sip:carol@example.com>;tag=c1
         To: \"Alice\" <sip:alice@example.com>
         Call-ID: call@carol
         CSeq: 1 {method}
         Contact: <sip:carol@192.0.2.3>
         {more}
         Content-Length: 0"
    ))
}

fn ours(status: &str) -> Dialog {
    Dialog::uac(&invite(""), &answer(status, "b1", CONTACT), Transport::Udp).unwrap()
}

/// Bob's view: he is called by Alice, and has not answered.
fn rings_here() -> Dialog {
    Dialog::uas(&invite(""), "b1", Transport::Udp).unwrap()
}

fn judge(dialog: Dialog, standing: Standing, more: &str) -> Result<Option<Replaced>, u16> {
    let mut dialogs = Dialogs::new([1, 2], 10);
    dialogs.insert(dialog, ()).unwrap();
    dialogs
        .replaced(&from_carol("INVITE", more), |_, ()| standing)
        .map_err(|rejection| rejection.status.as_u16())
}

const OURS: &str = "Replaces: call@alice;to-tag=a1;from-tag=b1";

/// RFC 3891 §3, each stage of the dialog and each flag.
#[test]
fn a_dialog_is_replaced_by_its_stage() {
    let early_only = format!("{OURS};early-only");
    for (dialog, more, status) in [
        (ours("200 OK"), OURS, None),
        (ours("200 OK"), &*early_only, Some(486)),
        (ours("180 Ringing"), OURS, None),
        (ours("180 Ringing"), &early_only, None),
        (rings_here(), "Replaces: call@alice;to-tag=b1;from-tag=a1", Some(481)),
    ] {
        let verdict = judge(dialog, Standing::Session, more);
        match status {
            None => {
                assert_eq!(verdict.unwrap().unwrap().early_only, more.ends_with("early-only"));
            }
            Some(status) => assert_eq!(verdict, Err(status), "{more}"),
        }
    }
    // Once it is accepted, the callee's dialog is as good as the caller's.
    let mut dialog = rings_here();
    dialog.accepted(&invite(""));
    let swapped = "Replaces: call@alice;to-tag=b1;from-tag=a1";
    assert!(judge(dialog, Standing::Session, swapped).unwrap().is_some());
    assert_eq!(judge(ours("200 OK"), Standing::Session, ""), Ok(None));
}

#[test]
fn what_is_not_a_session_is_not_replaced() {
    // RFC 3891 §3: "the UA SHOULD decline the request with a 603 Declined
    // response"
    assert_eq!(judge(ours("200 OK"), Standing::Ended, OURS), Err(603));
    // RFC 3891 §3: "matches a dialog which was not created with an INVITE,
    // the UAS MUST reject the request with a 481 response"
    assert_eq!(judge(ours("200 OK"), Standing::Other, OURS), Err(481));
    // RFC 3891 §3: "If no match is found, the UAS rejects the INVITE and returns a 481
    // Call/Transaction Does Not Exist response."
    for strange in [
        "Replaces: call@alice;to-tag=b1;from-tag=a1",
        "Replaces: call@alice;to-tag=a1;from-tag=b2",
        "Replaces: Call@alice;to-tag=a1;from-tag=b1",
    ] {
        assert_eq!(judge(ours("200 OK"), Standing::Session, strange), Err(481), "{strange}");
    }
}

/// RFC 3891 §3: every way to say it wrong is 400.
#[test]
fn a_replaces_that_cannot_be_meant_is_400() {
    for wrong in [
        &*format!("{OURS}\n{OURS}"),
        &format!("{OURS}, other@alice;to-tag=1;from-tag=2"),
        &format!("{OURS}\nJoin: call@alice;to-tag=a1;from-tag=b1"),
        "Replaces: call@alice;to-tag=a1",
        "Replaces: call@alice;from-tag=b1",
        "Replaces: call@alice;to-tag=a1;to-tag=a1;from-tag=b1",
        "Replaces:",
    ] {
        assert_eq!(judge(ours("200 OK"), Standing::Session, wrong), Err(400), "{wrong}");
    }
    let mut dialogs = Dialogs::new([1, 2], 10);
    dialogs.insert(ours("200 OK"), ()).unwrap();
    let message = from_carol("MESSAGE", OURS);
    let rejection = dialogs.replaced(&message, |_, ()| Standing::Session).unwrap_err();
    assert_eq!(rejection.status, StatusCode::BAD_REQUEST);
}

#[test]
fn the_last_dialogs_are_remembered_and_no_more() {
    let mut dialogs = Dialogs::new([1, 2], 1000);
    let key = dialogs.insert(ours("200 OK"), ()).unwrap();
    dialogs.remove(key);
    let status = |dialogs: &Dialogs<()>| {
        let invite = from_carol("INVITE", OURS);
        dialogs.replaced(&invite, |_, ()| Standing::Session).unwrap_err().status.as_u16()
    };
    assert_eq!(status(&dialogs), 603);
    for n in 0..REMEMBERED {
        assert_eq!(status(&dialogs), 603, "after {n} more");
        let tag: String = format!("x{n}");
        let dialog = Dialog::uac(&invite(""), &answer("200 OK", &tag, CONTACT), Transport::Udp);
        let key = dialogs.insert(dialog.unwrap(), ()).unwrap();
        dialogs.remove(key);
    }
    assert_eq!(status(&dialogs), 481, "the oldest is forgotten");
}

#[test]
fn what_is_remembered_does_not_grow() {
    let mut ended = Ended::default();
    for n in 0..3 * REMEMBERED {
        ended.note([1, 2], &DialogId { call_id: &format!("{n}"), local_tag: "a", remote_tag: "b" });
    }
    assert_eq!(ended.hashes.len(), REMEMBERED);
}

/// RFC 3891 §6.1: a peer of RFC 2543 has no tag, and zero stands for it.
#[test]
fn a_tag_of_zero_is_also_none() {
    let mut dialogs = Dialogs::new([1, 2], 10);
    let null = Dialog::uac(&invite(""), &answer("200 OK", "", CONTACT), Transport::Udp).unwrap();
    let key = dialogs.insert(null, ()).unwrap();
    let invite_of_carol = from_carol("INVITE", "Replaces: call@alice;to-tag=a1;from-tag=0");
    let judge =
        |dialogs: &Dialogs<()>| dialogs.replaced(&invite_of_carol, |_, ()| Standing::Session);
    assert_eq!(judge(&dialogs).unwrap().unwrap().dialog, key);
    // RFC 3891 §3: "If the Replaces header field matches more than one dialog, the UA
    // MUST act as if no match is found."
    let zero = Dialog::uac(&invite(""), &answer("200 OK", "0", CONTACT), Transport::Udp).unwrap();
    let zero = dialogs.insert(zero, ()).unwrap();
    assert_eq!(judge(&dialogs).unwrap_err().status.as_u16(), 481);
    dialogs.remove(key);
    assert_eq!(judge(&dialogs).unwrap().unwrap().dialog, zero);
    dialogs.remove(zero);
    assert_eq!(judge(&dialogs).unwrap_err().status.as_u16(), 603);
}

/// RFC 3911 §4: as for Replaces, but an early dialog may be joined at either end.
#[test]
fn a_dialog_is_joined_at_every_stage() {
    let judge = |dialog: Dialog, standing, more: &str| {
        let mut dialogs = Dialogs::new([1, 2], 10);
        let key = dialogs.insert(dialog, ()).unwrap();
        let joined = dialogs.joined(&from_carol("INVITE", more), |_, ()| standing);
        joined.map(|found| found.map(|found| found == key)).map_err(|owed| owed.status.as_u16())
    };
    let join = "Join: call@alice;to-tag=a1;from-tag=b1";
    assert_eq!(judge(ours("200 OK"), Standing::Session, join), Ok(Some(true)));
    assert_eq!(judge(ours("180 Ringing"), Standing::Session, join), Ok(Some(true)));
    let at_callee = "Join: call@alice;to-tag=b1;from-tag=a1";
    assert_eq!(judge(rings_here(), Standing::Session, at_callee), Ok(Some(true)));
    assert_eq!(judge(rings_here(), Standing::Session, ""), Ok(None));
    assert_eq!(judge(rings_here(), Standing::Session, join), Err(481));
    assert_eq!(judge(ours("200 OK"), Standing::Ended, join), Err(603));
    assert_eq!(judge(ours("200 OK"), Standing::Other, join), Err(481));
    assert_eq!(judge(ours("200 OK"), Standing::Session, &format!("{join}\n{join}")), Err(400));
    assert_eq!(judge(ours("200 OK"), Standing::Session, &format!("{join}\n{OURS}")), Err(400));
}

// RFC 4538 §4: "If the dialog identifiers don't match, or if they don't contain both
// a "remote-tag" and "local-tag" parameter, the header field MUST be
// ignored"
#[test]
fn a_target_dialog_is_found_or_ignored() {
    let mut dialogs = Dialogs::new([1, 2], 10);
    let key = dialogs.insert(ours("200 OK"), ()).unwrap();
    for (more, found) in [
        ("Target-Dialog: call@alice;local-tag=a1;remote-tag=b1", Some(key)),
        ("Target-Dialog: call@alice;local-tag=b1;remote-tag=a1", None),
        ("Target-Dialog: call@alice;local-tag=a1", None),
        ("Target-Dialog: call@alice;remote-tag=b1", None),
        ("Target-Dialog: ;;", None),
        ("", None),
    ] {
        assert_eq!(dialogs.target_dialog(&from_carol("REFER", more)), found, "{more}");
    }
}
