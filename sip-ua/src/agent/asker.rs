//! A request of a machine of the agent that is out: sent with credentials, and again when they are asked for.
//!
//! Subscriptions, notifiers and publications each have one request out at a time, and one of these.

use std::sync::Arc;
use std::time::Instant;

use sip_auth::Authenticator;
use sip_message::{Request, Response};
use sip_transaction::{ClientKey, NextHop, RequestError, Transactions};

use super::outgoing::{confirm, is_challenge, set_cseq};
use super::requests::MAX_CHALLENGES;
use crate::Account;

/// Who asks, and what is out.
pub(crate) struct Asker {
    /// Whose secrets answer challenges.
    account: Option<Arc<Account>>,
    /// The challenges that were answered.
    auth: Option<Box<Authenticator>>,
    /// The request that is out, or was last.
    last: Option<Box<Last>>,
}

struct Last {
    /// Without Via.
    request: Request,
    hop: NextHop,
    challenges: u8,
}

impl Asker {
    pub(crate) fn new(account: Option<Arc<Account>>) -> Self {
        Self { account, auth: None, last: None }
    }

    pub(crate) fn account(&self) -> Option<&Arc<Account>> {
        self.account.as_ref()
    }

    /// The request that was sent last, until it is [forgotten](Self::forget).
    pub(crate) fn last(&self) -> Option<(&Request, &NextHop)> {
        self.last.as_deref().map(|last| (&last.request, &last.hop))
    }

    /// What was sent last is not needed any more.
    pub(crate) fn forget(&mut self) {
        self.last = None;
    }

    pub(crate) fn send(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        request: Request,
        hop: NextHop,
    ) -> Result<ClientKey, RequestError> {
        self.transmit(now, tx, Last { request, hop, challenges: 0 })
    }

    /// RFC 3261 §22.2 and §22.3: once more with credentials, under this CSeq number. `None` if the response asks
    /// for none, or for some that we do not have.
    pub(crate) fn again(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        response: &Response,
        next_cseq: impl FnOnce(&Request) -> Option<u32>,
    ) -> Option<ClientKey> {
        if !is_challenge(response.status()) {
            return None;
        }
        let account = self.account.as_ref().filter(|account| !account.all_credentials().is_empty());
        let account = Arc::clone(account?);
        let last = self.last.as_ref().filter(|last| last.challenges < MAX_CHALLENGES)?;
        let auth = self.auth.get_or_insert_default();
        auth.challenged(response, account.all_credentials()).ok()?;
        let number = next_cseq(&last.request)?;
        let mut last = *self.last.take()?;
        set_cseq(&mut last.request, number);
        last.challenges += 1;
        self.transmit(now, tx, last).ok()
    }

    /// A final response came that asks for no credentials.
    pub(crate) fn answered(&mut self, response: &Response) {
        if let (Some(auth), Some(account)) = (&mut self.auth, &self.account) {
            confirm(auth, account.all_credentials(), response);
        }
    }

    fn transmit(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        mut last: Last,
    ) -> Result<ClientKey, RequestError> {
        if let (Some(auth), Some(account)) = (&mut self.auth, &self.account) {
            auth.authorize(&mut last.request, account.all_credentials(), || tx.random().next_u64());
        }
        let sent = tx.request(now, last.request.clone(), last.hop.clone());
        self.last = Some(Box::new(last));
        sent
    }
}
