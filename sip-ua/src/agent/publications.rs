//! States that the application publishes: the machine of RFC 3903 §4 wired to transactions and timers.
//!
//! Each publication keeps its latest body here, for it is sent again when the compositor has lost it. Those of one
//! Request-URI take turns: one PUBLISH for it is out at a time.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_dialog::{Publication, PublicationAction, PublicationInput};
use sip_message::{Event, Header, HeaderName, Method, Uri};
use sip_transaction::{ClientKey, TimerKey, Transactions};

use super::asker::Asker;
use super::compose::{FirstHop, Initial, draw};
use super::key::Slab;
use super::outgoing::cseq;
use super::table::TimerKind;
use super::{Agent, ClientUse, Outcome};
use crate::{Account, AgentError, AgentEvent, Body, PublicationKey};

/// What is to be published: [`Agent::publish`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PublicationWish {
    /// Whose state it is.
    pub to: Uri<'static>,
    /// The event type: `presence`, `message-summary`.
    pub event: String,
    /// The state.
    pub state: Body,
    /// For how long at a time, in seconds, at least one; it is refreshed in time. Default an hour.
    pub expires: u32,
    /// More header fields of each PUBLISH.
    pub headers: Vec<(String, String)>,
}

impl PublicationWish {
    /// The state of `to` that the event type names, for an hour at a time.
    pub fn new(to: Uri<'static>, event: impl Into<String>, state: Body) -> Self {
        Self { to, event: event.into(), state, expires: 3600, headers: Vec::new() }
    }
}

/// One state that is published.
struct Publishing {
    machine: Publication,
    wish: Box<PublicationWish>,
    asker: Asker,
    timer: Option<(Duration, TimerKey)>,
    /// What waits for its turn: what Expires says, and whether the state goes with it.
    queued: Option<(u32, bool)>,
}

/// All of them.
#[derive(Default)]
pub(crate) struct Publications {
    all: Slab<Publishing>,
    /// Whose turn it is, by Request-URI: the first one's PUBLISH is out. Our own application chooses these.
    turns: HashMap<Uri<'static>, VecDeque<PublicationKey>>,
}

impl Publications {
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Gives whether it is the turn of this publication; if not, notes what it wants to send then.
    ///
    /// RFC 3903 §4: "EPAs MUST NOT send a new PUBLISH request (not a re-transmission) for
    /// the same Request-URI, until they have received a final response from
    /// the ESC for the previous one or the previous PUBLISH request has
    /// timed out."
    fn line_up(&mut self, key: PublicationKey, wanted: (u32, bool)) -> bool {
        let Some(publishing) = self.all.get_mut(key) else { return false };
        let line = self.turns.entry(publishing.wish.to.clone()).or_default();
        if !line.contains(&key) {
            line.push_back(key);
        }
        let is_first = line.front() == Some(&key);
        publishing.queued = (!is_first).then_some(wanted);
        is_first
    }

    /// The turn of this publication is over; gives whose it is now.
    fn step_back(&mut self, to: &Uri<'static>, key: PublicationKey) -> Option<PublicationKey> {
        let line = self.turns.get_mut(to)?;
        line.retain(|other| *other != key);
        let next = line.front().copied();
        if next.is_none() {
            self.turns.remove(to);
        }
        next
    }
}

impl Agent {
    /// Publishes a state at the server that composes and tells it, and keeps it published. How it goes is told by
    /// [`AgentEvent::Publication`], until it is over.
    ///
    /// # Errors
    /// When as many states are published as the configuration allows, or the address or event type is none.
    pub fn publish(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        account: &Arc<Account>,
        wish: PublicationWish,
    ) -> Result<PublicationKey, AgentError> {
        if self.publications.len() >= self.config.max_publications {
            return Err(AgentError::Full { what: "publications" });
        }
        Event::parse(wish.event.as_bytes()).map_err(|_| AgentError::Address)?;
        let publishing = Publishing {
            machine: Publication::new(wish.expires),
            wish: Box::new(wish),
            asker: Asker::new(Some(Arc::clone(account))),
            timer: None,
            queued: None,
        };
        let key = self.publications.all.insert_with(|_| publishing);
        let key = key.ok_or(AgentError::Full { what: "publications" })?.into();
        self.drive_publication(now, tx, key, PublicationInput::Publish);
        Ok(key)
    }

