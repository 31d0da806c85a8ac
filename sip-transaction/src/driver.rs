//! The driver: one tokio task, a shard, that owns an endpoint, its sockets and an application.
//!
//! Each turn takes in a bounded amount from every side (sockets, commands, answers to host name
//! lookups, the clock), lets the endpoint and the application work it off, and sends what came of
//! it. Nothing is locked, nothing is allocated for a turn, and one timer of the runtime serves all
//! timers of the endpoint.

mod lookup;
#[cfg(feature = "metrics")]
mod meter;
#[cfg(not(feature = "metrics"))]
#[path = "driver/no_meter.rs"]
mod meter;

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use sip_transport::{Destination, Input, ReadySet, Sockets, Tap, Tapped, Transmit};
use tokio::sync::mpsc;
use tokio::time::Sleep;

use crate::{Endpoint, Load, Output, TransactionUser};
use lookup::Lookups;
pub use lookup::Resolver;
use meter::Meter;

/// What stands above an endpoint in a shard: it takes the commands of the handles outside, and
/// hands the events of the transaction user out to them.
///
/// It runs inside the shard's task and must not block.
pub trait Application {
    /// The transaction user below it.
    type User: TransactionUser;

    /// What handles outside ask for.
    type Command: Send;

    /// Takes a command in.
    fn command(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint<Self::User>,
        command: Self::Command,
    );

    /// Takes an event of the transaction user in.
    fn event(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint<Self::User>,
        event: <Self::User as TransactionUser>::Event,
    );

    /// No more commands will come, since every sender is gone or the shard is told to stop: end
    /// what is under way and take on nothing new. Called once.
    fn closed(&mut self, now: Instant, endpoint: &mut Endpoint<Self::User>) {
        let _ = (now, endpoint);
    }

    /// How loaded the shard was since this was called last, about ten times a second while anything goes on. Busy
    /// is all time in which it did not sleep, also what other tasks of its thread, or other programs, took of it; the
    /// delay is the longest by which a timer fired late.
    fn loaded(&mut self, now: Instant, endpoint: &mut Endpoint<Self::User>, load: Load) {
        let _ = (now, endpoint, load);
    }

    /// What is counted is told to the `metrics` facade now: about once a second while something goes on, and
    /// when the shard ends. Only with the feature `metrics`.
    fn measured(&mut self, endpoint: &Endpoint<Self::User>) {
        let _ = endpoint;
    }

    /// Whether nothing is owed to anyone any more, so that the shard may end; asked each turn after
    /// [`closed`](Self::closed). Without another opinion: when no transaction is
    /// [unfinished](crate::Transactions::unfinished), though some may stay to absorb what comes late.
    fn is_done(&self, endpoint: &Endpoint<Self::User>) -> bool {
        endpoint.transactions().unfinished() == 0
    }
}

/// An application for a transaction user that does all by itself and whose events nobody wants.
impl<U: TransactionUser> Application for std::marker::PhantomData<U> {
    type User = U;
    type Command = std::convert::Infallible;

    fn command(&mut self, _: Instant, _: &mut Endpoint<U>, command: Self::Command) {
        match command {}
    }

    fn event(&mut self, _: Instant, _: &mut Endpoint<U>, _: U::Event) {}
}

/// How often the load is told.
const LOAD_INTERVAL: Duration = Duration::from_millis(100);

/// Measures the [`Load`].
struct Gauge {
    since: Instant,
    idle: Duration,
    /// When the shard went to sleep, if it sleeps.
    asleep: Option<Instant>,
    lag: Duration,
}

impl Gauge {
    fn new(now: Instant) -> Self {
        Self { since: now, idle: Duration::ZERO, asleep: None, lag: Duration::ZERO }
    }

    fn sleeps(&mut self, now: Instant) {
        self.asleep.get_or_insert(now);
    }

    fn wakes(&mut self, now: Instant) {
        if let Some(since) = self.asleep.take() {
            self.idle = self.idle.saturating_add(now.saturating_duration_since(since));
        }
    }

    /// The load of an interval that is over.
    fn read(&mut self, now: Instant) -> Option<Load> {
        let passed = now.saturating_duration_since(self.since);
        if passed < LOAD_INTERVAL {
            return None;
        }
        let idle = self.idle.as_secs_f64() / passed.as_secs_f64();
        let load = Load::busy(1.0 - idle).delay(self.lag);
        *self = Self::new(now);
        Some(load)
    }
}

/// Commands taken in one turn.
const COMMANDS: usize = 64;

/// The sources of a shard in its [`ReadySet`].
const SOCKETS: usize = 0;
const LOOKUPS: usize = 1;
const INBOX: usize = 2;
const STOP: usize = 3;
const CLOCK: usize = 4;
const SOURCES: usize = 5;

