//! How loaded the proxy is, how much less it asks for, and whom it turns away (RFC 7339 §5.3, §5.10.2).
//!
//! ```text
//!   Load, ten times a second --sample--> a loss in percent ---> asked of clients that take part in overload control
//!                                                         \--> applied here to those that do not: 503
//!   contexts near their limit ----------> 503 with Retry-After, for all but what is preferred
//! ```
//!
//! A server that has more to do than it can must get rid of work where that costs least: before anything waits for
//! it. So what is measured is how busy the machine is and how long what came has to wait, and the loss is set such
//! that it stays a little below full.

use core::time::Duration;
use std::time::Instant;

use sip_message::{Request, StatusCode};
use sip_transaction::{Category, Load, LossFilter, ServerKey, Transactions};

use crate::Reply;

/// When a proxy counts as overloaded. Plain values with setters.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OverloadConfig {
    /// Up to what part of its time the shard may be busy. Default 0.85.
    pub busy: f64,
    /// How long what comes may wait before it is looked at. Default 50 ms.
    pub delay: Duration,
    /// How long a loss that is asked for holds if nothing more is heard (RFC 7339 §4.3). Default 500 ms: some
    /// samples may be missed.
    pub validity: Duration,
}

impl Default for OverloadConfig {
    fn default() -> Self {
        Self { busy: 0.85, delay: Duration::from_millis(50), validity: Duration::from_millis(500) }
    }
}

impl OverloadConfig {
    /// Sets up to what part of its time the shard may be busy: from 0.1 to 1.
    #[must_use]
    pub fn busy(mut self, part: f64) -> Self {
        self.busy = part.clamp(0.1, 1.0);
        self
    }

    /// Sets how long what comes may wait.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay.max(Duration::from_millis(1));
        self
    }

    /// Sets how long a loss that is asked for holds.
    #[must_use]
    pub fn validity(mut self, validity: Duration) -> Self {
        self.validity = validity;
        self
    }
}

/// Sets the loss by the load, and says who is turned away.
#[derive(Debug)]
pub(crate) struct Overload {
    config: OverloadConfig,
    /// Of the requests that would come, the part that shall.
    passed: f64,
    /// How busy the shard is, with the last samples weighing most.
    busy: f64,
    /// The last waits: one that was long for a moment does not count.
    waits: [Duration; 3],
    filter: LossFilter,
    /// Requests turned away so far.
    rejected: u64,
}

/// How much the last sample weighs among all.
const WEIGHT: f64 = 0.3;

/// The part is at most halved, and grows by a tenth, with each sample: down fast, up slowly.
const FALLS: f64 = 0.5;
const RISES: f64 = 1.1;

/// So many always pass, or there would be nothing to measure by.
const FEWEST: f64 = 0.02;

/// From what part of their limit on the contexts count as a load.
const CROWDED: f64 = 0.8;

impl Overload {
    pub(crate) fn new(config: OverloadConfig) -> Self {
        Self {
            config,
            passed: 1.0,
            busy: 0.0,
            waits: [Duration::ZERO; 3],
            filter: LossFilter::default(),
            rejected: 0,
        }
    }

    /// How many requests were turned away.
    pub(crate) fn rejected(&self) -> u64 {
        self.rejected
    }

    /// Takes in a measurement, `fill` being how full the table of contexts is; asks for the loss that follows.
    // RFC 7339 §5.3: "the server control
    // algorithm MUST produce a value for the "oc" parameter that it expects
    // the receiving SIP clients to apply to all downstream SIP requests
    // (dialogue forming as well as in-dialogue) to this SIP server."
    pub(crate) fn sample(&mut self, now: Instant, tx: &mut Transactions, load: Load, fill: f64) {
        let loss = self.loss_of(load, fill);
        if loss > 0 || tx.demanded_loss() > 0 {
            tx.demand_loss(now, loss, self.config.validity);
        }
    }

    fn loss_of(&mut self, load: Load, fill: f64) -> u32 {
        // What comes within a tenth of a second is much by chance.
        let busy = if load.busy.is_nan() { 0.0 } else { load.busy.clamp(0.0, 1.0) };
        self.busy += (busy - self.busy) * WEIGHT;
        let by_time = self.config.busy / self.busy.max(0.01);
        let [_, second, third] = self.waits;
        self.waits = [second, third, load.delay];
        let wait = second.min(third).min(load.delay);
        let by_wait = self.config.delay.as_secs_f64() / wait.as_secs_f64().max(0.000_1);
        // A wait that is short says nothing about how much more could come.
        let by_wait = if by_wait < 1.0 { by_wait } else { RISES };
        let change = by_time.min(by_wait).clamp(FALLS, RISES);
        self.passed = (self.passed * change).clamp(FEWEST, 1.0);
        let crowd = ((fill - CROWDED) / (1.0 - CROWDED)).clamp(0.0, 1.0);
        let loss = ((1.0 - self.passed.min(1.0 - crowd)) * 100.0).round();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 100, whatever the load was"
        )]
        let loss = loss.clamp(0.0, 100.0) as u32;
        // RFC 7339 §7.1: "This
        // value MUST be in the range of [0, 100], inclusive."
        loss
    }

    /// Whether a request is served: `Err` with what it is answered instead.
    // RFC 7339 §5.10.2: "A SIP server that is in overload and has started to throttle incoming
    // traffic MUST reject some requests from non-participating clients with
    // a 503 (Service Unavailable) response without the Retry-After header."
    pub(crate) fn admit(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ServerKey,
        request: &Request,
    ) -> Result<(), Reply> {
        let loss = tx.demanded_loss();
        // Whoever obeys has kept back as many already.
        if loss == 0 || tx.obeys_demands(key) {
            return Ok(());
        }
        let category = category(tx, request);
        let dice = tx.random().below(100);
        if self.filter.passes(now, category, loss, dice) {
            return Ok(());
        }
        self.rejected = self.rejected.saturating_add(1);
        Err(Reply::new(StatusCode::SERVICE_UNAVAILABLE))
    }
}

/// How many may be in a table for so many: some more if the request is preferred.
pub(crate) fn room(limit: usize, category: Category) -> usize {
    match category {
        Category::Reducible => limit,
        Category::Preferred => limit.saturating_add(limit / 8).saturating_add(1),
    }
}

/// Whether this is one of the requests that are turned away last.
pub(crate) fn category(tx: &Transactions, request: &Request) -> Category {
    Category::of(request, &tx.config().preferred_resources)
}

#[cfg(test)]
mod tests;
