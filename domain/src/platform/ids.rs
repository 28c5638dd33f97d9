//! One newtype per entity: UUIDv7 inside, a TypeID (`drop_01h…`) outside.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use type_safe_id::{DynamicType, TypeSafeId};
use uuid::Uuid;

/// Why a text is not the id of an entity of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not of the form `prefix_` and 26 base-32 characters.
    #[error("this is not an id")]
    Malformed,
    /// Well formed, but of another kind of thing.
    #[error("this is the id of another kind of thing")]
    OtherKind,
}

/// What all ids have in common.
pub trait EntityId: Copy + Eq + std::hash::Hash + Send + Sync + 'static {
    /// The readable prefix of the public form.
    const PREFIX: &'static str;
    /// Wraps a stored identifier.
    fn from_uuid(uuid: Uuid) -> Self;
    /// The stored identifier.
    fn uuid(self) -> Uuid;
    /// The public form, as [`format_typeid`] writes it.
    fn public(self) -> String {
        format_typeid(Self::PREFIX, self.uuid())
    }
    /// When it was made, to the millisecond: UUIDv7 tells (RFC 9562, section 5.7). The epoch for an id of
    /// another kind.
    fn made_at(self) -> DateTime<Utc> {
        let (secs, nanos) = self.uuid().get_timestamp().map_or((0, 0), |time| time.to_unix());
        i64::try_from(secs)
            .ok()
            .and_then(|secs| DateTime::from_timestamp(secs, nanos))
            .unwrap_or(DateTime::UNIX_EPOCH)
    }
}

/// Writes a TypeID, version 0.3 of that specification.
pub fn format_typeid(prefix: &str, uuid: Uuid) -> String {
    match DynamicType::new(prefix) {
        Ok(kind) => TypeSafeId::from_type_and_uuid(kind, uuid).to_string(),
        // Prefixes are constants of this crate, tested below; the plain form is still unique.
        Err(_) => format!("{prefix}_{}", uuid.simple()),
    }
}

/// Reads a TypeID into its prefix and identifier.
pub fn parse_typeid(text: &str) -> Result<(String, Uuid), IdError> {
    if text.len() > 90 {
        return Err(IdError::Malformed);
    }
    let id = TypeSafeId::<DynamicType>::from_str(text).map_err(|_| IdError::Malformed)?;
    Ok((id.type_prefix().to_owned(), id.uuid()))
}

/// Reads the id of one kind of entity.
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

            // A primary key is never made by the database.
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

        /// Every prefix that is in use, for the global `node(id:)`.
        pub const PREFIXES: &[&str] = &[$($prefix),*];
    };
}

entity_ids! {
    /// A person who can sign in.
    AccountId = "account";
    /// A confirmed e-mail address that buys without an account.
    GuestId = "guest";
    /// A signed-in session.
    SessionId = "session";
    /// A scoped API token.
    TokenId = "token";
    /// A tenant.
    CreatorId = "creator";
    /// What is made.
    ProductId = "product";
    /// The orderable SKU.
    VariantId = "variant";
    /// Products and variants that come as a file.
    ImportId = "import";
    /// One row of such a file.
    ImportRowId = "importrow";
    /// One preorder run.
    DropId = "drop";
    /// A variant within a drop.
    DropItemId = "dropitem";
    /// What one reserve call makes.
    CheckoutId = "checkout";
    /// A buyer's claim on units of one drop item.
    ReservationId = "reservation";
    /// An amount asked of a payment gateway.
    PaymentId = "payment";
    /// An amount given back.
    RefundId = "refund";
    /// One version of a legal text.
    LegalTextId = "legaltext";
    /// A committed change.
    FactId = "fact";
    /// A piece of background work.
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
