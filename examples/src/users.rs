//! `--user` of a program that serves users: who they are.

use sip_auth::Credentials;

/// Reads a user, NAME:PASSWORD.
///
/// # Errors
///
/// There is no colon.
pub fn user(text: &str) -> Result<Credentials, String> {
    let (name, password) = text.split_once(':').ok_or("write NAME:PASSWORD")?;
    Ok(Credentials::new(name, password))
}
