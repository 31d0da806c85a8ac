//! What a network does to the datagrams between two nodes.

use std::time::Duration;

/// What the network does to what is sent from one node to another.
///
/// On a datagram transport each fault falls on each datagram by itself. On a stream transport
/// nothing is lost, doubled or overtaken: a loss there costs [`recovery`](Self::recovery) of delay,
/// as a retransmission by TCP would.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Link {
    /// The part of the datagrams that is lost, 0.0 to 1.0. Default 0.
    pub loss: f64,
    /// The part of the datagrams that arrives twice, the second by a delay of its own. Default 0.
    pub duplication: f64,
    /// The least time from one node to the other. Default 1 ms.
    pub delay: Duration,
    /// Up to this much is added to the delay, evenly spread and anew for each datagram: so later
    /// ones overtake earlier ones. Default 0.
    pub jitter: Duration,
    /// What a loss costs on a stream. Default 200 ms.
    pub recovery: Duration,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            loss: 0.0,
            duplication: 0.0,
            delay: Duration::from_millis(1),
            jitter: Duration::ZERO,
            recovery: Duration::from_millis(200),
        }
    }
}

impl Link {
    /// The same with that part of the datagrams lost (0.0 to 1.0).
    pub const fn with_loss(mut self, part: f64) -> Self {
        self.loss = part;
        self
    }

    /// The same with that part of the datagrams arriving twice (0.0 to 1.0).
    pub const fn with_duplication(mut self, part: f64) -> Self {
        self.duplication = part;
        self
    }

    /// The same with that least time from one node to the other.
    pub const fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The same with up to this much added to the delay.
    pub const fn with_jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }
}
