//! `--web`: a page that shows registrations, calls, counts, and the ladder of a call as it happens.
//!
//! All that it shows it has from a tap: what the program said to the network, not what it believes. What is kept is
//! bounded, and what came from the network goes out as JSON strings and plain text, which the page shows as text.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sip_message::{Contact, Limits, Message, Method, Request, Response};
use sip_transport::{Tap, Tapped};
use sip_ua::{Ladder, Recorded};
use tokio::sync::{mpsc, watch};

use crate::http::{self, Page};

/// How many calls are kept; the oldest go.
const CALLS: usize = 100;

/// How many messages of a call, and how many bytes of all; those beyond are counted and not kept.
const MESSAGES: usize = 100;
const BYTES: usize = 16 * 1024 * 1024;

/// How many addresses-of-record are shown; of one more nothing is.
const REGISTRATIONS: usize = 1_000;

/// How many messages may wait to be looked at; those beyond are missed, and the page says how many.
const WAITING: usize = 4_096;

/// How much of a text is shown.
const SHOWN: usize = 200;

/// Opens the page there, and makes the tap that feeds it; where it is. Within a runtime.
///
/// # Errors
/// If the system gives no socket.
pub fn open(at: SocketAddr) -> io::Result<(Box<dyn Tap>, SocketAddr)> {
    let (sender, mut receiver) = mpsc::channel::<Recorded>(WAITING);
    let (version, changes) = watch::channel(0_u64);
    let board = Arc::new(Mutex::new(Board::new(Instant::now())));
    let shown = Arc::clone(&board);
    let at = http::serve(at, move |path| {
        let board = shown.lock().unwrap_or_else(PoisonError::into_inner);
        match path.split('/').collect::<Vec<_>>().as_slice() {
            ["", ""] => Some(Page::Html(|mark| PAGE.replace("@MARK@", mark))),
            ["", "state"] => Some(Page::Document("application/json", board.state(Instant::now()))),
            ["", "events"] => Some(Page::Stream(changes.clone())),
            ["", "calls", number] => {
                let ladder = board.ladder(number.parse().ok()?)?;
                Some(Page::Document("text/plain; charset=utf-8", ladder))
            }
            _ => None,
        }
    })?;
    let missed = Arc::clone(&board);
    tokio::spawn(async move {
        while let Some(message) = receiver.recv().await {
            board.lock().unwrap_or_else(PoisonError::into_inner).see(message);
            version.send_modify(|version| *version += 1);
        }
    });
    let node: Arc<str> = "here".into();
    let tap = move |tapped: Tapped<'_>| {
        let bytes = bytes::Bytes::copy_from_slice(tapped.bytes);
        let ends = (tapped.local, tapped.remote);
        let node = Arc::clone(&node);
        let message = Recorded::new(tapped.at, node, tapped.sent, tapped.transport, ends, bytes);
        if sender.try_send(message).is_err() {
            missed.lock().unwrap_or_else(PoisonError::into_inner).missed += 1;
        }
    };
    Ok((Box::new(tap), at))
}

const PAGE: &str = include_str!("web/page.html");

/// What is shown.
struct Board {
    since: Instant,
    calls: VecDeque<Call>,
    /// How many calls there were.
    number: u64,
    /// Bytes of the messages that are kept.
    bytes: usize,
    registrations: BTreeMap<String, Vec<(String, Instant)>>,
    /// By direction, and method or class of status.
    counts: BTreeMap<(&'static str, String), u64>,
    missed: u64,
}

struct Call {
    number: u64,
    call_id: String,
    from: String,
    to: String,
    state: String,
    is_over: bool,
    began: Instant,
    messages: Vec<Recorded>,
    /// Messages beyond those.
    more: u64,
}

impl Board {
    fn new(since: Instant) -> Self {
        Self {
            since,
            calls: VecDeque::new(),
            number: 0,
            bytes: 0,
            registrations: BTreeMap::new(),
            counts: BTreeMap::new(),
            missed: 0,
        }
    }

    fn see(&mut self, recorded: Recorded) {
        let Ok(message) = Message::parse(recorded.bytes.clone(), &Limits::default()) else {
            return;
        };
        let label = match &message {
            Message::Request(request) => match request.method() {
                Method::Other(_) => "other".to_owned(),
                method => method.to_string(),
            },
            Message::Response(response) => format!("{}xx", response.status().as_u16() / 100),
        };
        let direction = if recorded.sent { "sent" } else { "received" };
        *self.counts.entry((direction, label)).or_default() += 1;
        match &message {
            Message::Request(request) => self.see_request(request, recorded.at),
            Message::Response(response) => self.see_response(response, &recorded),
        }
        let headers = message.headers();
        if let Some(call) = self.call(headers.call_id().unwrap_or_default()) {
            let size = recorded.bytes.len();
            if call.messages.len() < MESSAGES {
                call.messages.push(recorded);
                self.bytes += size;
            } else {
                call.more += 1;
            }
        }
        while self.calls.len() > CALLS || self.bytes > BYTES {
            let Some(gone) = self.calls.pop_front() else { return };
            self.bytes -= gone.size();
        }
    }

    fn call(&mut self, call_id: &str) -> Option<&mut Call> {
        self.calls.iter_mut().rev().find(|call| call.call_id == call_id)
    }

