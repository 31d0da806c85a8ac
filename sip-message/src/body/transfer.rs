//! Content-Transfer-Encoding (RFC 2045 §6).

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::scan;

/// How the bytes of a body are written.
// RFC 5621 §3.2: "UAs SHOULD use the binary transfer encoding [RFC4289] for all payloads in SIP"
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransferEncoding<'a> {
    /// As they are: `binary`, `8bit`, `7bit`, or no such header field.
    Identity,
    /// `base64`.
    Base64,
    /// `quoted-printable`.
    QuotedPrintable,
    /// Any other, as it is written.
    Other(&'a [u8]),
}

impl<'a> TransferEncoding<'a> {
    pub(super) fn read(value: &'a [u8]) -> Self {
        match value {
            v if scan::same(v, b"binary") || scan::same(v, b"8bit") || scan::same(v, b"7bit") => {
                Self::Identity
            }
            v if scan::same(v, b"base64") => Self::Base64,
            v if scan::same(v, b"quoted-printable") => Self::QuotedPrintable,
            other => Self::Other(other),
        }
    }
}

/// The bytes that `text` stands for, or where it is not of that encoding.
pub(super) fn decode<'a>(
    text: &'a [u8],
    encoding: TransferEncoding<'_>,
) -> Result<Cow<'a, [u8]>, usize> {
    match encoding {
        TransferEncoding::Identity => Ok(Cow::Borrowed(text)),
        TransferEncoding::Base64 => base64(text).map(Cow::Owned),
        TransferEncoding::QuotedPrintable => quoted_printable(text).map(Cow::Owned),
        TransferEncoding::Other(_) => Err(0),
    }
}

/// RFC 2045 §6.8: four digits are three bytes; white space is passed over, and after `=` nothing
/// else may come.
fn base64(text: &[u8]) -> Result<Vec<u8>, usize> {
    let mut out = Vec::with_capacity(text.len());
    let (mut group, mut digits, mut padding) = (0u32, 0u32, 0u32);
    for (at, &byte) in text.iter().enumerate() {
        let value = match byte {
            byte if scan::is(byte, scan::LWS) => continue,
            b'=' if digits.saturating_add(padding) >= 2 && padding < 2 => {
                padding = padding.saturating_add(1);
                continue;
            }
            _ if padding != 0 => return Err(at),
            b'A'..=b'Z' => byte.wrapping_sub(b'A'),
            b'a'..=b'z' => byte.wrapping_sub(b'a').wrapping_add(26),
            b'0'..=b'9' => byte.wrapping_sub(b'0').wrapping_add(52),
            b'+' => 62,
            b'/' => 63,
            _ => return Err(at),
        };
        group = group << 6 | u32::from(value);
        digits = digits.saturating_add(1);
        if digits == 4 {
            let [_, bytes @ ..] = group.to_be_bytes();
            out.extend_from_slice(&bytes);
            (group, digits) = (0, 0);
        }
    }
    let [_, first, second, _] = match (digits, padding) {
        (0, 0) => return Ok(out),
        (2, 2) => (group << 12).to_be_bytes(),
        (3, 1) => (group << 6).to_be_bytes(),
        _ => return Err(text.len()),
    };
    out.push(first);
    if digits == 3 {
        out.push(second);
    }
    Ok(out)
}

/// RFC 2045 §6.7: `=` and two digits are a byte, `=` at the end of a line is nothing, and white
/// space at the end of a line was put there on the way.
fn quoted_printable(text: &[u8]) -> Result<Vec<u8>, usize> {
    let mut out = Vec::with_capacity(text.len());
    let mut line_start = 0usize;
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let (content, end) = match line {
            [content @ .., b'\r', b'\n'] => (content, &b"\r\n"[..]),
            [content @ .., b'\n'] => (content, &b"\n"[..]),
            content => (content, &b""[..]),
        };
        let content = content.trim_ascii_end();
        let (content, soft) = match content.strip_suffix(b"=") {
            Some(content) => (content, true),
            None => (content, false),
        };
        let mut rest = content;
        while let [first, tail @ ..] = rest {
            let at = line_start.saturating_add(content.len().saturating_sub(rest.len()));
            if *first != b'=' {
                out.push(*first);
                rest = tail;
                continue;
            }
            let [high, low, tail @ ..] = tail else { return Err(at) };
            out.push(crate::uri::escape::unescape(*high, *low).ok_or(at)?);
            rest = tail;
        }
        if !soft {
            out.extend_from_slice(end);
        }
        line_start = line_start.saturating_add(line.len());
    }
    Ok(out)
}
