//! Building URIs: each step writes the text anew and reads it back, so that what comes out is
//! well-formed by the same rules as what comes in.

use alloc::vec::Vec;
use core::fmt::Write as _;

use super::{Uri, UriError, UriErrorKind, escape};
use crate::Host;
use crate::scan::{PASSWORD_BUILT, URI_HEADER_BUILT, URI_PARAM_BUILT, USER_BUILT};

impl Uri<'_> {
    /// `sip:host` or `sip:host:port`. The host is a name or an address; an IPv6 address gets its
    /// brackets if it has none.
    ///
    /// ```
    /// use sip_message::Uri;
    /// let uri = Uri::sip("2001:db8::1", 5070)?.with_user("bob;1 2")?.with_param("lr", None)?;
    /// assert_eq!(uri.as_str(), "sip:bob;1%202@[2001:db8::1]:5070;lr");
    /// # Ok::<(), sip_message::UriError>(())
    /// ```
    ///
    /// # Errors
    /// [`UriErrorKind::Host`] if `host` is none.
    pub fn sip(host: &str, port: impl Into<Option<u16>>) -> Result<Uri<'static>, UriError> {
        hosted("sip:", host, port.into())
    }

    /// `sips:host` or `sips:host:port`; see [`sip`](Self::sip).
    ///
    /// # Errors
    /// [`UriErrorKind::Host`] if `host` is none.
    pub fn sips(host: &str, port: impl Into<Option<u16>>) -> Result<Uri<'static>, UriError> {
        hosted("sips:", host, port.into())
    }

    /// With this user part, escaped where it needs it, in place of the one it had; an empty one
    /// takes user and password away.
    ///
    /// # Errors
    /// For URIs other than `sip` and `sips`, and what grows too long.
    pub fn with_user(&self, user: &str) -> Result<Uri<'static>, UriError> {
        let mut raw = Vec::new();
        // RFC 3261 §19.1.2: "Excluded US-ASCII characters (RFC 2396 [5]), such as space and
        // control characters and characters used as URI delimiters, also MUST be escaped."
        escape::encode(&mut raw, user, USER_BUILT);
        self.with_raw_user(raw)
    }

    /// With this user part, which has its escapes.
    pub(super) fn with_raw_user(&self, user: Vec<u8>) -> Result<Uri<'static>, UriError> {
        let mut draft = Draft::of(self)?;
        if user.is_empty() {
            draft.password = None;
        }
        draft.user = user;
        draft.build()
    }

    /// With this password, escaped where it needs it, or without one.
    ///
    /// # Errors
    /// [`UriErrorKind::User`] if there is no user; for URIs other than `sip` and `sips`, and what
    /// grows too long.
    pub fn with_password(&self, password: Option<&str>) -> Result<Uri<'static>, UriError> {
        let mut draft = Draft::of(self)?;
        draft.password = password.map(|password| {
            let mut out = Vec::new();
            escape::encode(&mut out, password, PASSWORD_BUILT);
            out
        });
        draft.build()
    }

    /// With this host in place of the one it had; see [`sip`](Self::sip).
    ///
    /// # Errors
    /// [`UriErrorKind::Host`] if `host` is none; for URIs other than `sip` and `sips`.
    pub fn with_host(&self, host: &str) -> Result<Uri<'static>, UriError> {
        let mut draft = Draft::of(self)?;
        draft.host.clear();
        write_host(&mut draft.host, host)?;
        draft.build()
    }

    /// With this port, or without one.
    ///
    /// # Errors
    /// For URIs other than `sip` and `sips`.
    pub fn with_port(&self, port: impl Into<Option<u16>>) -> Result<Uri<'static>, UriError> {
        let mut draft = Draft::of(self)?;
        draft.port = port.into();
        draft.build()
    }

    /// With this parameter, escaped where it needs it, in place of the first of its name or at the
    /// end.
    ///
    /// # Errors
    /// [`UriErrorKind::Parameter`] if the name is empty; for URIs other than `sip` and `sips`, and
    /// what grows too long.
    pub fn with_param(&self, name: &str, value: Option<&str>) -> Result<Uri<'static>, UriError> {
        let mut draft = Draft::of(self)?;
        draft.params.clear();
        let mut added = Vec::new();
        write_item(&mut added, b';', name, value, URI_PARAM_BUILT);
        let mut placed = false;
        for param in self.params() {
            if !param.is(name) {
                raw_item(&mut draft.params, b';', param);
            } else if !placed {
                draft.params.extend_from_slice(&added);
                placed = true;
            }
        }
        if !placed {
            draft.params.extend_from_slice(&added);
        }
        draft.build()
    }

    /// Without the parameters of that name.
    ///
    /// # Errors
    /// For URIs other than `sip` and `sips`.
    pub fn without_param(&self, name: &str) -> Result<Uri<'static>, UriError> {
        let mut draft = Draft::of(self)?;
        draft.params.clear();
        self.params().filter(|param| !param.is(name)).for_each(|param| {
            raw_item(&mut draft.params, b';', param);
        });
        draft.build()
    }

    /// Without parameters.
    ///
    /// # Errors
    /// For URIs other than `sip` and `sips`.
    pub fn without_params(&self) -> Result<Uri<'static>, UriError> {
        let mut draft = Draft::of(self)?;
        draft.params.clear();
        draft.build()
    }

    /// With one more header, escaped where it needs it.
    ///
    /// # Errors
    /// [`UriErrorKind::Header`] if the name is empty; for URIs other than `sip` and `sips`, and
    /// what grows too long.
    pub fn with_header(&self, name: &str, value: &str) -> Result<Uri<'static>, UriError> {
        let mut draft = Draft::of(self)?;
        let separator = if draft.headers.is_empty() { b'?' } else { b'&' };
        write_item(&mut draft.headers, separator, name, Some(value), URI_HEADER_BUILT);
        draft.build()
    }

    /// Without headers.
    ///
    /// # Errors
    /// For URIs other than `sip` and `sips`.
    pub fn without_headers(&self) -> Result<Uri<'static>, UriError> {
        let mut draft = Draft::of(self)?;
        draft.headers.clear();
        draft.build()
    }

    /// A copy without what must not stand in a Request-URI: the `method` parameter and header fields
    /// (RFC 3261 §19.1.1, table 1).
    pub fn to_request_uri(&self) -> Uri<'static> {
        let mut fit = self.to_static();
        if fit.headers().next().is_some() {
            fit = fit.without_headers().unwrap_or(fit);
        }
        if fit.param("method").is_some() {
            fit = fit.without_param("method").unwrap_or(fit);
        }
        fit
    }
}

