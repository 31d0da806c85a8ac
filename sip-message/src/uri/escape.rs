//! `%` escapes (RFC 3261 §19.1.2 and §25.1).

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::scan;

/// The byte that these two hexadecimal digits stand for.
pub(crate) fn unescape(high: u8, low: u8) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

/// The bytes of `text` with its escapes resolved, each with whether it was escaped. A `%` that is
/// no escape stands for itself.
pub(crate) fn bytes(text: &[u8]) -> impl Iterator<Item = (u8, bool)> + '_ {
    let mut rest = text;
    core::iter::from_fn(move || {
        if let [b'%', high, low, tail @ ..] = rest
            && let Some(byte) = unescape(*high, *low)
        {
            rest = tail;
            return Some((byte, true));
        }
        let (first, tail) = rest.split_first()?;
        rest = tail;
        Some((*first, false))
    })
}

/// `text` without its escapes; bytes that are no UTF-8 are replaced.
pub(crate) fn decode(text: &[u8]) -> Cow<'_, str> {
    if memchr::memchr(b'%', text).is_none() {
        return scan::text(text);
    }
    let decoded: Vec<u8> = bytes(text).map(|(byte, _)| byte).collect();
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

/// Whether the two are alike without regard to case and escapes.
pub(crate) fn eq_ignore_case(a: &[u8], b: &[u8]) -> bool {
    if memchr::memchr(b'%', a).is_none() && memchr::memchr(b'%', b).is_none() {
        return a.eq_ignore_ascii_case(b);
    }
    let lower = |(byte, _): (u8, bool)| byte.to_ascii_lowercase();
    bytes(a).map(lower).eq(bytes(b).map(lower))
}

/// Writes `text` with everything escaped that is not of `class`.
pub(crate) fn encode(out: &mut Vec<u8>, text: &str, class: u16) {
    for &byte in text.as_bytes() {
        if scan::is(byte, class) { out.push(byte) } else { push(out, byte) }
    }
}

/// The same for a text that has escapes already: these stay.
pub(crate) fn encode_rest(out: &mut Vec<u8>, text: &[u8], class: u16) {
    for (byte, escaped) in bytes(text) {
        if scan::is(byte, class) && !escaped { out.push(byte) } else { push(out, byte) }
    }
}

/// Writes the escape that stands for `byte`.
pub(crate) fn push(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
    out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 0x0F)]);
}
