//! The header fields of a message: slots over one buffer, in wire order.

use alloc::boxed::Box;

use bytes::Bytes;
use smallvec::SmallVec;

use super::edit::Overlay;
use super::routing::{CORE_FIELDS, Core, Part};
use crate::header_name::Id;
use crate::{Header, HeaderError, HeaderName, Method, Via, scan};

/// The header fields of a message, in the order in which they came.
///
/// Unknown fields, the case of names, compact forms, folds and the order among equal names are all
/// kept: what is not edited is printed as it came. No value is read before it is asked for, by
/// [`get`](Self::get) or by name. What [`branch`](Self::branch), the tags, [`cseq`](Self::cseq)
/// and [`call_id`](Self::call_id) say is kept when it was read once, by them or when the message
/// was validated.
///
/// ```
/// use sip_message::{Contact, HeaderName, Limits, Message};
///
/// let bytes = b"OPTIONS sip:b@example.com SIP/2.0\r\ni: 7@a\r\nm: <sip:a@192.0.2.1>\r\n\r\n";
/// let message = Message::parse(bytes[..].into(), &Limits::default()).unwrap();
/// let headers = message.headers();
/// assert_eq!(headers.call_id(), Some("7@a"));
/// assert_eq!(headers.raw(HeaderName::Contact), Some(&b"<sip:a@192.0.2.1>"[..]));
/// assert!(headers.get::<Contact>().unwrap().is_some());
/// ```
#[derive(Clone)]
pub struct Headers {
    /// The whole message as it came or was built; slots and the start line point into it.
    pub(super) bytes: Bytes,
    pub(super) slots: SmallVec<[Slot; 32]>,
    /// Where the first header field begins in `bytes`.
    pub(super) fields_start: u32,
    /// Where the body begins in `bytes`: after the empty line.
    pub(super) body_start: u32,
    pub(super) core: Core,
    /// Whether each line of the head ends in CRLF, as it must when it is written.
    pub(super) crlf: bool,
    /// What was edited; nothing for most messages.
    pub(super) overlay: Option<Box<Overlay>>,
}

/// One header field line in a buffer. A name of more than 255 bytes has no slot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// Where the line begins; with [`OVERLAID`] set, in the overlay's text.
    pub(super) start: u32,
    /// Relative to `start`: where the next line begins.
    pub(super) end: u32,
    /// Relative to `start`: where the value begins. It ends where the white space at the line's end
    /// begins.
    pub(super) value: u16,
    pub(super) name_len: u8,
    pub(super) id: Id,
}

/// The bit of [`Slot::start`] that says in which buffer the slot is.
pub(super) const OVERLAID: u32 = 1 << 31;

/// The number and the method of a CSeq header field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CSeqRef<'a> {
    /// The sequence number, below 2³¹ (RFC 3261 §8.1.1.5).
    pub number: u32,
    /// The method's name.
    pub method: &'a str,
}

impl CSeqRef<'_> {
    /// The method.
    #[must_use]
    pub fn method(&self) -> Method {
        // Only a token is taken for a method when the message is read.
        Method::from_bytes(self.method.as_bytes()).unwrap_or(Method::Other("".into()))
    }

    /// Whether this is the number's method.
    #[must_use]
    pub fn is(&self, method: &Method) -> bool {
        self.method == method.as_str()
    }
}

/// One header field of a message.
#[derive(Clone, Copy)]
pub struct HeaderField<'a> {
    line: &'a [u8],
    pub(super) slot: Slot,
}

impl<'a> HeaderField<'a> {
    /// The field that a line is, which stands at `start`; `None` if it is none.
    pub(super) fn read(line: &'a [u8], start: u32) -> Option<Self> {
        Slot::read(line, start).map(|slot| Self { line, slot })
    }

    /// The field that the slot is of, whose buffer is `text`.
    #[inline]
    pub(super) fn new(text: &'a [u8], slot: Slot) -> Self {
        let start = (slot.start & !OVERLAID) as usize;
        let line = text.get(start..start.saturating_add(slot.end as usize));
        Self { line: line.unwrap_or_default(), slot }
    }

