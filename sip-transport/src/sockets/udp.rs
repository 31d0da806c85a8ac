//! One UDP socket: receive in batches, send at once, queue while the system's buffer is full.
//!
//! A datagram costs one `recvfrom` and a wake-up one more that finds nothing. `recvmmsg` in batches
//! of 4 to 32 was measured against this with SIPp (1,000 and 4,000 calls/s on loopback): it cost as
//! much or up to a fifth more, since its set-up outweighs the calls it saves at such rates.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;

use super::QUEUE_OVERHEAD;
use crate::{Config, MAX_DATAGRAM, TransportError};

/// One socket and what waits to be sent by it.
#[derive(Debug)]
pub(super) struct Udp {
    socket: Arc<UdpSocket>,
    queue: VecDeque<Datagram>,
    queued_bytes: usize,
}

/// One datagram to send.
#[derive(Clone, Debug)]
pub(super) struct Datagram {
    pub(super) remote: SocketAddr,
    pub(super) payload: Bytes,
    pub(super) ttl: Option<u8>,
    pub(super) token: u64,
}

impl Datagram {
    fn weight(&self) -> usize {
        self.payload.len().saturating_add(QUEUE_OVERHEAD)
    }
}

impl Udp {
    /// Binds, with the buffers that the configuration asks for as far as the system gives them.
    pub(super) fn bind(addr: SocketAddr, config: &Config) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
        if addr.is_ipv6() {
            // So that IPv4 and IPv6 can be listened on with one port, each with its own addresses.
            socket.set_only_v6(true)?;
        }
        // Best effort: the system caps these.
        let _ = socket.set_recv_buffer_size(config.udp_receive_buffer);
        let _ = socket.set_send_buffer_size(config.udp_send_buffer);
        socket.set_nonblocking(true)?;
        socket.bind(&addr.into())?;
        let socket = Arc::new(UdpSocket::from_std(socket.into())?);
        Ok(Self { socket, queue: VecDeque::new(), queued_bytes: 0 })
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Hands each datagram that has arrived to `take`, at most `batch`. Pending, with the waker
    /// registered, when there is none.
    pub(super) fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        batch: usize,
        mut take: impl FnMut(SocketAddr, &[u8]),
    ) -> Poll<()> {
        let mut taken = 0;
        loop {
            match self.socket.poll_recv_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Pending, // the runtime is shutting down
                Poll::Pending if taken == 0 => return Poll::Pending,
                Poll::Pending => return Poll::Ready(()),
            }
            // Until nothing is left or the batch is full: readiness stands till then.
            while taken < batch {
                match self.socket.try_recv_from(buffer) {
                    Ok((len, remote)) => {
                        taken += 1;
                        take(remote, buffer.get(..len).unwrap_or_default());
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // An error that the system kept from an earlier send; the datagrams are behind.
                    Err(error) => {
                        tracing::debug!(%error, "UDP receive");
                        taken += 1;
                    }
                }
            }
            if taken > 0 {
                return Poll::Ready(());
            }
        }
    }

    /// Sends now, or queues behind what waits already. Gives back what it did neither with.
    pub(super) fn send(
        &mut self,
        datagram: Datagram,
        limit: usize,
    ) -> Result<(), (TransportError, Bytes)> {
        // RFC 3261 §18.1.1: "For UDP, this size is 65,535 bytes, including IP and UDP headers."
        if datagram.payload.len() > MAX_DATAGRAM {
            return Err((TransportError::TooLarge, datagram.payload));
        }
        if self.queue.is_empty() {
            match self.try_send(&datagram) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => {
                    return result.map_err(|error| (send_error(&error), datagram.payload));
                }
            }
        }
        let queued_bytes = self.queued_bytes.saturating_add(datagram.weight());
        if queued_bytes > limit {
            return Err((TransportError::QueueFull, datagram.payload));
        }
        self.queued_bytes = queued_bytes;
        self.queue.push_back(datagram);
        Ok(())
    }

    /// Bytes that wait, each datagram with some more than it has.
    pub(super) const fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Whether something waits for room in the system's buffer.
    pub(super) fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Sends what is queued as far as the system takes it, and registers the waker for the rest.
    pub(super) fn flush(
        &mut self,
        cx: &mut Context<'_>,
        mut failed: impl FnMut(Datagram, TransportError),
    ) {
        while let Some(datagram) = self.queue.front() {
            match self.socket.poll_send_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) | Poll::Pending => return,
            }
            let result = self.try_send(datagram);
            if matches!(&result, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
                continue; // readiness was cleared: register for more
            }
            let Some(datagram) = self.queue.pop_front() else { return };
            self.queued_bytes = self.queued_bytes.saturating_sub(datagram.weight());
            if let Err(error) = result {
                failed(datagram, send_error(&error));
            }
        }
    }

    // From the very socket that is listened on:
    // RFC 3261 §18.1.1: "For unreliable unicast transports, the client transport MUST be prepared to
    // receive responses on the source IP address from which the request is sent (as responses are
    // sent back to the source address) and the port number in the "sent-by" field."
    fn try_send(&self, datagram: &Datagram) -> io::Result<()> {
        if datagram.remote.ip().is_multicast() {
            self.set_ttl(datagram.ttl)?;
        }
        match self.socket.try_send_to(&datagram.payload, datagram.remote) {
            Ok(_) => Ok(()),
            // The system may report here what an ICMP error said of an earlier datagram to some
            // other host. This datagram was not sent then.
            Err(error) if is_of_an_earlier_send(&error) => {
                self.socket.try_send_to(&datagram.payload, datagram.remote).map(|_| ())
            }
            Err(error) => Err(error),
        }
    }

    fn set_ttl(&self, ttl: Option<u8>) -> io::Result<()> {
        // RFC 3261 §18.2.2: "If the address is a multicast address, the response SHOULD be sent
        // using the TTL indicated in the "ttl" parameter, or with a TTL of 1 if that parameter is
        // not present."
        let ttl = u32::from(ttl.unwrap_or(1));
        let socket = SockRef::from(&*self.socket);
        if self.socket.local_addr()?.is_ipv4() {
            socket.set_multicast_ttl_v4(ttl)
        } else {
            socket.set_multicast_hops_v6(ttl)
        }
    }
}

