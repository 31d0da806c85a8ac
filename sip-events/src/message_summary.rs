//! `message-summary`: how many messages wait (RFC 3842).

use std::fmt::Write;
use std::time::Duration;

use crate::{BodyError, EventPackage};

/// How many classes of messages, and how many lines of message headers, are read.
const MAX_LINES: usize = 256;

/// How many messages wait (RFC 3842 §5.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageSummary {
    /// Whether there are new messages.
    pub waiting: bool,
    /// The URI of the account they wait in.
    pub account: Option<String>,
    /// The classes of messages in order, as they are written: `Voice-Message`, `Fax-Message` …
    pub classes: Vec<(String, Counts)>,
    /// The headers of newly added messages, each a list of names and values.
    pub messages: Vec<Vec<(String, String)>>,
}

/// How many messages of one class there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// New ones.
    pub new: u32,
    /// Old ones.
    pub old: u32,
    /// How many of them are urgent, new and old, where that is known.
    pub urgent: Option<(u32, u32)>,
}

impl MessageSummary {
    /// The counts of a class, whose name is compared without regard to case.
    pub fn counts(&self, class: &str) -> Option<Counts> {
        self.classes.iter().find(|(name, _)| name.eq_ignore_ascii_case(class)).map(|found| found.1)
    }
}

impl EventPackage for MessageSummary {
    const NAME: &'static str = "message-summary";
    // RFC 3842 §3.4: "The default subscription duration for this event package is one hour."
    const DEFAULT_EXPIRES: u32 = 3600;
    // RFC 3842 §3.5: "If no "Accept"
    // header is present in the SUBSCRIBE, the body type defined in this
    // document MUST be assumed."
    const CONTENT_TYPE: &'static str = "application/simple-message-summary";
    // RFC 3842 §3.11 leaves it to the notifier.
    const LEAST_INTERVAL: Option<Duration> = None;
    // RFC 3842 §3.10: "Forked requests are allowed for this event type and may install"
    // several subscriptions.
    const FORKS: bool = true;

    fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let text = std::str::from_utf8(body).map_err(|_| BodyError::Encoding)?;
        let mut lines = text.lines();
        let (name, status) = field(lines.next().ok_or(BodyError::Missing("Messages-Waiting"))?)?;
        if !name.eq_ignore_ascii_case("Messages-Waiting") {
            return Err(BodyError::Missing("Messages-Waiting"));
        }
        let waiting = match status {
            yes if yes.eq_ignore_ascii_case("yes") => true,
            no if no.eq_ignore_ascii_case("no") => false,
            _ => return Err(BodyError::Invalid("Messages-Waiting")),
        };
        let mut summary = Self { waiting, ..Self::default() };
        let mut in_headers = false;
        for (count, line) in lines.enumerate() {
            if count >= MAX_LINES {
                return Err(BodyError::TooMany("lines"));
            }
            if line.trim().is_empty() {
                in_headers = true;
                summary.messages.push(Vec::new());
                continue;
            }
            let (name, value) = field(line)?;
            if in_headers {
                let message = summary.messages.last_mut();
                message.into_iter().for_each(|m| m.push((name.to_owned(), value.to_owned())));
            } else if name.eq_ignore_ascii_case("Message-Account") {
                summary.account = Some(value.to_owned());
            } else {
                summary.classes.push((name.to_owned(), counts(value)?));
            }
        }
        summary.messages.retain(|message| !message.is_empty());
        Ok(summary)
    }

    fn render(&self) -> String {
        let mut out = String::new();
        let status = if self.waiting { "yes" } else { "no" };
        // Writing to a String does not fail.
        let _ = write!(out, "Messages-Waiting: {status}\r\n");
        if let Some(account) = &self.account {
            let _ = write!(out, "Message-Account: {account}\r\n");
        }
        for (class, Counts { new, old, urgent }) in &self.classes {
            let _ = write!(out, "{class}: {new}/{old}");
            if let Some((new, old)) = urgent {
                let _ = write!(out, " ({new}/{old})");
            }
            out.push_str("\r\n");
        }
        for message in &self.messages {
            out.push_str("\r\n");
            for (name, value) in message {
                let _ = write!(out, "{name}: {value}\r\n");
            }
        }
        out
    }
}

