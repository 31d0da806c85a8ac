//! What a registrar keeps.

use core::fmt::{self, Write};
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
        let user = uri.user_decoded();
        // No byte too many, so that the box takes it as it is.
        let room = user.as_ref().map_or(0, |user| user.len().saturating_add(1));
        let mut text = String::with_capacity(room.saturating_add(host.len()));
        if let Some(user) = user {
            text.push_str(&user);
            text.push('@');
        }
        text.push_str(host);
        // RFC 3261 §19.1.4: names of hosts have no case.
        if let Some(host) = text.get_mut(room..) {
            host.make_ascii_lowercase();
        }
        if let Some(port) = uri.port() {
            let _ = write!(text, ":{port}"); // Writing to a String does not fail.
        }
        Some(Self(text.into()))
    }

    /// Whether this is the address-of-record that the URI names.
    pub(super) fn is_of(&self, uri: &Uri<'_>) -> bool {
        // Mostly the hosts differ.
        let own = self.0.rsplit('@').next().unwrap_or_default();
        let begins = |host: &str| {
            own.get(..host.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(host))
        };
        uri.host_str().is_some_and(begins) && Self::of(uri).is_some_and(|named| named == *self)
    }

    /// One that was written as it is kept.
    pub(crate) fn from_kept(text: &str) -> Self {
        Self(text.into())
    }

    /// A URI that names it: `sips` if it is to be secure, else `sip`; `None` if it is no user or host that can be
    /// written.
    pub(crate) fn uri(&self, is_secure: bool) -> Option<Uri<'static>> {
        let (user, host) = match self.0.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, &*self.0),
        };
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
            _ => (host, None),
        };
        let uri = if is_secure { Uri::sips(host, port) } else { Uri::sip(host, port) };
        match user {
            Some(user) => uri.ok()?.with_user(user).ok(),
            None => uri.ok(),
        }
    }

    /// The user that it names, if it names one.
    #[cfg(feature = "tokio")]
    pub(crate) fn user(&self) -> Option<&str> {
        self.0.rsplit_once('@').map(|(user, _)| user)
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
/// Moments are times since the Unix epoch, kept to the millisecond: bindings outlive programs, and are shared by
/// several.
// There may be a million of them: one piece of memory for all text, and small numbers.
#[derive(Clone, PartialEq, Eq)]
pub struct Binding {
    /// One after the other: the Contact as it came; the values of Path, with commas between them; the Call-ID; the
    /// instance, where the Contact does not have it as it is; the node.
    text: Box<str>,
    /// When it was made or refreshed, in milliseconds since the Unix epoch.
    refreshed: u64,
    /// Since when temporary GRUUs of its instance count, in milliseconds since the Unix epoch: the same in all
    /// bindings of one instance.
    gruus_since: u64,
    /// How long it lives from then, in seconds.
    life: u32,
    cseq: u32,
    /// 0 if it is no flow of outbound.
    reg_id: u32,
    /// How many bytes these parts of the text have.
    contact: u16,
    path: u16,
    call_id: u16,
    node: u16,
    instance: u16,
    /// Where the instance begins in the text.
    instance_at: u16,
}

impl Binding {
    /// Made at this moment, for so many seconds; `None` if one of its texts has more than 65,535 bytes.
    pub(super) fn new(
        asked: &Asked<'_>,
        register: &Register<'_>,
        now: Duration,
        seconds: u32,
    ) -> Option<Self> {
        let contact = asked.contact.to_string();
        let instance = asked.contact.instance().unwrap_or_default();
        let parts =
            [&contact, register.path.as_str(), register.call_id, &instance, register.node()];
        let mut binding = Self::of_parts(parts)?;
        binding.cseq = register.cseq;
        binding.reg_id = asked.flow(register.takes_outbound).map_or(0, |(_, reg_id)| reg_id);
        binding.refreshed = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        binding.gruus_since = binding.refreshed;
        binding.life = seconds;
        Some(binding)
    }

    /// Of Contact, Path, Call-ID, instance and node, with all numbers 0.
    fn of_parts([contact, path, call_id, instance, node]: [&str; 5]) -> Option<Self> {
        let length = |part: &str| u16::try_from(part.len()).ok();
        let mut text = [contact, path, call_id].concat();
        let instance_at = contact.find(instance).unwrap_or_else(|| {
            let at = text.len();
            text.push_str(instance);
            at
        });
        text.push_str(node);
        Some(Self {
            contact: length(contact)?,
            path: length(path)?,
            call_id: length(call_id)?,
            node: length(node)?,
            instance: length(instance)?,
            instance_at: u16::try_from(instance_at).ok()?,
            text: text.into(),
            refreshed: 0,
            gruus_since: 0,
            life: 0,
            cseq: 0,
            reg_id: 0,
        })
    }

    /// The Contact, with its parameters as they came.
    #[must_use]
    pub fn contact(&self) -> Contact<'_> {
        // It was read before it was kept.
        Contact::parse(self.parts()[0].as_bytes()).unwrap_or(Contact::STAR)
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
        sip_message::values::<Path<'_>>(self.parts()[1].as_bytes())
            .filter_map(Result::ok)
            .map(|value| value.uri().to_static())
            .collect()
    }

    /// The user agent instance and its flow (RFC 5626), if the binding is one of those.
    #[must_use]
    pub fn flow(&self) -> Option<(&str, u32)> {
        self.instance().filter(|_| self.reg_id > 0).map(|instance| (instance, self.reg_id))
    }

    /// The user agent instance, `urn:uuid:…`, if the Contact names it (RFC 5626 §4.1).
    #[must_use]
    pub fn instance(&self) -> Option<&str> {
        Some(self.parts()[3]).filter(|instance| !instance.is_empty())
    }

    /// The node that has the connection by which alone the binding is reached ([`Register::held_by`]), if it is of
    /// that kind.
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        Some(self.parts()[4]).filter(|node| !node.is_empty())
    }

    /// The Call-ID of the request that made it.
    #[must_use]
    pub fn call_id(&self) -> &str {
        self.parts()[2]
    }

    /// The CSeq of the request that made it.
    #[must_use]
    pub fn cseq(&self) -> u32 {
        self.cseq
    }

    /// When it was made or refreshed.
    #[must_use]
    pub fn refreshed(&self) -> Duration {
        Duration::from_millis(self.refreshed)
    }

    /// Since when temporary GRUUs of its instance count (RFC 5627 §5.1).
    pub(crate) fn gruus_since(&self) -> Duration {
        Duration::from_millis(self.gruus_since)
    }

    pub(super) fn set_gruus_since(&mut self, since: Duration) {
        self.gruus_since = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    }

    /// When it ends.
    #[must_use]
    pub fn until(&self) -> Duration {
        self.refreshed().saturating_add(Duration::from_secs(self.life.into()))
    }

    /// How many bytes of text it holds.
    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Contact, Path, Call-ID, instance, node.
    fn parts(&self) -> [&str; 5] {
        let part = |at: usize, length: u16| {
            self.text.get(at..at.saturating_add(length.into())).unwrap_or_default()
        };
        let path = usize::from(self.contact);
        let call_id = path.saturating_add(self.path.into());
        let node = self.text.len().saturating_sub(self.node.into());
        [
            part(0, self.contact),
            part(path, self.path),
            part(call_id, self.call_id),
            part(self.instance_at.into(), self.instance),
            part(node, self.node),
        ]
    }

    /// Writes it for [`Binding::read`]: a line of numbers, then Contact, Path, Call-ID, instance and node.
    ///
    /// ```text
    /// refreshed gruus-since life cseq reg-id contact path call-id instance node\n
    /// ```
    ///
    /// of which the last five say how many bytes of text each of them has.
    #[cfg(any(feature = "redis", test))]
    pub(crate) fn write(&self, to: &mut String) {
        let Self { refreshed, gruus_since, life, cseq, reg_id, .. } = self;
        let parts = self.parts();
        let lengths = parts.map(|part| part.len().to_string()).join(" ");
        let numbers = format!("{refreshed} {gruus_since} {life} {cseq} {reg_id}");
        to.push_str(&format!("{numbers} {lengths}\n{}", parts.concat()));
    }

    /// Reads what [`Binding::write`] wrote, and what follows it.
    #[cfg(any(feature = "redis", test))]
    pub(crate) fn read(text: &str) -> Option<(Self, &str)> {
        let (line, mut rest) = text.split_once('\n')?;
        let mut numbers = line.split(' ');
        let refreshed = numbers.next()?.parse().ok()?;
        let gruus_since = numbers.next()?.parse().ok()?;
        let mut number = || numbers.next()?.parse::<u32>().ok();
        let [life, cseq, reg_id] = [number()?, number()?, number()?];
        let mut parts = [""; 5];
        for part in &mut parts {
            (*part, rest) = rest.split_at_checked(number()?.try_into().ok()?)?;
        }
        let binding = Self::of_parts(parts)?;
        // Who reads it later takes it for a Contact.
        Contact::parse(parts[0].as_bytes()).ok()?;
        Some((Self { refreshed, gruus_since, life, cseq, reg_id, ..binding }, rest))
    }
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [contact, path, call_id, _, node] = self.parts();
        f.debug_struct("Binding")
            .field("contact", &contact)
            .field("path", &path)
            .field("call_id", &call_id)
            .field("cseq", &self.cseq)
            .field("reg_id", &self.reg_id)
            .field("refreshed", &self.refreshed())
            .field("life", &self.life)
            .field("node", &node)
            .finish()
    }
}
