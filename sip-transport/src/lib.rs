//! SIP transports: framing of streams, flows and their connection table, Via rules, UDP and TCP sockets (RFC 3261 §18)
#![forbid(unsafe_code)]
