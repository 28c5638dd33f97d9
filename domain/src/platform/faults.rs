//! Fault points: named places after each step of what must survive a failure, where a test makes the process
//! end, makes the step fail, or makes it wait.
//!
//! [`Point`] is the closed list. A real process is told by the variable `SMALLRUN_FAULT` ([`arm`]); a test
//! that drives operations itself says at which of the coming points one of them ends (`crash_at`, `fail_at`).
//! All of it is behind the cargo feature `faults`: without it a point is nothing.

use std::{str::FromStr, time::Duration};

use sea_orm::DbErr;

#[cfg(feature = "faults")]
mod firing;

#[cfg(feature = "faults")]
pub use firing::{crash_at, fail_at};

/// Whether this build has fault points.
pub const COMPILED_IN: bool = cfg!(feature = "faults");

/// Makes the enum of points, with their names and a sentence each.
macro_rules! points {
    ($($point:ident = $name:literal, $about:literal;)*) => {
        /// A place where a fault can be made to happen. Names are never changed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Point {
            $(#[doc = $about] $point,)*
        }

        impl Point {
            /// All points, in the order in which a reservation comes to them.
            pub const ALL: &'static [Self] = &[$(Self::$point),*];

            /// The constant name, as `SMALLRUN_FAULT` takes it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$point => $name,)* }
            }

            /// Where it lies, in a sentence.
            pub fn about(self) -> &'static str {
                match self { $(Self::$point => $about,)* }
            }
        }
    };
}

points! {
    ReserveGated = "reserve.gated", "A reservation holds the gates of its drops; nothing is written.";
    ReserveKeyed = "reserve.keyed", "The idempotency key of a reservation is written, not committed; nothing is decided.";
    ReserveWritten = "reserve.written", "All rows of a reservation are written, not committed.";
    ReserveCommitted = "reserve.committed", "A reservation is committed; the buyer has no answer.";
    PayKeyed = "pay.keyed", "The idempotency key of a payment is written, not committed.";
    PayGated = "pay.gated", "A payment holds the gates of its drops; nothing is decided.";
    PayWritten = "pay.written", "The buyer's choice of a method and its task are written, not committed.";
    PayCommitted = "pay.committed", "The buyer's choice is committed; the buyer has no answer.";
    GatewayIntentMade = "gateway.intent_made", "The gateway has made an intent; we do not know its id yet.";
    GatewayIntentRemembered = "gateway.intent_remembered", "The intent's id is committed; it is not confirmed.";
    GatewayConfirmed = "gateway.confirmed", "The gateway has taken the method; we have not noted what came of it.";
    ApplyGated = "apply.gated", "What the gateway says is about to be applied, under the gates.";
    ApplyWritten = "apply.written", "Payment, lines, allocations and ledger are written, not committed.";
    ApplyCommitted = "apply.committed", "What the gateway says is committed; its task still waits.";
    WebhookNoted = "webhook.noted", "A webhook and its task are written, not committed.";
    WebhookTaken = "webhook.taken", "A webhook is committed; the gateway has no answer.";
    WebhookFetched = "webhook.fetched", "The intent of a webhook is fetched; nothing is applied.";
    WebhookApplied = "webhook.applied", "A webhook is applied; its task still waits.";
    RelayLeased = "relay.leased", "The relay has its lease; no fact is stamped.";
    RelayStamped = "relay.stamped", "Facts are stamped and their tasks queued, not committed.";
    RelayCommitted = "relay.committed", "Stamps and tasks are committed; nobody has been told.";
    RelayBroadcast = "relay.broadcast", "Stamped facts have been broadcast.";
    ConsumeClaimed = "consume.claimed", "A worker has claimed tasks; none has begun.";
    ConsumeHandled = "consume.handled", "A task is done; its row still stands.";
    ConsumeSettled = "consume.settled", "The row of a task that was done is gone.";
    ConsumeAcked = "consume.acked", "The permit of a task that was settled is given back; only with RabbitMQ.";
    MailSent = "mail.sent", "A letter is handed over; its task still waits.";
    TimerQueued = "timer.queued", "Due timers have become tasks, not committed.";
    TimerFired = "timer.fired", "Due timers have become tasks.";
    LapseGated = "lapse.gated", "A lapse holds the gates of its drops; nothing is decided.";
    LapseWritten = "lapse.written", "All rows of a lapse are written, not committed.";
    LapseCommitted = "lapse.committed", "A lapse is committed; its task still waits.";
    GatewayCancelled = "gateway.cancelled", "The gateway has ended an intent; we have not noted it.";
    CancelKeyed = "cancel.keyed", "The idempotency key of a cancelled reservation is written, not committed.";
    CancelGated = "cancel.gated", "A cancelled reservation holds the gates of its drops; nothing is decided.";
    CancelWritten = "cancel.written", "All rows of a cancelled reservation are written, not committed.";
    CancelCommitted = "cancel.committed", "A cancelled reservation is committed; the buyer has no answer.";
    GatewayRefundMade = "gateway.refund_made", "The gateway has given money back; we have not booked it.";
    GatewayRefundBooked = "gateway.refund_booked", "A refund is booked; its task still waits.";
}

