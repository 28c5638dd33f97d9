//! The query of the audit log.

use async_graphql::{Context, Object};
use domain::platform::{access::Administer, audit};

use super::AuditEntry;
use crate::graphql::{
    connection::{Connection, List},
    context::ContextExt,
    errors::Internal,
};

/// The queries for administrators.
#[derive(Default)]
pub struct PlatformQuery;

#[Object]
impl PlatformQuery {
    /// The audit log: every write, newest first. For administrators.
    async fn audit_log(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only writes to this subject: an id, such as that of a drop.")] subject: Option<
            String,
        >,
        #[graphql(desc = "Only writes by this actor: an id, `public`, or `system:` and a reason.")]
        actor: Option<String>,
    ) -> async_graphql::Result<Connection<AuditEntry>> {
        let scope = ctx.scope(Administer)?;
        let list = List::of(ctx, "auditLog")?;
        let slice = audit::list(ctx.db(), &scope, subject.as_deref(), actor.as_deref(), &list.page)
            .await
            .internal()?;
        let asked = (scope, subject, actor);
        Ok(list.connection(
            slice.map(AuditEntry),
            ctx.db(),
            asked,
            |db, (scope, subject, actor)| async move {
                audit::count(&db, &scope, subject.as_deref(), actor.as_deref()).await
            },
        ))
    }
}
