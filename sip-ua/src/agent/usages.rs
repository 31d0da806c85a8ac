//! What the dialogs of the agent are used for (RFC 5057): a call, subscriptions, or both.
//!
//! A dialog lives as long as its last usage. Whoever is done with one says so by [`Agent::leave_dialog`], and
//! nobody else takes dialogs out of the table.

use sip_dialog::{DialogKey, Dialogs};

use super::Agent;
use crate::{CallKey, NotifierKey, ReferKey, SubscriptionKey};

/// One usage of a dialog.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usage {
    Call(CallKey),
    /// We are told of a state.
    Subscription(SubscriptionKey),
    /// We tell a state.
    Notifier(NotifierKey),
    /// Somebody was referred to someone, and reports.
    Refer(ReferKey),
}

/// All usages of one dialog: one, as a rule.
#[allow(clippy::box_collection, reason = "a thin pointer: what one usage alone takes is no more")]
pub(crate) enum Usages {
    One(Usage),
    Several(Box<Vec<Usage>>),
}

impl Usages {
    /// The call.
    ///
    /// RFC 5057 §5.3: "A dialog can have at most one invite usage"
    pub(crate) fn call(&self) -> Option<CallKey> {
        self.iter().find_map(|usage| match usage {
            Usage::Call(call) => Some(call),
            Usage::Subscription(_) | Usage::Notifier(_) | Usage::Refer(_) => None,
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Usage> {
        match self {
            Self::One(usage) => core::slice::from_ref(usage),
            Self::Several(usages) => usages.as_slice(),
        }
        .iter()
        .copied()
    }

    pub(crate) fn add(&mut self, usage: Usage) {
        match self {
            Self::One(first) => *self = Self::Several(Box::new(vec![*first, usage])),
            Self::Several(usages) => usages.push(usage),
        }
    }

    /// Whether this was the last one; it is then still there.
    fn remove(&mut self, usage: Usage) -> bool {
        match self {
            Self::One(last) => *last == usage,
            Self::Several(usages) => {
                usages.retain(|other| *other != usage);
                if let [last] = usages.as_slice() {
                    *self = Self::One(*last);
                }
                false
            }
        }
    }
}

impl From<Usage> for Usages {
    fn from(usage: Usage) -> Self {
        Self::One(usage)
    }
}

/// Takes a usage from a dialog, and the dialog out of the table with the last one.
pub(crate) fn leave(dialogs: &mut Dialogs<Usages>, dialog: DialogKey, usage: Usage) {
    // RFC 6665 §4.5.2: "If a subscription's destruction leaves no other application state
    // associated with the dialog, the dialog terminates.  The
    // destruction of other application state (such as that created by an
    // INVITE) will not terminate the dialog if a subscription is still
    // associated with that dialog."
    if dialogs.get_mut(dialog).is_some_and(|(_, usages)| usages.remove(usage)) {
        dialogs.remove(dialog);
    }
}

impl Agent {
    /// A usage of this dialog is over; so is the dialog if it was the last.
    pub(crate) fn leave_dialog(&mut self, dialog: DialogKey, usage: Usage) {
        leave(&mut self.dialogs, dialog, usage);
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::RawKey;
    use super::*;

    #[test]
    fn the_last_usage_is_told() {
        let key = RawKey::from_bits;
        let call = Usage::Call(CallKey::from(key(1)));
        let told = Usage::Subscription(SubscriptionKey::from(key(1)));
        let tells = Usage::Notifier(NotifierKey::from(key(1)));
        let mut usages = Usages::from(told);
        assert!(usages.call().is_none());
        usages.add(call);
        usages.add(tells);
        assert!(usages.call() == Some(CallKey::from(key(1))) && usages.iter().count() == 3);
        assert!(!usages.remove(call));
        assert!(usages.call().is_none());
        assert!(!usages.remove(call), "only once");
        assert!(!usages.remove(told));
        assert!(matches!(usages, Usages::One(_)));
        assert!(!usages.remove(told));
        assert!(usages.remove(tells));
        assert!(size_of::<Usages>() <= 16, "a call pays for what it does not use");
    }
}
