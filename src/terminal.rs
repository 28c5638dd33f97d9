//! Output for the person who started the program: progress on standard error, results on standard output.

use std::{
    io::{IsTerminal, Write},
    time::Instant,
};

/// A long step. Its name is printed when it begins; `done` and the time it took are printed when it ends.
pub(crate) struct Step {
    name: String,
    began: Instant,
    rewrites: bool,
}

impl Step {
    /// Prints that the step begins.
    pub(crate) fn begin(name: impl Into<String>) -> Self {
        let step =
            Self { name: name.into(), began: Instant::now(), rewrites: std::io::stderr().is_terminal() };
        if step.rewrites {
            eprint!("{} … ", step.name);
            let _nobody_watches = std::io::stderr().flush();
        }
        step
    }

    /// Prints the progress of the step. Does so only on a terminal, where the line can be overwritten.
    pub(crate) fn at(&self, done: usize, of: usize) {
        if self.rewrites {
            eprint!("\r\x1b[K{} … {done} of {of} ", self.name);
            let _nobody_watches = std::io::stderr().flush();
        }
    }

    /// Prints that the step is done.
    pub(crate) fn done(self) {
        self.done_with("done");
    }

    /// Prints that the step has ended, with its result.
    pub(crate) fn done_with(self, what: &str) {
        let took = self.began.elapsed().as_secs_f32();
        let took = if took < 1.0 { String::new() } else { format!(" in {took:.1} s") };
        let again = if self.rewrites { "\r\x1b[K" } else { "" };
        eprintln!("{again}{} … {what}{took}", self.name);
    }
}

/// Writes a result to standard output. A closed pipe (`smallrun schema | head`) is not an error.
pub(crate) fn answer(text: &str) {
    let mut out = std::io::stdout().lock();
    let _reader_went_away = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
