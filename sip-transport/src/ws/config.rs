//! How WebSocket is spoken, and which requests for it a server grants.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

use tokio_tungstenite::tungstenite::handshake::server::Request;
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// How WebSocket is spoken: which requests a server grants, what a client asks for, and how often either
/// looks whether the other end lives. It is cheap to clone.
///
/// By default a server grants what RFC 7118 §4.1 makes right, a client asks for the path `/`, and a ping goes
/// out after 30 s of silence.
///
/// ```
/// use sip_transport::{WsConfig, WsRefusal};
///
/// let server = WsConfig::default()
///     .path("/sip")
///     .origin("https://phone.example.com")
///     .check(|request| match request.header("cookie") {
///         Some(cookie) if cookie.contains("session=") => Ok(()),
///         _ => Err(WsRefusal::new(401).with_header("WWW-Authenticate", "Basic realm=\"phones\"")),
///     });
/// let client = WsConfig::default().dial_path("/sip").dial_header("Cookie", "session=1");
/// ```
#[derive(Clone, Debug, Default)]
pub struct WsConfig {
    settings: Arc<Settings>,
}

#[derive(Clone)]
struct Settings {
    path: Option<Box<str>>,
    hosts: Vec<Box<str>>,
    origins: Vec<Box<str>>,
    check: Option<Arc<Check>>,
    dial_path: Box<str>,
    dial_headers: Vec<(Box<str>, Box<str>)>,
    ping: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            path: None,
            hosts: Vec::new(),
            origins: Vec::new(),
            check: None,
            dial_path: "/".into(),
            dial_headers: Vec::new(),
            ping: Duration::from_secs(30),
        }
    }
}

type Check = dyn Fn(&WsRequest<'_>) -> Result<(), WsRefusal> + Send + Sync;

impl WsConfig {
    fn with(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(Arc::make_mut(&mut self.settings));
        self
    }

    /// A server grants only requests for this path, such as `/sip`, and refuses others with 404. Without
    /// it, every path will do.
    #[must_use]
    pub fn path(self, path: &str) -> Self {
        self.with(|settings| settings.path = Some(path.into()))
    }

    /// A server grants only requests whose Host names this host (a port does not count), and refuses others
    /// with 421. May be called several times. Without it, every host will do: then a page whose own name
    /// was made to resolve to this server (DNS rebinding) may connect.
    #[must_use]
    pub fn host(self, host: &str) -> Self {
        self.with(|settings| settings.hosts.push(host.into()))
    }

    /// Only pages of this origin, such as `https://phone.example.com`, may connect to a server; others are
    /// refused with 403. May be called several times. Without it, pages of every origin may.
    ///
    /// A request without Origin comes from no browser and is granted: whoever is free to leave it out is
    /// free to forge it.
    #[must_use]
    pub fn origin(self, origin: &str) -> Self {
        self.with(|settings| settings.origins.push(origin.into()))
    }

    /// A server's last word on a request that is right otherwise. It is called on the task of the
    /// connection and shall not block. The last one given counts.
    #[must_use]
    pub fn check(
        self,
        check: impl Fn(&WsRequest<'_>) -> Result<(), WsRefusal> + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| settings.check = Some(Arc::new(check)))
    }

    /// A client asks for this path, which begins with a slash and may have a query.
    #[must_use]
    pub fn dial_path(self, path: &str) -> Self {
        self.with(|settings| settings.dial_path = path.into())
    }

    /// A client asks with this header field too: Cookie, Authorization, Origin. One that HTTP does not
    /// allow makes every handshake fail.
    #[must_use]
    pub fn dial_header(self, name: &str, value: &str) -> Self {
        self.with(|settings| settings.dial_headers.push((name.into(), value.into())))
    }

    /// After so long without anything from the other end it gets a ping, whose answer keeps the connection
    /// from being idle and holds the state of what lies between; 30 s by default, zero for none.
    // RFC 7118 §6: "SIP WebSocket Clients and Servers may keep their WebSocket connections open by sending
    // periodic WebSocket "Ping" frames as described in [RFC6455], Section 5.5.2."
    #[must_use]
    pub fn ping(self, ping: Duration) -> Self {
        self.with(|settings| settings.ping = ping)
    }

    /// What a listener so configured answers to this head of an HTTP request, which has all of it: how long
    /// the head is, and the 101 that grants the WebSocket. For who tests a configuration, or has a web
    /// server before it.
    ///
    /// ```
    /// let config = sip_transport::WsConfig::default().path("/sip");
    /// let head = b"GET / HTTP/1.1\r\nHost: sip.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    ///     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    ///     Sec-WebSocket-Protocol: sip\r\n\r\n";
    /// let refusal = config.answer(head, ([192, 0, 2, 7], 49152).into()).unwrap_err();
    /// assert_eq!(refusal.status(), 404);
    /// ```
    ///
    /// # Errors
    ///
    /// Why it is not granted.
    pub fn answer(&self, head: &[u8], remote: SocketAddr) -> Result<(usize, String), WsRefusal> {
        super::upgrade::answer(head, remote, self)
    }

    /// The time of the pings, if there are any.
    pub(super) fn ping_after(&self) -> Option<Duration> {
        Some(self.settings.ping).filter(|ping| !ping.is_zero())
    }

    /// The path that a client asks for.
    pub(super) fn asked_path(&self) -> &str {
        &self.settings.dial_path
    }

    /// The header fields that a client adds.
    pub(super) fn asked_headers(&self) -> &[(Box<str>, Box<str>)] {
        &self.settings.dial_headers
    }

    /// Whether the request is granted.
    pub(super) fn verdict(&self, request: &WsRequest<'_>) -> Result<(), WsRefusal> {
        let settings = &*self.settings;
        // RFC 6455 §4.2.2: "If the requested service is not available, the server MUST send an
        // appropriate HTTP error code (such as 404 Not Found) and abort the WebSocket handshake."
        if settings.path.as_deref().is_some_and(|path| path != request.path()) {
            return Err(WsRefusal::new(404));
        }
        if !lists(&settings.hosts, request.host()) {
            return Err(WsRefusal::new(421));
        }
        // RFC 6455 §4.2.2: "If the server does not wish to accept this connection, it MUST return an
        // appropriate HTTP error code (e.g., 403 Forbidden) and abort the WebSocket handshake described
        // in this section."
        if request.origin().is_some_and(|origin| !lists(&settings.origins, origin)) {
            return Err(WsRefusal::new(403));
        }
        settings.check.as_ref().map_or(Ok(()), |check| check(request))
    }
}

/// Whether the text is among these; if there are none, any is.
fn lists(allowed: &[Box<str>], text: &str) -> bool {
    allowed.is_empty() || allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(text))
}

impl fmt::Debug for Settings {
    /// Without what a client asks with, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("path", &self.path)
            .field("hosts", &self.hosts)
            .field("origins", &self.origins)
            .field("check", &self.check.is_some())
            .field("dial_path", &self.dial_path)
            .field("ping", &self.ping)
            .finish_non_exhaustive()
    }
}

