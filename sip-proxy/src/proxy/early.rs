//! Early dialogs that a refusal ends while other branches go on: the caller is told by 199 (RFC 6228 §6).

use sip_message::{
    HeaderName, Method, ProxyRequire, Request, Require, Response, StatusCode, Supported,
};

/// Whether who sent this wants to know of the end of early dialogs.
pub(super) fn wants_199(request: &Request) -> bool {
    // RFC 6228 §6: "The UAC has indicated support (by inserting the "199" option-tag
    // in a Supported header field) for the 199 response code in the
    // associated request."
    *request.method() == Method::Invite
        && request.headers().to_tag().is_none()
        && request.get_all::<Supported<'_>>().flatten().any(|tags| tags.contains("199"))
        // RFC 6228 §6: "If the Require header field of an initial dialog initiation request
        // contains a "100rel" option-tag, a proxy MUST NOT generate and send
        // 199 responses associated with that request."
        && !request.get_all::<Require<'_>>().flatten().any(|tags| tags.contains("100rel"))
        && !request.get_all::<ProxyRequire<'_>>().flatten().any(|tags| tags.contains("100rel"))
}

/// The 199 for one early dialog.
pub(super) fn terminated(request: &Request, tag: &str, status: StatusCode) -> Option<Response> {
    // RFC 6228 §6: "When a forking proxy generates a 199 response, the response MUST
    // contain a To header field tag parameter that identifies the
    // terminated early dialog.  A proxy MUST also insert a Reason header
    // field that contains the SIP response code of the response that
    // triggered the 199 response."
    let response = Response::to_request(request, StatusCode::EARLY_DIALOG_TERMINATED)
        .to_tag(tag)
        .raw(HeaderName::Reason, format!("SIP;cause={}", status.as_u16()))
        .build();
    // RFC 6228 §6: "When a forking proxy generates and sends a 199 response, the response
    // SHOULD NOT contain a Contact header field or a Record-Route header
    // field [RFC3261]."
    let mut response = response.ok()?;
    response.headers_mut().remove(HeaderName::RecordRoute);
    Some(response)
}
