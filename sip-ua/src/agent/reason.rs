//! Reason (RFC 3326): why a call is hung up, both ways.

use std::time::Instant;

use sip_message::{HeaderName, Headers, Reason, StatusCode};
use sip_transaction::Transactions;

use super::Agent;
use super::call::Phase;
use crate::{AgentError, CallKey, CallUpdate};

/// How many Reason values of a message are told at most.
const MAX_REASONS: usize = 8;

impl Agent {
    /// Hangs up like [`hang_up`](Self::hang_up), and says why in what ends the call: BYE, CANCEL or the refusal.
    ///
    /// # Errors
    /// [`AgentError::Gone`] if nothing is left of the call.
    pub fn hang_up_with(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        call: CallKey,
        reason: &Reason<'_>,
    ) -> Result<(), AgentError> {
        self.hang_up_for(now, tx, call, core::slice::from_ref(reason))
    }

    /// The same with as many reasons, one of each protocol (RFC 3326 §2); with none it is
    /// [`hang_up`](Self::hang_up).
    ///
    /// # Errors
    /// [`AgentError::Gone`] if nothing is left of the call.
    pub fn hang_up_for(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        call: CallKey,
        reasons: &[Reason<'_>],
    ) -> Result<(), AgentError> {
        if reasons.is_empty() {
            return self.hang_up(now, tx, call);
        }
        let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
        let reason = reasons.join(", ");
        match &self.calls.get(call).ok_or(AgentError::Gone)?.phase {
            Phase::Invited(_) => {
                let headers = [(HeaderName::Reason.as_str().to_owned(), reason)];
                return self.reject(now, tx, call, StatusCode::TEMPORARILY_UNAVAILABLE, &headers);
            }
            Phase::Over => return Ok(()),
            Phase::Calling | Phase::Cancelling | Phase::Accepted(_) | Phase::Established => {}
        }
        self.reasons.insert(call, reason.into());
        self.hang_up(now, tx, call)
    }

    /// Why the application hangs up, as a header field of the BYE.
    pub(crate) fn reason_of(&self, call: CallKey) -> Vec<(String, String)> {
        let reason = self.reasons.get(&call);
        reason.map(|reason| ("Reason".to_owned(), reason.to_string())).into_iter().collect()
    }

    /// Tells why the peer hangs up, if its BYE or CANCEL says.
    // RFC 3326 §2: "The
    // Reason header field MAY appear in any request within a dialog, in any
    // CANCEL request and in any response whose status code explicitly
    // allows the presence of this header field."
    pub(crate) fn tell_reasons(&mut self, call: CallKey, headers: &Headers) {
        let reasons: Vec<Reason<'static>> = reasons(headers);
        if !reasons.is_empty() {
            self.update(call, CallUpdate::Reason { reasons });
        }
    }
}

/// Those that can be read.
pub(crate) fn reasons(headers: &Headers) -> Vec<Reason<'static>> {
    let all = headers.get_all::<Reason<'_>>().flatten();
    all.take(MAX_REASONS).map(|reason| reason.to_static()).collect()
}
