//! Queries of the current legal texts and tax rates.

use async_graphql::{Context, Object};
use domain::reservations::{legal, quote, tables};

use super::{LegalText, types::TaxRate};
use crate::graphql::{context::ContextExt, errors::Internal, scalars::Decimal};

/// The queries of legal texts and tax rates.
#[derive(Default)]
pub struct TablesQuery;

#[Object]
impl TablesQuery {
    /// The current version of every legal text. A buyer accepts all of them to reserve.
    async fn legal_texts(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<LegalText>> {
        Ok(legal::current(ctx.db().reader()).await.internal()?.into_iter().map(LegalText).collect())
    }

    /// The tax rates of the marketplace.
    async fn tax_rates(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<TaxRate>> {
        tax_rates(ctx).await
    }
}

pub(super) async fn tax_rates(ctx: &Context<'_>) -> async_graphql::Result<Vec<TaxRate>> {
    let rates = tables::tax_rates(ctx.db()).await.internal()?;
    let rate = |rate: quote::TaxRate| TaxRate {
        country: rate.country.to_string(),
        tax_class: rate.class.into(),
        rate: Decimal::percent(rate.rate_bp.into()),
        starts_at: rate.starts_at,
    };
    Ok(rates.into_iter().map(rate).collect())
}
