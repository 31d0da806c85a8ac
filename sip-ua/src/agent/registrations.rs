//! Registrations: the machine of RFC 3261 §10.2 wired to transactions and timers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_message::{Contact, NameAddr, Request, Uri};
use sip_transaction::{ClientKey, NextHop, RequestError, TimerKey, Transactions};
use sip_transport::{Flow, TransportError};

use super::compose::{CALL_ID_BITS, FirstHop, TAG_BITS, contact, draw, listener_towards};
use super::flows::Keeping;
use super::table::TimerKind;
use super::{Agent, ClientUse};
use crate::account::Outbound;
use crate::registration::{Action, FlowTerms, Input, Registration, RegistrationConfig};
use crate::{Account, AgentError, AgentEvent, KeepAlive, RegistrationKey};

/// Where an account is registered: at its domain, if it says nothing else.
pub(super) fn registrar_of(account: &Account) -> Result<Uri<'static>, AgentError> {
    if let Some(registrar) = account.registrar_uri() {
        return Ok(registrar.clone());
    }
    let identity = account.identity();
    let host = identity.host_str().ok_or(AgentError::Address)?;
    let make = if identity.is_secure() { Uri::sips } else { Uri::sip };
    make(host, identity.port()).map_err(|_| AgentError::Address)
}

/// The address that a registration binds at first: where we listen for what the registrar sends.
pub(super) fn binding(
    tx: &Transactions,
    account: &Account,
    registrar: &Uri<'static>,
) -> Result<Uri<'static>, AgentError> {
    if let Some(contact) = account.contact_uri() {
        return Ok(contact.clone());
    }
    let hop = FirstHop::of(account, registrar);
    let secure = registrar.is_secure() || hop.uri.is_secure();
    let user = account.identity().user();
    let text = contact(listener_towards(tx, &hop.uri), user, secure);
    text.trim_matches(['<', '>']).parse().map_err(|_| AgentError::Address)
}

/// One registration and what it waits for.
pub(crate) struct Registering {
    pub(super) account: Arc<Account>,
    pub(super) machine: Registration,
    hop: Option<Uri<'static>>,
    timer: Option<TimerKey>,
    /// The flow that we are registered over, while it is known to hold.
    pub(super) flow: Option<Flow>,
    /// Whether a refresh must go over it.
    pub(super) outbound: bool,
    /// Since when we are registered over the flow.
    pub(super) since: Instant,
    pub(super) keeping: Option<Keeping>,
    pub(super) keep_alive: KeepAlive,
    pub(super) keep_alive_interval: Option<Duration>,
}

impl Agent {
    /// Binds the account's address to this endpoint at its registrar, and keeps the binding alive. How it
    /// goes is told by [`AgentEvent::Registration`], until it is over.
    ///
    /// # Errors
    /// When as many registrations are kept as the configuration allows, or the account's address is one that
    /// cannot be registered.
    pub fn register(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        account: &Arc<Account>,
    ) -> Result<RegistrationKey, AgentError> {
        if self.registrations.len() >= self.config.max_registrations {
            return Err(AgentError::Full { what: "registrations" });
        }
        let config = self.registration_config(tx, account)?;
        self.forget_temporary_gruu(account);
        let registering = Registering {
            account: Arc::clone(account),
            machine: Registration::new(config),
            hop: account.outbound_proxy_uri().cloned(),
            timer: None,
            flow: None,
            outbound: false,
            since: now,
            keeping: None,
            keep_alive: account.keep_alive_kind(),
            keep_alive_interval: account.longest_keep_alive_interval(),
        };
        let key = self.registrations.insert_with(|_| registering);
        let key = key.ok_or(AgentError::Full { what: "registrations" })?.into();
        self.drive_registration(now, tx, key, Input::Start);
        Ok(key)
    }

    /// Removes the binding; [`RegistrationEvent::Unregistered`](crate::RegistrationEvent::Unregistered) follows.
    ///
    /// # Errors
    /// [`AgentError::Gone`] if the registration is over.
    pub fn unregister(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        registration: RegistrationKey,
    ) -> Result<(), AgentError> {
        self.registrations.get(registration).ok_or(AgentError::Gone)?;
        self.drive_registration(now, tx, registration, Input::Stop);
        Ok(())
    }

    /// Refreshes the binding now: after a change of network, say.
    ///
    /// # Errors
    /// [`AgentError::Gone`] if the registration is over.
    pub fn refresh(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        registration: RegistrationKey,
    ) -> Result<(), AgentError> {
        self.registrations.get(registration).ok_or(AgentError::Gone)?;
        self.drive_registration(now, tx, registration, Input::Refresh);
        Ok(())
    }

    /// No longer keeps the registration, and leaves its binding to run out: no event of it follows.
    pub fn abandon(&mut self, tx: &mut Transactions, registration: RegistrationKey) {
        self.registration_over(tx, registration);
    }

    fn registration_over(&mut self, tx: &mut Transactions, key: RegistrationKey) {
        let Some(registering) = self.registrations.remove(key) else { return };
        self.forget_gruu(key);
        let keeping = registering.keeping.map(|keeping| keeping.timer);
        for timer in registering.timer.into_iter().chain(keeping) {
            tx.disarm(timer);
        }
    }

