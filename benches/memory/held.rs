//! Many of each thing that lives in a table.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a bench that cannot set up its scene has nothing to tell"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_dialog::{Compositor, CompositorConfig, Dialog, Dialogs};
use sip_message::{
    HeaderName, Limits, Message, Method, Request, Response, StatusCode, Transport, Uri,
};
use sip_transaction::{Config, Endpoint, Event, NextHop, Output, TransactionUser, Transactions};
use sip_transport::{Flow, Input, ListenerId, Local, Locals, Target};
use sip_ua::{
    Account, Agent, AgentConfig, AgentEvent, Body, Grant, NotifierConfig, SubscriptionWish,
};

const SEED: [u64; 2] = [1, 2];
const SDP: &[u8] = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 0\r\n";

/// A transaction user that answers each request with 200.
struct Answerer;

impl TransactionUser for Answerer {
    type Event = ();

    fn handle(&mut self, now: Instant, event: Event, transactions: &mut Transactions) {
        if let Event::Request { key, request, .. } = event {
            let response = Response::to_request(&request, StatusCode::OK).to_tag("b").build();
            let sent = transactions.respond(now, key, response.expect("a response"));
            sent.expect("a live transaction");
        }
    }

    fn poll_event(&mut self) -> Option<()> {
        None
    }
}

pub(crate) fn client_transactions(many: usize) -> impl Sized {
    let now = Instant::now();
    let mut endpoint = endpoint(now, Answerer);
    for n in 0..many {
        let request = Request::builder(Method::Options, &uri("sip:bob@192.0.2.2"))
            .raw(HeaderName::From, "<sip:alice@192.0.2.1>;tag=76341")
            .raw(HeaderName::To, "<sip:bob@192.0.2.2>")
            .raw(HeaderName::CallId, format!("j2qu348ek2328ws{n}"))
            .raw(HeaderName::CSeq, "1 OPTIONS")
            .raw(HeaderName::Contact, "<sip:alice@192.0.2.1:5060>")
            .raw(HeaderName::Accept, "application/sdp")
            .build()
            .expect("a request");
        let target = Target::new(Transport::Udp, ([192, 0, 2, 2], 5060).into());
        let hop = NextHop::Target(target);
        endpoint
            .with(now, |_, transactions| transactions.request(now, request, hop).expect("room"));
        assert_eq!(sent(&mut endpoint).len(), 1);
    }
    assert_eq!(endpoint.transactions().unfinished(), many);
    endpoint
}

pub(crate) fn server_transactions(many: usize) -> impl Sized {
    let now = Instant::now();
    let mut endpoint = endpoint(now, Answerer);
    for n in 0..many {
        endpoint.handle_input(now, datagram(&request(Method::Options, n, None, b"")));
        assert_eq!(sent(&mut endpoint).len(), 1);
    }
    assert_eq!(endpoint.transactions().len(), many);
    endpoint
}

pub(crate) fn dialogs(many: usize) -> impl Sized {
    let mut dialogs = Dialogs::new(SEED, many);
    for n in 0..many {
        let invite = parsed(&request(Method::Invite, n, None, SDP));
        let Message::Request(invite) = invite else { panic!("no request") };
        let dialog = Dialog::uas(&invite, &format!("{n:016x}"), Transport::Udp).expect("a dialog");
        dialogs.insert(dialog, ()).expect("room");
    }
    dialogs
}

/// Calls that nobody refreshes, or that the caller does every half an hour.
pub(crate) fn calls(many: usize, timer: bool) -> impl Sized {
    let mut now = Instant::now();
    let mut endpoint = endpoint(now, Agent::new(AgentConfig::default(), SEED));
    let answer = Body::sdp(SDP);
    for n in 0..many {
        let invite = request(Method::Invite, n, None, SDP);
        let invite = if timer { with_timer(&invite) } else { invite };
        endpoint.handle_input(now, datagram(&invite));
        let Some(AgentEvent::Invitation { call, .. }) = endpoint.poll_event() else {
            panic!("no invitation");
        };
        endpoint.with(now, |agent, transactions| {
            agent.accept(now, transactions, call, Some(&answer), &[]).expect("an open invitation");
        });
        let tag = sent(&mut endpoint).iter().find_map(|message| match message {
            Message::Response(response) if response.status() == StatusCode::OK => {
                assert_eq!(response.headers().contains(HeaderName::SessionExpires), timer);
                response.headers().to_tag().map(str::to_owned)
            }
            _ => None,
        });
        let tag = tag.expect("a 200");
        endpoint.handle_input(now, datagram(&request(Method::Ack, n, Some(&tag), b"")));
        while endpoint.poll_event().is_some() {}
    }
    rest(&mut endpoint, &mut now);
    assert_eq!(endpoint.user().live().active_calls, many);
    endpoint
}

