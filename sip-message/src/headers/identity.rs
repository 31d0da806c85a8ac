use alloc::borrow::Cow;
use alloc::vec::Vec;

use bytes::BytesMut;

use super::first_of;
use crate::params::{self, Param, Params};
use crate::scan::{self, Cursor, Fault, Span};
use crate::uri::UriParts;
use crate::{Header, HeaderError, HeaderErrorKind, HeaderName, Uri};

/// One Identity value: a signature over who calls whom, and where the certificate is
/// (RFC 8224 §4).
///
/// ```
/// use sip_message::{Header, Identity};
/// let identity = Identity::parse(b"..rq3pjT1h;info=<https://biloxi.example.org/biloxi.cert>;ppt=shaken")?;
/// assert!(identity.is_compact());
/// assert_eq!(identity.info().as_str(), "https://biloxi.example.org/biloxi.cert");
/// assert_eq!((identity.alg(), identity.ppt()), ("ES256".into(), Some("shaken".into())));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
#[derive(Clone)]
pub struct Identity<'a> {
    text: Cow<'a, [u8]>,
    parts: Parts,
}

/// Where the parts are in the text.
#[derive(Clone, Copy)]
struct Parts {
    digest: Span,
    /// The parameters before `info`; mostly there are none.
    before: Span,
    uri: Span,
    uri_parts: UriParts,
    /// The parameters after `info`.
    after: Span,
}

impl Identity<'_> {
    /// `digest;info=<info>`: a PASSporT in full or compact form, and where its certificate is.
    ///
    /// # Errors
    /// The digest must be Base64 with dots.
    pub fn new(digest: &str, info: &Uri<'_>) -> Result<Identity<'static>, HeaderError> {
        if let Some(at) = digest.bytes().position(|byte| !is_digest(byte)) {
            return Err(HeaderError::new(HeaderName::Identity, HeaderErrorKind::Base64, at));
        }
        Self::from_vec([digest.as_bytes(), b";info=<", info.as_bytes(), b">"].concat())
    }

    /// With this parameter in place of the first of its name, or at the end; quoted if it is neither
    /// a token nor a host.
    ///
    /// # Errors
    /// The name must be a token and not `info`, the value without CR and LF.
    pub fn with_param(
        &self,
        name: &str,
        value: Option<&str>,
    ) -> Result<Identity<'static>, HeaderError> {
        let before = Params::new(self.parts.before.of(&self.text)).any(|param| param.is(name));
        let span = if before { self.parts.before } else { self.parts.after };
        let text = params::with_param(&self.text, span, name, value)
            .map_err(|fault| HeaderError::from_fault(HeaderName::Identity, fault))?;
        Self::from_vec(text)
    }

    fn from_vec(text: Vec<u8>) -> Result<Identity<'static>, HeaderError> {
        let parts = Identity::parse(&text)?.parts;
        Ok(Identity { text: Cow::Owned(text), parts })
    }

    /// The PASSporT: its header, its payload and its signature, parted by dots.
    pub fn digest(&self) -> &str {
        self.parts.digest.str(&self.text)
    }

    /// Whether only the signature is there, header and payload to be made from the request.
    pub fn is_compact(&self) -> bool {
        self.digest().starts_with("..")
    }

    /// `info`: where the certificate is that the signature is made with.
    pub fn info(&self) -> Uri<'_> {
        Uri::from_parts(self.parts.uri.of(&self.text), self.parts.uri_parts)
    }

    /// `alg`: the algorithm of the signature, `ES256` if none is said.
    // RFC 8224 §4.1: "if the "alg" parameter is absent from the Identity header, the default value
    // is "ES256""
    pub fn alg(&self) -> Cow<'_, str> {
        self.param("alg").and_then(|alg| alg.value()).unwrap_or(Cow::Borrowed("ES256"))
    }

    /// `ppt`: the extension of PASSporT that is used, if one is.
    pub fn ppt(&self) -> Option<Cow<'_, str>> {
        self.param("ppt")?.value()
    }

    /// The parameters but `info`, in order.
    pub fn params(&self) -> impl Iterator<Item = Param<'_>> {
        let params = |span: Span| Params::new(span.of(&self.text));
        params(self.parts.before).chain(params(self.parts.after))
    }

    /// The first parameter of that name, compared without regard to case.
    pub fn param(&self, name: &str) -> Option<Param<'_>> {
        self.params().find(|param| param.is(name))
    }

    /// As it is written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// The same with a text of its own.
    pub fn into_owned(self) -> Identity<'static> {
        Identity { text: Cow::Owned(self.text.into_owned()), parts: self.parts }
    }

    /// A copy with a text of its own.
    pub fn to_static(&self) -> Identity<'static> {
        self.clone().into_owned()
    }
}

