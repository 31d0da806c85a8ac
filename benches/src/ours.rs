//! Our own parser at each level, and what is done with what was parsed.

use std::hint::black_box;

use bytes::Bytes;
use sip_message::{
    Contact, ContentLength, From, HeaderName, Limits, MaxForwards, Message, RecordRoute, Response,
    Route, StatusCode, To, Transport, Uri, Via,
};

/// What a message is put through; how much was found or written, so that nothing is optimised away.
pub type Work = fn(&Bytes) -> Option<usize>;

/// All of it by name.
pub const LEVELS: [(&str, Work); 5] = [
    ("framing", framing),
    ("routing", routing),
    ("validated", validated),
    ("forwarded", forwarded),
    ("answered", answered),
];

/// Start line and header fields.
pub fn framing(message: &Bytes) -> Option<usize> {
    let message = Message::parse(message.clone(), &Limits::default()).ok()?;
    Some(message.headers().len())
}

/// Framing, and the typed values that a transaction user needs.
pub fn routing(message: &Bytes) -> Option<usize> {
    let message = Message::parse(message.clone(), &Limits::default()).ok()?;
    match &message {
        Message::Request(request) => drop(black_box(request.uri().ok()?)),
        Message::Response(response) => drop(black_box(response.status())),
    }
    let headers = message.headers();
    let via: Via<'_> = headers.get().ok()??;
    let from: From<'_> = headers.get().ok()??;
    let to: To<'_> = headers.get().ok()??;
    let cseq = headers.cseq()?;
    let mut found = headers.call_id()?.len() + cseq.number as usize;
    found += usize::from(via.branch().is_some());
    found += usize::from(from.tag().is_some()) + usize::from(to.tag().is_some());
    found += headers.get::<MaxForwards>().ok()?.map_or(0, |hops| usize::from(hops.0));
    found += headers.get::<ContentLength>().ok()??.0 as usize;
    for route in headers.get_all::<Route<'_>>() {
        black_box(route.ok()?.uri());
        found += 1;
    }
    for route in headers.get_all::<RecordRoute<'_>>() {
        black_box(route.ok()?.uri());
        found += 1;
    }
    for contact in headers.get_all::<Contact<'_>>() {
        black_box(contact.ok()?.uri());
        found += 1;
    }
    Some(black_box(found))
}

/// Framing, and the check that comes before a message is worked on.
pub fn validated(message: &Bytes) -> Option<usize> {
    let message = Message::parse(message.clone(), &Limits::default()).ok()?;
    message.validate().ok()?;
    Some(message.headers().len())
}

/// Framing, what a proxy changes, and the message as it goes on.
pub fn forwarded(message: &Bytes) -> Option<usize> {
    let mut message = Message::parse(message.clone(), &Limits::default()).ok()?;
    edit(&mut message)?;
    Some(message.to_bytes().len())
}

/// What a proxy changes: it takes off a Via and puts on its own; in a request it also counts
/// Max-Forwards down and puts in the next Request-URI.
pub fn edit(message: &mut Message) -> Option<()> {
    let headers = message.headers_mut();
    headers.pop_front(HeaderName::Via);
    headers.push_front(&Via::new(Transport::Udp, "proxy.example.com", "z9hG4bK87asdks7").ok()?);
    if let Message::Request(request) = message {
        let hops = request.headers().max_forwards()?;
        request.headers_mut().set(&MaxForwards(hops.checked_sub(1)?));
        request.set_uri(&Uri::parse(b"sip:bob@192.0.2.4").ok()?);
    }
    Some(())
}

/// Framing, and for a request the response that a server sends first; otherwise nothing more.
pub fn answered(message: &Bytes) -> Option<usize> {
    match Message::parse(message.clone(), &Limits::default()).ok()? {
        Message::Request(request) => {
            let response = Response::to_request(&request, StatusCode::RINGING).to_tag("a6c85cf");
            Some(response.build().ok()?.to_bytes().len())
        }
        Message::Response(response) => Some(response.headers().len()),
    }
}
