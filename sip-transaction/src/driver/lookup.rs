//! Questions of lookups put to a resolver, off the path of the messages.

use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sip_transport::Input;
use sip_transport::locate::{Answer, LookupError, Question, QuestionNumber, Zone};
use tokio::sync::mpsc;

/// Questions under way at once; beyond it one ends with [`LookupError::Busy`].
pub(super) const LIMIT: usize = 256;

/// How long the answer to a question may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Who answers what a lookup asks.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Resolver {
    /// The resolver of the operating system, and with it the hosts file. It knows addresses only: no
    /// domain has NAPTR or SRV records.
    #[default]
    System,
    /// A table, and nothing else.
    Zone(Arc<Zone>),
    /// The DNS: NAPTR, SRV and addresses, kept for their time to live. One may serve many shards.
    #[cfg(feature = "dns")]
    Dns(Arc<sip_transport::locate::Dns>),
}

/// The questions of one shard.
#[derive(Debug)]
pub(super) struct Lookups {
    resolver: Resolver,
    sender: mpsc::Sender<Input>,
    answers: mpsc::Receiver<Input>,
    under_way: usize,
    /// Those that took no waiting.
    known: Vec<Input>,
}

impl Lookups {
    pub(super) fn new(resolver: Resolver) -> Self {
        let (sender, answers) = mpsc::channel(LIMIT);
        Self { resolver, sender, answers, under_way: 0, known: Vec::new() }
    }

    /// Asks; the answer comes by [`Self::poll`].
    pub(super) fn start(&mut self, id: u64, number: QuestionNumber, question: Question) {
        let known = match (&self.resolver, &question) {
            (Resolver::Zone(zone), question) => Some(zone.answer(question)),
            (Resolver::System, Question::Host(_)) => None,
            (Resolver::System, question) => Some(Ok(Answer::none(question))),
            #[cfg(feature = "dns")]
            (Resolver::Dns(_), _) => None,
        };
        let known = known.or((self.under_way >= LIMIT).then_some(Err(LookupError::Busy)));
        if let Some(result) = known {
            self.known.push(Input::Resolved { id, number, result });
            return;
        }
        self.under_way += 1;
        let (resolver, sender) = (self.resolver.clone(), self.sender.clone());
        tokio::spawn(async move {
            let answer = tokio::time::timeout(TIMEOUT, resolver.ask(&question));
            let result = answer.await.unwrap_or(Err(LookupError::Timeout));
            // There is room for each that is under way. Closed: the shard has ended.
            let _ = sender.send(Input::Resolved { id, number, result }).await;
        });
    }

    /// Appends the answers that came. Pending, with the waker registered if a question is under way,
    /// when there were none.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, inputs: &mut Vec<Input>) -> Poll<()> {
        let before = inputs.len();
        inputs.append(&mut self.known);
        while self.under_way > 0
            && let Poll::Ready(Some(answer)) = self.answers.poll_recv(cx)
        {
            self.under_way -= 1;
            inputs.push(answer);
        }
        if inputs.len() > before { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Resolver {
    /// What takes waiting.
    async fn ask(&self, question: &Question) -> Result<Answer, LookupError> {
        match self {
            Self::System => addresses(question.name()).await.map(Answer::Host),
            Self::Zone(zone) => zone.answer(question),
            #[cfg(feature = "dns")]
            Self::Dns(dns) => dns.answer(question).await,
        }
    }
}

/// The addresses that the system knows, each once, in its order.
async fn addresses(name: &str) -> Result<Vec<IpAddr>, LookupError> {
    // The port is not part of the question.
    let found = tokio::net::lookup_host((name, 0)).await.map_err(|error| {
        tracing::debug!(name, %error, "host name lookup");
        // What it says about a name differs from system to system: unknown is the usual reason.
        LookupError::NoSuchName
    })?;
    let mut addresses = Vec::new();
    for addr in found {
        if !addresses.contains(&addr.ip()) {
            addresses.push(addr.ip());
        }
    }
    Ok(addresses)
}
