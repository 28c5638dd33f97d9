//! The secrets in the links of letters. Each link has one purpose, is valid for a short time and works once.
//!
//! The secret is created when the letter is written, and only the letter contains it in clear text. A letter
//! that is written again gets a new secret.

#![expect(
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "the links table's own finders, and the public items of its derive"
)]

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ActiveValue::Set, Condition, DbErr, DeriveActiveEnum, entity::prelude::*, sea_query::Expr};

use crate::platform::{
    Db, Tx,
    entropy::Secret,
    ids::{AccountId, GuestId, TokenId},
};

/// How long a link that confirms the address of an account is valid: a letter may be read only the next day.
pub const CONFIRM_EMAIL_LASTS: TimeDelta = TimeDelta::hours(48);
/// How long a link for choosing a new password is valid.
pub const RESET_PASSWORD_LASTS: TimeDelta = TimeDelta::hours(1);
/// How long a link that confirms the address of a guest is valid.
pub const CONFIRM_GUEST_LASTS: TimeDelta = TimeDelta::hours(1);
/// How long a link that lets a storefront open a session is valid.
pub const OPEN_SESSION_LASTS: TimeDelta = TimeDelta::minutes(15);

/// The purpose of a link, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
enum Kind {
    #[sea_orm(string_value = "CONFIRM_EMAIL")]
    ConfirmEmail,
    #[sea_orm(string_value = "RESET_PASSWORD")]
    ResetPassword,
    #[sea_orm(string_value = "CONFIRM_GUEST")]
    ConfirmGuest,
    #[sea_orm(string_value = "OPEN_SESSION")]
    OpenSession,
}

mod entity {
    use super::*;
    use crate::platform::ids::{AccountId, GuestId, TokenId};

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "email_links")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub purpose: Kind,
        pub account_id: Option<AccountId>,
        pub guest_id: Option<GuestId>,
        pub token_id: Option<TokenId>,
        pub secret_hash: Vec<u8>,
        pub created_at: DateTime<Utc>,
        pub expires_at: DateTime<Utc>,
        pub used_at: Option<DateTime<Utc>>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}
use entity::{ActiveModel, Column as C, Entity};

/// The purpose of a link, and the account, guest or token that it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkPurpose {
    /// Confirms the address of an account. Valid for [`CONFIRM_EMAIL_LASTS`].
    ConfirmEmail(AccountId),
    /// Lets the owner of an account choose a new password. Valid for [`RESET_PASSWORD_LASTS`].
    ResetPassword(AccountId),
    /// Confirms the address of a guest. Valid for [`CONFIRM_GUEST_LASTS`].
    ConfirmGuest(GuestId),
    /// Lets a storefront's server open a session for an account. Valid for [`OPEN_SESSION_LASTS`] and in that
    /// storefront only.
    OpenSession(AccountId, TokenId),
}

impl LinkPurpose {
    fn kind(self) -> Kind {
        match self {
            Self::ConfirmEmail(_) => Kind::ConfirmEmail,
            Self::ResetPassword(_) => Kind::ResetPassword,
            Self::ConfirmGuest(_) => Kind::ConfirmGuest,
            Self::OpenSession(..) => Kind::OpenSession,
        }
    }

    /// Returns how long a link is valid.
    pub fn lasts(self) -> TimeDelta {
        match self {
            Self::ConfirmEmail(_) => CONFIRM_EMAIL_LASTS,
            Self::ResetPassword(_) => RESET_PASSWORD_LASTS,
            Self::ConfirmGuest(_) => CONFIRM_GUEST_LASTS,
            Self::OpenSession(..) => OPEN_SESSION_LASTS,
        }
    }
}

/// A link that was just created.
#[derive(Debug, Clone)]
pub struct NewLink {
    /// The secret in the link.
    pub secret: Secret,
    /// When the link expires.
    pub expires_at: DateTime<Utc>,
}

