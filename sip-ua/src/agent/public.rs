//! The addresses at which others see us, learned from the Via of responses (RFC 3261 §18.2.1, RFC 3581) and
//! from STUN, and used in Contact from then on where the account allows it ([`Account::learn_contact`]).

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use sip_message::{HeaderName, Response, Uri};
use sip_transaction::{ClientKey, NextHop, Transactions};
use sip_transport::{Flow, ListenerId, Local};

use super::compose::{contact, over_this_flow};
use super::{Agent, ClientUse};
use crate::{Account, CallKey, RegistrationKey};

/// What was seen last of each listener of ours. There are as many as there are listeners.
#[derive(Default)]
pub(crate) struct PublicAddresses {
    seen: HashMap<ListenerId, Seen>,
}

#[derive(Clone, Copy)]
struct Seen {
    address: SocketAddr,
    /// Over which flow: who says so, and on a stream as long as it is open.
    flow: Flow,
}

impl PublicAddresses {
    fn note(&mut self, local: &Local, address: SocketAddr, flow: Flow) {
        if own_address(local) == Some(address) {
            self.seen.remove(&local.id); // as nearly always: nobody stands between
        } else {
            self.seen.insert(local.id, Seen { address, flow });
        }
    }

    /// The networks have changed: nobody knows who sees us where.
    pub(crate) fn forget(&mut self) {
        self.seen.clear();
    }

    pub(crate) fn closed(&mut self, flow: Flow) {
        self.seen.retain(|_, seen| seen.flow != flow);
    }

    /// A listener as those see it to whom a request to `towards` goes.
    pub(crate) fn named<'a>(
        &self,
        local: &'a Local,
        towards: &Uri<'_>,
        account: Option<&Account>,
    ) -> Cow<'a, Local> {
        // With outbound the flow is what leads back, whatever the address.
        let may = account.is_none_or(|it| it.learns_contact() && it.outbound_flow().is_none());
        match self.seen.get(&local.id).filter(|_| may) {
            Some(seen) if seen.is_for(towards.ip()) => {
                Cow::Owned(local.clone().reached_at(&seen.address.to_string()))
            }
            _ => Cow::Borrowed(local),
        }
    }
}

impl Seen {
    /// Whether who is asked at that address sees us there too. A neighbour of ours does not have to, for the
    /// box that has given us the address stands behind us then and not between.
    fn is_for(&self, ip: Option<IpAddr>) -> bool {
        ip.is_none_or(|ip| {
            let ip = ip.to_canonical();
            ip == self.flow.remote.ip().to_canonical() || !is_near(ip)
        })
    }
}

/// Whether an address is one of those that mean something in one network only.
fn is_near(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local(),
    }
}

/// Where the far end of the flow saw the request come from, if it says so and that is of use in Contact.
fn seen_in(local: &Local, response: &Response, flow: Flow) -> Option<SocketAddr> {
    let via = response.headers().top_via()?;
    // A response to what went out before the networks changed tells of where we were.
    if let (Some(named), Some(own)) = (via.host().ip(), own_address(local))
        && named.to_canonical() != own.ip().to_canonical()
    {
        return None;
    }
    let (received, rport) = (via.received(), via.rport().flatten());
    let ip = received.or_else(|| via.host().ip())?.to_canonical();
    let port = match rport {
        Some(port) => port,
        // The port of a connection is none that we listen on.
        None if flow.connection.is_some() || received.is_none() => return None,
        None => via.port().unwrap_or_else(|| flow.transport.default_port()),
    };
    is_of_use(local, SocketAddr::new(ip, port), flow)
}

/// The address that we take for ours.
fn own_address(local: &Local) -> Option<SocketAddr> {
    local.sent_by.parse().ok()
}

