//! The page on which a buyer confirms or declines a sandbox payment: its content and the effect of the
//! buyer's choice. The binary renders the HTML.

use domain::platform::{Money, in_tx};
use sea_orm::DbErr;

use super::{ACTOR, Sandbox, SandboxState, declines, intent_row, pays};

/// The content of the confirmation page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageView {
    /// The amount to pay.
    pub amount: Money,
    /// The state of the intent. The buyer has a choice only in [`SandboxState::RequiresAction`].
    pub state: SandboxState,
}

/// The reason why a choice was not applied.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// No confirmation page has this secret.
    #[error("there is no such payment")]
    Unknown,
    /// The database failed.
    #[error("the database failed")]
    Db(#[from] DbErr),
}

/// Allows web pages only. A URL with another scheme could run code or open a program on the buyer's machine.
pub(super) fn may_return_to(url: &str) -> bool {
    let web = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    web.is_some_and(|rest| {
        !rest.is_empty() && url.len() <= 2_000 && url.bytes().all(|byte| byte.is_ascii_graphic())
    })
}

impl Sandbox {
    /// Returns the content of the page with this secret, or `None` when there is no such page.
    pub async fn page(&self, secret: &str) -> Result<Option<PageView>, DbErr> {
        let row = intent_row::by_secret(&self.db, secret).await?;
        Ok(row.map(|row| PageView { amount: Money::new(row.amount_minor, row.currency), state: row.state }))
    }

    /// Applies the buyer's choice. Returns the URL to send the buyer to, if the storefront gave one. A choice
    /// for a payment that does not wait for confirmation changes nothing.
    pub async fn settle(&self, secret: &str, approve: bool) -> Result<Option<String>, SettleError> {
        let row = intent_row::by_secret(&self.db, secret).await?.ok_or(SettleError::Unknown)?;
        in_tx(&self.db, ACTOR, async |tx| {
            let mut row = intent_row::lock(tx, row.id).await?.ok_or(SettleError::Unknown)?;
            if row.state == SandboxState::RequiresAction {
                if approve {
                    pays(tx, &mut row).await?;
                } else {
                    declines(tx, &mut row, "authentication_failed").await?;
                }
                intent_row::update(tx, &row).await?;
            }
            Ok(row.return_url)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::may_return_to;

    #[test]
    fn only_web_pages_are_accepted_as_return_urls() {
        for url in ["https://shop.example/thanks?x=1#y", "http://127.0.0.1:8080/"] {
            assert!(may_return_to(url), "{url}");
        }
        for url in [
            "javascript:alert(1)",
            "data:text/html,x",
            "//shop.example",
            "https://",
            "https://a b",
            "https://a\r\nX: y",
            "",
        ] {
            assert!(!may_return_to(url), "{url}");
        }
    }
}
