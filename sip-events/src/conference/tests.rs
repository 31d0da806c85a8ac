use super::*;

// RFC 4575 §7.1
const BASIC: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
   <conference-info
    xmlns="urn:ietf:params:xml:ns:conference-info"
    entity="sips:conf233@example.com"
    state="full" version="1">
    <conference-description>
     <subject>Agenda: This month's goals</subject>
      <service-uris>
       <entry>
        <uri>http://sharepoint/salesgroup/</uri>
        <purpose>web-page</purpose>
       </entry>
      </service-uris>
     </conference-description>
    <conference-state>
     <user-count>33</user-count>
    </conference-state>
    <users>
     <user entity="sip:bob@example.com" state="full">
      <display-text>Bob Hoskins</display-text>
      <endpoint entity="sip:bob@pc33.example.com">
       <display-text>Bob's Laptop</display-text>
       <status>disconnected</status>
       <disconnection-method>departed</disconnection-method>
       <disconnection-info>
        <when>2005-03-04T20:00:00Z</when>
        <reason>bad voice quality</reason>
        <by>sip:mike@example.com</by>
       </disconnection-info>
       <media id="1">
        <display-text>main audio</display-text>
        <type>audio</type>
        <label>34567</label>
        <src-id>432424</src-id>
        <status>sendrecv</status>
       </media>
      </endpoint>
     </user>
     <user entity="sip:alice@example.com" state="full">
      <display-text>Alice</display-text>
      <endpoint entity="sip:4kfk4j392jsu@example.com;grid=433kj4j3u">
       <status>connected</status>
       <joining-method>dialed-out</joining-method>
       <media id="1">
        <display-text>main audio</display-text>
        <type>audio</type>
        <label>34567</label>
        <src-id>534232</src-id>
        <status>sendrecv</status>
       </media>
      </endpoint>
     </user>
    </users>
   </conference-info>"#;

fn document(state: &str, version: u32, inner: &str) -> ConferenceInfo {
    let text = format!(
        "<conference-info xmlns='{NAMESPACE}' entity='sips:conf233@example.com' state='{state}' \
         version='{version}'>{inner}</conference-info>"
    );
    ConferenceInfo::parse(text.as_bytes()).unwrap()
}

/// Each user with the state of each endpoint.
fn roster(conference: &Conference) -> Vec<String> {
    let users = conference.info().map_or(&[][..], |info| &info.users);
    let line = |user: &ConferenceUser| {
        let endpoints: Vec<String> = user
            .endpoints
            .iter()
            .map(|it| format!("{} {:?} {}", it.entity, it.status, it.media.len()))
            .collect();
        format!("{}: {}", user.display_text.as_deref().unwrap_or("-"), endpoints.join(", "))
    };
    users.iter().map(line).collect()
}

#[test]
fn the_rfcs_own() {
    let info = ConferenceInfo::parse(BASIC.as_bytes()).unwrap();
    assert_eq!((info.version, info.extent), (1, Extent::Full));
    // RFC 4575 §5.3, RFC 4575 §5.5, RFC 4575 §5.6, RFC 4575 §5.7 and RFC 4575 §5.8: one of each.
    assert_eq!(info.state.as_ref().and_then(|state| state.user_count), Some(33));
    let subject = info.description.as_ref().and_then(|it| it.subject.as_deref());
    assert_eq!(subject, Some("Agenda: This month's goals"));
    let [bob, alice] = info.users.as_slice() else { panic!() };
    let laptop = &bob.endpoints[0];
    assert_eq!(laptop.status, Some(EndpointStatus::Disconnected));
    assert_eq!(laptop.disconnection_method.as_deref(), Some("departed"));
    assert_eq!(laptop.media[0].source.as_deref(), Some("432424"));
    assert_eq!(alice.endpoints[0].joining_method.as_deref(), Some("dialed-out"));
    assert_eq!(ConferenceInfo::parse(info.render().as_bytes()), Ok(info));
}

