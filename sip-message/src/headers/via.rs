use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::net::IpAddr;

use bytes::BytesMut;

use crate::params::{self, Param, Params};
use crate::scan::{self, Cursor, Fault, Span, TOKEN};
use crate::{Header, HeaderError, HeaderErrorKind, HeaderName, Host, Transport, host};

/// One Via value: an element that the request passed and that the response must pass
/// (RFC 3261 §20.42).
///
/// ```
/// use sip_message::{Header, Via};
/// let via = Via::parse(b"SIP/2.0/UDP pc33.example.com:5066;branch=z9hG4bK776;rport")?;
/// assert_eq!((via.port(), via.branch(), via.rport()), (Some(5066), Some("z9hG4bK776"), Some(None)));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
#[derive(Clone)]
pub struct Via<'a> {
    text: Cow<'a, [u8]>,
    parts: Parts,
}

#[derive(Clone, Copy, Default)]
struct Parts {
    is_sip: bool,
    transport: Span,
    host: Span,
    /// Host, colon and port, as they stand.
    sent_by: Span,
    port: Option<u16>,
    rport: Option<Option<u16>>,
    branch: Option<Span>,
    received: Option<Span>,
    /// From the first `;` on.
    params: Span,
}

impl Via<'_> {
    /// `SIP/2.0/transport sent-by;branch=branch`.
    ///
    /// # Errors
    /// `sent_by` must be a host with or without a port, IPv6 in brackets; `branch` a token.
    pub fn new(
        transport: Transport,
        sent_by: &str,
        branch: &str,
    ) -> Result<Via<'static>, HeaderError> {
        Self::new_with(transport, sent_by, branch, "")
    }

    /// As [`new`](Self::new), with parameters after the branch, as they are written: `;rport;keep`. It costs less
    /// than to add them one by one.
    ///
    /// # Errors
    /// As for `new`; and `params` must be parameters, without another branch.
    pub fn new_with(
        transport: Transport,
        sent_by: &str,
        branch: &str,
        params: &str,
    ) -> Result<Via<'static>, HeaderError> {
        let mut text = Vec::with_capacity(
            sent_by
                .len()
                .saturating_add(branch.len())
                .saturating_add(params.len())
                .saturating_add("SIP/2.0/SCTP ;branch=".len()),
        );
        text.extend_from_slice(b"SIP/2.0/");
        text.extend_from_slice(transport.as_str().as_bytes());
        text.push(b' ');
        let start = text.len();
        text.extend_from_slice(sent_by.as_bytes());
        if !scan::all(branch.as_bytes(), TOKEN) {
            return Err(HeaderError::new(HeaderName::Via, HeaderErrorKind::Token, text.len()));
        }
        let end = text.len();
        text.extend_from_slice(b";branch=");
        text.extend_from_slice(branch.as_bytes());
        text.extend_from_slice(params.as_bytes());
        let via = Self::from_vec(text)?;
        // Nothing of what was given may have been read as something else.
        if via.parts.sent_by == Span::new(start, end) && via.branch() == Some(branch) {
            Ok(via)
        } else {
            Err(HeaderError::new(HeaderName::Via, HeaderErrorKind::Host, start))
        }
    }

    /// With an empty `rport` parameter (RFC 3581 §3): "send the response to the port that the
    /// request came from".
    pub fn with_rport(&self) -> Via<'static> {
        // A parameter without a value is always fit to be written, but the text may be full.
        self.with_param("rport", None).unwrap_or_else(|_| self.clone().into_owned())
    }

    /// With this parameter in place of the first of its name, or at the end. The value is quoted if
    /// it is neither a token nor a host.
    ///
    /// # Errors
    /// The name must be a token, the value without CR and LF and fit for the name.
    pub fn with_param(&self, name: &str, value: Option<&str>) -> Result<Via<'static>, HeaderError> {
        let text = params::with_param(&self.text, self.parts.params, name, value)
            .map_err(|fault| HeaderError::from_fault(HeaderName::Via, fault))?;
        Self::from_vec(text)
    }

    /// With this parameter, in quotes whatever the value is.
    pub(super) fn with_quoted_param(
        &self,
        name: &str,
        value: &str,
    ) -> Result<Via<'static>, HeaderError> {
        let text = params::with_quoted_param(&self.text, self.parts.params, name, value)
            .map_err(|fault| HeaderError::from_fault(HeaderName::Via, fault))?;
        Self::from_vec(text)
    }

    /// With these parameters, as they are written, in place of all that are unwanted.
    pub(super) fn with_instead(
        &self,
        unwanted: impl Fn(&Param<'_>) -> bool,
        params: &str,
    ) -> Result<Via<'static>, HeaderError> {
        let mut text = self.text.get(..self.parts.params.start.into()).unwrap_or_default().to_vec();
        for param in self.params().filter(|param| !unwanted(param)) {
            text.push(b';');
            text.extend_from_slice(param.name().as_bytes());
            if let Some(value) = param.raw_value() {
                text.push(b'=');
                text.extend_from_slice(value);
            }
        }
        text.extend_from_slice(params.as_bytes());
        Self::from_vec(text)
    }

    fn from_vec(text: Vec<u8>) -> Result<Via<'static>, HeaderError> {
        let parts = Via::parse(&text)?.parts;
        Ok(Via { text: Cow::Owned(text), parts })
    }

    /// Where the branch is in the first value of a field, if there is one; and whether the field
    /// holds just this value.
    pub(crate) fn branch_of(field: &[u8]) -> Result<(Option<(usize, usize)>, bool), Fault> {
        let (branch, next) = scan::first_value(field, |text, cursor| {
            let lead = field.len().saturating_sub(text.len());
            Ok(Parts::parse(text, cursor)?.branch.map(|branch| branch.place(lead)))
        })?;
        Ok((branch, next.is_none()))
    }

    /// Whether the protocol is `SIP/2.0`; the grammar allows others, for gateways.
    pub fn is_sip(&self) -> bool {
        self.parts.is_sip
    }

    /// The transport, if it is one that is known here.
    pub fn transport(&self) -> Option<Transport> {
        Transport::from_bytes(self.parts.transport.of(&self.text))
    }

    /// The transport as it is written.
    pub fn transport_str(&self) -> &str {
        self.parts.transport.str(&self.text)
    }

    /// Host and port as they are written.
    pub fn sent_by(&self) -> &str {
        self.parts.sent_by.str(&self.text)
    }

    /// The host of sent-by.
    pub fn host(&self) -> Host<'_> {
        // Checked when it was parsed.
        Host::from_bytes(self.parts.host.of(&self.text)).unwrap_or(Host::Name(""))
    }

    /// The host of sent-by as it is written, IPv6 addresses in their brackets.
    pub fn host_str(&self) -> &str {
        self.parts.host.str(&self.text)
    }

    /// The port of sent-by, if one is written.
    pub fn port(&self) -> Option<u16> {
        self.parts.port
    }

    /// The branch: the transaction's name.
    pub fn branch(&self) -> Option<&str> {
        self.parts.branch.map(|span| span.str(&self.text))
    }

    /// The `received` parameter; `None` also if it is no address. IPv6 with or without brackets.
    // RFC 5118 §4.5: "be liberal in accepting a "received" parameter with or without the
    // delimiting "[" and "]" tokens"
    pub fn received(&self) -> Option<IpAddr> {
        host::ip(self.parts.received?.of(&self.text))
    }

    /// The `rport` parameter (RFC 3581): `Some(None)` asks for it, `Some(Some(port))` answers.
    pub fn rport(&self) -> Option<Option<u16>> {
        self.parts.rport
    }

    /// The `maddr` parameter, if it is a host.
    pub fn maddr(&self) -> Option<Host<'_>> {
        Host::from_bytes(self.param("maddr")?.raw_value()?)
    }

    /// The `ttl` parameter, if it is a number up to 255.
    pub fn ttl(&self) -> Option<u8> {
        self.param("ttl")?.value()?.parse().ok()
    }

    /// The parameters in order.
    pub fn params(&self) -> Params<'_> {
        Params::new(self.parts.params.of(&self.text))
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
    pub fn into_owned(self) -> Via<'static> {
        Via { text: Cow::Owned(self.text.into_owned()), parts: self.parts }
    }

    /// A copy with a text of its own.
    pub fn to_static(&self) -> Via<'static> {
        self.clone().into_owned()
    }
}

