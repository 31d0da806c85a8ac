//! The messages of the call flows in the RFCs: each parses and validates, is printed as it came,
//! and is the same when it is built again from its typed parts.
//!
//! They are not carried along: a checkout without `../shared/vectors` says that it skips them.
#![allow(clippy::unwrap_used, reason = "in a test's helpers too, a panic is the message")]
#![allow(clippy::panic, reason = "likewise")]

mod typed;

use std::path::Path;

use bytes::Bytes;
use sip_message::{Frame, HeaderName, Limits, Message, Refusal, Request, Response, StreamFramer};
use typed::rewrite;

/// What is refused, for which header field, at what; each is an oversight of its RFC.
const REFUSED: &[(&str, &str, &str)] = &[
    // A semicolon with no parameter:
    // RFC 3261 §25.1: "via-parm          =  sent-protocol LWS sent-by *( SEMI via-params )"
    ("rfc3428-003", "Via", ";branch=z9hG4bK776sgdkse"),
    // RFC 3261 §25.1: "from-spec   =  ( name-addr / addr-spec )
    // *( SEMI from-param )"
    ("rfc3428-004", "From", ";tag=49394"),
    // RFC 3261 §25.1: "contact-param  =  (name-addr / addr-spec) *(SEMI contact-params)"
    ("rfc5626-001", "Contact", ";+sip.instance"),
    // Folds inside a URI:
    // RFC 3261 §25.1: "uri-parameters    =  *( ";" uri-parameter)"
    ("rfc8599-001", "Contact", "\r\n pn-provider"),
    ("rfc8599-002", "Contact", "\r\n pn-provider"),
    ("rfc8599-003", "Contact", "\r\n pn-provider"),
];

/// Header fields that their type refuses, in messages that are fit to be worked on:
// RFC 3261 §16.3: "Any other components, well-formed or not, SHOULD be ignored and
// remain unchanged when the message is forwarded."
const UNREADABLE: &[(&str, &str)] = &[
    // `(whatever URI)`:
    // RFC 3515 §2.1: "Refer-To = ("Refer-To" / "r") HCOLON ( name-addr / addr-spec ) *"
    ("rfc3515-001", "Refer-To"),
    ("rfc3515-005", "Refer-To"),
    // No comma behind the realm:
    // RFC 3261 §25.1: "digest-response   =  dig-resp *(COMMA dig-resp)"
    ("rfc3665-003", "Authorization"),
    // A backslash where the line ends, and a `>` inside the URI:
    // RFC 7044 §5: "hi-targeted-to-uri = name-addr"
    ("rfc4244-012", "History-Info"),
    ("rfc4244-013", "History-Info"),
    // The Identity of RFC 4474, in quotes or without its `info` parameter:
    // RFC 8224 §14: "The previous signed-identity-digest format has been replaced with
    // PASSporT"
    ("rfc4474-003", "Identity"),
    ("rfc4662-004", "Identity"),
    ("rfc4662-008", "Identity"),
    // A URI without a scheme:
    // RFC 3892 §3: "referrer-uri = ( name-addr / addr-spec )"
    ("rfc5359-045", "Referred-By"),
];

fn parse(bytes: &[u8]) -> Message {
    Message::parse(Bytes::copy_from_slice(bytes), &Limits::default()).unwrap()
}

/// Each message with the name of its file.
fn messages() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors/callflows");
    let Ok(files) = folder.read_dir() else {
        println!("skipped: the call flows are not at hand in {}", folder.display());
        return Vec::new();
    };
    let mut messages: Vec<_> = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "sip"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect();
    messages.sort();
    assert_eq!(messages.len(), 492);
    messages
}

/// Each value with its field's name, as its type writes it; those that their type refuses, and those
/// that have no type, as they came. (The builder gives each value a line of its own, and in place of
/// a fold the white space of its length.)
fn values(name: &str, message: &Message) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for field in message.headers().iter().filter(|f| f.name() != HeaderName::ContentLength) {
        let values = match rewrite(field.name(), field.value()) {
            Some(Ok(values)) => values,
            Some(Err(error)) => {
                let known = UNREADABLE.contains(&(name, field.name().as_str()));
                assert!(known, "{name}: {error}");
                vec![field.value().to_vec()]
            }
            None => vec![field.value().to_vec()],
        };
        all.extend(values.iter().map(|value| (field.name().to_string(), unfolded(value))));
    }
    all
}

