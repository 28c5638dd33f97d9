//! What every resolver reaches for: who asks, the database, the loaders.

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
    loaders::{Edge, Loader},
    payload::Stop,
    user_error::ErrorCode,
};
use crate::live::Live;

/// What resolvers reach for, whoever asks.
pub(crate) struct Shared {
    pub(crate) db: Db,
    pub(crate) desk: Desk,
    pub(crate) gateways: Gateways,
    pub(crate) live: Live,
}

/// Access to the context, in words.
pub(crate) trait Reach {
    fn db(&self) -> &Db;
    fn desk(&self) -> &Desk;
    fn request(&self) -> &RequestContext;
    fn viewer(&self) -> &Viewer;
    fn gateways(&self) -> &Gateways;
    fn live(&self) -> &Live;
    fn loader(&self) -> &Loader;
    /// What a key leads to, read together with all that the request's other resolvers ask of that edge.
    fn load<K: Edge>(&self, key: K) -> impl Future<Output = async_graphql::Result<Option<K::Value>>> + Send;
    /// The scope in which an action may be done, or the error that says why not.
    fn scope<A: Action>(&self, action: A) -> async_graphql::Result<A::Scope>;
    /// The same for a thing that reads as missing where it is another's: then there is no scope, and no
    /// error.
    fn scope_if_found<A: Action>(&self, action: A) -> async_graphql::Result<Option<A::Scope>>;
    /// The same for a mutation, where `path` names somebody's thing.
    fn scope_at<A: Action, C: ErrorCode>(&self, action: A, path: &str) -> Result<A::Scope, Stop<C>>;
    /// The scope in which a mutation may do something to a creator's things; `path` names the field that led
    /// to it. `None` is the creator of a thing that does not exist: it answers exactly as another tenant's.
    fn manage<C: ErrorCode>(
        &self,
        creator: impl Into<Option<CreatorId>>,
        permission: Permission,
        path: &str,
    ) -> Result<CreatorScope, Stop<C>>;
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

    fn gateways(&self) -> &Gateways {
        &self.data_unchecked::<Arc<Shared>>().gateways
    }

    fn live(&self) -> &Live {
        &self.data_unchecked::<Arc<Shared>>().live
    }

    fn loader(&self) -> &Loader {
        self.data_unchecked::<Loader>()
    }

    async fn load<K: Edge>(&self, key: K) -> async_graphql::Result<Option<K::Value>> {
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

    fn scope_at<A: Action, C: ErrorCode>(&self, action: A, path: &str) -> Result<A::Scope, Stop<C>> {
        authorize(self.viewer(), action).map_err(|why| Stop::denied(why, path))
    }

    fn manage<C: ErrorCode>(
        &self,
        creator: impl Into<Option<CreatorId>>,
        permission: Permission,
        path: &str,
    ) -> Result<CreatorScope, Stop<C>> {
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
