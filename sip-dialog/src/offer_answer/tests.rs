use super::*;

/// The draw that must not be made.
fn never(_: RangeInclusive<u32>) -> u32 {
    panic!("nothing is to be drawn")
}

fn most(range: RangeInclusive<u32>) -> u32 {
    *range.end()
}

const PENDING: Rejection = Rejection { status: StatusCode::REQUEST_PENDING, retry_after: None };
const LATER: Rejection =
    Rejection { status: StatusCode::SERVER_INTERNAL_ERROR, retry_after: Some(10) };

/// The two ends of a dialog; A called B.
struct Pair {
    a: OfferAnswer,
    b: OfferAnswer,
}

#[derive(Clone, Copy)]
enum From {
    A,
    B,
}

impl Pair {
    fn new(offered: bool) -> Pair {
        Pair { a: OfferAnswer::new(Role::Uac, offered), b: OfferAnswer::new(Role::Uas, offered) }
    }

    /// After a call with an offer in its INVITE.
    fn established() -> Pair {
        let mut pair = Pair::new(true);
        pair.passes(From::B, Carrier::Ok, Answer);
        pair.passes(From::A, Carrier::Ack, Nothing);
        pair.at_rest();
        pair
    }

    /// In an early dialog, after the answer in a reliable 1xx and its PRACK.
    fn early() -> Pair {
        let mut pair = Pair::new(true);
        pair.passes(From::B, Carrier::Reliable, Answer);
        pair.passes(From::A, Carrier::Prack, Nothing);
        pair.passes(From::B, Carrier::PrackOk, Nothing);
        pair.at_rest();
        pair
    }

    fn ends(&mut self, from: From) -> (&mut OfferAnswer, &mut OfferAnswer) {
        match from {
            From::A => (&mut self.a, &mut self.b),
            From::B => (&mut self.b, &mut self.a),
        }
    }

    /// A message goes from one end to the other, and both take it for this.
    #[track_caller]
    fn passes(&mut self, from: From, carrier: Carrier, meaning: Meaning) {
        let described = matches!(meaning, Offer | Answer | Preview);
        let (sender, receiver) = self.ends(from);
        assert_eq!(sender.sends(carrier, described), Ok(meaning), "{carrier:?} out");
        assert_eq!(receiver.receives(carrier, described, never), Ok(meaning), "{carrier:?} in");
    }

    /// A request goes out and is refused with this.
    #[track_caller]
    fn is_refused(&mut self, from: From, request: Carrier, described: bool, with: Rejection) {
        self.ends(from).0.sends(request, described).unwrap();
        self.arrives_refused(from, request, described, with);
        self.ends(from).0.failed(request);
    }

    /// A request that went out before arrives, and is refused with this.
    #[track_caller]
    fn arrives_refused(&mut self, from: From, request: Carrier, described: bool, with: Rejection) {
        let (_, receiver) = self.ends(from);
        let before = *receiver;
        assert_eq!(receiver.receives(request, described, most), Err(with));
        assert_eq!(*receiver, before, "a refusal changes nothing");
    }

    #[track_caller]
    fn at_rest(&self) {
        assert_eq!(self.a.may_offer(), Ok(()), "{self:?}");
        assert_eq!(self.b.may_offer(), Ok(()), "{self:?}");
    }
}

impl core::fmt::Debug for Pair {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?} / {:?}", self.a, self.b)
    }
}

#[test]
fn is_small() {
    assert!(size_of::<OfferAnswer>() <= 5, "{}", size_of::<OfferAnswer>());
}

// RFC 6337, table 1: each pattern as the first exchange (Ini), in a confirmed dialog (Est) and in an early one
// (Early), where it may be.

#[test]
fn table_1_pattern_1_invite_and_2xx() {
    Pair::established();
    for from in [From::A, From::B] {
        let (mut pair, to) = (Pair::established(), other(from));
        pair.passes(from, Carrier::Invite, Offer);
        pair.passes(to, Carrier::Unreliable, Nothing);
        pair.passes(to, Carrier::Ok, Answer);
        pair.passes(from, Carrier::Ack, Nothing);
        pair.at_rest();
    }
}

