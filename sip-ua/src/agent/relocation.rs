//! What follows when the networks of this machine have changed: another Wi-Fi, a cable pulled, a VPN begun.
//!
//! 1. [`Agent::network_changed`] has the transport look at its addresses anew. Connections are dropped, the
//!    listeners have their new names.
//! 2. Registrations are made anew at once, with those names; behind a NAT their answers show where we are seen.
//! 3. Then each established call is told, and its application offers its session anew: media have moved as
//!    well, and session descriptions are opaque here. The Contact of that re-INVITE moves the dialog. Calls
//!    that are still being set up are told when they are established.

use std::time::Instant;

use sip_transaction::Transactions;
use sip_transport::ListenerId;

use super::Agent;
use super::call::Phase;
use super::registrations::binding;
use crate::registration::Input;
use crate::{AgentEvent, CallKey, CallUpdate, RegistrationKey};

impl Agent {
    /// The networks of this machine have changed. [`AgentEvent::NetworkChanged`] follows, and for each call
    /// [`CallUpdate::NetworkChanged`]; registrations begin anew over new flows. To be called whenever the system
    /// says so: that nothing has changed after all costs one registration and one re-INVITE of each call.
    pub fn network_changed(&mut self, tx: &mut Transactions) {
        tx.rebind();
    }

    /// The transport has looked at its addresses.
    pub(crate) fn rebound(&mut self, now: Instant, tx: &mut Transactions, lost: Vec<ListenerId>) {
        self.public.forget();
        self.kept_calls.forget_all(tx);
        self.events.push_back(AgentEvent::NetworkChanged { lost });
        let calls: Vec<CallKey> = self
            .calls
            .iter()
            .filter(|(_, call)| !matches!(call.phase, Phase::Over))
            .map(|(key, _)| key.into())
            .collect();
        for key in calls {
            if let Some(call) = self.calls.get_mut(key) {
                call.is_relocated = true;
            }
        }
        let registrations: Vec<RegistrationKey> =
            self.registrations.iter().map(|(key, _)| key.into()).collect();
        for key in registrations {
            self.stop_keeping(tx, key);
            let Some(registering) = self.registrations.get_mut(key) else { continue };
            registering.flow = None;
            let registrar = registering.machine.registrar();
            if let Ok(contact) = binding(tx, &registering.account, registrar) {
                registering.machine.relocate(contact);
            }
            self.drive_registration(now, tx, key, Input::Refresh);
        }
        // Not before: one that fails at once does not speak for those after it.
        self.relocating = true;
        if !self.registrations.values().any(|registering| registering.machine.is_asking()) {
            self.relocated_calls();
        }
    }

    /// A registration has an outcome, so that it is known where we are seen now: the calls are told.
    pub(crate) fn relocated_calls(&mut self) {
        if !std::mem::take(&mut self.relocating) {
            return;
        }
        let relocated = self.calls.iter().filter(|(_, call)| call.is_relocated);
        let relocated: Vec<CallKey> = relocated.map(|(key, _)| key.into()).collect();
        for key in relocated {
            self.tell_relocated(key);
        }
    }

    /// Tells a call of a change of networks, if there was one and the call is established by now.
    pub(crate) fn tell_relocated(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(key) else { return };
        if !self.relocating && matches!(call.phase, Phase::Established) && call.is_relocated {
            call.is_relocated = false;
            self.update(key, CallUpdate::NetworkChanged);
        }
    }
}
