//! The legal texts of the marketplace. Versions are added and never changed. A checkout stores the versions
//! that it accepted.

#![expect(clippy::disallowed_methods, reason = "these are the legal texts' own queries")]

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, DbErr, DeriveActiveEnum, QueryOrder, QuerySelect as _, entity::prelude::*};

use crate::platform::{
    Db,
    access::AdminScope,
    audit,
    ids::LegalTextId,
    in_tx,
    text::{Markdown, TextLine},
};

/// The title of a legal text.
pub type LegalTitle = TextLine<160>;

/// The kind of a legal text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum LegalKind {
    /// The terms of sale.
    #[sea_orm(string_value = "TERMS")]
    Terms,
    /// The privacy notice.
    #[sea_orm(string_value = "PRIVACY")]
    Privacy,
    /// The notice about the right of withdrawal.
    #[sea_orm(string_value = "WITHDRAWAL")]
    Withdrawal,
}

mod entity {
    use super::*;

    /// One version of a legal text.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "legal_texts")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: LegalTextId,
        pub kind: LegalKind,
        /// The number of the version, from 1 within the kind.
        pub number: i32,
        pub title: String,
        pub body_markdown: String,
        pub body_html: String,
        pub published_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}
pub use entity::Model as LegalText;
use entity::{ActiveModel, Column, Entity};

/// Returns the newest version of each kind. A buyer must accept these to reserve.
pub async fn current(conn: &impl ConnectionTrait) -> Result<Vec<LegalText>, DbErr> {
    let rows = Entity::find().order_by_asc(Column::Kind).order_by_desc(Column::Number).all(conn).await?;
    let mut newest: Vec<LegalText> = Vec::new();
    for row in rows {
        if newest.last().is_none_or(|last| last.kind != row.kind) {
            newest.push(row);
        }
    }
    Ok(newest)
}

/// Returns the ids of the newest versions, in one statement and without the texts.
pub(super) async fn current_ids(conn: &impl ConnectionTrait) -> Result<Vec<LegalTextId>, DbErr> {
    let newest = Entity::find().select_only().columns([Column::Kind, Column::Id]);
    let rows: Vec<(LegalKind, LegalTextId)> =
        newest.order_by_asc(Column::Kind).order_by_desc(Column::Number).into_tuple().all(conn).await?;
    let mut seen = HashSet::new();
    Ok(rows.into_iter().filter(|(kind, _)| seen.insert(*kind)).map(|(_, id)| id).collect())
}

/// Returns versions by id, in one statement.
pub async fn by_ids(db: &Db, ids: &[LegalTextId]) -> Result<Vec<LegalText>, DbErr> {
    Entity::find().filter(Column::Id.is_in(ids.iter().copied())).all(db.reader()).await
}

/// Publishes the next version of a kind.
pub async fn publish(
    db: &Db,
    scope: &AdminScope,
    kind: LegalKind,
    title: &LegalTitle,
    body: &Markdown,
) -> Result<LegalTextId, DbErr> {
    in_tx(db, scope.actor(), async |tx| {
        let last =
            Entity::find().filter(Column::Kind.eq(kind)).order_by_desc(Column::Number).one(tx.conn()).await?;
        let id: LegalTextId = tx.new_id();
        let row = ActiveModel {
            id: Set(id),
            kind: Set(kind),
            number: Set(last.map_or(0, |text| text.number).saturating_add(1)),
            title: Set(title.as_str().to_owned()),
            body_markdown: Set(body.source().to_owned()),
            body_html: Set(body.html().to_owned()),
            published_at: Set(tx.now()),
        };
        Entity::insert(row).exec_without_returning(tx.conn()).await?;
        audit::record(tx, "legal_text.publish", id, &["body"]).await?;
        Ok(id)
    })
    .await
}
