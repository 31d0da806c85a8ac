use super::QValue;
use super::word_list::word_list_header;

word_list_header!(AcceptEncoding, &[],
/// Accept-Encoding: the content codings that may come back (RFC 3261 §20.2). An empty one allows
/// `identity` alone, and so does a message without the header.
///
/// ```
/// use sip_message::{AcceptEncoding, Header};
/// let accept = AcceptEncoding::parse(b"gzip, deflate;q=0.5, *;q=0")?;
/// assert!(accept.accepts("gzip") && !accept.accepts("br"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

impl AcceptEncoding<'_> {
    /// How much a coding is wanted: as it is listed, or as `*` is; `None` if neither is listed.
    pub fn quality(&self, coding: &str) -> Option<QValue> {
        let listed = |name| self.elements().find(|element| element.is(name));
        listed(coding).or_else(|| listed("*")).map(|element| element.q())
    }

    /// Whether a coding is wanted at all: listed, and not with `q=0`. `identity`, no coding at all,
    /// need not be listed.
    pub fn accepts(&self, coding: &str) -> bool {
        match self.quality(coding) {
            Some(q) => q.thousandths() > 0,
            // RFC 3261 §20.2: "An empty Accept-Encoding header field is permissible. It is
            // equivalent to Accept-Encoding: identity"
            None => coding.eq_ignore_ascii_case("identity"),
        }
    }
}
