//! What is printed, with and without a terminal.

#[path = "../../sip-message/tests/torture/vectors/mod.rs"]
mod vectors;

use super::report::Report;

fn report(carets: bool, read: impl FnOnce(&mut Report<Vec<u8>>) -> std::io::Result<()>) -> String {
    let mut report = Report { carets, out: Vec::new() };
    read(&mut report).unwrap();
    String::from_utf8(report.out).unwrap()
}

/// The line at fault and the line of the caret, without their indent.
fn carets(message: &str) -> (String, String) {
    let printed = report(true, |report| report.message(&"m", message.as_bytes()));
    let lines: Vec<&str> = printed.lines().collect();
    let [verdict, line, caret] = lines[..] else { panic!("{printed}") };
    assert!(verdict.starts_with("m\treject\t"), "{verdict}");
    (line[4..].to_owned(), caret[4..].to_owned())
}

fn message(field: &str) -> String {
    format!(
        "OPTIONS sip:a@example.com SIP/2.0\r\n{field}\r\nFrom: <sip:b@example.com>;tag=1\r\n\
         Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\nbody"
    )
}

#[test]
fn each_torture_message_has_its_verdict() {
    for vector in vectors::RFC_4475.iter().chain(vectors::RFC_5118) {
        let name = vector.name;
        let printed = report(false, |report| report.message(&name, vector.bytes));
        assert_eq!(printed, format!("{name}\t{}\n", vector.verdict), "{}", vector.section);
    }
}

#[test]
fn a_caret_stands_under_the_place() {
    let (line, caret) = carets(&message("To: <sip:c@example.com"));
    assert_eq!((&line[..], &caret[..]), ("To: <sip:c@example.com", "    ^"));
    // In the line of a fold, behind a tab, which is one column wide here.
    let (line, caret) = carets(&message("To: \"C\"\r\n\t<sip:c@example.com>\r\n ;\ttag==1;;"));
    assert_eq!((&line[..], &caret[..]), (" ;·tag==1;;", "          ^"));
    // Behind letters of two bytes, and letters that are two columns wide, which are shown as dots.
    let (line, caret) = carets(&message("To: \"Zoë 大停\" <sip:c@>"));
    assert_eq!((&line[..], &caret[..]), ("To: \"Zoë ··\" <sip:c@>", "                    ^"));
    // A byte of no text, and half a letter.
    let broken = message("To: \"?\" <sip:c@>").replace('?', "é");
    let broken: Vec<u8> = broken.bytes().filter(|&byte| byte != 0xa9).collect();
    let printed = report(true, |report| report.message(&"m", &broken));
    assert!(printed.ends_with("\n    To: \"·\" <sip:c@>\n                   ^\n"), "{printed}");
    // The start line.
    let text = message("To: <sip:c@example.com>").replace("SIP/2.0\r\nTo", "SIP/2.0  \r\nTo");
    let (line, caret) = carets(&text);
    assert_eq!(line, "OPTIONS sip:a@example.com SIP/2.0  ");
    assert_eq!(caret.len() - 1, "OPTIONS sip:a@example.com SIP/2.0".len());
    // Line ends before the message change nothing.
    assert_eq!(carets(&format!("\r\n\r\n{text}")), (line, caret));
}

#[test]
fn a_long_line_is_cut_around_the_place() {
    let long = "x".repeat(100);
    let (line, caret) = carets(&message(&format!("To: \"{long}\" <sip:c@>;{long}")));
    assert_eq!(caret.chars().count(), 52);
    assert_eq!(line.chars().count(), 1 + 50 + 40 + 1);
    assert!(line.starts_with('…') && line.ends_with('…'));
    assert_eq!(line.chars().nth(51), Some('>'));
}

#[test]
fn what_is_missing_or_cut_off_has_no_caret() {
    for text in [message("X: y"), message("To: <sip:c@example.com>").replace("\r\n\r\nbody", "")] {
        let printed = report(true, |report| report.message(&"m", text.as_bytes()));
        assert_eq!(printed.lines().count(), 1, "{printed}");
    }
}

#[test]
fn without_a_terminal_there_is_a_line_a_message() {
    let text = message("To: <sip:c@example.com");
    let printed = report(false, |report| report.message(&"m", text.as_bytes()));
    assert_eq!(
        printed,
        "m\treject\t400\t400 Bad Request: To at byte 39: angle brackets are missing or do not close (RFC 3261 §20.39)\n"
    );
    let printed = report(false, |report| report.message(&"m", b"\r\n"));
    assert_eq!(
        printed,
        "m\treject\tdiscard\tnot SIP at byte 2: no message, only line ends (RFC 3261 §7)\n"
    );
}

#[test]
fn a_stream_is_read_to_its_end_or_to_where_it_cannot_be_framed() {
    let good = message("To: <sip:c@example.com>\r\nContent-Length: 4");
    let stream = format!("\r\n{good}\r\n\r\n{}{good}", good.replace("c@example.com", "c@"));
    let read = |stream: &str| report(true, |report| report.stream(&"s", stream.as_bytes()));
    let printed = read(&stream);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!((lines[0], lines[4]), ("s\tok\trequest OPTIONS", "s\tok\trequest OPTIONS"));
    assert_eq!(
        lines[1],
        "s\treject\t400\t400 Bad Request: To at byte 46: URI: not a host (RFC 3261 §20.39)"
    );
    assert_eq!((lines[2], lines.len()), ("    To: <sip:c@>", 5));
    // A request that cannot be framed is owed an answer, a response is not.
    let unframed = good.replace("Length: 4", "Length: -4");
    let printed = read(&format!("{good}{unframed}{good}"));
    assert_eq!(printed.lines().count(), 4);
    assert!(printed.contains("\ns\treject\t400\t400 Bad Request: Content-Length at byte 60: "));
    let response = unframed.replace("OPTIONS sip:a@example.com SIP/2.0", "SIP/2.0 200 OK");
    assert!(read(&response).starts_with("s\treject\tdiscard\t400 Bad Request: Content-Length"));
    assert_eq!(
        read(&good[..20]),
        "s\treject\tdiscard\tthe stream ends inside a message, 20 bytes into it\n"
    );
}
