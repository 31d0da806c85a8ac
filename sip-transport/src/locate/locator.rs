//! The procedure of RFC 3263, with the answers of the DNS as its inputs.

use core::net::{IpAddr, SocketAddr};

use sip_message::{Host, Transport, Uri, Via};

use super::srv::{self, Draws};
use super::{
    Answer, FamilyOrder, LocateError, Located, LookupError, MAX_HOSTS, MAX_TARGETS, Naptr,
    Preferences, Question, QuestionNumber, Srv,
};
use crate::Target;

/// One run of the procedure: from a URI, or from the Via of a request whose response could not be sent back,
/// to a list of targets.
///
/// [`poll_question`](Self::poll_question) says what to ask, [`answer`](Self::answer) takes what came, in any
/// order, and [`outcome`](Self::outcome) is there as soon as the list is known. It asks at most one NAPTR
/// question, one SRV question for each transport, and [`MAX_HOSTS`] for addresses; aliases (CNAME) are the
/// resolver's to follow.
#[derive(Clone, Debug)]
pub struct Locator {
    host: Box<str>,
    domain: Box<str>,
    is_secure: bool,
    preferences: Preferences,
    draws: Draws,
    step: Step,
    /// The number of the first question of this step, and how many of it were asked.
    base: u8,
    asked: u8,
    /// Why a question had no answer, other than that the name does not exist.
    failure: Option<LookupError>,
}

#[derive(Clone, Debug)]
enum Step {
    Naptr,
    /// The services in the order in which they are preferred.
    Srv(Vec<Service>),
    /// The hosts in the order in which they are tried.
    Hosts {
        transport: Transport,
        hosts: Vec<NamedHost>,
    },
    Done(Result<Located, LocateError>),
}

#[derive(Clone, Debug)]
struct Service {
    transport: Transport,
    name: Box<str>,
    records: Option<Vec<Srv>>,
}

#[derive(Clone, Debug)]
struct NamedHost {
    name: Box<str>,
    port: u16,
    addresses: Option<Vec<IpAddr>>,
}

impl Locator {
    /// For a request to that URI: its `maddr` if it has one, else its host.
    ///
    /// `seed` decides between SRV records by their weights; with the same seed and the same answers the
    /// list is the same, which a stateless proxy relies on (RFC 3263 §4.4).
    ///
    /// # Errors
    ///
    /// [`LocateError`] if no answer could lead anywhere.
    pub fn new(uri: &Uri<'_>, preferences: Preferences, seed: u64) -> Result<Self, LocateError> {
        Self::start(Wanted::of(uri)?, preferences, seed)
    }

    /// For a response that could not be sent back the way its request came: where its top Via says.
    ///
    /// # Errors
    ///
    /// [`LocateError`] if no answer could lead anywhere.
    pub fn for_response(
        via: &Via<'_>,
        preferences: Preferences,
        seed: u64,
    ) -> Result<Self, LocateError> {
        let transport = via.transport().ok_or(LocateError::UnknownTransport)?;
        // RFC 3263 §5: "If it contains a numeric IP address, the server attempts to send the response to
        // that address, using the transport protocol from the Via header, and the port from sent-by, if
        // present, else the default for that transport protocol."
        // RFC 3263 §5: "If, however, the sent-by field contained a domain name and a port number, the server
        // queries for A or AAAA records with that name."
        // RFC 3263 §5: "If, however, the sent-by field contained a domain name and no port, the server
        // queries for SRV records at that domain name using the service identifier "_sips" if the Via
        // transport is "TLS", "_sip" otherwise, and the transport from the topmost Via header"
        // The same steps as for a URI that names the transport.
        let wanted = Wanted {
            host: via.host(),
            domain: via.host(),
            port: via.port(),
            named: Some(transport),
            is_secure: transport.is_secure(),
            ttl: None,
        };
        Self::start(wanted, preferences, seed)
    }

