//! What the agent's timers are for.

use super::key::{KEY_BITS, RawKey};

/// What a timer of the agent is for; its token holds this and the key of what it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimerKind {
    /// A call that came in is not answered yet: say so again, or give up.
    Invited,
    /// Our 2xx has no ACK yet: send it again, or give up.
    Accepted,
    /// A call of ours rings, or is cancelled.
    Calling,
    /// Our re-INVITE hangs in provisional responses, or it or our UPDATE waits after a 491.
    OurModification,
    /// The peer's wish to modify the session is not answered, or our 2xx to its re-INVITE has no ACK.
    TheirModification,
    /// The application owes a reply.
    Owed,
    /// The application owes the answer to an offer in a 2xx or a reliable provisional response.
    Answer,
    /// A registration is to be refreshed or tried again.
    Registration,
    /// A REFER waits, at either end of it.
    Refer,
    /// The sender of a request is being looked up.
    Held,
    /// The flow of a registration needs a keep-alive, or has not answered one.
    KeepAlive,
    /// The same of the flow of calls.
    CallFlow,
    /// A session is to be refreshed, or was not.
    Session,
    /// A subscription of ours is due for a refresh, its end, or a new try.
    Subscription,
    /// A subscription of a peer runs out, or is to be told something.
    Notifier,
    /// A reliable provisional response of ours has no PRACK yet: send it again, or give up.
    Reliable,
    /// A publication is due for a refresh or a new try.
    Publication,
    /// A call of ours that was refused is placed again.
    PlaceAgain,
}

impl TimerKind {
    const ALL: [Self; 18] = [
        Self::Invited,
        Self::Accepted,
        Self::Calling,
        Self::OurModification,
        Self::TheirModification,
        Self::Owed,
        Self::Answer,
        Self::Registration,
        Self::Refer,
        Self::Held,
        Self::KeepAlive,
        Self::CallFlow,
        Self::Session,
        Self::Subscription,
        Self::Notifier,
        Self::Reliable,
        Self::Publication,
        Self::PlaceAgain,
    ];

    pub(crate) fn token(self, key: impl Into<RawKey>) -> u64 {
        (self as u64) << KEY_BITS | key.into().bits()
    }

    pub(crate) fn of_token(token: u64) -> Option<(Self, RawKey)> {
        let kind = Self::ALL.get((token >> KEY_BITS) as usize)?;
        Some((*kind, RawKey::from_bits(token)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_kind_and_key() {
        for (place, kind) in TimerKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
            let key = RawKey::from_bits(u64::MAX);
            let (again, found) = TimerKind::of_token(kind.token(key)).unwrap();
            assert_eq!(again, kind);
            assert!(found == key);
        }
    }
}
