//! 199 (RFC 6228) as who is called: the early dialog is over, and the final response is still to come.
//!
//! It is for who knows that nobody here will pick up and may not say so yet: a back-to-back user agent whose own call
//! was refused on one branch. As a rule a proxy says 199 by itself, and a phone just refuses.

use std::time::Instant;

use sip_message::{HeaderName, Reason, StatusCode};
use sip_transaction::Transactions;

use super::Agent;
use super::call::{Phase, Said};
use super::prack::{PeerReliability, lists};
use crate::{AgentError, Body, CallKey};

/// An offer without streams.
const NOTHING: &str = "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n";

impl Agent {
    /// Says 199: the early dialog of this call is over, for this reason, and a refusal of the INVITE follows
    /// ([`reject`](Self::reject)). Nothing else can be done with the call.
    ///
    /// Send it only where the way is known to want it: a 199 that is lost is not sent again (RFC 6228 §5).
    ///
    /// # Errors
    /// [`AgentError::Status`] if the caller does not know 199; [`AgentError::State`] unless the call waits for our answer
    /// and has had a provisional response.
    pub fn end_early(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        call: CallKey,
        reason: &Reason<'_>,
    ) -> Result<(), AgentError> {
        let key = call;
        let call = self.calls.get(key).ok_or(AgentError::Gone)?;
        let invited = match &call.phase {
            Phase::Invited(invited) if invited.provisional.is_some() => invited,
            _ => return Err(call.wrong_state("end an early dialog")),
        };
        let status = StatusCode::EARLY_DIALOG_TERMINATED;
        // RFC 6228 §5: "If the Supported header field of an initial dialog initiation request
        // does not contain a "199" option-tag, the UAC MUST NOT send a 199
        // response on any early dialog associated with the request."
        if !lists(invited.request.headers(), HeaderName::Supported, "199") {
            return Err(AgentError::Status(status));
        }
        // RFC 6228 §5: "Since a 199 response is only used for information purposes, the UAS
        // SHOULD send it unreliably, unless the "100rel" option-tag is present
        // in the Require header field of the associated request."
        let reliably = invited.reliable == PeerReliability::Required;
        // RFC 6228 §5: "or send the 199 response reliably and include an SDP
        // offer with no "m=" lines in the response."
        let body = (reliably && call.offer_answer.owes_offer()).then(|| Body::sdp(NOTHING));
        // RFC 6228 §5: "The UAS MUST
        // also insert a Reason header field [RFC3326] that contains a response
        // code describing the reason why the early dialog was terminated."
        let headers = vec![(HeaderName::Reason.as_str().to_owned(), reason.to_string())];
        let said = Said { status, body, headers };
        if reliably {
            self.ring_reliably(now, tx, key, said)?;
        } else {
            let Said { status, headers, .. } = &said;
            let response =
                self.session_response(tx, call, &invited.request, *status, None, headers)?;
            let server = invited.server;
            // If it is lost it is.
            let _ = tx.respond(now, server, response);
        }
        if let Some(call) = self.calls.get_mut(key)
            && let Phase::Invited(invited) = &mut call.phase
        {
            invited.early_over = true;
            // It is not said again every minute.
            invited.provisional = None;
        }
        Ok(())
    }
}