#[test]
fn table_1_pattern_2_2xx_and_ack() {
    let mut pair = Pair::new(false);
    pair.passes(From::B, Carrier::Ok, Offer);
    assert!(pair.a.owes_answer());
    pair.passes(From::A, Carrier::Ack, Answer);
    pair.at_rest();
    for from in [From::A, From::B] {
        let mut pair = Pair::established();
        pair.passes(from, Carrier::Invite, Nothing);
        pair.passes(other(from), Carrier::Ok, Offer);
        pair.passes(from, Carrier::Ack, Answer);
        pair.at_rest();
    }
}

#[test]
fn table_1_pattern_3_invite_and_reliable_1xx() {
    for mut pair in [Pair::new(true), {
        let mut pair = Pair::established();
        pair.passes(From::A, Carrier::Invite, Offer);
        pair
    }] {
        pair.passes(From::B, Carrier::Reliable, Answer);
        // The PRACK transaction first.
        assert_eq!(pair.a.may_offer(), Err(Unsendable::Prack));
        assert_eq!(pair.b.may_offer(), Err(Unsendable::Prack));
        pair.passes(From::A, Carrier::Prack, Nothing);
        pair.passes(From::B, Carrier::PrackOk, Nothing);
        pair.at_rest();
        pair.passes(From::B, Carrier::Ok, Nothing);
        pair.passes(From::A, Carrier::Ack, Nothing);
        pair.at_rest();
    }
}

#[test]
fn table_1_pattern_4_reliable_1xx_and_prack() {
    for mut pair in [Pair::new(false), {
        let mut pair = Pair::established();
        pair.passes(From::A, Carrier::Invite, Nothing);
        pair
    }] {
        assert_eq!(pair.b.sends(Carrier::Reliable, false), Err(Unsendable::Needed));
        pair.passes(From::B, Carrier::Reliable, Offer);
        assert!(pair.a.owes_answer());
        pair.passes(From::A, Carrier::Prack, Answer);
        pair.passes(From::B, Carrier::PrackOk, Nothing);
        pair.at_rest();
        pair.passes(From::B, Carrier::Ok, Nothing);
        pair.passes(From::A, Carrier::Ack, Nothing);
    }
}

#[test]
fn table_1_pattern_5_prack_and_its_2xx() {
    for mut pair in [Pair::new(true), {
        let mut pair = Pair::established();
        pair.passes(From::A, Carrier::Invite, Offer);
        pair
    }] {
        // Never as the first exchange.
        assert_eq!(pair.a.sends(Carrier::Prack, true), Err(Unsendable::OfferSent));
        pair.passes(From::B, Carrier::Reliable, Answer);
        pair.passes(From::A, Carrier::Prack, Offer);
        assert!(pair.b.owes_answer());
        pair.passes(From::B, Carrier::PrackOk, Answer);
        pair.at_rest();
        // And with the PRACK of a response that had no answer.
        pair.passes(From::B, Carrier::Reliable, Nothing);
        pair.passes(From::A, Carrier::Prack, Offer);
        pair.passes(From::B, Carrier::PrackOk, Answer);
        pair.at_rest();
    }
}

#[test]
fn table_1_pattern_6_update_and_its_2xx() {
    // Never as the first exchange, by either side.
    let mut pair = Pair::new(true);
    assert_eq!(pair.a.sends(Carrier::Update, true), Err(Unsendable::OfferSent));
    assert_eq!(pair.b.sends(Carrier::Update, true), Err(Unsendable::OfferReceived));
    let mut pair = Pair::new(false);
    assert_eq!(pair.a.sends(Carrier::Update, true), Err(Unsendable::OfferSent));
    assert_eq!(pair.b.sends(Carrier::Update, true), Err(Unsendable::OfferReceived));
    for mut pair in [Pair::established(), Pair::early()] {
        for from in [From::A, From::B] {
            pair.passes(from, Carrier::Update, Offer);
            pair.passes(other(from), Carrier::UpdateOk, Answer);
            pair.at_rest();
            // One that only refreshes.
            pair.passes(from, Carrier::Update, Nothing);
            pair.passes(other(from), Carrier::UpdateOk, Nothing);
            pair.at_rest();
        }
    }
}

fn other(from: From) -> From {
    match from {
        From::A => From::B,
        From::B => From::A,
    }
}

// RFC 6337, table 2: how each pattern is refused.

