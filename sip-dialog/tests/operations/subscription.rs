//! A subscriber and its notifiers with a lossy wire between, read from bytes: any bytes are some sequence. Both the
//! property test and the fuzz target `subscription` run them.
//!
//! Whatever happens: nothing panics; neither side has two requests out at a time; nothing follows a side's end; no
//! deadline stands still; and when nothing is lost any more both sides agree on whether there is a subscription, until
//! the subscriber wants no more of it: then both are over.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use sip_dialog::{
    Notifier, NotifierAction, NotifierConfig, NotifierInput, RefusedSubscribe, Subscriber,
    SubscriberAction, SubscriberConfig, SubscriberInput, SubscriptionEvent, TerminationReason,
    notification,
};
use sip_message::{Event, HeaderName, Method, Request, Response, StatusCode, Uri};

const TIMER_F: Duration = Duration::from_secs(32);

/// Runs one sequence.
///
/// # Panics
///
/// If one of the rules above is broken.
pub fn run(data: &[u8]) {
    let mut world = World::new(data);
    world.start();
    for _ in 0..120 {
        let Some(operation) = world.next() else { break };
        world.operate(operation);
    }
    world.finish();
}

struct World<'a> {
    bytes: &'a [u8],
    now: Duration,
    subscriber: Subscriber,
    /// Counts the subscriptions that were begun: each has a dialog of its own.
    generation: u32,
    /// The notifier in the subscriber's dialog.
    dialog: Option<usize>,
    asking: bool,
    is_over: bool,
    notifiers: Vec<Side>,
    wire: BinaryHeap<Reverse<(Duration, u32, usize)>>,
    items: Vec<Item>,
    lossless: bool,
}

struct Side {
    generation: u32,
    machine: Notifier,
    telling: bool,
    told_last: bool,
    is_over: bool,
}

#[derive(Clone)]
enum Item {
    Subscribe {
        generation: u32,
        dialog: Option<usize>,
        expires: u32,
        answer: bool,
    },
    /// What came of it; none is a time-out.
    Answer {
        generation: u32,
        status: Option<u16>,
        expires: u32,
    },
    Notify {
        from: usize,
        state: String,
        answer: bool,
    },
    Told {
        to: usize,
        status: Option<u16>,
    },
}

