//! What happened to the bindings of one address-of-record, as those saw it who sent the REGISTERs, and whether some
//! order of them explains it that RFC 3261 §10.3 allows (linearizability: Herlihy and Wing 1990).
//!
//! An order explains a history if every request takes effect between its beginning and its end, and is answered what
//! §10.3 owes it at that point. One whose answer is not known may have taken effect at any time after it began, or
//! never. The rules are written here once more, in the fewest words, so that a mistake in them is not made twice.

use std::collections::{BTreeMap, HashSet};

/// What one request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To bind this contact, by which number.
    Bind { contact: u8, mark: u32 },
    /// To remove this contact.
    Remove { contact: u8 },
    /// To remove all.
    RemoveAll,
    /// What there is.
    Query,
}

/// What it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 200, which lists these contacts, each with the number by which it was bound.
    Done(BTreeMap<u8, u32>),
    /// 500: a younger one was there before.
    TooLate,
    /// None, or one that does not say whether it took effect.
    Unknown,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) asked: Asked,
    pub(crate) call_id: u8,
    pub(crate) cseq: u32,
    pub(crate) answer: Answer,
    /// By one clock for all: when it began, and when it was answered.
    pub(crate) began: u64,
    pub(crate) ended: u64,
}

/// By contact: the Call-ID and CSeq of the request that bound it, and its number.
type Bound = BTreeMap<u8, (u8, u32, u32)>;

/// Past this many steps the question is given up.
const MAX_STEPS: usize = 2_000_000;

/// Finds an order of these operations that explains their answers.
///
/// # Errors
/// There is none: the answers that were explained at best, and the first that could not be.
pub(crate) fn check(mut operations: Vec<Operation>) -> Result<(), String> {
    for operation in &mut operations {
        if operation.answer == Answer::Unknown {
            operation.ended = u64::MAX;
        }
    }
    operations = operations.iter().filter(|one| may_matter(&operations, one)).cloned().collect();
    operations.sort_by_key(|operation| operation.began);
    let known = operations.iter().filter(|one| one.answer != Answer::Unknown).count();
    let mut done = vec![false; operations.len()];
    let mut seen = HashSet::new();
    // Each step: what may come next there, how many of these were tried, what was bound before.
    let mut steps = vec![(candidates(&operations, &done, &Bound::new()), 0, Bound::new())];
    let mut order: Vec<usize> = Vec::new();
    let (mut explained, mut best, mut tried_in_all) = (0, 0, 0);
    let mut stuck = String::new();
    while let Some((next, tried, bound)) = steps.last_mut() {
        if explained == known {
            return Ok(());
        }
        let Some(&at) = next.get(*tried) else {
            if explained >= best {
                best = explained;
                let left = operations.iter().enumerate().filter(|(at, _)| !done[*at]);
                let waiting: Vec<_> = left.map(|(_, one)| one).take(16).collect();
                stuck = format!("after {explained} of {known}, with {bound:?} bound: {waiting:?}");
            }
            steps.pop();
            if let Some(at) = order.pop() {
                done[at] = false;
                explained -= usize::from(operations[at].answer != Answer::Unknown);
            }
            continue;
        };
        *tried += 1;
        tried_in_all += 1;
        assert!(tried_in_all < MAX_STEPS, "too many orders to try: undecided {stuck}");
        let Some(after) = step(bound, &operations[at]) else { continue };
        done[at] = true;
        // What was reached before in another order leads nowhere again.
        if !seen.insert((fingerprint(&done), after.clone())) {
            done[at] = false;
            continue;
        }
        explained += usize::from(operations[at].answer != Answer::Unknown);
        order.push(at);
        steps.push((candidates(&operations, &done, &after), 0, after));
    }
    if explained == known { Ok(()) } else { Err(stuck) }
}

/// What is bound after this operation, if it can be answered so where this is bound before.
fn step(bound: &Bound, operation: &Operation) -> Option<Bound> {
    let Operation { asked, call_id, cseq, answer, .. } = operation;
    let is_late = |contact: &u8| {
        bound.get(contact).is_some_and(|(of, last, _)| of == call_id && cseq <= last)
    };
    // RFC 3261 §10.3: "If the value is higher
    // than that of the existing binding, it MUST update or remove the
    // binding as above.  If not, the update MUST be aborted and the
    // request fails."
    let fails = match asked {
        Asked::Bind { contact, .. } | Asked::Remove { contact } => is_late(contact),
        Asked::RemoveAll => bound.keys().any(is_late),
        Asked::Query => false,
    };
    if fails {
        return (*answer != Answer::Unknown && *answer == Answer::TooLate).then(|| bound.clone());
    }
    let mut after = bound.clone();
    match asked {
        Asked::Bind { contact, mark } => {
            after.insert(*contact, (*call_id, *cseq, *mark));
        }
        Asked::Remove { contact } => {
            after.remove(contact);
        }
        Asked::RemoveAll => after.clear(),
        Asked::Query => {}
    }
    match answer {
        Answer::Unknown => (after != *bound).then_some(after),
        Answer::TooLate => None,
        Answer::Done(list) => {
            let listed = after.iter().map(|(contact, (_, _, mark))| (contact, mark));
            listed.eq(list.iter()).then_some(after)
        }
    }
}

