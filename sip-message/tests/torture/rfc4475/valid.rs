//! RFC 4475 §3.1.1: what every parser must accept, and what it must see in it.

use sip_message::{
    Accept, CSeq, Contact, ContentType, Date, Frame, From, HeaderName, KeepAlive, Limits,
    MaxForwards, Message, Method, Route, StatusCode, StreamFramer, Subject, To, Transport, Uri,
    Via,
};

use crate::vectors::valid::*;
use crate::{accepted, datagram, frame, request, response};

// RFC 4475 §3.1.1.1: "All elements should treat this as a well-formed request."
#[test]
fn wsinv() {
    let invite = request(WSINV);
    let headers = invite.headers();
    assert_eq!(headers.len(), 14);
    // "unknown Request-URI parameter"
    let uri = invite.uri().unwrap();
    assert_eq!((uri.user(), uri.host_str()), (Some("vivekg"), Some("chair-dnrc.example.com")));
    assert_eq!(uri.param("unknownparam").unwrap().value(), None);
    // "LWS between colons, semicolons, header field values, and other fields"
    let to: To = invite.get().unwrap().unwrap();
    assert_eq!(to.uri().as_str(), "sip:vivekg@chair-dnrc.example.com");
    assert_eq!((to.tag(), headers.to_tag()), (Some("1918181833n"), Some("1918181833n")));
    // "escaped characters within quotes"
    let from: From = invite.get().unwrap().unwrap();
    assert_eq!(from.display_name().as_deref(), Some("J Rosenberg \\\""));
    assert_eq!(from.uri().as_str(), "sip:jdrosen@example.com");
    assert_eq!(headers.from_tag(), Some("98asjd8"));
    // "integer fields (Max-Forwards and CSeq) with leading zeros"
    assert_eq!(headers.max_forwards(), Some(68));
    assert_eq!(invite.get::<MaxForwards>().unwrap(), Some(MaxForwards(68)));
    assert_eq!(invite.get::<CSeq>().unwrap(), Some(CSeq::new(9, Method::Invite).unwrap()));
    let cseq = headers.cseq().unwrap();
    assert_eq!((cseq.number, cseq.method()), (9, Method::Invite));
    assert_eq!(headers.call_id(), Some("wsinv.ndaksdj@192.0.2.1"));
    // "both comma separated and separately listed header field values", "a mix of short and long
    // form for the same header field name", "line folding all over"
    let vias: Vec<Via<'_>> = invite.get_all().map(Result::unwrap).collect();
    let seen: Vec<_> = vias
        .iter()
        .map(|via| (via.transport(), via.sent_by(), via.branch(), via.is_sip()))
        .collect();
    assert_eq!(
        seen,
        [
            (Some(Transport::Udp), "192.0.2.2", Some("390skdjuw"), true),
            (Some(Transport::Tcp), "spindle.example.com", Some("z9hG4bK9ikj8"), true),
            (Some(Transport::Udp), "192.168.255.111", Some("z9hG4bK30239"), true),
        ]
    );
    assert_eq!(headers.branch(), Some("390skdjuw"));
    // "an empty subject"
    assert_eq!(invite.get::<Subject>().unwrap().unwrap().text(), "");
    // "unknown header fields"
    let unknown = |name| headers.raw(HeaderName::Other(name)).unwrap();
    assert_eq!(unknown("newfangledheader"), b"newfangled value\r\n continued newfangled value");
    // RFC 4475 §3.1.1.1: "it must parse it as a header value"
    assert_eq!(unknown("UnknownHeaderWithUnusualValue"), b";;,,;;,;");
    // "a uri parameter with no value"
    let route: Route = invite.get().unwrap().unwrap();
    assert!(route.uri().lr());
    assert_eq!(route.uri().param("unknownwith").unwrap().value(), Some("value"));
    assert_eq!(route.uri().param("unknown-no-value").unwrap().value(), None);
    // "unknown parameters of a known header field", "a header parameter with no value"
    let contact: Contact = invite.get().unwrap().unwrap();
    let address = contact.as_name_addr().unwrap();
    assert_eq!(address.display_name().as_deref(), Some("Quoted string \"\""));
    assert_eq!(contact.param("newparam").unwrap().value().as_deref(), Some("newvalue"));
    assert_eq!(contact.param("secondparam").unwrap().value(), None);
    assert_eq!(contact.q().unwrap().thousandths(), 330);
    let kind: ContentType = invite.get().unwrap().unwrap();
    assert_eq!((kind.kind(), kind.subtype()), ("application", "sdp"));
    assert_eq!(invite.body().len(), 150);
    assert!(invite.body().starts_with(b"v=0\r\no=mhandley 29739 7272939 IN IP4 192.0.2.3\r\n"));
    // "unusual header field name character case", "unusual header field ordering"
    let names: Vec<&[u8]> = headers.iter().map(|field| field.name_bytes()).collect();
    assert_eq!(names[..3], [&b"TO"[..], b"from", b"MaX-fOrWaRdS"]);
}

