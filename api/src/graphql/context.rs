//! What every resolver needs: the viewer, the database and the loaders.

use std::{future::Future, sync::Arc};

use async_graphql::{Context, ID};
use domain::{
    catalog::Sight,
    payments::gateways::Gateways,
    platform::{
        Db, EntityId,
        access::{Action, CreatorScope, Denied, Manage, Permission, Viewer, authorize},
        ids::{CreatorId, IdError, parse_id},
    },
    reservations::desk::Desk,
};
use edge::RequestContext;

use super::{
    errors::{Internal, denied},
    loaders::{GraphEdge, Loader},
    payload::MutationStop,
    user_error::ErrorCode,
};
use crate::live::Live;

/// What resolvers need, independently of the request.
pub(crate) struct ApiContext {
    pub(crate) db: Db,
    pub(crate) desk: Desk,
    pub(crate) gateways: Gateways,
    pub(crate) live: Live,
}

/// Typed access to the data in the context of a resolver.
pub(crate) trait Reach {
    fn db(&self) -> &Db;
    fn desk(&self) -> &Desk;
    fn request(&self) -> &RequestContext;
    fn viewer(&self) -> &Viewer;
    fn gateways(&self) -> &Gateways;
    fn live(&self) -> &Live;
    fn loader(&self) -> &Loader;
    /// Loads the value of an edge. All keys of an edge that the request's resolvers ask for are loaded
    /// together.
    fn load<K: GraphEdge>(
        &self,
        key: K,
    ) -> impl Future<Output = async_graphql::Result<Option<K::Value>>> + Send;
    /// Returns the scope of an action, or the error that says why the action is denied.
    fn scope<A: Action>(&self, action: A) -> async_graphql::Result<A::Scope>;
    /// Like [`scope`](Self::scope), but returns `None` for another tenant's thing, which must read as
    /// missing.
    fn scope_if_found<A: Action>(&self, action: A) -> async_graphql::Result<Option<A::Scope>>;
    /// Like [`scope`](Self::scope), for a mutation whose input field `path` names the thing.
    fn scope_at<A: Action, C: ErrorCode>(&self, action: A, path: &str) -> Result<A::Scope, MutationStop<C>>;
    /// Returns the scope in which a mutation may change a creator's things. `path` is the input field that
    /// led to the creator. Pass `None` for the creator of a thing that does not exist: the error is the same
    /// as for another tenant's thing.
    fn manage<C: ErrorCode>(
        &self,
        creator: impl Into<Option<CreatorId>>,
        permission: Permission,
        path: &str,
    ) -> Result<CreatorScope, MutationStop<C>>;
    /// Returns what the viewer may see of the catalogue and of drops.
    fn sight(&self) -> async_graphql::Result<Sight>;
}

impl Reach for Context<'_> {
    fn db(&self) -> &Db {
        &self.data_unchecked::<Arc<ApiContext>>().db
    }

    fn desk(&self) -> &Desk {
        &self.data_unchecked::<Arc<ApiContext>>().desk
    }

    fn request(&self) -> &RequestContext {
        self.data_unchecked::<RequestContext>()
    }

    fn viewer(&self) -> &Viewer {
        self.data_unchecked::<Viewer>()
    }

    fn gateways(&self) -> &Gateways {
        &self.data_unchecked::<Arc<ApiContext>>().gateways
    }

    fn live(&self) -> &Live {
        &self.data_unchecked::<Arc<ApiContext>>().live
    }

    fn loader(&self) -> &Loader {
        self.data_unchecked::<Loader>()
    }

    async fn load<K: GraphEdge>(&self, key: K) -> async_graphql::Result<Option<K::Value>> {
        self.loader().load_one(key).await.internal()
    }

    fn scope<A: Action>(&self, action: A) -> async_graphql::Result<A::Scope> {
        authorize(self.viewer(), action).map_err(denied)
    }

    fn scope_if_found<A: Action>(&self, action: A) -> async_graphql::Result<Option<A::Scope>> {
        match authorize(self.viewer(), action) {
            Ok(scope) => Ok(Some(scope)),
            Err(Denied::NotFound) => Ok(None),
            Err(why) => Err(denied(why)),
        }
    }

    fn scope_at<A: Action, C: ErrorCode>(&self, action: A, path: &str) -> Result<A::Scope, MutationStop<C>> {
        authorize(self.viewer(), action).map_err(|why| MutationStop::denied(why, path))
    }

    fn manage<C: ErrorCode>(
        &self,
        creator: impl Into<Option<CreatorId>>,
        permission: Permission,
        path: &str,
    ) -> Result<CreatorScope, MutationStop<C>> {
        let nobody = CreatorId::from_uuid(uuid::Uuid::nil());
        self.scope_at(Manage { creator: creator.into().unwrap_or(nobody), permission }, path)
    }

    fn sight(&self) -> async_graphql::Result<Sight> {
        Sight::of_viewer(self.viewer()).map_err(denied)
    }
}

/// Reads a global id of one kind.
pub(crate) fn id<I: EntityId>(id: &ID) -> Result<I, IdError> {
    parse_id(id.as_str())
}

/// Writes a global id.
pub(crate) fn global(id: impl EntityId) -> ID {
    ID(id.public())
}
