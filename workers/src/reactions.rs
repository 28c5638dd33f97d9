//! What follows from a fact: the pure table from facts to tasks.
//!
//! The relay queues these in the transaction that stamps the fact, so each follows exactly once.

use domain::platform::{
    facts::Fact,
    mail::Letter,
    outbox::Stamped,
    tasks::{NewTask, Task},
};

/// The tasks that a fact leads to.
pub fn react(stamped: &Stamped) -> Vec<NewTask> {
    let letter = match stamped.fact {
        Fact::Reserved { checkout } => Letter::Held { checkout },
        Fact::Confirmed { checkout } => Letter::Confirmed { checkout },
        Fact::Lapsed { checkout } => Letter::Lapsed { checkout },
        Fact::AccountChanged { .. }
        | Fact::CreatorChanged { .. }
        | Fact::ProductChanged { .. }
        | Fact::DropChanged { .. }
        | Fact::StockChanged { .. }
        | Fact::ReservationCancelled { .. }
        | Fact::PaymentChanged { .. } => return Vec::new(),
    };
    vec![NewTask::from(Task::SendMail { letter })]
}

#[cfg(test)]
mod tests {
    use domain::platform::ids::{AccountId, CheckoutId, CreatorId, DropId, FactId, PaymentId, ProductId};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn each_fact_leads_to_the_tasks_that_the_table_says() {
        let id = Uuid::from_u128(7);
        let (checkout, creator, drop) = (CheckoutId(id), CreatorId(id), DropId(id));
        let mail = |letter| vec![Task::SendMail { letter }];
        for (fact, expected) in [
            (Fact::AccountChanged { account: AccountId(id) }, vec![]),
            (Fact::CreatorChanged { creator }, vec![]),
            (Fact::ProductChanged { creator, product: ProductId(id) }, vec![]),
            (Fact::DropChanged { creator, drop }, vec![]),
            (Fact::StockChanged { creator, drop }, vec![]),
            (Fact::Reserved { checkout }, mail(Letter::Held { checkout })),
            (Fact::Confirmed { checkout }, mail(Letter::Confirmed { checkout })),
            (Fact::Lapsed { checkout }, mail(Letter::Lapsed { checkout })),
            (Fact::ReservationCancelled { checkout }, vec![]),
            (Fact::PaymentChanged { checkout, payment: PaymentId(id) }, vec![]),
        ] {
            let stamped = Stamped { id: FactId(id), position: 1, version: 1, fact: fact.clone(), trace: None };
            let seen = format!("{:?}", react(&stamped));
            let expected = format!("{:?}", expected.into_iter().map(NewTask::from).collect::<Vec<_>>());
            assert_eq!(seen, expected, "{fact:?}");
        }
    }
}
