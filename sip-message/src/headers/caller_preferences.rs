//! Which of a callee's user agents the caller wants to reach (RFC 3841).

use super::feature::{Feature, features};
use super::rule::Rule;
use super::word::word_header;
use crate::scan::{Cursor, Fault, Span};
use crate::{HeaderError, HeaderErrorKind, params};

/// `*`, the only value that there is.
pub(super) fn star(cursor: &mut Cursor<'_>) -> Result<Span, Fault> {
    let start = cursor.at();
    if cursor.eat(b'*') {
        Ok(Span::new(start, cursor.at()))
    } else {
        Err(cursor.fault(HeaderErrorKind::Token))
    }
}

/// What the types have in common whose value is `*` and features.
macro_rules! feature_set {
    ($name:ident) => {
        impl $name<'_> {
            /// `*`, without parameters.
            pub const ANY: $name<'static> = $name {
                text: alloc::borrow::Cow::Borrowed(b"*"),
                word: Span { start: 0, end: 1 },
                params: Span { start: 1, end: 1 },
            };

            /// The features in order.
            pub fn features(&self) -> impl Iterator<Item = Feature<'_>> {
                features(self.params())
            }

            /// The first feature with this tag, as it is written in a message.
            pub fn feature(&self, name: &str) -> Option<Feature<'_>> {
                self.param(name).and_then(Feature::of)
            }

            /// With this feature in place of the first of its tag, or at the end; its value, if it
            /// has one, in quotes.
            ///
            /// # Errors
            /// The tag must be a base tag of RFC 3840 §9 or begin with `+`, and be a token; the
            /// value must be without CR and LF.
            pub fn with_feature(
                &self,
                name: &str,
                value: Option<&str>,
            ) -> Result<$name<'static>, HeaderError> {
                let header = <$name<'_> as crate::Header>::NAME;
                let text = match value {
                    Some(value) => params::with_quoted_param(&self.text, self.params, name, value),
                    None => params::with_param(&self.text, self.params, name, None),
                };
                let this =
                    Self::from_vec(text.map_err(|fault| HeaderError::from_fault(header, fault))?)?;
                match this.feature(name) {
                    Some(_) => Ok(this),
                    None => {
                        let at = this.params.start.into();
                        Err(HeaderError::new(header, HeaderErrorKind::Parameter, at))
                    }
                }
            }
        }
    };
}
pub(super) use feature_set;

word_header!(AcceptContact, true, star, &[Rule::flag("require"), Rule::flag("explicit")],
/// One Accept-Contact value: features that the callee's user agent should have (RFC 3841 §9.2, §10).
///
/// ```
/// use sip_message::{AcceptContact, Header};
/// let wanted = AcceptContact::parse(b"*;audio;require")?;
/// assert!(wanted.feature("audio").is_some() && wanted.require() && !wanted.explicit());
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

feature_set!(AcceptContact);

impl AcceptContact<'_> {
    /// Whether a contact that does not match is not to be tried at all.
    pub fn require(&self) -> bool {
        self.param("require").is_some()
    }

    /// Whether a contact matches only if it names every feature itself.
    pub fn explicit(&self) -> bool {
        self.param("explicit").is_some()
    }
}

word_header!(RejectContact, true, star, &[],
/// One Reject-Contact value: a user agent with all of these features should not be tried
/// (RFC 3841 §9.2, §10).
///
/// ```
/// use sip_message::{Header, RejectContact};
/// let unwanted = RejectContact::parse(b"*;actor=\"msg-taker\";video")?;
/// assert_eq!(unwanted.feature("actor").expect("it has one").value(), Some("msg-taker"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

feature_set!(RejectContact);
