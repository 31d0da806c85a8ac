//! What outlives a restart: a confirmed dialog, and its session timer, as plain data.
//!
//! With the feature `serde` both can be written and read.

use alloc::string::{String, ToString as _};
use core::time::Duration;

use sip_message::{Header as _, SessionId, Uri};

use crate::dialog::{Dialog, Role};
use crate::session_id::SessionIdentifier;
use crate::session_timer::Side;

/// A confirmed dialog as plain data: [`Dialog::snapshot`] makes it, [`Dialog::restored`] the dialog from it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DialogSnapshot {
    pub(crate) call_id: String,
    pub(crate) local_tag: String,
    pub(crate) remote_tag: String,
    pub(crate) local_party: String,
    pub(crate) remote_party: String,
    pub(crate) remote_target: String,
    /// The first hop, and the value of Route.
    pub(crate) routes: Option<(String, String)>,
    pub(crate) local_cseq: Option<u32>,
    pub(crate) remote_cseq: Option<u32>,
    pub(crate) is_caller: bool,
    pub(crate) is_secure: bool,
    /// What Session-ID said last.
    #[cfg_attr(feature = "serde", serde(default))]
    pub(crate) session_id: Option<String>,
}

/// A session timer as plain data, whose times count from when it was taken:
/// [`SessionTimer::snapshot`](crate::SessionTimer::snapshot) makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TimerSnapshot {
    pub(crate) interval: u32,
    pub(crate) min_se: Option<u32>,
    /// Whether we refresh.
    pub(crate) is_refresher: bool,
    pub(crate) one_sided: bool,
    pub(crate) next: Duration,
    pub(crate) expires: Duration,
}

impl TimerSnapshot {
    pub(crate) fn side(&self) -> Side {
        if self.is_refresher { Side::Local } else { Side::Remote }
    }
}

/// Why a snapshot makes no dialog: it was changed since it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the snapshot holds what is no URI, or too large a sequence number")]
pub struct SnapshotError;

/// By how much the CSeq numbers jump at a restart: nobody knows how many were used since the snapshot.
// RFC 3261 §12.2.2: "It is possible for the
// CSeq sequence number to be higher than the remote sequence number by
// more than one.  This is not an error condition, and a UAS SHOULD be
// prepared to receive and process requests with CSeq values more than
// one higher than the previous received request."
const CSEQ_GAP: u32 = 1_000;

impl DialogSnapshot {
    pub(crate) fn uri(text: &str) -> Result<Uri<'static>, SnapshotError> {
        Uri::parse(text.as_bytes()).map(Uri::into_owned).map_err(|_| SnapshotError)
    }

    /// One that was changed and cannot be read is none: nothing else depends on it.
    pub(crate) fn session_id(&self) -> Option<SessionIdentifier> {
        let said = SessionId::parse(self.session_id.as_ref()?.as_bytes()).ok()?;
        Some(SessionIdentifier::said(&said))
    }

    pub(crate) fn role(&self) -> Role {
        if self.is_caller { Role::Uac } else { Role::Uas }
    }

    pub(crate) fn cseq_after(&self) -> Result<Option<u32>, SnapshotError> {
        let after = |last: u32| {
            last.checked_add(CSEQ_GAP).filter(|next| *next < 1 << 31).ok_or(SnapshotError)
        };
        // Where none was used by then, some may have been since.
        Ok(Some(after(self.local_cseq.unwrap_or(0))?))
    }
}

impl Dialog {
    /// The dialog as plain data, to outlive a restart; `None` while it is early.
    pub fn snapshot(&self) -> Option<DialogSnapshot> {
        if self.state() != crate::State::Confirmed {
            return None;
        }
        let id = self.id();
        Some(DialogSnapshot {
            call_id: id.call_id.to_string(),
            local_tag: id.local_tag.to_string(),
            remote_tag: id.remote_tag.to_string(),
            local_party: self.local_party().to_string(),
            remote_party: self.remote_party().to_string(),
            remote_target: self.remote_target().to_string(),
            routes: self.route_texts(),
            local_cseq: self.cseqs().0,
            remote_cseq: self.cseqs().1,
            is_caller: self.role() == Role::Uac,
            is_secure: self.is_secure(),
            session_id: self.session_id().map(|session_id| session_id.to_header().to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use sip_message::{Method, Transport};

    use super::*;
    use crate::test_support::{answer, from_bob, invite};

    fn dialog() -> Dialog {
        let routes = "Record-Route: <sip:p2.example.com;lr>, <sip:p1.example.com;lr>";
        let ok = answer("200 OK", "b1", &alloc::format!("{routes}\nContact: <sip:bob@192.0.2.4>"));
        let mut dialog = Dialog::uac(&invite(""), &ok, Transport::Udp).unwrap();
        dialog.receive(&from_bob("INFO", 7, "")).unwrap();
        dialog
    }

    #[test]
    fn a_dialog_goes_on_where_it_was() {
        let mut dialog = dialog();
        let mut again = Dialog::restored(&dialog.snapshot().unwrap()).unwrap();
        assert_eq!(again.id(), dialog.id());
        assert_eq!(again.next_hop(), dialog.next_hop());
        let (old, new) =
            (dialog.request(Method::Bye).unwrap(), again.request(Method::Bye).unwrap());
        let (old, new) = (old.build().unwrap(), new.build().unwrap());
        let text = |request: &sip_message::Request| {
            String::from_utf8(request.to_bytes().to_vec()).unwrap()
        };
        // RFC 3261 §12.2.2: "It is possible for the
        // CSeq sequence number to be higher than the remote sequence number by
        // more than one.  This is not an error condition"
        assert_eq!(text(&new), text(&old).replace("CSeq: 11 ", "CSeq: 1011 "));
        assert!(again.receive(&from_bob("INFO", 6, "")).is_err(), "it is of the past");
        assert!(again.receive(&from_bob("INFO", 8, "")).is_ok());
    }

    #[test]
    fn what_was_changed_makes_no_dialog() {
        let whole = dialog().snapshot().unwrap();
        assert!(Dialog::restored(&whole).is_ok());
        let broken = DialogSnapshot { remote_target: "bob".into(), ..whole.clone() };
        assert_eq!(Dialog::restored(&broken), Err(SnapshotError));
        let broken = DialogSnapshot { routes: Some(("".into(), "".into())), ..whole.clone() };
        assert_eq!(Dialog::restored(&broken), Err(SnapshotError));
        for cseq in [u32::MAX, (1 << 31) - 1000] {
            let broken = DialogSnapshot { local_cseq: Some(cseq), ..whole.clone() };
            assert_eq!(Dialog::restored(&broken), Err(SnapshotError));
        }
    }

    #[test]
    fn an_early_dialog_is_not_kept() {
        let ringing = answer("180 Ringing", "b1", "Contact: <sip:bob@192.0.2.4>");
        let dialog = Dialog::uac(&invite(""), &ringing, Transport::Udp).unwrap();
        assert_eq!(dialog.snapshot(), None);
    }
}
