//! Overload control by loss (RFC 7339), as far as it is about one request or one next hop: what the client sends no
//! more of, and what the server asks for.
//!
//! ```text
//!   client (our side)                                     server (their side)
//!   Via: …;oc;oc-algo="loss"              ------------->  notes that it may ask
//!   Throttle: so much less to this hop    <-------------  Via: …;oc=20;oc-algo="loss";oc-validity=500;oc-seq=…
//! ```
//!
//! Nothing here knows how loaded this machine is: whoever does says so by
//! [`Transactions::demand_loss`](crate::Transactions::demand_loss).

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::{HashMap, HashSet};
use std::time::Instant;

use sip_message::{HeaderName, OcSeq, Request, ResourcePriority, Response, Via};

/// The one algorithm that everybody has to know.
const LOSS: &str = "loss";

/// RFC 7339 §4.3: "The default value
/// of the "oc-validity" parameter is 500 (milliseconds)."
const DEFAULT_VALIDITY: Duration = Duration::from_millis(500);

/// No demand is taken to hold longer, so that a server that is gone, or one who speaks for it, cannot silence us.
const LONGEST_VALIDITY: Duration = Duration::from_secs(60);

/// How many next hops may be throttled at a time; the demands of more are passed over.
const MAX_HOPS: usize = 4_096;

/// So many requests in a row to which a next hop says nothing, and it is sent no more.
const MAX_FAILURES: u32 = 3;

/// After how long a next hop that says nothing is tried by one request; after each such, twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest of those pauses.
const LONGEST_PAUSE: Duration = Duration::from_secs(64);

/// How loaded whoever runs an endpoint was since it was measured last.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Load {
    /// The part of the time in which it had something to do, from 0 to 1.
    pub busy: f64,
    /// How long what came or what was due waited before it was looked at, as far as that is known.
    pub delay: Duration,
}

impl Load {
    /// A load of so much of the time, from 0 to 1.
    pub fn busy(part: f64) -> Self {
        Self { busy: part.clamp(0.0, 1.0), ..Self::default() }
    }

    /// With that long a wait.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// Which requests go first when not all can.
// RFC 7339 §7.2: "The client maintains two categories of requests.  The first category
// will include requests that are candidates for reduction, and the
// second category will include requests that are not subject to
// reduction except when all messages in the first category have been
// rejected and further reduction is still needed."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Category {
    /// The first category: it is kept back first.
    Reducible,
    /// The second: within a dialog, to an emergency service, or of a priority that the configuration names.
    Preferred,
}

impl Category {
    /// The category of a request; `priorities` are the values of Resource-Priority that are preferred, each a
    /// namespace (`ets`) or a value of one (`wps.0`).
    pub fn of(request: &Request, priorities: &[Box<str>]) -> Self {
        // RFC 7339 §5.10.1: "A SIP client SHOULD honor the local policy for prioritizing SIP
        // requests such as policies based on message type, e.g., INVITEs versus
        // requests associated with existing sessions."
        let is_of_a_dialog = request.headers().to_tag().is_some();
        if is_of_a_dialog || is_emergency(request) || is_urgent(request, priorities) {
            Self::Preferred
        } else {
            Self::Reducible
        }
    }
}

/// RFC 7339 §5.10.1: "A SIP client SHOULD honor the local policy for prioritizing SIP
/// requests relating to emergency calls as identified by the SOS URN
/// [RFC5031] indicating an emergency request."
fn is_emergency(request: &Request) -> bool {
    let is_sos = |uri: &sip_message::Uri<'_>| {
        uri.service().is_ok_and(|service| service.is_some_and(|it| it.is_emergency()))
    };
    if request.uri_bytes().get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"urn:")) {
        return request.uri().is_ok_and(|uri| is_sos(&uri));
    }
    // A proxy that found the way put the address of the centre into the Request-URI: To still says it (RFC 6881).
    let to = request.headers().raw(HeaderName::To).unwrap_or_default();
    to.windows(4).any(|part| part.eq_ignore_ascii_case(b"urn:"))
        && request
            .get::<sip_message::To<'_>>()
            .is_ok_and(|to| to.is_some_and(|to| is_sos(&to.uri())))
}

/// RFC 7339 §5.10.1: "A SIP client SHOULD honor the local policy for prioritizing SIP
/// requests based on the content of the Resource-Priority header (RPH)
/// [RFC4412]."
fn is_urgent(request: &Request, priorities: &[Box<str>]) -> bool {
    if priorities.is_empty() {
        return false;
    }
    let Ok(Some(asked)) = request.get::<ResourcePriority<'_>>() else { return false };
    priorities.iter().any(|known| asked.contains(known) || asked.priority(known).is_some())
}

