//! Withdraw drop: turns an announced drop back into a draft while nothing is claimed in it.

use super::load::{self, About};
use crate::{
    drops::{
        Drop,
        enter_state::enter_state,
        gate,
        state::{DropEvent, transition},
    },
    platform::{Db, OpError, access::CreatorScope, ids::DropId, in_tx},
};

/// Why a drop is not withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WithdrawDropRefusal {
    /// The creator has no such drop.
    #[error("not found")]
    NotFound,
    /// The drop is not published.
    #[error("the drop is not published")]
    NotPublished,
    /// Units are held or paid for.
    #[error("units are reserved; cancel the drop instead")]
    Reserved,
}

/// Turns an announced drop back into a draft. Refused if any units are held or paid for.
pub async fn withdraw_drop(
    db: &Db,
    scope: &CreatorScope,
    id: DropId,
) -> Result<Drop, OpError<WithdrawDropRefusal>> {
    in_tx(db, scope, async |tx| {
        let unknown = || OpError::refuse_field(WithdrawDropRefusal::NotFound, "id");
        let (gates, drop) = gate::take_own(tx, scope, id).await?.ok_or_else(unknown)?;
        let now = tx.decision_now().await?;
        let state = transition(drop.state, DropEvent::Withdraw)
            .map_err(|_| OpError::refuse(WithdrawDropRefusal::NotPublished))?;
        let stock = load::stock(tx.conn(), &gates.drops(), About::default(), now).await?;
        if stock.items.keys().any(|item| stock.taken(*item) > 0) {
            return Err(OpError::refuse(WithdrawDropRefusal::Reserved));
        }
        Ok(enter_state(tx, drop, state, now).await?)
    })
    .await
}
