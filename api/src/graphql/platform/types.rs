//! The audit log.

use std::borrow::Cow;

use async_graphql::{ID, Object};
use chrono::{DateTime, Utc};
use domain::platform::audit::AuditEntry as Entry;

use crate::graphql::{connection::ListNode, context::global};

/// One write, as the audit log keeps it.
#[derive(Clone)]
pub struct AuditEntry(pub(super) Entry);

impl ListNode for AuditEntry {
    fn list_name() -> Cow<'static, str> {
        "Audit".into()
    }
}

/// One write, as the audit log keeps it: who did what, when, to which fields; never their values.
#[Object]
impl AuditEntry {
    /// Global id.
    async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// Who: the id of an account, a guest or an API token; `public` for somebody unknown; `system:` and a
    /// reason for the system itself.
    async fn actor(&self) -> &str {
        &self.0.actor
    }
    /// What was done, as noun and verb, such as `drop.publish`.
    async fn action(&self) -> &str {
        &self.0.action
    }
    /// To what: its id, or a word for what has none.
    async fn subject(&self) -> &str {
        &self.0.subject
    }
    /// The names of the fields that were changed.
    async fn fields(&self) -> Vec<&str> {
        self.0.fields.split(',').filter(|field| !field.is_empty()).collect()
    }
    /// Why, in the words of who did it, for the few actions that ask for a reason, such as `task.discard`.
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }
    /// The trace of the request or the task that did it.
    async fn trace_id(&self) -> Option<&str> {
        self.0.trace_id.as_deref()
    }
    /// When, by the machine's clock, also in a demo whose time was moved.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// Its place in the sealed log: a whole number from 1, in a text because it may outgrow `Int`. Null until
    /// it is sealed, for a second at most; from then on `smallrun audit verify` finds out when it is changed,
    /// moved or deleted.
    async fn position(&self) -> Option<String> {
        self.0.position.map(|position| position.to_string())
    }
}
