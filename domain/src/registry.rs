//! What a process knows to do: the kinds of tasks, letters and timers, what payments are for, and what is
//! held of persons.
//!
//! Each is a type or a value in the file of its capability. A task implements
//! [`Task`](crate::platform::tasks::Task), a letter [`Letter`](crate::platform::mail::Letter), a timer
//! [`Timer`](crate::platform::timers::Timer). A new one is added there and here, and nowhere else.
//!
//! What another crate brings, such as a gateway, is added to these lists where a process is put together.

use std::sync::Arc;

use crate::{
    accounts::{
        self,
        letters::{
            AlreadySignedUpLetter, ConfirmEmailLetter, ConfirmGuestLetter, OpenSessionLetter,
            ResetPasswordLetter,
        },
    },
    catalog::{self, imports::ImportProducts},
    creators, drops,
    payments::{
        self, Payables, Purpose,
        gateways::Gateways,
        payable::Payable,
        tasks::{AdvancePayment, ApplyWebhook, CancelPayment, MakeRefund, PaymentPorts, SyncPayment},
    },
    platform::{
        self,
        mail::{LetterKinds, LinkBase, Mailer, PostOffice, SendMail},
        personal_data::Register,
        tasks::TaskKinds,
        timers::TimerKinds,
    },
    reservations::{
        self,
        deposits::Deposits,
        letters::{ConfirmedLetter, HeldLetter, LapsedLetter},
        tasks::{HoldLapse, LapseCheckout},
    },
};

/// What tasks work with besides the database.
#[derive(Clone)]
pub struct Ports {
    /// The gateways of this deployment.
    pub gateways: Gateways,
    /// Sends letters.
    pub mailer: Arc<dyn Mailer>,
    /// What the links in letters begin with.
    pub links: LinkBase,
}

/// The kinds of tasks.
pub fn tasks(ports: Ports) -> TaskKinds {
    let Ports { gateways, mailer, links } = ports;
    let payments = PaymentPorts { gateways, payables: payables() };
    TaskKinds::default()
        .with::<SendMail>(PostOffice { mailer, links, letters: letters() })
        .with::<ImportProducts>(())
        .with::<LapseCheckout>(())
        .with::<AdvancePayment>(payments.clone())
        .with::<CancelPayment>(payments.clone())
        .with::<SyncPayment>(payments.clone())
        .with::<MakeRefund>(payments.clone())
        .with::<ApplyWebhook>(payments)
}

/// What payments may be for, and what follows from them: one line for each purpose.
pub fn payables() -> Payables {
    let deposits: Box<dyn Payable> = Box::new(Deposits);
    Payables::new([(Purpose::Deposit, deposits)])
}

/// What the capabilities hold of persons. What other crates hold is added where a process is put together.
pub const PERSONAL_DATA: [&Register; 7] = [
    &accounts::personal_data::REGISTER,
    &creators::personal_data::REGISTER,
    &catalog::personal_data::REGISTER,
    &drops::personal_data::REGISTER,
    &reservations::personal_data::REGISTER,
    &payments::personal_data::REGISTER,
    &platform::personal_data::REGISTER,
];

/// The kinds of letters.
pub fn letters() -> LetterKinds {
    LetterKinds::default()
        .with::<ConfirmEmailLetter>()
        .with::<AlreadySignedUpLetter>()
        .with::<ResetPasswordLetter>()
        .with::<ConfirmGuestLetter>()
        .with::<OpenSessionLetter>()
        .with::<HeldLetter>()
        .with::<ConfirmedLetter>()
        .with::<LapsedLetter>()
}

