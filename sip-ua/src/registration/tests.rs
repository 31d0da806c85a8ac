use super::*;

use bytes::Bytes;
use sip_auth::{Arrival, Authority, Checked, NonceKey, Refusal, Secret, Use};
use sip_message::{Limits, Message};
use sip_transport::TransportError::Closed;

const CONTACT: &str = "sip:alice@192.0.2.1:5060";

fn config() -> RegistrationConfig {
    RegistrationConfig {
        registrar: "sip:registrar@example.com".parse().unwrap(),
        aor: "\"Alice\" <sip:alice@example.com>".into(),
        contact: CONTACT.parse().unwrap(),
        expires: 3600,
        instance: None,
        outbound: None,
        call_id: "4711".into(),
        from_tag: "a1".into(),
        headers: vec![("Route".into(), "<sip:proxy;lr>".into()), ("X-Phone".into(), "1".into())],
        credentials: vec![Credentials::new("alice", "secret")],
        require_proof: false,
    }
}

/// A registration at work, its timer and its transaction.
struct Run {
    registration: Registration,
    /// What is drawn from every range: 0 the least, 100 the most.
    percent: u64,
    timer: Option<Duration>,
    /// The REGISTER that is out.
    out: Option<Request>,
    cseq: u32,
}

impl Run {
    fn new(config: RegistrationConfig) -> Run {
        Run { registration: Registration::new(config), percent: 0, timer: None, out: None, cseq: 0 }
    }

    /// Feeds an input, checks what always holds, and gives back what the user is told.
    fn feed(&mut self, input: Input<'_>) -> Vec<RegistrationEvent> {
        match &input {
            Input::Timeout | Input::TransportError(_) => self.out = None,
            Input::Response(response) if response.status().is_final() => self.out = None,
            Input::Timer => self.timer = None,
            _ => {}
        }
        let percent = self.percent;
        let mut draw = |range: RangeInclusive<u32>| {
            let span = u64::from(range.end() - range.start());
            range.start() + u32::try_from(span * percent / 100).unwrap()
        };
        let mut events = Vec::new();
        for action in self.registration.handle(input, &mut draw) {
            match action {
                Action::Send(request) => {
                    assert!(self.out.is_none(), "two REGISTERs at once");
                    // RFC 3261 §10.2: the same Call-ID, the next CSeq.
                    let request = Message::parse(request.to_bytes(), &Limits::default()).unwrap();
                    let request = request.into_request().unwrap();
                    self.cseq += 1;
                    assert_eq!(request.headers().cseq().unwrap().number, self.cseq);
                    assert_eq!(request.headers().call_id(), Some("4711"));
                    self.out = Some(request);
                }
                Action::Arm(after) => self.timer = Some(after),
                Action::Disarm => self.timer = None,
                Action::Event(event) => events.push(event),
            }
        }
        self.check();
        events
    }

    /// Never wedged: something is out, or armed, or it is over (or has not begun).
    fn check(&self) {
        let idle = self.registration.state == State::Idle;
        let awaited = usize::from(self.out.is_some()) + usize::from(self.timer.is_some());
        let expected = usize::from(!idle && !self.registration.is_over());
        assert_eq!(awaited, expected, "{:?}", self.registration.state);
    }

    fn answer(&mut self, status: &str, more: &str) -> Vec<RegistrationEvent> {
        self.feed(Input::Response(&response(status, more)))
    }

    /// Starts and is registered.
    fn registered() -> Run {
        let mut run = Run::new(config());
        assert_eq!(run.feed(Input::Start), []);
        let events = run.answer("200 OK", &format!("Contact: <{CONTACT}>;expires=600"));
        assert_eq!(events, [registered(600)]);
        run
    }

    /// What the REGISTER that is out asks for, by header field and by Contact parameter.
    fn asks(&self) -> u32 {
        let request = self.out.as_ref().expect("a REGISTER is out");
        let expires = request.get::<Expires>().unwrap().unwrap().0;
        assert_eq!(request.get::<Contact>().unwrap().unwrap().expires(), Some(expires));
        expires
    }

    fn header(&self, name: HeaderName<'_>) -> Option<String> {
        let value = self.out.as_ref().expect("a REGISTER is out").raw(name)?;
        Some(String::from_utf8(value.to_vec()).unwrap())
    }
}

fn response(status: &str, more: &str) -> Response {
    let more: String = more.lines().map(|line| format!("{}\r\n", line.trim())).collect();
    let text = format!("SIP/2.0 {status}\r\nCall-ID: 4711\r\nCSeq: 1 REGISTER\r\n{more}\r\n");
    Message::parse(Bytes::from(text), &Limits::default()).unwrap().into_response().unwrap()
}

