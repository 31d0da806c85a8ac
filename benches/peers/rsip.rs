//! rsip 0.4.

use std::hint::black_box;

use rsip::{SipMessage, headers::UntypedHeader, message::HasHeaders, prelude::*};

/// Start line and untyped header fields.
pub fn framing(message: &[u8]) -> Option<usize> {
    let message = SipMessage::try_from(message).ok()?;
    Some(message.headers().iter().count())
}

/// Framing and the typed values.
pub fn routing(message: &[u8]) -> Option<usize> {
    let message = SipMessage::try_from(message).ok()?;
    let via = message.via_header().ok()?.typed().ok()?;
    let from = message.from_header().ok()?.typed().ok()?;
    let to = message.to_header().ok()?.typed().ok()?;
    let cseq = message.cseq_header().ok()?.typed().ok()?;
    let call_id = message.call_id_header().ok()?.value().len();
    let mut found = call_id + via.branch().is_some() as usize + from.tag().is_some() as usize;
    found += to.tag().is_some() as usize + cseq.seq as usize;
    for header in message.headers().iter() {
        match header {
            rsip::Header::Contact(value) => drop(black_box(value.typed().ok()?)),
            rsip::Header::Route(value) => drop(black_box(value.typed().ok()?)),
            rsip::Header::RecordRoute(value) => drop(black_box(value.typed().ok()?)),
            rsip::Header::MaxForwards(value) => found += value.num().ok()? as usize,
            rsip::Header::ContentLength(value) => found += value.length().ok()? as usize,
            _ => {}
        }
    }
    Some(black_box(found))
}
