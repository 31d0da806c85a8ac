//! Preconditions (RFC 3312): the examples of its §13, message by message, and what becomes of those that fail.

use sip_message::{HeaderName, Message, Method, Request, StatusCode};
use sip_sdp::{
    Codec, Conditional, Direction, MediaSession, Medium, OfferAnswer, Precondition, Preconditions,
    StatusType, Strength,
};
use sip_ua::{AgentConfig, AgentEvent, Body, CallKey, CallUpdate, OutgoingCall, Reliability};

use crate::harness::*;

type Media = Conditional<MediaSession>;

const PROGRESS: StatusCode = StatusCode::SESSION_PROGRESS;

fn knows() -> AgentConfig {
    let mut config = AgentConfig::default();
    config.supported.push("precondition".to_owned());
    config
}

/// What a phone says of its sound: the callee's side waits until all is met.
fn media(end: usize, types: &[StatusType]) -> Media {
    let sides = [Preconditions::caller(), Preconditions::callee()];
    let with = |all: Preconditions, status: &StatusType| {
        all.with(Precondition::qos(*status, Strength::Mandatory))
    };
    let preconditions = types.iter().fold(sides[end].clone(), with);
    let address = [192, 0, 2, [1, 4][end]];
    let port = [20_000, 30_000][end];
    let audio = Medium::audio().codec(Codec::PCMU).at(port);
    Conditional::new(MediaSession::new(9, address.into()).stream(audio), preconditions)
}

/// A network in which both have these preconditions, and what they know of them.
struct World {
    pair: Pair,
    media: [Media; 2],
    calls: [CallKey; 2],
}

impl World {
    /// Alice has called.
    fn new(types: &[StatusType], call: impl FnOnce(&mut Media) -> OutgoingCall) -> Self {
        Self::with(types, |_| {}, call)
    }

    fn with(
        types: &[StatusType],
        before: impl FnOnce(&mut [Media; 2]),
        call: impl FnOnce(&mut Media) -> OutgoingCall,
    ) -> Self {
        let mut pair = Pair::with(knows(), knows());
        let mut media = [media(ALICE, types), media(BOB, types)];
        before(&mut media);
        // All that is provisional is to be acknowledged, as in the figures.
        let call = call(&mut media[ALICE]).reliable(Reliability::Required);
        let ours = pair.tell(ALICE, |agent, now, tx| agent.call(now, tx, &alice(), call)).unwrap();
        pair.run(ms(50));
        let theirs = pair.calls[BOB][0];
        let flow = pair.flow();
        assert_eq!(flow[0], "alice: INVITE");
        Self { pair, media, calls: [ours, theirs] }
    }

    /// What the INVITE offers to Bob.
    fn invite(&mut self) -> Request {
        let events = self.pair.take(BOB);
        let [AgentEvent::Invitation { request, .. }] = &events[..] else { panic!("{events:?}") };
        Request::clone(request)
    }

    fn ring(&mut self, status: StatusCode, sdp: Option<bytes::Bytes>) {
        let (call, body) = (self.calls[BOB], sdp.map(Body::sdp));
        self.pair
            .tell(BOB, |agent, now, tx| agent.ring(now, tx, call, status, body.as_ref()))
            .unwrap();
        self.pair.run(ms(50));
    }

    /// The description in the provisional response that Alice was told of last.
    fn heard(&mut self) -> Vec<u8> {
        let events = self.pair.take(ALICE);
        let heard = events.iter().find_map(|event| match event {
            AgentEvent::Call { update: CallUpdate::Progress { response, .. }, .. }
            | AgentEvent::Call { update: CallUpdate::Ringing { response, .. }, .. } => {
                Some(response.body().to_vec())
            }
            _ => None,
        });
        heard.unwrap_or_else(|| panic!("{events:?}"))
    }

    /// Resources are there: of Alice or Bob, in the direction that it sends.
    fn reserve(&mut self, end: usize) {
        self.media[end].preconditions.set_reserved(0, StatusType::EndToEnd, Direction::SendOnly);
    }

