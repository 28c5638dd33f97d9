//! A state that one loop reads for all who watch it: [`Feed`].
//!
//! Whoever begins to watch wants a state that is true from then on, and not one that was read a moment
//! before. So a watcher asks for a *look*, which has a number, and waits for a state that was read after that
//! look was asked for. The loop that reads says with each state which looks it answers: all that were asked
//! for before the reading began. After that a watcher is told each state that differs from the one before;
//! whoever is slow finds the newest, and nobody has a queue.

use std::sync::Arc;

use tokio::sync::watch;

/// The number of a request to look. Of two, the later one has the larger number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct LookNumber(u64);

impl LookNumber {
    /// Stands for all looks that were and will be asked for: of a last state, after which nothing is read.
    pub const ALL: Self = Self(u64::MAX);
}

/// Where looks are asked for. Its copies are the same.
#[derive(Debug, Clone)]
pub struct Looks(Arc<watch::Sender<LookNumber>>);

impl Looks {
    fn new() -> Self {
        Self(Arc::new(watch::Sender::new(LookNumber::default())))
    }

    /// Asks for a look.
    fn ask(&self) -> LookNumber {
        let mut asked = LookNumber::default();
        self.0.send_modify(|newest| {
            newest.0 = newest.0.saturating_add(1);
            asked = *newest;
        });
        asked
    }

    /// The newest look that was asked for.
    pub fn newest(&self) -> LookNumber {
        *self.0.borrow()
    }

    /// Hears of looks that are asked for from now on.
    pub fn asked(&self) -> AskedLooks {
        AskedLooks(self.0.subscribe())
    }
}

/// Hears of looks that are asked for. Many that come before they are taken note of are heard as one.
#[derive(Debug)]
pub struct AskedLooks(watch::Receiver<LookNumber>);

impl AskedLooks {
    /// Waits for a look that was not taken note of. It may be dropped while it waits.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            // Nobody is left who could ask.
            std::future::pending::<()>().await;
        }
    }

    /// Takes note of all looks so far; answers the newest, which is what a state answers that is read from
    /// now on.
    pub fn take(&mut self) -> LookNumber {
        *self.0.borrow_and_update()
    }
}

/// A state that is read for all who watch it: see the [module](self).
#[derive(Debug)]
pub struct Feed<T> {
    newest: watch::Sender<Newest<T>>,
    looks: Looks,
}

#[derive(Debug)]
struct Newest<T> {
    /// Which looks the state answers.
    answers: LookNumber,
    /// Counts the states that differ from the one before.
    version: u64,
    /// `None` before the first one.
    state: Option<T>,
}

impl<T: Clone + PartialEq> Feed<T> {
    /// A feed of which nothing was read yet.
    pub fn new() -> Self {
        Self {
            newest: watch::Sender::new(Newest { answers: LookNumber::default(), version: 0, state: None }),
            looks: Looks::new(),
        }
    }

    /// Watches from now on: the first state that the watcher is told is read after this.
    pub fn watch(&self) -> Watcher<T> {
        // First, so that a loop which looks at once does not find itself without a watcher.
        let newest = self.newest.subscribe();
        Watcher { newest, answers: self.looks.ask(), told: None, looks: self.looks.clone() }
    }

    /// Where looks at it are asked for.
    pub fn looks(&self) -> &Looks {
        &self.looks
    }

    /// Tells a state, and which looks it answers. One that equals the last state answers new looks, but is
    /// not told again: who was told the last one keeps it.
    pub fn tell(&self, state: T, answers: LookNumber) {
        self.newest.send_modify(|newest| {
            newest.answers = answers;
            if newest.state.as_ref() != Some(&state) {
                newest.state = Some(state);
                newest.version = newest.version.wrapping_add(1);
            }
        });
    }

    /// The state that was told last.
    pub fn last(&self) -> Option<T> {
        self.newest.borrow().state.clone()
    }

    /// Waits until nobody watches. It may be dropped while it waits.
    pub async fn unwatched(&self) {
        self.newest.closed().await;
    }

    /// Whether anybody watches.
    pub fn is_watched(&self) -> bool {
        self.newest.receiver_count() > 0
    }
}

impl<T: Clone + PartialEq> Default for Feed<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Watches a [`Feed`].
#[derive(Debug)]
pub struct Watcher<T> {
    newest: watch::Receiver<Newest<T>>,
    /// The look that the next state has to answer, as long as none was told.
    answers: LookNumber,
    /// The version that was told last; `None` while a look is waited for.
    told: Option<u64>,
    looks: Looks,
}

impl<T: Clone> Watcher<T> {
    /// The next state: one that answers the look that this watcher asked for, and then each that differs from
    /// the one that it was told; `None` when the feed is gone. It may be dropped while it waits.
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

    /// Asks for another look: the next state is one that is read from now on, whether it differs or not.
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
    fn who_joins_is_told_nothing_that_was_read_before() {
        let feed = Feed::new();
        let mut first = feed.watch();
        let look = feed.looks().newest();
        feed.tell("old", look);
        assert_eq!(next(&mut first), Some(Some("old")));
        let mut second = feed.watch();
        assert_eq!(next(&mut second), None, "the last state is older than the question");
        // A reading that had begun before the second one asked.
        feed.tell("meanwhile", look);
        assert_eq!((next(&mut first), next(&mut second)), (Some(Some("meanwhile")), None));
        feed.tell("new", feed.looks().newest());
        assert_eq!((next(&mut first), next(&mut second)), (Some(Some("new")), Some(Some("new"))));
    }

    #[test]
    fn an_equal_state_answers_who_asks_and_is_not_told_to_others() {
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
            "whoever looks again is told even the same"
        );
    }

    #[test]
    fn who_is_slow_is_told_the_newest_only() {
        let feed = Feed::new();
        let mut watcher = feed.watch();
        for state in 0..100 {
            feed.tell(state, feed.looks().newest());
        }
        assert_eq!((next(&mut watcher), next(&mut watcher)), (Some(Some(99)), None));
    }

    #[test]
    fn looks_are_heard_of_many_as_one_until_they_are_taken_note_of() {
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
    fn a_last_state_answers_all_looks_and_then_the_feed_is_over() {
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