    /// Takes the first step.
    fn start(
        wanted: Wanted<'_>,
        mut preferences: Preferences,
        seed: u64,
    ) -> Result<Self, LocateError> {
        preferences.transports.retain(|transport| service_of_transport(*transport).is_some());
        let mut locator = Self {
            host: text(wanted.host),
            domain: text(wanted.domain),
            is_secure: wanted.is_secure,
            preferences,
            draws: Draws::new(seed),
            step: Step::Naptr,
            base: 0,
            asked: 0,
            failure: None,
        };
        let transports = &locator.preferences.transports;
        let transport = wanted.transport(transports)?;
        if is_invalid(&locator.host) {
            return Err(LocateError::NoAddress);
        }
        match (wanted.host.ip(), wanted.port, wanted.named) {
            (Some(ip), ..) => {
                let targets = vec![wanted.numeric(ip, transports)?];
                let domain = locator.domain.clone();
                locator.advance(Step::Done(Ok(Located { targets, domain })));
            }
            // RFC 3263 §4.2: "If the TARGET was not a numeric IP address, but a port is present in the URI,
            // the client performs an A or AAAA record lookup of the domain name."
            (None, Some(port), _) => locator.ask_for_the_domain(transport, port),
            // RFC 3263 §4.2: "If it was not, because a transport was specified explicitly, the client performs
            // an SRV query for that specific transport, using the service identifier "_sips" for SIPS URIs.
            // For a SIP URI, if the client wishes to use TLS, it also uses the service identifier "_sips" for
            // that specific transport, otherwise, it uses "_sip"."
            (None, None, Some(named)) => locator.ask_for_services([named]),
            // RFC 3263 §4.1: "Otherwise, if no transport protocol or port is specified, and the target is not a
            // numeric IP address, the client SHOULD perform a NAPTR query for the domain in the URI."
            (None, None, None) => {}
        }
        Ok(locator)
    }

    /// The next question to ask. The questions that it gives before an answer comes may be asked at once.
    pub fn poll_question(&mut self) -> Option<(QuestionNumber, Question)> {
        let index = usize::from(self.asked);
        let question = match &self.step {
            Step::Naptr => (index == 0).then(|| Question::Naptr(self.host.clone())),
            Step::Srv(services) => services.get(index).map(|it| Question::Srv(it.name.clone())),
            Step::Hosts { hosts, .. } => {
                // Numeric ones need no question.
                let rest = hosts.iter().enumerate().skip(index);
                let open = rest.into_iter().find(|(_, host)| host.addresses.is_none());
                let (at, host) = open?;
                self.asked = u8::try_from(at).unwrap_or(u8::MAX);
                Some(Question::Host(host.name.clone()))
            }
            Step::Done(_) => None,
        }?;
        let number = QuestionNumber(self.base.saturating_add(self.asked));
        self.asked = self.asked.saturating_add(1);
        Some((number, question))
    }

    /// Takes an answer in. One to a question that is no longer open changes nothing; records of another kind
    /// than was asked for count as none.
    pub fn answer(&mut self, number: QuestionNumber, answer: Result<Answer, LookupError>) {
        let Some(index) = number.0.checked_sub(self.base).filter(|index| *index < self.asked)
        else {
            return;
        };
        if let Err(error) = &answer
            && *error != LookupError::NoSuchName
        {
            self.failure = Some(*error);
        }
        match &mut self.step {
            Step::Naptr => {
                let records = match answer {
                    Ok(Answer::Naptr(records)) => records,
                    _ => Vec::new(),
                };
                self.choose_naptr(records);
            }
            Step::Srv(services) => {
                let records = match answer {
                    Ok(Answer::Srv(records)) => records,
                    _ => Vec::new(),
                };
                if let Some(service) = services.get_mut(usize::from(index))
                    && service.records.is_none()
                {
                    service.records = Some(records);
                }
                self.choose_service();
            }
            Step::Hosts { hosts, .. } => {
                let addresses = match answer {
                    Ok(Answer::Host(addresses)) => {
                        addresses.iter().map(IpAddr::to_canonical).collect()
                    }
                    _ => Vec::new(),
                };
                if let Some(host) = hosts.get_mut(usize::from(index))
                    && host.addresses.is_none()
                {
                    host.addresses = Some(addresses);
                }
                self.gather();
            }
            Step::Done(_) => {}
        }
    }

