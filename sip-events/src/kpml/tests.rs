use super::*;

const SHORT: Duration = Duration::from_millis(100);

fn request(pattern: &str, inner: &str) -> KpmlRequest {
    let body = format!(
        "<kpml-request xmlns='{REQUEST}' version='1.0'><pattern {pattern}>{inner}</pattern>\
         </kpml-request>"
    );
    KpmlRequest::parse(body.as_bytes()).unwrap()
}

/// A matcher and its clock, in milliseconds.
struct Script {
    matcher: KpmlMatcher,
    now: u64,
}

impl Script {
    fn new(pattern: &str, inner: &str) -> Script {
        let mut script = Script { matcher: KpmlMatcher::new(), now: 0 };
        script.load(pattern, inner, &[]);
        script
    }

    #[track_caller]
    fn load(&mut self, pattern: &str, inner: &str, expected: &[&str]) {
        let request = request(pattern, inner);
        let reports = self.matcher.load(Duration::from_millis(self.now), request).unwrap();
        assert_eq!(words(&reports), expected);
    }

    /// Presses these keys, a tenth of a second apart; what each is reported of is told together.
    #[track_caller]
    fn press(&mut self, keys: &str, expected: &[&str]) {
        self.hold(keys, SHORT, expected);
    }

    #[track_caller]
    fn hold(&mut self, keys: &str, held: Duration, expected: &[&str]) {
        let mut reports = Vec::new();
        for key in keys.chars() {
            self.now += 100;
            let due = self.matcher.deadline().is_some_and(|due| due.as_millis() <= self.now.into());
            assert!(!due, "a timer is due");
            let now = Duration::from_millis(self.now);
            reports.extend(self.matcher.press(now, KeyPress::new(key, held).unwrap()));
        }
        assert_eq!(words(&reports), expected);
    }

    /// The timer is due after so many milliseconds.
    #[track_caller]
    fn timer(&mut self, after: u64, expected: &[&str]) {
        self.now += after;
        let now = Duration::from_millis(self.now);
        assert_eq!(self.matcher.deadline(), Some(now));
        assert!(self.matcher.timer(now - Duration::from_millis(1)).is_empty(), "not yet");
        let reports = self.matcher.timer(now);
        assert_eq!(words(&reports), expected);
    }
}

fn words(reports: &[KpmlResponse]) -> Vec<String> {
    let line = |report: &KpmlResponse| {
        let tag = report.tag.as_ref().map_or(String::new(), |tag| format!(" {tag}"));
        let suppressed = if report.suppressed { " suppressed" } else { "" };
        let lost = if report.forced_flush { " lost" } else { "" };
        format!("{} {}{tag}{suppressed}{lost}", report.code, report.digits)
    };
    reports.iter().map(line).collect()
}

// RFC 4730 §9.2, figures 17 and 18
const DIAL_PLAN: &str = "
       <regex tag='local-operator'>0</regex>
       <regex tag='ld-operator'>00</regex>
       <regex tag='vpn'>7[x][x][x]</regex>
       <regex tag='local-number7'>9xxxxxxx</regex>
       <regex tag='RI-number'>9401xxxxxxx</regex>
       <regex tag='local-number10'>9xxxxxxxxxx</regex>
       <regex tag='ddd'>91xxxxxxxxxx</regex>
       <regex tag='iddd'>011x.</regex>";

