//! What an endpoint counted.

/// Counters of one endpoint since its start; the `live` ones say what is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests that came and were well-formed.
    pub requests_received: u64,
    /// Responses that came and were well-formed.
    pub responses_received: u64,
    /// Requests sent, retransmissions included.
    pub requests_sent: u64,
    /// Responses sent, retransmissions included.
    pub responses_sent: u64,
    /// Requests that a timer sent again.
    pub request_retransmissions: u64,
    /// Requests that went to another target because one failed.
    pub failovers: u64,
    /// Responses sent again, by a timer or because the request came again.
    pub response_retransmissions: u64,
    /// Requests that came again and were absorbed by their transaction.
    pub requests_absorbed: u64,
    /// Dropped: not SIP, or cut short.
    pub dropped_malformed: u64,
    /// Dropped: a response that is not acceptable, or whose top Via is not ours.
    pub dropped_responses: u64,
    /// Dropped: a response that belongs to no transaction.
    pub dropped_strays: u64,
    /// Dropped: an ACK that is not acceptable, since nothing may answer an ACK.
    pub dropped_acks: u64,
    /// Requests refused without a transaction because they are not acceptable (400, 505 …).
    pub refused_invalid: u64,
    /// Requests refused with 503 because the table was full.
    pub refused_full: u64,
    /// Requests kept back since their next hop asked for fewer (RFC 7339).
    pub throttled: u64,
    /// CANCELs that matched nothing (481).
    pub refused_cancels: u64,
    /// Messages that the transport could not send.
    pub send_failures: u64,
    /// Client transactions that ended without a final response.
    pub timeouts: u64,
    /// INVITE server transactions whose final response nobody acknowledged (Timer H).
    pub unacknowledged: u64,
    /// Transactions created, client and server.
    pub transactions: u64,
    /// The server transactions among them.
    pub server_transactions: u64,
    /// Client transactions that live now.
    pub live_clients: usize,
    /// Server transactions that live now.
    pub live_servers: usize,
    /// Timers armed now, those of the transaction user included.
    pub live_timers: usize,
    /// Names that wait for their addresses now.
    pub live_lookups: usize,
    /// Next hops that asked for fewer requests.
    pub live_throttled: usize,
    /// Responses without a transaction that take another way than their request now.
    pub live_strays: usize,
}
