//! A phone of the story: a user agent that is registered with the server, and the session of its calls.

use examples::sdp::{self, Media};
use sip_message::Transport;
use sip_proxy::Server;
use sip_sdp::{Direction, MediaSession};
use sip_transport::ListenAddr;
use sip_transport::tls::Tls;
use sip_ua::{Account, Call, CallEvent, Credentials, Incoming, Recorder, Registration, UserAgent};

use crate::{HERE, Outcome, expect, password_of, user};

pub(super) struct Phone {
    pub(super) ua: UserAgent,
    registration: Registration,
    media: Media,
}

impl Phone {
    /// Registers this user with the server, over this transport.
    pub(super) async fn register(
        name: &str,
        server: &Server,
        transport: Transport,
        tls: &Tls,
        recorder: &Recorder,
    ) -> Outcome<Self> {
        let there = server.locals().first(transport).ok_or("the server does not listen")?;
        let proxy = format!("sip:{};transport={};lr", there.addr, transport.as_str());
        let account = Account::new(user(name)?)
            .credentials(Credentials::new(name, password_of(name)))
            .outbound_proxy(proxy.parse()?);
        let listener = match transport {
            // As a softphone or a browser: it opens connections, and nobody can open one to it.
            Transport::Tls | Transport::Wss => ListenAddr::dial_only(transport, HERE),
            _ => ListenAddr::new(transport, (HERE, 0).into()),
        };
        let builder = UserAgent::builder().listen(listener).account(account).tls(tls.clone());
        let ua = builder.tap(recorder.tap(name)).start().await?;
        let registration = ua.register().await?;
        Ok(Self { ua, registration, media: Media::at(HERE)? })
    }

    /// Calls that user; it must ring, and be answered.
    pub(super) async fn call(&self, name: &str) -> Outcome<(Call, MediaSession)> {
        let mut session = self.media.session()?;
        let mut call = self.ua.call(user(name)?).offer(session.offer()?).start().await?;
        until(&mut call, |event| matches!(event, CallEvent::Ringing { .. }).then_some(())).await?;
        session.take_answer(&answered(&mut call).await?)?;
        expect(sdp::direction(&session) == Direction::SendRecv, "the answer has audio both ways")?;
        Ok((call, session))
    }

    /// Rings at the next call, and answers it.
    pub(super) async fn answer(&self) -> Outcome<(Call, MediaSession)> {
        let Some(Incoming::Invitation(invitation)) = self.ua.incoming().await else {
            return Err("what comes in is no call".into());
        };
        let mut session = self.media.session()?;
        let (answer, _) = session.answer(invitation.offer())?;
        let mut call = invitation.ring().await?.accept(answer).await?;
        until(&mut call, |event| matches!(event, CallEvent::Confirmed { .. }).then_some(()))
            .await?;
        Ok((call, session))
    }

    /// Goes along with how the other end changes the session next: which way the audio flows then.
    pub(super) async fn go_along(
        call: &mut Call,
        session: &mut MediaSession,
    ) -> Outcome<Direction> {
        let change = until(call, |event| match event {
            CallEvent::Modification(change) => Some(change),
            _ => None,
        });
        let change = change.await?;
        let (answer, _) = session.answer(change.offer())?;
        change.accept(answer).await?;
        Ok(sdp::direction(session))
    }

    /// Does what the other end asks for next: calls whom it names, and is answered.
    pub(super) async fn follow(&self, call: &mut Call) -> Outcome<Call> {
        let referral = until(call, |event| match event {
            CallEvent::Referred(referral) => Some(referral),
            _ => None,
        });
        let mut session = self.media.session()?;
        let mut next = referral.await?.follow(session.offer()?).await?;
        session.take_answer(&answered(&mut next).await?)?;
        Ok(next)
    }

    /// Takes its binding from the server, and ends when nothing is under way.
    pub(super) async fn leave(self) -> Outcome<()> {
        expect(self.registration.unregister().await, "the server forgets the phone")?;
        expect(self.ua.shutdown().await, "the phone winds up in time")
    }
}

/// The answer of whoever was called.
async fn answered(call: &mut Call) -> Outcome<Vec<u8>> {
    until(call, |event| match event {
        CallEvent::Answered { response, .. } => Some(response.body().to_vec()),
        _ => None,
    })
    .await
}

/// Waits for what is looked for among the events of a call.
async fn until<T>(call: &mut Call, mut wanted: impl FnMut(CallEvent) -> Option<T>) -> Outcome<T> {
    while let Some(event) = call.next().await {
        if let CallEvent::Ended(reason) = event {
            return Err(format!("the call ended too early: {reason}").into());
        }
        if let Some(found) = wanted(event) {
            return Ok(found);
        }
    }
    Err("the call is over already".into())
}
