//! Challenges and credentials (RFC 3261 §20.7, §20.27, §20.28, §20.44; RFC 7616 and RFC 8760).
//!
//! Their commas part parameters, not values: one field line is one challenge, and a message has
//! several by several lines.
// RFC 3261 §7.3.1: "Multiple header field rows with these names MAY be present in a message, but since
// their grammar does not follow the general form listed in Section 7.3, they MUST NOT be combined
// into a single header field row."

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::ops::Deref;

use bytes::BytesMut;

use super::single;
use crate::params::{unquote, write_quoted};
use crate::scan::{self, Cursor, Fault, Span, TOKEN, VALUE};
use crate::{Header, HeaderError, HeaderErrorKind, HeaderName};

/// A scheme and its parameters.
#[derive(Clone)]
struct Scheme<'a> {
    text: Cow<'a, [u8]>,
    scheme: Span,
    /// What follows the scheme.
    params: Span,
}

impl<'a> Scheme<'a> {
    fn parse(text: &'a [u8], cursor: &mut Cursor<'a>) -> Result<Self, Fault> {
        if cursor.is_end() {
            return Err(cursor.fault(HeaderErrorKind::Empty));
        }
        let scheme = cursor.some(TOKEN, HeaderErrorKind::Token)?;
        let end = cursor.at();
        cursor.skip_lws();
        if cursor.at() == end && !cursor.is_end() {
            return Err(cursor.fault(HeaderErrorKind::Token));
        }
        let start = cursor.at();
        // Other schemes may have one opaque token, as `Basic` and `Bearer` do in HTTP.
        if !scheme.of(text).eq_ignore_ascii_case(b"Digest") {
            let mut ahead = *cursor;
            ahead.take(VALUE);
            ahead.skip_lws();
            if ahead.is_end() {
                *cursor = ahead;
            }
        }
        while next_param(cursor)?.is_some() {}
        let params = Span::new(start, cursor.at());
        Ok(Self { text: Cow::Borrowed(text), scheme, params })
    }

    fn params(&self) -> AuthParams<'_> {
        AuthParams::new(self.params.of(&self.text))
    }

    fn into_owned(self) -> Scheme<'static> {
        Scheme { text: Cow::Owned(self.text.into_owned()), ..self }
    }
}

/// The next `name EQUAL ( token / quoted-string )` of a list; empty elements are passed over. `None`
/// at the end, or at something that is no list of parameters.
pub(super) fn next_param(cursor: &mut Cursor<'_>) -> Result<Option<(Span, Span)>, Fault> {
    loop {
        cursor.skip_lws();
        if !cursor.eat(b',') {
            break;
        }
    }
    if cursor.is_end() {
        return Ok(None);
    }
    let name = cursor.some(TOKEN, HeaderErrorKind::Parameter)?;
    cursor.skip_lws();
    if !cursor.eat(b'=') {
        return Err(cursor.fault(HeaderErrorKind::Parameter));
    }
    cursor.skip_lws();
    let value = match cursor.peek() {
        Some(b'"') => cursor.quoted()?,
        // The padding of a base64 token is no parameter.
        Some(b'=') => return Err(cursor.fault(HeaderErrorKind::Parameter)),
        _ => cursor.some(VALUE, HeaderErrorKind::Parameter)?,
    };
    cursor.skip_lws();
    if !matches!(cursor.peek(), None | Some(b',')) {
        return Err(cursor.fault(HeaderErrorKind::Parameter));
    }
    Ok(Some((name, value)))
}

/// The parameters of a challenge, of credentials or of an Authentication-Info, in order.
#[derive(Clone, Debug)]
pub struct AuthParams<'a> {
    text: &'a [u8],
    cursor: Option<Cursor<'a>>,
}

/// A parameter of a challenge, of credentials or of an Authentication-Info.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthParam<'a> {
    name: &'a [u8],
    value: &'a [u8],
}

