//! The payment methods of the sandbox and their outcomes.

/// Succeeds immediately.
pub const SUCCESS: &str = "pm_sandbox_success";
/// Is declined with `card_declined`.
pub const DECLINED: &str = "pm_sandbox_declined";
/// Is declined with `insufficient_funds`.
pub const INSUFFICIENT_FUNDS: &str = "pm_sandbox_insufficient_funds";
/// Sends the buyer to a confirmation page.
pub const CONFIRM: &str = "pm_sandbox_confirm";
/// Stays in processing and succeeds later.
pub const LATE: &str = "pm_sandbox_late";
/// Stays in processing and is declined later.
pub const LATE_DECLINED: &str = "pm_sandbox_late_declined";

/// A suffix that any method may have. The text after it identifies a card: payments with the same text use
/// the same card. Without the suffix every payment uses a card of its own.
const CARD: &str = "_card_";

/// Returns the fingerprint of the method's card, if the method names one.
pub(super) fn fingerprint(method: &str) -> Option<&str> {
    method.split_once(CARD).map(|(_, card)| card).filter(|card| !card.is_empty())
}

/// The outcome of a payment method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MethodOutcome {
    Pays,
    Declines(&'static str),
    Asks,
    PaysLate,
    DeclinesLate(&'static str),
}

/// Returns the outcome of a method. An unknown method is declined with `unknown_method`.
pub(super) fn outcome(method: &str) -> MethodOutcome {
    match method.split_once(CARD).map_or(method, |(method, _)| method) {
        SUCCESS => MethodOutcome::Pays,
        DECLINED => MethodOutcome::Declines("card_declined"),
        INSUFFICIENT_FUNDS => MethodOutcome::Declines("insufficient_funds"),
        CONFIRM => MethodOutcome::Asks,
        LATE => MethodOutcome::PaysLate,
        LATE_DECLINED => MethodOutcome::DeclinesLate("card_declined"),
        _ => MethodOutcome::Declines("unknown_method"),
    }
}
