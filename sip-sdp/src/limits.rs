/// How large a description may be that is read. What is larger is refused before anything of it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of the whole. Default 65,536.
    pub size: usize,
    /// Media descriptions (m= lines). Default 32.
    pub media: usize,
    /// Attributes of the session, and of each medium. Default 256.
    pub attributes: usize,
    /// Other lines of the session, and of each medium. Default 64.
    pub lines: usize,
    /// Formats in one m= line. Default 128, as many as there are payload types.
    pub formats: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { size: 65_536, media: 32, attributes: 256, lines: 64, formats: 128 }
    }
}

impl Limits {
    /// Another size of the whole, in bytes.
    #[must_use]
    pub fn size(self, bytes: usize) -> Self {
        Self { size: bytes, ..self }
    }

    /// Another number of media descriptions.
    #[must_use]
    pub fn media(self, count: usize) -> Self {
        Self { media: count, ..self }
    }

    /// Another number of attributes.
    #[must_use]
    pub fn attributes(self, count: usize) -> Self {
        Self { attributes: count, ..self }
    }

    /// Another number of lines that are no attributes.
    #[must_use]
    pub fn lines(self, count: usize) -> Self {
        Self { lines: count, ..self }
    }

    /// Another number of formats.
    #[must_use]
    pub fn formats(self, count: usize) -> Self {
        Self { formats: count, ..self }
    }
}
