//! Creators: the tenants, with their public profile and who works for them.
//!
//! [`create()`], [`create_for()`] and [`update()`] the operations; [`queries`] the reads. The tables are
//! `creators` and `creator_members`. Invariant: a creator's currency is fixed by its first product.

mod create;
mod create_for;
pub(crate) mod creator;
pub mod personal_data;
pub mod queries;
mod update;

pub use create::{CreateCreator, CreateCreatorRefusal, create};
pub use create_for::create_for;
pub use creator::Model as Creator;
pub(crate) use creator::{for_sale, hold, lock};
pub use queries::CreatorSort;
pub use update::{UpdateCreator, UpdateCreatorRefusal, update};

use crate::platform::text::Line;

/// A creator's name.
pub type CreatorName = Line<80>;
/// What a creator does, in one line.
pub type Tagline = Line<160>;
/// The town or region that a creator works in.
pub type Place = Line<120>;
