//! The GraphQL schema: one module a capability, each with its types, its `XxxQuery` and its `XxxMutation`.
//!
//! How to add
//! - **a type**: a tuple struct around the row of `domain` (`pub struct Drop(pub(crate) domain::drops::Drop)`, `Clone`) with
//!   `#[Object]`; fields shape values ([`money`], [`scalars`]), edges go through a loader. A row that can be found by id gets a variant and an arm in
//!   [`node`].
//! - **an edge**: `edge!(ItemsOf(DropId) -> Vec<Item>, |loaders, ids| queries::items_of(&loaders.db, ids));`, then
//!   `ctx.loader().load_one(ItemsOf(id)).await.internal()?.unwrap_or_default()`: one statement a page.
//! - **a list**: `connection!(DropConnection, DropEdge, Drop);`, arguments into [`connection::PageArgs`], `.page("drops:NEWEST")?` (the name
//!   binds cursors to the list and its order), `DropConnection::new(name, slice.map(Drop), counting)`. What it costs follows from its
//!   arguments ([`edge::guard`]).
//! - **a mutation**: `user_error!(DropPublishError, DropPublishErrorCode, PublishRefusal { NoItems: "…", … } not_found: NotFound);`,
//!   `payload!(DropPublishPayload, DropPublishError { drop: Drop });` (the error is a [`user_error::UserError`] by its name and fields), and a
//!   resolver that ends in `DropPublishPayload::of(work(ctx, input).await)`, where `work` collects what does not parse in [`errors::Complaints`], asks
//!   `ctx.scope_at(Manage { … }, "creatorId")?`, calls one operation and shapes its outcome.
//! - **who may**: `ctx.scope(Action)` answers the scope or the error that says why not. Nothing else decides.

pub mod accounts;
pub mod catalog;
pub mod connection;
pub(crate) mod context;
pub mod creators;
pub mod drops;
pub mod errors;
pub mod live;
pub(crate) mod loaders;
pub mod money;
pub mod node;
pub mod payments;
pub mod platform;
pub mod reservations;
pub mod scalars;
pub mod user_error;
pub mod work;