fn unfolded(value: &[u8]) -> String {
    String::from_utf8_lossy(value).replace(['\r', '\n'], " ")
}

/// The message that its start line, the typed values of its fields and its body make.
fn rebuilt(name: &str, message: &Message) -> Message {
    macro_rules! filled {
        ($builder:expr) => {{
            let mut builder = $builder;
            for field in message.headers().iter() {
                if field.name() == HeaderName::ContentLength {
                    continue;
                }
                builder = typed::append(builder, field.name(), field.value())
                    .unwrap_or_else(|builder| builder.raw(field.name(), unfolded(field.value())));
            }
            let mut built = builder.build().unwrap_or_else(|error| panic!("{name}: {error}"));
            built.set_body(message.body().to_vec());
            // The builder adds what RFC 3261 §8.1.1 wants and this request lacks.
            if !message.headers().contains(HeaderName::MaxForwards) {
                built.headers_mut().remove(HeaderName::MaxForwards);
            }
            built
        }};
    }
    match message {
        Message::Request(request) => {
            let method = request.method().clone();
            Message::Request(filled!(Request::builder(method, &request.uri().unwrap())))
        }
        Message::Response(response) => {
            let reason = std::str::from_utf8(response.reason()).unwrap();
            Message::Response(filled!(Response::builder(response.status()).reason(reason)))
        }
    }
}

#[test]
fn each_parses_validates_and_is_printed_as_it_came() {
    for (name, bytes) in messages() {
        let message = parse(&bytes);
        assert_eq!(message.to_bytes(), bytes, "{name}");
        let framed = StreamFramer::new(Limits::default()).next(&bytes);
        assert_eq!(framed.unwrap(), Frame::Message { len: bytes.len() }, "{name}");
        let refused = REFUSED.iter().find(|(refused, ..)| *refused == name);
        match (message.validate(), refused) {
            (Ok(()), None) => {}
            (Err(refusal), Some((_, header, at))) => {
                let found = refusal.header().map(|header| header.as_str().to_owned());
                assert_eq!(found.as_deref(), Some(*header), "{name}: {refusal}");
                assert!(bytes[refusal.offset()..].starts_with(at.as_bytes()), "{name}: {refusal}");
            }
            (verdict, _) => panic!("{name}: {verdict:?}"),
        }
    }
}

#[test]
fn each_is_the_same_when_it_is_built_again_from_its_typed_parts() {
    let (mut typed, mut untyped, mut unreadable) = (0, 0, Vec::new());
    for (name, bytes) in messages() {
        let message = parse(&bytes);
        if message.validate().is_err() {
            continue;
        }
        let built = rebuilt(&name, &message);
        built.validate().unwrap_or_else(|refusal: Refusal| panic!("{name}: {refusal}"));
        let again = parse(&built.to_bytes());
        assert_eq!(again, built, "{name}");
        assert_eq!(values(&name, &again), values(&name, &message), "{name}");
        assert_eq!(again.body(), message.body(), "{name}");
        let start = |message: &Message| match message {
            Message::Request(r) => (r.method().to_string().into_bytes(), r.uri_bytes().to_vec()),
            Message::Response(r) => (r.status().to_string().into_bytes(), r.reason().to_vec()),
        };
        assert_eq!(start(&again), start(&message), "{name}");
        for field in message.headers().iter() {
            match rewrite(field.name(), field.value()) {
                Some(Ok(_)) => typed += 1,
                Some(Err(_)) => unreadable.push((name.clone(), field.name().to_string())),
                None => untyped += 1,
            }
        }
    }
    if typed > 0 {
        assert!(typed > 3_900 && untyped < 10, "{typed} {untyped}");
        let mut expected =
            UNREADABLE.iter().map(|(name, header)| (*name, *header)).collect::<Vec<_>>();
        expected.sort();
        let found: Vec<_> =
            unreadable.iter().map(|(name, header)| (&name[..], &header[..])).collect();
        assert_eq!(found, expected);
    }
}
