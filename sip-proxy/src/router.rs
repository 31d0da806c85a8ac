//! Where a request goes: what the application decides.

use core::fmt;
use std::time::{Duration, Instant};

use sip_message::{
    Contact, HeaderName, QValue, Request, Response, ResponseBuilder, StatusCode, Uri,
};
use sip_transaction::{NextHop, Transactions};
use sip_transport::Flow;

use crate::Binding;
use crate::config::SHORTEST_TIMER_C;
use crate::edge::targets;

/// Decides who may use the proxy, and where the requests of its own domains go (RFC 3261 §16.3 item 6, §16.5).
pub trait Router {
    /// Whether this request is served: every request but ACK and CANCEL is asked about, whoever it is for, before
    /// anything is done with it. Everyone's is, unless this says otherwise. It must not block:
    /// [`Admission::Later`] is for what takes time. What another node that shares the keys of [`edge`](crate::edge) has
    /// let in, and sends on to a flow of this one, is not asked about.
    fn admit(
        &mut self,
        now: Instant,
        request: &Request,
        flow: &Flow,
        tx: &mut Transactions,
    ) -> Admission {
        let _ = (now, request, flow, tx);
        Admission::Admitted
    }

    /// Takes out of a request that is served what was for this element alone: the Proxy-Authorization of its realm
    /// (RFC 3261 §22.3), by which whoever comes next could guess a secret. Nothing, unless this does something.
    fn consume(&mut self, request: &mut Request) {
        let _ = request;
    }

    /// What becomes of this request, which came by this flow. Its routing information is prepared (§16.4). It runs
    /// between two messages: it must not block. [`Route::Later`] is for what takes time.
    fn route(&mut self, now: Instant, request: &Request, flow: &Flow, tx: &Transactions) -> Route;
}

impl<F: FnMut(&Request) -> Route> Router for F {
    fn route(&mut self, _: Instant, request: &Request, _: &Flow, _: &Transactions) -> Route {
        self(request)
    }
}

/// Whether a request is served.
#[derive(Clone, Debug)]
pub enum Admission {
    /// It is.
    Admitted,
    /// It is answered this instead: a challenge (407), say.
    Refused(Reply),
    /// It is told by [`Proxy::admitted`](crate::Proxy::admitted) later, for which
    /// [`ProxyEvent::Admitting`](crate::ProxyEvent::Admitting) asks.
    Later,
}

impl From<Result<(), Reply>> for Admission {
    fn from(judged: Result<(), Reply>) -> Self {
        match judged {
            Ok(()) => Self::Admitted,
            Err(reply) => Self::Refused(reply),
        }
    }
}

/// What becomes of a request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Route {
    /// This element takes it itself, as its user agent server: [`ProxyEvent::Process`](crate::ProxyEvent::Process)
    /// hands it to those above, who answer it. The proxy knows nothing of it any more.
    Process,
    /// Forward it: the groups one after the other, the targets of a group at the same time. Without a target it is
    /// answered 480.
    Proxy {
        /// The groups.
        targets: Vec<Vec<RouteTarget>>,
        /// How.
        options: ProxyOptions,
    },
    /// Say where else to ask: 302 with these contacts, and their q (RFC 3261 §8.3). Without one it is answered 480.
    Redirect(Vec<Contact<'static>>),
    /// Answer it.
    Reply(Reply),
    /// Say nothing, as if it had been lost: to one who floods, say. Every repeat of it is asked about anew.
    Drop,
    /// It is told by [`Proxy::routed`](crate::Proxy::routed) later, for which
    /// [`ProxyEvent::Routing`](crate::ProxyEvent::Routing) asks.
    Later,
}

impl Route {
    /// To one target.
    pub fn to(uri: Uri<'static>) -> Self {
        Self::parallel([uri])
    }

    /// To all of these at the same time.
    pub fn parallel(uris: impl IntoIterator<Item = Uri<'static>>) -> Self {
        Self::groups(vec![uris.into_iter().map(RouteTarget::new).collect()])
    }

