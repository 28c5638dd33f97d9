//! Repeatable randomness: a test gets the same ids and secrets in every run, so snapshots are stable.

use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use domain::platform::entropy::Entropy;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A source of entropy that counts. Bytes are hashes of the counter. Ids contain the counter, so they sort in
/// the order in which they were generated.
#[derive(Debug, Default)]
pub struct CountingEntropy {
    count: AtomicU64,
}

impl CountingEntropy {
    fn next(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }
}

impl Entropy for CountingEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let hash = Sha256::digest(self.next().to_be_bytes());
            chunk.iter_mut().zip(hash).for_each(|(byte, random)| *byte = random);
        }
    }

    fn uuid(&self, now: DateTime<Utc>) -> Uuid {
        let mut random = [0_u8; 10];
        // The first two of the ten bytes lose bits to the version and the variant, so the counter starts
        // after them.
        random.iter_mut().skip(2).zip(self.next().to_be_bytes()).for_each(|(byte, digit)| *byte = digit);
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_in_the_order_of_creation_and_repeat() {
        let now = crate::Kit::start();
        let make = || {
            let entropy = CountingEntropy::default();
            (0..600).map(|_| entropy.uuid(now)).collect::<Vec<_>>()
        };
        assert!(make().is_sorted());
        assert_eq!(make(), make());
        let (first, second) = (CountingEntropy::default(), CountingEntropy::default());
        assert_eq!(first.secret("x").expose(), second.secret("x").expose());
        assert_ne!(first.secret("x").expose(), second.uuid(now).to_string());
    }
}
