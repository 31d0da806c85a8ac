//! The four SIP transaction machines, sans-IO, with their timers (RFC 3261 §17, RFC 6026), and the driver on tokio
#![forbid(unsafe_code)]

mod branch;
mod client_invite;
mod client_non_invite;
mod config;
mod construct;
#[cfg(feature = "tokio")]
mod driver;
mod endpoint;
mod event;
mod key;
mod machine;
mod matching;
mod random;
mod server_invite;
mod server_non_invite;
mod slots;
mod stats;
mod timer;
mod transactions;

pub use config::{Config, ConfigError};
#[cfg(feature = "tokio")]
pub use driver::{Application, Shard, Stopper};
pub use endpoint::Endpoint;
pub use event::{Event, Gone, NextHop, Output, RequestError, TransactionUser};
pub use key::{ClientKey, Key, ServerKey};
pub use random::Random;
pub use stats::Stats;
pub use timer::TimerKey;
pub use transactions::Transactions;
