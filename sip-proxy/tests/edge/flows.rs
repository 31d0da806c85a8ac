//! The message flows of RFC 5626 §9: Bob at 192.0.2.2, the edges EP1 and EP2 at .15 and .16, the proxy of
//! example.com with its registrar at .20, Alice at .30.

use sip_message::{HeaderName, Uri};
use sip_proxy::Aor;
use sip_sim::NodeId;

use crate::scene::{INSTANCE, Scene, edge, tcp, udp, user_of, values};

struct Example {
    scene: Scene,
    bob: NodeId,
    ep1: NodeId,
    ep2: NodeId,
    home: NodeId,
    alice: NodeId,
}

fn contact(reg_id: u32) -> String {
    format!("<sip:bob@192.0.2.2;transport=tcp>;reg-id={reg_id};+sip.instance=\"<{INSTANCE}>\"")
}

fn register(call_id: &str, cseq: u32, reg_id: u32) -> String {
    let contact = contact(reg_id);
    format!(
        "REGISTER sip:example.com SIP/2.0
         From: Bob <sip:bob@example.com>;tag=7F94778B653B
         To: Bob <sip:bob@example.com>
         Call-ID: {call_id}
         CSeq: {cseq} REGISTER
         Supported: path, outbound
         Contact: {contact}"
    )
}

impl Example {
    fn new() -> Self {
        let mut scene = Scene::new();
        let ep1 = scene.edge(15, edge("ep1", 1));
        let ep2 = scene.edge(16, edge("ep2", 1));
        let home = scene.home(None);
        let bob = scene.phone(2);
        let alice = scene.phone(30);
        Self { scene, bob, ep1, ep2, home, alice }
    }

    /// §9.2: both flows; the Paths that the answers showed.
    fn register(&mut self) -> [String; 2] {
        let routes = [(15, "16CB75F21C70", 1), (16, "E05133BD26DD", 2)];
        routes.map(|(edge, call_id, reg_id)| {
            self.scene.send(self.bob, &register(call_id, 1, reg_id), tcp(edge));
            let answer = self.scene.answer(self.bob);
            assert_eq!(answer.status().as_u16(), 200);
            assert_eq!(values(answer.headers(), HeaderName::Require), ["outbound"]);
            let path = values(answer.headers(), HeaderName::Path);
            assert_eq!(path.len(), 1);
            path[0].clone()
        })
    }

