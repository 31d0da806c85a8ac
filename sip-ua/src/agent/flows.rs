//! The flows of registrations (RFC 5626 §4.4, §4.5): which one each has, its keep-alives, and the new
//! registration when it fails.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sip_transaction::{TimerKey, Transactions};
use sip_transport::{Flow, StunId};

use super::Agent;
use super::compose::draw;
use super::table::TimerKind;
use crate::RegistrationKey;
use crate::keep_alive::{Action, Input, Interval, Keeper, Method};
use crate::registration::{BASE_WAIT, BASE_WAIT_BESIDE_OTHERS, FlowTerms, Input as Registering};

/// How long a connection has to last to be replaced without a wait.
const SETTLED_AFTER: Duration = Duration::from_secs(30);

/// The keep-alives of one flow.
pub(crate) struct Keeping {
    pub(super) flow: Flow,
    pub(super) keeper: Keeper,
    pub(super) timer: TimerKey,
}

/// What the keep-alives of a flow have shown of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// That it works: the first was answered.
    Proven,
    /// That it has failed.
    Failed,
}

impl Keeping {
    pub(super) fn start(
        now: Instant,
        tx: &mut Transactions,
        flow: Flow,
        (method, interval): (Method, Interval),
        token: u64,
    ) -> Self {
        let (keeper, after) = Keeper::new(method, interval, &mut |range| draw(tx, range));
        Self { flow, keeper, timer: tx.arm(now, after, token) }
    }

    /// Hands an input to the machine and does what it asks for.
    pub(super) fn drive(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        token: u64,
        input: Input,
    ) -> Option<Shown> {
        let mut shown = None;
        for action in self.keeper.handle(input, &mut |range| draw(tx, range)) {
            match action {
                Action::Ping => tx.ping(self.flow),
                #[cfg(feature = "stun")]
                Action::Ask(id) => tx.ask_binding(self.flow, id),
                // Without STUN no keeper asks.
                #[cfg(not(feature = "stun"))]
                Action::Ask(_) => {}
                Action::Arm(after) => {
                    tx.disarm(self.timer);
                    self.timer = tx.arm(now, after, token);
                }
                Action::Proven => shown = Some(Shown::Proven),
                Action::Fail => shown = Some(Shown::Failed),
            }
        }
        shown
    }
}

impl Agent {
    /// Notes by which flow we are registered after a REGISTER was answered, or that we are by none. Of a 2xx
    /// its flow and what it says of it.
    pub(crate) fn note_flow(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: RegistrationKey,
        terms: Option<(Flow, FlowTerms)>,
    ) {
        let Some(registering) = self.registrations.get_mut(key) else { return };
        let Some((flow, terms)) = terms.filter(|_| registering.machine.is_registered()) else {
            // With a challenge the same REGISTER goes again, over the same flow.
            if !registering.machine.is_asking() {
                // The next attempt finds its server anew; the flow stays open as long as it answers.
                registering.flow = None;
            }
            return;
        };
        if registering.flow.replace(flow) != Some(flow) {
            registering.since = now;
        }
        registering.outbound = terms.outbound && registering.machine.asks_outbound();
        // RFC 6223 §4.2.2: "If usage is not successfully
        // re-negotiated, the SIP entity MUST cease the sending of keep-alives
        // associated with the registration."
        let agreed = terms.outbound || terms.keep || terms.timer.is_some();
        let is_stream = flow.connection.is_some();
        let Some(method) = registering.keep_alive.method(is_stream, agreed) else {
            registering.machine.flow_proven();
            return self.stop_keeping(tx, key);
        };
        let interval = Interval::new(is_stream, terms.timer, registering.keep_alive_interval);
        if let Some(keeping) = &mut registering.keeping
            && keeping.flow == flow
            && keeping.keeper.method() == method
        {
            if keeping.keeper.is_proven() {
                registering.machine.flow_proven();
            }
            return keeping.keeper.set_interval(interval);
        }
        let token = TimerKind::KeepAlive.token(key);
        let keeping = Keeping::start(now, tx, flow, (method, interval), token);
        if keeping.keeper.is_proven() {
            registering.machine.flow_proven();
        }
        if let Some(before) = registering.keeping.replace(keeping) {
            tx.disarm(before.timer);
        }
    }

    /// RFC 5626 §4.5: "If
    /// all of the flows to every URI in the outbound proxy set have failed,
    /// the base-time is set to a lower value (with a default of 30 seconds);
    /// otherwise, in the case where at least one of the flows has not
    /// failed, the base-time is set to a higher value (with a default of 90
    /// seconds)."
    pub(crate) fn set_base_wait(&mut self, key: RegistrationKey) {
        let Some(ours) = self.registrations.get(key) else { return };
        if !ours.machine.asks_outbound() {
            return;
        }
        let is_beside = self.registrations.iter().any(|(other, registering)| {
            RegistrationKey::from(other) != key
                && registering.machine.asks_outbound()
                && registering.machine.is_registered()
                && registering.machine.aor() == ours.machine.aor()
        });
        if let Some(ours) = self.registrations.get_mut(key) {
            let base = if is_beside { BASE_WAIT_BESIDE_OTHERS } else { BASE_WAIT };
            ours.machine.set_base_wait(base);
        }
    }

