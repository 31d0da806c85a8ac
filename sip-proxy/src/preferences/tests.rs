//! Callers' wishes on the left, who is tried in which order on the right.

use sip_message::{Contact, Header, Limits, Message, Request};

use super::Preferences;
use crate::{Route, RouteTarget};

fn request(method: &str, wishes: &str) -> Request {
    let text = format!(
        "{method} sip:user@example.com SIP/2.0\r\nVia: SIP/2.0/UDP a.example.com;branch=z9hG4bK1\r\n\
         {wishes}From: <sip:a@example.com>;tag=1\r\nTo: <sip:user@example.com>\r\nCall-ID: 1\r\n\
         CSeq: 1 {method}\r\n\r\n"
    );
    match Message::parse(text.into(), &Limits::default()).unwrap() {
        Message::Request(request) => request,
        Message::Response(_) => panic!("a request"),
    }
}

/// The users of the contacts in the order in which they are tried: `"a b, c"` is a and b at once, then c.
fn order(request: &Request, contacts: &[&str]) -> String {
    let targets = contacts.iter().map(|text| {
        let contact = Contact::parse(text.as_bytes()).unwrap();
        let user = contact.uri().unwrap().user().unwrap().to_owned();
        (user, contact)
    });
    let groups = Preferences::of(request).order(targets);
    groups.iter().map(|group| group.join(" ")).collect::<Vec<_>>().join(", ")
}

/// RFC 3841 §7.2.5.
#[test]
fn the_example_of_the_rfc() {
    let contacts = [
        "<sip:u1@h.example.com>;audio;video;methods=\"INVITE,BYE\";q=0.2",
        "<sip:u2@h.example.com>;audio=\"FALSE\";methods=\"INVITE\";actor=\"msg-taker\";q=0.2",
        "<sip:u3@h.example.com>;audio;actor=\"msg-taker\";methods=\"INVITE\";video;q=0.3",
        "<sip:u4@h.example.com>;audio;methods=\"INVITE,OPTIONS\";q=0.2",
        "<sip:u5@h.example.com>;q=0.5",
    ];
    let wishes = "Reject-Contact: *;actor=\"msg-taker\";video\r\n\
        Accept-Contact: *;audio;require\r\nAccept-Contact: *;video;explicit\r\n\
        Accept-Contact: *;methods=\"BYE\";class=\"business\";q=1.0\r\n";
    assert_eq!(order(&request("INVITE", wishes), &contacts), "u5, u1, u4");
}

#[test]
fn a_method_that_only_some_can_goes_to_those_and_to_all_if_nobody_can() {
    let contacts =
        ["<sip:a@h>;methods=\"INVITE,BYE\"", "<sip:b@h>;methods=\"INVITE,MESSAGE\"", "<sip:c@h>"];
    assert_eq!(order(&request("MESSAGE", ""), &contacts), "b c");
    assert_eq!(order(&request("INVITE", ""), &contacts), "a b c");
    assert_eq!(order(&request("REFER", ""), &contacts[..2]), "a b");
    let events = ["<sip:a@h>;events=\"dialog\"", "<sip:b@h>;events=\"presence,dialog\""];
    assert_eq!(order(&request("SUBSCRIBE", "Event: presence\r\n"), &events), "b");
}

#[test]
fn what_is_required_and_missing_everywhere_leaves_nobody() {
    let wishes = "Accept-Contact: *;video;require\r\n";
    assert_eq!(order(&request("INVITE", wishes), &["<sip:a@h>;video=\"FALSE\""]), "");
    // Who does not say might.
    assert_eq!(order(&request("INVITE", wishes), &["<sip:a@h>;audio"]), "a");
    let explicit = "Accept-Contact: *;video;require;explicit\r\n";
    assert_eq!(order(&request("INVITE", explicit), &["<sip:a@h>;audio"]), "");
}

#[test]
fn values_meet_as_their_kinds_do() {
    let meets = |wanted: &str, can: &str| {
        let wishes = format!("Accept-Contact: *;{wanted};require\r\n");
        !order(&request("INVITE", &wishes), &[&format!("<sip:a@h>;{can}")]).is_empty()
    };
    for (wanted, can, expected) in [
        ("language=\"en,de\"", "language=\"de,fr\"", true),
        ("language=\"EN\"", "language=\"en\"", true),
        ("language=\"en\"", "language=\"de\"", false),
        ("language=\"!en\"", "language=\"de\"", true),
        ("language=\"!en\"", "language=\"en\"", false),
        ("language=\"!en\"", "language=\"!en\"", true),
        ("description=\"<PC>\"", "description=\"<PC>\"", true),
        ("description=\"<PC>\"", "description=\"<pc>\"", false),
        ("+speed=\"#>=5\"", "+speed=\"#=7\"", true),
        ("+speed=\"#>=5\"", "+speed=\"#<=4\"", false),
        ("+speed=\"#-4:+5.125\"", "+speed=\"#=5.125\"", true),
        ("+speed=\"!#=5\"", "+speed=\"#=5\"", false),
        ("+speed=\"!#>=5\"", "+speed=\"#5:9\"", false),
        ("+speed=\"!#>=5\"", "+speed=\"#4:9\"", true),
        ("+speed=\"#=5\"", "+speed=\"fast\"", false),
        ("audio", "audio=\"TRUE\"", true),
        ("audio", "audio=\"FALSE\"", false),
    ] {
        assert_eq!(meets(wanted, can), expected, "{wanted} {can}");
    }
}

#[test]
fn the_disposition_says_how() {
    let groups = || {
        let target =
            |user: &str| RouteTarget::new(format!("sip:{user}@192.0.2.1").parse().unwrap());
        vec![vec![target("a"), target("b")], vec![target("c")]]
    };
    let arranged = |wish: &str| {
        let request = request("INVITE", &format!("Request-Disposition: {wish}\r\n"));
        match Preferences::of(&request).arrange(groups()) {
            Route::Proxy { targets, options } => {
                let sizes: Vec<_> = targets.iter().map(Vec::len).collect();
                format!("{sizes:?} {:?}", options.recurse)
            }
            Route::Redirect(contacts) => {
                contacts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(arranged("proxy, fork"), "[2, 1] None");
    assert_eq!(arranged("parallel, recurse"), "[3] Some(true)");
    assert_eq!(arranged("sequential, no-recurse"), "[1, 1, 1] Some(false)");
    assert_eq!(arranged("no-fork"), "[1] None");
    assert_eq!(arranged("parallel, sequential"), "[2, 1] None", "who wants both wants neither");
    assert_eq!(
        arranged("redirect"),
        "<sip:a@192.0.2.1>;q=1.000 <sip:b@192.0.2.1>;q=1.000 <sip:c@192.0.2.1>;q=0.999"
    );
}
