//! What a registrar answers that keeps nothing: for trials of what registers.

use sip_message::{Contact, Expires, Request};

/// How long a binding is granted that does not say how long it wants to live, in seconds.
const DEFAULT: u32 = 3_600;

/// The Contact values of the 200 to a REGISTER: what it asks for, granted as it is (RFC 3261 §10.3).
#[must_use]
pub fn granted(register: &Request) -> Vec<String> {
    let asked = register.get::<Expires>().ok().flatten().map_or(DEFAULT, |expires| expires.0);
    let contacts = register.get_all::<Contact<'_>>().filter_map(Result::ok);
    let granted = contacts.filter_map(|contact| {
        let expires = contact.expires().unwrap_or(asked);
        (expires > 0).then(|| Some(format!("<{}>;expires={expires}", contact.uri()?))).flatten()
    });
    granted.collect()
}