    /// To one of these after the other.
    pub fn serial(uris: impl IntoIterator<Item = Uri<'static>>) -> Self {
        Self::groups(uris.into_iter().map(|uri| vec![RouteTarget::new(uri)]).collect())
    }

    /// To these groups one after the other, to the targets of a group at the same time.
    pub fn groups(targets: Vec<Vec<RouteTarget>>) -> Self {
        Self::Proxy { targets, options: ProxyOptions::default() }
    }

    /// To those of the highest q at the same time, then to those of the next: serial-of-parallel (RFC 3261 §16.6).
    pub fn by_q(targets: impl IntoIterator<Item = (RouteTarget, QValue)>) -> Self {
        Self::groups(by_q(targets))
    }

    /// To these bindings by their q, each by its Path. Of the bindings of one instance only the best, and in its place
    /// the others, one after the other, where that one's flow failed or nothing was heard of it (430, 408). A path
    /// that begins with a flow of this node is that flow; if it is gone, so is the target.
    pub fn bindings<'a>(bindings: impl IntoIterator<Item = &'a Binding>) -> Self {
        Self::by_q(targets(bindings.into_iter().collect()))
    }

    /// The same, forwarded in this way, if it is forwarded at all.
    #[must_use]
    pub fn with_options(self, options: ProxyOptions) -> Self {
        match self {
            Self::Proxy { targets, .. } => Self::Proxy { targets, options },
            other => other,
        }
    }

    /// Answers with this status and nothing else.
    pub fn reply(status: StatusCode) -> Self {
        Self::Reply(Reply::new(status))
    }
}

/// Groups of equal q, the highest first; within a group the order stays.
///
/// RFC 3261 §16.6: "Targets are
/// processed from highest qvalue to lowest.  Targets with equal qvalues
/// may be processed in parallel."
pub(crate) fn by_q<T>(targets: impl IntoIterator<Item = (T, QValue)>) -> Vec<Vec<T>> {
    let mut targets: Vec<_> = targets.into_iter().collect();
    targets.sort_by_key(|(_, q)| core::cmp::Reverse(*q));
    let mut groups: Vec<Vec<T>> = Vec::new();
    let mut last = None;
    for (target, q) in targets {
        match groups.last_mut().filter(|_| last == Some(q)) {
            Some(group) => group.push(target),
            None => groups.push(vec![target]),
        }
        last = Some(q);
    }
    groups
}

/// How one request is forwarded. What is not said here is as [`ProxyConfig`](crate::ProxyConfig) has it.
///
/// ```
/// # use sip_proxy::{ProxyOptions, Route};
/// let options = ProxyOptions::default().record_route(false).recurse(true);
/// let route = Route::to("sip:bob@192.0.2.2".parse()?).with_options(options);
/// # Ok::<(), sip_message::UriError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyOptions {
    /// Whether the proxy stays in the path of the dialog.
    pub record_route: Option<bool>,
    /// Whether it goes on to the contacts of a 3xx itself (RFC 3261 §16.7 item 4).
    pub recurse: Option<bool>,
    /// How long a branch of an INVITE may ring without a word (Timer C), at least 181 s.
    pub timer_c: Option<Duration>,
    /// Forward it without a transaction, to the first target alone (RFC 3261 §16.11). Not done for a request that
    /// has no branch of RFC 3261, nor for one that waited ([`Route::Later`]): those are forwarded with one.
    pub stateless: bool,
}

impl ProxyOptions {
    /// Sets whether the proxy stays in the path of the dialog.
    #[must_use]
    pub fn record_route(mut self, stays: bool) -> Self {
        self.record_route = Some(stays);
        self
    }

    /// Sets whether it goes on to the contacts of a 3xx itself.
    #[must_use]
    pub fn recurse(mut self, recurses: bool) -> Self {
        self.recurse = Some(recurses);
        self
    }

