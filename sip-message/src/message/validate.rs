//! What an element must refuse, with the status owed (RFC 3261 §8.2, §16.3, §18.3; RFC 4475 §3).
//!
//! Only what belongs to every element is decided here: what the message is, whom it concerns, and
//! the header fields that route it. Unknown methods (405, 501), schemes (416), extensions (420) and
//! content (415) are for the user agent or proxy that knows what it supports.

use super::headers::Headers;
use super::parse::Version;
use super::{Message, Request, Response};
use crate::header_name::Id;
use crate::{
    CSeq, CallId, Contact, From, Header, HeaderErrorKind, HeaderName, MaxForwards, Method,
    RecordRoute, Refusal, RefusalKind, Route, StatusCode, To, UriErrorKind, Via,
};

impl Request {
    /// Whether the request can be worked on; otherwise the status that is owed to it.
    ///
    /// Checked are the framing and the [`Limits`](crate::Limits) (400, 513), the version (505)
    /// and the Request-URI (400, 414); that To, From, Call-ID, CSeq and Via are there, once but for
    /// Via, and are what they must be; CSeq's method; and, if there, Max-Forwards, Contact, Route
    /// and Record-Route. What else is malformed is nobody's business but that of who asks for it.
    ///
    /// # Errors
    /// The first thing that is wrong. An ACK is never answered: a refused one is dropped.
    pub fn validate(&self) -> Result<(), Refusal> {
        check_version(self.parts.version)?;
        if let Some(problem) = &self.parts.problem {
            return Err(self.parts.headers.first_of(problem, || {
                self.validate_uri()?;
                self.parts.headers.validate_request()
            }));
        }
        self.validate_uri()?;
        self.parts.headers.validate_request()?;
        // RFC 3261 §8.1.1.5: "The method MUST match that of the request."
        match self.parts.headers.cseq() {
            Some(cseq) if cseq.is(&self.parts.method) => Ok(()),
            _ => Err(self.method_mismatch()),
        }
    }

    #[cold]
    fn method_mismatch(&self) -> Refusal {
        let at = self.parts.headers.offset(HeaderName::CSeq);
        let refusal = Refusal::of(HeaderName::CSeq, RefusalKind::MethodMismatch, at);
        match self.parts.method {
            // RFC 4475 §3.1.2.18: "Any element receiving this response should respond with a 501
            // Not Implemented.  A 400 Bad Request is also acceptable, but choosing a 501
            // (particularly at proxies) has better future-proof characteristics."
            Method::Other(_) => Refusal { status: StatusCode::NOT_IMPLEMENTED, ..refusal },
            _ => refusal,
        }
    }

    fn validate_uri(&self) -> Result<(), Refusal> {
        let start = self.parts.uri.0 as usize;
        let bad =
            |kind, at: usize| Refusal::new(StatusCode::BAD_REQUEST, kind, start.saturating_add(at));
        match self.uri() {
            // RFC 3261 §19.1.1, table 1: no header fields in a Request-URI.
            Ok(uri) if uri.is_sip() && uri.headers().next().is_some() => {
                let at = memchr::memchr(b'?', self.uri_bytes()).unwrap_or(0);
                Err(bad(RefusalKind::RequestUriHeaders, at))
            }
            Ok(_) => Ok(()),
            Err(error) if error.kind() == UriErrorKind::TooLong => Err(Refusal::new(
                StatusCode::REQUEST_URI_TOO_LONG,
                RefusalKind::RequestUriTooLong,
                start,
            )),
            Err(error) => Err(bad(RefusalKind::RequestUri(error.kind()), error.offset())),
        }
    }
}

impl Response {
    /// Whether the response can be worked on: checked as a [`Request`] is, as far as it goes. A
    /// header field of requests is none of it.
    ///
    /// # Errors
    /// The first thing that is wrong. The response is to be discarded (RFC 3261 §18.3, §8.1.3); the
    /// status is for the log alone.
    pub fn validate(&self) -> Result<(), Refusal> {
        check_version(self.parts.version)?;
        if let Some(problem) = &self.parts.problem {
            return Err(self.parts.headers.first_of(problem, || self.parts.headers.validate()));
        }
        self.parts.headers.validate()
    }
}

impl Message {
    /// Checks the start line; what else reading the message found wrong.
    pub(super) fn check_start_line(&self) -> Result<Option<&Refusal>, Refusal> {
        match self {
            Self::Request(request) => {
                check_version(request.parts.version)?;
                request.validate_uri()?;
                Ok(request.parts.problem.as_deref())
            }
            Self::Response(response) => {
                check_version(response.parts.version)?;
                Ok(response.parts.problem.as_deref())
            }
        }
    }
}

