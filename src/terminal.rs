//! What the program says to the person who started it: progress on the error stream, answers on the output.

use std::{
    io::{IsTerminal, Write},
    time::Instant,
};

/// A long step: its name now, `done` and how long it took when it ends.
pub(crate) struct Step {
    name: String,
    began: Instant,
    rewrites: bool,
}

impl Step {
    /// Says that the step begins.
    pub(crate) fn begin(name: impl Into<String>) -> Self {
        let step =
            Self { name: name.into(), began: Instant::now(), rewrites: std::io::stderr().is_terminal() };
        if step.rewrites {
            eprint!("{} … ", step.name);
            let _nobody_watches = std::io::stderr().flush();
        }
        step
    }

    /// Says how far it is; on a terminal only, where the line can be written over.
    pub(crate) fn at(&self, done: usize, of: usize) {
        if self.rewrites {
            eprint!("\r\x1b[K{} … {done} of {of} ", self.name);
            let _nobody_watches = std::io::stderr().flush();
        }
    }

    /// Says that the step is done.
    pub(crate) fn done(self) {
        self.done_with("done");
    }

    /// Says that the step is done, and what came of it.
    pub(crate) fn done_with(self, what: &str) {
        let took = self.began.elapsed().as_secs_f32();
        let took = if took < 1.0 { String::new() } else { format!(" in {took:.1} s") };
        let again = if self.rewrites { "\r\x1b[K" } else { "" };
        eprintln!("{again}{} … {what}{took}", self.name);
    }
}

/// Writes an answer to the output. A reader that went away (`smallrun schema | head`) is no failure.
pub(crate) fn answer(text: &str) {
    let mut out = std::io::stdout().lock();
    let _reader_went_away = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
