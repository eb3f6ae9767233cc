//! The lines that a child writes, kept for asserting and for the message when it fails.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Which of a child's two streams a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line of a child, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The stream on which it came.
    pub source: Source,
    /// Its text.
    pub text: String,
}

/// All lines of a child since its first start, those of both streams in the order in which they were read.
#[derive(Clone, Default)]
pub struct Log {
    shared: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    lines: Vec<Line>,
    /// Streams that are still open; none: nothing will follow.
    open: usize,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("lines", &self.len()).finish()
    }
}

impl Log {
    /// The number of lines up to now: a mark from which [`Log::wait_for`] can begin.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().lines.len()
    }

    /// Whether nothing was written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All lines up to now.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        self.lock().lines.clone()
    }

    /// All lines up to now as one text.
    #[must_use]
    pub fn text(&self) -> String {
        join(&self.lock().lines)
    }

    /// The first line from mark `from` on that `wanted` accepts, if it comes within `deadline`. Ends early when the
    /// child has closed its streams.
    pub fn wait_for(
        &self,
        from: usize,
        deadline: Duration,
        mut wanted: impl FnMut(&Line) -> bool,
    ) -> Option<String> {
        let end = Instant::now() + deadline;
        let (_, changed) = &*self.shared;
        let mut state = self.lock();
        let mut next = from;
        loop {
            while let Some(line) = state.lines.get(next) {
                if wanted(line) {
                    return Some(line.text.clone());
                }
                next += 1;
            }
            let left = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            if state.open == 0 {
                return None;
            }
            state = changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The last lines, for a message.
    pub(crate) fn tail(&self) -> String {
        let state = self.lock();
        join(&state.lines[state.lines.len().saturating_sub(30)..])
    }

    /// Collects a stream until its end, on a thread of its own.
    pub(crate) fn collect(&self, source: Source, stream: impl Read + Send + 'static) {
        self.lock().open += 1;
        let log = self.clone();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut bytes = Vec::new();
            while reader.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
                let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
                bytes.clear();
                log.lock().lines.push(Line { source, text });
                log.shared.1.notify_all();
            }
            log.lock().open -= 1;
            log.shared.1.notify_all();
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn join(lines: &[Line]) -> String {
    lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n")
}
