//! Reading primitives: character classes, spans, and a cursor over the bytes of one value.
//!
//! Everything here works on bytes that a stranger wrote: nothing indexes, nothing allocates, and
//! every loop goes forward only.

use alloc::borrow::Cow;
use alloc::string::String;

use crate::header::HeaderErrorKind;

/// The longest text that a typed value holds, in bytes: spans are 16 bits wide.
pub(crate) const MAX_TEXT: usize = u16::MAX as usize;

/// `token` of RFC 3261 §25.1.
pub(crate) const TOKEN: u16 = 1 << 0;
/// SP, HTAB, CR and LF; whether a CR or LF is part of a fold is [`Cursor::skip_lws`]'s to say.
pub(crate) const LWS: u16 = 1 << 1;
/// What may stand unescaped in the user part of a URI, as read (see [`USER_BUILT`]).
pub(crate) const USER: u16 = 1 << 2;
/// Letters, digits, `-`, `.` and `_` of host names.
pub(crate) const HOST: u16 = 1 << 3;
/// What may stand unescaped in a URI parameter, as read; without `%`.
pub(crate) const URI_PARAM: u16 = 1 << 4;
/// What may stand unescaped in a URI header, as read; without `%`.
pub(crate) const URI_HEADER: u16 = 1 << 5;
/// What the part after `scheme:` of a URI that is not SIP may hold.
pub(crate) const OPAQUE: u16 = 1 << 6;
/// An unquoted header parameter value, as read: everything visible that separates nothing.
pub(crate) const VALUE: u16 = 1 << 7;
/// Everything visible: 0x21 to 0x7E.
pub(crate) const VISIBLE: u16 = 1 << 8;
/// What an addr-spec without angle brackets may hold: it ends before `;`, `,`, `?` and LWS.
pub(crate) const ADDR_SPEC: u16 = 1 << 9;
/// What an unquoted display name may hold besides LWS.
pub(crate) const DISPLAY: u16 = 1 << 10;
/// The inside of a quoted string without what needs a second look: `"`, `\`, CR, LF.
pub(crate) const QUOTED: u16 = 1 << 11;
/// `user` of RFC 3261 §25.1 without escapes: what the builder leaves as it is.
pub(crate) const USER_BUILT: u16 = 1 << 12;
/// `password` of RFC 3261 §25.1 without escapes: what the builder leaves as it is.
pub(crate) const PASSWORD_BUILT: u16 = 1 << 13;
/// `paramchar` of RFC 3261 §25.1 without escapes: what the builder leaves as it is.
pub(crate) const URI_PARAM_BUILT: u16 = 1 << 14;
/// `hname` and `hvalue` of RFC 3261 §25.1 without escapes: what the builder leaves as it is.
pub(crate) const URI_HEADER_BUILT: u16 = 1 << 15;

static CLASSES: [u16; 256] = classes();

const fn classes() -> [u16; 256] {
    let mut table = [0; 256];
    add(&mut table, b"-.!%*_+`'~", TOKEN);
    add(&mut table, b" \t\r\n", LWS);
    add(&mut table, b"-._", HOST);
    // `unreserved` of RFC 3261 §25.1 stands in all parts of a URI.
    let uri = USER | URI_PARAM | URI_HEADER;
    let built = USER_BUILT | PASSWORD_BUILT | URI_PARAM_BUILT | URI_HEADER_BUILT;
    add(&mut table, b"-_.!~*'()", uri | built);
    add(&mut table, b"%", USER);
    add(&mut table, b"&=+$,;?/", USER | USER_BUILT);
    add(&mut table, b"&=+$,", PASSWORD_BUILT);
    // Feature codes such as `*21#` are dialled and sent unescaped.
    add(&mut table, b"#", USER);
    add(&mut table, b"[]/:&+$", URI_PARAM | URI_PARAM_BUILT);
    // Not the grammar's, but unmistakable once the host has been read.
    add(&mut table, b"=,#", URI_PARAM);
    add(&mut table, b"[]/?:+$", URI_HEADER | URI_HEADER_BUILT);
    add(&mut table, b"=,;", URI_HEADER);
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "byte < 256")]
        let b = byte as u8;
        if b.is_ascii_alphanumeric() {
            set(&mut table, byte, TOKEN | HOST | uri | built);
        }
        if b.is_ascii_graphic() {
            set(&mut table, byte, VISIBLE);
            if !matches!(b, b'"' | b'<' | b'>') {
                set(&mut table, byte, OPAQUE);
                if !matches!(b, b';' | b',') {
                    set(&mut table, byte, VALUE | DISPLAY);
                    if b != b'?' {
                        set(&mut table, byte, ADDR_SPEC);
                    }
                }
            }
        }
        // UTF-8 in display names without quotes is common and harmless.
        if !b.is_ascii() {
            set(&mut table, byte, DISPLAY);
        }
        if !matches!(b, b'"' | b'\\' | b'\r' | b'\n') {
            set(&mut table, byte, QUOTED);
        }
        byte = byte.wrapping_add(1);
    }
    table
}

