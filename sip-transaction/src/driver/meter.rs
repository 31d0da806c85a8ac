//! What a shard counted, told to the `metrics` facade: `docs/metrics.md` lists the names.
//!
//! Nothing below the driver knows of it. The machines and the sockets keep plain numbers, which are read here
//! about once a second while something goes on; only what they cannot know, which messages passed by which
//! transport, is counted here, in plain numbers too. So the facade costs nothing on the path of a
//! message, and a shard at rest is not woken for it.

use std::time::{Duration, Instant};

use metrics::{counter, gauge};
use sip_message::Transport;
use sip_transport::{ByReason, ByTransport, Input, SocketStats, Transmit};

use crate::Stats;

#[cfg(test)]
mod tests;

/// How often the facade is told.
const PERIOD: Duration = Duration::from_secs(1);

/// The counts of a shard, and what of them was told.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// When to tell; `None` while nothing has happened since the last time.
    due: Option<Instant>,
    received: Passed,
    sent: Passed,
    unsent: ByReason,
    /// What was told.
    told: Told,
}

#[derive(Debug, Default)]
struct Told {
    received: Passed,
    sent: Passed,
    unsent: ByReason,
    stats: Stats,
    sockets: SocketStats,
    queued: [f64; 3],
}

/// Messages that passed one way.
#[derive(Clone, Copy, Debug, Default)]
struct Passed {
    kinds: [ByTransport; METHODS.len() + CLASSES.len()],
    bytes: ByTransport,
}

/// The methods that have a name among the labels. All others count as the last: who sends us messages
/// shall not make labels.
const METHODS: [&str; 15] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "REGISTER",
    "OPTIONS",
    "PRACK",
    "UPDATE",
    "INFO",
    "MESSAGE",
    "SUBSCRIBE",
    "NOTIFY",
    "REFER",
    "PUBLISH",
    "other",
];

/// The classes of responses.
const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "6xx"];

impl Passed {
    fn count(&mut self, transport: Transport, bytes: &[u8]) {
        let Some(kind) = kind(bytes) else { return };
        if let Some(counts) = self.kinds.get_mut(kind) {
            counts.count(transport);
        }
        self.bytes.add(transport, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    }
}

/// What the first line says it is, by its place among [`METHODS`] and then [`CLASSES`]; `None` if it is no
/// SIP: a keep-alive, STUN, garbage.
fn kind(bytes: &[u8]) -> Option<usize> {
    if let Some(rest) = bytes.strip_prefix(b"SIP/2.0 ") {
        let class = usize::from(rest.first()?.checked_sub(b'1')?);
        return (class < CLASSES.len()).then(|| METHODS.len().saturating_add(class));
    }
    let end = bytes.iter().take(32).position(|&byte| byte == b' ')?;
    let method = bytes.get(..end).filter(|method| !method.is_empty())?;
    if !method.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    let other = METHODS.len().checked_sub(1)?;
    Some(METHODS.iter().position(|known| known.as_bytes() == method).unwrap_or(other))
}

impl Meter {
    /// Something came in.
    pub(super) fn input(&mut self, input: &Input) {
        match input {
            Input::Datagram { flow, payload } | Input::Message { flow, payload } => {
                self.received.count(flow.transport, payload);
            }
            Input::SendFailed { error, .. } => self.unsent.count(Some(*error)),
            _ => {}
        }
    }

    /// Something goes out.
    pub(super) fn transmit(&mut self, transmit: &Transmit) {
        self.sent.count(transmit.destination.transport(), &transmit.payload);
    }

    /// The shard has done something; whether it is time to tell.
    pub(super) fn turn(&mut self, now: Instant) -> bool {
        match self.due {
            Some(due) => due <= now,
            None => {
                self.due = now.checked_add(PERIOD);
                false
            }
        }
    }

