//! Where a request for an address-of-record or a GRUU goes: the rules for the several flows of one instance (RFC 5626
//! §7, RFC 5627 §6.1).

use core::cmp::Reverse;

use sip_message::{QValue, StatusCode};
use sip_transaction::NextHop;

use super::{Addressed, Edge, FlowToken};
use crate::{Binding, Route, RouteTarget};

impl Addressed {
    /// The targets among the bindings of [`aor`](Self::aor) that are not over: those that are meant, as
    /// [`Route::bindings`] has them. Without a target it is 480; for a temporary GRUU that does not count any more,
    /// 404.
    pub fn route<'a>(&self, bindings: impl IntoIterator<Item = &'a Binding>) -> Route {
        let is_of = |binding: &&Binding| match &self.instance {
            None => true,
            Some(instance) => {
                binding.instance().is_some_and(|of| of.eq_ignore_ascii_case(instance))
            }
        };
        let bindings: Vec<&Binding> = bindings.into_iter().filter(is_of).collect();
        // RFC 5627 §5.3: "all of the accumulated temporary GRUUs get invalidated once the last
        // contact for a given instance ID expires."
        if let Some(made) = self.made
            && (bindings.is_empty() || bindings.iter().any(|binding| binding.gruus_since() > made))
        {
            return Route::reply(StatusCode::NOT_FOUND);
        }
        Route::bindings(bindings)
    }
}

/// One target for each instance, with the other bindings of it as its other ways.
pub(crate) fn targets(mut bindings: Vec<&Binding>) -> Vec<(RouteTarget, QValue)> {
    // RFC 5627 §6.1: "The proxy MUST select the most recently refreshed
    // contact."
    bindings.sort_by_key(|binding| (Reverse(binding.q()), Reverse(binding.refreshed())));
    let mut targets: Vec<(RouteTarget, QValue, Option<&str>)> = Vec::new();
    for binding in bindings {
        let Some(uri) = binding.uri() else { continue };
        let target = RouteTarget::new(uri).via(binding.path()).registered();
        let instance = binding.instance();
        // RFC 5626 §7: "The proxy MUST NOT populate the target set with more than one
        // contact with the same AOR and instance-id at a time."
        let same = targets.iter_mut().find(|(_, _, of)| {
            of.zip(instance).is_some_and(|(of, instance)| of.eq_ignore_ascii_case(instance))
        });
        match same {
            Some((first, _, _)) => first.others.push(target),
            None => targets.push((target, binding.q(), instance)),
        }
    }
    targets.into_iter().map(|(target, q, _)| (target, q)).collect()
}

impl Edge {
    /// The targets with the flows of this node in place of the tokens that name them, without those whose flow is gone.
    pub(crate) fn resolve(&self, groups: Vec<Vec<RouteTarget>>) -> Vec<Vec<RouteTarget>> {
        let resolved = |mut target: RouteTarget| {
            let others = core::mem::take(&mut target.others);
            let mut ways = core::iter::once(target).chain(others).filter_map(|way| self.way(way));
            let mut first = ways.next()?;
            first.others = ways.collect();
            Some(first)
        };
        groups.into_iter().map(|group| group.into_iter().filter_map(resolved).collect()).collect()
    }

    fn way(&self, mut target: RouteTarget) -> Option<RouteTarget> {
        // One of a key that is not known here may be of another cluster: it will know.
        let token = match target.route.first().and_then(|first| first.user()) {
            Some(user) if target.hop.is_none() => self.tokens.read(user).ok().flatten(),
            _ => None,
        };
        match token {
            // RFC 5626 §7: "If the proxy is co-located with the registrar and stored information
            // about the flow to the UA that created the binding, then the proxy
            // MUST send the request over the same 'logical flow' saved with the
            // binding"
            Some(FlowToken::Here(flow)) if self.is_open(&flow) => {
                target.route.remove(0);
                Some(target.over(NextHop::Over(flow)))
            }
            // RFC 5626 §7: "the proxy MUST invalidate all the bindings in the target
            // set that use that flow (regardless of AOR)."
            Some(FlowToken::Here(_) | FlowToken::Gone) => None,
            Some(FlowToken::At(_)) | None => Some(target),
        }
    }
}
