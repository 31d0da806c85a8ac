//! A registration's handle.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Stopped;
use super::command::{Command, Line, Release};
use super::mailbox::{Letter, Mailbox};
use crate::{RegistrationEvent, RegistrationFailure, RegistrationKey};

/// What a registration's handle shares with the shard.
#[derive(Debug)]
pub(super) struct RegistrationBox {
    key: RegistrationKey,
    registered: AtomicBool,
    mail: Mailbox<RegistrationEvent, RegistrationEvent>,
}

impl RegistrationBox {
    pub(super) fn new(key: RegistrationKey) -> Arc<Self> {
        Arc::new(Self { key, registered: AtomicBool::new(false), mail: Mailbox::new() })
    }

    /// Posts an event; gives whether it is the last.
    pub(super) fn post(&self, event: RegistrationEvent) -> bool {
        let registered = matches!(event, RegistrationEvent::Registered { .. });
        self.registered.store(registered, Ordering::Relaxed);
        let last = is_last(&event);
        if last {
            self.mail.end(event);
        } else {
            // Who has not looked for days wants to know how it is, not how it was.
            self.mail.push_latest(event);
        }
        last
    }

    /// The shard has ended.
    pub(super) fn stop(&self) {
        self.post(RegistrationEvent::Unregistered { confirmed: false });
    }
}

/// Whether nothing follows.
fn is_last(event: &RegistrationEvent) -> bool {
    match event {
        RegistrationEvent::Registered { .. } => false,
        RegistrationEvent::Failed { retry_in, .. } => retry_in.is_none(),
        RegistrationEvent::Unregistered { .. } => true,
    }
}

/// A binding at a registrar that is kept alive: see [`UserAgent::register`](crate::UserAgent::register).
///
/// It is refreshed before it expires, and tried again with growing pauses when an attempt fails, whether or
/// not anyone asks for events. At most 64 events wait; then the oldest go.
///
/// **Dropping it un-registers**, in the background.
#[derive(Debug)]
pub struct Registration {
    registration: Arc<RegistrationBox>,
    line: Arc<Line>,
    /// What its drop means.
    release: fn(RegistrationKey) -> Release,
}

impl Registration {
    pub(super) fn new(registration: Arc<RegistrationBox>, line: Arc<Line>) -> Self {
        Self { registration, line, release: Release::Registration }
    }

    /// The next event; `None` after the last, which is `Unregistered` or a `Failed` that is not tried again.
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<RegistrationEvent> {
        match poll_fn(|cx| self.registration.mail.poll_next(cx)).await? {
            Letter::Event(event) | Letter::End(event) => Some(event),
        }
    }

    /// Waits until the registrar has answered, one way or the other; gives the life of the binding.
    ///
    /// # Errors
    ///
    /// [`RegistrationFailure`] of the first attempt that fails. The next one may be on its way: see
    /// [`next`](Self::next).
    pub async fn registered(&mut self) -> Result<Duration, RegistrationFailure> {
        loop {
            match self.next().await {
                Some(RegistrationEvent::Registered { expires }) => return Ok(expires),
                Some(RegistrationEvent::Failed { reason, .. }) => return Err(reason),
                Some(RegistrationEvent::Unregistered { .. }) => {}
                None => return Err(RegistrationFailure::NoBinding),
            }
        }
    }

    /// Whether the registrar held the binding at last report.
    pub fn is_registered(&self) -> bool {
        self.registration.registered.load(Ordering::Relaxed)
    }

    /// Refreshes the binding now: after the network has changed, say.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if the user agent has shut down.
    pub async fn refresh(&self) -> Result<(), Stopped> {
        let registration = self.registration.key;
        match self.line.send(Command::Refresh { registration })? {
            Some(wait) => wait.await,
            None => Ok(()),
        }
    }

    /// Lets the registration go and leaves the binding as it is: it is refreshed no more and runs out by
    /// itself.
    pub fn leave(mut self) {
        self.release = Release::Leave;
    }

    /// Removes the binding and waits until that is done. Gives whether the registrar confirmed it; if not,
    /// the binding runs out by itself.
    pub async fn unregister(mut self) -> bool {
        self.line.release(Release::Unregister(self.registration.key));
        let mut confirmed = false;
        while let Some(event) = self.next().await {
            confirmed = matches!(event, RegistrationEvent::Unregistered { confirmed: true });
        }
        confirmed
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.line.release((self.release)(self.registration.key));
    }
}
