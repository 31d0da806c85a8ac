//! What a proxy does that is an edge, or that sends to user agents with several flows (RFC 5626 §5.3, §7).

use std::sync::Arc;
use std::time::Instant;

use sip_message::{Method, Request, StatusCode};
use sip_transaction::{ClientKey, Key, NextHop, ServerKey, Transactions};
use sip_transport::Flow;

use super::{Branch, Proxy, ProxyEvent};
use crate::context::{BranchId, Input};
use crate::edge::{NoFlow, PathRequired};
use crate::{Aor, Reply, Route, RouteTarget, Router};

/// The way that the request of a branch took.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// Over one flow and no other.
    is_flow: bool,
    /// To a binding: this proxy knows the other flows of its instance.
    is_registered: bool,
    /// The token of the binding's flow, which another edge keeps.
    token: Option<Box<str>>,
    /// Those, for when this one fails.
    others: Vec<RouteTarget>,
    breadth: u32,
    pub(super) is_cancelled: bool,
    /// Another way was taken: what comes of this one counts no more.
    is_left: bool,
}

impl Way {
    fn of(target: &mut RouteTarget, breadth: u32) -> Self {
        // RFC 5626 §5.1: only who keeps a flow says `ob`.
        let first = target.route.first().filter(|first| target.is_registered && first.ob());
        Self {
            token: first.and_then(|first| first.user()).map(Into::into),
            is_flow: matches!(target.hop, Some(NextHop::Over(_))),
            is_registered: target.is_registered,
            others: core::mem::take(&mut target.others),
            breadth,
            is_cancelled: false,
            is_left: false,
        }
    }

    /// What comes of a branch when there is no other way.
    fn judge(&self, input: Input) -> Input {
        match input {
            // RFC 5626 §11.5: "Endpoints should never receive a 430
            // response."
            Input::Response(response)
                if self.is_registered && response.status() == StatusCode::FLOW_FAILED =>
            {
                Input::Failed(StatusCode::TEMPORARILY_UNAVAILABLE)
            }
            Input::Unreachable if self.is_flow && self.is_registered => {
                Input::Failed(StatusCode::TEMPORARILY_UNAVAILABLE)
            }
            Input::Unreachable if self.is_flow => Input::Failed(StatusCode::FLOW_FAILED),
            other => other,
        }
    }
}

/// Whether another flow of the same instance may do better.
// RFC 5626 §7: "If the proxy receives a final response from a branch other than a
// 408 (Request Timeout) or a 430 (Flow Failed) response, the proxy
// MUST NOT forward the same request to another target representing
// the same AOR and instance-id."
fn is_of_the_flow(input: &Input) -> bool {
    match input {
        Input::Response(response) => {
            matches!(response.status(), StatusCode::REQUEST_TIMEOUT | StatusCode::FLOW_FAILED)
        }
        Input::Timeout | Input::Unreachable => true,
        Input::Throttled | Input::Failed(_) | Input::TimerC => false,
    }
}

impl NoFlow {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Forged => StatusCode::FORBIDDEN,
            Self::Failed => StatusCode::FLOW_FAILED,
        }
    }
}

/// Where a flow token says that the request goes.
pub(super) fn over(request: &Request, hop: NextHop) -> Route {
    match request.uri() {
        Ok(uri) => Route::groups(vec![vec![RouteTarget::new(uri.to_static()).over(hop)]]),
        Err(_) => Route::reply(StatusCode::BAD_REQUEST),
    }
}

