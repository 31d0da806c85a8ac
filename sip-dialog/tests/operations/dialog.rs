//! Two ends of one INVITE usage, read from bytes: any bytes are some sequence of what their users want, and of the order
//! in which messages arrive. Both the property test and the fuzz target `dialog` run them.
//!
//! The messages between them overtake each other; each request has one final response. Whatever happens: nothing
//! panics; what a machine refuses to send or to take leaves it as it was; an offer is answered once; no end begins what it says itself
//! it may not; and when everything is answered, both have the same two descriptions in force and may offer again.

use sip_dialog::{
    Answer, Carrier, Meaning, OfferAnswer, Received, ReliableReceiver, ReliableSender, Role,
    Session, Unsendable,
};
use sip_message::{CSeq, Method, RAck, RSeq, StatusCode};
use std::time::Duration;

/// Runs one sequence.
///
/// # Panics
///
/// If one of the rules above is broken.
pub fn run(data: &[u8]) {
    let (first, bytes) = data.split_first().unwrap_or((&0, &[]));
    let mut world = World::new(first & 1 == 0);
    let mut pairs = bytes.chunks_exact(2);
    for pair in pairs.by_ref().take(150) {
        world.operate(pair[0], pair[1]);
    }
    world.finish();
}

/// A session description, by its number.
type Described = Option<u32>;

#[derive(Clone, Debug)]
enum Message {
    Invite { cseq: u32, body: Described },
    Provisional { cseq: u32, rseq: Option<RSeq>, body: Described },
    Final { cseq: u32, status: u16, body: Described },
    Ack { cseq: u32, body: Described },
    Update { cseq: u32, body: Described },
    Prack { cseq: u32, rack: RAck, body: Described },
    Answered { of: Carrier, cseq: u32, status: u16, body: Described, rack: Option<RAck> },
}

struct End {
    exchange: OfferAnswer,
    session: Session,
    cseq: u32,
    /// The highest number of the peer's.
    heard: u32,
    sender: Option<ReliableSender>,
    receiver: ReliableReceiver,
    /// The peer's INVITE without a final response.
    invited: Option<u32>,
    /// The peer's UPDATE, or PRACK, whose offer waits for the answer.
    owed: Option<(Carrier, u32, Option<RAck>)>,
    /// The 2xx whose ACK waits for the answer.
    owes_ack: Option<u32>,
    /// The reliable response whose PRACK does.
    owes_prack: Option<RAck>,
    /// Our UPDATEs and PRACKs without a final response, and whether they belong to an exchange.
    asked: Vec<(Carrier, u32, bool)>,
    offered: Described,
    theirs: Described,
    /// What is in force: ours, theirs.
    agreed: (Described, Described),
}

struct World {
    ends: [End; 2],
    /// To the end of that index.
    wire: Vec<(usize, Message)>,
    bodies: u32,
    refused: bool,
}

impl End {
    fn new(role: Role, offered: bool) -> Self {
        Self {
            exchange: OfferAnswer::new(role, offered),
            session: Session::new(role, 1),
            cseq: if role == Role::Uac { 1 } else { 100 },
            heard: if role == Role::Uac { 0 } else { 1 },
            sender: Some(ReliableSender::new(1)).filter(|_| role == Role::Uas),
            receiver: ReliableReceiver::new(),
            invited: Some(1).filter(|_| role == Role::Uas),
            owed: None,
            owes_ack: None,
            owes_prack: None,
            asked: Vec::new(),
            offered: None,
            theirs: None,
            agreed: (None, None),
        }
    }

    /// Asks the machine whether this may go out, and notes what it says. Without the description where that has no
    /// place.
    fn sends(&mut self, carrier: Carrier, body: Described) -> Result<Described, Unsendable> {
        let before = self.exchange;
        match self.exchange.sends(carrier, body.is_some()) {
            Ok(Meaning::Offer) => self.offered = body,
            Ok(Meaning::Answer) => {
                assert!(self.theirs.is_some(), "an answer to nothing");
                self.agreed = (body, self.theirs.take());
            }
            Ok(Meaning::Missing) => self.theirs = None,
            Ok(_) => {}
            Err(error) => {
                assert_eq!(self.exchange, before, "{error} changed something");
                if error == Unsendable::NoPlace && body.is_some() {
                    return self.sends(carrier, None);
                }
                return Err(error);
            }
        }
        Ok(body)
    }

