//! The places where a creator's buyers pick up their goods.
//!
//! [`create()`], [`update()`] and [`archive()`] are the operations; [`queries`] has the reads. The table is
//! `pickup_places`. Which drops offer a place is known by [`drops`](crate::drops).
//!
//! Invariants: a place is never deleted, because reservations refer to it. Its country never changes, because
//! the country decides the tax of what is sold there. The public sees the name and the town; the address, the
//! opening hours and the note are for the creator and for buyers who have paid.

mod archive;
mod create;
pub(crate) mod place_row;
pub mod queries;
mod update;

pub use archive::{ArchivePickupPlaceRefusal, archive};
pub use create::{CreatePickupPlace, CreatePickupPlaceRefusal, PICKUP_PLACES_MAX, create};
pub use place_row::Model as PickupPlace;
pub use update::{UpdatePickupPlace, UpdatePickupPlaceRefusal, update};

use crate::platform::text::TextLine;

/// The name of a pickup place.
pub type PickupPlaceName = TextLine<80>;
/// The opening hours of a pickup place, in words.
pub type OpeningHours = TextLine<300>;
/// A note for buyers who come to a pickup place.
pub type PickupNote = TextLine<500>;