    /// What was found, or why nothing was, as soon as it is known.
    pub fn outcome(&self) -> Option<Result<Located, LocateError>> {
        match &self.step {
            Step::Done(outcome) => Some(outcome.clone()),
            Step::Naptr | Step::Srv(_) | Step::Hosts { .. } => None,
        }
    }

    /// The host that was asked for: see [`Located::domain`].
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Our transports that may carry this request, the most preferred first.
    fn transports(&self) -> impl Iterator<Item = Transport> {
        usable(&self.preferences.transports, self.is_secure)
    }

    fn choose_naptr(&mut self, mut records: Vec<Naptr>) {
        // RFC 3263 §4.1: "As per RFC 2915 [3], the client discards any records whose services fields are not
        // applicable."
        records.retain(|record| self.service_of(record).is_some());
        // RFC 3263 §4.1: "The NAPTR processing as described in RFC 2915 will result in the discovery of the
        // most preferred transport protocol of the server that is supported by the client, as well as an SRV
        // record for the server."
        // By order, then by preference (RFC 3403 §4.1); among equals what we like best, so that one set of
        // records has one outcome.
        let rank = |record: &Naptr| {
            let transport = self.service_of(record);
            let liking = self.transports().position(|it| Some(it) == transport);
            (record.order, record.preference, liking)
        };
        let best = records.iter().min_by_key(|record| rank(record));
        let best = best.and_then(|it| Some((self.service_of(it)?, trimmed(&it.replacement))));
        match best {
            Some((transport, name)) => {
                // RFC 3263 §4.2: "the client performs an SRV query on the record returned from the NAPTR
                // processing of Section 4.1, if such processing was performed."
                self.advance(Step::Srv(vec![Service { transport, name, records: None }]));
            }
            // RFC 3263 §4.1: "If no NAPTR records are found, the client constructs SRV queries for those
            // transport protocols it supports, and does a query for each."
            None if self.is_secure => {
                let transports: Vec<_> = self.transports().collect();
                self.ask_for_services(transports);
            }
            // RFC 3263 §4.1: "Queries are done using the service identifier "_sip" for SIP URIs and "_sips"
            // for SIPS URIs."
            // So over TLS a SIP URI without NAPTR records goes only where we have nothing else.
            None => {
                let plain: Vec<_> = self.transports().filter(|it| !it.is_secure()).collect();
                if plain.is_empty() {
                    let secure: Vec<_> = self.transports().collect();
                    self.ask_for_services(secure);
                } else {
                    self.ask_for_services(plain);
                }
            }
        }
    }

    /// The transport that a NAPTR record is about, if the record is one that we can follow.
    fn service_of(&self, record: &Naptr) -> Option<Transport> {
        // RFC 3263 §4.1: "The resource record will contain an empty regular expression and a replacement
        // value, which is the SRV record for that particular transport protocol."
        if !record.regexp.is_empty()
            || !record.flags.eq_ignore_ascii_case("s")
            || trimmed(&record.replacement).is_empty()
        {
            return None;
        }
        // RFC 3263 §4.1: "Second, a client MUST discard any service fields that identify a resolution service
        // whose value is not "D2X", for values of X that indicate transport protocols supported by the
        // client."
        let mut known = SERVICES.iter();
        let (transport, ..) =
            *known.find(|(_, service, _)| record.services.eq_ignore_ascii_case(service))?;
        // RFC 3263 §4.1: "First, a client resolving a SIPS URI MUST discard any services that do not contain
        // "SIPS" as the protocol in the service field.  The converse is not true, however.  A client resolving
        // a SIP URI SHOULD retain records with "SIPS" as the protocol, if the client supports TLS."
        self.transports().find(|it| *it == transport)
    }

    fn ask_for_services(&mut self, transports: impl IntoIterator<Item = Transport>) {
        let services = transports.into_iter().filter_map(|transport| {
            let name = format!("{}.{}", service_of_transport(transport)?, self.host).into();
            Some(Service { transport, name, records: None })
        });
        self.advance(Step::Srv(services.collect()));
    }

