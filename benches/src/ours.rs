//! Our own parser at the two levels.

use std::hint::black_box;

use bytes::Bytes;
use sip_message::{
    Contact, ContentLength, From, Limits, MaxForwards, Message, RecordRoute, Route, To, Via,
};

/// Start line, header fields and the routing core, as every message gets them.
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
