//! `message/cpim` (RFC 3862): an instant message with header fields of its own, which gateways leave as they are.

use std::borrow::Cow;
use std::fmt::Write;

use crate::BodyError;

/// How many header fields a message may have, those of its content included.
const MAX_HEADERS: usize = 256;

/// A message.
///
/// ```
/// use sip_events::Cpim;
///
/// let message = Cpim::new("text/plain; charset=utf-8", "Hello")
///     .header("From", "<im:piglet@100akerwood.com>")
///     .header("To", "Pooh Bear <im:pooh@100akerwood.com>");
/// let again = Cpim::parse(&message.render()?)?;
/// assert_eq!(again.first("To"), Some("Pooh Bear <im:pooh@100akerwood.com>"));
/// assert_eq!(again.content, b"Hello");
/// # Ok::<(), sip_events::BodyError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpim {
    /// The header fields of the message, in their order.
    pub headers: Vec<CpimHeader>,
    /// Those of the content: names and values, `Content-Type` at least.
    pub content_headers: Vec<(String, String)>,
    /// The content.
    pub content: Vec<u8>,
}

/// A header field of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpimHeader {
    /// Its name, with the prefix of its namespace, if it has one. Case matters.
    pub name: String,
    /// Its parameters, `lang` say: names and values.
    pub parameters: Vec<(String, String)>,
    /// Its value, without escapes.
    pub value: String,
}

impl Cpim {
    /// The type of the body.
    pub const CONTENT_TYPE: &'static str = "message/cpim";

    /// A message of this content, without header fields.
    pub fn new(content_type: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self {
            headers: Vec::new(),
            content_headers: vec![("Content-Type".into(), content_type.into())],
            content: content.into(),
        }
    }

    /// With one more header field.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let header = CpimHeader { name: name.into(), parameters: Vec::new(), value: value.into() };
        self.headers.push(header);
        self
    }

    /// The value of the first header field of this name.
    pub fn first(&self, name: &str) -> Option<&str> {
        // RFC 3862 §2.2: "Header names MUST match exactly (i.e., "From:" and "from:" are
        // different headers)."
        self.headers.iter().find(|it| it.name == name).map(|it| it.value.as_str())
    }

    /// The values of all header fields of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |it| it.name == name).map(|it| it.value.as_str())
    }

    /// The type of the content.
    pub fn content_type(&self) -> Option<&str> {
        let is_type = |(name, _): &&(String, String)| name.eq_ignore_ascii_case("Content-Type");
        self.content_headers.iter().find(is_type).map(|(_, value)| value.as_str())
    }

    /// The names that the sender requires to be understood and that are not among `known`.
    pub fn not_understood<'a>(&'a self, known: &'a [&str]) -> impl Iterator<Item = &'a str> {
        // RFC 3862 §3.5: "Multiple required header names may be listed in a single 'Require'
        // header, separated by commas."
        let names = self.all("Require").flat_map(|value| value.split(',')).map(str::trim);
        names.filter(move |name| !name.is_empty() && !known.contains(name))
    }

    /// Reads a body. Lines may end in a line feed alone, and what follows the colon may be more or less than one space:
    /// what was sent so is read all the same.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let (head, rest) = take_head(body)?;
        let mut headers = Vec::new();
        for line in lines(head) {
            if headers.len() >= MAX_HEADERS {
                return Err(BodyError::TooMany("header fields"));
            }
            headers.push(CpimHeader::parse(line)?);
        }
        let (head, content) = take_head(rest)?;
        let mut content_headers: Vec<(String, String)> = Vec::new();
        for line in lines(head) {
            if content_headers.len() >= MAX_HEADERS {
                return Err(BodyError::TooMany("header fields"));
            }
            // These are MIME's own, and may be folded.
            if let (true, Some((_, value))) =
                (line.starts_with([' ', '\t']), content_headers.last_mut())
            {
                let more = line.trim();
                // A value neither begins nor ends with the space of a fold.
                if !value.is_empty() && !more.is_empty() {
                    value.push(' ');
                }
                value.push_str(more);
                continue;
            }
            let (name, value) = line.split_once(':').ok_or(BodyError::Invalid("content header"))?;
            content_headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        let message = Self { headers, content_headers, content: content.to_vec() };
        // RFC 3862 §2.4: "The MIME content headers MUST include at least a Content-Type header."
        message.content_type().ok_or(BodyError::Missing("Content-Type"))?;
        Ok(message)
    }

    /// Writes a body.
    ///
    /// # Errors
    /// [`BodyError::Invalid`] for a header field whose name, parameter or content value cannot be written,
    /// [`BodyError::Missing`] without a Content-Type.
    pub fn render(&self) -> Result<Vec<u8>, BodyError> {
        self.content_type().ok_or(BodyError::Missing("Content-Type"))?;
        let mut head = String::new();
        for header in &self.headers {
            header.write(&mut head)?;
        }
        head.push_str("\r\n");
        for (name, value) in &self.content_headers {
            if !is_name(name) || value.contains(|c: char| c.is_control()) {
                return Err(BodyError::Invalid("content header"));
            }
            let _ = write!(head, "{name}: {value}\r\n"); // Writing to a String does not fail.
        }
        head.push_str("\r\n");
        let mut body = head.into_bytes();
        body.extend_from_slice(&self.content);
        Ok(body)
    }
}

