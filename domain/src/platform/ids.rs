//! Ids: one newtype for each entity, stored as a UUIDv7 and shown as a TypeID (`drop_01h…`).

use std::str::FromStr;

use chrono::{DateTime, Utc};
use type_safe_id::{DynamicType, TypeSafeId};
use uuid::Uuid;

/// Why a text is not the id of the expected kind of entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is not of the form `prefix_` and 26 base-32 characters.
    #[error("this is not an id")]
    Malformed,
    /// The id is well formed, but belongs to another kind of entity.
    #[error("this id belongs to another kind of object")]
    OtherKind,
}

/// The operations that all ids have in common.
pub trait EntityId: Copy + Eq + std::hash::Hash + Send + Sync + 'static {
    /// The readable prefix of the public form.
    const PREFIX: &'static str;
    /// Wraps a stored identifier.
    fn from_uuid(uuid: Uuid) -> Self;
    /// Returns the stored identifier.
    fn uuid(self) -> Uuid;
    /// Returns the public form, as [`format_typeid`] writes it.
    fn public(self) -> String {
        format_typeid(Self::PREFIX, self.uuid())
    }
    /// Returns when the id was created, in milliseconds, as encoded in a UUIDv7 (RFC 9562, section 5.7).
    /// Returns the epoch for an identifier of another version.
    fn made_at(self) -> DateTime<Utc> {
        let (secs, nanos) = self.uuid().get_timestamp().map_or((0, 0), |time| time.to_unix());
        i64::try_from(secs)
            .ok()
            .and_then(|secs| DateTime::from_timestamp(secs, nanos))
            .unwrap_or(DateTime::UNIX_EPOCH)
    }
}

/// Writes a TypeID (version 0.3 of the specification).
pub fn format_typeid(prefix: &str, uuid: Uuid) -> String {
    match DynamicType::new(prefix) {
        Ok(kind) => TypeSafeId::from_type_and_uuid(kind, uuid).to_string(),
        // Prefixes are constants of this crate and tested below; the plain form is still unique.
        Err(_) => format!("{prefix}_{}", uuid.simple()),
    }
}

/// Parses a TypeID into its prefix and identifier.
pub fn parse_typeid(text: &str) -> Result<(String, Uuid), IdError> {
    if text.len() > 90 {
        return Err(IdError::Malformed);
    }
    let id = TypeSafeId::<DynamicType>::from_str(text).map_err(|_| IdError::Malformed)?;
    Ok((id.type_prefix().to_owned(), id.uuid()))
}

/// Parses the id of one kind of entity.
pub fn parse_id<I: EntityId>(text: &str) -> Result<I, IdError> {
    let (prefix, uuid) = parse_typeid(text)?;
    if prefix == I::PREFIX { Ok(I::from_uuid(uuid)) } else { Err(IdError::OtherKind) }
}

macro_rules! entity_ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
                     sea_orm::DeriveValueType, serde::Serialize, serde::Deserialize)]
            pub struct $name(pub Uuid);

            impl EntityId for $name {
                const PREFIX: &'static str = $prefix;
                fn from_uuid(uuid: Uuid) -> Self { Self(uuid) }
                fn uuid(self) -> Uuid { self.0 }
            }

            // The database never generates a primary key.
            impl sea_orm::TryFromU64 for $name {
                fn try_from_u64(_: u64) -> Result<Self, sea_orm::DbErr> {
                    Err(sea_orm::DbErr::ConvertFromU64(stringify!($name)))
                }
            }

            impl std::fmt::Display for $name {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str(&self.public())
                }
            }

            impl FromStr for $name {
                type Err = IdError;
                fn from_str(text: &str) -> Result<Self, IdError> { parse_id(text) }
            }
        )*

        /// All prefixes, for the global `node(id:)`.
        pub const PREFIXES: &[&str] = &[$($prefix),*];
    };
}

entity_ids! {
    /// An account: a person who can sign in.
    AccountId = "account";
    /// A guest: a confirmed e-mail address that buys without an account.
    GuestId = "guest";
    /// A session of an account or a guest.
    SessionId = "session";
    /// An API token with limited permissions.
    TokenId = "token";
    /// A creator: a tenant.
    CreatorId = "creator";
    /// A place where buyers pick up their goods.
    PickupPlaceId = "place";
    /// A product.
    ProductId = "product";
    /// A variant: the orderable SKU.
    VariantId = "variant";
    /// An import of products and variants from a file.
    ImportId = "import";
    /// A row of an import file.
    ImportRowId = "importrow";
    /// A drop: one preorder run.
    DropId = "drop";
    /// A variant within a drop.
    DropItemId = "dropitem";
    /// A checkout: the result of one reserve call.
    CheckoutId = "checkout";
    /// A reservation: a buyer's claim on units of one drop item.
    ReservationId = "reservation";
    /// A payment: an amount requested through a payment gateway.
    PaymentId = "payment";
    /// A refund: an amount paid back.
    RefundId = "refund";
    /// A version of a legal text.
    LegalTextId = "legaltext";
    /// A fact: a committed change.
    FactId = "fact";
    /// A task: a unit of background work.
    TaskId = "task";
    /// A row of the audit log.
    AuditId = "audit";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_is_a_valid_typeid_prefix() {
        for prefix in PREFIXES {
            assert!(DynamicType::new(prefix).is_ok(), "{prefix}");
        }
    }

    #[test]
    fn an_id_survives_its_public_form_and_refuses_another_kind() {
        let id = DropId(Uuid::from_u128(0x0192_7f3a_0000_7000_8000_0000_0000_0001));
        assert_eq!(id.public().parse::<DropId>(), Ok(id));
        assert_eq!(id.public().parse::<ProductId>(), Err(IdError::OtherKind));
        assert_eq!("drop_x".parse::<DropId>(), Err(IdError::Malformed));
        assert_eq!(id.made_at().timestamp_millis(), 0x0192_7f3a_0000);
        assert_eq!(DropId(Uuid::from_u128(1)).made_at(), DateTime::UNIX_EPOCH);
        assert_eq!("é".repeat(60).parse::<DropId>(), Err(IdError::Malformed));
    }
}
