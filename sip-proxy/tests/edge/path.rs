//! RFC 3327 §5.5: UA1 at 192.0.2.4 registers through P1 (.11), P2 (.12) and P3 (.13) at the home (.20); P1 and P3 want
//! to be on the path.

use sip_message::HeaderName;
use sip_proxy::edge::PathPolicy;

use crate::scene::{Scene, edge, udp, values};

const REGISTER: &str = "REGISTER sip:example.com SIP/2.0
    To: UA1 <sip:UA1@example.com>
    From: UA1 <sip:UA1@example.com>;tag=456248
    Call-ID: 843817637684230@998sdasdh09
    CSeq: 1826 REGISTER
    Contact: <sip:UA1@192.0.2.4>
    Supported: path
    Route: <sip:192.0.2.11;lr>, <sip:192.0.2.12;lr>, <sip:192.0.2.13;lr>";

#[test]
fn the_example_of_the_rfc() {
    let mut scene = Scene::new();
    let p1 = scene.edge(11, edge("p1", 1).path_policy(PathPolicy::Always));
    let p2 = scene.edge(12, edge("p2", 1));
    let p3 = scene.edge(13, edge("p3", 1).path_policy(PathPolicy::Always));
    let home = scene.home(None);
    let (ua1, ua2) = (scene.phone(4), scene.phone(30));
    scene.send(ua1, REGISTER, udp(11));
    let answer = scene.answer(ua1);
    let path = ["<sip:192.0.2.13:5060;lr>", "<sip:192.0.2.11:5060;lr>"];
    assert_eq!(values(answer.headers(), HeaderName::Path), path);

    let before = scene.passed();
    let invite = "INVITE sip:UA1@example.com SIP/2.0
        To: UA1 <sip:UA1@example.com>
        From: UA2 <sip:UA2@elsewhere.example>;tag=224497
        Call-ID: 48273181116@192.0.2.30
        Contact: <sip:UA2@192.0.2.30>";
    scene.send(ua2, invite, udp(20));
    let (key, request, _) = scene.request(ua1);
    assert_eq!(
        scene.ladder(before),
        ["30 > 20: INVITE", "20 > 13: INVITE", "13 > 11: INVITE", "11 > 4: INVITE"]
    );
    assert_eq!(request.uri().unwrap().to_string(), "sip:UA1@192.0.2.4");
    assert_eq!(
        values(request.headers(), HeaderName::RecordRoute),
        ["<sip:192.0.2.11:5060;lr>", "<sip:192.0.2.13:5060;lr>", "<sip:192.0.2.20:5060;lr>"]
    );
    scene.respond(ua1, (key, &request), 486, "");
    assert_eq!(scene.answer(ua2).status().as_u16(), 486);
    scene.finish(&[p1, p2, p3, home]);
}

#[test]
fn who_does_not_know_path_is_told_or_left_alone() {
    let register = REGISTER.replace("Supported: path", "Supported: gruu");
    // Behind a NAT box, so that the edge is needed.
    let register = register.replace("@192.0.2.4", "@10.0.0.4");
    for (policy, status) in
        [(PathPolicy::Require, 421), (PathPolicy::WhenNeeded, 200), (PathPolicy::ForAnyone, 420)]
    {
        let mut scene = Scene::new();
        let p1 = scene.edge(11, edge("p1", 1).path_policy(policy));
        scene.edge(12, edge("p2", 1));
        scene.edge(13, edge("p3", 1));
        scene.home(None);
        let ua1 = scene.phone(4);
        scene.send(ua1, &register, udp(11));
        let answer = scene.answer(ua1);
        assert_eq!(answer.status().as_u16(), status, "{policy:?}");
        let required = values(answer.headers(), HeaderName::Require);
        assert_eq!(required == ["path"], status == 421);
        scene.finish(&[p1]);
    }
}