impl<R: Router> Proxy<R> {
    /// Sends the request of a branch to a target, or to the first of its other ways that it can be sent by.
    pub(super) fn open_branch(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ServerKey,
        id: BranchId,
        mut target: RouteTarget,
        breadth: u32,
    ) -> Result<(), Input> {
        let Some(context) = self.contexts.get_mut(&key) else { return Ok(()) };
        let at = usize::from(id.0);
        if context.clients.len() <= at {
            context.clients.resize(at.saturating_add(1), None);
        }
        loop {
            let mut way = Way::of(&mut target, breadth);
            let patience = target.patience;
            let edge = self.edge.as_deref();
            let input = match context.forward(now, tx, &self.config, edge, target, breadth) {
                Ok(client) => {
                    if let Some(of_branch) = context.clients.get_mut(at) {
                        *of_branch = Some(client);
                    }
                    context.open += 1;
                    let timer_c = context.responses.is_invite().then(|| {
                        let usual = context.options.timer_c.unwrap_or(self.config.timer_c);
                        tx.arm(now, patience.unwrap_or(usual), Key::Client(client).as_u64())
                    });
                    let is_limited = patience.is_some();
                    let branch = Branch { server: key, id, timer_c, is_limited, way };
                    self.branches.insert(client, branch);
                    return Ok(());
                }
                Err(input) => input,
            };
            if way.others.is_empty() || !is_of_the_flow(&input) {
                return Err(way.judge(input));
            }
            target = next(&mut way.others);
        }
    }

    /// What came of a branch, as its response context is to see it: nothing if another flow of the same instance is
    /// tried in its place.
    // RFC 5626 §7: "If a request for a particular AOR and instance-id fails with a 430
    // (Flow Failed) response, the proxy SHOULD replace the failed branch
    // with another target (if one is available) with the same AOR and
    // instance-id, but a different reg-id."
    pub(super) fn other_way(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ClientKey,
        input: Input,
    ) -> Option<Input> {
        let branch = self.branches.get_mut(&key)?;
        if branch.way.is_left {
            return None;
        }
        let (server, id) = (branch.server, branch.id);
        // RFC 5626 §7: "If a proxy or registrar receives information from the network that
        // indicates that no future messages will be delivered on a specific
        // flow, then the proxy MUST invalidate all the bindings in the target
        // set that use that flow (regardless of AOR)."
        if let Input::Response(response) = &input
            && response.status() == StatusCode::FLOW_FAILED
            && let Some(token) = branch.way.token.take()
        {
            let request = self.contexts.get(&server).and_then(|it| it.request.as_ref());
            let uri = request.and_then(|request| request.uri().ok());
            if let Some(aor) = uri.and_then(|uri| Aor::of(&uri)) {
                let (aors, token) = (vec![aor], token.into());
                self.events.push_back(ProxyEvent::FlowClosed { aors, token });
            }
        }
        let Some(branch) = self.branches.get_mut(&key) else { return Some(input) };
        let is_wanted = !branch.way.is_cancelled
            && self.contexts.get(&server).is_some_and(|it| !it.responses.is_answered());
        if branch.way.others.is_empty() || !is_wanted || !is_of_the_flow(&input) {
            return Some(branch.way.judge(input));
        }
        branch.way.is_left = true;
        if let Some(timer) = branch.timer_c.take() {
            tx.disarm(timer);
        }
        let breadth = branch.way.breadth;
        let target = next(&mut branch.way.others);
        self.open_branch(now, tx, server, id, target, breadth).err()
    }

    /// The request is a REGISTER: puts this edge into its Path, if it is to be there.
    pub(super) fn stay_in_path(&mut self, tx: &Transactions, key: ServerKey) -> Result<(), Reply> {
        let Some(edge) = &mut self.edge else { return Ok(()) };
        let Some(context) = self.contexts.get_mut(&key) else { return Ok(()) };
        match &mut context.request {
            Some(request) if *request.method() == Method::Register => {
                let added = edge.add_path(Arc::make_mut(request), &context.flow, tx);
                added.map_err(|PathRequired| {
                    Reply::new(StatusCode::EXTENSION_REQUIRED).header("Require", "path")
                })
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn flow_closed(&mut self, flow: &Flow) {
        let Some(edge) = &mut self.edge else { return };
        let aors: Vec<_> = edge.closed(flow).collect();
        if !aors.is_empty() {
            let token = edge.tokens().make(flow);
            self.events.push_back(ProxyEvent::FlowClosed { aors, token });
        }
    }
}

/// Takes the first of several ways; the others are that one's others.
fn next(others: &mut Vec<RouteTarget>) -> RouteTarget {
    let mut target = others.remove(0);
    target.others = core::mem::take(others);
    target
}
