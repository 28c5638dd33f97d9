//! Global ids: every object that has one can be read by it.

use std::collections::HashMap;

use async_graphql::{Context, ID, Interface, Object};
use domain::{
    accounts as rules,
    platform::{
        EntityId,
        access::{Administer, Buy, OwnAccount, authorize},
        ids::{
            AccountId, CheckoutId, CreatorId, DropId, DropItemId, ImportId, LegalTextId, PickupPlaceId,
            ProductId, ReservationId, TaskId, VariantId, parse_typeid,
        },
    },
    reservations,
};
use sea_orm::DbErr;

use super::{
    accounts::Account,
    catalog::{
        Product, SeenProduct, SeenVariant, Variant,
        imports::{ProductImport, SeenImport},
    },
    context::ContextExt,
    creators::{
        Creator, CreatorById,
        pickup_places::{PickupPlace, SeenPickupPlace},
    },
    drops::{
        Drop, SeenDrop,
        items::{DropItem, ReferredItem},
    },
    errors::bad_input,
    loaders::{Loaders, edge},
    platform::tasks::{SeenTask, Task},
    reservations::{
        Checkout, Reservation,
        tables::{LegalText, LegalTextById},
    },
};

/// The most ids that `nodes` accepts.
pub(super) const NODES_MAX: usize = 100;

/// An object with a global id.
#[derive(Interface)]
#[graphql(field(
    name = "id",
    ty = "ID",
    desc = "The global id: a readable prefix that names the kind, and 26 characters."
))]
pub enum Node {
    /// A person who can sign in.
    Account(Account),
    /// A creator: a workshop that sells small runs.
    Creator(Creator),
    /// A place where buyers pick up their units.
    PickupPlace(PickupPlace),
    /// A product of a creator.
    Product(Product),
    /// A variant of a product, which can be ordered.
    Variant(Variant),
    /// A preorder run.
    Drop(Drop),
    /// A variant within a drop.
    DropItem(DropItem),
    /// The reservations that one buyer made at once.
    Checkout(Checkout),
    /// A buyer's claim on units.
    Reservation(Reservation),
    /// A version of a legal text.
    LegalText(LegalText),
    /// A background task.
    Task(Task),
    /// An imported file of products.
    ProductImport(ProductImport),
}

edge!(
    /// The viewer's own account; any account for an administrator.
    SeenAccount(AccountId) -> rules::Account, |loaders, ids| seen_accounts(loaders, ids)
);
edge!(
    /// A checkout of the viewer.
    OwnCheckout(CheckoutId) -> reservations::Checkout, |loaders, ids| own_checkouts(loaders, ids)
);
edge!(
    /// A reservation of the viewer.
    OwnReservation(ReservationId) -> reservations::Reservation, |loaders, ids| own_reservations(loaders, ids)
);

async fn seen_accounts(
    loaders: &Loaders,
    ids: &[AccountId],
) -> Result<HashMap<AccountId, rules::Account>, DbErr> {
    if let Ok(scope) = authorize(&loaders.viewer, Administer) {
        return rules::queries::accounts_by_ids(&loaders.db, &scope, ids).await;
    }
    match authorize(&loaders.viewer, OwnAccount) {
        Ok(scope) if ids.contains(&scope.account()) => {
            let own = rules::queries::own_account(&loaders.db, &scope).await?;
            Ok(own.into_iter().map(|account| (account.id, account)).collect())
        }
        Ok(_) | Err(_) => Ok(HashMap::new()),
    }
}

async fn own_checkouts(
    loaders: &Loaders,
    ids: &[CheckoutId],
) -> Result<HashMap<CheckoutId, reservations::Checkout>, DbErr> {
    match authorize(&loaders.viewer, Buy) {
        Ok(scope) => reservations::queries::checkouts_by_ids(&loaders.db, &scope, ids).await,
        Err(_) => Ok(HashMap::new()),
    }
}

