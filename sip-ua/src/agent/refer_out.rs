//! REFER outside of any dialog (RFC 3515 §4.1, RFC 7647 §4): the side that asks. Its first NOTIFY makes the dialog in
//! which the others come.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use sip_dialog::{Dialog, Referrer, Rejection};
use sip_message::{
    Event, Header as _, HeaderName, Method, NameAddr, StatusCode, TargetDialog, Uri,
};
use sip_transaction::Transactions;

use super::compose::{FirstHop, Initial, listener_towards};
use super::outgoing::cseq;
use super::refer::{End, Refer};
use super::requests::{Owner, Place};
use super::usages::Usage;
use super::{Agent, Received};
use crate::{Account, AgentError, CallKey, ExtraHeaders, ReferKey};

/// The REFERs of ours that have no dialog, by Call-ID, with the tag of our From. They are our own: the map's usual hash
/// will do.
#[derive(Default)]
pub(crate) struct Unanswered(HashMap<Box<str>, (ReferKey, Box<str>)>);

impl Unanswered {
    /// Nothing more comes of it.
    pub(super) fn forget(&mut self, refer: &Refer) {
        if let Some(call_id) = &refer.call_id {
            self.0.remove(call_id);
        }
    }
}

impl Agent {
    /// Asks someone at `to` to call `target`, by a REFER outside of any dialog. How that goes comes as
    /// [`AgentEvent::Refer`](crate::AgentEvent::Refer). Referred-By says who we are, unless it is among the headers. A
    /// header field `Refer-Sub: false` asks for no reports (RFC 4488), and
    /// [one that names a call](Self::target_dialog) shows that we may ask.
    ///
    /// Of several that a proxy forks the REFER to, only the first to report is heard.
    ///
    /// # Errors
    /// When the request cannot be built or sent, or as many are under way as the configuration allows.
    pub fn refer_to(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        account: &Arc<Account>,
        to: &Uri<'static>,
        target: &Uri<'_>,
        headers: &ExtraHeaders,
    ) -> Result<ReferKey, AgentError> {
        self.check_requests()?;
        if self.refers.len() >= self.config.max_refers {
            return Err(AgentError::Full { what: "references" });
        }
        // RFC 3515 §2.4.1: "A REFER
        // request MUST contain exactly one Refer-To header field value."
        let refer_to = ("Refer-To".to_owned(), NameAddr::new(target).to_string());
        let mut fields = vec![refer_to];
        let names_us = |(name, _): &(String, String)| {
            HeaderName::from_bytes(name.as_bytes()) == Some(HeaderName::ReferredBy)
        };
        if !headers.iter().any(names_us) {
            let by = NameAddr::new(account.identity()).to_string();
            fields.push(("Referred-By".to_owned(), by));
        }
        fields.extend_from_slice(headers);
        let hop = FirstHop::of(account, to);
        let method = Method::Refer;
        let initial = Initial { account, method, to, hop: &hop, body: None, headers: &fields };
        let request = self.initial_request(tx, &initial)?;
        let fields = request.headers();
        let call_id: Box<str> = fields.call_id().unwrap_or_default().into();
        let tag = fields.from_tag().unwrap_or_default().into();
        let refer = Refer {
            dialog: None,
            call_id: Some(call_id.clone()),
            id: cseq(&request),
            listener: listener_towards(tx, &hop.uri).map(|local| local.id),
            flow: None,
            timer: None,
            end: End::Referrer(Referrer::new(tx.config().t1)),
        };
        let key = self.refers.insert_with(|_| refer);
        let key = ReferKey::from(key.ok_or(AgentError::Full { what: "references" })?);
        let (owner, account) = (Owner::Referrer(key), Some(Arc::clone(account)));
        let asked = self.ask(now, tx, Place::Outside, owner, request, hop.next_hop(), account);
        if let Err(error) = asked {
            self.refers.remove(key);
            return Err(error);
        }
        self.refers_out.0.insert(call_id, (key, tag));
        Ok(key)
    }

    /// A Target-Dialog header field that names this call to its peer (RFC 4538): it goes into a request
    /// [outside of its dialog](Self::refer_to), and shows that the sender is the one who is in the call.
    ///
    /// # Errors
    /// [`AgentError::Gone`] if the call has no dialog.
    pub fn target_dialog(&self, call: CallKey) -> Result<(String, String), AgentError> {
        let call = self.calls.get(call).ok_or(AgentError::Gone)?;
        let dialog = call.dialog.and_then(|dialog| self.dialogs.get(dialog));
        let (dialog, _) = dialog.ok_or(AgentError::Gone)?;
        let id = dialog.id();
        // RFC 4538 §3: "MUST be present and MUST contain
        // the tag that would be viewed as the local tag from the perspective of
        // the recipient of the new request."
        let named = TargetDialog::new(id.call_id, id.remote_tag, id.local_tag);
        let named = named.map_err(|_| AgentError::Address)?;
        let mut value = bytes::BytesMut::new();
        named.write(&mut value);
        let value = String::from_utf8_lossy(&value).into_owned();
        Ok((TargetDialog::NAME.as_str().to_owned(), value))
    }

    /// A NOTIFY in no dialog that we know: whether it is the first of a REFER of ours.
    pub(super) fn refer_reported(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        received: &Received,
    ) -> bool {
        let Received { server, request, flow } = received;
        if request.get::<Event<'_>>().ok().flatten().is_none_or(|event| event.package() != "refer")
        {
            return false;
        }
        let fields = request.headers();
        let awaited = fields.call_id().and_then(|call_id| self.refers_out.0.get(call_id));
        let ours = awaited.filter(|(_, tag)| fields.to_tag() == Some(tag)).map(|(key, _)| *key);
        let refer =
            ours.and_then(|key| self.refers.get(key)).filter(|refer| refer.dialog.is_none());
        let (Some(key), Some(number)) = (ours, refer.map(|refer| refer.id)) else { return false };
        // RFC 6665 §4.4.1: "Because the dialog usage is established by the NOTIFY request, the
        // route set at the subscriber is taken from the NOTIFY request itself"
        let made = Dialog::subscribed(request, number, flow.transport);
        let made = made.map_err(|error| error.rejection()).and_then(|mut dialog| {
            self.identify(&mut dialog, request);
            dialog.accepted(request);
            let full = Rejection::new(StatusCode::SERVICE_UNAVAILABLE);
            self.dialogs.insert(dialog, Usage::Refer(key).into()).map_err(|_| full)
        });
        match made {
            Err(rejection) => self.refuse(now, tx, *server, request, rejection),
            Ok(dialog) => {
                let heard_over = self.ways_back.note(*flow);
                if let Some(refer) = self.refers.get_mut(key) {
                    refer.dialog = Some(dialog);
                    refer.flow = heard_over;
                    refer.listener = Some(flow.listener);
                }
                self.refer_notified(now, tx, key, *server, request);
            }
        }
        true
    }
}
