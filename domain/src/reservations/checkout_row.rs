//! The tables of checkouts and their addresses, with their scoped queries.

#![expect(clippy::disallowed_methods, reason = "these are the tables' own queries")]

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    DbErr, FromJsonQueryResult, QuerySelect, Select,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait},
};
use serde::{Deserialize, Serialize};

use super::{address::Address, quote::Quote, reservation_row};
use crate::platform::{
    Country, Currency, Inconsistency, Money, Tx,
    access::{Buyer, BuyerScope},
    as_new, bulk,
    ids::{AccountId, CheckoutId, GuestId, LegalTextId, ReservationId},
};

/// A checkout: the result of one call to reserve.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "checkouts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CheckoutId,
    pub account_id: Option<AccountId>,
    pub guest_id: Option<GuestId>,
    pub currency: Currency,
    pub country: Country,
    pub total_minor: i64,
    pub due_now_minor: i64,
    pub due_later_minor: i64,
    pub expires_at: DateTime<Utc>,
    /// Whether a payment in process has already extended the hold.
    pub extended: bool,
    /// The agreed prices.
    pub quote: Quote,
    pub legal_text_ids: Accepted,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// The legal texts that were accepted with a checkout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
pub struct Accepted(pub Vec<LegalTextId>);

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Returns the buyer.
    pub fn buyer(&self) -> Option<Buyer> {
        self.account_id.map(Buyer::Account).or(self.guest_id.map(Buyer::Guest))
    }
    /// Returns the sum of the deposits.
    pub fn due_now(&self) -> Money {
        Money::new(self.due_now_minor, self.currency)
    }
}

pub(crate) mod address_row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "checkout_addresses")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub checkout_id: CheckoutId,
        pub name: String,
        pub line1: String,
        pub line2: Option<String>,
        pub postal_code: String,
        pub city: String,
        pub country: Country,
        pub phone: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}
pub use address_row::Model as AddressView;

/// Selects a buyer's checkouts.
pub(crate) fn of_buyer(scope: &BuyerScope) -> Select<Entity> {
    match scope.buyer() {
        Buyer::Account(id) => Entity::find().filter(Column::AccountId.eq(id)),
        Buyer::Guest(id) => Entity::find().filter(Column::GuestId.eq(id)),
    }
}

/// Returns one of a buyer's checkouts.
pub(crate) async fn own(
    conn: &impl ConnectionTrait,
    scope: &BuyerScope,
    id: CheckoutId,
) -> Result<Option<Model>, DbErr> {
    of_buyer(scope).filter(Column::Id.eq(id)).one(conn).await
}

/// Returns the checkout of a line if it belongs to the buyer. It is always one statement, so that another
/// buyer's line cannot be told from an unknown one.
pub(crate) async fn of_line(
    conn: &impl ConnectionTrait,
    scope: &BuyerScope,
    line: ReservationId,
) -> Result<Option<Model>, DbErr> {
    of_buyer(scope).filter(Column::Id.in_subquery(reservation_row::checkout_of(line))).one(conn).await
}

/// Returns one checkout without checking whose it is: for operations of the system, and for callers that have
/// checked the id.
pub(crate) async fn by_id(conn: &impl ConnectionTrait, id: CheckoutId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(conn).await
}

/// A checkout to insert, with its address and the accepted legal texts.
pub(crate) struct NewCheckout<'a> {
    pub(crate) id: CheckoutId,
    pub(crate) buyer: Buyer,
    pub(crate) address: &'a Address,
    pub(crate) quote: &'a Quote,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) accepted: &'a [LegalTextId],
}

impl NewCheckout<'_> {
    fn row(&self, now: DateTime<Utc>) -> Model {
        let (account_id, guest_id) = match self.buyer {
            Buyer::Account(id) => (Some(id), None),
            Buyer::Guest(id) => (None, Some(id)),
        };
        Model {
            id: self.id,
            account_id,
            guest_id,
            currency: self.quote.currency,
            country: self.address.country,
            total_minor: self.quote.total_minor,
            due_now_minor: self.quote.due_now_minor,
            due_later_minor: self.quote.due_later_minor,
            expires_at: self.expires_at,
            extended: false,
            quote: self.quote.clone(),
            legal_text_ids: Accepted(self.accepted.to_vec()),
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    fn address_row(&self) -> address_row::Model {
        let Address { name, line1, line2, postal_code, city, country, phone } = self.address;
        address_row::Model {
            checkout_id: self.id,
            name: name.as_str().to_owned(),
            line1: line1.as_str().to_owned(),
            line2: line2.as_ref().map(|line| line.as_str().to_owned()),
            postal_code: postal_code.as_str().to_owned(),
            city: city.as_str().to_owned(),
            country: *country,
            phone: phone.as_ref().map(|line| line.as_str().to_owned()),
        }
    }
}

/// Inserts checkouts and their addresses, in two statements. Returns the rows in the same order.
pub(crate) async fn insert_all(tx: &Tx, new: &[NewCheckout<'_>]) -> Result<Vec<Model>, DbErr> {
    let rows: Vec<Model> = new.iter().map(|new| new.row(tx.now())).collect();
    bulk::insert_all(tx, rows.iter().cloned().map(as_new).collect::<Vec<ActiveModel>>()).await?;
    let addresses = new.iter().map(|new| as_new(new.address_row()));
    bulk::insert_all(tx, addresses.collect::<Vec<address_row::ActiveModel>>()).await?;
    Ok(rows)
}

/// Increments a checkout's version and returns it. Also sets a new deadline if `expires_at` is given, and
/// records the one extension if `extended` is set.
pub(crate) async fn touch(
    tx: &Tx,
    id: CheckoutId,
    expires_at: Option<DateTime<Utc>>,
    extended: bool,
) -> Result<i64, DbErr> {
    let mut update = Entity::update_many()
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .col_expr(Column::UpdatedAt, Expr::value(tx.now()));
    if let Some(expires_at) = expires_at {
        update = update.col_expr(Column::ExpiresAt, Expr::value(expires_at));
    }
    if extended {
        update = update.col_expr(Column::Extended, Expr::value(true));
    }
    update.filter(Column::Id.eq(id)).exec(tx.conn()).await?;
    let version = Entity::find_by_id(id)
        .select_only()
        .column(Column::Version)
        .into_tuple::<i64>()
        .one(tx.conn())
        .await?;
    Ok(version.ok_or_else(|| Inconsistency::missing("checkouts", id))?)
}

/// Returns the addresses of checkouts, in one statement.
pub(crate) async fn addresses(
    conn: &impl ConnectionTrait,
    ids: &[CheckoutId],
) -> Result<HashMap<CheckoutId, AddressView>, DbErr> {
    let rows = address_row::Entity::find()
        .filter(address_row::Column::CheckoutId.is_in(ids.iter().copied()))
        .all(conn)
        .await?;
    Ok(rows.into_iter().map(|row| (row.checkout_id, row)).collect())
}
