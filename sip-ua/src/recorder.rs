//! A tap that keeps what passes by.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use sip_message::Transport;
use sip_transport::{Tap, Tapped};

use crate::Ladder;

/// How many messages a [`Recorder`] keeps unless told otherwise.
const DEFAULT_LIMIT: usize = 10_000;

/// Keeps the messages that user agents send and receive, for a [`Ladder`] or a test to look at.
///
/// A clone is another handle on the same recording, and [`tap`](Self::tap) makes as many taps on it
/// as there are user agents to listen to. At most a fixed number of messages is kept
/// ([`with_limit`](Self::with_limit), 10,000 by default): when it is full the oldest go.
///
/// ```
/// let recorder = sip_ua::Recorder::new();
/// let tap = recorder.tap("alice"); // give it to `UserAgentBuilder::tap`
/// assert!(recorder.messages().is_empty());
/// # drop(tap);
/// ```
#[derive(Clone, Debug)]
pub struct Recorder {
    recording: Arc<Mutex<Recording>>,
}

#[derive(Debug)]
struct Recording {
    messages: VecDeque<Recorded>,
    limit: usize,
    forgotten: u64,
}

/// One message as a [`Recorder`] saw it pass.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recorded {
    /// When it was handed to the socket, or came from it.
    pub at: Instant,
    /// The name of the tap that saw it.
    pub node: Arc<str>,
    /// Whether the node sent it; otherwise the node received it.
    pub sent: bool,
    /// What carried it.
    pub transport: Transport,
    /// The node's own address.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// The message, exactly as it was on the wire.
    pub bytes: Bytes,
}

impl Recorded {
    /// A message that no tap saw: from a capture, or a simulated network.
    #[must_use]
    pub fn new(
        at: Instant,
        node: Arc<str>,
        sent: bool,
        transport: Transport,
        (local, remote): (SocketAddr, SocketAddr),
        bytes: Bytes,
    ) -> Self {
        Self { at, node, sent, transport, local, remote, bytes }
    }
}

impl Recorder {
    /// An empty recording of at most 10,000 messages.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limit(DEFAULT_LIMIT)
    }

    /// An empty recording of at most `limit` messages: the newest are kept.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        let recording = Recording { messages: VecDeque::new(), limit, forgotten: 0 };
        Self { recording: Arc::new(Mutex::new(recording)) }
    }

    /// A tap that writes into this recording; `name` heads its column in the ladder.
    #[must_use]
    pub fn tap(&self, name: &str) -> RecorderTap {
        RecorderTap { recording: Arc::clone(&self.recording), node: Arc::from(name) }
    }

    /// What was recorded so far, in the order of time.
    #[must_use]
    pub fn messages(&self) -> Vec<Recorded> {
        let mut messages: Vec<Recorded> = self.lock().messages.iter().cloned().collect();
        // Several taps write here, each in its own order: stable, so that equal times keep theirs.
        messages.sort_by_key(|message| message.at);
        messages
    }

    /// How many messages were let go because the recording was full.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.lock().forgotten
    }

    /// Empties the recording.
    pub fn clear(&self) {
        let mut recording = self.lock();
        recording.messages.clear();
        recording.forgotten = 0;
    }

    /// The call flow of what was recorded so far.
    #[must_use]
    pub fn ladder(&self) -> Ladder {
        Ladder::new(&self.messages())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Recording> {
        // A recording is whole at every step: a panic elsewhere leaves nothing half done.
        self.recording.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

/// One user agent's ear on a [`Recorder`]: a [`Tap`].
#[derive(Debug)]
pub struct RecorderTap {
    recording: Arc<Mutex<Recording>>,
    node: Arc<str>,
}

impl Tap for RecorderTap {
    fn message(&mut self, tapped: Tapped<'_>) {
        let mut recording = self.recording.lock().unwrap_or_else(PoisonError::into_inner);
        if recording.messages.len() >= recording.limit {
            recording.forgotten += 1;
            if recording.messages.pop_front().is_none() {
                return; // a limit of none
            }
        }
        recording.messages.push_back(Recorded {
            at: tapped.at,
            node: Arc::clone(&self.node),
            sent: tapped.sent,
            transport: tapped.transport,
            local: tapped.local,
            remote: tapped.remote,
            bytes: Bytes::copy_from_slice(tapped.bytes),
        });
    }
}
