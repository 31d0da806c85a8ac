//! Where requests go: an `async fn` of the application.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sip_auth::Users;
use sip_message::{Method, Request, StatusCode};
use sip_transport::Flow;

use super::unavailable;
use crate::edge::{Addressed, Gruus};
use crate::location::Store;
use crate::{Reply, Route};

/// A request that is to be routed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Asked {
    /// It, with its routing information prepared (RFC 3261 §16.4).
    pub request: Arc<Request>,
    /// Where it came from.
    pub flow: Flow,
    /// The user of ours who has proven to have sent it, if that was asked; not told to [`Routing::process`].
    pub user: Option<Arc<str>>,
    /// The time since the Unix epoch.
    pub now: Duration,
}

/// Decides where the requests for the domains of a server go (RFC 3261 §16.5). What is for others goes where it says,
/// and is not asked about.
///
/// One may wrap another, and so look at a request before that one does, or at what that one decided.
pub trait Routing: Send + Sync + 'static {
    /// What becomes of this request. A future that is ready at once costs no task; another may take as long as
    /// [`ProxyConfig::routing_limit`](crate::ProxyConfig::routing_limit) says, and the request is answered 500 after
    /// that. [`Route::Later`] counts as no decision.
    fn route(&self, asked: &Asked) -> impl Future<Output = Route> + Send;

    /// What a request is answered that this element takes itself ([`Route::Process`]): by 501 without another
    /// opinion.
    ///
    /// It is for what ends with its answer. An INVITE may be refused here, not accepted: a dialog needs a user agent,
    /// and the ACK to a 2xx, which belongs to no transaction, is routed on like every other ACK and not told here. Who
    /// wants to take calls forwards them to a user agent (`sip-ua`).
    fn process(&self, asked: &Asked) -> impl Future<Output = Reply> + Send {
        let _ = asked;
        std::future::ready(Reply::new(StatusCode::NOT_IMPLEMENTED))
    }
}

/// By a location store: to where the user is registered, by the preferences of the registrations.
///
/// | request for | is answered |
/// | --- | --- |
/// | a user who is registered | by the user's devices: all of one q at a time, the greatest first |
/// | a user who is not registered | 480 |
/// | nobody who is known | 404 |
/// | anybody, while the store or the users cannot be asked | 503 with Retry-After |
/// | the domain itself | 200 if it is an OPTIONS, 404 otherwise |
pub struct Home<S> {
    store: Arc<S>,
    users: Option<Arc<dyn Users>>,
    gruus: Option<Gruus>,
    retry_after: u32,
}

impl<S: Store> Home<S> {
    /// Looks users up in this store. Who is not registered there gets 480.
    pub fn new(store: Arc<S>) -> Self {
        Self { store, users: None, gruus: None, retry_after: 5 }
    }

    /// Answers 404 to requests for others than these.
    #[must_use]
    pub fn only(mut self, users: Arc<dyn Users>) -> Self {
        self.users = Some(users);
        self
    }

    /// Knows the temporary GRUUs that a registrar made with these keys ([`Registrar::gruus`](crate::Registrar::gruus)).
    #[must_use]
    pub fn gruus(mut self, gruus: Gruus) -> Self {
        self.gruus = Some(gruus);
        self
    }

    async fn unregistered(&self, user: Option<&str>) -> Route {
        // RFC 3261 §16.5: "If the Request-URI indicates a resource at this proxy that does not
        // exist, the proxy MUST return a 404 (Not Found) response."
        let exists = match (user, &self.users) {
            (None, _) => Ok(false),
            (Some(user), Some(users)) => users.knows(user).wait().await,
            (Some(_), None) => Ok(true),
        };
        match exists {
            Ok(true) => Route::reply(StatusCode::TEMPORARILY_UNAVAILABLE),
            Ok(false) => Route::reply(StatusCode::NOT_FOUND),
            Err(why) => {
                tracing::warn!(%why, "a user cannot be looked up");
                Route::Reply(unavailable(self.retry_after))
            }
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for Home<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Home").field("store", &self.store).finish_non_exhaustive()
    }
}

impl<S: Store> Routing for Home<S> {
    async fn route(&self, asked: &Asked) -> Route {
        let Ok(uri) = asked.request.uri() else { return Route::reply(StatusCode::BAD_REQUEST) };
        let Some(addressed) = Addressed::of(&uri, self.gruus.as_ref()) else {
            return Route::reply(StatusCode::NOT_FOUND);
        };
        let user = uri.user_decoded();
        if user.is_none() && *asked.request.method() == Method::Options {
            return Route::Reply(Reply::new(StatusCode::OK).header("Supported", "path, outbound"));
        }
        let located = match self.store.lookup(addressed.aor()).await {
            Ok(located) => located,
            Err(error) => {
                let reply = Reply::new(error.status());
                return Route::Reply(reply.header("Retry-After", &self.retry_after.to_string()));
            }
        };
        let mut reachable = located.reachable(asked.now, &*self.store).peekable();
        if reachable.peek().is_none() {
            return self.unregistered(user.as_deref()).await;
        }
        addressed.route(reachable)
    }
}
