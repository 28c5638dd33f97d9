//! A state that one loop reads for all its watchers: [`Feed`].
//!
//! A new watcher needs a state that was read after it began to watch, not one read a moment before. So a
//! watcher requests a *look*, which has a number, and waits for a state that was read after the request. With
//! each state, the reading loop announces which looks it answers: all that were requested before the reading
//! began. From then on the watcher gets each state that differs from the previous one. A slow watcher gets
//! only the newest: there are no queues.

use std::sync::Arc;

use tokio::sync::watch;

/// The number of a requested look. Later looks have larger numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct LookNumber(u64);

impl LookNumber {
    /// Stands for all past and future looks. Announced with the last state, after which nothing is read.
    pub const ALL: Self = Self(u64::MAX);
}

/// Where looks are requested. Clones share the same counter.
#[derive(Debug, Clone)]
pub struct Looks(Arc<watch::Sender<LookNumber>>);

impl Looks {
    fn new() -> Self {
        Self(Arc::new(watch::Sender::new(LookNumber::default())))
    }

    /// Requests a look.
    fn ask(&self) -> LookNumber {
        let mut asked = LookNumber::default();
        self.0.send_modify(|newest| {
            newest.0 = newest.0.saturating_add(1);
            asked = *newest;
        });
        asked
    }

    /// Returns the newest requested look.
    pub fn newest(&self) -> LookNumber {
        *self.0.borrow()
    }

    /// Subscribes to looks requested from now on.
    pub fn asked(&self) -> AskedLooks {
        AskedLooks(self.0.subscribe())
    }
}

/// Receives requested looks. Looks requested before the last one is taken arrive as one.
#[derive(Debug)]
pub struct AskedLooks(watch::Receiver<LookNumber>);

impl AskedLooks {
    /// Waits for a look that was not yet taken. It is cancel safe.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            // The feed and all its watchers are gone.
            std::future::pending::<()>().await;
        }
    }

    /// Takes all looks requested so far. Returns the newest, which any state read from now on answers.
    pub fn take(&mut self) -> LookNumber {
        *self.0.borrow_and_update()
    }
}

/// A state that one loop reads for all its watchers; see the [module](self).
#[derive(Debug)]
pub struct Feed<T> {
    newest: watch::Sender<Newest<T>>,
    looks: Looks,
}

#[derive(Debug)]
struct Newest<T> {
    /// The looks that the state answers.
    answers: LookNumber,
    /// Counts the states that differ from the previous one.
    version: u64,
    /// `None` before the first state.
    state: Option<T>,
}

impl<T: Clone + PartialEq> Feed<T> {
    /// Creates a feed without a state.
    pub fn new() -> Self {
        Self {
            newest: watch::Sender::new(Newest { answers: LookNumber::default(), version: 0, state: None }),
            looks: Looks::new(),
        }
    }

    /// Begins to watch. The first state that the watcher gets is read after this call.
    pub fn watch(&self) -> Watcher<T> {
        // Subscribe first, so that a loop woken by the look finds the watcher.
        let newest = self.newest.subscribe();
        Watcher { newest, answers: self.looks.ask(), told: None, looks: self.looks.clone() }
    }

    /// Returns the requests for looks at this feed.
    pub fn looks(&self) -> &Looks {
        &self.looks
    }

    /// Publishes a state and the looks it answers. A state equal to the previous one answers new looks, but
    /// is not sent to watchers that already have it.
    pub fn tell(&self, state: T, answers: LookNumber) {
        self.newest.send_modify(|newest| {
            newest.answers = answers;
            if newest.state.as_ref() != Some(&state) {
                newest.state = Some(state);
                newest.version = newest.version.wrapping_add(1);
            }
        });
    }

    /// Returns the newest state.
    pub fn last(&self) -> Option<T> {
        self.newest.borrow().state.clone()
    }

    /// Waits until nobody watches. It is cancel safe.
    pub async fn unwatched(&self) {
        self.newest.closed().await;
    }

    /// Returns whether anybody watches.
    pub fn is_watched(&self) -> bool {
        self.newest.receiver_count() > 0
    }
}

impl<T: Clone + PartialEq> Default for Feed<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// A watcher of a [`Feed`].
#[derive(Debug)]
pub struct Watcher<T> {
    newest: watch::Receiver<Newest<T>>,
    /// The look that the next state must answer, while none was received.
    answers: LookNumber,
    /// The version received last; `None` while waiting for a look.
    told: Option<u64>,
    looks: Looks,
}

