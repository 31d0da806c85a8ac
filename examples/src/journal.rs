//! A line for each request that a server has answered.

use std::sync::Arc;

use bytes::Bytes;
use sip_message::{From, Limits, Message, Method, Response, To};
use sip_transport::{Tap, Tapped};

use crate::{Console, shown};

/// A tap that prints what the program answers: method, who to whom, status.
pub fn journal(console: Arc<Console>) -> impl Tap {
    move |tapped: Tapped<'_>| {
        // Requests, keep-alives and provisional responses come to nothing yet.
        if !tapped.sent || !tapped.bytes.starts_with(b"SIP/2.0 ") {
            return;
        }
        let bytes = Bytes::copy_from_slice(tapped.bytes);
        if let Ok(Message::Response(response)) = Message::parse(bytes, &Limits::default())
            && let Some(line) = line(&response)
        {
            console.event(format_args!("{line}"));
        }
    }
}

fn line(response: &Response) -> Option<String> {
    let (status, headers) = (response.status(), response.headers());
    let method: Method = headers.cseq()?.method.parse().ok()?;
    let (from, to) = (headers.get::<From<'_>>().ok()??, headers.get::<To<'_>>().ok()??);
    match method {
        _ if status.is_provisional() => None,
        Method::Register => Some(format!("REGISTER {}: {}", shown(&to), status.as_u16())),
        method => Some(format!("{method} {} -> {}: {}", shown(&from), shown(&to), status.as_u16())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line_of(start: &str, cseq: &str) -> Option<String> {
        let text = format!(
            "SIP/2.0 {start}\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@example.com>;tag=1\r\n\
            To: \"B\" <sip:b@example.com>;tag=2\r\nCall-ID: c\r\nCSeq: 1 {cseq}\r\nContent-Length: 0\r\n\r\n"
        );
        match Message::parse(Bytes::from(text), &Limits::default()).unwrap() {
            Message::Response(response) => line(&response),
            Message::Request(_) => unreachable!(),
        }
    }

    #[test]
    fn a_line_says_who_asked_for_what_of_whom() {
        let register = line_of("401 Unauthorized", "REGISTER");
        assert_eq!(register.as_deref(), Some("REGISTER sip:b@example.com: 401"));
        let call = line_of("486 Busy Here", "INVITE");
        assert_eq!(call.as_deref(), Some("INVITE sip:a@example.com -> sip:b@example.com: 486"));
        assert_eq!(line_of("180 Ringing", "INVITE"), None);
    }
}
