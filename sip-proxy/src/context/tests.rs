//! The response context in few words: what goes in on the left, what comes out on the right.

use sip_message::{HeaderName, Response, StatusCode};

use super::{Action, BranchId, Input, ResponseContext};

/// A context whose targets are letters, and what it did.
struct Fork {
    context: ResponseContext<char>,
}

impl Fork {
    /// `"ab c"`: a and b at the same time, then c.
    fn new(is_invite: bool, targets: &str, breadth: u32) -> (Self, String) {
        let groups = targets.split_whitespace().map(|group| group.chars().collect());
        let mut fork = Self { context: ResponseContext::new(is_invite, groups, breadth) };
        let mut actions = Vec::new();
        fork.context.start(&mut actions);
        (fork, words(actions))
    }

    fn response(&mut self, branch: u16, response: Response) -> String {
        self.input(branch, Input::Response(response))
    }

    fn status(&mut self, branch: u16, status: u16) -> String {
        self.response(branch, response(status, &[]))
    }

    fn input(&mut self, branch: u16, input: Input) -> String {
        let mut actions = Vec::new();
        self.context.handle(BranchId(branch), input, &mut actions);
        words(actions)
    }

    fn cancelled(&mut self) -> String {
        let mut actions = Vec::new();
        self.context.cancelled(&mut actions);
        words(actions)
    }
}

fn invite(targets: &str) -> (Fork, String) {
    Fork::new(true, targets, 60)
}

