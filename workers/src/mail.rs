//! The queue of letters: reads what a letter is about, writes it, and hands it to a mailer.
//!
//! `text` has the words, `envelope` the form of a message; [`FolderMailer`] and [`SmtpMailer`] send.

mod envelope;
mod folder;
mod smtp;
mod text;

use std::sync::Arc;

use async_trait::async_trait;
use domain::{
    accounts::{Addressed, Addressing, Email, address, email_of},
    catalog::{Sight, queries as catalog},
    platform::{
        Db, EntityId, Money,
        access::SystemScope,
        faults::{self, Point},
        ids::CheckoutId,
        mail::{Letter, Mail, MailError, Mailer},
        tasks::{Claimed, Task},
    },
    reservations::{Checkout, Reservation, queries::for_letter, state::ReservationState},
};

pub use envelope::SenderError;
pub use folder::FolderMailer;
pub use smtp::{SmtpError, SmtpMailer};

use crate::{failure::TaskError, run::Handler};
use text::{Content, Line, Link, Summary, Words};

/// What the links in letters begin with.
#[derive(Debug, Clone)]
pub struct LinkBase(String);

impl LinkBase {
    /// Links to `BASE/confirm-email?code=…` and the like.
    pub fn new(base: &str) -> Self {
        Self(base.trim_end_matches('/').to_owned())
    }
}

impl From<MailError> for TaskError {
    fn from(error: MailError) -> Self {
        match error {
            MailError::Later(_) => Self::retry(error),
            MailError::Never(_) => Self::discard(error),
        }
    }
}

/// Does the tasks of the queue `mail`.
pub(crate) struct MailQueue {
    pub(crate) db: Db,
    pub(crate) mailer: Arc<dyn Mailer>,
    pub(crate) links: LinkBase,
}

#[async_trait]
impl Handler for MailQueue {
    async fn handle(&self, claimed: &Claimed) -> Result<(), TaskError> {
        match &claimed.task {
            Task::SendMail { letter } => self.send(claimed, letter).await,
            Task::LapseCheckout { .. }
            | Task::AdvancePayment { .. }
            | Task::CancelPayment { .. }
            | Task::SyncPayment { .. }
            | Task::MakeRefund { .. }
            | Task::ApplyWebhook { .. }
            | Task::SandboxOutcome { .. }
            | Task::ImportProducts { .. } => Err(crate::misplaced(claimed)),
        }
    }
}

impl MailQueue {
    async fn send(&self, claimed: &Claimed, letter: &Letter) -> Result<(), TaskError> {
        let scope = SystemScope::new("mail");
        let written = match address(&self.db, &scope, letter).await? {
            Addressing::To(to) => {
                let content = self.of_account(letter, &to)?;
                Some((to.email, text::write(to.name.as_deref(), &content)))
            }
            Addressing::BuyerOf(checkout) => self.of_checkout(&scope, letter, checkout).await?,
            Addressing::Unwanted => None,
        };
        let Some((email, words)) = written else {
            tracing::debug!("the letter is not wanted any more");
            return Ok(());
        };
        let mail = Mail {
            id: claimed.id.public(),
            asked_at: claimed.id.made_at(),
            to: email.as_str().to_owned(),
            subject: words.subject,
            text: words.text,
        };
        self.mailer.send(&mail).await?;
        Ok(faults::point(Point::MailSent).await?)
    }

    /// A letter about an account or a guest.
    fn of_account(&self, letter: &Letter, to: &Addressed) -> Result<Content, TaskError> {
        Ok(match letter {
            Letter::ConfirmEmail { .. } => Content::ConfirmEmail { link: self.link("confirm-email", to)? },
            Letter::AlreadySignedUp { .. } => Content::AlreadySignedUp,
            Letter::ResetPassword { .. } => Content::ResetPassword { link: self.link("reset-password", to)? },
            Letter::ConfirmGuest { .. } => Content::ConfirmGuest { link: self.link("confirm-guest", to)? },
            Letter::OpenSession { .. } => {
                let storefront = to.storefront.clone().unwrap_or_default();
                Content::OpenSession { storefront, link: self.link("open-session", to)? }
            }
            Letter::Held { .. } | Letter::Confirmed { .. } | Letter::Lapsed { .. } => {
                return Err(TaskError::discard("a letter about a checkout goes to its buyer"));
            }
        })
    }

    fn link(&self, page: &str, to: &Addressed) -> Result<Link, TaskError> {
        let (secret, expires_at) = to.link.clone().ok_or_else(|| TaskError::discard("a letter without its link"))?;
        // A secret is made of letters, digits and `_`: nothing to escape.
        let url = format!("{}/{page}?code={}", self.links.0, secret.expose());
        Ok(Link { url, secret, valid: expires_at.signed_duration_since(self.db.now()) })
    }

    /// A letter about a checkout; `None` when what it would say is no longer so.
    async fn of_checkout(&self, scope: &SystemScope, letter: &Letter, id: CheckoutId) -> Result<Option<(Email, Words)>, TaskError> {
        let Some((checkout, lines)) = for_letter(&self.db, scope, id).await? else { return Ok(None) };
        let still = |state| lines.iter().any(|line| line.state == state);
        let about: fn(Summary) -> Content = match letter {
            Letter::Held { .. } if still(ReservationState::Held) => Content::Held,
            Letter::Lapsed { .. } if still(ReservationState::Expired) => Content::Lapsed,
            Letter::Confirmed { .. } => Content::Confirmed,
            Letter::Held { .. } | Letter::Lapsed { .. } => return Ok(None),
            Letter::ConfirmEmail { .. }
            | Letter::AlreadySignedUp { .. }
            | Letter::ResetPassword { .. }
            | Letter::ConfirmGuest { .. }
            | Letter::OpenSession { .. } => return Err(TaskError::discard("a letter about an account goes to its owner")),
        };
        let Some(buyer) = checkout.buyer() else { return Ok(None) };
        let Some((email, name)) = email_of(&self.db, scope, buyer).await? else { return Ok(None) };
        let content = about(self.summary(scope, &checkout, &lines).await?);
        Ok(Some((email, text::write(name.as_deref(), &content))))
    }

    /// What a letter tells of a checkout.
    async fn summary(&self, scope: &SystemScope, checkout: &Checkout, lines: &[Reservation]) -> Result<Summary, TaskError> {
        let sight = Sight::system(scope).map_err(TaskError::discard)?;
        let variants: Vec<_> = lines.iter().map(|line| line.variant_id).collect();
        let variants = catalog::referred_variants_by_ids(&self.db, &sight, &variants).await?;
        let products: Vec<_> = variants.values().map(|variant| variant.product_id).collect();
        let products = catalog::referred_by_ids(&self.db, &sight, &products).await?;
        let lines = lines.iter().map(|line| {
            let variant = variants.get(&line.variant_id);
            let product = variant.and_then(|variant| products.get(&variant.product_id));
            let titles = [product.map(|product| product.title.as_str()), variant.map(|variant| variant.title.as_str())];
            Line {
                units: line.units.get(),
                title: titles.into_iter().flatten().filter(|title| !title.is_empty()).collect::<Vec<_>>().join(", "),
                total: Money::new(line.total_minor, line.currency),
                balance: Money::new(line.due_later_minor, line.currency),
                balance_due_on: line.balance_due_on,
            }
        });
        Ok(Summary {
            checkout: checkout.id,
            expires_at: checkout.expires_at,
            lines: lines.collect(),
            total: Money::new(checkout.total_minor, checkout.currency),
            due_now: checkout.due_now(),
            due_later: Money::new(checkout.due_later_minor, checkout.currency),
        })
    }
}
