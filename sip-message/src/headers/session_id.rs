use alloc::borrow::Cow;

use super::rule::Rule;
use super::word::word_header;
use crate::HeaderErrorKind;
use crate::scan::{Cursor, Fault, Span, TOKEN};

word_header!(SessionId, false, uuid, &[Rule::new("remote", |value| value.is_some_and(is_uuid))],
/// Session-ID: the UUIDs that name a communication session at its two ends, through all dialogs and
/// back-to-back user agents between them (RFC 7989 §5).
///
/// ```
/// use sip_message::{Header, SessionId};
/// let id = SessionId::new(0xab30317f_1a784dc4_8ff824d0_d3715d86, SessionId::NIL);
/// assert_eq!(id.to_string(), "ab30317f1a784dc48ff824d0d3715d86;remote=00000000000000000000000000000000");
/// assert_eq!(SessionId::parse(b"ab30317f1a784dc48ff824d0d3715d86")?.remote(), None);
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

impl SessionId<'_> {
    /// The UUID of an end that is not known yet.
    pub const NIL: u128 = 0;

    /// `local;remote=remote`: the UUIDs of the sender and of its peer.
    pub fn new(local: u128, remote: u128) -> SessionId<'static> {
        let text = alloc::format!("{local:032x};remote={remote:032x}").into_bytes();
        let params = Span::new(32, text.len());
        SessionId { text: Cow::Owned(text), word: Span::new(0, 32), params }
    }

    /// `uuid` and no more: what is written where one UUID names both ends, for implementations older than
    /// RFC 7989 (§11).
    pub fn single(uuid: u128) -> SessionId<'static> {
        let text = alloc::format!("{uuid:032x}").into_bytes();
        SessionId { text: Cow::Owned(text), word: Span::new(0, 32), params: Span::new(32, 32) }
    }

    /// The UUID of the sender's end; [`NIL`](Self::NIL) if who sends does not know it.
    pub fn local(&self) -> u128 {
        // Checked when it was parsed.
        number(self.word()).unwrap_or(Self::NIL)
    }

    /// The UUID of the receiver's end; [`NIL`](Self::NIL) if it is not known yet. `None` from
    /// implementations older than RFC 7989.
    pub fn remote(&self) -> Option<u128> {
        number(crate::scan::ascii(self.param("remote")?.raw_value()?))
    }
}

fn number(uuid: &str) -> Option<u128> {
    u128::from_str_radix(uuid, 16).ok()
}

// RFC 7989 §5: "The Session-ID header field MUST NOT have more than one "remote"
// parameter."
// RFC 7989 §5: "sess-uuid           = 32(DIGIT / %x61-66)  ;32 chars of [0-9a-f]"
fn is_uuid(text: &[u8]) -> bool {
    text.len() == 32 && text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn uuid(cursor: &mut Cursor<'_>) -> Result<Span, Fault> {
    let (rest, fault) = (cursor.rest(), cursor.fault(HeaderErrorKind::Uuid));
    let span = cursor.take(TOKEN);
    let found = rest.get(..usize::from(span.end).saturating_sub(span.start.into()));
    if found.is_some_and(is_uuid) { Ok(span) } else { Err(fault) }
}
