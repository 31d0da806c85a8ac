//! The four SIP transaction machines, sans-IO, with their timers (RFC 3261 §17, RFC 6026), and the driver on tokio
#![forbid(unsafe_code)]
