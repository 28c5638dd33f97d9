//! The letters to the buyer of a checkout: units are held, the reservation is confirmed, the hold has
//! expired.

use std::{collections::BTreeMap, fmt::Write as _};

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::{Checkout, Reservation, queries::for_letter, state::ReservationState};
use crate::{
    accounts::email_of,
    catalog::{Sight, queries as catalog},
    platform::{
        EntityId, Money,
        facts::Fact,
        ids::CheckoutId,
        mail::{Letter, LetterContext, LetterText, Recipient, one_line},
        tasks::TaskError,
    },
};

/// The contents of a letter about a checkout.
#[derive(Debug, Clone)]
pub struct CheckoutSummary {
    checkout: CheckoutId,
    expires_at: DateTime<Utc>,
    lines: Vec<SummaryLine>,
    total: Money,
    due_now: Money,
    due_later: Money,
}

/// One reservation of a checkout.
#[derive(Debug, Clone)]
struct SummaryLine {
    units: u32,
    title: String,
    total: Money,
    balance: Money,
    balance_due_on: Option<NaiveDate>,
}

/// Returns the buyer of a checkout and the letter's contents. Returns `None` if `only_while` is given and no
/// line is in that state, because the letter is outdated then.
async fn buyer_with_summary(
    context: &LetterContext<'_>,
    checkout: CheckoutId,
    only_while: Option<ReservationState>,
) -> Result<Option<(Recipient, CheckoutSummary)>, TaskError> {
    let Some((checkout, lines)) = for_letter(context.db, context.scope, checkout).await? else {
        return Ok(None);
    };
    if only_while.is_some_and(|state| lines.iter().all(|line| line.state != state)) {
        return Ok(None);
    }
    let Some(buyer) = checkout.buyer() else { return Ok(None) };
    let Some((email, name)) = email_of(context.db, context.scope, buyer).await? else { return Ok(None) };
    let to = Recipient { address: email.as_str().to_owned(), name };
    Ok(Some((to, summary(context, &checkout, &lines).await?)))
}

async fn summary(
    context: &LetterContext<'_>,
    checkout: &Checkout,
    lines: &[Reservation],
) -> Result<CheckoutSummary, TaskError> {
    let sight = Sight::system(context.scope).map_err(TaskError::discard)?;
    let variants: Vec<_> = lines.iter().map(|line| line.variant_id).collect();
    let variants = catalog::referred_variants_by_ids(context.db, &sight, &variants).await?;
    let products: Vec<_> = variants.values().map(|variant| variant.product_id).collect();
    let products = catalog::referred_by_ids(context.db, &sight, &products).await?;
    let lines = lines.iter().map(|line| {
        let variant = variants.get(&line.variant_id);
        let product = variant.and_then(|variant| products.get(&variant.product_id));
        let titles =
            [product.map(|product| product.title.as_str()), variant.map(|variant| variant.title.as_str())];
        SummaryLine {
            units: line.units.get(),
            title: titles
                .into_iter()
                .flatten()
                .filter(|title| !title.is_empty())
                .collect::<Vec<_>>()
                .join(", "),
            total: Money::new(line.total_minor, line.currency),
            balance: Money::new(line.due_later_minor, line.currency),
            balance_due_on: line.balance_due_on,
        }
    });
    Ok(CheckoutSummary {
        checkout: checkout.id,
        expires_at: checkout.expires_at,
        lines: lines.collect(),
        total: Money::new(checkout.total_minor, checkout.currency),
        due_now: checkout.due_now(),
        due_later: Money::new(checkout.due_later_minor, checkout.currency),
    })
}

/// The letter that units are held, with the deadline. It is sent to the buyer while any line is still held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldLetter {
    /// The checkout.
    pub checkout: CheckoutId,
}

impl Letter for HeldLetter {
    type Content = CheckoutSummary;

    const KIND: &'static str = "held";

    fn subject(&self) -> String {
        self.checkout.public()
    }

    fn following(fact: &Fact) -> Option<Self> {
        if let Fact::Reserved { checkout } = *fact { Some(Self { checkout }) } else { None }
    }

    async fn prepare(
        &self,
        context: &LetterContext<'_>,
    ) -> Result<Option<(Recipient, CheckoutSummary)>, TaskError> {
        buyer_with_summary(context, self.checkout, Some(ReservationState::Held)).await
    }

    fn words(summary: &CheckoutSummary) -> LetterText {
        LetterText {
            subject: format!("Reserved until {}", time(summary.expires_at)),
            body: format!(
                "We hold this for you until {}.\n\n{}\nPay the deposit of {} by then; otherwise the \
                 reservation ends.\n",
                time(summary.expires_at),
                lines(summary),
                summary.due_now
            ),
        }
    }
}

/// The letter that the deposit is paid. It is sent to the buyer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfirmedLetter {
    /// The checkout.
    pub checkout: CheckoutId,
}

impl Letter for ConfirmedLetter {
    type Content = CheckoutSummary;

    const KIND: &'static str = "confirmed";

    fn subject(&self) -> String {
        self.checkout.public()
    }

    fn following(fact: &Fact) -> Option<Self> {
        if let Fact::Confirmed { checkout } = *fact { Some(Self { checkout }) } else { None }
    }

    async fn prepare(
        &self,
        context: &LetterContext<'_>,
    ) -> Result<Option<(Recipient, CheckoutSummary)>, TaskError> {
        buyer_with_summary(context, self.checkout, None).await
    }

