//! Whether a user agent is to answer a call by itself (RFC 5373).

use super::rule::Rule;
use super::word::{token, word_header};
use crate::HeaderError;

const RULES: &[Rule] = &[Rule::flag("require")];

/// What both headers have.
macro_rules! mode {
    ($name:ident) => {
        impl $name<'_> {
            /// This mode: `Auto`, `Manual`, or another that is not standard today.
            ///
            /// # Errors
            /// It must be a token.
            pub fn new(mode: &str) -> Result<$name<'static>, HeaderError> {
                Self::from_word(mode)
            }

            /// The mode as it is written.
            pub fn mode(&self) -> &str {
                self.word()
            }

            /// Whether the call is to be answered without the user: `Auto`.
            pub fn is_auto(&self) -> bool {
                self.word().eq_ignore_ascii_case("Auto")
            }

            /// Whether the user is to answer: `Manual`.
            pub fn is_manual(&self) -> bool {
                self.word().eq_ignore_ascii_case("Manual")
            }

            /// Whether the call is rather to be refused than answered in another way: `require`.
            pub fn require(&self) -> bool {
                self.param("require").is_some()
            }
        }
    };
}

word_header!(AnswerMode, false, token, RULES,
/// Answer-Mode: whether the callee's user agent is to answer by itself (RFC 5373 §2).
///
/// ```
/// use sip_message::{AnswerMode, Header};
/// let mode = AnswerMode::parse(b"Auto;require")?;
/// assert!(mode.is_auto() && mode.require());
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

mode!(AnswerMode);

word_header!(PrivAnswerMode, false, token, RULES,
/// Priv-Answer-Mode: the same for a caller with a special right to it, such as one in an emergency
/// (RFC 5373 §2).
///
/// ```
/// use sip_message::PrivAnswerMode;
/// let mode = PrivAnswerMode::new("Auto")?.with_param("require", None)?;
/// assert_eq!(mode.to_string(), "Auto;require");
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

mode!(PrivAnswerMode);
