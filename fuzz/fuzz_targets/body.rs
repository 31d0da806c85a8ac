//! Any bytes as a body: the first line is its Content-Type, the rest is the body of a message, and a
//! `message/sipfrag` besides. Parts lie in order within their body and are walked in bounded time;
//! what is built out of them reads again as the same; what is left of a message reads as it did.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sip_message::{
    Content, HeaderName, Limits, Message, MultipartBuilder, PartBuilder, Response, SipFrag,
    StatusCode,
};

fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let (content_type, body) = data.split_at(end);
    let body = Bytes::copy_from_slice(body.get(1..).unwrap_or_default());
    fragment(body.clone());
    let message =
        Response::builder(StatusCode::OK).body(content_type.trim_ascii(), body.clone()).build();
    let Ok(message) = message else { return };
    let content = message.content();
    assert_eq!((content.bytes(), content.offset()), (&body[..], 0));
    look(&body, &content, 0);

    let limits = Limits::default();
    let sdp = |content: &Content<'_>| content.is("application", "sdp");
    if let Ok(Some(found)) = content.session_description(&limits) {
        assert!(sdp(&found) && found.is_disposition("session") && !found.bytes().is_empty());
        // What is there is found by any walk that may find it.
        assert!(content.find(&limits, sdp).unwrap().is_some());
    }
    if let Ok(Some(refused)) = content.unsupported(&limits, sdp) {
        assert!(!sdp(&refused));
    }
});

/// Looks at a body and at the parts within it.
fn look(whole: &[u8], content: &Content<'_>, depth: usize) {
    let _ = (content.disposition(), content.is_required(), content.id(), content.content_type());
    let _ = (content.headers().count(), content.raw(HeaderName::ContentType));
    if let Ok(decoded) = content.decoded() {
        assert!(decoded.len() <= content.bytes().len());
    }
    let parts = match content.parts() {
        Ok(Some(parts)) => parts,
        Ok(None) => return,
        Err(error) => return assert!(error.offset() <= whole.len(), "{error}"),
    };
    let mut end = content.offset() + parts.preamble().len();
    let mut builder = MultipartBuilder::mixed();
    let mut bodies = Vec::new();
    for part in parts {
        match part {
            Ok(part) => {
                assert!(part.offset() >= end, "parts overlap");
                end = part.offset() + part.bytes().len();
                assert_eq!(&whole[part.offset()..end], part.bytes());
                if depth < 4 {
                    look(whole, &part, depth + 1);
                }
                bodies.push(part.bytes());
                let bytes = Bytes::copy_from_slice(part.bytes());
                builder = builder.part(PartBuilder::new("a/b", bytes));
            }
            Err(error) => assert!(error.offset() <= whole.len(), "{error}"),
        }
    }
    let Ok((content_type, body)) = builder.build() else { return assert!(bodies.is_empty()) };
    let message = Response::builder(StatusCode::OK).body(&content_type, body).build().unwrap();
    let again = message.content().parts().unwrap().expect("a multipart");
    let again: Result<Vec<_>, _> = again.map(|part| part.map(|part| part.bytes())).collect();
    assert_eq!(again.unwrap(), bodies);
}

/// Reads a fragment, and builds it anew out of all that it has.
fn fragment(bytes: Bytes) {
    let limits = Limits::default();
    let Ok(fragment) = SipFrag::parse(bytes.clone(), &limits) else { return };
    if let Err(refusal) = fragment.validate() {
        assert!(refusal.offset() <= bytes.len(), "{refusal}");
    }
    let built = match fragment.message() {
        Some(Message::Request(request)) => request.fragment().all_headers().body().build(),
        Some(Message::Response(response)) => response.fragment().all_headers().body().build(),
        None => return,
    };
    let again = SipFrag::parse(built, &limits).expect("what was read is a fragment");
    assert_eq!((again.method(), again.status()), (fragment.method(), fragment.status()));
    assert_eq!(again.body(), fragment.body());
    assert_eq!(again.headers().len(), fragment.headers().len());
}
