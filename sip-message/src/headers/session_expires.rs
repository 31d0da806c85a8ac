//! How long a session lasts without a refresh (RFC 4028).

use alloc::borrow::Cow;
use alloc::string::ToString as _;

use super::rule::Rule;
use super::word::{number, word_header};
use crate::HeaderError;
use crate::scan::{self, Span};

word_header!(SessionExpires, false, number, &[Rule::new("refresher", is_refresher)],
/// Session-Expires: after how many seconds without a refresh the session ends, and who refreshes
/// (RFC 4028 §4).
///
/// ```
/// use sip_message::{Header, Refresher, SessionExpires};
/// let session = SessionExpires::parse(b"4000;refresher=uac")?;
/// assert_eq!((session.seconds(), session.refresher()), (4000, Some(Refresher::Uac)));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

impl SessionExpires<'_> {
    /// The least that is allowed.
    // RFC 4028 §4: "The absolute minimum for the Session-Expires header field is 90 seconds."
    pub const MIN: u32 = 90;

    /// This many seconds.
    pub fn new(seconds: u32) -> SessionExpires<'static> {
        let (text, word, params) = parts(seconds);
        SessionExpires { text, word, params }
    }

    /// The session interval in seconds.
    pub fn seconds(&self) -> u32 {
        whole(self.word())
    }

    /// Who refreshes the session.
    pub fn refresher(&self) -> Option<Refresher> {
        Refresher::from_bytes(self.param("refresher")?.raw_value()?)
    }

    /// With this refresher.
    ///
    /// # Errors
    /// What grows longer than 65,535 bytes.
    pub fn with_refresher(
        &self,
        refresher: Refresher,
    ) -> Result<SessionExpires<'static>, HeaderError> {
        self.with_param("refresher", Some(refresher.as_str()))
    }
}

/// Who refreshes a session: the side that sent the request with the Session-Expires, or the one that
/// received it (RFC 4028 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refresher {
    /// The side that sent the request.
    Uac,
    /// The side that answers it.
    Uas,
}

impl Refresher {
    /// `uac` or `uas`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uac => "uac",
            Self::Uas => "uas",
        }
    }

    fn from_bytes(text: &[u8]) -> Option<Self> {
        [Self::Uac, Self::Uas]
            .into_iter()
            .find(|side| text.eq_ignore_ascii_case(side.as_str().as_bytes()))
    }
}

fn is_refresher(value: Option<&[u8]>) -> bool {
    value.and_then(Refresher::from_bytes).is_some()
}

word_header!(MinSe, false, number, &[],
/// Min-SE: the least session interval, in seconds, that all on the path accept; in a 422, that the
/// sender accepts (RFC 4028 §5).
///
/// ```
/// use sip_message::{Header, MinSe};
/// assert_eq!(MinSe::parse(b"3600")?.seconds(), 3600);
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

impl MinSe<'_> {
    /// What counts where there is no Min-SE.
    // RFC 4028 §5: "When the header field is not present, its default value for is 90 seconds."
    pub const DEFAULT: u32 = 90;

    /// This many seconds.
    pub fn new(seconds: u32) -> MinSe<'static> {
        let (text, word, params) = parts(seconds);
        MinSe { text, word, params }
    }

    /// The least session interval in seconds.
    pub fn seconds(&self) -> u32 {
        whole(self.word())
    }
}

/// A number, and no parameters.
fn parts(seconds: u32) -> (Cow<'static, [u8]>, Span, Span) {
    let text = seconds.to_string().into_bytes();
    let end = text.len();
    (Cow::Owned(text), Span::new(0, end), Span::new(end, end))
}

fn whole(word: &str) -> u32 {
    // Checked when it was parsed.
    scan::whole_number(word.as_bytes()).unwrap_or_default()
}
