//! REFER (RFC 3515): the peer of a call is asked to call someone else, and reports how that goes.
//!
//! What both ends have in common is here, and the side that asks. The side that is asked is in `referral.rs`.

use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_dialog::{DialogKey, Referrer, ReferrerAction, ReferrerInput, Rejection, State};
use sip_message::{
    ContentType, Event, Header, HeaderName, Limits, Method, NameAddr, ReferSub, Replaces, Request,
    Response, SipFrag, StatusCode, SubscriptionState, To, Uri,
};
use sip_transaction::{ServerKey, TimerKey, Transactions};
use sip_transport::{ConnectionId, ListenerId};

use super::call::{Call, Phase};
use super::compose::{listener_of, over_this_flow};
use super::incoming::user_of;
use super::referral::{Reporting, Waiting};
use super::requests::{Owner, Place};
use super::table::TimerKind;
use super::usages::Usage;
use super::{Agent, Received};
use crate::{AgentError, AgentEvent, CallKey, ExtraHeaders, ReferKey, ReferUpdate, RequestFailure};

/// One REFER, as either end keeps it.
pub(crate) struct Refer {
    /// Where its NOTIFYs pass; none yet while a REFER outside of any dialog waits for an answer.
    pub(super) dialog: Option<DialogKey>,
    /// Of one that we sent outside of any dialog, to know its first NOTIFY by.
    pub(super) call_id: Option<Box<str>>,
    /// The CSeq number of the REFER, which the `id` of Event holds.
    pub(super) id: u32,
    pub(super) listener: Option<ListenerId>,
    pub(super) flow: Option<ConnectionId>,
    pub(super) timer: Option<TimerKey>,
    pub(super) end: End,
}

/// Which end of it we are.
pub(crate) enum End {
    /// We sent it.
    Referrer(Referrer),
    /// It waits for the application's word.
    Asked(Box<Waiting>),
    /// We accepted it.
    Reporter(Box<Reporting>),
}

impl Agent {
    /// Asks the peer of an established call to call `target`, by a REFER in its dialog. How that goes comes as
    /// [`AgentEvent::Refer`]; the call itself stays as it is. Referred-By says who we are, unless it is among
    /// the headers. A header field `Refer-Sub: false` asks for no reports (RFC 4488).
    ///
    /// # Errors
    /// [`AgentError::State`] unless the call is established; and when the request cannot be built or sent.
    pub fn refer(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        call: CallKey,
        target: &Uri<'_>,
        headers: &ExtraHeaders,
    ) -> Result<ReferKey, AgentError> {
        let key = call;
        let call = self.calls.get(key).ok_or(AgentError::Gone)?;
        if !matches!(call.phase, Phase::Established | Phase::Accepted(_)) {
            return Err(call.wrong_state("refer its peer to someone"));
        }
        self.check_requests()?;
        if self.refers.len() >= self.config.max_refers {
            return Err(AgentError::Full { what: "references" });
        }
        let dialog = call.dialog.ok_or(AgentError::Gone)?;
        self.or_rewind(dialog, |agent| agent.refer_in(now, tx, key, dialog, target, headers))
    }

