//! The messages of RFC 4475 and RFC 5118 come in: what a user agent that is neither proxy nor
//! registrar owes to each (RFC 3261 §8.2), and that nothing is left of any.

use sip_message::{Message, Request, Response, StatusCode};

use crate::harness::*;
use Owed::{Answer, Nothing, Ringing};

#[path = "../../../sip-message/tests/torture/vectors/mod.rs"]
mod vectors;

/// What is owed to a message.
#[derive(Debug, Clone, Copy)]
enum Owed {
    Nothing,
    /// A response of this status, in which this header field holds this text.
    Answer(u16, &'static str, &'static str),
    /// The user is called; what is said to the caller is the user's choice.
    Ringing,
}

const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, MESSAGE, INFO, REFER";
const BAD_REQUEST: Owed = Answer(400, "", "");
const OPTIONS_OK: Owed = Answer(200, "Allow", ALLOW);
/// RFC 4475 §3.3.7: "Endpoints choosing not to act as registrars will simply reject the
/// request.  A 405 Method Not Allowed is appropriate."
const NO_REGISTRAR: Owed = Answer(405, "Allow", ALLOW);

fn owed(name: &str) -> Owed {
    match name {
        // A request in a dialog that nobody knows: RFC 3261 §12.2.2.
        "wsinv" | "via-received-param-with-delim" | "mult-ip-in-header" => Answer(481, "", ""),
        // RFC 4475 §3.1.1.2: "Endpoints will generate a 501 listing the methods they
        // understand in an Allow header field."
        // RFC 4475 §3.1.1.5: "An endpoint would reject this message with a 501."
        // RFC 4475 §3.1.2.18: "Any element receiving this response should respond with a 501 Not
        // Implemented."
        "intmeth" | "esc02" => Answer(501, "Allow", ALLOW),
        "mismatch02" => Answer(501, "", ""),
        "esc01" | "longreq" => Ringing,
        "escnull" | "dblreq" | "unksm2" | "regaut01" | "cparam01" | "cparam02" | "regescrt"
        | "ipv6-good" | "port-ambiguous" | "port-unambiguous" => NO_REGISTRAR,
        "lwsdisp"
        | "semiuri"
        | "transports"
        | "via-received-param-no-delim"
        | "ipv6-bug-abnf-3-colons"
        | "ipv6-correct-abnf-2-colons" => OPTIONS_OK,
        // Two bodies of which this agent reads none.
        "mpart01" => Answer(415, "Accept", "application/sdp"),
        // Responses that match no transaction, too large ones, and one that is not for us alone:
        // RFC 4475 §3.3.10: "Per [RFC3261], an endpoint receiving this message should simply
        // discard it."
        "unreason" | "noreason" | "scalarlg" | "bigcode" | "bcast" => Nothing,
        "badinv01" | "clerr" | "ncl" | "scalar02" | "quotbal" | "ltgtruri" | "lwsruri"
        | "lwsstart" | "trws" | "escruri" | "regbadct" | "badaspec" | "baddn" | "mismatch01"
        | "insuf" | "multi01" | "mcl01" | "ipv6-bad" => BAD_REQUEST,
        // RFC 4475 §3.1.2.12: "An element wishing
        // to be liberal in what it accepts could ignore this value altogether
        // if it wasn't going to use the Date header field anyway."
        "baddate" => Ringing,
        "badvers" => Answer(505, "", ""),
        // RFC 4475 §3.2.1: "or it could fall back to the RFC 2543-style
        // transaction identifier"
        "badbranch" => OPTIONS_OK,
        // RFC 4475 §3.3.2: "An element receiving this request will reject it with a 416
        // Unsupported URI Scheme response."
        // RFC 4475 §3.3.3: "it is appropriate to treat it as unknown and return a
        // 416 Unsupported URI Scheme response"
        "unkscm" | "novelsc" => Answer(416, "", ""),
        // RFC 4475 §3.3.5: "Any element receiving this request will respond with a 420 Bad
        // Extension response, containing an Unsupported header field listing
        // these features from either the Require or Proxy-Require header field"
        "bext01" => Answer(420, "Unsupported", "nothingSupportsThis, nothingSupportsThisEither"),
        // RFC 4475 §3.3.6: "An endpoint receiving this request would reject it
        // with a 415 Unsupported Media Type error."
        "invut" => Answer(415, "Accept", "application/sdp"),
        // RFC 4475 §3.3.11: "An endpoint should process the request as if the Max-
        // Forwards field value were still positive."
        "zeromf" => OPTIONS_OK,
        // RFC 4475 §3.3.15: "The recipient of this request could respond with a 406 Not
        // Acceptable, with a Warning/399"
        "sdp01" => Answer(406, "Warning", "399 ua "),
        // RFC 4475 §3.4.1: "should be accepted by RFC 3261 elements that want to maintain
        // backwards compatibility"
        "inv2543" => Ringing,
        "ipv6-in-sdp" | "mult-ip-in-sdp" | "ipv4-mapped-ipv6" => Ringing,
        other => panic!("nobody knows what is owed to {other}"),
    }
}

/// The one response that was sent since the last look. Its CSeq may be as bad as the request's.
fn response(lone: &mut Lone, name: &str) -> Response {
    let mut sent = lone.sent();
    assert_eq!(sent.len(), 1, "{name}: {sent:?}");
    match sent.remove(0).1 {
        Message::Response(response) => response,
        Message::Request(request) => panic!("{name}: {request:?}"),
    }
}

