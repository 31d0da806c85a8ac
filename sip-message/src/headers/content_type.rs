use alloc::borrow::Cow;
use alloc::vec::Vec;

use bytes::BytesMut;

use super::single;
use crate::params::{self, Param, Params};
use crate::scan::{self, Cursor, Fault, Span, TOKEN};
use crate::{Header, HeaderError, HeaderErrorKind, HeaderName};

/// Content-Type: the media type of the body (RFC 3261 §20.15).
///
/// ```
/// use sip_message::{ContentType, Header};
/// assert!(ContentType::parse(b"application/SDP;charset=utf-8")?.is("application", "sdp"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
#[derive(Clone)]
pub struct ContentType<'a> {
    text: Cow<'a, [u8]>,
    parts: MediaParts,
}

/// Where type, subtype and parameters are.
#[derive(Clone, Copy, Default)]
pub(super) struct MediaParts {
    pub(super) kind: Span,
    pub(super) subtype: Span,
    pub(super) params: Span,
}

impl ContentType<'_> {
    /// `application/sdp`.
    pub const SDP: ContentType<'static> = ContentType {
        text: Cow::Borrowed(b"application/sdp"),
        parts: MediaParts {
            kind: Span { start: 0, end: 11 },
            subtype: Span { start: 12, end: 15 },
            params: Span { start: 15, end: 15 },
        },
    };

    /// `kind/subtype`.
    ///
    /// # Errors
    /// Both must be tokens.
    pub fn new(kind: &str, subtype: &str) -> Result<ContentType<'static>, HeaderError> {
        if !scan::all(kind.as_bytes(), TOKEN) || !scan::all(subtype.as_bytes(), TOKEN) {
            return Err(HeaderError::new(HeaderName::ContentType, HeaderErrorKind::MediaType, 0));
        }
        Self::from_vec([kind.as_bytes(), b"/", subtype.as_bytes()].concat())
    }

    /// With this parameter in place of the first of its name, or at the end; quoted if needed.
    ///
    /// # Errors
    /// The name must be a token, the value without CR and LF.
    pub fn with_param(&self, name: &str, value: &str) -> Result<ContentType<'static>, HeaderError> {
        let text = params::with_param(&self.text, self.parts.params, name, Some(value))
            .map_err(|fault| HeaderError::from_fault(HeaderName::ContentType, fault))?;
        Self::from_vec(text)
    }

    fn from_vec(text: Vec<u8>) -> Result<ContentType<'static>, HeaderError> {
        let parts = ContentType::parse(&text)?.parts;
        Ok(ContentType { text: Cow::Owned(text), parts })
    }

    /// The type, such as `application`, as it is written.
    pub fn kind(&self) -> &str {
        self.parts.kind.str(&self.text)
    }

    /// The subtype, such as `sdp`, as it is written.
    pub fn subtype(&self) -> &str {
        self.parts.subtype.str(&self.text)
    }

    /// Whether type and subtype are these, without regard to case.
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind().eq_ignore_ascii_case(kind) && self.subtype().eq_ignore_ascii_case(subtype)
    }

    /// The parameters in order, such as `boundary`.
    pub fn params(&self) -> Params<'_> {
        Params::new(self.parts.params.of(&self.text))
    }

    /// The first parameter of that name, compared without regard to case.
    pub fn param(&self, name: &str) -> Option<Param<'_>> {
        self.params().find(|param| param.is(name))
    }

    /// The same with a text of its own.
    pub fn into_owned(self) -> ContentType<'static> {
        ContentType { text: Cow::Owned(self.text.into_owned()), parts: self.parts }
    }

    /// A copy with a text of its own.
    pub fn to_static(&self) -> ContentType<'static> {
        self.clone().into_owned()
    }
}

impl MediaParts {
    /// `type SLASH subtype *(SEMI parameter)`; ranges have `*`, which is a token too.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, Fault> {
        const KIND: HeaderErrorKind = HeaderErrorKind::MediaType;
        let kind = cursor.some(TOKEN, KIND)?;
        cursor.skip_lws();
        if !cursor.eat(b'/') {
            return Err(cursor.fault(KIND));
        }
        cursor.skip_lws();
        let subtype = cursor.some(TOKEN, KIND)?;
        let params = cursor.params(|_| Ok(()))?;
        Ok(Self { kind, subtype, params })
    }
}

crate::header::text_traits!(ContentType);

/// As it is written: what a message builder takes beside a body.
impl AsRef<[u8]> for ContentType<'_> {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

impl<'a> Header<'a> for ContentType<'a> {
    const NAME: HeaderName<'static> = HeaderName::ContentType;
    const LIST: bool = false;

    fn parse_first(field: &'a [u8]) -> Result<(Self, Option<usize>), HeaderError> {
        single(Self::NAME, field, |text, cursor| {
            if cursor.is_end() {
                return Err(cursor.fault(HeaderErrorKind::Empty));
            }
            let parts = MediaParts::parse(cursor)?;
            Ok(Self { text: Cow::Borrowed(text), parts })
        })
    }

    fn write(&self, out: &mut BytesMut) {
        out.extend_from_slice(&self.text);
    }
}
