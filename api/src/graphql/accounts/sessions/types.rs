//! The sessions of an account.

use async_graphql::{ID, Object};
use chrono::{DateTime, Utc};
use domain::accounts as rules;

use crate::graphql::{connection::ListNode, context::global};

/// A session of an account.
#[derive(Clone)]
pub struct Session {
    pub(in crate::graphql::accounts) row: rules::Session,
    pub(in crate::graphql::accounts) current: bool,
}

impl ListNode for Session {}

/// A session of an account.
#[Object]
impl Session {
    /// The global id. Pass it to `sessionRevoke`.
    async fn id(&self) -> ID {
        global(self.row.id)
    }
    /// Whether this is the session of the request.
    async fn current(&self) -> bool {
        self.current
    }
    /// The global id of the API token whose storefront opened the session. Null if the person signed in.
    async fn opened_by_token_id(&self) -> Option<ID> {
        self.row.opened_by.map(global)
    }
    /// When the session started.
    async fn created_at(&self) -> DateTime<Utc> {
        self.row.created_at
    }
    /// When the session ends.
    async fn expires_at(&self) -> DateTime<Utc> {
        self.row.expires_at
    }
    /// When the session was last used, to the minute.
    async fn last_used_at(&self) -> DateTime<Utc> {
        self.row.last_used_at
    }
}
