//! The text call flow: who sent what to whom, when.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip_message::{HeaderName, Limits, Message, SessionId, Transport};

use crate::Recorded;

mod svg;
#[cfg(test)]
mod tests;

/// A call flow as text: a column for each party, an arrow for each message.
///
/// ```text
///                    alice                            bob
///  0.000000  UDP       |-------- INVITE (SDP) -------->|
///  0.000412  UDP       |<----- 180 Ringing (INVITE) ---|
/// ```
///
/// Print it with `{}`, or draw it ([`to_svg`](Self::to_svg)). A message that was recorded where it was sent and where it was received is one
/// arrow. An arrow that ends in `x` was sent to a party whose tap never saw it come: lost, or still on
/// its way. `(again)` marks a retransmission. Text from the wire is printed without its control
/// characters.
///
/// Where messages say to which session they belong (Session-ID), the pair stands after the label as in RFC 7989:
/// `{A,N}` is the sender's UUID, and nil for that of the peer; below is which letter is which.
#[derive(Clone, Debug)]
pub struct Ladder {
    parties: Vec<Party>,
    arrows: Vec<Arrow>,
    sessions: Sessions,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Party {
    /// One of ours: the name of its tap.
    Node(Arc<str>),
    /// Somebody that no tap listens to.
    Address(SocketAddr),
}

#[derive(Clone, Debug)]
struct Arrow {
    after: Duration,
    transport: Transport,
    /// Indices into `parties`.
    from: usize,
    to: usize,
    label: String,
    lost: bool,
    message: Bytes,
}

impl Ladder {
    /// The call flow of `messages`, which are in the order of time.
    #[must_use]
    pub fn new(messages: &[Recorded]) -> Self {
        let Some(start) = messages.first().map(|first| first.at) else {
            return Self { parties: Vec::new(), arrows: Vec::new(), sessions: Sessions::default() };
        };
        let mut parties = Parties::default();
        let mut sessions = Sessions::default();
        let mut seen = HashSet::new();
        let arrows = flights(messages)
            .into_iter()
            .map(|flight| {
                let message = flight.message;
                let mut label = label(&message.bytes, &mut sessions);
                if !seen.insert((flight.from.clone(), message.remote, message.bytes.clone())) {
                    label.push_str(" (again)");
                }
                Arrow {
                    after: message.at.saturating_duration_since(start),
                    transport: message.transport,
                    from: parties.index(flight.from),
                    to: parties.index(flight.to),
                    label,
                    lost: flight.lost,
                    message: message.bytes.clone(),
                }
            })
            .collect();
        Self { parties: parties.list, arrows, sessions }
    }

    /// How many messages it shows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.arrows.len()
    }

    /// Whether there is nothing to show.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.arrows.is_empty()
    }
}

#[derive(Default)]
struct Parties {
    list: Vec<Party>,
    index: HashMap<Party, usize>,
}

impl Parties {
    fn index(&mut self, party: Party) -> usize {
        *self.index.entry(party).or_insert_with_key(|party| {
            self.list.push(party.clone());
            self.list.len() - 1
        })
    }
}

/// A message on its way from one party to another.
struct Flight<'a> {
    message: &'a Recorded,
    from: Party,
    to: Party,
    lost: bool,
}

/// Joins what one tap saw leave with what another saw arrive.
fn flights(messages: &[Recorded]) -> Vec<Flight<'_>> {
    let nodes: HashMap<SocketAddr, &Arc<str>> =
        messages.iter().map(|message| (message.local, &message.node)).collect();
    let mut flights: Vec<Flight<'_>> = Vec::new();
    // What was sent and not yet seen to arrive. The bytes are the key and not the addresses: behind a
    // connection or a wildcard address the two ends name each other differently.
    let mut under_way: HashMap<(Transport, &Bytes), Vec<usize>> = HashMap::new();
    for message in messages {
        let here = Party::Node(Arc::clone(&message.node));
        let key = (message.transport, &message.bytes);
        if message.sent {
            under_way.entry(key).or_default().push(flights.len());
            let (to, lost) = match nodes.get(&message.remote) {
                Some(node) => (Party::Node(Arc::clone(node)), true), // until it is seen to arrive
                None => (Party::Address(message.remote), false),
            };
            flights.push(Flight { message, from: here, to, lost });
            continue;
        }
        // Of equal ones the latest: what was sent again had mostly been lost.
        let sent = under_way.get_mut(&key).and_then(Vec::pop);
        match sent.and_then(|index| flights.get_mut(index)) {
            Some(flight) => {
                flight.to = here;
                flight.lost = false;
            }
            None => {
                let from = Party::Address(message.remote);
                flights.push(Flight { message, from, to: here, lost: false });
            }
        }
    }
    flights
}