fn registered(seconds: u64) -> RegistrationEvent {
    RegistrationEvent::Registered { expires: Duration::from_secs(seconds) }
}

fn failed(reason: RegistrationFailure, retry_in: Option<u64>) -> RegistrationEvent {
    RegistrationEvent::Failed { reason, retry_in: retry_in.map(Duration::from_secs) }
}

fn status(code: u16) -> RegistrationFailure {
    RegistrationFailure::Status(StatusCode::new(code).unwrap())
}

const UNREGISTERED: RegistrationEvent = RegistrationEvent::Unregistered { confirmed: true };

#[test]
fn the_request() {
    let mut run = Run::new(config());
    run.feed(Input::Start);
    assert_eq!(run.asks(), 3600);
    let request = run.out.as_ref().unwrap();
    assert_eq!(request.method(), &Method::Register);
    assert_eq!(request.uri_bytes(), b"sip:example.com", "without a user");
    assert_eq!(request.headers().max_forwards(), Some(70));
    let text = |name| run.header(name).unwrap();
    assert_eq!(text(HeaderName::From), "\"Alice\" <sip:alice@example.com>;tag=a1");
    assert_eq!(text(HeaderName::To), "\"Alice\" <sip:alice@example.com>");
    assert_eq!(text(HeaderName::Contact), "<sip:alice@192.0.2.1:5060>;expires=3600");
    assert_eq!(text(HeaderName::Route), "<sip:proxy;lr>");
    assert_eq!(text(HeaderName::Other("X-Phone")), "1");
    assert_eq!(run.header(HeaderName::Authorization), None);
}

#[test]
fn is_refreshed_before_it_expires() {
    let mut run = Run::registered();
    assert_eq!(run.timer, Some(Duration::from_secs(450)));
    for _ in 0..5 {
        assert_eq!(run.feed(Input::Timer), []);
        assert_eq!(run.asks(), 3600);
        assert_eq!(run.answer("200 OK", "Expires: 600"), [registered(600)]);
        assert!(run.timer.is_some());
    }
}

/// RFC 3261 §10.2: Record-Route means nothing in a REGISTER's response.
#[test]
fn record_route_is_ignored() {
    let mut run = Run::new(config());
    run.feed(Input::Start);
    run.answer("200 OK", "Expires: 600\nRecord-Route: <sip:elsewhere;lr>");
    run.feed(Input::Timer);
    assert_eq!(run.header(HeaderName::Route).unwrap(), "<sip:proxy;lr>");
    assert_eq!(run.out.as_ref().unwrap().uri_bytes(), b"sip:example.com");
}

/// For every life and draw: well before the end, and not at once.
#[test]
fn when_to_refresh() {
    for seconds in [1, 10, 60, 119, 120, 600, 3600, 7200, u32::MAX] {
        for percent in [0, 50, 100] {
            let mut draw = |range: RangeInclusive<u32>| {
                range.start() + (range.end() - range.start()) * percent / 100
            };
            let (delay, life) =
                (refresh_in(seconds, &mut draw), Duration::from_secs(seconds.into()));
            assert!(delay >= life / 2, "{seconds}: {delay:?}");
            assert!(delay <= life.mul_f64(0.9), "{seconds}: {delay:?}");
            if seconds >= 120 {
                assert!(delay >= life.mul_f64(0.75), "{seconds}: {delay:?}");
            }
        }
    }
}

/// RFC 3261 §10.2.4: ours by URI comparison, its parameter before the header field.
#[test]
fn which_life_was_granted() {
    for (headers, seconds) in [
        ("Contact: <sip:alice@192.0.2.1:5060>;expires=100\nExpires: 200", 100),
        (
            "Contact: <sip:ALICE@192.0.2.9>;expires=50, <sip:%61lice@192.0.2.1:5060>;expires=100",
            100,
        ),
        ("Contact: <sip:alice@192.0.2.1:5060>\nExpires: 200", 200),
        ("Contact: <sip:alice@192.0.2.1:5060>", 3600),
        ("Contact: \"x\" <sip:x@h>;expires=1\nContact: <sip:alice@192.0.2.1:5060>;expires=90", 90),
        // Nothing listed.
        ("Expires: 200", 200),
        ("", 3600),
        // Rewritten on the way.
        ("Contact: <sip:alice@198.51.100.7:1024>;expires=77", 77),
        ("Contact: <sip:alice@198.51.100.7:1024>;expires=77, <sip:b@h>;expires=1\nExpires: 44", 44),
    ] {
        let mut run = Run::new(config());
        run.feed(Input::Start);
        assert_eq!(run.answer("200 OK", headers), [registered(seconds)], "{headers}");
    }
}

