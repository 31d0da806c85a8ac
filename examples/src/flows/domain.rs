//! A proxy's domain in the flows: who lives there, who must prove who they are, who registered.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sip_auth::Answer;
use sip_message::{Contact, Expires, From, Method, Request, SessionExpires, StatusCode, Uri};
use sip_proxy::{Admission, Reply, Route, RouteTarget, Router};
use sip_transaction::Transactions;
use sip_transport::Flow;

use super::gate::Gate;

/// What a proxy or registrar of a flow knows.
#[derive(Default)]
pub(super) struct Domain {
    /// Who is challenged, for requests that begin something; nobody without it.
    gate: Option<Gate>,
    /// Where its users are.
    users: BTreeMap<String, Vec<Uri<'static>>>,
    /// Whether it tells where its users are, and does not forward.
    redirects: bool,
    /// Its users' places are tried one after the other, each for so long.
    patience: Option<Duration>,
    /// Who may not call, and what tells them why.
    screened: Option<(&'static str, &'static str)>,
    /// Who may not call, by their own word who they are.
    kept_out: Option<&'static str>,
    /// The least session interval, in seconds, that is let through.
    least_session: Option<u32>,
}

impl Domain {
    /// A user and where they are.
    pub(super) fn user(mut self, name: &str, at: &str) -> Self {
        self.users.entry(name.into()).or_default().extend(at.parse());
        self
    }

    /// Challenges everyone.
    pub(super) fn gate(mut self, gate: Gate) -> Self {
        self.gate = Some(gate);
        self
    }

    /// Answers 302.
    pub(super) fn redirects(mut self) -> Self {
        self.redirects = true;
        self
    }

    /// Tries places one after the other, each for at most so long.
    pub(super) fn one_by_one(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// Refuses who proves to be this user, and says where an announcement is.
    pub(super) fn screens(mut self, user: &'static str, announcement: &'static str) -> Self {
        self.screened = Some((user, announcement));
        self
    }

    /// Refuses who says to be this user.
    pub(super) fn keeps_out(mut self, user: &'static str) -> Self {
        self.kept_out = Some(user);
        self
    }

    /// Wants sessions of no shorter interval than this, in seconds: RFC 4028 §8.1.
    pub(super) fn wants_sessions_of(mut self, least: u32) -> Self {
        self.least_session = Some(least);
        self
    }

    /// RFC 3261 §10.3, as far as the flows need it: no more than one user's own bindings, without their ends.
    fn register(&mut self, request: &Request) -> Reply {
        let to = request.get::<sip_message::To<'_>>().ok().flatten();
        let Some(user) = to.as_ref().and_then(|to| to.uri().user().map(str::to_owned)) else {
            return Reply::new(StatusCode::NOT_FOUND);
        };
        let bindings = self.users.entry(user).or_default();
        let removes = matches!(request.get::<Expires>(), Ok(Some(Expires(0))));
        for contact in request.get_all::<Contact<'_>>().flatten() {
            match contact.uri() {
                None => bindings.clear(),
                Some(uri) => {
                    bindings.retain(|binding| !binding.is_equivalent(&uri));
                    if !removes && contact.expires() != Some(0) {
                        bindings.push(uri.to_static());
                    }
                }
            }
        }
        bindings.iter().fold(Reply::new(StatusCode::OK), |reply, binding| {
            reply.header("Contact", &format!("<{binding}>;expires=3600"))
        })
    }
}

fn refused(answer: &Answer) -> Reply {
    answer
        .fields()
        .fold(Reply::new(answer.status), |reply, (name, value)| reply.header(name.as_str(), &value))
}

impl Domain {
    /// Whether who sends this may, and says who it is where that is asked.
    fn judge(&mut self, now: Instant, request: &Request, random: u64) -> Result<(), Reply> {
        let begins = request.headers().to_tag().is_none();
        let from = request.get::<From<'_>>().ok().flatten();
        let is_from = |user| from.as_ref().is_some_and(|from| from.uri().user() == Some(user));
        if begins && self.kept_out.is_some_and(is_from) {
            return Err(Reply::new(StatusCode::FORBIDDEN));
        }
        if let Some(least) = self.least_session
            && let Ok(Some(asked)) = request.get::<SessionExpires<'_>>()
            && asked.seconds() < least
        {
            let refusal = Reply::new(StatusCode::SESSION_INTERVAL_TOO_SMALL);
            return Err(refusal.header("Min-SE", &least.to_string()));
        }
        match &mut self.gate {
            Some(gate) if begins => {
                let judged = gate.user(now, random, request);
                let user = judged.map_err(|answer| refused(&answer))?;
                match self.screened {
                    Some((screened, why)) if user.as_deref() == Some(screened) => {
                        Err(Reply::new(StatusCode::FORBIDDEN).header("Error-Info", why))
                    }
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

impl Router for Domain {
    fn admit(
        &mut self,
        now: Instant,
        request: &Request,
        _: &Flow,
        tx: &mut Transactions,
    ) -> Admission {
        self.judge(now, request, tx.random().next_u64()).into()
    }

    fn route(&mut self, _: Instant, request: &Request, _: &Flow, _: &Transactions) -> Route {
        if *request.method() == Method::Register {
            return Route::Reply(self.register(request));
        }
        let user = request.uri().ok().and_then(|uri| uri.user().map(str::to_owned));
        match user.and_then(|user| self.users.get(&user)) {
            None => Route::reply(StatusCode::NOT_FOUND),
            Some(places) if self.redirects => {
                let moved = Reply::new(StatusCode::MOVED_TEMPORARILY);
                Route::Reply(
                    places
                        .iter()
                        .fold(moved, |reply, place| reply.header("Contact", &format!("<{place}>"))),
                )
            }
            Some(places) => match self.patience {
                None => Route::parallel(places.iter().cloned()),
                Some(patience) => {
                    let target = |uri: &Uri<'static>| RouteTarget::new(uri.clone());
                    let each = places.iter().map(|uri| vec![target(uri).for_at_most(patience)]);
                    Route::groups(each.collect())
                }
            },
        }
    }
}
