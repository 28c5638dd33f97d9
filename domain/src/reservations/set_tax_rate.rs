//! Sets a tax rate of the marketplace.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, EntityTrait, sea_query::OnConflict};

use super::tables::{TableRefusal, rate_row};
use crate::{
    catalog::TaxClass,
    platform::{BasisPoints, Country, Db, OpError, access::AdminScope, audit, in_tx},
};

/// Sets a tax rate that applies from `starts_at` on. `rate_bp` is in basis points of the net price.
pub async fn set_tax_rate(
    db: &Db,
    scope: &AdminScope,
    country: Country,
    class: TaxClass,
    starts_at: DateTime<Utc>,
    rate_bp: u32,
) -> Result<(), OpError<TableRefusal>> {
    let rate_bp = BasisPoints::try_from(rate_bp)
        .map_err(|_| OpError::refuse_field(TableRefusal::RateOutOfRange, "rate"))?;
    in_tx(db, scope.actor(), async |tx| {
        let row = rate_row::ActiveModel {
            country: Set(country),
            tax_class: Set(class),
            starts_at: Set(starts_at),
            rate_bp: Set(rate_bp),
        };
        let key = [rate_row::Column::Country, rate_row::Column::TaxClass, rate_row::Column::StartsAt];
        let known = OnConflict::columns(key).update_column(rate_row::Column::RateBp).to_owned();
        rate_row::Entity::insert(row).on_conflict(known).exec_without_returning(tx.conn()).await?;
        Ok(audit::record_text(tx, "tax_rate.set", country.code(), &["rate"]).await?)
    })
    .await
}