#[test]
fn a_2xx_without_a_binding_is_a_failure() {
    let mut run = Run::new(config());
    run.feed(Input::Start);
    let events = run.answer("200 OK", &format!("Contact: <{CONTACT}>;expires=0"));
    assert_eq!(events, [failed(RegistrationFailure::NoBinding, Some(30))]);
    assert_eq!(run.feed(Input::Stop), [UNREGISTERED], "nothing to remove");
}

#[test]
fn a_challenge_is_answered_at_once() {
    let mut run = Run::new(config());
    run.feed(Input::Start);
    let challenge = "WWW-Authenticate: Digest realm=\"example.com\", nonce=\"1\", qop=\"auth\"";
    assert_eq!(run.answer("401 Unauthorized", challenge), []);
    assert!(run.header(HeaderName::Authorization).unwrap().contains("nc=00000001"));
    let proxy = "Proxy-Authenticate: Digest realm=\"proxy\", nonce=\"2\", qop=\"auth\"";
    assert_eq!(run.answer("407 Proxy Authentication Required", proxy), []);
    assert!(run.header(HeaderName::Authorization).unwrap().contains("nc=00000002"));
    assert!(run.header(HeaderName::ProxyAuthorization).unwrap().contains("nc=00000001"));
    assert_eq!(run.answer("200 OK", "Expires: 600"), [registered(600)]);
    // The refresh carries them from the start.
    run.feed(Input::Timer);
    assert!(run.header(HeaderName::Authorization).unwrap().contains("nc=00000003"));
    // And the nonce may run out.
    let stale =
        "WWW-Authenticate: Digest realm=\"example.com\", nonce=\"3\", qop=\"auth\", stale=true";
    assert_eq!(run.answer("401 Unauthorized", stale), []);
    assert_eq!(run.answer("200 OK", "Expires: 600"), [registered(600)]);
}

/// A registrar challenges; what it says of itself in the 200 to the answer.
fn proof_of(run: &mut Run) -> String {
    let key = NonceKey::new(&[7; 32]).unwrap();
    let authority = Authority::server("example.com", key).unwrap();
    let now = Duration::from_secs(1_700_000_000);
    let request = run.out.clone().expect("a REGISTER is out");
    let challenge = {
        let arrival = Arrival { request: &request, source: b"", now };
        let answer = authority.answer(&Refusal::NoCredentials, &arrival, 1);
        answer.fields().map(|(name, value)| format!("{name}: {value}\n")).collect::<String>()
    };
    assert_eq!(run.answer("401 Unauthorized", &challenge), []);
    let request = run.out.clone().expect("a REGISTER is out");
    let arrival = Arrival { request: &request, source: b"", now };
    let Ok(Checked::Claimed(claim)) = authority.check(&arrival) else { panic!("no claim") };
    let proof = claim.verify(&Secret::password("secret")).unwrap();
    let authenticated = proof.settle(Use::First).unwrap();
    authority.info(&authenticated, b"", None).unwrap().to_string()
}

/// The same from one who does not know the secret.
fn forged(info: &str) -> String {
    let (before, rest) = info.split_once("rspauth=\"").unwrap();
    let (digest, after) = rest.split_once('"').unwrap();
    format!("{before}rspauth=\"{}\"{after}", "0".repeat(digest.len()))
}

#[test]
fn a_registrar_must_prove_itself_where_that_is_demanded() {
    let bound = format!("Contact: <{CONTACT}>;expires=600");
    let demanding = || RegistrationConfig { require_proof: true, ..config() };
    let failure = RegistrationFailure::Authentication;
    // A right proof.
    let mut run = Run::new(demanding());
    run.feed(Input::Start);
    let info = proof_of(&mut run);
    let events = run.answer("200 OK", &format!("{bound}\nAuthentication-Info: {info}"));
    assert_eq!(events, [registered(600)]);
    // A wrong one: borne with, unless it is demanded.
    for (config, is_refused) in [(config(), false), (demanding(), true)] {
        let mut run = Run::new(config);
        run.feed(Input::Start);
        let info = forged(&proof_of(&mut run));
        let events = run.answer("200 OK", &format!("{bound}\nAuthentication-Info: {info}"));
        match (is_refused, &events[..]) {
            (false, [event]) => assert_eq!(*event, registered(600)),
            (true, [RegistrationEvent::Failed { reason, retry_in: Some(_) }]) => {
                let realm = "example.com".into();
                assert_eq!(*reason, failure(AuthError::Impostor { realm }));
            }
            _ => panic!("{events:?}"),
        }
    }
    // None at all, after a challenge and without one.
    for challenged in [true, false] {
        let mut run = Run::new(demanding());
        run.feed(Input::Start);
        if challenged {
            proof_of(&mut run);
        }
        let events = run.answer("200 OK", &bound);
        let [RegistrationEvent::Failed { reason, retry_in: Some(_) }] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!(*reason, failure(AuthError::Unproven));
        // The next attempt is made, and ends well.
        run.feed(Input::Timer);
        let info = proof_of(&mut run);
        let events = run.answer("200 OK", &format!("{bound}\nAuthentication-Info: {info}"));
        assert_eq!(events, [registered(600)]);
    }
}

