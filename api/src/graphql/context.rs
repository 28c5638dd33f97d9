//! The data in the context of a resolver: the viewer, the database, the loaders and more.

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

/// The services that resolvers use and that are the same for all requests.
pub(crate) struct ApiContext {
    pub(crate) db: Db,
    pub(crate) desk: Desk,
    pub(crate) gateways: Gateways,
    pub(crate) live: Live,
}

/// Typed access to the data in the context of a resolver.
pub(crate) trait ContextExt {
    fn db(&self) -> &Db;
    fn desk(&self) -> &Desk;
    fn request(&self) -> &RequestContext;
    fn viewer(&self) -> &Viewer;
    fn gateways(&self) -> &Gateways;
    fn live(&self) -> &Live;
    fn loader(&self) -> &Loader;
    /// Loads one value over an edge of the graph. The loader collects the keys that the resolvers of a
    /// request ask for, and loads all keys of the same edge together.
    fn load<K: GraphEdge>(
        &self,
        key: K,
    ) -> impl Future<Output = async_graphql::Result<Option<K::Value>>> + Send;
    /// Returns the scope of an action if the viewer may do it, or else the error of the denial.
    fn scope<A: Action>(&self, action: A) -> async_graphql::Result<A::Scope>;
    /// Like [`scope`](Self::scope), but returns `None` for an object of another tenant, because the response
    /// must be the same as for an object that does not exist.
    fn scope_if_found<A: Action>(&self, action: A) -> async_graphql::Result<Option<A::Scope>>;
    /// Like [`scope`](Self::scope), for a mutation. `path` is the input field that the error refers to.
    fn scope_at<A: Action, C: ErrorCode>(&self, action: A, path: &str) -> Result<A::Scope, MutationStop<C>>;
    /// Returns the scope in which a mutation may change a creator's objects. `path` is the input field that
    /// led to the creator. Pass `None` as the creator of an object that does not exist: the error is the same
    /// as for an object of another tenant.
    fn manage<C: ErrorCode>(
        &self,
        creator: impl Into<Option<CreatorId>>,
        permission: Permission,
        path: &str,
    ) -> Result<CreatorScope, MutationStop<C>>;
    /// Returns the sight of the viewer: what data loaders may return of the catalogue and of drops.
    fn sight(&self) -> async_graphql::Result<Sight>;
}

impl ContextExt for Context<'_> {
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
        let nonexistent = CreatorId::from_uuid(uuid::Uuid::nil());
        self.scope_at(Manage { creator: creator.into().unwrap_or(nonexistent), permission }, path)
    }

    fn sight(&self) -> async_graphql::Result<Sight> {
        Sight::of_viewer(self.viewer()).map_err(denied)
    }
}

/// Parses a global id, which must be of the kind `I`.
pub(crate) fn id<I: EntityId>(id: &ID) -> Result<I, IdError> {
    parse_id(id.as_str())
}

/// Returns the global id of an entity.
pub(crate) fn global(id: impl EntityId) -> ID {
    ID(id.public())
}
