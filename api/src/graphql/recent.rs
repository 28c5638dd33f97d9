//! What was used lately, within a bound: for whatever clients can make more and more of.

use std::{borrow::Borrow, collections::HashMap, hash::Hash, mem};

/// Keeps values by their keys. When the young ones weigh half of the bound, they become the old ones, and what was old and
/// not used since goes. So all that is done takes the same time, and nobody's entry goes while it is in use.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    young: HashMap<K, (V, u64)>,
    old: HashMap<K, (V, u64)>,
    young_weight: u64,
    half: u64,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// Nothing yet, and never more than `weight_max`, but for one entry that weighs more by itself.
    pub(crate) fn new(weight_max: u64) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), young_weight: 0, half: weight_max.div_ceil(2) }
    }

    /// The value of a key, which is in use with this.
    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        if let Some((key, (value, weight))) = self.old.remove_entry(key) {
            self.put(key, value, weight);
        }
        self.young.get_mut(key).map(|(value, _)| value)
    }

    /// Keeps a value in the place of what there was.
    pub(crate) fn put(&mut self, key: K, value: V, weight: u64) {
        if self.young_weight.saturating_add(weight) > self.half {
            self.old = mem::take(&mut self.young);
            self.young_weight = 0;
        } else {
            self.old.remove(&key);
        }
        self.young_weight = self.young_weight.saturating_add(weight);
        if let Some((_, replaced)) = self.young.insert(key, (value, weight)) {
            self.young_weight = self.young_weight.saturating_sub(replaced);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_stays_and_the_whole_is_bounded() {
        let mut recent = Recent::new(100);
        recent.put("used".to_owned(), 0, 1);
        for number in 0..1_000 {
            recent.put(number.to_string(), number, 1);
            assert!(recent.get("used").is_some(), "after {number}");
            assert!(recent.young.len() + recent.old.len() <= 100, "after {number}");
        }
        assert_eq!(recent.get("0"), None);
        assert_eq!(recent.get("999").copied(), Some(999));
    }

    #[test]
    fn a_value_is_replaced_and_heavy_ones_push_more_out() {
        let mut recent = Recent::new(10);
        recent.put("a", 1, 2);
        recent.put("a", 2, 2);
        assert_eq!((recent.get("a").copied(), recent.young_weight), (Some(2), 2));
        recent.put("b", 1, 5);
        recent.put("c", 1, 5);
        assert_eq!(recent.get("a"), None);
        assert_eq!(recent.get("c").copied(), Some(1));
    }
}
