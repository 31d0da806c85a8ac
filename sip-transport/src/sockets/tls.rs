//! The handshakes of TLS, on either side.

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::layered::Side;
use crate::TransportError;
use crate::tls::{Peer, Tls, TlsError};

/// Bytes that TLS keeps of what the system did not take yet.
const BUFFER: usize = 16 * 1024;

/// Shakes hands over the stream; gives the secured one, and who is at its far end if that was shown.
pub(super) async fn shake_hands(
    stream: TcpStream,
    tls: &Tls,
    side: &Side,
) -> Result<(TlsStream<TcpStream>, Option<Arc<Peer>>), TransportError> {
    let stream: TlsStream<TcpStream> = match side {
        Side::Server => {
            let config = tls.server().ok_or(TlsError::NoCertificateOfOurs)?;
            let accepted = TlsAcceptor::from(config).accept(stream).await;
            let mut stream = accepted.map_err(|error| failed(&error))?;
            stream.get_mut().1.set_buffer_limit(Some(BUFFER));
            stream.into()
        }
        Side::Client(domain) => {
            let name = match domain {
                Some(domain) => name_of(domain)?,
                None => {
                    let remote = stream.peer_addr().map_err(|error| failed(&error))?;
                    ServerName::from(remote.ip().to_canonical())
                }
            };
            let connected = TlsConnector::from(tls.client()).connect(name, stream).await;
            let mut stream = connected.map_err(|error| failed(&error))?;
            stream.get_mut().1.set_buffer_limit(Some(BUFFER));
            stream.into()
        }
    };
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates().and_then(<[_]>::first);
    let peer = certificate.map(|certificate| Arc::new(Peer::of(certificate)));
    Ok((stream, peer))
}

/// A domain or an IP address; an IPv6 address may have its brackets.
fn name_of(domain: &str) -> Result<ServerName<'static>, TlsError> {
    let name = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(domain);
    let name = name.strip_suffix('.').unwrap_or(name);
    ServerName::try_from(name).map(|name| name.to_owned()).map_err(|_| TlsError::BadName)
}

fn failed(error: &io::Error) -> TransportError {
    match TransportError::from(error) {
        TransportError::Closed => TlsError::ClosedInHandshake.into(),
        error => error,
    }
}