    pub(crate) fn keep_alive_timer(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: RegistrationKey,
    ) {
        self.drive_keeper(now, tx, key, Input::Timer);
    }

    /// A pong came: it answers every ping that is out on that connection.
    pub(crate) fn ponged(&mut self, now: Instant, tx: &mut Transactions, flow: Flow) {
        self.heard(now, tx, flow, Input::Pong);
    }

    /// An answer to a Binding request came.
    pub(crate) fn bound(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        flow: Flow,
        id: StunId,
        mapped: Option<SocketAddr>,
    ) {
        self.heard(now, tx, flow, Input::Binding { id, mapped });
        for key in self.kept_over(flow) {
            let keeping = self.registrations.get(key).and_then(|it| it.keeping.as_ref());
            // What the machine has taken for an answer: of its own request.
            if let Some(mapped) = keeping.and_then(|keeping| keeping.keeper.mapped())
                && self.note_mapped(tx, key, flow, mapped)
            {
                self.drive_registration(now, tx, key, Registering::Refresh);
            }
        }
    }

    fn heard(&mut self, now: Instant, tx: &mut Transactions, flow: Flow, input: Input) {
        for key in self.kept_over(flow) {
            self.drive_keeper(now, tx, key, input);
        }
        self.call_flow_heard(now, tx, flow, input);
    }

    /// A connection is gone: the registrations that were kept alive over it are made anew. Others wait for
    /// their refresh: a registrar that closes idle connections is to have its peace.
    pub(crate) fn flow_closed(&mut self, now: Instant, tx: &mut Transactions, flow: Flow) {
        for key in self.kept_over(flow) {
            self.flow_failed(now, tx, key);
        }
        self.kept_calls.closed(tx, flow);
        // What was bound is the far end of that connection, as the registrar sees it.
        let is_lost = |of: &super::registrations::Registering| {
            let is_far_end = of.machine.is_far_end_bound();
            of.flow == Some(flow) && of.keeping.is_none() && is_far_end
        };
        let lost = self.registrations.iter().filter(|(_, of)| is_lost(of));
        let lost: Vec<RegistrationKey> = lost.map(|(key, _)| key.into()).collect();
        for key in lost {
            let Some(of) = self.registrations.get_mut(key) else { continue };
            of.flow = None;
            // A registrar that closes at once must not be asked at once.
            let proven = now.saturating_duration_since(of.since) >= SETTLED_AFTER;
            self.drive_registration(now, tx, key, Registering::FlowFailed { proven });
        }
    }

    /// The registrations that are kept alive over that flow.
    fn kept_over(&self, flow: Flow) -> Vec<RegistrationKey> {
        let is_kept =
            |keeping: &Option<Keeping>| keeping.as_ref().is_some_and(|kept| kept.flow == flow);
        let kept = self.registrations.iter().filter(|(_, of)| is_kept(&of.keeping));
        kept.map(|(key, _)| key.into()).collect()
    }

    fn drive_keeper(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: RegistrationKey,
        input: Input,
    ) {
        let Some(registering) = self.registrations.get_mut(key) else { return };
        let Some(keeping) = &mut registering.keeping else { return };
        match keeping.drive(now, tx, TimerKind::KeepAlive.token(key), input) {
            Some(Shown::Proven) => registering.machine.flow_proven(),
            Some(Shown::Failed) => self.flow_failed(now, tx, key),
            None => {}
        }
    }

    fn flow_failed(&mut self, now: Instant, tx: &mut Transactions, key: RegistrationKey) {
        let Some(registering) = self.registrations.get_mut(key) else { return };
        let Some(keeping) = &registering.keeping else { return };
        let (flow, proven) = (keeping.flow, keeping.keeper.is_proven());
        registering.flow = None;
        tracing::debug!(remote = %flow.remote, "the flow of a registration has failed");
        // The new flow must not go over the old connection.
        tx.close(flow);
        self.stop_keeping(tx, key);
        self.drive_registration(now, tx, key, Registering::FlowFailed { proven });
    }

    pub(super) fn stop_keeping(&mut self, tx: &mut Transactions, key: RegistrationKey) {
        let registering = self.registrations.get_mut(key);
        if let Some(keeping) = registering.and_then(|registering| registering.keeping.take()) {
            tx.disarm(keeping.timer);
        }
    }
}