    fn registration_config(
        &self,
        tx: &mut Transactions,
        account: &Account,
    ) -> Result<RegistrationConfig, AgentError> {
        let identity = account.identity();
        let registrar = registrar_of(account)?;
        let mut aor = NameAddr::new(identity);
        if let Some(name) = account.shown_name() {
            aor = aor.with_display_name(name).map_err(|_| AgentError::Address)?;
        }
        let hop = FirstHop::of(account, &registrar);
        let contact = binding(tx, account, &registrar)?;
        let mut headers = Vec::new();
        let mut add = |name: &str, value: Option<&str>| {
            headers.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        };
        add("Route", hop.route());
        add("Allow", Some(&self.capabilities.allow));
        let outbound = account.outbound_flow();
        if let Some(Outbound { instance, reg_id }) = outbound {
            Contact::new(&contact)
                .with_reg_id(*reg_id)
                .and_then(|contact| contact.with_instance(instance))
                .map_err(|_| AgentError::Address)?;
        }
        if let Some(instance) = account.instance_id() {
            Contact::new(&contact).with_instance(instance).map_err(|_| AgentError::Address)?;
        }
        // RFC 5626 §4.2.1: "UAs that support this
        // specification MUST include the outbound option tag in a Supported
        // header field in a REGISTER request."
        // RFC 5626 §4.2.1: "The UAC MUST support the Path header [RFC3327] mechanism, and
        // indicate its support by including the 'path' option-tag in a
        // Supported header field value in its REGISTER requests."
        let own = outbound.map(|_| "outbound, path");
        let supported: Vec<&str> =
            self.capabilities.supported.as_deref().into_iter().chain(own).collect();
        add("Supported", Some(supported.join(", ").as_str()).filter(|list| !list.is_empty()));
        add("User-Agent", self.capabilities.user_agent.as_deref());
        Ok(RegistrationConfig {
            registrar,
            aor: aor.to_string(),
            contact,
            instance: account.instance_id().map(Into::into),
            outbound: outbound.cloned(),
            expires: u32::try_from(account.registration_expires().as_secs()).unwrap_or(u32::MAX),
            call_id: tx.random().token(CALL_ID_BITS),
            from_tag: tx.random().token(TAG_BITS),
            headers,
            credentials: account.all_credentials().to_vec(),
            require_proof: account.requires_proof(),
        })
    }

    /// A final response to a REGISTER, or none.
    pub(crate) fn register_answered(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        client: ClientKey,
        key: RegistrationKey,
        input: Input<'_>,
        flow: Option<Flow>,
    ) {
        self.clients.remove(&client);
        if let Input::Response(response) = &input
            && response.status().is_success()
        {
            self.note_gruu(now, key, response);
        }
        let terms = match (&input, flow) {
            (Input::Response(response), Some(flow)) if response.status().is_success() => {
                Some((flow, FlowTerms::of(response)))
            }
            _ => None,
        };
        self.drive_registration(now, tx, key, input);
        self.note_flow(now, tx, key, terms);
    }

    /// The time for a refresh, or for another attempt.
    pub(crate) fn registration_timer(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: RegistrationKey,
    ) {
        if let Some(registering) = self.registrations.get_mut(key) {
            registering.timer = None;
        }
        self.drive_registration(now, tx, key, Input::Timer);
    }

    /// Hands an input to the machine and does what it asks for.
    pub(super) fn drive_registration(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: RegistrationKey,
        input: Input<'_>,
    ) {
        self.set_base_wait(key);
        let mut next = Some(input);
        // A REGISTER that cannot be sent is one more input; the machine then waits, so that this ends.
        while let Some(input) = next.take() {
            let Some(registering) = self.registrations.get_mut(key) else { return };
            let actions = registering.machine.handle(input, &mut |range| draw(tx, range));
            for action in actions {
                let Some(registering) = self.registrations.get_mut(key) else { return };
                match action {
                    Action::Send(request) => {
                        if let Err(error) = self.send_register(now, tx, key, request) {
                            next = Some(Input::TransportError(error));
                        }
                    }
                    Action::Arm(after) => {
                        let timer = tx.arm(now, after, TimerKind::Registration.token(key));
                        if let Some(before) = registering.timer.replace(timer) {
                            tx.disarm(before);
                        }
                    }
                    Action::Disarm => {
                        if let Some(timer) = registering.timer.take() {
                            tx.disarm(timer);
                        }
                    }
                    Action::Event(event) => {
                        self.events.push_back(AgentEvent::Registration { registration: key, event })
                    }
                }
            }
        }
        let registering = self.registrations.get(key);
        let is_asking = registering.is_some_and(|registering| registering.machine.is_asking());
        if registering.is_some_and(|registering| registering.machine.is_over()) {
            self.registration_over(tx, key);
        }
        if !is_asking {
            self.relocated_calls();
        }
    }

    fn send_register(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: RegistrationKey,
        request: Request,
    ) -> Result<(), TransportError> {
        let Some(registering) = self.registrations.get(key) else { return Ok(()) };
        let uri = registering.hop.as_ref().unwrap_or(registering.machine.registrar()).clone();
        let hop = match registering.flow {
            // RFC 5626 §4.2.2: "Registrations that merely
            // refresh an existing binding are sent over the same flow as the
            // original registration where the binding was added."
            // Should the connection just have closed, who takes the next one still has to be the registrar.
            Some(flow) if registering.outbound => NextHop::FlowFor { flow, uri },
            _ => NextHop::Uri(uri),
        };
        let keep = registering.keep_alive != KeepAlive::Off;
        let client = match tx.request_with_keep(now, request, hop, keep) {
            Ok(client) => client,
            Err(RequestError::Transport(error)) => return Err(error),
            Err(RequestError::Full) => return Err(TransportError::QueueFull),
            Err(_) => return Err(TransportError::NoListener),
        };
        self.clients.insert(client, ClientUse::Register(key));
        Ok(())
    }
}
