use super::*;

const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";

fn parse(text: &str) -> Result<Description, SdpError> {
    Description::parse(text.as_bytes(), &Limits::default())
}

fn fault(text: &str) -> (u32, Fault) {
    match parse(text).map(|description| description.media) {
        Err(SdpError::Malformed { line, fault }) => (line, fault),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn what_is_malformed_is_told_with_its_line() {
    let with = |lines: &str| format!("{HEAD}{lines}");
    for (text, line, kind) in [
        (String::new(), 1, Fault::Version),
        ("\0".to_owned(), 0, Fault::NoOrigin),
        ("v=1\r\no=- 1 1 IN IP4 192.0.2.1\r\n".to_owned(), 1, Fault::Version),
        ("v=0\r\ns=-\r\n".to_owned(), 0, Fault::NoOrigin),
        ("v=0\r\no=- x 1 IN IP4 192.0.2.1\r\n".to_owned(), 2, Fault::Origin),
        ("v=0\r\no=- 1 9223372036854775808 IN IP4 h\r\n".to_owned(), 2, Fault::Origin),
        ("v=0\r\no=- 1 1 IN IP4\r\n".to_owned(), 2, Fault::Origin),
        (with("o=- 1 1 IN IP4 192.0.2.1\r\n"), 6, Fault::Repeated),
        (with("nonsense\r\n"), 6, Fault::Line),
        (with("a=a b:c\r\n"), 6, Fault::AttributeName),
        (with("a=\r\n"), 6, Fault::AttributeName),
        (with("b=A S:1\r\n"), 6, Fault::Bandwidth),
        (with("b=AS:-1\r\n"), 6, Fault::Bandwidth),
        (with("m=audio\r\n"), 6, Fault::Media),
        (with("m=audio 65536 RTP/AVP 0\r\n"), 6, Fault::Media),
        (with("m=audio 4000 RTP/AVP\r\n"), 6, Fault::Media),
        (with("m=audio 4000 RTP//AVP 0\r\n"), 6, Fault::Media),
        (with("m=audio 4000 RTP/AVP 128\r\n"), 6, Fault::PayloadType),
        (with("m=audio 4000 RTP/AVP PCMU\r\n"), 6, Fault::PayloadType),
        (with("m=audio 4000 RTP/AVP 0 0\r\n"), 6, Fault::PayloadType),
        (with("m=audio 4000 RTP/AVP 0\r\na=rtpmap:0\r\n"), 7, Fault::RtpMap),
        (with("m=audio 4000 RTP/AVP 0\r\na=x\r\na=ptime:0\r\n"), 8, Fault::PacketTime),
        (with("m=audio 4000 RTP/AVP 0\r\na=sendonly\r\na=recvonly\r\n"), 8, Fault::Directions),
        (with("m=audio 4000 RTP/AVP 0\r\na=mid:\r\n"), 7, Fault::Mid),
        (
            with("m=audio 4000 RTP/AVP 0\r\na=mid:a\r\nm=audio 1 RTP/AVP 0\r\na=mid:a\r\n"),
            8,
            Fault::Mid,
        ),
        (with("m=audio 4000 RTP/SAVP 0\r\na=crypto:1 AES\r\n"), 7, Fault::Crypto),
        (with("m=audio 4000 RTP/AVP 0\r\na=setup:maybe\r\n"), 7, Fault::Setup),
        (with("m=audio 4000 RTP/AVP 0\r\na=rtcp:x\r\n"), 7, Fault::Value),
        (with("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 192.0.2.1/3\r\n"), 6, Fault::Connection),
        (with("m=audio 4000 RTP/AVP 0\r\nc=IN IP6 192.0.2.1\r\n"), 6, Fault::Connection),
        (with("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 a$b\r\n"), 6, Fault::Connection),
        (
            "v=0\r\no=- 1 1 IN IP4 h\r\nm=audio 4000 RTP/AVP 0\r\n".to_owned(),
            3,
            Fault::NoConnection,
        ),
    ] {
        let expected = if text == "\0" || text.is_empty() { None } else { Some((line, kind)) };
        match expected {
            Some(expected) => assert_eq!(fault(&text), expected, "{text}"),
            // Nothing at all lacks all at once.
            None => assert_eq!(fault(&text), (0, Fault::NoOrigin)),
        }
    }
}

#[test]
fn what_does_no_harm_is_read() {
    // Of RFC 5888 §9.2.1 without s=, of RFC 3264 §10.1 with an empty one, of §9 with t= before c=.
    let odd = "v=0\no=x 18446744073709551615 1 IN IP4 host\nt=0 0\nc=IN IP4 0.0.0.0\n\
        s=\ni=caf\u{e9}\na=recvonly\nm=audio 4000 RTP/AVP  96 0\na=rtpmap:97 x/1\nm=video 0 RTP/AVP 31\n";
    let mut bytes = odd.as_bytes().to_vec();
    bytes.extend(b"i=\xe9t\xe9\n");
    let read = Description::parse(&bytes, &Limits::default()).unwrap();
    let [audio, video] = &read.media[..] else { panic!("{read:?}") };
    assert_eq!((audio.line, audio.direction), (8, Direction::RecvOnly));
    assert_eq!(audio.address, Address::Nowhere);
    assert_eq!(audio.formats.len(), 1, "96 says nothing");
    assert_eq!((video.line, video.port), (10, 0));
}

#[test]
fn of_two_that_say_what_a_number_is_the_first_counts() {
    let text = format!(
        "{HEAD}m=audio 4000 RTP/AVP 18 96\r\na=rtpmap:18 x/1\r\na=rtpmap:96 opus/48000/2\r\n\
        a=rtpmap:96 PCMU/8000\r\na=fmtp:96 a=1\r\na=fmtp:96 a=2\r\n"
    );
    let read = parse(&text).unwrap();
    let codec = &read.media[0].formats[1].codec;
    assert_eq!((codec.name(), codec.fmtp()), ("opus", Some("a=1")));
}

#[test]
fn every_limit_is_kept() {
    let limits = Limits::default().size(400).media(2).attributes(3).lines(6).formats(4);
    let name = |text: &str| match Description::parse(text.as_bytes(), &limits) {
        Err(SdpError::TooLarge { line, limit }) => Some((line, limit)),
        Err(other) => panic!("{other}"),
        Ok(_) => None,
    };
    let media = "m=audio 4000 RTP/AVP 0\r\n";
    assert_eq!(name(&format!("{HEAD}{media}{media}")), None);
    assert_eq!(name(&format!("{HEAD}{media}{media}{media}")), Some((8, "media")));
    assert_eq!(name(&format!("{HEAD}{}", "a=x\r\n".repeat(3))), None);
    assert_eq!(name(&format!("{HEAD}{media}{}", "a=x\r\n".repeat(4))), Some((10, "attributes")));
    assert_eq!(name(&format!("{HEAD}{}", "b=AS:1\r\n".repeat(2))), Some((7, "lines")));
    assert_eq!(name(&format!("{HEAD}m=audio 4000 RTP/AVP 0 3 4 8\r\n")), None);
    assert_eq!(name(&format!("{HEAD}m=audio 4000 RTP/AVP 0 3 4 8 9\r\n")), Some((6, "formats")));
    assert_eq!(name(&"x".repeat(401)), Some((0, "size")));
}

#[test]
fn the_statuses_owed() {
    let status = |error: SdpError| error.status().as_u16();
    assert_eq!(status(parse("").unwrap_err()), 400);
    assert_eq!(status(SdpError::TooLarge { line: 0, limit: "size" }), 413);
    assert_eq!(status(SdpError::TooLarge { line: 40, limit: "media" }), 488);
    assert_eq!(status(SdpError::Glare), 491);
    let refused = SdpError::Unacceptable { line: 6, reason: Reason::Format };
    assert_eq!(refused.status_everywhere().as_u16(), 606);
    assert_eq!(refused.warning(), Some((305, "Incompatible media format".to_owned())));
    assert_eq!(parse("").unwrap_err().status_everywhere().as_u16(), 400);
}
