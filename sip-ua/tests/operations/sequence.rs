//! What peers may send to a user agent, and what its application may do meanwhile, read from bytes: any bytes are some
//! sequence. Both the property test and the fuzz target `dialogs` run them.
//!
//! The messages are well-formed and make no sense together: requests in and out of dialogs that are there, were there or
//! never were, with every header field that the agent acts on, and responses to what it sent.
//!
//! Whatever comes: nothing panics; a call has one end and is silent after it; a command in a state that is not its own
//! is refused; each request that came has one final status; our requests in a dialog are numbered one after the
//! other; and when every call is hung up and time has passed, nothing is left.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_message::{HeaderName, Limits, Message, Method, Request, StatusCode, Transport};
use sip_transaction::{Config, Endpoint, Output, ServerKey, Transactions};
use sip_transport::{Flow, Input, ListenerId, Local, Locals};
use sip_ua::{
    Account, Agent, AgentConfig, AgentEvent, Body, CallKey, CallUpdate, Grant, Live,
    NotifierConfig, NotifierKey, NotifierUpdate, OutgoingCall, ReferKey, SubscriptionKey,
    SubscriptionWish, TerminationReason,
};

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.2\r\ns=-\r\n";

const METHODS: [&str; 14] = [
    "INVITE",
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "UPDATE",
    "PRACK",
    "REFER",
    "SUBSCRIBE",
    "NOTIFY",
    "INFO",
    "MESSAGE",
    "OPTIONS",
    "PUBLISH",
];

const STATUSES: [u16; 24] = [
    100, 180, 183, 199, 200, 200, 202, 301, 302, 401, 407, 408, 420, 421, 422, 423, 481, 486, 487,
    488, 491, 500, 503, 603,
];

/// Runs one sequence.
///
/// # Panics
///
/// If one of the rules above is broken.
pub fn run(data: &[u8]) {
    let mut world = World::new();
    let mut bytes = Reader(data);
    // Ever longer sequences show nothing more.
    for _ in 0..200 {
        let Some(operation) = bytes.next() else { break };
        world.operate(operation, &mut bytes);
    }
    world.finish();
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    fn one_of<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        let byte = usize::from(self.byte());
        choices.get(byte.checked_rem(choices.len())?)
    }
}

/// One dialog as the peer knows it.
#[derive(Clone)]
struct Known {
    call_id: String,
    /// The tag of the peer, and that of the agent.
    tags: (String, String),
    number: u32,
}

