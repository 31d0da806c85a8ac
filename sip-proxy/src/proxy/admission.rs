//! Requests of which somebody has to be asked first whether they are served.

use std::sync::Arc;
use std::time::Instant;

use sip_message::{Request, StatusCode};
use sip_transaction::{Key, ServerKey, TimerKey, Transactions};
use sip_transport::Flow;

use super::forward::Marks;
use super::{Proxy, say};
use crate::{Admission, ProxyEvent, Reply, Router};

/// One of them.
pub(super) struct Held {
    request: Arc<Request>,
    flow: Flow,
    marks: Marks,
    /// The limit of the wait.
    timer: TimerKey,
}

impl<R: Router> Proxy<R> {
    /// Tells whether a request that waits ([`ProxyEvent::Admitting`]) is served. Nothing happens when it does not
    /// wait any more: it was cancelled, or the wait was too long. [`Admission::Later`] lets it wait on.
    pub fn admitted(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ServerKey,
        admission: Admission,
    ) {
        if matches!(admission, Admission::Later) {
            return;
        }
        let Some(Held { request, flow, marks, timer }) = self.held.remove(&key) else { return };
        tx.disarm(timer);
        match admission {
            Admission::Admitted => {
                self.serve(now, tx, key, Arc::unwrap_or_clone(request), flow, marks);
            }
            Admission::Refused(reply) => say(now, tx, key, &request, &reply),
            Admission::Later => {}
        }
    }

    pub(super) fn hold(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ServerKey,
        request: Request,
        flow: Flow,
        marks: Marks,
    ) {
        let timer = tx.arm(now, self.config.admission_limit, Key::Server(key).as_u64());
        let request = Arc::new(request);
        self.events.push_back(ProxyEvent::Admitting { key, request: Arc::clone(&request), flow });
        self.held.insert(key, Held { request, flow, marks, timer });
    }

    pub(super) fn held_too_long(&mut self, now: Instant, tx: &mut Transactions, key: ServerKey) {
        let retry_after = self.config.retry_after.to_string();
        let reply = Reply::new(StatusCode::SERVICE_UNAVAILABLE).header("Retry-After", &retry_after);
        self.admitted(now, tx, key, Admission::Refused(reply));
    }
}
