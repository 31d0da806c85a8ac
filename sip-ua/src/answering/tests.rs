use sip_message::{HeaderName, Method, Uri};

use super::*;

fn of(lines: &[(HeaderName<'_>, &str)], rights: AnswerRights) -> Answering {
    let uri = Uri::parse(b"sip:bob@192.0.2.2").unwrap();
    let mut builder = Request::builder(Method::Invite, &uri)
        .raw(HeaderName::MaxForwards, b"70")
        .raw(HeaderName::From, b"<sip:a@192.0.2.1>;tag=a")
        .raw(HeaderName::To, b"<sip:bob@192.0.2.2>")
        .raw(HeaderName::CallId, b"1")
        .raw(HeaderName::CSeq, b"1 INVITE");
    for (name, value) in lines {
        builder = builder.raw(*name, value.as_bytes());
    }
    Answering::of(&builder.build().unwrap(), rights)
}

// RFC 5373 §4.5.1: "For a request having an Answer-Mode value of "Auto", the UAS SHOULD,
// if the calling party is authenticated and authorized for automatic
// answering, accept the request without further user input."
#[test]
fn who_may_is_answered_as_they_ask() {
    use Answering::{Automatic, Forbidden, Free, Manual};
    let nobody = AnswerRights::NONE;
    let friend = AnswerRights { automatic: true, ..nobody };
    let boss = AnswerRights { privileged: true, ..nobody };
    let machine = AnswerRights { attended: false, ..nobody };
    let usual = HeaderName::AnswerMode;
    for (value, by_nobody, by_friend, at_machine) in [
        ("Auto", Manual, Automatic, Automatic),
        ("auto;require", Forbidden, Automatic, Automatic),
        ("Manual", Manual, Manual, Free),
        ("Manual;require", Manual, Manual, Forbidden),
        // RFC 5373 §2: "implementations MUST ignore unknown values."
        ("Whatever", Free, Free, Free),
        ("Whatever;require", Free, Free, Free),
        ("", Free, Free, Free),
        ("Auto;require=yes=no", Free, Free, Free),
        (";require", Free, Free, Free),
    ] {
        assert_eq!(of(&[(usual, value)], nobody), by_nobody, "{value}");
        assert_eq!(of(&[(usual, value)], friend), by_friend, "{value}");
        assert_eq!(of(&[(usual, value)], machine), at_machine, "{value}");
    }
    assert_eq!(of(&[], friend), Free);
    let urgent = HeaderName::PrivAnswerMode;
    // RFC 5373 §4.1: "A UAS SHOULD apply a stricter authorization policy to a request with
    // Priv-Answer-Mode than it does to requests with Answer-Mode."
    assert_eq!(of(&[(urgent, "Auto")], friend), Manual);
    assert_eq!(of(&[(urgent, "Auto;require")], friend), Forbidden);
    assert_eq!(of(&[(urgent, "Auto;require")], boss), Automatic);
    assert_eq!(of(&[(urgent, "Auto"), (usual, "Manual;require")], boss), Automatic);
    assert_eq!(of(&[(urgent, "Auto;require"), (usual, "Manual")], friend), Manual);
    assert_eq!(of(&[(urgent, "Manual"), (usual, "Auto")], friend), Automatic);
    assert_eq!(of(&[(urgent, "Manual"), (usual, "Auto")], boss), Manual);
}
