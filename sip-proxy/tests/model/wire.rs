//! Reads what one phone sent and received, and says where it broke a rule. It knows the messages alone, and shares
//! no code with the stack but the parser: the rules of offer/answer (RFC 3264 §4, RFC 6337 §2), CSeq (RFC 3261
//! §12.2.1.1), ACK (§13.2.2.4, §17.1.1.3), BYE (§15), CANCEL (§9.1) and PRACK (RFC 3262 §3 to §5) are told here
//! a second time.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use bytes::Bytes;
use sip_message::{HeaderName, Limits, Message, Method, RAck, RSeq};
use sip_sim::{Fate, Passage};

/// 64*T1 in milliseconds, less what a message may take on its way.
const GIVEN_UP: u64 = 31_000;

/// Call-ID, the tag of this phone, the tag of the other.
pub type DialogId = (String, String, String);

/// What was read of one phone.
#[derive(Default)]
pub struct Wire {
    name: &'static str,
    dialogs: HashMap<DialogId, Leg>,
    /// Every INVITE by direction, Call-ID and CSeq number.
    invites: HashMap<(bool, String, u32), Invite>,
    /// Requests and responses that were read before.
    seen: HashSet<Seen>,
    /// Requests that came and must be refused: by branch.
    doomed: HashMap<String, String>,
    /// Requests that came and have no final response: branch, method, line.
    unanswered: HashMap<(String, String), u64>,
    pub faults: Vec<String>,
    at: u64,
}

type Seen = (bool, bool, String, String, u16, String, Option<u32>);

/// One INVITE transaction, as this phone sees it.
#[derive(Default)]
struct Invite {
    offer: Option<Bytes>,
    /// Of the initial one.
    is_initial: bool,
    provisional: bool,
    /// When it was sent, and when its CANCEL was.
    began: u64,
    cancelled: Option<u64>,
    /// The client transaction was over when its final response came: RFC 3261 §17.1.1.2, Timer B, and §9.1.
    is_given_up: bool,
    /// Whether there is a final response, and what: by To tag.
    finals: HashMap<String, u16>,
    /// Those that have an ACK.
    acked: HashSet<String>,
}

/// One dialog.
#[derive(Default)]
pub struct Leg {
    /// A response to the INVITE that makes it was read.
    has_begun: bool,
    /// That INVITE was refused.
    has_failed: bool,
    /// The last CSeq number that this phone used in it.
    sent: Option<u32>,
    received: Option<u32>,
    open: Option<Open>,
    /// What this phone described and what the other did, in the last exchange that was completed.
    pub agreed: Option<(Bytes, Bytes)>,
    /// The INVITE that has no final response: whose, and its number.
    invite: Option<(bool, u32)>,
    /// A 2xx of this phone's that has no ACK.
    unacked: Option<u32>,
    reliable: Reliable,
    /// BYE was sent or came.
    bye: bool,
    update_under_way: [Option<u32>; 2],
}

/// The reliable provisional responses of one INVITE in one dialog.
#[derive(Default)]
struct Reliable {
    /// The INVITE's number.
    of: u32,
    last: Option<u32>,
    /// Sent, or received, and without its PRACK.
    open: Option<u32>,
    /// That one holds a session description.
    described: bool,
}

