//! What a message may weigh.

/// The limits that parsing and framing hold a message to.
///
/// A message beyond [`message_bytes`](Self::message_bytes) or [`head_bytes`](Self::head_bytes) is
/// not framed off a stream; every other excess leaves a message that parses, so that it can be
/// answered, and that [`validate`](crate::Request::validate) refuses with the status owed.
///
/// ```
/// use sip_message::Limits;
///
/// let limits = Limits::default().message_bytes(16_384).header_fields(64);
/// assert_eq!(limits.message_bytes, 16_384);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a whole message, head and body; default 65,535. Beyond it: 513 (RFC 3261 §21.5.7).
    pub message_bytes: usize,
    /// Bytes of the start line and all header fields together; default 65,535. Beyond it: 513.
    pub head_bytes: usize,
    /// Header fields of a message, at most 65,534; default 256. Those beyond it are not looked
    /// at: 513.
    pub header_fields: usize,
    /// Bytes of one header field with its name and folds; default 8,192. A longer one is not looked
    /// at: 513.
    pub header_bytes: usize,
    /// Bytes of the Request-URI; default 4,096. Beyond it: 414 (RFC 3261 §21.4.12).
    pub uri_bytes: usize,
    /// Parts of a body, nested ones with them, that [`Content::find`](crate::Content::find) and its
    /// like look at; default 64. Beyond it: 513.
    pub body_parts: usize,
    /// How deep the parts of a body may be nested for them; default 8. Beyond it: 513.
    pub body_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 65_535,
            head_bytes: 65_535,
            header_fields: 256,
            header_bytes: 8_192,
            uri_bytes: 4_096,
            body_parts: 64,
            body_depth: 8,
        }
    }
}

impl Limits {
    /// With another [`message_bytes`](Self::message_bytes).
    #[must_use]
    pub fn message_bytes(mut self, bytes: usize) -> Self {
        self.message_bytes = bytes;
        self
    }

    /// With another [`head_bytes`](Self::head_bytes).
    #[must_use]
    pub fn head_bytes(mut self, bytes: usize) -> Self {
        self.head_bytes = bytes;
        self
    }

    /// With another [`header_fields`](Self::header_fields).
    #[must_use]
    pub fn header_fields(mut self, fields: usize) -> Self {
        self.header_fields = fields;
        self
    }

    /// With another [`header_bytes`](Self::header_bytes).
    #[must_use]
    pub fn header_bytes(mut self, bytes: usize) -> Self {
        self.header_bytes = bytes;
        self
    }

    /// With another [`uri_bytes`](Self::uri_bytes).
    #[must_use]
    pub fn uri_bytes(mut self, bytes: usize) -> Self {
        self.uri_bytes = bytes;
        self
    }

    /// With another [`body_parts`](Self::body_parts).
    #[must_use]
    pub fn body_parts(mut self, parts: usize) -> Self {
        self.body_parts = parts;
        self
    }

    /// With another [`body_depth`](Self::body_depth).
    #[must_use]
    pub fn body_depth(mut self, depth: usize) -> Self {
        self.body_depth = depth;
        self
    }
}