impl CpimHeader {
    /// RFC 3862 §3.6: `Header-name ":" *( ";" Parameter ) SP Header-value`.
    fn parse(line: &str) -> Result<Self, BodyError> {
        let invalid = BodyError::Invalid("header field");
        let (name, rest) = line.split_once(':').ok_or(invalid.clone())?;
        if !is_name(name) {
            return Err(invalid);
        }
        let (parameters, value) = match rest.strip_prefix(';') {
            None => ("", rest),
            Some(rest) => rest.split_once(' ').unwrap_or((rest, "")),
        };
        let parameters = parameters.split(';').filter(|it| !it.is_empty()).map(|parameter| {
            let (name, value) = parameter.split_once('=').ok_or(invalid.clone())?;
            Ok((name.to_owned(), value.to_owned()))
        });
        Ok(Self {
            name: name.to_owned(),
            parameters: parameters.collect::<Result<_, BodyError>>()?,
            value: unescape(value.trim()).into_owned(),
        })
    }

    fn write(&self, out: &mut String) -> Result<(), BodyError> {
        let fits = |text: &str| !text.is_empty() && !text.contains([' ', ';', '\r', '\n']);
        if !is_name(&self.name) || self.parameters.iter().any(|(n, v)| !is_name(n) || !fits(v)) {
            return Err(BodyError::Invalid("header field"));
        }
        out.push_str(&self.name);
        out.push(':');
        for (name, value) in &self.parameters {
            let _ = write!(out, ";{name}={value}");
        }
        // RFC 3862 §2.2: "There MUST be a single space character (32) following the header
        // name and colon."
        out.push(' ');
        // RFC 3862 §2.3.1: "The special sequences listed above MUST be used to encode any
        // occurrence of the following characters that appear anywhere in a
        // header: backslash (U+005c), backspace (U+0008), tab (U+0009),
        // linefeed (U+000a) or carriage return (U+000d)."
        for character in self.value.chars() {
            match character {
                '\\' => out.push_str("\\\\"),
                '\u{8}' => out.push_str("\\b"),
                '\t' => out.push_str("\\t"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                // RFC 3862 §2.3.1: "The general escape sequence \uxxxx MUST be used for any other
                // control character"
                '\0'..='\u{1f}' | '\u{7f}' => {
                    let _ = write!(out, "\\u{:04x}", u32::from(character));
                }
                character => out.push(character),
            }
        }
        // RFC 3862 §2.2: "The character sequence CR,LF (13,10) MUST be used to terminate
        // each line."
        out.push_str("\r\n");
        Ok(())
    }
}

/// Splits at the first empty line: the lines before it, and what follows.
fn take_head(body: &[u8]) -> Result<(&str, &[u8]), BodyError> {
    let mut start = 0;
    while let Some(length) = body.get(start..).unwrap_or_default().iter().position(|b| *b == b'\n')
    {
        let end = start + length;
        let line = body.get(start..end).unwrap_or_default();
        if line.is_empty() || line == b"\r" {
            let head = body.get(..start).unwrap_or_default();
            let head = std::str::from_utf8(head).map_err(|_| BodyError::Encoding)?;
            return Ok((head, body.get(end + 1..).unwrap_or_default()));
        }
        start = end + 1;
    }
    Err(BodyError::Missing("empty line"))
}

fn lines(head: &str) -> impl Iterator<Item = &str> {
    head.split_terminator('\n').map(|line| line.strip_suffix('\r').unwrap_or(line))
}

/// RFC 3862 §3.1: US-ASCII without controls, space and separators; a dot parts the prefix of a namespace.
fn is_name(name: &str) -> bool {
    let separator = |c: char| "()<>@,;:\\\"/[]?={} ".contains(c);
    !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic() && !separator(c))
}