// RFC 4475 §3.1.1.2: "This message exercises a wider range of characters in several key
// syntactic elements than implementations usually see."
#[test]
fn intmeth() {
    let request = request(INTMETH);
    // RFC 4475 §3.1.1.2: "The Method contains non-alpha characters from token.  Note that %
    // is not an escape character for this field."
    let method = "!interesting-Method0123456789_*+`.%indeed'~";
    assert_eq!(*request.method(), Method::Other(method.into()));
    assert_eq!(request.headers().cseq().unwrap().number, 139_122_385);
    assert_eq!(request.headers().cseq().unwrap().method, method);
    // RFC 4475 §3.1.1.2: "The Request-URI contains unusual, but legal, characters."
    let uri = request.uri().unwrap();
    assert_eq!(uri.user(), Some("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"));
    assert_eq!(uri.password(), Some("&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"));
    assert_eq!((uri.host_str(), uri.port()), (Some("example.com"), None));
    assert_eq!((uri.params().count(), uri.headers().count()), (0, 0));
    assert_eq!(request.headers().branch(), Some("z9hG4bK-.!%66*_+`'~"));
    assert_eq!(request.headers().top_via().unwrap().transport(), Some(Transport::Tcp));
    // RFC 4475 §3.1.1.2: "The To header field value's quoted string contains quoted-pair
    // expansions, including a quoted NULL character."
    let to: To = request.get().unwrap().unwrap();
    assert_eq!(to.display_name().as_deref(), Some("BEL:\x07 NUL:\0 DEL:\x7f"));
    assert_eq!(to.uri().user(), uri.user());
    // RFC 4475 §3.1.1.2: "The name part of name-addr in the From header field value contains
    // multiple tokens (instead of a quoted string)"
    let from: From = request.get().unwrap().unwrap();
    assert_eq!(from.display_name().as_deref(), Some("token1~` token2'+_ token3*%!.-"));
    assert_eq!(from.uri().as_str(), "sip:mundane@example.com");
    assert_eq!(from.param("fromParam''~+*_!.-%").unwrap().value().as_deref(), Some("работающий"));
    assert_eq!(request.headers().from_tag(), Some("_token~1'+`*%!-."));
    // RFC 4475 §3.1.1.2: "The characters []{}()<> do not have any grouping semantics."
    let call_id = "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{";
    assert_eq!(request.headers().call_id(), Some(call_id));
    assert_eq!(request.headers().max_forwards(), Some(255));
    // RFC 4475 §3.1.1.2: "There is an unknown header field (matching extension-header) with
    // non-alphanum token characters in its name and a UTF8-NONASCII value."
    let value = request.headers().raw(HeaderName::Other("EXTENSIONheader-!.%*+_`'~")).unwrap();
    assert_eq!(value, "\u{feff}大停電".as_bytes());
}

// RFC 4475 §3.1.1.3: "A parser must accept this as a well-formed message.  The application
// using the message must treat the % HEX HEX expansions as equivalent
// to the character being encoded."
#[test]
fn esc01() {
    let invite = request(ESC01);
    // RFC 4475 §3.1.1.3: "The request-URI has sips:user@example.com embedded in its
    // userpart."
    let uri = invite.uri().unwrap();
    assert_eq!(uri.user_decoded().as_deref(), Some("sips:user@example.com"));
    assert_eq!((uri.user(), uri.password()), (Some("sips%3Auser%40example.com"), None));
    assert_eq!((uri.is_secure(), uri.host_str()), (false, Some("example.net")));
    let to: To = invite.get().unwrap().unwrap();
    assert_eq!(to.uri().user_decoded().as_deref(), Some("user"));
    assert!(to.uri().is_equivalent(&Uri::parse(b"sip:user@example.com").unwrap()));
    let from: From = invite.get().unwrap().unwrap();
    assert_eq!(from.uri().user_decoded().as_deref(), Some("I have spaces"));
    // RFC 4475 §3.1.1.3: "Note that the "name" uri-parameter has a value of "value%41",
    // which is NOT equivalent to "valueA"."
    let contact: Contact = invite.get().unwrap().unwrap();
    let uri = contact.uri().unwrap();
    assert_eq!(uri.user_decoded().as_deref(), Some("caller"));
    assert!(uri.lr());
    assert_eq!(uri.param("name").unwrap().value_decoded().as_deref(), Some("value%41"));
    let once = Uri::parse(b"sip:caller@host5.example.net;lr;name=value%2541").unwrap();
    let twice = Uri::parse(b"sip:caller@host5.example.net;lr;name=valueA").unwrap();
    assert!(uri.is_equivalent(&once) && !uri.is_equivalent(&twice));
    assert_eq!(invite.raw(HeaderName::ContentType), Some(&b"application/sdp"[..]));
    assert_eq!(invite.headers().call_id(), Some("esc01.239409asdfakjkn23onasd0-3234"));
}

