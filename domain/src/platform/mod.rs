//! The shared foundation of all capabilities.
//!
//! Storage:
//!
//! - [`mod@connect`] opens the database.
//! - [`db`] runs transactions and reads (`in_tx`, `read_in`).
//! - [`stored`] reports stored values that no operation should have written.
//!
//! Events and background work:
//!
//! - [`facts`] defines the events, and [`outbox`] stores and publishes them.
//! - [`projections`] builds read models and feeds from the facts.
//! - [`tasks`] is the task queue, and [`timers`] schedules tasks.
//! - [`reconcile`] queues work that was missed.
//! - [`mail`] is the port that sends letters.
//! - [`sweep`] is the port that removes rows kept by adapters.
//! - [`export`] writes CSV files that are safe in spreadsheets.
//!
//! Requests:
//!
//! - [`access`] decides what a viewer may do, and [`audit`] records who did what.
//! - [`idempotency`] makes a repeated request harmless, and [`budget`] limits rates.
//! - [`errors`] defines how an operation is refused or fails.
//! - [`trace`] ties background work to the request that caused it.
//! - [`personal_data`] lists which columns hold personal data.
//!
//! Values: [`ids`], [`money`], [`values`] (whole numbers with a unit), [`country`], [`time_zone`], [`clock`],
//! [`demo_clock`], [`entropy`], [`text`], [`address_lines`], [`slugs`], [`tags`] and [`page`].
//!
//! Tests: [`faults`] defines points where a test makes a step fail.

pub mod access;
pub mod address_lines;
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
pub mod export;
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
pub(crate) use db::{as_new, is_transient};
pub use errors::{NeverRefused, OpError, PathStep, Refused};
pub use ids::EntityId;
pub use money::{Currency, Money};
pub use stored::{Inconsistency, StoreError};
pub use time_zone::TimeZone;
pub use values::{BasisPoints, BigUnits, Count, Days, Position, Quantity, Seconds, TariffGrams, Units};
