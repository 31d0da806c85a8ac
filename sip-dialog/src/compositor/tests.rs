use alloc::collections::BTreeMap;
use std::format;

use proptest::prelude::*;

use super::*;
use crate::test_support::request;

const ALICE: &str = "sip:alice@example.com";
const PIDF: &str = "application/pidf+xml";

fn config() -> CompositorConfig {
    CompositorConfig::default()
        .package("presence", &[PIDF, "text/plain"])
        .package("message-summary", &["application/simple-message-summary"])
}

struct Script {
    machine: Compositor,
    now: Duration,
}

impl Script {
    fn new(config: CompositorConfig) -> Script {
        Script { machine: Compositor::new(config, [1, 2]), now: Duration::ZERO }
    }

    /// A PUBLISH with these header fields, and how it is answered.
    fn publish(&mut self, fields: &str, body: &str) -> PublishAnswer {
        self.publish_for(ALICE, fields, body)
    }

    fn publish_for(&mut self, resource: &str, fields: &str, body: &str) -> PublishAnswer {
        let head = format!(
            "PUBLISH {resource} SIP/2.0
             Via: SIP/2.0/UDP a;branch=z9hG4bK1
             From: <sip:alice@example.com>;tag=a
             To: <{resource}>
             Call-ID: 1
             CSeq: 1 PUBLISH
             Record-Route: <sip:ignored.example.com;lr>
             Contact: <sip:ignored@example.com>
             {fields}"
        );
        let mut request = request(&head);
        if !body.is_empty() {
            request.set_body(body.to_owned());
        }
        self.machine.publish(self.now, resource, &request)
    }

    /// The entity-tag of a PUBLISH that is taken.
    #[track_caller]
    fn taken(&mut self, fields: &str, body: &str, expires: &str, changed: bool) -> String {
        let answer = self.publish(fields, body);
        assert_eq!((answer.status, answer.changed), (StatusCode::OK, changed), "{answer:?}");
        let [("SIP-ETag", tag), ("Expires", granted)] = answer.headers.as_slice() else {
            panic!("{answer:?}")
        };
        assert_eq!(granted, expires);
        tag.clone()
    }