// RFC 4475 §3.1.1.4: "The message is well formed - parsers must accept this
// message.  Implementations must take special care when unescaping the
// Address-of-Record (AOR) in this request so as to not prematurely
// shorten the username."
#[test]
fn escnull() {
    let register = request(ESCNULL);
    let to: To = register.get().unwrap().unwrap();
    assert_eq!(to.uri().user_decoded().as_deref(), Some("null-\0-null"));
    // RFC 4475 §3.1.1.4: "This request registers two distinct contact
    // URIs."
    let contacts: Vec<Contact<'_>> = register.get_all().map(Result::unwrap).collect();
    let [one, two] = &contacts[..] else { panic!("{contacts:?}") };
    assert_eq!(one.uri().unwrap().user_decoded().as_deref(), Some("\0"));
    assert_eq!(two.uri().unwrap().user_decoded().as_deref(), Some("\0\0"));
    assert!(!one.uri().unwrap().is_equivalent(&two.uri().unwrap()));
}

// RFC 4475 §3.1.1.5: "A parser should accept this message as well formed."
#[test]
fn esc02() {
    let request = request(ESC02);
    // RFC 4475 §3.1.1.5: "The request method is unknown.  It is NOT equivalent to REGISTER."
    assert_eq!(*request.method(), Method::Other("RE%47IST%45R".into()));
    assert_ne!(*request.method(), Method::Register);
    // RFC 4475 §3.1.1.5: "The display name portion of the To and From header fields is
    // "%Z%45".  Note that this is not the same as %ZE."
    let to: To = request.get().unwrap().unwrap();
    let from: From = request.get().unwrap().unwrap();
    assert_eq!(to.display_name().as_deref(), Some("%Z%45"));
    assert_eq!(from.display_name().as_deref(), Some("%Z%45"));
    assert_eq!(request.headers().branch(), Some("z9hG4bK209%fzsnel234"));
    // RFC 4475 §3.1.1.5: "This message has two Contact header field values, not three."
    let contacts: Vec<Contact<'_>> = request.get_all().map(Result::unwrap).collect();
    let uris: Vec<_> = contacts.iter().map(|c| c.uri().unwrap().to_string()).collect();
    assert_eq!(uris, ["sip:alias1@host1.example.com", "sip:alias3@host3.example.com"]);
    let other = request.headers().raw(HeaderName::Other("C%6Fntact"));
    assert_eq!(other, Some(&b"<sip:alias2@host2.example.com>"[..]));
}

// RFC 4475 §3.1.1.6: "Elements should
// accept this request as well formed."
#[test]
fn lwsdisp() {
    let options = request(LWSDISP);
    let from: From = options.get().unwrap().unwrap();
    assert_eq!(from.display_name().as_deref(), Some("caller"));
    assert_eq!(from.uri().as_str(), "sip:caller@example.com");
    assert_eq!(options.headers().from_tag(), Some("323"));
}