    /// Publishes another state in the place of this one. With a PUBLISH on its way, it goes with the next, and of
    /// several the latest.
    ///
    /// # Errors
    /// [`AgentError::Gone`] if the publication is over.
    pub fn modify_publication(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        publication: PublicationKey,
        state: Body,
    ) -> Result<(), AgentError> {
        let publishing = self.publications.all.get_mut(publication).ok_or(AgentError::Gone)?;
        publishing.wish.state = state;
        self.drive_publication(now, tx, publication, PublicationInput::Publish);
        Ok(())
    }

    /// Removes a published state; [`PublicationEvent::Removed`](sip_dialog::PublicationEvent::Removed) follows.
    ///
    /// # Errors
    /// [`AgentError::Gone`] if the publication is over.
    pub fn unpublish(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        publication: PublicationKey,
    ) -> Result<(), AgentError> {
        self.publications.all.get(publication).ok_or(AgentError::Gone)?;
        self.drive_publication(now, tx, publication, PublicationInput::Remove);
        Ok(())
    }

    /// What became of a PUBLISH.
    pub(super) fn publish_answered(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        client: ClientKey,
        key: PublicationKey,
        outcome: &Outcome,
    ) {
        if let Outcome::Response(response, _) = outcome
            && response.status().is_provisional()
        {
            return;
        }
        self.clients.remove(&client);
        let Some(publishing) = self.publications.all.get_mut(key) else { return };
        let Outcome::Response(response, _) = outcome else {
            publishing.asker.forget();
            return self.drive_publication(now, tx, key, PublicationInput::NoResponse);
        };
        let again = publishing.asker.again(now, tx, response, |last| cseq(last).checked_add(1));
        if let Some(client) = again {
            self.clients.insert(client, ClientUse::Publish(key));
            return;
        }
        publishing.asker.answered(response);
        publishing.asker.forget();
        self.drive_publication(now, tx, key, PublicationInput::Response(response));
    }

    /// The time for a refresh, or for another try.
    pub(crate) fn publication_timer(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: PublicationKey,
    ) {
        if let Some(publishing) = self.publications.all.get_mut(key) {
            publishing.timer = None;
        }
        self.drive_publication(now, tx, key, PublicationInput::Timer);
    }

    /// Hands an input to the machine, does what it asks for, and lets the next one of the same address go.
    fn drive_publication(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: PublicationKey,
        input: PublicationInput<'_>,
    ) {
        self.step_publication(now, tx, key, input);
        let mut waiting = Some(key);
        while let Some(key) = waiting {
            waiting = self.pass_turn(now, tx, key);
        }
    }

    /// Hands an input to the machine and does what it asks for.
    fn step_publication(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: PublicationKey,
        input: PublicationInput<'_>,
    ) {
        let at = self.since_start(now);
        let mut next = Some(input);
        // A PUBLISH that cannot be sent is one more input; the machine then waits or ends.
        while let Some(input) = next.take() {
            let Some(publishing) = self.publications.all.get_mut(key) else { return };
            for action in publishing.machine.handle(at, input, &mut |range| draw(tx, range)) {
                match action {
                    PublicationAction::Publish { expires, body } => {
                        let sent = self.send_in_turn(now, tx, key, expires, body);
                        next = sent.is_err().then_some(PublicationInput::NoResponse);
                    }
                    PublicationAction::Event(event) => {
                        let publication = key;
                        self.events.push_back(AgentEvent::Publication { publication, event });
                    }
                    // What a later version of the machine asks for.
                    _ => {}
                }
            }
        }
        let Some(publishing) = self.publications.all.get_mut(key) else { return };
        let deadline = publishing.machine.deadline();
        if publishing.timer.map(|(armed, _)| armed) != deadline {
            if let Some((_, timer)) = publishing.timer.take() {
                tx.disarm(timer);
            }
            publishing.timer = deadline.map(|deadline| {
                let wait = deadline.saturating_sub(at);
                (deadline, tx.arm(now, wait, TimerKind::Publication.token(key)))
            });
        }
    }

