//! Two ends of one dialog, fed with each other's messages: whatever they send, lose and refuse, what one end
//! knows of the dialog is what the other end says of itself.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what panics here is a failed test"
)]

use bytes::Bytes;
use proptest::prelude::*;
use sip_dialog::{Dialog, DialogId, Dialogs, Found, State};
use sip_message::{
    Contact, HeaderName, Limits, Message, Method, Request, Response, StatusCode, Transport, Uri,
};

/// One thing that an end does.
#[derive(Debug, Clone)]
struct Step {
    /// Who sends.
    caller: bool,
    method: Method,
    /// The Contact it puts in, if any.
    contact: Option<u8>,
    /// The Contact in the answer, if any.
    answer_contact: Option<u8>,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Accepted,
    Refused,
    /// The request is lost.
    Lost,
    /// The request arrives a second time, later.
    Repeated,
    /// The answer is lost.
    Unanswered,
}

fn step() -> impl Strategy<Value = Step> {
    let method = prop_oneof![
        Just(Method::Invite),
        Just(Method::Update),
        Just(Method::Info),
        Just(Method::Options),
        Just(Method::Message),
        Just(Method::Notify),
    ];
    let fate = prop_oneof![
        4 => Just(Fate::Accepted),
        1 => Just(Fate::Refused),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Repeated),
        1 => Just(Fate::Unanswered),
    ];
    (any::<bool>(), method, any::<Option<u8>>(), any::<Option<u8>>(), fate).prop_map(
        |(caller, method, contact, answer_contact, fate)| Step {
            caller,
            method,
            contact,
            answer_contact,
            fate,
        },
    )
}

fn contact(number: u8) -> Uri<'static> {
    format!("sip:{number}@192.0.2.{number}").parse().unwrap()
}

/// Over the wire: printed and parsed again.
fn request(request: &Request) -> Request {
    let message = Message::parse(request.to_bytes(), &Limits::default()).unwrap();
    message.into_request().unwrap()
}

fn response(response: &Response) -> Response {
    let message = Message::parse(response.to_bytes(), &Limits::default()).unwrap();
    message.into_response().unwrap()
}

fn invite(routes: &str) -> Request {
    let text = format!(
        "INVITE sip:bob@example.com SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
         {routes}\
         From: Alice <sip:alice@example.com>;tag=a1\r\n\
         To: <sip:bob@example.com>\r\n\
         Call-ID: 1@a\r\n\
         CSeq: 7 INVITE\r\n\
         Contact: <sip:1@192.0.2.1>\r\n\
         Content-Length: 0\r\n\r\n"
    );
    Message::parse(Bytes::from(text), &Limits::default()).unwrap().into_request().unwrap()
}

/// The dialog as it is at each end, its Contacts by what each end last said with effect.
struct Ends {
    caller: Dialog,
    callee: Dialog,
    caller_contact: Uri<'static>,
    callee_contact: Uri<'static>,
}

impl Ends {
    fn new(routes: &str) -> Ends {
        let invite = invite(routes);
        let mut callee = Dialog::uas(&invite, "b1", Transport::Udp).unwrap();
        let ok = Response::to_request(&invite, StatusCode::OK)
            .to_tag("b1")
            .copy(&invite, HeaderName::RecordRoute)
            .header(&Contact::new(&contact(2)))
            .build()
            .unwrap();
        callee.accepted(&invite);
        let caller = Dialog::uac(&invite, &response(&ok), Transport::Udp).unwrap();
        Ends { caller, callee, caller_contact: contact(1), callee_contact: contact(2) }
    }

    fn run(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let (from, to, from_contact, to_contact) = if step.caller {
            let Ends { caller, callee, caller_contact, callee_contact } = self;
            (caller, callee, caller_contact, callee_contact)
        } else {
            let Ends { caller, callee, caller_contact, callee_contact } = self;
            (callee, caller, callee_contact, caller_contact)
        };
        let last = from.local_cseq();
        let mut builder = from.request(step.method.clone()).unwrap();
        if let Some(number) = step.contact {
            builder = builder.header(&Contact::new(&contact(number)));
        }
        let sent = request(&builder.build().unwrap());
        prop_assert_eq!(from.local_cseq(), Some(last.map_or(1, |last| last + 1)));
        prop_assert_eq!(DialogId::of_request(&sent), Some(to.id()));
        if step.fate == Fate::Lost {
            return Ok(());
        }

        let before = to.clone();
        prop_assert_eq!(to.receive(&sent), Ok(()));
        prop_assert_eq!(to.remote_target(), before.remote_target());
        if step.fate == Fate::Repeated {
            // Out of its transaction: refused, and nothing happens.
            let state = to.clone();
            prop_assert_eq!(to.receive(&sent).unwrap_err().status.as_u16(), 500);
            prop_assert_eq!(&*to, &state);
        }
        let refreshes = matches!(step.method, Method::Invite | Method::Update | Method::Notify);
        let status = match step.fate {
            Fate::Refused => StatusCode::NOT_ACCEPTABLE_HERE,
            _ => StatusCode::OK,
        };
        if status.is_success() {
            to.accepted(&sent);
            if let (true, Some(number)) = (refreshes, step.contact) {
                *from_contact = contact(number);
            }
        }
        let mut answer = Response::to_request(&sent, status);
        if let Some(number) = step.answer_contact {
            answer = answer.header(&Contact::new(&contact(number)));
        }
        let answer = response(&answer.build().unwrap());
        prop_assert_eq!(DialogId::of_response(&answer), Some(from.id()));
        if step.fate != Fate::Unanswered {
            from.refresh(&answer);
            if let (true, true, Some(number)) =
                (refreshes, status.is_success(), step.answer_contact)
            {
                *to_contact = contact(number);
            }
        }
        Ok(())
    }

