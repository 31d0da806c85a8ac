//! Answers that the application owes: our INVITE or re-INVITE held no offer, and its 2xx does (RFC 3261 §13.2.1).
//!
//! ```text
//!   2xx with an offer --> owed --acknowledge()--> ACK with the answer
//!                          |
//!                          | TimerKind::Answer, hang_up(), BYE of the peer
//!                          +--> ACK that refuses every stream, then BYE unless that was the peer's
//! ```
//!
//! Meanwhile repeats of the 2xx are not answered, and no other INVITE can be sent or taken in the dialog: the
//! [`Session`](sip_dialog::Session) owes its ACK.

use std::time::{Duration, Instant};

use sip_message::{HeaderName, Request};
use sip_transaction::{TimerKey, Transactions};

use sip_dialog::Carrier;

use super::Agent;
use super::call::{Call, Caller, Phase, SentAck};
use super::outgoing::cseq;
use super::session_timer::note_local;
use super::table::TimerKind;
use crate::{AgentError, Body, CallKey, EndReason};

/// The answer that the application owes in the ACK to the 2xx to our INVITE.
pub(crate) struct OwedAnswer {
    pub(crate) timer: TimerKey,
    /// What goes in its place if the call ends first.
    pub(crate) refusal: Option<Body>,
}

/// The guard is at most this many times T1: the callee gives up after 64, counted from when it sent.
const LONGEST_GUARD: u32 = 60;

impl Agent {
    /// Sends the ACK that waits for the application: the answer to the offer in the 2xx to an INVITE or
    /// re-INVITE of ours that had none ([`CallUpdate::Answered`](crate::CallUpdate::Answered) and
    /// [`CallUpdate::Modified`](crate::CallUpdate::Modified) say whether it is owed). Who does
    /// not like the offer answers it all the same, and then hangs up.
    ///
    /// # Errors
    /// [`AgentError::NoOffer`] if no answer is owed; [`AgentError::Build`] if the ACK cannot be built, and
    /// then the answer is still owed.
    pub fn acknowledge(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        call: CallKey,
        body: Option<&Body>,
    ) -> Result<(), AgentError> {
        let key = call;
        let call = self.calls.get_mut(key).ok_or(AgentError::Gone)?;
        if matches!(call.phase, Phase::Over) {
            return Err(AgentError::Gone);
        }
        let invite = owing(call).ok_or(AgentError::NoOffer)?;
        let number = cseq(invite);
        let (dialog, _) =
            call.dialog.and_then(|dialog| self.dialogs.get(dialog)).ok_or(AgentError::Gone)?;
        // RFC 3261 §13.2.2.4: "If
        // the 2xx contains an offer (based on the rules above), the ACK MUST
        // carry an answer in its body."
        let mut builder = dialog.ack_to(invite);
        if let Some(body) = body {
            builder = builder.body(body.content_type.as_bytes(), body.bytes.clone());
        }
        let request = builder.build()?;
        let described = describes_session(request.headers(), request.body());
        let ack = SentAck { request, hop: self.ways_back.hop(call.flow, dialog.next_hop()) };
        ack.send(now, tx);
        note_local(call, body);
        call.session.ack_sent(number);
        // The answer is owed: it is in order.
        let _ = call.offer_answer.sends(Carrier::Ack, described);
        let chosen = call.dialog;
        if let Some(Caller { owed: owed @ Some(_), forks, .. }) = call.caller.as_deref_mut() {
            if let Some(owed) = owed.take() {
                tx.disarm(owed.timer);
            }
            if let Some(fork) = forks.iter_mut().find(|fork| Some(fork.dialog) == chosen) {
                fork.ack = Some(ack);
            }
        } else if let Some(timer) =
            call.exchange.as_mut().and_then(|exchange| exchange.acknowledged(ack))
        {
            tx.disarm(timer);
        }
        Ok(())
    }

    /// The call ends: an ACK that still waits for an answer goes with one that refuses every stream. Where the
    /// offer is none that we can read (it is encrypted, or no SDP) it goes without: who can read it answers it by
    /// [`acknowledge`](Self::acknowledge) before it hangs up.
    // RFC 3261 §13.2.2.4: "If the offer in the 2xx response is not acceptable, the UAC core
    // MUST generate a valid answer in the ACK and then send a BYE
    // immediately."
    pub(crate) fn acknowledge_unanswered(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
    ) {
        let Some(call) = self.calls.get_mut(key) else { return };
        // Nothing is owed, as a rule.
        if owing(call).is_none() {
            return;
        }
        let refusal = match call.caller.as_deref_mut() {
            Some(Caller { owed: Some(owed), .. }) => owed.refusal.take(),
            _ => call.exchange.as_mut().and_then(|exchange| exchange.refusal()),
        };
        // It is owed, and what we have written ourselves can be built.
        let _ = self.acknowledge(now, tx, key, refusal.as_ref());
    }

    /// The application has not answered the offer.
    pub(crate) fn answer_timer(&mut self, now: Instant, tx: &mut Transactions, key: CallKey) {
        if self.early_answer_missed(now, tx, key) {
            return;
        }
        if self.calls.get(key).and_then(owing).is_some() {
            self.bye_and_end(now, tx, key, EndReason::TimedOut);
        }
    }

    /// Starts the wait for the application's answer.
    pub(crate) fn arm_answer(&self, now: Instant, tx: &mut Transactions, key: CallKey) -> TimerKey {
        tx.arm(now, self.answer_guard(tx), TimerKind::Answer.token(key))
    }

    /// How long it is.
    pub(crate) fn answer_guard(&self, tx: &Transactions) -> Duration {
        self.config.answer_guard.min(tx.config().t1 * LONGEST_GUARD)
    }
}

