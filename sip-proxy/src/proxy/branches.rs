//! What came of the branches of a request, and what the response context wants done (RFC 3261 §16.7 to §16.10).

use std::collections::VecDeque;
use std::time::Instant;

use sip_message::Response;
use sip_transaction::{ClientKey, Key, ServerKey, Transactions};

use super::{Proxy, early, respond};
use crate::context::{Action, Input};
use crate::{RouteTarget, Router};

impl<R: Router> Proxy<R> {
    pub(super) fn handle_branch(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ClientKey,
        input: Input,
    ) {
        let Some(input) = self.other_way(now, tx, key, input) else { return };
        let Some(branch) = self.branches.get_mut(&key) else { return };
        let is_final = match &input {
            Input::Response(response) => response.status().is_final(),
            Input::Timeout
            | Input::Unreachable
            | Input::Throttled
            | Input::Failed(_)
            | Input::TimerC => true,
        };
        if is_final && let Some(timer) = branch.timer_c.take() {
            tx.disarm(timer);
        }
        let (server, id) = (branch.server, branch.id);
        let mut actions = Vec::new();
        if let Some(context) = self.contexts.get_mut(&server) {
            match (&mut context.recursion, input) {
                (Some(recursion), Input::Response(response))
                    if response.status().is_redirection() && context.responses.may_branch() =>
                {
                    let (targets, rest) = recursion.take(response);
                    context.responses.redirected(id, targets, rest, &mut actions);
                }
                (_, input) => context.responses.handle(id, input, &mut actions),
            }
        }
        self.carry_out(now, tx, server, actions);
    }

    pub(super) fn carry_out(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ServerKey,
        actions: Vec<Action<RouteTarget>>,
    ) {
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            let Some(context) = self.contexts.get_mut(&key) else { return };
            match action {
                Action::Forward { branch, target, breadth } => {
                    let opened = self.open_branch(now, tx, key, branch, target, breadth);
                    if let Err(input) = opened
                        && let Some(context) = self.contexts.get_mut(&key)
                    {
                        let mut more = Vec::new();
                        context.responses.handle(branch, input, &mut more);
                        actions.extend(more);
                    }
                }
                // RFC 3261 §16.7: "The proxy MUST pass the response to the server transaction
                // associated with the response context."
                // One that is gone needs no answer:
                // RFC 6026 §7.3: "When receiving any SIP response, a transaction-stateful proxy MUST compare the
                // transaction identifier in that response against its existing transaction state machines."
                Action::Relay(response) => {
                    let _ = tx.respond(now, key, response);
                }
                Action::Reply(status) => {
                    if let Some(request) = &context.request {
                        let tag = tx.local_tag(key);
                        respond(now, tx, key, Response::to_request(request, status).to_tag(&tag));
                    }
                }
                Action::Terminated { tag, status } => {
                    let request = context.request.as_deref();
                    if let Some(response) =
                        request.and_then(|request| early::terminated(request, &tag, status))
                    {
                        let _ = tx.respond(now, key, response);
                    }
                }
                Action::Cancel(branch) => {
                    let client = context.clients.get(usize::from(branch.0)).copied().flatten();
                    if let Some(client) = client {
                        if let Some(branch) = self.branches.get_mut(&client) {
                            branch.way.is_cancelled = true;
                        }
                        tx.cancel(now, client);
                    }
                }
                Action::RestartTimerC(branch) => {
                    let timer_c = context.options.timer_c.unwrap_or(self.config.timer_c);
                    let client = context.clients.get(usize::from(branch.0)).copied().flatten();
                    if let Some(client) = client
                        && let Some(branch) = self.branches.get_mut(&client)
                        && !branch.is_limited
                    {
                        if let Some(timer) = branch.timer_c.take() {
                            tx.disarm(timer);
                        }
                        let token = Key::Client(client).as_u64();
                        branch.timer_c = Some(tx.arm(now, timer_c, token));
                    }
                }
            }
        }
        self.release(key);
    }

    /// Forgets what is no longer needed of a request.
    pub(super) fn release(&mut self, key: ServerKey) {
        let Some(context) = self.contexts.get_mut(&key) else { return };
        if !context.responses.is_answered() {
            return;
        }
        context.request = None;
        // RFC 3261 §16.7: "The proxy MUST maintain the response context until all of its
        // associated transactions have been terminated, even after
        // forwarding a final response."
        if context.open == 0 {
            self.contexts.remove(&key);
        }
    }

    pub(super) fn client_terminated(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ClientKey,
    ) {
        // Without a final response, which the transaction layer does not do: still not stuck.
        self.handle_branch(now, tx, key, Input::Timeout);
        let Some(branch) = self.branches.remove(&key) else { return };
        if let Some(context) = self.contexts.get_mut(&branch.server) {
            context.open = context.open.saturating_sub(1);
        }
        self.release(branch.server);
    }
}