/// Keeps back as many requests of a stream as a loss in percent demands, those of the first category first.
///
/// The shares of the categories are counted anew every five seconds, as RFC 7339 §7.2 proposes.
#[derive(Clone, Debug)]
pub struct LossFilter {
    /// Of 100 requests, how many are of the first category.
    reducible: u32,
    counted: [u32; 2],
    since: Option<Instant>,
}

/// How often the shares are set anew.
const SAMPLE: Duration = Duration::from_secs(5);

impl Default for LossFilter {
    fn default() -> Self {
        // RFC 7339 §7.2: "cat1 := 80.0         // Category 1 -- Subject to reduction"
        Self { reducible: 80, counted: [0; 2], since: None }
    }
}

impl LossFilter {
    /// Whether a request of that category passes, when `loss` of 100 are to be kept back. `dice` is a random
    /// number below 100.
    pub fn passes(&mut self, now: Instant, category: Category, loss: u32, dice: u32) -> bool {
        self.count(now, category);
        let (first, loss) = (self.reducible, loss.min(100));
        let (of_the_first, of_the_second) = if loss <= first {
            // RFC 7339 §7.2: "10 / 40 * 100 = 25"
            (percent(loss, first), 0)
        } else {
            // All of the first category, and of the second what remains (RFC 7339 §7.2).
            (100, percent(loss.saturating_sub(first), 100_u32.saturating_sub(first)))
        };
        // RFC 7339 §7.2: "If the random number is less than or equal to
        // the converted value of the "oc" parameter, the request is not
        // forwarded; otherwise, the request is forwarded."
        // Theirs is between 1 and 100, ours below 100.
        dice >= match category {
            Category::Reducible => of_the_first,
            Category::Preferred => of_the_second,
        }
    }

    fn count(&mut self, now: Instant, category: Category) {
        let since = *self.since.get_or_insert(now);
        let [first, second] = &mut self.counted;
        match category {
            Category::Reducible => *first = first.saturating_add(1),
            Category::Preferred => *second = second.saturating_add(1),
        }
        if now.saturating_duration_since(since) >= SAMPLE {
            // RFC 7339 §7.2: "Periodically (every 5-10 seconds), get the value of the counters, and
            // calculate the ratio of category 1 messages to category 2 messages
            // since the last calculation."
            self.reducible = percent(*first, first.saturating_add(*second));
            self.counted = [0; 2];
            self.since = Some(now);
        }
    }
}

/// So many of 100, rounded up.
fn percent(part: u32, whole: u32) -> u32 {
    let of_100 = u64::from(part).saturating_mul(100).div_ceil(u64::from(whole).max(1));
    u32::try_from(of_100.min(100)).unwrap_or(100)
}

/// What the next hops ask of us: how much less to send to each.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    // RFC 7339 §5.4: "The scope of overload control applies to unique combinations of IP
    // and port values."
    hops: HashMap<SocketAddr, Demand>,
    /// The next hops that were heard to take part in overload control.
    peers: HashSet<SocketAddr>,
    /// Those of them that failed since they were last heard.
    silent: HashMap<SocketAddr, Silence>,
}

#[derive(Debug)]
struct Silence {
    failures: u32,
    pause: Duration,
    until: Instant,
}

#[derive(Debug)]
struct Demand {
    loss: u32,
    seq: Option<OcSeq>,
    until: Instant,
    filter: LossFilter,
}

