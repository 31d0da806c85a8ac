//! The sockets under test, and what the tests send them.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use sip_message::Transport;
use sip_transport::{
    Config, ConnectionId, Destination, Flow, Input, Sockets, Target, Transmit, TransportError,
};
use tokio::time::timeout;

/// Sockets under test with what they said and nobody asked for yet.
pub(crate) struct Node {
    pub(crate) sockets: Sockets,
    pub(crate) inputs: VecDeque<Input>,
}

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

impl Node {
    pub(crate) fn bind(addrs: &[&str], config: Config) -> Self {
        let addrs: Vec<_> = addrs.iter().map(|addr| addr.parse().unwrap()).collect();
        Self { sockets: Sockets::bind(&addrs, config).unwrap(), inputs: VecDeque::new() }
    }

    pub(crate) fn addr(&self, transport: Transport) -> SocketAddr {
        self.sockets.locals().first(transport).unwrap().addr
    }

    /// The next input.
    pub(crate) async fn next(&mut self) -> Input {
        timeout(PATIENCE, self.wait()).await.expect("an input")
    }

    pub(crate) async fn wait(&mut self) -> Input {
        let mut inputs = Vec::new();
        while self.inputs.is_empty() {
            poll_fn(|cx| self.sockets.poll_recv(cx, &mut inputs)).await;
            self.inputs.extend(inputs.drain(..));
        }
        self.inputs.pop_front().unwrap()
    }

    /// Drives the sockets for a while and asserts that they say nothing.
    pub(crate) async fn quiet(&mut self, time: Duration) {
        if let Ok(input) = timeout(time, self.wait()).await {
            panic!("unexpected {input:?}");
        }
    }

    /// Drives the sockets while `other` goes on.
    pub(crate) async fn with<T>(&mut self, other: impl Future<Output = T>) -> T {
        let mut other = std::pin::pin!(other);
        let both = poll_fn(|cx| {
            let mut inputs = Vec::new();
            while self.sockets.poll_recv(cx, &mut inputs).is_ready() {}
            self.inputs.extend(inputs);
            other.as_mut().poll(cx)
        });
        timeout(PATIENCE, both).await.expect("no answer in time")
    }

    /// The next input but the pongs: line ends between messages are passed over.
    async fn next_but_pongs(&mut self) -> Input {
        loop {
            match self.next().await {
                Input::Pong { .. } => {}
                input => return input,
            }
        }
    }

    pub(crate) async fn message(&mut self) -> (Flow, Bytes) {
        match self.next_but_pongs().await {
            Input::Datagram { flow, payload } | Input::Message { flow, payload } => (flow, payload),
            other => panic!("no message: {other:?}"),
        }
    }

    pub(crate) fn send(&mut self, destination: Destination, payload: &[u8], token: u64) {
        let payload = Bytes::copy_from_slice(payload);
        self.sockets.send(Transmit { destination, fallback: None, payload, token, domain: None });
    }

    pub(crate) fn send_tcp(&mut self, remote: SocketAddr, payload: &[u8], token: u64) {
        let target = Target::new(Transport::Tcp, remote);
        self.send(Destination::Target(target), payload, token);
    }

    pub(crate) async fn failure(&mut self) -> (u64, TransportError) {
        match self.next().await {
            Input::SendFailed { token, error, .. } => (token, error),
            other => panic!("no failure: {other:?}"),
        }
    }

    pub(crate) async fn closed(&mut self) -> (ConnectionId, Option<TransportError>) {
        match self.next_but_pongs().await {
            Input::Closed { flow, error } => (flow.connection.unwrap(), error),
            other => panic!("not closed: {other:?}"),
        }
    }
}

pub(crate) fn options(number: usize) -> Vec<u8> {
    request(number, "")
}

pub(crate) fn request(number: usize, body: &str) -> Vec<u8> {
    format!(
        "OPTIONS sip:b@example.com SIP/2.0\r\nVia: SIP/2.0/TCP a.example.com;branch=z9hG4bK{number}\r\n\
         CSeq: {number} OPTIONS\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

pub(crate) const RESPONSE: &[u8] = b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n";
