//! The methods of payment that the sandbox knows, and what comes of each.

/// Succeeds at once.
pub const SUCCESS: &str = "pm_sandbox_success";
/// Is declined.
pub const DECLINED: &str = "pm_sandbox_declined";
/// Is declined for want of money.
pub const INSUFFICIENT_FUNDS: &str = "pm_sandbox_insufficient_funds";
/// Sends the buyer to a page to confirm.
pub const CONFIRM: &str = "pm_sandbox_confirm";
/// Is processed, and succeeds later.
pub const LATE: &str = "pm_sandbox_late";
/// Is processed, and is declined later.
pub const LATE_DECLINED: &str = "pm_sandbox_late_declined";

/// What may follow any method: the rest names a card, which is the same card whoever pays with it. Without
/// it, each payment is made with a card of its own.
const CARD: &str = "_card_";

/// What a method's card is known by, if it names one.
pub(super) fn fingerprint(method: &str) -> Option<&str> {
    method.split_once(CARD).map(|(_, card)| card).filter(|card| !card.is_empty())
}

/// What comes of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Pays,
    Declines(&'static str),
    Asks,
    PaysLate,
    DeclinesLate(&'static str),
}

/// The table of methods; a method that nobody knows is declined as such.
pub(super) fn outcome(method: &str) -> Outcome {
    match method.split_once(CARD).map_or(method, |(method, _)| method) {
        SUCCESS => Outcome::Pays,
        DECLINED => Outcome::Declines("card_declined"),
        INSUFFICIENT_FUNDS => Outcome::Declines("insufficient_funds"),
        CONFIRM => Outcome::Asks,
        LATE => Outcome::PaysLate,
        LATE_DECLINED => Outcome::DeclinesLate("card_declined"),
        _ => Outcome::Declines("unknown_method"),
    }
}
