//! What a registrar answers that keeps nothing: for trials of what registers.

use sip_message::{Contact, Expires, Method, Request, StatusCode};
use sip_ua::IncomingRequest;

/// How long a binding is granted that does not say how long it wants to live, in seconds.
const DEFAULT: u32 = 3_600;

/// Answers 200 to a request outside of calls; a REGISTER is granted what it asks for.
pub async fn grant(request: IncomingRequest) {
    let contacts = match request.method() {
        Method::Register => granted(request.request()),
        _ => Vec::new(),
    };
    let contacts: Vec<_> = contacts.iter().map(|contact| ("Contact", contact.as_str())).collect();
    // An error means that the user agent has stopped, as who asks it for what is next finds.
    let _ = request.reply_with(StatusCode::OK, None, &contacts).await;
}

/// The Contact values of the 200 to a REGISTER: what it asks for, granted as it is (RFC 3261 §10.3).
fn granted(register: &Request) -> Vec<String> {
    let asked = register.get::<Expires>().ok().flatten().map_or(DEFAULT, |expires| expires.0);
    let contacts = register.get_all::<Contact<'_>>().filter_map(Result::ok);
    let granted = contacts.filter_map(|contact| {
        let expires = contact.expires().unwrap_or(asked);
        (expires > 0).then(|| Some(format!("<{}>;expires={expires}", contact.uri()?))).flatten()
    });
    granted.collect()
}
