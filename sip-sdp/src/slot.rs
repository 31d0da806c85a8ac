//! The place of a stream among the m= lines, and the payload types that are bound in it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::codec::{dynamic_numbers, is_dynamic};
use crate::error::Misuse;
use crate::{Agreed, Codec, Direction, Format, Stream};

/// One m= line of the session. Its place never changes, and it is never taken away (RFC 3264 §8).
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    /// What we want here; `None` is a port of zero.
    pub(crate) wanted: Option<Arc<Wish>>,
    /// What we wanted when the last exchange was done: what an offer is rolled back to.
    pub(crate) settled: Option<Arc<Wish>>,
    /// What the offer that waits for its answer says.
    pub(crate) offered: Option<(Direction, Arc<Wish>)>,
    pub(crate) agreed: Option<Box<Agreed>>,
    /// What the line says while nothing is in it: kind, protocol, a format.
    pub(crate) line: Arc<[String; 3]>,
    pub(crate) mid: Option<Arc<str>>,
    /// Dynamic payload types that either side has ever used here, and a digest of the codec.
    bound: Vec<(u8, u32)>,
    /// How many of them have been agreed on: what an offer that is refused says more binds nobody.
    settled_bound: usize,
}

/// A stream and the payload types of its codecs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wish {
    pub(crate) stream: Stream,
    /// As many as there are codecs.
    pub(crate) numbers: Vec<Option<u8>>,
}

impl Wish {
    pub(crate) fn new(stream: Stream) -> Self {
        let numbers = vec![None; stream.of().codecs().len()];
        Self { stream, numbers }
    }

    /// Another stream, in which the codecs that were there before keep their numbers.
    pub(crate) fn changed(&self, stream: Stream) -> Self {
        let number = |codec: &Codec| {
            let mut before = self.stream.of().codecs().iter().zip(&self.numbers);
            before.find(|(before, _)| *before == codec).and_then(|(_, number)| *number)
        };
        let numbers = stream.of().codecs().iter().map(number).collect();
        Self { stream, numbers }
    }

    /// What its m= line says while nothing is in it.
    pub(crate) fn line(&self) -> [String; 3] {
        let stream = &self.stream;
        let other = stream.of().abilities().formats.first().map(ToString::to_string);
        let first = self.numbers.iter().flatten().next().map(ToString::to_string);
        let format = first.or(other).unwrap_or_else(|| "0".to_owned());
        [stream.of().kind().to_owned(), stream.protocol().to_owned(), format]
    }

    /// The formats that an offer of it lists: those codecs that have a number.
    pub(crate) fn formats(&self) -> impl Iterator<Item = Format> {
        let codecs = self.stream.of().codecs().iter().zip(&self.numbers);
        codecs.filter_map(|(codec, number)| {
            Some(Format { payload_type: (*number)?, codec: codec.clone() })
        })
    }
}

impl Slot {
    pub(crate) fn new(line: [String; 3]) -> Self {
        Self {
            wanted: None,
            settled: None,
            offered: None,
            agreed: None,
            line: Arc::new(line),
            mid: None,
            bound: Vec::new(),
            settled_bound: 0,
        }
    }

    /// Whether another stream may be put here: a slot whose port was zero in the last exchange.
    pub(crate) fn is_free(&self) -> bool {
        self.wanted.is_none() && self.agreed.is_none()
    }

    /// An exchange is done: what was offered in it, if it was ours, or what is wanted now is what an offer is rolled
    /// back to.
    pub(crate) fn settle(&mut self, ours: bool) {
        // What has been asked for since our offer is for the next one.
        let offered = self.offered.take().map(|(_, wish)| wish);
        self.settled = if ours { offered } else { self.wanted.clone() };
        self.settled_bound = self.bound.len();
    }

    /// Back to where the last exchange left it; what was wanted is given.
    pub(crate) fn undo(&mut self) -> Option<Arc<Wish>> {
        self.offered = None;
        self.bound.truncate(self.settled_bound);
        std::mem::replace(&mut self.wanted, self.settled.clone())
    }

    /// Remembers what a number stands for; whether it stood for another codec before.
    pub(crate) fn bind(&mut self, number: u8, codec: &Codec) -> bool {
        if !is_dynamic(number) {
            return false;
        }
        let digest = digest(codec);
        match self.bound.iter_mut().find(|(bound, _)| *bound == number) {
            Some((_, before)) => std::mem::replace(before, digest) != digest,
            None => {
                self.bound.push((number, digest));
                false
            }
        }
    }

    fn may_bind(&self, number: u8, codec: &Codec) -> bool {
        let mut bound = self.bound.iter();
        bound
            .find(|(bound, _)| *bound == number)
            .is_none_or(|(_, digest)| *digest == self::digest(codec))
    }
}

/// Gives each codec of each wanted stream a payload type: the one that it had, else that of RFC 3551, else the
/// one that its codec would like, else the first that never stood for anything else here.
pub(crate) fn number(slots: &mut [Slot], across: bool) -> Result<(), Misuse> {
    for index in 0..slots.len() {
        let Some(wish) = slots.get(index).and_then(|slot| slot.wanted.clone()) else { continue };
        // RFC 3264 §8.3.2: "the mapping from a particular dynamic payload type number to a particular codec
        // within that media stream MUST NOT change for the duration of a session."
        // Streams of one bundle share the numbers.
        let may_bind = |slots: &[Slot], number: u8, codec: &Codec| {
            let mut bound = slots.iter().enumerate().filter(|(at, _)| across || *at == index);
            bound.all(|(_, slot)| slot.may_bind(number, codec))
        };
        let codecs = wish.stream.of().codecs();
        // A stream that comes from another place, or a peer that binds a number anew: it is not ours any more.
        let kept = |(codec, number): (&Codec, &Option<u8>)| {
            number.filter(|number| may_bind(slots, *number, codec))
        };
        let mut numbers: Vec<Option<u8>> = codecs.iter().zip(&wish.numbers).map(kept).collect();
        for (at, codec) in codecs.iter().enumerate() {
            if numbers.get(at).is_none_or(Option::is_some) {
                continue;
            }
            let unused = |number: &u8| !numbers.contains(&Some(*number));
            let is_free = |number: &u8| unused(number) && may_bind(slots, *number, codec);
            let fixed = codec.static_number().filter(unused);
            let liked = codec.preferred.filter(|number| is_dynamic(*number) && is_free(number));
            let found = liked.or(fixed).or_else(|| dynamic_numbers().find(is_free));
            let found = found.ok_or(Misuse::NoPayloadType)?;
            if let Some(number) = numbers.get_mut(at) {
                *number = Some(found);
            }
        }
        let Some(slot) = slots.get_mut(index) else { continue };
        for (codec, number) in codecs.iter().zip(numbers.iter().flatten()) {
            slot.bind(*number, codec);
        }
        if numbers != wish.numbers {
            slot.wanted = Some(Arc::new(Wish { stream: wish.stream.clone(), numbers }));
        }
    }
    Ok(())
}

/// Tells codecs apart by name, rate and channels: their parameters may change (RFC 3264 §8.3.4).
fn digest(codec: &Codec) -> u32 {
    // Not keyed: a peer that finds two codecs of one digest has fooled nobody but itself.
    let mut hasher = DefaultHasher::new();
    codec.name().to_ascii_lowercase().hash(&mut hasher);
    (codec.clock_rate(), codec.channel_count()).hash(&mut hasher);
    hasher.finish() as u32
}
