//! The diagram of a flow, and whether what passed is what it shows.
//!
//! A line is `Alice -> Proxy -> Bob: INVITE sendonly Replaces`: who sends to whom, from hop to hop; what; and what is
//! to be found in the message. `INVITE/200/ACK` is a whole exchange, whose responses go the other way: what follows is
//! said of the first message of it. Two signs may stand before a line:
//!
//! - `~`: the messages from the line above on pass at the same time, between other parties, and nobody can say which
//!   is first;
//! - `+`: the diagram of the RFC has none of these; [`Flow::differs`](super::Flow) says why they pass.
//!
//! What may be found in a message: a header field (`Replaces`), one with this in its value (`Event=dialog`); the method
//! that a response answers (`200 PRACK`); `sdp`, a direction in it (`sendonly`), or `bare`, no body; the state of a
//! subscription (`active`, `pending`, `terminated`); the status that a NOTIFY reports (`NOTIFY 180`).

use std::fmt::Write;

use bytes::Bytes;
use sip_message::{CSeq, HeaderName, Limits, Message, SipFrag};

use super::stage::Done;

/// One message, of the diagram or of what passed.
#[derive(Clone)]
struct Step<'a> {
    from: &'a str,
    to: &'a str,
    what: String,
    /// What is to be found in it.
    marks: &'a str,
    /// It passes at the same time as the one before.
    beside: bool,
    message: Option<&'a Message>,
}

/// One message that passed.
pub(super) struct Passed {
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    pub(super) message: Result<Message, String>,
}

/// Compares what passed with what the RFC shows.
pub(super) fn compare(diagram: &str, passed: &[Passed]) -> Done {
    let shown = in_order(diagram.lines().flat_map(read));
    let passed = in_order(passed.iter().map(Passed::step));
    let (mut left, mut is_same, mut lines) = (passed.as_slice(), true, String::new());
    for group in shown.chunk_by(|_, next| next.beside) {
        let (part, rest) = left.split_at(group.len().min(left.len()));
        left = rest;
        let (group, part) = (by_parties(group), by_parties(part));
        for (place, shown) in group.iter().enumerate() {
            is_same &= write_pair(&mut lines, Some(shown), part.get(place));
        }
    }
    for passed in left {
        is_same &= write_pair(&mut lines, None, Some(passed));
    }
    if is_same { Ok(()) } else { Err(format!("not as the RFC shows it:\n{lines}")) }
}

/// A line of a diagram.
fn read(line: &str) -> Vec<Step<'_>> {
    let line = line.trim();
    let (beside, line) = line.strip_prefix("~ ").map_or((false, line), |line| (true, line));
    let line = line.strip_prefix("+ ").unwrap_or(line);
    let Some((parties, what)) = line.rsplit_once(": ") else { return Vec::new() };
    let (kinds, marks) = what.split_once(' ').unwrap_or((what, ""));
    let parties: Vec<&str> = parties.split(" -> ").collect();
    let forth: Vec<_> = parties.iter().copied().zip(parties.iter().copied().skip(1)).collect();
    let back: Vec<_> = forth.iter().rev().map(|&(from, to)| (to, from)).collect();
    let mut steps = Vec::new();
    for (place, what) in kinds.split('/').enumerate() {
        let answers = place > 0 && what.starts_with(|first: char| first.is_ascii_digit());
        let marks = if place == 0 { marks } else { "" };
        for &(from, to) in if answers { &back } else { &forth } {
            steps.push(Step { from, to, what: what.into(), marks, beside, message: None });
        }
    }
    steps
}

/// The messages with each 100 right after the INVITE that it answers: whether a proxy says that it tries before or
/// after it does, nobody can tell (RFC 3261 §16.2).
fn in_order<'a>(steps: impl Iterator<Item = Step<'a>>) -> Vec<Step<'a>> {
    let mut ordered: Vec<Step<'a>> = Vec::new();
    for mut step in steps {
        let asked = ordered.iter().rposition(|earlier| {
            earlier.what == "INVITE" && (earlier.from, earlier.to) == (step.to, step.from)
        });
        match asked.filter(|_| step.what == "100") {
            Some(at) => {
                step.beside = true;
                ordered.insert(at.saturating_add(1), step);
            }
            None => ordered.push(step),
        }
    }
    ordered
}

/// Messages that pass at the same time, in an order of which the parties say nothing: between any two of them as it was.
fn by_parties<'a>(steps: &[Step<'a>]) -> Vec<Step<'a>> {
    let mut steps = steps.to_vec();
    steps.sort_by_key(|step| (step.from.min(step.to), step.from.max(step.to)));
    steps
}