#[test]
fn refused_credentials_are_tried_seldom() {
    let mut run = Run::new(config());
    run.feed(Input::Start);
    let challenge = |n| format!("WWW-Authenticate: Digest realm=\"r\", nonce=\"{n}\"");
    for n in 0..3 {
        run.answer("401 Unauthorized", &challenge(2 * n));
        let events = run.answer("401 Unauthorized", &challenge(2 * n + 1));
        let refused = AuthError::Refused { realm: "r".into() };
        assert_eq!(events, [failed(RegistrationFailure::Authentication(refused), Some(900))]);
        assert_eq!(run.feed(Input::Timer), []);
        assert_eq!(run.header(HeaderName::Authorization), None, "a new beginning");
    }
    run.answer("401 Unauthorized", &challenge(9));
    assert_eq!(run.answer("200 OK", "Expires: 600"), [registered(600)], "the secret was corrected");
}

#[test]
fn without_credentials_it_is_over() {
    let mut run = Run::new(RegistrationConfig { credentials: Vec::new(), ..config() });
    run.feed(Input::Start);
    let events = run.answer("401 No", "WWW-Authenticate: Digest realm=\"r\", nonce=\"1\"");
    let none = AuthError::NoCredentials { realm: "r".into() };
    assert_eq!(events, [failed(RegistrationFailure::Authentication(none), None)]);
    assert!(run.registration.is_over());
    assert_eq!(run.feed(Input::Start), []);
}

/// RFC 3261 §10.2.8.
#[test]
fn a_longer_life_is_asked_for_after_423() {
    let mut run = Run::new(RegistrationConfig { expires: 60, ..config() });
    run.feed(Input::Start);
    assert_eq!(run.asks(), 60);
    assert_eq!(run.answer("423 Interval Too Brief", "Min-Expires: 300"), []);
    assert_eq!(run.asks(), 300);
    assert_eq!(run.answer("200 OK", "Expires: 300"), [registered(300)]);
    run.feed(Input::Timer);
    assert_eq!(run.asks(), 300, "it is remembered");
    // No sense in it: no more than was asked for, or nothing said.
    for headers in ["Min-Expires: 300", "Min-Expires: 5", "", "Min-Expires: x"] {
        let events = run.answer("423 Interval Too Brief", headers);
        assert!(matches!(&events[..], [RegistrationEvent::Failed { retry_in: Some(_), .. }]));
        run.feed(Input::Timer);
    }
    // A registrar that always wants more.
    let mut more = 1000;
    let mut asked = 0;
    while run.answer("423 Interval Too Brief", &format!("Min-Expires: {more}")).is_empty() {
        assert_eq!(run.asks(), more);
        more += 1000;
        asked += 1;
    }
    assert_eq!(asked, MAX_INTERVAL_CHANGES);
}

#[test]
fn a_redirection_is_followed() {
    let mut run = Run::new(config());
    run.feed(Input::Start);
    assert_eq!(run.answer("302 Moved", "Contact: <sip:x@other.example.com:5070>"), []);
    assert_eq!(run.out.as_ref().unwrap().uri_bytes(), b"sip:other.example.com:5070");
    assert_eq!(run.answer("200 OK", "Expires: 600"), [registered(600)]);
    run.feed(Input::Timer);
    assert_eq!(run.out.as_ref().unwrap().uri_bytes(), b"sip:other.example.com:5070");
    assert_eq!(run.feed(Input::Timeout), [failed(RegistrationFailure::TimedOut, Some(30))]);
    run.feed(Input::Timer);
    assert_eq!(run.out.as_ref().unwrap().uri_bytes(), b"sip:example.com", "back to the beginning");

    for contact in ["", "Contact: *", "Contact: <tel:+1>"] {
        assert_eq!(run.answer("302 Moved", contact).len(), 1, "{contact}");
        run.feed(Input::Timer);
    }
    let mut followed = 0;
    while run.answer("302 Moved", "Contact: <sip:other>").is_empty() {
        followed += 1;
    }
    assert_eq!(followed, MAX_REDIRECTS);
}

