//! Topics, which subscriptions listen to, and the mapping of facts to topics.

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

/// An object whose changes subscriptions can wait for.
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
    /// Returns the topics that a fact concerns.
    fn of(fact: &Fact) -> [Option<Self>; 2] {
        match fact {
            // The stock is listed by item, so a change of the items concerns it as well.
            Fact::DropChanged { drop, .. } => [Some(Self::Drop(*drop)), Some(Self::Stock(*drop))],
            Fact::StockChanged { drop, .. } => [Some(Self::Stock(*drop)), None],
            Fact::Reserved { checkout }
            | Fact::Confirmed { checkout }
            | Fact::Lapsed { checkout }
            | Fact::ReservationCancelled { checkout }
            | Fact::PaymentChanged { checkout, .. } => [Some(Self::Checkout(*checkout)), None],
            // These facts have no topic. Changes of permissions need none: the edge looks up every open
            // connection's permissions each second.
            Fact::AccountChanged { .. } | Fact::CreatorChanged { .. } | Fact::ProductChanged { .. } => {
                [None, None]
            }
        }
    }
}

/// The topics that have at least one listener. Other topics are not stored.
#[derive(Default)]
pub(crate) struct Topics(Mutex<HashMap<Topic, watch::Sender<u64>>>);

impl Topics {
    /// Returns a new listener of a topic.
    pub(crate) fn listen(self: &Arc<Self>, topic: Topic) -> TopicListener {
        let mut topics = locked(&self.0);
        let changes = topics.entry(topic).or_insert_with(|| watch::Sender::new(0)).subscribe();
        TopicListener { changes, topic, topics: Arc::clone(self) }
    }

    /// Wakes the listeners of the topics that a fact concerns.
    pub(crate) fn notify(&self, fact: &Fact) {
        let topics = locked(&self.0);
        for topic in Topic::of(fact).iter().flatten() {
            if let Some(sender) = topics.get(topic) {
                sender.send_modify(|count| *count = count.wrapping_add(1));
            }
        }
    }

    /// Wakes all listeners.
    pub(crate) fn wake_all(&self) {
        locked(&self.0)
            .values()
            .for_each(|sender| sender.send_modify(|count| *count = count.wrapping_add(1)));
    }
}

/// A listener of a topic. Several changes before the next [`changed`](Self::changed) are received as one.
pub(crate) struct TopicListener {
    changes: watch::Receiver<u64>,
    topic: Topic,
    topics: Arc<Topics>,
}

impl TopicListener {
    /// Waits for the next change.
    pub(crate) async fn changed(&mut self) {
        // Never fails: the sender exists as long as there is a listener.
        if self.changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Discards all changes so far. Call it before reading the state, not after, so that no change
    /// is lost that happens during the read.
    pub(crate) fn mark_seen(&mut self) {
        self.changes.mark_unchanged();
    }
}

impl Drop for TopicListener {
    fn drop(&mut self) {
        let mut topics = locked(&self.topics.0);
        // The count still includes this listener.
        if topics.get(&self.topic).is_some_and(|sender| sender.receiver_count() <= 1) {
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
    async fn a_fact_wakes_the_listeners_of_its_topics_and_several_arrive_as_one() {
        let (topics, id) = (Arc::new(Topics::default()), Uuid::from_u128);
        let (drop, creator, checkout) = (DropId(id(1)), CreatorId(id(2)), CheckoutId(id(3)));
        let mut of_drop = topics.listen(Topic::Drop(drop));
        let mut of_stock = topics.listen(Topic::Stock(drop));
        let of_checkout = topics.listen(Topic::Checkout(checkout));
        for _ in 0..3 {
            topics.notify(&Fact::StockChanged { creator, drop });
        }
        assert!(of_stock.changes.has_changed().unwrap() && !of_drop.changes.has_changed().unwrap());
        of_stock.changed().await;
        assert!(!of_stock.changes.has_changed().unwrap());
        topics.notify(&Fact::PaymentChanged { checkout, payment: PaymentId(id(4)) });
        assert!(of_checkout.changes.has_changed().unwrap() && !of_stock.changes.has_changed().unwrap());
        topics.wake_all();
        of_drop.changed().await;
        of_stock.changed().await;
    }

    #[test]
    fn a_topic_is_removed_with_its_last_listener() {
        let topics = Arc::new(Topics::default());
        let topic = Topic::Drop(DropId(Uuid::from_u128(1)));
        let (one, two) = (topics.listen(topic), topics.listen(topic));
        drop(one);
        assert_eq!(locked(&topics.0).len(), 1);
        drop(two);
        assert!(locked(&topics.0).is_empty());
    }
}
