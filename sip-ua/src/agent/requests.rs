//! Requests of the application whose answer it wants: within a call (RFC 3261 §12.2.1) and outside (§8.1).
//!
//! Each waits for one client transaction, which ends by a final response, by Timer F or by a transport error.

use std::sync::Arc;
use std::time::Instant;

use sip_auth::Authenticator;
use sip_dialog::{DialogKey, ends_dialog};
use sip_message::{Method, RAck, Request, Response, Uri};
use sip_transaction::{ClientKey, NextHop, Transactions};

use super::call::Phase;
use super::compose::{FirstHop, Initial};
use super::messages::To;
use super::outgoing::{confirm, cseq, is_challenge, set_cseq};
use super::prack::PrackSent;
use super::refer::End;
use super::{Agent, ClientUse};
use crate::{
    Account, AgentError, AgentEvent, Body, CallKey, EndReason, ExtraHeaders, ReferKey,
    RequestFailure, RequestKey,
};

/// How often one request is sent again with credentials at most: a proxy, the peer, and a stale nonce at
/// each.
pub(crate) const MAX_CHALLENGES: u8 = 4;

/// A request whose answer is wanted.
pub(crate) struct Asked {
    place: Place,
    owner: Owner,
    /// Where it goes, if it is a MESSAGE.
    message: Option<To>,
    /// What is needed to send it again with credentials; nothing if there are none.
    again: Option<Box<Again>>,
}

/// Where a request is sent.
#[derive(Clone, Copy)]
pub(super) enum Place {
    InCall(CallKey),
    /// In a dialog whatever call it belongs to, or none.
    InDialog(DialogKey),
    /// A PRACK of ours, which nobody asked for.
    Prack(CallKey, PrackSent),
    Outside,
}

/// Who wants the answer.
#[derive(Clone, Copy)]
pub(super) enum Owner {
    Application,
    /// A REFER of ours.
    Referrer(ReferKey),
    /// A NOTIFY about a REFER that we accepted.
    Reporter(ReferKey),
}

struct Again {
    /// As it was sent last, without Via.
    request: Request,
    hop: NextHop,
    account: Arc<Account>,
    auth: Authenticator,
    challenges: u8,
}

impl Agent {
    /// Sends a request within a call: INFO, MESSAGE, OPTIONS or another that needs no more of the stack than
    /// this. The answer comes as [`AgentEvent::Response`]. An answer that says that the peer no longer
    /// knows the call ends it ([`EndReason::PeerLost`]).
    ///
    /// # Errors
    /// [`AgentError::Method`] for those that have commands of their own; [`AgentError::State`] unless the call
    /// is established; and when the request cannot be built or sent.
    pub fn send(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        call: CallKey,
        method: Method,
        body: Option<&Body>,
        headers: &ExtraHeaders,
    ) -> Result<RequestKey, AgentError> {
        let key = call;
        if !is_plain(&method) {
            return Err(AgentError::Method(method));
        }
        let call = self.calls.get(key).ok_or(AgentError::Gone)?;
        if !matches!(call.phase, Phase::Established | Phase::Accepted(_)) {
            return Err(call.wrong_state("send a request in it"));
        }
        self.check_requests()?;
        let dialog = call.dialog.ok_or(AgentError::Gone)?;
        self.or_rewind(dialog, |agent| agent.send_in(now, tx, key, dialog, method, body, headers))
    }

    /// Sends a request within a dialog; where that fails, its number is free again.
    pub(super) fn or_rewind<R>(
        &mut self,
        dialog: DialogKey,
        send: impl FnOnce(&mut Self) -> Result<R, AgentError>,
    ) -> Result<R, AgentError> {
        let before = self.dialogs.get(dialog).and_then(|(dialog, _)| dialog.local_cseq());
        let sent = send(self);
        if sent.is_err()
            && let Some((dialog, _)) = self.dialogs.get_mut(dialog)
        {
            dialog.rewind(before);
        }
        sent
    }

    #[allow(clippy::too_many_arguments, reason = "each is another part of the request")]
    fn send_in(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        dialog: DialogKey,
        method: Method,
        body: Option<&Body>,
        headers: &ExtraHeaders,
    ) -> Result<RequestKey, AgentError> {
        let call = self.calls.get(key).ok_or(AgentError::Gone)?;
        let (dialog, _) = self.dialogs.get_mut(dialog).ok_or(AgentError::Gone)?;
        let builder = dialog
            .request(method.clone())
            .map_err(|_| AgentError::Full { what: "requests in the dialog" })?;
        let hop = self.ways_back.hop(call.flow, dialog.next_hop());
        let mut request = self.finish_request(builder, &method, body, headers)?;
        let call = self.calls.get_mut(key).ok_or(AgentError::Gone)?;
        if let (Some(auth), Some(account)) = (&mut call.auth, &call.account) {
            auth.authorize(&mut request, account.all_credentials(), || tx.random().next_u64());
        }
        let account = call.account.clone();
        let message = self.message_out(&request, Some(key))?;
        let owner = Owner::Application;
        let asked = self.ask(now, tx, Place::InCall(key), owner, request, hop, account);
        self.message_sent(asked, message)
    }