impl<'a> AuthParams<'a> {
    /// Of a text that was parsed before.
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, cursor: Cursor::new(text).ok() }
    }
}

impl<'a> Iterator for AuthParams<'a> {
    type Item = AuthParam<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = next_param(self.cursor.as_mut()?).ok()??;
        Some(AuthParam { name: name.of(self.text), value: value.of(self.text) })
    }
}

impl<'a> AuthParam<'a> {
    /// The name as it is written.
    pub fn name(&self) -> &'a str {
        scan::ascii(self.name)
    }

    /// Whether this is the name, without regard to case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value without quotes and escapes. Bytes that are no UTF-8 are replaced.
    pub fn value(&self) -> Cow<'a, str> {
        unquote(self.value)
    }

    /// The value as it is written, with its quotes if it has them.
    pub fn raw_value(&self) -> &'a [u8] {
        self.value
    }

    /// The value without its quotes but with its escapes, to be sent back as it came. A digest is computed
    /// over [`value`](Self::value): RFC 7616 §3.3 has the quoting slashes removed.
    pub fn unquoted(&self) -> &'a [u8] {
        match self.value {
            [b'"', inner @ .., b'"'] => inner,
            value => value,
        }
    }

    /// The number that an `nc` is, if it is 8 hexadecimal digits.
    pub(super) fn nonce_count(&self) -> Option<u32> {
        let digits = scan::ascii(self.unquoted());
        let well_formed = digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        if well_formed { u32::from_str_radix(digits, 16).ok() } else { None }
    }
}

macro_rules! scheme_type {
    ($name:ident, $(#[$doc:meta])+) => {
        $(#[$doc])+
        #[derive(Clone)]
        pub struct $name<'a>(Scheme<'a>);

        impl $name<'_> {
            /// The scheme as it is written, such as `Digest`.
            pub fn scheme(&self) -> &str {
                self.0.scheme.str(&self.0.text)
            }

            /// Whether the scheme is `Digest`.
            pub fn is_digest(&self) -> bool {
                self.scheme().eq_ignore_ascii_case("Digest")
            }

            /// The parameters in order. Of a scheme that has one opaque token instead, none; see
            /// [`opaque_text`](Self::opaque_text).
            pub fn params(&self) -> AuthParams<'_> {
                self.0.params()
            }

            /// The first parameter of that name, compared without regard to case.
            pub fn param(&self, name: &str) -> Option<AuthParam<'_>> {
                self.params().find(|param| param.is(name))
            }

            /// All that follows the scheme, as it is written.
            pub fn opaque_text(&self) -> Cow<'_, str> {
                String::from_utf8_lossy(self.0.params.of(&self.0.text))
            }

            /// `realm`: what user and password are for.
            pub fn realm(&self) -> Option<Cow<'_, str>> {
                self.value("realm")
            }

            /// `nonce`.
            pub fn nonce(&self) -> Option<Cow<'_, str>> {
                self.value("nonce")
            }

            /// `opaque`.
            pub fn opaque(&self) -> Option<Cow<'_, str>> {
                self.value("opaque")
            }

            /// `algorithm` as it is written; where there is none, MD5 is meant.
            pub fn algorithm(&self) -> Option<Cow<'_, str>> {
                self.value("algorithm")
            }

            fn value(&self, name: &str) -> Option<Cow<'_, str>> {
                self.param(name).map(|param| param.value())
            }

            /// The same with a text of its own.
            pub fn into_owned(self) -> $name<'static> {
                $name(self.0.into_owned())
            }

            /// A copy with a text of its own.
            pub fn to_static(&self) -> $name<'static> {
                self.clone().into_owned()
            }
        }

        impl core::fmt::Display for $name<'_> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                crate::header::fmt_bytes(&self.0.text, f)
            }
        }

        impl core::fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                // Neither nonces nor responses belong in logs.
                write!(f, concat!(stringify!($name), "({} …)"), self.scheme())
            }
        }

        impl PartialEq for $name<'_> {
            fn eq(&self, other: &$name<'_>) -> bool {
                self.0.text == other.0.text
            }
        }

        impl Eq for $name<'_> {}
    };
}

