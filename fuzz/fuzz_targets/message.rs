//! Any bytes, as a datagram: nothing panics, what was not edited is printed as it came, and what is
//! printed reads the same again.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sip_message::{
    CSeq, CallId, Contact, From, Header, HeaderName, Headers, Limits, MaxForwards, Message,
    RecordRoute, Response, Route, StatusCode, To, Uri, Via,
};

fuzz_target!(|data: &[u8]| {
    let limits = Limits::default();
    let Ok(message) = Message::parse(Bytes::copy_from_slice(data), &limits) else { return };

    let printed = message.to_bytes();
    let lead = data.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    assert_eq!(printed, data[lead..][..printed.len()], "printed as it came");

    let verdict = message.validate();
    if let Err(refusal) = &verdict {
        assert!(refusal.offset() <= printed.len(), "{refusal}");
        assert!(refusal.status().as_u16() >= 400);
    }
    let again = Message::parse(printed, &limits).expect("what was printed is a message");
    assert_eq!(read(message.headers()), read(again.headers()));
    assert_eq!(message.body(), again.body());
    typed(message.headers());

    let Message::Request(mut request) = message else { return };
    if let Ok(uri) = request.uri() {
        let _ = (uri.host(), uri.port(), uri.params().count());
    }
    let built = Response::to_request(&request, StatusCode::BAD_REQUEST).to_tag("fuzz").build();
    if let Ok(response) = built {
        let bytes = response.to_bytes();
        let parsed = Message::parse(bytes.clone(), &limits).expect("what was built is a message");
        assert_eq!(parsed.to_bytes(), bytes);
        assert_eq!(parsed.headers().call_id(), request.headers().call_id());
        assert_eq!(parsed.headers().branch(), request.headers().branch());
    }
    if verdict.is_err() {
        return;
    }
    // The edits of a proxy, on a request that may be forwarded.
    let vias = request.get_all::<Via>().count();
    request.headers_mut().push_front(&Via::parse(b"SIP/2.0/UDP p;branch=z9hG4bKp").unwrap());
    request.headers_mut().set(&MaxForwards(1));
    request.headers_mut().pop_front(HeaderName::Route);
    request.set_uri(&Uri::parse(b"sip:next.example.com").unwrap());
    let edited = request.to_bytes();
    assert_eq!(edited.len(), request.wire_len());
    let roomy = limits.message_bytes(usize::MAX).head_bytes(usize::MAX).header_fields(60_000);
    let parsed = Message::parse(edited, &roomy).unwrap().into_request().unwrap();
    parsed.validate().expect("the edits break nothing");
    assert_eq!(parsed.headers().branch(), Some("z9hG4bKp"));
    assert_eq!(parsed.headers().max_forwards(), Some(1));
    assert_eq!(parsed.get_all::<Via>().count(), vias + 1);
    assert_eq!(read(parsed.headers()), read(request.headers()));
    assert_eq!(parsed.body(), request.body());
});

/// Everything that the routing core and the slots say. A fold is one however its line ends: an
/// edited message has CRLF where a bare LF came in.
fn read(headers: &Headers) -> impl PartialEq + std::fmt::Debug {
    let fields: Vec<_> = headers
        .iter()
        .map(|field| (field.name().as_str().to_owned(), lines(field.value())))
        .collect();
    let text = |text: Option<&str>| text.map(str::to_owned);
    (
        fields,
        text(headers.call_id()),
        text(headers.from_tag()),
        text(headers.to_tag()),
        text(headers.branch()),
        headers.max_forwards(),
        headers.cseq().map(|cseq| (cseq.number, cseq.method())),
    )
}

/// The lines of a value, without what ends them.
fn lines(value: &[u8]) -> Vec<Vec<u8>> {
    let lines = value.split(|&byte| byte == b'\n');
    lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec()).collect()
}

/// Typed access to everything that routes; what the core says is what the types say.
fn typed(headers: &Headers) {
    if let Ok(Some(cseq)) = headers.get::<CSeq>() {
        assert_eq!(headers.cseq().map(|cseq| cseq.number), Some(cseq.number()));
    }
    if let Ok(Some(from)) = headers.get::<From>() {
        assert_eq!(from.tag().as_deref(), headers.from_tag());
    }
    if let Ok(Some(to)) = headers.get::<To>() {
        assert_eq!(to.tag().as_deref(), headers.to_tag());
    }
    if let Ok(Some(via)) = headers.get::<Via>() {
        assert_eq!(via.branch(), headers.branch());
    }
    let _ = headers.get::<CallId>();
    headers.get_all::<Contact>().for_each(drop);
    headers.get_all::<Route>().for_each(drop);
    headers.get_all::<RecordRoute>().for_each(drop);
}
