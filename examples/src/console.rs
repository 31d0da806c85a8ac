//! Lines of output that never hold the protocol up.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use indicatif::{ProgressBar, ProgressStyle};

/// How many bytes may wait to be written. A reader that is slower than that loses lines.
const ROOM: usize = 1 << 20;

/// Prints to standard output from a thread of its own: whoever has a line to print never waits for who
/// reads it. Each line is written at once; under load many go in one write.
///
/// On a terminal a last line shows how far the work is.
#[derive(Debug)]
pub struct Console {
    shared: Arc<Shared>,
    quiet: bool,
    bar: ProgressBar,
    writer: Option<thread::JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    lost: u64,
    ended: bool,
}

impl Console {
    /// With `quiet`, [`event`](Self::event) prints nothing and costs nothing.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        let bar = if io::stdout().is_terminal() && io::stderr().is_terminal() {
            let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}");
            ProgressBar::new_spinner()
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        } else {
            ProgressBar::hidden()
        };
        let shared = Arc::<Shared>::default();
        let writer = {
            let (shared, bar) = (Arc::clone(&shared), bar.clone());
            thread::spawn(move || shared.write_all(&bar))
        };
        Self { shared, quiet, bar, writer: Some(writer) }
    }

    /// A line about something that happened.
    pub fn event(&self, line: fmt::Arguments<'_>) {
        if !self.quiet {
            self.line(line);
        }
    }

    /// A line that is printed even if it shall be quiet.
    pub fn line(&self, line: fmt::Arguments<'_>) {
        let mut state = self.shared.lock();
        if state.waiting.len() > ROOM {
            state.lost += 1;
            return;
        }
        let was_empty = state.waiting.is_empty();
        // Writing into memory does not fail.
        let _ = writeln!(state.waiting, "{line}");
        drop(state);
        if was_empty {
            self.shared.changed.notify_one();
        }
    }

    /// How far the work is, for the last line of a terminal.
    pub fn progress(&self, message: impl FnOnce() -> String) {
        if !self.bar.is_hidden() {
            self.bar.set_message(message());
            self.bar.tick();
        }
    }

    /// Writes what waits, and ends. Dropping it does the same.
    pub fn finish(self) {}
}

impl Drop for Console {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.changed.notify_one();
        if let Some(writer) = self.writer.take() {
            // It does not panic; and there would be nobody to tell.
            let _ = writer.join();
        }
        self.bar.finish_and_clear();
    }
}

impl Shared {
    fn write_all(&self, bar: &ProgressBar) {
        let mut batch = Vec::new();
        loop {
            let mut state = self.lock();
            while state.waiting.is_empty() && !state.ended {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.waiting.is_empty() {
                return; // ended, and all is written
            }
            std::mem::swap(&mut batch, &mut state.waiting);
            let lost = std::mem::take(&mut state.lost);
            drop(state);
            if lost > 0 {
                let _ = writeln!(batch, "({lost} lines lost: standard output is read too slowly)");
            }
            // Nobody reads any more: that is no reason to stop taking calls.
            let _ = bar.suspend(|| {
                let mut out = io::stdout().lock();
                out.write_all(&batch)?;
                out.flush()
            });
            batch.clear();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole at every step: see `line`.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
