//! Properties that hold for whatever is built, edited or received.
#![allow(clippy::unwrap_used, reason = "in a test's helpers too, a panic is the message")]

use bytes::Bytes;
use proptest::prelude::*;
use sip_message::{
    Frame, HeaderName, Limits, MaxForwards, Message, Method, Request, StatusCode, StreamFramer, Uri,
};

/// A token that is no compact form and no standard name.
fn other_name() -> impl Strategy<Value = String> {
    "X-[a-zA-Z0-9!%*_+`'~.-]{1,12}"
}

/// A header field value: no line end in it, no white space around it.
fn value() -> impl Strategy<Value = String> {
    "[!-~é]([ -~é]{0,40}[!-~é])?"
}

/// What a folded line of the wire may look like.
fn wire_line() -> impl Strategy<Value = String> {
    (other_name(), "[ \t]{0,2}", "(\r\n)?[ \t]", value(), "(\r\n[ \t]+x)?", "[ \t]{0,2}").prop_map(
        |(name, before, after, value, fold, end)| {
            format!("{name}{before}:{after}{value}{fold}{end}\r\n")
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    (
        "[A-Z]{1,9}",
        "[a-z]{1,8}",
        "[a-zA-Z0-9@.]{1,20}",
        0u32..1 << 31,
        prop::collection::vec((other_name(), value()), 0..10),
        prop::collection::vec(any::<u8>(), 0..60),
    )
        .prop_map(|(method, user, call_id, number, fields, body)| {
            let uri =
                Uri::parse(format!("sip:{user}@example.com").as_bytes()).unwrap().into_owned();
            let mut builder = Request::builder(method.parse().unwrap(), &uri)
                .raw(HeaderName::Via, format!("SIP/2.0/UDP h;branch=z9hG4bK{number}"))
                .raw(HeaderName::From, format!("\"{user}\" <sip:a@h>;tag={user}"))
                .raw(HeaderName::To, "<sip:b@h>")
                .raw(HeaderName::CallId, call_id)
                .raw(HeaderName::CSeq, format!("{number} {method}"));
            for (name, value) in &fields {
                builder = builder.raw(HeaderName::Other(name), value);
            }
            builder.body("application/octet-stream", body).build().unwrap()
        })
}

fn parse(bytes: impl Into<Bytes>) -> Message {
    Message::parse(bytes.into(), &Limits::default()).unwrap()
}

fn fields(request: &Request) -> Vec<(String, Vec<u8>)> {
    let owned = |name: HeaderName<'_>| name.as_str().to_owned();
    request.headers().iter().map(|field| (owned(field.name()), field.value().to_vec())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(message) = Message::parse(bytes.clone().into(), &Limits::default()) {
            let _ = message.validate();
        }
        let _ = StreamFramer::new(Limits::default()).next(&bytes);
    }

    #[test]
    fn any_lines_after_a_start_line_are_read_and_printed(
        lines in "([a-zA-Z:;,<>\"\\\\ \t0-9=%@.-]{0,30}\r?\n){0,12}",
    ) {
        let text = format!("INVITE sip:a@b SIP/2.0\r\n{lines}");
        let message = parse(text.clone());
        let printed = message.to_bytes();
        prop_assert!(text.as_bytes().starts_with(&printed));
        let _ = message.validate();
        prop_assert_eq!(parse(printed.clone()).to_bytes(), printed);
    }

    #[test]
    fn what_is_built_is_what_is_parsed(built in request()) {
        built.validate().unwrap();
        let parsed = parse(built.to_bytes()).into_request().unwrap();
        parsed.validate().unwrap();
        prop_assert_eq!(&parsed, &built);
        prop_assert_eq!(fields(&parsed), fields(&built));
        prop_assert_eq!(parsed.method(), built.method());
        prop_assert_eq!(parsed.uri_bytes(), built.uri_bytes());
        prop_assert_eq!(parsed.body(), built.body());
        prop_assert_eq!(parsed.headers().cseq(), built.headers().cseq());
        prop_assert_eq!(parsed.headers().from_tag(), built.headers().from_tag());
    }

    #[test]
    fn an_edit_is_seen_and_nothing_else_changes(
        mut request in request(),
        name in other_name(),
        value in value(),
        at in any::<prop::sample::Index>(),
    ) {
        // Put another value in place of one of the fields, or add one.
        let mut expected = fields(&request);
        let others: Vec<_> =
            expected.iter().map(|field| field.0.clone()).filter(|n| n.starts_with("X-")).collect();
        let name = if others.is_empty() { name } else { others[at.index(others.len())].clone() };
        let same = |other: &str| other.eq_ignore_ascii_case(&name);
        match expected.iter().position(|field| same(&field.0)) {
            Some(first) => {
                let mut index = 0;
                expected.retain(|field| {
                    index += 1;
                    index <= first + 1 || !same(&field.0)
                });
                expected[first] = (name.clone(), value.clone().into_bytes());
            }
            None => expected.insert(expected.len() - 1, (name.clone(), value.clone().into_bytes())),
        }
        request.headers_mut().set_raw(HeaderName::Other(&name), value.as_bytes()).unwrap();
        let parsed = parse(request.to_bytes()).into_request().unwrap();
        prop_assert_eq!(fields(&parsed), expected.clone());
        prop_assert_eq!(fields(&request), expected);
        prop_assert_eq!(parsed.body(), request.body());
        prop_assert_eq!(request.wire_len(), request.to_bytes().len());
    }

    #[test]
    fn edits_one_after_another_end_as_a_model_does(
        mut request in request(),
        edits in prop::collection::vec((0u8..5, 0usize..3, value()), 0..20),
    ) {
        let names = ["X-a", "X-b", "x-A"];
        let mut model = fields(&request);
        for (edit, name, value) in edits {
            let name = names[name];
            let same = |field: &(String, Vec<u8>)| field.0.eq_ignore_ascii_case(name);
            let new = (name.to_owned(), value.clone().into_bytes());
            let headers = request.headers_mut();
            let other = HeaderName::Other(name);
            match edit {
                0 => {
                    headers.set_raw(other, value.as_bytes()).unwrap();
                    let first = model.iter().position(same).unwrap_or(model.len() - 1);
                    model.retain(|field| !same(field));
                    model.insert(first, new);
                }
                1 => {
                    headers.push_raw(other, value.as_bytes()).unwrap();
                    let last = model.iter().rposition(same).map_or(model.len() - 1, |last| last + 1);
                    model.insert(last, new);
                }
                2 => {
                    let first = model.iter().position(same);
                    prop_assert_eq!(headers.pop_front(other), first.is_some());
                    first.map(|first| model.remove(first));
                }
                3 => {
                    let before = model.len();
                    model.retain(|field| !same(field));
                    prop_assert_eq!(headers.remove(other), before - model.len());
                }
                _ => headers.set(&MaxForwards(7)),
            }
            if edit == 4 {
                let field = model.iter_mut().find(|field| field.0 == "Max-Forwards").unwrap();
                field.1 = b"7".to_vec();
            }
            prop_assert_eq!(fields(&request), model.clone());
        }
        let parsed = parse(request.to_bytes()).into_request().unwrap();
        prop_assert_eq!(fields(&parsed), model);
        prop_assert_eq!(parsed.headers().max_forwards(), request.headers().max_forwards());
        prop_assert_eq!(parsed.headers().branch(), request.headers().branch());
        prop_assert_eq!(parsed.headers().call_id(), request.headers().call_id());
    }

    #[test]
    fn folds_and_white_space_are_printed_as_they_came(lines in prop::collection::vec(wire_line(), 0..10)) {
        let text = format!("OPTIONS sip:a@b SIP/2.0\r\n{}Max-Forwards: 3\r\n\r\n", lines.concat());
        let mut message = parse(text.clone());
        prop_assert_eq!(message.to_bytes(), text.as_bytes());
        prop_assert_eq!(message.headers().len(), lines.len() + 1);
        // An edit elsewhere leaves them as they are.
        message.headers_mut().set(&MaxForwards(2));
        let expected = text.replace("Forwards: 3", "Forwards: 2");
        prop_assert_eq!(message.to_bytes(), expected.as_bytes());
    }

    #[test]
    fn any_split_of_a_stream_is_the_same_stream(
        requests in prop::collection::vec(request(), 1..4),
        cuts in prop::collection::vec(1usize..200, 1..40),
    ) {
        let wire: Vec<Bytes> = requests.iter().map(Request::to_bytes).collect();
        let stream = wire.concat();
        let mut framer = StreamFramer::new(Limits::default());
        let (mut buffer, mut framed, mut rest) = (Vec::new(), Vec::new(), &stream[..]);
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, tail) = rest.split_at((*cut).min(rest.len()));
            rest = tail;
            buffer.extend_from_slice(piece);
            while let Frame::Message { len } = framer.next(&buffer).unwrap() {
                framed.push(Bytes::from(buffer.drain(..len).collect::<Vec<_>>()));
            }
        }
        prop_assert_eq!(framed, wire);
    }

    #[test]
    fn status_codes_and_methods_print_what_they_are_read_from(code in 100u16..700, name in "[!-~]{1,12}") {
        prop_assert_eq!(StatusCode::new(code).unwrap().as_u16(), code);
        if let Some(method) = Method::from_bytes(name.as_bytes()) {
            prop_assert_eq!(method.as_str(), name);
        }
    }
}
