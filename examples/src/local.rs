//! User agents of this process that call each other over loopback.

use std::error::Error;

use sip_message::Uri;
use sip_ua::{Account, Recorder, UserAgent};

/// A user agent of that name on any free port, whose messages are recorded.
pub async fn user_agent(
    transport: &str,
    name: &str,
    recorder: &Recorder,
) -> Result<UserAgent, Box<dyn Error + Send + Sync>> {
    let account = Account::new(format!("sip:{name}@example.com").parse()?);
    let listen = format!("{transport}:127.0.0.1:0").parse()?;
    let builder = UserAgent::builder().listen(listen).account(account);
    Ok(builder.tap(recorder.tap(name)).start().await?)
}

/// Where a user agent of this process is reached.
pub fn uri_of(ua: &UserAgent) -> Result<Uri<'static>, Box<dyn Error + Send + Sync>> {
    let local = ua.locals().iter().next().ok_or("there is no listener")?;
    let user = ua.account().identity().user().unwrap_or("anyone");
    let transport = local.transport.as_str().to_ascii_lowercase();
    Ok(format!("sip:{user}@{};transport={transport}", local.addr).parse()?)
}
