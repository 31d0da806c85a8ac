//! BYE, both ways (RFC 3261 §15).

use std::sync::Arc;
use std::time::Instant;

use sip_dialog::DialogKey;
use sip_message::{Method, Response, StatusCode};
use sip_transaction::{ClientKey, Transactions};

use super::call::Phase;
use super::requests::MAX_CHALLENGES;
use super::{Agent, ClientUse, Received};
use crate::{CallKey, EndReason};

impl Agent {
    /// Sends a BYE in the call's dialog, which ends the call.
    pub(crate) fn bye_and_end(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        reason: EndReason,
    ) {
        self.acknowledge_unanswered(now, tx, key);
        self.prack_unanswered(now, tx, key);
        if let Some(dialog) = self.calls.get(key).and_then(|call| call.dialog) {
            self.send_bye(now, tx, key, dialog, 0);
        }
        // RFC 3261 §15.1.1: "The UAC MUST
        // consider the session terminated (and therefore stop sending or
        // listening for media) as soon as the BYE request is passed to the
        // client transaction."
        self.end_call(now, tx, key, reason);
    }

    /// Sends a BYE in one dialog of the call. If there is no room for it the dialog ends without: the peer
    /// will find out by a 481.
    pub(crate) fn send_bye(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        dialog: DialogKey,
        challenges: u8,
    ) {
        let Some((state, _)) = self.dialogs.get_mut(dialog) else { return };
        // RFC 3261 §15: "A UA MUST NOT send a
        // BYE outside of a dialog."
        // RFC 3261 §15.1.1: "A BYE request is constructed as would any other request within a
        // dialog, as described in Section 12."
        let Ok(builder) = state.request(Method::Bye) else { return };
        let flow = self.calls.get(key).and_then(|call| call.flow);
        let hop = self.ways_back.hop(flow, state.next_hop());
        let Ok(mut bye) = self.finish_request(builder, &Method::Bye, None, &self.reason_of(key))
        else {
            return;
        };
        let Some(call) = self.calls.get_mut(key) else { return };
        if let (Some(auth), Some(account)) = (&mut call.auth, &call.account) {
            auth.authorize(&mut bye, account.all_credentials(), || tx.random().next_u64());
        }
        if let Ok(client) = tx.request(now, bye, hop) {
            call.transactions += 1;
            self.clients.insert(client, ClientUse::Bye { call: key, dialog, challenges });
        }
    }

    /// A final response to a BYE of ours, or none (`None`).
    pub(crate) fn bye_answered(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        client: ClientKey,
        (key, dialog, challenges): (CallKey, DialogKey, u8),
        response: Option<&Response>,
    ) {
        // RFC 3261 §12.2.2: "If the remote sequence number was not empty, but the sequence number of the
        // request is lower than the remote sequence number, the request is out of order and MUST be rejected
        // with a 500 (Server Internal Error) response."
        //
        // So is a BYE that a later request of ours overtook: the peer still holds that the call goes on.
        let overtaken =
            |response: &Response| response.status() == StatusCode::SERVER_INTERNAL_ERROR;
        let again = challenges < MAX_CHALLENGES
            && response.is_some_and(|it| overtaken(it) || self.challenge_call(key, it));
        if again {
            self.send_bye(now, tx, key, dialog, challenges + 1);
        }
        // RFC 3261 §15.1.1: "If the response for the BYE is a 481
        // (Call/Transaction Does Not Exist) or a 408 (Request Timeout) or no
        // response at all is received for the BYE (that is, a timeout is
        // returned by the client transaction), the UAC MUST consider the
        // session and the dialog terminated."
        // Whatever else it is, we are through with it.
        self.client_done(client, key);
    }

    /// A BYE in a dialog of the call.
    pub(crate) fn bye_received(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        dialog: DialogKey,
        Received { server, request, .. }: &Received,
    ) {
        // RFC 3261 §15.1.2: "Whether or not it ends its participation on the session,
        // the UAS core MUST generate a 2xx response to the BYE, and MUST pass
        // that to the server transaction for transmission."
        self.answer(now, tx, *server, request, StatusCode::OK);
        let Some(call) = self.calls.get(key) else { return };
        if call.dialog != Some(dialog) {
            // One of several callees, before or after we chose another.
            return;
        }
        match &call.phase {
            // The caller gives up by BYE on the early dialog.
            // RFC 3261 §15.1.2: "The UAS MUST still respond to any pending requests received for that
            // dialog.  It is RECOMMENDED that a 487 (Request Terminated) response
            // be generated to those pending requests."
            Phase::Invited(invited) => {
                let (server, request) = (invited.server, Arc::clone(&invited.request));
                self.refuse_invite(now, tx, key, server, &request, StatusCode::REQUEST_TERMINATED);
                self.end_call(now, tx, key, EndReason::CancelledByPeer);
            }
            // RFC 3261 §15.1.2: "Once done,
            // the UAS SHOULD terminate the session (and therefore stop sending and
            // listening for media)."
            Phase::Accepted(_) | Phase::Established => {
                self.tell_reasons(key, request.headers());
                self.end_call(now, tx, key, EndReason::Remote);
            }
            // Crossing BYEs: ours is on its way, and both are answered.
            Phase::Over => {}
            // A caller in these phases has no dialog of the call yet.
            Phase::Calling | Phase::Cancelling => {}
        }
    }
}
