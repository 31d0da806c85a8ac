//! Service URNs: `urn:service:` (RFC 5031).

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;

use super::{Scheme, Uri, UriError, UriErrorKind};
use crate::scan;

/// What all service URNs begin with, after their scheme and colon.
const NAMESPACE: &[u8; 8] = b"service:";

/// The longest label of a top-level service (RFC 5031 §3).
const MAX_TOP_LEVEL: usize = 27;

/// A service such as `sos` or `sos.fire`, as a URI `urn:service:sos.fire` names it (RFC 5031).
///
/// ```
/// use sip_message::{ServiceUrn, Uri};
/// let uri = Uri::parse(b"urn:service:sos.Animal-Control")?;
/// let service = uri.service()?.expect("a service URN");
/// assert_eq!((service.top_level(), service.sub_services().count()), ("sos", 1));
/// assert!(service.is_within(&ServiceUrn::new("sos")?));
/// # Ok::<(), sip_message::UriError>(())
/// ```
///
/// Two are `==` without regard to case.
#[derive(Clone)]
pub struct ServiceUrn<'a> {
    text: Cow<'a, [u8]>,
}

impl<'a> ServiceUrn<'a> {
    /// Reads the labels, parted by dots, that follow `urn:service:`.
    ///
    /// # Errors
    /// [`UriErrorKind::Urn`] at the first byte that may not stand where it does.
    pub fn parse(text: &'a [u8]) -> Result<Self, UriError> {
        match bad_label(text) {
            Some(at) => Err(UriError::new(UriErrorKind::Urn, at)),
            None => Ok(Self { text: Cow::Borrowed(text) }),
        }
    }

    /// The service of these labels, parted by dots.
    ///
    /// # Errors
    /// [`UriErrorKind::Urn`] if they are none.
    // RFC 5031 §3: "Labels are case-insensitive, but MUST be specified in all lower-case."
    pub fn new(labels: &str) -> Result<ServiceUrn<'static>, UriError> {
        let text = labels.to_ascii_lowercase().into_bytes();
        match bad_label(&text) {
            Some(at) => Err(UriError::new(UriErrorKind::Urn, at)),
            None => Ok(ServiceUrn { text: Cow::Owned(text) }),
        }
    }

    /// All labels, from the top-level service on.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.as_str().split('.')
    }

    /// The top-level service, such as `sos`.
    pub fn top_level(&self) -> &str {
        self.labels().next().unwrap_or_default()
    }

    /// The sub-services, the widest first.
    pub fn sub_services(&self) -> impl Iterator<Item = &str> {
        self.labels().skip(1)
    }

    /// The service that this is a sub-service of; `None` for a top-level service. Where a service
    /// is not known, the one above it is tried.
    pub fn parent(&self) -> Option<ServiceUrn<'_>> {
        let (parent, _) = self.as_str().rsplit_once('.')?;
        Some(ServiceUrn { text: Cow::Borrowed(parent.as_bytes()) })
    }

    /// Whether this is that service, or a sub-service of it.
    pub fn is_within(&self, service: &ServiceUrn<'_>) -> bool {
        let mut labels = self.labels();
        let mut same = |label: &str| labels.next().is_some_and(|l| l.eq_ignore_ascii_case(label));
        service.labels().all(&mut same)
    }

    /// Whether this is an emergency service: `sos`, or a sub-service of it (RFC 5031 §4.2).
    pub fn is_emergency(&self) -> bool {
        self.top_level().eq_ignore_ascii_case("sos")
    }

    /// The labels as they are written.
    pub fn as_str(&self) -> &str {
        scan::ascii(&self.text)
    }

    /// The same with a text of its own.
    pub fn into_owned(self) -> ServiceUrn<'static> {
        ServiceUrn { text: Cow::Owned(self.text.into_owned()) }
    }

    /// A copy with a text of its own.
    pub fn to_static(&self) -> ServiceUrn<'static> {
        self.clone().into_owned()
    }
}

impl Uri<'_> {
    /// The service that this URI names; `None` if it is no `urn:service:`.
    ///
    /// # Errors
    /// [`UriErrorKind::Urn`] if the labels are none, and where: bytes from the start of the URI.
    pub fn service(&self) -> Result<Option<ServiceUrn<'_>>, UriError> {
        let opaque = self.opaque().as_bytes();
        let Some((namespace, labels)) = opaque.split_at_checked(NAMESPACE.len()) else {
            return Ok(None);
        };
        if self.scheme() != Scheme::Urn || !scan::same(namespace, NAMESPACE) {
            return Ok(None);
        }
        let start = self.as_bytes().len().saturating_sub(labels.len());
        let at =
            |error: UriError| UriError::new(error.kind(), error.offset().saturating_add(start));
        ServiceUrn::parse(labels).map(Some).map_err(at)
    }

    /// The URI of that service.
    ///
    /// # Errors
    /// [`UriErrorKind::TooLong`].
    pub fn urn_service(service: &ServiceUrn<'_>) -> Result<Uri<'static>, UriError> {
        let labels: Vec<u8> = service.text.to_ascii_lowercase();
        Uri::from_vec([b"urn:", &NAMESPACE[..], &labels].concat())
    }
}

/// Where the first byte is that may not stand there, in labels parted by dots:
/// `let-dig [ *let-dig-hyp let-dig ]`.
fn bad_label(text: &[u8]) -> Option<usize> {
    let mut start = 0usize;
    for (index, label) in text.split(|&byte| byte == b'.').enumerate() {
        let bad = |byte: &u8| !byte.is_ascii_alphanumeric() && *byte != b'-';
        let last = label.len().saturating_sub(1);
        let at = match label {
            [] | [b'-', ..] => Some(0),
            label => label.iter().position(bad).or(label.ends_with(b"-").then_some(last)),
        };
        let long = (index == 0 && label.len() > MAX_TOP_LEVEL).then_some(MAX_TOP_LEVEL);
        if let Some(at) = at.or(long) {
            return Some(start.saturating_add(at));
        }
        start = start.saturating_add(label.len()).saturating_add(1);
    }
    None
}

impl PartialEq for ServiceUrn<'_> {
    // RFC 5031 §3: "'service' identifiers are compared according to case-insensitive string
    // equality."
    fn eq(&self, other: &ServiceUrn<'_>) -> bool {
        self.text.eq_ignore_ascii_case(&other.text)
    }
}

impl Eq for ServiceUrn<'_> {}

impl fmt::Display for ServiceUrn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ServiceUrn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceUrn({self})")
    }
}