/// RFC 5626 §4.5: 30 to 60 s after the first failure, then doubled up to 15 to 30 minutes.
#[test]
fn the_back_off() {
    for (percent, waits) in [
        (0, [30, 60, 120, 240, 480, 900, 900, 900]),
        (100, [60, 120, 240, 480, 960, 1800, 1800, 1800]),
    ] {
        let mut run = Run::new(config());
        run.percent = percent;
        run.feed(Input::Start);
        for (round, wait) in waits.into_iter().enumerate() {
            let (events, reason) = match round % 4 {
                0 => (run.feed(Input::Timeout), RegistrationFailure::TimedOut),
                1 => (
                    run.feed(Input::TransportError(Closed)),
                    RegistrationFailure::TransportError(Closed),
                ),
                2 => (run.answer("503 Down", ""), status(503)),
                _ => (run.answer("600 No", ""), status(600)),
            };
            assert_eq!(events, [failed(reason, Some(wait))]);
            assert_eq!(run.timer, Some(Duration::from_secs(wait)));
            assert_eq!(run.feed(Input::Timer), []);
        }
        run.answer("200 OK", "Expires: 600");
        run.feed(Input::Timer);
        let events = run.feed(Input::Timeout);
        assert_eq!(
            events,
            [failed(RegistrationFailure::TimedOut, Some(waits[0]))],
            "from the start"
        );
    }
}

#[test]
fn retry_after_makes_the_wait_longer_within_a_bound() {
    for (seconds, wait) in [(1, 30), (300, 300), (1800, 1800), (4_000_000_000_u32, 1800)] {
        let mut run = Run::new(config());
        run.feed(Input::Start);
        let events = run.answer("503 Down", &format!("Retry-After: {seconds} (soon)"));
        assert_eq!(events, [failed(status(503), Some(wait))]);
    }
}

#[test]
fn who_is_not_wanted_asks_seldom() {
    for code in [403, 404, 410] {
        let mut run = Run::new(config());
        run.feed(Input::Start);
        assert_eq!(run.answer(&format!("{code} No"), ""), [failed(status(code), Some(900))]);
    }
}

/// RFC 3261 §10.2.2.
#[test]
fn is_removed_when_stopped() {
    let mut run = Run::registered();
    assert_eq!(run.feed(Input::Stop), []);
    assert_eq!(run.asks(), 0);
    assert_eq!(run.timer, None);
    assert_eq!(run.answer("200 OK", ""), [UNREGISTERED]);
    assert!(run.registration.is_over());
    for input in [Input::Start, Input::Stop, Input::Timer, Input::Timeout, Input::Refresh] {
        assert_eq!(run.feed(input), []);
    }
}

#[test]
fn the_removal_is_authenticated_too() {
    let mut run = Run::registered();
    run.feed(Input::Stop);
    let challenge = "WWW-Authenticate: Digest realm=\"r\", nonce=\"1\"";
    assert_eq!(run.answer("401 Unauthorized", challenge), []);
    assert_eq!(run.asks(), 0);
    assert!(run.header(HeaderName::Authorization).is_some());
    let refused = run.answer("401 Unauthorized", challenge);
    assert_eq!(refused, [RegistrationEvent::Unregistered { confirmed: false }]);
}

#[test]
fn a_removal_that_fails_is_the_end_too() {
    for n in 0..3 {
        let mut run = Run::registered();
        run.feed(Input::Stop);
        let events = match n {
            0 => run.feed(Input::Timeout),
            1 => run.feed(Input::TransportError(Closed)),
            _ => run.answer("500 No", ""),
        };
        assert_eq!(events, [RegistrationEvent::Unregistered { confirmed: false }]);
        assert!(run.registration.is_over());
    }
}

