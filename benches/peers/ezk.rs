//! ezk-sip-types 0.6.

use std::hint::black_box;

use bytes::Bytes;
use ezk_sip_types::{
    Headers, Name,
    header::typed::{CSeq, CallID, Contact, ContentLength, FromTo, MaxForwards, Routing, Via},
    msg::{Line, MessageLine, PullParser},
    parse::Parse,
};

fn parse(message: &Bytes) -> Option<(MessageLine, Headers)> {
    let mut parser = PullParser::new(message, 0);
    let start = std::str::from_utf8(parser.next()?.ok()?).ok()?;
    let (_, start) = MessageLine::parse(message)(start).ok()?;
    let mut headers = Headers::with_capacity(40);
    for line in &mut parser {
        let (_, line) = Line::parse(message, std::str::from_utf8(line.ok()?).ok()?).ok()?;
        headers.insert(line.name, line.value);
    }
    Some((start, headers))
}

/// What ezk needs to know all header fields.
pub fn framing(message: &Bytes) -> Option<usize> {
    let (_, headers) = parse(message)?;
    Some(headers.iter().count())
}

/// Framing and the typed values.
pub fn routing(message: &Bytes) -> Option<usize> {
    let (start, headers) = parse(message)?;
    black_box(&start);
    let via: Via = headers.get(Name::VIA).ok()?;
    let from: FromTo = headers.get(Name::FROM).ok()?;
    let to: FromTo = headers.get(Name::TO).ok()?;
    let call_id: CallID = headers.get(Name::CALL_ID).ok()?;
    let cseq: CSeq = headers.get(Name::CSEQ).ok()?;
    let mut found = call_id.0.len() + cseq.cseq as usize;
    found += via.params.get_val("branch").is_some() as usize;
    found += from.tag.is_some() as usize + to.tag.is_some() as usize;
    if let Some(max_forwards) = headers.try_get_named::<MaxForwards>() {
        found += max_forwards.ok()?.0 as usize;
    }
    found += headers.get_named::<ContentLength>().ok()?.0;
    for name in [Name::ROUTE, Name::RECORD_ROUTE] {
        if let Some(routes) = headers.try_get::<Vec<Routing>>(name) {
            found += routes.ok()?.len();
        }
    }
    if let Some(contacts) = headers.try_get::<Vec<Contact>>(Name::CONTACT) {
        found += contacts.ok()?.len();
    }
    Some(black_box(found))
}
