//! To take an announced drop back to a draft, while nothing is claimed of it.

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

/// Why a drop is not taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WithdrawDropRefusal {
    /// No such drop of this creator.
    #[error("not found")]
    NotFound,
    /// It does not stand where this could happen.
    #[error("the drop is not published")]
    NotPublished,
    /// Somebody holds or has paid for units.
    #[error("units are reserved; cancel the drop instead")]
    Reserved,
}

/// Takes an announced drop back to a draft, while nothing is held or paid for.
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
