#![cfg(feature = "tls")]

use std::time::Duration;

use std::num::NonZeroU32;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{Semaphore, mpsc};

use super::super::connection::{Reported, Signals, Terms};
use super::super::octets::Octets;
use super::*;
use crate::ConnectionId;

/// A connection under test: what the shard holds of it, and the far end.
struct Rig {
    pipe: Arc<Pipe>,
    signals: Arc<Signals>,
    reports: mpsc::Receiver<Reported>,
    far: DuplexStream,
    ended: tokio::task::JoinHandle<Option<TransportError>>,
}

const LIMIT: usize = 4096;

fn rig(room: usize) -> Rig {
    let (near, far) = tokio::io::duplex(room);
    let (reports_sender, reports) = mpsc::channel(8);
    let signals = Arc::new(Signals::default());
    let config = Config::default();
    let id = ConnectionId::new(NonZeroU32::MIN);
    let task = Task {
        id,
        signals: Arc::clone(&signals),
        reports: reports_sender,
        share: Arc::new(Semaphore::new(config.inbound_per_peer)),
        terms: Arc::new(Terms::of(&config)),
    };
    let pipe = Arc::new(Pipe::default());
    let shared = Arc::clone(&pipe);
    let ended = tokio::spawn(async move {
        let mut octets = Octets::new(near, config.message_limits);
        serve(&task, &mut octets, &shared).await.unwrap()
    });
    Rig { pipe, signals, reports, far, ended }
}

impl Rig {
    fn send(&self, payload: &[u8], token: u64) -> Result<(), Outgoing> {
        let outgoing = Outgoing::new(Bytes::copy_from_slice(payload), token, None);
        self.pipe.push(outgoing, LIMIT)?;
        self.signals.to_write();
        Ok(())
    }

    async fn message(&mut self) -> Bytes {
        match self.reports.recv().await.map(|reported| reported.report) {
            Some(Report::Message { payload, .. }) => payload,
            other => panic!("{other:?}"),
        }
    }
}

const MESSAGE: &[u8] = b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 3\r\n\r\nabc";

