//! `--username` and `--password` of a program that is called: whom it serves.

use std::error::Error;

use clap::Args;
use sip_ua::{Algorithm, Authority, Credentials, NonceKey, ServerAuthentication, UserAgentBuilder};

/// Whom requests must come from. Without a user, everybody is served.
#[derive(Args, Clone, Debug)]
pub struct Challenging {
    /// Serve this user only, and challenge everybody else
    #[arg(long, value_name = "NAME", requires = "password")]
    username: Option<String>,
    /// The password of that user
    #[arg(long, value_name = "TEXT", requires = "username")]
    password: Option<String>,
    /// What the user is told to be known at
    #[arg(long, value_name = "TEXT", default_value = "uas", requires = "username")]
    realm: String,
    /// Offer this algorithm (SHA-256, MD5-sess, …); may be given several times. By default SHA-256 and MD5
    #[arg(long, value_name = "NAME", requires = "username")]
    algorithm: Vec<Algorithm>,
    /// Challenge requests within a call as well
    #[arg(long, requires = "username")]
    within_dialogs: bool,
}

impl Challenging {
    /// Lets the user agent challenge by what the command line says.
    ///
    /// # Errors
    ///
    /// If the system has no random numbers, or the realm cannot be written.
    pub fn apply(&self, builder: UserAgentBuilder) -> Result<UserAgentBuilder, Box<dyn Error>> {
        let (Some(username), Some(password)) = (&self.username, &self.password) else {
            return Ok(builder);
        };
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        // There is one user to call here, whatever URI a proxy was given for it.
        let authority = Authority::server(&*self.realm, NonceKey::new(&key)?)?
            .algorithms(self.algorithm.iter().copied())
            .accept_forwarded();
        let users = vec![Credentials::new(username, password)];
        let authentication = ServerAuthentication::new(authority, users);
        Ok(builder.authentication(if self.within_dialogs {
            authentication.within_dialogs()
        } else {
            authentication
        }))
    }
}
