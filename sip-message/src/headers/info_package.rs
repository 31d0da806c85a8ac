//! Info Packages: what INFO requests carry (RFC 6086).

use super::word::{token, word_header};
use super::word_list::word_list_header;
use crate::HeaderError;

word_header!(InfoPackage, false, token, &[],
/// Info-Package: the Info Package that an INFO request belongs to (RFC 6086 §7.2, §9.2).
///
/// ```
/// use sip_message::{Header, InfoPackage};
/// assert_eq!(InfoPackage::parse(b"conference;x=1")?.name(), "conference");
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

impl InfoPackage<'_> {
    /// This package.
    ///
    /// # Errors
    /// It must be a token.
    pub fn new(name: &str) -> Result<InfoPackage<'static>, HeaderError> {
        Self::from_word(name)
    }

    /// The name of the package; told apart by case.
    pub fn name(&self) -> &str {
        self.word()
    }
}

word_list_header!(RecvInfo, &[],
/// Recv-Info: the Info Packages that its sender is willing to receive; an empty one says none
/// (RFC 6086 §7.3, §9.2).
///
/// ```
/// use sip_message::{Header, RecvInfo};
/// let willing = RecvInfo::parse(b"foo, bar;x=1")?;
/// assert!(willing.contains("bar") && !willing.contains("Foo"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

impl RecvInfo<'_> {
    /// Whether the package of this name is among them.
    // RFC 6086 §7.2: "the Info Package name is case sensitive"
    pub fn contains(&self, package: &str) -> bool {
        self.elements().any(|element| element.token() == package)
    }
}
