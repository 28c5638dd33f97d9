//! What everybody brings who is not signed in yet.

use std::net::{IpAddr, Ipv4Addr};

use async_graphql::Context;
use domain::platform::{
    access::{Enter, EntryScope},
    entropy::Secret,
};

use crate::graphql::{
    context::Reach,
    input::{Form, Parsed},
};

/// The scope of somebody who is not signed in. Requests without an address share one budget.
pub(super) fn entry_scope(ctx: &Context<'_>) -> async_graphql::Result<EntryScope> {
    ctx.scope(Enter { address: ctx.request().address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) })
}

/// Reads the code of a link that came in a letter.
pub(super) fn link(form: &mut Form, text: &str) -> Parsed<Secret> {
    form.field("link", Secret::presented(text).ok_or("is not the code of a link"))
}
