//! Why a subscription ended, and what follows (RFC 6665 §4.1.3).

use core::time::Duration;

/// Why a notifier ends a subscription: the `reason` in Subscription-State (RFC 6665 §4.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TerminationReason {
    /// The subscriber should subscribe anew at once: another notifier takes over, say.
    Deactivated,
    /// The subscriber should come back later.
    Probation,
    /// The subscriber is not welcome (any more).
    Rejected,
    /// It was not refreshed in time, or the subscriber ended it.
    Timeout,
    /// The notifier could not find out in time whether it grants the subscription.
    GiveUp,
    /// What was watched is no more.
    NoResource,
    /// The state will not change.
    Invariant,
    /// None was given, or one that this RFC does not know.
    Other,
}

impl TerminationReason {
    /// The reason of this name; any that is not known is [`TerminationReason::Other`].
    pub fn of(reason: Option<&str>) -> TerminationReason {
        let is = |name: &str| reason.is_some_and(|reason| reason.eq_ignore_ascii_case(name));
        let known = TerminationReason::ALL.into_iter();
        known.rev().find(|known| is(known.as_str())).unwrap_or(TerminationReason::Other)
    }

    const ALL: [TerminationReason; 7] = [
        TerminationReason::Deactivated,
        TerminationReason::Probation,
        TerminationReason::Rejected,
        TerminationReason::Timeout,
        TerminationReason::GiveUp,
        TerminationReason::NoResource,
        TerminationReason::Invariant,
    ];

    /// As Subscription-State says it; empty for [`TerminationReason::Other`].
    pub fn as_str(self) -> &'static str {
        match self {
            TerminationReason::Deactivated => "deactivated",
            TerminationReason::Probation => "probation",
            TerminationReason::Rejected => "rejected",
            TerminationReason::Timeout => "timeout",
            TerminationReason::GiveUp => "giveup",
            TerminationReason::NoResource => "noresource",
            TerminationReason::Invariant => "invariant",
            TerminationReason::Other => "",
        }
    }

    /// What a subscriber does when its subscription ended for this reason, with this `retry-after`.
    pub fn what_next(self, retry_after: Option<u32>) -> Resubscribe {
        let given = retry_after.map(|seconds| Duration::from_secs(seconds.into()));
        match self {
            // RFC 6665 §4.1.3: "the subscriber SHOULD retry immediately with a new subscription."
            // RFC 6665 §4.1.3: "The "retry-after" parameter has no semantics for "deactivated"."
            TerminationReason::Deactivated => Resubscribe::Now,
            // RFC 6665 §4.1.3: "the client SHOULD retry at some later time (as long as the resource's state
            // is still relevant to the client at that time).  If a "retry-after"
            // parameter is also present, the client SHOULD wait at least the
            // number of seconds specified by that parameter before attempting to
            // re-subscribe."
            TerminationReason::Probation => given.map_or(Resubscribe::Later, Resubscribe::After),
            // RFC 6665 §4.1.3: "Clients MAY re-subscribe immediately.  The "retry-after" parameter has no
            // semantics for "timeout"."
            TerminationReason::Timeout => Resubscribe::Now,
            // RFC 6665 §4.1.3: "otherwise, the client MAY retry
            // immediately, but will likely get put back into pending state."
            // So that it had better wait.
            TerminationReason::GiveUp => given.map_or(Resubscribe::Later, Resubscribe::After),
            // RFC 6665 §4.1.3: "The subscription has been terminated due to change in
            // authorization policy.  Clients SHOULD NOT attempt to re-subscribe."
            // RFC 6665 §4.1.3: "The subscription has been terminated because the
            // resource state that was being monitored no longer exists.  Clients
            // SHOULD NOT attempt to re-subscribe."
            // RFC 6665 §4.1.3: "Clients SHOULD NOT
            // attempt to re-subscribe after receiving a reason code of
            // "invariant", regardless of the presence of or value of a "retry-
            // after" parameter."
            TerminationReason::Rejected
            | TerminationReason::NoResource
            | TerminationReason::Invariant => Resubscribe::Never,
            // RFC 6665 §4.1.3: "If no reason code or an unknown
            // reason code is present, the client MAY attempt to re-subscribe at any
            // time (unless a "retry-after" parameter is present, in which case the
            // client SHOULD NOT attempt re-subscription until after the number of
            // seconds specified by the "retry-after" parameter)."
            TerminationReason::Other => given.map_or(Resubscribe::Later, Resubscribe::After),
        }
    }
}

/// What follows the end of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resubscribe {
    /// A new subscription at once; after a wait if the one that ended was as short-lived as the one before it.
    Now,
    /// A new one after this long.
    After(Duration),
    /// A new one after a wait of our choice.
    Later,
    /// None.
    Never,
}
