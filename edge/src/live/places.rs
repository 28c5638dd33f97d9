//! Counts the connections that stay open, in total and by address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex},
};

use super::{LiveBounds, locked};

/// The slots of connections that stay open.
pub(crate) struct Places {
    bounds: LiveBounds,
    taken: Mutex<TakenPlaces>,
}

#[derive(Default)]
struct TakenPlaces {
    all: usize,
    by_address: HashMap<Option<IpAddr>, usize>,
}

/// Why no slot is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlacesFull {
    /// The server's limit is reached.
    Server,
    /// The address's limit is reached.
    Address,
}

impl Places {
    pub(crate) fn new(bounds: LiveBounds) -> Self {
        Self { bounds, taken: Mutex::default() }
    }

    /// Takes a slot for a connection.
    pub(crate) fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Result<OpenPlace, PlacesFull> {
        let mut taken = locked(&self.taken);
        if taken.all >= self.bounds.connections_max {
            return Err(PlacesFull::Server);
        }
        let from_there = taken.by_address.get(&address).copied().unwrap_or(0);
        if from_there >= self.bounds.connections_per_address_max {
            return Err(PlacesFull::Address);
        }
        taken.by_address.insert(address, from_there.saturating_add(1));
        taken.all = taken.all.saturating_add(1);
        metrics::gauge!("smallrun_live_connections").increment(1);
        Ok(OpenPlace { address, places: Arc::clone(self) })
    }
}

/// The slot of one connection, released on drop.
pub(crate) struct OpenPlace {
    address: Option<IpAddr>,
    places: Arc<Places>,
}

impl Drop for OpenPlace {
    fn drop(&mut self) {
        let mut taken = locked(&self.places.taken);
        taken.all = taken.all.saturating_sub(1);
        let left = taken.by_address.get(&self.address).copied().unwrap_or(0).saturating_sub(1);
        if left == 0 {
            taken.by_address.remove(&self.address);
        } else {
            taken.by_address.insert(self.address, left);
        }
        metrics::gauge!("smallrun_live_connections").decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_limited_in_total_and_by_address_and_released() {
        let bounds =
            LiveBounds { connections_max: 3, connections_per_address_max: 2, ..LiveBounds::default() };
        let places = Arc::new(Places::new(bounds));
        let from = |last| places.take(Some(IpAddr::from([192, 0, 2, last])));
        let (first, second) = (from(1).unwrap(), from(1).unwrap());
        assert_eq!(from(1).err(), Some(PlacesFull::Address));
        let other = from(2).unwrap();
        assert_eq!(from(3).err(), Some(PlacesFull::Server));
        drop(first);
        assert!(from(1).is_ok());
        drop((second, other));
        assert!(locked(&places.taken).by_address.is_empty());
    }
}