/// An offer without an answer; or an INVITE without one, which wants it.
#[derive(Clone, Debug)]
struct Open {
    ours: bool,
    offer: Option<Bytes>,
    carrier: Carrier,
    number: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carrier {
    Invite,
    Reliable,
    Ok,
    Prack,
    Update,
}

impl Wire {
    /// Reads everything that a phone with these addresses sent and received, in the order of its doing.
    pub fn read(name: &'static str, passages: &[Passage], addresses: &[SocketAddr]) -> Self {
        let mut order = Vec::new();
        for (index, passage) in passages.iter().enumerate() {
            if addresses.contains(&passage.from) {
                order.push((passage.sent, true, index));
            }
            if addresses.contains(&passage.to) && passage.fate == Fate::Arrived {
                order.push((passage.turn, false, index));
            }
        }
        order.sort_unstable();
        let mut wire = Self { name, ..Self::default() };
        for (at, sent, index) in order {
            let payload = passages[index].payload.clone();
            wire.at = passages[index].at.as_millis() as u64;
            match Message::parse(payload, &Limits::default()) {
                Ok(message) => wire.message(at, sent, &message),
                Err(error) => wire.fault(format!("a message cannot be read: {error}")),
            }
        }
        wire.faults.dedup();
        wire
    }

    pub fn agreed(&self, dialog: &DialogId) -> Option<&(Bytes, Bytes)> {
        self.dialogs.get(dialog)?.agreed.as_ref()
    }

    /// The dialogs in which both sides are by what is on the wire: confirmed, and without a BYE.
    pub fn standing(&self) -> impl Iterator<Item = &DialogId> {
        let confirmed = |id: &DialogId| {
            self.invites.iter().any(|((_, call_id, _), invite)| {
                *call_id == id.0
                    && invite.is_initial
                    && invite
                        .finals
                        .iter()
                        .any(|(tag, status)| *status < 300 && (*tag == id.1 || *tag == id.2))
            })
        };
        self.dialogs.iter().filter(move |(id, leg)| !leg.bye && confirmed(id)).map(|(id, _)| id)
    }

    fn fault(&mut self, what: String) {
        self.faults.push(format!("{} at about {} ms: {what}", self.name, self.at));
    }

    fn message(&mut self, turn: u64, sent: bool, message: &Message) {
        let headers = message.headers();
        let (Some(call_id), Some(cseq)) = (headers.call_id(), headers.cseq()) else {
            return self.fault("a message without Call-ID or CSeq".to_owned());
        };
        let (call_id, number, method) = (call_id.to_owned(), cseq.number, cseq.method());
        let branch = headers.branch().unwrap_or_default().to_owned();
        let from = headers.from_tag().unwrap_or_default().to_owned();
        let to = headers.to_tag().unwrap_or_default().to_owned();
        let body = describes(message).then(|| Bytes::copy_from_slice(message.body()));
        // Whose request it is, or is answered.
        let (ours, status, rseq) = match message {
            Message::Request(_) => (sent, 0, None),
            Message::Response(response) => {
                let reliable = response.headers().raw_all(HeaderName::Require).any(|value| {
                    String::from_utf8_lossy(value).to_ascii_lowercase().contains("100rel")
                });
                let rseq = response.get::<RSeq>().ok().flatten().filter(|_| reliable);
                (!sent, response.status().as_u16(), rseq.map(|rseq| rseq.0.get()))
            }
        };
        let id = if ours { (call_id, from, to) } else { (call_id, to, from) };
        let key =
            (sent, status > 0, branch.clone(), method.to_string(), status, id.2.clone(), rseq);
        // What is out of order will come again, and counts then.
        let in_order = rseq.is_none() || sent || self.is_next(&id, number, rseq);
        if !in_order || !self.seen.insert(key) {
            return;
        }
        let heard = Heard { turn, sent, ours, number, branch, id, body, rseq };
        match message {
            Message::Request(request) => {
                let rack = request.get::<RAck>().ok().flatten();
                let rack = rack.map(|rack| rack.rseq().0.get());
                self.request(&heard, &method, rack);
            }
            Message::Response(_) => self.response(&heard, &method, status),
        }
    }

    fn is_next(&self, id: &DialogId, number: u32, rseq: Option<u32>) -> bool {
        let Some(leg) = self.dialogs.get(id) else { return true };
        let last = leg.reliable.last.filter(|_| leg.reliable.of == number);
        match (last, rseq) {
            (Some(last), Some(rseq)) => rseq == last.wrapping_add(1),
            _ => true,
        }
    }

