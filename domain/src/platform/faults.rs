//! Fault points: named places after each step that must survive a failure. There a test makes the process
//! abort, the step fail, or the step wait.
//!
//! [`Point`] is the closed list. A real process takes its faults from the variable `SMALLRUN_FAULT`
//! ([`arm`]). A test that runs operations itself chooses the point by its number (`crash_at`, `fail_at`).
//!
//! All of it is behind the cargo feature `faults`: without it, a point compiles to nothing.

use std::{str::FromStr, time::Duration};

use sea_orm::DbErr;

#[cfg(feature = "faults")]
mod firing;

#[cfg(feature = "faults")]
pub use firing::{crash_at, fail_at};

/// Whether this build has fault points.
pub const COMPILED_IN: bool = cfg!(feature = "faults");

/// Defines the enum of points, with a name and a sentence for each.
macro_rules! points {
    ($($point:ident = $name:literal, $about:literal;)*) => {
        /// A place where a fault can be made to happen. The names never change.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Point {
            $(#[doc = $about] $point,)*
        }

        impl Point {
            /// All points, in the order in which a reservation passes them.
            pub const ALL: &'static [Self] = &[$(Self::$point),*];

            /// Returns the constant name, as in `SMALLRUN_FAULT`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$point => $name,)* }
            }

            /// Returns a sentence that describes the state at this point.
            pub fn about(self) -> &'static str {
                match self { $(Self::$point => $about,)* }
            }
        }
    };
}

points! {
    ReserveGated = "reserve.gated",
        "A reservation holds the gates of its drops; nothing is written.";
    ReserveKeyed = "reserve.keyed",
        "The idempotency key of a reservation is written, not committed; nothing is decided.";
    ReserveWritten = "reserve.written",
        "All rows of a reservation are written, not committed.";
    ReserveCommitted = "reserve.committed",
        "A reservation is committed; the buyer has no answer.";
    PayKeyed = "pay.keyed",
        "The idempotency key of a payment is written, not committed.";
    PayGated = "pay.gated",
        "A payment holds the gates of its drops; nothing is decided.";
    PayWritten = "pay.written",
        "The buyer's choice of a payment method and its task are written, not committed.";
    PayCommitted = "pay.committed",
        "The buyer's choice of a payment method is committed; the buyer has no answer.";
    GatewayIntentMade = "gateway.intent_made",
        "The gateway has created a payment intent; its id is not stored yet.";
    GatewayIntentRemembered = "gateway.intent_remembered",
        "The id of the payment intent is committed; the intent is not confirmed.";
    GatewayConfirmed = "gateway.confirmed",
        "The gateway has confirmed the payment intent; the result is not stored.";
    ApplyGated = "apply.gated",
        "The state reported by the gateway is about to be applied; the gates are held.";
    ApplyWritten = "apply.written",
        "Payment, lines, allocations and ledger are written, not committed.";
    ApplyCommitted = "apply.committed",
        "The state reported by the gateway is committed; the task still waits.";
    WebhookNoted = "webhook.noted",
        "A webhook and its task are written, not committed.";
    WebhookTaken = "webhook.taken",
        "A webhook is committed; the gateway has no answer.";
    WebhookFetched = "webhook.fetched",
        "The payment intent of a webhook is fetched; nothing is applied.";
    WebhookApplied = "webhook.applied",
        "A webhook is applied; its task still waits.";
    RelayLeased = "relay.leased",
        "The relay has its lease; no fact is stamped.";
    RelayStamped = "relay.stamped",
        "Facts are stamped and their tasks queued, not committed.";
    RelayCommitted = "relay.committed",
        "Stamps and tasks are committed; nothing is broadcast.";
    RelayBroadcast = "relay.broadcast",
        "Stamped facts are broadcast.";
    ConsumeClaimed = "consume.claimed",
        "A worker has claimed tasks; none has begun.";
    ConsumeHandled = "consume.handled",
        "A task has succeeded; its row still exists.";
    ConsumeSettled = "consume.settled",
        "The row of a task that succeeded is deleted.";
    ConsumeAcked = "consume.acked",
        "The permit of a settled task is acknowledged; only with RabbitMQ.";
    MailSent = "mail.sent",
        "A letter is handed over; its task still waits.";
    TimerQueued = "timer.queued",
        "Due timers have become tasks, not committed.";
    TimerFired = "timer.fired",
        "Due timers have become tasks; this is committed.";
    LapseGated = "lapse.gated",
        "A lapse holds the gates of its drops; nothing is decided.";
    LapseWritten = "lapse.written",
        "All rows of a lapse are written, not committed.";
    LapseCommitted = "lapse.committed",
        "A lapse is committed; its task still waits.";
    GatewayCancelled = "gateway.cancelled",
        "The gateway has cancelled a payment intent; the result is not stored.";
    CancelKeyed = "cancel.keyed",
        "The idempotency key of a cancellation is written, not committed.";
    CancelGated = "cancel.gated",
        "A cancellation holds the gates of its drops; nothing is decided.";
    CancelWritten = "cancel.written",
        "All rows of a cancellation are written, not committed.";
    CancelCommitted = "cancel.committed",
        "A cancellation is committed; the buyer has no answer.";
    GatewayRefundMade = "gateway.refund_made",
        "The gateway has made a refund; it is not booked.";
    GatewayRefundBooked = "gateway.refund_booked",
        "A refund is booked; its task still waits.";
}

