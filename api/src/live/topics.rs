//! What facts are about, and who listens to it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use domain::platform::{
    facts::Fact,
    ids::{CheckoutId, DropId},
};
use tokio::sync::watch;

use super::locked;

/// Something whose changes are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Topic {
    /// A drop: its texts, terms, items and state.
    Drop(DropId),
    /// The stock of a drop.
    Stock(DropId),
    /// A checkout with its lines and its payment.
    Checkout(CheckoutId),
}

impl Topic {
    /// What a fact may have changed.
    fn of(fact: &Fact) -> [Option<Self>; 2] {
        match fact {
            // The items, and so whose stock is told, are part of the drop.
            Fact::DropChanged { drop, .. } => [Some(Self::Drop(*drop)), Some(Self::Stock(*drop))],
            Fact::StockChanged { drop, .. } => [Some(Self::Stock(*drop)), None],
            Fact::Reserved { checkout }
            | Fact::Confirmed { checkout }
            | Fact::Lapsed { checkout }
            | Fact::ReservationCancelled { checkout }
            | Fact::PaymentChanged { checkout, .. } => [Some(Self::Checkout(*checkout)), None],
            // What people may do is looked up every second (`passes`), whatever changes it.
            Fact::AccountChanged { .. } | Fact::CreatorChanged { .. } | Fact::ProductChanged { .. } => {
                [None, None]
            }
        }
    }
}

/// The topics that somebody listens to: others are not kept.
#[derive(Default)]
pub(crate) struct Topics(Mutex<HashMap<Topic, watch::Sender<u64>>>);

impl Topics {
    /// Listens from now on.
    pub(crate) fn listen(self: &Arc<Self>, topic: Topic) -> Ear {
        let mut topics = locked(&self.0);
        let heard = topics.entry(topic).or_insert_with(|| watch::Sender::new(0)).subscribe();
        Ear { heard, topic, topics: Arc::clone(self) }
    }

    /// Wakes those whom a fact concerns.
    pub(crate) fn heard(&self, fact: &Fact) {
        let topics = locked(&self.0);
        for topic in Topic::of(fact).iter().flatten() {
            if let Some(listened_to) = topics.get(topic) {
                listened_to.send_modify(|count| *count = count.wrapping_add(1));
            }
        }
    }

    /// Wakes all.
    pub(crate) fn wake_all(&self) {
        locked(&self.0)
            .values()
            .for_each(|listened_to| listened_to.send_modify(|count| *count = count.wrapping_add(1)));
    }
}

/// Hears when something about a topic happens. Many things that happen before it is asked again are heard as
/// one.
pub(crate) struct Ear {
    heard: watch::Receiver<u64>,
    topic: Topic,
    topics: Arc<Topics>,
}

impl Ear {
    /// Waits for the next time.
    pub(crate) async fn changed(&mut self) {
        // The sender is kept for as long as there is an ear.
        if self.heard.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Takes note of all so far: to be called before a read that will show it.
    pub(crate) fn take_note(&mut self) {
        self.heard.mark_unchanged();
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let mut topics = locked(&self.topics.0);
        // This one is still counted.
        if topics.get(&self.topic).is_some_and(|listened_to| listened_to.receiver_count() <= 1) {
            topics.remove(&self.topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::platform::ids::{CreatorId, PaymentId};
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn a_fact_wakes_those_whom_it_concerns_and_many_are_heard_as_one() {
        let (topics, id) = (Arc::new(Topics::default()), Uuid::from_u128);
        let (drop, creator, checkout) = (DropId(id(1)), CreatorId(id(2)), CheckoutId(id(3)));
        let mut of_drop = topics.listen(Topic::Drop(drop));
        let mut of_stock = topics.listen(Topic::Stock(drop));
        let of_checkout = topics.listen(Topic::Checkout(checkout));
        for _ in 0..3 {
            topics.heard(&Fact::StockChanged { creator, drop });
        }
        assert!(of_stock.heard.has_changed().unwrap() && !of_drop.heard.has_changed().unwrap());
        of_stock.changed().await;
        assert!(!of_stock.heard.has_changed().unwrap());
        topics.heard(&Fact::PaymentChanged { checkout, payment: PaymentId(id(4)) });
        assert!(of_checkout.heard.has_changed().unwrap() && !of_stock.heard.has_changed().unwrap());
        topics.wake_all();
        of_drop.changed().await;
        of_stock.changed().await;
    }

    #[test]
    fn a_topic_goes_with_its_last_ear() {
        let topics = Arc::new(Topics::default());
        let topic = Topic::Drop(DropId(Uuid::from_u128(1)));
        let (one, two) = (topics.listen(topic), topics.listen(topic));
        drop(one);
        assert_eq!(locked(&topics.0).len(), 1);
        drop(two);
        assert!(locked(&topics.0).is_empty());
    }
}