pub(crate) fn registrations(many: usize) -> impl Sized {
    let mut now = Instant::now();
    let config = AgentConfig::default().max_registrations(many);
    let mut endpoint = endpoint(now, Agent::new(config, SEED));
    for n in 0..many {
        let account = Account::new(uri(&format!("sip:user{n}@192.0.2.2")))
            .registrar(uri("sip:192.0.2.2"))
            .expires(Duration::from_secs(3600));
        let account = Arc::new(account);
        endpoint.with(now, |agent, transactions| {
            agent.register(now, transactions, &account).expect("room");
        });
        for message in sent(&mut endpoint) {
            let Message::Request(register) = message else { panic!("no request") };
            let contact = register.headers().raw(HeaderName::Contact).expect("a contact").to_vec();
            let contact = String::from_utf8(contact).expect("text");
            let response = Response::to_request(&register, StatusCode::OK)
                .to_tag("registrar")
                .raw(HeaderName::Contact, &contact)
                .raw(HeaderName::Expires, "3600")
                .build()
                .expect("a response");
            endpoint.handle_input(now, datagram(&response.to_bytes()));
        }
        while endpoint.poll_event().is_some() {}
    }
    rest(&mut endpoint, &mut now);
    assert_eq!(endpoint.user().live().registrations, many);
    endpoint
}

/// All of one account, as those of a phone with many lamps are.
pub(crate) fn subscriptions(many: usize) -> impl Sized {
    let mut now = Instant::now();
    let config = AgentConfig::default().max_subscriptions(many);
    let mut endpoint = endpoint(now, Agent::new(config, SEED));
    let account = Arc::new(Account::new(uri("sip:alice@192.0.2.1")));
    for n in 0..many {
        let wish = SubscriptionWish::new(uri(&format!("sip:user{n}@192.0.2.2")), "presence");
        endpoint.with(now, |agent, transactions| {
            agent.subscribe(now, transactions, &account, wish).expect("room");
        });
        let Some(Message::Request(subscribe)) = sent(&mut endpoint).pop() else {
            panic!("no SUBSCRIBE")
        };
        let contact = "<sip:notifier@192.0.2.2:5060>";
        let response = Response::to_request(&subscribe, StatusCode::OK)
            .to_tag("76341")
            .raw(HeaderName::Contact, contact)
            .raw(HeaderName::Expires, "3600")
            .build()
            .expect("a response");
        endpoint.handle_input(now, datagram(&response.to_bytes()));
        let field = |name| subscribe.headers().raw(name).expect("a header field").to_vec();
        let to = subscribe.headers().to_tag().is_none().then(|| field(HeaderName::To));
        let mut from = to.expect("no tag yet");
        from.extend_from_slice(b";tag=76341");
        let notify = Request::builder(Method::Notify, &uri("sip:alice@192.0.2.1"))
            .raw(HeaderName::Via, format!("SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK-n-{n}"))
            .raw(HeaderName::From, &from)
            .raw(HeaderName::To, field(HeaderName::From))
            .raw(HeaderName::CallId, field(HeaderName::CallId))
            .raw(HeaderName::CSeq, "1 NOTIFY")
            .raw(HeaderName::Contact, contact)
            .raw(HeaderName::Event, "presence")
            .raw(HeaderName::SubscriptionState, "active;expires=3600")
            .build()
            .expect("a request");
        endpoint.handle_input(now, datagram(&notify.to_bytes()));
        sent(&mut endpoint);
        while endpoint.poll_event().is_some() {}
        if n % 10_000 == 9_999 {
            rest(&mut endpoint, &mut now);
        }
    }
    rest(&mut endpoint, &mut now);
    assert_eq!(
        (endpoint.user().live().subscriptions, endpoint.user().live().dialogs),
        (many, many)
    );
    endpoint
}

/// Of as many peers.
pub(crate) fn notifiers(many: usize) -> impl Sized {
    let mut now = Instant::now();
    let config = AgentConfig::default().event_packages(vec!["presence".into()]).max_notifiers(many);
    let mut endpoint = endpoint(now, Agent::new(config, SEED));
    let state = Body::new("application/pidf+xml", vec![b'x'; 300]);
    for n in 0..many {
        let subscribe = Request::builder(Method::Subscribe, &uri("sip:alice@192.0.2.1"))
            .raw(HeaderName::Via, format!("SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK-s-{n}"))
            .raw(HeaderName::From, format!("<sip:user{n}@192.0.2.2>;tag=76341{n}"))
            .raw(HeaderName::To, "<sip:alice@192.0.2.1>")
            .raw(HeaderName::CallId, format!("j2qu348ek2328ws{n}"))
            .raw(HeaderName::CSeq, "1 SUBSCRIBE")
            .raw(HeaderName::Contact, "<sip:bob@192.0.2.2:5060>")
            .raw(HeaderName::Event, "presence")
            .raw(HeaderName::Expires, "3600")
            .build()
            .expect("a request");
        endpoint.handle_input(now, datagram(&subscribe.to_bytes()));
        let Some(AgentEvent::Subscribe { key, .. }) = endpoint.poll_event() else {
            panic!("no SUBSCRIBE")
        };
        let grant = Grant::active(NotifierConfig::new(3600), Some(state.clone()));
        endpoint.with(now, |agent, transactions| {
            agent.accept_subscription(now, transactions, key, grant).expect("room");
        });
        for message in sent(&mut endpoint) {
            if let Message::Request(notify) = message {
                let response = Response::to_request(&notify, StatusCode::OK).build();
                let response = response.expect("a response");
                endpoint.handle_input(now, datagram(&response.to_bytes()));
            }
        }
        if n % 10_000 == 9_999 {
            rest(&mut endpoint, &mut now);
        }
    }
    rest(&mut endpoint, &mut now);
    assert_eq!((endpoint.user().live().notifiers, endpoint.user().live().dialogs), (many, many));
    endpoint
}

