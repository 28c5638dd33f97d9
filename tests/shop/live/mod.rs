//! What is watched as it changes: the protocols by the letter, the bounds, and what subscribers are told.

mod bounds;
mod clients;
mod events;
mod protocol;
mod rights;
mod slow;
mod socket;
mod told;
