//! Questions of lookups put to a resolver, off the path of the messages.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sip_transport::Input;
use sip_transport::locate::{
    Answer, Cache, FAILURE_VALID, Found, LookupError, Question, QuestionNumber, Zone,
};
use tokio::sync::mpsc;

use super::now;

/// Questions under way at once; beyond it one ends with [`LookupError::Busy`]. Lookups that ask the same wait
/// for one answer.
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
    /// A table, and nothing else: for tests, and for who knows all servers.
    Zone(Arc<Zone>),
    /// The DNS: NAPTR, SRV and addresses, kept for their time to live. One may serve many shards; each
    /// keeps answers of its own.
    #[cfg(feature = "dns")]
    Dns(Arc<sip_transport::locate::Dns>),
}

/// The questions of one shard.
#[derive(Debug)]
pub(super) struct Lookups {
    resolver: Resolver,
    cache: Cache,
    /// Those under way, and who waits for each.
    waiting: HashMap<Question, Vec<(u64, QuestionNumber)>>,
    sender: mpsc::Sender<(Question, Found)>,
    answers: mpsc::Receiver<(Question, Found)>,
    /// What took no waiting.
    answered: Vec<Input>,
}

impl Lookups {
    pub(super) fn new(resolver: Resolver) -> Self {
        let (sender, answers) = mpsc::channel(LIMIT);
        Self {
            resolver,
            cache: Cache::default(),
            waiting: HashMap::new(),
            sender,
            answers,
            answered: Vec::new(),
        }
    }

    /// Asks; the answer comes by [`Self::poll`].
    pub(super) fn start(&mut self, id: u64, number: QuestionNumber, question: Question) {
        let known = self.known(&question);
        if known.is_none()
            && let Some(waiting) = self.waiting.get_mut(&question)
        {
            waiting.push((id, number));
            return;
        }
        let is_full = self.waiting.len() >= LIMIT;
        if let Some(result) = known.or(is_full.then_some(Err(LookupError::Busy))) {
            self.answered.push(Input::Resolved { id, number, result });
            return;
        }
        self.waiting.insert(question.clone(), vec![(id, number)]);
        let (resolver, sender) = (self.resolver.clone(), self.sender.clone());
        tokio::spawn(async move {
            let found = tokio::time::timeout(TIMEOUT, resolver.find(&question)).await;
            let too_late = Found { result: Err(LookupError::Timeout), valid_for: FAILURE_VALID };
            // There is room for each that is under way. Closed: the shard has ended.
            let _ = sender.send((question, found.unwrap_or(too_late))).await;
        });
    }

    /// What can be said at once.
    fn known(&self, question: &Question) -> Option<Result<Answer, LookupError>> {
        match (&self.resolver, question) {
            (Resolver::Zone(zone), _) => Some(zone.answer(question)),
            (Resolver::System, Question::Naptr(_) | Question::Srv(_)) => {
                Some(Ok(Answer::none(question)))
            }
            _ => self.cache.find(now(), question).cloned(),
        }
    }

    /// Appends the answers that came. Pending, with the waker registered if a question is under way,
    /// when there were none.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, inputs: &mut Vec<Input>) -> Poll<()> {
        let before = inputs.len();
        inputs.append(&mut self.answered);
        while !self.waiting.is_empty()
            && let Poll::Ready(Some((question, found))) = self.answers.poll_recv(cx)
        {
            let waiting = self.waiting.remove(&question).unwrap_or_default();
            inputs.extend(waiting.into_iter().map(|(id, number)| {
                let result = found.result.clone();
                Input::Resolved { id, number, result }
            }));
            self.cache.keep(now(), question, found);
        }
        if inputs.len() > before { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Resolver {
    /// What takes waiting.
    async fn find(&self, question: &Question) -> Found {
        match self {
            Self::System => {
                let result = addresses(question.name()).await.map(Answer::Host);
                // It does not say for how long: that is for the system to know.
                Found { result, valid_for: Duration::ZERO }
            }
            Self::Zone(zone) => Found { result: zone.answer(question), valid_for: Duration::ZERO },
            #[cfg(feature = "dns")]
            Self::Dns(dns) => dns.find(question).await,
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