struct World {
    now: Instant,
    end: Endpoint<Agent>,
    account: Arc<Account>,
    branches: u32,
    known: Vec<Known>,
    /// The last INVITE of the peer: what CANCEL and ACK are for.
    invites: Vec<(String, String)>,
    /// What the agent sent and the peer may answer.
    sent: Vec<Request>,
    sent_branches: HashSet<String>,
    rseqs: Vec<(u32, u32)>,
    /// The last number of the agent in each dialog.
    numbers: HashMap<(String, String, String), u32>,
    /// The final status by branch and method.
    finals: HashMap<(String, String), u16>,
    /// What came and is owed an answer.
    owed: HashSet<(String, String)>,
    calls: Vec<CallKey>,
    ended: HashSet<CallKey>,
    requests: Vec<ServerKey>,
    subscribes: Vec<ServerKey>,
    refers: Vec<ReferKey>,
    subscriptions: Vec<SubscriptionKey>,
    notifiers: Vec<NotifierKey>,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        let local = Local::new(ListenerId::new(0), Transport::Udp, ([192, 0, 2, 1], 5060).into());
        let supported = ["replaces", "join", "norefersub", "nosub", "tdialog"].map(str::to_owned);
        let config = AgentConfig::default()
            .supported(supported.to_vec())
            .event_packages(vec!["presence".to_owned()]);
        let agent = Agent::new(config, [1, 2]);
        let config = Config::default().seed([1, 2]);
        let end = Endpoint::new(config, Locals::new([local]), now, agent).unwrap();
        let account = Account::new("sip:alice@192.0.2.1".parse().unwrap());
        Self {
            now,
            end,
            account: Arc::new(account),
            branches: 0,
            known: Vec::new(),
            invites: Vec::new(),
            sent: Vec::new(),
            sent_branches: HashSet::new(),
            rseqs: Vec::new(),
            numbers: HashMap::new(),
            finals: HashMap::new(),
            owed: HashSet::new(),
            calls: Vec::new(),
            ended: HashSet::new(),
            requests: Vec::new(),
            subscribes: Vec::new(),
            refers: Vec::new(),
            subscriptions: Vec::new(),
            notifiers: Vec::new(),
        }
    }

    fn operate(&mut self, operation: u8, bytes: &mut Reader<'_>) {
        match operation % 16 {
            0..=5 => self.request(bytes),
            6..=8 => self.response(bytes),
            9..=13 => self.command(bytes),
            14 => self.pass(Duration::from_millis(u64::from(bytes.byte()) * 40)),
            _ => self.pass(Duration::from_secs(bytes.byte().into())),
        }
    }

    /// The header fields that the agent acts on, by the bits of two bytes.
    fn fields(&self, bytes: &mut Reader<'_>) -> String {
        let (first, second) = (bytes.byte(), bytes.byte());
        let dialog = self.known.last();
        let (id, own, other) = dialog
            .map_or(("none", "a", "b"), |known| (&*known.call_id, &*known.tags.0, &*known.tags.1));
        let fields: [(bool, String); 16] = [
            (first & 1 != 0, "Contact: <sip:bob@192.0.2.2:5070>".into()),
            (first & 2 != 0, "Supported: 100rel, timer, replaces".into()),
            (first & 4 != 0, "Require: 100rel".into()),
            (first & 8 != 0, "Allow: INVITE, ACK, BYE, CANCEL, UPDATE, PRACK".into()),
            (first & 16 != 0, "Session-Expires: 90;refresher=uac\r\nMin-SE: 90".into()),
            (first & 32 != 0, "Record-Route: <sip:192.0.2.7;lr>".into()),
            (first & 64 != 0, format!("Replaces: {id};to-tag={other};from-tag={own};early-only")),
            (first & 128 != 0, "Event: presence".into()),
            (second & 1 != 0, "Expires: 90".into()),
            (second & 2 != 0, "Subscription-State: active;expires=90".into()),
            (second & 4 != 0, "Subscription-State: terminated;reason=deactivated".into()),
            (second & 8 != 0, "Refer-To: <sip:carol@192.0.2.3>".into()),
            (second & 16 != 0, "Event: refer\r\nContent-Type: message/sipfrag".into()),
            (second & 32 != 0, format!("Join: {id};to-tag={other};from-tag={own}")),
            (second & 64 != 0, "Session-Expires: 20".into()),
            (second & 128 != 0, format!("Target-Dialog: {id};remote-tag={other};local-tag={own}")),
        ];
        let chosen = fields.iter().filter(|(is, _)| *is).map(|(_, text)| format!("{text}\r\n"));
        chosen.collect()
    }

    fn request(&mut self, bytes: &mut Reader<'_>) {
        let method = *bytes.one_of(&METHODS).unwrap();
        let which = bytes.byte();
        self.branches += 1;
        let mut branch = format!("z9hG4bK{}", self.branches);
        // In a dialog that is known, as it should be or not; or out of any.
        let known = match which % 8 {
            0 => None,
            _ => self.known.len().checked_sub(1).map(|last| last.min(usize::from(which / 64))),
        };
        let (call_id, from, to, number) = match known.and_then(|index| self.known.get_mut(index)) {
            Some(known) => {
                known.number = match which % 8 {
                    1..=5 => known.number.saturating_add(1),
                    6 => known.number.saturating_sub(1),
                    _ => (1 << 31) - 1,
                };
                let to = if which & 32 != 0 { "wrong" } else { &known.tags.1 };
                (known.call_id.clone(), known.tags.0.clone(), to.to_owned(), known.number)
            }
            None => (format!("call-{}", which / 8 % 6), "peer".into(), String::new(), 1),
        };
        if matches!(method, "ACK" | "CANCEL")
            && let Some((invite, _)) = self.invites.last()
            && which & 16 == 0
        {
            branch.clone_from(invite);
        }
        let fields = self.fields(bytes);
        let to_tag = if to.is_empty() { String::new() } else { format!(";tag={to}") };
        let rack = match self.rseqs.last() {
            Some((rseq, cseq)) if method == "PRACK" => format!("RAck: {rseq} {cseq} INVITE\r\n"),
            _ if method == "PRACK" => "RAck: 1 1 INVITE\r\n".to_owned(),
            _ => String::new(),
        };
        let (kind, body) = match bytes.byte() % 4 {
            0 | 1 => ("application/sdp", SDP),
            2 => ("message/sipfrag", "SIP/2.0 200 OK\r\n"),
            _ => ("", ""),
        };
        let kind = match kind {
            "" => String::new(),
            _ if fields.contains("Content-Type") => String::new(),
            kind => format!("Content-Type: {kind}\r\n"),
        };
        if method == "INVITE" {
            self.invites.push((branch.clone(), call_id.clone()));
        }
        let text = format!(
            "{method} sip:alice@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2;branch={branch}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:bob@192.0.2.2>;tag={from}\r\n\
             To: <sip:alice@192.0.2.1>{to_tag}\r\nCall-ID: {call_id}\r\nCSeq: {number} {method}\r\n\
             {fields}{rack}{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if !matches!(method, "ACK") {
            self.owed.insert((branch, method.to_owned()));
        }
        self.receive(text.into());
    }

    fn response(&mut self, bytes: &mut Reader<'_>) {
        let len = self.sent.len();
        let back = usize::from(bytes.byte() % 4);
        let Some(index) = len.checked_sub(1).map(|last| last.saturating_sub(back)) else { return };
        let request = self.sent[index].clone();
        let status = *bytes.one_of(&STATUSES).unwrap();
        let tag = ["one", "two"][usize::from(bytes.byte() % 2)];
        let reliable = bytes.byte();
        let mut fields = self.fields(bytes);
        if reliable & 1 != 0 && status < 200 {
            fields.push_str(&format!("Require: 100rel\r\nRSeq: {}\r\n", 1 + reliable / 64));
        }
        if matches!(status, 401 | 407) {
            let name = if status == 401 { "WWW" } else { "Proxy" };
            fields.push_str(&format!("{name}-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n"));
        }
        if status == 422 {
            fields.push_str("Min-SE: 3000\r\n");
        }
        let raw = |name| {
            String::from_utf8_lossy(request.headers().raw(name).unwrap_or_default()).into_owned()
        };
        let to = raw(HeaderName::To);
        let to = match to.contains("tag=") {
            true => to,
            false => format!("{to};tag={tag}"),
        };
        let body = if reliable & 2 == 0 { SDP } else { "" };
        let text = format!(
            "SIP/2.0 {status} Word\r\nVia: {}\r\nFrom: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
             {fields}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            raw(HeaderName::Via),
            raw(HeaderName::From),
            raw(HeaderName::CallId),
            raw(HeaderName::CSeq),
            body.len()
        );
        if (101..300).contains(&status) && *request.method() == Method::Invite {
            let own = request.headers().from_tag().unwrap_or_default().to_owned();
            self.know(&raw(HeaderName::CallId), tag, &own, 100);
        }
        self.receive(text.into());
    }

    fn know(&mut self, call_id: &str, peer: &str, own: &str, number: u32) {
        let same = |known: &Known| {
            (&*known.call_id, &*known.tags.0, &*known.tags.1) == (call_id, peer, own)
        };
        if !self.known.iter().any(same) {
            let tags = (peer.to_owned(), own.to_owned());
            self.known.insert(0, Known { call_id: call_id.to_owned(), tags, number });
        }
    }

    fn tell<R>(&mut self, command: impl FnOnce(&mut Agent, Instant, &mut Transactions) -> R) -> R {
        let now = self.now;
        let result = self.end.with(now, |agent, tx| command(agent, now, tx));
        self.drain();
        result
    }

    fn command(&mut self, bytes: &mut Reader<'_>) {
        let what = bytes.byte();
        let account = Arc::clone(&self.account);
        let body = (what & 128 == 0).then(|| Body::sdp(SDP));
        let body = body.as_ref();
        if what.is_multiple_of(24) {
            let mut call = OutgoingCall::to("sip:bob@192.0.2.2".parse().unwrap());
            call.body = body.cloned();
            if let Ok(call) = self.tell(|agent, now, tx| agent.call(now, tx, &account, call)) {
                self.calls.push(call);
            }
            return;
        }
        let back = usize::from(bytes.byte() % 3);
        let Some(call) = self.calls.iter().rev().nth(back).copied() else { return };
        let (before, was_over) = (self.end.user().state(call), self.ended.contains(&call));
        // What a wrong state does is refused by an error; that is all there is to see.
        let done = match what % 24 {
            1 | 2 => {
                self.tell(|agent, now, tx| agent.ring(now, tx, call, StatusCode::RINGING, body))
            }
            3..=5 => self.tell(|agent, now, tx| agent.accept(now, tx, call, body, &[])),
            6 => {
                let busy = StatusCode::BUSY_HERE;
                self.tell(|agent, now, tx| agent.reject(now, tx, call, busy, &[]))
            }
            7 => self.tell(|agent, now, tx| agent.hang_up(now, tx, call)),
            8 | 9 => self.tell(|agent, now, tx| agent.reinvite(now, tx, call, body)),
            10 => self.tell(|agent, now, tx| agent.update_session(now, tx, call, None, body)),
            11 | 12 => {
                let ok = StatusCode::OK;
                self.tell(|agent, now, tx| agent.answer_modification(now, tx, call, ok, body))
            }
            13 => {
                let no = StatusCode::NOT_ACCEPTABLE_HERE;
                self.tell(|agent, now, tx| agent.answer_modification(now, tx, call, no, None))
            }
            14 => self.tell(|agent, now, tx| agent.acknowledge(now, tx, call, body)),
            15 => self.tell(|agent, now, tx| agent.answer_early(now, tx, call, None, body)),
            16 => {
                let to = "sip:carol@192.0.2.3".parse().unwrap();
                self.tell(|agent, now, tx| agent.refer(now, tx, call, &to, &[]).map(|_| ()))
            }
            17 => self.tell(|agent, now, tx| {
                agent.send(now, tx, call, Method::Info, None, &[]).map(|_| ())
            }),
            18 => match self.requests.pop() {
                Some(key) => {
                    self.tell(|agent, now, tx| agent.reply(now, tx, key, StatusCode::OK, None, &[]))
                }
                None => return,
            },
            19 => match self.refers.pop() {
                Some(refer) => self.tell(|agent, now, tx| {
                    let followed = agent.follow(now, tx, refer, Some(&account), None, &[]);
                    followed.map(|_| ())
                }),
                None => return,
            },
            20 => match self.subscribes.pop() {
                Some(key) => {
                    let grant = Grant::active(NotifierConfig::new(600), Some(Body::text("x")));
                    let granted =
                        self.tell(|agent, now, tx| agent.accept_subscription(now, tx, key, grant));
                    granted.map(|notifier| self.notifiers.push(notifier))
                }
                None => return,
            },
            21 => {
                let to = "sip:bob@192.0.2.2".parse().unwrap();
                let wish = SubscriptionWish::new(to, "presence");
                let begun = self.tell(|agent, now, tx| agent.subscribe(now, tx, &account, wish));
                begun.map(|key| self.subscriptions.push(key))
            }
            22 => match self.notifiers.last().copied() {
                Some(key) => self
                    .tell(|agent, now, tx| agent.notify(now, tx, key, Some(Body::text("y")), None)),
                None => return,
            },
            _ => self.tell(|agent, _, tx| {
                agent.network_changed(tx);
                Ok(())
            }),
        };
        let of_the_call = what % 24 != 7 && what % 24 < 18;
        if of_the_call && was_over {
            assert!(done.is_err(), "command {} after the end ({before:?})", what % 24);
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(next) = self.end.poll_timeout().filter(|next| *next <= until) {
            self.now = self.now.max(next);
            self.end.handle_timeout(self.now);
            self.drain();
        }
        self.now = until;
    }

    fn receive(&mut self, payload: Bytes) {
        let flow = Flow {
            transport: Transport::Udp,
            listener: ListenerId::new(0),
            connection: None,
            remote: ([192, 0, 2, 2], 5060).into(),
        };
        self.end.handle_input(self.now, Input::Datagram { flow, payload });
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            while let Some(output) = self.end.poll_output() {
                match output {
                    Output::Transmit(transmit) => self.transmitted(transmit.payload),
                    Output::Rebind => {
                        let local = Local::new(
                            ListenerId::new(0),
                            Transport::Udp,
                            ([192, 0, 2, 1], 5060).into(),
                        );
                        let locals = Locals::new([local]);
                        let input = Input::Rebound { locals, lost: Vec::new() };
                        self.end.handle_input(self.now, input);
                    }
                    _ => {}
                }
            }
            let Some(event) = self.end.poll_event() else { return };
            self.event(event);
        }
    }

    fn transmitted(&mut self, payload: Bytes) {
        let message = Message::parse(payload, &Limits::default()).expect("the agent sends SIP");
        let headers = message.headers();
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let (branch, call_id) = (text(headers.branch()), text(headers.call_id()));
        let (from, to) = (text(headers.from_tag()), text(headers.to_tag()));
        let Some(cseq) = headers.cseq() else {
            // The answer to one that was none.
            assert!(matches!(message, Message::Response(_)), "a request without CSeq");
            return self.owed.retain(|(of, _)| *of != branch);
        };
        let (number, method) = (cseq.number, cseq.method());
        match message {
            Message::Response(response) => {
                let status = response.status().as_u16();
                if let Some(rseq) = response.get::<sip_message::RSeq>().ok().flatten() {
                    self.rseqs.push((rseq.0.get(), number));
                }
                if status > 100 && status < 300 && !to.is_empty() {
                    self.know(&call_id, &from, &to, number);
                }
                if status >= 200 {
                    let key = (branch, method.to_string());
                    self.owed.remove(&key);
                    let before = self.finals.insert(key, status);
                    // A CANCEL of the same INVITE may come when that of before is forgotten.
                    let same = before.is_none_or(|before| before == status);
                    assert!(same || method == Method::Cancel, "{method}: {before:?}, {status}");
                }
            }
            Message::Request(request) => {
                let is_new = self.sent_branches.insert(branch) && method != Method::Ack;
                if is_new && method != Method::Cancel && !to.is_empty() {
                    let last = self.numbers.insert((call_id, from, to), number);
                    let in_order = last.is_none_or(|last| number == last + 1);
                    assert!(in_order, "{method} {number} after {last:?}");
                }
                if is_new {
                    self.sent.push(request);
                }
            }
        }
    }

    fn event(&mut self, event: AgentEvent) {
        match event {
            AgentEvent::Invitation { call, .. } => self.calls.push(call),
            AgentEvent::Call { call, update } => {
                assert!(!self.ended.contains(&call), "{update:?} after the end");
                if !self.calls.contains(&call) {
                    self.calls.push(call);
                }
                if matches!(update, CallUpdate::Ended(_)) {
                    self.ended.insert(call);
                }
            }
            AgentEvent::Request { key, .. } => self.requests.push(key),
            AgentEvent::Subscribe { key, .. } => self.subscribes.push(key),
            AgentEvent::Referred { refer, .. } => self.refers.push(refer),
            AgentEvent::Notifier { notifier, update: NotifierUpdate::Ended(_) } => {
                self.notifiers.retain(|other| *other != notifier);
            }
            _ => {}
        }
    }

    fn finish(&mut self) {
        for call in self.calls.clone() {
            // It may be over.
            let _ = self.tell(|agent, now, tx| agent.hang_up(now, tx, call));
        }
        for key in std::mem::take(&mut self.subscriptions) {
            let _ = self.tell(|agent, now, tx| agent.unsubscribe(now, tx, key));
        }
        for key in std::mem::take(&mut self.notifiers) {
            let reason = TerminationReason::NoResource;
            let _ = self.tell(|agent, now, tx| agent.terminate(now, tx, key, reason, None));
        }
        self.pass(Duration::from_secs(300));
        // Calls that a REFER asked for have begun meanwhile, at most.
        for call in self.calls.clone() {
            let _ = self.tell(|agent, now, tx| agent.hang_up(now, tx, call));
        }
        self.pass(Duration::from_secs(4_000));
        assert_eq!(self.end.user().live(), Live::default());
        assert_eq!(self.ended.len(), self.calls.len(), "a call has no end");
        assert!(self.owed.is_empty(), "no answer to {:?}", self.owed);
        let stats = self.end.stats();
        let left = (stats.live_clients, stats.live_servers, stats.live_timers);
        assert_eq!(left, (0, 0, 0));
    }
}
