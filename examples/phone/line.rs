//! One call, in a task of its own: what happens in it, and what it is told to do.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use examples::sdp::{self, Media};
use examples::{Console, chain, parse_uri};
use sip_message::{RSeq, Response, StatusCode, Uri};
use sip_sdp::{Hold, MediaSession};
use sip_ua::{
    Account, Call, CallControl, CallError, CallEvent, IncomingRequest, Invitation, Modification,
    ReferOutcome, Referral, RequestError,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// What a call can be told.
pub(crate) enum Order {
    Ring,
    Progress,
    Accept,
    Reject(StatusCode),
    HangUp,
    Hold,
    Resume,
    Reinvite,
    Update,
    Refer(Uri<'static>),
    Transfer(Uri<'static>),
    TransferTo(CallControl),
    Follow,
    Decline,
    Text(String),
    Dtmf(String),
}

impl Order {
    pub(crate) fn read(command: &str, rest: &str) -> Result<Self, String> {
        Ok(match command {
            "ring" => Self::Ring,
            "progress" => Self::Progress,
            "accept" => Self::Accept,
            "reject" => {
                let code = rest.parse().ok().and_then(StatusCode::new);
                Self::Reject(code.ok_or("a status from 300 to 699")?)
            }
            "hang-up" => Self::HangUp,
            "hold" => Self::Hold,
            "resume" => Self::Resume,
            "reinvite" => Self::Reinvite,
            "update" => Self::Update,
            "refer" => Self::Refer(parse_uri(rest)?),
            "transfer" => Self::Transfer(parse_uri(rest)?),
            "follow" => Self::Follow,
            "decline" => Self::Decline,
            "text" => Self::Text(rest.to_owned()),
            "dtmf" => Self::Dtmf(rest.to_owned()),
            _ => return Err("no such command".to_owned()),
        })
    }
}

/// What the phone keeps of a line.
pub(crate) struct Extension {
    pub(crate) orders: mpsc::UnboundedSender<Order>,
    /// There once the call is ours, placed or accepted.
    pub(crate) control: Arc<OnceLock<CallControl>>,
}

/// How far a call is.
pub(crate) enum Stage {
    Invited(Invitation),
    Up(Call),
    Over,
}

pub(crate) struct Line {
    pub(crate) number: u32,
    pub(crate) session: MediaSession,
    pub(crate) console: Arc<Console>,
    pub(crate) media: Arc<Media>,
    pub(crate) account: Arc<Account>,
    pub(crate) control: Arc<OnceLock<CallControl>>,
    pub(crate) placed: mpsc::UnboundedSender<(Call, MediaSession)>,
}

/// What a task that waits for the peer came back with.
enum Done {
    Modified { what: &'static str, outcome: Result<Response, RequestError> },
    Said { what: &'static str, outcome: String },
}

/// What a line waits for besides its call.
#[derive(Default)]
struct Waiting {
    referral: Option<Referral>,
    tasks: JoinSet<Done>,
}

impl Line {
    /// Until the call is over.
    pub(crate) async fn run(
        mut self,
        mut stage: Stage,
        mut orders: mpsc::UnboundedReceiver<Order>,
    ) {
        let mut waiting = Waiting::default();
        while !matches!(stage, Stage::Over) {
            if let Stage::Up(call) = &stage {
                self.control.get_or_init(|| call.control());
            }
            tokio::select! {
                biased; // what the peer does next may build on what it has answered
                Some(Ok(done)) = waiting.tasks.join_next() => self.is_done(done),
                event = next(&mut stage) => stage = self.happens(stage, event, &mut waiting).await,
                Some(order) = orders.recv() => stage = self.obey(stage, order, &mut waiting).await,
            }
        }
        drop(orders); // no more of them
        while let Some(Ok(done)) = waiting.tasks.join_next().await {
            self.is_done(done);
        }
    }

    fn say(&self, what: fmt::Arguments<'_>) {
        self.console.line(format_args!("call {}: {what}", self.number));
    }

    async fn happens(
        &mut self,
        stage: Stage,
        event: Option<CallEvent>,
        waiting: &mut Waiting,
    ) -> Stage {
        match event {
            Some(
                CallEvent::Ringing { response, answer_owed, early }
                | CallEvent::Progress { response, answer_owed, early },
            ) => {
                self.say(format_args!("{}", response.status().as_u16()));
                if answer_owed
                    && let (Stage::Up(call), Some(answer)) = (&stage, self.answer(response.body()))
                {
                    let _ = call.answer_early(Some(early), answer).await;
                } else if matches!(response.get::<RSeq>(), Ok(Some(_))) {
                    // Sent reliably it is the answer; else no more than a foretaste of it.
                    self.take_answer(response.body());
                }
            }
            Some(CallEvent::Answered { response, answer_owed }) => {
                self.say(format_args!("answered"));
                if !answer_owed {
                    self.take_answer(response.body());
                } else if let (Stage::Up(call), Some(answer)) =
                    (&stage, self.answer(response.body()))
                {
                    let _ = call.answer(answer).await;
                }
            }
            Some(CallEvent::Acknowledged { prack }) => {
                self.say(format_args!("acknowledged"));
                self.take_answer(prack.as_ref().map(|prack| prack.body()).unwrap_or_default());
            }
            Some(CallEvent::Confirmed { ack }) => {
                self.say(format_args!("confirmed"));
                self.take_answer(ack.as_ref().map(|ack| ack.body()).unwrap_or_default());
            }
            Some(CallEvent::ModificationConfirmed { ack }) => {
                self.take_answer(ack.as_ref().map(|ack| ack.body()).unwrap_or_default());
            }
            Some(CallEvent::Modification(modification)) => self.modify(modification).await,
            Some(CallEvent::Request(request)) => {
                self.say(format_args!("{}: {}", request.method(), text_of(&request)));
                let _ = request.reply(StatusCode::OK).await;
            }
            Some(CallEvent::Referred(referral)) => {
                let target = referral.target().map(|uri| uri.to_string()).unwrap_or_default();
                self.say(format_args!("referred to {target}"));
                waiting.referral = Some(referral);
            }
            Some(CallEvent::Ended(reason)) => {
                self.say(format_args!("over: {reason}"));
                return Stage::Over;
            }
            Some(_) => {}
            None => return Stage::Over,
        }
        stage
    }

    /// Our answer to an offer, or our offer if there is none.
    fn answer(&mut self, offer: &[u8]) -> Option<Bytes> {
        let answer = self.session.answer(offer);
        answer
            .map_err(|error| self.say(format_args!("no answer: {error}")))
            .ok()
            .map(|(sdp, _)| sdp)
    }

    /// An answer to our offer, unless there was one before: what a callee repeats in its 2xx is no other.
    fn take_answer(&mut self, answer: &[u8]) {
        if self.session.is_waiting()
            && !answer.is_empty()
            && let Err(error) = self.session.take_answer(answer)
        {
            self.say(format_args!("no answer: {error}"));
        }
    }

    async fn modify(&mut self, modification: Modification) {
        let method = modification.method().clone();
        // An error of either means that the call is over: the next event says so.
        let _ = match self.session.answer(modification.offer()) {
            Ok((answer, _)) => {
                self.say(format_args!("{method}: {}", sdp::direction(&self.session)));
                modification.accept(answer).await
            }
            Err(error) => {
                self.say(format_args!("{method}: refused: {error}"));
                modification.reject(error.status()).await
            }
        };
    }

    async fn obey(&mut self, stage: Stage, order: Order, waiting: &mut Waiting) -> Stage {
        match stage {
            Stage::Invited(invitation) => match self.answer_invitation(invitation, order).await {
                Ok(stage) => stage,
                Err(error) => {
                    self.say(format_args!("over: {error}"));
                    Stage::Over
                }
            },
            Stage::Up(call) => {
                self.obey_within(&call, order, waiting).await;
                Stage::Up(call)
            }
            Stage::Over => Stage::Over,
        }
    }

    async fn answer_invitation(
        &mut self,
        invitation: Invitation,
        order: Order,
    ) -> Result<Stage, CallError> {
        // What was agreed on in a provisional response is not said again.
        let description = |line: &mut Self, invitation: &Invitation| match line.session.remote() {
            None if !line.session.is_waiting() => line.answer(invitation.offer()),
            _ => Some(Bytes::new()),
        };
        Ok(match order {
            Order::Ring => Stage::Invited(invitation.ring().await?),
            Order::Progress => match description(self, &invitation) {
                Some(sdp) => Stage::Invited(invitation.progress(sdp).await?),
                None => Stage::Invited(invitation),
            },
            Order::Accept => match description(self, &invitation) {
                Some(sdp) => Stage::Up(invitation.accept(sdp).await?),
                None => Stage::Invited(invitation),
            },
            Order::Reject(status) => {
                invitation.reject(status).await?;
                self.say(format_args!("over: refused by {}", status.as_u16()));
                Stage::Over
            }
            Order::HangUp => Stage::Over,
            Order::Hold | Order::Resume | Order::Update => {
                let (what, offer) = self.offer(&order);
                if let Some(offer) = offer {
                    let outcome = invitation.modify(offer).await;
                    self.is_done(Done::Modified { what, outcome });
                }
                Stage::Invited(invitation)
            }
            _ => {
                self.say(format_args!("it is not answered yet"));
                Stage::Invited(invitation)
            }
        })
    }

    async fn obey_within(&mut self, call: &Call, order: Order, waiting: &mut Waiting) {
        let (control, tasks) = (call.control(), &mut waiting.tasks);
        match order {
            Order::HangUp => call.hang_up(),
            Order::Hold | Order::Resume | Order::Reinvite | Order::Update => {
                let (what, Some(offer)) = self.offer(&order) else { return };
                tasks.spawn(async move {
                    let outcome = match order {
                        Order::Update => control.update(None, offer).await,
                        Order::Reinvite => control.reinvite(offer).await,
                        _ => control.modify(offer).await,
                    };
                    Done::Modified { what, outcome }
                });
            }
            Order::Refer(target) => {
                tasks.spawn(async move {
                    let outcome = match control.refer(target).await {
                        Ok(mut reference) => Ok(reference.outcome().await),
                        Err(error) => Err(error),
                    };
                    Done::Said { what: "refer", outcome: referred(outcome) }
                });
            }
            Order::Transfer(target) => {
                tasks.spawn(async move {
                    let outcome = referred(control.transfer(target).await);
                    Done::Said { what: "transfer", outcome }
                });
            }
            Order::TransferTo(other) => {
                tasks.spawn(async move {
                    let outcome = referred(control.transfer_to(&other).await);
                    Done::Said { what: "transfer", outcome }
                });
            }
            Order::Text(text) => {
                tasks.spawn(async move {
                    Done::Said { what: "text", outcome: answered(control.message(text).await) }
                });
            }
            Order::Dtmf(digits) => {
                tasks.spawn(async move {
                    let outcome = match control.dtmf(&digits).await {
                        Ok(Some(response)) => answered(Ok(response)),
                        Ok(None) => "no digits".to_owned(),
                        Err(error) => chain(&error),
                    };
                    Done::Said { what: "dtmf", outcome }
                });
            }
            Order::Follow => match waiting.referral.take() {
                Some(referral) => self.follow(referral).await,
                None => self.say(format_args!("nobody asked for it")),
            },
            Order::Decline => waiting.referral = None,
            Order::Ring | Order::Progress | Order::Accept | Order::Reject(_) => {
                self.say(format_args!("it is not for us to answer"));
            }
        }
    }

    /// What an order changes of the session, as an offer.
    fn offer(&mut self, order: &Order) -> (&'static str, Option<Bytes>) {
        let what = match order {
            Order::Hold => {
                self.session.hold(Hold::Music);
                "hold"
            }
            Order::Resume => {
                self.session.resume();
                "resume"
            }
            Order::Reinvite => "reinvite",
            _ => "update",
        };
        let offer = self.session.offer();
        (what, offer.map_err(|error| self.say(format_args!("{what}: {error}"))).ok())
    }

    fn is_done(&mut self, done: Done) {
        match done {
            Done::Modified { what, outcome: Ok(response) } => {
                self.take_answer(response.body());
                self.say(format_args!("{what}: {}", sdp::direction(&self.session)));
            }
            Done::Modified { what, outcome: Err(error) } => {
                let _ = self.session.roll_back();
                self.say(format_args!("{what}: {}", chain(&error)));
            }
            Done::Said { what, outcome } => self.say(format_args!("{what}: {outcome}")),
        }
    }

    /// Calls whom the peer named. That call is a line of its own.
    async fn follow(&mut self, referral: Referral) {
        let placed: Result<_, Box<dyn Error>> = async {
            let mut session = self.media.session()?;
            let offer = session.offer()?;
            let call =
                referral.follow_with(Some(sip_ua::Body::sdp(offer)), Some(&self.account)).await?;
            Ok((call, session))
        }
        .await;
        match placed {
            // The phone has stopped if it takes none.
            Ok(placed) => drop(self.placed.send(placed)),
            Err(error) => self.say(format_args!("follow: {}", chain(&*error))),
        }
    }
}

async fn next(stage: &mut Stage) -> Option<CallEvent> {
    match stage {
        Stage::Invited(invitation) => invitation.next().await,
        Stage::Up(call) => call.next().await,
        Stage::Over => None,
    }
}

fn referred(outcome: Result<ReferOutcome, CallError>) -> String {
    match outcome {
        Ok(outcome) => format!("{outcome:?}"),
        Err(error) => chain(&error),
    }
}

fn answered(outcome: Result<Response, RequestError>) -> String {
    match outcome {
        Ok(response) => response.status().as_u16().to_string(),
        Err(error) => chain(&error),
    }
}

/// The body of a request, fit for a line of output.
pub(crate) fn text_of(request: &IncomingRequest) -> String {
    let text = String::from_utf8_lossy(request.body());
    text.trim().chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}
