//! What every resolver reaches for: who asks, the database, the loaders.

use std::sync::Arc;

use async_graphql::{Context, ID};
use domain::{
    catalog::Sight,
    payments::gateway::PaymentGateway,
    platform::{
        Db, EntityId,
        access::{Action, Viewer, authorize},
        ids::{IdError, parse_id},
    },
    reservations::desk::Desk,
};
use edge::RequestContext;

use super::{
    errors::{Stop, denied},
    loaders::Loader,
};
use crate::live::Live;

/// What resolvers reach for, whoever asks.
pub(crate) struct Shared {
    pub(crate) db: Db,
    pub(crate) desk: Desk,
    pub(crate) gateways: Vec<Arc<dyn PaymentGateway>>,
    pub(crate) live: Live,
}

/// Access to the context, in words.
pub(crate) trait Reach {
    fn db(&self) -> &Db;
    fn desk(&self) -> &Desk;
    fn request(&self) -> &RequestContext;
    fn viewer(&self) -> &Viewer;
    fn gateways(&self) -> &[Arc<dyn PaymentGateway>];
    fn live(&self) -> &Live;
    fn loader(&self) -> &Loader;
    /// The scope in which an action may be done, or the error that says why not.
    fn scope<A: Action>(&self, action: A) -> async_graphql::Result<A::Scope>;
    /// The same for a mutation, where `path` names somebody's thing.
    fn scope_at<A: Action, C: super::errors::CommonCode>(&self, action: A, path: &str) -> Result<A::Scope, Stop<C>>;
    /// All that the viewer may see of catalogue and drops.
    fn sight(&self) -> async_graphql::Result<Sight>;
}

impl Reach for Context<'_> {
    fn db(&self) -> &Db {
        &self.data_unchecked::<Arc<Shared>>().db
    }

    fn desk(&self) -> &Desk {
        &self.data_unchecked::<Arc<Shared>>().desk
    }

    fn request(&self) -> &RequestContext {
        self.data_unchecked::<RequestContext>()
    }

    fn viewer(&self) -> &Viewer {
        self.data_unchecked::<Viewer>()
    }

    fn gateways(&self) -> &[Arc<dyn PaymentGateway>] {
        &self.data_unchecked::<Arc<Shared>>().gateways
    }

    fn live(&self) -> &Live {
        &self.data_unchecked::<Arc<Shared>>().live
    }

    fn loader(&self) -> &Loader {
        self.data_unchecked::<Loader>()
    }

    fn scope<A: Action>(&self, action: A) -> async_graphql::Result<A::Scope> {
        authorize(self.viewer(), action).map_err(denied)
    }

    fn scope_at<A: Action, C: super::errors::CommonCode>(&self, action: A, path: &str) -> Result<A::Scope, Stop<C>> {
        authorize(self.viewer(), action).map_err(|why| Stop::denied(why, path))
    }

    fn sight(&self) -> async_graphql::Result<Sight> {
        Sight::of_viewer(self.viewer()).map_err(denied)
    }
}

/// Reads a global id of one kind.
pub(crate) fn id<I: EntityId>(id: &ID) -> Result<I, IdError> {
    parse_id(id.as_str())
}

/// Reads a global id that a mutation needs before all else; `path` names the field.
pub(crate) fn id_at<I: EntityId, C: super::errors::CommonCode>(text: &ID, path: &str) -> Result<I, Stop<C>> {
    id(text).map_err(|error| Stop::invalid(path, error))
}

/// Writes a global id.
pub(crate) fn global(id: impl EntityId) -> ID {
    ID(id.public())
}
