use std::sync::atomic::AtomicUsize;

use super::*;

/// Counts how often a task is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// The sources that are asked in one turn; each keeps its waker and has nothing.
fn turn(set: &mut ReadySet, task: &Waker, kept: &mut [Option<Waker>]) -> Vec<usize> {
    set.begin(&Context::from_waker(task));
    let mut asked = Vec::new();
    for (source, kept) in kept.iter_mut().enumerate() {
        let _: Poll<()> = set.poll(source, |cx| {
            asked.push(source);
            *kept = Some(cx.waker().clone());
            Poll::Pending
        });
    }
    asked
}

#[test]
fn only_who_woke_the_task_is_asked() {
    let count = Arc::new(Count::default());
    let task = Waker::from(Arc::clone(&count));
    let (mut set, mut kept) = (ReadySet::new(3), [const { None }; 3]);
    assert_eq!(turn(&mut set, &task, &mut kept), [0, 1, 2]);
    assert_eq!(turn(&mut set, &task, &mut kept), [] as [usize; 0]);
    kept[1].as_ref().unwrap().wake_by_ref();
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
    assert_eq!(turn(&mut set, &task, &mut kept), [1]);
    // The task is woken once for all that is to be asked in its next turn.
    kept[0].take().unwrap().wake();
    kept[2].take().unwrap().wake();
    assert_eq!(count.0.load(Ordering::SeqCst), 2);
    assert_eq!(turn(&mut set, &task, &mut kept), [0, 2]);
}

#[test]
fn who_had_something_or_is_marked_is_asked_again() {
    let mut set = ReadySet::new(2);
    let task = Waker::noop();
    set.begin(&Context::from_waker(task));
    assert_eq!(set.poll(0, |_| Poll::Ready(1)), Poll::Ready(1));
    assert_eq!(set.poll(0, |_| Poll::Ready(2)), Poll::Ready(2));
    assert_eq!(set.poll(0, |_| Poll::<u8>::Pending), Poll::Pending);
    assert_eq!(set.poll(0, |_| Poll::Ready(3)), Poll::Pending, "not asked");
    set.mark(0);
    assert_eq!(set.poll(0, |_| Poll::Ready(4)), Poll::Ready(4));
}

#[test]
fn a_source_wakes_the_task_that_asked_last() {
    let (first, second) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let (mut set, mut kept) = (ReadySet::new(1), [None]);
    turn(&mut set, &Waker::from(Arc::clone(&first)), &mut kept);
    turn(&mut set, &Waker::from(Arc::clone(&second)), &mut kept);
    kept[0].take().unwrap().wake();
    assert_eq!((first.0.load(Ordering::SeqCst), second.0.load(Ordering::SeqCst)), (0, 1));
}

#[test]
fn beyond_64_sources_none_is_forgotten() {
    let task = Waker::noop();
    let (mut set, mut kept) = (ReadySet::new(70), [const { None }; 70]);
    assert_eq!(turn(&mut set, task, &mut kept).len(), 70);
    kept[69].take().unwrap().wake();
    assert!(turn(&mut set, task, &mut kept).contains(&69));
    kept[5].take().unwrap().wake();
    assert!(turn(&mut set, task, &mut kept).contains(&5));
}