    /// Alice says by an UPDATE what is new, and Bob answers.
    fn update(&mut self) {
        assert!(self.media[ALICE].owes_offer());
        let body = Body::sdp(self.media[ALICE].offer().unwrap());
        let [ours, theirs] = self.calls;
        self.pair
            .tell(ALICE, |agent, now, tx| agent.update_session(now, tx, ours, None, Some(&body)))
            .unwrap();
        self.pair.run(ms(50));
        let events = self.pair.take(BOB);
        let offer = events.iter().find_map(|event| match event {
            AgentEvent::Call { update: CallUpdate::Modification { request, .. }, .. } => {
                Some(request.clone())
            }
            _ => None,
        });
        let offer = offer.unwrap_or_else(|| panic!("{events:?}"));
        // RFC 3312 §11: "An offerer MUST include this tag in the
        // Require header field if the offer contains one or more "mandatory"
        // strength-tags."
        assert_eq!(header(offer.headers(), "Require"), Some("precondition"));
        let answer = Body::sdp(self.media[BOB].answer(offer.body()).unwrap());
        self.pair
            .tell(BOB, |agent, now, tx| {
                agent.answer_modification(now, tx, theirs, StatusCode::OK, Some(&answer))
            })
            .unwrap();
        self.pair.run(ms(50));
        let events = self.pair.take(ALICE);
        let answer = events.iter().find_map(|event| match event {
            AgentEvent::Call { update: CallUpdate::Modified { response, .. }, .. } => {
                Some(response.body().to_vec())
            }
            _ => None,
        });
        self.media[ALICE].take_answer(&answer.unwrap_or_else(|| panic!("{events:?}"))).unwrap();
    }

    /// 200 and ACK, and at last BYE.
    #[track_caller]
    fn finish(mut self, before: &[&str]) {
        let [ours, theirs] = self.calls;
        self.pair.tell(BOB, |agent, now, tx| agent.accept(now, tx, theirs, None, &[])).unwrap();
        self.pair.run(ms(50));
        let flow = self.pair.flow();
        let expected: Vec<&str> =
            before.iter().copied().chain(["bob: 200 INVITE", "alice: ACK"]).collect();
        assert_eq!(flow, expected);
        self.pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, ours)).unwrap();
        self.pair.nothing_left();
    }
}

fn offering(media: &mut Media) -> OutgoingCall {
    OutgoingCall { body: Some(Body::sdp(media.offer().unwrap())), ..to_bob() }
}

/// The tags that a request requires.
fn required(request: &Request) -> Vec<String> {
    let lines = request.headers().raw_all(HeaderName::Require);
    lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect()
}

/// RFC 3312 §13.1, figure 2.
// RFC 3312 §6: "A user agent server that receives an offer with preconditions SHOULD
// NOT alert the user until all the mandatory preconditions are met;
// session establishment is suspended until that moment"
#[test]
fn figure_2_end_to_end() {
    let mut world = World::new(&[StatusType::EndToEnd], offering);
    let invite = world.invite();
    assert_eq!(required(&invite), ["100rel", "precondition"]);
    // RFC 3312 §11: "Consequently, it MUST include the "100rel" [7] tag in the
    // Supported header field and SHOULD include an Allow header field with
    // the "UPDATE" tag [5]."
    let supported = header(invite.headers(), "Supported").unwrap();
    assert!(supported.contains("100rel") && supported.contains("precondition"), "{supported}");
    assert!(header(invite.headers(), "Allow").unwrap().contains("UPDATE"));
    let answer = world.media[BOB].answer(invite.body()).unwrap();
    assert!(!world.media[BOB].may_alert());
    world.ring(PROGRESS, Some(answer));
    let heard = world.heard();
    world.media[ALICE].take_answer(&heard).unwrap();
    world.reserve(BOB);
    assert!(!world.media[BOB].may_alert());
    world.reserve(ALICE);
    world.update();
    assert!(world.media[BOB].may_alert());
    world.ring(StatusCode::RINGING, None);
    world.finish(&[
        "bob: 183 INVITE",
        "alice: PRACK",
        "bob: 200 PRACK",
        "alice: UPDATE",
        "bob: 200 UPDATE",
        "bob: 180 INVITE",
        "alice: PRACK",
        "bob: 200 PRACK",
    ]);
}

