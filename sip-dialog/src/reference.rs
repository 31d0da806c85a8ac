//! Requests that point at another dialog than their own: Replaces (RFC 3891), Join (RFC 3911) and Target-Dialog
//! (RFC 4538).

use core::hash::Hasher;

use alloc::vec::Vec;

use sip_message::{Header, HeaderName, Join, Method, Replaces, Request, StatusCode, TargetDialog};
use siphasher::sip::SipHasher13;

use crate::Rejection;
use crate::dialog::{DialogId, Role, State};
use crate::table::{DialogKey, Dialogs};

/// How many dialogs that have ended are remembered, the last ones: 8 bytes each.
const REMEMBERED: usize = 256;

/// What a dialog in the table is to a request that points at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// An INVITE made it, and the session lives or is being made.
    Session,
    /// An INVITE made it, and the session is over; what is left completes its last transactions.
    Ended,
    /// Another request made it: SUBSCRIBE or REFER.
    Other,
}

/// The dialog that an INVITE is to take the place of ([`Dialogs::replaced`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replaced {
    /// Which.
    pub dialog: DialogKey,
    /// Whether it may be replaced only as long as it is early: to be looked at again when the INVITE is
    /// accepted, should that not be at once.
    pub early_only: bool,
}

impl<T> Dialogs<T> {
    /// The dialog that an INVITE with a Replaces header field is to take the place of; `None` without one.
    ///
    /// When the INVITE is accepted, that dialog is ended: by BYE if it is confirmed, by CANCEL if it is early,
    /// for then it is we who call. Whether its sender may replace it is for the caller to judge.
    ///
    /// # Errors
    /// The answer owed: 400 for two of them, one that cannot be read, one with a Join beside it, or one in
    /// another request; 481 where no dialog is meant, one that no INVITE made, or one that rings here; 603 for
    /// one that has ended; 486 for a confirmed one where only an early one was to be replaced.
    pub fn replaced(
        &self,
        request: &Request,
        standing: impl FnOnce(DialogKey, &T) -> Standing,
    ) -> Result<Option<Replaced>, Rejection> {
        let Some(replaces) = sole::<Replaces<'_>>(request, HeaderName::Join)? else {
            return Ok(None);
        };
        // RFC 3891 §3: "the to-tag parameter
        // is compared to the local tag, and the from-tag parameter is compared
        // to the remote tag"
        let (call_id, local, remote) = (replaces.call_id(), replaces.to_tag(), replaces.from_tag());
        let key = self.pointed_at(call_id, local, remote, standing)?;
        let (dialog, _) = self.get(key).ok_or_else(Rejection::no_such_dialog)?;
        let early_only = replaces.is_early_only();
        match (dialog.state(), dialog.role()) {
            // RFC 3891 §3: "If the flag is
            // present, the UA rejects the request with a 486 Busy response."
            (State::Confirmed, _) if early_only => Err(Rejection::new(StatusCode::BUSY_HERE)),
            // RFC 3891 §3: "If the Replaces
            // header field matches an early dialog that was initiated by the UA, it
            // accepts the new INVITE by sending a 200-class response, and shuts
            // down the replaced dialog by sending a CANCEL."
            (State::Confirmed, _) | (State::Early, Role::Uac) => {
                Ok(Some(Replaced { dialog: key, early_only }))
            }
            // RFC 3891 §3: "If the Replaces header field matches an early dialog that was not
            // initiated by this UA, it returns a 481 (Call/Transaction Does Not
            // Exist) response to the new INVITE, and leaves the matched dialog
            // unchanged."
            (State::Early, Role::Uas) => Err(Rejection::no_such_dialog()),
        }
    }

    /// The dialog that an INVITE with a Join header field is to be joined with, early or confirmed; `None`
    /// without one.
    ///
    /// A user agent that has conferences ignores the field where the Request-URI is that of one
    /// (RFC 3911 §4), and does not ask here.
    ///
    /// # Errors
    /// The answer owed: 400 for two of them, one that cannot be read, one with a Replaces beside it, or one in
    /// another request; 481 where no dialog is meant, or one that no INVITE made; 603 for one that has ended.
    pub fn joined(
        &self,
        request: &Request,
        standing: impl FnOnce(DialogKey, &T) -> Standing,
    ) -> Result<Option<DialogKey>, Rejection> {
        let Some(join) = sole::<Join<'_>>(request, HeaderName::Replaces)? else { return Ok(None) };
        // RFC 3911 §4: "unlike the
        // Replaces header, the Join header has no limitation on its use with
        // early dialogs"
        self.pointed_at(join.call_id(), join.to_tag(), join.from_tag(), standing).map(Some)
    }

    /// The dialog whose knowledge shows that the sender of a request outside of it may ask for something.
    ///
    /// RFC 4538 §4 lets that count for more where the dialog [is secure](crate::Dialog::is_secure): of another
    /// every eavesdropper knows the identifiers.
    pub fn target_dialog(&self, request: &Request) -> Option<DialogKey> {
        // RFC 4538 §4: "If the dialog identifiers don't match, or if they don't contain both
        // a "remote-tag" and "local-tag" parameter, the header field MUST be
        // ignored"
        let target = request.get::<TargetDialog<'_>>().ok()??;
        let (local_tag, remote_tag) = (target.local_tag()?, target.remote_tag()?);
        self.find_id(&DialogId { call_id: target.call_id(), local_tag, remote_tag })
    }

    /// The one dialog with these identifiers.
    fn pointed_at(
        &self,
        call_id: &str,
        local_tag: &str,
        remote_tag: &str,
        standing: impl FnOnce(DialogKey, &T) -> Standing,
    ) -> Result<DialogKey, Rejection> {
        let id = DialogId { call_id, local_tag, remote_tag };
        let exact = self.find_id(&id);
        // RFC 3891 §6.1: "For compatibility with dialogs initiated by RFC 2543 [9] compliant UAs, a
        // tag of zero matches both tags of zero and null."
        let null = DialogId { remote_tag: "", ..id };
        let of_2543 = if remote_tag == "0" { self.find_id(&null) } else { None };
        let key = match (exact, of_2543) {
            (Some(key), None) | (None, Some(key)) => key,
            // RFC 3891 §3: "If the Replaces header field matches more than one dialog, the UA
            // MUST act as if no match is found."
            (Some(_), Some(_)) => return Err(Rejection::no_such_dialog()),
            // RFC 3891 §3: "If the Replaces header field matches a dialog which has already
            // terminated, the UA SHOULD decline the request with a 603 Declined
            // response."
            (None, None) if self.has_ended(&id) || self.has_ended(&null) && remote_tag == "0" => {
                return Err(Rejection::new(StatusCode::DECLINE));
            }
            // RFC 3891 §3: "If no match is found, the UAS rejects the INVITE and returns a 481
            // Call/Transaction Does Not Exist response."
            (None, None) => return Err(Rejection::no_such_dialog()),
        };
        let (_, value) = self.get(key).ok_or_else(Rejection::no_such_dialog)?;
        match standing(key, value) {
            Standing::Session => Ok(key),
            Standing::Ended => Err(Rejection::new(StatusCode::DECLINE)),
            // RFC 3891 §3: "Likewise, if the Replaces
            // header field matches a dialog which was not created with an INVITE,
            // the UAS MUST reject the request with a 481 response."
            Standing::Other => Err(Rejection::no_such_dialog()),
        }
    }
}

