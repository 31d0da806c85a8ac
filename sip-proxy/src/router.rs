//! Where a request goes: what the application decides.

use std::time::{Duration, Instant};

use sip_message::{Request, StatusCode, Uri};
use sip_transaction::{NextHop, Transactions};
use sip_transport::Flow;

/// Decides who may use the proxy, and where the requests of its own domains go (RFC 3261 §16.3 item 6, §16.5).
pub trait Router {
    /// Whether this request is served: every request but ACK and CANCEL is asked about, whoever it is for, before
    /// anything is done with it. Everyone's is, unless this says otherwise. It must not block.
    ///
    /// # Errors
    /// What the request is answered instead: a challenge (407), say.
    fn admit(
        &mut self,
        now: Instant,
        request: &Request,
        flow: &Flow,
        tx: &mut Transactions,
    ) -> Result<(), Reply> {
        let _ = (now, request, flow, tx);
        Ok(())
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

/// What becomes of a request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Route {
    /// Forward it: the groups one after the other, the targets of a group at the same time. Without a target it is
    /// answered 480.
    Proxy(Vec<Vec<RouteTarget>>),
    /// Answer it: a redirection, say.
    Reply(Reply),
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
        Self::Proxy(vec![uris.into_iter().map(RouteTarget::new).collect()])
    }

    /// To one of these after the other.
    pub fn serial(uris: impl IntoIterator<Item = Uri<'static>>) -> Self {
        Self::Proxy(uris.into_iter().map(|uri| vec![RouteTarget::new(uri)]).collect())
    }

    /// Answers with this status and nothing else.
    pub fn reply(status: StatusCode) -> Self {
        Self::Reply(Reply::new(status))
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
}

impl RouteTarget {
    /// The Request-URI that the request gets; it also says where it goes.
    pub fn new(uri: Uri<'static>) -> Self {
        Self { uri, route: Vec::new(), hop: None, patience: None }
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