// RFC 4475 §3.1.1.7: "This well-formed request contains header fields with many values and
// values that are very long."
#[test]
fn longreq() {
    let invite = request(LONGREQ);
    let to: To = invite.get().unwrap().unwrap();
    let name = format!("I have a user name of {} proportion", "extreme".repeat(10));
    assert_eq!(to.display_name().as_deref(), Some(&name[..]));
    assert_eq!(to.uri().port(), Some(6000));
    let value = |uri: &Uri<'_>, name: String| uri.param(&name).unwrap().value().map(str::to_owned);
    let long = "long".repeat(20);
    assert_eq!(value(&to.uri(), "unknownparam1".into()), Some(format!("very{long}value")));
    let name = format!("longparam{}", "name".repeat(25));
    assert_eq!(value(&to.uri(), name), Some("shortvalue".into()));
    let name = format!("very{}ParameterNameWithNoValue", "long".repeat(25));
    assert_eq!(value(&to.uri(), name), None);
    // RFC 4475 §3.1.1.7: "The From header field has long header parameter names and values,
    // in particular, a very long tag."
    let from: From = invite.get().unwrap().unwrap();
    assert_eq!(from.uri().user(), Some(&"amazinglylongcallername".repeat(5)[..]));
    let tag = format!("12{}424", "982".repeat(50));
    assert_eq!((from.tag(), invite.headers().from_tag()), (Some(&tag[..]), Some(&tag[..])));
    let param = from.param(&format!("unknownheaderparam{}", "name".repeat(20))).unwrap();
    let value = format!("unknowheaderparam{}", "value".repeat(15));
    assert_eq!(param.value().as_deref(), Some(&value[..]));
    let param = from.param(&format!("unknownValueless{}", "paramname".repeat(10))).unwrap();
    assert_eq!(param.value(), None);
    // RFC 4475 §3.1.1.7: "The Call-ID is one long token."
    let call_id = format!("longreq.one{}longcallid", "really".repeat(20));
    assert_eq!(invite.headers().call_id(), Some(&call_id[..]));
    let name = format!("unknown-{}-name", "long".repeat(20));
    let value = format!(
        "unknown-{long}-value; unknown-{long}-parameter-name = unknown-{long}-parameter-value"
    );
    assert_eq!(invite.headers().raw(HeaderName::Other(&name)), Some(value.as_bytes()));
    let vias: Vec<Via<'_>> = invite.get_all().map(Result::unwrap).collect();
    assert_eq!(vias.len(), 34);
    for (via, n) in vias.iter().zip((1..=33).rev()) {
        assert_eq!(via.host_str(), format!("sip{n}.example.com"));
        assert_eq!(via.branch(), None);
    }
    let last = vias.last().unwrap();
    assert_eq!(last.branch(), Some(&format!("very{}branchvalue", "long".repeat(50))[..]));
    assert_eq!(last.received(), Some("192.0.2.5".parse().unwrap()));
    assert_eq!(invite.body().len(), 150);
}

// RFC 4475 §3.1.1.8: "A SIP element receiving this datagram would handle the REGISTER
// request normally and ignore the extra bits that look like an INVITE
// request."
#[test]
fn dblreq() {
    let first = 296 + 4;
    let register = datagram(DBLREQ).into_request().unwrap();
    assert_eq!(*register.method(), Method::Register);
    assert_eq!(register.headers().call_id(), Some("dblreq.0ha0isndaksdj99sdfafnl3lk233412"));
    assert_eq!(register.body(), b"");
    // RFC 4475 §3.1.1.8: "the INVITE octets would not appear in the forwarded request"
    assert_eq!(register.to_bytes(), DBLREQ.bytes[..first]);
    // On a stream they are a line end and the next request.
    assert_eq!(frame(DBLREQ).unwrap(), Frame::Message { len: first });
    let mut framer = StreamFramer::new(Limits::default());
    let rest = &DBLREQ.bytes[first..];
    assert_eq!(framer.next(rest).unwrap(), Frame::KeepAlive { kind: KeepAlive::Pong, len: 2 });
    let rest = &rest[2..];
    // Its Content-Length is five short of its body.
    let len = rest.len() - 5;
    assert_eq!(framer.next(rest).unwrap(), Frame::Message { len });
    let invite = Message::parse(rest[..len].into(), &Limits::default()).unwrap();
    invite.validate().unwrap();
    assert_eq!(*invite.into_request().unwrap().method(), Method::Invite);
}

// RFC 4475 §3.1.1.9: "Receiving elements will accept this as a well-formed
// message.  The Request-URI will parse so that the user part is
// "user;par=u@example.net"."
#[test]
fn semiuri() {
    let options = request(SEMIURI);
    let uri = options.uri().unwrap();
    assert_eq!(uri.user_decoded().as_deref(), Some("user;par=u@example.net"));
    assert_eq!((uri.host_str(), uri.params().count()), (Some("example.com"), 0));
    let accept: Accept = options.get().unwrap().unwrap();
    assert_eq!(accept.ranges().count(), 6);
}