    fn see_request(&mut self, request: &Request, at: Instant) {
        let headers = request.headers();
        let Some(call_id) = headers.call_id() else { return };
        let known = self.call(call_id);
        match (request.method(), known) {
            (Method::Invite, None) => {
                let of =
                    |name| shown(&String::from_utf8_lossy(headers.raw(name).unwrap_or_default()));
                self.number += 1;
                self.calls.push_back(Call {
                    number: self.number,
                    call_id: call_id.to_owned(),
                    from: of(sip_message::HeaderName::From),
                    to: of(sip_message::HeaderName::To),
                    state: "calling".to_owned(),
                    is_over: false,
                    began: at,
                    messages: Vec::new(),
                    more: 0,
                });
            }
            // Once more, with credentials.
            (Method::Invite, Some(call)) if call.is_over && call.state.starts_with("40") => {
                call.becomes("calling", false);
            }
            (Method::Cancel, Some(call)) if !call.is_over => call.becomes("cancelled", true),
            (Method::Bye, Some(call)) => call.becomes("ended", true),
            (_, _) => {}
        }
    }

    fn see_response(&mut self, response: &Response, recorded: &Recorded) {
        let headers = response.headers();
        let Some(cseq) = headers.cseq() else { return };
        let status = response.status();
        if cseq.is(&Method::Invite) {
            let Some(call) = self.call(headers.call_id().unwrap_or_default()) else { return };
            match status.as_u16() {
                _ if call.is_over => {}
                101..=199 if call.state == "calling" => call.becomes("ringing", false),
                200..=299 => call.becomes("answered", false),
                code @ 300.. if call.state != "answered" => {
                    call.becomes(
                        &format!("{code} {}", shown(&String::from_utf8_lossy(response.reason()))),
                        true,
                    );
                }
                _ => {}
            }
        } else if cseq.is(&Method::Register) && recorded.sent && status.is_success() {
            self.registered(response, recorded.at);
        }
    }

    /// A 200 to a REGISTER lists all that there is of its address-of-record.
    fn registered(&mut self, response: &Response, at: Instant) {
        let Ok(Some(to)) = response.get::<sip_message::To<'_>>() else { return };
        let aor = shown(to.uri().as_str());
        let contacts: Vec<_> = response
            .get_all::<Contact<'_>>()
            .flatten()
            .filter_map(|contact| {
                let life = Duration::from_secs(contact.expires().unwrap_or(3_600).into());
                Some((shown(contact.uri()?.as_str()), at.checked_add(life)?))
            })
            .filter(|(_, until)| *until > at)
            .take(20)
            .collect();
        self.registrations.retain(|_, contacts| contacts.iter().any(|(_, until)| *until > at));
        if contacts.is_empty() {
            self.registrations.remove(&aor);
        } else if self.registrations.len() < REGISTRATIONS || self.registrations.contains_key(&aor)
        {
            self.registrations.insert(aor, contacts);
        }
    }

    /// All but the ladders, as JSON.
    fn state(&self, now: Instant) -> String {
        let ago = |then: Instant| now.saturating_duration_since(then).as_secs();
        let calls = self.calls.iter().rev().map(|call| {
            let (from, to, state) = (json(&call.from), json(&call.to), json(&call.state));
            let messages = call.messages.len() as u64 + call.more;
            format!(
                "{{\"number\":{},\"from\":{from},\"to\":{to},\"state\":{state},\"over\":{},\"ago\":{},\"messages\":{messages}}}",
                call.number, call.is_over, ago(call.began)
            )
        });
        let registrations = self.registrations.iter().flat_map(|(aor, contacts)| {
            contacts.iter().filter(|(_, until)| *until > now).map(|(contact, until)| {
                let left = until.saturating_duration_since(now).as_secs();
                format!("{{\"aor\":{},\"contact\":{},\"left\":{left}}}", json(aor), json(contact))
            })
        });
        let counts = self.counts.iter().map(|((direction, label), count)| {
            format!("{{\"direction\":\"{direction}\",\"label\":{},\"count\":{count}}}", json(label))
        });
        format!(
            "{{\"up\":{},\"missed\":{},\"calls\":[{}],\"registrations\":[{}],\"counts\":[{}]}}\n",
            ago(self.since),
            self.missed,
            list(calls),
            list(registrations),
            list(counts)
        )
    }

    /// The call flow, as text.
    fn ladder(&self, number: u64) -> Option<String> {
        let call = self.calls.iter().find(|call| call.number == number)?;
        let more = match call.more {
            0 => String::new(),
            more => format!("and {more} more\n"),
        };
        Some(format!("{}{more}", Ladder::new(&call.messages)))
    }
}

impl Call {
    fn becomes(&mut self, state: &str, is_over: bool) {
        self.state = state.to_owned();
        self.is_over = is_over;
    }

    fn size(&self) -> usize {
        self.messages.iter().map(|message| message.bytes.len()).sum()
    }
}

/// The beginning of a text from the network.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(",")
}

/// A string of JSON, which may stand within HTML as well.
fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"'
            | '\\'
            | '<'
            | '>'
            | '&'
            | '\''
            | '\u{2028}'
            | '\u{2029}'
            | '\0'..='\u{1f}'
            | '\u{7f}' => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests;
