//! A very small HTTP server for what the examples show of themselves: GET, one request a connection, bounded.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

/// How many may look at a time; one more waits in the system's backlog.
const VISITORS: usize = 32;

/// How many bytes a request may have.
const REQUEST: usize = 8 * 1024;

/// How long a visitor may take to ask, and to take what it is given.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a stream says something though nothing has changed: what is shown has times in it.
const PULSE: Duration = Duration::from_secs(5);

/// No more often is a stream told that something has changed.
const CALM: Duration = Duration::from_millis(200);

/// What is given for a path.
pub enum Page {
    /// A document: its type, and itself.
    Document(&'static str, String),
    /// The page itself, whose scripts and styles bear the text for which this function makes it.
    Html(fn(&str) -> String),
    /// An event each time this changes.
    Stream(watch::Receiver<u64>),
}

/// Reads where to listen: an address with its port, or a port of this machine alone.
///
/// # Errors
/// If it is neither.
pub fn place(text: &str) -> Result<SocketAddr, String> {
    let port = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let read = text.parse().map(port).ok().or_else(|| text.parse().ok());
    read.ok_or_else(|| "write PORT, or ADDRESS:PORT".to_owned())
}

/// Listens there, and gives each visitor what `page` has for its path, until the runtime ends. Where it listens.
///
/// # Errors
/// If the system gives no socket.
pub fn serve(
    at: SocketAddr,
    page: impl Fn(&str) -> Option<Page> + Send + Sync + 'static,
) -> io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind(at)?;
    listener.set_nonblocking(true)?;
    let local = listener.local_addr()?;
    let listener = TcpListener::from_std(listener)?;
    let (page, room) = (Arc::new(page), Arc::new(Semaphore::new(VISITORS)));
    tokio::spawn(async move {
        loop {
            let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let page = Arc::clone(&page);
                    tokio::spawn(async move {
                        // Whoever goes away before its time is missed by nobody.
                        let _ = visit(stream, &*page).await;
                        drop(place);
                    });
                }
                // No more files, say: they come back.
                Err(_) => tokio::time::sleep(CALM).await,
            }
        }
    });
    Ok(local)
}

async fn visit(
    mut stream: TcpStream,
    page: &(dyn Fn(&str) -> Option<Page> + Sync),
) -> io::Result<()> {
    let request = timeout(PATIENCE, ask(&mut stream)).await??;
    let answer = match path(&request) {
        Ok(path) => match page(path) {
            Some(Page::Stream(changes)) => return follow(stream, changes).await,
            Some(Page::Document(kind, text)) => head("200 OK", kind, "") + &text,
            Some(Page::Html(page)) => {
                let mark = mark();
                let rules = format!(
                    "Content-Security-Policy: default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                     frame-ancestors 'none'; script-src 'nonce-{mark}'; style-src 'nonce-{mark}'\r\n"
                );
                head("200 OK", "text/html; charset=utf-8", &rules) + &page(&mark)
            }
            None => head("404 Not Found", "text/plain", "") + "nothing here\n",
        },
        Err(status) => head(status, "text/plain", "") + status + "\n",
    };
    timeout(PATIENCE, stream.write_all(answer.as_bytes())).await??;
    stream.shutdown().await
}

/// The head of a request, to its empty line.
async fn ask(stream: &mut TcpStream) -> io::Result<String> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut part = [0; 1024];
        let read = stream.read(&mut part).await?;
        if read == 0 || request.len() + read > REQUEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        request.extend(part.iter().take(read));
    }
    String::from_utf8(request).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// The path that is asked for; or the status that is owed.
fn path(request: &str) -> Result<&str, &'static str> {
    let mut lines = request.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some("GET"), Some(path)) = (words.next(), words.next()) else {
        return Err("405 Method Not Allowed");
    };
    // A page of somebody else whose name leads here must not read what is shown here.
    let named = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("host").then(|| value.trim())
    });
    let host = named.map(|named| named.rsplit_once(':').map_or(named, |(host, _)| host));
    let is_address = |host: &str| host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    match host {
        Some(host) if host == "localhost" || is_address(host) => Ok(path),
        Some(_) | None => Err("421 Misdirected Request"),
    }
}

fn head(status: &str, kind: &str, more: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
         Referrer-Policy: no-referrer\r\n{more}Connection: close\r\n\r\n"
    )
}

/// Says each time that something has changed, until the visitor is gone.
async fn follow(mut stream: TcpStream, mut changes: watch::Receiver<u64>) -> io::Result<()> {
    let mut said = head("200 OK", "text/event-stream", "");
    loop {
        said += &format!("data: {}\n\n", *changes.borrow_and_update());
        timeout(PATIENCE, stream.write_all(said.as_bytes())).await??;
        said.clear();
        tokio::time::sleep(CALM).await;
        if let Ok(Err(_)) = timeout(PULSE, changes.changed()).await {
            return Ok(());
        }
    }
}

/// A text that nobody can foretell.
fn mark() -> String {
    let mut random = [0; 16];
    // Without random numbers no script runs: better than one of somebody else.
    match getrandom::fill(&mut random) {
        Ok(()) => random.iter().map(|byte| format!("{byte:02x}")).collect(),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_of_this_machine_alone() {
        assert_eq!(place("8080"), Ok(([127, 0, 0, 1], 8080).into()));
        assert_eq!(place("0.0.0.0:80"), Ok(([0, 0, 0, 0], 80).into()));
        assert_eq!(place("[::1]:80").unwrap().to_string(), "[::1]:80");
        assert!(place("localhost").is_err());
    }

    #[test]
    fn only_who_asks_for_an_address_is_answered() {
        let get =
            |host: &str| path(&format!("GET /state HTTP/1.1\r\nHost: {host}\r\n\r\n")).is_ok();
        assert!(get("127.0.0.1:8080") && get("localhost:1") && get("localhost") && get("[::1]:80"));
        // A name that somebody lets lead here.
        assert!(!get("evil.example.com") && !get("evil.example.com:8080") && !get(""));
        assert_eq!(path("GET / HTTP/1.1\r\n\r\n"), Err("421 Misdirected Request"));
        assert_eq!(path("POST / HTTP/1.1\r\nHost: ::1\r\n\r\n"), Err("405 Method Not Allowed"));
        assert_eq!(path(""), Err("405 Method Not Allowed"));
    }
}