scheme_type!(Challenge,
/// What a server asks for before it serves (RFC 3261 §22, RFC 7616 §3.3).
///
/// ```
/// use sip_message::{Challenge, DigestChallenge};
/// let ask = DigestChallenge { realm: "example.com", nonce: "8f2", qop: &["auth"], ..Default::default() };
/// assert_eq!(
///     Challenge::digest(&ask)?.to_string(),
///     r#"Digest realm="example.com", nonce="8f2", qop="auth""#,
/// );
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

scheme_type!(Credentials,
/// What a client shows in answer to a challenge (RFC 3261 §22, RFC 7616 §3.4).
///
/// ```
/// use sip_message::{Credentials, DigestResponse};
/// let shown = DigestResponse {
///     username: "bob", realm: "r", nonce: "n", uri: "sip:r", response: "6629", ..Default::default()
/// };
/// assert_eq!(
///     Credentials::digest(&shown)?.to_string(),
///     r#"Digest username="bob", realm="r", nonce="n", uri="sip:r", response="6629""#,
/// );
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

impl Challenge<'_> {
    /// A `Digest` challenge.
    ///
    /// # Errors
    /// CR and LF in a text; an algorithm or a `qop` that is no token.
    pub fn digest(challenge: &DigestChallenge<'_>) -> Result<Challenge<'static>, HeaderError> {
        let mut draft = Draft::new(HeaderName::WwwAuthenticate, "Digest ");
        draft.quoted("realm", challenge.realm)?;
        if let Some(domain) = challenge.domain {
            draft.quoted("domain", domain)?;
        }
        draft.quoted("nonce", challenge.nonce)?;
        if let Some(opaque) = challenge.opaque {
            draft.quoted("opaque", opaque)?;
        }
        if challenge.stale {
            draft.token("stale", "true")?;
        }
        if let Some(algorithm) = challenge.algorithm {
            draft.token("algorithm", algorithm)?;
        }
        if !challenge.qop.is_empty() {
            if challenge.qop.iter().any(|qop| !scan::all(qop.as_bytes(), TOKEN)) {
                return Err(draft.error(HeaderErrorKind::Token));
            }
            draft.quoted("qop", &challenge.qop.join(","))?;
        }
        if challenge.utf8 {
            draft.token("charset", "UTF-8")?;
        }
        if challenge.userhash {
            draft.token("userhash", "true")?;
        }
        draft.build().map(Challenge)
    }

    /// Whether `qop` offers this quality of protection, such as `auth`.
    pub fn offers_qop(&self, qop: &str) -> bool {
        self.value("qop")
            .is_some_and(|all| all.split(',').any(|q| q.trim().eq_ignore_ascii_case(qop)))
    }

    /// Whether there is a `qop` at all: without one the response is computed as RFC 2069 did.
    pub fn has_qop(&self) -> bool {
        self.param("qop").is_some()
    }

    /// `stale`: the nonce is too old, the password was right.
    pub fn stale(&self) -> bool {
        self.value("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true"))
    }

    /// `domain`: URIs parted by spaces.
    pub fn domain(&self) -> Option<Cow<'_, str>> {
        self.value("domain")
    }
}