    fn receives(&mut self, carrier: Carrier, body: Described) -> Result<Meaning, StatusCode> {
        let before = self.exchange;
        let meaning = self.exchange.receives(carrier, body.is_some(), |range| *range.end());
        match meaning {
            Ok(Meaning::Offer) => self.theirs = body,
            Ok(Meaning::Answer) => {
                assert!(self.offered.is_some(), "an answer to nothing");
                self.agreed = (self.offered.take(), body);
            }
            Ok(Meaning::Missing) => self.offered = None,
            Ok(_) => {}
            Err(ref rejection) => {
                assert_eq!(self.exchange, before, "a refusal changed something");
                return Err(rejection.status);
            }
        }
        meaning.map_err(|rejection| rejection.status)
    }

    fn next(&mut self) -> u32 {
        self.cseq += 1;
        self.cseq
    }
}

impl World {
    fn new(offered: bool) -> Self {
        let mut ends = [End::new(Role::Uac, offered), End::new(Role::Uas, offered)];
        if offered {
            ends[0].offered = Some(1);
            ends[1].theirs = Some(1);
        }
        Self { ends, wire: Vec::new(), bodies: 1, refused: false }
    }

    fn body(&mut self, wanted: bool) -> Described {
        self.bodies += u32::from(wanted);
        wanted.then_some(self.bodies)
    }

    fn send(&mut self, from: usize, message: Message) {
        self.wire.push((1 - from, message));
    }

    fn operate(&mut self, operation: u8, more: u8) {
        // The usage came to nothing.
        if self.refused {
            return;
        }
        let end = usize::from(operation >> 7);
        let body = self.body(more & 1 == 0);
        match operation % 16 {
            0..=5 => self.deliver(more),
            6 => self.provisional(end, body, more & 2 == 0),
            7 | 8 => self.accept(end, body),
            9 if more.is_multiple_of(8) => self.refuse(end, StatusCode::BUSY_HERE),
            9 | 10 => self.invite(end, body),
            11 | 12 => self.update(end, body),
            _ => self.answer(end, body, more & 6 != 0),
        }
    }

    fn provisional(&mut self, end: usize, body: Described, reliably: bool) {
        let here = &mut self.ends[end];
        let (Some(cseq), Some(mut sender)) = (here.invited, here.sender) else { return };
        if cseq != 1 {
            return;
        }
        if !reliably {
            let body = here.sends(Carrier::Unreliable, body).unwrap_or(None);
            return self.send(end, Message::Provisional { cseq, rseq: None, body });
        }
        let Some((rseq, _)) = sender.send(Duration::from_millis(500), |range| *range.start())
        else {
            return;
        };
        if let Ok(body) = here.sends(Carrier::Reliable, body) {
            here.sender = Some(sender);
            self.send(end, Message::Provisional { cseq, rseq: Some(rseq), body });
        }
    }

    fn accept(&mut self, end: usize, body: Described) {
        let here = &mut self.ends[end];
        let Some(cseq) = here.invited else { return };
        // Nobody says nothing where an offer or the answer has to be; where it has no place it is left out.
        let body = body.or(Some(0));
        // A PRACK of the peer whose offer waits is answered first.
        if here.owed.is_some() || !here.exchange.may_accept() {
            return;
        }
        if let Ok(body) = here.sends(Carrier::Ok, body) {
            here.invited = None;
            here.session.final_sent(StatusCode::OK);
            if let Some(sender) = &mut here.sender {
                sender.final_sent();
            }
            self.send(end, Message::Final { cseq, status: 200, body });
        }
    }

    fn refuse(&mut self, end: usize, status: StatusCode) {
        let here = &mut self.ends[end];
        let Some(cseq) = here.invited.take() else { return };
        here.session.final_sent(status);
        here.exchange.refuses(Carrier::Invite);
        here.theirs = None;
        self.refused |= cseq == 1;
        self.send(end, Message::Final { cseq, status: status.as_u16(), body: None });
    }

    fn invite(&mut self, end: usize, body: Described) {
        let here = &mut self.ends[end];
        if !here.session.is_established() || here.session.may_invite().is_err() {
            return;
        }
        if let Ok(body) = here.sends(Carrier::Invite, body) {
            let cseq = here.next();
            here.session.invite_sent(cseq).expect("it was asked before");
            self.send(end, Message::Invite { cseq, body });
        }
    }

    fn update(&mut self, end: usize, body: Described) {
        let here = &mut self.ends[end];
        // What overtakes a PRACK has it refused for its number, and with it the answer that it may hold.
        if here.asked.iter().any(|(of, ..)| *of == Carrier::Prack) {
            return;
        }
        if let Ok(body) = here.sends(Carrier::Update, body) {
            let cseq = here.next();
            here.asked.push((Carrier::Update, cseq, true));
            self.send(end, Message::Update { cseq, body });
        }
    }