impl Parts {
    #[inline(never)]
    fn parse(text: &[u8], cursor: &mut Cursor<'_>) -> Result<Self, Fault> {
        let mut parts = Self::default();
        parts.sent_protocol(text, cursor)?;
        parts.host = host::take(cursor)?;
        parts.sent_by = parts.host;
        let after = *cursor;
        cursor.skip_lws();
        if cursor.eat(b':') {
            cursor.skip_lws();
            parts.port = Some(host::take_port(cursor)?);
            parts.sent_by.end = scan::short(cursor.at());
        } else {
            *cursor = after;
        }
        parts.params = cursor.params(|param| {
            let name = param.name.of(text);
            let at = param.name.start.into();
            let bad = Fault { kind: HeaderErrorKind::Parameter, at };
            // RFC 3261 §7.3.1: "any given parameter-name MUST NOT appear more than once"
            let twice = Fault { kind: HeaderErrorKind::DuplicateParameter, at };
            match name.len() {
                6 if scan::same(name, b"branch") => {
                    if parts.branch.is_some() {
                        return Err(twice);
                    }
                    parts.branch = Some(param.unquoted(text).ok_or(bad)?);
                }
                8 if scan::same(name, b"received") => match param.value {
                    _ if parts.received.is_some() => return Err(twice),
                    Some(value) => parts.received = Some(value),
                    None => return Err(bad),
                },
                5 if scan::same(name, b"rport") => {
                    if parts.rport.is_some() {
                        return Err(twice);
                    }
                    let value = param.value.map(|value| value.of(text)).unwrap_or_default();
                    // `rport=` is met in the wild and means what `rport` means.
                    parts.rport = Some(if value.is_empty() {
                        None
                    } else {
                        let mut digits = Cursor::new(value)?;
                        match host::take_port(&mut digits) {
                            Ok(port) if digits.is_end() => Some(port),
                            _ => return Err(bad),
                        }
                    });
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(parts)
    }

    /// `SIP / 2.0 / transport LWS`
    fn sent_protocol(&mut self, field: &[u8], cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        const KIND: HeaderErrorKind = HeaderErrorKind::Protocol;
        self.is_sip = true;
        // As nearly everybody writes it.
        if cursor.rest().starts_with(b"SIP/2.0/") {
            cursor.skip(8);
        } else {
            for ours in [&b"SIP"[..], b"2.0"] {
                let found = cursor.some(TOKEN, KIND)?;
                self.is_sip &= found.of(field).eq_ignore_ascii_case(ours);
                cursor.skip_lws();
                if !cursor.eat(b'/') {
                    return Err(cursor.fault(KIND));
                }
                cursor.skip_lws();
            }
        }
        cursor.skip_lws();
        self.transport = cursor.some(TOKEN, KIND)?;
        let end = cursor.at();
        cursor.skip_lws();
        if cursor.at() == end { Err(cursor.fault(KIND)) } else { Ok(()) }
    }
}

impl<'a> Header<'a> for Via<'a> {
    const NAME: HeaderName<'static> = HeaderName::Via;
    const LIST: bool = true;

    #[inline(always)]
    fn parse_first(field: &'a [u8]) -> Result<(Self, Option<usize>), HeaderError> {
        scan::first_value(field, |text, cursor| {
            let parts = Parts::parse(text, cursor)?;
            let text = text.get(..parts.params.end.into()).unwrap_or_default();
            Ok(Self { text: Cow::Borrowed(text), parts })
        })
        .map_err(|fault| HeaderError::from_fault(Self::NAME, fault))
    }

    fn write(&self, out: &mut BytesMut) {
        out.extend_from_slice(&self.text);
    }
}

crate::header::text_traits!(Via);