/// RFC 3312 §13.2, figure 4.
#[test]
fn figure_4_segmented() {
    let types = [StatusType::Local, StatusType::Remote];
    let reserved = |media: &mut [Media; 2]| {
        for media in media {
            media.preconditions.set_reserved(0, StatusType::Local, Direction::SendRecv);
        }
    };
    let mut world = World::with(&types, reserved, offering);
    let invite = world.invite();
    let answer = world.media[BOB].answer(invite.body()).unwrap();
    assert!(world.media[BOB].may_alert());
    world.ring(StatusCode::RINGING, Some(answer));
    let heard = world.heard();
    world.media[ALICE].take_answer(&heard).unwrap();
    assert!(!world.media[ALICE].owes_offer());
    world.finish(&["bob: 180 INVITE", "alice: PRACK", "bob: 200 PRACK"]);
}

/// RFC 3312 §13.3, figure 5.
#[test]
fn figure_5_an_offer_in_a_response() {
    let bare = |_: &mut Media| OutgoingCall { body: None, ..to_bob() };
    let mut world = World::new(&[StatusType::EndToEnd], bare);
    let invite = world.invite();
    assert_eq!(required(&invite), ["100rel"]);
    let offer = world.media[BOB].answer(b"").unwrap();
    world.ring(PROGRESS, Some(offer));
    let heard = world.heard();
    let answer = Body::sdp(world.media[ALICE].answer(&heard).unwrap());
    let [ours, _] = world.calls;
    world
        .pair
        .tell(ALICE, |agent, now, tx| agent.answer_early(now, tx, ours, None, Some(&answer)))
        .unwrap();
    world.pair.run(ms(50));
    let events = world.pair.take(BOB);
    let [AgentEvent::Call { update: CallUpdate::Acknowledged { prack: Some(prack) }, .. }] =
        &events[..]
    else {
        panic!("{events:?}")
    };
    world.media[BOB].take_answer(prack.body()).unwrap();
    assert!(!world.media[BOB].may_alert());
    world.reserve(ALICE);
    world.update();
    assert!(!world.media[BOB].may_alert());
    world.reserve(BOB);
    assert!(world.media[BOB].may_alert());
    world.ring(StatusCode::RINGING, None);
    world.finish(&[
        "bob: 183 INVITE",
        "alice: PRACK",
        "bob: 200 PRACK",
        "alice: UPDATE",
        "bob: 200 UPDATE",
        "bob: 180 INVITE",
        "alice: PRACK",
        "bob: 200 PRACK",
    ]);
}

/// The new status in the PRACK: two messages less.
// RFC 6337 §4.1: "For example, the procedure used in precondition extension
// [RFC3312] is a case where a PRACK request should be used for updating
// the session status in an early dialog."
#[test]
fn the_status_in_the_prack() {
    let call = |media: &mut Media| offering(media).hold_pracks();
    let mut world = World::new(&[StatusType::EndToEnd], call);
    let invite = world.invite();
    let answer = world.media[BOB].answer(invite.body()).unwrap();
    world.reserve(BOB);
    world.ring(PROGRESS, Some(answer));
    let heard = world.heard();
    world.media[ALICE].take_answer(&heard).unwrap();
    world.reserve(ALICE);
    assert!(world.media[ALICE].owes_offer());
    let body = Body::sdp(world.media[ALICE].offer().unwrap());
    let [ours, theirs] = world.calls;
    world.pair.tell(ALICE, |agent, now, tx| agent.offer_early(now, tx, ours, None, &body)).unwrap();
    world.pair.run(ms(50));
    let events = world.pair.take(BOB);
    let [AgentEvent::Call { update: CallUpdate::Modification { request, .. }, .. }] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(*request.method(), Method::Prack);
    assert_eq!(required(request), ["precondition"]);
    let answer = Body::sdp(world.media[BOB].answer(request.body()).unwrap());
    world
        .pair
        .tell(BOB, |agent, now, tx| {
            agent.answer_modification(now, tx, theirs, StatusCode::OK, Some(&answer))
        })
        .unwrap();
    assert!(world.media[BOB].may_alert());
    world.ring(StatusCode::RINGING, None);
    world.finish(&[
        "bob: 183 INVITE",
        "alice: PRACK",
        "bob: 200 PRACK",
        "bob: 180 INVITE",
        "alice: PRACK",
        "bob: 200 PRACK",
    ]);
}

