//! The routing core: where its header fields stand, and what they say once they were asked.

use core::sync::atomic::{AtomicU16, AtomicU32, Ordering::Relaxed};

use super::headers::{HeaderField, Slot};
use crate::header_name::Id;
use crate::scan::{self, Cursor};
use crate::{NameAddr, Via};

/// The header fields that [`Core`] keeps places for: the first of the name table.
pub(super) const CORE_FIELDS: usize = 16;
/// The place of a header field that is not there.
const NONE: u16 = u16::MAX;

/// Where the fields of the routing core stand, and what was read of them.
///
/// Their places are noted when the message is split into lines. What they say is read when it is
/// asked for, and kept: these are the only values of a message that change behind a shared
/// reference. Each is one atomic of its own and follows from the message's bytes alone, so that
/// threads that read a field at the same time write the same, in whatever order.
#[derive(Clone)]
pub(super) struct Core {
    /// The index of the first slot of each core field.
    first: [u16; CORE_FIELDS],
    /// A bit for each core field that stands more than once.
    repeated: u16,
    /// A bit for each core field whose first line was read in full and is one well-formed value:
    /// nobody need look again.
    sound: Bits,
    branch: Memo,
    from_tag: Memo,
    to_tag: Memo,
    cseq_number: Memo,
    cseq_method: Memo,
}

/// A part of a field's line, relative to its start; of length 0 if there is none.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Part {
    pub(super) at: u16,
    pub(super) len: u16,
}

impl Core {
    #[inline]
    pub(super) const fn new() -> Self {
        Self {
            first: [NONE; CORE_FIELDS],
            repeated: 0,
            sound: Bits(AtomicU16::new(0)),
            branch: Memo::UNREAD,
            from_tag: Memo::UNREAD,
            to_tag: Memo::UNREAD,
            cseq_number: Memo::UNREAD,
            cseq_method: Memo::UNREAD,
        }
    }

    /// Notes a field of that name in the slot of that index: the first, or another.
    #[inline]
    pub(super) fn note(&mut self, index: usize, id: Id) {
        let Some(first) = self.first.get_mut(id.index()) else { return };
        if *first == NONE {
            // There are fewer slots than that.
            *first = scan::short(index);
        } else {
            self.repeated |= bit(id);
        }
    }

    /// The index of the first slot of a core field.
    #[inline]
    pub(super) fn first(&self, id: Id) -> Option<usize> {
        self.first.get(id.index()).filter(|&&first| first != NONE).map(|&first| usize::from(first))
    }

    /// Whether a core field stands more than once.
    #[inline]
    pub(super) fn is_repeated(&self, id: Id) -> bool {
        self.repeated & bit(id) != 0
    }

    /// Notes all fields anew, of which one of that name is new, changed or gone.
    pub(super) fn changed(&mut self, id: Id, slots: &[Slot]) {
        if id.index() < CORE_FIELDS {
            self.forget(id);
        }
        self.first = [NONE; CORE_FIELDS];
        self.repeated = 0;
        for (index, slot) in slots.iter().enumerate() {
            self.note(index, slot.id);
        }
    }

    fn forget(&mut self, id: Id) {
        self.sound.clear(bit(id));
        match id {
            Id::Via => self.branch = Memo::UNREAD,
            Id::From => self.from_tag = Memo::UNREAD,
            Id::To => self.to_tag = Memo::UNREAD,
            Id::CSeq => {
                self.cseq_number = Memo::UNREAD;
                self.cseq_method = Memo::UNREAD;
            }
            _ => {}
        }
    }

    /// Notes a copy of the field that stands in `from` at its index: what is known of it is not
    /// read again.
    pub(super) fn copy(&mut self, index: usize, id: Id, from: (usize, &Self)) {
        let (at, other) = from;
        let is_first = self.first(id).is_none();
        self.note(index, id);
        if !is_first || other.first(id) != Some(at) {
            return;
        }
        self.sound.set(other.sound.get() & bit(id));
        match id {
            Id::Via => self.branch = other.branch.clone(),
            Id::From => self.from_tag = other.from_tag.clone(),
            Id::To => self.to_tag = other.to_tag.clone(),
            Id::CSeq => {
                self.cseq_number = other.cseq_number.clone();
                self.cseq_method = other.cseq_method.clone();
            }
            _ => {}
        }
    }
}

/// What the fields say. The field that is given is the first of its name.
impl Core {
    pub(super) fn branch(&self, via: &HeaderField<'_>) -> Part {
        self.branch.part(|| match Via::branch_of(via.value()) {
            Ok((branch, only)) => {
                if only {
                    self.sound.set(bit(Id::Via));
                }
                Part::of_value(via, branch)
            }
            Err(_) => find_param(via, b"branch", true),
        })
    }

    /// The tag of a From or a To.
    pub(super) fn tag(&self, field: &HeaderField<'_>) -> Part {
        let memo = if field.slot.id == Id::To { &self.to_tag } else { &self.from_tag };
        memo.part(|| match NameAddr::tag_of(field.value()) {
            Ok(tag) => {
                self.sound.set(bit(field.slot.id));
                Part::of_value(field, tag)
            }
            Err(_) => find_param(field, b"tag", false),
        })
    }

    /// Takes in that a tag of so many bytes was added at the end of a To without one.
    pub(super) fn add_to_tag(&mut self, to: &HeaderField<'_>, len: usize) {
        let end = usize::from(to.slot.value).saturating_add(to.value().len());
        if self.sound.get() & bit(Id::To) != 0 && end <= scan::MAX_TEXT {
            self.to_tag = Memo::of(Part::new(end.saturating_sub(len), len));
        } else {
            self.forget(Id::To);
        }
    }