#[test]
fn the_rfcs_dial_plan() {
    let plan = || Script::new("", DIAL_PLAN);
    // The first in document order of two that match as much.
    let mut script = plan();
    script.press("94015551212", &["200 94015551212 RI-number"]);
    // RFC 4730 §4.8: it was asked for once.
    assert!(script.matcher.is_over());
    script.press("1", &[]);
    // RFC 4730 §3.2: seven digits may be ten: after a second they are seven.
    let mut script = plan();
    script.press("95551212", &[]);
    script.timer(1000, &["200 95551212 local-number7"]);
    let mut script = plan();
    script.press("0", &[]);
    script.timer(1000, &["200 0 local-operator"]);
    let mut script = plan();
    script.press("00", &["200 00 ld-operator"]);
    // One expression alone could match more: half a second.
    let mut script = plan();
    script.press("0114930", &[]);
    script.timer(500, &["200 0114930 iddd"]);
    // Nothing matches yet: four seconds, and then what there is.
    let mut script = plan();
    script.press("712", &[]);
    script.timer(4000, &["423 712"]);
    // The longest match was shorter than what came: the operator, and a 1 after it.
    let mut script = plan();
    script.press("01", &[]);
    script.timer(4000, &["200 0 local-operator"]);
}

// RFC 4730 §3.3
#[test]
fn an_enter_key_ends_it() {
    let two = "<regex>x{7}</regex><regex>x{10}</regex>";
    let mut script = Script::new("enterkey='#'", two);
    script.press("5551212#", &["200 5551212"]);
    let mut script = Script::new("enterkey='#'", two);
    script.press("555#", &["402 555"]);
    // The last digit waits for the enter key, so that this is not left over.
    let mut script = Script::new("enterkey='#'", two);
    script.press("5551212123", &[]);
    script.timer(500, &["200 5551212123"]);
    let mut script = Script::new("enterkey='#' persist='persist'", two);
    script.press("5551212123#5551212#", &["200 5551212123", "200 5551212"]);
    // One of several keys, the first of which is no part of any number.
    let mut script = Script::new("enterkey='**'", two);
    script.press("5551212*", &[]);
    script.press("*", &["200 5551212"]);
    let mut script = Script::new("enterkey='**'", two);
    script.press("5551212*", &[]);
    script.press("1", &["200 5551212"]);
}

// RFC 4730 §3.3, figure 6, and §9.1
#[test]
fn long_and_short() {
    let inner = "<regex tag='short'>*</regex><regex tag='long'>L*</regex><regex>#</regex>";
    let long = Duration::from_millis(2500);
    let three = || Script::new("persist='persist'", inner);
    three().press("*", &["200 * short"]);
    three().hold("*", long, &["200 * long"]);
    three().press("#", &["200 #"]);
    // RFC 4730 §3.3: "However, if there is
    // not a corresponding long key press pattern in a document, the User
    // Interface MUST match the key press pattern irrespective of the length
    // of time the user presses the key."
    three().hold("#", long, &["200 #"]);
    let mut script = Script::new("long='3000'", "<regex>L#</regex>");
    script.hold("#", long, &[]);
    script.hold("#", Duration::from_millis(3000), &["200 #"]);
}

// RFC 4730 §3.4
#[test]
fn what_the_peer_does_not_hear() {
    let mut script = Script::new("persist='persist'", "<regex><pre>*8</pre>xxx[2-9]xx</regex>");
    script.press("*", &[]);
    assert!(!script.matcher.suppresses());
    script.press("8", &[]);
    assert!(script.matcher.suppresses());
    script.press("408", &[]);
    assert!(script.matcher.suppresses());
    // It cannot match any more.
    script.press("1", &[]);
    assert!(!script.matcher.suppresses());
    script.press("*84089", &[]);
    script.press("12", &["200 *8408912 suppressed"]);
    assert!(!script.matcher.suppresses());
    // The time runs out on what was held back.
    script.press("*84", &[]);
    script.timer(4000, &["423 *84 suppressed"]);
    assert!(!script.matcher.suppresses());
    // What was pressed before is too late to suppress.
    let mut script = Script { matcher: KpmlMatcher::new(), now: 0 };
    script.press("*8408912", &[]);
    script.load("", "<regex><pre>*8</pre>xxx[2-9]xx</regex>", &["200 *8408912"]);
}