/// What may take effect next, where this is bound: of all that began before any other that is left had ended.
///
/// One that never changes anything, and is answered as it must be, comes at once and nothing else: later it could not
/// be better. Those whose answers are not known come last, and of them last those that nobody has seen the effect of.
fn candidates(operations: &[Operation], done: &[bool], bound: &Bound) -> Vec<usize> {
    let left = || operations.iter().enumerate().filter(|(at, _)| !done[*at]);
    let first_end = left().map(|(_, one)| one.ended).min().unwrap_or(0);
    let may_be = left().take_while(|(_, one)| one.began < first_end);
    let mut next = Vec::new();
    for (at, one) in may_be {
        let changes_nothing = one.asked == Asked::Query || one.answer == Answer::TooLate;
        match step(bound, one) {
            Some(_) if changes_nothing => return vec![at],
            Some(_) => next.push(at),
            None => {}
        }
    }
    next.sort_by_key(|at| match (&operations[*at].answer, operations[*at].asked) {
        (Answer::Unknown, Asked::Bind { mark, .. }) => 1 + u8::from(!is_seen(operations, mark)),
        (Answer::Unknown, _) => 1,
        _ => 0,
    });
    next
}

/// Whether an order may need this operation. One without an answer that bound a contact, where only its own Call-ID
/// binds that contact, was replaced before anybody listed it by one that could have come without it; unless there is
/// one that may have been too late because of it.
fn may_matter(operations: &[Operation], one: &Operation) -> bool {
    let (Answer::Unknown, Asked::Bind { contact, mark }) = (&one.answer, one.asked) else {
        return one.answer != Answer::Unknown || one.asked != Asked::Query;
    };
    let is_other = |other: &Operation| {
        matches!(other.asked, Asked::Bind { contact: of, .. } if of == contact)
            && other.call_id != one.call_id
    };
    let is_late = |other: &Operation| {
        other.answer == Answer::TooLate
            && other.call_id == one.call_id
            && other.cseq <= one.cseq
            && other.ended > one.began
    };
    is_seen(operations, mark) || operations.iter().any(|other| is_other(other) || is_late(other))
}

fn is_seen(operations: &[Operation], mark: u32) -> bool {
    operations.iter().any(|one| match &one.answer {
        Answer::Done(list) => list.values().any(|seen| *seen == mark),
        _ => false,
    })
}

/// Of which operations are done.
fn fingerprint(done: &[bool]) -> Vec<u64> {
    let word = |part: &[bool]| part.iter().fold(0, |word, bit| word << 1 | u64::from(*bit));
    done.chunks(64).map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(asked: Asked, cseq: u32, answer: Answer, began: u64, ended: u64) -> Operation {
        Operation { asked, call_id: 0, cseq, answer, began, ended }
    }

    fn bind(mark: u32, list: &[(u8, u32)], began: u64, ended: u64) -> Operation {
        let contact = u8::try_from(mark / 100).unwrap();
        let answer = Answer::Done(list.iter().copied().collect());
        one(Asked::Bind { contact, mark }, mark, answer, began, ended)
    }

    fn query(list: &[(u8, u32)], began: u64, ended: u64) -> Operation {
        one(Asked::Query, 0, Answer::Done(list.iter().copied().collect()), began, ended)
    }

    #[test]
    fn orders_that_the_rules_allow_are_found() {
        // One after the other; two at once, in the other order than they began.
        let second = bind(201, &[(1, 101), (2, 201)], 2, 3);
        assert_eq!(check(vec![bind(101, &[(1, 101)], 0, 1), second]), Ok(()));
        let first = bind(201, &[(1, 101), (2, 201)], 0, 3);
        assert_eq!(check(vec![first, bind(101, &[(1, 101)], 1, 2)]), Ok(()));
        // What is too late, and what nobody answered: done or not, and if done then when somebody saw it.
        let late = one(Asked::Bind { contact: 1, mark: 7 }, 101, Answer::TooLate, 2, 3);
        assert_eq!(check(vec![bind(101, &[(1, 101)], 0, 1), late]), Ok(()));
        let lost = one(Asked::Bind { contact: 1, mark: 102 }, 102, Answer::Unknown, 2, 0);
        let before = [bind(101, &[(1, 101)], 0, 1), lost, query(&[(1, 101)], 3, 4)];
        assert_eq!(check(before.to_vec()), Ok(()));
        let after = [&before[..], &[query(&[(1, 102)], 5, 6)]].concat();
        assert_eq!(check(after.clone()), Ok(()));
        let again = [&after[..], &[query(&[(1, 101)], 7, 8)]].concat();
        assert!(check(again).is_err(), "it does not go away again");
    }

    #[test]
    fn what_the_rules_do_not_allow_is_rejected() {
        // Each saw only itself: one has undone the other.
        let lost_update = vec![bind(101, &[(1, 101)], 0, 2), bind(201, &[(2, 201)], 1, 3)];
        assert!(check(lost_update).is_err());
        // What was acknowledged is gone.
        assert!(check(vec![bind(101, &[(1, 101)], 0, 1), query(&[], 2, 3)]).is_err());
        // Seen before it was asked for.
        assert!(check(vec![query(&[(1, 101)], 0, 1), bind(101, &[(1, 101)], 2, 3)]).is_err());
        // An older one after a younger, and one refused that is not late.
        let older = one(
            Asked::Bind { contact: 1, mark: 7 },
            100,
            Answer::Done([(1, 7)].into_iter().collect()),
            2,
            3,
        );
        assert!(check(vec![bind(101, &[(1, 101)], 0, 1), older]).is_err());
        let refused = one(Asked::Bind { contact: 1, mark: 7 }, 102, Answer::TooLate, 2, 3);
        assert!(check(vec![bind(101, &[(1, 101)], 0, 1), refused]).is_err());
        // All are removed together.
        let star = one(Asked::RemoveAll, 300, Answer::Done([(2, 201)].into_iter().collect()), 4, 5);
        let two = [bind(101, &[(1, 101)], 0, 1), bind(201, &[(1, 101), (2, 201)], 2, 3)];
        assert!(check([&two[..], &[star]].concat()).is_err());
    }
}
