//! The handshake of RFC 6455 §4 with the subprotocol `sip` of RFC 7118 §4.1, on both sides.

use core::fmt::Write;
use core::net::SocketAddr;
use std::io;

use sip_message::{Host, Limits, Transport};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::machine::TryParse;
use tokio_tungstenite::tungstenite::handshake::server::{Request, create_response};
use tokio_tungstenite::tungstenite::http::header::{
    HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderName};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::frames::Metered;
use super::{Frames, WsConfig, WsRefusal, WsRequest};
use crate::TransportError;

/// The name of the subprotocol.
const SIP: &str = "sip";

/// Bytes that the head of a request for a WebSocket may have. Cookies make it long.
const HEAD_BYTES: usize = 16 * 1024;

/// Bytes that are read at once of a head, and kept for frames by each connection.
const CHUNK: usize = 4 * 1024;

/// Bytes that are read and thrown away after a refusal, so that a reset does not destroy the response.
const SCRAP: u64 = 64 * 1024;

/// Answers the HTTP request that opens a connection. Whoever calls this limits its time.
///
/// # Errors
///
/// When the request is not granted, after it was answered; or when the connection breaks.
pub(crate) async fn accept<S>(
    mut stream: S,
    remote: SocketAddr,
    config: &WsConfig,
    limits: &Limits,
) -> Result<Frames<S>, TransportError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut buffer = Vec::new();
    let answered = loop {
        let seen = buffer.len();
        let read = (&mut stream).take(CHUNK as u64).read_buf(&mut buffer).await;
        if read.map_err(|error| TransportError::from(&error))? == 0 {
            return Err(TransportError::Closed);
        }
        if ends_a_head(&buffer, seen) {
            break answer(&buffer, remote, config);
        }
        if buffer.len() > HEAD_BYTES {
            break Err(WsRefusal::new(431));
        }
    };
    let (used, granted) = match answered {
        Ok(granted) => granted,
        Err(refusal) => {
            tracing::debug!(%remote, status = refusal.status(), "no WebSocket granted");
            refuse(&mut stream, &refusal).await.map_err(|error| TransportError::from(&error))?;
            return Err(TransportError::WsRefused(refusal.status()));
        }
    };
    stream.write_all(granted.as_bytes()).await.map_err(|error| TransportError::from(&error))?;
    stream.flush().await.map_err(|error| TransportError::from(&error))?;
    buffer.drain(..used);
    let frames = Some(frame_limits(limits));
    let stream = Metered::new(stream);
    let stream = WebSocketStream::from_partially_read(stream, buffer, Role::Server, frames).await;
    Ok(Frames::new(stream, config.ping_after()))
}

/// Whether an empty line is in the buffer, of which `seen` bytes were looked at before.
fn ends_a_head(buffer: &[u8], seen: usize) -> bool {
    // A line end of its own, or one that began in what was seen.
    let fresh = buffer.get(seen.saturating_sub(2)..).unwrap_or_default();
    fresh.windows(3).any(|window| window == b"\n\r\n") || fresh.windows(2).any(|w| w == b"\n\n")
}

async fn refuse<S>(stream: &mut S, refusal: &WsRefusal) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(&refusal.to_bytes()).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(SCRAP), &mut tokio::io::sink()).await.map(|_| ())
}

