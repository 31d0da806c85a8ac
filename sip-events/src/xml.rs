//! A small tree of the XML elements of one namespace, read with limits; and the writing of one.

use std::borrow::Cow;
use std::fmt::Write;

use quick_xml::XmlVersion;
use quick_xml::escape::escape;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

use crate::BodyError;

/// The largest document that is read, in bytes.
pub(crate) const MAX_BYTES: usize = 65_536;
/// How deep elements may nest, and how many there may be.
const MAX_DEPTH: usize = 16;
const MAX_ELEMENTS: usize = 4_096;
/// How many attributes one element may have, those that declare namespaces included.
const MAX_ATTRIBUTES: usize = 32;

/// An element of the namespace that is read. Those of others, and what is in them, are skipped.
#[derive(Debug, Default)]
pub(crate) struct Element {
    pub(crate) name: String,
    attributes: Vec<(String, String)>,
    pub(crate) children: Vec<Element>,
    /// The text that stands in it directly.
    text: String,
}

impl Element {
    /// Reads a document whose root is `root` of this namespace.
    pub(crate) fn document(
        body: &[u8],
        namespace: &str,
        root: &'static str,
    ) -> Result<Self, BodyError> {
        Self::document_of(body, &[namespace], root)
    }

    /// The same with elements of several namespaces, no two of which have one of the same name.
    pub(crate) fn document_of(
        body: &[u8],
        namespaces: &[&str],
        root: &'static str,
    ) -> Result<Self, BodyError> {
        if body.len() > MAX_BYTES {
            return Err(BodyError::TooMany("bytes"));
        }
        let text = std::str::from_utf8(body).map_err(|_| BodyError::Encoding)?;
        let mut reader = NsReader::from_str(text.trim_start_matches('\u{feff}'));
        let mut open: Vec<Element> = Vec::new();
        let (mut depth, mut skipped, mut elements) = (0_usize, 0_usize, 0_usize);
        let mut document = None;
        loop {
            let (resolved, event) = reader.read_resolved_event().map_err(xml)?;
            let ours =
                matches!(resolved, ResolveResult::Bound(bound) if namespaces.contains(&bound.0));
            match event {
                Event::Start(start) | Event::Empty(start) if document.is_some() => {
                    return Err(BodyError::Xml(format!("{} after the root", name_of(&start))));
                }
                Event::Start(start) => {
                    (depth, elements) = (depth + 1, elements + 1);
                    if depth > MAX_DEPTH || elements > MAX_ELEMENTS {
                        return Err(BodyError::TooMany("elements"));
                    }
                    if skipped > 0 || !ours {
                        skipped += 1;
                    } else {
                        open.push(Element::begin(&start)?);
                    }
                }
                Event::Empty(start) => {
                    elements += 1;
                    if elements > MAX_ELEMENTS {
                        return Err(BodyError::TooMany("elements"));
                    }
                    if skipped == 0 && ours {
                        let element = Element::begin(&start)?;
                        match open.last_mut() {
                            Some(parent) => parent.children.push(element),
                            None => document = Some(element),
                        }
                    }
                }
                Event::End(_) => {
                    depth = depth.saturating_sub(1);
                    if skipped > 0 {
                        skipped -= 1;
                    } else if let Some(element) = open.pop() {
                        match open.last_mut() {
                            Some(parent) => parent.children.push(element),
                            None => document = Some(element),
                        }
                    }
                }
                Event::Text(text) => {
                    if let (0, Some(element)) = (skipped, open.last_mut()) {
                        element.text.push_str(&text.xml10_content());
                    }
                }
                Event::CData(text) => {
                    if let (0, Some(element)) = (skipped, open.last_mut()) {
                        element.text.push_str(&text.xml10_content());
                    }
                }
                Event::GeneralRef(reference) => {
                    // Only what XML itself knows: no entity that a document defines is ever looked at.
                    let character = match reference.resolve_char_ref().map_err(xml)? {
                        Some(character) => character,
                        None => match &*reference {
                            "lt" => '<',
                            "gt" => '>',
                            "amp" => '&',
                            "apos" => '\'',
                            "quot" => '"',
                            other => return Err(BodyError::Xml(format!("the entity {other}"))),
                        },
                    };
                    if let (0, Some(element)) = (skipped, open.last_mut()) {
                        element.text.push(character);
                    }
                }
                Event::DocType(_) => return Err(BodyError::Xml("a document type".into())),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::Eof => break,
            }
        }
        if depth > 0 {
            return Err(BodyError::Xml("an element has no end".into()));
        }
        document.filter(|element| element.name == root).ok_or(BodyError::Missing(root))
    }