fn field(line: &str) -> Result<(&str, &str), BodyError> {
    let (name, value) = line.split_once(':').ok_or(BodyError::Invalid("line"))?;
    let name = name.trim();
    if name.is_empty() { Err(BodyError::Invalid("line")) } else { Ok((name, value.trim())) }
}

/// `4/8 (1/2)`
fn counts(value: &str) -> Result<Counts, BodyError> {
    let error = || BodyError::Invalid("count of messages");
    let (all, urgent) = match value.split_once('(') {
        Some((all, urgent)) => (all, Some(urgent.trim().strip_suffix(')').ok_or_else(error)?)),
        None => (value, None),
    };
    let pair = |text: &str| {
        let (new, old) = text.split_once('/')?;
        Some((number(new.trim())?, number(old.trim())?))
    };
    let (new, old) = pair(all).ok_or_else(error)?;
    let urgent = urgent.map(|urgent| pair(urgent).ok_or_else(error)).transpose()?;
    Ok(Counts { new, old, urgent })
}

fn number(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // RFC 3842 §3.5: "Subscribers MUST treat a larger value as 2^32-1."
    Some(text.parse().unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 3842 §4.1, A5
    #[test]
    fn the_rfcs_own() {
        let body = "Messages-Waiting: yes\r\n\
            Message-Account: sip:alice@vmail.example.com\r\n\
            Voice-Message: 4/8 (1/2)\r\n\
            \r\n\
            To: <alice@atlanta.example.com>\r\n\
            From: <bob@biloxi.example.com>\r\n\
            Subject: carpool tomorrow?\r\n\
            Date: Sun, 09 Jul 2000 21:23:01 -0700\r\n\
            Priority: normal\r\n\
            Message-ID: 13784434989@vmail.example.com\r\n\
            \r\n\
            To: <alice@example.com>\r\n\
            From: <cathy-the-bob@example.com>\r\n\
            Subject: HELP! at home ill, present for me please\r\n\
            Date: Sun, 09 Jul 2000 21:25:12 -0700\r\n\
            Priority: urgent\r\n\
            Message-ID: 13684434990@vmail.example.com\r\n";
        let summary = MessageSummary::parse(body.as_bytes()).unwrap();
        assert_eq!(summary.account.as_deref(), Some("sip:alice@vmail.example.com"));
        let voice = summary.counts("voice-message").unwrap();
        assert_eq!(voice, Counts { new: 4, old: 8, urgent: Some((1, 2)) });
        assert_eq!(summary.messages.len(), 2);
        assert_eq!(summary.messages[1][4], ("Priority".into(), "urgent".into()));
        assert_eq!(summary.render(), body);
    }

    // RFC 3842 §3.5, §5.2
    #[test]
    fn what_else_may_come() {
        let summary = MessageSummary::parse(b"messages-waiting : NO").unwrap();
        assert_eq!(summary, MessageSummary::default());
        let body = "Messages-Waiting: yes\nFax-Message: 2/4\nvoice-message: 99999999999/0\n";
        let summary = MessageSummary::parse(body.as_bytes()).unwrap();
        assert_eq!(
            summary.counts("Fax-Message").map(|counts| (counts.new, counts.old)),
            Some((2, 4))
        );
        assert_eq!(summary.counts("Voice-Message").map(|counts| counts.new), Some(u32::MAX));
        for body in [
            "",
            "Voice-Message: 1/2",
            "Messages-Waiting: maybe",
            "Messages-Waiting: yes\nVoice-Message: 1",
            "Messages-Waiting: yes\nVoice-Message: -1/2",
            "Messages-Waiting: yes\nVoice-Message: 1/2 (1/2",
            "Messages-Waiting: yes\nnothing",
        ] {
            assert!(MessageSummary::parse(body.as_bytes()).is_err(), "{body:?}");
        }
        let long = format!("Messages-Waiting: yes\n{}", "A: 1/2\n".repeat(MAX_LINES + 1));
        assert_eq!(MessageSummary::parse(long.as_bytes()), Err(BodyError::TooMany("lines")));
        assert_eq!(MessageSummary::parse(b"Messages-Waiting: \xff"), Err(BodyError::Encoding));
    }
}
