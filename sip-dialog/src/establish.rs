//! The response by which a UAS makes a dialog (RFC 3261 §12.1.1).

use sip_message::{
    Contact, HeaderName, RecordRoute, Request, Response, ResponseBuilder, StatusCode, Uri,
};

/// The response to `request` that makes a dialog, or is sent in an early one: 101 to 199 or 2xx, with the tag of
/// [`Dialog::uas`](crate::Dialog::uas). The caller adds Allow, Supported, a body and such, and builds it.
///
/// `contact` is where the peer reaches us in the dialog: a SIP or SIPS URI, and a SIPS URI if
/// [`wants_sips_contact`].
pub fn establishing_response(
    request: &Request,
    status: StatusCode,
    local_tag: &str,
    contact: &Uri<'_>,
) -> ResponseBuilder {
    Response::to_request(request, status)
        .to_tag(local_tag)
        // RFC 3261 §12.1.1: "When a UAS responds to a request with a response that establishes a
        // dialog (such as a 2xx to INVITE), the UAS MUST copy all Record-Route
        // header field values from the request into the response (including the
        // URIs, URI parameters, and any Record-Route header field parameters,
        // whether they are known or unknown to the UAS) and MUST maintain the
        // order of those values."
        .copy(request, HeaderName::RecordRoute)
        // RFC 3261 §12.1.1: "The UAS MUST add a Contact header field to
        // the response."
        .header(&Contact::new(contact))
}

/// Whether the Contact of the response that makes a dialog of `request` must be a SIPS URI.
pub fn wants_sips_contact(request: &Request) -> bool {
    // RFC 3261 §12.1.1: "If the request that initiated the dialog contained a
    // SIPS URI in the Request-URI or in the top Record-Route header field
    // value, if there was any, or the Contact header field if there was no
    // Record-Route header field, the Contact header field in the response
    // MUST be a SIPS URI."
    if request.uri().is_ok_and(|uri| uri.is_secure()) {
        return true;
    }
    match request.get::<RecordRoute>() {
        Ok(Some(route)) => route.uri().is_secure(),
        Ok(None) => request
            .get::<Contact>()
            .ok()
            .flatten()
            .is_some_and(|contact| contact.uri().is_some_and(|uri| uri.is_secure())),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests;