    fn begin(start: &BytesStart<'_>) -> Result<Self, BodyError> {
        let mut element = Self { name: name_of(start), ..Self::default() };
        for (count, attribute) in start.attributes().enumerate() {
            if count >= MAX_ATTRIBUTES {
                return Err(BodyError::TooMany("attributes"));
            }
            let attribute = attribute.map_err(|error| BodyError::Xml(error.to_string()))?;
            let name = attribute.key.0;
            if name == "xmlns" || name.starts_with("xmlns:") {
                continue;
            }
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(xml)?;
            element.attributes.push((name.to_owned(), value.into_owned()));
        }
        Ok(element)
    }

    /// The attribute of this name.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The attribute of this name, which must be there.
    pub(crate) fn required(&self, name: &'static str) -> Result<&str, BodyError> {
        self.attribute(name).ok_or(BodyError::Missing(name))
    }

    /// The number in an attribute, if that is there.
    pub(crate) fn number(&self, name: &'static str) -> Result<Option<u32>, BodyError> {
        let number = self.attribute(name).map(|text| text.trim().parse());
        number.transpose().map_err(|_| BodyError::Invalid(name))
    }

    /// The children of this name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The first child of this name.
    pub(crate) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// What stands in it, without the white space around.
    pub(crate) fn text(&self) -> &str {
        self.text.trim()
    }

    /// What stands in the first child of this name.
    pub(crate) fn child_text(&self, name: &str) -> Option<&str> {
        self.child(name).map(Element::text)
    }
}

fn name_of(start: &BytesStart<'_>) -> String {
    start.local_name().as_ref().to_owned()
}

fn xml(error: quick_xml::Error) -> BodyError {
    BodyError::Xml(error.to_string())
}

/// Writes a document, one element a line.
pub(crate) struct Writer {
    out: String,
    open: Vec<&'static str>,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self { out: String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"), open: Vec::new() }
    }

    /// Begins an element; those without a value are left out of the attributes.
    pub(crate) fn begin(&mut self, name: &'static str, attributes: &[(&str, Option<&str>)]) {
        self.tag(name, attributes);
        self.out.push_str(">\n");
        self.open.push(name);
    }

    pub(crate) fn end(&mut self) {
        if let Some(name) = self.open.pop() {
            self.indent();
            // Writing to a String does not fail.
            let _ = writeln!(self.out, "</{name}>");
        }
    }

    /// An element with a text in it, or none.
    pub(crate) fn leaf(
        &mut self,
        name: &'static str,
        attributes: &[(&str, Option<&str>)],
        text: &str,
    ) {
        self.tag(name, attributes);
        if text.is_empty() {
            self.out.push_str("/>\n");
        } else {
            let _ = writeln!(self.out, ">{}</{name}>", kept(text, false));
        }
    }

    /// Text beside elements.
    pub(crate) fn text(&mut self, text: &str) {
        self.indent();
        let _ = writeln!(self.out, "{}", kept(text, false));
    }

    /// An element with a text in it, if there is one.
    pub(crate) fn leaf_if(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.leaf(name, &[], text);
        }
    }

    pub(crate) fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.end();
        }
        self.out
    }

    fn tag(&mut self, name: &'static str, attributes: &[(&str, Option<&str>)]) {
        self.indent();
        self.out.push('<');
        self.out.push_str(name);
        for (name, value) in attributes {
            if let Some(value) = value {
                let _ = write!(self.out, " {name}=\"{}\"", kept(value, true));
            }
        }
    }

    fn indent(&mut self) {
        for _ in &self.open {
            self.out.push_str("  ");
        }
    }
}

