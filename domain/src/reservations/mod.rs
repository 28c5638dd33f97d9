//! Checkouts, quotes, holds and reservations.
