//! Which networks a request comes from and passes (RFC 7315, RFC 7316).

use alloc::borrow::Cow;

use super::rule::Rule;
use super::user_to_user::{data, written};
use super::word::{token, word_header};
use crate::scan::{Cursor, Fault, Span};
use crate::{HeaderError, HeaderErrorKind, HeaderName, Host, host, params};

word_header!(PAccessNetworkInfo, true, token, &[Rule::flag("network-provided")],
/// One P-Access-Network-Info value: the access network of the sender, and where in it the sender is
/// (RFC 7315 §4.4, §5.4).
///
/// ```
/// use sip_message::{Header, PAccessNetworkInfo};
/// let access = PAccessNetworkInfo::parse(b"3GPP-UTRAN-TDD; utran-cell-id-3gpp=234151D0FCE11")?;
/// assert_eq!(access.access_type(), "3GPP-UTRAN-TDD");
/// assert_eq!(access.cell().as_deref(), Some("234151D0FCE11"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

/// The parameters that name a cell.
const CELLS: [&str; 4] = ["cgi-3gpp", "utran-cell-id-3gpp", "ci-3gpp2", "ci-3gpp2-femto"];

/// The other parameters that say where in its network a user agent is.
const PLACES: [&str; 7] = [
    "i-wlan-node-id",
    "dsl-location",
    "eth-location",
    "fiber-location",
    "gstn-location",
    "dvb-rcs2-node-id",
    "utran-sai-3gpp",
];

impl PAccessNetworkInfo<'_> {
    /// This access type or class, such as `IEEE-802.11` or `3GPP-E-UTRAN-FDD`.
    ///
    /// # Errors
    /// It must be a token.
    pub fn new(access_type: &str) -> Result<PAccessNetworkInfo<'static>, HeaderError> {
        Self::from_word(access_type)
    }

    /// The access type or class as it is written.
    pub fn access_type(&self) -> &str {
        self.word()
    }

    /// The cell of a 3GPP or 3GPP2 network: `cgi-3gpp`, `utran-cell-id-3gpp`, `ci-3gpp2` or
    /// `ci-3gpp2-femto`.
    pub fn cell(&self) -> Option<Cow<'_, str>> {
        self.params().find(|param| CELLS.iter().any(|name| param.is(name)))?.value()
    }

    /// Where in its network the sender is, as far as that is said: the first parameter that says it.
    pub fn location(&self) -> Option<Cow<'_, str>> {
        let places = CELLS.iter().chain(&PLACES);
        self.params().find(|param| places.clone().any(|name| param.is(name)))?.value()
    }

    /// Whether the network says it, and not the user agent: `network-provided`.
    pub fn is_network_provided(&self) -> bool {
        self.param("network-provided").is_some()
    }

    /// `local-time-zone`: the time and its offset at the place of the user agent.
    pub fn local_time_zone(&self) -> Option<Cow<'_, str>> {
        self.param("local-time-zone")?.value()
    }
}

word_header!(PVisitedNetworkId, true, data, &[],
/// One P-Visited-Network-ID value: a network that the request of a roaming user has passed
/// (RFC 7315 §4.3, §5.3).
///
/// ```
/// use sip_message::{PVisitedNetworkId, values};
/// let passed = values::<PVisitedNetworkId>(b"other.net, \"Visited network number 1\"");
/// let ids: Vec<_> = passed.map(|id| id.map(|id| id.network_id().into_owned())).collect::<Result<_, _>>()?;
/// assert_eq!(ids, ["other.net", "Visited network number 1"]);
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

impl PVisitedNetworkId<'_> {
    /// This network, in quotes if it is no token.
    ///
    /// # Errors
    /// It must be without CR and LF.
    pub fn new(network_id: &str) -> Result<PVisitedNetworkId<'static>, HeaderError> {
        Self::from_vec(written(HeaderName::PVisitedNetworkId, network_id)?)
    }

    /// The network, without quotes and escapes.
    pub fn network_id(&self) -> Cow<'_, str> {
        params::unquote(self.word.of(&self.text))
    }
}

word_header!(PPrivateNetworkIndication, false, hostname, &[],
/// P-Private-Network-Indication: the private network that the request belongs to (RFC 7316 §7).
///
/// ```
/// use sip_message::{Header, PPrivateNetworkIndication};
/// let network = PPrivateNetworkIndication::parse(b"example.com")?;
/// assert!(network.is("Example.COM"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

/// A host that is a name.
fn hostname(cursor: &mut Cursor<'_>) -> Result<Span, Fault> {
    let (rest, fault) = (cursor.rest(), cursor.fault(HeaderErrorKind::Host));
    let name = host::take(cursor)?;
    let text = rest.get(..usize::from(name.end).saturating_sub(name.start.into()));
    match text.and_then(Host::from_bytes) {
        Some(Host::Name(_)) => Ok(name),
        _ => Err(fault),
    }
}

impl PPrivateNetworkIndication<'_> {
    /// This network.
    ///
    /// # Errors
    /// It must be a host name.
    pub fn new(domain: &str) -> Result<PPrivateNetworkIndication<'static>, HeaderError> {
        Self::from_word(domain)
    }

    /// The network: a domain name.
    pub fn domain(&self) -> &str {
        self.word()
    }

    /// Whether this is the network, without regard to case.
    pub fn is(&self, domain: &str) -> bool {
        self.word().eq_ignore_ascii_case(domain)
    }
}
