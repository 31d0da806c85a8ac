//! Session-ID (RFC 7989): who the two ends of a call are, through transfers and back-to-back user agents.
//!
//! The pair of a dialog is kept in it ([`SessionIdentifier`]), and nothing for calls that have none. Our UUIDs are
//! drawn from the Call-ID and the caller's tag by a keyed hash: whatever is sent before there is a dialog, or where
//! there will be none, has the same one without anything being kept.

use std::hash::Hasher;

use sip_dialog::{Dialog, DialogId, DialogKey, Found, Role, SessionIdentifier};
use sip_message::{
    Header, HeaderName, Headers, Method, Request, RequestBuilder, Response, ResponseBuilder,
    SessionId, StatusCode, TargetDialog,
};
use siphasher::sip::SipHasher24;

use super::{Agent, Related};
use crate::{AgentError, CallKey, OutgoingCall};

/// Whether messages say to which session they belong (RFC 7989).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionIds {
    /// They do not, and what peers say is not looked at.
    Never,
    /// In the calls and subscriptions whose peer says it: what begins them from here does not, and is answered
    /// likewise.
    #[default]
    Follow,
    /// All but REGISTER, which belongs to no session.
    Always,
}

/// Makes the UUIDs of this end.
pub(super) struct SessionUuids {
    seed: [u64; 2],
}

impl SessionUuids {
    pub(super) fn new(seed: [u64; 2]) -> Self {
        Self { seed }
    }

    /// The UUID that we have in the session that the request with this Call-ID and From tag begins.
    // RFC 7989 §4.1: "endpoints MUST
    // generate version 4 (random) or version 5 (SHA-1) UUIDs to address
    // privacy concerns related to the use of MAC addresses in UUIDs."
    fn uuid(&self, role: Role, call_id: &str, caller_tag: &str) -> u128 {
        let half = |which: u64| {
            let mut hasher = SipHasher24::new_with_keys(self.seed[0], self.seed[1]);
            hasher.write_u64(which | u64::from(role == Role::Uac) << 1);
            hasher.write_usize(call_id.len());
            hasher.write(call_id.as_bytes());
            hasher.write(caller_tag.as_bytes());
            u128::from(hasher.finish())
        };
        // Version and variant of RFC 4122 §4.4.
        let (version, variant) = (0xf << 76, 0b11 << 62);
        let random = half(0) << 64 | half(1);
        random & !version & !variant | 4 << 76 | 0b10 << 62
    }
}

