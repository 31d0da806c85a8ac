//! Properties that hold for whatever is built, edited or received.
#![allow(clippy::unwrap_used, reason = "in a test's helpers too, a panic is the message")]

mod typed;
#[allow(dead_code, reason = "the bytes alone are wanted here")]
#[path = "torture/vectors/mod.rs"]
mod vectors;

use bytes::Bytes;
use proptest::prelude::*;
use sip_message::{
    Contact, Frame, HeaderName, Limits, MaxForwards, Message, Method, RecordRoute, Request,
    Response, StatusCode, StreamFramer, Uri, Via,
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

/// A response to such a request.
fn response() -> impl Strategy<Value = Response> {
    (request(), 100u16..700, "[!-~é ]{0,20}", "[a-z0-9]{1,8}").prop_map(
        |(request, status, reason, tag)| {
            let status = StatusCode::new(status).unwrap();
            let builder = Response::to_request(&request, status).reason(&reason).to_tag(&tag);
            builder.body("text/plain", reason.into_bytes()).build().unwrap()
        },
    )
}

/// What may come off a stream, piece by piece.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => request().prop_map(|request| request.to_bytes().to_vec()),
        3 => response().prop_map(|response| response.to_bytes().to_vec()),
        3 => prop::sample::select(vectors::RFC_4475).prop_map(|vector| vector.bytes.to_vec()),
        3 => "(\r?\n){1,4}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..30),
    ]
}

/// The messages that a stream holds, which comes in pieces of these lengths, over and over; and what
/// the end of it is: bytes left over, or why it cannot be framed.
fn framed(stream: &[u8], cuts: &[usize]) -> (Vec<Vec<u8>>, Result<usize, String>) {
    let mut framer = StreamFramer::new(Limits::default());
    let (mut buffer, mut messages, mut rest) = (Vec::new(), Vec::new(), stream);
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, tail) = rest.split_at((*cut).min(rest.len()));
        rest = tail;
        buffer.extend_from_slice(piece);
        loop {
            match framer.next(&buffer) {
                Ok(Frame::Message { len }) => messages.push(buffer.drain(..len).collect()),
                Ok(Frame::KeepAlive { len, .. }) => drop(buffer.drain(..len)),
                Ok(Frame::NeedMore) => break,
                Err(error) => return (messages, Err(error.refusal().to_string())),
            }
        }
    }
    (messages, Ok(buffer.len()))
}

/// Values of header fields: those of the torture tests, and what is like them.
fn field_value() -> impl Strategy<Value = Vec<u8>> {
    let values: Vec<Vec<u8>> = vectors::RFC_4475
        .iter()
        .chain(vectors::RFC_5118)
        .filter_map(|vector| Message::parse(vector.bytes.into(), &Limits::default()).ok())
        .flat_map(|message| {
            let values = message.headers().iter().map(|field| field.value().to_vec());
            values.collect::<Vec<_>>()
        })
        .collect();
    const PIECES: &[&str] = &[
        "<sip:a@h;lr>",
        "sip:b@h",
        "*",
        "\"x, \\\" y\"",
        "token",
        "text/plain",
        "*/*",
        "70",
        "0.5",
        ";",
        ",",
        ";q=0.1",
        ";tag=t",
        ";index=1.1",
        ";cause=302",
        "=",
        " ",
        "\r\n ",
        "/",
        "INVITE",
        "Digest ",
        "realm=\"r\"",
        "nonce=\"n\"",
        "SIP/2.0/UDP h",
        ";branch=z9hG4bKb",
        "active",
        ";expires=60",
        "Sat, 13 Nov 2010 23:29:00 GMT",
        "<urn:service:sos>",
        "(comment)",
        "399 h \"t\"",
        "%41",
        "\u{e9}",
    ];
    prop_oneof![
        prop::sample::select(values),
        prop::collection::vec(prop::sample::select(PIECES), 1..7)
            .prop_map(|all| all.concat().into_bytes()),
    ]
}

