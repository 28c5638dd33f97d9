//! `smallrun faults`: lists the points at which a test build can be made to fail. `SMALLRUN_FAULT` arms them.

use std::fmt::Write as _;

use domain::platform::faults::{self, COMPILED_IN, FaultError, Point};

use crate::{
    exit::{Exit, Failure, Outcome},
    terminal,
};

const VARIABLE: &str = "SMALLRUN_FAULT";
const HOW_TO_BUILD: &str = "Use a test build: `cargo build --features faults`";

/// Prints the fault points with what each follows.
pub(super) fn run() -> Outcome {
    if !COMPILED_IN {
        return Err(Failure::new(Exit::Usage, FaultError::NotCompiledIn, HOW_TO_BUILD));
    }
    let width = Point::ALL.iter().map(|point| point.name().len()).max().unwrap_or(0);
    let mut text = String::new();
    for point in Point::ALL {
        let _fits = writeln!(text, "{name:<width$}  {about}", name = point.name(), about = point.about());
    }
    terminal::answer(&text);
    Ok(())
}

/// Arms the fault points named in the variable `SMALLRUN_FAULT`, if it is set.
pub(super) fn arm() -> Outcome {
    let Some(text) = std::env::var_os(VARIABLE) else { return Ok(()) };
    faults::arm(&text.to_string_lossy()).map_err(|error| {
        let todo = match error {
            FaultError::NotCompiledIn => HOW_TO_BUILD,
            FaultError::UnknownPoint(_) | FaultError::BadAction(_) | FaultError::NoAction(_) => {
                "Run `smallrun faults` to list the fault points"
            }
        };
        Failure::new(Exit::BadSetting, format_args!("{VARIABLE} cannot be used: {error}"), todo)
    })
}