impl Agent {
    /// The session identifier of a call: our UUID and the peer's, nil while that is not known. `None` where there is
    /// none, or nothing of the call is left. Of a forked call that is not answered it is that of the INVITE.
    pub fn session_id(&self, call: CallKey) -> Option<SessionId<'static>> {
        let call = self.calls.get(call)?;
        if let Some((dialog, _)) = call.dialog.and_then(|dialog| self.dialogs.get(dialog)) {
            return dialog.session_id().map(SessionIdentifier::to_header);
        }
        let invite = call.caller.as_ref()?.invite.headers();
        invite.get::<SessionId<'_>>().ok().flatten().map(SessionId::into_owned)
    }

    /// Gives our end of a call that came in, or is established, another UUID than its own: that of the conference that
    /// it joins, or of the end that a back-to-back user agent speaks for. A call of ours is placed with one by
    /// [`OutgoingCall::session_uuid`].
    ///
    /// # Errors
    /// [`AgentError::Gone`] if there is no dialog of the call.
    // RFC 7989 §9: "MCUs,
    // including cascaded MCUs, MUST utilize the same UUID value ("local-
    // uuid" portion of the Session-ID header field value) with all
    // participants in the conference."
    pub fn set_session_uuid(&mut self, call: CallKey, uuid: u128) -> Result<(), AgentError> {
        let dialog = self.calls.get(call).and_then(|call| call.dialog);
        let (dialog, _) =
            dialog.and_then(|dialog| self.dialogs.get_mut(dialog)).ok_or(AgentError::Gone)?;
        let known = dialog.session_id().copied();
        dialog.identify(known.unwrap_or_else(|| SessionIdentifier::new(uuid)).named(uuid));
        Ok(())
    }

    /// Says in a request outside of dialogs to which session it belongs, unless the application has.
    // RFC 7989 §4.2: "The SIP User Agent (UA) initiating a new session by transmitting a
    // SIP request ("Alice"), i.e., a User Agent Client (UAC), MUST create a
    // new, previously unused UUID and transmit that to the ultimate
    // destination UA ("Bob")."
    pub(super) fn begin_session(
        &self,
        builder: RequestBuilder,
        own: &[&[(String, String)]],
        (call_id, tag): (&str, &str),
    ) -> RequestBuilder {
        let field = |wanted: &str| {
            let mut own = own.iter().flat_map(|fields| fields.iter());
            own.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
        };
        if field("Session-ID").is_some() {
            return builder;
        }
        if let Some(known) = field("Target-Dialog").and_then(|target| self.session_of(target)) {
            return builder.header(&known);
        }
        if self.config.session_ids != SessionIds::Always {
            return builder;
        }
        let uuid = self.uuids.uuid(Role::Uac, call_id, tag);
        builder.header(&SessionIdentifier::new(uuid).to_header())
    }

    /// What a request of ours outside of the dialog says that this Target-Dialog names.
    // RFC 7989 §10.9: "Even so, this is treated as part of the
    // same communication session and, thus, the session identifier in
    // those messages is {A,B}."
    fn session_of(&self, target: &str) -> Option<SessionId<'static>> {
        let target = TargetDialog::parse(target.as_bytes()).ok()?;
        // As the peer sees it: our tag is the remote one.
        let (local_tag, remote_tag) = (target.remote_tag()?, target.local_tag()?);
        let id = DialogId { call_id: target.call_id(), local_tag, remote_tag };
        let (dialog, _) = self.dialogs.find_id(&id).and_then(|key| self.dialogs.get(key))?;
        dialog.session_id().map(SessionIdentifier::to_header)
    }

    /// A dialog that a request of the peer makes, or a NOTIFY to a subscription of ours: from now on it says to which
    /// session it belongs, if it is to.
    pub(super) fn identify(&self, dialog: &mut Dialog, request: &Request) {
        let headers = request.headers();
        if !self.says_session(headers) {
            return;
        }
        let id = dialog.id();
        let caller = match dialog.role() {
            Role::Uac => id.local_tag,
            Role::Uas => id.remote_tag,
        };
        let uuid = self.uuids.uuid(dialog.role(), id.call_id, caller);
        // A NOTIFY says what our request has said.
        let echoed = || {
            let said = headers.get::<SessionId<'_>>().ok().flatten()?;
            said.remote().filter(|uuid| dialog.role() == Role::Uac && *uuid != SessionId::NIL)
        };
        let kept = self.session_before(request).or_else(echoed);
        dialog.identify(SessionIdentifier::asked(kept.unwrap_or(uuid), headers));
    }

    /// A request came in a dialog that had no session identifier, and has one.
    pub(super) fn note_session(&mut self, key: DialogKey, request: &Request) {
        let without = |(dialog, _): (&Dialog, _)| dialog.session_id().is_none();
        if request.headers().contains(HeaderName::SessionId)
            && self.dialogs.get(key).is_some_and(without)
            && self.says_session(request.headers())
            && let Some((dialog, _)) = self.dialogs.get(key)
        {
            let mut named = dialog.clone();
            self.identify(&mut named, request);
            if let (Some(session_id), Some((dialog, _))) =
                (named.session_id().copied(), self.dialogs.get_mut(key))
            {
                dialog.identify(session_id);
            }
        }
    }

    /// The UUID that we have already in the session that a request goes on with: of the call whose place it takes, or
    /// whose dialog it names.
    // RFC 7989 §6: "Once an endpoint allocates a UUID value for a communication session,
    // the endpoint originating the request MUST NOT change that UUID value
    // for the duration of the session, including when: … a SIP dialog is replaced via an INVITE request with Replaces
    // [RFC3891]."
    fn session_before(&self, request: &Request) -> Option<u128> {
        let dialog = match request.method() {
            Method::Invite => match self.pointer_of(request).ok()??.related() {
                Related::Replaces(call) => self.calls.get(call)?.dialog?,
                Related::Joins(_) => return None,
            },
            // RFC 7989 §10.9: "Even so, this is treated as part of the
            // same communication session"
            Method::Refer => self.dialogs.target_dialog(request)?,
            _ => return None,
        };
        Some(self.dialogs.get(dialog)?.0.session_id()?.local())
    }

    /// Says in a response to which session it belongs, if it is to. The tag is that of To, if the request has none.
    pub(super) fn answer_session(
        &self,
        builder: ResponseBuilder,
        request: &Request,
        to_tag: &str,
    ) -> ResponseBuilder {
        let headers = request.headers();
        if !self.says_session(headers) || *request.method() == Method::Register {
            return builder;
        }
        let id = DialogId {
            call_id: headers.call_id().unwrap_or_default(),
            local_tag: headers.to_tag().unwrap_or(to_tag),
            remote_tag: headers.from_tag().unwrap_or_default(),
        };
        let dialog = self.dialogs.find_id(&id).and_then(|dialog| self.dialogs.get(dialog));
        let said = match dialog.and_then(|(dialog, _)| dialog.session_id()) {
            Some(session_id) => session_id.answer(headers),
            // RFC 7989 §4.2: "a User Agent Server (UAS), MUST create a new, previously unused UUID
            // and transmit that to the first UA ("Alice")."
            None => {
                let uuid = || self.uuids.uuid(Role::Uas, id.call_id, id.remote_tag);
                let uuid = self.session_before(request).unwrap_or_else(uuid);
                SessionIdentifier::asked(uuid, headers).answer(headers)
            }
        };
        builder.header(&said)
    }

    /// A response came: it says who the peer is.
    pub(super) fn hear_session(&mut self, response: &Response) {
        if self.config.session_ids != SessionIds::Never
            && response.headers().contains(HeaderName::SessionId)
            && let Some(key) = self.dialogs.find_response(response)
            && let Some((dialog, _)) = self.dialogs.get_mut(key)
        {
            dialog.heard(response);
        }
    }

    /// We answered a request with this status: a 2xx or 3xx takes what it says of who the peer is.
    // RFC 7989 §8: "If the endpoint or intermediary sends a failure (4xx, 5xx, or 6xx)
    // response, it MUST NOT accept the new UUID value and any subsequent
    // messages MUST contain the previously stored UUID value in the
    // "remote" parameter for any subsequent message."
    pub(super) fn hear_session_of(&mut self, request: &Request, status: StatusCode) {
        if (status.is_success() || status.is_redirection())
            && request.headers().contains(HeaderName::SessionId)
            && let Found::Dialog(key) = self.dialogs.find(request)
            && let Some((dialog, _)) = self.dialogs.get_mut(key)
        {
            dialog.heard_from(request);
        }
    }

    /// Whether an answer to what has these header fields says to which session it belongs.
    fn says_session(&self, headers: &Headers) -> bool {
        match self.config.session_ids {
            SessionIds::Never => false,
            SessionIds::Follow => headers.contains(HeaderName::SessionId) && is_said(headers),
            SessionIds::Always => true,
        }
    }

    /// What a call that we place because of a REFER in another, or in place of it, says of the session.
    // RFC 7989 §6: "it MUST NOT use the
    // current peer's UUID value when sending the first message to what it
    // believes may be a new peer endpoint (even if the exchange results in
    // communicating with the same physical or logical entity).  The
    // endpoint MUST retain its own UUID value"
    pub(super) fn keep_session(&self, dialog: Option<DialogKey>, call: &mut OutgoingCall) {
        let dialog = dialog.and_then(|dialog| self.dialogs.get(dialog));
        if let Some(session_id) = dialog.and_then(|(dialog, _)| dialog.session_id()) {
            call.set_session_uuid(session_id.local());
        }
    }
}

fn is_said(headers: &Headers) -> bool {
    matches!(headers.get::<SessionId<'_>>(), Ok(Some(said)) if said.local() != SessionId::NIL)
}

/// Notes in an INVITE that is sent again to the same place who answered it.
pub(super) fn heard_again(invite: &mut Request, response: &Response) {
    if let Some(mut session_id) = SessionIdentifier::sent(invite.headers())
        && response.headers().contains(HeaderName::SessionId)
    {
        session_id.hear_response(response.headers());
        set(invite, &session_id);
    }
}

/// Forgets in an INVITE that goes elsewhere who answered it.
pub(super) fn heard_nothing(invite: &mut Request) {
    if let Some(session_id) = SessionIdentifier::sent(invite.headers()) {
        set(invite, &SessionIdentifier::new(session_id.local()));
    }
}

fn set(invite: &mut Request, session_id: &SessionIdentifier) {
    let value = session_id.to_header().to_string();
    // Hexadecimal digits: it cannot be refused.
    let _ = invite.headers_mut().set_raw(SessionId::NAME, value.as_bytes());
}
