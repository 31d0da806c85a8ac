use super::rule::Rule;
use super::word::{token, word_header};
use crate::HeaderError;

word_header!(ContentDisposition, false, token, &[Rule::token("handling")],
/// Content-Disposition: what the body, or a part of it, is for (RFC 3261 §20.11).
///
/// ```
/// use sip_message::{ContentDisposition, Header};
/// let icon = ContentDisposition::parse(b"icon;handling=optional")?;
/// assert!(icon.is("icon") && !icon.is_required());
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

impl ContentDisposition<'_> {
    /// This disposition type, such as `session` or `render`.
    ///
    /// # Errors
    /// It must be a token.
    pub fn new(disposition_type: &str) -> Result<ContentDisposition<'static>, HeaderError> {
        Self::from_word(disposition_type)
    }

    /// The disposition type as it is written: `session`, `render`, `icon`, `alert`, `early-session`,
    /// `by-reference`, `signal`, or another.
    pub fn disposition_type(&self) -> &str {
        self.word()
    }

    /// Whether this is the disposition type, without regard to case.
    pub fn is(&self, disposition_type: &str) -> bool {
        self.word().eq_ignore_ascii_case(disposition_type)
    }

    /// Whether a receiver that does not understand the body must refuse the message, with a 415:
    /// unless `handling` says otherwise. A handling that is not known counts as `required`.
    // RFC 3261 §20.11: "If the handling parameter is missing, the value "required" SHOULD be
    // assumed."
    pub fn is_required(&self) -> bool {
        let handling = self.param("handling").and_then(|param| param.raw_value());
        !handling.is_some_and(|value| value.eq_ignore_ascii_case(b"optional"))
    }

    /// With `handling=required` or `handling=optional`.
    ///
    /// # Errors
    /// What grows longer than 65,535 bytes.
    pub fn with_handling(
        &self,
        required: bool,
    ) -> Result<ContentDisposition<'static>, HeaderError> {
        self.with_param("handling", Some(if required { "required" } else { "optional" }))
    }
}
