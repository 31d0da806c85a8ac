use alloc::borrow::Cow;

use super::word::{token, word_header};
use crate::HeaderErrorKind;
use crate::scan::{self, Cursor, Fault, Span};

word_header!(ReferSub, false, boolean, &[],
/// Refer-Sub: whether a REFER is to make an implicit subscription, or has made one (RFC 4488 §4).
///
/// ```
/// use sip_message::{Header, ReferSub};
/// assert!(!ReferSub::parse(b"false")?.subscribes());
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

impl ReferSub<'_> {
    /// `true` or `false`.
    pub fn new(subscribes: bool) -> ReferSub<'static> {
        let text: &[u8] = if subscribes { b"true" } else { b"false" };
        let end = Span::new(text.len(), text.len());
        ReferSub { text: Cow::Borrowed(text), word: Span { start: 0, ..end }, params: end }
    }

    /// Whether there is to be a subscription.
    pub fn subscribes(&self) -> bool {
        self.word().eq_ignore_ascii_case("true")
    }
}

/// `"true" / "false"`
fn boolean(cursor: &mut Cursor<'_>) -> Result<Span, Fault> {
    let (rest, fault) = (cursor.rest(), cursor.fault(HeaderErrorKind::Token));
    let word = token(cursor)?;
    let (_, len) = word.place(0);
    let text = rest.get(..len).unwrap_or_default();
    if scan::same(text, b"true") || scan::same(text, b"false") { Ok(word) } else { Err(fault) }
}
