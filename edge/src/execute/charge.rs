//! Charges callers for their requests and builds the refusals of those with too few points.

use std::time::Instant;

use async_graphql::{Response, Value};

use super::{
    ExecutorParts,
    answer::{Cost, settle},
};
use crate::{
    budget::{Budget, BudgetSettings, Payer, Short},
    errors::{Code, RETRY_AFTER, whole_secs},
    guard::GuardRefusal,
};

/// The minimal cost of a request that is refused before anything runs.
const REFUSED_POINTS: u64 = 100;
/// The bytes to parse, and the tokens to validate, that take about as long as one value of an answer.
const BYTES_PER_POINT: u64 = 20;
const TOKENS_PER_POINT: u64 = 10;

const REFUSALS: &str = "smallrun_graphql_refusals_total";

impl ExecutorParts {
    /// Checks that a caller has points left; the error is the complete refusal.
    pub(super) fn check(&self, payer: Option<Payer>) -> Result<(), Box<Response>> {
        let (Some(budget), Some(payer)) = (&self.budget, payer) else { return Ok(()) };
        budget.check(payer, Instant::now()).map_err(|short| Box::new(limited(budget, payer, None, short)))
    }

    /// Takes points from a caller; the error is the complete refusal.
    pub(super) fn take(&self, payer: Option<Payer>, cost: u64) -> Result<(), Box<Response>> {
        let (Some(budget), Some(payer)) = (&self.budget, payer) else { return Ok(()) };
        budget
            .take(payer, cost, Instant::now())
            .map(drop)
            .map_err(|short| Box::new(limited(budget, payer, Some(cost), short)))
    }

    pub(super) fn charge(&self, payer: Option<Payer>, points: u64) -> Option<(BudgetSettings, u64)> {
        let (Some(budget), Some(payer)) = (&self.budget, payer) else { return None };
        Some((budget.settings(), budget.charge(payer, points, Instant::now())))
    }

    /// Returns the answer to a refused request whose document has this many bytes, and charges for it.
    pub(super) fn refuse(&self, refused: GuardRefusal, bytes: usize, payer: Option<Payer>) -> Response {
        let actual = u64::try_from(bytes).unwrap_or(u64::MAX).div_euclid(BYTES_PER_POINT).max(REFUSED_POINTS);
        metrics::counter!(REFUSALS, "limit" => refused.limit().unwrap_or("none")).increment(1);
        let requested = refused.cost();
        let mut response = Response::from_errors(vec![refused.error()]);
        settle(&mut response);
        let budget = self.charge(payer, actual);
        Cost { requested, actual, budget }.show(&mut response);
        response
    }
}

/// Returns the actual cost of an operation, from the number of values in its answer and of tokens in its
/// document.
pub(super) fn actual(values: u64, tokens: u64, refused: bool) -> u64 {
    if refused { tokens.max(REFUSED_POINTS) } else { values.max(tokens.div_euclid(TOKENS_PER_POINT)).max(1) }
}

/// Returns the answer to a caller with too few points left.
fn limited(budget: &Budget, payer: Payer, requested: Option<u64>, short: Short) -> Response {
    let secs = whole_secs(short.retry_after);
    metrics::counter!(REFUSALS, "limit" => "budget").increment(1);
    if short.news {
        tracing::warn!(caller = payer.kind(), requested, left = short.left, "caller has used up its budget");
    }
    let mut error = Code::RateLimited.server_error(format!("too many requests: retry in {secs} s"), None);
    error.extensions.get_or_insert_default().set(RETRY_AFTER, secs);
    let mut response = Response::from_errors(vec![error]);
    Cost { requested, actual: 0, budget: Some((budget.settings(), short.left)) }.show(&mut response);
    response
}

/// Returns after how many seconds a refused request may be retried; `None` for all other answers.
pub(crate) fn retry_after_secs(response: &Response) -> Option<u64> {
    match response.errors.first()?.extensions.as_ref()?.get(RETRY_AFTER)? {
        Value::Number(secs) => secs.as_u64(),
        _ => None,
    }
}