// RFC 3312 §8: "When a UAS, acting as an answerer, cannot or is not willing to meet
// the preconditions in the offer, it SHOULD reject the offer by
// returning a 580 (Precondition-Failure) response."
#[test]
fn what_cannot_be_reserved_is_580() {
    let mut world = World::new(&[StatusType::EndToEnd], offering);
    let invite = world.invite();
    world.media[BOB].answer(invite.body()).unwrap();
    let refusal =
        world.media[BOB].preconditions.failed(0, StatusType::EndToEnd, Direction::SendOnly);
    let body = refusal.description.map(Body::sdp);
    let [_, theirs] = world.calls;
    world
        .pair
        .tell(BOB, |agent, now, tx| {
            agent.reject_with(now, tx, theirs, refusal.status, body.as_ref(), &[])
        })
        .unwrap();
    world.pair.run(ms(50));
    let events = world.pair.take(ALICE);
    let [AgentEvent::Call { update: CallUpdate::Ended(reason), .. }] = &events[..] else {
        panic!("{events:?}")
    };
    let sip_ua::EndReason::Rejected(response) = reason else { panic!("{reason:?}") };
    assert_eq!(response.status().as_u16(), 580);
    let said = String::from_utf8_lossy(response.body()).into_owned();
    let end = "m=audio 0 RTP/AVP 0\r\na=des:qos failure e2e send\r\n";
    assert!(said.ends_with(end), "{said}");
    world.pair.nothing_left();
}

/// Who knows no preconditions refuses an offer that insists, by 420; and without them it is not sent again.
#[test]
fn a_callee_without_preconditions_is_420() {
    let mut pair = Pair::with(knows(), AgentConfig::default());
    let call = offering(&mut media(ALICE, &[StatusType::EndToEnd]));
    pair.tell(ALICE, |agent, now, tx| agent.call(now, tx, &alice(), call)).unwrap();
    pair.run(ms(50));
    pair.expect(BOB, &[]);
    pair.expect(ALICE, &["ended: rejected with 420 Bad Extension"]);
    assert_eq!(pair.flow(), ["alice: INVITE", "bob: 420 INVITE", "alice: ACK"]);
    pair.nothing_left();
}

// RFC 3312 §11: "If all the strength-tags in the description are
// "optional" or "none", the offerer MUST include this tag in either a
// Supported header field or in a Require header field.  It is, however,
// RECOMMENDED that the Supported header field be used in this case."
#[test]
fn an_offer_that_only_wishes_says_supported() {
    for config in [AgentConfig::default(), knows()] {
        let mut lone = Lone::with(config);
        let wish = Precondition::qos(StatusType::EndToEnd, Strength::Optional);
        let mut media = media(ALICE, &[]);
        media.preconditions = Preconditions::caller().with(wish);
        let call = offering(&mut media);
        let call = lone.tell(|agent, now, tx| agent.call(now, tx, &alice(), call)).unwrap();
        let sent = lone.expect_sent(&["INVITE"]);
        let [Message::Request(invite)] = &sent[..] else { panic!() };
        assert_eq!(required(invite), [""; 0]);
        let supported = invite.headers().raw_all(HeaderName::Supported);
        let count = supported
            .map(|line| String::from_utf8_lossy(line).matches("precondition").count())
            .sum::<usize>();
        assert_eq!(count, 1);
        lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
        lone.answer(invite, 487, "b", &[]);
        lone.take();
        lone.sent();
        lone.nothing_left();
    }
}