/// URIs of few parts, so that many are alike.
fn uri() -> impl Strategy<Value = String> {
    (
        prop::sample::select(&["sip:", "sips:", "SIP:"][..]),
        prop::sample::select(&["", "a@", "%61@", "A@", "a:p@", "a:%70@"][..]),
        prop::sample::select(&["h", "H", "h:5060", "192.0.2.1"][..]),
        prop::collection::vec(
            prop::sample::select(
                &[
                    ";lr",
                    ";LR",
                    ";x=1",
                    ";X=1",
                    ";x=2",
                    ";y",
                    ";transport=tcp",
                    ";ttl=1",
                    ";user=ip",
                ][..],
            ),
            0..3,
        ),
        prop::sample::select(&["", "?s=1", "?S=1", "?s=1&t=2", "?t=2&s=1", "?s=%31"][..]),
    )
        .prop_map(|(scheme, user, host, params, headers)| {
            format!("{scheme}{user}{host}{}{headers}", params.concat())
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
    fn any_split_of_any_stream_is_framed_as_the_whole(
        pieces in prop::collection::vec(piece(), 1..6),
        cuts in prop::collection::vec(1usize..300, 1..20),
    ) {
        let stream = pieces.concat();
        let whole = framed(&stream, &[stream.len().max(1)]);
        prop_assert_eq!(&framed(&stream, &cuts), &whole);
        for bytes in whole.0 {
            // What was framed is a whole message, which a datagram would have brought as well.
            if let Ok(message) = Message::parse(bytes.clone().into(), &Limits::default()) {
                prop_assert_eq!(message.to_bytes(), bytes);
            }
        }
    }

    #[test]
    fn what_is_answered_is_what_is_parsed(built in response()) {
        built.validate().unwrap();
        let parsed = parse(built.to_bytes()).into_response().unwrap();
        parsed.validate().unwrap();
        prop_assert_eq!(&parsed, &built);
        prop_assert_eq!((parsed.status(), parsed.reason()), (built.status(), built.reason()));
        prop_assert_eq!(parsed.body(), built.body());
        prop_assert_eq!(parsed.headers().to_tag(), built.headers().to_tag());
    }

    #[test]
    fn typed_headers_are_read_as_they_were_written(
        name in prop::sample::select(typed::NAMES),
        field in field_value(),
    ) {
        let Some(Ok(values)) = typed::rewrite(name, &field) else { return Ok(()) };
        prop_assert!(!values.is_empty());
        // All of them in one line are the same.
        let line = values.join(&b", "[..]);
        prop_assert_eq!(typed::rewrite(name, &line), Some(Ok(values.clone())));
        // And so they are in a message, which writes white space for a fold.
        let uri = Uri::parse(b"sip:a@h").unwrap();
        let builder = Request::builder(Method::Options, &uri)
            .raw(HeaderName::From, "<sip:a@h>")
            .raw(HeaderName::To, "<sip:b@h>")
            .raw(HeaderName::CallId, "1")
            .raw(HeaderName::CSeq, "1 OPTIONS");
        let Ok(builder) = typed::append(builder, name, &field) else { unreachable!() };
        // What may stand once stands already.
        let Ok(built) = builder.build() else { return Ok(()) };
        let rows = built.headers().raw_all(name);
        let written: Vec<_> =
            rows.flat_map(|row| typed::rewrite(name, row).unwrap().unwrap()).collect();
        let space = |byte: &u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte };
        let unfolded = values.iter().map(|value| value.iter().map(space).collect());
        prop_assert_eq!(written, unfolded.collect::<Vec<Vec<u8>>>());
    }

    // RFC 3261 §7.3.1: "Implementations MUST be able to process multiple header field rows with the
    // same name in any combination of the single-value-per-line or comma-separated value forms."
    #[test]
    fn values_are_the_same_in_any_rows(
        order in prop::collection::vec(0usize..5, 1..8),
        joined in prop::collection::vec(any::<bool>(), 8),
    ) {
        let rows = |name: &str, values: [&str; 5]| {
            let mut text = String::new();
            for (n, value) in order.iter().enumerate() {
                let value = values[*value];
                match n {
                    0 => text += &format!("{name}: {value}"),
                    n if joined[n] => text += &format!(" ,\r\n {value}"),
                    _ => text += &format!("\r\n{name}:{value}"),
                }
            }
            text + "\r\n"
        };
        let vias = ["SIP/2.0/UDP a", "SIP/2.0/TCP b:1;branch=c", "SIP / 2.0 / TLS d", "SIP/2.0/WS e;f=\",\"", "SIP/2.0/UDP [::1]"];
        let contacts = ["<sip:a@b>", "sip:c@d", "\",\" <sip:e,f@g>", "H <tel:+1>;q=0.1", "<sip:i@j?k=,>;l"];
        let routes = ["<sip:a@b;lr>", "A B<sip:c>", "\"\\\",\" <sip:d>", "<sip:e,f@g>;h", "<sip:i>"];
        let text = format!(
            "INVITE sip:a@b SIP/2.0\r\n{}{}{}\r\n",
            rows("Via", vias), rows("m", contacts), rows("RECORD-ROUTE", routes),
        );
        let message = parse(text);
        let headers = message.headers();
        let printed: Vec<String> = headers.get_all::<Via>().map(|via| via.unwrap().to_string()).collect();
        prop_assert_eq!(printed, order.iter().map(|n| vias[*n]).collect::<Vec<_>>());
        let printed: Vec<String> = headers.get_all::<Contact>().map(|c| c.unwrap().to_string()).collect();
        prop_assert_eq!(printed, order.iter().map(|n| contacts[*n]).collect::<Vec<_>>());
        let printed: Vec<String> = headers.get_all::<RecordRoute>().map(|r| r.unwrap().to_string()).collect();
        prop_assert_eq!(printed, order.iter().map(|n| routes[*n]).collect::<Vec<_>>());
    }

    /// Reflexive and symmetric always; transitive but for the parameters that one URI may have and
    /// the other not, where the RFC's own rules are not:
    // RFC 3261 §19.1.4: "Note that equality is not transitive"
    #[test]
    fn uri_equality_is_an_equivalence(texts in prop::array::uniform3(uri())) {
        let [a, b, c] = &texts;
        let parse = |text: &str| Uri::parse(text.as_bytes()).unwrap().into_owned();
        let (a, b, c) = (parse(a), parse(b), parse(c));
        prop_assert!(a.is_equivalent(&a) && a.is_equivalent(&a.to_static()));
        prop_assert_eq!(a.is_equivalent(&b), b.is_equivalent(&a));
        let names = |uri: &Uri<'_>| {
            let mut names: Vec<_> = uri.params().map(|param| param.name().to_lowercase()).collect();
            names.sort();
            names
        };
        if a.is_equivalent(&b) && b.is_equivalent(&c) && names(&a) == names(&b) && names(&b) == names(&c) {
            prop_assert!(a.is_equivalent(&c), "{a} {b} {c}");
        }
    }

    #[test]
    fn status_codes_and_methods_print_what_they_are_read_from(code in 100u16..700, name in "[!-~]{1,12}") {
        prop_assert_eq!(StatusCode::new(code).unwrap().as_u16(), code);
        if let Some(method) = Method::from_bytes(name.as_bytes()) {
            prop_assert_eq!(method.as_str(), name);
        }
    }
}