const fn add(table: &mut [u16; 256], bytes: &[u8], class: u16) {
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        set(table, *first as usize, class);
        rest = tail;
    }
}

#[expect(clippy::indexing_slicing, reason = "runs at compile time only; 256 entries, byte < 256")]
const fn set(table: &mut [u16; 256], byte: usize, class: u16) {
    table[byte] |= class;
}

/// Whether `byte` is of any class of `class`.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "a u8 cannot exceed an array of 256")]
pub(crate) fn is(byte: u8, class: u16) -> bool {
    CLASSES[byte as usize] & class != 0
}

/// Whether `text` is not empty and all of `class`.
pub(crate) fn all(text: &[u8], class: u16) -> bool {
    !text.is_empty() && after(text, class).is_empty()
}

/// Whether `text` is `word`, which is in lower case, without regard to case.
#[inline(always)]
pub(crate) fn same<const N: usize>(text: &[u8], word: &[u8; N]) -> bool {
    // As nearly everybody writes it: one comparison of a known length.
    text == word || (text.len() == N && text.eq_ignore_ascii_case(word))
}

/// What follows the bytes of `class` at the start of `text`.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "a u8 cannot exceed an array of 256")]
pub(crate) fn after(text: &[u8], class: u16) -> &[u8] {
    let mut rest = text;
    let four = |a: u8, b: u8, c: u8, d: u8| {
        CLASSES[a as usize] & CLASSES[b as usize] & CLASSES[c as usize] & CLASSES[d as usize]
    };
    // Four at a time with one branch: more would be too many for most names and tokens.
    while let [a, b, c, d, tail @ ..] = rest
        && four(*a, *b, *c, *d) & class != 0
    {
        rest = tail;
    }
    while let [byte, tail @ ..] = rest
        && is(*byte, class)
    {
        rest = tail;
    }
    rest
}

/// How many bytes stand before the first control character, which CR and LF are.
#[inline]
pub(crate) fn until_control(text: &[u8]) -> usize {
    // Sixteen bytes at a look, which is one comparison of vectors.
    let (blocks, rest) = text.as_chunks::<16>();
    let mut at = 0usize;
    for block in blocks {
        if block.iter().fold(false, |found, &byte| found | (byte < b' ')) {
            return at.wrapping_add(first_control(u128::from_le_bytes(*block)));
        }
        at = at.wrapping_add(16);
    }
    at.wrapping_add(rest.iter().position(|&byte| byte < b' ').unwrap_or(rest.len()))
}

/// Which of sixteen bytes, the first the lowest, is the first control character.
#[inline]
fn first_control(bytes: u128) -> usize {
    const SPACES: u128 = u128::from_ne_bytes([b' '; 16]);
    const HIGH: u128 = u128::from_ne_bytes([0x80; 16]);
    // A byte below a space borrows, which sets its high bit; so may the bytes above it, but they
    // are not asked.
    let below = bytes.wrapping_sub(SPACES) & !bytes & HIGH;
    below.trailing_zeros() as usize / 8
}

/// The text of a span that the grammar holds to ASCII (or that was checked to be UTF-8).
#[inline]
pub(crate) fn ascii(bytes: &[u8]) -> &str {
    core::str::from_utf8(bytes).unwrap_or_default()
}

/// The text; bytes that are no UTF-8 are replaced.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    // The check of a whole text is many times as fast as the search for what to replace.
    match core::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

