//! The limits and times of the sockets.

use core::time::Duration;

use sip_message::Limits;

/// One field, which a feature may bring: its setter with the same documentation, and a place in [`Config`].
macro_rules! config {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:expr $(, in $feature:literal)?;)*) => {
        /// The limits and times of [`Sockets`](crate::Sockets). Every queue and table is bounded by
        /// one of them.
        ///
        /// ```
        /// use std::time::Duration;
        /// let config = sip_transport::Config::default()
        ///     .connections(500)
        ///     .idle_timeout(Duration::from_secs(120));
        /// assert_eq!(config.connections, 500);
        /// ```
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub struct Config {
            $($(#[$doc])* $(#[cfg(feature = $feature)])? pub $name: $type,)*
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $($(#[cfg(feature = $feature)])? $name: $default,)* }
            }
        }

        impl Config {
            $($(#[$doc])*
            $(#[cfg(feature = $feature)])?
            #[must_use]
            pub fn $name(mut self, $name: $type) -> Self {
                self.$name = $name;
                self
            })*
        }
    };
}

config! {
    /// How large messages, heads and header fields may be. A larger datagram is dropped, a larger
    /// message on a stream is malformed.
    message_limits: Limits = Limits::default();

    /// Connections open or opening at once, in all; 10,000. For one more, one that is idle is closed
    /// with the error `Idle`: the oldest of those that have carried no message for a second since
    /// they came in, else the one that has been idle the longest, if that is as long as `spare_after`
    /// and nothing is owed on it. If there is none, an incoming one is closed at once and an
    /// outgoing one fails with `TooManyConnections`.
    connections: usize = 10_000;

    /// How long a connection that carried messages must have been idle before another may take its
    /// place; 32 s, which is 64·T1, when the transactions on it have ended.
    spare_after: Duration = Duration::from_secs(32);

    /// Connections open or opening at once with one IP address; 1,000. Beyond it an incoming one is
    /// closed at once and an outgoing one fails with `TooManyConnections`: those that the address has
    /// go on.
    connections_per_peer: usize = 1_000;

    /// How long a connection stays open with nothing sent or received; 300 s. It closes after this
    /// and before twice this. At least 64·T1 (32 s) lets a transaction end on the connection that
    /// it began on (RFC 3261 §18).
    idle_timeout: Duration = Duration::from_secs(300);

    /// How long a message on a stream may take from its first byte to its last; 30 s. Then the
    /// connection is closed.
    message_timeout: Duration = Duration::from_secs(30);

    /// How long a connection may take no byte of what waits to be written to it; 30 s. Then it is
    /// closed with the error `Stalled`.
    stall_timeout: Duration = Duration::from_secs(30);

    /// How long to wait for a connection to open; 10 s.
    connect_timeout: Duration = Duration::from_secs(10);

    /// How long the handshakes above TCP (TLS, WebSocket) may take, from the open connection to the
    /// last of them; 10 s. Then the connection is closed.
    handshake_timeout: Duration = Duration::from_secs(10);

    /// Accepted connections whose handshakes are under way at once; 1,000. With one more, the oldest
    /// of them is closed: who answers at once is through by then.
    handshakes: usize = 1_000;

    /// How long a connection that we close may take to send what is queued and see the far end
    /// close too; 2 s.
    linger: Duration = Duration::from_secs(2);

    /// Bytes that wait to be written to one connection; 256 KiB, where each message counts 64
    /// bytes more than it has. Beyond it a message fails with `QueueFull`.
    write_queue_bytes: usize = 256 * 1024;

    /// Messages from all streams that wait to be taken in; 1,024. Beyond it the connections are
    /// not read, so that the far ends slow down.
    inbound_queue: usize = 1024;

    /// Messages from the streams of one IP address that wait to be taken in; 32. Beyond it its connections
    /// are not read, and take turns, so that nobody waits behind more than this of anybody else's.
    inbound_per_peer: usize = 32;

    /// Bytes that wait to be sent by one UDP socket while the system's buffer is full; 1 MiB, where
    /// each datagram counts 64 bytes more than it has. Beyond it a message fails with `QueueFull`.
    udp_queue_bytes: usize = 1024 * 1024;

    /// Units a second, and at once, that a source may use up (an IPv4 address, or the /64 network of an
    /// IPv6 address); 50,000, which is far more than an honest one needs. A datagram, an incoming
    /// connection and a message on it cost one, a bad message `bad_message_weight`. Beyond it datagrams are
    /// dropped unread, new connections closed at once, and open ones not read for a moment. 0 sets no limit; a [`Gate`](crate::Gate) exempts
    /// those who are trusted.
    source_rate: u32 = 50_000;

    /// What a message that is no SIP, or that had to be refused as malformed, costs of
    /// `source_rate`; 50, so that 1,000 a second are looked at.
    bad_message_weight: u32 = 50;

    /// The system's receive buffer to ask for, for each UDP socket, in bytes; 4 MiB, so that a
    /// burst is not lost while the task does not run. The system may give less (on Linux
    /// `net.core.rmem_max`).
    udp_receive_buffer: usize = 4 * 1024 * 1024;

    /// The system's send buffer to ask for, for each UDP socket, in bytes; 1 MiB.
    udp_send_buffer: usize = 1024 * 1024;

    /// Datagrams taken from one UDP socket, and connections accepted from one TCP socket, before
    /// they are worked off and the others have their turn; 1. More finds the socket empty sooner and
    /// so sleeps more often: with SIPp's calls, 16 cost a fifth more CPU than 1.
    receive_batch: usize = 1;

    /// Whether each UDP address is listened on for TCP too, as RFC 3261 §18.2.1 demands; true.
    tcp_beside_udp: bool = true;

    /// How WebSocket is spoken: whom a server lets in, what a client asks for, pings.
    ws: crate::WsConfig = crate::WsConfig::default(), in "ws";

    /// What TLS is set up with: our certificates and whom we trust. Without it there is no TLS.
    tls: Option<crate::tls::Tls> = None, in "tls";
}
