//! The lines that say preconditions, read and written (RFC 3312 §4).

use bytes::Bytes;

use super::{StatusType, Strength};

/// One stream of a description.
pub(super) struct Section<'a> {
    /// The m= line and what belongs to it.
    text: &'a str,
    /// Its port is not zero.
    pub(super) is_used: bool,
}

/// A line of the peer, from our point of view.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) what: What,
    pub(super) kind: &'a str,
    pub(super) status: StatusType,
    /// Sending and receiving.
    pub(super) ways: [bool; 2],
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Current,
    Desired(Strength),
    Confirm,
}

/// The streams of a description, at most so many; none of what is no text.
pub(super) fn sections(description: &[u8], limit: usize) -> Vec<Section<'_>> {
    let text = core::str::from_utf8(description).unwrap_or_default();
    let starts = starts(text);
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let section = |(start, end): (usize, usize)| {
        let text = text.get(start..end)?;
        let port = text.split(' ').nth(1)?;
        Some(Section { text, is_used: port.split('/').next() != Some("0") })
    };
    starts.iter().copied().zip(ends).filter_map(section).take(limit).collect()
}

/// Where the m= lines begin.
fn starts(text: &str) -> Vec<usize> {
    let first = text.starts_with("m=").then_some(0);
    let others = text.match_indices("\nm=").map(|(at, _)| at.saturating_add(1));
    first.into_iter().chain(others).collect()
}

impl<'a> Section<'a> {
    /// What it says of preconditions; lines that cannot be read are left out.
    pub(super) fn lines(&self) -> impl Iterator<Item = Line<'a>> + Clone + use<'a> {
        self.text.lines().filter_map(Line::read)
    }

    /// Its m= line with a port of zero.
    pub(super) fn refused(&self) -> Option<String> {
        let mut parts = self.text.lines().next()?.splitn(3, ' ');
        let (kind, _port, rest) = (parts.next()?, parts.next()?, parts.next()?);
        Some(format!("{kind} 0 {rest}\r\n"))
    }
}

impl<'a> Line<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (name, value) = line.strip_prefix("a=")?.split_once(':')?;
        let mut words = value.split_ascii_whitespace();
        let kind = words.next()?;
        let what = match name {
            "curr" => What::Current,
            "des" => What::Desired(match words.next()? {
                "mandatory" => Strength::Mandatory,
                "optional" => Strength::Optional,
                "none" => Strength::None,
                // "failure" and "unknown" stand in no offer and no answer.
                _ => return None,
            }),
            "conf" => What::Confirm,
            _ => return None,
        };
        // RFC 3312 §5.2: "taking into account
        // that "send", "recv", "local" and "remote" tags have to be inverted in
        // the answer"
        let status = match words.next()? {
            "e2e" => StatusType::EndToEnd,
            "local" => StatusType::Remote,
            "remote" => StatusType::Local,
            _ => return None,
        };
        let ways = match words.next()? {
            "none" => [false, false],
            "send" => [false, true],
            "recv" => [true, false],
            "sendrecv" => [true, true],
            _ => return None,
        };
        Some(Self { what, kind, status, ways })
    }

    /// The desired status that it says, from our point of view and with another tag.
    pub(super) fn written(&self, tag: &str) -> String {
        desired(self.kind, tag, self.status, self.ways)
    }
}

pub(super) fn current(text: &mut String, kind: &str, status: StatusType, ways: [bool; 2]) {
    *text += &format!("a=curr:{kind} {} {}\r\n", tag(status), direction(ways));
}

pub(super) fn desired(kind: &str, strength: &str, status: StatusType, ways: [bool; 2]) -> String {
    format!("a=des:{kind} {strength} {} {}\r\n", tag(status), direction(ways))
}

pub(super) fn confirm(text: &mut String, kind: &str, status: StatusType, ways: [bool; 2]) {
    *text += &format!("a=conf:{kind} {} {}\r\n", tag(status), direction(ways));
}

fn tag(status: StatusType) -> &'static str {
    match status {
        StatusType::EndToEnd => "e2e",
        StatusType::Local => "local",
        StatusType::Remote => "remote",
    }
}

fn direction(ways: [bool; 2]) -> &'static str {
    match ways {
        [false, false] => "none",
        [true, false] => "send",
        [false, true] => "recv",
        [true, true] => "sendrecv",
    }
}

/// A description with more lines at the end of each stream.
pub(super) fn insert(description: &[u8], lines: impl Fn(usize, bool) -> String) -> Bytes {
    let Ok(text) = core::str::from_utf8(description) else {
        return Bytes::copy_from_slice(description);
    };
    let head = starts(text).first().copied().unwrap_or(text.len());
    let mut out = text.get(..head).unwrap_or_default().to_owned();
    for (slot, section) in sections(description, usize::MAX).iter().enumerate() {
        out += section.text;
        out += &lines(slot, section.is_used);
    }
    out.into()
}

/// The version in the o= line.
pub(super) fn version_of(description: &[u8]) -> Option<u64> {
    let text = core::str::from_utf8(description).ok()?;
    let origin = text.lines().find(|line| line.starts_with("o="))?;
    origin.split(' ').nth(2)?.parse().ok()
}

/// The description with another version.
pub(super) fn with_version(description: &[u8], version: u64) -> Bytes {
    let copy = || Bytes::copy_from_slice(description);
    let Ok(text) = core::str::from_utf8(description) else { return copy() };
    let Some(start) = text.find("\no=").map(|at| at.saturating_add(1)) else { return copy() };
    let (head, rest) = text.split_at(start);
    let mut parts = rest.splitn(4, ' ');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(name), Some(id), Some(_), Some(rest)) => {
            format!("{head}{name} {id} {version} {rest}").into()
        }
        _ => copy(),
    }
}