/// RFC 3261 §10.2: no second REGISTER while one is out.
#[test]
fn a_stop_while_a_register_is_out_waits_for_its_answer() {
    // Bound by that answer: removed again.
    let mut run = Run::new(config());
    run.feed(Input::Start);
    assert_eq!(run.feed(Input::Stop), []);
    assert_eq!(run.asks(), 3600);
    assert_eq!(run.answer("200 OK", "Expires: 600"), []);
    assert_eq!(run.asks(), 0);
    assert_eq!(run.answer("200 OK", ""), [UNREGISTERED]);

    // Refused: nothing to remove.
    for answer in ["403 No", "503 Down", "423 Brief", "302 Moved"] {
        let mut run = Run::new(config());
        run.feed(Input::Start);
        run.feed(Input::Stop);
        let more = "Min-Expires: 9999\nContact: <sip:other>";
        assert_eq!(run.answer(answer, more), [UNREGISTERED], "{answer}");
    }
    // Challenged before it was bound: likewise. Challenged as a refresh: removed with credentials.
    let challenge = "WWW-Authenticate: Digest realm=\"r\", nonce=\"1\"";
    let mut run = Run::new(config());
    run.feed(Input::Start);
    run.feed(Input::Stop);
    assert_eq!(run.answer("401 Unauthorized", challenge), [UNREGISTERED]);
    let mut run = Run::registered();
    run.feed(Input::Timer);
    run.feed(Input::Stop);
    assert_eq!(run.answer("401 Unauthorized", challenge), []);
    assert_eq!(run.asks(), 0);
    assert!(run.header(HeaderName::Authorization).is_some());

    // No answer: neither would the removal get one.
    let mut run = Run::new(config());
    run.feed(Input::Start);
    run.feed(Input::Stop);
    assert_eq!(run.feed(Input::Timeout), [RegistrationEvent::Unregistered { confirmed: false }]);
}

#[test]
fn a_stop_may_be_taken_back_and_a_refresh_asked_for() {
    let mut run = Run::new(config());
    run.feed(Input::Start);
    run.feed(Input::Stop);
    run.feed(Input::Start);
    assert_eq!(run.answer("200 OK", "Expires: 600"), [registered(600)]);

    assert_eq!(run.feed(Input::Refresh), []);
    assert_eq!(run.asks(), 3600);
    assert_eq!(run.feed(Input::Refresh), [], "one is out; another follows");
    assert_eq!(run.answer("200 OK", "Expires: 600"), [registered(600)]);
    assert_eq!(run.asks(), 3600, "the other");
    assert_eq!(run.answer("200 OK", "Expires: 600"), [registered(600)]);
    assert!(run.timer.is_some());
}

#[test]
fn a_stop_while_waiting() {
    let mut run = Run::new(config());
    run.feed(Input::Start);
    run.answer("503 Down", "");
    assert_eq!(run.feed(Input::Stop), [UNREGISTERED]);

    // After a time-out the registrar may hold a binding all the same.
    let mut run = Run::new(config());
    run.feed(Input::Start);
    run.feed(Input::Timeout);
    assert_eq!(run.feed(Input::Stop), []);
    assert_eq!(run.asks(), 0);
}

#[test]
fn a_stop_before_the_start() {
    assert_eq!(Run::new(config()).feed(Input::Stop), [UNREGISTERED]);
}

#[test]
fn provisional_and_late_answers_change_nothing() {
    let mut run = Run::new(config());
    run.feed(Input::Start);
    assert_eq!(run.answer("100 Trying", ""), []);
    run.answer("200 OK", "Expires: 600");
    let armed = run.timer;
    assert_eq!(run.answer("503 Down", ""), []);
    assert_eq!(run.feed(Input::Timeout), []);
    assert_eq!(run.timer, armed);
}

#[test]
fn what_cannot_be_built_is_told() {
    let headers = vec![("Bad Name".into(), "x".into())];
    let mut run = Run::new(RegistrationConfig { headers, ..config() });
    let events = run.feed(Input::Start);
    assert!(
        matches!(
            &events[..],
            [RegistrationEvent::Failed { reason: RegistrationFailure::Build(_), retry_in: None }]
        ),
        "{events:?}"
    );
}

#[test]
fn cseq_numbers_begin_anew_before_2_to_the_31() {
    let mut registration = Registration::new(config());
    registration.cseq = (1 << 31) - 2;
    let mut numbers = Vec::new();
    let mut draw = |range: RangeInclusive<u32>| *range.start();
    for input in [Input::Start, Input::Timeout, Input::Timer] {
        for action in registration.handle(input, &mut draw) {
            if let Action::Send(request) = action {
                numbers.push(request.headers().cseq().unwrap().number);
            }
        }
    }
    assert_eq!(numbers, [(1 << 31) - 1, 1]);
}

