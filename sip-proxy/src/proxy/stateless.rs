//! Forwarding without a transaction (RFC 3261 §16.11), and the CANCEL of what nobody remembers (§16.10).

use std::time::Instant;

use sip_message::{HeaderName, Request, StatusCode};
use sip_transaction::{LoopMark, ServerKey, Transactions};
use sip_transport::Flow;

use super::forward::{Marks, Stay};
use super::{Proxy, forward, names, say};
use crate::route::preprocess;
use crate::{ProxyOptions, Reply, Route, RouteTarget, Router};

/// How a request is forwarded without a transaction.
pub(super) struct Passing {
    pub(super) options: ProxyOptions,
    pub(super) mark: LoopMark,
    pub(super) breadth: u32,
}

impl<R: Router> Proxy<R> {
    /// Forwards a request to its one target, and forgets it.
    #[expect(clippy::too_many_arguments, reason = "what is known of a request that has no context")]
    pub(super) fn forward_statelessly(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ServerKey,
        request: Request,
        target: Option<RouteTarget>,
        flow: &Flow,
        how: Passing,
    ) {
        self.is_stateless = true;
        // RFC 3261 §16.5: the empty target set.
        let Some(target) = target else {
            return say(now, tx, key, &request, &Reply::new(StatusCode::TEMPORARILY_UNAVAILABLE));
        };
        let records = how.options.record_route.unwrap_or(self.config.record_route);
        let stay = Stay { records, tls_route: self.config.tls_route };
        let (edge, breadth) = (self.edge.as_deref(), Some(how.breadth));
        let sent = forward::copy_for(&request, target, flow, tx, edge, stay, breadth)
            .and_then(|(copy, hop)| tx.forward_statelessly(now, copy, hop, how.mark).ok());
        if sent.is_none() {
            return say(now, tx, key, &request, &Reply::new(StatusCode::SERVER_INTERNAL_ERROR));
        }
        tx.discard(key);
    }

    /// The target of an ACK or a CANCEL for a request that may have been forwarded without a transaction.
    fn stateless_target(
        &mut self,
        now: Instant,
        tx: &Transactions,
        request: &Request,
        flow: &Flow,
    ) -> Option<RouteTarget> {
        // RFC 3261 §16.11: "Furthermore,
        // CANCEL and non-Routed ACK requests MUST generate the same
        // choice as their associated INVITE."
        match self.router.route(now, request, flow, tx) {
            Route::Proxy { targets, options } if self.is_stateless && options.stateless => {
                targets.into_iter().flatten().next()
            }
            _ => None,
        }
    }

    /// An ACK for a name of ours: to a refusal of what was forwarded without a transaction, or to nobody.
    pub(super) fn forward_ack_statelessly(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        ack: &Request,
        flow: &Flow,
        mark: LoopMark,
    ) {
        if !self.is_stateless {
            return;
        }
        if let Some(target) = self.stateless_target(now, tx, ack, flow)
            && let Some((copy, hop)) = forward::copy_for(
                ack,
                target,
                flow,
                tx,
                self.edge.as_deref(),
                Stay::default(),
                None,
            )
        {
            // Nobody can be told of a failure: the refusal comes again, and its ACK.
            let _ = tx.forward_statelessly(now, copy, hop, mark);
        }
    }

    /// A CANCEL that matches no request.
    // RFC 3261 §16.10: "If a response context is not found, the element does not have any
    // knowledge of the request to apply the CANCEL to.  It MUST statelessly
    // forward the CANCEL request (it may have statelessly forwarded the
    // associated request previously)."
    pub(super) fn forward_cancel(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        mut cancel: Request,
        flow: &Flow,
    ) {
        let well_formed = cancel.get_all::<sip_message::Route<'_>>().all(|route| route.is_ok());
        let marks = Marks::of(tx, &cancel);
        if !well_formed
            || cancel.headers().max_forwards() == Some(0)
            || marks.are_known(tx, &cancel)
        {
            return tx.refuse_cancel(&cancel, flow);
        }
        let names = names(&self.config, tx);
        let Ok(over) = preprocess(&mut cancel, flow, names, self.edge.as_deref()) else {
            return tx.refuse_cancel(&cancel, flow);
        };
        let is_routed = cancel.headers().contains(HeaderName::Route);
        let Ok(uri) = cancel.uri().map(|uri| uri.to_static()) else {
            return tx.refuse_cancel(&cancel, flow);
        };
        let is_ours = !uri.is_sip() || names.serves(&uri) || names.is_listener(&uri);
        let target = if let Some(hop) = over {
            Some(RouteTarget::new(uri).over(hop))
        } else if is_routed || !is_ours {
            Some(RouteTarget::new(uri))
        } else if self.is_stateless {
            self.stateless_target(now, tx, &cancel, flow)
        } else {
            // Where it went only its response context knew.
            None
        };
        let sent = target
            .and_then(|target| {
                forward::copy_for(
                    &cancel,
                    target,
                    flow,
                    tx,
                    self.edge.as_deref(),
                    Stay::default(),
                    None,
                )
            })
            .and_then(|(copy, hop)| tx.forward_statelessly(now, copy, hop, marks.steady).ok());
        if sent.is_none() {
            tx.refuse_cancel(&cancel, flow);
        }
    }
}
