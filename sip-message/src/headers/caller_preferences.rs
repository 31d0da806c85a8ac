//! Which of a callee's user agents the caller wants to reach (RFC 3841).

use super::feature::{self, Feature};
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

            /// The first feature of that name, as it is written in a message.
            pub fn feature(&self, name: &str) -> Option<Feature<'_>> {
                self.params().features().find(|feature| feature.is(name))
            }

            /// With this feature, its values in quotes and parted by commas; without values, as
            /// booleans are written.
            ///
            /// # Errors
            /// The name must be a base tag of RFC 3840 §9 or begin with `+` and a letter; each value
            /// must be a token or a number such as `#>=5`, with or without a `!` before it.
            pub fn with_feature(
                &self,
                name: &str,
                values: &[&str],
            ) -> Result<$name<'static>, HeaderError> {
                let header = <$name<'_> as crate::Header>::NAME;
                let list = feature::list(name, values)
                    .map_err(|kind| HeaderError::new(header, kind, self.params.end.into()))?;
                let text = match list {
                    Some(list) => params::with_quoted_param(&self.text, self.params, name, &list),
                    None => params::with_param(&self.text, self.params, name, None),
                };
                Self::from_vec(text.map_err(|fault| HeaderError::from_fault(header, fault))?)
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
/// assert_eq!(unwanted.feature("actor").expect("it has one").value().as_deref(), Some("msg-taker"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

feature_set!(RejectContact);