/// A text as it is read again: a reader takes a raw line end for a line feed, and in an attribute for a space.
fn kept(text: &str, in_attribute: bool) -> Cow<'_, str> {
    let text = escape(text);
    let changes = |c: char| c == '\r' || in_attribute && matches!(c, '\t' | '\n');
    if !text.contains(changes) {
        return text;
    }
    let mut kept = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if changes(character) {
            let _ = write!(kept, "&#{};", u32::from(character));
        } else {
            kept.push(character);
        }
    }
    Cow::Owned(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Element, BodyError> {
        Element::document(text.as_bytes(), "urn:x", "root")
    }

    #[test]
    fn only_what_is_of_the_namespace() {
        let root = read(
            "\u{feff}<?xml version='1.0'?><!-- c --><p:root xmlns:p='urn:x' xmlns='urn:y' a='1 &amp; 2'>
               <p:a>one&#32;<b><p:a>hidden</p:a></b>&lt;two<![CDATA[ & ]]>three</p:a><c/><p:a/></p:root>",
        )
        .unwrap();
        assert_eq!(root.attribute("a"), Some("1 & 2"));
        let texts: Vec<_> = root.all("a").map(Element::text).collect();
        assert_eq!(texts, ["one <two & three", ""]);
        assert!(root.child("b").is_none() && root.child("c").is_none());
    }

    #[test]
    fn hostile_documents() {
        let bomb = "<!DOCTYPE root [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]><root xmlns='urn:x'>&b;</root>";
        assert_eq!(read(bomb).unwrap_err(), BodyError::Xml("a document type".into()));
        assert!(matches!(read("<root xmlns='urn:x'>&b;</root>"), Err(BodyError::Xml(_))));
        assert!(matches!(read("<root xmlns='urn:x' a='&b;'/>"), Err(BodyError::Xml(_))));
        let deep = format!("<root xmlns='urn:x'>{}", "<a>".repeat(MAX_DEPTH));
        assert_eq!(read(&deep).unwrap_err(), BodyError::TooMany("elements"));
        let wide = format!("<root xmlns='urn:x'>{}</root>", "<a/>".repeat(MAX_ELEMENTS));
        assert_eq!(read(&wide).unwrap_err(), BodyError::TooMany("elements"));
        let attributes: String = (0..=MAX_ATTRIBUTES).map(|n| format!(" a{n}='1'")).collect();
        let many = format!("<root xmlns='urn:x'{attributes}/>");
        assert_eq!(read(&many).unwrap_err(), BodyError::TooMany("attributes"));
        let large = format!("<root xmlns='urn:x'>{}</root>", "a".repeat(MAX_BYTES));
        assert_eq!(read(&large).unwrap_err(), BodyError::TooMany("bytes"));
        for text in [
            "",
            "text",
            "<root/>",
            "<root xmlns='urn:y'/>",
            "<other xmlns='urn:x'/>",
            "<root xmlns='urn:x'>",
            "<root xmlns='urn:x'><a></root>",
            "<root xmlns='urn:x'/><root xmlns='urn:x'/>",
            "<root xmlns='urn:x' a='1' a='2'/>",
            "<p:root/>",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert_eq!(Element::document(b"\xff", "urn:x", "root").unwrap_err(), BodyError::Encoding);
    }

    #[test]
    fn written_and_read() {
        let mut writer = Writer::new();
        writer.begin("root", &[("xmlns", Some("urn:x")), ("a", Some("<\"&'>")), ("b", None)]);
        writer.leaf("e", &[("f", Some("a\r\n\tb"))], "a\r\n\tb");
        writer.leaf("c", &[], "<&>");
        writer.leaf_if("d", None);
        let root = read(&writer.finish()).unwrap();
        assert_eq!((root.attribute("a"), root.attribute("b")), (Some("<\"&'>"), None));
        assert_eq!(root.child_text("c"), Some("<&>"));
        let lines = root.child("e").unwrap();
        assert_eq!((lines.attribute("f"), lines.text()), (Some("a\r\n\tb"), "a\r\n\tb"));
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes(text in "(<|>|/|&|;|'|\"| |=|root|xmlns|urn:x|a|!|\\[|\\]|\\?|-){0,60}") {
            for text in [text.clone(), format!("<root xmlns='urn:x'>{text}</root>")] {
                if let Ok(root) = read(&text) {
                    proptest::prop_assert_eq!(root.name, "root");
                }
            }
        }
    }
}