/// Writes what is shown beside what passed: whether they are the same.
fn write_pair(lines: &mut String, shown: Option<&Step<'_>>, passed: Option<&Step<'_>>) -> bool {
    let message = passed.and_then(|passed| passed.message);
    let missing = |marks: &&str| !message.is_some_and(|message| bears(message, marks));
    let missing: Vec<&str> = shown
        .into_iter()
        .flat_map(|shown| shown.marks.split_whitespace())
        .filter(missing)
        .collect();
    let line = |step: Option<&Step<'_>>| {
        step.map(|step| format!("{} -> {}: {}", step.from, step.to, step.what)).unwrap_or_default()
    };
    let (shown, passed) = (line(shown), line(passed));
    let is_same = shown == passed && missing.is_empty();
    let sign = if is_same { ' ' } else { '*' };
    let lacks =
        if missing.is_empty() { String::new() } else { format!("  without {}", missing.join(" ")) };
    let _ = writeln!(lines, "{sign} {shown:40} | {passed}{lacks}");
    is_same
}

/// Whether this is to be found in the message.
fn bears(message: &Message, mark: &str) -> bool {
    let (headers, body) = match message {
        Message::Request(request) => (request.headers(), request.body()),
        Message::Response(response) => (response.headers(), response.body()),
    };
    let field =
        |name: &str| HeaderName::from_bytes(name.as_bytes()).and_then(|name| headers.raw(name));
    let text = String::from_utf8_lossy(body);
    match mark {
        "bare" => body.is_empty(),
        "sdp" => text.starts_with("v=0"),
        "sendonly" | "recvonly" | "inactive" | "sendrecv" => text.contains(&format!("a={mark}")),
        "active" | "pending" | "terminated" => {
            field("Subscription-State").is_some_and(|state| state.starts_with(mark.as_bytes()))
        }
        _ if mark.starts_with(|first: char| first.is_ascii_digit()) => {
            let fragment = SipFrag::parse(Bytes::copy_from_slice(body), &Limits::default());
            let status = fragment.ok().and_then(|fragment| fragment.status());
            status.is_some_and(|status| status.as_u16().to_string() == mark)
        }
        _ if mark.chars().all(|letter| letter.is_ascii_uppercase()) => {
            let cseq = headers.get::<CSeq>().ok().flatten();
            cseq.is_some_and(|cseq| cseq.method().as_str() == mark)
        }
        _ => match mark.split_once('=') {
            Some((name, value)) => {
                field(name).is_some_and(|field| String::from_utf8_lossy(field).contains(value))
            }
            None => field(mark).is_some(),
        },
    }
}

impl Passed {
    fn step(&self) -> Step<'_> {
        let what = match &self.message {
            Ok(Message::Request(request)) => request.method().to_string(),
            Ok(Message::Response(response)) => response.status().as_u16().to_string(),
            Err(error) => error.clone(),
        };
        let Self { from, to, message } = self;
        Step { from, to, what, marks: "", beside: false, message: message.as_ref().ok() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(from: &'static str, to: &'static str, text: &'static str) -> Passed {
        let text = format!("{text}\r\nContent-Length: 0\r\n\r\n").replace("; ", "\r\n");
        let message = Message::parse(text.into_bytes().into(), &Limits::default());
        Passed { from, to, message: message.map_err(|error| error.to_string()) }
    }

    const INVITE: &str = "INVITE sip:b@b SIP/2.0; Replaces: 1@a;to-tag=2;from-tag=3";
    const OK: &str = "SIP/2.0 200 OK; CSeq: 1 INVITE";
    const ACK: &str = "ACK sip:b@b SIP/2.0";
    const BYE: &str = "BYE sip:c@c SIP/2.0";

    #[test]
    fn an_exchange_is_three_messages() {
        let call = [passed("A", "B", INVITE), passed("B", "A", OK), passed("A", "B", ACK)];
        assert_eq!(compare("A -> B: INVITE/200/ACK Replaces bare", &call), Ok(()));
        assert_eq!(compare("A -> B: INVITE\nB -> A: 200 INVITE\nA -> B: ACK", &call), Ok(()));
        let lacks = compare("A -> B: INVITE/200/ACK Replaces Join", &call);
        assert!(lacks.is_err_and(|difference| difference.contains("without Join")));
        assert!(compare("A -> B: INVITE/200", &call).is_err(), "there is an ACK more");
        assert!(compare("A -> B: INVITE/200/ACK\nB -> A: BYE", &call).is_err(), "there is no BYE");
        assert!(compare("A -> B: INVITE/486/ACK", &call).is_err());
        assert!(compare("A -> B: INVITE\nB -> A: 200 PRACK\nA -> B: ACK", &call).is_err());
    }

    #[test]
    fn what_passes_at_the_same_time_has_no_order_but_between_the_same_two() {
        let shown = "A -> B: INVITE/200/ACK\n~ B -> C: BYE";
        let calls = [
            passed("A", "B", INVITE),
            passed("B", "A", OK),
            passed("B", "C", BYE),
            passed("A", "B", ACK),
        ];
        assert_eq!(compare(shown, &calls), Ok(()));
        assert!(compare("A -> B: INVITE/200/ACK\nB -> C: BYE", &calls).is_err());
        let [invite, ok, bye, ack] = calls;
        assert!(compare(shown, &[invite, bye, ack, ok]).is_err(), "the ACK is before the 200");
    }
}