// RFC 4730 §3.5
#[test]
fn keys_are_kept_for_the_next_request() {
    let mut script = Script::new("persist='single-notify'", "<regex>xx</regex>");
    script.press("1234", &["200 12"]);
    assert!(!script.matcher.is_over());
    script.load("persist='single-notify'", "<regex>xx</regex>", &["200 34"]);
    script.press("567", &[]);
    script.load("persist='single-notify'", "<flush>yes</flush><regex>xx</regex>", &[]);
    script.press("89", &["200 89"]);
    script.load("", "<flush>maybe</flush><regex>x</regex>", &[]);
    script.press("0", &["200 0"]);
    assert!(script.matcher.is_over());
    // Those for which there is no room are lost, which the next report says.
    let mut script = Script { matcher: KpmlMatcher::new(), now: 0 };
    script.press(&"1".repeat(65), &[]);
    script.load(
        "persist='persist'",
        "<regex>1{63}</regex>",
        &[&format!("200 {} lost", "1".repeat(63))],
    );
    script.press(&"1".repeat(62), &[&format!("200 {}", "1".repeat(63))]);
    // A key that nothing begins with throws away what came before it.
    let mut script = Script::new("persist='persist'", "<regex>12#</regex>");
    script.press("12312#", &["200 12#"]);
}

#[test]
fn complete_matches_alone() {
    let mut script = Script::new("persist='persist' nopartial='true'", "<regex>*12</regex>");
    script.press("**1*12", &["200 *12"]);
    script.press("*1", &[]);
    script.timer(4000, &[]);
    script.press("2*12", &["200 *12"]);
}

// RFC 4730 §4.7
#[test]
fn the_last_report() {
    let mut script = Script::new("", "<regex>xxxx</regex>");
    script.press("12", &[]);
    assert_eq!(words(&[script.matcher.expired()]), ["487 12"]);
    assert!(script.matcher.is_over() && script.matcher.deadline().is_none());
    assert_eq!(words(&[script.matcher.expired()]), ["487 "]);
    // A request without a body takes the one that runs away.
    let mut script = Script::new("", "<regex>xxxx</regex>");
    script.press("12", &[]);
    script.matcher.unload();
    script.press("34", &[]);
    script.load("", "<regex>1234</regex>", &["200 1234"]);
}

// RFC 4730 §3.6.2: its tables.
#[test]
fn expressions() {
    for (expression, fine, not) in [
        ("1", "1", "2 11 *"),
        ("[179]", "1 7 9", "0 8"),
        ("[2-9]", "2 5 9", "1 0 *"),
        ("[^15]", "0 2 3 4 6 7 8 9", "1 5 * # A R"),
        ("[02-46-9A-D]", "0 2 3 4 6 9 A D d", "1 5 R"),
        ("x", "0 9", "* # A R"),
        ("*6[179#]", "*61 *67 *69 *6#", "*6 *62 61"),
        ("x{10}", "0123456789", "012345678 01234567890"),
        ("011x{7,15}", "0111234567 011123456789012345", "011123456 0111234567890123456"),
        ("1x.", "1 12 123", "2 1*"),
        ("1{,2}2", "2 12 112", "1112 11"),
        ("1{2,}", "11 111 1111", "1"),
        (" [ x * ] \n {2} ", "12 *1 **", "1 #1"),
        ("[^0-9]", "", "0 9 *"),
        ("R", "r R", "1"),
    ] {
        let regex: DRegex = expression.parse().unwrap();
        let again: DRegex = regex.to_string().parse().unwrap();
        for (keys, is) in [(fine, true), (not, false)] {
            for keys in keys.split_whitespace() {
                assert_eq!(regex.matches(keys), is, "{expression} {keys}");
                assert_eq!(again.matches(keys), is, "{again} {keys}");
            }
        }
    }
    for bad in [
        "", "L", "[", "[]", "[^]", "[1", "1{", "1{}", "1{a}", "1{2,1}", "1{,}", "E", "|", "(1)",
        "[9-1]", "[5-B]", "[A-1]", "{2}", ".", "Lx", "L[12]", "1}", "[1-]", "1{-1}",
    ] {
        assert!(DRegex::parse(bad).is_err(), "{bad}");
    }
    for large in ["1{128}", "1{99999999999}", "x{100}x{28}", &"1".repeat(128)] {
        assert_eq!(DRegex::parse(large), Err(BodyError::TooMany("repetitions")), "{large}");
    }
}