proptest::proptest! {
    /// Whatever comes in whatever order: never two REGISTERs at once, never wedged ([`Run::check`]), and a
    /// stop that is not taken back comes to its end.
    #[test]
    fn never_wedges(inputs in proptest::collection::vec((0_u8..16, 0_u64..=100), 0..200)) {
        let mut run = Run::new(config());
        for (number, (input, percent)) in inputs.into_iter().enumerate() {
            run.percent = percent;
            // Answers come to a REGISTER that is out, the timer fires when it is armed.
            let out = run.out.is_some();
            let nonce = format!("WWW-Authenticate: Digest realm=\"r\", nonce=\"{number}\"");
            match input {
                0 | 1 => drop(run.feed(Input::Start)),
                2 => drop(run.feed(Input::Stop)),
                3 => drop(run.feed(Input::Refresh)),
                4 if out => drop(run.feed(Input::Timeout)),
                5 if out => drop(run.feed(Input::TransportError(Closed))),
                6..=8 if out => drop(run.answer("200 OK", "Expires: 60")),
                9 if out => drop(run.answer("401 No", &nonce)),
                10 if out => drop(run.answer("423 Brief", &format!("Min-Expires: {number}00"))),
                11 if out => drop(run.answer("302 Moved", "Contact: <sip:other>")),
                12 if out => drop(run.answer("503 Down", "Retry-After: 9")),
                13 if out => drop(run.answer("200 OK", "Contact: <sip:x@h>;expires=0")),
                _ if run.timer.is_some() => drop(run.feed(Input::Timer)),
                _ => {}
            }
        }
        let mut told = run.registration.is_over();
        let events = run.feed(Input::Stop);
        told |= !events.is_empty();
        for _ in 0..2 {
            if run.out.is_some() {
                told |= !run.feed(Input::Timeout).is_empty();
            }
        }
        proptest::prop_assert!(told && run.registration.is_over());
    }
}

/// A registration that is one of the flows of an instance.
fn flow_of_instance() -> Run {
    let outbound = Outbound { instance: "urn:uuid:0-1".into(), reg_id: 2 };
    Run::new(RegistrationConfig { outbound: Some(outbound), ..config() })
}

#[test]
fn a_flow_of_an_instance_looks_for_its_own_binding() {
    let mut run = flow_of_instance();
    run.feed(Input::Start);
    assert_eq!(
        run.header(HeaderName::Contact).unwrap(),
        format!("<{CONTACT}>;expires=3600;+sip.instance=\"<urn:uuid:0-1>\";reg-id=2")
    );
    // The other flow has the same address.
    let both = format!(
        "Contact: <{CONTACT}>;reg-id=1;+sip.instance=\"<urn:uuid:0-1>\";expires=60
         Contact: <{CONTACT}>;reg-id=2;+sip.instance=\"<urn:uuid:0-1>\";expires=600"
    );
    assert_eq!(run.answer("200 OK", &both), [registered(600)]);
}

#[test]
fn a_flow_that_worked_is_replaced_at_once_and_one_that_never_did_after_a_wait() {
    let lost = || RegistrationFailure::FlowFailed;
    let mut run = Run::registered();
    run.registration.flow_proven();
    assert_eq!(run.feed(Input::FlowFailed { proven: true }), [failed(lost(), Some(0))]);
    assert_eq!(run.asks(), 3600);
    assert_eq!(run.feed(Input::FlowFailed { proven: true }), [], "one REGISTER is out");
    assert_eq!(run.answer("200 OK", "Expires: 600"), [registered(600)]);

    // RFC 5626 §4.5: "W = min (max-time, (base-time * (2 ^ consecutive-failures)))"
    // A registrar that takes the REGISTER and answers no keep-alive counts as failing each time.
    for wait in [30, 60, 120, 240, 480, 900, 900] {
        assert_eq!(run.feed(Input::FlowFailed { proven: false }), [failed(lost(), Some(wait))]);
        assert_eq!(run.feed(Input::FlowFailed { proven: false }), []);
        assert_eq!(run.feed(Input::Timer), []);
        assert_eq!(run.answer("200 OK", "Expires: 600"), [registered(600)]);
    }
    run.registration.flow_proven();
    assert_eq!(run.feed(Input::FlowFailed { proven: false }), [failed(lost(), Some(30))]);
}

/// RFC 5626 §4.5: "otherwise, in the case where at least one of the flows has not
/// failed, the base-time is set to a higher value (with a default of 90
/// seconds)."
#[test]
fn the_wait_is_longer_while_another_flow_is_alive() {
    let mut run = Run::new(config());
    run.registration.set_base_wait(BASE_WAIT_BESIDE_OTHERS);
    run.feed(Input::Start);
    for wait in [90, 180, 360, 720, 900] {
        let reason = RegistrationFailure::TimedOut;
        assert_eq!(run.feed(Input::Timeout), [failed(reason, Some(wait))]);
        run.feed(Input::Timer);
    }
    run.percent = 100;
    let reason = RegistrationFailure::TimedOut;
    assert_eq!(run.feed(Input::Timeout), [failed(reason, Some(1800))]);
}