/// Turns before other tasks of the runtime have theirs.
const TURNS: usize = 32;

/// The task that owns an endpoint. [`run`](Self::run) is to be spawned, or awaited.
///
/// It ends when all senders of commands are gone (or [`Stopper::stop`] was called) and the
/// application [is done](Application::is_done).
pub struct Shard<A: Application> {
    endpoint: Endpoint<A::User>,
    sources: ReadySet,
    sockets: Sockets,
    application: A,
    commands: mpsc::Receiver<A::Command>,
    tap: Option<Box<dyn Tap>>,
    lookups: Lookups,
    meter: Meter,
    gauge: Gauge,
    stop_sender: mpsc::Sender<Duration>,
    stop: mpsc::Receiver<Duration>,
    /// The application was told that no more commands come.
    closed: bool,
    /// The shard ends then, done or not.
    deadline: Option<Instant>,
    /// When the sleep ends that was asked for last; `None` if it has ended.
    armed: Option<Instant>,
    inputs: Vec<Input>,
    taken: Vec<A::Command>,
}

/// Tells a [`Shard`] to end.
#[derive(Clone, Debug)]
pub struct Stopper {
    sender: mpsc::Sender<Duration>,
}

impl Stopper {
    /// Lets the shard take no more commands, end what is under way, and end itself when that is
    /// done, at the latest after `limit`. A second call changes nothing.
    pub fn stop(&self, limit: Duration) {
        // Full: it was told already. Closed: it has ended.
        let _ = self.sender.try_send(limit);
    }
}

impl<A: Application> Shard<A> {
    /// A shard of these. The endpoint must have been made with the locals of the sockets.
    pub fn new(
        endpoint: Endpoint<A::User>,
        sockets: Sockets,
        application: A,
        commands: mpsc::Receiver<A::Command>,
        tap: Option<Box<dyn Tap>>,
    ) -> Self {
        let (stop_sender, stop) = mpsc::channel(1);
        Self {
            endpoint,
            sources: ReadySet::new(SOURCES),
            sockets,
            application,
            commands,
            tap,
            lookups: Lookups::new(Resolver::default()),
            meter: Meter::default(),
            gauge: Gauge::new(Instant::now()),
            stop_sender,
            stop,
            closed: false,
            deadline: None,
            armed: None,
            inputs: Vec::new(),
            taken: Vec::with_capacity(COMMANDS),
        }
    }

    /// The same with another resolver than that of the system. To be called before [`run`](Self::run).
    #[must_use]
    pub fn with_resolver(mut self, resolver: Resolver) -> Self {
        self.lookups = Lookups::new(resolver);
        self
    }

    /// Tells the shard to end, from outside.
    pub fn stopper(&self) -> Stopper {
        Stopper { sender: self.stop_sender.clone() }
    }

    /// Runs the endpoint to its end. Dropping the future ends it at once: connections are closed
    /// after one attempt to write what is queued.
    ///
    /// Must be called within a tokio runtime with I/O and time enabled.
    pub async fn run(mut self) {
        self.gauge = Gauge::new(now());
        let mut sleep = pin!(tokio::time::sleep(Duration::ZERO));
        // What the endpoint has to say before anything came in, and its first timer.
        self.work(now());
        self.arm(sleep.as_mut());
        poll_fn(|cx| self.poll(cx, sleep.as_mut())).await;
        self.measure();
    }