#[test]
fn table_2_patterns_1_and_3_a_refused_reinvite_rolls_back() {
    let mut pair = Pair::established();
    let before = (pair.a, pair.b);
    pair.passes(From::A, Carrier::Invite, Offer);
    assert!(pair.b.refuses(Carrier::Invite));
    assert!(pair.a.failed(Carrier::Invite));
    assert_eq!((pair.a, pair.b), before);
    // The same where it left the offer to us.
    pair.passes(From::B, Carrier::Invite, Nothing);
    assert!(pair.a.refuses(Carrier::Invite));
    assert!(pair.b.failed(Carrier::Invite));
    assert_eq!((pair.a, pair.b), before);
}

#[test]
fn table_2_patterns_2_and_4_are_answered_and_followed_by_a_new_offer() {
    let mut pair = Pair::new(false);
    pair.passes(From::B, Carrier::Reliable, Offer);
    pair.passes(From::A, Carrier::Prack, Answer);
    pair.passes(From::B, Carrier::PrackOk, Nothing);
    pair.passes(From::A, Carrier::Update, Offer);
    pair.passes(From::B, Carrier::UpdateOk, Answer);
    let mut pair = Pair::new(false);
    pair.passes(From::B, Carrier::Ok, Offer);
    pair.passes(From::A, Carrier::Ack, Answer);
    pair.passes(From::A, Carrier::Invite, Offer);
}

#[test]
fn table_2_pattern_5_a_refused_prack_rolls_back_and_may_go_again_without() {
    let mut pair = Pair::new(true);
    pair.passes(From::B, Carrier::Reliable, Answer);
    pair.passes(From::A, Carrier::Prack, Offer);
    assert!(pair.b.refuses(Carrier::Prack));
    assert!(pair.a.failed(Carrier::Prack));
    pair.at_rest();
    pair.passes(From::A, Carrier::Prack, Nothing);
    pair.passes(From::B, Carrier::PrackOk, Nothing);
    pair.at_rest();
}

#[test]
fn table_2_pattern_6_a_refused_update_rolls_back() {
    for mut pair in [Pair::established(), Pair::early()] {
        pair.passes(From::B, Carrier::Update, Offer);
        assert!(pair.a.refuses(Carrier::Update));
        assert!(pair.b.failed(Carrier::Update));
        pair.at_rest();
        pair.passes(From::B, Carrier::Update, Nothing);
        assert!(!pair.a.refuses(Carrier::Update), "nothing was offered");
        assert!(!pair.b.failed(Carrier::Update));
        pair.at_rest();
    }
}

// RFC 6337, table 3: M2 overtakes the answer M3 to M1. A sent M1.

#[test]
fn table_3_update_its_2xx_and_another_request() {
    for (request, described) in
        [(Carrier::Update, true), (Carrier::Invite, true), (Carrier::Invite, false)]
    {
        let mut pair = Pair::established();
        pair.passes(From::A, Carrier::Update, Offer);
        assert_eq!(pair.b.sends(Carrier::UpdateOk, true), Ok(Answer));
        pair.is_refused(From::B, request, described, PENDING);
        assert_eq!(pair.a.receives(Carrier::UpdateOk, true, never), Ok(Answer));
        pair.at_rest();
    }
}

/// Figures 4 and 5: A has an INVITE without an offer and an UPDATE under way at once, which A must not begin.
#[test]
fn table_3_update_with_an_invite_without_an_offer() {
    let mut pair = Pair::established();
    pair.passes(From::A, Carrier::Update, Offer);
    assert_eq!(pair.a.sends(Carrier::Invite, false), Err(Unsendable::OfferSent));
    // B refuses the INVITE of an A that begins it all the same (figure 17).
    pair.arrives_refused(From::A, Carrier::Invite, false, LATER);
    let mut pair = Pair::established();
    pair.passes(From::A, Carrier::Invite, Nothing);
    assert_eq!(pair.a.sends(Carrier::Update, true), Err(Unsendable::OfferSent));
    pair.arrives_refused(From::A, Carrier::Update, true, LATER);
}

