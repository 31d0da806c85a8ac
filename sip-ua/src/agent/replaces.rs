//! Calls that come in and point at another call of ours: to take its place (Replaces, RFC 3891) or to join it
//! (Join, RFC 3911).

use std::sync::Arc;
use std::time::Instant;

use sip_dialog::{DialogId, DialogKey, Rejection, Standing, State};
use sip_message::{HeaderName, Method, Replaces, Request, StatusCode};
use sip_transaction::Transactions;

use super::Agent;
use super::call::{Call, Phase};
use super::usages::Usages;
use crate::{AgentError, CallKey, EndReason};

/// The other call that a call that comes in points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Related {
    /// It is to take the place of this one, which ends by itself when it is accepted: by BYE, or by CANCEL
    /// if we are still calling there.
    Replaces(CallKey),
    /// It is to be joined with this one, as a conference: the mixing is the application's, which refuses by
    /// 488 if it cannot.
    Joins(CallKey),
}

/// What the agent keeps of that until the call is answered.
#[derive(Clone, Copy)]
pub(crate) struct Pointer {
    related: Related,
    dialog: DialogKey,
    early_only: bool,
}

impl Pointer {
    pub(super) fn related(self) -> Related {
        self.related
    }
}

impl Agent {
    /// The other call that this one, which came in and is not answered yet, points at.
    ///
    /// RFC 3891 §3 wants the caller's right to it verified. The agent has seen that the caller knows the
    /// identifiers of the dialog, and [who it is](crate::ServerAuthentication) if that is asked. What more it
    /// takes is for the application to say: From, Referred-By or a proof, and a refusal by 403.
    pub fn related(&self, call: CallKey) -> Option<Related> {
        match &self.calls.get(call)?.phase {
            Phase::Invited(invited) => invited.pointer.map(|pointer| pointer.related),
            _ => None,
        }
    }

    /// The call of ours that a Replaces header field names, if we have it.
    pub fn call_in_place(&self, replaces: &Replaces<'_>) -> Option<CallKey> {
        let id = DialogId {
            call_id: replaces.call_id(),
            local_tag: replaces.to_tag(),
            remote_tag: replaces.from_tag(),
        };
        let (_, usages) = self.dialogs.get(self.dialogs.find_id(&id)?)?;
        usages.call()
    }

    /// What an INVITE outside of any dialog points at, or the answer it is owed.
    pub(super) fn pointer_of(&self, request: &Request) -> Result<Option<Pointer>, Rejection> {
        if self.supports("replaces")
            && let Some(found) =
                self.dialogs.replaced(request, |key, usages| self.standing(key, usages))?
        {
            let related = Related::Replaces(self.call_in(found.dialog)?);
            let early_only = found.early_only;
            return Ok(Some(Pointer { related, dialog: found.dialog, early_only }));
        }
        if self.supports("join")
            && let Some(dialog) =
                self.dialogs.joined(request, |key, usages| self.standing(key, usages))?
        {
            let related = Related::Joins(self.call_in(dialog)?);
            return Ok(Some(Pointer { related, dialog, early_only: false }));
        }
        Ok(None)
    }

    // RFC 3891 §3: "or if
    // a Replaces header field is present in a request other than INVITE,
    // the UAS MUST reject the request with a 400 Bad Request response."
    pub(super) fn check_pointers(&self, request: &Request) -> Result<(), Rejection> {
        let misplaced = |tag, name| {
            self.supports(tag)
                && *request.method() != Method::Invite
                && request.headers().contains(name)
        };
        if misplaced("replaces", HeaderName::Replaces) || misplaced("join", HeaderName::Join) {
            return Err(Rejection::new(StatusCode::BAD_REQUEST));
        }
        Ok(())
    }

    /// Whether the agent says that it knows this extension.
    pub(crate) fn supports(&self, tag: &str) -> bool {
        self.config.supported.iter().any(|known| known.eq_ignore_ascii_case(tag))
    }

    fn call_in(&self, dialog: DialogKey) -> Result<CallKey, Rejection> {
        let found = self.dialogs.get(dialog).and_then(|(_, usages)| usages.call());
        found.ok_or_else(Rejection::no_such_dialog)
    }

    fn standing(&self, dialog: DialogKey, usages: &Usages) -> Standing {
        let Some(call) = usages.call() else { return Standing::Other };
        let Some(call) = self.calls.get(call) else { return Standing::Ended };
        match call.phase {
            // A callee that lost to another, or one that is being left, is as good as gone.
            Phase::Established | Phase::Accepted(_) if call.dialog != Some(dialog) => {
                Standing::Ended
            }
            Phase::Cancelling | Phase::Over => Standing::Ended,
            Phase::Calling | Phase::Invited(_) | Phase::Accepted(_) | Phase::Established => {
                Standing::Session
            }
        }
    }

    /// Whether what a call that came in points at still allows that it is accepted.
    ///
    /// # Errors
    /// The call is refused by then, and over.
    pub(super) fn may_accept(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
    ) -> Result<(), AgentError> {
        let Some(Call { phase: Phase::Invited(invited), .. }) = self.calls.get(key) else {
            return Ok(());
        };
        let Some(Pointer { early_only: true, dialog, .. }) = invited.pointer else { return Ok(()) };
        let confirmed =
            self.dialogs.get(dialog).is_some_and(|(dialog, _)| dialog.state() == State::Confirmed);
        if confirmed {
            // Answered while this one rang: the race that RFC 3891 §7.1 has the flag for.
            let (server, request) = (invited.server, Arc::clone(&invited.request));
            self.refuse_invite(now, tx, key, server, &request, StatusCode::BUSY_HERE);
            self.end_call(now, tx, key, EndReason::Local);
            return Err(AgentError::Gone);
        }
        Ok(())
    }

    /// A call was accepted: the one whose place it takes ends. One that has ended meanwhile is no reason to
    /// refuse: its peer hung up because it wanted to be replaced, as a rule.
    pub(super) fn replace(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        pointer: Option<Pointer>,
    ) {
        let Some(Pointer { related: Related::Replaces(key), .. }) = pointer else { return };
        let Some(call) = self.calls.get_mut(key) else { return };
        match &mut call.phase {
            // RFC 3891 §3: "Otherwise, it accepts the new INVITE by sending a 200-class response,
            // and shuts down the replaced dialog by sending a BYE."
            Phase::Established => self.bye_and_end(now, tx, key, EndReason::Replaced),
            Phase::Accepted(accepted) => {
                accepted.hang_up.get_or_insert(EndReason::Replaced);
            }
            // RFC 3891 §3: "and shuts
            // down the replaced dialog by sending a CANCEL"
            Phase::Calling => {
                if let Some(caller) = &mut call.caller {
                    caller.replaced = true;
                }
                self.cancel(now, tx, key);
            }
            // An early dialog of a caller of ours is never replaced.
            Phase::Invited(_) | Phase::Cancelling | Phase::Over => {}
        }
    }
}
