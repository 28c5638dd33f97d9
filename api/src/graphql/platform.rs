//! What runs the marketplace: accounts, the audit log, and in [`tasks`] background work. For administrators.

use async_graphql::{Context, ID, Object};
use chrono::{DateTime, Utc};
use domain::{
    accounts::{Email, queries},
    platform::{
        access::Administer,
        audit::{self, AuditEntry as Entry},
    },
};

use super::{
    accounts::{Account, AccountConnection},
    connection::{PageArgs, connection, counting},
    context::{Reach, global},
    errors::{Internal, bad_input},
};

pub mod tasks;

/// One write, as the audit log keeps it.
#[derive(Clone)]
pub struct AuditEntry(Entry);

connection!(AuditConnection, AuditEdge, AuditEntry);

/// One write, as the audit log keeps it: who did what, when, to which fields; never their values.
#[Object]
impl AuditEntry {
    /// Global id.
    async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// Who: the id of an account, a guest or an API token; `public` for somebody unknown; `system:` and a reason for the system itself.
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
    /// Its place in the sealed log: a whole number from 1, in a text because it may outgrow `Int`. Null until it is sealed, for
    /// a second at most; from then on `smallrun audit verify` finds out when it is changed, moved or deleted.
    async fn position(&self) -> Option<String> {
        self.0.position.map(|position| position.to_string())
    }
}

/// Reads for those who run the marketplace.
#[derive(Default)]
pub struct PlatformQuery;

#[Object]
impl PlatformQuery {
    /// All accounts, newest first. For administrators.
    async fn accounts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only the account with this e-mail address.")] email: Option<String>,
        #[graphql(desc = "The first so many rows, 0 to 100; 20 if neither `first` nor `last` is given.")] first: Option<i32>,
        #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many rows, 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
    ) -> async_graphql::Result<AccountConnection> {
        let scope = ctx.scope(Administer)?;
        let page = PageArgs { first, after, last, before }.page("accounts")?;
        let email = email.map(|email| Email::new(&email)).transpose().map_err(|error| bad_input(format!("`email` {error}")))?;
        let slice = queries::accounts(ctx.db(), &scope, email.as_ref(), &page).await.internal()?;
        let slice = slice.map(|row| Account::seen_by(ctx.viewer(), row));
        let counting = counting(ctx.db(), (scope, email), |db, (scope, email)| async move {
            queries::accounts_count(&db, &scope, email.as_ref()).await
        });
        Ok(AccountConnection::new("accounts", slice, counting))
    }

    /// The audit log: every write, newest first. For administrators.
    #[expect(clippy::too_many_arguments, reason = "a list field has the arguments of the Relay specification")]
    async fn audit_log(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only what was done to this: an id, such as that of a drop.")] subject: Option<String>,
        #[graphql(desc = "Only what this one did: an id, `public`, or `system:` and a reason.")] actor: Option<String>,
        #[graphql(desc = "The first so many rows, 0 to 100; 20 if neither `first` nor `last` is given.")] first: Option<i32>,
        #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many rows, 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
    ) -> async_graphql::Result<AuditConnection> {
        let scope = ctx.scope(Administer)?;
        let page = PageArgs { first, after, last, before }.page("auditLog")?;
        let slice = audit::list(ctx.db(), &scope, subject.as_deref(), actor.as_deref(), &page).await.internal()?;
        let counting = counting(ctx.db(), (scope, subject, actor), |db, (scope, subject, actor)| async move {
            audit::count(&db, &scope, subject.as_deref(), actor.as_deref()).await
        });
        Ok(AuditConnection::new("auditLog", slice.map(AuditEntry), counting))
    }
}