    fn refer_in(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        dialog_key: DialogKey,
        target: &Uri<'_>,
        headers: &ExtraHeaders,
    ) -> Result<ReferKey, AgentError> {
        let call = self.calls.get(key).ok_or(AgentError::Gone)?;
        let (listener, flow) = (call.listener, call.flow);
        let (dialog, _) = self.dialogs.get(dialog_key).ok_or(AgentError::Gone)?;
        let local = listener.and_then(|listener| listener_of(tx, listener));
        let (user, secure) = (user_of(dialog.local_party()), dialog.is_secure());
        let account = call.account.as_deref();
        let contact = self.own_contact(local, dialog.next_hop(), account, user, secure);
        let contact = over_this_flow(contact, account);
        let (dialog, _) = self.dialogs.get_mut(dialog_key).ok_or(AgentError::Gone)?;
        let full = |_| AgentError::Full { what: "requests in the dialog" };
        let mut builder = dialog.request(Method::Refer).map_err(full)?;
        let id = dialog.local_cseq().unwrap_or_default();
        // RFC 3515 §2.4.1: "A REFER
        // request MUST contain exactly one Refer-To header field value."
        builder = builder
            .raw(HeaderName::Contact, contact.as_bytes())
            .raw(HeaderName::ReferTo, NameAddr::new(target).to_string().as_bytes());
        let named = |(name, _): &(String, String)| {
            name.eq_ignore_ascii_case("Referred-By") || name.eq_ignore_ascii_case("b")
        };
        if !headers.iter().any(named) {
            builder = builder.raw(HeaderName::ReferredBy, dialog.local_party().as_bytes());
        }
        let hop = self.ways_back.hop(flow, dialog.next_hop());
        let mut request = self.finish_request(builder, &Method::Refer, None, headers)?;
        let call = self.calls.get_mut(key).ok_or(AgentError::Gone)?;
        if let (Some(auth), Some(account)) = (&mut call.auth, &call.account) {
            auth.authorize(&mut request, account.all_credentials(), || tx.random().next_u64());
        }
        let account = call.account.clone();
        let end = End::Referrer(Referrer::new(tx.config().t1));
        let dialog = Some(dialog_key);
        let refer = Refer { dialog, call_id: None, id, listener, flow, timer: None, end };
        let raw = self.refers.insert_with(|_| refer);
        let refer = ReferKey::from(raw.ok_or(AgentError::Full { what: "references" })?);
        let owner = Owner::Referrer(refer);
        if let Err(error) = self.ask(now, tx, Place::InCall(key), owner, request, hop, account) {
            self.refers.remove(refer);
            return Err(error);
        }
        if let Some((_, usages)) = self.dialogs.get_mut(dialog_key) {
            usages.add(Usage::Refer(refer));
        }
        Ok(refer)
    }