    fn poll(&mut self, cx: &mut Context<'_>, mut sleep: Pin<&mut Sleep>) -> Poll<()> {
        for _ in 0..TURNS {
            if !self.gather(cx, sleep.as_mut()) {
                self.gauge.sleeps(now());
                return Poll::Pending;
            }
            let now = now();
            self.gauge.wakes(now);
            if let Some(load) = self.gauge.read(now) {
                self.application.loaded(now, &mut self.endpoint, load);
            }
            self.take_in(now);
            self.work(now);
            if self.meter.turn(now) {
                self.measure();
            }
            if self.is_done(now) {
                // Writes what the last turn left to the connections.
                let _ = self.sockets.poll_recv(cx, &mut self.inputs);
                return Poll::Ready(());
            }
            self.arm(sleep.as_mut());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes something from every side; whether there was anything. If not, the waker is registered
    /// with all of them.
    fn gather(&mut self, cx: &mut Context<'_>, mut sleep: Pin<&mut Sleep>) -> bool {
        self.sources.begin(cx);
        // In any case: it also writes what was sent.
        self.sources.mark(SOCKETS);
        let inputs = &mut self.inputs;
        let mut any =
            self.sources.poll(SOCKETS, |cx| self.sockets.poll_recv(cx, inputs)).is_ready();
        any |= self.sources.poll(LOOKUPS, |cx| self.lookups.poll(cx, inputs)).is_ready();
        if !self.closed {
            let (commands, taken) = (&mut self.commands, &mut self.taken);
            let polled =
                self.sources.poll(INBOX, |cx| commands.poll_recv_many(cx, taken, COMMANDS));
            match polled {
                Poll::Ready(0) => {
                    self.close(None);
                    any = true;
                }
                Poll::Ready(_) => any = true,
                Poll::Pending => {}
            }
        }
        if self.deadline.is_none()
            && let Poll::Ready(Some(limit)) = self.sources.poll(STOP, |cx| self.stop.poll_recv(cx))
        {
            self.close(now().checked_add(limit));
            any = true;
        }
        if self.armed.is_some() && self.sources.poll(CLOCK, |cx| sleep.as_mut().poll(cx)).is_ready()
        {
            self.armed = None;
            any = true;
        }
        any
    }

    fn close(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
        if !self.closed {
            self.closed = true;
            self.commands.close();
            // What was sent before still counts.
            while let Ok(command) = self.commands.try_recv() {
                self.taken.push(command);
            }
            let now = now();
            self.take_in(now);
            self.application.closed(now, &mut self.endpoint);
        }
    }

    fn take_in(&mut self, now: Instant) {
        for input in self.inputs.drain(..) {
            self.meter.input(&input);
            if let Some(tap) = &mut self.tap
                && let Input::Datagram { flow, payload }
                | Input::Message { flow, payload }
                | Input::Malformed { flow, payload, .. } = &input
                && let Some(local) = self.sockets.locals().get(flow.listener)
            {
                let (transport, local) = (flow.transport, local.addr);
                tap.message(Tapped::received(now, transport, local, flow.remote, payload));
            }
            self.endpoint.handle_input(now, input);
        }
        for command in self.taken.drain(..) {
            self.application.command(now, &mut self.endpoint, command);
        }
    }

    /// Fires what is due, hands events up and outputs down until there are none.
    fn work(&mut self, now: Instant) {
        if let Some(due) = self.endpoint.poll_timeout().filter(|due| *due <= now) {
            self.gauge.lag = self.gauge.lag.max(now.saturating_duration_since(due));
            self.endpoint.handle_timeout(now);
        }
        loop {
            while let Some(output) = self.endpoint.poll_output() {
                self.put_out(now, output);
            }
            let Some(event) = self.endpoint.poll_event() else { return };
            self.application.event(now, &mut self.endpoint, event);
        }
    }

    fn put_out(&mut self, now: Instant, output: Output) {
        match output {
            Output::Transmit(transmit) => {
                self.meter.transmit(&transmit);
                if let Some(tap) = &mut self.tap {
                    show_sent(tap.as_mut(), now, &self.sockets, &transmit);
                }
                self.sockets.send(transmit);
            }
            Output::Resolve { id, number, question } => {
                self.lookups.start(id, number, question);
                self.sources.mark(LOOKUPS);
            }
            Output::Close(connection) => self.sockets.close(connection),
            Output::Rebind => self.sockets.rebind(),
            Output::Blame(flow) => self.sockets.blame(flow.remote.ip()),
        }
    }

    fn measure(&mut self) {
        let waiting = (self.commands.len(), self.commands.max_capacity());
        self.meter.tell(self.endpoint.stats(), self.sockets.stats(), waiting);
        if cfg!(feature = "metrics") {
            self.application.measured(&self.endpoint);
        }
    }

    fn is_done(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
            || self.closed && self.application.is_done(&self.endpoint)
    }

    /// Sets the sleep to the next deadline. One that has become later is left: it ends for nothing
    /// once, which costs less than to set it anew with every message.
    fn arm(&mut self, sleep: Pin<&mut Sleep>) {
        let due = [self.endpoint.poll_timeout(), self.deadline, self.meter.due()];
        let Some(due) = due.into_iter().flatten().min() else { return };
        if self.armed.is_none_or(|armed| due < armed) {
            sleep.reset(due.into());
            self.sources.mark(CLOCK);
            self.armed = Some(due);
        }
    }
}

fn show_sent(tap: &mut dyn Tap, now: Instant, sockets: &Sockets, transmit: &Transmit) {
    let locals = sockets.locals();
    let transport = transmit.destination.transport();
    let remote = transmit.destination.remote();
    let local = match &transmit.destination {
        Destination::Flow(flow) => locals.get(flow.listener),
        Destination::Target(target) => target.listener.and_then(|id| locals.get(id)),
    };
    if let Some(local) = local.or_else(|| locals.select(transport, &remote)) {
        tap.message(Tapped::sent(now, transport, local.addr, remote, &transmit.payload));
    }
}

impl<A: Application> std::fmt::Debug for Shard<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard")
            .field("locals", self.sockets.locals())
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

/// The clock of the runtime, which tests may stop and turn.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
#[cfg(all(feature = "udp", feature = "tcp"))]
mod tests;