impl Throttle {
    /// Takes in the topmost Via of a response from this next hop.
    pub(crate) fn note(&mut self, now: Instant, hop: SocketAddr, via: &Via<'_>) {
        if !self.silent.is_empty() {
            // RFC 7339 §5.9: "Once a SIP client
            // has successfully received a normal response for a request sent to the
            // downstream server, the SIP client can resume sending SIP requests."
            self.silent.remove(&hop);
        }
        let Some(Some(loss)) = via.oc() else { return };
        self.note_peer(hop);
        let Some(validity) = via.oc_validity() else { return };
        if !via.oc_algo().all(|name| name.eq_ignore_ascii_case(LOSS)) || loss > 100 {
            return;
        }
        let seq = via.oc_seq();
        let known = self.hops.get(&hop).filter(|demand| now < demand.until);
        // RFC 7339 §5.4: "If
        // these values match, the response does not update the overload control
        // parameters related to this server, and the client continues to
        // provide overload control as previously negotiated."
        if known.is_some_and(|known| seq.is_some() && seq <= known.seq) {
            return;
        }
        // RFC 7339 §5.7: "when the value of the "oc-validity"
        // parameter is 0, the client SHOULD disregard the value in the "oc"
        // parameter."
        let loss = if validity.is_zero() { 0 } else { loss };
        if known.is_none() && (loss == 0 || self.is_full(now)) {
            self.hops.remove(&hop);
            return;
        }
        // A demand that is over is kept for as long as an older one might still come.
        let holds =
            if validity.is_zero() { DEFAULT_VALIDITY } else { validity.min(LONGEST_VALIDITY) };
        let Some(until) = now.checked_add(holds) else { return };
        let filter = self.hops.remove(&hop).map(|known| known.filter).unwrap_or_default();
        // RFC 7339 §5.4: "Upon such an update of the overload control
        // parameters, the client restarts the validity period of the new
        // overload control parameters."
        self.hops.insert(hop, Demand { loss, seq, until, filter });
    }

    fn note_peer(&mut self, hop: SocketAddr) {
        if self.peers.len() >= MAX_HOPS && !self.peers.contains(&hop) {
            // Those who still answer will be noted again.
            self.peers.retain(|peer| self.silent.contains_key(peer));
            if self.peers.len() >= MAX_HOPS {
                self.peers.clear();
                self.silent.clear();
            }
        }
        self.peers.insert(hop);
    }

    /// A request to this next hop timed out with nothing heard, or could not be delivered.
    pub(crate) fn failed(&mut self, now: Instant, hop: SocketAddr) {
        if !self.peers.contains(&hop) {
            return;
        }
        let pause = FIRST_PAUSE;
        let silence = self.silent.entry(hop).or_insert(Silence { failures: 0, pause, until: now });
        silence.failures = silence.failures.saturating_add(1);
        if silence.failures == MAX_FAILURES {
            silence.until = now.checked_add(pause).unwrap_or(now);
        }
    }

    /// Whether a next hop that says nothing is left alone. Now and then it is tried by one request.
    // RFC 7339 §5.9: "In the event of repeated timeouts or fatal transport errors, the SIP
    // client MUST stop sending requests to this server."
    fn is_left_alone(&mut self, now: Instant, hop: SocketAddr) -> bool {
        let Some(silence) = self.silent.get_mut(&hop) else { return false };
        if silence.failures < MAX_FAILURES {
            return false;
        }
        if now < silence.until {
            return true;
        }
        // RFC 7339 §5.9: "Clients should be conservative in their
        // probing (e.g., using an exponential back-off) so that their liveness
        // probes do not exacerbate an overload situation."
        silence.pause = silence.pause.saturating_mul(2).min(LONGEST_PAUSE);
        silence.until = now.checked_add(silence.pause).unwrap_or(now);
        false
    }

    fn is_full(&mut self, now: Instant) -> bool {
        if self.hops.len() >= MAX_HOPS {
            self.hops.retain(|_, demand| now < demand.until);
        }
        self.hops.len() >= MAX_HOPS
    }

    /// Whether no next hop asks for anything or says nothing.
    pub(crate) fn is_idle(&self) -> bool {
        self.hops.is_empty() && self.silent.is_empty()
    }

    /// Whether a request may go to this next hop.
    // RFC 7339 §5.5: "The SIP client MUST NOT forward more requests
    // to a SIP server than allowed by the current "oc" and "oc-algo"
    // parameter values from that particular downstream server."
    pub(crate) fn passes(
        &mut self,
        now: Instant,
        hop: SocketAddr,
        category: Category,
        dice: u32,
    ) -> bool {
        if self.is_left_alone(now, hop) {
            return false;
        }
        let Some(demand) = self.hops.get_mut(&hop) else { return true };
        // RFC 7339 §5.4: "Stored overload control parameters
        // MUST be reset to default values once the validity period has expired"
        if now >= demand.until {
            self.hops.remove(&hop);
            return true;
        }
        demand.filter.passes(now, category, demand.loss, dice)
    }

    /// How many next hops are throttled.
    pub(crate) fn len(&self) -> usize {
        self.hops.len()
    }
}

/// What we ask of those who send to us.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Feedback {
    loss: u32,
    validity: Duration,
    seq: Option<OcSeq>,
    /// When that count began.
    began: Instant,
}

impl Feedback {
    pub(crate) fn new(now: Instant) -> Self {
        Self { loss: 0, validity: Duration::ZERO, seq: OcSeq::new(0, 0), began: now }
    }

