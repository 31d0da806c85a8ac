//! Who places calls and registers, with what secrets, by way of whom; and what goes along with a message.

use std::borrow::Cow;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sip_auth::Credentials;
use sip_message::{Header, HistoryIndex, HistoryInfo, Privacy, Request, SessionId, Uri};

use crate::agent::known_history;
use crate::{KeepAlive, Reliability};

/// An identity under which requests are sent: plain data, shared as `Arc<Account>`.
///
/// ```
/// use sip_ua::{Account, Credentials};
///
/// let account = Account::new("sip:alice@example.com".parse()?)
///     .display_name("Alice")
///     .credentials(Credentials::new("alice", "secret"))
///     .outbound_proxy("sip:proxy.example.com;lr".parse()?);
/// assert_eq!(account.identity().user(), Some("alice"));
/// # Ok::<(), sip_message::UriError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Account {
    identity: Uri<'static>,
    display_name: Option<String>,
    credentials: Vec<Credentials>,
    require_proof: bool,
    registrar: Option<Uri<'static>>,
    outbound_proxy: Option<Uri<'static>>,
    expires: Duration,
    contact: Option<Uri<'static>>,
    instance: Option<Box<str>>,
    outbound: Option<Outbound>,
    keep_alive: KeepAlive,
    keep_alive_interval: Option<Duration>,
    privacy: Option<Box<str>>,
    headers: Vec<(String, String)>,
    learn_contact: bool,
    reliable: Option<Reliability>,
}

/// What RFC 5626 calls an instance, and which of its flows this is.
#[derive(Clone, Debug)]
pub(crate) struct Outbound {
    pub(crate) instance: String,
    pub(crate) reg_id: u32,
}

impl Account {
    /// An account with this address-of-record, which From (and To of a REGISTER) will hold.
    pub fn new(identity: Uri<'static>) -> Self {
        Self {
            identity,
            display_name: None,
            credentials: Vec::new(),
            require_proof: false,
            registrar: None,
            outbound_proxy: None,
            expires: Duration::from_secs(3600),
            contact: None,
            instance: None,
            outbound: None,
            keep_alive: KeepAlive::default(),
            keep_alive_interval: None,
            privacy: None,
            headers: Vec::new(),
            learn_contact: true,
            reliable: None,
        }
    }

    /// Nobody: `sip:anonymous@anonymous.invalid` (RFC 3261 §8.1.1.3), for what needs no identity.
    pub fn anonymous() -> Self {
        let uri = Uri::parse(b"sip:anonymous@anonymous.invalid").map(Uri::into_owned);
        match uri {
            Ok(uri) => Self::new(uri).display_name("Anonymous"),
            // The text above is a URI; a test parses it.
            Err(_) => unreachable!("a constant URI"),
        }
    }

    /// Sets the name that people see beside the address.
    #[must_use]
    pub fn display_name(mut self, name: impl Into<String>) -> Self {
        self.display_name = Some(name.into());
        self
    }

