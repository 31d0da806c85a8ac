//! Which message belongs to which transaction: RFC 3261 §17.1.3, §17.2.3 and §9.2.

use std::time::Duration;

use sip_message::Transport;

use crate::script::{Run, answer, header, incoming, input};

fn udp() -> Run {
    Run::new("udp")
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

const NOTHING: [&str; 0] = [];

impl Run {
    /// Receives this text now; what came of it.
    fn receives(&mut self, text: &str) -> Vec<String> {
        self.endpoint.handle_input(self.start, input(self.transport, text));
        self.drain()
    }

    fn does(&mut self, text: &str) -> Vec<String> {
        self.input(Duration::ZERO, &words(text))
    }
}

/// An INVITE of the peer over UDP with this top Via and this To tag.
fn with_via(method: &str, via: &str, to_tag: &str) -> String {
    let text = incoming(method, "BRANCH", to_tag, Transport::Udp);
    text.replace("SIP/2.0/UDP 192.0.2.2:5060;branch=BRANCH", via)
}

#[test]
fn a_response_needs_the_whole_branch_and_the_method() {
    let mut run = udp();
    run.does("from_tu OPTIONS");
    let ok = answer(&run.sent[0].payload.clone(), 200, "them");
    let branch = header(ok.as_bytes(), "Via")[0].split("branch=").nth(1).unwrap();
    let branch = branch.split(';').next().unwrap().to_owned();
    let wrong = [
        ok.replace("7 OPTIONS", "7 INFO"),
        ok.replace("7 OPTIONS", "7 CANCEL"),
        ok.replace(&branch, "z9hG4bK"),
        ok.replace(&branch, "z9hG4bKsomethingelse"),
        ok.replace(&branch, &format!("{}a", &branch[..branch.len() - 1])),
        ok.replace(&branch, &format!("{branch}a")),
        ok.replace(&format!(";branch={branch}"), ""),
    ];
    for (count, wrong) in wrong.iter().enumerate() {
        assert_eq!(run.receives(wrong), NOTHING, "{wrong}");
        let stats = run.endpoint.stats();
        assert_eq!(stats.dropped_strays + stats.dropped_responses, count as u64 + 1, "{wrong}");
    }
    assert_eq!(run.receives(&ok), ["to_tu 200"]);
}

#[test]
fn the_branch_of_a_response_is_a_token_and_so_of_any_case() {
    let mut run = udp();
    run.does("from_tu OPTIONS");
    let ok = answer(&run.sent[0].payload.clone(), 200, "them");
    let branch = ok.split("branch=").nth(1).unwrap().split(';').next().unwrap();
    let shouted = ok.replace(branch, &branch.to_ascii_uppercase());
    assert_ne!(shouted, ok);
    assert_eq!(run.receives(&shouted), ["to_tu 200"]);
}

#[test]
fn a_response_to_a_transaction_whose_slot_is_in_use_again_is_a_stray() {
    let mut run = Run::new("tcp");
    run.does("from_tu OPTIONS");
    let ok = answer(&run.sent[0].payload.clone(), 200, "them");
    assert_eq!(run.receives(&ok), ["to_tu 200", "ended"]);
    run.does("from_tu OPTIONS");
    assert_eq!(run.receives(&ok), NOTHING);
    assert_eq!(run.endpoint.stats().dropped_strays, 1);
}

#[test]
fn a_response_whose_top_via_is_not_ours_is_dropped() {
    let mut run = udp();
    run.does("from_tu OPTIONS");
    let ok = answer(&run.sent[0].payload.clone(), 200, "them");
    assert_eq!(
        run.receives(&ok.replace("192.0.2.1:5060;branch", "192.0.2.9:5060;branch")),
        ["blame"]
    );
    assert_eq!(run.endpoint.stats().dropped_responses, 1);
    // More Vias than ours: it went astray on its way to somebody else.
    let two = ok.replacen("Via:", "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKx\r\nVia:", 1);
    assert_eq!(run.receives(&two), ["blame"]);
    assert_eq!(run.endpoint.stats().dropped_responses, 2);
}

#[test]
fn a_request_matches_by_branch_sent_by_and_method() {
    let mut run = udp();
    let invite = with_via("INVITE", "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKx", "");
    assert_eq!(run.receives(&invite), ["to_tu INVITE"]);
    // Again, in another case and with other white space: absorbed.
    let again =
        invite.replace("192.0.2.2:5060;branch=z9hG4bKx", "192.0.2.2:5060 ; Branch = Z9hG4bKX");
    assert_eq!(run.receives(&again), NOTHING);
    assert_eq!(run.endpoint.stats().requests_absorbed, 1);
    let others = [
        with_via("INVITE", "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKy", ""),
        with_via("INVITE", "SIP/2.0/UDP 192.0.2.2:5061;branch=z9hG4bKx", ""),
        with_via("INVITE", "SIP/2.0/UDP peer.example.com;branch=z9hG4bKx", ""),
    ];
    for other in &others {
        assert_eq!(run.receives(other), ["to_tu INVITE"], "{other}");
    }
    let info = with_via("INFO", "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKx", "");
    assert_eq!(run.receives(&info), ["to_tu INFO"]);
}

#[test]
fn an_ack_with_the_branch_of_the_invite_is_absorbed_and_another_is_not() {
    let mut run = udp();
    run.receives(&incoming("INVITE", "z9hG4bKx", "", Transport::Udp));
    run.does("from_tu 486");
    let other = incoming("ACK", "z9hG4bKy", ";tag=us", Transport::Udp);
    assert_eq!(run.receives(&other), ["to_tu ACK"]);
    // The branch decides; the tag is not looked at.
    let own = incoming("ACK", "z9hG4bKx", "", Transport::Udp);
    assert_eq!(run.receives(&own), ["to_tu confirmed"]);
    run.endpoint.handle_timeout(run.start + Duration::from_secs(5));
    assert_eq!(run.drain(), ["ended"]);
}

#[test]
fn an_ack_does_not_match_a_transaction_of_another_method() {
    let mut run = udp();
    run.receives(&incoming("OPTIONS", "z9hG4bKx", "", Transport::Udp));
    let ack = incoming("ACK", "z9hG4bKx", "", Transport::Udp);
    assert_eq!(run.receives(&ack), ["to_tu ACK"]);
}

#[test]
fn a_cancel_matches_whatever_has_its_branch() {
    let mut run = udp();
    run.receives(&incoming("OPTIONS", "z9hG4bKx", "", Transport::Udp));
    let cancel = incoming("CANCEL", "z9hG4bKx", "", Transport::Udp);
    // RFC 3261 §9.2: it has no impact on other methods than INVITE, but is answered with 200.
    assert_eq!(run.receives(&cancel), ["send 200"]);
    assert_eq!(run.receives(&incoming("CANCEL", "z9hG4bKy", "", Transport::Udp)), ["send 481"]);
    let elsewhere = cancel.replace("192.0.2.2:5060", "192.0.2.2:5070");
    assert_eq!(run.receives(&elsewhere), ["send 481"]);
}

#[test]
fn the_tag_of_the_200_to_a_cancel_is_that_which_the_user_may_take() {
    let mut run = udp();
    run.receives(&incoming("INVITE", "z9hG4bKx", "", Transport::Udp));
    let tag = run.endpoint.transactions().local_tag(run.server.unwrap());
    run.receives(&incoming("CANCEL", "z9hG4bKx", "", Transport::Udp));
    assert_eq!(header(run.sent_as("200")[0], "To"), [format!("<sip:alice@192.0.2.1>;tag={tag}")]);
}

// RFC 2543: no branch, one without the cookie, or (RFC 4475 §3.2.1) nothing but the cookie.
const OLD_VIAS: [&str; 4] = [
    "SIP/2.0/UDP 192.0.2.2:5060",
    "SIP/2.0/UDP 192.0.2.2:5060;branch=1",
    "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK",
    "SIP/2.0/UDP 192.0.2.2:5060;hidden;branch=4b43c2ff8.1",
];

#[test]
fn a_client_without_branches_is_matched_by_its_request() {
    for via in OLD_VIAS {
        let mut run = udp();
        let invite = with_via("INVITE", via, "");
        assert_eq!(run.receives(&invite), ["to_tu INVITE"], "{via}");
        assert_eq!(run.receives(&invite), NOTHING, "{via}: again");
        let others = [
            invite.replace("sip:alice@192.0.2.1 SIP", "sip:carol@192.0.2.1 SIP"),
            invite.replace("To: <sip:alice@192.0.2.1>", "To: <sip:alice@192.0.2.1>;tag=x"),
            invite.replace("tag=b1", "tag=b2"),
            invite.replace("call-2", "call-3"),
            invite.replace("9 INVITE", "10 INVITE"),
            invite.replace("192.0.2.2:5060", "192.0.2.2:5062"),
        ];
        for other in &others {
            assert_ne!(*other, invite);
            assert_eq!(run.receives(other), ["to_tu INVITE"], "{other}");
        }
        // Equal by the rules of its parts.
        let equal = invite.replace("sip:alice@192.0.2.1 SIP", "SIP:alice@192.0.2.1 SIP");
        assert_eq!(run.receives(&equal), NOTHING, "{via}: an equivalent Request-URI");
    }
}

#[test]
fn the_ack_of_a_client_without_branches_needs_the_tag_of_the_response() {
    for via in OLD_VIAS {
        let mut run = udp();
        run.receives(&with_via("INVITE", via, ""));
        assert_eq!(run.does("from_tu 486"), ["send 486"]);
        let other = with_via("ACK", via, ";tag=other");
        assert_eq!(run.receives(&other), ["to_tu ACK"], "{via}: another tag");
        let renumbered = with_via("ACK", via, ";tag=us").replace("9 ACK", "8 ACK");
        assert_eq!(run.receives(&renumbered), ["to_tu ACK"], "{via}: another CSeq");
        let own = with_via("ACK", via, ";tag=us");
        assert_eq!(run.receives(&own), ["to_tu confirmed"], "{via}");
        run.endpoint.handle_timeout(run.start + Duration::from_secs(5));
        assert_eq!(run.drain(), ["ended"], "{via}: it was confirmed");
    }
}

#[test]
fn the_ack_of_a_client_without_branches_to_a_2xx_goes_up() {
    for via in OLD_VIAS {
        let mut run = udp();
        run.receives(&with_via("INVITE", via, ""));
        assert_eq!(run.does("from_tu 200"), ["send 200"]);
        assert_eq!(run.receives(&with_via("ACK", via, ";tag=us")), ["to_tu ACK"], "{via}");
    }
}

#[test]
fn the_cancel_of_a_client_without_branches_finds_its_invite() {
    for via in OLD_VIAS {
        let mut run = udp();
        run.receives(&with_via("INVITE", via, ""));
        let cancel = with_via("CANCEL", via, "");
        assert_eq!(run.receives(&cancel), ["send 200", "to_tu cancelled"], "{via}");
        assert_eq!(run.receives(&cancel), ["send 200"], "{via}: again");
        assert_eq!(run.does("from_tu 487"), ["send 487"]);
    }
}

#[test]
fn a_second_bye_of_a_client_without_branches_is_another() {
    let mut run = udp();
    let bye = with_via("BYE", OLD_VIAS[0], ";tag=us");
    assert_eq!(run.receives(&bye), ["to_tu BYE"]);
    run.does("from_tu 200");
    assert_eq!(run.receives(&bye), ["send 200"]);
    assert_eq!(run.receives(&bye.replace("9 BYE", "11 BYE")), ["to_tu BYE"]);
}