/// Creates a link for a letter that is being written.
pub async fn issue(tx: &Tx, purpose: LinkPurpose) -> Result<NewLink, DbErr> {
    let (account, guest, token) = match purpose {
        LinkPurpose::ConfirmEmail(account) | LinkPurpose::ResetPassword(account) => {
            (Some(account), None, None)
        }
        LinkPurpose::ConfirmGuest(guest) => (None, Some(guest), None),
        LinkPurpose::OpenSession(account, token) => (Some(account), None, Some(token)),
    };
    let secret = tx.entropy().secret("sr_link");
    let expires_at = tx.now().checked_add_signed(purpose.lasts()).unwrap_or(tx.now());
    let row = ActiveModel {
        id: Set(tx.entropy().uuid(tx.now())),
        purpose: Set(purpose.kind()),
        account_id: Set(account),
        guest_id: Set(guest),
        token_id: Set(token),
        secret_hash: Set(secret.hash()),
        created_at: Set(tx.now()),
        expires_at: Set(expires_at),
        used_at: Set(None),
    };
    Entity::insert(row).exec_without_returning(tx.conn()).await?;
    Ok(NewLink { secret, expires_at })
}

fn valid(kind: Kind, secret: &Secret, now: DateTime<Utc>) -> Condition {
    let named = Condition::all().add(C::SecretHash.eq(secret.hash())).add(C::Purpose.eq(kind));
    named.add(C::UsedAt.is_null()).add(C::ExpiresAt.gt(now))
}

/// Marks a link as used. If two requests use one link, only one of them gets it.
async fn redeem(tx: &Tx, which: Condition) -> Result<Option<entity::Model>, DbErr> {
    let update = Entity::update_many().col_expr(C::UsedAt, Expr::value(tx.now())).filter(which);
    Ok(update.exec_with_returning(tx.conn()).await?.into_iter().next())
}

/// Uses a link that confirms an address, and returns its account.
pub(crate) async fn redeem_confirm_email(tx: &Tx, secret: &Secret) -> Result<Option<AccountId>, DbErr> {
    Ok(redeem(tx, valid(Kind::ConfirmEmail, secret, tx.now())).await?.and_then(|link| link.account_id))
}

/// Uses a link for choosing a new password, and returns its account.
pub(crate) async fn redeem_reset_password(tx: &Tx, secret: &Secret) -> Result<Option<AccountId>, DbErr> {
    Ok(redeem(tx, valid(Kind::ResetPassword, secret, tx.now())).await?.and_then(|link| link.account_id))
}

/// Uses a link that confirms a guest's address, and returns its guest.
pub(crate) async fn redeem_confirm_guest(tx: &Tx, secret: &Secret) -> Result<Option<GuestId>, DbErr> {
    Ok(redeem(tx, valid(Kind::ConfirmGuest, secret, tx.now())).await?.and_then(|link| link.guest_id))
}

/// Uses a link that lets this storefront open a session, and returns its account.
pub(crate) async fn redeem_open_session(
    tx: &Tx,
    secret: &Secret,
    token: TokenId,
) -> Result<Option<AccountId>, DbErr> {
    let which = valid(Kind::OpenSession, secret, tx.now()).add(C::TokenId.eq(token));
    Ok(redeem(tx, which).await?.and_then(|link| link.account_id))
}

/// Returns whether a link allows choosing a new password, without using it. Callers check this before they
/// compute an expensive hash.
pub(crate) async fn may_reset_password(db: &Db, secret: &Secret) -> Result<bool, DbErr> {
    let link = Entity::find().filter(valid(Kind::ResetPassword, secret, db.now()));
    Ok(link.one(db.reader()).await?.is_some())
}

/// Voids all links of an account, whoever holds them.
pub(crate) async fn void_all(tx: &Tx, account: AccountId) -> Result<(), DbErr> {
    let update = Entity::update_many().col_expr(C::UsedAt, Expr::value(tx.now()));
    update.filter(C::AccountId.eq(account)).filter(C::UsedAt.is_null()).exec(tx.conn()).await?;
    Ok(())
}

/// Deletes links that expired before `before`. Returns their number.
pub(crate) async fn sweep(tx: &Tx, before: DateTime<Utc>) -> Result<u64, DbErr> {
    Ok(Entity::delete_many().filter(C::ExpiresAt.lt(before)).exec(tx.conn()).await?.rows_affected)
}