    #[track_caller]
    fn refused(&mut self, fields: &str, body: &str, status: u16, more: &[(&'static str, &str)]) {
        let before = self.states();
        let answer = self.publish(fields, body);
        assert_eq!(answer.status.as_u16(), status, "{fields}");
        let headers: Vec<_> = answer.headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        assert_eq!(headers, more, "{fields}");
        // RFC 3903 §6: "meaning that a particular PUBLISH request is
        // either processed completely or not at all."
        assert!(!answer.changed);
        assert_eq!(self.states(), before);
    }

    fn states(&self) -> Vec<String> {
        let documents = self.machine.documents(ALICE, "presence");
        documents.map(|it| String::from_utf8(it.body().to_vec()).unwrap()).collect()
    }

    fn pass(&mut self, seconds: u64) -> usize {
        self.now += Duration::from_secs(seconds);
        core::iter::from_fn(|| self.machine.expire(self.now)).count()
    }
}

fn presence(more: &str) -> String {
    format!("Event: presence\nContent-Type: {PIDF}\n{more}")
}

// RFC 3903 §15: M5 to M12, as the compositor sees them.
#[test]
fn the_rfcs_example() {
    let mut script = Script::new(config());
    let first = script.taken(&presence("Expires: 3600"), "open", "3600", true);
    assert_eq!(script.states(), ["open"]);
    script.pass(3000);
    let refresh = |tag: &str| format!("Event: presence\nSIP-If-Match: {tag}\nExpires: 1800");
    let second = script.taken(&refresh(&first), "", "1800", false);
    assert_ne!(first, second);
    assert_eq!(script.pass(1799), 0);
    let modify = presence(&format!("SIP-If-Match: {second}"));
    let third = script.taken(&modify, "closed", "3600", true);
    assert_eq!(script.states(), ["closed"]);
    // The same again is nothing new.
    let modify = presence(&format!("SIP-If-Match: {third}"));
    let fourth = script.taken(&modify, "closed", "3600", false);
    // A tag is good for one PUBLISH.
    for used in [&first, &second, &third] {
        script.refused(&refresh(used), "", 412, &[]);
    }
    let remove = format!("Event: presence\nSIP-If-Match: {fourth}\nExpires: 0");
    script.taken(&remove, "", "0", true);
    script.refused(&refresh(&fourth), "", 412, &[]);
    assert!(script.machine.is_empty() && script.machine.deadline().is_none());
    assert!(script.machine.resources.is_empty() && script.machine.ends.is_empty());
}

// RFC 3903 §6, step by step.
#[test]
fn what_is_refused() {
    let mut script = Script::new(config());
    let tag = script.taken(&presence(""), "open", "3600", true);
    let events = [("Allow-Events", "presence, message-summary")];
    let pidf = format!("Content-Type: {PIDF}");
    // Without Event, with one that is none, with one that is not composed here.
    script.refused(&pidf, "x", 489, &events);
    script.refused(&format!("{pidf}\nEvent: ;id=1"), "x", 489, &events);
    script.refused(&format!("{pidf}\nEvent: dialog"), "x", 489, &events);
    // The Event is looked at before the tag, and the tag before Expires, and that before the body.
    script.refused("Event: dialog\nSIP-If-Match: x\nExpires: 1", "", 489, &events);
    script.refused("Event: presence\nSIP-If-Match: x\nExpires: 1", "", 412, &[]);
    for two in ["SIP-If-Match: a, b", "SIP-If-Match: a\nSIP-If-Match: b", "SIP-If-Match: "] {
        script.refused(&presence(two), "x", 400, &[]);
    }
    let unknown = "0123456789abcdef0123456789abcdef";
    let upper = tag.to_uppercase();
    let short = &tag[1..];
    for none in [unknown, "x", &format!("{tag}0"), short, "*"] {
        script.refused(&presence(&format!("SIP-If-Match: {none}")), "x", 412, &[]);
    }
    if upper != tag {
        script.refused(&presence(&format!("SIP-If-Match: {upper}")), "x", 412, &[]);
    }
    // That of another resource, or of another event type of this one.
    let of_alice = format!("SIP-If-Match: {tag}");
    let answer = script.publish_for("sip:bob@example.com", &presence(&of_alice), "x");
    assert_eq!(answer.status, StatusCode::CONDITIONAL_REQUEST_FAILED);
    script.refused(&format!("Event: message-summary\n{of_alice}"), "", 412, &[]);
    script.refused(&presence("Expires: 59"), "", 423, &[("Min-Expires", "60")]);
    script.refused(&presence(""), "", 400, &[]);
    let accept = [("Accept", "application/pidf+xml, text/plain")];
    script.refused("Event: presence", "x", 415, &accept);
    script.refused("Event: presence\nContent-Type: application/sdp", "x", 415, &accept);
    script.refused(
        &presence("Content-Encoding: gzip"),
        "x",
        415,
        &[("Accept-Encoding", "identity")],
    );
    script.refused(&presence(""), &"x".repeat(16_385), 413, &[]);
    // Types have no case, and parameters do not matter.
    let kind = "Event: presence\nContent-Type: Application/PIDF+XML ; charset=utf-8";
    script.taken(kind, "x", "3600", true);
    let last = script.machine.documents(ALICE, "presence").next_back().unwrap();
    assert_eq!(last.content_type(), "Application/PIDF+XML ; charset=utf-8");
    // Without packages there is nothing to allow.
    let mut script = Script::new(CompositorConfig::default());
    script.refused(&presence(""), "x", 489, &[]);
}

#[test]
fn what_lives_how_long() {
    let mut script = Script::new(config());
    // What it says, at most an hour; an hour where it says nothing.
    script.taken(&presence("Expires: 60"), "a", "60", true);
    let tag = script.taken(&presence("Expires: 99999"), "b", "3600", true);
    script.taken(&presence(""), "c", "3600", true);
    // Nothing is kept of what is to be gone at once.
    script.taken(&presence("Expires: 0"), "d", "0", false);
    assert_eq!(script.states(), ["a", "b", "c"]);
    assert_eq!(script.machine.deadline(), Some(Duration::from_secs(60)));
    assert_eq!(script.pass(60), 1);
    assert_eq!(script.states(), ["b", "c"]);
    // One that is due cannot be refreshed, though nobody has removed it yet.
    script.now = Duration::from_secs(3600);
    script.refused(&presence(&format!("SIP-If-Match: {tag}")), "b", 412, &[]);
    let expired = script.machine.expire(script.now).unwrap();
    assert_eq!((expired.resource(), expired.event()), (ALICE, "presence"));
    assert_eq!(script.pass(0), 1);
    assert!(script.machine.is_empty());
}

#[test]
fn as_much_as_there_may_be() {
    let config = CompositorConfig {
        max_documents: 3,
        max_documents_per_resource: 2,
        max_body: 4,
        ..config()
    };
    let mut script = Script::new(config);
    script.taken(&presence(""), "a", "3600", true);
    let tag = script.taken(&presence(""), "b", "3600", true);
    let full = [("Retry-After", "60")];
    script.refused(&presence(""), "c", 503, &full);
    script.refused(&presence(""), "large", 413, &[]);
    // What is there can be changed and removed all the same.
    let tag = script.taken(&presence(&format!("SIP-If-Match: {tag}")), "b2", "3600", true);
    let bob = script.publish_for("sip:bob@example.com", &presence(""), "b");
    assert_eq!(bob.status, StatusCode::OK);
    let carol = script.publish_for("sip:carol@example.com", &presence(""), "c");
    assert_eq!(carol.status, StatusCode::SERVICE_UNAVAILABLE);
    let remove = format!("Event: presence\nSIP-If-Match: {tag}\nExpires: 0");
    script.taken(&remove, "", "0", true);
    assert_eq!(script.states(), ["a"]);
    script.taken(&presence(""), "c", "3600", true);
}

/// Nobody who has seen some tags knows another: they look random, and another seed gives others.
#[test]
fn tags_cannot_be_guessed() {
    let tags = |seed| {
        let mut machine = Compositor::new(config(), seed);
        let tags: Vec<u128> = (0..1000).map(|_| machine.fresh_tag()).collect();
        tags
    };
    let (one, other) = (tags([1, 2]), tags([1, 3]));
    let mut all: Vec<u128> = one.iter().chain(&other).copied().collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 2000);
    // Each of the 128 bits is set in about half of them.
    for bit in 0..128 {
        let set = all.iter().filter(|tag| *tag >> bit & 1 == 1).count();
        assert!((850..=1150).contains(&set), "bit {bit}: {set} of 2000");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Publish(usize, u8),
    Modify(usize, u8),
    Refresh(usize),
    Remove(usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..3_usize, any::<u8>()).prop_map(|(who, state)| Step::Publish(who, state)),
        (any::<usize>(), any::<u8>()).prop_map(|(which, state)| Step::Modify(which, state)),
        any::<usize>().prop_map(Step::Refresh),
        any::<usize>().prop_map(Step::Remove),
        (0..200_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    /// Against a list that is searched from end to end.
    #[test]
    fn whatever_is_done(steps in prop::collection::vec(step(), 0..60)) {
        let mut script = Script::new(config());
        // Resource, tag, state, when it runs out; the latest change last.
        let mut model: Vec<(usize, String, String, u64)> = Vec::new();
        let name = |who: usize| format!("sip:{who}@example.com");
        for step in steps {
            let now = script.now.as_secs();
            let at = |which: usize, model: &Vec<_>| which.checked_rem(model.len());
            match step {
                Step::Publish(who, state) => {
                    let state = state.to_string();
                    let answer = script.publish_for(&name(who), &presence("Expires: 100"), &state);
                    let many = model.iter().filter(|row| row.0 == who).count();
                    prop_assert_eq!(answer.status.is_success(), many < 16);
                    if many < 16 {
                        model.push((who, answer.headers[0].1.clone(), state, now + 100));
                    }
                }
                Step::Modify(which, state) => {
                    let Some(place) = at(which, &model) else { continue };
                    let (who, tag, before, _) = model[place].clone();
                    let state = state.to_string();
                    let fields = presence(&format!("Expires: 100\nSIP-If-Match: {tag}"));
                    let answer = script.publish_for(&name(who), &fields, &state);
                    prop_assert_eq!(answer.changed, state != before);
                    let row = (who, answer.headers[0].1.clone(), state, now + 100);
                    if answer.changed {
                        model.remove(place);
                        model.push(row);
                    } else {
                        model[place] = row;
                    }
                }
                Step::Refresh(which) => {
                    let Some(place) = at(which, &model) else { continue };
                    let (who, tag, ..) = model[place].clone();
                    let fields = format!("Event: presence\nExpires: 100\nSIP-If-Match: {tag}");
                    let answer = script.publish_for(&name(who), &fields, "");
                    prop_assert!(!answer.changed);
                    (model[place].1, model[place].3) = (answer.headers[0].1.clone(), now + 100);
                }
                Step::Remove(which) => {
                    let Some(place) = at(which, &model) else { continue };
                    let (who, tag, ..) = model.remove(place);
                    let fields = format!("Event: presence\nExpires: 0\nSIP-If-Match: {tag}");
                    prop_assert!(script.publish_for(&name(who), &fields, "").changed);
                }
                Step::Pass(seconds) => {
                    let before = model.len();
                    model.retain(|row| row.3 > now + seconds);
                    prop_assert_eq!(script.pass(seconds), before - model.len());
                }
            }
            let mut states: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
            for (who, _, state, _) in &model {
                states.entry(*who).or_default().push(state);
            }
            for who in 0..3 {
                let name = name(who);
                let got: Vec<&str> = script.machine.documents(&name, "presence")
                    .map(|it| core::str::from_utf8(it.body()).unwrap()).collect();
                prop_assert_eq!(got, states.remove(&who).unwrap_or_default());
            }
            prop_assert_eq!(script.machine.len(), model.len());
            let next = model.iter().map(|row| row.3).min().map(Duration::from_secs);
            prop_assert_eq!(script.machine.deadline(), next);
        }
    }
}
