//! `--session-expires` and its like: session timers (RFC 4028).

use clap::Args;
use sip_ua::{SessionTimerPolicy, Side};

/// Which session timers to ask for.
#[derive(Args, Clone, Debug)]
pub(crate) struct Timing {
    /// The session interval, in seconds; 0 for no session timers at all
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    session_expires: u32,
    /// The shortest session interval that is agreed to, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 90)]
    min_se: u32,
    /// Who is to refresh: `us` or `peer`; by default it is left to the peer
    #[arg(long, value_parser = side)]
    refresher: Option<Side>,
}

fn side(text: &str) -> Result<Side, String> {
    match text {
        "us" => Ok(Side::Local),
        "peer" => Ok(Side::Remote),
        _ => Err("us or peer".to_owned()),
    }
}

impl Timing {
    pub(crate) fn policy(&self) -> Option<SessionTimerPolicy> {
        let policy = SessionTimerPolicy::default()
            .interval(Some(self.session_expires))
            .min_se(self.min_se)
            .refresher(self.refresher);
        (self.session_expires > 0).then_some(policy)
    }
}