impl Credentials<'_> {
    /// `Digest` credentials.
    ///
    /// # Errors
    /// CR and LF in a text; an algorithm or a `qop` that is no token.
    pub fn digest(response: &DigestResponse<'_>) -> Result<Credentials<'static>, HeaderError> {
        let mut draft = Draft::new(HeaderName::Authorization, "Digest ");
        draft.quoted("username", response.username)?;
        draft.quoted("realm", response.realm)?;
        draft.quoted("nonce", response.nonce)?;
        draft.quoted("uri", response.uri)?;
        draft.quoted("response", response.response)?;
        if let Some(algorithm) = response.algorithm {
            draft.token("algorithm", algorithm)?;
        }
        if let Some(cnonce) = response.cnonce {
            draft.quoted("cnonce", cnonce)?;
        }
        if let Some(opaque) = response.opaque {
            draft.quoted("opaque", opaque)?;
        }
        if let Some(qop) = response.qop {
            draft.token("qop", qop)?;
        }
        if let Some(nc) = response.nc {
            draft.nonce_count(nc)?;
        }
        draft.build().map(Credentials)
    }

    /// `username`.
    pub fn username(&self) -> Option<Cow<'_, str>> {
        self.value("username")
    }

    /// `uri`: what the digest was computed for.
    pub fn uri(&self) -> Option<Cow<'_, str>> {
        self.value("uri")
    }

    /// `response`: the digest.
    pub fn response(&self) -> Option<Cow<'_, str>> {
        self.value("response")
    }

    /// `cnonce`: the client's nonce.
    pub fn cnonce(&self) -> Option<Cow<'_, str>> {
        self.value("cnonce")
    }

    /// `qop`: the quality of protection that was chosen.
    pub fn qop(&self) -> Option<Cow<'_, str>> {
        self.value("qop")
    }

    /// `nc`: how many times the nonce was used; `None` also if it is not 8 hexadecimal digits.
    pub fn nc(&self) -> Option<u32> {
        self.param("nc")?.nonce_count()
    }
}

/// What a `Digest` challenge says; texts without quotes and escapes.
#[derive(Clone, Copy, Debug, Default)]
pub struct DigestChallenge<'a> {
    /// What user and password are for.
    pub realm: &'a str,
    /// What the digest is computed with.
    pub nonce: &'a str,
    /// What the client is to send back as it is.
    pub opaque: Option<&'a str>,
    /// `MD5`, `SHA-256` …; without one, MD5.
    pub algorithm: Option<&'a str>,
    /// The qualities of protection that are offered: `auth`, `auth-int`.
    pub qop: &'a [&'a str],
    /// The nonce was too old, the password right.
    pub stale: bool,
    /// The URIs that the same credentials are good for, parted by spaces.
    pub domain: Option<&'a str>,
    /// Username and password are hashed in UTF-8 (RFC 7616 §4).
    pub utf8: bool,
    /// The client may hide the username (RFC 7616 §3.4.4).
    pub userhash: bool,
}

/// What `Digest` credentials say; texts without quotes and escapes.
#[derive(Clone, Copy, Debug, Default)]
pub struct DigestResponse<'a> {
    /// The user.
    pub username: &'a str,
    /// The challenge's.
    pub realm: &'a str,
    /// The challenge's.
    pub nonce: &'a str,
    /// The Request-URI.
    pub uri: &'a str,
    /// The digest in lower-case hexadecimal.
    pub response: &'a str,
    /// The challenge's.
    pub algorithm: Option<&'a str>,
    /// The client's nonce; goes with `qop`.
    pub cnonce: Option<&'a str>,
    /// The challenge's.
    pub opaque: Option<&'a str>,
    /// The quality of protection that was chosen.
    pub qop: Option<&'a str>,
    /// How many times the nonce was used, this time included; goes with `qop`.
    pub nc: Option<u32>,
}

/// Parameters in the making.
pub(super) struct Draft {
    header: HeaderName<'static>,
    text: Vec<u8>,
    any: bool,
}

impl Draft {
    /// Parameters after these words.
    pub(super) fn new(header: HeaderName<'static>, start: &str) -> Self {
        Self { header, text: start.as_bytes().to_vec(), any: false }
    }

    fn name(&mut self, name: &str) {
        if self.any {
            self.text.extend_from_slice(b", ");
        }
        self.any = true;
        self.text.extend_from_slice(name.as_bytes());
        self.text.push(b'=');
    }

