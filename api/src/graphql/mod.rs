//! The GraphQL schema. Each capability has one folder, and all folders have the same shape:
//!
//! ```text
//! drops/mod.rs            what the capability is, and what other modules use from it
//! drops/types.rs          the types, and the edges of the graph that lead to them
//! drops/queries.rs        DropsQuery: root fields, filters and orders of lists
//! drops/mutations.rs      DropsMutation: error types, payloads, inputs, resolvers
//! drops/subscriptions.rs  DropsSubscription
//! drops/items/            a capability inside it, of the same shape
//! ```
//!
//! [`Query`], [`Mutation`] and [`Subscription`] list the capabilities.
//!
//! How to add
//! - **a type**: a tuple struct around a row from `domain` (`pub struct Drop(pub(crate)
//!   domain::drops::Drop)`, `Clone`) with `#[Object]`. Its fields shape values ([`money`], [`scalars`]), and
//!   its edges go through a loader. If a row can be found by its global id, add a variant and a match arm in
//!   [`node`].
//! - **an edge**: `edge!(ItemsOf(DropId) -> Vec<Item>, |loaders, ids| queries::items_of(&loaders.db, ids));`,
//!   then `ctx.load(ItemsOf(id)).await?.unwrap_or_default()`. This runs one statement for a whole page.
//! - **a list**: `impl ListNode for Drop {}`, and a field that returns a [`connection::Connection<Drop>`].
//!   The field gets the paging arguments without declaring them: [`connection::List::of`] reads them, and
//!   `list.connection(slice.map(Drop), …)` makes the result. The cost of the field follows from its arguments
//!   ([`edge::guard`]).
//! - **a mutation**: an error type ([`user_error::user_error!`]), a payload ([`payload::payload!`]), an
//!   input, and a resolver whose work runs inside [`payload::answer`]. The resolver reads the input with an
//!   [`input::Form`], gets a scope (`ctx.scope_at(…)`, `ctx.manage(…)`), calls one domain function, and ends
//!   with `Ok(XxxPayload::done(…))`. The operator `?` reports to the user what is wrong.
//! - **a bound in a description**: a placeholder such as `{LINES}`, and an entry in [`bounds`] that takes the
//!   value from the constant that is enforced.
//! - **a subscription**: a field that returns [`follow::States`]. [`follow::follow`] reads the state again
//!   after each event of its topic.
//! - **a permission**: `ctx.scope(Action)` returns the scope, or the error that says why the action is
//!   denied. Nothing else decides about permissions.

pub mod accounts;
pub(crate) mod amendments;
pub(crate) mod bounds;
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
    creators::{CreatorsMutation, CreatorsQuery, pickup_places::PickupPlacesMutation},
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

/// The root type of queries.
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

/// The root type of mutations.
#[derive(MergedObject, Default)]
pub struct Mutation(
    AccountsMutation,
    SessionsMutation,
    TokensMutation,
    CreatorsMutation,
    PickupPlacesMutation,
    CatalogMutation,
    ImportsMutation,
    DropsMutation,
    DropItemsMutation,
    ReservationsMutation,
    TablesMutation,
    TasksMutation,
);

/// The root type of subscriptions.
#[derive(MergedSubscription, Default)]
pub struct Subscription(DropsSubscription, ReservationsSubscription);
