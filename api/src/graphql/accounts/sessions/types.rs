//! The sessions of an account.

use async_graphql::{ID, Object};
use chrono::{DateTime, Utc};
use domain::accounts as rules;

use crate::graphql::{connection::ListNode, context::global};

/// A session in which one is signed in.
#[derive(Clone)]
pub struct Session {
    pub(in crate::graphql::accounts) row: rules::Session,
    pub(in crate::graphql::accounts) current: bool,
}

impl ListNode for Session {}

/// A session in which one is signed in.
#[Object]
impl Session {
    /// Global id, for `sessionRevoke`.
    async fn id(&self) -> ID {
        global(self.row.id)
    }
    /// Whether it is the one that asks.
    async fn current(&self) -> bool {
        self.current
    }
    /// The id of the API token of the storefront that opened it; null when the person signed in.
    async fn opened_by_token_id(&self) -> Option<ID> {
        self.row.opened_by.map(global)
    }
    /// Since when.
    async fn created_at(&self) -> DateTime<Utc> {
        self.row.created_at
    }
    /// Until when.
    async fn expires_at(&self) -> DateTime<Utc> {
        self.row.expires_at
    }
    /// When it was last used, to the minute.
    async fn last_used_at(&self) -> DateTime<Utc> {
        self.row.last_used_at
    }
}
