//! Two kinds of nodes in one network.

use std::time::Instant;

use sip_transaction::{Event, TransactionUser, Transactions};

/// Either of two transaction users: a [`Network`](crate::Network) of user agents and proxies, say. Their events come
/// out the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The first kind.
    A(A),
    /// The second kind.
    B(B),
}

impl<A, B> Either<A, B> {
    /// The first kind, if it is that.
    pub fn a(&mut self) -> Option<&mut A> {
        match self {
            Self::A(a) => Some(a),
            Self::B(_) => None,
        }
    }

    /// The second kind, if it is that.
    pub fn b(&mut self) -> Option<&mut B> {
        match self {
            Self::A(_) => None,
            Self::B(b) => Some(b),
        }
    }
}

impl<A: TransactionUser, B: TransactionUser> TransactionUser for Either<A, B> {
    type Event = Either<A::Event, B::Event>;

    fn handle(&mut self, now: Instant, event: Event, transactions: &mut Transactions) {
        match self {
            Self::A(a) => a.handle(now, event, transactions),
            Self::B(b) => b.handle(now, event, transactions),
        }
    }

    fn poll_event(&mut self) -> Option<Self::Event> {
        match self {
            Self::A(a) => a.poll_event().map(Either::A),
            Self::B(b) => b.poll_event().map(Either::B),
        }
    }
}
