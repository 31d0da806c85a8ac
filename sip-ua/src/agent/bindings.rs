//! Asking a registrar where an account is registered (RFC 3261 §10.2.3).

use std::sync::Arc;
use std::time::Instant;

use sip_message::Method;
use sip_transaction::Transactions;

use super::Agent;
use super::compose::{FirstHop, Initial};
use super::registrations::registrar_of;
use super::requests::{Owner, Place};
use crate::{Account, AgentError, RequestKey};

impl Agent {
    /// Asks the account's registrar for all bindings of its address of record, those of other devices included. The
    /// answer comes as [`AgentEvent::Response`](crate::AgentEvent::Response), challenges answered: a 2xx lists them in
    /// its Contacts. It changes nothing.
    ///
    /// # Errors
    /// When the request cannot be built or sent, or too many wait for their answers.
    // RFC 3261 §10.2.3: "A success response to any REGISTER request contains the complete list
    // of existing bindings, regardless of whether the request contained a
    // Contact header field."
    pub fn bindings(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        account: &Arc<Account>,
    ) -> Result<RequestKey, AgentError> {
        self.check_requests()?;
        let registrar = registrar_of(account)?;
        let hop = FirstHop::of(account, &registrar);
        let (method, to) = (Method::Register, account.identity());
        let initial = Initial { account, method, to, hop: &hop, body: None, headers: &[] };
        let mut request = self.initial_request(tx, &initial)?;
        // RFC 3261 §10.2: "The Request-URI names the domain of the location
        // service for which the registration is meant"
        request.set_uri(&registrar);
        let account = Some(Arc::clone(account));
        self.ask(now, tx, Place::Outside, Owner::Application, request, hop.next_hop(), account)
    }
}
