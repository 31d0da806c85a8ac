use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};
use core::ops::Deref;

use bytes::BytesMut;

use super::address::built;
use super::{Privacy, Reason};
use crate::name_addr::Form;
use crate::{Header, HeaderError, HeaderErrorKind, HeaderName, NameAddr, Uri, values};

/// One History-Info value: a target that the request was sent to on its way (RFC 7044 §5).
///
/// ```
/// use sip_message::{Header, HistoryInfo};
/// let entry = HistoryInfo::parse(
///     b"<sip:UserB@example.com?Privacy=history&Reason=SIP%3Bcause%3D486>;index=1.2;mp=1.1",
/// )?;
/// assert_eq!(entry.index().map(|index| index.to_string()).as_deref(), Some("1.2"));
/// assert_eq!(entry.mapped_from(), entry.index().map(|index| index.parent().unwrap().child(1)));
/// assert_eq!(entry.reasons().first().and_then(|reason| reason.cause()), Some(486));
/// assert!(entry.privacy().is_some_and(|privacy| privacy.contains("history")));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryInfo<'a>(NameAddr<'a>);

impl<'a> HistoryInfo<'a> {
    /// `<uri>;index=index`
    ///
    /// # Errors
    /// What grows too long.
    pub fn new(
        uri: &Uri<'_>,
        index: &HistoryIndex<'_>,
    ) -> Result<HistoryInfo<'static>, HeaderError> {
        HistoryInfo(NameAddr::new(uri)).with_param("index", Some(index.as_str()))
    }

    /// That the target is another address of the same user, found from the entry at `from`: `rc`.
    ///
    /// # Errors
    /// What grows too long.
    pub fn with_same_user(
        &self,
        from: &HistoryIndex<'_>,
    ) -> Result<HistoryInfo<'static>, HeaderError> {
        self.with_param("rc", Some(from.as_str()))
    }

    /// That the target is another user, mapped from the entry at `from`: `mp`.
    ///
    /// # Errors
    /// What grows too long.
    pub fn with_mapped_from(
        &self,
        from: &HistoryIndex<'_>,
    ) -> Result<HistoryInfo<'static>, HeaderError> {
        self.with_param("mp", Some(from.as_str()))
    }

    /// That the target is that of the entry at `from`, unchanged: `np`.
    ///
    /// # Errors
    /// What grows too long.
    pub fn with_unchanged_from(
        &self,
        from: &HistoryIndex<'_>,
    ) -> Result<HistoryInfo<'static>, HeaderError> {
        self.with_param("np", Some(from.as_str()))
    }

    /// With this header parameter in place of the first of its name, or at the end.
    ///
    /// # Errors
    /// The name must be a token, the value without CR and LF.
    pub fn with_param(
        &self,
        name: &str,
        value: Option<&str>,
    ) -> Result<HistoryInfo<'static>, HeaderError> {
        built(HeaderName::HistoryInfo, self.0.with_param(name, value)).map(HistoryInfo)
    }

    /// With one more reason in the headers of the URI: what came of the request that was sent there.
    ///
    /// # Errors
    /// Only `sip` and `sips` URIs have headers.
    // RFC 7044 §10.2: "The SIP entity MUST include a Reason header field, containing the SIP
    // Response Code, in the "headers" component of the hi-targeted-to-uri in the last hi-entry
    // added to the cache, unless the hi-targeted-to-uri is a Tel-URI."
    pub fn with_reason(&self, reason: &Reason<'_>) -> Result<HistoryInfo<'static>, HeaderError> {
        self.with_header("Reason", reason)
    }

    /// With a Privacy in the headers of the URI: what of this entry is to be hidden.
    ///
    /// # Errors
    /// Only `sip` and `sips` URIs have headers.
    pub fn with_privacy(&self, privacy: &Privacy<'_>) -> Result<HistoryInfo<'static>, HeaderError> {
        self.with_header("Privacy", privacy)
    }

    fn with_header(
        &self,
        name: &str,
        value: &impl fmt::Display,
    ) -> Result<HistoryInfo<'static>, HeaderError> {
        let uri = self.uri().with_header(name, &alloc::format!("{value}"));
        let uri = uri.map_err(|error| {
            let kind = HeaderErrorKind::Uri(error.kind());
            HeaderError::new(HeaderName::HistoryInfo, kind, error.offset())
        })?;
        let mut address = NameAddr::new(&uri);
        if let Some(name) = self.display_name() {
            address = built(HeaderName::HistoryInfo, address.with_display_name(&name))?;
        }
        let address = address.with_params_of(&self.0);
        address
            .map(HistoryInfo)
            .map_err(|fault| HeaderError::from_fault(HeaderName::HistoryInfo, fault))
    }

    /// Where the entry is in the tree of the request's history; `None` also if it is malformed.
    pub fn index(&self) -> Option<HistoryIndex<'_>> {
        self.index_of("index")
    }

    /// The entry that this one was found from, the user being the same: `rc`.
    pub fn same_user(&self) -> Option<HistoryIndex<'_>> {
        self.index_of("rc")
    }

    /// The entry of another user that this one was mapped from: `mp`.
    pub fn mapped_from(&self) -> Option<HistoryIndex<'_>> {
        self.index_of("mp")
    }

    /// The entry whose target is this one's too: `np`.
    pub fn unchanged_from(&self) -> Option<HistoryIndex<'_>> {
        self.index_of("np")
    }

    fn index_of(&self, name: &str) -> Option<HistoryIndex<'_>> {
        HistoryIndex::parse(crate::scan::ascii(self.param(name)?.raw_value()?))
    }

    /// The reasons in the headers of the URI, without those that are malformed.
    pub fn reasons(&self) -> Vec<Reason<'static>> {
        let uri = self.uri();
        let fields = uri.headers().filter(|header| header.is("Reason"));
        let mut reasons = Vec::new();
        for field in fields.filter_map(|header| header.value_decoded()) {
            let found = values::<Reason<'_>>(field.as_bytes()).filter_map(Result::ok);
            reasons.extend(found.map(Reason::into_owned));
        }
        reasons
    }

    /// The Privacy in the headers of the URI; `None` also if it is malformed.
    pub fn privacy(&self) -> Option<Privacy<'static>> {
        let uri = self.uri();
        let field = uri.headers().find(|header| header.is("Privacy"))?.value_decoded()?;
        Privacy::parse(field.as_bytes()).ok().map(Privacy::into_owned)
    }

    /// The address with its parameters.
    pub fn as_name_addr(&self) -> &NameAddr<'a> {
        &self.0
    }

    /// The address with its parameters.
    pub fn into_name_addr(self) -> NameAddr<'a> {
        self.0
    }

    /// The same with a text of its own.
    pub fn into_owned(self) -> HistoryInfo<'static> {
        HistoryInfo(self.0.into_owned())
    }

    /// A copy with a text of its own.
    pub fn to_static(&self) -> HistoryInfo<'static> {
        HistoryInfo(self.0.to_static())
    }
}