// RFC 4475 §3.1.1.10: "Parsers must accept this message as well formed.  Elements receiving
// this message would process it exactly as if the 2nd and subsequent
// header field values specified UDP (or other transport)."
#[test]
fn transports() {
    let options = request(TRANSPORTS);
    let vias: Vec<Via<'_>> = options.get_all().map(Result::unwrap).collect();
    let transports: Vec<_> =
        vias.iter().map(|via| (via.transport_str(), via.transport())).collect();
    assert_eq!(
        transports,
        [
            ("UDP", Some(Transport::Udp)),
            ("SCTP", Some(Transport::Sctp)),
            ("TLS", Some(Transport::Tls)),
            ("UNKNOWN", None),
            ("TCP", Some(Transport::Tcp)),
        ]
    );
    assert_eq!(options.headers().branch(), Some("z9hG4bKkdjuw"));
}

// RFC 4475 §3.1.1.11: "Parsers must accept this message as well formed, even if the
// application above the parser does not support multipart/signed."
#[test]
fn mpart01() {
    let message = request(MPART01);
    let kind: ContentType = message.get().unwrap().unwrap();
    assert_eq!((kind.kind(), kind.subtype()), ("multipart", "mixed"));
    assert_eq!(kind.param("boundary").unwrap().value().as_deref(), Some("7a9cbec02ceef655"));
    assert_eq!(message.get::<Date>().unwrap().unwrap().unix(), 1_129_351_496);
    // RFC 4475 §3.1.1.11: "The second part is
    // binary encoded and contains null (0x00) characters.  Receivers must
    // take care to frame the received message properly."
    let body = message.body();
    assert_eq!(body.len(), 553);
    assert!(body.starts_with(b"--7a9cbec02ceef655\r\n") && body.contains(&0));
    assert!(body.ends_with(b"--7a9cbec02ceef655--\r\n"));
    let identity = message.headers().raw(HeaderName::Identity).unwrap();
    assert!(identity.starts_with(b"r5mwreLuyDRYBi/0") && identity.ends_with(b"hkMWYUA="));
    assert_eq!(message.headers().top_via().unwrap().rport(), Some(None));
}

// RFC 4475 §3.1.1.12: "This response is well formed.  A parser must accept this
// message."
#[test]
fn unreason() {
    let ok = response(UNREASON);
    assert_eq!(ok.status(), StatusCode::OK);
    let reason = "= 2**3 * 5**2 но сто девяносто девять - простое";
    assert_eq!(ok.reason(), reason.as_bytes());
    assert_eq!(ok.body().len(), 154);
}

// RFC 4475 §3.1.1.13: "This well-formed response contains no reason phrase.  A parser must
// accept this message."
#[test]
fn noreason() {
    let trying = response(NOREASON);
    assert_eq!((trying.status(), trying.reason()), (StatusCode::TRYING, &b""[..]));
    // RFC 4475 §3.1.1.13: "The space character after the reason code is
    // required.  If it were not present, this message could be rejected as
    // invalid (a liberal receiver would accept it anyway)."
    let text = std::str::from_utf8(NOREASON.bytes).unwrap().replacen("100 \r", "100\r", 1);
    let message = Message::parse(text.into(), &Limits::default()).unwrap();
    message.validate().unwrap();
    assert_eq!(message.into_response().unwrap().status(), StatusCode::TRYING);
}

/// A proxy changes what it must, and forwards the rest as it came.
#[test]
fn all_are_forwarded_as_they_came() {
    for vector in [WSINV, INTMETH, ESC01, ESCNULL, ESC02, LWSDISP, LONGREQ, SEMIURI, MPART01] {
        let mut request = request(vector);
        let others = |message: &Message| -> Vec<(Vec<u8>, Vec<u8>)> {
            let fields = message.headers().iter();
            let fields = fields.filter(|field| field.name() != HeaderName::MaxForwards);
            fields.map(|field| (field.name_bytes().to_vec(), field.value().to_vec())).collect()
        };
        let mut expected = others(&accepted(vector));
        // RFC 3261 §16.6, steps 3 and 8.
        let hops = request.headers().max_forwards().unwrap() - 1;
        request.headers_mut().set(&MaxForwards(hops));
        let via = Via::new(Transport::Udp, "proxy.example.com", "z9hG4bKp").unwrap();
        request.headers_mut().push_front(&via);
        let printed = Message::parse(request.to_bytes(), &Limits::default()).unwrap();
        printed.validate().unwrap();
        assert_eq!(printed.headers().max_forwards(), Some(hops));
        let first = expected.iter().position(|(name, _)| is_via(name)).unwrap();
        expected.insert(first, (b"Via".to_vec(), via.as_bytes().to_vec()));
        assert_eq!(others(&printed), expected, "{}", vector.name);
        assert_eq!(printed.body(), request.body());
    }
}

fn is_via(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"via") || name.eq_ignore_ascii_case(b"v")
}