    fn choose_service(&mut self) {
        let Step::Srv(services) = &mut self.step else { return };
        let mut refused = false;
        for service in services.iter_mut() {
            // A better one is still being asked for.
            let Some(records) = &mut service.records else { return };
            let named = records.len();
            // RFC 2782 ("Target"): a target of "." means that the domain decidedly does not offer the
            // service.
            records.retain(|record| !trimmed(&record.target).is_empty());
            // RFC 3263 §4.1: "A particular transport is supported if the query is successful.  The client MAY
            // use any transport protocol it desires which is supported by the server."
            // RFC 3263 §4.2: "If the NAPTR processing was not done because no NAPTR records were found, but an
            // SRV query for a supported transport protocol was successful, those SRV records are selected."
            if !records.is_empty() {
                let (transport, records) = (service.transport, core::mem::take(records));
                self.ask_for_hosts(transport, records);
                return;
            }
            refused |= named > 0;
        }
        if refused {
            self.advance(Step::Done(Err(LocateError::ServiceUnavailable)));
            return;
        }
        // RFC 3263 §4.1: "If no SRV records are found, the client SHOULD use TCP for a SIPS URI, and UDP for a
        // SIP URI."
        let transport = match services.as_slice() {
            // The URI or a NAPTR record named it, or we have no other.
            [only] => Some(only.transport),
            _ => default_transport(&self.preferences.transports, self.is_secure),
        };
        let Some(transport) = transport else {
            self.advance(Step::Done(Err(LocateError::NoSupportedTransport)));
            return;
        };
        // RFC 3263 §4.2: "If no SRV records were found, the client performs an A or AAAA record lookup of the
        // domain name.  The result will be a list of IP addresses, each of which can be contacted using the
        // transport protocol determined previously, at the default port for that transport."
        self.ask_for_the_domain(transport, transport.default_port());
    }

    fn ask_for_hosts(&mut self, transport: Transport, records: Vec<Srv>) {
        // RFC 3263 §4.2: "Irregardless of how the SRV records were determined, the procedures of RFC 2782, as
        // described in the section titled "Usage rules" are followed, augmented by the additional procedures
        // of Section 4.3 of this document."
        let records = srv::order(records, &mut self.draws, MAX_HOSTS);
        let hosts = records.into_iter().map(|record| {
            let name = trimmed(&record.target);
            // No record may say so, but some do.
            let ip = Host::parse(&name).and_then(|host| host.ip());
            NamedHost { port: record.port, addresses: ip.map(|ip| vec![ip]), name }
        });
        self.advance(Step::Hosts { transport, hosts: hosts.collect() });
        self.gather();
    }

    fn ask_for_the_domain(&mut self, transport: Transport, port: u16) {
        let hosts = vec![NamedHost { name: self.host.clone(), port, addresses: None }];
        self.advance(Step::Hosts { transport, hosts });
    }

    /// Ends when the addresses of all hosts are known.
    fn gather(&mut self) {
        let Step::Hosts { hosts, .. } = &self.step else { return };
        if hosts.iter().any(|host| host.addresses.is_none()) {
            return;
        }
        let outcome = match (self.known(), self.failure) {
            (Some(located), _) => Ok(located),
            (None, Some(error)) => Err(LocateError::Lookup(error)),
            (None, None) => Err(LocateError::NoAddress),
        };
        self.advance(Step::Done(outcome));
    }

    /// What is known by now, in the order to try: less than the [`outcome`](Self::outcome) while the addresses
    /// of a host did not come, for those who cannot wait for them. `None` while there is no target.
    pub fn known(&self) -> Option<Located> {
        let (transport, hosts) = match &self.step {
            Step::Hosts { transport, hosts } => (*transport, hosts),
            Step::Done(outcome) => return outcome.clone().ok(),
            Step::Naptr | Step::Srv(_) => return None,
        };
        let mut targets: Vec<Target> = Vec::new();
        for host in hosts {
            let addresses = host.addresses.clone().unwrap_or_default();
            for ip in arranged(addresses, self.preferences.families) {
                let target = Target::new(transport, SocketAddr::new(ip, host.port));
                if targets.len() < MAX_TARGETS && !targets.contains(&target) {
                    targets.push(target);
                }
            }
        }
        (!targets.is_empty()).then(|| Located { targets, domain: self.domain.clone() })
    }

