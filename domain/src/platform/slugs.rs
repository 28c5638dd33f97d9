//! Slugs: the readable names in public URLs. When a slug changes, the old one redirects.
//!
//! Current and past slugs share one table, so that an old URL never leads to another owner's page.

#![expect(
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "the slugs table's own finders, and what its derive makes public"
)]

use std::{ops::RangeInclusive, str::FromStr};

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, DbErr, DeriveActiveEnum, QuerySelect, entity::prelude::*, sea_query::OnConflict,
};

use super::db::Tx;

/// A slug: 2 to 80 characters of `a-z`, `0-9` and single inner hyphens. It is neither a number nor a reserved
/// word.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Slug(String);

/// Words that storefronts use for their own paths.
const RESERVED: &[&str] = &[
    "about",
    "account",
    "admin",
    "api",
    "assets",
    "auth",
    "checkout",
    "creators",
    "docs",
    "drops",
    "edit",
    "events",
    "feed",
    "graphql",
    "help",
    "legal",
    "login",
    "logout",
    "metrics",
    "new",
    "null",
    "playground",
    "products",
    "search",
    "settings",
    "sitemap",
    "static",
    "undefined",
    "webhooks",
    "www",
];

impl Slug {
    /// The shortest and the longest length, in characters.
    pub const CHARS: RangeInclusive<usize> = 2..=80;

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Builds a slug from a title: ASCII letters in lower case, everything else as hyphens. Returns `None`
    /// when too little is left.
    pub fn from_title(title: &str) -> Option<Self> {
        let mut text = String::new();
        for sign in title.chars() {
            if sign.is_ascii_alphanumeric() {
                text.push(sign.to_ascii_lowercase());
            } else if !text.is_empty() && !text.ends_with('-') {
                text.push('-');
            }
        }
        let text: String = text.chars().take(*Self::CHARS.end()).collect();
        Self::from_str(text.trim_end_matches('-')).ok()
    }
}

impl FromStr for Slug {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let plain =
            text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        let hyphens = text.starts_with('-') || text.ends_with('-') || text.contains("--");
        let number = text.bytes().all(|byte| byte.is_ascii_digit());
        let fits =
            Self::CHARS.contains(&text.len()) && plain && !hyphens && !number && !RESERVED.contains(&text);
        if fits { Ok(Self(text.to_owned())) } else { Err(()) }
    }
}

/// The kind of object that a slug names. Slugs of creators are unique in the marketplace, others within their
/// creator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum SlugKind {
    /// A creator; the owner is the nil UUID.
    #[sea_orm(string_value = "creator")]
    Creator,
    /// A product of the owning creator.
    #[sea_orm(string_value = "product")]
    Product,
    /// A drop of the owning creator.
    #[sea_orm(string_value = "drop")]
    Drop,
}

mod entity {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "slugs")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub kind: SlugKind,
        #[sea_orm(primary_key, auto_increment = false)]
        pub owner: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub slug: String,
        pub subject: Uuid,
        pub created_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

/// Takes a slug for a subject. Returns `false` when the slug belongs, or once belonged, to another subject.
pub(crate) async fn take(
    tx: &Tx,
    kind: SlugKind,
    owner: Uuid,
    slug: &Slug,
    subject: Uuid,
) -> Result<bool, DbErr> {
    let row = entity::ActiveModel {
        kind: Set(kind),
        owner: Set(owner),
        slug: Set(slug.0.clone()),
        subject: Set(subject),
        created_at: Set(tx.now()),
    };
    let columns = [entity::Column::Kind, entity::Column::Owner, entity::Column::Slug];
    let known = OnConflict::columns(columns).do_nothing().to_owned();
    let inserted = entity::Entity::insert(row).on_conflict(known).exec_without_returning(tx.conn()).await?;
    if inserted == 1 {
        return Ok(true);
    }
    Ok(find(tx.conn(), kind, owner, slug.as_str()).await? == Some(subject))
}

/// Returns whether an owner has anything of these kinds. Everything with a page has a slug, and slugs are
/// never deleted.
pub(crate) async fn any(conn: &impl ConnectionTrait, kinds: &[SlugKind], owner: Uuid) -> Result<bool, DbErr> {
    let select = entity::Entity::find().select_only().column(entity::Column::Subject);
    let of_owner = select
        .filter(entity::Column::Kind.is_in(kinds.iter().copied()))
        .filter(entity::Column::Owner.eq(owner));
    let subject: Option<Uuid> = of_owner.limit(1).into_tuple().one(conn).await?;
    Ok(subject.is_some())
}

/// Returns the subject of a current or past slug.
pub(crate) async fn find(
    conn: &impl ConnectionTrait,
    kind: SlugKind,
    owner: Uuid,
    slug: &str,
) -> Result<Option<Uuid>, DbErr> {
    let row = entity::Entity::find_by_id((kind, owner, slug.to_owned())).one(conn).await?;
    Ok(row.map(|row| row.subject))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_plain_and_not_reserved() {
        for good in ["ab", "salt-glaze", "run-2", "7-cups"] {
            assert!(Slug::from_str(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "-ab", "ab-", "a--b", "Ab", "ä-b", "42", "graphql", "a/b", &"x".repeat(81)] {
            assert!(Slug::from_str(bad).is_err(), "{bad}");
        }
        assert_eq!(
            Slug::from_title("Salt & Glaze, 2nd!").map(|slug| slug.0).as_deref(),
            Some("salt-glaze-2nd")
        );
        assert_eq!(Slug::from_title("益子"), None);
    }
}
