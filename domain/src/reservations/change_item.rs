//! Change item: changes an item of a drop. Its units stay at or above the units that are held or paid for.

use super::{
    decide::{Decision, Request, decide},
    load::{self, About},
};
use crate::{
    drops::{
        DropItem, gate, item_row,
        items::{ItemRefusal, check_bounds, limit_of, lock_item, publish_change, units_of},
        state::DropState,
        terms::{Deposit, Tier},
    },
    platform::{Db, OpError, access::CreatorScope, ids::DropItemId, in_tx},
};

/// The changes to an item. `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct ItemChange {
    /// The units for sale: at least the units that are held or paid for.
    pub units: Option<u32>,
    /// The limit per person. It cannot change once the drop is announced.
    pub per_buyer_max: Option<u32>,
    /// The price tiers. They apply to new quotes only; reservations keep their prices.
    pub tiers: Option<Vec<Tier>>,
}

/// Changes an item of a drop.
pub async fn change_item(
    db: &Db,
    scope: &CreatorScope,
    id: DropItemId,
    change: ItemChange,
) -> Result<DropItem, OpError<ItemRefusal>> {
    OpError::refuse_if_any(check_bounds(change.units, change.per_buyer_max, change.tiers.as_deref()))?;
    in_tx(db, scope, async |tx| {
        let (gates, drop, mut item) = lock_item(tx, scope, id).await?;
        let now = tx.decision_now().await?;
        let mut fields = Vec::new();
        if let Some(units) = change.units {
            let stock = load::stock(tx.conn(), &gates.drops(), About::default(), now).await?;
            match decide(&stock, &[Request::SetUnits { item: id, units }], now).as_slice() {
                [Decision::Done] => {}
                _ => return Err(OpError::refuse_field(ItemRefusal::BelowReserved, "units")),
            }
            let others =
                stock.items.iter().filter(|(item, _)| **item != id).map(|(_, stock)| i64::from(stock.units));
            let in_all = others.fold(i64::from(units), i64::saturating_add);
            let never_made = drop.minimum_units.is_some_and(|minimum| in_all < i64::from(minimum));
            if drop.state == DropState::Published && never_made {
                return Err(OpError::refuse_field(ItemRefusal::BelowMinimumRun, "units"));
            }
            item.units = units_of(units)?;
            fields.push("units");
        }
        if let Some(limit) = change.per_buyer_max {
            let limit = limit_of(limit)?;
            if drop.state == DropState::Published && limit != item.per_buyer_max {
                return Err(OpError::refuse_field(ItemRefusal::Frozen, "perBuyerMax"));
            }
            item.per_buyer_max = limit;
            fields.push("per_buyer_max");
        }
        if let Some(tiers) = &change.tiers {
            let lowest = tiers.iter().map(|tier| tier.price_minor).min().unwrap_or(0);
            let promised = matches!(drop.deposit()?, Deposit::Fixed(minor) if minor > lowest);
            if drop.state == DropState::Published && promised {
                return Err(OpError::refuse_field(ItemRefusal::PriceBelowDeposit, "tiers"));
            }
            item_row::set_tiers(tx, id, tiers).await?;
            fields.push("tiers");
        }
        item_row::save(tx, &item).await?;
        if change.units.is_some() {
            gate::publish_stock(tx, &gates).await?;
        }
        publish_change(tx, &drop, "drop.change_item", &fields).await?;
        Ok(item)
    })
    .await
}