/// Base64 in either alphabet, and the dots between its parts: the grammar has that of `+` and `/`,
/// the example of RFC 8224 §4.1.1 that of `-` and `_`, which PASSporTs are written in.
// RFC 8224 §4: "signed-identity-digest = 1*(base64-char / ".")"
fn is_digest(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+' | b'-' | b'_' | b'.')
}

impl Parts {
    fn read(text: &[u8], cursor: &mut Cursor<'_>) -> Result<Self, Fault> {
        let start = cursor.at();
        let len = cursor.rest().iter().take_while(|&&byte| is_digest(byte)).count();
        if len == 0 {
            return Err(cursor.fault(HeaderErrorKind::Base64));
        }
        cursor.skip(len);
        let digest = Span::new(start, cursor.at());
        let mut before = Span::new(cursor.at(), cursor.at());
        let (uri, uri_parts) = loop {
            let Some(param) = cursor.param()? else {
                // RFC 8224 §4: "Identity = "Identity" HCOLON signed-identity-digest SEMI
                // ident-info *( SEMI ident-info-params )"
                return Err(Fault { kind: HeaderErrorKind::Parameter, at: before.end.into() });
            };
            if scan::same(param.name.of(text), b"info") {
                break Self::info(text, cursor)?;
            }
            before.end = scan::short(param.end);
        };
        let after = cursor.params(|param| match scan::same(param.name.of(text), b"info") {
            true => {
                let at = param.name.start.into();
                Err(Fault { kind: HeaderErrorKind::DuplicateParameter, at })
            }
            false => Ok(()),
        })?;
        Ok(Self { digest, before, uri, uri_parts, after })
    }

    /// The URI in its brackets, after `info=`.
    fn info(text: &[u8], cursor: &mut Cursor<'_>) -> Result<(Span, UriParts), Fault> {
        let open = cursor.fault(HeaderErrorKind::AngleBrackets);
        if !cursor.eat(b'<') {
            return Err(open);
        }
        let start = cursor.at();
        let len = memchr::memchr(b'>', cursor.rest()).ok_or(open)?;
        cursor.skip(len);
        let uri = Span::new(start, cursor.at());
        cursor.skip(1);
        let uri_parts = UriParts::parse(uri.of(text)).map_err(|error| Fault {
            kind: HeaderErrorKind::Uri(error.kind()),
            at: start.saturating_add(error.offset()),
        })?;
        Ok((uri, uri_parts))
    }
}

crate::header::text_traits!(Identity);

impl<'a> Header<'a> for Identity<'a> {
    const NAME: HeaderName<'static> = HeaderName::Identity;
    const LIST: bool = true;

    fn parse_first(field: &'a [u8]) -> Result<(Self, Option<usize>), HeaderError> {
        first_of(Self::NAME, true, field, |text, cursor| {
            let parts = Parts::read(text, cursor)?;
            let text = text.get(..parts.after.end.into()).unwrap_or_default();
            Ok(Self { text: Cow::Borrowed(text), parts })
        })
    }

    fn write(&self, out: &mut BytesMut) {
        out.extend_from_slice(&self.text);
    }
}