    fn words(summary: &CheckoutSummary) -> LetterText {
        LetterText {
            subject: "Your reservation is confirmed".to_owned(),
            body: format!(
                "Your deposit of {} has arrived, and your reservation is confirmed.\n\n{}\n{}",
                summary.due_now,
                lines(summary),
                balance(summary)
            ),
        }
    }
}

/// The letter that the hold has expired. It is sent to the buyer unless the lines were confirmed in the
/// meantime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LapsedLetter {
    /// The checkout.
    pub checkout: CheckoutId,
}

impl Letter for LapsedLetter {
    type Content = CheckoutSummary;

    const KIND: &'static str = "lapsed";

    fn subject(&self) -> String {
        self.checkout.public()
    }

    fn following(fact: &Fact) -> Option<Self> {
        if let Fact::Lapsed { checkout } = *fact { Some(Self { checkout }) } else { None }
    }

    async fn prepare(
        &self,
        context: &LetterContext<'_>,
    ) -> Result<Option<(Recipient, CheckoutSummary)>, TaskError> {
        buyer_with_summary(context, self.checkout, Some(ReservationState::Expired)).await
    }

    fn words(summary: &CheckoutSummary) -> LetterText {
        LetterText {
            subject: "Your reservation has ended".to_owned(),
            body: format!(
                "We held this for you until {}. The deposit did not arrive by then, so the reservation \
                 has ended.\n\n{}\n\
                 If the items are still available, you can reserve again. If your payment still arrives, we\n\
                 confirm the reservation if everything in it is still free; otherwise we refund the whole\n\
                 amount at once.\n",
                time(summary.expires_at),
                lines(summary)
            ),
        }
    }
}

fn lines(summary: &CheckoutSummary) -> String {
    let mut text = String::new();
    for line in &summary.lines {
        // Writing to a string cannot fail.
        let _written = writeln!(text, "  {} x {}: {}", line.units, one_line(&line.title), line.total);
    }
    let _written = writeln!(
        text,
        "\n  Total: {}\n  Deposit: {}\n  Later: {}\n",
        summary.total, summary.due_now, summary.due_later
    );
    let _written = writeln!(text, "Your checkout: {}", summary.checkout);
    text
}

fn balance(summary: &CheckoutSummary) -> String {
    let mut by_day: BTreeMap<NaiveDate, Money> = BTreeMap::new();
    for line in summary.lines.iter().filter(|line| line.balance.minor > 0) {
        let Some(day) = line.balance_due_on else { continue };
        let sum = by_day.get(&day).map_or(Ok(line.balance), |sum| sum.plus(line.balance));
        by_day.insert(day, sum.unwrap_or(line.balance));
    }
    let mut text = String::new();
    for (day, sum) in by_day {
        let _written = writeln!(text, "The balance of {sum} is due on {}.", day.format("%A, %-d %B %Y"));
    }
    if text.is_empty() && summary.due_later.minor > 0 {
        let _written = writeln!(text, "The balance of {} is due before shipping.", summary.due_later);
    }
    text
}

/// Formats a time, such as `Monday, 2 March 2026, 10:10 UTC`.
fn time(at: DateTime<Utc>) -> String {
    at.format("%A, %-d %B %Y, %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::platform::Currency;

    fn eur(minor: i64) -> Money {
        Money::new(minor, Currency::from_code("EUR").unwrap())
    }

    fn summary() -> CheckoutSummary {
        let line = |units, title: &str, total, balance, day| SummaryLine {
            units,
            title: title.to_owned(),
            total: eur(total),
            balance: eur(balance),
            balance_due_on: NaiveDate::from_ymd_opt(2026, 4, day),
        };
        CheckoutSummary {
            checkout: CheckoutId(Uuid::from_u128(0x0192_7f3a_0000_7000_8000_0000_0000_0001)),
            expires_at: DateTime::from_timestamp(1_772_446_200, 0).unwrap(),
            lines: vec![
                line(2, "Jug, blue", 9_000, 7_000, 1),
                line(1, "Bowl\nTotal: 0", 3_000, 2_500, 1),
                line(1, "Cup", 1_000, 900, 9),
            ],
            total: eur(13_000),
            due_now: eur(2_600),
            due_later: eur(10_400),
        }
    }

    #[test]
    fn a_held_letter_names_the_deadline_with_its_zone_the_lines_and_the_deposit() {
        let words = HeldLetter::words(&summary());
        assert_eq!(words.subject, "Reserved until Monday, 2 March 2026, 10:10 UTC");
        for part in ["  2 x Jug, blue: 90.00 EUR\n", "Deposit: 26.00 EUR", "checkout_", "UTC"] {
            assert!(words.body.contains(part), "{part}: {}", words.body);
        }
    }

    #[test]
    fn a_title_cannot_start_a_line_of_its_own() {
        let words = HeldLetter::words(&summary());
        assert!(words.body.contains("  1 x Bowl Total: 0: 30.00 EUR"), "{}", words.body);
    }

    #[test]
    fn a_confirmed_letter_says_when_each_balance_is_due() {
        let words = ConfirmedLetter::words(&summary());
        assert!(
            words.body.contains("The balance of 95.00 EUR is due on Wednesday, 1 April 2026."),
            "{}",
            words.body
        );
        assert!(
            words.body.contains("The balance of 9.00 EUR is due on Thursday, 9 April 2026."),
            "{}",
            words.body
        );
    }
}
