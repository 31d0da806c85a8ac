//! Calls whose offers and answers a media engine makes (feature `sdp`).

use std::sync::{Arc, Mutex};

use sip_message::StatusCode;
use sip_sdp::{
    Codec, Conditional, Direction, Hold, MediaSession, Medium, OfferAnswer, Precondition,
    Preconditions, Refusal, StatusType, Strength,
};
use sip_ua::{
    AgentConfig, CallEvent, EndReason, Incoming, MediaCall, MediaError, MediaInvitation,
    RequestError, RequestFailure, UserAgent,
};

use crate::{at_rest, builder, pair, uri, within};

fn session(port: u16) -> MediaSession {
    let audio = Medium::audio().codec(Codec::PCMU).at(port);
    MediaSession::new(u64::from(port), [127, 0, 0, 1].into()).stream(audio)
}

async fn invited<M: OfferAnswer>(ua: &UserAgent, media: M) -> MediaInvitation<M> {
    match ua.incoming().await {
        Some(Incoming::Invitation(invitation)) => invitation.with(media),
        other => panic!("{other:?}"),
    }
}

/// Goes on with a call in a task of its own; gives it back when it is over.
fn served<M: OfferAnswer + Send + 'static>(
    mut call: MediaCall<M>,
) -> tokio::task::JoinHandle<(MediaCall<M>, EndReason)> {
    tokio::spawn(async move {
        loop {
            match call.next().await {
                Some(CallEvent::Ended(reason)) => return (call, reason),
                Some(CallEvent::Modification(_) | CallEvent::ModificationConfirmed { .. }) => {
                    panic!("that is the engine's")
                }
                Some(_) => {}
                None => panic!("no end"),
            }
        }
    })
}

async fn answered<M: OfferAnswer>(call: &mut MediaCall<M>) {
    loop {
        match call.next().await {
            Some(CallEvent::Answered { .. }) => return,
            Some(CallEvent::Ended(reason)) => panic!("{reason}"),
            Some(_) => {}
            None => panic!("not answered"),
        }
    }
}

fn direction(media: &MediaSession) -> Direction {
    media.agreed(0).expect("a stream").direction
}

#[tokio::test]
async fn both_engines_hold_and_resume_by_themselves() {
    within(async {
        let (alice, bob) = pair().await;
        // Early and late answers.
        for early in [false, true] {
            let mut calling = alice.call(uri(&bob)).start_with(session(4000)).await.unwrap();
            let mut invitation = invited(&bob, session(5000)).await.ring().await.unwrap();
            if early {
                invitation = invitation.progress().await.unwrap();
                assert!(invitation.media().agreed(0).is_some());
            }
            let called = invitation.accept().await.unwrap();
            answered(&mut calling).await;
            assert_eq!(calling.media().agreed(0).unwrap().remote.port, 5000);
            let serving = served(called);
            calling.media_mut().hold(Hold::Music);
            calling.modify().await.unwrap();
            assert_eq!(direction(calling.media()), Direction::SendOnly);
            calling.media_mut().resume();
            calling.modify().await.unwrap();
            assert_eq!(direction(calling.media()), Direction::SendRecv);
            // The peer is asked for its offer, which the engine has.
            let media = calling.media_mut();
            media.hold(Hold::Silent);
            let response = calling.reinvite("").await.unwrap();
            let answer = calling.media_mut().answer(response.body()).unwrap().0;
            calling.answer(answer).await.unwrap();
            calling.message("held?").await.unwrap();
            calling.hang_up();
            let (called, reason) = serving.await.unwrap();
            assert!(matches!(reason, EndReason::Remote));
            assert_eq!(direction(called.media()), Direction::Inactive);
            assert!(!called.media().is_waiting());
            while calling.next().await.is_some() {}
        }
        at_rest(&alice).await;
        at_rest(&bob).await;
    })
    .await;
}

#[tokio::test]
async fn what_an_engine_refuses_is_refused_as_it_says() {
    within(async {
        let (alice, bob) = pair().await;
        let video = Medium::video().codec(Codec::new("H261", 90_000).payload_type(31)).at(6000);
        let video = MediaSession::new(3, [127, 0, 0, 1].into()).stream(video);
        let mut calling = alice.call(uri(&bob)).start_with(video).await.unwrap();
        let refused = invited(&bob, session(5000)).await.accept().await.unwrap_err();
        assert!(matches!(refused, MediaError::Media(_)), "{refused}");
        match calling.next().await {
            Some(CallEvent::Ended(EndReason::Rejected(response))) => {
                assert_eq!(response.status().as_u16(), 488);
                assert!(response.headers().raw(sip_message::HeaderName::Warning).is_some());
            }
            other => panic!("{other:?}"),
        }
        // A change likewise, and both go on with what they had.
        let mut calling = alice.call(uri(&bob)).start_with(session(4000)).await.unwrap();
        let called = invited(&bob, session(5000)).await.accept().await.unwrap();
        answered(&mut calling).await;
        let serving = served(called);
        match calling.update(None, "nonsense").await {
            Err(RequestError::Failed(RequestFailure::Refused(response))) => {
                assert_eq!(response.status().as_u16(), 400);
            }
            other => panic!("{other:?}"),
        }
        calling.hang_up();
        let (called, _) = serving.await.unwrap();
        assert_eq!(direction(called.media()), Direction::SendRecv);
    })
    .await;
}

