//! Tags: short words for finding products and drops.

#![expect(
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "the tags table's own finders, and what its derive makes public"
)]

use std::{collections::HashMap, fmt, ops::RangeInclusive, str::FromStr};

use sea_orm::{
    ActiveValue::Set, DbErr, DeriveActiveEnum, DeriveValueType, QueryOrder, QuerySelect, QueryTrait,
    entity::prelude::*, sea_query::SelectStatement,
};

use super::{
    db::{Db, Tx},
    ids::EntityId,
};

/// A tag: 2 to 40 lower-case letters, digits and single inner hyphens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveValueType)]
pub struct Tag(String);

/// The maximum number of tags of a product or a drop.
pub const TAGS_MAX: usize = 20;

/// Why a text is not a tag, or a list has too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// The text does not have the form of a tag.
    #[error("must have 2 to 40 letters, digits and single hyphens")]
    Malformed,
    /// The list has more than [`TAGS_MAX`] tags.
    #[error("must have at most 20 entries")]
    TooMany,
}

impl Tag {
    /// The shortest and the longest length, in characters.
    pub const CHARS: RangeInclusive<usize> = 2..=40;

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = TagError;
    /// Parses a tag; converts capitals and trims white space.
    fn from_str(text: &str) -> Result<Self, TagError> {
        if text.len() > Self::CHARS.end().saturating_mul(8) {
            return Err(TagError::Malformed);
        }
        let text = text.trim().to_lowercase();
        let plain = text.chars().all(|sign| sign.is_alphanumeric() || sign == '-');
        let hyphens = text.starts_with('-') || text.ends_with('-') || text.contains("--");
        let fits = Self::CHARS.contains(&text.chars().count()) && plain && !hyphens;
        if fits { Ok(Self(text)) } else { Err(TagError::Malformed) }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The tags of a product or a drop: sorted, unique, at most [`TAGS_MAX`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags(Vec<Tag>);

impl Tags {
    /// Sorts a list, removes duplicates and checks its length.
    pub fn new(mut tags: Vec<Tag>) -> Result<Self, TagError> {
        tags.sort();
        tags.dedup();
        if tags.len() > TAGS_MAX { Err(TagError::TooMany) } else { Ok(Self(tags)) }
    }

    /// Returns the tags, sorted.
    pub fn as_slice(&self) -> &[Tag] {
        &self.0
    }
}

impl std::ops::Deref for Tags {
    type Target = [Tag];
    fn deref(&self) -> &[Tag] {
        &self.0
    }
}

/// The kind of a tagged object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum TagKind {
    /// A product.
    #[sea_orm(string_value = "product")]
    Product,
    /// A drop.
    #[sea_orm(string_value = "drop")]
    Drop,
}

mod entity {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "tags")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub kind: TagKind,
        #[sea_orm(primary_key, auto_increment = false)]
        pub subject: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub tag: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}
use entity::{ActiveModel, Column as C, Entity};

/// Replaces the tags of an object. `tags` comes from a [`Tags`]; the caller holds the lock of the object.
pub(crate) async fn set(tx: &Tx, kind: TagKind, subject: impl EntityId, tags: &[Tag]) -> Result<(), DbErr> {
    let subject = subject.uuid();
    Entity::delete_many().filter(C::Kind.eq(kind)).filter(C::Subject.eq(subject)).exec(tx.conn()).await?;
    if tags.is_empty() {
        return Ok(());
    }
    let row = |tag: &Tag| ActiveModel { kind: Set(kind), subject: Set(subject), tag: Set(tag.0.clone()) };
    Entity::insert_many(tags.iter().map(row)).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// Returns the tags of many objects, sorted, with one statement; objects without tags are absent. The ids
/// must come from rows that the viewer may see.
pub async fn tags_of<I: EntityId>(
    db: &Db,
    kind: TagKind,
    subjects: &[I],
) -> Result<HashMap<I, Vec<Tag>>, DbErr> {
    tags_on(db.reader(), kind, subjects).await
}

/// Does the same as [`tags_of`] on a given connection.
pub(crate) async fn tags_on<I: EntityId>(
    conn: &impl ConnectionTrait,
    kind: TagKind,
    subjects: &[I],
) -> Result<HashMap<I, Vec<Tag>>, DbErr> {
    let ids = subjects.iter().map(|subject| subject.uuid());
    let select = Entity::find().filter(C::Kind.eq(kind)).filter(C::Subject.is_in(ids));
    let rows = select.order_by_asc(C::Subject).order_by_asc(C::Tag).all(conn).await?;
    let mut tags: HashMap<I, Vec<Tag>> = HashMap::new();
    for row in rows {
        tags.entry(I::from_uuid(row.subject)).or_default().push(Tag(row.tag));
    }
    Ok(tags)
}

/// Returns the ids of the objects with a tag, as a subquery for `id IN (…)`.
pub(crate) fn tagged(kind: TagKind, tag: &Tag) -> SelectStatement {
    let select = Entity::find().select_only().column(C::Subject).filter(C::Kind.eq(kind));
    select.filter(C::Tag.eq(tag.as_str())).into_query()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_plain_words() {
        for (text, expected) in [
            ("stoneware", Some("stoneware")),
            (" Salt-Glaze ", Some("salt-glaze")),
            ("益子", Some("益子")),
            ("a", None),
            ("-ab", None),
            ("a--b", None),
            ("a b", None),
            (&"x".repeat(41), None),
            (&"x".repeat(100_000), None),
        ] {
            assert_eq!(text.parse::<Tag>().ok().as_ref().map(Tag::as_str), expected, "{text:.50}");
        }
    }

    #[test]
    fn a_list_of_tags_is_unique_and_bounded() {
        let tag = |text: &str| text.parse::<Tag>().unwrap();
        let tags = Tags::new(vec![tag("wood"), tag("oak"), tag("Wood")]).unwrap();
        assert_eq!(&*tags, [tag("oak"), tag("wood")]);
        let many = (0..21).map(|number| tag(&format!("tag-{number}"))).collect();
        assert_eq!(Tags::new(many), Err(TagError::TooMany));
    }
}