fn is_of_an_earlier_send(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

fn send_error(error: &io::Error) -> TransportError {
    const EMSGSIZE: i32 = if cfg!(target_os = "linux") { 90 } else { 40 };
    match error.raw_os_error() {
        Some(EMSGSIZE) if cfg!(unix) => TransportError::TooLarge,
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The system's buffer of a loopback socket is never full, so that the first datagram is put
    // into the queue by hand.
    #[tokio::test]
    async fn what_waits_is_bounded_and_goes_out_in_order() {
        let mut udp = Udp::bind("127.0.0.1:0".parse().unwrap(), &Config::default()).unwrap();
        let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let datagram = |text: &'static str, token| Datagram {
            remote: peer.local_addr().unwrap(),
            payload: Bytes::from_static(text.as_bytes()),
            ttl: None,
            token,
        };
        udp.queue.push_back(datagram("a", 1));
        let limit = 2 * (1 + QUEUE_OVERHEAD);
        assert_eq!(udp.send(datagram("b", 2), limit), Ok(()));
        assert_eq!(udp.send(datagram("c", 3), limit), Ok(()));
        let full = (TransportError::QueueFull, Bytes::from_static(b"d"));
        assert_eq!(udp.send(datagram("d", 4), limit), Err(full));
        std::future::poll_fn(|cx| {
            udp.flush(cx, |datagram, error| panic!("{datagram:?}: {error}"));
            if udp.queue.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        assert_eq!(udp.queued_bytes, 0);
        assert_eq!(udp.send(datagram("e", 5), limit), Ok(()));
        let mut buffer = [0; 10];
        for expected in ["a", "b", "c", "e"] {
            let len = peer.recv(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..len], expected.as_bytes());
        }
    }

    #[tokio::test]
    async fn the_buffers_asked_for_are_given_as_far_as_the_system_does() {
        let size = |bytes| {
            let config = Config::default().udp_receive_buffer(bytes).udp_send_buffer(bytes);
            let udp = Udp::bind("127.0.0.1:0".parse().unwrap(), &config).unwrap();
            let socket = SockRef::from(&*udp.socket);
            (socket.recv_buffer_size().unwrap(), socket.send_buffer_size().unwrap())
        };
        let (small, large) = (size(16 * 1024), size(128 * 1024));
        assert!(small.0 < large.0 && small.1 < large.1, "{small:?} {large:?}");
    }
}