/// A place in a text that was checked to be no longer than [`MAX_TEXT`].
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "of a text of at most 65,535 bytes")]
pub(crate) fn short(at: usize) -> u16 {
    at as u16
}

/// A place in a message: one of 2 GiB or more is refused when it is read, and when it is built.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "of a message shorter than 2 GiB")]
pub(crate) fn place(at: usize) -> u32 {
    at as u32
}

/// A part of a text of at most [`MAX_TEXT`] bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u16,
    pub(crate) end: u16,
}

impl Span {
    /// From offsets into a text that was checked to be no longer than [`MAX_TEXT`].
    #[inline]
    pub(crate) fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end && end <= MAX_TEXT);
        Self { start: short(start), end: short(end) }
    }

    #[inline]
    pub(crate) fn of(self, text: &[u8]) -> &[u8] {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn str(self, text: &[u8]) -> &str {
        ascii(self.of(text))
    }

    /// Start and length in a text that has `lead` bytes before this one's text.
    #[inline]
    pub(crate) fn place(self, lead: usize) -> (usize, usize) {
        let len = self.end.saturating_sub(self.start);
        (lead.saturating_add(self.start.into()), len.into())
    }

    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// What is wrong with a value and where, before the header's name is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: HeaderErrorKind,
    pub(crate) at: usize,
}

/// A place in a value; moves forward only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    /// The length of the whole value.
    len: usize,
}

impl<'a> Cursor<'a> {
    /// At the start of a value; refuses one that spans cannot cover.
    #[inline]
    pub(crate) fn new(text: &'a [u8]) -> Result<Self, Fault> {
        if text.len() > MAX_TEXT {
            return Err(Fault { kind: HeaderErrorKind::TooLong, at: MAX_TEXT });
        }
        Ok(Self { rest: text, len: text.len() })
    }

    #[inline(always)]
    pub(crate) fn at(&self) -> usize {
        // What is left is a part of the whole.
        self.len.wrapping_sub(self.rest.len())
    }

    #[inline(always)]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    #[inline(always)]
    pub(crate) fn is_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// What is left.
    #[inline(always)]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Passes `byte` if it is next.
    #[inline(always)]
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        match self.rest {
            [first, rest @ ..] if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Passes `count` bytes, or what is left.
    #[inline(always)]
    pub(crate) fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }

    /// Passes linear white space, folds included. A CR or LF that begins no fold is not passed, so
    /// that whatever is expected next fails on it: no parsed value can hold a line end.
    #[inline(always)]
    pub(crate) fn skip_lws(&mut self) {
        // Mostly there is none.
        if self.peek().is_some_and(|byte| is(byte, LWS)) {
            self.rest = after_lws(self.rest);
        }
    }

    /// Passes all bytes of `class`; the span may be empty.
    #[inline(always)]
    pub(crate) fn take(&mut self, class: u16) -> Span {
        let start = self.at();
        self.rest = after(self.rest, class);
        Span::new(start, self.at())
    }

    /// One or more bytes of `class`.
    #[inline(always)]
    pub(crate) fn some(&mut self, class: u16, kind: HeaderErrorKind) -> Result<Span, Fault> {
        let span = self.take(class);
        if span.is_empty() { Err(self.fault(kind)) } else { Ok(span) }
    }

    /// A quoted string that begins here, with its quotes.
    #[inline(always)]
    pub(crate) fn quoted(&mut self) -> Result<Span, Fault> {
        let start = self.at();
        match quoted_len(self.rest) {
            Ok(len) => {
                self.skip(len);
                Ok(Span::new(start, self.at()))
            }
            Err(fault) => Err(Fault { at: start.saturating_add(fault.at), ..fault }),
        }
    }

    /// The next parameter, `SEMI name [EQUAL value]`, with the white space around it; `None` if
    /// what comes next is no semicolon.
    #[inline]
    pub(crate) fn param(&mut self) -> Result<Option<RawParam>, Fault> {
        self.skip_lws();
        if !self.eat(b';') {
            return Ok(None);
        }
        self.skip_lws();
        self.bare_param().map(Some)
    }