/// What stands on the arrow: method or status, then what tells this message from its like.
fn label(bytes: &Bytes, sessions: &mut Sessions) -> String {
    if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
        return "(keep-alive)".to_owned();
    }
    let Ok(message) = Message::parse(bytes.clone(), &Limits::default()) else {
        return format!("(not SIP: {} bytes)", bytes.len());
    };
    let (mut label, headers, body, method) = match &message {
        Message::Request(request) => {
            (clean(request.method().as_str()), request.headers(), request.body(), None)
        }
        Message::Response(response) => {
            let reason = clean(&String::from_utf8_lossy(response.reason()));
            let label = format!("{} {}", response.status().as_u16(), reason);
            let method = response.headers().cseq().map(|cseq| clean(cseq.method));
            (label, response.headers(), response.body(), method)
        }
    };
    let content = (!body.is_empty()).then(|| match headers.raw(HeaderName::ContentType) {
        Some(kind) if kind.eq_ignore_ascii_case(b"application/sdp") => sdp(body),
        Some(kind) => clean(&String::from_utf8_lossy(kind)),
        None => "body".to_owned(),
    });
    let details: Vec<String> = [method, content].into_iter().flatten().collect();
    if !details.is_empty() {
        label.push_str(" (");
        label.push_str(&details.join(", "));
        label.push(')');
    }
    if let Ok(Some(id)) = headers.get::<SessionId<'_>>() {
        label.push_str(&sessions.pair(&id));
    }
    label
}

/// The UUIDs of Session-ID, in the order of their first mention.
#[derive(Clone, Debug, Default)]
struct Sessions(Vec<u128>);

impl Sessions {
    // RFC 7989 §4.2: "These two distinct
    // UUIDs form what is referred to as the "session identifier" and is … represented in this document in set
    // notation of the form {A,B}"
    fn pair(&mut self, id: &SessionId<'_>) -> String {
        let local = self.name(id.local());
        match id.remote() {
            Some(remote) => format!(" {{{local},{}}}", self.name(remote)),
            None => format!(" {{{local}}}"),
        }
    }

    fn name(&mut self, uuid: u128) -> String {
        if uuid == SessionId::NIL {
            return NIL.to_string();
        }
        let place = self.0.iter().position(|known| *known == uuid).unwrap_or_else(|| {
            self.0.push(uuid);
            self.0.len() - 1
        });
        Self::letter(place)
    }

    /// A, B, C … without N, and again with a number.
    fn letter(place: usize) -> String {
        let letters = || ('A'..='Z').filter(|letter| *letter != NIL);
        let many = letters().count();
        let letter = letters().nth(place % many).unwrap_or(NIL);
        if place < many { letter.to_string() } else { format!("{letter}{}", place / many) }
    }
}

/// What stands for a UUID that is not known.
const NIL: char = 'N';

/// "SDP", with the direction where it is not the usual one: that is what a hold looks like.
fn sdp(body: &[u8]) -> String {
    let direction = body.split(|byte| *byte == b'\n').find_map(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        ["sendonly", "recvonly", "inactive"]
            .into_iter()
            .find(|direction| line.strip_prefix(b"a=") == Some(direction.as_bytes()))
    });
    direction.map_or_else(|| "SDP".to_owned(), |direction| format!("SDP {direction}"))
}

