//! Answers every call by 180 and 200 with one session description for all, as SIPp's built-in `uas` does: what the
//! user agent costs by itself. The example `uas` also reads each offer and makes an answer for it.
//!
//! `answering ADDRESS:PORT`; prints `ready`, runs until killed.

use std::{env, error::Error, process::ExitCode};

use sip_ua::{Incoming, Invitation, UserAgent};

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
    m=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(address) = env::args().nth(1) else {
        eprintln!("usage: answering ADDRESS:PORT");
        return ExitCode::from(2);
    };
    match serve(&address).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("answering: {address}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(address: &str) -> Result<(), Box<dyn Error>> {
    let ua = UserAgent::builder().listen(format!("udp:{address}").parse()?).start().await?;
    println!("ready");
    while let Some(incoming) = ua.incoming().await {
        if let Incoming::Invitation(invitation) = incoming {
            tokio::spawn(take(invitation));
        }
    }
    Ok(())
}

/// One call, until it is over. What fails ends it, as SIPp counts.
async fn take(invitation: Invitation) {
    let Ok(invitation) = invitation.ring().await else { return };
    if let Ok(mut call) = invitation.accept(SDP).await {
        call.ended().await;
    }
}
