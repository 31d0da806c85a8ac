use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::{CAPACITY, Letter, Mailbox};

/// A waker that counts.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn read(mailbox: &Mailbox<u32, &'static str>) -> Poll<Option<Letter<u32, &'static str>>> {
    mailbox.poll_next(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn events_come_in_order_and_the_end_comes_last_and_once() {
    let mailbox = Mailbox::new();
    assert_eq!(mailbox.offer(1), Ok(()));
    mailbox.push(2);
    mailbox.end("bye");
    mailbox.end("late");
    assert_eq!(mailbox.offer(3), Err(3), "nothing comes after the end");
    mailbox.push(4);
    assert_eq!(read(&mailbox), Poll::Ready(Some(Letter::Event(1))));
    assert_eq!(read(&mailbox), Poll::Ready(Some(Letter::Event(2))));
    assert_eq!(read(&mailbox), Poll::Ready(Some(Letter::End("bye"))));
    assert_eq!(read(&mailbox), Poll::Ready(None));
    assert_eq!(mailbox.ended(), Some("bye"), "who asks later is told too");
}

#[test]
fn a_full_mailbox_counts_what_it_drops_and_still_has_room_for_what_matters() {
    let mailbox = Mailbox::new();
    for event in 0..CAPACITY as u32 {
        assert_eq!(mailbox.offer(event), Ok(()));
    }
    assert_eq!(mailbox.offer(1_000), Err(1_000));
    assert_eq!(mailbox.offer(1_001), Err(1_001));
    assert_eq!(mailbox.dropped(), 2);
    mailbox.push(2_000);
    mailbox.end("bye");
    let mut seen = Vec::new();
    while let Poll::Ready(Some(letter)) = read(&mailbox) {
        seen.push(letter);
    }
    let expected =
        (0..CAPACITY as u32).chain([2_000]).map(Letter::Event).chain([Letter::End("bye")]);
    assert_eq!(seen, expected.collect::<Vec<_>>());
}

#[test]
fn the_latest_reader_is_woken_by_an_event_and_by_the_end() {
    let mailbox: Mailbox<u32, &str> = Mailbox::new();
    let (first, second) = (Arc::new(Count::default()), Arc::new(Count::default()));
    for count in [&first, &second] {
        let waker = Waker::from(Arc::clone(count));
        assert_eq!(mailbox.poll_next(&mut Context::from_waker(&waker)), Poll::Pending);
    }
    mailbox.push(1);
    assert_eq!((first.0.load(Ordering::Relaxed), second.0.load(Ordering::Relaxed)), (0, 1));
    mailbox.push(2);
    assert_eq!(second.0.load(Ordering::Relaxed), 1, "nobody waits: nobody is woken");
    assert!(read(&mailbox).is_ready() && read(&mailbox).is_ready());
    let waker = Waker::from(Arc::clone(&second));
    assert_eq!(mailbox.poll_next(&mut Context::from_waker(&waker)), Poll::Pending);
    mailbox.end("bye");
    assert_eq!(second.0.load(Ordering::Relaxed), 2);
}

#[test]
fn where_the_latest_counts_the_oldest_go() {
    let mailbox: Mailbox<u32, &str> = Mailbox::new();
    for event in 0..CAPACITY as u32 + 2 {
        mailbox.push_latest(event);
    }
    assert_eq!(read(&mailbox), Poll::Ready(Some(Letter::Event(2))));
    assert_eq!(mailbox.dropped(), 2);
}
