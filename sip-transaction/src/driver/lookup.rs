//! Host name lookups by the system's resolver, off the path of the messages.

use std::net::IpAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use sip_transport::{Input, TransportError};
use tokio::sync::mpsc;

/// Lookups under way at once; beyond it a lookup fails with [`TransportError::QueueFull`].
pub(super) const LIMIT: usize = 256;

/// How long a lookup may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The lookups of one shard.
#[derive(Debug)]
pub(super) struct Lookups {
    sender: mpsc::Sender<Answer>,
    answers: mpsc::Receiver<Answer>,
    under_way: usize,
    refused: Vec<Answer>,
}

#[derive(Debug)]
struct Answer {
    id: u64,
    result: Result<Vec<IpAddr>, TransportError>,
}

impl Lookups {
    pub(super) fn new() -> Self {
        let (sender, answers) = mpsc::channel(LIMIT);
        Self { sender, answers, under_way: 0, refused: Vec::new() }
    }

    /// Asks for the addresses of `name`; the answer comes by [`Self::poll`].
    pub(super) fn start(&mut self, id: u64, name: Box<str>, port: u16) {
        if self.under_way >= LIMIT {
            self.refused.push(Answer { id, result: Err(TransportError::QueueFull) });
            return;
        }
        self.under_way += 1;
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let result = addresses(&name, port).await;
            // There is room for each that is under way. Closed: the shard has ended.
            let _ = sender.send(Answer { id, result }).await;
        });
    }

    /// Appends the answers that came. Pending, with the waker registered if a lookup is under way,
    /// when there were none.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, inputs: &mut Vec<Input>) -> Poll<()> {
        let before = inputs.len();
        let resolved = |Answer { id, result }| Input::Resolved { id, result };
        inputs.extend(self.refused.drain(..).map(resolved));
        while self.under_way > 0
            && let Poll::Ready(Some(answer)) = self.answers.poll_recv(cx)
        {
            self.under_way -= 1;
            inputs.push(resolved(answer));
        }
        if inputs.len() > before { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// The addresses, each once, in the order of the system.
async fn addresses(name: &str, port: u16) -> Result<Vec<IpAddr>, TransportError> {
    let found = match tokio::time::timeout(TIMEOUT, tokio::net::lookup_host((name, port))).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            tracing::debug!(name, %error, "host name lookup");
            return Err(TransportError::NameNotFound);
        }
        Err(_) => return Err(TransportError::NameNotFound),
    };
    let mut addresses = Vec::new();
    for addr in found {
        if !addresses.contains(&addr.ip()) {
            addresses.push(addr.ip());
        }
    }
    if addresses.is_empty() { Err(TransportError::NameNotFound) } else { Ok(addresses) }
}