    /// The name: a standard one whether it stands in full or in compact form.
    #[must_use]
    pub fn name(&self) -> HeaderName<'a> {
        self.slot.id.name().unwrap_or_else(|| HeaderName::Other(scan::ascii(self.name_bytes())))
    }

    /// The name as it came.
    #[must_use]
    pub fn name_bytes(&self) -> &'a [u8] {
        self.line.get(..usize::from(self.slot.name_len)).unwrap_or_default()
    }

    /// The value as it came, folds included, without white space at its ends.
    #[must_use]
    #[inline]
    pub fn value(&self) -> &'a [u8] {
        self.slot.value_of(self.line)
    }

    /// A part of the line; `None` if it is empty.
    pub(super) fn part(&self, part: Part) -> Option<&'a str> {
        let start = usize::from(part.at);
        let bytes = self.line.get(start..)?.get(..usize::from(part.len))?;
        core::str::from_utf8(bytes).ok().filter(|text| !text.is_empty())
    }

    /// The whole line as it came, its line end included.
    pub(super) fn line(&self) -> &'a [u8] {
        self.line
    }

    /// Where the value begins in the message as it came; 0 for an edited field.
    pub(super) fn offset(&self) -> usize {
        match self.slot.start & OVERLAID {
            0 => (self.slot.start as usize).saturating_add(usize::from(self.slot.value)),
            _ => 0,
        }
    }
}

impl core::fmt::Debug for HeaderField<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}: {}", self.name(), self.value().escape_ascii())
    }
}

impl Headers {
    /// None yet, over a buffer in which the first would begin at `fields_start`.
    #[inline(always)]
    pub(super) fn new(bytes: Bytes, fields_start: usize) -> Self {
        Self {
            bytes,
            slots: SmallVec::new(),
            fields_start: scan::place(fields_start),
            body_start: 0,
            core: Core::new(),
            crlf: true,
            overlay: None,
        }
    }

