//! Going on to the contacts of a redirection (RFC 3261 §16.5, §16.7 item 4).

use sip_message::{Contact, HeaderName, QValue, Request, Response, StatusCode, Uri};

use crate::route::Names;
use crate::router::by_q;
use crate::{ProxyConfig, ProxyOptions, RouteTarget};

/// What redirections may add to the targets of one request.
#[derive(Debug)]
pub(super) struct Recursion {
    /// All that it was or will be forwarded to.
    seen: Vec<Uri<'static>>,
    left: u16,
    secure: bool,
}

impl Recursion {
    /// `None` if the contacts go back to the caller: it is not wanted, or
    ///
    /// RFC 3261 §16.5: "A proxy MUST NOT add additional targets to the target set if the
    /// Request-URI of the original request does not indicate a resource
    /// this proxy is responsible for."
    pub(super) fn new(
        config: &ProxyConfig,
        names: Names<'_>,
        options: ProxyOptions,
        request: &Request,
        targets: &[Vec<RouteTarget>],
    ) -> Option<Box<Self>> {
        if !options.recurse.unwrap_or(config.recurse) {
            return None;
        }
        let uri = request.uri().ok()?;
        let is_ours = !uri.is_sip() || names.serves(&uri) || names.is_listener(&uri);
        if !is_ours || request.headers().contains(HeaderName::Route) {
            return None;
        }
        let seen = targets.iter().flatten().map(|target| target.uri.clone()).collect();
        Some(Box::new(Self { seen, left: config.max_redirects, secure: uri.is_secure() }))
    }

    /// Takes the contacts out of a redirection to which the request shall go, in groups of equal q. What is left of
    /// the response is what the caller may still want to know: `None` if that is nothing.
    pub(super) fn take(
        &mut self,
        mut response: Response,
    ) -> (Vec<Vec<RouteTarget>>, Option<Response>) {
        let redirects = matches!(
            response.status(),
            StatusCode::MULTIPLE_CHOICES
                | StatusCode::MOVED_PERMANENTLY
                | StatusCode::MOVED_TEMPORARILY
        );
        if !redirects {
            return (Vec::new(), Some(response));
        }
        let (mut taken, mut rest) = (Vec::new(), Vec::new());
        for contact in response.get_all::<Contact<'_>>().flatten() {
            match contact.uri().filter(|uri| self.goes_to(uri)) {
                Some(uri) => {
                    let uri = uri.to_static();
                    self.seen.push(uri.clone());
                    self.left = self.left.saturating_sub(1);
                    taken.push((RouteTarget::new(uri), contact.q().unwrap_or(QValue::ONE)));
                }
                None => rest.push(contact.to_static()),
            }
        }
        if taken.is_empty() {
            return (Vec::new(), Some(response));
        }
        // RFC 3261 §16.7: "If the proxy chooses to recurse on any contacts in a 3xx
        // response by adding them to the target set, it MUST remove them
        // from the response before adding the response to the response
        // context."
        response.headers_mut().remove(HeaderName::Contact);
        for contact in &rest {
            response.headers_mut().push(contact);
        }
        // RFC 3261 §16.7: "If
        // the proxy recurses on all of the contacts in a 3xx response,
        // the proxy SHOULD NOT add the resulting contactless response to
        // the response context."
        (by_q(taken), (!rest.is_empty()).then_some(response))
    }

    fn goes_to(&self, uri: &Uri<'_>) -> bool {
        // RFC 3261 §16.7: "However, a proxy SHOULD NOT recurse to a non-SIPS URI
        // if the Request-URI of the original request was a SIPS URI."
        self.left > 0
            && uri.is_sip()
            && (uri.is_secure() || !self.secure)
            // RFC 3261 §16.5: "As
            // above, any given URI MUST NOT be added to the set more than once."
            && !self.seen.iter().any(|seen| seen.is_equivalent(uri))
    }
}