/// The kinds of timers.
pub fn timers() -> TimerKinds {
    TimerKinds::default().with::<HoldLapse>()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};
    use uuid::Uuid;

    use super::*;
    use crate::platform::{
        facts::Fact,
        ids::{
            AccountId, CheckoutId, CreatorId, DropId, GuestId, ImportId, PaymentId, ProductId, RefundId,
            TokenId,
        },
        mail::{Letter, letter},
        tasks::{self as queue, NewTask, Task},
        timers::Timer,
    };

    const ID: Uuid = Uuid::from_u128(7);
    const SEVEN: &str = "00000000-0000-0000-0000-000000000007";

    /// What a task's row keeps: its kind, its subject, its payload. The payload can be read again.
    fn row<T: Task>(task: &T) -> (&'static str, String, Json) {
        let payload = queue::stored(task).unwrap();
        let again: T = serde_json::from_value(payload.clone()).unwrap();
        assert_eq!(queue::stored(&again).unwrap(), payload);
        (T::KIND, task.subject(), payload)
    }

    /// Rows outlive the version that wrote them.
    #[test]
    fn rows_of_tasks_are_what_they_have_always_been() {
        let (payment, checkout) = (PaymentId(ID), CheckoutId(ID));
        let webhook = ApplyWebhook { gateway: "sandbox".to_owned(), event: "sbxe_1".to_owned() };
        let of_payment =
            |kind: &'static str| (kind, payment.to_string(), json!({ "task": kind, "payment": SEVEN }));
        assert_eq!(row(&AdvancePayment { payment }), of_payment("advance_payment"));
        assert_eq!(row(&CancelPayment { payment }), of_payment("cancel_payment"));
        assert_eq!(row(&SyncPayment { payment }), of_payment("sync_payment"));
        let refund = RefundId(ID);
        let payload = json!({ "task": "make_refund", "refund": SEVEN });
        assert_eq!(row(&MakeRefund { refund }), ("make_refund", refund.to_string(), payload));
        let payload = json!({ "task": "apply_webhook", "gateway": "sandbox", "event": "sbxe_1" });
        assert_eq!(row(&webhook), ("apply_webhook", "sandbox:sbxe_1".to_owned(), payload));
        let payload = json!({ "task": "lapse_checkout", "checkout": SEVEN });
        assert_eq!(row(&LapseCheckout { checkout }), ("lapse_checkout", checkout.to_string(), payload));
        let import = ImportId(ID);
        let payload = json!({ "task": "import_products", "import": SEVEN });
        assert_eq!(row(&ImportProducts { import }), ("import_products", import.to_string(), payload));
        let letter = SendMail::new(&HeldLetter { checkout }).unwrap();
        let payload = json!({ "task": "send_mail", "letter": { "letter": "held", "checkout": SEVEN } });
        assert_eq!(row(&letter), ("send_mail", checkout.to_string(), payload));
        assert_eq!((HoldLapse::KIND, HoldLapse::task(checkout)), ("hold_lapse", LapseCheckout { checkout }));
    }

    fn letter_row<L: Letter>(letter: &L) -> (String, Json) {
        let stored = letter::stored(letter).unwrap();
        let again: L = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(letter::stored(&again).unwrap(), stored);
        (letter.subject(), stored)
    }

    #[test]
    fn letters_are_kept_as_they_have_always_been() {
        let (account, guest, checkout, token) = (AccountId(ID), GuestId(ID), CheckoutId(ID), TokenId(ID));
        let of_account = |kind: &str| (account.to_string(), json!({ "letter": kind, "account": SEVEN }));
        assert_eq!(letter_row(&ConfirmEmailLetter { account }), of_account("confirm_email"));
        assert_eq!(letter_row(&AlreadySignedUpLetter { account }), of_account("already_signed_up"));
        assert_eq!(letter_row(&ResetPasswordLetter { account }), of_account("reset_password"));
        let stored = json!({ "letter": "confirm_guest", "guest": SEVEN });
        assert_eq!(letter_row(&ConfirmGuestLetter { guest }), (guest.to_string(), stored));
        let stored = json!({ "letter": "open_session", "account": SEVEN, "token": SEVEN });
        assert_eq!(letter_row(&OpenSessionLetter { account, token }), (account.to_string(), stored));
        let of_checkout = |kind: &str| (checkout.to_string(), json!({ "letter": kind, "checkout": SEVEN }));
        assert_eq!(letter_row(&HeldLetter { checkout }), of_checkout("held"));
        assert_eq!(letter_row(&ConfirmedLetter { checkout }), of_checkout("confirmed"));
        assert_eq!(letter_row(&LapsedLetter { checkout }), of_checkout("lapsed"));
    }

    #[test]
    fn each_fact_leads_to_the_letters_that_the_table_says() {
        let (checkout, creator, drop) = (CheckoutId(ID), CreatorId(ID), DropId(ID));
        fn mail<L: Letter>(letter: &L) -> Vec<NewTask> {
            vec![SendMail::new(letter).unwrap().into()]
        }
        let table = [
            (Fact::AccountChanged { account: AccountId(ID) }, vec![]),
            (Fact::CreatorChanged { creator }, vec![]),
            (Fact::ProductChanged { creator, product: ProductId(ID) }, vec![]),
            (Fact::DropChanged { creator, drop }, vec![]),
            (Fact::StockChanged { creator, drop }, vec![]),
            (Fact::Reserved { checkout }, mail(&HeldLetter { checkout })),
            (Fact::Confirmed { checkout }, mail(&ConfirmedLetter { checkout })),
            (Fact::Lapsed { checkout }, mail(&LapsedLetter { checkout })),
            (Fact::ReservationCancelled { checkout }, vec![]),
            (Fact::PaymentChanged { checkout, payment: PaymentId(ID) }, vec![]),
        ];
        let kinds: Vec<_> = table.iter().map(|(fact, _)| fact.kind()).collect();
        assert_eq!(kinds, Fact::KINDS, "each kind is stamped, and stands in the table");
        for (fact, expected) in table {
            let seen = letters().following(&fact).unwrap();
            assert_eq!(format!("{seen:?}"), format!("{expected:?}"), "{fact:?}");
        }
    }
}
