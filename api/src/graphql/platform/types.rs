//! The audit log.

use std::borrow::Cow;

use async_graphql::{ID, Object};
use chrono::{DateTime, Utc};
use domain::platform::audit::AuditEntry as Entry;

use crate::graphql::{connection::ListNode, context::global};

/// An entry of the audit log.
#[derive(Clone)]
pub struct AuditEntry(pub(super) Entry);

impl ListNode for AuditEntry {
    fn list_name() -> Cow<'static, str> {
        "Audit".into()
    }
}

/// An entry of the audit log. It records who did what, when, and to which fields, but never the values of
/// fields.
#[Object]
impl AuditEntry {
    /// The global id.
    async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The actor: the id of an account, a guest or an API token; `public` for an unknown viewer; or `system:`
    /// and a reason for the system itself.
    async fn actor(&self) -> &str {
        &self.0.actor
    }
    /// The action, as a noun and a verb, such as `drop.publish`.
    async fn action(&self) -> &str {
        &self.0.action
    }
    /// The subject of the action: its id, or a word if it has no id.
    async fn subject(&self) -> &str {
        &self.0.subject
    }
    /// The names of the changed fields.
    async fn fields(&self) -> Vec<&str> {
        self.0.fields.split(',').filter(|field| !field.is_empty()).collect()
    }
    /// The reason that the actor gave, for the few actions that ask for one, such as `task.discard`.
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }
    /// The trace id of the request or the task that made the write.
    async fn trace_id(&self) -> Option<&str> {
        self.0.trace_id.as_deref()
    }
    /// The time of the write by the machine's clock, even in a demo whose clock was moved.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// The position of the entry in the sealed log: a whole number from 1, as a string because it may exceed
    /// `Int`. It is null until the entry is sealed, which takes at most a second. From then on, `smallrun
    /// audit verify` detects if the entry is changed, moved or deleted.
    async fn position(&self) -> Option<String> {
        self.0.position.map(|position| position.to_string())
    }
}
