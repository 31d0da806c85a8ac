//! Any bytes as a body of an event package or of an instant message: the first byte says of which. What is read is
//! written so that it reads again as the same; partial states stay within their limits; keys are matched as often as
//! they are pressed, and no key is reported that was not.

#![no_main]

use std::fmt::Debug;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use sip_events::{
    BodyError, Conference, ConferenceInfo, Cpim, DRegex, DialogInfo, Dialogs, EventPackage,
    IsComposing, KeyPress, KpmlMatcher, KpmlRequest, KpmlResponse, Merged, MessageSummary,
    Presence, RegInfo, Registrations,
};

fuzz_target!(|data: &[u8]| {
    let Some((which, body)) = data.split_first() else { return };
    match which % 11 {
        0 => package::<MessageSummary>(body),
        1 => package::<Presence>(body),
        2 => package::<DialogInfo>(body),
        3 => package::<RegInfo>(body),
        4 => package::<ConferenceInfo>(body),
        5 => package::<KpmlResponse>(body),
        6 => again(body, KpmlRequest::parse, |it| it.render().into_bytes()),
        7 => again(body, IsComposing::parse, |it| it.render().into_bytes()),
        8 => {
            // What cannot be written is what a careless sender may say: a content header with a control character.
            if let Ok(message) = Cpim::parse(body)
                && let Ok(written) = message.render()
            {
                assert_eq!(Cpim::parse(&written).as_ref(), Ok(&message));
            }
        }
        9 => merged(body),
        _ => pressed(body),
    }
});

fn package<P: EventPackage + Debug + PartialEq>(body: &[u8]) {
    again(body, P::parse, |it| it.render().into_bytes());
}

fn again<T: Debug + PartialEq>(
    body: &[u8],
    parse: impl Fn(&[u8]) -> Result<T, BodyError>,
    render: impl Fn(&T) -> Vec<u8>,
) {
    if let Ok(read) = parse(body) {
        let written = render(&read);
        // What was within the limits may be beyond them with the writer's indentation.
        match parse(&written) {
            Ok(again) => assert_eq!(again, read),
            Err(BodyError::TooMany(_)) => {}
            Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&written)),
        }
    }
}

/// Documents after a line with nothing on it but a zero, of each kind that has parts.
fn merged(body: &[u8]) {
    let (mut dialogs, mut registrations) = (Dialogs::default(), Registrations::default());
    let mut conference = Conference::default();
    for document in body.split(|byte| *byte == 0).take(16) {
        if let Ok(info) = DialogInfo::parse(document) {
            dialogs.merge(info);
            assert!(dialogs.iter().count() <= 4_096);
        }
        if let Ok(info) = RegInfo::parse(document) {
            registrations.merge(info);
        }
        if let Ok(info) = ConferenceInfo::parse(document) {
            let before = conference.clone();
            let merged = conference.merge(info.clone());
            match merged {
                Merged::Stale => assert_eq!(conference, before),
                Merged::Applied => {
                    assert_eq!(conference.info().map(|it| it.version), Some(info.version))
                }
                Merged::Gap => {}
            }
            assert_ne!(conference.merge(info), Merged::Applied, "twice");
        }
    }
}

/// The first line is an expression, the second what is pressed.
fn pressed(body: &[u8]) {
    let text = String::from_utf8_lossy(body);
    let Some((expression, keys)) = text.split_once('\n') else { return };
    let Ok(regex) = DRegex::parse(expression) else { return };
    assert_eq!(DRegex::parse(&regex.to_string()).map(|it| it.to_string()), Ok(regex.to_string()));
    let Ok(mut request) = KpmlRequest::one(expression) else { return };
    request.persist = sip_events::Persist::Persist;
    let mut matcher = KpmlMatcher::new();
    assert!(matcher.load(Duration::ZERO, request).is_ok_and(|reports| reports.is_empty()));
    let (mut now, mut pressed, mut reported) = (Duration::ZERO, 0_usize, 0_usize);
    for key in keys.chars().take(256) {
        let mut reports = Vec::new();
        match KeyPress::new(key, Duration::from_millis(100)) {
            Some(key) => {
                now += Duration::from_millis(100);
                pressed += 1;
                reports.extend(matcher.press(now, key));
            }
            None => {
                if let Some(due) = matcher.deadline() {
                    now = now.max(due);
                    reports.extend(matcher.timer(now));
                    assert!(matcher.deadline().is_none_or(|next| next > now), "it stands still");
                }
            }
        }
        for report in reports {
            assert!(matches!(report.code, 200 | 423), "{report:?}");
            reported += report.digits.len();
        }
        assert!(reported <= pressed && !matcher.is_over());
    }
}