/// Wire text made fit for a terminal: no control characters, and not long.
fn clean(text: &str) -> String {
    const LONGEST: usize = 40;
    text.chars().filter(|c| !c.is_control()).take(LONGEST).collect()
}

/// Columns at least this far apart.
const GAP: usize = 24;
/// What an arrow needs beside its label: a dash or two and a blank at each end, and the head.
const SHAFT: usize = 8;
/// The width of time and transport, left of the first column's heading.
const MARGIN: usize = 18;

impl fmt::Display for Ladder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.parties.iter().map(Party::to_string).collect();
        let columns = self.columns(&names);
        let mut heading = Line::new(&[]);
        for (name, column) in names.iter().zip(&columns) {
            heading.put(column.saturating_sub(name.chars().count() / 2), name);
        }
        writeln!(f, "{}", heading.text())?;
        for arrow in &self.arrows {
            let line = arrow.line(&columns);
            writeln!(
                f,
                "{:>10.6}  {:<4} {}",
                arrow.after.as_secs_f64(),
                arrow.transport.as_str(),
                line.text().get(MARGIN - 1..).unwrap_or_default()
            )?;
        }
        for (place, uuid) in self.sessions.0.iter().enumerate() {
            writeln!(f, "{:>MARGIN$} = {uuid:032x}", Sessions::letter(place))?;
        }
        Ok(())
    }
}

impl Ladder {
    /// Where each party's line stands: far enough apart for the headings and for every label.
    fn columns(&self, names: &[String]) -> Vec<usize> {
        let half = |index: usize| names.get(index).map_or(0, |name| name.chars().count() / 2 + 1);
        let mut gaps: Vec<usize> =
            (1..names.len()).map(|index| GAP.max(half(index - 1) + half(index) + 1)).collect();
        for arrow in &self.arrows {
            let (left, right) = (arrow.from.min(arrow.to), arrow.from.max(arrow.to));
            let need = arrow.label.chars().count() + SHAFT;
            let Some(crossed) = gaps.get_mut(left..right) else { continue };
            let have: usize = crossed.iter().sum();
            if let Some(last) = crossed.last_mut() {
                *last += need.saturating_sub(have);
            }
        }
        let first = MARGIN + half(0);
        std::iter::once(first)
            .chain(gaps.iter().scan(first, |column, gap| {
                *column += gap;
                Some(*column)
            }))
            .take(names.len())
            .collect()
    }
}

impl Arrow {
    fn line(&self, columns: &[usize]) -> Line {
        let mut line = Line::new(columns);
        let column = |index: usize| columns.get(index).copied().unwrap_or(MARGIN);
        let (from, to) = (column(self.from), column(self.to));
        let head = if self.lost {
            "x"
        } else if from <= to {
            ">"
        } else {
            "<"
        };
        if from == to {
            line.put(from + 1, &format!("-- {} --{head}", self.label)); // to itself
            return line;
        }
        let (left, right) = (from.min(to) + 1, from.max(to));
        line.put(left, &"-".repeat(right - left));
        line.put(if from < to { right - 1 } else { left }, head);
        let label = format!(" {} ", self.label);
        line.put(left + (right - left).saturating_sub(label.chars().count()) / 2, &label);
        line
    }
}

/// A line of text written out of order.
struct Line(Vec<char>);

impl Line {
    fn new(columns: &[usize]) -> Self {
        let mut line = Self(Vec::new());
        for column in columns {
            line.put(*column, "|");
        }
        line
    }

    fn put(&mut self, at: usize, text: &str) {
        let end = at + text.chars().count();
        if self.0.len() < end {
            self.0.resize(end, ' ');
        }
        for (place, char) in self.0.iter_mut().skip(at).zip(text.chars()) {
            *place = char;
        }
    }

    fn text(&self) -> String {
        self.0.iter().collect::<String>().trim_end().to_owned()
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(name) => f.write_str(&clean(name)),
            Self::Address(address) => address.fmt(f),
        }
    }
}