#[test]
fn requests_are_read_and_written() {
    // RFC 4730 §10.1, message 4
    let body = r#"<?xml version="1.0" encoding="UTF-8"?>
   <kpml-request xmlns="urn:ietf:params:xml:ns:kpml-request"
       xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
       xsi:schemaLocation=
         "urn:ietf:params:xml:ns:kpml-request kpml-request.xsd"
       version="1.0">
     <pattern persist="one-shot">
       <regex>xxxx</regex>
     </pattern>
   </kpml-request>"#;
    assert_eq!(
        KpmlRequest::parse(body.as_bytes()),
        KpmlRequest::one("x{1}xxx").map(|mut it| {
            it.expressions = KpmlRequest::one("xxxx").unwrap().expressions;
            it
        })
    );
    let all = request(
        "persist='single-notify' interdigittimer='1' criticaldigittimer='2' extradigittimer='3' \
         long='4' longrepeat='1' nopartial='true' enterkey='*#'",
        "<flush>yes</flush><regex tag='a'><pre>*8</pre>x{3}</regex><regex>L#.</regex>",
    );
    let timers = [all.inter_digit, all.critical_digit, all.extra_digit, all.long];
    assert_eq!(timers.map(|timer| timer.as_millis()), [1, 2, 3, 4]);
    assert!(all.long_repeat && all.no_partial && all.flush && !all.reverse);
    assert_eq!(KpmlRequest::parse(all.render().as_bytes()), Ok(all.clone()));
    let reverse = KpmlRequest { reverse: true, ..all };
    assert_eq!(KpmlRequest::parse(reverse.render().as_bytes()), Ok(reverse));
    let wrap = |inner: &str| {
        format!("<kpml-request xmlns='{REQUEST}' version='1.0'>{inner}</kpml-request>")
    };
    let many = "<regex>1</regex>".repeat(65);
    let wide = "<regex>x{127}</regex>".repeat(9);
    for (body, error) in [
        (wrap(""), BodyError::Missing("pattern")),
        (wrap("<pattern/>"), BodyError::Missing("regex")),
        (wrap("<pattern><regex>|</regex></pattern>"), BodyError::Invalid("regex")),
        (
            wrap("<pattern><regex><pre>1</pre><pre>2</pre>3</regex></pattern>"),
            BodyError::Invalid("pre"),
        ),
        (wrap("<pattern long='-1'><regex>1</regex></pattern>"), BodyError::Invalid("long")),
        (
            wrap("<pattern nopartial='yes'><regex>1</regex></pattern>"),
            BodyError::Invalid("nopartial"),
        ),
        (wrap("<pattern enterkey='E'><regex>1</regex></pattern>"), BodyError::Invalid("enterkey")),
        (wrap(&format!("<pattern>{many}</pattern>")), BodyError::TooMany("expressions")),
        (wrap(&format!("<pattern>{wide}</pattern>")), BodyError::TooMany("repetitions")),
        (format!("<kpml-request xmlns='{REQUEST}'/>"), BodyError::Missing("version")),
    ] {
        assert_eq!(KpmlRequest::parse(body.as_bytes()), Err(error), "{body}");
    }
}