/// Figure 9 (and 11): A must not send the UPDATE before the PRACK came.
#[test]
fn table_3_update_and_prack() {
    let mut pair = Pair::established();
    pair.passes(From::B, Carrier::Invite, Offer);
    pair.passes(From::A, Carrier::Reliable, Answer);
    assert_eq!(pair.a.sends(Carrier::Update, true), Err(Unsendable::Prack));
    // B refuses that of an A that does it all the same.
    assert_eq!(pair.b.sends(Carrier::Prack, true), Ok(Offer));
    pair.arrives_refused(From::A, Carrier::Update, true, PENDING);
}

#[test]
fn table_3_prack_its_2xx_and_an_update() {
    let mut pair = Pair::new(true);
    pair.passes(From::B, Carrier::Reliable, Answer);
    pair.passes(From::A, Carrier::Prack, Offer);
    assert_eq!(pair.b.sends(Carrier::PrackOk, true), Ok(Answer));
    pair.is_refused(From::B, Carrier::Update, true, PENDING);
    assert_eq!(pair.a.receives(Carrier::PrackOk, true, never), Ok(Answer));
    pair.at_rest();
}

/// Figure 6 among them.
#[test]
fn table_3_an_offer_in_a_response_its_answer_and_an_update() {
    // A is the callee here: M1 is a 2xx or a reliable 1xx, M3 an ACK or a PRACK.
    for (m1, m3) in [(Carrier::Ok, Carrier::Ack), (Carrier::Reliable, Carrier::Prack)] {
        let mut pair = Pair::new(false);
        pair.passes(From::B, m1, Offer);
        assert_eq!(pair.a.sends(m3, true), Ok(Answer));
        // The ACK is a transaction by itself, so that nothing holds the UPDATE back.
        let sent = pair.a.sends(Carrier::Update, true);
        assert_eq!(sent.is_ok(), m3 == Carrier::Ack);
        pair.arrives_refused(From::A, Carrier::Update, true, LATER);
        assert_eq!(pair.b.receives(m3, true, never), Ok(Answer));
    }
    let mut pair = Pair::new(false);
    pair.passes(From::B, Carrier::Ok, Offer);
    assert_eq!(pair.a.sends(Carrier::Ack, true), Ok(Answer));
    pair.is_refused(From::A, Carrier::Invite, true, LATER);
}

/// Figures 7 and 8.
#[test]
fn table_3_invite_its_answer_and_an_update() {
    for m3 in [Carrier::Reliable, Carrier::Ok] {
        let mut pair = Pair::established();
        pair.passes(From::A, Carrier::Invite, Offer);
        assert_eq!(pair.b.sends(m3, true), Ok(Answer));
        let sent = pair.b.sends(Carrier::Update, true);
        assert_eq!(sent.is_ok(), m3 == Carrier::Ok, "figure 7 waits for the PRACK");
        pair.arrives_refused(From::B, Carrier::Update, true, PENDING);
        assert_eq!(pair.a.receives(m3, true, never), Ok(Answer));
    }
}

// RFC 6337, table 4: both offer at once. A sent offer1, B offer2.

#[test]
fn table_4_two_requests() {
    use Carrier::{Invite, Update};
    for (one, two) in [(Invite, Invite), (Invite, Update), (Update, Invite), (Update, Update)] {
        for described in [true, false] {
            if one == Update && !described {
                continue; // It offers nothing.
            }
            let mut pair = Pair::established();
            pair.a.sends(one, described).unwrap();
            pair.b.sends(two, true).unwrap();
            pair.arrives_refused(From::A, one, described, PENDING);
            pair.arrives_refused(From::B, two, true, PENDING);
            assert!(pair.a.failed(one) && pair.b.failed(two));
            pair.at_rest();
        }
    }
}

/// Figures 12 and 13: B has made an offer in a response when the UPDATE comes, which A must not have sent.
#[test]
fn table_4_update_and_an_offer_in_a_response() {
    for offer2 in [Carrier::Reliable, Carrier::Ok] {
        let mut pair = Pair::established();
        pair.passes(From::A, Carrier::Invite, Nothing);
        assert_eq!(pair.b.sends(offer2, true), Ok(Offer));
        assert_eq!(pair.a.sends(Carrier::Update, true), Err(Unsendable::OfferSent));
        pair.arrives_refused(From::A, Carrier::Update, true, LATER);
    }
}