    /// Whether the Call-ID is one word.
    pub(super) fn call_id(&self, call_id: &HeaderField<'_>) -> bool {
        if self.sound.get() & bit(Id::CallId) != 0 {
            return true;
        }
        let value = call_id.value();
        let word = scan::all(value, scan::VISIBLE);
        if word && value.len() <= scan::MAX_TEXT {
            self.sound.set(bit(Id::CallId));
        }
        word
    }

    /// The number of a CSeq and where its method is.
    pub(super) fn cseq(&self, cseq: &HeaderField<'_>) -> Option<(u32, Part)> {
        if let (Some(number), Some(method)) = (self.cseq_number.get(), self.cseq_method.get()) {
            return Some((number, Part::from_bits(method))).filter(|(_, method)| method.len != 0);
        }
        let read = read_cseq(cseq.value());
        if read.is_some_and(|(_, _, plain)| plain) {
            self.sound.set(bit(Id::CSeq));
        }
        let read = read.map(|(number, method, _)| (number, Part::of_value(cseq, Some(method))));
        let (number, method) = read.unwrap_or_default();
        self.cseq_number.set(number);
        self.cseq_method.set(method.to_bits());
        read
    }

    /// Whether the first line of a core field is one well-formed value, as far as that is kept.
    pub(super) fn is_sound(&self, field: &HeaderField<'_>) -> bool {
        // Mostly the first question after the message was parsed: what it reads is kept.
        match field.slot.id {
            Id::Via => _ = self.branch(field),
            Id::From | Id::To => _ = self.tag(field),
            Id::CallId => _ = self.call_id(field),
            Id::CSeq => _ = self.cseq(field),
            _ => return false,
        }
        self.sound.get() & bit(field.slot.id) != 0
    }
}

/// What was read of a field, or that nothing was read yet.
struct Memo(AtomicU32);

impl Memo {
    /// No number of a CSeq, and no part of a line, which would end beyond 16 bits.
    const NOTHING: u32 = u32::MAX;
    #[expect(clippy::declare_interior_mutable_const, reason = "a value to begin with")]
    const UNREAD: Self = Self(AtomicU32::new(Self::NOTHING));

    fn of(part: Part) -> Self {
        Self(AtomicU32::new(part.to_bits()))
    }

    fn get(&self) -> Option<u32> {
        Some(self.0.load(Relaxed)).filter(|&value| value != Self::NOTHING)
    }

    fn set(&self, value: u32) {
        self.0.store(value, Relaxed);
    }

    /// The part that is kept, or that `read` finds.
    fn part(&self, read: impl FnOnce() -> Part) -> Part {
        if let Some(bits) = self.get() {
            return Part::from_bits(bits);
        }
        let part = read();
        self.set(part.to_bits());
        part
    }
}

impl Clone for Memo {
    fn clone(&self) -> Self {
        Self(AtomicU32::new(self.0.load(Relaxed)))
    }
}

/// Bits that are only ever set while they are shared.
struct Bits(AtomicU16);

impl Bits {
    fn get(&self) -> u16 {
        self.0.load(Relaxed)
    }

    /// A bit that another thread sets meanwhile may be lost: then its field is read once more.
    fn set(&self, bits: u16) {
        self.0.store(self.get() | bits, Relaxed);
    }

    fn clear(&mut self, bits: u16) {
        *self.0.get_mut() &= !bits;
    }
}

impl Clone for Bits {
    fn clone(&self) -> Self {
        Self(AtomicU16::new(self.get()))
    }
}

#[inline]
fn bit(id: Id) -> u16 {
    u32::try_from(id.index()).ok().and_then(|index| 1u16.checked_shl(index)).unwrap_or(0)
}

impl Part {
    fn new(at: usize, len: usize) -> Self {
        match (u16::try_from(at), u16::try_from(len)) {
            (Ok(at), Ok(len)) => Self { at, len },
            _ => Self::default(),
        }
    }

    /// A place and a length in a field's value.
    fn of_value(field: &HeaderField<'_>, place: Option<(usize, usize)>) -> Self {
        let from = usize::from(field.slot.value);
        place.map_or(Self::default(), |(at, len)| Self::new(from.saturating_add(at), len))
    }

    fn to_bits(self) -> u32 {
        u32::from(self.at) << 16 | u32::from(self.len)
    }

    fn from_bits(bits: u32) -> Self {
        let [a, b, c, d] = bits.to_be_bytes();
        Self { at: u16::from_be_bytes([a, b]), len: u16::from_be_bytes([c, d]) }
    }
}

/// The number of a CSeq, the place of its method, and whether nothing but a space parts them.
fn read_cseq(value: &[u8]) -> Option<(u32, (usize, usize), bool)> {
    let mut cursor = Cursor::new(value).ok()?;
    // RFC 3261 §8.1.1.5: "The sequence number value MUST be expressible as a 32-bit unsigned
    // integer and MUST be less than 2**31."
    let number = cursor.number().ok().filter(|&number| number < 1 << 31)?;
    let method = scan::after(cursor.rest(), scan::LWS);
    let at = value.len().wrapping_sub(method.len());
    let plain = matches!(cursor.rest(), [b' ', method, ..] if !scan::is(*method, scan::LWS));
    (cursor.at() != at && scan::all(method, scan::TOKEN)).then_some((
        number,
        (at, method.len()),
        plain,
    ))
}

/// The value of a parameter in the line of an address or a Via that is not well-formed: a token, so
/// without quotes. What is malformed has no such parameter; [`validate`](crate::Request::validate)
/// says so.
#[cold]
fn find_param(field: &HeaderField<'_>, name: &[u8], via: bool) -> Part {
    let line = scan::trim_end(field.line());
    let from = usize::from(field.slot.value);
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
