//! `smallrun schema`: the GraphQL schema as text.

use crate::terminal;

pub(super) fn run() {
    terminal::answer(&api::sdl());
}
