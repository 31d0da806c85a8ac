//! The one pass over a URI.

use super::{UriError, UriErrorKind};
use crate::HeaderErrorKind;
use crate::host;
use crate::scan::{
    self, Cursor, Fault, HOST, OPAQUE, PASSWORD_BUILT, Span, TOKEN, URI_HEADER, URI_PARAM, USER,
};

/// Where the parts of a URI are in its text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UriParts {
    pub(super) scheme: SchemeKind,
    /// Where the scheme's colon is.
    pub(super) colon: u16,
    pub(super) port: Option<u16>,
    pub(super) user: Option<Span>,
    pub(super) password: Option<Span>,
    pub(super) host: Span,
    /// From the first `;` on.
    pub(super) params: Span,
    /// From the `?` on.
    pub(super) headers: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SchemeKind {
    Sip,
    Sips,
    Tel,
    Other,
}

impl UriParts {
    /// Of no URI: stands in for one where there is none, as in `Contact: *`.
    pub(crate) const NONE: Self = {
        const EMPTY: Span = Span { start: 0, end: 0 };
        Self {
            scheme: SchemeKind::Other,
            colon: 0,
            port: None,
            user: None,
            password: None,
            host: EMPTY,
            params: EMPTY,
            headers: EMPTY,
        }
    };

    /// A URI that takes up all of `text`.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, UriError> {
        match Self::parse_start(text)? {
            (parts, end) if end == text.len() => Ok(parts),
            (_, end) => Err(UriError::new(UriErrorKind::Character, end)),
        }
    }

    /// The URI that `text` begins with, and where it ends: at the end of `text`, at a `>`, or
    /// where something stands that is not the URI's.
    #[inline(never)]
    pub(crate) fn parse_start(text: &[u8]) -> Result<(Self, usize), UriError> {
        let mut cursor =
            Cursor::new(text).map_err(|fault| UriError::new(UriErrorKind::TooLong, fault.at))?;
        let scheme = scheme(&mut cursor)?;
        let colon = scan::short(cursor.at().saturating_sub(1));
        let sip = matches!(scheme, SchemeKind::Sip | SchemeKind::Sips);
        if sip && let Some(plain) = Self::plain_sip(scheme, colon, cursor) {
            return Ok(plain);
        }
        let parts = Self { scheme, colon, ..Self::NONE };
        if sip { parts.sip(text, cursor) } else { parts.other(text, cursor) }
    }

    /// What nearly all SIP URIs are: `[ user "@" ] hostname [ ":" port ] *( ";" parameter )` without
    /// escapes, the user made of what host names are made of. `None` if this is anything else, which
    /// [`sip`](Self::sip) reads: it would read this no other way.
    #[inline(always)]
    fn plain_sip(scheme: SchemeKind, colon: u16, mut cursor: Cursor<'_>) -> Option<(Self, usize)> {
        let mut host = cursor.take(HOST);
        let mut user = None;
        if cursor.eat(b'@') {
            if host.is_empty() {
                return None;
            }
            user = Some(host);
            host = cursor.take(HOST);
        }
        if host.is_empty() {
            return None;
        }
        let mut port = None;
        if cursor.eat(b':') {
            port = Some(host::take_port(&mut cursor).ok()?);
        }
        let start = cursor.at();
        while cursor.eat(b';') {
            if cursor.peek() == Some(b'=') || cursor.take(URI_PARAM).is_empty() {
                return None;
            }
        }
        let end = cursor.at();
        let (params, headers) = (Span::new(start, end), Span::new(end, end));
        let parts = Self { scheme, colon, port, user, password: None, host, params, headers };
        matches!(cursor.peek(), None | Some(b'>')).then_some((parts, end))
    }

    /// `[ userinfo ] hostport uri-parameters [ headers ]`
    #[inline(never)]
    fn sip(mut self, text: &[u8], mut cursor: Cursor<'_>) -> Result<(Self, usize), UriError> {
        self.userinfo(text, &mut cursor)?;
        self.host = host::take(&mut cursor).map_err(from_fault)?;
        self.after_host(text, &mut cursor)?;
        Ok((self, cursor.at()))
    }

    /// A URI that is not SIP.
    #[inline(never)]
    fn other(mut self, text: &[u8], mut cursor: Cursor<'_>) -> Result<(Self, usize), UriError> {
        let opaque = cursor.take(OPAQUE);
        if opaque.is_empty() {
            return Err(error(&cursor, UriErrorKind::Character));
        }
        if self.scheme == SchemeKind::Tel
            && let Some(at) = memchr::memchr(b';', opaque.of(text))
        {
            self.params = Span::new(usize::from(opaque.start).saturating_add(at), cursor.at());
        }
        Ok((self, cursor.at()))
    }

    /// `[ ":" port ] uri-parameters [ headers ]`
    fn after_host(&mut self, text: &[u8], cursor: &mut Cursor<'_>) -> Result<(), UriError> {
        if cursor.eat(b':') {
            self.port = Some(host::take_port(cursor).map_err(from_fault)?);
        }
        let start = cursor.at();
        while cursor.eat(b';') {
            let item = self.item(text, cursor, URI_PARAM, UriErrorKind::Parameter)?;
            if item.of(text).first() == Some(&b'=') {
                return Err(UriError::new(UriErrorKind::Parameter, item.start.into()));
            }
        }
        self.params = Span::new(start, cursor.at());
        let start = cursor.at();
        if cursor.eat(b'?') {
            loop {
                let item = self.item(text, cursor, URI_HEADER, UriErrorKind::Header)?;
                match memchr::memchr(b'=', item.of(text)) {
                    None | Some(0) => {
                        return Err(UriError::new(UriErrorKind::Header, item.start.into()));
                    }
                    Some(_) => {}
                }
                if !cursor.eat(b'&') {
                    break;
                }
            }
        }
        self.headers = Span::new(start, cursor.at());
        Ok(())
    }

    /// `user [ ":" password ] "@"`, if there is an `@`; else the cursor stays where it is.
    ///
    /// A user may hold all that follows a host (`;`, `?`, `:` and so on), so the bytes tell the two
    /// apart only at the `@`.
    fn userinfo(&mut self, text: &[u8], cursor: &mut Cursor<'_>) -> Result<(), UriError> {
        let mut ahead = *cursor;
        let user = ahead.take(USER);
        let mut password = None;
        if ahead.eat(b':') {
            let start = ahead.at();
            // A colon in a password should be escaped; where it is not, the first one counts.
            while !ahead.take(PASSWORD_BUILT).is_empty()
                || [b'%', b':', b'#'].into_iter().any(|byte| ahead.eat(byte))
            {}
            password = Some(Span::new(start, ahead.at()));
        }
        if !ahead.eat(b'@') {
            return Ok(());
        }
        // RFC 3261 §19.1.1: "If the @ sign is present in a SIP or SIPS URI, the user field MUST NOT
        // be empty."
        if user.is_empty() {
            return Err(error(cursor, UriErrorKind::User));
        }
        check_escapes(text, user)?;
        if let Some(password) = password {
            check_escapes(text, password)?;
        }
        self.user = Some(user);
        self.password = password;
        *cursor = ahead;
        Ok(())
    }

    /// One parameter or header, name and value together.
    #[inline]
    fn item(
        &self,
        text: &[u8],
        cursor: &mut Cursor<'_>,
        class: u16,
        kind: UriErrorKind,
    ) -> Result<Span, UriError> {
        let mut span = cursor.take(class);
        if matches!(cursor.peek(), Some(b'%' | b'@')) {
            span.end = self.odd_item(text, span, cursor, class)?;
        }
        if span.is_empty() { Err(error(cursor, kind)) } else { Ok(span) }
    }

    /// The end of a parameter or header with escapes or an `@`.
    fn odd_item(
        &self,
        text: &[u8],
        begun: Span,
        cursor: &mut Cursor<'_>,
        class: u16,
    ) -> Result<u16, UriError> {
        // An `@` should be escaped; only where another has ended the user part can it be no other.
        while cursor.eat(b'%') || (self.user.is_some() && cursor.eat(b'@')) {
            cursor.take(class);
        }
        let span = Span { end: scan::short(cursor.at()), ..begun };
        check_escapes(text, span)?;
        Ok(span.end)
    }
}

