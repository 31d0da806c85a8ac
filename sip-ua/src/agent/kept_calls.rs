//! Keep-alives over the flows of calls (RFC 6223): offered in the Via of an INVITE, taken up by the next element
//! in a response, sent for as long as the call lasts. And the other side of it: what our responses say to
//! the offers of peers.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sip_message::{HeaderName, Response};
use sip_transaction::{ClientKey, KeyMap, Transactions};
use sip_transport::Flow;

use super::call::Phase;
use super::flows::{Keeping, Shown};
use super::key::{RawKey, Slab};
use super::table::TimerKind;
use super::{Agent, ClientUse};
use crate::CallKey;
use crate::keep_alive::{Input, Interval};
use crate::registration::keep_of;

/// The flows that are kept alive for calls: one keeper each, however many calls go over it.
#[derive(Default)]
pub(crate) struct KeptCalls {
    flows: Slab<KeptFlow>,
    /// The numbers of connections are our own, and who answers from a thousand addresses has as many
    /// calls: the map's usual hash stays.
    by_flow: HashMap<Flow, RawKey>,
    of: KeyMap<CallKey, Agreed>,
}

/// What was agreed on for a call.
#[derive(Clone, Copy)]
struct Agreed {
    /// The flow that is kept, while it works.
    flow: RawKey,
    /// How often the next element wants keep-alives; 0 if that is up to us.
    seconds: u32,
}

struct KeptFlow {
    keeping: Keeping,
    calls: usize,
}

impl KeptCalls {
    /// Whether keep-alives were agreed on for that call.
    pub(crate) fn has(&self, call: CallKey) -> bool {
        self.of.contains_key(&call)
    }

    /// The call is over.
    pub(crate) fn leave(&mut self, tx: &mut Transactions, call: CallKey) {
        let Some(Agreed { flow: key, .. }) = self.of.remove(&call) else { return };
        let Some(kept) = self.flows.get_mut(key) else { return };
        kept.calls = kept.calls.saturating_sub(1);
        if kept.calls == 0 {
            self.forget(tx, key);
        }
    }

    /// What was agreed on for the call, and whether its flow is being kept.
    fn agreed(&self, call: CallKey) -> Option<(Agreed, bool)> {
        let agreed = *self.of.get(&call)?;
        Some((agreed, self.flows.get(agreed.flow).is_some()))
    }

    /// The connection is gone. Its calls are kept again when a request has found another.
    pub(crate) fn closed(&mut self, tx: &mut Transactions, flow: Flow) {
        if let Some(key) = self.by_flow.get(&flow).copied() {
            self.forget(tx, key);
        }
    }

    /// The networks have changed: no flow of before is to be kept.
    pub(crate) fn forget_all(&mut self, tx: &mut Transactions) {
        let flows: Vec<RawKey> = self.by_flow.values().copied().collect();
        for key in flows {
            self.forget(tx, key);
        }
    }

    fn forget(&mut self, tx: &mut Transactions, key: RawKey) {
        if let Some(kept) = self.flows.remove(key) {
            tx.disarm(kept.keeping.timer);
            self.by_flow.remove(&kept.keeping.flow);
        }
    }
}

impl Agent {
    /// Begins to keep the flow of a call of ours alive, if a response to its INVITE agrees to that; or another
    /// flow, when that one is gone and a response to a re-INVITE shows which it is now.
    pub(crate) fn note_keep(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        client: ClientKey,
        response: &Response,
        flow: Flow,
    ) {
        let Some(ClientUse::Invite(key) | ClientUse::Modification(key)) = self.clients.get(&client)
        else {
            return;
        };
        // RFC 6223 §4.3: "If an INVITE request is used to indicate willingness to send keep-
        // alives, as long as at least one response (provisional or final) to
        // the INVITE request contains a "keep" parameter with a parameter
        // value, it is seen as an indication that the adjacent downstream SIP
        // entity is willing to receive keep-alives associated with the dialog
        // on which the response is received."
        let (key, status) = (*key, response.status());
        let seconds = match self.kept_calls.agreed(key) {
            Some((_, true)) => return,
            // RFC 6223 §4.2.3: "Once negotiated, keep-
            // alives MUST be sent for the lifetime of the dialog, until the dialog
            // is terminated."
            Some((agreed, false)) => agreed.seconds,
            None => match keep_of(response) {
                Some(seconds) => seconds,
                None => return,
            },
        };
        let Some(call) = self.calls.get(key) else { return };
        let is_of_a_dialog =
            status.is_success() || status.as_u16() > 100 && status.is_provisional();
        if !is_of_a_dialog || matches!(call.phase, Phase::Over) {
            return;
        }
        let Some(account) = &call.account else { return };
        let is_stream = flow.connection.is_some();
        let Some(method) = account.keep_alive_kind().method(is_stream, true) else { return };
        let timer = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
        let interval = Interval::new(is_stream, timer, account.longest_keep_alive_interval());
        let known = self.kept_calls.by_flow.get(&flow).copied();
        let kept = match known {
            Some(kept) => kept,
            None => {
                let made = self.kept_calls.flows.insert_with(|raw| {
                    let token = TimerKind::CallFlow.token(raw);
                    let keeping = Keeping::start(now, tx, flow, (method, interval), token);
                    KeptFlow { keeping, calls: 0 }
                });
                let Some(made) = made else { return };
                self.kept_calls.by_flow.insert(flow, made);
                made
            }
        };
        if let Some(flow) = self.kept_calls.flows.get_mut(kept) {
            flow.calls = flow.calls.saturating_add(1);
            // What the next element said last counts for all calls that go to it.
            flow.keeping.keeper.set_interval(interval);
            self.kept_calls.of.insert(key, Agreed { flow: kept, seconds });
        }
    }

    pub(crate) fn call_flow_timer(&mut self, now: Instant, tx: &mut Transactions, key: RawKey) {
        self.drive_call_flow(now, tx, key, Input::Timer);
    }

    /// A keep-alive was answered.
    pub(crate) fn call_flow_heard(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        flow: Flow,
        input: Input,
    ) {
        if let Some(key) = self.kept_calls.by_flow.get(&flow).copied() {
            self.drive_call_flow(now, tx, key, input);
        }
    }

    fn drive_call_flow(&mut self, now: Instant, tx: &mut Transactions, key: RawKey, input: Input) {
        let Some(kept) = self.kept_calls.flows.get_mut(key) else { return };
        let token = TimerKind::CallFlow.token(key);
        if kept.keeping.drive(now, tx, token, input) == Some(Shown::Failed) {
            let flow = kept.keeping.flow;
            tracing::debug!(remote = %flow.remote, "the flow of calls has failed");
            // The next request in these calls opens another connection.
            tx.close(flow);
            self.kept_calls.forget(tx, key);
        }
    }

    /// Asks, in a response, for the keep-alives that the request offers, if we are to.
    pub(crate) fn agree_to_keep(&self, response: &mut Response) {
        let Some(interval) = self.config.keep else { return };
        let status = response.status();
        if status.as_u16() <= 100 || !(status.is_provisional() || status.is_success()) {
            return;
        }
        // RFC 6223 §4.4: "then it MUST add a parameter value to the "keep" parameter
        // before sending or forwarding the response."
        let headers = response.headers_mut();
        let via = headers.top_via().filter(|via| via.keep() == Some(None));
        let seconds = u32::try_from(interval.as_secs()).unwrap_or(u32::MAX);
        if let Some(Ok(via)) = via.map(|via| via.with_keep(Some(seconds))) {
            headers.pop_front(HeaderName::Via);
            headers.push_front(&via);
        }
    }
}