/// The header field of that kind, if it may stand in the request and says one thing.
fn sole<'a, H: Header<'a>>(
    request: &'a Request,
    contradiction: HeaderName<'static>,
) -> Result<Option<H>, Rejection> {
    let mut fields = request.get_all::<H>();
    let Some(first) = fields.next() else { return Ok(None) };
    let bad = || Rejection::new(StatusCode::BAD_REQUEST);
    // RFC 3891 §3: "If more than one Replaces header field is present in an INVITE, or if
    // a Replaces header field is present in a request other than INVITE,
    // the UAS MUST reject the request with a 400 Bad Request response."
    // RFC 3911 §4: "If both a Join
    // header field and another header field with contradictory semantics
    // (for example a Replaces [8] header field) are present in a request,
    // the request MUST be rejected with a 400 "Bad Request" response."
    if fields.next().is_some()
        || *request.method() != Method::Invite
        || request.headers().contains(contradiction)
    {
        return Err(bad());
    }
    first.map(Some).map_err(|_| bad())
}

/// The last dialogs that ended: a keyed hash each, so that a wrong "yes" is one in 2^56.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    hashes: Vec<u64>,
    /// The place of the oldest, once all are in use.
    next: usize,
}

impl Ended {
    pub(crate) fn note(&mut self, seed: [u64; 2], id: &DialogId<'_>) {
        let hash = hash(seed, id);
        match self.hashes.get_mut(self.next) {
            Some(oldest) => *oldest = hash,
            None => self.hashes.push(hash),
        }
        self.next = (self.next + 1) % REMEMBERED;
    }

    pub(crate) fn has(&self, seed: [u64; 2], id: &DialogId<'_>) -> bool {
        self.hashes.contains(&hash(seed, id))
    }
}

fn hash(seed: [u64; 2], id: &DialogId<'_>) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(seed[0], seed[1]);
    for part in [id.call_id, id.local_tag, id.remote_tag] {
        hasher.write(part.as_bytes());
        hasher.write_u8(0); // In none of them.
    }
    hasher.finish()
}

#[cfg(test)]
mod tests;
