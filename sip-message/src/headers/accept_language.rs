use super::QValue;
use super::word_list::word_list_header;

word_list_header!(AcceptLanguage, &[],
/// Accept-Language: the languages wanted in reason phrases and bodies (RFC 3261 §20.3). A message
/// without the header accepts all.
///
/// ```
/// use sip_message::{AcceptLanguage, Header};
/// let accept = AcceptLanguage::parse(b"da, en-gb;q=0.8, en;q=0.7")?;
/// assert_eq!(accept.quality("en-US").map(|q| q.thousandths()), Some(700));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

impl AcceptLanguage<'_> {
    /// How much a language is wanted: by the longest range that matches its tag (RFC 2616 §14.4),
    /// `*` being the shortest; `None` if none does.
    pub fn quality(&self, tag: &str) -> Option<QValue> {
        let fits = self.elements().filter_map(|range| Some((fit(range.token(), tag)?, range.q())));
        fits.max_by_key(|(fit, q)| (*fit, *q)).map(|(_, q)| q)
    }

    /// Whether a language is wanted at all: matched, and not with `q=0`.
    pub fn accepts(&self, tag: &str) -> bool {
        self.quality(tag).is_some_and(|q| q.thousandths() > 0)
    }
}

/// How much of a language tag a range matches, in bytes: all of it, or a prefix before a `-`.
fn fit(range: &str, tag: &str) -> Option<usize> {
    if range == "*" {
        return Some(0);
    }
    let (start, rest) = tag.split_at_checked(range.len())?;
    let whole = rest.is_empty() || rest.starts_with('-');
    (whole && start.eq_ignore_ascii_case(range)).then_some(range.len())
}
