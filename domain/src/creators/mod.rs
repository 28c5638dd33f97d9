//! Creators: the tenants, with their public profile and who works for them.
//!
//! [`create()`] and [`update()`] the operations; [`queries`] the reads; [`country`] and [`time_zone`] the values.
//! The tables are `creators` and `creator_members`. Invariant: a creator's currency is fixed by its first product.

pub mod country;
pub mod create;
pub(crate) mod creator;
pub mod personal_data;
pub mod queries;
pub mod time_zone;
pub mod update;

pub use country::Country;
pub use create::{CreateCreator, CreateCreatorRefusal, create, create_for};
pub use creator::Model as Creator;
pub(crate) use creator::{for_sale, hold, lock};
pub use queries::CreatorSort;
pub use time_zone::TimeZone;
pub use update::{UpdateCreator, UpdateCreatorRefusal, update};

use crate::platform::text::Line;

/// A creator's name.
pub type CreatorName = Line<80>;
/// What a creator does, in one line.
pub type Tagline = Line<160>;
/// The town or region that a creator works in.
pub type Place = Line<120>;