// RFC 3261 §21.5.6: "The server does not support, or refuses to support, the SIP protocol version
// that was used in the request."
fn check_version(version: Version) -> Result<(), Refusal> {
    if version == Version::SIP_2_0 {
        return Ok(());
    }
    Err(Refusal::new(StatusCode::VERSION_NOT_SUPPORTED, RefusalKind::Version, 0))
}

impl Headers {
    fn validate(&self) -> Result<(), Refusal> {
        // RFC 3261 §8.1.1: "A valid SIP request formulated by a UAC MUST, at a minimum, contain the
        // following header fields: To, From, CSeq, Call-ID, Max-Forwards, and Via"
        //
        // Max-Forwards may be missing: RFC 2543 did not know it, and
        // RFC 3261 §16.3: "If the request does not contain a Max-Forwards header field, this check
        // is passed."
        self.validate_one::<To<'_>>()?;
        self.validate_one::<From<'_>>()?;
        self.validate_one::<CallId<'_>>()?;
        self.validate_one::<CSeq>()?;
        self.require(HeaderName::Via)?;
        if !self.is_sound(Id::Via) || self.core.is_repeated(Id::Via) {
            self.validate_each::<Via<'_>>()?;
        }
        self.once(HeaderName::ContentType)?;
        self.validate_each::<Contact<'_>>()?;
        self.validate_each::<RecordRoute<'_>>()
        // RFC 3261 §16.3: "Any other components, well-formed or not, SHOULD be ignored and
        // remain unchanged when the message is forwarded. For instance, an element would not reject
        // a request because of a malformed Date header field."
        //
        // So RFC 2543's dates in Expires and Retry-After are let pass, and odd warnings.
    }

    /// And what requests alone have.
    // RFC 3261 §7.3.2: "If a header field appears in a message not matching its category (such as a
    // request header field in a response), it MUST be ignored."
    fn validate_request(&self) -> Result<(), Refusal> {
        self.validate()?;
        if self.contains(HeaderName::MaxForwards) {
            self.validate_one::<MaxForwards>()?;
        }
        self.validate_each::<Route<'_>>()
    }

    /// What reading the message found wrong, or what `check` finds wrong before that.
    #[cold]
    fn first_of(&self, problem: &Refusal, check: impl FnOnce() -> Result<(), Refusal>) -> Refusal {
        // A start line that could not be told apart makes no Request-URI worth a look.
        if problem.offset < self.fields_start as usize {
            return *problem;
        }
        check().err().filter(|found| found.offset < problem.offset).unwrap_or(*problem)
    }

    /// There must be one of this name, and it must be right.
    fn validate_one<'a, H: Header<'a>>(&'a self) -> Result<(), Refusal> {
        self.require(H::NAME)?;
        self.once(H::NAME)?;
        // Mostly it was read with the message.
        if self.is_sound(H::NAME.id()) { Ok(()) } else { self.validate_each::<H>() }
    }

    fn require(&self, name: HeaderName<'static>) -> Result<(), Refusal> {
        if self.contains(name) {
            return Ok(());
        }
        Err(Refusal::of(name, RefusalKind::Missing, self.body_start as usize))
    }

    // RFC 3261 §7.3.1: "Multiple header field rows with the same field-name MAY be present in a
    // message if and only if the entire field-value for that header field is defined as a
    // comma-separated list (that is, if follows the grammar defined in Section 7.3)."
    pub(super) fn once(&self, name: HeaderName<'static>) -> Result<(), Refusal> {
        if !self.core.is_repeated(name.id()) {
            return Ok(());
        }
        let second = self.all(name).nth(1).map_or(0, |field| field.offset());
        Err(Refusal::of(name, RefusalKind::Repeated, second))
    }

    /// Whatever there is of this name must be right.
    pub(super) fn validate_each<'a, H: Header<'a>>(&'a self) -> Result<(), Refusal> {
        let sound = usize::from(self.is_sound(H::NAME.id()));
        for field in self.all(H::NAME).skip(sound) {
            let (value, mut at) = (field.value(), 0usize);
            let refuse = |kind: HeaderErrorKind, at: usize| {
                let at = field.offset().saturating_add(at);
                Refusal::of(H::NAME, RefusalKind::Value(kind), at)
            };
            loop {
                match H::parse_first(value.get(at..).unwrap_or_default()) {
                    Ok((_, None)) => break,
                    Ok((_, Some(_))) if !H::LIST => {
                        return Err(refuse(HeaderErrorKind::Trailing, 0));
                    }
                    Ok((_, Some(next))) => at = at.saturating_add(next),
                    Err(error) => {
                        return Err(refuse(error.kind(), at.saturating_add(error.offset())));
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn offset(&self, name: HeaderName<'static>) -> usize {
        self.find(name).map_or(0, |field| field.offset())
    }
}
