//! How a bridge behaves: who calls the second leg, what crosses, who follows a REFER.

use std::fmt;
use std::sync::Arc;

use sip_message::StatusCode;

use super::Leg;
use super::headers::HeaderPass;
use crate::{Account, Body};

/// How a bridge behaves: plain data, shared by as many bridges as like it.
///
/// ```
/// use sip_ua::{BridgeIdentity, BridgeOptions, HeaderPass};
///
/// let options = BridgeOptions::default()
///     .identity(BridgeIdentity::Account)
///     .pass(HeaderPass::default().and("X-Tenant")?)
///     .header("X-Via", "pbx");
/// # Ok::<(), sip_ua::BadHeaderName>(())
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct BridgeOptions {
    /// Whose secrets answer challenges of the second leg, and by way of which proxy it is called. Default the user
    /// agent's own account.
    pub account: Option<Arc<Account>>,
    /// Whom the second leg sees calling. Default the caller.
    pub identity: BridgeIdentity,
    /// Which header fields cross.
    pub pass: HeaderPass,
    /// Whether the called side belongs to our trust domain: only then it hears who the network says the caller is,
    /// where the caller asks for privacy (RFC 3325 §5). Default no.
    pub trusts_target: bool,
    /// What becomes of a REFER. Default it is relayed.
    pub refer: BridgeRefer,
    /// How many redirections are followed on the second leg; one more is handed to the caller. Default 0.
    pub redirects: u8,
    /// More header fields for the INVITE of the second leg.
    pub headers: Vec<(String, String)>,
    /// Makes what stands in the media path of each bridge. Default nothing: descriptions cross as they are.
    pub media: Option<MediaFactory>,
}

/// Makes the media path of a bridge.
pub type MediaFactory = Arc<dyn Fn() -> Box<dyn BridgeMedia> + Send + Sync>;

/// Whom the second leg of a bridge sees calling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BridgeIdentity {
    /// The caller, as its From says: the back-to-back user agent is not to be noticed.
    #[default]
    Caller,
    /// The account: the caller is hidden.
    Account,
}

/// What becomes of a REFER of one leg.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BridgeRefer {
    /// The other leg gets it, and what that reports goes back. Where Replaces in it names a call of another bridge, the
    /// other leg of that is named in its place, so that the two meet.
    #[default]
    Relay,
    /// It is done here, and its sender is told how it goes: the one it names is called, and takes its sender's leg when it
    /// answers. Where Replaces in it names a call of another bridge, the two that are behind meet.
    Follow,
    /// It is declined by 403.
    Refuse,
}

/// What stands in the media path of one bridge: a relay that puts its own addresses into session descriptions, a
/// transcoder that changes their codecs (RFC 7092 §3.2). It must answer at once.
pub trait BridgeMedia: Send {
    /// A session description of this leg is about to cross to the other one: offer or answer, for the first time or
    /// again. Gives what the other one gets to see.
    ///
    /// # Errors
    /// The status that refuses it, 488 for one: an offer is refused with it; with an answer the bridge ends.
    fn cross(&mut self, from: Leg, description: Body) -> Result<Body, StatusCode>;
}

impl BridgeOptions {
    /// Sets [`account`](Self::account).
    #[must_use]
    pub fn account(mut self, account: Arc<Account>) -> Self {
        self.account = Some(account);
        self
    }

    /// Sets [`identity`](Self::identity).
    #[must_use]
    pub fn identity(mut self, identity: BridgeIdentity) -> Self {
        self.identity = identity;
        self
    }

    /// Sets [`pass`](Self::pass).
    #[must_use]
    pub fn pass(mut self, pass: HeaderPass) -> Self {
        self.pass = pass;
        self
    }

    /// Sets [`trusts_target`](Self::trusts_target).
    #[must_use]
    pub fn trusts_target(mut self, trusts: bool) -> Self {
        self.trusts_target = trusts;
        self
    }

    /// Sets [`refer`](Self::refer).
    #[must_use]
    pub fn refer(mut self, refer: BridgeRefer) -> Self {
        self.refer = refer;
        self
    }

    /// Sets [`redirects`](Self::redirects).
    #[must_use]
    pub fn redirects(mut self, addresses: u8) -> Self {
        self.redirects = addresses;
        self
    }

    /// Adds one of [`headers`](Self::headers).
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets [`media`](Self::media).
    #[must_use]
    pub fn media(
        mut self,
        make: impl Fn() -> Box<dyn BridgeMedia> + Send + Sync + 'static,
    ) -> Self {
        self.media = Some(Arc::new(make));
        self
    }
}

impl fmt::Debug for BridgeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgeOptions")
            .field("identity", &self.identity)
            .field("pass", &self.pass)
            .field("redirects", &self.redirects)
            .finish_non_exhaustive()
    }
}