/// Takes the scheme and its colon.
#[inline(always)]
fn scheme(cursor: &mut Cursor<'_>) -> Result<SchemeKind, UriError> {
    let (kind, len) = match cursor.rest() {
        [b's', b'i', b'p', b':', ..] => (SchemeKind::Sip, 4),
        [b's' | b'S', b'i' | b'I', b'p' | b'P', b':', ..] => (SchemeKind::Sip, 4),
        [b's' | b'S', b'i' | b'I', b'p' | b'P', b's' | b'S', b':', ..] => (SchemeKind::Sips, 5),
        [b't' | b'T', b'e' | b'E', b'l' | b'L', b':', ..] => (SchemeKind::Tel, 4),
        [first, ..] if first.is_ascii_alphabetic() => {
            let name = cursor.take(TOKEN);
            if !cursor.eat(b':') {
                return Err(UriError::new(UriErrorKind::Scheme, name.end.into()));
            }
            return Ok(SchemeKind::Other);
        }
        _ => return Err(error(cursor, UriErrorKind::Scheme)),
    };
    cursor.skip(len);
    Ok(kind)
}

/// Each `%` must begin an escape.
pub(super) fn check_escapes(text: &[u8], span: Span) -> Result<(), UriError> {
    let part = span.of(text);
    for at in memchr::memchr_iter(b'%', part) {
        match part.get(at..) {
            Some([_, high, low, ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {}
            _ => {
                let offset = usize::from(span.start).saturating_add(at);
                return Err(UriError::new(UriErrorKind::Escape, offset));
            }
        }
    }
    Ok(())
}

fn error(cursor: &Cursor<'_>, kind: UriErrorKind) -> UriError {
    UriError::new(kind, cursor.at())
}

/// The host's primitives are shared with Via and speak of headers.
fn from_fault(fault: Fault) -> UriError {
    let kind = match fault.kind {
        HeaderErrorKind::Port => UriErrorKind::Port,
        _ => UriErrorKind::Host,
    };
    UriError::new(kind, fault.at)
}