/// Figure 11: A goes on as if its UPDATE were refused, as it will be.
#[test]
fn table_4_update_and_an_offer_in_a_prack() {
    let mut pair = Pair::early();
    pair.passes(From::B, Carrier::Reliable, Nothing);
    assert_eq!(pair.b.sends(Carrier::Update, true), Ok(Offer));
    assert_eq!(pair.a.sends(Carrier::Prack, true), Ok(Offer));
    assert_eq!(pair.b.receives(Carrier::Prack, true, never), Ok(Offer));
    pair.arrives_refused(From::B, Carrier::Update, true, PENDING);
    pair.passes(From::B, Carrier::PrackOk, Answer);
    assert!(!pair.b.failed(Carrier::Update), "it was given up before");
    pair.at_rest();
}

// RFC 6337, figures 14 to 19.

#[test]
fn figure_14_two_updates_cross() {
    let mut pair = Pair::established();
    pair.b.sends(Carrier::Update, true).unwrap();
    pair.arrives_refused(From::A, Carrier::Update, true, PENDING);
}

#[test]
fn figure_15_a_second_update() {
    let mut pair = Pair::established();
    pair.passes(From::A, Carrier::Update, Offer);
    assert_eq!(pair.a.sends(Carrier::Update, false), Err(Unsendable::Update));
    for described in [true, false] {
        pair.arrives_refused(From::A, Carrier::Update, described, LATER);
    }
    // The first may have offered nothing.
    let mut pair = Pair::established();
    pair.passes(From::A, Carrier::Update, Nothing);
    for described in [true, false] {
        pair.arrives_refused(From::A, Carrier::Update, described, LATER);
    }
}

#[test]
fn figure_16_a_reinvite_meets_our_update() {
    let mut pair = Pair::established();
    pair.b.sends(Carrier::Update, true).unwrap();
    pair.arrives_refused(From::A, Carrier::Invite, false, PENDING);
}

#[test]
fn figure_17_a_reinvite_follows_an_update() {
    let mut pair = Pair::established();
    pair.passes(From::A, Carrier::Update, Offer);
    pair.arrives_refused(From::A, Carrier::Invite, false, LATER);
}

#[test]
fn figure_18_an_update_meets_our_invite_with_its_offer_in_a_1xx() {
    let mut pair = Pair::established();
    pair.passes(From::B, Carrier::Invite, Nothing);
    pair.passes(From::A, Carrier::Reliable, Offer);
    pair.arrives_refused(From::A, Carrier::Update, true, PENDING);
}

#[test]
fn figure_19_an_update_meets_the_offer_in_our_1xx() {
    let mut pair = Pair::established();
    pair.passes(From::A, Carrier::Invite, Nothing);
    pair.passes(From::B, Carrier::Reliable, Offer);
    pair.arrives_refused(From::A, Carrier::Update, true, LATER);
}

/// RFC 6337, figure 1: a preview, a reliable 1xx without the answer, one with it, and no description after that.
#[test]
fn figure_1() {
    let mut pair = Pair::new(true);
    pair.passes(From::B, Carrier::Unreliable, Preview);
    pair.passes(From::B, Carrier::Reliable, Nothing);
    assert_eq!(pair.a.sends(Carrier::Prack, true), Err(Unsendable::OfferSent));
    pair.passes(From::A, Carrier::Prack, Nothing);
    pair.passes(From::B, Carrier::PrackOk, Nothing);
    assert_eq!(pair.a.may_offer(), Err(Unsendable::OfferSent), "a preview is no answer");
    assert_eq!(pair.b.may_offer(), Err(Unsendable::OfferReceived));
    pair.passes(From::B, Carrier::Reliable, Answer);
    pair.passes(From::A, Carrier::Prack, Nothing);
    pair.passes(From::B, Carrier::PrackOk, Nothing);
    pair.at_rest();
    for carrier in [Carrier::Unreliable, Carrier::Reliable, Carrier::Ok] {
        assert_eq!(pair.b.sends(carrier, true), Err(Unsendable::NoPlace));
        // A peer that does so is put up with.
        assert_eq!(pair.a.receives(carrier, true, never), Ok(Ignored));
    }
    pair.passes(From::B, Carrier::Ok, Nothing);
    pair.passes(From::A, Carrier::Ack, Nothing);
    pair.at_rest();
}

