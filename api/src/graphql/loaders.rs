//! Data loaders: every edge of the graph is one batched statement, whatever the size of the page.
//!
//! There is one [`Loaders`] a request, for its viewer. An edge is a key type (`ItemsOf(DropId)`) with a
//! [`Loader`] of it beside the types that need it; [`edge!`] writes one in a line.

use domain::{catalog::Sight, platform::Db};

/// What all loaders of one request know.
pub struct Loaders {
    pub(crate) db: Db,
    pub(crate) sight: Sight,
}

/// An edge: `edge!(ItemsOf(DropId) -> Vec<DropItem>, |loaders, ids| items_of(&loaders.db, ids));`
///
/// The function answers a map from the inner id; it is called with all ids of a batch at once.
macro_rules! edge {
    ($(#[$doc:meta])* $key:ident($id:ty) -> $value:ty, |$loaders:ident, $ids:ident| $query:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) struct $key(pub(crate) $id);

        impl async_graphql::dataloader::Loader<$key> for crate::graphql::loaders::Loaders {
            type Value = $value;
            type Error = std::sync::Arc<sea_orm::DbErr>;

            async fn load(&self, keys: &[$key]) -> Result<std::collections::HashMap<$key, $value>, Self::Error> {
                let $loaders = self;
                let ids: Vec<$id> = keys.iter().map(|key| key.0).collect();
                let $ids = ids.as_slice();
                let found: std::collections::HashMap<$id, $value> = $query.await.map_err(std::sync::Arc::new)?;
                Ok(found.into_iter().map(|(id, value)| ($key(id), value)).collect())
            }
        }
    };
}
pub(crate) use edge;