    fn bindings(&mut self) -> Vec<String> {
        let aor = Aor::of(&"sip:bob@example.com".parse::<Uri<'_>>().unwrap()).unwrap();
        self.scene.on(self.home, |server, _| {
            let bindings = server.bindings().get(&aor).into_iter().flatten();
            bindings.map(|binding| format!("{}", binding.flow().unwrap().1)).collect()
        })
    }
}

const INVITE: &str = "INVITE sip:bob@example.com SIP/2.0
    To: Bob <sip:bob@example.com>
    From: Alice <sip:alice@a.example>;tag=02935
    Call-ID: klmvCxVWGp6MxJp2T2mb
    Contact: <sip:alice@192.0.2.30>";

/// §9.1: the edge is in the path of a subscription before anything is registered.
#[test]
fn a_subscription_to_the_configuration() {
    let mut it = Example::new();
    it.scene.network.host("config.example", &[crate::scene::address(30).ip()]);
    let subscribe = format!(
        "SUBSCRIBE sip:00000000-0000-1000-8000-AABBCCDDEEFF@config.example SIP/2.0
         From: <sip:anonymous@example.com>;tag=23324
         To: <sip:00000000-0000-1000-8000-AABBCCDDEEFF@example.com>
         Call-ID: nSz1TWN54x7My0GvpEBj
         Event: ua-profile
         Expires: 0
         Supported: path, outbound
         Contact: <sip:192.0.2.2;transport=tcp;ob>;+sip.instance=\"<{INSTANCE}>\""
    );
    it.scene.send(it.bob, &subscribe, tcp(15));
    // 2: with the token of the flow, in the value for Bob's side; below it that for the other transport.
    let (key, request, _) = it.scene.request(it.alice);
    let recorded = values(request.headers(), HeaderName::RecordRoute);
    assert_eq!(recorded.len(), 2);
    assert_eq!(recorded[0], "<sip:192.0.2.15:5060;lr>");
    let token = user_of(&recorded[1]).to_owned();
    assert_eq!(recorded[1], format!("<sip:{token}@192.0.2.15:5060;transport=tcp;lr>"));
    it.scene.respond(it.alice, (key, &request), 200, "Expires: 0");
    it.scene.answer(it.bob);
    // 5, 6: the NOTIFY goes over that flow, whatever the Contact says.
    let route = recorded.join(", ");
    let notify = format!(
        "NOTIFY sip:192.0.2.99;transport=tcp;ob SIP/2.0
         To: <sip:anonymous@example.com>;tag=23324
         From: <sip:00000000-0000-1000-8000-AABBCCDDEEFF@example.com>;tag=callee
         Call-ID: nSz1TWN54x7My0GvpEBj
         Route: {route}
         Subscription-State: terminated;reason=timeout
         Event: ua-profile"
    );
    it.scene.send(it.alice, &notify, udp(15));
    let (key, request, _) = it.scene.request(it.bob);
    assert!(values(request.headers(), HeaderName::Route).is_empty());
    it.scene.respond(it.bob, (key, &request), 200, "");
    assert_eq!(it.scene.answer(it.alice).status().as_u16(), 200);
    it.scene.finish(&[it.ep1, it.ep2, it.home]);
}

/// §9.2.
#[test]
fn two_flows_are_registered() {
    let mut it = Example::new();
    let [one, two] = it.register();
    // RFC 5626 §5.1: "In addition, the first node MUST include an
    // "ob" URI parameter in its Path header field value."
    for (path, edge) in [(&one, 15), (&two, 16)] {
        let token = user_of(path);
        assert!(token.starts_with("f~"));
        assert_eq!(*path, format!("<sip:{token}@192.0.2.{edge}:5060;transport=tcp;lr;ob>"));
    }
    assert_ne!(user_of(&one), user_of(&two));
    assert_eq!(it.bindings(), ["1", "2"]);
    assert_eq!(
        it.scene.ladder(0),
        [
            "2 > 15: REGISTER",
            "15 > 20: REGISTER",
            "20 > 15: 200",
            "15 > 2: 200",
            "2 > 16: REGISTER",
            "16 > 20: REGISTER",
            "20 > 16: 200",
            "16 > 2: 200",
        ]
    );
    it.scene.finish(&[it.ep1, it.ep2, it.home]);
}

/// §9.3: EP1 crashes and is started again; Alice calls before Bob notices.
#[test]
fn an_incoming_call_after_a_crash() {
    let mut it = Example::new();
    it.register();
    // The flow of EP2 was refreshed first, so that the broken one is tried.
    it.scene.send(it.bob, &register("16CB75F21C70", 2, 1), tcp(15));
    it.scene.answer(it.bob);
    it.scene.on(it.ep1, |server, _| *server.proxy.edge_mut().unwrap() = edge("ep1", 2));
    let before = it.scene.passed();
    it.scene.send(it.alice, INVITE, udp(20));
    let (key, request, _) = it.scene.request(it.bob);
    assert_eq!(
        it.scene.ladder(before),
        [
            "30 > 20: INVITE",
            "20 > 15: INVITE",
            "15 > 20: 430",
            "20 > 15: ACK",
            "20 > 16: INVITE",
            "16 > 2: INVITE"
        ]
    );
    // RFC 5626 §7: what is bound over the flow that failed is not tried again.
    assert_eq!(it.bindings(), ["2"]);
    assert_eq!(request.uri().unwrap().to_string(), "sip:bob@192.0.2.2;transport=tcp");
    assert!(values(request.headers(), HeaderName::Route).is_empty());
    // 25: EP2 has its token in the value for Bob's side.
    let recorded = values(request.headers(), HeaderName::RecordRoute);
    assert!(
        recorded[0].starts_with("<sip:f~")
            && recorded[0].ends_with("@192.0.2.16:5060;transport=tcp;lr>"),
        "{recorded:?}"
    );

    // 26 to 28.
    it.scene.respond(it.bob, (key, &request), 200, "Contact: <sip:bob@192.0.2.2;transport=tcp>");
    let answer = it.scene.answer(it.alice);
    assert_eq!(values(answer.headers(), HeaderName::RecordRoute), recorded);
    // 29 to 34: by the route set, over the flow; the way that the Contact says leads nowhere.
    let mut route = recorded.clone();
    route.reverse();
    let route = route.join(", ");
    let within = |method: &str, cseq: u32| {
        format!(
            "{method} sip:bob@192.0.2.99;transport=tcp SIP/2.0
             To: Bob <sip:bob@example.com>;tag=callee
             From: Alice <sip:alice@a.example>;tag=02935
             Call-ID: klmvCxVWGp6MxJp2T2mb
             CSeq: {cseq} {method}
             Route: {route}"
        )
    };
    it.scene.send(it.alice, &within("ACK", 1), udp(20));
    assert!(values(it.scene.ack(it.bob).headers(), HeaderName::Route).is_empty());
    it.scene.send(it.alice, &within("BYE", 2), udp(20));
    let (key, request, _) = it.scene.request(it.bob);
    it.scene.respond(it.bob, (key, &request), 200, "");
    assert_eq!(it.scene.answer(it.alice).status().as_u16(), 200);
    it.scene.finish(&[it.ep1, it.ep2, it.home]);
}

/// §9.4: the same flow anew has another token, and replaces the binding.
#[test]
fn a_flow_is_registered_again() {
    let mut it = Example::new();
    let [one, _] = it.register();
    it.scene
        .network
        .relocate(it.bob, None, &[crate::scene::address(2), crate::scene::address(2)])
        .unwrap();
    it.scene.network.with(it.bob, |_, _, tx| tx.rebind()).unwrap();
    it.scene.run(core::time::Duration::from_secs(1));
    it.scene.send(it.bob, &register("16CB75F21C70", 2, 1), tcp(15));
    let path = values(it.scene.answer(it.bob).headers(), HeaderName::Path);
    assert_ne!(path[0], one);
    assert_eq!(it.bindings(), ["1", "2"]);
    it.scene.send(it.alice, INVITE, udp(20));
    let (key, request, _) = it.scene.request(it.bob);
    it.scene.respond(it.bob, (key, &request), 486, "");
    // Whoever answers has answered for all flows.
    assert_eq!(it.scene.answer(it.alice).status().as_u16(), 486);
    assert!(it.scene.heard_nothing(it.bob));
    it.scene.finish(&[it.ep1, it.ep2, it.home]);
}

/// §9.5.
#[test]
fn an_outgoing_call() {
    let mut it = Example::new();
    it.register();
    let invite = "INVITE sip:alice@192.0.2.30 SIP/2.0
        From: Bob <sip:bob@example.com>;tag=ldw22z
        To: Alice <sip:alice@a.example>
        Call-ID: 95KGsk2V/Eis9LcpBYy3
        Contact: <sip:bob@192.0.2.2;transport=tcp;ob>";
    it.scene.send(it.bob, invite, tcp(15));
    let (key, request, _) = it.scene.request(it.alice);
    let recorded = values(request.headers(), HeaderName::RecordRoute);
    assert!(
        recorded[1].contains("f~") && recorded[1].ends_with("@192.0.2.15:5060;transport=tcp;lr>"),
        "{recorded:?}"
    );
    it.scene.respond(it.alice, (key, &request), 200, "Contact: <sip:alice@192.0.2.30>");
    it.scene.answer(it.bob);
    let mut route = recorded.clone();
    route.reverse();
    let of_bob = |method: &str, cseq: u32| {
        format!(
            "{method} sip:alice@192.0.2.30 SIP/2.0
             From: Bob <sip:bob@example.com>;tag=ldw22z
             To: Alice <sip:alice@a.example>;tag=callee
             Call-ID: 95KGsk2V/Eis9LcpBYy3
             CSeq: {cseq} {method}
             Route: {}",
            route.join(", ")
        )
    };
    it.scene.send(it.bob, &of_bob("ACK", 1), tcp(15));
    assert!(values(it.scene.ack(it.alice).headers(), HeaderName::Route).is_empty());
    // 50 to 53: the token is of the flow that it came by, so that it leads on.
    let before = it.scene.passed();
    it.scene.send(it.bob, &of_bob("INFO", 2), tcp(15));
    let (key, request, _) = it.scene.request(it.alice);
    it.scene.respond(it.alice, (key, &request), 200, "");
    assert_eq!(
        it.scene.ladder(before),
        ["2 > 15: INFO", "15 > 30: INFO", "30 > 15: 200", "15 > 2: 200"]
    );
    it.scene.answer(it.bob);
    // Either of them may end it: Alice over the flow.
    let bye = format!(
        "BYE sip:bob@192.0.2.99;transport=tcp;ob SIP/2.0
         To: Bob <sip:bob@example.com>;tag=ldw22z
         From: Alice <sip:alice@a.example>;tag=callee
         Call-ID: 95KGsk2V/Eis9LcpBYy3
         CSeq: 7 BYE
         Route: {}",
        recorded.join(", ")
    );
    it.scene.send(it.alice, &bye, udp(15));
    let (key, request, _) = it.scene.request(it.bob);
    it.scene.respond(it.bob, (key, &request), 200, "");
    assert_eq!(it.scene.answer(it.alice).status().as_u16(), 200);
    it.scene.finish(&[it.ep1, it.ep2, it.home]);
}

/// RFC 5627 §6.1: a GRUU in the Contact of one who is behind an edge. Within the dialog the home finds whom it stands
/// for, and the route set leads there, not the Path.
#[test]
fn a_gruu_within_a_dialog() {
    let mut it = Example::new();
    let registers =
        register("16CB75F21C70", 1, 1).replace("path, outbound", "path, outbound, gruu");
    it.scene.send(it.bob, &registers, tcp(15));
    let answer = it.scene.answer(it.bob);
    let contact = answer.headers().get::<sip_message::Contact<'_>>().unwrap().unwrap();
    let gruu = contact.temp_gruu().unwrap().to_string();
    it.scene.send(
        it.alice,
        &INVITE.replace("sip:bob@example.com SIP", &format!("{gruu} SIP")),
        udp(20),
    );
    let (key, request, _) = it.scene.request(it.bob);
    assert_eq!(request.uri().unwrap().to_string(), "sip:bob@192.0.2.2;transport=tcp");
    it.scene.respond(it.bob, (key, &request), 200, &format!("Contact: <{gruu}>"));
    let mut route = values(it.scene.answer(it.alice).headers(), HeaderName::RecordRoute);
    route.reverse();
    let within = |method: &str, cseq: u32| {
        format!(
            "{method} {gruu} SIP/2.0
             To: Bob <sip:bob@example.com>;tag=callee
             From: Alice <sip:alice@a.example>;tag=02935
             Call-ID: klmvCxVWGp6MxJp2T2mb
             CSeq: {cseq} {method}
             Route: {}",
            route.join(", ")
        )
    };
    it.scene.send(it.alice, &within("ACK", 1), udp(20));
    let ack = it.scene.ack(it.bob);
    assert_eq!(ack.uri().unwrap().to_string(), "sip:bob@192.0.2.2;transport=tcp");
    let before = it.scene.passed();
    it.scene.send(it.alice, &within("BYE", 2), udp(20));
    let (key, request, _) = it.scene.request(it.bob);
    assert_eq!(it.scene.ladder(before)[..3], ["30 > 20: BYE", "20 > 15: BYE", "15 > 2: BYE"]);
    assert_eq!(request.uri().unwrap().to_string(), "sip:bob@192.0.2.2;transport=tcp");
    assert!(values(request.headers(), HeaderName::Route).is_empty());
    it.scene.respond(it.bob, (key, &request), 200, "");
    assert_eq!(it.scene.answer(it.alice).status().as_u16(), 200);
    it.scene.finish(&[it.ep1, it.ep2, it.home]);
}

/// RFC 5627 §9, messages 3 to 12: without an edge, also the ACK comes to the home and finds the phone.
#[test]
fn a_gruu_without_a_route_set() {
    let mut scene = Scene::new();
    let home = scene.home(None);
    let (callee, caller) = (scene.phone(1), scene.phone(30));
    let register = format!(
        "REGISTER sip:example.com SIP/2.0
         From: Callee <sip:callee@example.com>;tag=a73kszlfl
         Supported: gruu
         To: Callee <sip:callee@example.com>
         Call-ID: 1j9FpLxk3uxtm8tn@192.0.2.1
         Contact: <sip:callee@192.0.2.1>;+sip.instance=\"<{INSTANCE}>\""
    );
    scene.send(callee, &register, udp(20));
    let answer = scene.answer(callee);
    let contact = answer.headers().get::<sip_message::Contact<'_>>().unwrap().unwrap();
    let gruu = contact.pub_gruu().unwrap().to_string();
    let invite = INVITE.replace("sip:bob@example.com SIP", "sip:callee@example.com SIP");
    scene.send(caller, &invite, udp(20));
    let (key, request, _) = scene.request(callee);
    scene.respond(callee, (key, &request), 200, &format!("Contact: <{gruu}>"));
    scene.answer(caller);
    let within = |method: &str, cseq: u32| {
        format!(
            "{method} {gruu} SIP/2.0
             To: Bob <sip:bob@example.com>;tag=callee
             From: Alice <sip:alice@a.example>;tag=02935
             Call-ID: klmvCxVWGp6MxJp2T2mb
             CSeq: {cseq} {method}"
        )
    };
    scene.send(caller, &within("ACK", 1), udp(20));
    assert_eq!(scene.ack(callee).uri().unwrap().to_string(), "sip:callee@192.0.2.1");
    scene.send(caller, &within("SUBSCRIBE", 2), udp(20));
    let (key, request, _) = scene.request(callee);
    assert_eq!(request.uri().unwrap().to_string(), "sip:callee@192.0.2.1");
    scene.respond(callee, (key, &request), 200, "Expires: 60");
    assert_eq!(scene.answer(caller).status().as_u16(), 200);
    scene.finish(&[home]);
}