impl FromStr for Point {
    type Err = FaultError;

    fn from_str(name: &str) -> Result<Self, FaultError> {
        let known = Self::ALL.iter().find(|point| point.name() == name);
        known.copied().ok_or_else(|| FaultError::UnknownPoint(name.to_owned()))
    }
}

/// The action of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultAction {
    /// The process ends at once, as after `kill -9`.
    Abort,
    /// The step fails as if the database had failed.
    Error,
    /// The step waits for this time, then continues.
    Stall(Duration),
}

impl FromStr for FaultAction {
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

/// A point and the action there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The point.
    pub point: Point,
    /// The action.
    pub action: FaultAction,
}

/// Parses `POINT=ACTION[,POINT=ACTION…]`; an empty text means no faults.
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

/// Why a text cannot be used to arm fault points.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// No point has this name.
    #[error("there is no fault point `{0}`")]
    UnknownPoint(String),
    /// The action is unknown.
    #[error(
        "`{0}` is not an action of a fault point: use abort, error, or stall with a time, \
         such as stall:5s or stall:250ms"
    )]
    BadAction(String),
    /// A point has no action.
    #[error("`{0}` is not of the form POINT=ACTION, such as reserve.written=abort")]
    NoAction(String),
    /// The build lacks the feature `faults`.
    #[error("this build has no fault points")]
    NotCompiledIn,
}

/// Arms this process with the faults in `text`. Call it once, before the process begins to work. Each fault
/// happens at the first pass through its point; several faults of one point happen at successive passes, in
/// their order.
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

/// Passes a point. A fault armed there happens; otherwise nothing does.
#[cfg(feature = "faults")]
pub async fn point(point: Point) -> Result<(), DbErr> {
    firing::pass(point).await
}

/// Passes a point. This build has no faults, so this does nothing.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub async fn point(_point: Point) -> Result<(), DbErr> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_parse_to_their_points() {
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
    fn a_text_is_parsed_into_points_and_actions() {
        let fault = |point, action| Fault { point, action };
        assert_eq!(
            parse("reserve.written=abort, pay.keyed=error,relay.stamped=stall:5s,mail.sent=stall:250ms"),
            Ok(vec![
                fault(Point::ReserveWritten, FaultAction::Abort),
                fault(Point::PayKeyed, FaultAction::Error),
                fault(Point::RelayStamped, FaultAction::Stall(Duration::from_secs(5))),
                fault(Point::MailSent, FaultAction::Stall(Duration::from_millis(250))),
            ])
        );
        assert_eq!(parse(""), Ok(Vec::new()));
    }

    #[test]
    fn an_unknown_point_or_action_is_reported() {
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
