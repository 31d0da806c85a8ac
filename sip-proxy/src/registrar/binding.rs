//! What a registrar keeps.

use core::fmt;
use core::time::Duration;

use sip_message::{Contact, Header, Path, QValue, Uri};

use super::register::{Asked, Register};

/// An address-of-record in its canonical form, without scheme: `user@host`, or `host` alone. What bindings are
/// found by.
///
/// `sip:` and `sips:` name the same resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Aor(Box<str>);

impl Aor {
    /// The address-of-record that a URI names; `None` if it is none of `sip` or `sips`.
    // RFC 3261 §10.3: "The URI
    // MUST then be converted to a canonical form.  To do that, all
    // URI parameters MUST be removed (including the user-param), and
    // any escaped characters MUST be converted to their unescaped
    // form."
    // RFC 5630 §5.2: "The
    // registrar MUST consider AORs that are identical except for one having
    // the SIP scheme and the other having the SIPS scheme to be equivalent."
    #[must_use]
    pub fn of(uri: &Uri<'_>) -> Option<Self> {
        let host = uri.host_str().filter(|_| uri.is_sip())?;
        let mut text = String::with_capacity(uri.as_str().len());
        if let Some(user) = uri.user_decoded() {
            text.push_str(&user);
            text.push('@');
        }
        // RFC 3261 §19.1.4: names of hosts have no case.
        text.extend(host.chars().map(|letter| letter.to_ascii_lowercase()));
        if let Some(port) = uri.port() {
            text.push_str(&format!(":{port}"));
        }
        Some(Self(text.into()))
    }

    /// As it is kept.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Aor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One place at which an address-of-record can be reached (RFC 3261 §10), until a moment.
///
/// Moments are times since the Unix epoch: bindings outlive programs, and are shared by several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The Contact as it came.
    pub(super) contact: Box<str>,
    /// The values of Path, with commas between them; nothing if there is none.
    pub(super) path: Box<str>,
    call_id: Box<str>,
    cseq: u32,
    /// 0 if it is no flow of outbound.
    reg_id: u32,
    refreshed: Duration,
    until: Duration,
}

impl Binding {
    pub(super) fn new(
        asked: &Asked<'_>,
        register: &Register<'_>,
        now: Duration,
        until: Duration,
    ) -> Self {
        Self {
            contact: asked.contact.to_string().into(),
            path: register.path.as_str().into(),
            call_id: register.call_id.into(),
            cseq: register.cseq,
            reg_id: asked.flow(register.takes_outbound).map_or(0, |(_, reg_id)| reg_id),
            refreshed: now,
            until,
        }
    }

    /// The Contact, with its parameters as they came.
    #[must_use]
    pub fn contact(&self) -> Contact<'_> {
        // It was read before it was kept.
        Contact::parse(self.contact.as_bytes()).unwrap_or(Contact::STAR)
    }

    /// Where it is: the Request-URI of what is sent there.
    #[must_use]
    pub fn uri(&self) -> Option<Uri<'static>> {
        self.contact().uri().map(|uri| uri.to_static())
    }

    /// Its preference among others.
    #[must_use]
    pub fn q(&self) -> QValue {
        self.contact().q().unwrap_or(QValue::ONE)
    }

    /// What a request visits on its way there, in order (RFC 3327 §5.4).
    #[must_use]
    pub fn path(&self) -> Vec<Uri<'static>> {
        sip_message::values::<Path<'_>>(self.path.as_bytes())
            .filter_map(Result::ok)
            .map(|value| value.uri().to_static())
            .collect()
    }

    /// The user agent instance and its flow (RFC 5626), if the binding is one of those.
    #[must_use]
    pub fn flow(&self) -> Option<(String, u32)> {
        if self.reg_id == 0 {
            return None;
        }
        let contact = self.contact();
        Some((contact.instance()?.into_owned(), self.reg_id))
    }

    /// The Call-ID of the request that made it.
    #[must_use]
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// The CSeq of the request that made it.
    #[must_use]
    pub fn cseq(&self) -> u32 {
        self.cseq
    }

    /// When it was made or refreshed.
    #[must_use]
    pub fn refreshed(&self) -> Duration {
        self.refreshed
    }

    /// When it ends.
    #[must_use]
    pub fn until(&self) -> Duration {
        self.until
    }

    /// How many bytes of text it holds.
    pub(super) fn bytes(&self) -> usize {
        self.contact.len().saturating_add(self.path.len()).saturating_add(self.call_id.len())
    }
}