/// A request for a WebSocket, as [`WsConfig::check`] sees it.
#[derive(Clone, Copy, Debug)]
pub struct WsRequest<'a> {
    request: &'a Request,
    remote: SocketAddr,
}

impl<'a> WsRequest<'a> {
    pub(super) const fn new(request: &'a Request, remote: SocketAddr) -> Self {
        Self { request, remote }
    }

    /// Who asks: the far end of the connection, which may be an HTTP proxy.
    pub const fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// The path asked for, without the query.
    pub fn path(&self) -> &'a str {
        self.request.uri().path()
    }

    /// What follows the path after `?`.
    pub fn query(&self) -> Option<&'a str> {
        self.request.uri().query()
    }

    /// The host that the client means, without a port; an IPv6 address is in brackets.
    pub fn host(&self) -> &'a str {
        let authority = self.header("host").unwrap_or_default();
        let port = authority.rfind(':').filter(|&at| {
            authority.get(at..).is_some_and(|port| !port.contains(']')) // not within an IPv6 address
        });
        port.and_then(|at| authority.get(..at)).unwrap_or(authority)
    }

    /// Of which origin the page is that asks, such as `https://phone.example.com`; `None` if it is no
    /// browser that asks.
    pub fn origin(&self) -> Option<&'a str> {
        self.header("origin")
    }

    /// The first header field of that name, if it is text: Cookie, Authorization ...
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.request.headers().get(name)?.to_str().ok()
    }

    pub(super) fn headers(&self) -> &'a HeaderMap {
        self.request.headers()
    }
}

/// Why a request for a WebSocket is not granted: what the HTTP response says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WsRefusal {
    status: StatusCode,
    headers: HeaderMap,
}

impl WsRefusal {
    /// With this HTTP status, from 300 to 599; 403 if it is none of these.
    pub fn new(status: u16) -> Self {
        let status = StatusCode::from_u16(status)
            .ok()
            .filter(|status| (300..600).contains(&status.as_u16()))
            .unwrap_or(StatusCode::FORBIDDEN);
        Self { status, headers: HeaderMap::new() }
    }

    /// With one more header field, such as a challenge for a 401. What HTTP does not allow as a name or
    /// value, a line end in it for one, is left out.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            (Ok(name), Ok(value)) => {
                self.headers.append(name, value);
            }
            _ => tracing::warn!(name, "no header field of HTTP: left out of a refusal"),
        }
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// The whole response.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let status = self.status;
        let mut text = format!("HTTP/1.1 {status}\r\nConnection: close\r\n").into_bytes();
        for (name, value) in &self.headers {
            text.extend_from_slice(name.as_str().as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(value.as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        // So that who looks with a browser learns what is here.
        let body = format!("{status}: this is a server of SIP over WebSocket (RFC 7118)\n");
        let rest =
            format!("Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        text.extend_from_slice(rest.as_bytes());
        text
    }
}