    fn request(&mut self, heard: &Heard, method: &Method, rack: Option<u32>) {
        let Heard { sent, number, id, body, .. } = heard;
        let (sent, number) = (*sent, *number);
        if !sent && !matches!(method, Method::Ack) {
            self.unanswered.insert((heard.branch.clone(), method.to_string()), heard.turn);
        }
        if matches!(method, Method::Ack) {
            return self.ack(heard);
        }
        if matches!(method, Method::Cancel) {
            let (key, at) = ((sent, id.0.clone(), number), self.at);
            let fault = match self.invites.get_mut(&key) {
                Some(invite) if sent => {
                    // RFC 3261 §9.1: it waits for a provisional response, and is not sent after a final one.
                    invite.cancelled = Some(at);
                    (!invite.provisional).then_some("CANCEL before any provisional response")
                }
                Some(_) => None,
                None => sent.then_some("CANCEL of no INVITE"),
            };
            if let Some(fault) = fault {
                self.fault(format!("{fault}: {} {number}", id.0));
            }
            return;
        }
        let other = &id.2;
        let is_initial = if sent { other.is_empty() } else { id.1.is_empty() };
        if *method == Method::Invite {
            let offer = body.clone();
            let began = self.at;
            let invite = Invite { offer, is_initial, began, ..Invite::default() };
            self.invites.insert((sent, id.0.clone(), number), invite);
        }
        if is_initial {
            return;
        }
        if !self.dialogs.contains_key(id) {
            // A NOTIFY, or what is sent to who knows of no dialog.
            self.dialogs.insert(id.clone(), Leg::default());
        }
        if let Some(fault) = self.numbers(heard, method) {
            return self.fault(fault);
        }
        let Some(leg) = self.dialogs.get_mut(id) else { return };
        // What comes before the response that makes the dialog has none to be late in.
        if !sent && leg.has_begun {
            if leg.received.is_some_and(|last| number < last) {
                // RFC 3261 §12.2.2: what is older than what came before is refused.
                self.doomed.insert(heard.branch.clone(), format!("{method} {number} came late"));
                return;
            }
            leg.received = Some(number);
        }
        match method {
            Method::Bye => {
                // RFC 3261 §15: the callee waits for the ACK to its 2xx. It gives up after 64*T1, which no clock here
                // tells: the test of that is elsewhere.
                leg.bye = true;
            }
            Method::Invite | Method::Update | Method::Prack => {
                if let Some(fault) = offer_in(leg, heard, method, rack) {
                    if sent {
                        self.fault(format!("{method} {number}: {fault}"));
                    } else {
                        self.doomed.insert(heard.branch.clone(), format!("{method}: {fault}"));
                    }
                }
            }
            _ => {}
        }
    }

    /// RFC 3261 §12.2.1.1: each request has the next number.
    fn numbers(&mut self, heard: &Heard, method: &Method) -> Option<String> {
        if !heard.sent {
            return None;
        }
        let leg = self.dialogs.get_mut(&heard.id)?;
        let number = heard.number;
        let last = leg.sent.replace(number)?;
        let fault = format!("{method} has the number {number} after {last}");
        (number != last + 1).then_some(fault)
    }

