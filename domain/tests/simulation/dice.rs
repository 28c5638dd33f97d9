//! Random numbers from a seed: the same seed gives the same run.

use std::sync::Mutex;

use domain::platform::entropy::Entropy;

/// SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number in `[0, bound)`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    /// Returns a number in `[from, to]`.
    pub(crate) fn between(&mut self, from: u32, to: u32) -> u32 {
        from + u32::try_from(self.below(usize::try_from(to - from).unwrap() + 1)).unwrap()
    }

    /// Returns `true` with a probability of `chance` percent.
    pub(crate) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    /// Returns one of the elements, or `None` if there are none.
    pub(crate) fn one_of<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        if of.is_empty() { None } else { of.get(self.below(of.len())) }
    }
}

/// The entropy for ids and secrets of a run.
#[derive(Debug)]
pub(crate) struct DiceEntropy(Mutex<Dice>);

impl DiceEntropy {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(Dice::new(seed ^ 0x5eed)))
    }
}

impl Entropy for DiceEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        let mut dice = self.0.lock().unwrap();
        for chunk in bytes.chunks_mut(8) {
            let random = dice.next().to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
    }
}