    pub(crate) fn loss(&self) -> u32 {
        self.loss
    }

    /// A loss in percent, for that long from the moment at which a client hears of it.
    pub(crate) fn demand(&mut self, now: Instant, loss: u32, validity: Duration) {
        self.loss = loss.min(100);
        // RFC 7339 §5.7: "To do so, the SIP server MUST set the value of
        // the "oc-validity" parameter to 0.  The SIP server MUST increment the
        // value of "oc-seq" and SHOULD set the value of the "oc" parameter to
        // 0."
        self.validity = if self.loss == 0 { Duration::ZERO } else { validity };
        // RFC 7339 §4.4: "parameter values generated by an overload control algorithm at
        // time t and t+1 MUST have an increasing value in the "oc-seq"
        // parameter."
        let since = now.saturating_duration_since(self.began);
        let seq = OcSeq::new(since.as_secs(), since.subsec_micros() / 10);
        self.seq = seq.max(self.seq);
    }

    /// The Via of a client that may be asked, with what we ask.
    // RFC 7339 §4.1: "The downstream server MUST add a value to the "oc" parameter in the
    // response going upstream to a client that included the "oc" parameter
    // in the request."
    pub(crate) fn put_on(&self, response: &mut Response) {
        let Some(via) = response.headers().top_via().and_then(|via| self.stamped(&via)) else {
            return;
        };
        response.headers_mut().pop_front(HeaderName::Via);
        response.headers_mut().push_front(&via);
    }

    fn stamped(&self, via: &Via<'_>) -> Option<Via<'static>> {
        // RFC 7339 §4.2: "it chooses one
        // algorithm from the list and MUST return the single selected algorithm
        // to the client."
        // RFC 7339 §5.2: "A SIP server that has updated the "oc" parameter SHOULD also add a
        // "oc-validity" parameter."
        via.with_oc_demand(self.loss, self.validity, self.seq?).ok()
    }
}

/// Whether the sender of a request may be asked to send less.
pub(crate) fn is_offered(via: &Via<'_>) -> bool {
    via.oc().is_some() && via.oc_algo().any(|name| name.eq_ignore_ascii_case(LOSS))
}

/// Says that we may be asked to send less.
// RFC 7339 §4.1: "A SIP client MUST add an "oc" parameter to the topmost Via header it
// inserts into every SIP request."
// RFC 7339 §4.1: "There MUST NOT be a value associated with the parameter"
// RFC 7339 §4.2: "A SIP client MUST add an "oc-algo" parameter to the topmost Via
// header it inserts into every SIP request, with a default value of
// "loss"."
pub(crate) const OFFER: &str = ";oc;oc-algo=\"loss\"";

/// Takes overload control off the topmost Via of a request that came in: it is between its sender and us.
// RFC 7339 §5.6: "This means that a SIP proxy
// SHOULD strip the overload control parameters inserted by the client
// before proxying the request further downstream."
pub(crate) fn take_off(request: &mut Request) {
    let Some(via) = request.headers().top_via().map(|via| via.without_oc()) else { return };
    request.headers_mut().pop_front(HeaderName::Via);
    request.headers_mut().push_front(&via);
}

/// Takes it off all Vias of a response but the topmost.
// RFC 7339 §5.4: "A SIP client SHOULD remove the "oc", "oc-validity", and "oc-seq"
// parameters from all Via headers of a response received, except for
// the topmost Via header."
pub(crate) fn clean(response: &mut Response) {
    let headers = response.headers();
    let lower = headers.get_all::<Via<'_>>().skip(1);
    if !headers.raw_all(HeaderName::Via).any(may_have_oc)
        || !lower.flatten().any(|via| via.has_oc())
    {
        return;
    }
    let read: Result<Vec<_>, _> =
        headers.get_all::<Via<'_>>().map(|via| via.map(|via| via.to_static())).collect();
    // One that cannot be read keeps all as it is: nothing may be lost of the way back.
    let Ok(vias) = read else { return };
    response.headers_mut().remove(HeaderName::Via);
    for (at, via) in vias.iter().enumerate().rev() {
        let via = if at == 0 { via.clone() } else { via.without_oc() };
        response.headers_mut().push_front(&via);
    }
}

/// A look that costs little: nearly no Via has it.
fn may_have_oc(field: &[u8]) -> bool {
    field.windows(2).any(|two| two.eq_ignore_ascii_case(b"oc"))
}

#[cfg(test)]
mod tests;