    /// Sets Timer C.
    #[must_use]
    pub fn timer_c(mut self, timer_c: Duration) -> Self {
        self.timer_c = Some(timer_c.max(SHORTEST_TIMER_C));
        self
    }

    /// Sets whether it is forwarded without a transaction.
    #[must_use]
    pub fn stateless(mut self, stateless: bool) -> Self {
        self.stateless = stateless;
        self
    }
}

/// The proxy's own final answer to a request.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(Box<str>, Box<str>)>,
}

impl Reply {
    /// This status; one that is not final counts as 500.
    pub fn new(status: StatusCode) -> Self {
        let status = if status.is_final() { status } else { StatusCode::SERVER_INTERNAL_ERROR };
        Self { status, headers: Vec::new() }
    }

    /// 302 with these contacts; without one, 480.
    pub(crate) fn redirect(contacts: &[Contact<'_>]) -> Self {
        let status = if contacts.is_empty() {
            StatusCode::TEMPORARILY_UNAVAILABLE
        } else {
            StatusCode::MOVED_TEMPORARILY
        };
        contacts
            .iter()
            .fold(Self::new(status), |reply, contact| reply.header("Contact", &contact.to_string()))
    }

    /// The response that it makes to this request, without a To tag.
    pub(crate) fn to(&self, request: &Request) -> ResponseBuilder {
        let builder = Response::to_request(request, self.status);
        self.headers.iter().fold(builder, |builder, (name, value)| {
            let known = HeaderName::from_bytes(name.as_bytes());
            builder.raw(known.unwrap_or(HeaderName::Other(name)), value.as_bytes())
        })
    }

    /// With one more header field: Contact, a challenge. What cannot be written as one makes it a 500.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// One place to forward a request to.
#[derive(Clone, Debug)]
pub struct RouteTarget {
    pub(crate) uri: Uri<'static>,
    pub(crate) route: Vec<Uri<'static>>,
    pub(crate) hop: Option<NextHop>,
    pub(crate) patience: Option<Duration>,
    /// Other ways to the same instance, one after the other when its flow failed.
    pub(crate) others: Vec<RouteTarget>,
    /// Whether it comes from a binding.
    pub(crate) is_registered: bool,
}

impl RouteTarget {
    /// The Request-URI that the request gets; it also says where it goes.
    pub fn new(uri: Uri<'static>) -> Self {
        Self {
            uri,
            route: Vec::new(),
            hop: None,
            patience: None,
            others: Vec::new(),
            is_registered: false,
        }
    }

    /// One that comes from a binding.
    pub(crate) fn registered(mut self) -> Self {
        self.is_registered = true;
        self
    }

    /// Whether it leads the same way to the same URI.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.route == other.route && self.hop == other.hop && self.uri.is_equivalent(&other.uri)
    }

    /// Loose routers that the request visits first: the Path of a binding (RFC 3327 §5.3), say.
    #[must_use]
    pub fn via(mut self, route: impl IntoIterator<Item = Uri<'static>>) -> Self {
        self.route = route.into_iter().collect();
        self
    }

    /// Gives up on it after so long without a final response, however often it says that it rings, and goes on to
    /// the next group: a call that is forwarded when nobody answers.
    // RFC 3261 §16.10: "A stateful proxy MAY generate a CANCEL to any other request it has
    // generated at any time (subject to receiving a provisional response to
    // that request as described in section 9.1)."
    #[must_use]
    pub fn for_at_most(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// Sends it there, whatever its routing information says: over the flow of a registration, say.
    #[must_use]
    pub fn over(mut self, hop: NextHop) -> Self {
        self.hop = Some(hop);
        self
    }
}

/// The Request-URI, with those of the other ways after it.
impl fmt::Display for RouteTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(f)?;
        self.others.iter().try_for_each(|other| write!(f, " or {other}"))
    }
}
