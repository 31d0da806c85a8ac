//! A registrar and proxy that runs: sockets, digest, a location store, and routing by an `async fn`.
//!
//! ```text
//!             +-- not ours, not proven, draining ----------------------------> 403, 407, 503
//! request --> | REGISTER for a domain of ours --> registrar --> store -------> 200, 401, 423 …
//!             | SUBSCRIBE to `reg` of a domain of ours --> watchers --> store --> 200, 403, 423 …, and NOTIFYs
//!             +-- anything else ---------------> Routing::route --> Route ---> proxy core
//! ```
//!
//! One task owns the sockets and everything of the protocol. What [`Users`](sip_auth::Users), [`Routing::route`] and the
//! store have ready at once costs no hop; what takes time runs as a task of its own while the request waits.

mod builder;
mod desk;
mod door;
mod reginfo;
mod routing;
mod service;
mod watchers;

use std::future::Future;
use std::time::Duration;

use sip_message::StatusCode;
use sip_transaction::Stopper;
use sip_transport::Locals;
use tokio::sync::{mpsc, oneshot, watch};

pub use builder::{ServerBuilder, StartError};
pub use routing::{Asked, Home, Routing};
pub use watchers::RegEventsConfig;

use crate::Reply;
use desk::Command;

/// How often a server that is to end looks whether it may.
const LOOK: Duration = Duration::from_millis(50);

/// A registrar and proxy that runs in a task of its own. It ends by [`shutdown`](Self::shutdown), or at once when
/// this is dropped.
///
/// ```no_run
/// use sip_auth::Credentials;
/// use sip_proxy::Server;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Server::builder("example.com")
///     .listen("udp:0.0.0.0:5060".parse()?)
///     .listen("tcp:0.0.0.0:5060".parse()?)
///     .users([Credentials::new("alice", "secret"), Credentials::new("bob", "secret")])
///     .start()
///     .await?;
/// tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
/// server.shutdown(std::time::Duration::from_secs(10)).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    commands: mpsc::Sender<Command>,
    stopper: Stopper,
    locals: Locals,
    ended: watch::Receiver<()>,
    /// Ends the tasks beside the shard.
    _tasks: tokio::task::JoinSet<()>,
}

/// How much is under way in a [`Server`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerLive {
    /// Requests that were proxied, and whose transactions are not all gone: most only absorb what comes late.
    pub contexts: usize,
    /// Transactions in which somebody still waits.
    pub transactions: usize,
    /// Registrations that wait for the store.
    pub registrations: usize,
    /// Subscriptions to registrations (RFC 3680).
    pub subscriptions: usize,
    /// The lease of this node is being given back, so that the others send nothing here any more.
    pub leaving: bool,
    /// Senders that are being looked up.
    pub lookups: usize,
    /// Requests that [`Routing::process`] is about to answer.
    pub processing: usize,
}

impl ServerLive {
    /// Whether nobody waits for anything.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.transactions == 0 && self.registrations == 0 && self.lookups == 0 && !self.leaving
    }
}

impl Server {
    /// A server for this domain, which is also the realm of its digest.
    pub fn builder(domain: &str) -> ServerBuilder {
        ServerBuilder::new(domain)
    }

    /// The addresses that it listens on, with the ports that were taken.
    #[must_use]
    pub fn locals(&self) -> &Locals {
        &self.locals
    }

    /// How much is under way; nothing, once the server has ended.
    pub async fn live(&self) -> ServerLive {
        let (sender, receiver) = oneshot::channel();
        if self.commands.send(Command::Live(sender)).await.is_err() {
            return ServerLive::default();
        }
        receiver.await.unwrap_or_default()
    }

    /// Refuses new requests from now on, by 503 with Retry-After; what is under way, and requests within dialogs, go
    /// on. The lease of a node that shares its store is given back: others have nothing brought to its connections any
    /// more, but what they had let in before is.
    pub async fn drain(&self) {
        let _ = self.commands.send(Command::Drain).await;
    }

    /// [Drains](Self::drain), waits until nothing is under way, at most for `limit`, and ends. What was still under
    /// way is returned.
    pub async fn shutdown(self, limit: Duration) -> ServerLive {
        self.drain().await;
        let idle = async {
            while !self.live().await.is_idle() {
                tokio::time::sleep(LOOK).await;
            }
        };
        let left = match tokio::time::timeout(limit, idle).await {
            Ok(()) => ServerLive::default(),
            Err(_) => self.live().await,
        };
        self.stopper.stop(Duration::ZERO);
        let mut ended = self.ended.clone();
        // An error is the end.
        while ended.changed().await.is_ok() {}
        left
    }
}

/// What a request is answered that nobody can judge or serve at present.
fn unavailable(retry_after: u32) -> Reply {
    Reply::new(StatusCode::SERVICE_UNAVAILABLE).header("Retry-After", &retry_after.to_string())
}

/// Work that has not come to its end at the first poll.
type Pending<T> = std::pin::Pin<Box<dyn Future<Output = T> + Send>>;

/// The result of what has it at once; otherwise the work, to be gone on with elsewhere.
fn at_once<T>(work: impl Future<Output = T> + Send + 'static) -> Result<T, Pending<T>> {
    use std::task::{Context, Poll, Waker};
    let mut work: Pending<T> = Box::pin(work);
    // Whoever polls it next leaves a waker that wakes.
    match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Ok(result),
        Poll::Pending => Err(work),
    }
}
