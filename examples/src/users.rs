//! `--user` and `--algorithm` of a program that serves users: who they are, and how they prove it.

use sip_auth::{Algorithm, Credentials};

/// Reads a user, NAME:PASSWORD.
///
/// # Errors
///
/// There is no colon.
pub fn user(text: &str) -> Result<Credentials, String> {
    let (name, password) = text.split_once(':').ok_or("write NAME:PASSWORD")?;
    Ok(Credentials::new(name, password))
}

/// Reads an algorithm of digest.
///
/// # Errors
///
/// It is none that is known.
pub fn algorithm(text: &str) -> Result<Algorithm, String> {
    text.parse().map_err(|_| "MD5, SHA-256 or SHA-512-256".to_owned())
}
