//! Reads a secret: from the terminal without echo, or as one line of standard input.

use std::io::{self, BufRead, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// The maximum number of bytes that are read for a secret. The rest of a longer line is ignored.
const BYTES_MAX: u64 = 4096;

/// Returns whether standard input is a terminal, so that the user can be asked a question.
pub(crate) fn is_interactive() -> bool {
    io::stdin().is_terminal()
}

/// Reads one line of standard input, without its line ending.
pub(crate) fn read_line() -> io::Result<String> {
    let mut line = String::new();
    io::Read::take(io::stdin().lock(), BYTES_MAX).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Asks a question on the terminal and reads the answer without echo.
pub(crate) fn ask_secret(question: &str) -> io::Result<String> {
    eprint!("{question} ");
    io::stderr().flush()?;
    let echo_off = EchoOff::begin()?;
    let answer = read_line();
    drop(echo_off);
    eprintln!();
    answer
}

/// Switches the terminal's echo off until the value is dropped. Contains the settings to restore.
struct EchoOff(Termios);

impl EchoOff {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for EchoOff {
    fn drop(&mut self) {
        let _terminal_went_away = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}