    fn ack(&mut self, heard: &Heard) {
        let Heard { sent, number, id, body, .. } = heard;
        let key = (*sent, id.0.clone(), *number);
        let tag = if *sent { &id.2 } else { &id.1 };
        let Some(invite) = self.invites.get_mut(&key) else {
            if *sent {
                self.fault(format!("ACK to no INVITE: {} {number}", id.0));
            }
            return;
        };
        let status = invite.finals.get(tag).copied();
        let first = invite.acked.insert(tag.clone());
        if *sent && status.is_none() {
            self.fault(format!("ACK without a final response: {} {number}", id.0));
            return;
        }
        if !first || status.is_some_and(|status| status >= 300) {
            return;
        }
        let Some(leg) = self.dialogs.get_mut(id) else { return };
        if leg.unacked == Some(*number) {
            leg.unacked = None;
        }
        let owed = leg.open.as_ref().is_some_and(|open| {
            open.carrier == Carrier::Ok && open.ours != *sent && open.number == *number
        });
        match (owed, body) {
            (true, Some(answer)) => leg.answer(answer, *sent),
            // Its user was too late: the call ends.
            (true, None) => leg.open = None,
            (false, Some(_)) if *sent => self.fault("an answer in an ACK to no offer".to_owned()),
            (false, _) => {}
        }
    }

    fn response(&mut self, heard: &Heard, method: &Method, status: u16) {
        let Heard { sent, ours, number, id, body, rseq, .. } = heard;
        let (sent, ours, number) = (*sent, *ours, *number);
        if sent && status >= 200 {
            self.unanswered.remove(&(heard.branch.clone(), method.to_string()));
            if let Some(why) = self.doomed.get(&heard.branch)
                && status < 300
                && !matches!(method, Method::Cancel)
            {
                let why = why.clone();
                self.fault(format!("{status} to what had to be refused: {why}"));
            }
        }
        if self.doomed.contains_key(&heard.branch) {
            return;
        }
        match method {
            Method::Invite => self.invite_response(heard, status),
            Method::Prack | Method::Update if status >= 200 => {
                let carrier = match method {
                    Method::Prack => Carrier::Prack,
                    _ => Carrier::Update,
                };
                let Some(leg) = self.dialogs.get_mut(id) else { return };
                if carrier == Carrier::Update {
                    let under_way = &mut leg.update_under_way[usize::from(ours)];
                    if *under_way == Some(number) {
                        *under_way = None;
                    }
                }
                let open = leg.open.clone().filter(|open| {
                    (open.carrier, open.ours, open.number) == (carrier, ours, number)
                });
                match (open, body) {
                    (Some(_), _) if status >= 300 => leg.open = None,
                    (Some(_), Some(answer)) => leg.answer(answer, sent),
                    (Some(_), None) => {
                        leg.open = None;
                        if sent {
                            self.fault(format!("{status} to {method} without the answer"));
                        }
                    }
                    (None, Some(_)) if sent && status < 300 => {
                        self.fault(format!("an answer to no offer in {status} to {method}"));
                    }
                    (None, _) => {}
                }
                let _ = rseq;
            }
            _ => {}
        }
    }