    /// A parameter without its semicolon, `name [EQUAL value]`.
    #[inline]
    pub(crate) fn bare_param(&mut self) -> Result<RawParam, Fault> {
        let name = self.some(TOKEN, HeaderErrorKind::Parameter)?;
        self.skip_lws();
        if !self.eat(b'=') {
            return Ok(RawParam { name, value: None, end: name.end.into() });
        }
        self.skip_lws();
        let value = match self.peek() {
            Some(b'"') => self.quoted()?,
            _ => self.take(VALUE),
        };
        Ok(RawParam { name, value: Some(value), end: self.at() })
    }

    /// All that is left must be parameters; what they span, and each handed to `see`.
    #[inline]
    pub(crate) fn params(
        &mut self,
        mut see: impl FnMut(RawParam) -> Result<(), Fault>,
    ) -> Result<Span, Fault> {
        let mut span = Span::new(self.at(), self.at());
        if self.is_end() {
            return Ok(span);
        }
        self.skip_lws();
        if self.peek() == Some(b';') {
            span.start = short(self.at());
        }
        while let Some(param) = self.param()? {
            span.end = short(param.end);
            see(param)?;
        }
        Ok(span)
    }

    /// The end of one value: of the field, or the comma before the next value, whose offset is
    /// returned.
    #[inline]
    pub(crate) fn end_of_value(&mut self) -> Result<Option<usize>, Fault> {
        self.skip_lws();
        match self.peek() {
            None => Ok(None),
            Some(b',') => {
                self.skip(1);
                Ok(Some(self.at()))
            }
            Some(_) => Err(self.fault(HeaderErrorKind::Trailing)),
        }
    }

    /// `1*DIGIT` that fits 32 bits.
    #[inline]
    pub(crate) fn number(&mut self) -> Result<u32, Fault> {
        let start = self.at();
        let mut number: u64 = 0;
        while let [digit @ b'0'..=b'9', rest @ ..] = self.rest {
            // Never more than ten times 2^32 and a digit: what is too large stays so.
            let more = number.wrapping_mul(10).wrapping_add(u64::from(digit.wrapping_sub(b'0')));
            number = more.min(1 << 32);
            self.rest = rest;
        }
        if self.at() == start {
            return Err(self.fault(HeaderErrorKind::Number));
        }
        u32::try_from(number).map_err(|_| Fault { kind: HeaderErrorKind::Number, at: start })
    }

    #[inline]
    pub(crate) fn fault(&self, kind: HeaderErrorKind) -> Fault {
        Fault { kind, at: self.at() }
    }
}

/// A parameter as it stands in its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawParam {
    pub(crate) name: Span,
    /// With its quotes if it has them.
    pub(crate) value: Option<Span>,
    /// Where the parameter ends.
    pub(crate) end: usize,
}

impl RawParam {
    /// The value, if it is there, not empty and without quotes.
    #[inline]
    pub(crate) fn unquoted(&self, text: &[u8]) -> Option<Span> {
        // What was taken as a value is all of VALUE unless a quote begins it.
        self.value.filter(|value| value.of(text).first().is_some_and(|&first| first != b'"'))
    }
}

// What a cursor passes and is not a byte or two is passed here, by value: a cursor that is lent to
// a function lives in memory, others in registers.

/// `text` without the linear white space that it begins with; see [`Cursor::skip_lws`].
#[inline(never)]
fn after_lws(text: &[u8]) -> &[u8] {
    let mut rest = text;
    loop {
        let len = match rest {
            [b' ' | b'\t', ..] => 1,
            [b'\r' | b'\n', ..] => fold_len(rest),
            _ => 0,
        };
        rest = match rest.get(len..) {
            Some(after) if len > 0 => after,
            _ => return rest,
        };
    }
}

/// The length of the quoted string that `text` begins with, its quotes included.
#[inline(never)]
fn quoted_len(text: &[u8]) -> Result<usize, Fault> {
    let mut cursor = Cursor { rest: text, len: text.len() };
    let open = cursor.fault(HeaderErrorKind::QuotedString);
    if !cursor.eat(b'"') {
        return Err(open);
    }
    loop {
        cursor.take(QUOTED);
        match cursor.peek() {
            Some(b'"') => {
                cursor.skip(1);
                return Ok(cursor.at());
            }
            Some(b'\\') => {
                cursor.skip(1);
                // RFC 3261 §25.1: "the characters CR and LF cannot be escaped by this mechanism to
                // avoid conflict with line folding and header separation"
                match cursor.peek() {
                    Some(b'\r' | b'\n') => return Err(cursor.fault(HeaderErrorKind::Character)),
                    Some(_) => cursor.skip(1),
                    None => return Err(open),
                }
            }
            Some(_) => match fold_len(cursor.rest()) {
                0 => return Err(cursor.fault(HeaderErrorKind::Character)),
                len => cursor.skip(len),
            },
            None => return Err(open),
        }
    }
}

