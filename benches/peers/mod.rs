//! The parsers of others, on the same bytes: each at the two levels of [`crate::ours`].
//!
//! *Framing* is whatever the parser does to know the start line and the header fields. *Routing* adds
//! the typed values that a transaction user needs. A number comes back that depends on what was
//! found, so that nothing can be optimised away, and so that a parser that finds nothing is noticed.

pub mod ezk;
pub mod http;
pub mod rsip;
pub mod rsipstack;