    /// The URI to refer someone to, so that it takes our place in this call: the peer's, with a Replaces header
    /// field of the call's dialog in it (RFC 5589 §7.3).
    ///
    /// # Errors
    /// [`AgentError::State`] unless the call is established: RFC 3891 §3 lets nobody replace a call that still
    /// rings at the one who is asked.
    pub fn place_in(&self, call: CallKey) -> Result<Uri<'static>, AgentError> {
        let call = self.calls.get(call).ok_or(AgentError::Gone)?;
        let (dialog, _) =
            call.dialog.and_then(|dialog| self.dialogs.get(dialog)).ok_or_else(|| gone(call))?;
        if dialog.state() != State::Confirmed {
            return Err(call.wrong_state("let someone take our place in it"));
        }
        let id = dialog.id();
        // As the peer sees it: our remote tag is its own. And:
        // RFC 3891 §6.1: "a tag of zero matches both tags of zero and null."
        let tag = |tag: &'_ str| if tag.is_empty() { "0".to_owned() } else { tag.to_owned() };
        let replaces = Replaces::new(id.call_id, &tag(id.remote_tag), &tag(id.local_tag))
            .map_err(|_| AgentError::Address)?;
        // RFC 5589 §7.3: "The Contact URI of the Transfer Target SHOULD be used by the
        // Transferor as the Refer-To URI, unless the URI is suspected or known
        // to not be routable outside the dialog.  Otherwise, the Address of
        // Record (AOR) of the Transfer Target SHOULD be used."
        let contact = dialog.remote_target();
        let routable = dialog.route_set().is_empty() || contact.param("gr").is_some();
        let (uri, required) = if routable {
            (contact.clone(), false)
        } else {
            (address_in(dialog.remote_party())?, true)
        };
        let mut uri =
            uri.with_header("Replaces", &replaces.to_string()).map_err(|_| AgentError::Address)?;
        // RFC 5589 §7.3: "In case the triggered INVITE is
        // routed to a different User Agent than the Transfer Target, the
        // Require: replaces header field SHOULD be used in the triggered
        // INVITE."
        if required {
            uri = uri.with_header("Require", "replaces").map_err(|_| AgentError::Address)?;
        }
        Ok(uri)
    }

    /// The address at which the peer of a call is to be found, whatever becomes of the call.
    pub fn address_of_peer(&self, call: CallKey) -> Result<Uri<'static>, AgentError> {
        let call = self.calls.get(call).ok_or(AgentError::Gone)?;
        if let Some((dialog, _)) = call.dialog.and_then(|dialog| self.dialogs.get(dialog)) {
            return address_in(dialog.remote_party());
        }
        let caller = call.caller.as_ref().ok_or(AgentError::Gone)?;
        caller.invite.uri().map(|uri| uri.to_static()).map_err(|_| AgentError::Address)
    }

    /// A final response to a REFER of ours, or none.
    pub(super) fn refer_answered(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ReferKey,
        result: &Result<Response, RequestFailure>,
    ) {
        let (status, subscribed) = match result {
            Ok(response) => (response.status(), leaves_subscription(response)),
            Err(failure) => (failure.as_status(), false),
        };
        self.referrer(now, tx, key, ReferrerInput::Response { status, subscribed });
    }

    /// A NOTIFY or SUBSCRIBE of event `refer` in a dialog; false for all others.
    pub(super) fn refer_usage(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        dialog: DialogKey,
        received: &Received,
    ) -> bool {
        let Received { server, request, .. } = received;
        let reports = match request.method() {
            Method::Notify => true,
            Method::Subscribe => false,
            _ => return false,
        };
        let Ok(Some(event)) = request.get::<Event<'_>>() else { return false };
        if event.package() != "refer" {
            return false;
        }
        let Some(key) = self.refer_of(dialog, event.id(), reports) else {
            // RFC 6665 §4.1.3: "if not, it
            // MUST return a 481 (Subscription does not exist) response"
            self.refuse(now, tx, *server, request, Rejection::no_such_dialog());
            return true;
        };
        if reports {
            self.refer_notified(now, tx, key, *server, request);
        } else {
            self.refer_subscribed(now, tx, key, *server, request);
        }
        true
    }

    /// Which REFER of a dialog an Event header field with this `id` speaks of.
    fn refer_of(&self, dialog: DialogKey, id: Option<&str>, ours: bool) -> Option<ReferKey> {
        let (_, usages) = self.dialogs.get(dialog)?;
        let number = id.map(|id| id.parse::<u32>().ok());
        // RFC 3515 §2.4.6: "This id parameter MAY be included in NOTIFYs to the first
        // REFER a UA receives in a given dialog."
        usages.iter().find_map(|usage| {
            let Usage::Refer(key) = usage else { return None };
            let refer = self.refers.get(key)?;
            let same_end = matches!(refer.end, End::Referrer(_)) == ours;
            let same_id = number.is_none_or(|number| number == Some(refer.id));
            (same_end && same_id).then_some(key)
        })
    }

    pub(super) fn refer_notified(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ReferKey,
        server: ServerKey,
        request: &Request,
    ) {
        let Some(left) = life_left(request) else {
            return self.answer(now, tx, server, request, StatusCode::BAD_REQUEST);
        };
        // RFC 3515 §2.4.5: "Each NOTIFY MUST contain a body of type "message/sipfrag""
        // One that ends the subscription is taken without.
        let fragment = match request.get::<ContentType<'_>>() {
            Ok(Some(kind)) if kind.is("message", "sipfrag") => {
                let body = Bytes::copy_from_slice(request.body());
                SipFrag::parse(body, &Limits::default()).ok()
            }
            _ if request.body().is_empty() => None,
            _ => {
                let builder = self
                    .response(request, StatusCode::UNSUPPORTED_MEDIA_TYPE, "")
                    .raw(HeaderName::Accept, SipFrag::CONTENT_TYPE.as_bytes());
                return self.respond(now, tx, server, request, builder);
            }
        };
        self.answer(now, tx, server, request, StatusCode::OK);
        let status = fragment.and_then(|fragment| fragment.status());
        self.referrer(now, tx, key, ReferrerInput::Notify { status, left });
    }

    fn referrer(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ReferKey,
        input: ReferrerInput,
    ) {
        let Some(refer) = self.refers.get_mut(key) else { return };
        let End::Referrer(machine) = &mut refer.end else { return };
        let (action, wait) = machine.handle(input);
        let over = machine.is_over();
        if let Some(wait) = wait {
            let timer = tx.arm(now, wait, TimerKind::Refer.token(key));
            if let Some(before) = refer.timer.replace(timer) {
                tx.disarm(before);
            }
        }
        let update = match action {
            ReferrerAction::Progress(status) => Some(ReferUpdate::Progress(status)),
            ReferrerAction::Outcome(outcome) => Some(ReferUpdate::Ended(outcome)),
            ReferrerAction::None | _ => None,
        };
        if let Some(update) = update {
            self.events.push_back(AgentEvent::Refer { refer: key, update });
        }
        if over {
            self.drop_refer(tx, key);
        }
    }

    /// The wait of either end is over.
    pub(super) fn refer_timer(&mut self, now: Instant, tx: &mut Transactions, key: ReferKey) {
        let Some(refer) = self.refers.get_mut(key) else { return };
        refer.timer = None;
        match refer.end {
            End::Referrer(_) => self.referrer(now, tx, key, ReferrerInput::Timer),
            End::Asked(_) | End::Reporter(_) => self.referral_timer(now, tx, key),
        }
    }

    /// Nothing more comes of a REFER.
    pub(super) fn drop_refer(&mut self, tx: &mut Transactions, key: ReferKey) {
        let Some(refer) = self.refers.remove(key) else { return };
        self.refers_out.forget(&refer);
        if let Some(timer) = refer.timer {
            tx.disarm(timer);
        }
        if let Some(dialog) = refer.dialog {
            self.leave_dialog(dialog, Usage::Refer(key));
        }
    }

    /// The call whose peer was referred is over: reports may still come in its dialog, if they come soon.
    pub(super) fn referrers_hurry(&mut self, now: Instant, tx: &mut Transactions, call: CallKey) {
        let dialog = self.calls.get(call).and_then(|call| call.dialog);
        let Some((_, usages)) = dialog.and_then(|dialog| self.dialogs.get(dialog)) else { return };
        for usage in usages.iter() {
            if let Usage::Refer(key) = usage
                && let Some(refer) = self.refers.get_mut(key)
                && matches!(refer.end, End::Referrer(_))
                && let Some(before) = refer.timer.take()
            {
                tx.disarm(before);
                let soon = tx.config().t1.saturating_mul(64);
                refer.timer = Some(tx.arm(now, soon, TimerKind::Refer.token(key)));
            }
        }
    }
}

