//! `smallrun faults`: the places where a build for tests can be made to fail; and the arming of them by
//! `SMALLRUN_FAULT`.

use std::fmt::Write as _;

use domain::platform::faults::{self, COMPILED_IN, FaultError, Point};

use crate::{
    exit::{Exit, Failure, Outcome},
    terminal,
};

const VARIABLE: &str = "SMALLRUN_FAULT";
const HOW_TO_BUILD: &str = "Build one for tests by `cargo build --features faults`";

/// Lists the points.
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

/// Arms this process with what the variable says, if it is set.
pub(super) fn arm() -> Outcome {
    let Some(text) = std::env::var_os(VARIABLE) else { return Ok(()) };
    faults::arm(&text.to_string_lossy()).map_err(|error| {
        let todo = match error {
            FaultError::NotCompiledIn => HOW_TO_BUILD,
            FaultError::UnknownPoint(_) | FaultError::BadAction(_) | FaultError::NoAction(_) => {
                "`smallrun faults` lists the points"
            }
        };
        Failure::new(Exit::BadSetting, format_args!("{VARIABLE} cannot be used: {error}"), todo)
    })
}
