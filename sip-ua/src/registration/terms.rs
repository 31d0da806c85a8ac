//! What the registrar says of the flow of a registration (RFC 5626, RFC 6223).

use std::time::Duration;

use sip_message::{FlowTimer, Require, Response};

/// What the registrar says of the flow, in a 2xx.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FlowTerms {
    /// RFC 5626 §4.2.1: "Presence
    /// of this option-tag indicates that the registrar is compliant with
    /// this specification, and that any edge proxies which needed to
    /// participate are also compliant."
    pub(crate) outbound: bool,
    /// RFC 6223 §4.3: "if the "keep"
    /// parameter in the topmost Via header field of the response contains a
    /// "keep" parameter value, it MUST start sending keep-alives"
    pub(crate) keep: bool,
    /// How often it wants keep-alives.
    pub(crate) timer: Option<Duration>,
}

impl FlowTerms {
    pub(crate) fn of(response: &Response) -> Self {
        let required = response.get::<Require<'_>>().ok().flatten();
        let timer = response.get::<FlowTimer>().ok().flatten().map(|timer| timer.0);
        let keep = keep_of(response);
        // RFC 6223 §5: "it
        // MUST use the procedures defined for the Flow-Timer header field
        // [RFC5626]."
        // RFC 6223 §5: "If the received "keep" parameter value is zero, the SIP entity can
        // send keep-alives at its discretion."
        let most = timer.into_iter().chain(keep.filter(|seconds| *seconds > 0)).min();
        Self {
            outbound: required.is_some_and(|required| required.contains("outbound")),
            keep: keep.is_some(),
            timer: most.map(|seconds| Duration::from_secs(seconds.into())),
        }
    }
}

/// How often the next element wants keep-alives, in seconds, if it has taken up our offer (RFC 6223).
pub(crate) fn keep_of(response: &Response) -> Option<u32> {
    response.headers().top_via()?.keep()?
}