/// The answer to the head of a request: how long that is and the 101, or why not.
pub(super) fn answer(
    head: &[u8],
    remote: SocketAddr,
    config: &WsConfig,
) -> Result<(usize, String), WsRefusal> {
    let (used, request) = match Request::try_parse(head) {
        Ok(Some(parsed)) => parsed,
        Err(Error::Protocol(ProtocolError::WrongHttpMethod)) => {
            return Err(WsRefusal::new(405).with_header("Allow", "GET"));
        }
        Err(Error::Protocol(ProtocolError::WrongHttpVersion)) => return Err(WsRefusal::new(505)),
        Err(Error::Capacity(CapacityError::TooManyHeaders)) => return Err(WsRefusal::new(431)),
        // RFC 6455 §4.2.1: "the server MUST stop processing the client's handshake and return an HTTP
        // response with an appropriate error code (such as 400 Bad Request)."
        Ok(None) | Err(_) => return Err(WsRefusal::new(400)),
    };
    let asked = WsRequest::new(&request, remote);
    let headers = asked.headers();
    let wants = |value: &str| value.eq_ignore_ascii_case("websocket");
    if !listed(headers, &UPGRADE).any(wants) {
        return Err(WsRefusal::new(426).with_header("Upgrade", "websocket"));
    }
    // RFC 6455 §4.2.2: "If this version does not match a version understood by the server, the server
    // MUST abort the WebSocket handshake described in this section and instead send an appropriate HTTP
    // error code (such as 426 Upgrade Required) and a |Sec-WebSocket-Version| header field indicating
    // the version(s) the server is capable of understanding."
    if headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version != "13") {
        return Err(WsRefusal::new(426)
            .with_header("Upgrade", "websocket")
            .with_header("Sec-WebSocket-Version", "13"));
    }
    if headers.get_all(HOST).iter().count() != 1 {
        return Err(WsRefusal::new(400));
    }
    let response = create_response(&request).map_err(|_| WsRefusal::new(400))?;
    let accept = response.headers().get(SEC_WEBSOCKET_ACCEPT).and_then(|key| key.to_str().ok());
    let accept = accept.ok_or_else(|| WsRefusal::new(400))?;
    // RFC 7118 §4.1: "The client MUST include the value "sip" in the Sec-WebSocket-Protocol header in its
    // handshake request."
    if !listed(headers, &SEC_WEBSOCKET_PROTOCOL).any(|protocol| protocol == SIP) {
        return Err(WsRefusal::new(400));
    }
    config.verdict(&asked)?;
    // RFC 7118 §4.1: "The 101 reply from the server MUST contain "sip" in its corresponding
    // Sec-WebSocket-Protocol header."
    let granted = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {SIP}\r\n\r\n"
    );
    Ok((used, granted))
}

/// The elements of all the header fields of that name, which are lists.
fn listed<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// How a client names the server in Host: as it was asked for, else by its address.
pub(crate) fn authority(domain: Option<&str>, remote: SocketAddr, transport: Transport) -> String {
    let mut host = match domain {
        Some(domain) if domain.contains(':') && !domain.starts_with('[') => format!("[{domain}]"),
        Some(domain) => domain.to_owned(),
        None => Host::from(remote.ip()).to_string(),
    };
    if remote.port() != transport.default_port() {
        let _ = write!(host, ":{}", remote.port());
    }
    host
}

/// Asks the server at the other end of the stream for a WebSocket; `host` is its name, with the port unless
/// that is the scheme's own. Whoever calls this limits its time.
///
/// # Errors
///
/// When the server does not grant it, or the connection breaks.
pub(crate) async fn dial<S>(
    stream: S,
    host: &str,
    config: &WsConfig,
    limits: &Limits,
) -> Result<Frames<S>, TransportError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = Request::builder()
        .uri(format!("ws://{host}{}", config.asked_path()))
        .header("Host", host)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", generate_key())
        // RFC 7118 §4.1: "The client MUST include the value "sip" in the Sec-WebSocket-Protocol header
        // in its handshake request."
        .header("Sec-WebSocket-Protocol", SIP);
    for (name, value) in config.asked_headers() {
        request = request.header(&**name, &**value);
    }
    let request = request.body(()).map_err(|_| TransportError::WsHandshake)?;
    let frames = Some(frame_limits(limits));
    let stream = Metered::new(stream);
    let (stream, response) = client_async_with_config(request, stream, frames)
        .await
        .map_err(|error| handshake_error(&error))?;
    // RFC 6455 §4.1: "If the response includes a |Sec-WebSocket-Extensions| header field and this header
    // field indicates the use of an extension that was not present in the client's handshake (the server
    // has indicated an extension not requested by the client), the client MUST _Fail the WebSocket
    // Connection_."
    if response.headers().contains_key(SEC_WEBSOCKET_EXTENSIONS) {
        return Err(TransportError::WsHandshake);
    }
    Ok(Frames::new(stream, config.ping_after()))
}

// RFC 7118 §4.1: "In case there is no HTTP 101 response during the WebSocket handshake, it is considered a
// transaction error as per [RFC3261], Section 8.1.3.1., "Transaction Layer Errors"."
fn handshake_error(error: &Error) -> TransportError {
    match error {
        Error::Http(response) => TransportError::WsRefused(response.status().as_u16()),
        Error::Io(error) => error.into(),
        _ => TransportError::WsHandshake,
    }
}

/// A frame is a message, so the limit of messages is that of frames: what is larger is refused when its
/// length is read, before room is made for it.
fn frame_limits(limits: &Limits) -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(limits.message_bytes))
        .max_frame_size(Some(limits.message_bytes))
        .read_buffer_size(CHUNK)
        // One message at a time is handed down, and written at once; the others wait in the queue of the
        // connection, which has a limit.
        .write_buffer_size(0)
}