/// RFC 6337, figure 2: the offer is in the first reliable 1xx.
#[test]
fn figure_2() {
    let mut pair = Pair::new(false);
    assert_eq!(pair.b.sends(Carrier::Unreliable, true), Err(Unsendable::NoPlace));
    assert_eq!(pair.a.receives(Carrier::Unreliable, true, never), Ok(Ignored));
    pair.passes(From::B, Carrier::Unreliable, Nothing);
    pair.passes(From::B, Carrier::Reliable, Offer);
    pair.passes(From::A, Carrier::Prack, Answer);
    pair.passes(From::B, Carrier::PrackOk, Nothing);
    pair.passes(From::B, Carrier::Reliable, Nothing);
    pair.passes(From::A, Carrier::Prack, Nothing);
    pair.passes(From::B, Carrier::PrackOk, Nothing);
    pair.passes(From::B, Carrier::Ok, Nothing);
    assert_eq!(pair.a.sends(Carrier::Ack, true), Err(Unsendable::NoPlace));
    assert_eq!(pair.b.receives(Carrier::Ack, true, never), Ok(Ignored));
}

/// RFC 3311 §8, figure 1.
#[test]
fn the_call_flow_of_rfc_3311() {
    let mut pair = Pair::early();
    pair.passes(From::A, Carrier::Update, Offer);
    pair.passes(From::B, Carrier::UpdateOk, Answer);
    pair.passes(From::B, Carrier::Update, Offer);
    pair.passes(From::A, Carrier::UpdateOk, Answer);
    pair.passes(From::B, Carrier::Ok, Nothing);
    pair.passes(From::A, Carrier::Ack, Nothing);
    pair.at_rest();
}

/// RFC 3262 §5: the 2xx waits for the PRACK of what held a description.
#[test]
fn the_2xx_waits_for_a_described_1xx() {
    for offered in [true, false] {
        let mut pair = Pair::new(offered);
        let meaning = if offered { Answer } else { Offer };
        pair.passes(From::B, Carrier::Reliable, meaning);
        assert!(!pair.b.may_accept());
        assert_eq!(pair.b.sends(Carrier::Ok, false), Err(Unsendable::Prack));
        pair.passes(From::A, Carrier::Prack, if offered { Nothing } else { Answer });
        pair.passes(From::B, Carrier::PrackOk, Nothing);
        assert!(pair.b.may_accept());
    }
    let mut pair = Pair::new(true);
    pair.passes(From::B, Carrier::Reliable, Nothing);
    assert!(pair.b.may_accept());
}

/// Each callee of a forked INVITE has an exchange of its own: one answers early, another in its 2xx, a third never.
#[test]
fn a_fork_has_an_exchange_for_each_callee() {
    let [mut one, mut two, three] = [OfferAnswer::new(Role::Uac, true); 3];
    assert_eq!(one.receives(Carrier::Reliable, true, never), Ok(Answer));
    assert_eq!(one.sends(Carrier::Prack, false), Ok(Nothing));
    assert_eq!(one.receives(Carrier::PrackOk, false, never), Ok(Nothing));
    assert_eq!(one.may_offer(), Ok(()));
    assert_eq!(two.may_offer(), Err(Unsendable::OfferSent));
    assert_eq!(two.receives(Carrier::Unreliable, true, never), Ok(Preview));
    assert_eq!(two.receives(Carrier::Ok, true, never), Ok(Answer));
    assert_eq!(two.may_offer(), Ok(()));
    assert_eq!(three.may_offer(), Err(Unsendable::OfferSent));
}

/// A refusal of the INVITE takes back what was offered in its PRACK, or in a 1xx to it.
#[test]
fn a_refused_reinvite_takes_its_pracks_with_it() {
    let mut pair = Pair::established();
    pair.passes(From::A, Carrier::Invite, Offer);
    pair.passes(From::B, Carrier::Reliable, Answer);
    pair.passes(From::A, Carrier::Prack, Offer);
    assert!(pair.b.refuses(Carrier::Invite));
    assert!(pair.a.failed(Carrier::Invite));
    pair.at_rest();
    let mut pair = Pair::established();
    pair.passes(From::A, Carrier::Invite, Nothing);
    pair.passes(From::B, Carrier::Reliable, Offer);
    assert!(pair.b.refuses(Carrier::Invite));
    assert!(pair.a.failed(Carrier::Invite));
    pair.at_rest();
}