impl<T: Clone> Watcher<T> {
    /// Returns the next state: first one that answers this watcher's look, then each that differs from the
    /// one received before. Returns `None` when the feed is gone. It is cancel safe.
    pub async fn next(&mut self) -> Option<T> {
        let (answers, told) = (self.answers, self.told);
        let is_next = |newest: &Newest<T>| match told {
            None => newest.answers >= answers && newest.state.is_some(),
            Some(version) => newest.version != version,
        };
        let newest = self.newest.wait_for(is_next).await.ok()?;
        self.told = Some(newest.version);
        newest.state.clone()
    }

    /// Requests another look: the next state is read after this call and is returned even if it is unchanged.
    pub fn look_again(&mut self) {
        self.told = None;
        self.answers = self.looks.ask();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn next<T: Clone>(watcher: &mut Watcher<T>) -> Option<Option<T>> {
        watcher.next().now_or_never()
    }

    #[test]
    fn a_new_watcher_gets_no_state_read_before_it_joined() {
        let feed = Feed::new();
        let mut first = feed.watch();
        let look = feed.looks().newest();
        feed.tell("old", look);
        assert_eq!(next(&mut first), Some(Some("old")));
        let mut second = feed.watch();
        assert_eq!(next(&mut second), None, "the last state is older than the look");
        // This reading began before the second watcher requested its look.
        feed.tell("meanwhile", look);
        assert_eq!((next(&mut first), next(&mut second)), (Some(Some("meanwhile")), None));
        feed.tell("new", feed.looks().newest());
        assert_eq!((next(&mut first), next(&mut second)), (Some(Some("new")), Some(Some("new"))));
    }

    #[test]
    fn an_equal_state_answers_looks_and_is_not_sent_to_other_watchers() {
        let feed = Feed::new();
        let mut first = feed.watch();
        feed.tell(1, feed.looks().newest());
        assert_eq!(next(&mut first), Some(Some(1)));
        let mut second = feed.watch();
        feed.tell(1, feed.looks().newest());
        assert_eq!((next(&mut first), next(&mut second)), (None, Some(Some(1))));
        first.look_again();
        assert_eq!(next(&mut first), None);
        feed.tell(1, feed.looks().newest());
        assert_eq!(
            (next(&mut first), next(&mut second)),
            (Some(Some(1)), None),
            "a new look is answered even by an equal state"
        );
    }

    #[test]
    fn a_slow_watcher_gets_the_newest_state_only() {
        let feed = Feed::new();
        let mut watcher = feed.watch();
        for state in 0..100 {
            feed.tell(state, feed.looks().newest());
        }
        assert_eq!((next(&mut watcher), next(&mut watcher)), (Some(Some(99)), None));
    }

    #[test]
    fn looks_arrive_as_one_until_they_are_taken() {
        let feed = Feed::new();
        let mut asked = feed.looks().asked();
        assert_eq!(asked.changed().now_or_never(), None);
        let (mut one, mut other) = (feed.watch(), feed.watch());
        assert_eq!(asked.changed().now_or_never(), Some(()));
        let look = asked.take();
        assert_eq!(asked.changed().now_or_never(), None);
        feed.tell("state", look);
        assert_eq!((next(&mut one), next(&mut other)), (Some(Some("state")), Some(Some("state"))));
    }

    #[test]
    fn the_last_state_answers_all_looks_and_ends_the_feed() {
        let feed = Feed::new();
        let mut watcher = feed.watch();
        feed.tell("last", LookNumber::ALL);
        let mut late = feed.watch();
        assert_eq!((next(&mut watcher), next(&mut late)), (Some(Some("last")), Some(Some("last"))));
        drop(feed);
        assert_eq!((next(&mut watcher), next(&mut late)), (Some(None), Some(None)));
    }

    #[test]
    fn a_feed_knows_whether_anybody_watches() {
        let feed = Feed::<u8>::new();
        assert!(!feed.is_watched() && feed.unwatched().now_or_never().is_some());
        let watcher = feed.watch();
        assert!(feed.is_watched() && feed.unwatched().now_or_never().is_none());
        drop(watcher);
        assert!(!feed.is_watched() && feed.unwatched().now_or_never().is_some());
    }
}
