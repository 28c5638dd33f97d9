//! Keyset pagination: pages of a list in a stable order, forward or backward.

use chrono::{DateTime, Utc};
use sea_orm::{
    ConnectionTrait, DbErr, EntityTrait, FromQueryResult, Identity, IntoIdentity, QuerySelect, QueryTrait,
    Select, Value,
    sea_query::{Asterisk, Expr, Func, Query, ValueTuple},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ids::EntityId;

/// The maximum number of rows in a page.
pub const PAGE_SIZE_MAX: u64 = 100;
/// The limit of counts: a longer list is reported as having more than this many rows.
pub const TOTAL_COUNT_MAX: u64 = 1_000;

/// The value that a list is sorted by, for one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SortValue {
    /// An instant.
    Time(DateTime<Utc>),
    /// A number, such as a price in minor units.
    Int(i64),
    /// A text, such as a title.
    Text(String),
}

impl From<SortValue> for Value {
    fn from(value: SortValue) -> Self {
        match value {
            SortValue::Time(at) => at.into(),
            SortValue::Int(number) => number.into(),
            SortValue::Text(text) => text.into(),
        }
    }
}

/// The position of a row in its list: the sort value, and the id that breaks ties.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SortKey {
    /// The value that the list is sorted by.
    pub value: SortValue,
    /// The row's id.
    pub id: Uuid,
}

impl SortKey {
    /// Builds the key of a row.
    pub fn new(value: SortValue, id: impl EntityId) -> Self {
        Self { value, id: id.uuid() }
    }
}

/// The requested part of a list. `size` is 0 to [`PAGE_SIZE_MAX`]; with 0 the slice only tells whether there
/// are more rows.
#[derive(Debug, Clone)]
pub struct Page {
    /// The number of rows.
    pub size: u64,
    /// Only rows after this one.
    pub after: Option<SortKey>,
    /// Only rows before this one.
    pub before: Option<SortKey>,
    /// Whether to return the last rows instead of the first.
    pub backward: bool,
}

impl Page {
    /// Returns the first page of a list.
    pub fn first(size: u64) -> Self {
        Self { size: size.clamp(1, PAGE_SIZE_MAX), after: None, before: None, backward: false }
    }
}

/// A page of rows, each with its key.
#[derive(Debug, Clone)]
pub struct Slice<T> {
    /// The rows in the order of the list.
    pub rows: Vec<(SortKey, T)>,
    /// Whether rows follow this page.
    pub has_next: bool,
    /// Whether rows precede this page.
    pub has_previous: bool,
}

impl<T> Slice<T> {
    /// Converts the rows and keeps their keys.
    pub fn map<U>(self, mut change: impl FnMut(T) -> U) -> Slice<U> {
        let rows = self.rows.into_iter().map(|(key, row)| (key, change(row))).collect();
        Slice { rows, has_next: self.has_next, has_previous: self.has_previous }
    }
}

/// Reads one page with one statement, sorted by `sort` (a column and the id column).
pub async fn slice<E, C, M>(
    conn: &impl ConnectionTrait,
    select: Select<E>,
    sort: (C, C),
    descending: bool,
    page: &Page,
    key: impl Fn(&M) -> SortKey,
) -> Result<Slice<M>, DbErr>
where
    E: EntityTrait<Model = M>,
    C: sea_orm::IdenStatic,
    (C, C): IntoIdentity,
    M: FromQueryResult + Sized + Send + Sync,
{
    let identity: Identity = sort.into_identity();
    let mut cursor = select.cursor_by(identity);
    let place = |key: &SortKey| ValueTuple::Two(key.value.clone().into(), key.id.into());
    if let Some(after) = &page.after {
        cursor.after(place(after));
    }
    if let Some(before) = &page.before {
        cursor.before(place(before));
    }
    if descending {
        cursor.desc();
    }
    // One row more than requested tells whether the list continues.
    let probe = page.size.saturating_add(1);
    if page.backward {
        cursor.last(probe);
    } else {
        cursor.first(probe);
    }
    let mut rows = cursor.all(conn).await?;
    let more = u64::try_from(rows.len()).unwrap_or(u64::MAX) > page.size;
    if more && page.backward {
        rows.remove(0);
    } else if more {
        rows.pop();
    }
    let (has_next, has_previous) =
        if page.backward { (page.before.is_some(), more) } else { (more, page.after.is_some()) };
    let rows = rows.into_iter().map(|row| (key(&row), row)).collect();
    Ok(Slice { rows, has_next, has_previous })
}

/// Counts the rows of a list, up to [`TOTAL_COUNT_MAX`].
pub async fn count_capped<E: EntityTrait>(
    conn: &impl ConnectionTrait,
    select: Select<E>,
) -> Result<u64, DbErr> {
    let mut rows = select.select_only().expr_as(Expr::val(1), "one").limit(TOTAL_COUNT_MAX).into_query();
    rows.clear_order_by();
    let mut count = Query::select();
    count.expr_as(Func::count(Expr::col(Asterisk)), "total").from_subquery(rows, "capped");
    let row = conn.query_one(&count).await?;
    let total = row.map(|row| row.try_get::<i64>("", "total")).transpose()?.unwrap_or(0);
    Ok(u64::try_from(total).unwrap_or(0))
}