/// What peers forget ends the exchange; nothing waits for ever.
#[test]
fn what_is_missing_ends_the_exchange() {
    // The 2xx without an answer, and without an offer.
    for offered in [true, false] {
        let mut pair = Pair::new(offered);
        assert_eq!(pair.b.sends(Carrier::Ok, false), Ok(Missing));
        assert_eq!(pair.a.receives(Carrier::Ok, false, never), Ok(Missing));
        pair.at_rest();
    }
    // The answer in ACK, PRACK and the 2xx to PRACK and UPDATE.
    let mut pair = Pair::new(false);
    pair.passes(From::B, Carrier::Ok, Offer);
    assert_eq!(pair.a.sends(Carrier::Ack, false), Ok(Missing));
    assert_eq!(pair.b.receives(Carrier::Ack, false, never), Ok(Missing));
    pair.at_rest();
    let mut pair = Pair::new(false);
    pair.passes(From::B, Carrier::Reliable, Offer);
    assert_eq!(pair.a.sends(Carrier::Prack, false), Ok(Missing));
    assert_eq!(pair.b.receives(Carrier::Prack, false, never), Ok(Missing));
    pair.passes(From::B, Carrier::PrackOk, Nothing);
    pair.at_rest();
    for (request, ok) in [(Carrier::Prack, Carrier::PrackOk), (Carrier::Update, Carrier::UpdateOk)]
    {
        let mut pair = Pair::early();
        pair.passes(From::A, request, Offer);
        assert_eq!(pair.b.sends(ok, false), Ok(Missing));
        assert_eq!(pair.a.receives(ok, false, never), Ok(Missing));
        pair.at_rest();
    }
    // No ACK at all.
    let mut pair = Pair::new(false);
    pair.passes(From::B, Carrier::Ok, Offer);
    pair.b.ack_missed();
    assert_eq!(pair.b.may_offer(), Ok(()));
}

/// An offer in a PRACK before the INVITE's has its answer.
#[test]
fn an_illegal_offer_in_a_prack_is_refused() {
    let mut pair = Pair::new(true);
    pair.passes(From::B, Carrier::Reliable, Nothing);
    pair.arrives_refused(From::A, Carrier::Prack, true, LATER);
    let mut pair = Pair::new(false);
    pair.arrives_refused(From::A, Carrier::Prack, true, LATER);
}

/// Whatever order of messages comes: no panic, and refusals change nothing.
#[test]
fn any_order_of_messages() {
    use Carrier::{Ack, Prack, PrackOk, Reliable, Unreliable, Update, UpdateOk};
    let all =
        [Carrier::Invite, Unreliable, Reliable, Carrier::Ok, Ack, Prack, PrackOk, Update, UpdateOk];
    // Every state that up to four steps lead to, and from each every input.
    let mut states: std::vec::Vec<OfferAnswer> = [Role::Uac, Role::Uas]
        .into_iter()
        .flat_map(|role| [true, false].map(|offered| OfferAnswer::new(role, offered)))
        .collect();
    let mut at = 0;
    while let Some(state) = states.get(at).copied() {
        at += 1;
        for carrier in all {
            for described in [true, false] {
                let mut sent = state;
                if let Err(error) = sent.sends(carrier, described) {
                    assert_eq!(sent, state, "{error}");
                }
                let mut received = state;
                if let Err(rejection) = received.receives(carrier, described, most) {
                    assert_eq!(received, state);
                    assert!(rejection == PENDING || rejection == LATER);
                    assert!(matches!(carrier, Carrier::Invite | Prack | Update), "{carrier:?}");
                }
                let (mut failed, mut refused) = (state, state);
                failed.failed(carrier);
                refused.refuses(carrier);
                for next in [sent, received, failed, refused] {
                    if !states.contains(&next) {
                        states.push(next);
                    }
                }
            }
        }
        // At most one side has an offer open, and an answer is owed only to one.
        assert!(!(state.owes_answer() && state.may_offer().is_ok()));
    }
    assert!(states.len() > 20, "{}", states.len());
}
