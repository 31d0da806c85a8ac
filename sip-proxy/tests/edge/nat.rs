//! Phones behind NAT boxes, and browsers, which know nothing of outbound.

use std::time::Duration;

use sip_message::{HeaderName, Transport};
use sip_sim::{Nat, NatKind, NodeId};
use sip_transaction::NextHop;
use sip_transport::{Flow, Target};

use crate::scene::{Scene, edge, udp, values};

fn register(contact: &str) -> String {
    format!(
        "REGISTER sip:example.com SIP/2.0
         From: <sip:bob@example.com>;tag=1
         To: <sip:bob@example.com>
         Call-ID: 1
         Contact: {contact}"
    )
}

const INVITE: &str = "INVITE sip:bob@example.com SIP/2.0
    To: Bob <sip:bob@example.com>
    From: Alice <sip:alice@a.example>;tag=1
    Call-ID: klmvCxVWGp6MxJp2T2mb
    Contact: <sip:alice@192.0.2.30>";

/// A phone registers, is called, and is sent a BYE, over a flow that comes back.
fn reached(
    kind: NatKind,
    transport: Transport,
    port: u16,
    contact: &str,
) -> (Scene, NodeId, NodeId, NodeId, Flow) {
    let mut scene = Scene::new();
    let home = scene.home(Some(edge("home", 1)));
    let nat = scene.network.add_nat(Nat::new(kind, [203, 0, 113, 1].into()));
    let bob = scene.phone_behind(nat, transport, [10, 0, 0, 2]);
    let alice = scene.phone(30);
    let to_home = NextHop::Target(Target::new(transport, ([192, 0, 2, 20], port).into()));
    scene.send(bob, &register(contact), to_home);
    let answer = scene.answer(bob);
    assert_eq!(answer.status().as_u16(), 200);
    // RFC 5626 §6: "If the Contact header did not contain a "reg-id" Contact header field
    // parameter or if that parameter was ignored (as described above), the
    // registrar MUST NOT include the outbound option-tag in the Require
    // header field of its response."
    assert!(values(answer.headers(), HeaderName::Require).is_empty());

    scene.send(alice, INVITE, udp(20));
    let (key, request, flow) = scene.request(bob);
    scene.respond(bob, (key, &request), 200, &format!("Contact: {contact}"));
    let mut route = values(scene.answer(alice).headers(), HeaderName::RecordRoute);
    route.reverse();
    let uri = contact.trim_matches(['<', '>']);
    let within = |method: &str, cseq: u32| {
        format!(
            "{method} {uri} SIP/2.0
             To: Bob <sip:bob@example.com>;tag=callee
             From: Alice <sip:alice@a.example>;tag=1
             Call-ID: klmvCxVWGp6MxJp2T2mb
             CSeq: {cseq} {method}
             Route: {}",
            route.join(", ")
        )
    };
    scene.send(alice, &within("ACK", 1), udp(20));
    scene.ack(bob);
    scene.send(alice, &within("BYE", 2), udp(20));
    let (key, request, _) = scene.request(bob);
    scene.respond(bob, (key, &request), 200, "");
    scene.answer(alice);

    (scene, home, bob, alice, flow)
}

#[test]
fn a_phone_behind_any_box_is_reached_by_its_flow() {
    for kind in NatKind::ALL {
        for transport in [Transport::Udp, Transport::Tcp] {
            let by = if transport == Transport::Tcp { ";transport=tcp" } else { "" };
            let contact = format!("<sip:bob@10.0.0.2{by}>");
            let (mut scene, home, ..) = reached(kind, transport, 5060, &contact);
            scene.finish(&[home]);
        }
    }
}

#[test]
fn a_browser_is_reached_by_its_connection_until_that_is_closed() {
    let contact = "<sip:bob@df7jal23ls0d.invalid;transport=ws>";
    let (mut scene, home, bob, alice, flow) =
        reached(NatKind::Symmetric, Transport::Ws, 8080, contact);
    scene.network.with(bob, |_, _, tx| tx.close(flow)).unwrap();
    scene.run(Duration::from_secs(1));
    let left = scene.on(home, |server, _| server.bindings().values().flatten().count());
    assert_eq!(left, 0, "its binding is gone");
    scene.send(alice, &INVITE.replace("klmv", "again"), udp(20));
    assert_eq!(scene.answer(alice).status().as_u16(), 480);
    scene.finish(&[home]);
}
