//! Any bytes as a URI: what is read is printed as it came, its parts are those that a builder gets
//! from it, and it is equivalent to itself. A telephone number keeps its meaning on its way from a
//! `tel` URI to a SIP URI and back.

#![no_main]

use std::borrow::Cow;

use libfuzzer_sys::fuzz_target;
use sip_message::{HeaderName, Limits, Message, Method, Request, TelephoneSubscriber, Uri};

fuzz_target!(|data: &[u8]| {
    // Two URIs at once, to compare them.
    let (data, second) = match data.iter().position(|&byte| byte == b'\n') {
        Some(at) => (&data[..at], Some(&data[at + 1..])),
        None => (data, None),
    };
    let uri = match Uri::parse(data) {
        Ok(uri) => uri,
        Err(error) => {
            assert!(error.offset() <= data.len(), "{error}");
            return;
        }
    };
    assert_eq!(uri.as_bytes(), data);
    assert_eq!(uri.to_string().as_bytes(), data);
    assert!(uri.is_equivalent(&uri.to_static()));
    let _ =
        (uri.scheme(), uri.opaque(), uri.user_decoded(), uri.ip(), uri.transport(), uri.maddr());
    let _ = (uri.ttl(), uri.lr(), uri.user_param(), uri.method_param());
    let _ = (uri.gruu(), uri.ob(), uri.pn_provider(), uri.mailbox(), uri.service());
    if let Ok(Some(number)) = uri.telephone_subscriber() {
        telephone(&number);
    }
    if let Ok(number) = TelephoneSubscriber::parse(data) {
        telephone(&number);
    }
    if let Some(second) = second.and_then(|second| Uri::parse(second).ok()) {
        assert_eq!(uri.is_equivalent(&second), second.is_equivalent(&uri));
    }
    if !uri.is_sip() {
        return;
    }
    assert!(uri.host().is_some(), "checked when it was parsed");
    request(&uri);
    let same = uri.with_port(uri.port()).expect("nothing was changed");
    assert_eq!(parts(&same), parts(&uri));
    let bare =
        uri.without_params().and_then(|uri| uri.without_headers()).expect("less is no worse");
    assert_eq!((bare.params().count(), bare.headers().count()), (0, 0));
    if let Some(user) = uri.user_decoded() {
        let again = bare.with_user(&user).expect("a user is escaped as needed");
        assert_eq!(again.user_decoded().as_deref(), Some(&*user));
    }
});

/// The request that a URI asks for has no line that the URI smuggled in.
fn request(uri: &Uri<'_>) {
    let Ok(builder) = Request::builder_from(uri, Method::Options) else { return };
    let builder = builder
        .raw(HeaderName::From, "<sip:a@b>;tag=1")
        .raw(HeaderName::CallId, "1")
        .raw(HeaderName::CSeq, format!("1 {}", uri.method_param().unwrap_or("OPTIONS".into())));
    let Ok(request) = builder.build() else { return };
    let again = Message::parse(request.to_bytes(), &Limits::default()).expect("was built");
    assert_eq!(again.headers().len().min(256), request.headers().len().min(256));
    assert!(
        !again.headers().contains(HeaderName::Via) && !again.headers().contains(HeaderName::Route)
    );
    assert_eq!(again.body(), request.body());
}

fn telephone(number: &TelephoneSubscriber<'_>) {
    assert_eq!(TelephoneSubscriber::parse(number.as_str().as_bytes()).as_ref(), Ok(number));
    let canonical = number.canonical();
    assert_eq!(&canonical, number);
    assert_eq!(canonical.canonical().as_str(), canonical.as_str());
    // Too long a number has no room for a scheme.
    let Ok(tel) = Uri::tel(number) else { return };
    assert_eq!(tel.telephone_subscriber().unwrap().as_ref(), Some(number));
    let Ok(sip) = Uri::sip("h", None).unwrap().with_telephone_subscriber(number) else { return };
    let back = sip.telephone_subscriber().unwrap().expect("user=phone");
    assert_eq!(back.digits(), canonical.digits());
    assert_eq!(back.params().count(), number.params().count());
}

type Parts<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>, Option<u16>, Vec<Item<'a>>);
type Item<'a> = (Cow<'a, str>, Option<Cow<'a, str>>);

/// Parameters and headers without their escapes: a builder writes `@` as `%40`.
fn parts<'a>(uri: &'a Uri<'_>) -> Parts<'a> {
    let items = uri.params().chain(uri.headers());
    let items = items.map(|item| (item.name_decoded(), item.value_decoded())).collect();
    (uri.user(), uri.password(), uri.host_str(), uri.port(), items)
}
