//! REGISTERs carried out on a store, and what may be routed to.

use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::sync::Mutex;

use sip_message::{Limits, Message, Request};

use super::watch::lock;
use super::*;

const START: Duration = Duration::from_secs(1_800_000_000);

/// What a future gives that must be ready at once.
pub(super) fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits for something"),
    }
}

fn bob() -> Aor {
    Aor::of(&"sip:bob@example.com".parse().unwrap()).unwrap()
}

fn request(cseq: u32, fields: &str) -> Request {
    let text = format!(
        "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK{cseq}\r\n\
         From: <sip:bob@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: 1@phone\r\n\
         CSeq: {cseq} REGISTER\r\n{fields}\r\n\r\n"
    );
    Message::parse(text.into_bytes().into(), &Limits::default()).unwrap().into_request().unwrap()
}

fn register_on<S: Store>(
    store: &S,
    cseq: u32,
    fields: &str,
) -> Result<BindingChange, RegisterError> {
    let request = request(cseq, fields);
    let read = Register::read(&request).unwrap();
    ready(register(store, &Registrar::default(), &read, START, 0))
}

fn uris(bindings: &[Binding]) -> Vec<String> {
    bindings.iter().map(|binding| binding.uri().unwrap().to_string()).collect()
}

/// A store whose `lookup` gives what is told to it, where others come first, and of which some nodes are dead.
struct Odd {
    memory: Memory,
    stale: Mutex<Option<Located>>,
    /// How many commits somebody else comes before.
    outrun: Mutex<u32>,
    dead: &'static str,
    loads: Mutex<u32>,
}

impl Odd {
    fn new() -> Self {
        Self {
            memory: Memory::new(MemoryLimits::default(), [1, 2]),
            stale: Mutex::default(),
            outrun: Mutex::default(),
            dead: "",
            loads: Mutex::default(),
        }
    }
}

impl Store for Odd {
    async fn load(&self, aor: &Aor) -> Result<Located, StoreError> {
        *lock(&self.loads) += 1;
        self.memory.load(aor).await
    }

    async fn lookup(&self, aor: &Aor) -> Result<Located, StoreError> {
        let stale = lock(&self.stale).clone();
        match stale {
            Some(stale) => Ok(stale),
            None => self.memory.load(aor).await,
        }
    }

    async fn commit(
        &self,
        aor: &Aor,
        bindings: Vec<Binding>,
        if_version: Version,
    ) -> Result<Commit, StoreError> {
        let outrun = lock(&self.outrun).checked_sub(1);
        if let Some(left) = outrun {
            *lock(&self.outrun) = left;
            let found = self.memory.find(aor);
            let others = found.bindings.to_vec();
            assert!(matches!(self.memory.replace(aor, others, found.version), Ok(Commit::Done(_))));
        }
        self.memory.commit(aor, bindings, if_version).await
    }

    async fn of_instance(&self, instance: &str) -> Result<Vec<Aor>, StoreError> {
        self.memory.of_instance(instance).await
    }

    fn watch(&self) -> Watch {
        self.memory.watch()
    }

    fn is_alive(&self, node: &str) -> bool {
        node != self.dead
    }
}

#[test]
fn a_register_is_carried_out_on_what_others_have_left() {
    let store = Odd::new();
    register_on(&store, 1, "Contact: <sip:bob@a>").unwrap();
    *lock(&store.outrun) = 3;
    let change = register_on(&store, 2, "Contact: <sip:bob@b>").unwrap();
    assert_eq!(uris(&change.bindings), ["sip:bob@a", "sip:bob@b"]);
    assert_eq!(uris(&store.memory.find(&bob()).bindings), ["sip:bob@a", "sip:bob@b"]);
    // Without an end it is given up, with nothing changed.
    *lock(&store.outrun) = 100;
    let refused = register_on(&store, 3, "Contact: <sip:bob@c>").unwrap_err();
    assert_eq!(refused, RegisterError::Store(StoreError::Unavailable));
    assert_eq!(*lock(&store.outrun), 100 - 16);
    assert_eq!(uris(&store.memory.find(&bob()).bindings), ["sip:bob@a", "sip:bob@b"]);
}