    /// Adds a username and password (or another secret) to answer 401 and 407 with. Those with a realm are
    /// tried for that realm only, and before those without.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials.push(credentials);
        self
    }

    /// Demands that the registrar proves that it knows the secret too (`rspauth`, RFC 7616 §3.5): a 2xx to
    /// REGISTER without a right proof, also one that comes without any challenge, is a failure by
    /// [`AuthError::Impostor`](crate::AuthError::Impostor) or
    /// [`AuthError::Unproven`](crate::AuthError::Unproven), which is tried again seldom. Many
    /// registrars give none; without this a wrong one is logged and borne with.
    ///
    /// It says nothing of calls and other requests: who answers them is not who keeps the secret.
    #[must_use]
    pub fn require_proof(mut self) -> Self {
        self.require_proof = true;
        self
    }

    /// Sets where REGISTER goes. By default the domain of the identity.
    #[must_use]
    pub fn registrar(mut self, uri: Uri<'static>) -> Self {
        self.registrar = Some(uri);
        self
    }

    /// Sets the proxy that every request outside of a dialog goes through first: its URI becomes the
    /// first Route value (RFC 3261 §8.1.2). Without an `lr` parameter one is added.
    #[must_use]
    pub fn outbound_proxy(mut self, uri: Uri<'static>) -> Self {
        self.outbound_proxy = Some(uri);
        self
    }

    /// Sets the life of a binding that a registration asks for, in whole seconds. Default one hour.
    #[must_use]
    pub fn expires(mut self, expires: Duration) -> Self {
        self.expires = expires;
        self
    }

    /// Sets the address that a registration binds, in place of this endpoint's own: that of another
    /// program, say.
    #[must_use]
    pub fn contact(mut self, uri: Uri<'static>) -> Self {
        self.contact = Some(uri);
        self
    }

    /// Names this device: a URN for all time, such as `urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6`, that Contact of a
    /// REGISTER holds (`+sip.instance`, RFC 5626 §4.1). [`AgentConfig::gruu`](crate::AgentConfig::gruu) needs it.
    #[must_use]
    pub fn instance(mut self, instance: impl Into<String>) -> Self {
        self.instance = Some(instance.into().into());
        self
    }

    pub(crate) fn instance_id(&self) -> Option<&str> {
        let of_flow = self.outbound.as_ref().map(|outbound| outbound.instance.as_str());
        of_flow.or(self.instance.as_deref())
    }

    /// Lets a registration ask for outbound behaviour (RFC 5626): what is for us shall come over the flow
    /// that the REGISTER went by. `instance` is a URN that names this device for all time, such as
    /// `urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6`; `reg_id`, from 1 to 2^31 - 1, is the number of the
    /// flow, the same after each start. For two flows register two accounts that differ in `reg_id` and
    /// [`outbound_proxy`](Self::outbound_proxy). A first hop that cannot (439) is registered with without.
    #[must_use]
    pub fn outbound(mut self, instance: impl Into<String>, reg_id: u32) -> Self {
        self.outbound = Some(Outbound { instance: instance.into(), reg_id });
        self
    }

    /// Sets how the flow of a registration is kept alive, and those of calls. Default [`KeepAlive::Agreed`].
    #[must_use]
    pub fn keep_alive(mut self, keep_alive: KeepAlive) -> Self {
        self.keep_alive = keep_alive;
        self
    }

    /// Asks for privacy (RFC 3323): requests outside of dialogs name nobody in From and Contact, and Privacy asks the
    /// network to hide what only it can: `id` that it tells no one who we are (RFC 3325), `header` and
    /// `session` that it hides addresses, `critical` to rather fail. Who the network is to know us as is said by
    /// [`with`](Self::with) and [`PPreferredIdentity`](sip_message::PPreferredIdentity).
    #[must_use]
    pub fn private(mut self, privacy: Privacy<'static>) -> Self {
        self.privacy = Some(privacy.to_string().into());
        self
    }

    /// Adds a header field to all requests outside of dialogs: which identity we prefer
    /// ([`PPreferredIdentity`](sip_message::PPreferredIdentity), for a proxy that we trust), how we want to be
    /// called on ([`AcceptContact`](sip_message::AcceptContact), [`RejectContact`](sip_message::RejectContact),
    /// [`RequestDisposition`](sip_message::RequestDisposition): RFC 3841).
    #[must_use]
    pub fn with<'h, H: Header<'h>>(mut self, header: &H) -> Self {
        self.headers.push(field(header));
        self
    }

    /// The same account, in whose name somebody else speaks.
    pub(crate) fn speaking_for(&self, identity: Uri<'static>, name: Option<String>) -> Self {
        Self { identity, display_name: name, ..self.clone() }
    }

    pub(crate) fn own_headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// What Privacy says.
    pub(crate) fn asks_privacy(&self) -> Option<&str> {
        self.privacy.as_deref()
    }

    /// The user that Contact names.
    pub(crate) fn contact_user(&self) -> Option<&str> {
        match self.privacy {
            None => self.identity.user(),
            // RFC 3323 §4.1.1.2: "In some URIs, such as those that appear in Contact headers, it MAY
            // also make sense to omit the username altogether"
            // But then no request of the peer would tell us apart from others at this address.
            Some(_) => Some("anonymous"),
        }
    }

    /// Sets the longest time between two keep-alives; each is drawn from 80 to 100 % of it. Default 120 s on
    /// streams and 29 s on UDP, and never more than the registrar's Flow-Timer.
    #[must_use]
    pub fn keep_alive_interval(mut self, most: Duration) -> Self {
        self.keep_alive_interval = Some(most);
        self
    }

    /// Sets whether Contact names the address that others see us at, learned from `received` and `rport` in the
    /// Via of responses and from STUN. Default yes: behind a NAT nothing else leads back to us, unless the
    /// registrar takes part in [`outbound`](Self::outbound).
    ///
    /// What is learned from the answer to a REGISTER is registered at once in place of the address before,
    /// which is removed; calls name it from then on. Over UDP any other address counts. Over streams
    /// one with another host does, or any if connections are only opened from here: who sends to the far
    /// end of a connection that is open finds that (RFC 3261 §18.1.1), and when it closes we register anew.
    ///
    /// Never with [`outbound`](Self::outbound), whose bindings say by which flow they are reached; never
    /// with a [`contact`](Self::contact) of your own, with a name that is advertised
    /// ([`ListenAddr::with_advertised`](sip_transport::ListenAddr::with_advertised)), or over WebSocket.
    #[must_use]
    pub fn learn_contact(mut self, learn: bool) -> Self {
        self.learn_contact = learn;
        self
    }

    /// Whether Contact may name a learned address; where outbound is asked for, the registration knows.
    pub(crate) fn learns_contact(&self) -> bool {
        self.learn_contact && self.contact.is_none()
    }

    /// Sets whether the calls that it places want provisional responses reliably: that is a property of the network it
    /// belongs to. By default as [`AgentConfig::reliable`](crate::AgentConfig::reliable) says.
    #[must_use]
    pub fn reliable(mut self, reliable: Reliability) -> Self {
        self.reliable = Some(reliable);
        self
    }

    pub(crate) fn reliability(&self) -> Option<Reliability> {
        self.reliable
    }

    pub(crate) fn outbound_flow(&self) -> Option<&Outbound> {
        self.outbound.as_ref()
    }

    pub(crate) fn keep_alive_kind(&self) -> KeepAlive {
        self.keep_alive
    }

    /// Whether keep-alives are offered to who takes our requests (RFC 6223).
    pub(crate) fn offers_keep(&self) -> bool {
        self.keep_alive != KeepAlive::Off
    }

    pub(crate) fn longest_keep_alive_interval(&self) -> Option<Duration> {
        self.keep_alive_interval
    }

    /// The address-of-record.
    pub fn identity(&self) -> &Uri<'static> {
        &self.identity
    }

    /// The name beside it.
    pub fn shown_name(&self) -> Option<&str> {
        self.display_name.as_deref()
    }

    pub(crate) const fn requires_proof(&self) -> bool {
        self.require_proof
    }

    /// The secrets, in the order they were added.
    pub fn all_credentials(&self) -> &[Credentials] {
        &self.credentials
    }

    /// Where REGISTER goes, if not to the domain of the identity.
    pub fn registrar_uri(&self) -> Option<&Uri<'static>> {
        self.registrar.as_ref()
    }

    /// The first hop of requests outside of a dialog.
    pub fn outbound_proxy_uri(&self) -> Option<&Uri<'static>> {
        self.outbound_proxy.as_ref()
    }

    /// The address that a registration binds, if not this endpoint's own.
    pub fn contact_uri(&self) -> Option<&Uri<'static>> {
        self.contact.as_ref()
    }

    /// The life of a binding asked for.
    pub fn registration_expires(&self) -> Duration {
        self.expires
    }
}