#[tokio::test(start_paused = true)]
async fn messages_go_both_ways_in_order_however_they_are_cut() {
    let mut rig = rig(7);
    let far = async {
        let both = [MESSAGE, b"\r\n\r\n", MESSAGE].concat();
        rig.far.write_all(&both).await.unwrap();
        let mut back = vec![0; 2 * MESSAGE.len()];
        rig.far.read_exact(&mut back).await.unwrap();
        assert_eq!(back, [MESSAGE, MESSAGE].concat());
    };
    let near = async {
        for _ in 0..2 {
            let outgoing = Outgoing::new(Bytes::from_static(MESSAGE), 0, None);
            rig.pipe.push(outgoing, LIMIT).unwrap();
        }
        rig.signals.to_write();
        let mut seen = Vec::new();
        while seen.len() < 3 {
            seen.push(match rig.reports.recv().await.unwrap().report {
                Report::Message { payload, .. } => payload,
                Report::Ping { .. } => Bytes::from_static(b"ping"),
                // The first half of a ping that was cut in two.
                Report::Pong { .. } => continue,
                other => panic!("{other:?}"),
            });
        }
        assert_eq!(seen, [MESSAGE, b"ping", MESSAGE]);
    };
    tokio::join!(far, near);
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_bounded_in_bytes_and_handed_back_when_the_far_end_is_gone() {
    let mut rig = rig(16);
    let mut pushed = 0;
    while rig.send(MESSAGE, pushed + 1).is_ok() {
        pushed += 1;
        tokio::task::yield_now().await;
    }
    let weight = Outgoing::new(Bytes::from_static(MESSAGE), 0, None).weight();
    assert_eq!(pushed as usize, LIMIT / weight, "the one that is being written counts too");
    let mut first = vec![0; MESSAGE.len()];
    rig.far.read_exact(&mut first).await.unwrap();
    while rig.send(MESSAGE, pushed + 1).is_err() {
        tokio::task::yield_now().await;
    }
    drop(rig.far);
    assert_eq!(rig.ended.await.unwrap(), Some(TransportError::Closed));
    let tokens: Vec<_> = rig.pipe.take().into_iter().map(|outgoing| outgoing.token).collect();
    assert_eq!(tokens, (2..=pushed + 1).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn closing_writes_what_waits_first() {
    let mut rig = rig(16);
    rig.send(MESSAGE, 1).unwrap();
    rig.send(MESSAGE, 2).unwrap();
    rig.signals.close();
    let mut all = Vec::new();
    rig.far.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, [MESSAGE, MESSAGE].concat());
    drop(rig.far);
    assert_eq!(rig.ended.await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_longer_than_the_linger_time_for_who_does_not_read() {
    let rig = rig(16);
    rig.send(MESSAGE, 1).unwrap();
    rig.signals.close();
    let begun = Instant::now();
    assert_eq!(rig.ended.await.unwrap(), None);
    assert_eq!(begun.elapsed().as_secs(), Config::default().linger.as_secs());
    assert_eq!(rig.pipe.take().len(), 1, "not written wholly");
}

#[tokio::test(start_paused = true)]
async fn idle_and_incomplete_are_told_apart() {
    let idle = rig(64);
    let begun = Instant::now();
    assert_eq!(idle.ended.await.unwrap(), Some(TransportError::Idle));
    // The far end does not end its side.
    let Config { idle_timeout, linger, .. } = Config::default();
    assert_eq!(begun.elapsed().as_secs(), (idle_timeout + linger).as_secs());

    let mut slow = rig(64);
    let begun = Instant::now();
    while slow.far.write_all(b"O").await.is_ok() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(slow.ended.await.unwrap(), Some(TransportError::Incomplete));
    let Config { message_timeout, linger, .. } = Config::default();
    assert!(begun.elapsed() <= message_timeout + linger + Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_framed_leaves_time_for_one_answer() {
    let mut rig = rig(1024);
    rig.far.write_all(b"OPTIONS sip:a SIP/2.0\r\nContent-Length: -1\r\n\r\n").await.unwrap();
    let reported = rig.reports.recv().await.unwrap();
    assert!(matches!(reported.report, Report::Malformed { .. }));
    rig.send(MESSAGE, 1).unwrap();
    rig.signals.close();
    let mut all = Vec::new();
    rig.far.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, MESSAGE);
    drop(rig.far);
    assert_eq!(rig.ended.await.unwrap(), Some(TransportError::Malformed));
}

#[tokio::test(start_paused = true)]
async fn an_end_amid_a_message_is_an_error_and_between_two_is_none() {
    let mut between = rig(1024);
    between.far.write_all(MESSAGE).await.unwrap();
    assert_eq!(between.message().await, MESSAGE);
    drop(between.far);
    assert_eq!(between.ended.await.unwrap(), None);

    let mut amid = rig(1024);
    amid.far.write_all(b"OPTIONS sip:a SIP/2.0\r\nContent").await.unwrap();
    tokio::task::yield_now().await;
    drop(amid.far);
    assert_eq!(amid.ended.await.unwrap(), Some(TransportError::Closed));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_is_closed_even_while_more_is_sent() {
    let rig = rig(16);
    let begun = Instant::now();
    while !rig.ended.is_finished() {
        let _ = rig.send(MESSAGE, 1);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(rig.ended.await.unwrap(), Some(TransportError::Stalled));
    let stall = Config::default().stall_timeout;
    assert!((stall..stall + Duration::from_secs(2)).contains(&begun.elapsed()));

    let mut slow = self::rig(16);
    let begun = Instant::now();
    while begun.elapsed() < 2 * stall {
        let _ = slow.send(MESSAGE, 1);
        tokio::time::sleep(Duration::from_secs(1)).await;
        slow.far.read_u8().await.unwrap();
    }
    assert!(!slow.ended.is_finished(), "slow, and alive");
}
