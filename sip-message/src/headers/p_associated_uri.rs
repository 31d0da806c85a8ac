use alloc::borrow::Cow;
use alloc::vec::Vec;

use bytes::BytesMut;

use super::{single, word_list};
use crate::name_addr::Form;
use crate::scan::Fault;
use crate::{Header, HeaderError, HeaderName, NameAddr};

/// P-Associated-URI: the other addresses that a registrar has for the user, of which the first is
/// the one to use where none is named; may be empty (RFC 7315 §4.1, §5.1).
///
/// Stands for all addresses of one line. Empty elements are passed over.
///
/// ```
/// use sip_message::{Header, PAssociatedUri};
/// let known = PAssociatedUri::parse(b"<sip:a@example.com>, <tel:+14085264000>")?;
/// assert_eq!(known.addresses().nth(1).map(|a| a.uri().to_string()).as_deref(), Some("tel:+14085264000"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
#[derive(Clone)]
pub struct PAssociatedUri<'a> {
    text: Cow<'a, [u8]>,
}

impl PAssociatedUri<'_> {
    /// These addresses, each in angle brackets.
    ///
    /// # Errors
    /// All together must take at most 65,535 bytes.
    pub fn new<'b>(
        addresses: impl IntoIterator<Item = NameAddr<'b>>,
    ) -> Result<PAssociatedUri<'static>, HeaderError> {
        let mut text = Vec::new();
        for address in addresses {
            if !text.is_empty() {
                text.extend_from_slice(b", ");
            }
            text.extend_from_slice(address.bracketed().as_bytes());
        }
        PAssociatedUri::parse(&text)?;
        Ok(PAssociatedUri { text: Cow::Owned(text) })
    }

    /// The addresses in order.
    pub fn addresses(&self) -> impl Iterator<Item = NameAddr<'_>> {
        let mut rest = &*self.text;
        core::iter::from_fn(move || {
            let (address, left) = next(rest).ok()??;
            rest = left;
            Some(address)
        })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.addresses().next().is_none()
    }

    /// The same with a text of its own.
    pub fn into_owned(self) -> PAssociatedUri<'static> {
        PAssociatedUri { text: Cow::Owned(self.text.into_owned()) }
    }

    /// A copy with a text of its own.
    pub fn to_static(&self) -> PAssociatedUri<'static> {
        self.clone().into_owned()
    }
}

/// The next address, and what comes after it; `None` if none is left.
fn next(rest: &[u8]) -> Result<Option<(NameAddr<'_>, &[u8])>, Fault> {
    let mut cursor = crate::scan::Cursor::new(rest)?;
    word_list::to_next(&mut cursor);
    if cursor.is_end() {
        return Ok(None);
    }
    let rest = cursor.rest();
    let skipped = cursor.at();
    match NameAddr::parse_first(rest, Form::NameAddr) {
        Ok((address, Some(next))) => Ok(Some((address, rest.get(next..).unwrap_or_default()))),
        Ok((address, None)) => Ok(Some((address, b""))),
        Err(Fault { kind, at }) => Err(Fault { kind, at: at.saturating_add(skipped) }),
    }
}

crate::header::text_traits!(PAssociatedUri);

impl<'a> Header<'a> for PAssociatedUri<'a> {
    const NAME: HeaderName<'static> = HeaderName::PAssociatedUri;
    const LIST: bool = false;

    fn parse_first(field: &'a [u8]) -> Result<(Self, Option<usize>), HeaderError> {
        single(Self::NAME, field, |text, cursor| {
            let at = |rest: &[u8]| text.len().saturating_sub(rest.len());
            let mut rest = text;
            loop {
                match next(rest) {
                    Ok(Some((_, left))) => rest = left,
                    Ok(None) => break,
                    Err(fault) => {
                        let at = fault.at.saturating_add(at(rest));
                        return Err(Fault { at, ..fault });
                    }
                }
            }
            cursor.skip(text.len());
            Ok(Self { text: Cow::Borrowed(text) })
        })
    }

    fn write(&self, out: &mut BytesMut) {
        out.extend_from_slice(&self.text);
    }
}
