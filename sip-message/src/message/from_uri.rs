//! Requests formed from a URI (RFC 3261 §19.1.5): from business cards, web pages and Refer-To.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Request, RequestBuilder};
use crate::{BuildError, HeaderName, Method, Uri};

impl Request {
    /// A builder of the request that a URI asks for: its `method` parameter is the method (else
    /// `method`), its headers are header fields, its `body` header is the body, and the rest is the
    /// Request-URI.
    ///
    /// What the one who wrote the URI has no business to say is left out: who sends the request and
    /// by which way, what the sender can do, and what only the sender can know (see the headers that
    /// RFC 3261 §19.1.5 names).
    ///
    /// ```
    /// use sip_message::{HeaderName, Method, Request, Uri};
    ///
    /// let uri = b"sip:bob@biloxi.com;method=OPTIONS?Subject=project%20x&Route=%3Csip:evil%3E";
    /// let request = Request::builder_from(&Uri::parse(uri)?, Method::Invite)?
    ///     .raw(HeaderName::From, "<sip:alice@atlanta.com>;tag=1")
    ///     .raw(HeaderName::To, "<sip:bob@biloxi.com>")
    ///     .raw(HeaderName::CallId, "7")
    ///     .raw(HeaderName::CSeq, "1 OPTIONS")
    ///     .build()?;
    /// assert_eq!(request.uri_bytes(), b"sip:bob@biloxi.com");
    /// assert_eq!(request.raw(HeaderName::Subject), Some(&b"project x"[..]));
    /// assert!(!request.headers().contains(HeaderName::Route));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The URI makes no request: its method or a header name is no token, or it has a body and no
    /// Content-Type. A header value with a line end in it is an error of
    /// [`RequestBuilder::build`].
    // RFC 3261 §19.1.5: "If the request formed from constructing a message from a given URI is not a
    // valid SIP request, the URI is invalid."
    pub fn builder_from(uri: &Uri<'_>, method: Method) -> Result<RequestBuilder, BuildError> {
        // RFC 3261 §19.1.5: "If the URI contains a method parameter, its value MUST be used as the
        // method of the request."
        let method = match uri.method_param() {
            Some(name) if uri.is_sip() => {
                Method::from_bytes(name.as_bytes()).ok_or(BuildError::Method)?
            }
            _ => method,
        };
        let mut builder = RequestBuilder::new(method, &request_uri(uri)?);
        let (mut content_type, mut body) = (None, None);
        for header in uri.headers() {
            let name = header.name_decoded();
            let value = header.value_decoded().unwrap_or_default();
            // RFC 3261 §19.1.1: "The special hname "body" indicates that the associated hvalue is the
            // message-body of the SIP request."
            if name.eq_ignore_ascii_case("body") {
                body.get_or_insert(value);
                continue;
            }
            match HeaderName::from_bytes(name.as_bytes()).ok_or(BuildError::Name)? {
                HeaderName::ContentType => drop(content_type.get_or_insert(value)),
                name if is_honoured(name) => builder = builder.raw(name, value.as_bytes()),
                _ => {}
            }
        }
        match (content_type, body) {
            (Some(content_type), Some(body)) => {
                Ok(builder.body(content_type.as_bytes(), body.into_owned().into_bytes()))
            }
            // RFC 3261 §7.4.1: "The Internet media type of the message body MUST be given by the
            // Content-Type header field."
            (None, Some(_)) => Err(BuildError::Missing(HeaderName::ContentType)),
            (_, None) => Ok(builder),
        }
    }
}

impl Uri<'_> {
    /// The headers of the URI that [`Request::builder_from`] takes over, names and values decoded; for who forms
    /// the request in another way. Body and Content-Type are not among them, nor what is no header name.
    ///
    /// ```
    /// use sip_message::Uri;
    /// let uri = Uri::parse(b"sip:bob@biloxi.com?Replaces=7%40a%3Bto-tag%3D1%3Bfrom-tag%3D2&Via=evil")?;
    /// let replaces = ("Replaces".to_owned(), "7@a;to-tag=1;from-tag=2".to_owned());
    /// assert_eq!(uri.honoured_headers(), [replaces]);
    /// # Ok::<(), sip_message::UriError>(())
    /// ```
    #[must_use]
    pub fn honoured_headers(&self) -> Vec<(String, String)> {
        let headers = self.headers().map(|header| {
            (header.name_decoded().into_owned(), header.value_decoded().unwrap_or_default())
        });
        let honoured = headers.filter(|(name, _)| {
            HeaderName::from_bytes(name.as_bytes()).is_some_and(|known| {
                known != HeaderName::ContentType
                    && !name.eq_ignore_ascii_case("body")
                    && is_honoured(known)
            })
        });
        honoured.map(|(name, value)| (name, value.into_owned())).collect()
    }
}

// RFC 3261 §19.1.5: "The method parameter MUST NOT be placed in the Request-URI. Unknown URI
// parameters MUST be placed in the message's Request-URI."
fn request_uri(uri: &Uri<'_>) -> Result<Uri<'static>, BuildError> {
    if !uri.is_sip() {
        return Ok(uri.to_static());
    }
    let bare = uri.without_headers().and_then(|uri| uri.without_param("method"));
    bare.map_err(|_| BuildError::RequestUri)
}

impl Request {
    /// Whether a URI may ask for a header field of that name in a request that is formed from it
    /// ([`builder_from`](Self::builder_from)), or redirected to it (RFC 3261 §8.1.3.4).
    #[must_use]
    pub fn may_come_from_uri(name: HeaderName<'_>) -> bool {
        is_honoured(name)
    }
}

/// Whether a URI may ask for a header field of that name.
fn is_honoured(name: HeaderName<'_>) -> bool {
    // RFC 3261 §19.1.5: "An implementation SHOULD NOT honor these obviously dangerous header fields:
    // From, Call-ID, CSeq, Via, and Record-Route."
    // RFC 3261 §19.1.5: "An implementation SHOULD NOT honor any requested Route header field values"
    // RFC 3261 §19.1.5: "An implementation SHOULD NOT honor requests to include header fields that
    // may cause it to falsely advertise its location or capabilities."
    !matches!(
        name,
        HeaderName::From
            | HeaderName::CallId
            | HeaderName::CSeq
            | HeaderName::Via
            | HeaderName::RecordRoute
            | HeaderName::Route
            | HeaderName::Accept
            | HeaderName::AcceptEncoding
            | HeaderName::AcceptLanguage
            | HeaderName::Allow
            | HeaderName::Contact
            | HeaderName::Organization
            | HeaderName::Supported
            | HeaderName::UserAgent
            // Of what describes the message, these are for the sender alone to know.
            | HeaderName::ContentEncoding
            | HeaderName::ContentLength
            | HeaderName::Date
            | HeaderName::MimeVersion
            | HeaderName::Timestamp
            // Not of the section's list, but in the same way the sender's own: how far the request
            // may go, by which proxies, and who vouches for whom.
            | HeaderName::MaxForwards
            | HeaderName::Path
            | HeaderName::Authorization
            | HeaderName::ProxyAuthorization
            | HeaderName::PAssertedIdentity
            | HeaderName::PPreferredIdentity
            | HeaderName::Identity
    )
}