    /// Sends a PRACK; what comes of it is told to [`Agent::prack_answered`].
    pub(super) fn send_prack(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        prack: PrackSent,
        rack: &RAck,
        body: Option<&Body>,
    ) -> Result<(), AgentError> {
        let (dialog, _) = self.dialogs.get_mut(prack.dialog).ok_or(AgentError::Gone)?;
        let builder = dialog
            .request(Method::Prack)
            .map_err(|_| AgentError::Full { what: "requests in the dialog" })?
            .header(rack);
        let next_hop = dialog.next_hop().clone();
        let mut request = self.finish_request(builder, &Method::Prack, body, &[])?;
        let call = self.calls.get_mut(key).ok_or(AgentError::Gone)?;
        let hop = self.ways_back.hop(call.flow, &next_hop);
        if let (Some(auth), Some(account)) = (&mut call.auth, &call.account) {
            auth.authorize(&mut request, account.all_credentials(), || tx.random().next_u64());
        }
        let account = call.account.clone();
        let place = Place::Prack(key, prack);
        self.ask(now, tx, place, Owner::Application, request, hop, account).map(|_| ())
    }

    /// Sends a request outside of any call: OPTIONS, MESSAGE or another that needs no more of the stack than
    /// this. The answer comes as [`AgentEvent::Response`], challenges answered.
    ///
    /// # Errors
    /// [`AgentError::Method`] for those that have commands of their own; and when the request cannot be built
    /// or sent.
    #[allow(clippy::too_many_arguments, reason = "each is another part of the request")]
    pub fn request(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        account: &Arc<Account>,
        method: Method,
        to: &Uri<'static>,
        body: Option<&Body>,
        headers: &ExtraHeaders,
    ) -> Result<RequestKey, AgentError> {
        if !is_plain(&method) {
            return Err(AgentError::Method(method));
        }
        self.check_requests()?;
        let hop = FirstHop::of(account, to);
        let initial = Initial { account, method, to, hop: &hop, body, headers };
        let request = self.initial_request(tx, &initial)?;
        let account = Some(Arc::clone(account));
        let message = self.message_out(&request, None)?;
        let owner = Owner::Application;
        let asked = self.ask(now, tx, Place::Outside, owner, request, hop.next_hop(), account);
        self.message_sent(asked, message)
    }

    /// The application no longer wants the answer to a request. The request itself goes on.
    pub fn forget(&mut self, request: RequestKey) {
        if let Some(asked) = self.requests.remove(request) {
            self.messages_out.answered(asked.message);
        }
    }

    /// Notes where a MESSAGE that was sent goes; one that was not is on its way no more.
    fn message_sent(
        &mut self,
        asked: Result<RequestKey, AgentError>,
        message: Option<To>,
    ) -> Result<RequestKey, AgentError> {
        match &asked {
            Ok(key) => {
                if let Some(asked) = self.requests.get_mut(*key) {
                    asked.message = message;
                }
            }
            Err(_) => self.messages_out.answered(message),
        }
        asked
    }

    pub(super) fn check_requests(&self) -> Result<(), AgentError> {
        if self.requests.len() >= self.config.max_requests {
            return Err(AgentError::Full { what: "requests" });
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "each is another part of the question")]
    pub(super) fn ask(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        place: Place,
        owner: Owner,
        request: Request,
        hop: NextHop,
        account: Option<Arc<Account>>,
    ) -> Result<RequestKey, AgentError> {
        let again =
            account.filter(|account| !account.all_credentials().is_empty()).map(|account| {
                Box::new(Again {
                    request: request.clone(),
                    hop: hop.clone(),
                    account,
                    auth: Authenticator::default(),
                    challenges: 0,
                })
            });
        let client = tx.request(now, request, hop)?;
        let key = self.requests.insert_with(|_| Asked { place, owner, message: None, again });
        let key = RequestKey::from(key.ok_or(AgentError::Full { what: "requests" })?);
        self.clients.insert(client, ClientUse::Request(key));
        Ok(key)
    }

