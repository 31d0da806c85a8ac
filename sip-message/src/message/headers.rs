//! The header fields of a message: slots over one buffer, in wire order, with the routing core
//! read once.

use alloc::boxed::Box;

use bytes::Bytes;
use smallvec::SmallVec;

use super::edit::Overlay;
use crate::header_name::Id;
use crate::{Header, HeaderError, HeaderName, Method, NameAddr, Via, scan};

/// The header fields of a message, in the order in which they came.
///
/// Unknown fields, the case of names, compact forms, folds and the order among equal names are all
/// kept: what is not edited is printed as it came. The *routing core* (top Via, From, To, Call-ID,
/// CSeq, Max-Forwards, Content-Length) is read once when the message is parsed or built, so that
/// its accessors cost little; every other field is read when it is asked for, by
/// [`get`](Self::get).
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

/// The header fields that [`Core`] keeps places for: the first of the name table.
pub(super) const CORE_FIELDS: usize = 16;
/// The place of a header field that is not there.
const NONE: u16 = u16::MAX;

/// What the routing core says, read once.
#[derive(Debug, Clone)]
pub(super) struct Core {
    /// The index of the first slot of each core field.
    first: [u16; CORE_FIELDS],
    /// A bit for each core field that stands more than once.
    repeated: u16,
    /// A bit for each core field whose first line was read in full and is one well-formed value:
    /// nobody need look again.
    sound: u16,
    /// 256 if there is none that can be read.
    max_forwards: u16,
    branch: Part,
    from_tag: Part,
    to_tag: Part,
    cseq_method: Part,
    cseq_number: u32,
}

/// A part of a slot's line, relative to its start; of length 0 if there is none.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Part {
    at: u16,
    pub(super) len: u16,
}

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
    slot: Slot,
}

impl<'a> HeaderField<'a> {
    /// The field that a line is, which stands at `start`; `None` if it is none.
    pub(super) fn read(line: &'a [u8], start: u32) -> Option<Self> {
        Slot::read(line, start).map(|slot| Self { line, slot })
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
    pub fn value(&self) -> &'a [u8] {
        self.slot.value_of(self.line)
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
            fields_start: fields_start as u32,
            body_start: 0,
            core: Core::default(),
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
        self.all(H::NAME).flat_map(|field| crate::values::<H>(field.value()))
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
        let value = self.core_field(Id::CallId)?.value();
        let visible = self.is_sound(Id::CallId) || scan::all(value, scan::VISIBLE);
        visible.then(|| scan::ascii(value))
    }

