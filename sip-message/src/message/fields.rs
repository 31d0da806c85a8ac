//! Header fields without a message around them: those of a part of a body.

use bytes::BytesMut;

use super::edit::write_line;
use super::headers::HeaderField;
use super::parse::{Line, Lines};
use crate::HeaderName;

/// The header fields that a text begins with, up to an empty line or its end; for a line that is
/// none, where it begins.
pub(crate) struct Fields<'a> {
    lines: Lines<'a>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { lines: Lines::new(text, 0) }
    }

    /// What has not been read: after the last header field, what follows the empty line.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.lines.rest()
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<HeaderField<'a>, usize>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.lines.at();
        match self.lines.next() {
            // Places are kept in 32 bits; a body is shorter.
            Line::Field(line) => {
                Some(HeaderField::read(line, u32::try_from(start).ok()?).ok_or(start))
            }
            Line::HeadEnd | Line::End => None,
        }
    }
}

/// Writes one header field line.
pub(crate) fn write_field(
    out: &mut BytesMut,
    name: HeaderName<'_>,
    value: impl FnOnce(&mut BytesMut),
) {
    write_line(out, name, value);
}