impl<'a> Deref for HistoryInfo<'a> {
    type Target = NameAddr<'a>;

    fn deref(&self) -> &NameAddr<'a> {
        &self.0
    }
}

impl fmt::Display for HistoryInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'a> Header<'a> for HistoryInfo<'a> {
    const NAME: HeaderName<'static> = HeaderName::HistoryInfo;
    const LIST: bool = true;

    fn parse_first(field: &'a [u8]) -> Result<(Self, Option<usize>), HeaderError> {
        let found = NameAddr::parse_first(field, Form::NameAddr);
        super::only_if_list(Self::NAME, true, found).map(|(address, next)| (Self(address), next))
    }

    fn write(&self, out: &mut BytesMut) {
        out.extend_from_slice(self.0.as_bytes());
    }
}

/// The place of a [`HistoryInfo`] entry: numbers from the root down, one for each hop, such as
/// `1.2.1` (RFC 7044 §10.3).
///
/// They order as the entries stand in a message: each before its children.
///
/// ```
/// use sip_message::HistoryIndex;
/// let first = HistoryIndex::parse("1.1").unwrap();
/// let next = first.parent().unwrap().child(2);
/// assert!(first < first.child(7) && first.child(7) < next);
/// assert_eq!(next.to_string(), "1.2");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HistoryIndex<'a>(Cow<'a, str>);

impl<'a> HistoryIndex<'a> {
    /// `1`, the first of a history.
    // RFC 7044 §10.3: "The first index in a series of History-Info entries MUST be set to 1."
    pub const FIRST: HistoryIndex<'static> = HistoryIndex(Cow::Borrowed("1"));

    /// Numbers of 32 bits parted by dots, without leading zeros.
    pub fn parse(text: &'a str) -> Option<Self> {
        text.split('.').all(is_number).then_some(Self(Cow::Borrowed(text)))
    }

    /// The index of the entry's child of this number; the first has 1.
    pub fn child(&self, number: u32) -> HistoryIndex<'static> {
        let mut text = String::from(self.as_str());
        // Writing to a String cannot fail.
        let _ = write!(text, ".{number}");
        HistoryIndex(Cow::Owned(text))
    }

    /// The index one level up; `None` at the root.
    pub fn parent(&self) -> Option<HistoryIndex<'_>> {
        let (parent, _) = self.0.rsplit_once('.')?;
        Some(HistoryIndex(Cow::Borrowed(parent)))
    }

    /// The numbers from the root down.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        self.0.split('.').filter_map(|number| number.parse().ok())
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same with a text of its own.
    pub fn into_owned(self) -> HistoryIndex<'static> {
        HistoryIndex(Cow::Owned(self.0.into_owned()))
    }
}

// RFC 7044 §5: "number =  [ %x31-39 *DIGIT ] DIGIT"
fn is_number(text: &str) -> bool {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits && (text == "0" || !text.starts_with('0')) && text.parse::<u32>().is_ok()
}

impl Ord for HistoryIndex<'_> {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.numbers().cmp(other.numbers())
    }
}

impl PartialOrd for HistoryIndex<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for HistoryIndex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