/// The INVITE or re-INVITE whose ACK waits for an answer. It is never both: a re-INVITE has to wait for the
/// ACK to the INVITE.
fn owing(call: &Call) -> Option<&Request> {
    match call.caller.as_deref() {
        Some(Caller { owed: Some(_), invite, .. }) => Some(invite),
        _ => call.exchange.as_ref()?.owing(),
    }
}

/// The answer that refuses every stream of an offer; `None` if it is no session description that we can read.
// RFC 3264 §6: "To reject an offered stream, the port number in the corresponding stream in
// the answer MUST be set to zero."
pub(crate) fn declined(offer: &[u8]) -> Option<Body> {
    let offer = core::str::from_utf8(offer).ok()?;
    let mut answer =
        String::from("v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n");
    for line in offer.lines() {
        if let Some(media) = line.strip_prefix("m=") {
            let (kind, rest) = media.split_once(' ')?;
            let (_port, rest) = rest.split_once(' ')?;
            answer.extend(["m=", kind, " 0 ", rest, "\r\n"]);
        }
    }
    offer.starts_with("v=").then(|| Body::sdp(answer))
}

/// Whether a body of the application's is an offer or an answer, as far as its type says.
pub(crate) fn is_description(body: &Body) -> bool {
    !body.bytes.is_empty() && implies_session(body.content_type.as_bytes())
}

/// Whether a body is an offer or an answer.
pub(crate) fn describes_session(headers: &sip_message::Headers, body: &[u8]) -> bool {
    if body.is_empty() {
        return false;
    }
    let is = |name: HeaderName<'static>, text: &[u8]| {
        headers.raw(name).is_some_and(|value| {
            let value = value.split(|byte| *byte == b';').next().unwrap_or_default();
            value.trim_ascii().eq_ignore_ascii_case(text)
        })
    };
    // RFC 3261 §13.2.1: "The restrictions of the offer-answer model just described only apply
    // to bodies whose Content-Disposition header field value is "session"."
    if headers.contains(HeaderName::ContentDisposition) {
        return is(HeaderName::ContentDisposition, b"session");
    }
    // RFC 3261 §13.2.1: "If the Content-Disposition header field is missing, bodies of
    // Content-Type application/sdp imply the disposition "session", while
    // other content types imply "render"."
    headers.raw(HeaderName::ContentType).is_some_and(implies_session)
}

fn implies_session(content_type: &[u8]) -> bool {
    let content_type = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    let content_type = content_type.trim_ascii();
    // Of several bodies one may be a session description: then it had better be taken for one.
    let start = content_type.get(..10).unwrap_or_default();
    start.eq_ignore_ascii_case(b"multipart/")
        || content_type.eq_ignore_ascii_case(b"application/sdp")
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip_message::{Method, Response, StatusCode, Uri};

    #[test]
    fn which_bodies_describe_a_session() {
        let uri = Uri::parse(b"sip:bob@192.0.2.2").unwrap();
        for (kind, disposition, body, describes) in [
            ("application/sdp", None, "v=0", true),
            ("Application/SDP; charset=utf-8", None, "v=0", true),
            ("application/sdp", None, "", false),
            ("application/sdp", Some("render"), "v=0", false),
            ("application/sdp", Some("session;handling=optional"), "v=0", true),
            ("text/plain", None, "hello", false),
            ("application/json", Some(" Session "), "{}", true),
            ("multipart/mixed;boundary=x", None, "--x", true),
            ("multipart", None, "--x", false),
        ] {
            let invite = || {
                Request::builder(Method::Invite, &uri)
                    .raw(HeaderName::MaxForwards, b"70")
                    .raw(HeaderName::From, b"<sip:a@192.0.2.1>;tag=a")
                    .raw(HeaderName::To, b"<sip:bob@192.0.2.2>")
                    .raw(HeaderName::CallId, b"1")
                    .raw(HeaderName::CSeq, b"1 INVITE")
            };
            let bare = invite().build().unwrap();
            let mut builder = invite();
            if let Some(disposition) = disposition {
                builder = builder.raw(HeaderName::ContentDisposition, disposition.as_bytes());
            }
            let invite = builder.body(kind.as_bytes(), body.to_owned()).build().unwrap();
            let got = describes_session(invite.headers(), invite.body());
            assert_eq!(got, describes, "{kind} {disposition:?} {body:?}");

            let mut builder = Response::to_request(&bare, StatusCode::OK).to_tag("b");
            if let Some(disposition) = disposition {
                builder = builder.raw(HeaderName::ContentDisposition, disposition.as_bytes());
            }
            let ok = builder.body(kind.as_bytes(), body.to_owned()).build().unwrap();
            assert_eq!(describes_session(ok.headers(), ok.body()), describes);
            if disposition.is_none() {
                assert_eq!(is_description(&Body::new(kind, body)), describes, "{kind}");
            }
        }
    }

    #[test]
    fn what_refuses_every_stream() {
        let offer = "v=0\r\no=a 1 1 IN IP4 192.0.2.1\r\ns=x\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
                     m=audio 49170 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\nm=video 51372/2 RTP/AVP 31\r\n";
        let answer = declined(offer.as_bytes()).unwrap();
        assert_eq!(
            core::str::from_utf8(&answer.bytes).unwrap(),
            "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
             m=audio 0 RTP/AVP 0 8\r\nm=video 0 RTP/AVP 31\r\n"
        );
        for bad in ["", "{}", "v=0\r\nm=audio\r\n", "v=0\r\nm=audio 1\r\n"] {
            assert!(declined(bad.as_bytes()).is_none(), "{bad:?}");
        }
        assert!(declined(b"v=0\r\n\xff").is_none());
    }
}
