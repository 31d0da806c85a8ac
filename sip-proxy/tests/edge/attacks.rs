//! Flow tokens in the wrong hands: forged, cut off, of another flow, of another node, of a connection that is gone.

use std::time::Duration;

use sip_message::HeaderName;
use sip_proxy::edge::{EdgeKey, EdgeKeys};
use sip_sim::NodeId;

use crate::scene::{Scene, edge, edge_key, tcp, udp, user_of, values};

/// Bob registers through the edge at .15; Mallory is at .66. Bob's token comes back.
fn scene() -> (Scene, NodeId, NodeId, NodeId, String) {
    let mut scene = Scene::new();
    let ep1 = scene.edge(15, edge("ep1", 1).node("ep2", "sip:192.0.2.16".parse().unwrap()));
    scene.home(None);
    let bob = scene.phone(2);
    let mallory = scene.phone(66);
    let register = "REGISTER sip:example.com SIP/2.0
        From: <sip:bob@example.com>;tag=1
        To: <sip:bob@example.com>
        Call-ID: 1
        Supported: path, outbound
        Contact: <sip:bob@192.0.2.2;transport=tcp>;reg-id=1;+sip.instance=\"<urn:x:1>\"";
    scene.send(bob, register, tcp(15));
    let path = values(scene.answer(bob).headers(), HeaderName::Path);
    let token = user_of(&path[0]).to_owned();
    (scene, ep1, bob, mallory, token)
}

fn message(token: &str) -> String {
    format!(
        "MESSAGE sip:bob@192.0.2.99 SIP/2.0
         From: <sip:mallory@evil.example>;tag=1
         To: <sip:bob@example.com>
         Call-ID: {token}
         Route: <sip:{token}@192.0.2.15:5060;lr;ob>"
    )
}

/// What Mallory is answered when she sends with that token.
fn answered(scene: &mut Scene, mallory: NodeId, token: &str) -> u16 {
    scene.send(mallory, &message(token), udp(15));
    scene.answer(mallory).status().as_u16()
}

#[test]
fn a_forged_token_is_403_and_reaches_nobody() {
    let (mut scene, ep1, bob, mallory, token) = scene();
    let other = edge("ep1", 1);
    let mut foreign = other.clone();
    foreign.set_keys(EdgeKeys::new(EdgeKey::new(&[99; 32]).unwrap()));
    let flow = sip_transport::Flow {
        transport: sip_message::Transport::Udp,
        listener: sip_transport::ListenerId::new(0),
        connection: None,
        remote: "192.0.2.2:5060".parse().unwrap(),
    };
    let mut changed = token.clone().into_bytes();
    changed[10] = if changed[10] == b'A' { b'B' } else { b'A' };
    for forged in [
        String::from_utf8(changed).unwrap(),
        token[..token.len() - 4].to_owned(),
        "f~".into(),
        foreign.tokens().make(&flow),
    ] {
        assert_eq!(answered(&mut scene, mallory, &forged), 403, "{forged}");
    }
    assert!(scene.heard_nothing(bob));
    scene.finish(&[ep1]);
}

#[test]
fn a_key_that_is_retired_makes_no_way() {
    let (mut scene, ep1, bob, mallory, token) = scene();
    let new = EdgeKey::new(&[8; 32]).unwrap();
    let both = EdgeKeys::new(new.clone()).or(edge_key());
    scene.on(ep1, |server, _| server.proxy.edge_mut().unwrap().set_keys(both));
    scene.send(mallory, &message(&token), udp(15));
    let (key, request, _) = scene.request(bob);
    scene.respond(bob, (key, &request), 200, "");
    assert_eq!(scene.answer(mallory).status().as_u16(), 200);
    scene.on(ep1, |server, _| server.proxy.edge_mut().unwrap().set_keys(EdgeKeys::new(new)));
    scene.run(Duration::from_secs(40));
    assert_eq!(answered(&mut scene, mallory, &token), 403);
    scene.finish(&[ep1]);
}

#[test]
fn a_connection_that_is_gone_is_430_and_no_other_is_opened() {
    let (mut scene, ep1, bob, mallory, token) = scene();
    let (_, _, flow) = {
        scene.send(mallory, &message(&token), udp(15));
        let (key, request, flow) = scene.request(bob);
        scene.respond(bob, (key, &request), 200, "");
        scene.answer(mallory);
        (key, request, flow)
    };
    scene.network.with(bob, |_, _, tx| tx.close(flow)).unwrap();
    scene.run(Duration::from_secs(40));
    assert_eq!(answered(&mut scene, mallory, &token), 430);
    // Another connection of his, from the same address, is another flow.
    scene.send(
        bob,
        "OPTIONS sip:192.0.2.15 SIP/2.0
        From: <sip:bob@example.com>;tag=1
        To: <sip:192.0.2.15>
        Call-ID: 2",
        tcp(15),
    );
    scene.run(Duration::from_secs(40));
    assert_eq!(answered(&mut scene, mallory, &token), 430);
    assert!(scene.heard_nothing(bob));
    scene.finish(&[ep1]);
}

#[test]
fn a_token_of_another_node_goes_there_or_is_430() {
    let (mut scene, ep1, _, mallory, _) = scene();
    let flow = sip_transport::Flow {
        transport: sip_message::Transport::Udp,
        listener: sip_transport::ListenerId::new(0),
        connection: None,
        remote: "192.0.2.2:5060".parse().unwrap(),
    };
    assert_eq!(answered(&mut scene, mallory, edge("ep3", 1).tokens().make(&flow).as_str()), 430);
    // The second edge is reached by a name that both have.
    let ep2 = scene.phone(16);
    let token = edge("ep2", 1).tokens().make(&flow);
    scene.send(mallory, &message(&token), udp(15));
    let (key, request, _) = scene.request(ep2);
    assert_eq!(
        values(request.headers(), HeaderName::Route),
        [format!("<sip:{token}@192.0.2.15:5060;lr;ob>")]
    );
    scene.respond(ep2, (key, &request), 200, "");
    assert_eq!(scene.answer(mallory).status().as_u16(), 200);
    scene.finish(&[ep1]);
}
