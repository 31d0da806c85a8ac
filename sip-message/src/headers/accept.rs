use alloc::borrow::Cow;

use bytes::BytesMut;

use super::content_type::MediaParts;
use super::{QValue, single, word_list};
use crate::params::{Param, Params};
use crate::scan::Cursor;
use crate::{Header, HeaderError, HeaderName};

/// Accept: the media types that may come back (RFC 3261 §20.1).
///
/// Stands for all ranges of one line. An empty one accepts nothing; a message without the header
/// accepts `application/sdp`.
///
/// ```
/// use sip_message::{Accept, Header};
/// let accept = Accept::parse(b"application/sdp;level=1, application/x-private, text/*;q=0.1")?;
/// assert!(accept.accepts("text", "html") && !accept.accepts("image", "png"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
#[derive(Clone)]
pub struct Accept<'a> {
    text: Cow<'a, [u8]>,
}

impl Accept<'_> {
    /// These media types, each as `type/subtype` with or without parameters.
    ///
    /// # Errors
    /// Each must be a media range.
    pub fn new<T: AsRef<str>>(
        ranges: impl IntoIterator<Item = T>,
    ) -> Result<Accept<'static>, HeaderError> {
        let text = word_list::join(ranges);
        Accept::parse(&text)?;
        Ok(Accept { text: Cow::Owned(text) })
    }

    /// The ranges in order.
    pub fn ranges(&self) -> impl Iterator<Item = MediaRange<'_>> {
        let mut cursor = Cursor::new(&self.text).ok();
        core::iter::from_fn(move || next_range(&self.text, cursor.as_mut()?))
    }

    /// How much a media type is wanted: by the most specific range that matches it, parameters
    /// aside (RFC 3261 §20.1 and RFC 2616 §14.1); `None` if none does.
    pub fn quality(&self, kind: &str, subtype: &str) -> Option<QValue> {
        let best = self.ranges().filter_map(|range| Some((range.fit(kind, subtype)?, range.q())));
        best.max_by_key(|(fit, q)| (*fit, *q)).map(|(_, q)| q)
    }

    /// Whether a media type is wanted at all: matched, and not with `q=0`.
    pub fn accepts(&self, kind: &str, subtype: &str) -> bool {
        self.quality(kind, subtype).is_some_and(|q| q.thousandths() > 0)
    }

    /// The same with a text of its own.
    pub fn into_owned(self) -> Accept<'static> {
        Accept { text: Cow::Owned(self.text.into_owned()) }
    }
}

/// One element of [`Accept`].
#[derive(Clone)]
pub struct MediaRange<'a> {
    text: &'a [u8],
    parts: MediaParts,
}

impl<'a> MediaRange<'a> {
    /// The type as it is written, or `*`.
    pub fn kind(&self) -> &'a str {
        self.parts.kind.str(self.text)
    }

    /// The subtype as it is written, or `*`.
    pub fn subtype(&self) -> &'a str {
        self.parts.subtype.str(self.text)
    }

    /// The parameters in order, `q` among them.
    pub fn params(&self) -> Params<'a> {
        Params::new(self.parts.params.of(self.text))
    }

    /// The first parameter of that name, compared without regard to case.
    pub fn param(&self, name: &str) -> Option<Param<'a>> {
        self.params().find(|param| param.is(name))
    }

    /// The `q` parameter, 1 if there is none or a malformed one.
    pub fn q(&self) -> QValue {
        QValue::of(self.params()).unwrap_or(QValue::ONE)
    }

    /// Whether the media type is within the range, parameters aside.
    pub fn matches(&self, kind: &str, subtype: &str) -> bool {
        self.fit(kind, subtype).is_some()
    }

    /// How closely it matches: 2 for the type itself, 1 for `type/*`, 0 for `*/*`.
    fn fit(&self, kind: &str, subtype: &str) -> Option<u8> {
        match (self.kind(), self.subtype()) {
            ("*", "*") => Some(0),
            (k, _) if !k.eq_ignore_ascii_case(kind) => None,
            (_, "*") => Some(1),
            (_, s) => s.eq_ignore_ascii_case(subtype).then_some(2),
        }
    }
}

/// The next range of a list that was parsed before.
fn next_range<'t>(text: &'t [u8], cursor: &mut Cursor<'t>) -> Option<MediaRange<'t>> {
    word_list::to_next(cursor);
    let parts = MediaParts::parse(cursor).ok()?;
    Some(MediaRange { text, parts })
}

crate::header::text_traits!(Accept);

impl<'a> Header<'a> for Accept<'a> {
    const NAME: HeaderName<'static> = HeaderName::Accept;
    const LIST: bool = false;

    fn parse_first(field: &'a [u8]) -> Result<(Self, Option<usize>), HeaderError> {
        single(Self::NAME, field, |text, cursor| {
            word_list::each(cursor, |cursor| MediaParts::parse(cursor).map(|_| ()))?;
            Ok(Self { text: Cow::Borrowed(text) })
        })
    }

    fn write(&self, out: &mut BytesMut) {
        out.extend_from_slice(&self.text);
    }
}
