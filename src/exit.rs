//! The exit codes of the program, and the failures with their error messages.

use std::{error::Error, fmt, process::ExitCode};

/// The reason why the program ended. Numbers from 64 on are those of BSD's `sysexits.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Something went wrong while running.
    Failed,
    /// The command line was wrong. clap uses the same number.
    Usage,
    /// The database is damaged or newer than this program, or its audit log was tampered with (`EX_DATAERR`).
    BadDatabase,
    /// An address or a database is in use by another process, or does not answer (`EX_UNAVAILABLE`).
    Unavailable,
    /// A folder or a file cannot be created or written (`EX_CANTCREAT`).
    CannotWrite,
    /// A setting is unknown or its value is bad (`EX_CONFIG`).
    BadSetting,
}

/// The table of exit codes in `--help`.
pub(crate) const EXIT_CODES: &str = "Exit codes:
  0   success
  1   something went wrong while running
  2   the command line is wrong
  65  the database is damaged or newer than this program, or its audit log was tampered with
  69  an address or a database is in use by another process, or does not answer
  73  a folder or a file cannot be created or written
  78  a setting is unknown, or its value is bad";

impl Exit {
    fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::BadDatabase => 65,
            Self::Unavailable => 69,
            Self::CannotWrite => 73,
            Self::BadSetting => 78,
        }
    }
}

/// A failure for the operator to read: what happened, and what to do about it.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    what: String,
    what_to_do: String,
}

/// The result of a command.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// Creates a failure. Both texts are given without a full stop.
    pub(crate) fn new(exit: Exit, what: impl fmt::Display, what_to_do: impl fmt::Display) -> Self {
        Self { exit, what: what.to_string(), what_to_do: what_to_do.to_string() }
    }

    /// Creates the failure for an error that should not happen. It shows the chain of causes.
    pub(crate) fn unexpected(doing: &str, cause: &dyn Error) -> Self {
        let what = format!("could not {doing}: {}", chain(cause));
        Self::new(Exit::Failed, what, "Run the command again with SMALLRUN_LOG=debug to see more")
    }

    /// Creates the failure for a path that cannot be written.
    pub(crate) fn writing(path: &std::path::Path, cause: &std::io::Error) -> Self {
        let what = format!("`{}` cannot be written: {cause}", path.display());
        Self::new(
            Exit::CannotWrite,
            what,
            "Make it writable for this user, or choose another folder with --data",
        )
    }

    /// Prints the error message and returns the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("error: {self}");
        ExitCode::from(self.exit.code())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {}.", self.what, self.what_to_do)
    }
}

/// Returns an error and its causes on one line, without repetitions.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.contains(&next_text) {
            text.push_str(": ");
            text.push_str(&next_text);
        }
        cause = next.source();
    }
    text
}