    /// Somebody answers an offer that waits, or refuses it.
    fn answer(&mut self, end: usize, body: Described, accept: bool) {
        let here = &mut self.ends[end];
        let body = body.or(Some(0));
        if let Some((of, cseq, rack)) = here.owed.take() {
            let (ok, status) = match (of, accept) {
                (Carrier::Prack, true) => (Carrier::PrackOk, 200),
                (_, true) => (Carrier::UpdateOk, 200),
                (_, false) => (of, 488),
            };
            let body = if accept {
                here.sends(ok, body).expect("the answer is owed")
            } else {
                here.exchange.refuses(of);
                here.theirs = None;
                if let (Some(sender), Carrier::Prack) = (&mut here.sender, of) {
                    sender.prack_refused();
                }
                None
            };
            return self.send(end, Message::Answered { of, cseq, status, body, rack });
        }
        if let Some(cseq) = here.owes_ack.take() {
            let body = here.sends(Carrier::Ack, body).expect("the answer is owed");
            here.session.ack_sent(cseq);
            return self.send(end, Message::Ack { cseq, body });
        }
        if let Some(rack) = here.owes_prack.take() {
            self.prack(end, rack, body, true);
        }
    }

    /// `described`: the response that it acknowledges holds an offer or the answer.
    fn prack(&mut self, end: usize, rack: RAck, body: Described, described: bool) {
        let here = &mut self.ends[end];
        let body = match here.sends(Carrier::Prack, body) {
            Ok(body) => body,
            Err(_) => here.sends(Carrier::Prack, None).expect("without an offer it may go"),
        };
        let cseq = here.next();
        here.asked.push((Carrier::Prack, cseq, described || body.is_some()));
        self.send(end, Message::Prack { cseq, rack, body });
    }

    fn deliver(&mut self, which: u8) {
        if self.wire.is_empty() {
            return;
        }
        let (end, message) = self.wire.remove(usize::from(which) % self.wire.len());
        self.arrive(end, message);
    }

    fn arrive(&mut self, end: usize, message: Message) {
        let here = &mut self.ends[end];
        match message {
            Message::Invite { cseq, body } => {
                if let Err(status) = Self::taken(here, Carrier::Invite, cseq, body) {
                    here.session.final_sent(status);
                    let status = status.as_u16();
                    self.send(end, Message::Final { cseq, status, body: None });
                }
            }
            Message::Provisional { cseq, rseq, body } => {
                if here.session.may_invite().is_ok() || cseq != 1 {
                    return; // It has its final response.
                }
                let Some(rseq) = rseq else {
                    here.receives(Carrier::Unreliable, body).expect("a response");
                    return;
                };
                if here.receiver.receive(rseq) != Received::New {
                    return;
                }
                let rack = RAck::new(rseq, CSeq::new(cseq, Method::Invite).unwrap());
                match here.receives(Carrier::Reliable, body).expect("a response") {
                    Meaning::Offer => here.owes_prack = Some(rack),
                    meaning => {
                        // RFC 3262 §5: a new offer may go in the PRACK to a response with an answer, and in no other.
                        let answered = meaning == Meaning::Answer;
                        let offer = self.body(answered && self.bodies.is_multiple_of(3));
                        self.prack(end, rack, offer, answered);
                    }
                }
            }
            Message::Final { cseq, status, body } => {
                let status = StatusCode::new(status).unwrap();
                let answer = here.session.answered(cseq, status, |range| *range.start());
                if answer != Answer::Accepted {
                    here.exchange.failed(Carrier::Invite);
                    (here.offered, here.owes_prack) = (None, None);
                    return self.send(end, Message::Ack { cseq, body: None });
                }
                match here.receives(Carrier::Ok, body).expect("a response") {
                    Meaning::Offer => here.owes_ack = Some(cseq),
                    _ => {
                        here.sends(Carrier::Ack, None).expect("an ACK may always go");
                        here.session.ack_sent(cseq);
                        self.send(end, Message::Ack { cseq, body: None });
                    }
                }
            }
            Message::Ack { cseq, body } => {
                if here.session.ack_received(cseq) {
                    here.receives(Carrier::Ack, body).expect("an ACK");
                }
            }
            Message::Update { cseq, body } => {
                match Self::taken(here, Carrier::Update, cseq, body) {
                    Err(status) => self.answered(end, Carrier::Update, cseq, status, None),
                    Ok(Meaning::Offer) => here.owed = Some((Carrier::Update, cseq, None)),
                    Ok(_) => {
                        here.sends(Carrier::UpdateOk, None).expect("nothing is owed");
                        self.answered(end, Carrier::Update, cseq, StatusCode::OK, None);
                    }
                }
            }
            Message::Prack { cseq, rack, body } => {
                let gone = StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
                let matches = here.sender.is_some_and(|sender| sender.matches(&rack).is_ok());
                let taken = match matches {
                    true => Self::taken(here, Carrier::Prack, cseq, body),
                    false => Err(gone),
                };
                if taken.is_ok()
                    && let Some(sender) = &mut here.sender
                {
                    sender.acknowledge(&rack).expect("it matches");
                }
                match taken {
                    Err(status) => self.answered(end, Carrier::Prack, cseq, status, Some(rack)),
                    Ok(Meaning::Offer) => here.owed = Some((Carrier::Prack, cseq, Some(rack))),
                    Ok(_) => {
                        here.sends(Carrier::PrackOk, None).expect("nothing is owed");
                        self.answered(end, Carrier::Prack, cseq, StatusCode::OK, Some(rack));
                    }
                }
            }
            Message::Answered { of, cseq, status, body, rack } => {
                let asked = here.asked.iter().position(|asked| (asked.0, asked.1) == (of, cseq));
                let (.., described) = here.asked.remove(asked.expect("it was asked"));
                let ok = match of {
                    Carrier::Prack => Carrier::PrackOk,
                    _ => Carrier::UpdateOk,
                };
                if !described {
                    return;
                }
                if (200..300).contains(&status) {
                    here.receives(ok, body).expect("a response");
                    return;
                }
                if here.exchange.failed(of) {
                    here.offered = None;
                }
                // RFC 6337 §2.3: it may come again without its offer, and has to.
                if let (Some(rack), true) = (rack, status != 481) {
                    self.prack(end, rack, None, true);
                }
            }
        }
    }

