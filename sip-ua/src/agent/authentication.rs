//! Whom a user agent serves: what it asks for, and where users and the nonces they used are looked up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sip_auth::{Authority, SharedNonces, UsedNonces, Users, Verifier};

/// Which requests are to prove whose they are, and how: see
/// [`UserAgentBuilder::authentication`](crate::UserAgentBuilder::authentication).
///
/// A request that reaches the application has proven it: its Authorization names the user. What From says is
/// another matter, which the application judges.
///
/// The 2xx to such a request proves in turn that this side knows the secret (Authentication-Info), and holds
/// the next nonce when the present one is past half of its life.
#[derive(Clone)]
pub struct ServerAuthentication {
    authority: Authority,
    users: Arc<dyn Users>,
    shared: Option<Arc<dyn SharedNonces>>,
    pub(super) within_dialogs: bool,
    used_nonces: usize,
    pub(super) lookups: usize,
    pub(super) lookup_limit: Duration,
}

impl ServerAuthentication {
    /// Challenges every request outside of a dialog, but ACK and CANCEL, which nobody may challenge.
    pub fn new(authority: Authority, users: impl Users + 'static) -> Self {
        Self {
            authority,
            users: Arc::new(users),
            shared: None,
            within_dialogs: false,
            used_nonces: 65_536,
            lookups: 1_000,
            lookup_limit: Duration::from_secs(10),
        }
    }

    /// Challenges requests within dialogs as well. The other end of a call that was placed from here is
    /// challenged too then: it must be among the users.
    #[must_use]
    pub fn within_dialogs(mut self) -> Self {
        self.within_dialogs = true;
        self
    }

    /// How many nonces in use are remembered, each with some 100 bytes; when there are more, the owners of the
    /// oldest are challenged once more. Default 65,536.
    #[must_use]
    pub fn used_nonces(mut self, limit: usize) -> Self {
        self.used_nonces = limit;
        self
    }

    /// Records used nonces here, and not in the memory of this user agent: for several with one nonce key.
    #[must_use]
    pub fn shared_nonces(mut self, shared: impl SharedNonces + 'static) -> Self {
        self.shared = Some(Arc::new(shared));
        self
    }

    /// How many requests may wait for a [`Lookup::Later`](sip_auth::Lookup::Later) at a time; what comes on top is
    /// answered 503 with Retry-After. Default 1,000.
    #[must_use]
    pub fn lookups(mut self, limit: usize) -> Self {
        self.lookups = limit;
        self
    }

    /// How long one may take before its request is answered 503 with Retry-After. Default 10 s.
    #[must_use]
    pub fn lookup_limit(mut self, limit: Duration) -> Self {
        self.lookup_limit = limit;
        self
    }
}

impl ServerAuthentication {
    /// What judges requests from now on; `unix` is the time since 1970.
    pub(super) fn verifier(&self, unix: Duration) -> Verifier {
        let used = UsedNonces::new(self.used_nonces, unix);
        let verifier = Verifier::new(self.authority.clone(), Arc::clone(&self.users), used);
        match &self.shared {
            Some(shared) => verifier.shared_nonces(Arc::clone(shared)),
            None => verifier,
        }
    }
}

impl fmt::Debug for ServerAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerAuthentication")
            .field("authority", &self.authority)
            .field("within_dialogs", &self.within_dialogs)
            .field("used_nonces", &self.used_nonces)
            .field("lookups", &self.lookups)
            .field("lookup_limit", &self.lookup_limit)
            .finish_non_exhaustive()
    }
}
