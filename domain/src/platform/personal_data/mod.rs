//! What is held of persons: values by which each capability says it, in a file `personal_data.rs` of its own.
//!
//! A capability names each of its tables that has a column of text, JSON or bytes, and says of each such
//! column whether it holds personal data: how it is exported, how it is erased, until when it is kept and
//! why. The same is said of places outside the database, such as the folder of letters.
//! `workers::personal_data` collects the registers of the program; a test reads the schema of a migrated
//! database and fails on a column that nobody has classified. What the platform itself holds is in
//! [`REGISTER`].
//!
//! Architecture invariant: facts, audit rows, logs, and what is on the bus hold no personal data. They name
//! persons by id only.

mod register;

pub use register::REGISTER;

/// What a capability holds.
#[derive(Debug, Clone, Copy)]
pub struct Register {
    /// The capability's name.
    pub capability: &'static str,
    /// Its tables, those without text aside that hold nothing of a person either.
    pub tables: &'static [RegisteredTable],
    /// What it keeps outside the database.
    pub stores: &'static [RegisteredStore],
}

/// A table, and what it holds of persons.
#[derive(Debug, Clone, Copy)]
pub struct RegisteredTable {
    /// Its name.
    pub name: &'static str,
    /// Whose the rows are.
    pub owner: RowOwner,
    /// Every column of text, JSON or bytes, and any other that holds personal data.
    pub columns: &'static [(&'static str, Classification)],
}

/// Something outside the database, and what it holds of persons.
#[derive(Debug, Clone, Copy)]
pub struct RegisteredStore {
    /// What it is.
    pub name: &'static str,
    /// What it holds.
    pub classification: Classification,
}

/// Whose the rows of a table are.
#[derive(Debug, Clone, Copy)]
pub enum RowOwner {
    /// No row is about a person.
    Nobody,
    /// Each row is about one person. An export has the whole row, but for what is withheld and secrets.
    Person {
        /// How the rows of a person are found; any of these leads to some.
        found_by: &'static [FoundBy],
        /// What becomes of a row when its person is erased.
        erasure: RowErasure,
    },
}

/// Who a row can be about. A buyer is either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Person {
    /// Somebody who can sign in.
    Account,
    /// Somebody who buys with no more than an e-mail address.
    Guest,
}

/// How the rows of a person are found.
#[derive(Debug, Clone, Copy)]
pub enum FoundBy {
    /// The column holds the id of the person.
    Id { person: Person, column: &'static str },
    /// The column holds what stands in the column `other_column` of a row of `other_table` that is the
    /// person's.
    Through { column: &'static str, other_table: &'static str, other_column: &'static str },
}

/// What becomes of a row when its person is erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowErasure {
    /// It is deleted, once none of its columns has to be kept any longer.
    Delete,
    /// It stays, because others refer to it; its columns are erased as each of them says.
    Keep,
}

/// What a column or a store holds.
#[derive(Debug, Clone, Copy)]
pub enum Classification {
    /// Nothing about a person; and why, in a word or two.
    Plain(&'static str),
    /// A secret, a part of one or the hash of one: it is never exported, and goes with its row.
    Secret(&'static str),
    /// Something about a person.
    Personal(PersonalContent),
}

/// Something about a person.
#[derive(Debug, Clone, Copy)]
pub struct PersonalContent {
    /// What it is.
    pub what: &'static str,
    /// How it is exported.
    pub export: Export,
    /// How it is erased once it need not be kept.
    pub erase: Erase,
    /// Until when it is kept.
    pub keep: KeepUntil,
    /// Why it is kept until then, and not for less time.
    pub why: &'static str,
}

/// How something is exported for its person.
#[derive(Debug, Clone, Copy)]
pub enum Export {
    /// As it is.
    AsItIs,
    /// Not at all, for this reason.
    Withheld(&'static str),
}

/// How something is erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erase {
    /// With its row, or with its file.
    WithRow,
    /// It becomes null.
    Null,
    /// It becomes the empty text.
    Empty,
    /// It becomes something else that is as unique: an address that nobody can have, or random bytes.
    Replace,
    /// It stays, and is about nobody: what the row leads to no longer says who the person was.
    Unlink,
}

/// Until when something is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepUntil {
    /// Until its person is erased.
    Erasure,
    /// For so many days after the row was written or has ended; housekeeping deletes it then, whatever its
    /// person wants.
    Days(u16),
    /// Where money moved, for [`BOOKS_YEARS`] after the end of the calendar year in which it did; elsewhere
    /// until its person is erased. It is erased when both are over.
    BooksAreClosed,
    /// Until an operator clears it away: the program never does.
    OperatorClears,
}

/// Years for which the books and what proves their entries are kept: the longest term of a large member state
/// of the European Union (France, Code de commerce, article L123-22).
pub const BOOKS_YEARS: u8 = 10;
