//! Answers that are kept for as long as they are valid.

use core::time::Duration;
use std::collections::HashMap;
use std::time::Instant;

use super::{Answer, LookupError, Question};

/// The answer to a question, and for how long it is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The records, or why there are none.
    pub result: Result<Answer, LookupError>,
    /// For how long the question need not be asked again; zero if it is to be asked each time.
    pub valid_for: Duration,
}

/// The longest that records are kept, whatever they say.
pub const VALID_AT_MOST: Duration = Duration::from_secs(24 * 3600);

/// The longest that it is remembered that there are no records: someone may be about to add them.
pub const NOTHING_VALID_AT_MOST: Duration = Duration::from_secs(900);

/// How long a failure of the name servers is remembered, so that not every request waits for it anew.
pub const FAILURE_VALID: Duration = Duration::from_secs(5);

/// Answers that are kept at most.
const CAPACITY: usize = 512;

/// The answers to questions that were asked before, each for as long as it is valid.
///
/// It holds 512; beyond it the one that would end first makes room.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    answers: HashMap<Question, Kept>,
}

#[derive(Clone, Debug)]
struct Kept {
    result: Result<Answer, LookupError>,
    until: Instant,
}

impl Cache {
    /// The answer that is still valid.
    pub fn find(&self, now: Instant, question: &Question) -> Option<&Result<Answer, LookupError>> {
        let kept = self.answers.get(question)?;
        (kept.until > now).then_some(&kept.result)
    }

    /// Keeps an answer for as long as it says, within bounds: [`VALID_AT_MOST`] for records,
    /// [`NOTHING_VALID_AT_MOST`] where there are none, [`FAILURE_VALID`] for a failure.
    pub fn keep(&mut self, now: Instant, question: Question, found: Found) {
        let most = match &found.result {
            Ok(answer) if !answer.is_empty() => VALID_AT_MOST,
            Ok(_) | Err(LookupError::NoSuchName) => NOTHING_VALID_AT_MOST,
            Err(LookupError::Failed | LookupError::Timeout) => FAILURE_VALID,
            // That is over as soon as one lookup is.
            Err(LookupError::Busy) => return,
        };
        let valid_for = found.valid_for.min(most);
        let Some(until) = now.checked_add(valid_for).filter(|until| *until > now) else { return };
        if self.answers.len() >= CAPACITY && !self.answers.contains_key(&question) {
            self.make_room(now);
        }
        self.answers.insert(question, Kept { result: found.result, until });
    }

    fn make_room(&mut self, now: Instant) {
        self.answers.retain(|_, kept| kept.until > now);
        if self.answers.len() >= CAPACITY {
            let first = self.answers.iter().min_by_key(|(_, kept)| kept.until);
            if let Some(question) = first.map(|(question, _)| question.clone()) {
                self.answers.remove(&question);
            }
        }
    }

    /// How many are kept, those included whose time is over.
    pub fn len(&self) -> usize {
        self.answers.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locate::Srv;

    const SECOND: Duration = Duration::from_secs(1);

    fn question(n: usize) -> Question {
        Question::Srv(format!("_sip._udp.d{n}.example").into())
    }

    fn records(valid_for: Duration) -> Found {
        Found { result: Ok(Answer::Srv(vec![Srv::new(0, 0, 5060, "a.example")])), valid_for }
    }

    #[test]
    fn an_answer_is_kept_for_its_time_and_no_longer_than_its_kind_is() {
        let start = Instant::now();
        let nothing = |valid_for| Found { result: Ok(Answer::Srv(Vec::new())), valid_for };
        let error = |error, valid_for| Found { result: Err(error), valid_for };
        let week = 7 * VALID_AT_MOST;
        let rows = [
            (records(60 * SECOND), 60 * SECOND),
            (records(week), VALID_AT_MOST),
            (nothing(30 * SECOND), 30 * SECOND),
            (nothing(week), NOTHING_VALID_AT_MOST),
            (error(LookupError::NoSuchName, 30 * SECOND), 30 * SECOND),
            (error(LookupError::NoSuchName, week), NOTHING_VALID_AT_MOST),
            (error(LookupError::Failed, week), FAILURE_VALID),
            (error(LookupError::Timeout, week), FAILURE_VALID),
        ];
        for (found, time) in rows {
            let mut cache = Cache::default();
            cache.keep(start, question(1), found.clone());
            let last = start + time - Duration::from_nanos(1);
            assert_eq!(cache.find(last, &question(1)), Some(&found.result), "{found:?}");
            assert_eq!(cache.find(start + time, &question(1)), None, "{found:?}");
            assert_eq!(cache.find(start, &question(2)), None);
            assert_eq!(cache.find(start, &Question::Naptr(question(1).name().into())), None);
        }
        for found in [records(Duration::ZERO), error(LookupError::Busy, SECOND)] {
            let mut cache = Cache::default();
            cache.keep(start, question(1), found.clone());
            assert!(cache.is_empty(), "{found:?}");
        }
    }

    #[test]
    fn a_newer_answer_takes_the_place_of_the_older() {
        let start = Instant::now();
        let mut cache = Cache::default();
        cache.keep(start, question(1), records(SECOND));
        let gone = Found { result: Err(LookupError::NoSuchName), valid_for: 9 * SECOND };
        cache.keep(start + SECOND, question(1), gone.clone());
        assert_eq!(cache.find(start + SECOND, &question(1)), Some(&gone.result));
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn the_memory_is_bounded_and_what_ends_first_makes_room() {
        let start = Instant::now();
        let mut cache = Cache::default();
        for n in 0..CAPACITY {
            cache.keep(start, question(n), records(SECOND * (10 + n as u32)));
        }
        cache.keep(start, question(CAPACITY), records(3600 * SECOND));
        assert_eq!(cache.len(), CAPACITY);
        assert_eq!(cache.find(start, &question(0)), None);
        assert!(cache.find(start, &question(1)).is_some());
        // What is over goes first, and all of it.
        let later = start + 110 * SECOND;
        cache.keep(later, question(0), records(SECOND));
        assert_eq!(cache.len(), CAPACITY - 100 + 1);
    }
}