fn unescape(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('\\') {
        text.push_str(before);
        let mut characters = after.chars();
        let (character, length) = match characters.next() {
            // RFC 3862 §2.3.1: "An isolated backslash that is the last character of a header SHOULD
            // be ignored."
            None => {
                rest = "";
                break;
            }
            Some('b') => ('\u{8}', 1),
            Some('t') => ('\t', 1),
            Some('n') => ('\n', 1),
            Some('r') => ('\r', 1),
            Some('u') => match after.get(1..5).and_then(hex) {
                Some(character) => (character, 5),
                None => ('u', 1),
            },
            // RFC 3862 §2.3.1: "Any unrecognized escape sequence SHOULD be treated
            // as an instance of the character following the backslash character."
            Some(other) => (other, other.len_utf8()),
        };
        text.push(character);
        rest = after.get(length..).unwrap_or_default();
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// Four hexadecimal digits.
fn hex(digits: &str) -> Option<char> {
    let all = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    all.then(|| u32::from_str_radix(digits, 16).ok()).flatten().and_then(char::from_u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 3862 §5.1
    #[test]
    fn the_rfcs_own() {
        let body = "From: MR SANDERS <im:piglet@100akerwood.com>\r\n\
            To: Depressed Donkey <im:eeyore@100akerwood.com>\r\n\
            DateTime: 2000-12-13T13:40:00-08:00\r\n\
            Subject: the weather will be fine today\r\n\
            Subject:;lang=fr beau temps prevu pour aujourd'hui\r\n\
            NS: MyFeatures <mid:MessageFeatures@id.foo.com>\r\n\
            Require: MyFeatures.VitalMessageOption\r\n\
            MyFeatures.VitalMessageOption: Confirmation-requested\r\n\
            MyFeatures.WackyMessageOption: Use-silly-font\r\n\
            \r\n\
            Content-type: text/xml; charset=utf-8\r\n\
            Content-ID: <1234567890@foo.com>\r\n\
            \r\n\
            <body>\r\n\r\nHere is the text of my message.\r\n</body>";
        let message = Cpim::parse(body.as_bytes()).unwrap();
        assert_eq!(message.headers.len(), 9);
        assert_eq!(message.first("From"), Some("MR SANDERS <im:piglet@100akerwood.com>"));
        assert_eq!(message.first("from"), None);
        let french = &message.headers[4];
        assert_eq!(french.parameters, [("lang".to_owned(), "fr".to_owned())]);
        assert_eq!(french.value, "beau temps prevu pour aujourd'hui");
        assert_eq!(message.all("Subject").count(), 2);
        assert_eq!(message.content_type(), Some("text/xml; charset=utf-8"));
        assert!(message.content.starts_with(b"<body>\r\n\r\n"));
        // RFC 3862 §3.5: what the sender requires is named.
        let missing: Vec<&str> = message.not_understood(&[]).collect();
        assert_eq!(missing, ["MyFeatures.VitalMessageOption"]);
        assert_eq!(message.not_understood(&missing).count(), 0);
        assert_eq!(message.render().unwrap(), body.as_bytes());
    }

    // RFC 3862 §2.3
    #[test]
    fn escapes() {
        for (written, value) in [
            (r"a\\b", "a\\b"),
            (r#"\"quoted\" \'too\'"#, "\"quoted\" 'too'"),
            (r"\b\t\n\r", "\u{8}\t\n\r"),
            (r"\u0007\u00e9\u00E9", "\u{7}éé"),
            (r"\uD800 \u12 \x \é", "uD800 u12 x é"),
            ("end\\", "end"),
        ] {
            let body = format!("Subject: {written}\r\n\r\nContent-Type: text/plain\r\n\r\n");
            let message = Cpim::parse(body.as_bytes()).unwrap();
            assert_eq!(message.first("Subject"), Some(value), "{written}");
            assert_eq!(Cpim::parse(&message.render().unwrap()), Ok(message));
        }
    }

    #[test]
    fn what_is_missing_or_odd() {
        // RFC 3862 §2.2 and RFC 3862 §3.6: lines that are no header fields; RFC 3862 §2.4: a content without a type.
        for (body, error) in [
            ("", BodyError::Missing("empty line")),
            ("From: a\r\n", BodyError::Missing("empty line")),
            ("From: a\r\n\r\n", BodyError::Missing("empty line")),
            ("From: a\r\n\r\n\r\n", BodyError::Missing("Content-Type")),
            ("From\r\n\r\nContent-Type: a/b\r\n\r\n", BodyError::Invalid("header field")),
            ("a b: c\r\n\r\nContent-Type: a/b\r\n\r\n", BodyError::Invalid("header field")),
            (" From: c\r\n\r\nContent-Type: a/b\r\n\r\n", BodyError::Invalid("header field")),
            ("From:;lang c\r\n\r\nContent-Type: a/b\r\n\r\n", BodyError::Invalid("header field")),
            ("From: c\r\n\r\nContent-Type\r\n\r\n", BodyError::Invalid("content header")),
        ] {
            assert_eq!(Cpim::parse(body.as_bytes()), Err(error), "{body:?}");
        }
        assert_eq!(
            Cpim::parse(b"A: \xff\r\n\r\nContent-Type: a/b\r\n\r\n"),
            Err(BodyError::Encoding)
        );
        let many = format!("{}\r\nContent-Type: a/b\r\n\r\n", "A: b\r\n".repeat(MAX_HEADERS + 1));
        assert_eq!(Cpim::parse(many.as_bytes()), Err(BodyError::TooMany("header fields")));
        // Lines of a careless sender, and a content that is not text.
        let plain = b"From:a\n\nContent-Type: a/b;\n c=d\n\n\x00\xff";
        let message = Cpim::parse(plain).unwrap();
        assert_eq!((message.first("From"), message.content_type()), (Some("a"), Some("a/b; c=d")));
        assert_eq!(message.content, b"\x00\xff");
        // Folds with nothing before or after them are read as they are written again.
        let folded = b"From: a\r\n\r\nContent-Type:\r\n a/b\r\n\t\r\nContent-ID: <c>\r\n\r\n";
        let message = Cpim::parse(folded).unwrap();
        assert_eq!(message.content_type(), Some("a/b"));
        assert_eq!(Cpim::parse(&message.render().unwrap()), Ok(message));
        for bad in [
            Cpim::new("a/b", "").header("From:", "a"),
            Cpim::new("a/b", "").header("", "a"),
            Cpim::new("a/b\r\nX: y", ""),
            Cpim::default(),
        ] {
            assert!(bad.render().is_err(), "{bad:?}");
        }
        let smuggled = Cpim::new("a/b", "").header("Subject", "a\r\n\r\nb");
        assert_eq!(Cpim::parse(&smuggled.render().unwrap()), Ok(smuggled));
    }

    proptest::proptest! {
        #[test]
        fn read_as_it_was_written(
            headers in proptest::collection::vec(("[A-Za-z.]{1,8}", "([ -~é\t\r\n\u{7f}]{0,20})"), 0..5),
            content: Vec<u8>,
        ) {
            let mut message = Cpim::new("text/plain", content);
            for (name, value) in headers {
                message = message.header(name, value.trim());
            }
            let again = Cpim::parse(&message.render().unwrap()).unwrap();
            proptest::prop_assert_eq!(again, message);
        }

        #[test]
        fn whatever_comes(body in "(From|:|;|=| |\r\n|\n|\\\\|u|00|a|\t){0,40}") {
            if let Ok(message) = Cpim::parse(body.as_bytes()) {
                proptest::prop_assert!(message.content_type().is_some());
            }
        }
    }
}