    /// How many header field lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The header fields in wire order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = HeaderField<'_>> + ExactSizeIterator {
        self.slots.iter().map(|slot| self.field(slot))
    }

    /// Whether there is a header field of that name.
    #[must_use]
    pub fn contains(&self, name: HeaderName<'_>) -> bool {
        self.position(name).is_some()
    }

    /// The first value of that type; `None` if there is no such header field.
    ///
    /// # Errors
    /// The first value is not what the RFC says it must be.
    pub fn get<'a, H: Header<'a>>(&'a self) -> Result<Option<H>, HeaderError> {
        match self.find(H::NAME) {
            Some(field) if H::LIST => Ok(Some(H::parse_first(field.value())?.0)),
            Some(field) => Ok(Some(H::parse(field.value())?)),
            None => Ok(None),
        }
    }

    /// Every value of every header field of that type, in order; where the type is of a list
    /// ([`Header::LIST`]), each value of a line by itself.
    ///
    /// After an error in a line, the iterator goes on with the next line.
    pub fn get_all<'a, H: Header<'a>>(
        &'a self,
    ) -> impl Iterator<Item = Result<H, HeaderError>> + use<'a, H> {
        AllValues { fields: self.all(H::NAME), line: None }
    }

    /// The value of the first header field of that name, as it came.
    #[must_use]
    pub fn raw(&self, name: HeaderName<'_>) -> Option<&[u8]> {
        self.find(name).map(|field| field.value())
    }

    /// The value of each header field of that name, as it came.
    pub fn raw_all<'a>(&'a self, name: HeaderName<'a>) -> impl Iterator<Item = &'a [u8]> {
        self.all(name).map(|field| field.value())
    }

    /// The Call-ID (RFC 3261 §20.8); `None` if there is none, or if it is not one word.
    #[must_use]
    pub fn call_id(&self) -> Option<&str> {
        let field = self.core_field(Id::CallId)?;
        self.core.call_id(&field).then(|| scan::ascii(field.value()))
    }

    /// The CSeq (RFC 3261 §20.16); `None` if there is none, or none that can be read.
    #[must_use]
    pub fn cseq(&self) -> Option<CSeqRef<'_>> {
        let field = self.core_field(Id::CSeq)?;
        let (number, method) = self.core.cseq(&field)?;
        Some(CSeqRef { number, method: field.part(method)? })
    }

    /// The tag of From (RFC 3261 §19.3).
    #[must_use]
    pub fn from_tag(&self) -> Option<&str> {
        let field = self.core_field(Id::From)?;
        field.part(self.core.tag(&field))
    }

    /// The tag of To (RFC 3261 §19.3).
    #[must_use]
    pub fn to_tag(&self) -> Option<&str> {
        let field = self.core_field(Id::To)?;
        field.part(self.core.tag(&field))
    }

    /// The branch of the topmost Via (RFC 3261 §20.42).
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        let field = self.core_field(Id::Via)?;
        field.part(self.core.branch(&field))
    }

    /// Max-Forwards (RFC 3261 §20.22); `None` if there is none, or none of 0 to 255.
    #[must_use]
    pub fn max_forwards(&self) -> Option<u8> {
        number(self.core_field(Id::MaxForwards)?.value())?.try_into().ok()
    }

    /// The topmost Via; `None` if there is none, or none that can be read.
    #[must_use]
    pub fn top_via(&self) -> Option<Via<'_>> {
        Some(Via::parse_first(self.core_field(Id::Via)?.value()).ok()?.0)
    }

    /// The first header field of that name.
    #[inline]
    pub(super) fn find(&self, name: HeaderName<'_>) -> Option<HeaderField<'_>> {
        self.position(name).and_then(|at| self.slots.get(at)).map(|slot| self.field(slot))
    }

    /// Every header field of that name, in order.
    #[inline]
    pub(super) fn all<'a>(&'a self, name: HeaderName<'a>) -> AllFields<'a> {
        let id = name.id();
        let slots = match self.position(name).and_then(|first| self.slots.get(first..)) {
            // Of most names there is one.
            Some([only, ..]) if self.is_once(id) => core::slice::from_ref(only),
            Some(slots) => slots,
            None => &[],
        };
        AllFields { headers: self, slots: slots.iter(), id, name }
    }

    /// The index of the first slot of that name.
    #[inline]
    pub(super) fn position(&self, name: HeaderName<'_>) -> Option<usize> {
        let id = name.id();
        if id.index() < CORE_FIELDS {
            self.core.first(id)
        } else {
            self.position_of_other(id, name)
        }
    }

    fn position_of_other(&self, id: Id, name: HeaderName<'_>) -> Option<usize> {
        self.slots.iter().position(|slot| slot.id == id && self.field(slot).is(name))
    }

    #[inline]
    pub(super) fn core_field(&self, id: Id) -> Option<HeaderField<'_>> {
        self.slots.get(self.core.first(id)?).map(|slot| self.field(slot))
    }

    /// Whether the first line of a field is known to be one well-formed value.
    pub(super) fn is_sound(&self, id: Id) -> bool {
        if id == Id::MaxForwards {
            return self.max_forwards().is_some();
        }
        self.core_field(id).is_some_and(|field| self.core.is_sound(&field))
    }

    /// Whether this is known to be a core field that stands no more than once.
    #[inline]
    pub(super) fn is_once(&self, id: Id) -> bool {
        id.index() < CORE_FIELDS && !self.core.is_repeated(id)
    }

    #[inline]
    pub(super) fn field(&self, slot: &Slot) -> HeaderField<'_> {
        let text = match (slot.start & OVERLAID, &self.overlay) {
            (0, _) => &self.bytes[..],
            (_, Some(overlay)) => &overlay.text[..],
            (_, None) => &[],
        };
        HeaderField::new(text, *slot)
    }
}

/// See [`Headers::all`].
pub(super) struct AllFields<'a> {
    headers: &'a Headers,
    slots: core::slice::Iter<'a, Slot>,
    id: Id,
    name: HeaderName<'a>,
}

impl<'a> Iterator for AllFields<'a> {
    type Item = HeaderField<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let field = self.headers.field(self.slots.find(|slot| slot.id == self.id)?);
            if self.id != Id::OTHER || field.is(self.name) {
                return Some(field);
            }
        }
    }
}

