//! The order of SRV records (RFC 2782, "Usage rules" and the description of the weight).

use super::Srv;

/// Uniform draws from one seed: the same seed gives the same order.
#[derive(Clone, Debug)]
pub(super) struct Draws(u64);

impl Draws {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number from 0 to `last`, both included.
    fn up_to(&mut self, last: u32) -> u32 {
        // SplitMix64: the weights ask for an even spread, not for secrecy.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // The high half of the product of a 32-bit draw and a count of at most 2^32.
        let product = (mixed >> 32).wrapping_mul(u64::from(last).saturating_add(1));
        (product >> 32) as u32
    }
}

/// The first `most` by priority, within one priority drawn by weight.
pub(super) fn order(mut records: Vec<Srv>, draws: &mut Draws, most: usize) -> Vec<Srv> {
    // RFC 3263 §4.4: "The stateless proxy MUST define a deterministic order to the records in that case,
    // using any algorithm at its disposal."
    // Name servers rotate their answers: sorted first, one seed gives one order for one set of records.
    // Within a priority those of weight 0 come first, as RFC 2782 wants.
    records.sort_by(|a, b| {
        let key = |srv: &Srv| (srv.priority, srv.weight, srv.port);
        key(a).cmp(&key(b)).then_with(|| name(a).cmp(name(b)))
    });
    records.dedup();
    let mut ordered = Vec::with_capacity(records.len().min(most));
    while ordered.len() < most
        && let Some(priority) = records.first().map(|record| record.priority)
    {
        let alike = records.iter().take_while(|record| record.priority == priority);
        let drawn = draw(alike.map(|record| record.weight), draws);
        ordered.push(records.remove(drawn));
    }
    ordered
}

fn name(record: &Srv) -> impl Iterator<Item = u8> {
    record.target.bytes().map(|byte| byte.to_ascii_lowercase())
}

/// Which of the records of one priority comes next.
///
/// RFC 2782 ("Weight"): of the running sums of the weights, the first that is at least a number drawn evenly
/// from 0 to the sum of all, both included. So a record of weight 0, which stands first, has a small chance.
fn draw(weights: impl Iterator<Item = u16> + Clone, draws: &mut Draws) -> usize {
    // 65,536 records do not fit into an answer: the sum fits.
    let sum = weights.clone().map(u32::from).fold(0, u32::saturating_add);
    let drawn = draws.up_to(sum);
    let mut running = 0_u32;
    weights
        .enumerate()
        .find_map(|(index, weight)| {
            running = running.saturating_add(u32::from(weight));
            (running >= drawn).then_some(index)
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each target comes first, of `rounds` seeds.
    fn firsts(records: &[Srv], rounds: u32) -> Vec<(String, u32)> {
        let mut counts: Vec<_> = records.iter().map(|srv| (srv.target.to_string(), 0)).collect();
        for seed in 0..rounds {
            let first =
                order(records.to_vec(), &mut Draws::new(u64::from(seed)), usize::MAX).remove(0);
            let count = counts.iter_mut().find(|(name, _)| **name == *first.target).unwrap();
            count.1 += 1;
        }
        counts
    }

    /// The count that is expected, give or take five standard deviations of a binomial distribution.
    fn assert_share(count: u32, rounds: u32, numerator: f64, denominator: f64) {
        let (n, p) = (f64::from(rounds), numerator / denominator);
        let (mean, deviation) = (n * p, (n * p * (1.0 - p)).sqrt());
        let bound = 5.0 * deviation;
        assert!((f64::from(count) - mean).abs() <= bound, "{count} of {rounds}: {mean} ± {bound}");
    }

    #[test]
    fn priorities_come_in_their_order() {
        let records = [
            Srv::new(20, 9, 5060, "third"),
            Srv::new(0, 0, 5060, "first"),
            Srv::new(10, 1, 5060, "second"),
        ];
        for seed in 0..100 {
            let ordered = order(records.to_vec(), &mut Draws::new(seed), usize::MAX);
            let names: Vec<_> = ordered.iter().map(|srv| &*srv.target).collect();
            assert_eq!(names, ["first", "second", "third"]);
        }
    }

    #[test]
    fn weights_divide_what_comes() {
        let records = [
            Srv::new(0, 10, 5060, "a"),
            Srv::new(0, 30, 5060, "b"),
            Srv::new(0, 60, 5060, "c"),
            Srv::new(1, 60_000, 5060, "never first"),
        ];
        let counts = firsts(&records, 20_000);
        // Of 0 to 100, both included, the first of the list has 0 to 10: one more than its weight.
        assert_share(counts[0].1, 20_000, 11.0, 101.0);
        assert_share(counts[1].1, 20_000, 30.0, 101.0);
        assert_share(counts[2].1, 20_000, 60.0, 101.0);
        assert_eq!(counts[3].1, 0);
    }

    #[test]
    fn the_second_place_is_drawn_among_those_left() {
        let records =
            [Srv::new(0, 0, 1, "none"), Srv::new(0, 100, 1, "a"), Srv::new(0, 300, 1, "b")];
        let rounds = 20_000;
        let mut seconds = [0_u32; 3];
        let mut when_b = 0;
        for seed in 0..rounds {
            let ordered = order(records.to_vec(), &mut Draws::new(u64::from(seed)), usize::MAX);
            assert_eq!(ordered.len(), 3);
            if &*ordered[0].target == "b" {
                when_b += 1;
                let place = records.iter().position(|srv| srv.target == ordered[1].target).unwrap();
                seconds[place] += 1;
            }
        }
        assert_share(when_b, rounds, 300.0, 401.0);
        // Left are weights 0 and 100: 0 of 0 to 100 draws the first.
        assert_share(seconds[0], when_b, 1.0, 101.0);
        assert_share(seconds[1], when_b, 100.0, 101.0);
        assert_eq!(seconds[2], 0);
    }

    #[test]
    fn a_weight_of_zero_is_chosen_rarely_but_not_never() {
        let counts = firsts(&[Srv::new(0, 9, 1, "often"), Srv::new(0, 0, 1, "rarely")], 20_000);
        assert_share(counts[0].1, 20_000, 9.0, 10.0);
        assert_share(counts[1].1, 20_000, 1.0, 10.0);
    }

    #[test]
    fn one_seed_gives_one_order_whatever_the_name_server_rotates() {
        let records: Vec<_> =
            (0..8).map(|n| Srv::new(n % 2, 5, 5060, &format!("host{n}"))).collect();
        for seed in 0..50 {
            let mut rotated = records.clone();
            rotated.rotate_left(seed as usize % 8);
            let ordered = order(rotated, &mut Draws::new(seed), usize::MAX);
            assert_eq!(ordered, order(records.clone(), &mut Draws::new(seed), usize::MAX));
        }
        let orders: std::collections::HashSet<_> =
            (0..50).map(|seed| order(records.clone(), &mut Draws::new(seed), usize::MAX)).collect();
        assert!(orders.len() > 20, "{}", orders.len());
    }

    #[test]
    fn the_greatest_weights_do_not_overflow() {
        let records: Vec<_> =
            (0..200).map(|n| Srv::new(0, u16::MAX, 5060, &format!("host{n}"))).collect();
        assert_eq!(order(records, &mut Draws::new(1), usize::MAX).len(), 200);
        let mut draws = Draws::new(3);
        assert!((0..100).map(|_| draws.up_to(u32::MAX)).any(|drawn| drawn > u32::MAX / 2));
        assert_eq!(draws.up_to(0), 0);
    }
}
