//! rsipstack 0.7: its fork of rsip with a parser of its own.

use std::hint::black_box;

use rsipstack::sip::{Header, SipMessage, prelude::*};

/// Start line and untyped header fields.
pub fn framing(message: &[u8]) -> Option<usize> {
    let message = SipMessage::try_from(message).ok()?;
    Some(message.headers().iter().count())
}

/// Framing and the typed values.
pub fn routing(message: &[u8]) -> Option<usize> {
    let message = SipMessage::try_from(message).ok()?;
    let via = message.top_via_header().ok()?.typed().ok()?;
    let from = message.from_header().ok()?.typed().ok()?;
    let to = message.to_header().ok()?.typed().ok()?;
    let cseq = message.cseq_header().ok()?.typed().ok()?;
    let call_id = message.call_id_header().ok()?.value().len();
    let mut found = call_id + via.branch().is_some() as usize + from.tag().is_some() as usize;
    found += to.tag().is_some() as usize + cseq.seq as usize;
    for header in message.headers().iter() {
        match header {
            Header::Contact(value) => drop(black_box(value.typed().ok()?)),
            Header::Route(value) => drop(black_box(value.typed().ok()?)),
            Header::RecordRoute(value) => drop(black_box(value.typed().ok()?)),
            Header::MaxForwards(value) => found += value.value().trim().parse::<usize>().ok()?,
            Header::ContentLength(value) => found += value.value().trim().parse::<usize>().ok()?,
            _ => {}
        }
    }
    Some(black_box(found))
}