    fn advance(&mut self, step: Step) {
        // Of six transports and sixteen hosts the numbers stay far below 255.
        self.base = self.base.saturating_add(self.asked);
        self.asked = 0;
        self.step = step;
    }
}

/// What a URI or a Via says of where it leads.
struct Wanted<'a> {
    host: Host<'a>,
    domain: Host<'a>,
    port: Option<u16>,
    named: Option<Transport>,
    is_secure: bool,
    ttl: Option<u8>,
}

impl<'a> Wanted<'a> {
    fn of(uri: &'a Uri<'_>) -> Result<Self, LocateError> {
        if !uri.is_sip() {
            return Err(LocateError::NotSip);
        }
        let domain = uri.host().ok_or(LocateError::NotSip)?;
        let is_secure = uri.is_secure();
        // RFC 3263 §4.1: "If the URI specifies a transport protocol in the transport parameter, that
        // transport protocol SHOULD be used."
        let named = match uri.param("transport") {
            Some(_) => Some(uri.transport().ok_or(LocateError::UnknownTransport)?),
            None => None,
        };
        let named = match (named, is_secure) {
            (Some(named), true) => Some(secured(named).ok_or(LocateError::NotSecure)?),
            (named, _) => named,
        };
        // RFC 3263 §4: "We define TARGET as the value of the maddr parameter of the URI, if present,
        // otherwise, the host value of the hostport component of the URI."
        let host = uri.maddr().unwrap_or(domain);
        Ok(Self { host, domain, port: uri.port(), named, is_secure, ttl: uri.ttl() })
    }

    /// The transport, as far as no record says it.
    fn transport(&self, ours: &[Transport]) -> Result<Transport, LocateError> {
        // RFC 3263 §4.1: "Otherwise, if no transport protocol is specified, but the TARGET is a numeric IP
        // address, the client SHOULD use UDP for a SIP URI, and TCP for a SIPS URI.  Similarly, if no
        // transport protocol is specified, and the TARGET is not numeric, but an explicit port is provided,
        // the client SHOULD use UDP for a SIP URI, and TCP for a SIPS URI."
        let transport = match self.named {
            Some(named) => ours.contains(&named).then_some(named),
            None => default_transport(ours, self.is_secure),
        };
        transport.ok_or(LocateError::NoSupportedTransport)
    }

    fn numeric(&self, ip: IpAddr, ours: &[Transport]) -> Result<Target, LocateError> {
        let transport = self.transport(ours)?;
        // RFC 3263 §4.2: "If TARGET is a numeric IP address, the client uses that address.  If the URI also
        // contains a port, it uses that port.  If no port is specified, it uses the default port for the
        // particular transport protocol."
        let port = self.port.unwrap_or(transport.default_port());
        // An IPv4 address in the clothes of an IPv6 one is reached by IPv4: our sockets for IPv6 carry no other.
        let mut target = Target::new(transport, SocketAddr::new(ip.to_canonical(), port));
        if ip.is_multicast() {
            target.ttl = self.ttl;
        }
        Ok(target)
    }
}

/// The target of a URI that names an address; `None` if it names a host, which takes a [`Locator`]. It
/// allocates nothing: most URIs within a dialog name an address.
///
/// # Errors
///
/// [`LocateError`] if the URI leads nowhere, whatever it names.
pub fn numeric_target(
    uri: &Uri<'_>,
    transports: &[Transport],
) -> Result<Option<Target>, LocateError> {
    let wanted = Wanted::of(uri)?;
    wanted.host.ip().map(|ip| wanted.numeric(ip, transports)).transpose()
}