impl<'a> World<'a> {
    fn new(data: &'a [u8]) -> Self {
        let (first, bytes) = data.split_first().unwrap_or((&0, &[]));
        let expires = [60, 90, 600, 3600][usize::from(first % 4)];
        let config = SubscriberConfig::new(expires).resubscribe(first & 4 == 0);
        Self {
            bytes,
            now: Duration::from_secs(1),
            subscriber: Subscriber::new(config),
            generation: 0,
            dialog: None,
            asking: false,
            is_over: false,
            notifiers: Vec::new(),
            wire: BinaryHeap::new(),
            items: Vec::new(),
            lossless: false,
        }
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    /// Zero when there are no more, and from when on nothing is lost.
    fn byte(&mut self) -> u8 {
        if self.lossless { 0 } else { self.next().unwrap_or(0) }
    }

    fn operate(&mut self, operation: u8) {
        match operation % 12 {
            0..=3 => {
                let steps = [1, 10, 100, 1_000, 10_000, 40_000, 100_000, 1_000_000];
                let step = steps[usize::from(self.byte() % 8)];
                self.pass(Duration::from_millis(step));
            }
            4 => self.subscribe(SubscriberInput::Refresh),
            5 if self.byte().is_multiple_of(4) => self.subscribe(SubscriberInput::Stop),
            5 => {}
            6 => self.tell(NotifierInput::Grant),
            7 | 8 => self.tell(NotifierInput::Changed { entity_tag: None }),
            9 => self.tell(NotifierInput::Changed { entity_tag: Some("tag") }),
            10 => {
                let reasons = [
                    TerminationReason::Deactivated,
                    TerminationReason::Probation,
                    TerminationReason::Rejected,
                    TerminationReason::NoResource,
                    TerminationReason::GiveUp,
                ];
                let reason = reasons[usize::from(self.byte() % 5)];
                let retry_after = Some(5).filter(|_| operation & 128 == 0);
                self.tell(NotifierInput::Terminate { reason, retry_after });
            }
            _ => self.subscribe(SubscriberInput::Start),
        }
    }

    fn start(&mut self) {
        self.subscribe(SubscriberInput::Start);
    }

    fn subscribe(&mut self, input: SubscriberInput<'_>) {
        let mut state = u32::from(self.byte());
        let mut draw = |range: core::ops::RangeInclusive<u32>| {
            state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            range.start() + state % (range.end() - range.start() + 1)
        };
        let actions = self.subscriber.handle(self.now, input, &mut draw);
        for action in actions {
            assert!(!self.is_over, "{action:?} after the end");
            match action {
                SubscriberAction::Subscribe { expires, anew } => {
                    assert!(anew || !self.asking, "two SUBSCRIBEs at a time");
                    if anew {
                        self.generation += 1;
                        self.dialog = None;
                    }
                    self.asking = true;
                    let (generation, dialog) = (self.generation, self.dialog);
                    let fate = self.byte();
                    if fate % 8 == 1 {
                        let item = Item::Answer { generation, status: None, expires: 0 };
                        self.send(TIMER_F, item);
                    } else {
                        let answer = fate % 8 != 2;
                        self.send_soon(Item::Subscribe { generation, dialog, expires, answer });
                    }
                }
                SubscriberAction::Event(SubscriptionEvent::Ended { retry_in, .. }) => {
                    self.is_over = retry_in.is_none();
                    self.dialog = None;
                }
                SubscriberAction::Event(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(self.subscriber.is_over(), self.is_over);
    }

    fn tell(&mut self, input: NotifierInput<'_>) {
        let Some(last) = self.notifiers.len().checked_sub(1) else { return };
        let actions = self.notifiers[last].machine.handle(self.now, input);
        self.told(last, &actions);
    }

    /// Does what a notifier wants done; gives how it answers a SUBSCRIBE.
    fn told(&mut self, index: usize, actions: &[NotifierAction]) -> Option<(u16, u32)> {
        let mut answer = None;
        for action in actions {
            let side = &mut self.notifiers[index];
            let refuses = matches!(action, NotifierAction::Refuse(_));
            assert!(!side.is_over || refuses, "{action:?} after the end");
            match action {
                NotifierAction::Answer { status, expires } => {
                    answer = Some((status.as_u16(), *expires));
                }
                NotifierAction::Refuse(RefusedSubscribe::TooBrief(brief)) => {
                    answer = Some((423, brief.min_expires));
                }
                NotifierAction::Refuse(_) => answer = Some((481, 0)),
                NotifierAction::Notify(notification) => {
                    assert!(!side.told_last, "a NOTIFY after the last");
                    assert!(!side.telling, "two NOTIFYs at a time");
                    side.telling = true;
                    side.told_last = notification.is_last();
                    let state = notification.to_string();
                    let fate = self.byte();
                    if fate % 8 == 1 {
                        self.send(TIMER_F, Item::Told { to: index, status: None });
                    } else {
                        let answer = fate % 8 != 2;
                        self.send_soon(Item::Notify { from: index, state, answer });
                    }
                }
                NotifierAction::Over(_) => side.is_over = true,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(self.notifiers[index].machine.is_over(), self.notifiers[index].is_over);
        answer
    }

    /// Messages overtake each other.
    fn send_soon(&mut self, item: Item) {
        let delay = u64::from(self.byte()) * 10;
        self.send(Duration::from_millis(20 + delay), item);
    }

    fn send(&mut self, after: Duration, item: Item) {
        let number = self.items.len();
        self.items.push(item);
        self.wire.push(Reverse((self.now + after, number as u32, number)));
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let mut still = 0;
        loop {
            let wire = self.wire.peek().map(|Reverse((at, ..))| *at);
            let timer = self.subscriber.deadline();
            let timers = self.notifiers.iter().map(|side| side.machine.deadline());
            let next = timers.chain([wire, timer]).flatten().min().filter(|at| *at <= end);
            let Some(next) = next else { break };
            still = if next > self.now { 0 } else { still + 1 };
            assert!(still < 100, "time stands still");
            self.now = self.now.max(next);
            if wire == Some(next) {
                let Some(Reverse((.., number))) = self.wire.pop() else { break };
                let item = self.items[number].clone();
                self.arrive(item);
            } else if timer == Some(next) {
                self.subscribe(SubscriberInput::Timer);
            } else {
                let due = |side: &Side| side.machine.deadline() == Some(next);
                let Some(index) = self.notifiers.iter().position(due) else { break };
                let actions = self.notifiers[index].machine.handle(self.now, NotifierInput::Timer);
                self.told(index, &actions);
            }
        }
        self.now = end;
    }

    fn arrive(&mut self, item: Item) {
        match item {
            Item::Subscribe { generation, dialog, expires, answer } => {
                let came = self.subscribed(generation, dialog, expires);
                let (status, expires) = came;
                if answer {
                    self.send_soon(Item::Answer { generation, status: Some(status), expires });
                } else {
                    self.send(TIMER_F, Item::Answer { generation, status: None, expires });
                }
            }
            // Of a SUBSCRIBE that a new one has taken the place of.
            Item::Answer { generation, .. } if generation != self.generation => {}
            Item::Answer { status: None, .. } => {
                self.asking = false;
                self.subscribe(SubscriberInput::NoResponse);
            }
            Item::Answer { status: Some(status), expires, .. } => {
                self.asking = false;
                let name = if status == 423 { HeaderName::MinExpires } else { HeaderName::Expires };
                let response = Response::builder(StatusCode::new(status).unwrap())
                    .raw(HeaderName::Via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1")
                    .raw(HeaderName::From, "<sip:a@192.0.2.1>;tag=a")
                    .raw(HeaderName::To, "<sip:b@192.0.2.2>;tag=b")
                    .raw(HeaderName::CallId, "1")
                    .raw(HeaderName::CSeq, "1 SUBSCRIBE")
                    .raw(name, expires.to_string())
                    .build()
                    .unwrap();
                self.subscribe(SubscriberInput::Response(&response));
            }
            Item::Notify { from, state, answer } => {
                let status = self.notified(from, &state);
                if answer {
                    self.send_soon(Item::Told { to: from, status: Some(status) });
                } else {
                    self.send(TIMER_F, Item::Told { to: from, status: None });
                }
            }
            Item::Told { to, status } => {
                self.notifiers[to].telling = false;
                let actions = match status {
                    None => self.notifiers[to].machine.handle(self.now, NotifierInput::TimedOut),
                    Some(status) => {
                        let request = request(Method::Notify, "Event: x");
                        let status = StatusCode::new(status).unwrap();
                        let response = Response::to_request(&request, status).build().unwrap();
                        let input = NotifierInput::Response(&response);
                        self.notifiers[to].machine.handle(self.now, input)
                    }
                };
                self.told(to, &actions);
            }
        }
    }

    /// A SUBSCRIBE arrives: the status and the Expires of its answer.
    fn subscribed(&mut self, generation: u32, dialog: Option<usize>, expires: u32) -> (u16, u32) {
        let subscribe = request(Method::Subscribe, &format!("Expires: {expires}"));
        if let Some(index) = dialog {
            let input = NotifierInput::Subscribe(&subscribe);
            let actions = self.notifiers[index].machine.handle(self.now, input);
            return self.told(index, &actions).unwrap_or((481, 0));
        }
        let most = if self.byte() & 1 == 0 { 86_400 } else { 70 };
        let config = NotifierConfig::new(600).max_expires(most);
        let active = self.byte() & 3 != 1;
        match Notifier::accept(config, &subscribe, active, None, self.now) {
            Err(brief) => (423, brief.min_expires),
            Ok((machine, actions)) => {
                let index = self.notifiers.len();
                let (telling, told_last, is_over) = (false, false, false);
                self.notifiers.push(Side { generation, machine, telling, told_last, is_over });
                self.told(index, &actions).expect("an answer")
            }
        }
    }

    /// A NOTIFY arrives: the status of its answer.
    fn notified(&mut self, from: usize, state: &str) -> u16 {
        let is_ours = self.notifiers[from].generation == self.generation
            && self.dialog.is_none_or(|dialog| dialog == from)
            && !self.is_over
            && (self.asking || self.dialog.is_some());
        if !is_ours {
            return 481;
        }
        self.dialog = Some(from);
        let notify = request(Method::Notify, &format!("Event: x\r\nSubscription-State: {state}"));
        let event = Event::new("x").unwrap();
        let state = notification(&notify, &event).expect("a NOTIFY of our own");
        self.subscribe(SubscriberInput::Notify(&state));
        200
    }

    fn finish(&mut self) {
        self.lossless = true;
        // Whatever was lost is noticed in a life of a subscription, and the longest wait for another try.
        self.pass(Duration::from_secs(8_000));
        let alive = |side: &&Side| !side.is_over;
        let live = self.notifiers.iter().filter(alive).count();
        let established = usize::from(self.subscriber.is_established());
        if established == 1 || self.is_over {
            assert_eq!(live, established, "{:?}", self.subscriber);
        }
        self.subscribe(SubscriberInput::Stop);
        self.pass(Duration::from_secs(8_000));
        assert!(self.subscriber.is_over(), "{:?}", self.subscriber);
        assert_eq!(self.subscriber.deadline(), None);
        for side in &self.notifiers {
            assert!(side.is_over, "{:?}", side.machine);
            assert_eq!(side.machine.deadline(), None);
        }
    }
}

fn request(method: Method, more: &str) -> Request {
    let uri: Uri<'static> = "sip:b@192.0.2.2".parse().unwrap();
    let mut builder = Request::builder(method.clone(), &uri)
        .raw(HeaderName::Via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1")
        .raw(HeaderName::From, "<sip:a@192.0.2.1>;tag=a")
        .raw(HeaderName::To, "<sip:b@192.0.2.2>")
        .raw(HeaderName::CallId, "1")
        .raw(HeaderName::CSeq, format!("1 {method}"));
    for line in more.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        builder = builder.raw(name, value);
    }
    builder.build().unwrap()
}
