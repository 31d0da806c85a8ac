//! What the four machines have in common: the actions they ask for, and the names of intervals.
//!
//! A machine holds a few bytes of state and touches nothing: [`Transactions`](crate::Transactions)
//! feeds it inputs and carries out the actions that it pushes, in their order.

use core::time::Duration;

use smallvec::SmallVec;

use crate::Config;

/// What a machine wants done. `T` is its own set of timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action<T> {
    /// Pass the message at hand to the transport: the request of a client, for the first time or
    /// again; the response that the transaction user just gave to a server.
    Send,
    /// Pass the last response to the transport once more.
    Resend,
    /// Make a 100 (Trying) and send it.
    SendTrying,
    /// Make the ACK for the response at hand, or send again the one that was made.
    SendAck,
    /// Send a CANCEL, in a transaction of its own.
    SendCancel,
    /// Hand the message that came to the transaction user.
    Deliver,
    Start(T, Interval),
    Stop(T),
    /// Tell the transaction user that the ACK to its refusal came.
    Confirm,
    /// Tell the transaction user that nobody answered.
    Timeout,
    /// Tell the transaction user that the message could not be sent.
    TransportError,
    /// The transaction is over: destroy it.
    Terminate,
}

pub(crate) type Actions<T> = SmallVec<[Action<T>; 4]>;

/// The intervals of SIP. Each has a list in the timer store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interval {
    /// T1·2ⁿ.
    Backoff(u8),
    /// MIN(T1·2ⁿ, T2).
    CappedBackoff(u8),
    T2,
    T4,
    /// 64·T1.
    Lifetime,
    TimerD,
    /// How long a transaction user may be silent about an INVITE.
    Trying,
    /// How long it may be silent about anything else: RFC 4320.
    NonInviteTrying,
}

impl Interval {
    /// 2⁶·T1 is the 64·T1 after which every transaction has given up.
    const MOST_DOUBLINGS: u8 = 6;

    /// The durations of the lists, in the order that [`list`](Self::list) counts on.
    pub(crate) fn durations(config: &Config) -> [Duration; 12] {
        let t1 = config.t1;
        [
            t1,
            t1 * 2,
            t1 * 4,
            t1 * 8,
            t1 * 16,
            t1 * 32,
            t1 * 64,
            config.t2,
            config.t4,
            config.timer_d,
            config.trying_after,
            until_timer_e_is_t2(config),
        ]
    }

    /// The list of this interval.
    pub(crate) fn list(self, config: &Config) -> usize {
        match self {
            Self::Backoff(n) => usize::from(n.min(Self::MOST_DOUBLINGS)),
            Self::CappedBackoff(n) => {
                let n = n.min(Self::MOST_DOUBLINGS);
                if config.t1 * (1 << n) < config.t2 { usize::from(n) } else { 7 }
            }
            Self::Lifetime => 6,
            Self::T2 => 7,
            Self::T4 => 8,
            Self::TimerD => 9,
            Self::Trying => 10,
            Self::NonInviteTrying => 11,
        }
    }
}

/// The time from the first transmission of a request to the moment that its Timer E is set to T2:
/// 3.5 s with the usual values (fired after 500 ms, 1 s and 2 s; the next interval is 4 s).
fn until_timer_e_is_t2(config: &Config) -> Duration {
    let (mut passed, mut interval) = (Duration::ZERO, config.t1);
    while interval < config.t2 {
        passed += interval;
        interval *= 2;
    }
    passed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_what_the_table_says() {
        let config = Config::default();
        let durations = Interval::durations(&config);
        let of = |interval: Interval| durations[interval.list(&config)].as_millis();
        assert_eq!(
            [0, 1, 2, 3, 6, 7].map(|n| of(Interval::Backoff(n))),
            [500, 1_000, 2_000, 4_000, 32_000, 32_000]
        );
        // RFC 3261 §17.1.2.2: "For the default values of T1 and T2, this results in intervals of 500 ms,
        // 1 s, 2 s, 4 s, 4 s, 4 s, etc."
        assert_eq!(
            [0, 1, 2, 3, 4, 5].map(|n| of(Interval::CappedBackoff(n))),
            [500, 1_000, 2_000, 4_000, 4_000, 4_000]
        );
        assert_eq!(
            [Interval::T2, Interval::T4, Interval::Lifetime, Interval::TimerD].map(of),
            [4_000, 5_000, 32_000, 32_000]
        );
        assert_eq!([Interval::Trying, Interval::NonInviteTrying].map(of), [200, 3_500]);
    }

    #[test]
    fn a_t2_that_is_no_multiple_of_t1_caps_too() {
        let config = Config::default().t2(Duration::from_millis(1_500));
        let durations = Interval::durations(&config);
        let of = |n| durations[Interval::CappedBackoff(n).list(&config)].as_millis();
        assert_eq!([0, 1, 2, 6].map(of), [500, 1_000, 1_500, 1_500]);
    }
}