/// Whether the name is one that a client over WebSocket made up, since it has none: no name server is to be
/// troubled with it, and only the flow from that client leads back to it.
// RFC 7118 §B.1: "A SIP WebSocket Client running in such an environment can construct a domain name consisting
// of a random token followed by the ".invalid" top-level domain name"
pub fn is_invalid(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let (_, top) = host.rsplit_once('.').unwrap_or(("", host));
    top.eq_ignore_ascii_case("invalid")
}

/// The host that a URI asks for, as [`Located::domain`] has it; `None` if it has none.
pub fn domain(uri: &Uri<'_>) -> Option<Box<str>> {
    uri.host().map(text)
}

/// Those that may carry the request.
fn usable(ours: &[Transport], is_secure: bool) -> impl Iterator<Item = Transport> {
    ours.iter().copied().filter(move |transport| !is_secure || transport.is_secure())
}

/// What is used when neither the URI nor the domain says: TLS over TCP for SIPS, else UDP; else the first
/// that we have, since a request has to go by something.
fn default_transport(ours: &[Transport], is_secure: bool) -> Option<Transport> {
    let usual = if is_secure { Transport::Tls } else { Transport::Udp };
    usable(ours, is_secure).find(|it| *it == usual).or_else(|| usable(ours, is_secure).next())
}

/// What NAPTR records call a transport (the registry of RFC 3263 §9; RFC 4168 §5, RFC 7118 §10.2), and where
/// its SRV records are. TLS over SCTP is no transport of ours.
// RFC 3263 §5: ""TLS" implies that the transport protocol in the SRV query is TCP"
const SERVICES: [(Transport, &str, &str); 6] = [
    (Transport::Udp, "SIP+D2U", "_sip._udp"),
    (Transport::Tcp, "SIP+D2T", "_sip._tcp"),
    (Transport::Tls, "SIPS+D2T", "_sips._tcp"),
    (Transport::Sctp, "SIP+D2S", "_sip._sctp"),
    (Transport::Ws, "SIP+D2W", "_sip._ws"),
    (Transport::Wss, "SIPS+D2W", "_sips._ws"),
];

/// The place of the SRV records of a transport under a domain.
fn service_of_transport(transport: Transport) -> Option<&'static str> {
    SERVICES.iter().find(|(known, ..)| *known == transport).map(|(.., labels)| *labels)
}

/// What a transport becomes under a SIPS URI, if it can carry TLS.
const fn secured(named: Transport) -> Option<Transport> {
    match named {
        // RFC 3261 §26.2.2: "Note that in the SIPS URI scheme, transport is independent of TLS, and thus
        // "sips:alice@atlanta.com;transport=tcp" and "sips:alice@atlanta.com;transport=sctp" are both valid
        // (although note that UDP is not a valid transport for SIPS)."
        Transport::Tcp | Transport::Tls => Some(Transport::Tls),
        Transport::Ws | Transport::Wss => Some(Transport::Wss),
        _ => None,
    }
}

fn arranged(addresses: Vec<IpAddr>, order: FamilyOrder) -> Vec<IpAddr> {
    if order == FamilyOrder::AsGiven {
        return addresses;
    }
    let (v6, v4): (Vec<_>, Vec<_>) = addresses.into_iter().partition(IpAddr::is_ipv6);
    if order == FamilyOrder::Ipv6First {
        return v6.into_iter().chain(v4).collect();
    }
    let mut arranged = Vec::with_capacity(v6.len().saturating_add(v4.len()));
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    loop {
        match (v6.next(), v4.next()) {
            (None, None) => return arranged,
            (one, other) => arranged.extend(one.into_iter().chain(other)),
        }
    }
}

/// The host, without a dot at the end of a name and an IPv6 address without brackets.
fn text(host: Host<'_>) -> Box<str> {
    match host {
        Host::Name(name) => trimmed(name),
        Host::V4(address) => address.to_string().into(),
        Host::V6(address) => address.to_string().into(),
    }
}

/// A name as it is asked for. Names are equal whatever their case; one way to write them makes one question of
/// them, and one answer that is kept.
fn trimmed(name: &str) -> Box<str> {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase().into()
}
