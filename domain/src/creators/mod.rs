//! Creators: the tenants, with their public profiles.
//!
//! [`create()`], [`create_for()`] and [`update()`] are the operations; [`queries`] has the reads. The table
//! is `creators`. [`pickup_places`] has the places where buyers pick up what they bought. Invariant: a
//! creator's currency is fixed once it has a product or a drop.

mod create;
mod create_for;
pub(crate) mod creator;
pub mod personal_data;
pub mod pickup_places;
pub mod queries;
mod update;

pub use create::{CreateCreator, CreateCreatorRefusal, create};
pub use create_for::create_for;
pub use creator::Model as Creator;
pub(crate) use creator::{for_sale, hold, lock};
pub use queries::CreatorSort;
pub use update::{UpdateCreator, UpdateCreatorRefusal, update};

use crate::platform::text::TextLine;

/// The name of a creator.
pub type CreatorName = TextLine<80>;
/// A creator's description of its work, in one line.
pub type Tagline = TextLine<160>;
/// The town or region that a creator works in.
pub type CreatorPlace = TextLine<120>;
