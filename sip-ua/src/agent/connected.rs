//! Connected identity (RFC 4916): who is at either end of a call by now, said by From of requests in it.
//!
//! A dialog is known by its tags alone, so that the names may change: [`Dialog::rename`](sip_dialog::Dialog::rename)
//! and [`Dialog::renamed_by`](sip_dialog::Dialog::renamed_by).

use std::time::Instant;

use sip_dialog::{DialogKey, Found};
use sip_message::{From, Header as _, HeaderName, Headers, Method, NameAddr, Request, StatusCode};
use sip_transaction::Transactions;

use super::Agent;
use super::call::Phase;
use super::compose::ANONYMOUS;
use super::modify::Purpose;
use super::prack::lists;
use crate::{AgentError, CallKey, CallUpdate};

impl Agent {
    /// Names this as our end of the call from now on, in From of all that we send in it, and says so at once by an
    /// UPDATE; to a peer that does not take UPDATE by the next request, such as a re-INVITE that was to be sent anyway.
    ///
    /// # Errors
    /// [`AgentError::NoFromChange`] unless both ends have said `from-change`; [`AgentError::State`] unless the call is
    /// established; [`AgentError::Busy`] while another request of ours modifies the session.
    // RFC 4916 §4.3: "the UA MUST issue a request on the same dialog
    // containing the new identity in the URI of the From header field (or
    // an anonymous identity if anonymity is required)."
    pub fn change_identity(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        call: CallKey,
        identity: &NameAddr<'_>,
    ) -> Result<(), AgentError> {
        let key = call;
        let call = self.calls.get(key).ok_or(AgentError::Gone)?;
        if !matches!(call.phase, Phase::Established) {
            return Err(call.wrong_state("change our identity in it"));
        }
        // RFC 4916 §3: "By sending a
        // request with a changed From header field URI only to targets that
        // have indicated support for this option, there is no need to send this
        // option tag in a Require header field."
        if !call.from_change {
            return Err(AgentError::NoFromChange);
        }
        if call.exchange.as_ref().is_some_and(|exchange| exchange.ours.is_some()) {
            return Err(AgentError::Busy);
        }
        let (dialog_key, updates) = (call.dialog.ok_or(AgentError::Gone)?, call.peer_updates);
        let (dialog, _) = self.dialogs.get_mut(dialog_key).ok_or(AgentError::Gone)?;
        dialog.rename(identity);
        if !updates {
            return Ok(());
        }
        // RFC 4916 §4.3: "For this purpose
        // the UA MUST use the UPDATE method unless for other reasons the re-
        // INVITE method is being used at the same time."
        let purpose = Purpose::Identity;
        self.begin_modification(now, tx, key, dialog_key, Method::Update, None, purpose)
    }

    /// The peer of a call says what it supports.
    pub(super) fn note_from_change(&mut self, key: CallKey, headers: &Headers) {
        if self.config.connected_identity
            && let Some(call) = self.calls.get_mut(key)
        {
            call.from_change = lists(headers, HeaderName::Supported, "from-change");
        }
    }

    /// Our 2xx is acknowledged: a caller that wants to know learns who has answered.
    // RFC 4916 §4.2: "After a full
    // dialog has been formed (after sending a 2xx final response to the
    // INVITE request), if the "from-change" option tag has been received in
    // a Supported header field and an UPDATE request has not already been
    // sent on the early dialog, the UA MUST issue an UPDATE request on the
    // same dialog.  In either case, the UPDATE request MUST contain the
    // callee's (or potential callee's) identity in the URI of the From
    // header field (or an anonymous identity if anonymity is required)."
    pub(super) fn tell_who_answered(&mut self, now: Instant, tx: &mut Transactions, key: CallKey) {
        let Some(call) = self.calls.get(key) else { return };
        if !call.from_change || !call.peer_updates {
            return;
        }
        let identity = match &call.account {
            Some(account) if account.asks_privacy().is_some() => {
                From::parse(ANONYMOUS.as_bytes()).map(From::into_name_addr).ok()
            }
            Some(account) => {
                let address = NameAddr::new(account.identity());
                match account.shown_name() {
                    Some(name) => address.with_display_name(name).ok(),
                    None => Some(address),
                }
            }
            // Who was called.
            None => call
                .dialog
                .and_then(|dialog| self.dialogs.get(dialog))
                .and_then(|(dialog, _)| From::parse(dialog.local_party().as_bytes()).ok())
                .map(|from| from.into_name_addr().into_owned()),
        };
        if let Some(identity) = identity {
            // It is established, and nothing of ours modifies it yet.
            let _ = self.change_identity(now, tx, key, &identity);
        }
    }

    /// A request of the peer in a dialog of the call was accepted: it may name another sender than before.
    pub(super) fn connected(&mut self, key: CallKey, dialog: DialogKey, request: &Request) {
        let Some((of, _)) = self.dialogs.get_mut(dialog) else { return };
        if !of.renamed_by(request) {
            return;
        }
        let Ok(Some(from)) = request.get::<From<'_>>() else { return };
        let Some(call) = self.calls.get(key) else { return };
        let early = match call.phase {
            Phase::Calling => call.caller.as_ref().and_then(|caller| {
                caller.forks.iter().find(|fork| fork.dialog == dialog).map(|fork| fork.early)
            }),
            _ => None,
        };
        // RFC 4916 §4.4.2: "the UA can
        // make use of the identity in the From header field URI (e.g., by
        // indicating to the user)."
        let identity = from.without_params();
        self.update(key, CallUpdate::Connected { early, identity });
    }

    /// The same for a request that the application has answered.
    pub(super) fn connected_by(&mut self, request: &Request, status: StatusCode) {
        if status.is_success()
            && request.headers().to_tag().is_some()
            && let Found::Dialog(dialog) = self.dialogs.find(request)
            && let Some(call) = self.dialogs.get(dialog).and_then(|(_, usages)| usages.call())
        {
            self.connected(call, dialog, request);
        }
    }
}