/// The body of a message and its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// What Content-Type says.
    pub content_type: Cow<'static, str>,
    /// The bytes as they go on the wire.
    pub bytes: Bytes,
}

impl Body {
    /// A body of any type.
    pub fn new(content_type: impl Into<Cow<'static, str>>, bytes: impl Into<Bytes>) -> Self {
        Self { content_type: content_type.into(), bytes: bytes.into() }
    }

    /// A session description: `application/sdp`.
    pub fn sdp(bytes: impl Into<Bytes>) -> Self {
        Self::new("application/sdp", bytes)
    }

    /// A session description without any media: what a call is begun with whose media are agreed on later (RFC 3725 §4.4).
    pub fn no_media() -> Self {
        Self::sdp("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n")
    }

    /// A text: `text/plain`.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new("text/plain", text.into().into_bytes())
    }
}

/// More header fields for a message: names and values, in order. Those that the stack writes itself
/// (Via, From, To, Call-ID, CSeq, Contact, Content-Length, …) do not belong here.
pub type ExtraHeaders = [(String, String)];

/// What a call is placed with.
#[derive(Clone, Debug)]
pub struct OutgoingCall {
    /// Whom to call: becomes the Request-URI and To.
    pub to: Uri<'static>,
    /// The offer, or `None` to leave it to the callee.
    pub body: Option<Body>,
    /// More header fields for the INVITE.
    pub headers: Vec<(String, String)>,
    /// How many more addresses are tried where a 3xx redirects to: see
    /// [`follow_redirects`](Self::follow_redirects).
    pub redirects: u8,
    /// Bodies in place of `body`: see [`alternative`](Self::alternative).
    pub alternatives: Vec<Body>,
    /// Whether it wants provisional responses reliably; `None` leaves it to the account.
    pub reliable: Option<Reliability>,
    /// Whether PRACKs wait for a new offer: see [`hold_pracks`](Self::hold_pracks).
    pub hold_pracks: bool,
    /// How often it is placed again by itself, and after how long at most: see [`retry_after`](Self::retry_after).
    pub retry_after: Option<(u8, Duration)>,
}