fn response(status: u16, headers: &[(HeaderName<'_>, &str)]) -> Response {
    let mut builder = Response::builder(StatusCode::new(status).unwrap())
        .raw(HeaderName::Via, "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1")
        .raw(HeaderName::From, "<sip:a@example.com>;tag=1")
        .raw(HeaderName::To, "<sip:b@example.com>;tag=2")
        .raw(HeaderName::CallId, "1")
        .raw(HeaderName::CSeq, "1 INVITE");
    for (name, value) in headers {
        builder = builder.raw(*name, value);
    }
    builder.build().unwrap()
}

fn words(actions: Vec<Action<char>>) -> String {
    let words = actions.into_iter().map(|action| match action {
        Action::Forward { branch, target, breadth } => {
            format!("{target}={} breadth {breadth}", branch.0)
        }
        Action::Relay(response) => format!("relay {}", response.status().as_u16()),
        Action::Reply(status) => format!("reply {}", status.as_u16()),
        Action::Terminated { tag, status } => format!("199 {tag} {}", status.as_u16()),
        Action::Cancel(branch) => format!("cancel {}", branch.0),
        Action::RestartTimerC(branch) => format!("timer C {}", branch.0),
    });
    words.collect::<Vec<_>>().join(", ")
}

#[test]
fn one_target_is_a_plain_hop() {
    let (mut fork, start) = invite("a");
    assert_eq!(start, "a=0 breadth 60");
    assert_eq!(fork.status(0, 100), "");
    assert_eq!(fork.status(0, 180), "timer C 0, relay 180");
    assert_eq!(fork.status(0, 200), "relay 200");
    assert!(fork.context.is_answered());
    // The callee did not hear the ACK yet.
    assert_eq!(fork.status(0, 200), "relay 200");
}

#[test]
fn without_a_target_the_caller_is_told() {
    let (fork, start) = invite("");
    assert_eq!(start, "reply 480");
    assert!(fork.context.is_answered());
}

#[test]
fn the_first_2xx_wins_and_the_others_are_cancelled() {
    let (mut fork, start) = invite("abc d");
    assert_eq!(start, "a=0 breadth 20, b=1 breadth 20, c=2 breadth 20");
    assert_eq!(fork.status(0, 180), "timer C 0, relay 180");
    assert_eq!(fork.status(1, 486), "");
    assert_eq!(fork.status(2, 200), "relay 200, cancel 0");
    // What comes from the cancelled is for nobody, but for a 2xx that crossed the CANCEL.
    assert_eq!(fork.status(0, 183), "timer C 0");
    assert_eq!(fork.status(0, 200), "relay 200");
}

#[test]
fn of_another_request_than_an_invite_only_the_first_2xx_is_relayed() {
    let (mut fork, _) = Fork::new(false, "ab", 60);
    assert_eq!(fork.status(0, 200), "relay 200");
    assert_eq!(fork.status(1, 200), "");
}

#[test]
fn groups_follow_one_another_until_somebody_answers() {
    let (mut fork, start) = invite("ab c");
    assert_eq!(start, "a=0 breadth 30, b=1 breadth 30");
    assert_eq!(fork.status(0, 486), "");
    assert_eq!(fork.status(1, 480), "c=2 breadth 60");
    assert_eq!(fork.status(2, 200), "relay 200");
}

#[test]
fn the_best_response_is_chosen_when_all_are_there() {
    for (answers, best) in [
        // RFC 3261 §16.7: "For example, if a proxy forwarded a request to 4 locations, and
        // received 503, 407, 501, and 404 responses, it may choose to
        // forward the 407 (Proxy Authentication Required) response."
        (&[503, 407, 501, 404][..], "relay 407"),
        (&[302, 486], "relay 302"),
        (&[500, 486], "relay 486"),
        (&[408, 486], "relay 486"),
        (&[486, 408], "relay 486"),
        (&[487, 486, 487], "relay 486"),
        (&[404, 415], "relay 415"),
        (&[404, 486], "relay 404"),
        (&[503, 501], "relay 501"),
        (&[503], "reply 500"),
        (&[503, 503], "reply 500"),
    ] {
        let letters: String = ('a'..).take(answers.len()).collect();
        let (mut fork, _) = invite(&letters);
        let mut last = String::new();
        for (branch, status) in (0..).zip(answers) {
            assert_eq!(last, "", "{answers:?}");
            last = fork.status(branch, *status);
        }
        assert_eq!(last, best, "{answers:?}");
    }
}

#[test]
fn a_6xx_ends_the_search_but_waits_for_the_others() {
    let (mut fork, _) = invite("ab c");
    assert_eq!(fork.status(1, 180), "timer C 1, relay 180");
    assert_eq!(fork.status(0, 603), "cancel 1");
    assert_eq!(fork.status(1, 487), "relay 603");

    // A 2xx that was under way comes first: the caller never learns of the 6xx.
    let (mut fork, _) = invite("ab");
    assert_eq!(fork.status(0, 603), "cancel 1");
    assert_eq!(fork.status(1, 200), "relay 200");
}

#[test]
fn a_branch_that_fails_counts_as_a_response() {
    let (mut fork, _) = invite("ab");
    assert_eq!(fork.input(0, Input::Timeout), "");
    assert_eq!(fork.input(1, Input::Unreachable), "reply 408");

    let (mut fork, _) = invite("a");
    assert_eq!(fork.input(0, Input::Unreachable), "reply 500");
    // The next hop said that it is overloaded: whoever asked is told so.
    let (mut fork, _) = invite("a");
    assert_eq!(fork.input(0, Input::Throttled), "reply 503");

    // The next one is tried.
    let (mut fork, _) = invite("a b");
    assert_eq!(fork.input(0, Input::Unreachable), "b=1 breadth 60");
    assert_eq!(fork.status(1, 404), "relay 404");
}

#[test]
fn timer_c_cancels_a_branch_that_rings() {
    let (mut fork, _) = invite("a");
    assert_eq!(fork.status(0, 180), "timer C 0, relay 180");
    assert_eq!(fork.input(0, Input::TimerC), "cancel 0");
    assert_eq!(fork.input(0, Input::TimerC), "", "once is enough");
    assert_eq!(fork.status(0, 487), "relay 487");
}

#[test]
fn timer_c_of_a_branch_that_said_nothing_counts_as_408() {
    let (mut fork, _) = invite("a b");
    assert_eq!(fork.input(0, Input::TimerC), "cancel 0, b=1 breadth 60");
    assert_eq!(fork.status(1, 404), "relay 404");
}

#[test]
fn who_gives_up_gets_what_the_branches_say_to_it() {
    let (mut fork, _) = invite("ab c");
    assert_eq!(fork.status(0, 180), "timer C 0, relay 180");
    assert_eq!(fork.cancelled(), "cancel 0, cancel 1");
    assert_eq!(fork.cancelled(), "", "once is enough");
    assert_eq!(fork.status(0, 487), "");
    // No third target: the caller wants none.
    assert_eq!(fork.status(1, 487), "relay 487");
}

#[test]
fn a_2xx_that_crosses_the_cancel_is_relayed() {
    let (mut fork, _) = invite("a");
    assert_eq!(fork.cancelled(), "cancel 0");
    assert_eq!(fork.status(0, 200), "relay 200");
}

#[test]
fn challenges_of_all_branches_are_gathered() {
    let (mut fork, _) = invite("abcd");
    let www = |value| response(401, &[(HeaderName::WwwAuthenticate, value)]);
    let proxy = |value| response(407, &[(HeaderName::ProxyAuthenticate, value)]);
    assert_eq!(fork.status(0, 404), "");
    assert_eq!(fork.response(1, www("Digest realm=\"one\", nonce=\"1\"")), "");
    assert_eq!(fork.response(2, proxy("Digest realm=\"two\", nonce=\"2\"")), "");
    let mut actions = Vec::new();
    let last = Input::Response(www("Digest realm=\"three\", nonce=\"3\""));
    fork.context.handle(BranchId(3), last, &mut actions);
    let [Action::Relay(best)] = &actions[..] else { panic!("one response") };
    assert_eq!(best.status().as_u16(), 401);
    let all = |name| -> Vec<String> {
        let values = best.headers().raw_all(name);
        values.map(|value| String::from_utf8_lossy(value).into_owned()).collect()
    };
    assert_eq!(
        all(HeaderName::WwwAuthenticate),
        ["Digest realm=\"one\", nonce=\"1\"", "Digest realm=\"three\", nonce=\"3\""]
    );
    assert_eq!(all(HeaderName::ProxyAuthenticate), ["Digest realm=\"two\", nonce=\"2\""]);
}

// RFC 5393 §5.3.3: "SIP proxies MUST NOT allow the Outgoing Max-Breadth to exceed the
// Incoming Max-Breadth in a given response context."
#[test]
fn breadth_is_shared_out_and_never_exceeded() {
    let (_, start) = Fork::new(true, "abc", 8);
    assert_eq!(start, "a=0 breadth 3, b=1 breadth 3, c=2 breadth 2");

    // With a breadth of two, the third waits for both.
    let (mut fork, start) = Fork::new(true, "abc", 2);
    assert_eq!(start, "a=0 breadth 1, b=1 breadth 1");
    assert_eq!(fork.status(0, 486), "");
    assert_eq!(fork.status(1, 486), "c=2 breadth 2");

    let (mut fork, start) = Fork::new(true, "ab", 1);
    assert_eq!(start, "a=0 breadth 1");
    assert_eq!(fork.status(0, 486), "b=1 breadth 1");
}

#[test]
fn what_comes_of_an_unknown_branch_is_nothing() {
    let (mut fork, _) = invite("a");
    assert_eq!(fork.status(7, 200), "");
}

/// Every input in every state does something defined, and each fork is answered exactly once by other than a 2xx.
#[test]
fn any_order_of_inputs_answers_once() {
    let inputs: [fn() -> Input; 8] = [
        || Input::Response(response(100, &[])),
        || Input::Response(response(180, &[])),
        || Input::Response(response(200, &[])),
        || Input::Response(response(404, &[])),
        || Input::Response(response(603, &[])),
        || Input::Timeout,
        || Input::Unreachable,
        || Input::TimerC,
    ];
    for first in inputs {
        for second in inputs {
            for third in inputs {
                let (mut fork, start) = invite("ab");
                let mut said = vec![start];
                for (branch, input) in [(0, first), (1, second), (0, third), (1, || Input::Timeout)]
                {
                    said.push(fork.input(branch, input()));
                }
                said.push(fork.input(0, Input::Timeout));
                let said = said.join(", ");
                let words: Vec<&str> = said.split(", ").collect();
                let count = |prefixes: &[&str]| {
                    let is = |word: &&&str| prefixes.iter().any(|prefix| word.starts_with(prefix));
                    words.iter().filter(is).count()
                };
                let refusals = count(&["relay 4", "relay 6", "reply"]);
                let successes = count(&["relay 200"]);
                assert!(fork.context.is_answered(), "{said}");
                assert!(refusals <= 1, "{said}");
                assert!(refusals == 1 || successes >= 1, "{said}");
            }
        }
    }
}
