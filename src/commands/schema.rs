//! `smallrun schema`: prints the GraphQL schema (SDL).

use crate::terminal;

pub(super) fn run() {
    terminal::answer(&api::sdl());
}