impl OutgoingCall {
    /// A call to this address, without a body.
    pub fn to(to: Uri<'static>) -> Self {
        Self {
            to,
            body: None,
            headers: Vec::new(),
            redirects: 0,
            alternatives: Vec::new(),
            reliable: None,
            hold_pracks: false,
            retry_after: None,
        }
    }

    /// The same with this body.
    #[must_use]
    pub fn body(mut self, body: Body) -> Self {
        self.body = Some(body);
        self
    }

    /// The same, with provisional responses sent reliably or not.
    #[must_use]
    pub fn reliable(mut self, reliable: Reliability) -> Self {
        self.reliable = Some(reliable);
        self
    }

    /// The same, and the PRACK to a provisional response with the answer to our offer waits until the application has
    /// said whether it makes a new offer in it (RFC 3262 §5): the callee repeats the response until then, so be quick.
    /// Without this each PRACK is sent at once, and a new offer goes by UPDATE.
    #[must_use]
    pub fn hold_pracks(mut self) -> Self {
        self.hold_pracks = true;
        self
    }

    /// The same with one more header field.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The same with one more header field, by its type: [`UserToUser`](sip_message::UserToUser),
    /// [`AnswerMode`](sip_message::AnswerMode), [`AlertInfo`](sip_message::AlertInfo),
    /// [`CallInfo`](sip_message::CallInfo), [`PPreferredIdentity`](sip_message::PPreferredIdentity) and so on.
    #[must_use]
    pub fn with<'h, H: Header<'h>>(mut self, header: &H) -> Self {
        self.headers.push(field(header));
        self
    }

    /// The same with this as our UUID in Session-ID (RFC 7989), as a part of a session that there is already: that of
    /// the end that a back-to-back user agent speaks for, say.
    #[must_use]
    pub fn session_uuid(mut self, uuid: u128) -> Self {
        self.set_session_uuid(uuid);
        self
    }