/// One of each resource.
pub(crate) fn documents(many: usize) -> impl Sized {
    let config = CompositorConfig::default().package("presence", &["application/pidf+xml"]);
    let mut compositor = Compositor::new(config, SEED);
    let publish = Request::builder(Method::Publish, &uri("sip:alice@192.0.2.1"))
        .raw(HeaderName::Via, "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK-p")
        .raw(HeaderName::From, "<sip:alice@192.0.2.1>;tag=76341")
        .raw(HeaderName::To, "<sip:alice@192.0.2.1>")
        .raw(HeaderName::CallId, "j2qu348ek2328ws")
        .raw(HeaderName::CSeq, "1 PUBLISH")
        .raw(HeaderName::Event, "presence")
        .body("application/pidf+xml", vec![b'x'; 300])
        .build()
        .expect("a request");
    for n in 0..many {
        let resource = format!("sip:user{n}@192.0.2.1");
        let answer = compositor.publish(Duration::ZERO, &resource, &publish);
        assert_eq!(answer.status, StatusCode::OK);
    }
    assert_eq!(compositor.len(), many);
    compositor
}

/// Lets a minute pass, so that all transactions are over.
fn rest(endpoint: &mut Endpoint<Agent>, now: &mut Instant) {
    *now += Duration::from_secs(60);
    while endpoint.poll_timeout().is_some_and(|due| due <= *now) {
        endpoint.handle_timeout(*now);
        while endpoint.poll_event().is_some() {}
        sent(endpoint);
    }
    assert_eq!(endpoint.transactions().len(), 0);
}

fn endpoint<U: TransactionUser>(now: Instant, user: U) -> Endpoint<U> {
    let local = Local::new(ListenerId::new(0), Transport::Udp, ([192, 0, 2, 1], 5060).into());
    let config = Config::default().seed(SEED);
    Endpoint::new(config, Locals::new([local]), now, user)
        .expect("a configuration that makes sense")
}

fn request(method: Method, n: usize, to_tag: Option<&str>, body: &'static [u8]) -> Bytes {
    let cseq = format!("1 {method}");
    let to = match to_tag {
        Some(tag) => format!("<sip:alice@192.0.2.1>;tag={tag}"),
        None => "<sip:alice@192.0.2.1>".to_owned(),
    };
    let via = format!("SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK-{method}-{n}");
    let mut builder = Request::builder(method, &uri("sip:alice@192.0.2.1"))
        .raw(HeaderName::Via, &via)
        .raw(HeaderName::From, format!("<sip:bob@192.0.2.2>;tag=76341{n}"))
        .raw(HeaderName::To, &to)
        .raw(HeaderName::CallId, format!("j2qu348ek2328ws{n}"))
        .raw(HeaderName::CSeq, &cseq)
        .raw(HeaderName::Contact, "<sip:bob@192.0.2.2:5060>");
    if !body.is_empty() {
        builder = builder.body("application/sdp", body);
    }
    builder.build().expect("a request").to_bytes()
}

/// The INVITE of a caller that wants a session timer.
fn with_timer(invite: &Bytes) -> Bytes {
    let Message::Request(mut invite) = parsed(invite) else { panic!("no request") };
    for (name, value) in
        [(HeaderName::Supported, "timer"), (HeaderName::SessionExpires, "1800;refresher=uac")]
    {
        invite.headers_mut().set_raw(name, value.as_bytes()).expect("a value");
    }
    invite.to_bytes()
}

fn datagram(bytes: &Bytes) -> Input {
    let flow = Flow {
        transport: Transport::Udp,
        listener: ListenerId::new(0),
        connection: None,
        remote: ([192, 0, 2, 2], 5060).into(),
    };
    Input::Datagram { flow, payload: Bytes::copy_from_slice(bytes) }
}

fn sent<U: TransactionUser>(endpoint: &mut Endpoint<U>) -> Vec<Message> {
    let mut sent = Vec::new();
    while let Some(output) = endpoint.poll_output() {
        if let Output::Transmit(transmit) = output {
            sent.push(parsed(&transmit.payload));
        }
    }
    sent
}

fn parsed(bytes: &Bytes) -> Message {
    Message::parse(bytes.clone(), &Limits::default()).expect("SIP")
}

fn uri(text: &str) -> Uri<'static> {
    text.parse().expect("a URI")
}