// RFC 4575 §4.6
#[test]
fn put_together_of_parts() {
    let mut conference = Conference::default();
    // What comes first is to be whole.
    assert_eq!(conference.merge(document("partial", 1, "")), Merged::Gap);
    assert!(conference.info().is_none());
    let basic = ConferenceInfo::parse(BASIC.as_bytes()).unwrap();
    assert_eq!(conference.merge(basic.clone()), Merged::Applied);
    let alice = "Alice: sip:4kfk4j392jsu@example.com;grid=433kj4j3u Some(Connected) 1";
    let bob = "Bob Hoskins: sip:bob@pc33.example.com Some(Disconnected) 1";
    assert_eq!(roster(&conference), [bob, alice]);
    assert_eq!(conference.merge(basic), Merged::Stale, "the same number says nothing new");
    // One is deleted, one is changed in part, one is new.
    let news = document(
        "partial",
        2,
        "<conference-state><active>1</active></conference-state>
         <users state='partial'>
          <user entity='sip:bob@example.com' state='deleted'/>
          <user entity='sip:alice@example.com' state='partial'>
           <endpoint entity='sip:4kfk4j392jsu@example.com;grid=433kj4j3u' state='partial'>
            <status>on-hold</status>
            <media id='2'><type>video</type></media>
           </endpoint>
           <endpoint entity='sip:alice@phone'><status>alerting</status></endpoint>
          </user>
          <user entity='sip:carol@example.com'><display-text>Carol</display-text></user>
         </users>",
    );
    assert_eq!(conference.merge(news), Merged::Applied);
    let alice = "Alice: sip:4kfk4j392jsu@example.com;grid=433kj4j3u Some(OnHold) 2, \
                 sip:alice@phone Some(Alerting) 0";
    assert_eq!(roster(&conference), [alice, "Carol: "]);
    // What has no state of its own is replaced as a whole.
    let info = conference.info().unwrap();
    let state = ConferenceState { active: Some(true), ..ConferenceState::default() };
    assert_eq!(info.state.as_ref(), Some(&state));
    assert!(info.description.is_some(), "of which nothing was said");
    // A whole user takes the place of what was known of him; the endpoint that is deleted is gone.
    let news = document(
        "partial",
        3,
        "<users state='partial'>
          <user entity='sip:carol@example.com'><display-text>C.</display-text></user>
          <user entity='sip:alice@example.com' state='partial'>
           <endpoint entity='sip:alice@phone' state='deleted'/>
          </user>
          <user entity='sip:nobody@example.com' state='deleted'/>
         </users>",
    );
    assert_eq!(conference.merge(news), Merged::Applied);
    let alice = "Alice: sip:4kfk4j392jsu@example.com;grid=433kj4j3u Some(OnHold) 2";
    assert_eq!(roster(&conference), [alice, "C.: "]);
    // One is missing: nothing is applied, and the whole one may have its number.
    let late = document("partial", 5, "<users state='deleted'/>");
    assert_eq!(conference.merge(late), Merged::Gap);
    assert_eq!(roster(&conference).len(), 2);
    let whole = document("full", 5, "<users><user entity='sip:dave@example.com'/></users>");
    assert_eq!(conference.merge(whole), Merged::Applied);
    assert_eq!(roster(&conference), ["-: "]);
    let users = "<users><user entity='sip:erin@example.com'/></users>";
    assert_eq!(conference.merge(document("partial", 6, users)), Merged::Applied);
    assert_eq!(conference.info().unwrap().users[0].entity, "sip:erin@example.com");
    assert_eq!(
        conference.merge(document("partial", 7, "<users state='deleted'/>")),
        Merged::Applied
    );
    assert!(roster(&conference).is_empty());
    // RFC 4575 §4.4: it is over, whatever else the document says.
    assert!(!conference.is_over());
    assert_eq!(conference.merge(document("deleted", 9, users)), Merged::Applied);
    assert!(conference.is_over() && roster(&conference).is_empty());
}

#[test]
fn as_many_as_are_kept() {
    let mut conference = Conference::default();
    let endpoint = |n: usize| format!("<endpoint entity='sip:{n}' />");
    let user = |inner: &str| {
        format!("<users state='partial'><user entity='a' state='partial'>{inner}</user></users>")
    };
    assert_eq!(conference.merge(document("full", 1, "")), Merged::Applied);
    let most: String = (0..MAX_ENDPOINTS).map(endpoint).collect();
    assert_eq!(conference.merge(document("partial", 2, &user(&most))), Merged::Applied);
    let more = document("partial", 3, &user(&endpoint(MAX_ENDPOINTS)));
    assert_eq!(conference.merge(more), Merged::Gap);
    assert_eq!(conference.info().unwrap().users[0].endpoints.len(), MAX_ENDPOINTS);
}

#[test]
fn what_is_missing_or_odd() {
    let wrap = |attributes: &str, inner: &str| {
        format!("<conference-info xmlns='{NAMESPACE}' {attributes}>{inner}</conference-info>")
    };
    let good = "version='0' entity='a'";
    let endpoint = |inner: &str| {
        let user = format!("<user entity='u'><endpoint entity='e'>{inner}</endpoint></user>");
        wrap(good, &format!("<users>{user}</users>"))
    };
    for (body, error) in [
        // RFC 4575 §4.3 and RFC 4575 §5.2
        (wrap("entity='a'", ""), BodyError::Missing("version")),
        (wrap("version='1'", ""), BodyError::Missing("entity")),
        (wrap("version='x' entity='a'", ""), BodyError::Invalid("version")),
        (wrap("version='1' entity='a' state='none'", ""), BodyError::Invalid("state")),
        (wrap(good, "<users><user/></users>"), BodyError::Missing("entity")),
        (endpoint("<status>late</status>"), BodyError::Invalid("status")),
        (endpoint("<media/>"), BodyError::Missing("id")),
        (
            wrap(good, "<conference-state><active>yes</active></conference-state>"),
            BodyError::Invalid("active"),
        ),
        (
            wrap(good, "<conference-state><user-count>-1</user-count></conference-state>"),
            BodyError::Invalid("user-count"),
        ),
        (endpoint(&"<media id='1'/>".repeat(MAX_MEDIA + 1)), BodyError::TooMany("media")),
    ] {
        assert_eq!(ConferenceInfo::parse(body.as_bytes()), Err(error), "{body}");
    }
    // A whole document has what one must have, though it says nothing.
    let empty = ConferenceInfo { entity: "a".into(), ..ConferenceInfo::default() };
    let text = empty.render();
    assert!(text.contains("<conference-description>") && text.contains("<users "), "{text}");
}
