//! Buyers who take turns, none of whom asks for more units than a person may hold.

use std::sync::{
    Arc,
    atomic::{AtomicU8, AtomicUsize, Ordering},
};

/// The maximum number of open reservations of a person in one drop.
const HELD_MAX: u8 = 3;

/// The buyers of one drop.
pub(super) struct Buyers {
    tokens: Arc<[String]>,
    /// The number of units that each buyer holds or asks for.
    held: Vec<AtomicU8>,
    turn: AtomicUsize,
}

impl Buyers {
    pub(super) fn new(tokens: Arc<[String]>) -> Self {
        Self { held: tokens.iter().map(|_| AtomicU8::new(0)).collect(), tokens, turn: AtomicUsize::new(0) }
    }

    /// Returns the next buyer who may reserve a unit, or `None` if all hold the maximum.
    pub(super) fn next(&self) -> Option<usize> {
        let count = self.held.len();
        (0..count).find_map(|_| {
            let buyer = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(count)?;
            let one_more = |held: u8| (held < HELD_MAX).then(|| held.saturating_add(1));
            self.held
                .get(buyer)?
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
                .ok()
                .map(|_| buyer)
        })
    }

    /// Records that a buyer got nothing, and may ask again.
    pub(super) fn got_nothing(&self, buyer: usize) {
        if let Some(held) = self.held.get(buyer) {
            held.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(super) fn token(&self, buyer: usize) -> &str {
        self.tokens.get(buyer).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_asks_for_more_than_three() {
        let buyers = Buyers::new(["a", "b"].map(str::to_owned).into());
        let turns: Vec<_> = (0..7).map(|_| buyers.next()).collect();
        assert_eq!(turns, [Some(0), Some(1), Some(0), Some(1), Some(0), Some(1), None]);
        buyers.got_nothing(1);
        assert_eq!((buyers.next(), buyers.next()), (Some(1), None));
    }
}
