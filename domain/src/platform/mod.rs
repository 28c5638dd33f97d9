//! What every capability stands on.
//!
//! [`mod@connect`] opens the database, [`db`] reads and writes it (`in_tx`, `read_in`); [`outbox`] and
//! [`facts`] what happened, [`projections`] what is made of that; [`tasks`] and [`timers`] what is to happen,
//! [`reconcile`] what was missed; [`audit`] who did it; [`idempotency`] once only; [`budget`] not too often;
//! [`ids`], [`money`], [`values`] (whole numbers with a unit), [`country`], [`time_zone`], [`clock`],
//! [`demo_clock`], [`entropy`], [`text`], [`slugs`], [`tags`], [`page`] the values; [`stored`] what a row
//! says that it should not; [`errors`] how an operation says no; [`mail`] the port for letters, [`sweep`]
//! that for rows that others keep; [`trace`] what caused what; [`personal_data`] what is held of persons;
//! [`faults`] where tests make things go wrong.

pub mod access;
pub mod audit;
pub mod budget;
pub(crate) mod bulk;
pub mod clock;
pub mod connect;
pub mod country;
pub mod db;
pub mod demo_clock;
pub mod entropy;
pub mod errors;
pub mod facts;
pub mod faults;
pub mod idempotency;
pub mod ids;
pub mod mail;
pub mod money;
pub mod outbox;
pub mod page;
pub mod personal_data;
pub mod projections;
pub mod reconcile;
pub mod slugs;
pub mod stored;
pub mod sweep;
pub mod tags;
pub mod tasks;
pub mod text;
pub mod time_zone;
pub mod timers;
pub mod trace;
pub mod values;

pub use connect::{DatabaseUrl, DatabaseUrlError, connect};
pub use country::Country;
pub use db::{Db, TENANT_ROLE, Tx, in_tx, read_in};
pub(crate) use db::{as_new, is_passing};
pub use errors::{NeverRefused, OpError, PathStep, Refused};
pub use ids::EntityId;
pub use money::{Currency, Money};
pub use stored::{Inconsistency, StoreError};
pub use time_zone::TimeZone;
pub use values::{BasisPoints, BigUnits, Count, Days, Position, Quantity, Seconds, TariffGrams, Units};