    /// Sends a PUBLISH, or notes that it is to be sent when no other for its Request-URI is out.
    fn send_in_turn(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: PublicationKey,
        expires: u32,
        body: bool,
    ) -> Result<(), AgentError> {
        if !self.publications.line_up(key, (expires, body)) {
            return Ok(());
        }
        self.send_publish(now, tx, key, expires, body).inspect_err(|error| {
            tracing::debug!(%error, "a PUBLISH was not sent");
        })
    }

    /// If this publication has nothing on its way any more, lets the next of its Request-URI go, and removes it if
    /// it is over. Gives the next, which may have nothing on its way either.
    fn pass_turn(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: PublicationKey,
    ) -> Option<PublicationKey> {
        let publishing = self.publications.all.get(key)?;
        if publishing.machine.is_asking() {
            return None;
        }
        let to = publishing.wish.to.clone();
        if publishing.machine.is_over() {
            self.publications.all.remove(key);
        }
        let next = self.publications.step_back(&to, key)?;
        let (expires, body) = self.publications.all.get_mut(next)?.queued.take()?;
        if let Err(error) = self.send_publish(now, tx, next, expires, body) {
            tracing::debug!(%error, "a PUBLISH was not sent");
            self.step_publication(now, tx, next, PublicationInput::NoResponse);
            return Some(next);
        }
        None
    }

    fn send_publish(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: PublicationKey,
        expires: u32,
        body: bool,
    ) -> Result<(), AgentError> {
        let publishing = self.publications.all.get(key).ok_or(AgentError::Gone)?;
        let account = publishing.asker.account().cloned().ok_or(AgentError::Gone)?;
        let wish = &publishing.wish;
        // RFC 3903 §4.1: "For determining the type of the published event state, the EPA MUST
        // include a single Event header field in PUBLISH requests."
        let mut headers = vec![
            ("Event".to_owned(), wish.event.clone()),
            ("Expires".to_owned(), expires.to_string()),
        ];
        // RFC 3903 §4.1: "When updating previously published event state, PUBLISH requests MUST
        // contain a single SIP-If-Match header field identifying the specific
        // event state that the request is refreshing, modifying or removing."
        // RFC 3903 §4.2: "An initial PUBLISH request MUST NOT contain a SIP-If-Match header
        // field."
        if let Some(tag) = publishing.machine.entity_tag() {
            headers.push((HeaderName::SipIfMatch.as_str().to_owned(), tag.to_owned()));
        }
        headers.extend(wish.headers.iter().cloned());
        // RFC 3903 §4: "In particular, the UAC MUST NOT create a
        // new route set based on the presence or absence of a Record-Route
        // header field in any response to a PUBLISH request."
        let hop = FirstHop::of(&account, &wish.to);
        let initial = Initial {
            account: &account,
            method: Method::Publish,
            to: &wish.to,
            hop: &hop,
            body: body.then_some(&wish.state),
            headers: &headers,
        };
        let request = self.initial_request(tx, &initial)?;
        let publishing = self.publications.all.get_mut(key).ok_or(AgentError::Gone)?;
        let client = publishing.asker.send(now, tx, request, hop.next_hop())?;
        self.clients.insert(client, ClientUse::Publish(key));
        Ok(())
    }
}