impl FromStr for Point {
    type Err = FaultError;

    fn from_str(name: &str) -> Result<Self, FaultError> {
        let known = Self::ALL.iter().find(|point| point.name() == name);
        known.copied().ok_or_else(|| FaultError::UnknownPoint(name.to_owned()))
    }
}

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The process ends there, as by `kill -9`.
    Abort,
    /// The step fails as if the database had.
    Error,
    /// The step waits so long, and goes on.
    Stall(Duration),
}

impl FromStr for Action {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let bad = || FaultError::BadAction(text.to_owned());
        match text.split_once(':') {
            None if text == "abort" => Ok(Self::Abort),
            None if text == "error" => Ok(Self::Error),
            Some(("stall", time)) => {
                let (count, unit) =
                    time.split_at(time.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(time.len()));
                let count: u32 = count.parse().map_err(|_| bad())?;
                match unit {
                    "ms" => Ok(Self::Stall(Duration::from_millis(count.into()))),
                    "s" => Ok(Self::Stall(Duration::from_secs(count.into()))),
                    _ => Err(bad()),
                }
            }
            None | Some(_) => Err(bad()),
        }
    }
}

/// One point and what happens at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub point: Point,
    /// What.
    pub action: Action,
}

/// Reads `POINT=ACTION[,POINT=ACTION…]`; an empty text is no fault.
pub fn parse(text: &str) -> Result<Vec<Fault>, FaultError> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (point, action) =
                part.split_once('=').ok_or_else(|| FaultError::NoAction(part.to_owned()))?;
            Ok(Fault { point: point.trim().parse()?, action: action.trim().parse()? })
        })
        .collect()
}

/// Why a text arms no fault point.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// No point has that name.
    #[error("there is no fault point `{0}`")]
    UnknownPoint(String),
    /// Nothing that a point can do.
    #[error(
        "`{0}` is nothing that a fault point can do: it is abort, error, or stall with a time, such as stall:5s or stall:250ms"
    )]
    BadAction(String),
    /// A point without an action.
    #[error("`{0}` is not of the form POINT=ACTION, such as reserve.written=abort")]
    NoAction(String),
    /// The feature `faults` is off.
    #[error("this build has no fault points")]
    NotCompiledIn,
}

/// Arms this process with the faults of a text, once, before it begins to work. Each fault happens at the
/// first pass through its point; several of one point at its first passes, in their order.
pub fn arm(text: &str) -> Result<(), FaultError> {
    if text.trim().is_empty() {
        return Ok(());
    }
    if !COMPILED_IN {
        return Err(FaultError::NotCompiledIn);
    }
    let faults = parse(text)?;
    #[cfg(feature = "faults")]
    firing::arm(&faults);
    tracing::warn!(?faults, "fault points are armed");
    Ok(())
}

/// Passes a point: goes on, unless a fault happens there.
#[cfg(feature = "faults")]
pub async fn point(point: Point) -> Result<(), DbErr> {
    firing::pass(point).await
}

/// Passes a point; this build has none, so this is nothing.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub async fn point(_point: Point) -> Result<(), DbErr> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_lead_back_to_their_points() {
        for point in Point::ALL {
            assert_eq!(point.name().parse(), Ok(*point));
            assert!(point.about().ends_with('.'), "{point:?}");
        }
        let mut names: Vec<_> = Point::ALL.iter().map(|point| point.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Point::ALL.len());
    }

    #[test]
    fn a_text_names_points_and_what_happens_there() {
        let fault = |point, action| Fault { point, action };
        assert_eq!(
            parse("reserve.written=abort, pay.keyed=error,relay.stamped=stall:5s,mail.sent=stall:250ms"),
            Ok(vec![
                fault(Point::ReserveWritten, Action::Abort),
                fault(Point::PayKeyed, Action::Error),
                fault(Point::RelayStamped, Action::Stall(Duration::from_secs(5))),
                fault(Point::MailSent, Action::Stall(Duration::from_millis(250))),
            ])
        );
        assert_eq!(parse(""), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_point_or_no_action_is_named() {
        for (text, error) in [
            ("reserve.wirtten=abort", FaultError::UnknownPoint("reserve.wirtten".into())),
            ("reserve.written", FaultError::NoAction("reserve.written".into())),
            ("reserve.written=explode", FaultError::BadAction("explode".into())),
            ("reserve.written=stall", FaultError::BadAction("stall".into())),
            ("reserve.written=stall:", FaultError::BadAction("stall:".into())),
            ("reserve.written=stall:5", FaultError::BadAction("stall:5".into())),
            ("reserve.written=stall:5m", FaultError::BadAction("stall:5m".into())),
            ("reserve.written=stall:-5s", FaultError::BadAction("stall:-5s".into())),
            ("reserve.written=stall:99999999999s", FaultError::BadAction("stall:99999999999s".into())),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }
}