/// An engine that is no session of SDP: what it was asked, in order.
#[derive(Clone, Default)]
struct Own(Arc<Mutex<Vec<String>>>);

impl Own {
    fn note(&self, what: &str) -> Result<bytes::Bytes, Refusal> {
        self.0.lock().unwrap().push(what.to_owned());
        Ok(bytes::Bytes::copy_from_slice(format!("v=0\r\ns={what}\r\n").as_bytes()))
    }
}

impl OfferAnswer for Own {
    fn offer(&mut self) -> Result<bytes::Bytes, Refusal> {
        self.note("offer")
    }

    fn answer(&mut self, _offer: &[u8]) -> Result<bytes::Bytes, Refusal> {
        self.note("answer")
    }

    fn take_answer(&mut self, _answer: &[u8]) -> Result<(), Refusal> {
        self.note("take").map(|_| ())
    }

    fn roll_back(&mut self) {
        let _ = self.note("roll back");
    }
}

#[tokio::test]
async fn an_engine_of_ones_own() {
    within(async {
        let (alice, bob) = pair().await;
        let (ours, theirs) = (Own::default(), Own::default());
        let mut calling = alice.call(uri(&bob)).start_with(ours.clone()).await.unwrap();
        let invitation = invited(&bob, theirs.clone()).await.progress().await.unwrap();
        let called = invitation.accept().await.unwrap();
        answered(&mut calling).await;
        let serving = served(called);
        calling.modify().await.unwrap();
        calling.hang_up();
        serving.await.unwrap();
        assert_eq!(*theirs.0.lock().unwrap(), ["answer", "answer"]);
        let ours = ours.0.lock().unwrap().clone();
        assert_eq!(ours, ["offer", "take", "offer", "take"]);
    })
    .await;
}

fn conditional(port: u16, side: Preconditions) -> Conditional<MediaSession> {
    let qos = Precondition::qos(StatusType::EndToEnd, Strength::Mandatory);
    Conditional::new(session(port), side.with(qos))
}

/// RFC 3312 §13.1 with nobody in between: the caller's engine is told of its reservation, and all else follows.
// RFC 3312 §6: "A user agent server that receives an offer with preconditions SHOULD
// NOT alert the user until all the mandatory preconditions are met"
#[tokio::test]
async fn nobody_is_alerted_before_all_is_reserved() {
    within(async {
        let knows = |name: &str| {
            let mut config = AgentConfig::default();
            config.supported.push("precondition".to_owned());
            builder(name, "udp:127.0.0.1:0").config(config)
        };
        let alice = knows("alice").start().await.unwrap();
        let bob = knows("bob").start().await.unwrap();
        let media = conditional(4000, Preconditions::caller());
        let mut calling = alice.call(uri(&bob)).start_with(media).await.unwrap();
        let invitation = invited(&bob, conditional(5000, Preconditions::callee())).await;
        assert!(invitation.invitation().supports("precondition"));
        let mut invitation = invitation.progress().await.unwrap();
        let send = Direction::SendOnly;
        invitation.media_mut().preconditions.set_reserved(0, StatusType::EndToEnd, send);
        assert!(!invitation.media().may_alert());
        let ringing = tokio::spawn(invitation.ring());
        let early = match calling.next().await {
            Some(CallEvent::Progress { early, .. }) => early,
            other => panic!("{other:?}"),
        };
        assert!(!ringing.is_finished());
        let media = calling.early_media_mut(early).expect("a session with the callee");
        media.preconditions.set_reserved(0, StatusType::EndToEnd, send);
        // The UPDATE is sent by itself.
        match calling.next().await {
            Some(CallEvent::Ringing { response, .. }) => {
                assert_eq!(response.status(), StatusCode::RINGING);
            }
            other => panic!("{other:?}"),
        }
        let invitation = ringing.await.unwrap().unwrap();
        assert!(invitation.media().may_alert());
        let called = invitation.accept().await.unwrap();
        answered(&mut calling).await;
        assert!(calling.media().may_alert() && !calling.media().owes_offer());
        let serving = served(called);
        calling.hang_up();
        serving.await.unwrap();
    })
    .await;
}
