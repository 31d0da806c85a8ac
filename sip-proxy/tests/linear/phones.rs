//! Phones that register at once, and note what they see.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sip_message::{Limits, Message, Request};
use sip_proxy::location::{RegisterError, Store, register};
use sip_proxy::{BindingChange, Register, RegisterRefused, Registrar};

use super::history::{Answer, Asked, Operation, check};

/// A moment since the Unix epoch that is not over while the test runs: it is now.
pub(crate) fn now() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap()
}

pub(crate) const AORS: usize = 3;
const CONTACTS: u8 = 3;

/// What all see, by address-of-record, and the numbers that they share.
#[derive(Default)]
pub(crate) struct Scene {
    histories: [Mutex<Vec<Operation>>; AORS],
    clock: AtomicU64,
    /// The last CSeq of each Call-ID. Several phones have the same, as if a network delayed their requests.
    cseqs: [AtomicU32; CONTACTS as usize],
    marks: AtomicU32,
}

/// An operation that has begun. Dropped without an answer, it stays one that nobody knows of.
struct Begun<'a> {
    scene: &'a Scene,
    aor: usize,
    operation: Operation,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.operation.ended = self.scene.tick();
        self.scene.histories[self.aor].lock().unwrap().push(self.operation.clone());
    }
}

impl Scene {
    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// One phone's turn, of a kind that a random number says; gives whether it was answered.
    pub(crate) async fn turn<S: Store>(&self, store: &S, dice: &mut Dice) -> bool {
        let aor = dice.below(AORS as u32) as usize;
        let contact = dice.below(u32::from(CONTACTS)) as u8;
        let asked = match dice.below(20) {
            0..14 => Asked::Bind { contact, mark: self.marks.fetch_add(1, Ordering::Relaxed) + 1 },
            14..16 => Asked::Remove { contact },
            16 => Asked::RemoveAll,
            _ => Asked::Query,
        };
        self.ask(store, aor, asked, contact).await
    }

    pub(crate) async fn ask<S: Store>(
        &self,
        store: &S,
        aor: usize,
        asked: Asked,
        call_id: u8,
    ) -> bool {
        let cseq = self.cseqs[usize::from(call_id)].fetch_add(1, Ordering::Relaxed) + 1;
        // Some come later than others that were sent later.
        tokio::task::yield_now().await;
        let request = request(aor, asked, call_id, cseq);
        let read = Register::read(&request).unwrap();
        let began = self.tick();
        let operation =
            Operation { asked, call_id, cseq, answer: Answer::Unknown, began, ended: u64::MAX };
        let mut begun = Begun { scene: self, aor, operation };
        begun.operation.answer = match register(store, &Registrar::default(), &read, now(), 0).await
        {
            Ok(change) => Answer::Done(listed(&change)),
            Err(RegisterError::Refused(RegisterRefused::OutOfOrder)) => Answer::TooLate,
            Err(RegisterError::Store(_)) => Answer::Unknown,
            Err(refused) => panic!("{refused}"),
        };
        begun.operation.answer != Answer::Unknown
    }

    /// Checks what all have seen, and counts operations: those answered 200, those too late, and those unknown.
    pub(crate) fn judge(&self) -> Result<[usize; 3], String> {
        let mut counts = [0; 3];
        for history in &self.histories {
            let history = history.lock().unwrap().clone();
            for operation in &history {
                let kind = match operation.answer {
                    Answer::Done(_) => 0,
                    Answer::TooLate => 1,
                    Answer::Unknown => 2,
                };
                counts[kind] += 1;
            }
            check(history)?;
        }
        Ok(counts)
    }
}

fn listed(change: &BindingChange) -> BTreeMap<u8, u32> {
    let parse = |contact: &sip_message::Contact<'_>| {
        let uri = contact.uri()?.user()?.strip_prefix('c')?.parse().ok()?;
        let text = contact.to_string();
        let mark = text.split_once("mark=")?.1.parse().ok()?;
        Some((uri, mark))
    };
    let pairs = change.bindings.iter().map(|binding| parse(&binding.contact()).unwrap());
    pairs.collect()
}

fn request(aor: usize, asked: Asked, call_id: u8, cseq: u32) -> Request {
    let fields = match asked {
        Asked::Bind { contact, mark } => {
            format!("Contact: <sip:c{contact}@192.0.2.1>;expires=3600;mark={mark}\r\n")
        }
        Asked::Remove { contact } => format!("Contact: <sip:c{contact}@192.0.2.1>;expires=0\r\n"),
        Asked::RemoveAll => "Contact: *\r\nExpires: 0\r\n".to_owned(),
        Asked::Query => String::new(),
    };
    let text = format!(
        "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK{cseq}\r\n\
         From: <sip:u{aor}@example.com>;tag=1\r\nTo: <sip:u{aor}@example.com>\r\nCall-ID: {call_id}@phone\r\n\
         CSeq: {cseq} REGISTER\r\n{fields}\r\n"
    );
    Message::parse(text.into_bytes().into(), &Limits::default()).unwrap().into_request().unwrap()
}

/// Random numbers from a seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as u32) % limit
    }
}

/// So many phones at one store, each with so many turns.
pub(crate) async fn crowd<S: Store>(scene: &Arc<Scene>, store: &Arc<S>, phones: u64, turns: usize) {
    let phones: Vec<_> = (0..phones)
        .map(|seed| {
            let (scene, store) = (Arc::clone(scene), Arc::clone(store));
            tokio::spawn(async move {
                let mut dice = Dice(seed);
                for _ in 0..turns {
                    scene.turn(&*store, &mut dice).await;
                }
            })
        })
        .collect();
    for phone in phones {
        phone.await.unwrap();
    }
}