    /// The final response to a request of the application, or why there is none.
    pub(crate) fn request_answered(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        client: ClientKey,
        key: RequestKey,
        result: Result<Response, RequestFailure>,
    ) {
        self.clients.remove(&client);
        if let Ok(response) = &result
            && is_challenge(response.status())
            && self.ask_again(now, tx, key, response)
        {
            return;
        }
        let Some(mut asked) = self.requests.remove(key) else { return };
        self.messages_out.answered(asked.message.take());
        if let Ok(response) = &result {
            match (asked.place, &mut asked.again) {
                (Place::InCall(call) | Place::Prack(call, _), _) => {
                    if let Some(call) = self.calls.get_mut(call)
                        && let (Some(auth), Some(account)) = (&mut call.auth, &call.account)
                    {
                        confirm(auth, account.all_credentials(), response);
                    }
                }
                (Place::Outside | Place::InDialog(_), Some(again)) => {
                    confirm(&mut again.auth, again.account.all_credentials(), response);
                }
                (Place::Outside | Place::InDialog(_), None) => {}
            }
        }
        let status = match &result {
            Ok(response) => response.status(),
            Err(failure) => failure.as_status(),
        };
        if let (Place::InCall(call), Ok(response)) = (asked.place, &result)
            && let Some(dialog) = self.calls.get(call).and_then(|call| call.dialog)
            && let Some((dialog, _)) = self.dialogs.get_mut(dialog)
        {
            dialog.refresh(response);
        }
        if let Place::Prack(call, prack) = asked.place {
            return self.prack_answered(now, tx, call, prack, result);
        }
        if let (Place::InDialog(dialog), Ok(response)) = (asked.place, &result)
            && let Some((dialog, _)) = self.dialogs.get_mut(dialog)
        {
            dialog.refresh(response);
        }
        match asked.owner {
            Owner::Application => self.events.push_back(AgentEvent::Response { key, result }),
            Owner::Referrer(refer) => self.refer_answered(now, tx, refer, &result),
            Owner::Reporter(refer) => self.report_answered(now, tx, refer, &result),
        }
        // RFC 3261 §12.2.1.2: "If the response for a request within a dialog is a 481
        // (Call/Transaction Does Not Exist) or a 408 (Request Timeout), the UAC
        // SHOULD terminate the dialog.  A UAC SHOULD also terminate a dialog if
        // no response at all is received for the request (the client
        // transaction would inform the TU about the timeout.)"
        if let Place::InCall(call) = asked.place
            && ends_dialog(status)
        {
            self.peer_lost(now, tx, call);
        }
    }

    /// The peer no longer knows the call.
    fn peer_lost(&mut self, now: Instant, tx: &mut Transactions, key: CallKey) {
        let Some(call) = self.calls.get_mut(key) else { return };
        match &mut call.phase {
            Phase::Established => self.bye_and_end(now, tx, key, EndReason::PeerLost),
            // The ACK may still come, or not: then it ends by itself.
            Phase::Accepted(accepted) => {
                accepted.hang_up.get_or_insert(EndReason::PeerLost);
            }
            Phase::Calling | Phase::Cancelling | Phase::Invited(_) | Phase::Over => {}
        }
    }

    /// RFC 3261 §22.2 and §22.3: once more with credentials. False if that is not possible.
    fn ask_again(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: RequestKey,
        response: &Response,
    ) -> bool {
        let Some(asked) = self.requests.get_mut(key) else { return false };
        let Some(again) = &mut asked.again else { return false };
        if again.challenges >= MAX_CHALLENGES {
            return false;
        }
        again.challenges += 1;
        let place = asked.place;
        let number = match place {
            Place::Outside => {
                let credentials = again.account.all_credentials();
                if again.auth.challenged(response, credentials).is_err() {
                    return false;
                }
                cseq(&again.request).checked_add(1)
            }
            Place::InDialog(dialog) => {
                let credentials = again.account.all_credentials();
                if again.auth.challenged(response, credentials).is_err() {
                    return false;
                }
                self.dialogs.get_mut(dialog).and_then(|(dialog, _)| dialog.next_cseq().ok())
            }
            Place::InCall(call) | Place::Prack(call, _) => {
                // The calls of other functions need all of the agent.
                if !self.challenge_call(call, response) {
                    return false;
                }
                self.calls
                    .get(call)
                    .filter(|call| !matches!(call.phase, Phase::Over))
                    .and_then(|call| match place {
                        Place::Prack(_, prack) => Some(prack.dialog),
                        Place::InCall(_) | Place::InDialog(_) | Place::Outside => call.dialog,
                    })
                    .and_then(|dialog| self.dialogs.get_mut(dialog))
                    .and_then(|(dialog, _)| dialog.next_cseq().ok())
            }
        };
        let (Some(number), Some(asked)) = (number, self.requests.get_mut(key)) else {
            return false;
        };
        let Some(again) = &mut asked.again else { return false };
        set_cseq(&mut again.request, number);
        if let Owner::Referrer(refer) = asked.owner
            && let Some(refer) = self.refers.get_mut(refer)
            && let End::Referrer(_) = refer.end
        {
            refer.id = number; // its reports name the one that was accepted
        }
        let credentials = again.account.all_credentials();
        let auth = match asked.place {
            Place::Outside | Place::InDialog(_) => &mut again.auth,
            Place::InCall(call) | Place::Prack(call, _) => {
                match self.calls.get_mut(call).and_then(|c| c.auth.as_mut()) {
                    Some(auth) => auth,
                    None => return false,
                }
            }
        };
        auth.authorize(&mut again.request, credentials, || tx.random().next_u64());
        let Ok(client) = tx.request(now, again.request.clone(), again.hop.clone()) else {
            return false;
        };
        self.clients.insert(client, ClientUse::Request(key));
        true
    }
}

/// Whether a request with this method is no more than a question and an answer to the stack.
fn is_plain(method: &Method) -> bool {
    !matches!(
        method,
        Method::Invite
            | Method::Ack
            | Method::Cancel
            | Method::Bye
            | Method::Register
            | Method::Prack
            | Method::Update
            | Method::Subscribe
            | Method::Refer
    )
}
