//! States that are told when they change (RFC 6665): those of others that the phone watches, and its own that others do.

use std::sync::Arc;

use examples::{Console, chain, shown};
use sip_events::{BodyError, EventPackage, MessageSummary, Presence};
use sip_message::{From, Uri};
use sip_ua::{
    Account, Body, Notifier, NotifierConfig, NotifierUpdate, Rate, Subscription,
    SubscriptionRequest, SubscriptionUpdate, UserAgent,
};
use tokio::sync::{oneshot, watch};

/// What the phone tells and understands.
#[derive(Clone, Copy)]
pub(crate) enum Package {
    Presence,
    MessageSummary,
}

impl Package {
    pub(crate) const ALL: [Self; 2] = [Self::Presence, Self::MessageSummary];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Presence => Presence::NAME,
            Self::MessageSummary => MessageSummary::NAME,
        }
    }

    pub(crate) fn read(name: &str) -> Result<Self, String> {
        let package = Self::ALL.into_iter().find(|package| package.name() == name);
        package.ok_or_else(|| Self::ALL.map(Self::name).join(" or "))
    }

    fn terms(self) -> NotifierConfig {
        fn terms<P: EventPackage>() -> NotifierConfig {
            let terms = NotifierConfig::new(P::DEFAULT_EXPIRES);
            let least = P::LEAST_INTERVAL.map(Rate::once_in);
            least.map_or(terms, |rate| terms.max_rate(rate))
        }
        match self {
            Self::Presence => terms::<Presence>(),
            Self::MessageSummary => terms::<MessageSummary>(),
        }
    }

    /// The document that says `open` or `closed` and a note, or how many voice messages wait: `NEW/OLD`.
    fn document(self, whose: &Uri<'_>, state: &str) -> Result<Body, String> {
        match self {
            Self::Presence => {
                let (basic, note) = crate::split(state);
                let open = match basic {
                    "open" => true,
                    "closed" => false,
                    _ => return Err("open or closed, and a note".to_owned()),
                };
                let presence = Presence::of(whose.to_string(), open);
                let presence = if note.is_empty() { presence } else { presence.note(note) };
                Ok(Body::new(Presence::CONTENT_TYPE, presence.render()))
            }
            Self::MessageSummary => {
                let text = format!("Messages-Waiting: no\r\nVoice-Message: {state}");
                let mut summary =
                    MessageSummary::parse(text.as_bytes()).map_err(|error| error.to_string())?;
                summary.waiting = summary.classes.iter().any(|(_, counts)| counts.new > 0);
                Ok(Body::new(MessageSummary::CONTENT_TYPE, summary.render()))
            }
        }
    }

    /// The same in a line of output.
    fn shown(self, document: &[u8]) -> Result<String, BodyError> {
        Ok(match self {
            Self::Presence => {
                let presence = Presence::parse(document)?;
                let basic = match presence.tuples.first().map(|tuple| tuple.open) {
                    Some(Some(true)) => "open",
                    Some(Some(false)) => "closed",
                    Some(None) => "neither open nor closed",
                    None => "nothing",
                };
                let notes = presence.notes.iter().map(|note| note.text.escape_debug());
                notes.fold(basic.to_owned(), |line, note| format!("{line} {note}"))
            }
            Self::MessageSummary => {
                let summary = MessageSummary::parse(document)?;
                let waiting = if summary.waiting { "yes" } else { "no" };
                summary.classes.iter().fold(waiting.to_owned(), |line, (class, counts)| {
                    format!("{line}, {} {}/{}", class.escape_debug(), counts.new, counts.old)
                })
            }
        })
    }
}

/// The states that the phone tells, and its subscriptions to those of others.
pub(crate) struct States {
    console: Arc<Console>,
    account: Arc<Account>,
    presence: watch::Sender<Body>,
    messages: watch::Sender<Body>,
    /// Dropping one ends the subscription.
    subscriptions: Vec<oneshot::Sender<()>>,
}

