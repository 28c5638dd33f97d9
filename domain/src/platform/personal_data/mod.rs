//! Personal data: what is stored about persons. Each capability describes its tables in its own
//! `personal_data.rs`.
//!
//! A capability lists each of its tables that has a column of text, JSON or bytes. For each such column it
//! says whether the column holds personal data, how it is exported and erased, until when it is kept, and
//! why. It says the same of places outside the database, such as the folder of letters. `domain::registry`
//! lists the registers of the capabilities. A test reads the schema of a migrated database and fails on an
//! unclassified column. [`REGISTER`] describes the platform's own data.
//!
//! Architecture invariant: facts, audit rows, logs and bus messages hold no personal data. They refer to
//! persons only by id.

mod register;

pub use register::REGISTER;

/// The data of one capability.
#[derive(Debug, Clone, Copy)]
pub struct Register {
    /// The name of the capability.
    pub capability: &'static str,
    /// Its tables. A table that has neither text nor data about persons may be left out.
    pub tables: &'static [RegisteredTable],
    /// Its data outside the database.
    pub stores: &'static [RegisteredStore],
}

/// A table and its personal data.
#[derive(Debug, Clone, Copy)]
pub struct RegisteredTable {
    /// The name of the table.
    pub name: &'static str,
    /// The owner of the rows.
    pub owner: RowOwner,
    /// Every column of text, JSON or bytes, and every other column that holds personal data.
    pub columns: &'static [(&'static str, Classification)],
}

/// A store outside the database and its personal data.
#[derive(Debug, Clone, Copy)]
pub struct RegisteredStore {
    /// The name of the store.
    pub name: &'static str,
    /// Its content.
    pub classification: Classification,
}

/// The owner of a table's rows.
#[derive(Debug, Clone, Copy)]
pub enum RowOwner {
    /// No row is about a person.
    Nobody,
    /// Each row is about one person. An export contains the whole row, without withheld columns and secrets.
    Person {
        /// The ways to find a person's rows; each may find some of them.
        found_by: &'static [FoundBy],
        /// What happens to a row when its person is erased.
        erasure: RowErasure,
    },
}

/// The kinds of persons. A buyer may be either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Person {
    /// A person with an account.
    Account,
    /// A person who buys with only an e-mail address.
    Guest,
}

/// A way to find a person's rows.
#[derive(Debug, Clone, Copy)]
pub enum FoundBy {
    /// `column` holds the id of the person.
    Id { person: Person, column: &'static str },
    /// `column` holds the value of `other_column` in a row of `other_table` that belongs to the person.
    Through { column: &'static str, other_table: &'static str, other_column: &'static str },
}

/// What happens to a row when its person is erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowErasure {
    /// The row is deleted once none of its columns must be kept any longer.
    Delete,
    /// The row stays, because others refer to it. Each column is erased as its classification says.
    Keep,
}

/// The content of a column or a store.
#[derive(Debug, Clone, Copy)]
pub enum Classification {
    /// No personal data; the text says what it is.
    Plain(&'static str),
    /// A secret, a part of one, or the hash of one. It is never exported, and is deleted with its row.
    Secret(&'static str),
    /// Personal data.
    Personal(PersonalContent),
}

/// Personal data in a column or a store.
#[derive(Debug, Clone, Copy)]
pub struct PersonalContent {
    /// A description of the content.
    pub what: &'static str,
    /// How it is exported.
    pub export: Export,
    /// How it is erased when it need not be kept any longer.
    pub erase: Erase,
    /// Until when it is kept.
    pub keep: KeepUntil,
    /// Why it is kept that long.
    pub why: &'static str,
}

/// How data is exported for its person.
#[derive(Debug, Clone, Copy)]
pub enum Export {
    /// Unchanged.
    AsItIs,
    /// Not exported, for this reason.
    Withheld(&'static str),
}

/// How data is erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erase {
    /// With its row or its file.
    WithRow,
    /// Set to null.
    Null,
    /// Set to an empty text.
    Empty,
    /// Replaced by another unique value: an address that nobody can have, or random bytes.
    Replace,
    /// Unchanged, but no longer about a person: the row that it refers to does not identify the person any
    /// more.
    Unlink,
}

/// Until when data is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepUntil {
    /// Until its person is erased.
    Erasure,
    /// For this number of days after the row was written or has ended. Then housekeeping deletes it, whatever
    /// the person requests.
    Days(u16),
    /// If money moved, for [`BOOKS_YEARS`] years after the end of the calendar year; otherwise until the
    /// person is erased. The data is erased when both are over.
    BooksAreClosed,
    /// Until an operator removes it; the program never does.
    OperatorClears,
}

/// The number of years for which the books and their supporting documents are kept: the longest term of a
/// large member state of the European Union (France, Code de commerce, article L123-22).
pub const BOOKS_YEARS: u8 = 10;
