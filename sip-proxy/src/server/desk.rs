//! Where the tasks beside the shard and the shard meet.

use std::marker::PhantomData;
use std::time::{Duration, Instant};

use sip_auth::LookedUp;
use sip_message::Response;
use sip_transaction::{Application, Endpoint, Load, ServerKey};
use tokio::sync::{mpsc, oneshot, watch};

use super::reginfo::Known;
use super::service::{Service, Work};
use super::{Routing, ServerLive};
use crate::location::{Store, StoreError, Watched};
use crate::{Aor, Route};

/// What the shard is told.
pub(super) enum Command {
    LookedUp(ServerKey, LookedUp),
    Routed(ServerKey, Route),
    Registered(ServerKey, Option<Response>),
    Processed(ServerKey, Option<Response>),
    /// What is bound to an address-of-record that somebody watches.
    Loaded(Aor, Result<Known, StoreError>),
    Changed(Watched),
    Drain,
    Left,
    Live(oneshot::Sender<ServerLive>),
}

/// How long work beside the shard may take before it is given up, so that what hangs does not pile up.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// To look somebody up.
    pub(super) lookup: Duration,
    /// To decide where a request goes.
    pub(super) routing: Duration,
}

/// The application side of the shard.
pub(super) struct Desk<S, R> {
    /// Weak, so that the shard does not keep itself alive.
    commands: mpsc::WeakSender<Command>,
    /// Dropped with the shard: who holds the other end knows that it has ended.
    _alive: watch::Sender<()>,
    patience: Patience,
    of: PhantomData<fn() -> (S, R)>,
}

impl<S, R> Desk<S, R> {
    pub(super) fn new(
        commands: mpsc::WeakSender<Command>,
        alive: watch::Sender<()>,
        patience: Patience,
    ) -> Self {
        Self { commands, _alive: alive, patience, of: PhantomData }
    }

    /// Ends work beside the shard, and tells the shard what came of it.
    fn spawn(&self, work: impl Future<Output = Command> + Send + 'static) {
        let commands = self.commands.clone();
        tokio::spawn(async move {
            let command = work.await;
            if let Some(commands) = commands.upgrade() {
                // A shard that has ended needs nothing more.
                let _ = commands.send(command).await;
            }
        });
    }
}

impl<S: Store, R: Routing> Application for Desk<S, R> {
    type User = Service<S, R>;
    type Command = Command;

    fn command(&mut self, now: Instant, endpoint: &mut Endpoint<Self::User>, command: Command) {
        endpoint.with(now, |service, tx| match command {
            Command::LookedUp(key, found) => service.looked_up(now, tx, key, found),
            Command::Routed(key, route) => service.routed(now, tx, key, route),
            Command::Registered(key, response) => service.registered(now, tx, key, response),
            Command::Processed(key, response) => service.processed(now, tx, key, response),
            Command::Loaded(aor, known) => service.loaded(now, tx, &aor, known),
            Command::Changed(told) => service.changed(now, tx, &told),
            Command::Drain => {
                service.drain();
                service.end_subscriptions(now, tx);
            }
            Command::Left => service.left(),
            Command::Live(sender) => {
                let _ = sender.send(service.live(tx));
            }
        });
    }

    fn event(&mut self, _: Instant, _: &mut Endpoint<Self::User>, work: Work) {
        match work {
            Work::LookUp(key, pending) => {
                let pending = tokio::time::timeout(self.patience.lookup, pending);
                self.spawn(async move {
                    let found = pending.await;
                    let found = found.unwrap_or_else(|late| LookedUp::unavailable(late.into()));
                    Command::LookedUp(key, found)
                });
            }
            Work::Route(key, work) => {
                let work = tokio::time::timeout(self.patience.routing, work);
                // By then the proxy has answered: it needs no decision any more.
                self.spawn(async move { Command::Routed(key, work.await.unwrap_or(Route::Later)) });
            }
            Work::Register(key, work) => {
                self.spawn(async move { Command::Registered(key, work.await) });
            }
            Work::Forget(work) => {
                tokio::spawn(work);
            }
            Work::Leave(work) => {
                self.spawn(async move {
                    work.await;
                    Command::Left
                });
            }
            Work::Answer(key, work) => {
                self.spawn(async move { Command::Processed(key, work.await) });
            }
            Work::Load(work) => {
                self.spawn(async move {
                    let (aor, known) = work.await;
                    Command::Loaded(aor, known)
                });
            }
            Work::Watch(mut feed) => {
                let commands = self.commands.clone();
                tokio::spawn(async move {
                    while let Some(told) = feed.next().await {
                        let Some(commands) = commands.upgrade() else { break };
                        if commands.send(Command::Changed(told)).await.is_err() {
                            break;
                        }
                    }
                });
            }
        }
    }

    fn loaded(&mut self, now: Instant, endpoint: &mut Endpoint<Self::User>, load: Load) {
        endpoint.with(now, |service, tx| service.sample(now, tx, load));
    }
}