    fn invite_response(&mut self, heard: &Heard, status: u16) {
        let Heard { sent, ours, number, id, body, rseq, .. } = heard;
        let (sent, ours, number) = (*sent, *ours, *number);
        let Some(invite) = self.invites.get_mut(&(ours, id.0.clone(), number)) else {
            return;
        };
        let late = |since: u64| self.at >= since + GIVEN_UP;
        let waits = invite.provisional || !invite.finals.is_empty();
        if (!waits && late(invite.began)) || invite.cancelled.is_some_and(late) {
            invite.is_given_up = true;
        }
        invite.provisional = true;
        if status == 100 {
            return;
        }
        let answered = !invite.finals.is_empty();
        if status >= 200 {
            let tag = if ours { id.2.clone() } else { id.1.clone() };
            invite.finals.insert(tag, status);
        }
        let (is_initial, offer) = (invite.is_initial, invite.offer.clone());
        if is_initial && status < 300 && !id.2.is_empty() {
            let leg = self.dialogs.entry(id.clone()).or_default();
            // It may be there already: what the callee sent next may have come first.
            if !std::mem::replace(&mut leg.has_begun, true) {
                leg.open = Some(Open { ours, offer, carrier: Carrier::Invite, number });
                leg.invite = Some((ours, number));
                let first = if ours { &mut leg.sent } else { &mut leg.received };
                first.get_or_insert(number);
            }
        }
        if status >= 300 {
            let initial = |dialog: &DialogId| dialog.0 == id.0 && is_initial && ours;
            for (dialog, leg) in &mut self.dialogs {
                if (dialog == id || initial(dialog)) && leg.invite == Some((ours, number)) {
                    leg.invite = None;
                    leg.has_failed |= is_initial;
                    if leg.open.as_ref().is_some_and(|open| {
                        open.number == number
                            && matches!(open.carrier, Carrier::Invite | Carrier::Reliable)
                    }) {
                        leg.open = None;
                    }
                }
            }
            return;
        }
        let Some(leg) = self.dialogs.get_mut(id) else { return };
        let mut fault = None;
        if let Some(rseq) = rseq {
            if sent && leg.reliable.of == number && leg.reliable.open.is_some() {
                // RFC 3262 §3: one after the other, as long as the first was not acknowledged.
                fault = Some("a second reliable response before the PRACK for the first");
            }
            if sent
                && leg.reliable.of == number
                && leg.reliable.last.is_some_and(|last| *rseq != last + 1)
            {
                fault = Some("RSeq does not go up by one");
            }
            leg.reliable = Reliable {
                of: number,
                last: Some(*rseq),
                // After a final response nobody has to acknowledge it.
                open: (!answered).then_some(*rseq),
                described: body.is_some(),
            };
        }
        let open = leg.open.clone().filter(|open| open.ours == ours && open.number == number);
        let of_invite = open.filter(|open| open.carrier == Carrier::Invite);
        let reliably = rseq.is_some() || status >= 200;
        if status >= 200
            && sent
            && leg.reliable.of == number
            && leg.reliable.described
            && leg.reliable.open.is_some()
        {
            // RFC 3262 §5: the 2xx waits for that PRACK.
            fault = Some("2xx before the PRACK for a session description");
        }
        match (of_invite, body, reliably) {
            (Some(Open { offer: Some(_), .. }), Some(answer), true) => leg.answer(answer, sent),
            (Some(Open { offer: None, .. }), Some(offer), true) => {
                let carrier = if status >= 200 { Carrier::Ok } else { Carrier::Reliable };
                leg.open = Some(Open { ours: !ours, offer: Some(offer.clone()), carrier, number });
            }
            (Some(Open { offer: None, .. }), None, true) if rseq.is_some() && sent => {
                fault = Some("the first reliable response to an INVITE without an offer has none");
            }
            (Some(Open { offer: Some(_), .. }), _, false) => {}
            (Some(Open { offer: None, .. }), Some(_), false) if sent => {
                fault = Some("an offer in a response that is not sent reliably");
            }
            (Some(_), None, true) if status >= 200 => {
                leg.open = None;
                if sent {
                    fault = Some("2xx without the answer, or the offer");
                }
            }
            (None, Some(_), _) if sent => {
                fault = Some("a session description that has no place in it");
            }
            _ => {}
        }
        if status >= 200 {
            leg.invite = None;
            if sent {
                leg.unacked = Some(number);
            }
        }
        if let Some(fault) = fault {
            self.fault(format!("{status} to INVITE {number}: {fault}"));
        }
    }

