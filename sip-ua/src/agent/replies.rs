//! Requests of the peer that the application answers, within calls and outside.
//!
//! Each waits for [`Agent::reply`]; `TimerKind::Owed` answers 500 in its place.

use std::sync::Arc;
use std::time::Instant;

use sip_message::{Method, Request, StatusCode};
use sip_transaction::{ServerKey, TimerKey, Transactions};
use sip_transport::Flow;

use super::key::RawKey;
use super::table::TimerKind;
use super::{Agent, Received, ServerUse};
use crate::{AgentError, AgentEvent, Body, CallKey, ExtraHeaders};

/// A request that waits for the application's reply.
pub(crate) struct Owed {
    server: ServerKey,
    pub(super) request: Arc<Request>,
    call: Option<CallKey>,
    timer: TimerKey,
    pub(super) flow: Flow,
}

impl Agent {
    /// Hands a request to the application.
    pub(crate) fn ask_application(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        call: Option<CallKey>,
        Received { server, request, flow }: Received,
    ) {
        let of_call =
            call.and_then(|call| self.calls.get(call)).map_or(0, |call| call.owed_replies);
        if self.owed.len() >= self.config.max_owed_replies
            || of_call >= self.config.max_owed_replies_per_call
        {
            return self.refuse_for_now(now, tx, server, &request);
        }
        let request = Arc::new(request);
        let kept = Arc::clone(&request);
        let guard = self.config.reply_guard;
        let raw = self.owed.insert_with(|raw| Owed {
            server,
            request: kept,
            call,
            timer: tx.arm(now, guard, TimerKind::Owed.token(raw)),
            flow,
        });
        let Some(raw) = raw else { return self.refuse_for_now(now, tx, server, &request) };
        self.served(server).usage = ServerUse::Owed(raw);
        if let Some(call) = call.and_then(|call| self.calls.get_mut(call)) {
            call.owed_replies = call.owed_replies.saturating_add(1);
        }
        let sender = self.sender(tx, server, flow);
        self.events.push_back(match (call, request.method()) {
            (None, Method::Subscribe) => AgentEvent::Subscribe { key: server, request, sender },
            _ => AgentEvent::Request { key: server, call, request, sender },
        });
    }

    /// Answers a request that came by [`AgentEvent::Request`]. A body in a 2xx to a MESSAGE is left out, for
    /// there may be none.
    ///
    /// # Errors
    /// [`AgentError::Status`] unless the status is a final one; [`AgentError::Gone`] if it was answered before,
    /// or took so long that the agent has answered it.
    pub fn reply(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ServerKey,
        status: StatusCode,
        body: Option<&Body>,
        headers: &ExtraHeaders,
    ) -> Result<(), AgentError> {
        // RFC 3261 §8.2.6.1: "UASs SHOULD NOT issue a provisional response for a
        // non-INVITE request."
        if !status.is_final() {
            return Err(AgentError::Status(status));
        }
        let Some(ServerUse::Owed(raw)) = self.servers.get(&key).map(|served| served.usage) else {
            return Err(AgentError::Gone);
        };
        let owed = self.owed.get(raw).ok_or(AgentError::Gone)?;
        if status.is_success() && *owed.request.method() == Method::Subscribe {
            return Err(AgentError::Status(status)); // It has a command of its own.
        }
        let body = Self::body_of_reply(&owed.request, status, body);
        let tag = tx.local_tag(key);
        let builder = self.response(&owed.request, status, &tag);
        let mut response = self.proven(key, Self::finish_response(builder, body, headers)?);
        if *owed.request.method() == Method::Register {
            self.agree_to_keep(&mut response);
        }
        let request = Arc::clone(&owed.request);
        self.settle(tx, raw);
        self.hear_session_of(&request, status);
        self.connected_by(&request, status);
        tx.respond(now, key, response).map_err(|_| AgentError::Gone)
    }

    /// The application did not reply.
    pub(crate) fn owed_timer(&mut self, now: Instant, tx: &mut Transactions, raw: RawKey) {
        let Some(owed) = self.owed.get(raw) else { return };
        let (server, request) = (owed.server, Arc::clone(&owed.request));
        self.settle(tx, raw);
        self.answer(now, tx, server, &request, StatusCode::SERVER_INTERNAL_ERROR);
    }

    /// Nothing is owed any more.
    pub(crate) fn settle(&mut self, tx: &mut Transactions, raw: RawKey) {
        let Some(owed) = self.owed.remove(raw) else { return };
        tx.disarm(owed.timer);
        self.server_answered(owed.server);
        if let Some(call) = owed.call.and_then(|call| self.calls.get_mut(call)) {
            call.owed_replies = call.owed_replies.saturating_sub(1);
        }
    }
}