#[test]
fn what_is_refused_or_only_asked_is_judged_by_what_is_current() {
    let store = Odd::new();
    register_on(&store, 5, "Contact: <sip:bob@a>").unwrap();
    let stale = store.memory.find(&bob());
    register_on(&store, 6, "Contact: <sip:bob@a>;expires=0").unwrap();
    *lock(&store.stale) = Some(stale);
    // By what is out of date this were too late, and there would be something to list.
    assert!(register_on(&store, 6, "Subject: what is there?").unwrap().bindings.is_empty());
    let change = register_on(&store, 4, "Contact: <sip:bob@a>").unwrap();
    assert_eq!(uris(&change.bindings), ["sip:bob@a"]);
    assert_eq!(*lock(&store.loads), 2);
    let refused = register_on(&store, 3, "Contact: <sip:bob@a>").unwrap_err();
    assert_eq!(refused, RegisterError::Refused(RegisterRefused::OutOfOrder));

    // What is known already needs no load.
    let store = Odd::new();
    register_on(&store, 1, "Contact: <sip:bob@a>").unwrap();
    register_on(&store, 2, "Contact: <sip:bob@a>").unwrap();
    assert_eq!(*lock(&store.loads), 0);
}

#[test]
fn what_is_over_or_held_by_a_dead_node_is_not_reachable() {
    let mut store = Odd::new();
    register_on(&store, 1, "Contact: <sip:bob@short>;expires=60, <sip:bob@long>;expires=600")
        .unwrap();
    let stream = request(2, "Contact: <sip:bob@stream>;expires=600");
    let read = Register::read(&stream).unwrap().held_by("one");
    ready(register(&store, &Registrar::default(), &read, START, 0)).unwrap();

    let located = store.memory.find(&bob());
    let at = |store: &Odd, seconds| -> Vec<String> {
        let now = START + Duration::from_secs(seconds);
        located.reachable(now, store).map(|found| found.uri().unwrap().to_string()).collect()
    };
    assert_eq!(at(&store, 59), ["sip:bob@short", "sip:bob@long", "sip:bob@stream"]);
    assert_eq!(at(&store, 60), ["sip:bob@long", "sip:bob@stream"]);
    store.dead = "one";
    assert_eq!(at(&store, 60), ["sip:bob@long"]);
}

/// RFC 5627 §6.1.
#[test]
fn of_an_instance_the_most_recently_refreshed_comes_first() {
    let store = Odd::new();
    let contact = |host: &str| format!("Contact: <sip:bob@{host}>;+sip.instance=\"<urn:uuid:1>\"");
    register_on(&store, 1, &contact("a")).unwrap();
    register_on(&store, 2, "Contact: <sip:bob@other>").unwrap();
    let request = request(3, &contact("b"));
    let later = START + Duration::from_secs(1);
    let read = Register::read(&request).unwrap();
    ready(register(&store, &Registrar::default(), &read, later, 0)).unwrap();
    let located = store.memory.find(&bob());
    let found = located.reachable_instance("URN:uuid:1", later, &store);
    let found: Vec<_> = found.iter().map(|found| found.uri().unwrap().to_string()).collect();
    assert_eq!(found, ["sip:bob@b", "sip:bob@a"]);
}

#[test]
fn a_binding_is_read_as_it_was_written() {
    let fields = "Supported: path\nPath: <sip:edge;lr>, <sip:inner;lr>\nContact: \"B\\\"ö\" \
                  <sip:bob@a>;q=0.5;+sip.instance=\"<urn:uuid:\\1>\"\nExpires: 77"
        .replace('\n', "\r\n");
    let request = request(7, &fields);
    let read = Register::read(&request).unwrap().held_by("node-1");
    let change = Registrar::default().apply(&[], &read, START, 0).unwrap();
    let binding = &change.bindings[0];
    assert_eq!((binding.instance(), binding.node()), (Some("urn:uuid:1"), Some("node-1")));
    assert_eq!((binding.call_id(), binding.path().len()), ("1@phone", 2));
    let mut text = String::new();
    binding.write(&mut text);
    binding.write(&mut text);
    let (first, rest) = Binding::read(&text).unwrap();
    let (second, rest) = Binding::read(rest).unwrap();
    assert_eq!((&first, &second, rest), (binding, binding, ""));
    // What is cut short anywhere, or says other lengths, is no binding or another, and never more.
    for end in (0..text.len() / 2).filter(|end| text.is_char_boundary(*end)) {
        assert_eq!(Binding::read(&text[..end]), None, "{end}");
    }
    for wrong in [
        "",
        "\n",
        "1 2 3 4 5 6 7 8 9\n",
        "1 2 3 4 0 0 0 0 0\n",
        "1 2 3 4 99999999999 0 0 0 0\n<sip:a>",
    ] {
        assert_eq!(Binding::read(wrong), None, "{wrong:?}");
    }
}
