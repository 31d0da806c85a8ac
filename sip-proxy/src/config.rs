//! What a proxy can be told.

use core::time::Duration;

use crate::OverloadConfig;

/// The settings of a [`Proxy`](crate::Proxy). Plain values with setters.
///
/// ```
/// let config = sip_proxy::ProxyConfig::default().domain("example.com").record_route(true);
/// assert_eq!(config.max_breadth, 60);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProxyConfig {
    /// The domains that this proxy is responsible for: only their requests are asked of the
    /// [`Router`](crate::Router). Those for any other go where their Request-URI says (RFC 3261 §16.5).
    pub domains: Vec<Box<str>>,
    /// Whether the proxy stays in the path of dialogs (RFC 3261 §16.6 item 4). Default true.
    pub record_route: bool,
    /// How a Record-Route of a call to a SIP URI leads back to a listener of TLS. Default by `transport=tls`.
    pub tls_route: TlsRoute,
    /// Whether the proxy goes on itself to where a 3xx response sends the request, if that is for one of its domains
    /// (RFC 3261 §16.7 item 4). Default false: the response goes to the caller.
    pub recurse: bool,
    /// How many targets the redirections of one request may add. Default 10.
    pub max_redirects: u16,
    /// Timer C: how long a branch of an INVITE may ring without a word. More than 3 minutes; default 200 s
    /// (RFC 3261 §16.6 item 11).
    pub timer_c: Duration,
    /// The option tags of Proxy-Require that are understood. Default none.
    pub proxy_require: Vec<Box<str>>,
    /// How many branches of one request may be open at a time, whatever its Max-Breadth says. Default 60
    /// (RFC 5393 §5.3.3).
    pub max_breadth: u32,
    /// How many requests may be in the proxy at a time; what is beyond is answered 503 with Retry-After. Those
    /// within dialogs, to emergency services and of a preferred priority have an eighth more room. Default 100,000.
    pub max_contexts: usize,
    /// The Retry-After of that 503, in seconds. Default 5.
    pub retry_after: u32,
    /// How long a request may wait for [`Proxy::admitted`](crate::Proxy::admitted) before it is answered 503 with
    /// Retry-After. Default 10 s.
    pub admission_limit: Duration,
    /// How long a request may wait for [`Proxy::routed`](crate::Proxy::routed) before it is answered 500.
    /// Default 5 s.
    pub routing_limit: Duration,
    /// When the proxy counts as overloaded, if it is told its load ([`Proxy::sample`](crate::Proxy::sample)).
    pub overload: OverloadConfig,
}

impl Default for ProxyConfig {
    fn default() -> Self {
        Self {
            domains: Vec::new(),
            record_route: true,
            tls_route: TlsRoute::default(),
            recurse: false,
            max_redirects: 10,
            timer_c: Duration::from_secs(200),
            proxy_require: Vec::new(),
            max_breadth: 60,
            max_contexts: 100_000,
            retry_after: 5,
            admission_limit: Duration::from_secs(10),
            routing_limit: Duration::from_secs(5),
            overload: OverloadConfig::default(),
        }
    }
}

/// How a Record-Route leads back to a listener of TLS when the call is to a SIP URI.
///
/// RFC 5658 §6.2 allows the second and the third way only, and each is right in one kind of network only: hence the
/// first is the default, which all user agents and proxies understand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsRoute {
    /// `sip:host:5061;transport=tls`, which RFC 3261 deprecated and everybody reads.
    #[default]
    Parameter,
    /// `sips:host:5061`. A callee that gets it first has to give a SIPS Contact (RFC 3261 §12.1.1), to which a caller
    /// without TLS can send nothing: where everybody speaks TLS.
    Sips,
    /// `sip:host`: where the name of the listener leads to TLS by its NAPTR or SRV records (RFC 3263 §4.1).
    Name,
}

/// RFC 3261 §16.6: "The timer MUST be larger than 3
/// minutes."
pub(crate) const SHORTEST_TIMER_C: Duration = Duration::from_secs(181);

impl ProxyConfig {
    /// Adds a domain that this proxy is responsible for: a host name or an address, without a port.
    #[must_use]
    pub fn domain(mut self, domain: &str) -> Self {
        self.domains.push(domain.into());
        self
    }

    /// Sets whether the proxy stays in the path of dialogs.
    #[must_use]
    pub fn record_route(mut self, stays: bool) -> Self {
        self.record_route = stays;
        self
    }

    /// Sets how a Record-Route of a call to a SIP URI leads back to a listener of TLS.
    #[must_use]
    pub fn tls_route(mut self, by: TlsRoute) -> Self {
        self.tls_route = by;
        self
    }

    /// Sets whether the proxy goes on itself to where a 3xx response sends the request.
    #[must_use]
    pub fn recurse(mut self, recurses: bool) -> Self {
        self.recurse = recurses;
        self
    }

    /// Sets how many targets the redirections of one request may add.
    #[must_use]
    pub fn max_redirects(mut self, targets: u16) -> Self {
        self.max_redirects = targets;
        self
    }

    /// Sets Timer C; less than 181 s counts as 181 s.
    #[must_use]
    pub fn timer_c(mut self, timer_c: Duration) -> Self {
        self.timer_c = timer_c.max(SHORTEST_TIMER_C);
        self
    }

    /// Adds an option tag of Proxy-Require that is understood.
    #[must_use]
    pub fn proxy_require(mut self, tag: &str) -> Self {
        self.proxy_require.push(tag.into());
        self
    }

    /// Sets how many branches of one request may be open at a time.
    #[must_use]
    pub fn max_breadth(mut self, branches: u32) -> Self {
        self.max_breadth = branches.max(1);
        self
    }

    /// Sets how many requests may be in the proxy at a time.
    #[must_use]
    pub fn max_contexts(mut self, requests: usize) -> Self {
        self.max_contexts = requests;
        self
    }

    /// Sets how long a request may wait for [`Proxy::admitted`](crate::Proxy::admitted).
    #[must_use]
    pub fn admission_limit(mut self, limit: Duration) -> Self {
        self.admission_limit = limit;
        self
    }

    /// Sets how long a request may wait for [`Proxy::routed`](crate::Proxy::routed).
    #[must_use]
    pub fn routing_limit(mut self, limit: Duration) -> Self {
        self.routing_limit = limit;
        self
    }

    /// Sets when the proxy counts as overloaded.
    #[must_use]
    pub fn overload(mut self, overload: OverloadConfig) -> Self {
        self.overload = overload;
        self
    }
}
