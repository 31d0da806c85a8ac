//! The route set of a dialog (RFC 3261 §12.1), kept as the text of a Route header field.

use alloc::boxed::Box;
use alloc::string::String;

use sip_message::{HeaderError, Headers, RecordRoute, Uri};
use smallvec::SmallVec;

/// A route set with at least one URI, first hop first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RouteSet {
    first: Uri<'static>,
    /// `<uri>,<uri>`: what a Route header field says.
    text: Box<str>,
}

impl RouteSet {
    /// The UAS's: the Record-Route values of the request in their order. `None` if there are none.
    pub(crate) fn in_order(headers: &Headers) -> Result<Option<Box<RouteSet>>, HeaderError> {
        Ok(RouteSet::of(&record_routes(headers)?))
    }

    /// The UAC's: the Record-Route values of the response, the last one first. `None` if there are none.
    pub(crate) fn reversed(headers: &Headers) -> Result<Option<Box<RouteSet>>, HeaderError> {
        let mut routes = record_routes(headers)?;
        routes.reverse();
        Ok(RouteSet::of(&routes))
    }

    fn of(routes: &[RecordRoute<'_>]) -> Option<Box<RouteSet>> {
        let first = routes.first()?.uri().to_static();
        // The brackets of each URI are there already, its parameters outside of them too much.
        let length = routes.iter().map(|route| route.as_bytes().len() + 1).sum();
        let mut text = String::with_capacity(length);
        for route in routes {
            if !text.is_empty() {
                text.push(',');
            }
            text.push('<');
            text.push_str(route.uri().as_str());
            text.push('>');
        }
        Some(Box::new(RouteSet { first, text: text.into_boxed_str() }))
    }

    /// What it was before a restart: [`first`](Self::first) and [`as_str`](Self::as_str).
    pub(crate) fn restored(first: Uri<'static>, text: &str) -> RouteSet {
        RouteSet { first, text: text.into() }
    }

    /// The first hop.
    pub(crate) fn first(&self) -> &Uri<'static> {
        &self.first
    }

    /// Whether the first hop is a loose router, one that knows RFC 3261.
    pub(crate) fn is_loose(&self) -> bool {
        self.first.lr()
    }

    /// The value of a Route header field with every hop.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The value of a Route header field with every hop but the first; empty if there is one only.
    pub(crate) fn rest(&self) -> &str {
        // "<" first ">" ","
        self.text.get(self.first.as_str().len() + 3..).unwrap_or("")
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.first.as_str().len() + self.text.len()
    }
}

/// Two of them suffice for most calls.
fn record_routes(headers: &Headers) -> Result<SmallVec<[RecordRoute<'_>; 2]>, HeaderError> {
    headers.get_all::<RecordRoute>().collect()
}