/// The URI of a party of a dialog.
fn address_in(party: &str) -> Result<Uri<'static>, AgentError> {
    let party = To::parse(party.as_bytes()).map_err(|_| AgentError::Address)?;
    Ok(party.uri().to_static())
}

fn gone(call: &Call) -> AgentError {
    call.wrong_state("let someone take our place in it")
}

// RFC 4488 §4: "does not include the "Refer-Sub" header field or includes the
// "Refer-Sub" header field set to "true" in the 2xx response), an
// implicit subscription is created as in the default case."
fn leaves_subscription(response: &Response) -> bool {
    response.get::<ReferSub<'_>>().ok().flatten().is_none_or(|sub| sub.subscribes())
}

/// How long a NOTIFY lets the subscription last yet, if that is not over by it; `None` if it does not say.
fn life_left(notify: &Request) -> Option<Option<Duration>> {
    match notify.get::<SubscriptionState<'_>>() {
        Ok(Some(state)) if state.is("terminated") => Some(None),
        Ok(Some(state)) => Some(Some(Duration::from_secs(state.expires().unwrap_or(0).into()))),
        Ok(None) => None,
        // There are phones that write `terminated;reason=reason=noresource`, and what they report is as true. An end
        // is an end, whatever the reason.
        Err(_) => {
            let state = notify.headers().raw(HeaderName::SubscriptionState)?;
            let word = state.split(|byte| *byte == b';').next()?.trim_ascii();
            word.eq_ignore_ascii_case(b"terminated").then_some(None)
        }
    }
}
