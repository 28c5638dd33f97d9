//! The page on which a buyer confirms a payment of the sandbox: what it shows, and what a choice does.
//! The binary serves the HTML.

use domain::platform::{Money, in_tx};
use sea_orm::DbErr;

use super::{ACTOR, Sandbox, SandboxState, declines, intent_row, pays};

/// What the page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageView {
    /// What is to be paid.
    pub amount: Money,
    /// Whether there is still something to confirm.
    pub state: SandboxState,
}

/// Why a choice had no effect.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// No page has this address.
    #[error("there is no such payment")]
    Unknown,
    /// The database failed.
    #[error("the database failed")]
    Db(#[from] DbErr),
}

/// Only web pages: another scheme would run or open something on the buyer's machine.
pub(super) fn may_return_to(url: &str) -> bool {
    let web = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    web.is_some_and(|rest| {
        !rest.is_empty() && url.len() <= 2_000 && url.bytes().all(|byte| byte.is_ascii_graphic())
    })
}

impl Sandbox {
    /// What the page with this secret shows; `None` when there is no such page.
    pub async fn page(&self, secret: &str) -> Result<Option<PageView>, DbErr> {
        let row = intent_row::by_secret(&self.db, secret).await?;
        Ok(row.map(|row| PageView { amount: Money::new(row.amount_minor, row.currency), state: row.state }))
    }

    /// Takes the buyer's choice; answers where to send the buyer, if the storefront said so. A choice
    /// that comes when there is nothing (more) to confirm changes nothing.
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
    fn a_buyer_returns_to_web_pages_only() {
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