impl States {
    pub(crate) fn new(console: Arc<Console>, account: Arc<Account>) -> Result<Self, String> {
        let presence = Package::Presence.document(account.identity(), "open")?;
        let messages = Package::MessageSummary.document(account.identity(), "0/0")?;
        Ok(Self {
            console,
            account,
            presence: watch::Sender::new(presence),
            messages: watch::Sender::new(messages),
            subscriptions: Vec::new(),
        })
    }

    fn of(&self, package: Package) -> &watch::Sender<Body> {
        match package {
            Package::Presence => &self.presence,
            Package::MessageSummary => &self.messages,
        }
    }

    /// Tells all who watch what is so from now on.
    pub(crate) fn change(&self, package: Package, state: &str) -> Result<(), String> {
        let document = package.document(self.account.identity(), state)?;
        self.of(package).send_replace(document);
        Ok(())
    }

    /// Tells who asks for it a state of ours, now and whenever it changes.
    pub(crate) async fn be_watched(&self, request: SubscriptionRequest) {
        let Ok(package) = Package::read(&request.event_type()) else { return }; // which refuses it
        let from = request.request().get::<From<'_>>().ok().flatten().map(|from| shown(&from));
        let from = from.unwrap_or_else(|| "somebody".to_owned());
        let mut state = self.of(package).subscribe();
        let document = state.borrow_and_update().clone();
        let name = package.name();
        match request.accept(package.terms(), Some(document)).await {
            Ok(notifier) => {
                self.console.line(format_args!("{name}: SUBSCRIBE from {from}"));
                tokio::spawn(tell(notifier, state, name, from, Arc::clone(&self.console)));
            }
            Err(error) => self.console.line(format_args!("{name}: {}", chain(&error))),
        }
    }

    /// Prints a state of somebody else, now and whenever it changes.
    pub(crate) async fn watch(
        &mut self,
        ua: &UserAgent,
        whose: Uri<'static>,
        package: Package,
    ) -> Result<(), String> {
        let what = format!("{} of {whose}", package.name());
        let subscription = ua.subscribe(whose, package.name()).account(&self.account);
        let subscription = subscription.start().await.map_err(|error| chain(&error))?;
        let (watching, enough) = oneshot::channel();
        self.subscriptions.push(watching);
        tokio::spawn(watch(subscription, enough, package, what, Arc::clone(&self.console)));
        Ok(())
    }

    /// Ends the latest subscription of ours.
    pub(crate) fn watch_no_more(&mut self) -> Result<(), String> {
        self.subscriptions.pop().map(drop).ok_or_else(|| "there is no subscription".to_owned())
    }
}

/// Until the subscriber goes.
async fn tell(
    mut notifier: Notifier,
    mut state: watch::Receiver<Body>,
    name: &'static str,
    to: String,
    console: Arc<Console>,
) {
    loop {
        tokio::select! {
            update = notifier.next() => match update {
                Some(NotifierUpdate::Ended(end)) => {
                    return console.line(format_args!("{name}: {to} is told no more: {end:?}"));
                }
                Some(_) => {}
                None => return,
            },
            Ok(()) = state.changed() => {
                let document = state.borrow_and_update().clone();
                // An error means that the user agent has stopped, as the next turn finds.
                let _ = notifier.notify(document).await;
            }
        }
    }
}

/// Until it is over, or was `enough`.
async fn watch(
    mut subscription: Subscription,
    mut enough: oneshot::Receiver<()>,
    package: Package,
    what: String,
    console: Arc<Console>,
) {
    loop {
        let update = tokio::select! {
            update = subscription.next() => update,
            _ = &mut enough => {
                subscription.unsubscribe().await;
                return console.line(format_args!("{what}: unsubscribed"));
            }
        };
        match update {
            Some(SubscriptionUpdate::Notify(notify)) if notify.body().is_empty() => {
                console.line(format_args!("{what}: no document"));
            }
            Some(SubscriptionUpdate::Notify(notify)) => match package.shown(notify.body()) {
                Ok(state) => console.line(format_args!("{what}: {state}")),
                Err(error) => console.line(format_args!("{what}: {}", chain(&error))),
            },
            Some(SubscriptionUpdate::State(state)) => {
                console.line(format_args!("{what}: {state:?}"));
            }
            Some(_) => {}
            None => return,
        }
    }
}
