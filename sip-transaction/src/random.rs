//! The one source of random numbers of an endpoint.

use core::hash::Hasher;

use siphasher::sip::SipHasher24;

/// A deterministic generator: SipHash-2-4 of a counter under the endpoint's seed. What it gives
/// cannot be foretold without the seed, and is the same again with it.
///
/// RFC 3261 §19.3 asks at least 32 bits of randomness of a tag; [`token`](Self::token) takes the
/// bits that the caller names.
#[derive(Clone, Debug)]
pub struct Random {
    seed: [u64; 2],
    counter: u64,
}

impl Random {
    /// A generator at its start.
    pub fn new(seed: [u64; 2]) -> Self {
        Self { seed, counter: 0 }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(1);
        let mut hasher = SipHasher24::new_with_keys(self.seed[0], self.seed[1]);
        hasher.write_u64(self.counter.to_le());
        hasher.finish()
    }

    /// A number below `end`, each equally likely (to within 2⁻³²); 0 if `end` is 0.
    pub fn below(&mut self, end: u32) -> u32 {
        // The high half of a 64-bit product: Lemire's way without a division.
        let draw = self.next_u64() >> 32;
        (draw.wrapping_mul(u64::from(end)) >> 32) as u32
    }

    /// A token of at least `bits` random bits, in lower-case letters and digits: fit for a tag, a
    /// branch, a Call-ID or a cnonce, and the same to a peer that ignores case.
    pub fn token(&mut self, bits: u32) -> String {
        let characters = bits.div_ceil(5) as usize;
        let mut token = String::with_capacity(characters);
        while token.len() < characters {
            let mut draw = self.next_u64();
            // Twelve characters of five bits from each draw of 64.
            for _ in 0..12.min(characters - token.len()) {
                token.push(char::from(digit(draw)));
                draw >>= 5;
            }
        }
        token
    }
}

/// The lowest five bits as a letter or a digit.
pub(crate) fn digit(bits: u64) -> u8 {
    let bits = (bits & 31) as u8;
    if bits < 26 { b'a' + bits } else { b'0' + (bits - 26) }
}

/// The five bits of a letter or a digit, in either case.
pub(crate) fn bits(digit: u8) -> Option<u64> {
    match digit {
        b'a'..=b'z' => Some(u64::from(digit - b'a')),
        b'A'..=b'Z' => Some(u64::from(digit - b'A')),
        b'0'..=b'5' => Some(u64::from(digit - b'0') + 26),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn equal_seeds_give_equal_numbers_and_others_do_not() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            [random.next_u64(), random.next_u64(), random.next_u64()]
        };
        assert_eq!(draw([7, 8]), draw([7, 8]));
        assert_ne!(draw([7, 8]), draw([8, 7]));
        assert_eq!(draw([7, 8]).iter().collect::<HashSet<_>>().len(), 3);
    }

    #[test]
    fn tokens_have_the_bits_that_were_asked_for() {
        let mut random = Random::new([1, 1]);
        for (asked, long) in [(0, 0), (1, 1), (32, 7), (64, 13), (128, 26), (1000, 200)] {
            let token = random.token(asked);
            assert_eq!(token.len(), long, "{asked} bits: {token}");
            assert!(token.bytes().all(|c| bits(c).is_some_and(|b| digit(b) == c)), "{token}");
        }
    }

    #[test]
    fn numbers_below_an_end_stay_below_and_reach_both_ends() {
        let mut random = Random::new([3, 4]);
        let seen: HashSet<u32> = (0..200).map(|_| random.below(10)).collect();
        assert_eq!(seen, (0..10).collect());
        assert_eq!(random.below(0), 0);
        assert_eq!(random.below(1), 0);
    }
}