    /// What one end knows is what the other says of itself.
    fn check(&self) -> Result<(), TestCaseError> {
        let Ends { caller, callee, caller_contact, callee_contact } = self;
        prop_assert_eq!(caller.remote_target(), callee_contact);
        prop_assert_eq!(callee.remote_target(), caller_contact);
        prop_assert_eq!(caller.state(), State::Confirmed);
        prop_assert_eq!(callee.state(), State::Confirmed);
        let (id, other) = (caller.id(), callee.id());
        prop_assert_eq!(id.call_id, other.call_id);
        prop_assert_eq!((id.local_tag, id.remote_tag), (other.remote_tag, other.local_tag));
        prop_assert_eq!(caller.local_party(), callee.remote_party());
        prop_assert_eq!(caller.remote_party(), callee.local_party());
        // Lost requests leave gaps, nothing else.
        prop_assert!(callee.remote_cseq() <= caller.local_cseq());
        prop_assert!(caller.remote_cseq() <= callee.local_cseq());
        let turned: Vec<&str> = callee.route_set().rsplit(',').collect();
        prop_assert_eq!(caller.route_set(), turned.join(","));
        Ok(())
    }
}

proptest! {
    #[test]
    fn two_ends_agree(
        steps in proptest::collection::vec(step(), 0..40),
        routes in proptest::collection::vec("<sip:p[0-9]{1,3}(;lr)?>", 0..4),
    ) {
        let routes: String = routes.iter().map(|uri| format!("Record-Route: {uri}\r\n")).collect();
        let mut ends = Ends::new(&routes);
        ends.check()?;
        for step in &steps {
            ends.run(step)?;
            ends.check()?;
        }
    }

    /// A dialog takes exactly the numbers that are higher than all before.
    #[test]
    fn cseq_numbers_only_rise(numbers in proptest::collection::vec(0_u32..40, 1..40)) {
        let mut dialog = Ends::new("").caller;
        let mut highest = None;
        for number in numbers {
            let text = format!(
                "INFO sip:a@192.0.2.1 SIP/2.0\r\n\
                 From: <sip:bob@example.com>;tag=b1\r\n\
                 To: <sip:alice@example.com>;tag=a1\r\n\
                 Call-ID: 1@a\r\n\
                 CSeq: {number} INFO\r\n\r\n"
            );
            let info = Message::parse(Bytes::from(text), &Limits::default()).unwrap();
            let info = info.into_request().unwrap();
            let in_order = highest.is_none_or(|highest| number > highest);
            prop_assert_eq!(dialog.receive(&info).is_ok(), in_order);
            if in_order {
                highest = Some(number);
            }
            prop_assert_eq!(dialog.remote_cseq(), highest);
        }
    }

    /// However dialogs come and go, each message finds its own and no other.
    #[test]
    fn the_table_finds_what_is_in_it(
        ops in proptest::collection::vec((any::<bool>(), 0_usize..12), 1..100),
        seed in any::<[u64; 2]>(),
    ) {
        let mut dialogs = Dialogs::new(seed, 8);
        let mut keys = [None; 12];
        let invite = invite("");
        for (insert, number) in ops {
            let tag = format!("b{number}");
            if insert && keys[number].is_none() {
                let ringing = Response::to_request(&invite, StatusCode::RINGING)
                    .to_tag(&tag)
                    .build()
                    .unwrap();
                let dialog = Dialog::uac(&invite, &ringing, Transport::Udp).unwrap();
                let full = dialogs.len() == 8;
                let inserted = dialogs.insert(dialog, number);
                prop_assert_eq!(inserted.is_err(), full);
                keys[number] = inserted.ok();
            } else if let Some(key) = keys[number].take() {
                prop_assert_eq!(dialogs.remove(key).map(|(_, value)| value), Some(number));
                prop_assert!(dialogs.get(key).is_none());
            }
            for (number, key) in keys.iter().enumerate() {
                let text = format!(
                    "INFO sip:a@192.0.2.1 SIP/2.0\r\n\
                     From: <sip:bob@example.com>;tag=b{number}\r\n\
                     To: <sip:alice@example.com>;tag=a1\r\n\
                     Call-ID: 1@a\r\n\
                     CSeq: 1 INFO\r\n\r\n"
                );
                let info = Message::parse(Bytes::from(text), &Limits::default()).unwrap();
                let found = dialogs.find(&info.into_request().unwrap());
                prop_assert_eq!(found, key.map_or(Found::NoSuchDialog, Found::Dialog));
            }
            prop_assert_eq!(dialogs.of_invite("1@a", "a1").count(), dialogs.len());
        }
    }
}