#[test]
fn responses_are_read_and_written() {
    let body = format!(
        "<kpml-response xmlns='{RESPONSE}' version='1.0' code='200' text='OK' digits='*#' \
         tag='RI-number' suppressed='true' forced_flush='3'/>"
    );
    let response = KpmlResponse::parse(body.as_bytes()).unwrap();
    assert_eq!((response.code, response.digits.as_str()), (200, "*#"));
    assert!(response.suppressed && response.forced_flush);
    assert_eq!(KpmlResponse::parse(response.render().as_bytes()), Ok(response));
    // RFC 4730 §6
    for code in [402, 423, 481, 487, 501, 502, 531, 532, 533, 534] {
        let response = KpmlResponse::of(code);
        assert!(!response.text.is_empty());
        assert_eq!(KpmlResponse::parse(response.render().as_bytes()), Ok(response));
    }
    for (attributes, error) in [
        ("code='200' text='OK'", BodyError::Missing("version")),
        ("version='1.0' text='OK'", BodyError::Missing("code")),
        ("version='1.0' code='200'", BodyError::Missing("text")),
        ("version='1.0' code='x' text=''", BodyError::Invalid("code")),
        ("version='1.0' code='200' text='' suppressed='2'", BodyError::Invalid("suppressed")),
    ] {
        let body = format!("<kpml-response xmlns='{RESPONSE}' {attributes}/>");
        assert_eq!(KpmlResponse::parse(body.as_bytes()), Err(error), "{body}");
    }
}

proptest::proptest! {
    /// Against a search that tries every way to read the keys.
    #[test]
    fn an_expression_matches_what_it_says(
        parts in proptest::collection::vec(("[0-3x*]", 0..3_u8, 0..3_u8), 1..5),
        keys in "[0-3*]{0,8}",
    ) {
        fn search(parts: &[(String, u8, u8)], keys: &[char]) -> bool {
            let [(symbol, least, more), rest @ ..] = parts else { return keys.is_empty() };
            (*least..=least + more).any(|count| {
                let count = usize::from(count);
                keys.len() >= count
                    && keys[..count].iter().all(|key| {
                        if symbol == "x" { key.is_ascii_digit() } else { symbol.starts_with(*key) }
                    })
                    && search(rest, &keys[count..])
            })
        }
        let text: String = parts.iter()
            .map(|(symbol, least, more)| format!("{symbol}{{{least},{}}}", least + more)).collect();
        let regex = DRegex::parse(&text).unwrap();
        let list: Vec<char> = keys.chars().collect();
        proptest::prop_assert_eq!(regex.matches(&keys), search(&parts, &list), "{} {}", text, keys);
    }

    /// Whatever is pressed and asked for: no more is kept than may be, and reports end what they end.
    #[test]
    fn whatever_is_pressed(
        patterns in proptest::collection::vec("[0-9xL#*]{1,4}[.]?", 1..4),
        pattern in "(persist='(persist|single-notify)' )?(nopartial='true' )?(enterkey='#')?",
        keys in "[0-9#*A-D]{0,100}",
    ) {
        let inner: String = patterns.iter().map(|it| format!("<regex>{it}</regex>")).collect();
        let body = format!("<kpml-request xmlns='{REQUEST}' version='1.0'><pattern {pattern}>{inner}</pattern></kpml-request>");
        let Ok(request) = KpmlRequest::parse(body.as_bytes()) else { return Ok(()) };
        let mut matcher = KpmlMatcher::new();
        matcher.load(Duration::ZERO, request.clone()).unwrap();
        let mut now = Duration::ZERO;
        for key in keys.chars() {
            now += SHORT;
            let mut reports = matcher.press(now, KeyPress::new(key, SHORT).unwrap());
            if key == 'A' && let Some(due) = matcher.deadline() {
                now = due;
                reports.extend(matcher.timer(now));
            }
            for report in reports {
                proptest::prop_assert!(matches!(report.code, 200 | 402 | 423), "{report:?}");
                proptest::prop_assert!(report.digits.len() <= 64);
                if report.code == 200 {
                    let matched = request.expressions.iter().any(|it| {
                        let digits = report.digits.as_str();
                        it.keys.long_keys() != 0 || it.keys.matches(digits)
                    });
                    proptest::prop_assert!(matched, "{report:?}");
                }
                proptest::prop_assert_eq!(matcher.is_over(), request.persist == Persist::OneShot);
            }
        }
    }
}
