//! Where the sender is, or who can tell (RFC 6442).

use alloc::borrow::Cow;
use alloc::string::String;

use bytes::BytesMut;

use super::bracketed::bracketed_header;
use super::rule::Rule;
use super::single;
use super::word::word_header;
use crate::scan::{Cursor, Fault, Span, TOKEN};
use crate::uri::escape;
use crate::{Header, HeaderError, HeaderErrorKind, HeaderName, Scheme};

bracketed_header!(Geolocation, true, &[],
/// One Geolocation value: a URI of the sender's location, or of the body part that holds it
/// (RFC 6442 §4.1).
///
/// ```
/// use sip_message::{Geolocation, Header};
/// let location = Geolocation::parse(b"<cid:target123@atlanta.example.com>")?;
/// assert_eq!(location.content_id().as_deref(), Some("target123@atlanta.example.com"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

impl Geolocation<'_> {
    /// The Content-ID, without its brackets, of the body part that holds the location; `None` if the
    /// location is elsewhere.
    pub fn content_id(&self) -> Option<String> {
        let uri = self.uri();
        let is_cid =
            matches!(uri.scheme(), Scheme::Other(scheme) if scheme.eq_ignore_ascii_case("cid"));
        is_cid.then(|| escape::decode(uri.opaque().as_bytes()).into_owned())
    }
}

word_header!(GeolocationError, false, code, &[Rule::quoted("code")],
/// Geolocation-Error: what was wrong with the location in the request (RFC 6442 §4.4).
///
/// ```
/// use sip_message::{GeolocationError, Header};
/// let error = GeolocationError::parse(b"201 ; code=\"Permission To Retransmit\"")?;
/// assert_eq!((error.code(), error.top_level()), (201, 200));
/// assert_eq!(error.text().as_deref(), Some("Permission To Retransmit"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

/// `1*3DIGIT`
fn code(cursor: &mut Cursor<'_>) -> Result<Span, Fault> {
    let fault = cursor.fault(HeaderErrorKind::Number);
    let code = super::word::number(cursor)?;
    if code.end.saturating_sub(code.start) <= 3 { Ok(code) } else { Err(fault) }
}

impl GeolocationError<'_> {
    /// This code, from 100 to 399 today.
    ///
    /// # Errors
    /// It must have three digits at most.
    pub fn new(code: u16) -> Result<GeolocationError<'static>, HeaderError> {
        Self::from_vec(alloc::format!("{code}").into_bytes())
    }

    /// With this text for people, in quotes, in place of the one it had.
    ///
    /// # Errors
    /// The text must be without CR and LF.
    pub fn with_text(&self, text: &str) -> Result<GeolocationError<'static>, HeaderError> {
        self.with_param("code", Some(text))
    }

    /// The code.
    pub fn code(&self) -> u16 {
        // Three digits: checked when it was parsed.
        self.word().parse().unwrap_or_default()
    }

    /// The code that stands for all of its hundred, for one that is not known.
    // RFC 6442 §4.4: "the error recipient SHOULD process the error code as if it originally were a
    // top-level error code where the X in X00 matches the specific error code"
    pub fn top_level(&self) -> u16 {
        let code = self.code();
        code.saturating_sub(code % 100)
    }

    /// What it says for people: the parameter called `code`.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        self.param("code")?.value()
    }
}

/// Geolocation-Routing: whether the location may be used to route the request (RFC 6442 §4.2).
///
/// ```
/// use sip_message::{GeolocationRouting, Header};
/// assert!(GeolocationRouting::parse(b"yes")?.is_allowed());
/// assert!(!GeolocationRouting::parse(b"x-later=1")?.is_allowed());
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
#[derive(Clone)]
pub struct GeolocationRouting<'a> {
    text: Cow<'a, [u8]>,
}

impl GeolocationRouting<'_> {
    /// `yes`
    pub const YES: GeolocationRouting<'static> = GeolocationRouting { text: Cow::Borrowed(b"yes") };

    /// `no`: what holds also where there is no such field.
    pub const NO: GeolocationRouting<'static> = GeolocationRouting { text: Cow::Borrowed(b"no") };

    /// Whether it may: only if the value is `yes`.
    // RFC 6442 §4.2: "Implementations not aware of an extension MUST treat any other received value
    // the same as "no"."
    pub fn is_allowed(&self) -> bool {
        self.text.eq_ignore_ascii_case(b"yes")
    }

    /// The same with a text of its own.
    pub fn into_owned(self) -> GeolocationRouting<'static> {
        GeolocationRouting { text: Cow::Owned(self.text.into_owned()) }
    }

    /// A copy with a text of its own.
    pub fn to_static(&self) -> GeolocationRouting<'static> {
        self.clone().into_owned()
    }
}

crate::header::text_traits!(GeolocationRouting);

impl<'a> Header<'a> for GeolocationRouting<'a> {
    const NAME: HeaderName<'static> = HeaderName::GeolocationRouting;
    const LIST: bool = false;

    fn parse_first(field: &'a [u8]) -> Result<(Self, Option<usize>), HeaderError> {
        single(Self::NAME, field, |text, cursor| {
            if cursor.is_end() {
                return Err(cursor.fault(HeaderErrorKind::Empty));
            }
            if !cursor.peek().is_some_and(|byte| crate::scan::is(byte, TOKEN)) {
                return Err(cursor.fault(HeaderErrorKind::Token));
            }
            cursor.bare_param()?;
            Ok(Self { text: Cow::Borrowed(text) })
        })
    }

    fn write(&self, out: &mut BytesMut) {
        out.extend_from_slice(&self.text);
    }
}