/// The length of the fold that `text` begins with: CRLF (or a bare LF) before SP or HTAB, that
/// included; 0 if it is none.
#[inline]
fn fold_len(text: &[u8]) -> usize {
    match text {
        [b'\r', b'\n', b' ' | b'\t', ..] => 3,
        [b'\n', b' ' | b'\t', ..] => 2,
        _ => 0,
    }
}

/// The number that is all of `text`, if it fits 32 bits.
pub(crate) fn whole_number(text: &[u8]) -> Option<u32> {
    let mut cursor = Cursor::new(text).ok()?;
    let number = cursor.number().ok()?;
    cursor.is_end().then_some(number)
}

/// Reads the first value of a list field: `read` gets the text without the white space before it,
/// and leaves the cursor at the end of the value. Also where the next value begins, if there is one.
#[inline(always)]
pub(crate) fn first_value<'a, T>(
    field: &'a [u8],
    read: impl FnOnce(&'a [u8], &mut Cursor<'a>) -> Result<T, Fault>,
) -> Result<(T, Option<usize>), Fault> {
    let mut cursor = Cursor::new(field)?;
    cursor.skip_lws();
    let lead = cursor.at();
    let text = cursor.rest();
    let parse = || {
        let mut cursor = Cursor::new(text)?;
        if cursor.is_end() {
            return Err(cursor.fault(HeaderErrorKind::Empty));
        }
        let value = read(text, &mut cursor)?;
        Ok((value, cursor.end_of_value()?))
    };
    match parse() {
        Ok((value, next)) => Ok((value, next.map(|next| next.saturating_add(lead)))),
        Err(Fault { kind, at }) => Err(Fault { kind, at: at.saturating_add(lead) }),
    }
}

/// `text` without LWS at its end.
#[inline]
pub(crate) fn trim_end(text: &[u8]) -> &[u8] {
    let mut text = text.strip_suffix(b"\r\n").unwrap_or(text);
    while let [shorter @ .., last] = text
        && is(*last, LWS)
    {
        text = shorter;
    }
    text
}

/// `text` without LWS at its ends, and how much was taken from its start.
pub(crate) fn trim(text: &[u8]) -> (&[u8], usize) {
    let lead = text.iter().position(|&b| !is(b, LWS)).unwrap_or(text.len());
    let rest = text.get(lead..).unwrap_or_default();
    let len = rest.iter().rposition(|&b| !is(b, LWS)).map_or(0, |last| last.saturating_add(1));
    (rest.get(..len).unwrap_or_default(), lead)
}

/// Whether every CR and LF of `text` is part of a fold.
pub(crate) fn folds_only(text: &[u8]) -> Result<(), Fault> {
    let mut from = until_control(text);
    while let Some(rest) = text.get(from..) {
        let Some(at) = memchr::memchr2(b'\r', b'\n', rest) else { break };
        let at = from.saturating_add(at);
        match fold_len(text.get(at..).unwrap_or_default()) {
            0 => return Err(Fault { kind: HeaderErrorKind::Character, at }),
            len => from = at.saturating_add(len),
        }
    }
    Ok(())
}

/// Where the first comma is that parts two values of a list field: commas inside quoted strings and
/// angle brackets part nothing; what does not close reaches to the end.
pub(crate) fn first_comma(text: &[u8]) -> Option<usize> {
    // Mostly there is none at all.
    memchr::memchr(b',', text)?;
    let (mut quoted, mut bracketed, mut escaped) = (false, false, false);
    for (at, &byte) in text.iter().enumerate() {
        if quoted {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' if !bracketed => quoted = true,
            b'<' => bracketed = true,
            b'>' => bracketed = false,
            b',' if !bracketed => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests;