    /// A request of the peer: whether it is in order.
    fn taken(
        here: &mut End,
        carrier: Carrier,
        cseq: u32,
        body: Described,
    ) -> Result<Meaning, StatusCode> {
        // RFC 3261 §12.2.2: one that was overtaken.
        if cseq < here.heard {
            return Err(StatusCode::SERVER_INTERNAL_ERROR);
        }
        here.heard = cseq;
        // One offer of the peer waits for its answer at a time, whatever it came in.
        if here.owed.is_some() && body.is_some() {
            return Err(StatusCode::SERVER_INTERNAL_ERROR);
        }
        if carrier == Carrier::Invite {
            let mut session = here.session;
            session.receive_invite(cseq, |range| *range.end()).map_err(|no| no.status)?;
            let meaning = here.receives(carrier, body)?;
            here.session = session;
            here.invited = Some(cseq);
            return Ok(meaning);
        }
        here.receives(carrier, body)
    }

    fn answered(
        &mut self,
        end: usize,
        of: Carrier,
        cseq: u32,
        status: StatusCode,
        rack: Option<RAck>,
    ) {
        let status = status.as_u16();
        self.send(end, Message::Answered { of, cseq, status, body: None, rack });
    }

    /// Everything arrives, and everybody answers.
    fn finish(&mut self) {
        if self.refused {
            return;
        }
        for _ in 0..2_000 {
            while !self.wire.is_empty() {
                self.deliver(0);
            }
            let waits = |end: &End| {
                end.owed.is_some() || end.owes_ack.is_some() || end.owes_prack.is_some()
            };
            if let Some(end) = self.ends.iter().position(waits) {
                self.answer(end, Some(0), true);
            } else if let Some(end) = self.ends.iter().position(|end| end.invited.is_some()) {
                let body = self.body(true);
                self.accept(end, body);
                assert!(!self.wire.is_empty(), "an INVITE cannot be answered");
            } else {
                break;
            }
        }
        assert!(self.wire.is_empty(), "there is no end of it");
        let [one, two] = &self.ends;
        for end in &self.ends {
            assert!(end.asked.is_empty());
            assert_eq!(end.exchange.may_offer(), Ok(()), "{:?}", end.exchange);
            assert_eq!(end.session.may_invite(), Ok(()), "{:?}", end.session);
        }
        assert_eq!(one.agreed, (two.agreed.1, two.agreed.0));
        assert!(one.agreed.0.is_some(), "nothing was agreed on");
    }
}