#[test]
fn a_first_hop_without_outbound_is_registered_with_without() {
    let mut run = flow_of_instance();
    run.feed(Input::Start);
    assert_eq!(run.answer("439 First Hop Lacks Outbound Support", ""), []);
    let contact = run.header(HeaderName::Contact).unwrap();
    assert!(contact.contains("+sip.instance") && !contact.contains("reg-id"), "{contact}");
    // It was not that, then.
    let refused = run.answer("439 First Hop Lacks Outbound Support", "");
    assert_eq!(refused, [failed(status(439), Some(30))]);

    let mut run = Run::new(config());
    run.feed(Input::Start);
    let refused = run.answer("439 First Hop Lacks Outbound Support", "");
    assert_eq!(refused, [failed(status(439), Some(30))], "nobody asked for it");
}

#[test]
fn what_the_registrar_says_of_the_flow() {
    let terms = |more| FlowTerms::of(&response("200 OK", more));
    let seconds = |s| Some(Duration::from_secs(s));
    assert_eq!(terms(""), FlowTerms::default());
    assert_eq!(
        terms("Require: path, Outbound\nFlow-Timer: 120"),
        FlowTerms { outbound: true, keep: false, timer: seconds(120) }
    );
    assert_eq!(terms("Supported: outbound\nFlow-Timer: x"), FlowTerms::default());
    // RFC 6223: a value of `keep` in the Via that was ours agrees to keep-alives, and says how often.
    let keep = |via: &str, more: &str| {
        let text = response("200 OK", more).to_bytes();
        let text = String::from_utf8(text.to_vec()).unwrap();
        let Some((status, rest)) = text.split_once("\r\n") else { panic!("{text}") };
        let text = format!("{status}\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1{via}\r\n{rest}");
        let message = Message::parse(text.into(), &Limits::default()).unwrap();
        FlowTerms::of(&message.into_response().unwrap())
    };
    let agreed = |timer| FlowTerms { outbound: false, keep: true, timer };
    assert_eq!(keep(";keep", ""), FlowTerms::default(), "our own offer");
    assert_eq!(keep(";keep=x", ""), FlowTerms::default());
    assert_eq!(keep(";keep=30", ""), agreed(seconds(30)));
    assert_eq!(keep(";keep=0", ""), agreed(None), "at our discretion");
    assert_eq!(keep(";keep=30", "Flow-Timer: 20"), agreed(seconds(20)));
}

/// With outbound one instance and flow are one binding, whatever its address: to remove the one before would
/// remove the new one.
#[test]
fn another_address_replaces_the_one_before_and_with_outbound_is_the_same_binding() {
    let moved: Uri<'static> = "sip:alice@198.51.100.7:5060".parse().unwrap();
    for (mut run, removes) in [(Run::new(config()), true), (flow_of_instance(), false)] {
        run.feed(Input::Start);
        run.answer("200 OK", "");
        run.registration.relocate(moved.clone());
        run.feed(Input::Refresh);
        let values = |run: &Run| -> Vec<String> {
            let values = run.out.as_ref().unwrap().headers().raw_all(HeaderName::Contact);
            values.map(|value| String::from_utf8(value.to_vec()).unwrap()).collect()
        };
        let contacts = values(&run);
        assert!(contacts[0].starts_with(&format!("<{moved}>;expires=3600")), "{contacts:?}");
        assert_eq!(contacts.len(), 1 + usize::from(removes), "{contacts:?}");
        if removes {
            assert_eq!(contacts[1], format!("<{CONTACT}>;expires=0"));
        }
        // Once that is answered the one before is forgotten.
        run.answer("200 OK", "");
        run.feed(Input::Refresh);
        assert_eq!(values(&run).len(), 1);
    }
}

/// Nothing that was sent over a network that is gone is waited for once it is known to be lost.
#[test]
fn a_register_that_was_lost_with_its_network_is_followed_by_another_at_once() {
    for lost in [Input::Timeout, Input::TransportError(Closed)] {
        let mut run = Run::new(config());
        run.feed(Input::Start);
        assert_eq!(run.feed(Input::Refresh), [], "one is out");
        assert_eq!(run.feed(lost), [], "no failure is told, and the next is out");
        assert!(run.out.is_some());
        let registered = run.answer("200 OK", "");
        assert_eq!(
            registered,
            [RegistrationEvent::Registered { expires: Duration::from_secs(3600) }]
        );
    }
}
