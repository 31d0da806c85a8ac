use alloc::borrow::Cow;

use bytes::BytesMut;

use super::option_tags::{read_tokens, write_tokens};
use super::{Tokens, single};
use crate::{Header, HeaderError, HeaderErrorKind, HeaderName};

/// Request-Disposition: what the caller would have each server do with the request
/// (RFC 3841 §9.1, §10).
///
/// Stands for all directives of one line. Tokens that are no directives are passed over.
///
/// ```
/// use sip_message::{Directive, Header, RequestDisposition};
/// let wish = RequestDisposition::parse(b"proxy, recurse, parallel")?;
/// assert!(wish.contains(Directive::Parallel) && !wish.contains(Directive::NoFork));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
#[derive(Clone)]
pub struct RequestDisposition<'a> {
    text: Cow<'a, [u8]>,
}

macro_rules! directives {
    ($($variant:ident $text:literal not $opposite:ident, $doc:literal;)*) => {
        /// One directive of [`RequestDisposition`]. There are no others, on purpose (RFC 3841 §9.1).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Directive {
            $(
                #[doc = concat!("`", $text, "`: ", $doc, ".")]
                $variant,
            )*
        }

        impl Directive {
            /// As it is written.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// The other one of its type.
            pub fn opposite(self) -> Self {
                match self {
                    $(Self::$variant => Self::$opposite,)*
                }
            }

            fn of(token: &str) -> Option<Self> {
                $(if token.eq_ignore_ascii_case($text) {
                    return Some(Self::$variant);
                })*
                None
            }
        }
    };
}

directives! {
    Proxy "proxy" not Redirect, "servers should forward the request";
    Redirect "redirect" not Proxy, "servers should redirect it";
    Cancel "cancel" not NoCancel, "proxies should cancel the branches that are left after a 200";
    NoCancel "no-cancel" not Cancel, "that is left to the caller";
    Fork "fork" not NoFork, "proxies may try several addresses";
    NoFork "no-fork" not Fork, "proxies should try the best one only";
    Recurse "recurse" not NoRecurse, "proxies should follow a redirection";
    NoRecurse "no-recurse" not Recurse, "proxies should hand a redirection on";
    Parallel "parallel" not Sequential, "proxies should try all addresses at once";
    Sequential "sequential" not Parallel, "proxies should try one address after the other";
    Queue "queue" not NoQueue, "the call may wait for a callee who is busy";
    NoQueue "no-queue" not Queue, "it should rather be refused";
}

impl RequestDisposition<'_> {
    /// These directives.
    ///
    /// # Errors
    /// There must be one at least, and none twice or with its opposite.
    // RFC 3841 §9.1: "There can only be one directive of each type per request"
    pub fn new(
        directives: impl IntoIterator<Item = Directive>,
    ) -> Result<RequestDisposition<'static>, HeaderError> {
        let mut found = alloc::vec::Vec::new();
        let error = |kind| HeaderError::new(HeaderName::RequestDisposition, kind, 0);
        for directive in directives {
            if found.contains(&directive) || found.contains(&directive.opposite()) {
                return Err(error(HeaderErrorKind::DuplicateParameter));
            }
            found.push(directive);
        }
        if found.is_empty() {
            return Err(error(HeaderErrorKind::Empty));
        }
        let names = found.into_iter().map(Directive::as_str);
        let text = write_tokens(HeaderName::RequestDisposition, names)?;
        Ok(RequestDisposition { text: Cow::Owned(text) })
    }

    /// The directives in order.
    pub fn directives(&self) -> impl Iterator<Item = Directive> {
        Tokens::new(&self.text).filter_map(Directive::of)
    }

    /// Whether this directive is among them, and not its opposite as well.
    pub fn contains(&self, directive: Directive) -> bool {
        self.directives().any(|found| found == directive)
            && !self.directives().any(|found| found == directive.opposite())
    }

    /// The same with a text of its own.
    pub fn into_owned(self) -> RequestDisposition<'static> {
        RequestDisposition { text: Cow::Owned(self.text.into_owned()) }
    }

    /// A copy with a text of its own.
    pub fn to_static(&self) -> RequestDisposition<'static> {
        self.clone().into_owned()
    }
}

crate::header::text_traits!(RequestDisposition);

impl<'a> Header<'a> for RequestDisposition<'a> {
    const NAME: HeaderName<'static> = HeaderName::RequestDisposition;
    const LIST: bool = false;

    fn parse_first(field: &'a [u8]) -> Result<(Self, Option<usize>), HeaderError> {
        single(Self::NAME, field, |text, cursor| {
            read_tokens(cursor)?;
            Ok(Self { text: Cow::Borrowed(text) })
        })
    }

    fn write(&self, out: &mut BytesMut) {
        out.extend_from_slice(&self.text);
    }
}