    pub(crate) fn set_session_uuid(&mut self, uuid: u128) {
        self.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(SessionId::NAME.as_str()));
        self.headers.push(field(&SessionId::new(uuid, SessionId::NIL)));
    }

    /// The same, and the INVITE says where it is sent, so that whoever it reaches knows by which ways it came
    /// (History-Info, RFC 7044): each further address of a redirection is added, with what came of the one before.
    /// Responses say where it has been besides.
    #[must_use]
    pub fn with_history(self) -> Self {
        self.go_on_with_history(&[], &HistoryIndex::FIRST, None)
    }

    /// The same, going on with the history of a call that came in and is forwarded by this one: to another user if
    /// `is_mapped`, else to the same one elsewhere.
    // RFC 7044 §9.2: "When sending a request, a SIP entity MUST include all the hi-entries
    // from the cache that was created per Section 9.1.  In addition, the
    // SIP entity MUST add a new hi-entry to the outgoing request"
    #[must_use]
    pub fn with_history_of(self, invite: &Request, is_mapped: bool) -> Self {
        let known = known_history(invite);
        let Some(from) = known.last().and_then(|last| Some(last.index()?.into_owned())) else {
            return self.with_history();
        };
        // RFC 7044 §10.4: "The mapping was done by the receiving entity on its own authority,
        // in which case the mp-value is the parent index of the hi-entry's
        // index."
        let found_by = if is_mapped { "mp" } else { "rc" };
        self.go_on_with_history(&known, &from.child(1), Some((found_by, &from)))
    }

    fn go_on_with_history(
        mut self,
        known: &[HistoryInfo<'static>],
        index: &HistoryIndex<'_>,
        found_by: Option<(&str, &HistoryIndex<'_>)>,
    ) -> Self {
        // RFC 7044 §6.1: "The UAC MUST include the "histinfo" option tag in the Supported
        // header field in any out-of-dialog requests or initial requests for a
        // dialog for which the UAC would like the History-Info header field in
        // the response."
        self.headers.push(("Supported".to_owned(), "histinfo".to_owned()));
        self.headers.extend(known.iter().map(field));
        let to = self.to.without_headers().unwrap_or_else(|_| self.to.clone());
        // RFC 7044 §9.2: "The hi-targeted-to-uri MUST be set to the value
        // of the Request-URI of the current (outgoing) request."
        let entry = HistoryInfo::new(&to, index).and_then(|entry| match found_by {
            Some((name, from)) => entry.with_param(name, Some(from.as_str())),
            None => Ok(entry),
        });
        self.headers.extend(entry.ok().iter().map(field));
        self
    }

    /// The same, and redirections (3xx) are followed (RFC 3261 §8.1.3.4): one address after the other, the most
    /// wanted first, none twice, from `sips` to no other, and as many as this in all. An address that refuses
    /// (but not for its user: 6xx) or does not answer is followed by the next. Default none:
    /// [`EndReason::Redirected`](crate::EndReason::Redirected) tells them.
    #[must_use]
    pub fn follow_redirects(mut self, addresses: u8) -> Self {
        self.redirects = addresses;
        self
    }

    /// The same, and placed again by itself, so many times at most, when a refusal says in Retry-After (RFC 3261 §20.33)
    /// that this is of use in no more than `longest`: a 503 or 500 of an overloaded server, a 480 or 486 of a callee who
    /// will be back. A redirection that is not through comes first. Default no.
    #[must_use]
    pub fn retry_after(mut self, times: u8, longest: Duration) -> Self {
        self.retry_after = Some((times, longest));
        self
    }

    /// The same with one more body to offer in place of one that is refused as too large (413: the first that is
    /// smaller) or for its type (415: the first whose type is in Accept).
    #[must_use]
    pub fn alternative(mut self, body: Body) -> Self {
        self.alternatives.push(body);
        self
    }
}

/// The name and the value of a header field.
fn field<'h, H: Header<'h>>(header: &H) -> (String, String) {
    let mut value = BytesMut::new();
    header.write(&mut value);
    // What is not UTF-8 in a typed header field has come from elsewhere; as text it cannot be sent.
    (H::NAME.as_str().to_owned(), String::from_utf8_lossy(&value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_printed() {
        let account = Account::anonymous().credentials(Credentials::new("alice", "hush-hush"));
        assert!(!format!("{account:?}").contains("hush-hush"));
        assert_eq!(account.all_credentials()[0].username(), "alice");
    }
}
