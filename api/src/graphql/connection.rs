//! Relay connections over keyset pages: opaque, typed cursors, and a count that is capped and made only when asked for.

use std::future::Future;

use async_graphql::{SimpleObject, futures_util::future::BoxFuture};
use domain::platform::{
    Db,
    page::{PAGE_SIZE_MAX, Page, SortKey},
};
use sea_orm::DbErr;
use serde::{Deserialize, Serialize};

use super::errors::bad_input;

/// The rows of a page when no size is given.
pub(crate) const PAGE_SIZE: i32 = 20;

/// Where a page stands in its list.
#[derive(SimpleObject, Debug, Clone)]
pub struct PageInfo {
    /// Whether there are rows after this page.
    pub has_next_page: bool,
    /// Whether there are rows before this page.
    pub has_previous_page: bool,
    /// The cursor of the first row, for `before`.
    pub start_cursor: Option<String>,
    /// The cursor of the last row, for `after`.
    pub end_cursor: Option<String>,
}

/// The arguments of a list field.
#[derive(Debug, Clone, Default)]
pub(crate) struct PageArgs {
    pub(crate) first: Option<i32>,
    pub(crate) after: Option<String>,
    pub(crate) last: Option<i32>,
    pub(crate) before: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Cursor {
    #[serde(rename = "l")]
    list: String,
    #[serde(rename = "k")]
    key: SortKey,
}

/// Writes a cursor. `list` names the list and its order, so that a cursor of another one is refused.
pub(crate) fn cursor(list: &str, key: &SortKey) -> String {
    let cursor = Cursor { list: list.to_owned(), key: key.clone() };
    serde_json::to_vec(&cursor).map(hex::encode).unwrap_or_default()
}

fn read_cursor(list: &str, name: &str, text: &str) -> async_graphql::Result<SortKey> {
    let wrong = || bad_input(format!("`{name}` is not a cursor of this list in this order"));
    if text.len() > 1_000 {
        return Err(wrong());
    }
    let bytes = hex::decode(text).map_err(|_| wrong())?;
    let cursor: Cursor = serde_json::from_slice(&bytes).map_err(|_| wrong())?;
    if cursor.list == list { Ok(cursor.key) } else { Err(wrong()) }
}

impl PageArgs {
    /// Checks the arguments of the list named `list`.
    pub(crate) fn page(&self, list: &str) -> async_graphql::Result<Page> {
        let (size, backward) = match (self.first, self.last) {
            (Some(_), Some(_)) => return Err(bad_input("give `first` or `last`, not both")),
            (Some(first), None) => (first, false),
            (None, Some(last)) => (last, true),
            (None, None) => (PAGE_SIZE, false),
        };
        let name = if backward { "last" } else { "first" };
        let size = u64::try_from(size).ok().filter(|size| (0..=PAGE_SIZE_MAX).contains(size));
        let size = size.ok_or_else(|| bad_input(format!("`{name}` must be 0 to {PAGE_SIZE_MAX}")))?;
        let read = |name: &str, text: &Option<String>| text.as_deref().map(|text| read_cursor(list, name, text)).transpose();
        Ok(Page { size, after: read("after", &self.after)?, before: read("before", &self.before)?, backward })
    }
}

/// Counts a list when the field is asked for.
pub(crate) type Counting = Box<dyn Fn() -> BoxFuture<'static, Result<u64, DbErr>> + Send + Sync>;

/// A [`Counting`] of what a query counts by these arguments.
pub(crate) fn counting<A, F, R>(db: &Db, args: A, count: F) -> Counting
where
    A: Clone + Send + Sync + 'static,
    F: Fn(Db, A) -> R + Send + Sync + 'static,
    R: Future<Output = Result<u64, DbErr>> + Send + 'static,
{
    let db = db.clone();
    Box::new(move || Box::pin(count(db.clone(), args.clone())))
}

/// Makes the connection and the edge of a node type: `connection!(DropConnection, DropEdge, Drop);`
macro_rules! connection {
    ($connection:ident, $edge:ident, $node:ty) => {
        /// One row of the list.
        #[derive(async_graphql::SimpleObject)]
        pub struct $edge {
            /// The place of the row in the list, for `after` and `before`.
            pub cursor: String,
            /// The row.
            pub node: $node,
        }

        /// A page of a list.
        pub struct $connection {
            list: String,
            slice: domain::platform::page::Slice<$node>,
            counting: crate::graphql::connection::Counting,
        }

        impl $connection {
            pub(crate) fn new(
                list: impl Into<String>,
                slice: domain::platform::page::Slice<$node>,
                counting: crate::graphql::connection::Counting,
            ) -> Self {
                Self { list: list.into(), slice, counting }
            }

            fn cursor_at(&self, row: Option<&(domain::platform::page::SortKey, $node)>) -> Option<String> {
                row.map(|(key, _)| crate::graphql::connection::cursor(&self.list, key))
            }
        }

        /// A page of a list, after the Relay specification of connections.
        #[async_graphql::Object]
        impl $connection {
            /// The rows with their cursors.
            async fn edges(&self) -> Vec<$edge> {
                let edge = |(key, node): &(domain::platform::page::SortKey, $node)| $edge {
                    cursor: crate::graphql::connection::cursor(&self.list, key),
                    node: node.clone(),
                };
                self.slice.rows.iter().map(edge).collect()
            }

            /// The rows alone.
            async fn nodes(&self) -> Vec<$node> {
                self.slice.rows.iter().map(|(_, node)| node.clone()).collect()
            }

            /// Where the page stands in the list.
            async fn page_info(&self) -> crate::graphql::connection::PageInfo {
                crate::graphql::connection::PageInfo {
                    has_next_page: self.slice.has_next,
                    has_previous_page: self.slice.has_previous,
                    start_cursor: self.cursor_at(self.slice.rows.first()),
                    end_cursor: self.cursor_at(self.slice.rows.last()),
                }
            }

            /// How many rows the whole list has; counting stops at 1000, which then means "1000 or more".
            async fn total_count(&self) -> async_graphql::Result<i32> {
                use crate::graphql::errors::Internal as _;
                Ok(i32::try_from((self.counting)().await.internal()?).unwrap_or(i32::MAX))
            }
        }
    };
}
pub(crate) use connection;

#[cfg(test)]
mod tests {
    use domain::platform::page::SortValue;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_cursor_is_of_one_list_in_one_order() {
        let key = SortKey { value: SortValue::Int(7), id: Uuid::from_u128(1) };
        let text = cursor("drops:NEWEST", &key);
        let args = |after: &str| PageArgs { after: Some(after.to_owned()), ..PageArgs::default() };
        assert_eq!(args(&text).page("drops:NEWEST").unwrap().after, Some(key));
        for bad in [text.as_str(), "", "zz", "00", &"0".repeat(2_000)] {
            assert!(args(bad).page("drops:OPENS_SOONEST").is_err(), "{bad}");
        }
    }

    #[test]
    fn page_sizes_are_bounded() {
        let size =
            |first, last| PageArgs { first, last, ..PageArgs::default() }.page("x").map(|page| (page.size, page.backward)).ok();
        for (first, last, expected) in [
            (None, None, Some((20, false))),
            (Some(1), None, Some((1, false))),
            (Some(100), None, Some((100, false))),
            (None, Some(5), Some((5, true))),
            (Some(0), None, Some((0, false))),
            (Some(101), None, None),
            (Some(-1), None, None),
            (Some(1), Some(1), None),
        ] {
            assert_eq!(size(first, last), expected, "{first:?} {last:?}");
        }
    }
}
