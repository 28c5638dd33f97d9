//! Helpers for mutations of viewers who are not signed in.

use std::net::{IpAddr, Ipv4Addr};

use async_graphql::Context;
use domain::platform::{
    access::{Enter, EntryScope},
    entropy::Secret,
};

use crate::graphql::{
    context::ContextExt,
    input::{Form, Parsed},
};

/// Returns the scope of a viewer who is not signed in. Requests without an address share one rate limit.
pub(super) fn entry_scope(ctx: &Context<'_>) -> async_graphql::Result<EntryScope> {
    ctx.scope(Enter { address: ctx.request().address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) })
}

/// Reads the code of a link that was sent in an e-mail.
pub(super) fn link(form: &mut Form, text: &str) -> Parsed<Secret> {
    form.field("link", Secret::presented(text).ok_or("must be the code of a link"))
}