    pub(super) fn quoted(&mut self, name: &str, value: &str) -> Result<(), HeaderError> {
        self.name(name);
        write_quoted(&mut self.text, value).map_err(|f| HeaderError::from_fault(self.header, f))
    }

    pub(super) fn token(&mut self, name: &str, value: &str) -> Result<(), HeaderError> {
        self.name(name);
        if !scan::all(value.as_bytes(), TOKEN) {
            return Err(self.error(HeaderErrorKind::Token));
        }
        self.text.extend_from_slice(value.as_bytes());
        Ok(())
    }

    pub(super) fn nonce_count(&mut self, nc: u32) -> Result<(), HeaderError> {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = write!(text, "{nc:08x}");
        self.token("nc", &text)
    }

    fn error(&self, kind: HeaderErrorKind) -> HeaderError {
        HeaderError::new(self.header, kind, self.text.len())
    }

    pub(super) fn into_text(self) -> Vec<u8> {
        self.text
    }

    fn build(self) -> Result<Scheme<'static>, HeaderError> {
        let (Scheme { scheme, params, .. }, _) = single(self.header, &self.text, Scheme::parse)?;
        Ok(Scheme { text: Cow::Owned(self.text), scheme, params })
    }
}

macro_rules! auth_header {
    ($name:ident, $inner:ident, $(#[$doc:meta])+) => {
        $(#[$doc])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name<'a>(pub $inner<'a>);

        impl<'a> Deref for $name<'a> {
            type Target = $inner<'a>;

            fn deref(&self) -> &$inner<'a> {
                &self.0
            }
        }

        impl core::fmt::Display for $name<'_> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl<'a> Header<'a> for $name<'a> {
            const NAME: HeaderName<'static> = HeaderName::$name;
            const LIST: bool = false;

            fn parse_first(field: &'a [u8]) -> Result<(Self, Option<usize>), HeaderError> {
                let (scheme, next) = single(Self::NAME, field, Scheme::parse)?;
                Ok((Self($inner(scheme)), next))
            }

            fn write(&self, out: &mut BytesMut) {
                out.extend_from_slice(&self.0.0.text);
            }
        }
    };
}

auth_header!(WwwAuthenticate, Challenge,
/// WWW-Authenticate: a server's challenge, in a 401 (RFC 3261 §20.44). One line is one challenge.
///
/// ```
/// use sip_message::{Header, WwwAuthenticate};
/// let ask = WwwAuthenticate::parse(br#"Digest realm="atlanta.com", nonce="84a4", qop="auth,auth-int""#)?;
/// assert!(ask.offers_qop("auth") && !ask.stale());
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

auth_header!(ProxyAuthenticate, Challenge,
/// Proxy-Authenticate: a proxy's challenge, in a 407 (RFC 3261 §20.27). One line is one challenge.
///
/// ```
/// use sip_message::{Header, ProxyAuthenticate};
/// let ask = ProxyAuthenticate::parse(br#"Digest realm="atlanta.com", nonce="f84f", algorithm=MD5"#)?;
/// assert_eq!(ask.realm().as_deref(), Some("atlanta.com"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

auth_header!(Authorization, Credentials,
/// Authorization: credentials for a server (RFC 3261 §20.7). One line is one set.
///
/// ```
/// use sip_message::{Authorization, Header};
/// let shown = Authorization::parse(br#"Digest username="Alice", nc=00000001, response="7587""#)?;
/// assert_eq!((shown.username().as_deref(), shown.nc()), (Some("Alice"), Some(1)));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

auth_header!(ProxyAuthorization, Credentials,
/// Proxy-Authorization: credentials for a proxy (RFC 3261 §20.28). One line is one set.
///
/// ```
/// use sip_message::{Header, ProxyAuthorization};
/// let shown = ProxyAuthorization::parse(b"NoOneKnowsThisScheme opaque-data=here")?;
/// assert!(!shown.is_digest());
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);
