//! The GraphQL schema: one folder a capability, all of the same shape.
//!
//! ```text
//! drops/mod.rs            what it is, and what others use of it
//! drops/types.rs          the types, and the edges of the graph that lead to them
//! drops/queries.rs        DropsQuery: root fields, filters and orders of lists
//! drops/mutations.rs      DropsMutation: refusal tables, payloads, inputs, resolvers
//! drops/subscriptions.rs  DropsSubscription
//! drops/items/            a capability within, of the same shape
//! ```
//!
//! The lists [`Query`], [`Mutation`] and [`Subscription`] join them.
//!
//! How to add
//! - **a type**: a tuple struct around the row of `domain` (`pub struct Drop(pub(crate)
//!   domain::drops::Drop)`, `Clone`) with `#[Object]`; fields shape values ([`money`], [`scalars`]), edges go
//!   through a loader. A row that can be found by id gets a variant and an arm in [`node`].
//! - **an edge**: `edge!(ItemsOf(DropId) -> Vec<Item>, |loaders, ids| queries::items_of(&loaders.db, ids));`,
//!   then `ctx.load(ItemsOf(id)).await?.unwrap_or_default()`: one statement a page.
//! - **a list**: `impl ListNode for Drop {}`, and a field that answers a [`connection::Connection<Drop>`]. It
//!   has the arguments of a page without declaring them: [`connection::List::of`] reads them, and
//!   `list.connection(slice.map(Drop), …)` answers. What it costs follows from its arguments
//!   ([`edge::guard`]).
//! - **a mutation**: a refusal table ([`user_error::user_error!`]), a payload ([`payload::payload!`]), an
//!   input, and a resolver whose work stands in [`payload::answer`]: it reads the input with an
//!   [`input::Form`], asks for a scope (`ctx.scope_at(…)`, `ctx.manage(…)`), calls one operation, and ends in
//!   `Ok(XxxPayload::done(…))`. `?` tells the user what is wrong.
//! - **a subscription**: a field that answers [`follow::States`]; [`follow::follow`] reads the thing again
//!   each time that its topic is told.
//! - **who may**: `ctx.scope(Action)` answers the scope or the error that says why not. Nothing else decides.

pub mod accounts;
pub(crate) mod amendments;
pub mod catalog;
pub mod connection;
pub(crate) mod context;
pub mod creators;
pub mod drops;
pub mod errors;
pub(crate) mod follow;
pub(crate) mod input;
pub(crate) mod loaders;
pub mod money;
pub mod node;
pub(crate) mod payload;
pub mod payments;
pub mod platform;
pub mod reservations;
pub mod scalars;
pub mod user_error;
pub mod work;

use async_graphql::{MergedObject, MergedSubscription};

use self::{
    accounts::{
        AccountsMutation, AccountsQuery,
        sessions::SessionsMutation,
        tokens::{TokensMutation, TokensQuery},
    },
    catalog::{
        CatalogMutation, CatalogQuery,
        imports::{ImportsMutation, ImportsQuery},
    },
    creators::{CreatorsMutation, CreatorsQuery},
    drops::{DropsMutation, DropsQuery, DropsSubscription, items::DropItemsMutation},
    node::NodeQuery,
    platform::{
        PlatformQuery,
        tasks::{TasksMutation, TasksQuery},
    },
    reservations::{
        ReservationsMutation, ReservationsQuery, ReservationsSubscription,
        quote::QuoteQuery,
        tables::{TablesMutation, TablesQuery},
    },
};

/// What may be asked.
#[derive(MergedObject, Default)]
pub struct Query(
    NodeQuery,
    AccountsQuery,
    TokensQuery,
    CreatorsQuery,
    CatalogQuery,
    ImportsQuery,
    DropsQuery,
    ReservationsQuery,
    QuoteQuery,
    TablesQuery,
    PlatformQuery,
    TasksQuery,
);

/// What may be done.
#[derive(MergedObject, Default)]
pub struct Mutation(
    AccountsMutation,
    SessionsMutation,
    TokensMutation,
    CreatorsMutation,
    CatalogMutation,
    ImportsMutation,
    DropsMutation,
    DropItemsMutation,
    ReservationsMutation,
    TablesMutation,
    TasksMutation,
);

/// What can be watched as it changes.
#[derive(MergedSubscription, Default)]
pub struct Subscription(DropsSubscription, ReservationsSubscription);