fn is_of_use(local: &Local, seen: SocketAddr, flow: Flow) -> Option<SocketAddr> {
    // RFC 7118 §B.1: who speaks WebSocket is reached over its connection, by whatever name.
    if local.is_advertised || flow.transport.is_websocket() {
        return None;
    }
    // Where nobody stands between, connections to where we listen are better than one that may close.
    let is_own_host = own_address(local).is_some_and(|own| own.ip().to_canonical() == seen.ip());
    (flow.connection.is_none() || !is_own_host || !local.listens).then_some(seen)
}

impl Agent {
    /// Our Contact in a request or response to who is reached by `towards`.
    pub(crate) fn own_contact(
        &self,
        local: Option<&Local>,
        towards: &Uri<'_>,
        account: Option<&Account>,
        user: Option<&str>,
        secure: bool,
    ) -> String {
        if let Some(gruu) = self.gruus.contact(account, secure) {
            return gruu;
        }
        let local = local.map(|local| self.public.named(local, towards, account));
        contact(local.as_deref(), user, secure)
    }

    /// Learns from a response where we were seen.
    pub(crate) fn note_public(
        &mut self,
        tx: &Transactions,
        client: ClientKey,
        response: &Response,
        flow: Flow,
    ) {
        let Some(local) = tx.locals().get(flow.listener) else { return };
        let learns = match self.clients.get(&client) {
            Some(ClientUse::Register(key)) => {
                let registering = self.registrations.get(*key);
                registering.is_some_and(|it| it.account.learns_contact())
            }
            Some(ClientUse::Invite(key) | ClientUse::Modification(key)) => {
                let account = self.calls.get(*key).and_then(|call| call.account.as_ref());
                account.is_some_and(|account| account.learns_contact())
            }
            _ => false,
        };
        let Some(address) = seen_in(local, response, flow).filter(|_| learns) else { return };
        self.public.note(local, address, flow);
        if let Some(ClientUse::Register(key)) = self.clients.get(&client).copied() {
            self.learn_binding(key, address);
        }
    }

    /// A STUN server on the way of a registration has told where it sees us. Gives whether that is news.
    pub(crate) fn note_mapped(
        &mut self,
        tx: &Transactions,
        key: RegistrationKey,
        flow: Flow,
        mapped: SocketAddr,
    ) -> bool {
        let Some(local) = tx.locals().get(flow.listener) else { return false };
        let registering = self.registrations.get(key);
        let learns = registering.is_some_and(|it| it.account.learns_contact());
        let mapped = SocketAddr::new(mapped.ip().to_canonical(), mapped.port());
        let Some(address) = is_of_use(local, mapped, flow).filter(|_| learns) else { return false };
        self.public.note(local, address, flow);
        self.learn_binding(key, address)
    }

    /// Binds that address with the next REGISTER. Gives whether it is another than is bound.
    fn learn_binding(&mut self, key: RegistrationKey, address: SocketAddr) -> bool {
        let Some(registering) = self.registrations.get_mut(key) else { return false };
        if registering.machine.asks_outbound() {
            return false;
        }
        let before = registering.machine.contact_uri();
        let host = match address.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let learned = before.with_host(&host).and_then(|uri| uri.with_port(address.port()));
        let Ok(learned) = learned else { return false };
        let is_news = !learned.is_equivalent(before);
        registering.machine.learn(learned);
        is_news
    }

    /// The Contact of an INVITE that is sent once more, with what its first try has shown.
    pub(crate) fn contact_again(&self, tx: &Transactions, key: CallKey) -> Option<String> {
        let call = self.calls.get(key)?;
        let (caller, account) = (call.caller.as_ref()?, call.account.as_deref()?);
        let NextHop::Uri(towards) = &caller.hop else { return None };
        let local = call.listener.and_then(|listener| tx.locals().get(listener));
        let before = caller.invite.headers().raw(HeaderName::Contact)?;
        let (user, secure) = (account.contact_user(), before.starts_with(b"<sips:"));
        let contact = self.own_contact(local, towards, Some(account), user, secure);
        Some(over_this_flow(contact, Some(account)))
    }
}