fn ack(lone: &mut Lone, response: &Response) {
    let field = |name: &str| header(response.headers(), name).unwrap_or("").to_owned();
    lone.receive_text(
        &format!(
            "ACK sip:alice@192.0.2.1 SIP/2.0
            Via: {}
            From: {}
            To: {}
            Call-ID: {}
            CSeq: {} ACK",
            field("Via"),
            field("From"),
            field("To"),
            field("Call-ID"),
            field("CSeq").split_once(' ').map_or("1", |(number, _)| number)
        ),
        "",
    );
}

/// A request that nothing is wrong with is answered as ever.
fn a_probe_is_answered(lone: &mut Lone, n: usize) {
    lone.receive_text(
        &format!(
            "OPTIONS sip:alice@192.0.2.1 SIP/2.0
            Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKprobe{n}
            Max-Forwards: 70
            From: <sip:bob@192.0.2.2>;tag=b
            To: <sip:alice@192.0.2.1>
            Call-ID: probe-{n}
            CSeq: 1 OPTIONS"
        ),
        "",
    );
    lone.sent_response(200);
}

#[test]
fn each_message_gets_what_it_is_owed() {
    // One agent for all of them: none may leave anything that troubles the next.
    let mut lone = Lone::new();
    for (n, vector) in vectors::RFC_4475.iter().chain(vectors::RFC_5118).enumerate() {
        let name = format!("{} ({})", vector.name, vector.section);
        lone.receive(vector.bytes);
        let events: Vec<String> = lone.take().iter().map(words).collect();
        // What every element owes, a user agent owes as well.
        if let Some(refusal) = vector.verdict.strip_prefix("reject\t") {
            let status = refusal.split('\t').next().unwrap();
            match owed(vector.name) {
                Answer(answer, ..) => assert_eq!(status, answer.to_string(), "{name}"),
                other => assert_eq!(status, "discard", "{name}: {other:?}"),
            }
        }
        match owed(vector.name) {
            Nothing => {
                assert!(events.is_empty() && !lone.has_sent(), "{name}: {events:?}");
            }
            Answer(status, field, text) => {
                assert!(events.is_empty(), "{name}: {events:?}");
                let response = response(&mut lone, &name);
                assert_eq!(response.status().as_u16(), status, "{name}: {response:?}");
                let value = header(response.headers(), field);
                assert!(field.is_empty() || value.unwrap().contains(text), "{name}: {response:?}");
                if status != 200 {
                    ack(&mut lone, &response);
                }
            }
            Ringing => {
                assert_eq!(events, ["invitation"], "{name}");
                let call = lone.last_invitation.unwrap();
                let busy = StatusCode::BUSY_HERE;
                lone.tell(|agent, now, tx| agent.reject(now, tx, call, busy, &[])).unwrap();
                let response = response(&mut lone, &name);
                assert_eq!(response.status(), busy, "{name}");
                ack(&mut lone, &response);
                lone.expect(&["ended: we hung up"]);
            }
        }
        a_probe_is_answered(&mut lone, n);
    }
    // What was refused without a transaction, or whose ACK could not be made, is not sent again for ever.
    lone.run(secs(70));
    lone.sent();
    lone.expect(&[]);
    lone.nothing_left();
}

#[test]
fn each_message_sent_again_gets_the_same_answer_or_none() {
    for vector in vectors::RFC_4475.iter().chain(vectors::RFC_5118) {
        let mut lone = Lone::new();
        lone.receive(vector.bytes);
        let first: Vec<_> =
            lone.sent().into_iter().map(|(_, message)| message.to_bytes()).collect();
        lone.take();
        lone.receive(vector.bytes);
        let second: Vec<_> =
            lone.sent().into_iter().map(|(_, message)| message.to_bytes()).collect();
        assert_eq!(first, second, "{}", vector.name);
        lone.expect(&[]);
    }
}

// RFC 4475 §3.4.1: "This is a legal message per RFC 2543 (and several bis versions) that
// should be accepted by RFC 3261 elements that want to maintain
// backwards compatibility."
#[test]
fn a_caller_of_rfc_2543_is_called_back_at_its_from() {
    let mut lone = Lone::new();
    let invite = std::str::from_utf8(vectors::semantics::INV2543.bytes).unwrap();
    // Bob's address, that nobody need be asked for it.
    lone.receive(invite.replace("ss1.example.com>", "192.0.2.2>"));
    let call = lone.last_invitation.unwrap();
    lone.take();
    lone.tell(|agent, now, tx| agent.accept(now, tx, call, Some(&sdp()), &[])).unwrap();
    let accepted = lone.sent_response(200);
    // RFC 3261 §12.1.1: "A UAS MUST be prepared to receive a
    // request without a tag in the From field, in which case the tag is
    // considered to have a value of null."
    assert_eq!((accepted.headers().branch(), accepted.headers().from_tag()), (None, None));
    ack(&mut lone, &accepted);
    lone.expect(&["confirmed"]);
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    let bye: Request = lone.sent_request(sip_message::Method::Bye);
    // The proxy of the time is a strict router: RFC 3261 §12.2.1.1.
    assert_eq!(bye.uri().unwrap().as_str(), "sip:UserB@example.com;maddr=192.0.2.2");
    let route = header(bye.headers(), "Route");
    assert_eq!(route, Some("<sip:+13035551111@ift.client.example.net;user=phone>"));
    assert_eq!(bye.headers().to_tag(), None);
    lone.answer(&bye, 200, "", &[]);
    lone.run(secs(70));
    lone.take();
    lone.nothing_left();
}
