//! Live updates: the protocols, the limits, and the updates that subscribers receive.

mod bounds;
mod clients;
mod events;
mod protocol;
mod rights;
mod slow;
mod socket;
mod told;
