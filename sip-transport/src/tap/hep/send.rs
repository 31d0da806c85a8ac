//! The tasks that work the queue off: a datagram for each message, or a connection for all of them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::packet::encode;
use super::{Seen, Shared};
use crate::MAX_DATAGRAM;
use crate::tap::wall::Wall;

/// What waits, and how it is to be sent.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) waiting: mpsc::UnboundedReceiver<Seen>,
    pub(super) shared: Arc<Shared>,
    pub(super) wall: Wall,
    pub(super) agent: u32,
}

/// How long a connection may take to open, or to take anything of what is written to it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The pause before the first new attempt to connect; each that follows is twice as long.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause between two attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Messages that are written at once.
const BATCH: usize = 64;

/// The longest packet: its length is a number of 16 bits.
const LONGEST_PACKET: usize = u16::MAX as usize;

impl Sender {
    /// A datagram for each message.
    pub(super) async fn by_datagrams(mut self, socket: UdpSocket) {
        while let Some(seen) = self.waiting.recv().await {
            let packet = encode(&seen, self.wall, self.agent);
            let result = match packet.len() <= MAX_DATAGRAM {
                true => socket.send(&packet).await.map(|_| ()),
                false => Err(io::ErrorKind::InvalidInput.into()),
            };
            match result {
                Ok(()) => self.shared.sent.fetch_add(1, Ordering::Relaxed),
                Err(error) => {
                    tracing::debug!(%error, "not sent to the collector");
                    self.shared.dropped.fetch_add(1, Ordering::Relaxed)
                }
            };
            self.shared.leave(&seen);
        }
    }

    /// All messages over a connection, and over another one when that ends.
    pub(super) async fn by_connections(mut self, collector: SocketAddr) {
        let mut batch = Batch::default();
        let mut pause = FIRST_PAUSE;
        loop {
            let result = match timeout(PATIENCE, TcpStream::connect(collector)).await {
                Ok(Ok(stream)) => {
                    self.shared.connections.fetch_add(1, Ordering::Relaxed);
                    tracing::debug!(%collector, "connected to the collector");
                    self.write_to(stream, &mut batch, &mut pause).await
                }
                Ok(Err(error)) => Err(error),
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            };
            let Err(error) = result else { return };
            tracing::debug!(%collector, %error, ?pause, "no connection to the collector");
            // Nobody taps any more: the collector had its last chance.
            if self.waiting.is_closed() {
                return self.give_up(batch);
            }
            sleep(pause).await;
            pause = longer(pause);
        }
    }

    /// Writes until there is nothing more to come, which is the end of the connection, or it breaks.
    async fn write_to(
        &mut self,
        mut stream: TcpStream,
        batch: &mut Batch,
        pause: &mut Duration,
    ) -> io::Result<()> {
        batch.begin_anew();
        loop {
            if batch.seen.is_empty() && !self.fill(batch).await {
                let _ = timeout(PATIENCE, stream.shutdown()).await;
                return Ok(());
            }
            look_at(&stream)?;
            while let Some(rest) = batch.bytes.get(batch.written..).filter(|rest| !rest.is_empty())
            {
                let write = stream.write(rest);
                match timeout(PATIENCE, write).await.map_err(|_| io::ErrorKind::TimedOut)?? {
                    0 => return Err(io::ErrorKind::WriteZero.into()),
                    written => batch.written = batch.written.saturating_add(written),
                }
                self.count_written(batch);
            }
            // Only who takes something has a new start: not who accepts and closes.
            *pause = FIRST_PAUSE;
        }
    }

    /// Takes what waits, or waits for it; whether more may come.
    async fn fill(&mut self, batch: &mut Batch) -> bool {
        if self.waiting.recv_many(&mut batch.seen, BATCH).await == 0 {
            return false;
        }
        let (wall, agent, shared) = (self.wall, self.agent, &self.shared);
        let Batch { seen, bytes, ends, .. } = batch;
        seen.retain(|seen| {
            let packet = encode(seen, wall, agent);
            let fits = packet.len() <= LONGEST_PACKET;
            if fits {
                bytes.extend_from_slice(&packet);
                ends.push(bytes.len());
            } else {
                shared.dropped.fetch_add(1, Ordering::Relaxed);
                shared.leave(seen);
            }
            fits
        });
        true
    }

    fn count_written(&self, batch: &mut Batch) {
        let whole = batch.ends.partition_point(|&end| end <= batch.written);
        let new = whole.saturating_sub(batch.whole);
        batch.whole = whole;
        self.shared.sent.fetch_add(u64::try_from(new).unwrap_or(0), Ordering::Relaxed);
        if whole == batch.seen.len() {
            for seen in batch.seen.drain(..) {
                self.shared.leave(&seen);
            }
            batch.bytes.clear();
            batch.ends.clear();
            (batch.written, batch.whole) = (0, 0);
        }
    }

    fn give_up(mut self, batch: Batch) {
        let mut lost = batch.seen.len().saturating_sub(batch.whole);
        while self.waiting.try_recv().is_ok() {
            lost = lost.saturating_add(1);
        }
        self.shared.dropped.fetch_add(u64::try_from(lost).unwrap_or(0), Ordering::Relaxed);
    }
}

/// The pause after that one.
pub(super) fn longer(pause: Duration) -> Duration {
    pause.saturating_mul(2).min(LONGEST_PAUSE)
}

/// Messages that are being written.
#[derive(Debug, Default)]
struct Batch {
    seen: Vec<Seen>,
    /// Their packets.
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
    /// How many bytes are written.
    written: usize,
    /// How many packets are.
    whole: usize,
}

impl Batch {
    /// On a new connection: the packet that was cut short goes again from its begin.
    fn begin_anew(&mut self) {
        let last = self.whole.checked_sub(1).and_then(|last| self.ends.get(last));
        self.written = last.copied().unwrap_or(0);
    }
}

/// Whether the collector has closed the connection, which a write would be the last to notice. What it
/// says is not for us.
fn look_at(stream: &TcpStream) -> io::Result<()> {
    let mut scrap = [0; 256];
    loop {
        match stream.try_read(&mut scrap) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
