//! The kinds of tasks, letters, timers and payment purposes that a process supports, and the registers of
//! personal data.
//!
//! Each entry is a type or a value in the module of its capability. A task implements
//! [`Task`](crate::platform::tasks::Task), a letter [`Letter`](crate::platform::mail::Letter) and a timer
//! [`Timer`](crate::platform::timers::Timer). To add a kind, write the type there and list it here; nothing
//! else changes.
//!
//! Entries from other crates, such as those of a payment gateway, are added to these lists where the process
//! is assembled.

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

/// The services that tasks use besides the database.
#[derive(Clone)]
pub struct Ports {
    /// The payment gateways of this deployment.
    pub gateways: Gateways,
    /// Sends the letters.
    pub mailer: Arc<dyn Mailer>,
    /// The base URL of the links in letters.
    pub links: LinkBase,
}

/// Returns the kinds of tasks.
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

/// Returns the purposes of payments, each with the code that reacts to a payment of that purpose.
pub fn payables() -> Payables {
    let deposits: Box<dyn Payable> = Box::new(Deposits);
    Payables::new([(Purpose::Deposit, deposits)])
}

/// The registers of personal data of this crate's capabilities. The registers of other crates are added where
/// the process is assembled.
pub const PERSONAL_DATA: [&Register; 7] = [
    &accounts::personal_data::REGISTER,
    &creators::personal_data::REGISTER,
    &catalog::personal_data::REGISTER,
    &drops::personal_data::REGISTER,
    &reservations::personal_data::REGISTER,
    &payments::personal_data::REGISTER,
    &platform::personal_data::REGISTER,
];

/// Returns the kinds of letters.
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

/// Returns the kinds of timers.
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

    /// Returns the stored form of a task (kind, subject, payload), and checks that the payload can be read
    /// back.
    fn row<T: Task>(task: &T) -> (&'static str, String, Json) {
        let payload = queue::stored(task).unwrap();
        let again: T = serde_json::from_value(payload.clone()).unwrap();
        assert_eq!(queue::stored(&again).unwrap(), payload);
        (T::KIND, task.subject(), payload)
    }

    /// Stored rows must stay readable after an upgrade, so their format must not change.
    #[test]
    fn the_stored_form_of_tasks_does_not_change() {
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
    fn the_stored_form_of_letters_does_not_change() {
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
    fn each_fact_leads_to_the_letters_in_the_table() {
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