    /// The CSeq (RFC 3261 §20.16); `None` if there is none, or none that can be read.
    #[must_use]
    pub fn cseq(&self) -> Option<CSeqRef<'_>> {
        let method = self.core_part(Id::CSeq, self.core.cseq_method)?;
        Some(CSeqRef { number: self.core.cseq_number, method })
    }

    /// The tag of From (RFC 3261 §19.3).
    #[must_use]
    pub fn from_tag(&self) -> Option<&str> {
        self.core_part(Id::From, self.core.from_tag)
    }

    /// The tag of To (RFC 3261 §19.3).
    #[must_use]
    pub fn to_tag(&self) -> Option<&str> {
        self.core_part(Id::To, self.core.to_tag)
    }

    /// The branch of the topmost Via (RFC 3261 §20.42).
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        self.core_part(Id::Via, self.core.branch)
    }

    /// Max-Forwards (RFC 3261 §20.22); `None` if there is none, or none of 0 to 255.
    #[must_use]
    pub fn max_forwards(&self) -> Option<u8> {
        u8::try_from(self.core.max_forwards).ok()
    }

    /// The topmost Via; `None` if there is none, or none that can be read.
    #[must_use]
    pub fn top_via(&self) -> Option<Via<'_>> {
        Some(Via::parse_first(self.core_field(Id::Via)?.value()).ok()?.0)
    }

    /// The first header field of that name.
    pub(super) fn find(&self, name: HeaderName<'_>) -> Option<HeaderField<'_>> {
        self.position(name).and_then(|at| self.slots.get(at)).map(|slot| self.field(slot))
    }

    pub(super) fn all<'a>(
        &'a self,
        name: HeaderName<'a>,
    ) -> impl Iterator<Item = HeaderField<'a>> + use<'a> {
        let first = self.position(name).unwrap_or(usize::MAX);
        // Of most names there is one.
        let slots = match self.slots.get(first..).unwrap_or_default() {
            [only, ..] if self.is_once(name.id()) => core::slice::from_ref(only),
            slots => slots,
        };
        let id = name.id();
        let fields = slots.iter().filter(move |slot| slot.id == id).map(|slot| self.field(slot));
        fields.filter(move |field| id != Id::OTHER || field.is(name))
    }

    /// The index of the first slot of that name.
    #[inline]
    pub(super) fn position(&self, name: HeaderName<'_>) -> Option<usize> {
        let id = name.id();
        if let Some(&first) = self.core.first.get(id.index()) {
            return (first != NONE).then_some(usize::from(first));
        }
        self.position_of_other(id, name)
    }

    fn position_of_other(&self, id: Id, name: HeaderName<'_>) -> Option<usize> {
        self.slots.iter().position(|slot| slot.id == id && self.field(slot).is(name))
    }

    pub(super) fn core_field(&self, id: Id) -> Option<HeaderField<'_>> {
        let first = *self.core.first.get(id.index())?;
        self.slots.get(usize::from(first)).map(|slot| self.field(slot))
    }

    /// Whether the first line of a core field is known to be one well-formed value.
    pub(super) fn is_sound(&self, id: Id) -> bool {
        self.core.sound & bit(id) != 0
    }

    /// Whether this is known to be a core field that stands no more than once.
    fn is_once(&self, id: Id) -> bool {
        id.index() < CORE_FIELDS && !self.is_repeated(id)
    }

    /// Whether a core field stands more than once.
    pub(super) fn is_repeated(&self, id: Id) -> bool {
        self.core.repeated & bit(id) != 0
    }

    #[inline]
    pub(super) fn field(&self, slot: &Slot) -> HeaderField<'_> {
        let text = match (slot.start & OVERLAID, &self.overlay) {
            (0, _) => &self.bytes[..],
            (_, Some(overlay)) => &overlay.text[..],
            (_, None) => &[],
        };
        let start = (slot.start & !OVERLAID) as usize;
        let line = text.get(start..start.saturating_add(slot.end as usize));
        HeaderField { line: line.unwrap_or_default(), slot: *slot }
    }

    fn core_part(&self, id: Id, part: Part) -> Option<&str> {
        if part.len == 0 {
            return None;
        }
        let start = usize::from(part.at);
        let bytes = self.core_field(id)?.line.get(start..)?.get(..usize::from(part.len))?;
        core::str::from_utf8(bytes).ok()
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
    #[inline]
    pub(super) fn read(line: &[u8], start: u32) -> Option<Self> {
        let colon = find_colon(line)?;
        let (mut name, mut rest) = line.split_at_checked(colon)?;
        // RFC 3261 §7.3.1: "The formal grammar for a message-header specified in Section 25 allows
        // for an arbitrary amount of whitespace on either side of the colon"
        while let [shorter @ .., b' ' | b'\t'] = name {
            name = shorter;
        }
        let id = Id::lookup(name);
        // A name of the table is a token.
        if id == Id::OTHER && !scan::all(name, scan::TOKEN) {
            return None;
        }
        let mut value = colon;
        while let [_, shorter @ ..] = rest {
            rest = shorter;
            value = value.wrapping_add(1);
            if !rest.first().is_some_and(|&first| scan::is(first, scan::LWS)) {
                break;
            }
        }
        // An empty value is right behind its colon.
        if rest.is_empty() {
            value = colon.wrapping_add(1);
        }
        // A line is no longer than its message, whose length fits 31 bits.
        Some(Self {
            start,
            end: line.len() as u32,
            value: u16::try_from(value).ok()?,
            name_len: u8::try_from(name.len()).ok()?,
            id,
        })
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

impl Default for Core {
    fn default() -> Self {
        Self {
            first: [NONE; CORE_FIELDS],
            repeated: 0,
            sound: 0,
            max_forwards: 256,
            branch: Part::default(),
            from_tag: Part::default(),
            to_tag: Part::default(),
            cseq_method: Part::default(),
            cseq_number: 0,
        }
    }
}

impl Core {
    /// Takes in a header field: the first of a core field's name is read, another is noted as
    /// repeated.
    #[inline]
    pub(super) fn read(&mut self, index: usize, slot: &Slot, line: &[u8]) {
        let Some(first) = self.first.get_mut(slot.id.index()) else { return };
        if *first != NONE {
            self.repeated |= bit(slot.id);
            return;
        }
        *first = u16::try_from(index).unwrap_or(NONE);
        if slot.id <= Id::MaxForwards {
            self.read_value(slot, line);
        }
    }

    fn read_value(&mut self, slot: &Slot, line: &[u8]) {
        let value = slot.value_of(line);
        let from = usize::from(slot.value);
        let part = |place: Option<(usize, usize)>| {
            place.map_or(Part::default(), |(at, len)| Part::new(from.saturating_add(at), len))
        };
        // What is well-formed is read once, here; of the rest, what can be told.
        let sound = match slot.id {
            Id::Via => match Via::branch_of(value) {
                Ok((branch, only)) => {
                    self.branch = part(branch);
                    only
                }
                Err(_) => {
                    self.branch = find_param(line, slot, b"branch", true);
                    false
                }
            },
            Id::From | Id::To => {
                let tag = NameAddr::tag_of(value);
                let found = match tag {
                    Ok(tag) => part(tag),
                    Err(_) => find_param(line, slot, b"tag", false),
                };
                *(if slot.id == Id::To { &mut self.to_tag } else { &mut self.from_tag }) = found;
                tag.is_ok()
            }
            Id::CallId => value.len() <= scan::MAX_TEXT && scan::all(value, scan::VISIBLE),
            Id::CSeq => {
                let cseq = read_cseq(value);
                if let Some((number, method, _)) = cseq {
                    self.cseq_number = number;
                    self.cseq_method = part(Some(method));
                }
                cseq.is_some_and(|(_, _, plain)| plain)
            }
            Id::MaxForwards => {
                let number = number(value);
                self.max_forwards = number.and_then(|n| u16::try_from(n).ok()).unwrap_or(256);
                self.max_forwards < 256
            }
            _ => false,
        };
        if sound {
            self.sound |= bit(slot.id);
        }
    }
}

impl Core {
    /// Takes in a copy of a field of other `headers`, which stands at the index with them: what is
    /// known of it is not read again.
    pub(super) fn copy(&mut self, index: usize, from: (usize, &Headers), slot: &Slot) {
        let (at, headers) = from;
        let other = &headers.core;
        let Some(first) = self.first.get_mut(slot.id.index()) else { return };
        if *first != NONE || other.first(slot.id) != Some(at) {
            return self.read(index, slot, headers.field(slot).line);
        }
        *first = u16::try_from(index).unwrap_or(NONE);
        self.sound |= other.sound & bit(slot.id);
        match slot.id {
            Id::Via => self.branch = other.branch,
            Id::From => self.from_tag = other.from_tag,
            Id::To => self.to_tag = other.to_tag,
            Id::CSeq => {
                self.cseq_number = other.cseq_number;
                self.cseq_method = other.cseq_method;
            }
            Id::MaxForwards => self.max_forwards = other.max_forwards,
            _ => {}
        }
    }

    pub(super) fn has_to_tag(&self) -> bool {
        self.to_tag.len != 0
    }

    /// Takes in that a tag of so many bytes was added at the end of To.
    pub(super) fn add_to_tag(&mut self, index: usize, slot: &Slot, line: &[u8], len: usize) {
        let end = usize::from(slot.value).saturating_add(slot.value_of(line).len());
        if self.sound & bit(Id::To) != 0 && end <= scan::MAX_TEXT {
            self.to_tag = Part::new(end.saturating_sub(len), len);
        } else {
            let repeated = self.repeated;
            self.forget(Id::To);
            self.read(index, slot, line);
            self.repeated = repeated;
        }
    }

    /// The index of the first slot of a core field.
    pub(super) fn first(&self, id: Id) -> Option<usize> {
        self.first.get(id.index()).filter(|&&first| first != NONE).map(|&first| usize::from(first))
    }

    /// A slot comes before the one at `index`.
    pub(super) fn inserted(&mut self, index: usize) {
        for first in self.first.iter_mut().filter(|first| **first != NONE) {
            *first = first.saturating_add(u16::from(usize::from(*first) >= index));
        }
    }

    /// The slot at `index` is gone.
    pub(super) fn removed(&mut self, index: usize) {
        for first in self.first.iter_mut().filter(|first| **first != NONE) {
            *first = first.saturating_sub(u16::from(usize::from(*first) > index));
        }
    }

    /// Forgets what is known of a core field.
    pub(super) fn forget(&mut self, id: Id) {
        let Some(first) = self.first.get_mut(id.index()) else { return };
        *first = NONE;
        self.repeated &= !bit(id);
        self.sound &= !bit(id);
        match id {
            Id::Via => self.branch = Part::default(),
            Id::From => self.from_tag = Part::default(),
            Id::To => self.to_tag = Part::default(),
            Id::CSeq => self.cseq_method = Part::default(),
            Id::MaxForwards => self.max_forwards = 256,
            _ => {}
        }
    }
}

fn bit(id: Id) -> u16 {
    1u16.checked_shl(id.index() as u32).unwrap_or(0)
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

/// The number of a CSeq, the place of its method, and whether nothing but a space parts them.
fn read_cseq(value: &[u8]) -> Option<(u32, (usize, usize), bool)> {
    let digits = value.iter().position(|byte| !byte.is_ascii_digit())?;
    // RFC 3261 §8.1.1.5: "The sequence number value MUST be expressible as a 32-bit unsigned
    // integer and MUST be less than 2**31."
    let number = u32::try_from(number(value.get(..digits)?)?).ok().filter(|&n| n < 1 << 31)?;
    let after = value.get(digits..)?;
    let space = after.iter().position(|&byte| !scan::is(byte, scan::LWS))?;
    let at = digits.saturating_add(space);
    let method = value.get(at..)?;
    if space == 0 || !scan::all(method, scan::TOKEN) {
        return None;
    }
    Some((number, (at, method.len()), matches!(after, [b' ', ..]) && space == 1))
}

impl Part {
    fn new(at: usize, len: usize) -> Self {
        match (u16::try_from(at), u16::try_from(len)) {
            (Ok(at), Ok(len)) => Self { at, len },
            _ => Self::default(),
        }
    }
}

/// The value of a parameter in the line of an address or a Via that is not well-formed: a token, so
/// without quotes. What is malformed has no such parameter; [`validate`](crate::Request::validate)
/// says so.
#[cold]
fn find_param(line: &[u8], slot: &Slot, name: &[u8], via: bool) -> Part {
    let line = scan::trim_end(line);
    let from = usize::from(slot.value);
    let mut at = if via { from } else { after_address(line, from) };
    while let Some(rest) = line.get(at..) {
        // To the next separator, past quoted strings.
        let Some(found) = memchr::memchr3(b';', b',', b'"', rest) else { break };
        at = at.saturating_add(found).saturating_add(1);
        match rest.get(found) {
            Some(b';') => {}
            Some(b'"') => {
                at = after_quoted(line, at);
                continue;
            }
            // The next value of a list begins.
            _ if via => break,
            _ => continue,
        }
        at = skip_lws(line, at);
        let rest = line.get(at..).unwrap_or_default();
        let Some((found, rest)) = rest.split_at_checked(name.len()) else { break };
        if !found.eq_ignore_ascii_case(name)
            || rest.first().is_some_and(|&byte| scan::is(byte, scan::TOKEN))
        {
            continue;
        }
        at = skip_lws(line, at.saturating_add(name.len()));
        if line.get(at) == Some(&b'=') {
            at = skip_lws(line, at.saturating_add(1));
            let value = line.get(at..).unwrap_or_default();
            let end = value.iter().position(|&byte| !scan::is(byte, scan::VALUE));
            return Part::new(at, end.unwrap_or(value.len()));
        }
    }
    Part::default()
}

/// Where the parameters of an address begin: after `>`, or after the start of an address without
/// brackets.
fn after_address(line: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(rest) = line.get(at..) {
        match memchr::memchr3(b'"', b'<', b';', rest) {
            Some(found) => at = at.saturating_add(found),
            None => return line.len(),
        }
        match line.get(at) {
            Some(b'"') => at = after_quoted(line, at.saturating_add(1)),
            Some(b'<') => {
                let rest = line.get(at..).unwrap_or_default();
                return at.saturating_add(memchr::memchr(b'>', rest).unwrap_or(rest.len()));
            }
            _ => return at,
        }
    }
    line.len()
}

/// The place after the quote that ends the string whose inside begins at `at`.
fn after_quoted(line: &[u8], mut at: usize) -> usize {
    while let Some(rest) = line.get(at..) {
        let Some(found) = memchr::memchr2(b'"', b'\\', rest) else { break };
        at = at.saturating_add(found);
        match line.get(at) {
            Some(b'"') => return at.saturating_add(1),
            _ => at = at.saturating_add(2),
        }
    }
    line.len()
}

fn skip_lws(line: &[u8], from: usize) -> usize {
    let rest = line.get(from..).unwrap_or_default();
    let len = rest.iter().position(|&byte| !scan::is(byte, scan::LWS)).unwrap_or(rest.len());
    from.saturating_add(len)
}