    /// What must have come to an end by now.
    pub fn check_settled(&mut self, connected: bool) {
        let mut faults = Vec::new();
        for ((ours, call_id, number), invite) in &self.invites {
            for (tag, status) in &invite.finals {
                if *ours && !invite.is_given_up && !invite.acked.contains(tag) {
                    faults.push(format!("no ACK to {status} to INVITE {number} of {call_id}"));
                }
            }
        }
        if connected {
            for ((branch, method), turn) in &self.unanswered {
                faults.push(format!("no answer to {method}, {branch}, turn {turn}"));
            }
        }
        for (id, leg) in &self.dialogs {
            let Some((true, of)) = leg.invite.or(Some((false, 0))) else { continue };
            // The answer that it was to carry never came, and the call was given up.
            let invite = self.invites.get(&(true, id.0.clone(), of));
            if invite.is_some_and(|invite| invite.cancelled.is_some()) {
                continue;
            }
            if leg.reliable.of == of && leg.reliable.open.is_some() && !leg.bye && !leg.has_failed {
                faults.push(format!("no PRACK in {id:?}"));
            }
        }
        for fault in faults {
            self.fault(fault);
        }
    }
}

/// A message, and where it stands.
struct Heard {
    turn: u64,
    sent: bool,
    /// This phone sent the request, of which it may be the response.
    ours: bool,
    number: u32,
    branch: String,
    id: DialogId,
    body: Option<Bytes>,
    rseq: Option<u32>,
}

impl Leg {
    fn answer(&mut self, answer: &Bytes, sent: bool) {
        let Some(Open { offer: Some(offer), .. }) = self.open.take() else { return };
        let (own, other) = if sent { (answer.clone(), offer) } else { (offer, answer.clone()) };
        self.agreed = Some((own, other));
    }
}

/// A request that may hold an offer; gives why it must not.
fn offer_in(leg: &mut Leg, heard: &Heard, method: &Method, rack: Option<u32>) -> Option<String> {
    let Heard { sent, number, body, .. } = heard;
    let (sent, number) = (*sent, *number);
    let open = |leg: &mut Leg, carrier| {
        leg.open = Some(Open { ours: sent, offer: body.clone(), carrier, number });
    };
    if *method == Method::Prack {
        let matches = leg.reliable.open.is_some() && leg.reliable.open == rack;
        if !matches {
            return Some(format!("RAck {rack:?}, and {:?} is open", leg.reliable.open));
        }
        if leg.has_failed {
            leg.reliable.open = None;
            return None;
        }
        let owed = leg
            .open
            .as_ref()
            .is_some_and(|open| open.carrier == Carrier::Reliable && open.ours != sent);
        match (owed, body) {
            (true, Some(answer)) => leg.answer(answer, sent),
            (true, None) => {
                leg.open = None;
                leg.reliable.open = None;
                return sent.then(|| "the answer is missing".to_owned());
            }
            (false, Some(_)) => {
                // RFC 3262 §5: another offer, when the first is answered.
                if let Some(open) = &leg.open {
                    let ours = !sent && open.ours && open.carrier == Carrier::Update;
                    if !ours {
                        return Some(format!("an offer while there is {open:?}"));
                    }
                }
                open(leg, Carrier::Prack);
            }
            (false, None) => {}
        }
        leg.reliable.open = None;
        return None;
    }
    if *method == Method::Update {
        // RFC 3311 §5.1 and §5.2: one at a time from each side.
        let under_way = &mut leg.update_under_way[usize::from(sent)];
        if under_way.is_some() && !sent {
            return Some("an UPDATE before the answer to the one before".to_owned());
        }
        if body.is_none() {
            *under_way = Some(number);
            return None;
        }
    }
    if leg.bye && sent {
        return Some("after BYE".to_owned());
    }
    if let Some(other) = &leg.open {
        return Some(format!("an offer while there is {other:?}"));
    }
    if leg.reliable.open.is_some() && leg.reliable.described {
        return Some("an offer before the PRACK".to_owned());
    }
    if *method == Method::Invite {
        if let Some(other) = leg.invite {
            return Some(format!("a re-INVITE during {other:?}"));
        }
        leg.invite = Some((sent, number));
        open(leg, Carrier::Invite);
    } else {
        leg.update_under_way[usize::from(sent)] = Some(number);
        open(leg, Carrier::Update);
    }
    None
}

fn describes(message: &Message) -> bool {
    let kind = message.headers().raw(HeaderName::ContentType).unwrap_or_default();
    kind.starts_with(b"application/sdp") && !message.body().is_empty()
}
