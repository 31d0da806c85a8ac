use alloc::borrow::Cow;
use core::fmt;

use bytes::BytesMut;

use super::auth::{self, Draft};
use super::single;
use crate::{AuthParam, AuthParams, Header, HeaderError, HeaderErrorKind, HeaderName};

/// Authentication-Info: a server's answer to credentials that were right: the next nonce to use, and
/// the proof that the server knows the password too (RFC 3261 §20.6, RFC 7616 §3.5).
///
/// ```
/// use sip_message::{AuthenticationInfo, Header};
/// let info = AuthenticationInfo::parse(br#"nextnonce="47364c23432d2e131a5fb210812c""#)?;
/// assert_eq!(info.nextnonce().as_deref(), Some("47364c23432d2e131a5fb210812c"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct AuthenticationInfo<'a> {
    text: Cow<'a, [u8]>,
}

impl AuthenticationInfo<'_> {
    /// What `info` says.
    ///
    /// # Errors
    /// CR and LF in a text; a `qop` that is no token; if `info` says nothing.
    pub fn new(info: &DigestInfo<'_>) -> Result<AuthenticationInfo<'static>, HeaderError> {
        let mut draft = Draft::new(HeaderName::AuthenticationInfo, "");
        if let Some(nextnonce) = info.nextnonce {
            draft.quoted("nextnonce", nextnonce)?;
        }
        if let Some(qop) = info.qop {
            draft.token("qop", qop)?;
        }
        if let Some(rspauth) = info.rspauth {
            draft.quoted("rspauth", rspauth)?;
        }
        if let Some(cnonce) = info.cnonce {
            draft.quoted("cnonce", cnonce)?;
        }
        if let Some(nc) = info.nc {
            draft.nonce_count(nc)?;
        }
        let text = draft.into_text();
        AuthenticationInfo::parse(&text)?;
        Ok(AuthenticationInfo { text: Cow::Owned(text) })
    }

    /// The parameters in order.
    pub fn params(&self) -> AuthParams<'_> {
        AuthParams::new(&self.text)
    }

    /// The first parameter of that name, compared without regard to case.
    pub fn param(&self, name: &str) -> Option<AuthParam<'_>> {
        self.params().find(|param| param.is(name))
    }

    /// `nextnonce`: the nonce to use for the next request.
    pub fn nextnonce(&self) -> Option<Cow<'_, str>> {
        self.value("nextnonce")
    }

    /// `qop`: the quality of protection of this response.
    pub fn qop(&self) -> Option<Cow<'_, str>> {
        self.value("qop")
    }

    /// `rspauth`: the server's digest.
    pub fn rspauth(&self) -> Option<Cow<'_, str>> {
        self.value("rspauth")
    }

    /// `cnonce`: the client's nonce, as the request had it.
    pub fn cnonce(&self) -> Option<Cow<'_, str>> {
        self.value("cnonce")
    }

    /// `nc`, as the request had it; `None` also if it is not 8 hexadecimal digits.
    pub fn nc(&self) -> Option<u32> {
        self.param("nc")?.nonce_count()
    }

    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.param(name).map(|param| param.value())
    }

    /// The same with a text of its own.
    pub fn into_owned(self) -> AuthenticationInfo<'static> {
        AuthenticationInfo { text: Cow::Owned(self.text.into_owned()) }
    }

    /// A copy with a text of its own.
    pub fn to_static(&self) -> AuthenticationInfo<'static> {
        self.clone().into_owned()
    }
}

/// What an [`AuthenticationInfo`] of the scheme `Digest` says; texts without quotes and escapes.
#[derive(Clone, Copy, Debug, Default)]
pub struct DigestInfo<'a> {
    /// The nonce to use for the next request.
    pub nextnonce: Option<&'a str>,
    /// The request's quality of protection.
    pub qop: Option<&'a str>,
    /// The server's digest in lower-case hexadecimal.
    pub rspauth: Option<&'a str>,
    /// The request's; goes with `qop`.
    pub cnonce: Option<&'a str>,
    /// The request's; goes with `qop`.
    pub nc: Option<u32>,
}

impl fmt::Display for AuthenticationInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::header::fmt_bytes(&self.text, f)
    }
}

impl fmt::Debug for AuthenticationInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither nonces nor digests belong in logs.
        f.write_str("AuthenticationInfo(…)")
    }
}

impl<'a> Header<'a> for AuthenticationInfo<'a> {
    const NAME: HeaderName<'static> = HeaderName::AuthenticationInfo;
    const LIST: bool = false;

    fn parse_first(field: &'a [u8]) -> Result<(Self, Option<usize>), HeaderError> {
        single(Self::NAME, field, |text, cursor| {
            if auth::next_param(cursor)?.is_none() {
                return Err(cursor.fault(HeaderErrorKind::Empty));
            }
            while auth::next_param(cursor)?.is_some() {}
            Ok(Self { text: Cow::Borrowed(text) })
        })
    }

    fn write(&self, out: &mut BytesMut) {
        out.extend_from_slice(&self.text);
    }
}