/// The parts of a SIP URI, each as it is written.
struct Draft {
    scheme: &'static str,
    user: Vec<u8>,
    password: Option<Vec<u8>>,
    host: Vec<u8>,
    port: Option<u16>,
    params: Vec<u8>,
    headers: Vec<u8>,
}

impl Draft {
    fn of(uri: &Uri<'_>) -> Result<Self, UriError> {
        if !uri.is_sip() {
            return Err(UriError::new(UriErrorKind::NotSip, 0));
        }
        let part = |span: crate::scan::Span| span.of(&uri.text).to_vec();
        Ok(Self {
            scheme: if uri.is_secure() { "sips:" } else { "sip:" },
            user: uri.parts.user.map(part).unwrap_or_default(),
            password: uri.parts.password.map(part),
            host: part(uri.parts.host),
            port: uri.parts.port,
            params: part(uri.parts.params),
            headers: part(uri.parts.headers),
        })
    }

    fn build(self) -> Result<Uri<'static>, UriError> {
        let mut out = Vec::new();
        out.extend_from_slice(self.scheme.as_bytes());
        if !self.user.is_empty() || self.password.is_some() {
            out.extend_from_slice(&self.user);
            if let Some(password) = &self.password {
                out.push(b':');
                out.extend_from_slice(password);
            }
            out.push(b'@');
        }
        out.extend_from_slice(&self.host);
        write_port(&mut out, self.port);
        // An `@` that was read in them would begin the host if the user part is gone.
        for &byte in self.params.iter().chain(&self.headers) {
            match byte {
                b'@' => out.extend_from_slice(b"%40"),
                _ => out.push(byte),
            }
        }
        Uri::from_vec(out)
    }
}

fn hosted(scheme: &str, host: &str, port: Option<u16>) -> Result<Uri<'static>, UriError> {
    let mut out = scheme.as_bytes().to_vec();
    write_host(&mut out, host)?;
    write_port(&mut out, port);
    Uri::from_vec(out)
}

/// A host as it is given, but an IPv6 address in its brackets.
pub(super) fn write_host(out: &mut Vec<u8>, host: &str) -> Result<(), UriError> {
    match Host::parse(host).ok_or(UriError::new(UriErrorKind::Host, out.len()))? {
        Host::V6(_) if !host.starts_with('[') => {
            out.push(b'[');
            out.extend_from_slice(host.as_bytes());
            out.push(b']');
        }
        _ => out.extend_from_slice(host.as_bytes()),
    }
    Ok(())
}

fn write_port(out: &mut Vec<u8>, port: Option<u16>) {
    if let Some(port) = port {
        let mut text = alloc::string::String::new();
        // Writing to a String cannot fail.
        let _ = write!(text, ":{port}");
        out.extend_from_slice(text.as_bytes());
    }
}

fn write_item(out: &mut Vec<u8>, separator: u8, name: &str, value: Option<&str>, class: u16) {
    out.push(separator);
    escape::encode(out, name, class);
    if let Some(value) = value {
        out.push(b'=');
        escape::encode(out, value, class);
    }
}

pub(super) fn raw_item(out: &mut Vec<u8>, separator: u8, param: super::UriParam<'_>) {
    out.push(separator);
    out.extend_from_slice(param.raw_name);
    if let Some(value) = param.raw_value {
        out.push(b'=');
        out.extend_from_slice(value);
    }
}