async fn own_reservations(
    loaders: &Loaders,
    ids: &[ReservationId],
) -> Result<HashMap<ReservationId, reservations::Reservation>, DbErr> {
    match authorize(&loaders.viewer, Buy) {
        Ok(scope) => reservations::queries::own_reservations(&loaders.db, &scope, ids).await,
        Err(_) => Ok(HashMap::new()),
    }
}

/// Returns the object with a global id, if the viewer may see it.
async fn find(ctx: &Context<'_>, id: &ID) -> async_graphql::Result<Option<Node>> {
    let Ok((prefix, uuid)) = parse_typeid(id) else { return Ok(None) };
    // One arm per kind. An object of a kind without an arm cannot be read by its id.
    Ok(match prefix.as_str() {
        AccountId::PREFIX => {
            let row = ctx.load(SeenAccount(AccountId(uuid))).await?;
            row.map(|row| Node::Account(Account::seen_by(ctx.viewer(), row)))
        }
        CreatorId::PREFIX => {
            ctx.load(CreatorById(CreatorId(uuid))).await?.map(|row| Node::Creator(Creator(row)))
        }
        PickupPlaceId::PREFIX => ctx
            .load(SeenPickupPlace(PickupPlaceId(uuid)))
            .await?
            .map(|row| Node::PickupPlace(PickupPlace(row))),
        ProductId::PREFIX => {
            ctx.load(SeenProduct(ProductId(uuid))).await?.map(|row| Node::Product(Product(row)))
        }
        VariantId::PREFIX => {
            ctx.load(SeenVariant(VariantId(uuid))).await?.map(|row| Node::Variant(Variant(row)))
        }
        DropId::PREFIX => ctx.load(SeenDrop(DropId(uuid))).await?.map(|row| Node::Drop(Drop(row))),
        DropItemId::PREFIX => drop_item(ctx, DropItemId(uuid)).await?.map(Node::DropItem),
        CheckoutId::PREFIX => {
            ctx.load(OwnCheckout(CheckoutId(uuid))).await?.map(|row| Node::Checkout(Checkout::from(row)))
        }
        ReservationId::PREFIX => ctx
            .load(OwnReservation(ReservationId(uuid)))
            .await?
            .map(|row| Node::Reservation(Reservation(row))),
        LegalTextId::PREFIX => {
            ctx.load(LegalTextById(LegalTextId(uuid))).await?.map(|row| Node::LegalText(LegalText(row)))
        }
        TaskId::PREFIX => ctx.load(SeenTask(TaskId(uuid))).await?.map(|row| Node::Task(Task(row))),
        ImportId::PREFIX => {
            ctx.load(SeenImport(ImportId(uuid))).await?.map(|row| Node::ProductImport(ProductImport(row)))
        }
        _ => None,
    })
}

/// Returns a drop item, if the viewer may see its drop.
async fn drop_item(ctx: &Context<'_>, id: DropItemId) -> async_graphql::Result<Option<DropItem>> {
    let Some(item) = ctx.load(ReferredItem(id)).await? else { return Ok(None) };
    let drop = ctx.load(SeenDrop(item.drop_id)).await?;
    Ok(drop.map(|drop| DropItem::new(item, drop.currency)))
}

/// The queries by global id.
#[derive(Default)]
pub struct NodeQuery;

#[Object]
impl NodeQuery {
    /// The object with a global id. Null if it does not exist, or the viewer may not see it.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id.")] id: ID,
    ) -> async_graphql::Result<Option<Node>> {
        find(ctx, &id).await
    }

    /// The objects with the given global ids, in the order of the ids. An entry is null if its object does
    /// not exist, or the viewer may not see it.
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global ids, at most {NODES}.")] ids: Vec<ID>,
    ) -> async_graphql::Result<Vec<Option<Node>>> {
        if ids.len() > NODES_MAX {
            return Err(bad_input(format!("`ids`: must not be more than {NODES_MAX}")));
        }
        futures_util::future::try_join_all(ids.iter().map(|id| find(ctx, id))).await
    }
}