/// See [`Headers::get_all`].
struct AllValues<'a, H> {
    fields: AllFields<'a>,
    /// What is left of the line that is being read.
    line: Option<crate::Values<'a, H>>,
}

impl<'a, H: Header<'a>> Iterator for AllValues<'a, H> {
    type Item = Result<H, HeaderError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(value) = self.line.as_mut().and_then(Iterator::next) {
                return Some(value);
            }
            self.line = Some(crate::values(self.fields.next()?.value()));
        }
    }
}

impl core::fmt::Debug for Headers {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl HeaderField<'_> {
    pub(crate) fn is(&self, name: HeaderName<'_>) -> bool {
        match name {
            HeaderName::Other(other) => {
                self.slot.id == Id::OTHER
                    && self.name_bytes().eq_ignore_ascii_case(other.as_bytes())
            }
            _ => self.slot.id == name.id(),
        }
    }
}

impl Slot {
    /// The slot of `line`, which stands at `start`; `None` when it is no header field.
    ///
    /// RFC 3261 §25.1 gives the form: the name, white space, a colon, white space that may fold,
    /// and the value. White space at the value's end is no part of it.
    #[inline(always)]
    pub(super) fn read(line: &[u8], start: u32) -> Option<Self> {
        let colon = find_colon(line)?;
        let (name, rest) = line.split_at_checked(colon)?;
        let (id, name_len) = match Id::lookup(name) {
            Id::OTHER => Self::other_name(name)?,
            id => (id, name.len()),
        };
        // Mostly one space stands before the value.
        let space = match rest {
            [_, b' ', first, ..] if !scan::is(*first, scan::LWS) => 2,
            [_, after @ ..] => match after.iter().position(|&byte| !scan::is(byte, scan::LWS)) {
                Some(space) => space.wrapping_add(1),
                // An empty value is right behind its colon.
                None => 1,
            },
            [] => return None,
        };
        // A line is no longer than its message, whose length fits 31 bits.
        Some(Self {
            start,
            end: scan::place(line.len()),
            value: u16::try_from(colon.wrapping_add(space)).ok()?,
            name_len: u8::try_from(name_len).ok()?,
            id,
        })
    }

    /// The identity and the length of a name that is not in the table as it stands.
    fn other_name(name: &[u8]) -> Option<(Id, usize)> {
        let mut trimmed = name;
        // RFC 3261 §7.3.1: "The formal grammar for a message-header specified in Section 25 allows
        // for an arbitrary amount of whitespace on either side of the colon"
        while let [shorter @ .., b' ' | b'\t'] = trimmed {
            trimmed = shorter;
        }
        let id = if trimmed.len() < name.len() { Id::lookup(trimmed) } else { Id::OTHER };
        // A name of the table is a token.
        let token = id != Id::OTHER || scan::all(trimmed, scan::TOKEN);
        token.then_some((id, trimmed.len()))
    }

    /// The value in the slot's line.
    #[inline]
    pub(super) fn value_of<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        scan::trim_end(line.get(usize::from(self.value)..).unwrap_or_default())
    }
}

/// Where the first colon of a line is: eight bytes at a look, for it is near.
#[inline]
fn find_colon(line: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    const COLONS: u64 = u64::from_ne_bytes([b':'; 8]);
    let (words, rest) = line.as_chunks::<8>();
    let mut at = 0usize;
    for word in words {
        // The lowest high bit that is set marks the first byte that is a colon.
        let differs = u64::from_le_bytes(*word) ^ COLONS;
        let colons = differs.wrapping_sub(ONES) & !differs & HIGH;
        if colons != 0 {
            return Some(at.saturating_add(colons.trailing_zeros() as usize / 8));
        }
        at = at.saturating_add(8);
    }
    rest.iter().position(|&byte| byte == b':').map(|found| at.saturating_add(found))
}

/// Digits alone, as a number; one too large for 64 bits is the largest.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, &byte| {
        byte.is_ascii_digit()
            .then(|| number.saturating_mul(10).saturating_add(u64::from(byte.wrapping_sub(b'0'))))
    })
}