    /// When it is time to tell.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Tells what there is to tell. `waiting` is how many commands wait, and how many may.
    pub(super) fn tell(&mut self, stats: Stats, sockets: SocketStats, waiting: (usize, usize)) {
        self.due = None;
        let told = &self.told;
        tell_passed(&self.received, &told.received, "received");
        tell_passed(&self.sent, &told.sent, "sent");
        for (reason, count) in since(self.unsent.iter(), told.unsent.iter()) {
            counter!("sip_send_failures_total", "reason" => reason).increment(count);
        }
        tell_stats(&stats, &told.stats);
        tell_sockets(&sockets, &told.sockets);
        let queued = [
            fill(waiting.0, waiting.1),
            fill(sockets.live_inbound, sockets.inbound_queue),
            fill(sockets.live_udp_bytes, sockets.udp_queue_bytes),
        ];
        tell_what_is(&(stats, sockets, queued), &(told.stats, told.sockets, told.queued));
        let (received, sent, unsent) = (self.received, self.sent, self.unsent);
        self.told = Told { received, sent, unsent, stats, sockets, queued };
    }
}

/// The queues of a shard.
const QUEUES: [&str; 3] = ["commands", "streams", "udp"];

/// A shard that is gone has nothing any more: its part of what is summed over all shards goes with it.
impl Drop for Meter {
    fn drop(&mut self) {
        let nothing = (Stats::default(), SocketStats::default(), [0.0; 3]);
        tell_what_is(&nothing, &(self.told.stats, self.told.sockets, self.told.queued));
    }
}

fn tell_passed(now: &Passed, then: &Passed, way: &'static str) {
    for (place, (now, then)) in now.kinds.iter().zip(&then.kinds).enumerate() {
        for (transport, count) in since(now.iter(), then.iter()) {
            let transport = name(transport);
            match place.checked_sub(METHODS.len()).and_then(|class| CLASSES.get(class)) {
                Some(class) => {
                    let labels = [("direction", way), ("transport", transport), ("class", *class)];
                    counter!("sip_responses_total", &labels).increment(count);
                }
                None => {
                    let method = METHODS.get(place).copied().unwrap_or_default();
                    let labels = [("direction", way), ("transport", transport), ("method", method)];
                    counter!("sip_requests_total", &labels).increment(count);
                }
            }
        }
    }
    for (transport, count) in since(now.bytes.iter(), then.bytes.iter()) {
        let labels = [("direction", way), ("transport", name(transport))];
        counter!("sip_bytes_total", &labels).increment(count);
    }
}

fn tell_stats(now: &Stats, then: &Stats) {
    let more = |now: u64, then: u64| now.saturating_sub(then);
    for (reason, count) in [
        ("not_sip", more(now.dropped_malformed, then.dropped_malformed)),
        ("invalid_request", more(now.refused_invalid, then.refused_invalid)),
        ("invalid_response", more(now.dropped_responses, then.dropped_responses)),
        ("invalid_ack", more(now.dropped_acks, then.dropped_acks)),
        ("stray_response", more(now.dropped_strays, then.dropped_strays)),
        ("stray_cancel", more(now.refused_cancels, then.refused_cancels)),
        ("full", more(now.refused_full, then.refused_full)),
    ] {
        if count > 0 {
            counter!("sip_messages_refused_total", "reason" => reason).increment(count);
        }
    }
    for (kind, count) in [
        ("request", more(now.request_retransmissions, then.request_retransmissions)),
        ("response", more(now.response_retransmissions, then.response_retransmissions)),
    ] {
        if count > 0 {
            counter!("sip_retransmissions_total", "kind" => kind).increment(count);
        }
    }
    for (name, count) in [
        ("sip_requests_absorbed_total", more(now.requests_absorbed, then.requests_absorbed)),
        ("sip_failovers_total", more(now.failovers, then.failovers)),
    ] {
        if count > 0 {
            counter!(name).increment(count);
        }
    }
    let [clients, clients_over] = clients(now);
    let [clients_then, clients_over_then] = self::clients(then);
    let [servers, servers_over] = servers(now);
    let [servers_then, servers_over_then] = self::servers(then);
    for (name, side, count) in [
        (STARTED, "client", more(clients, clients_then)),
        (STARTED, "server", more(servers, servers_then)),
        (ENDED, "client", more(clients_over, clients_over_then)),
        (ENDED, "server", more(servers_over, servers_over_then)),
        (TIMED_OUT, "client", more(now.timeouts, then.timeouts)),
        (TIMED_OUT, "server", more(now.unacknowledged, then.unacknowledged)),
    ] {
        if count > 0 {
            counter!(name, "side" => side).increment(count);
        }
    }
}

const STARTED: &str = "sip_transactions_started_total";
const ENDED: &str = "sip_transactions_ended_total";
const TIMED_OUT: &str = "sip_transactions_timed_out_total";

/// What is, not what has been: the difference, so that what several shards have adds up.
fn tell_what_is(now: &(Stats, SocketStats, [f64; 3]), then: &(Stats, SocketStats, [f64; 3])) {
    for ((queue, now), then) in QUEUES.into_iter().zip(now.2).zip(then.2) {
        gauge!("sip_queue_fill_ratio", "queue" => queue).increment(now - then);
    }
    let ((now, sockets, _), (then, sockets_then, _)) = (now, then);
    for (side, change) in [
        ("client", difference(now.live_clients, then.live_clients)),
        ("server", difference(now.live_servers, then.live_servers)),
    ] {
        gauge!("sip_transactions", "side" => side).increment(change);
    }
    gauge!("sip_timers").increment(difference(now.live_timers, then.live_timers));
    gauge!("sip_lookups").increment(difference(now.live_lookups, then.live_lookups));
    let (now, then) = (sockets.live_connections, sockets_then.live_connections);
    gauge!("sip_connections").increment(difference(now, then));
}

/// How many transactions were started by us, and how many of them are over.
fn clients(stats: &Stats) -> [u64; 2] {
    over(stats.transactions.saturating_sub(stats.server_transactions), stats.live_clients)
}

/// How many transactions were started by peers, and how many of them are over.
fn servers(stats: &Stats) -> [u64; 2] {
    over(stats.server_transactions, stats.live_servers)
}

fn over(started: u64, live: usize) -> [u64; 2] {
    [started, started.saturating_sub(u64::try_from(live).unwrap_or(u64::MAX))]
}

fn tell_sockets(now: &SocketStats, then: &SocketStats) {
    for (reason, now, then) in [
        ("gate", now.refused_by_gate, then.refused_by_gate),
        ("rate", now.refused_over_rate, then.refused_over_rate),
        ("rate_on_stream", now.paused_over_rate, then.paused_over_rate),
        ("too_large", now.dropped_too_large, then.dropped_too_large),
        ("connections", now.refused_connections, then.refused_connections),
    ] {
        let count = now.saturating_sub(then);
        if count > 0 {
            counter!("sip_admissions_refused_total", "reason" => reason).increment(count);
        }
    }
    for (origin, now, then) in
        [("accepted", &now.accepted, &then.accepted), ("dialled", &now.dialled, &then.dialled)]
    {
        for (transport, count) in since(now.iter(), then.iter()) {
            let labels = [("origin", origin), ("transport", name(transport))];
            counter!("sip_connections_opened_total", &labels).increment(count);
        }
    }
    for (name, now, then) in [
        ("sip_connections_closed_total", &now.closed, &then.closed),
        ("sip_connections_failed_total", &now.failed, &then.failed),
    ] {
        for (reason, count) in since(now.iter(), then.iter()) {
            counter!(name, "reason" => reason).increment(count);
        }
    }
}

/// What of `now` is more than it was, with how much more.
fn since<K>(
    now: impl Iterator<Item = (K, u64)>,
    then: impl Iterator<Item = (K, u64)>,
) -> impl Iterator<Item = (K, u64)> {
    now.zip(then)
        .map(|((key, now), (_, then))| (key, now.saturating_sub(then)))
        .filter(|(_, count)| *count > 0)
}

const fn name(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "tcp",
        Transport::Tls => "tls",
        Transport::Sctp => "sctp",
        Transport::Ws => "ws",
        Transport::Wss => "wss",
        _ => "udp",
    }
}

/// Counts of what lives fit a float exactly.
fn difference(now: usize, then: usize) -> f64 {
    exact(now) - exact(then)
}

#[expect(clippy::cast_precision_loss, reason = "nothing here is counted beyond 2^53")]
fn exact(count: usize) -> f64 {
    count as f64
}

/// How full a queue is, from 0 to 1.
fn fill(used: usize, room: usize) -> f64 {
    if room == 0 { 0.0 } else { exact(used) / exact(room) }
}
