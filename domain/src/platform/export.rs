//! Exports of rows as CSV files (RFC 4180) that are safe to open in a spreadsheet: see [`defused`].
//!
//! An export is read and written part by part, so that a file of any size takes little memory: a function of
//! the capability returns an [`ExportPart`] and where the next one begins.

use std::borrow::Cow;

use sea_orm::DbErr;

/// A part of an export, and where the next part begins. `K` is the key of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportPart<K> {
    /// Whole rows of CSV.
    pub bytes: Vec<u8>,
    /// The last row of this part, if more may follow.
    pub after: Option<K>,
}

/// The reasons why a part of an export cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The rows could not be read.
    #[error("the rows cannot be read")]
    Db(#[from] DbErr),
    /// The rows could not be written as CSV.
    #[error("the file cannot be written")]
    Csv(#[from] csv::Error),
}

/// Writes rows of CSV. Every cell is [`defused`].
pub(crate) struct CsvWriter(csv::Writer<Vec<u8>>);

impl CsvWriter {
    pub(crate) fn new() -> Self {
        Self(csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new()))
    }

    /// Writes one row. All rows of a file have the same number of cells.
    pub(crate) fn row<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) -> Result<(), csv::Error> {
        self.0.write_record(cells.into_iter().map(|cell| defused(cell).into_owned()))
    }

    /// Returns the written bytes.
    pub(crate) fn bytes(self) -> Result<Vec<u8>, csv::Error> {
        self.0.into_inner().map_err(|error| error.into_error().into())
    }
}

/// Returns whether a spreadsheet may take a cell that begins with this character for a formula, possibly only
/// after it drops invisible characters (OWASP, "CSV Injection"). The full-width forms count because some
/// spreadsheets turn them into the plain ones.
fn begins_formula(sign: char) -> bool {
    matches!(
        sign,
        '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '\u{FF1D}' | '\u{FF0B}' | '\u{FF0D}' | '\u{FF20}'
    )
}

/// Makes a cell safe for spreadsheets, which might take it for a formula, by a leading apostrophe. A cell in
/// which apostrophes precede such a character gets one more, so that [`restored`] returns every text
/// unchanged.
pub fn defused(cell: &str) -> Cow<'_, str> {
    if cell.trim_start_matches('\'').starts_with(begins_formula) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

/// Returns the text of a cell that may have been [`defused`].
pub fn restored(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(text) if text.trim_start_matches('\'').starts_with(begins_formula) => text,
        Some(_) | None => cell,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_written_cell_begins_a_formula() {
        for (text, cell) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-A", "'-A"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "'\r=1"),
            ("\u{FF1D}1", "'\u{FF1D}1"),
            ("'=1", "''=1"),
            ("''=1", "'''=1"),
            ("'tis", "'tis"),
            ("'", "'"),
            ("a=1", "a=1"),
            ("", ""),
        ] {
            assert_eq!((defused(text).as_ref(), restored(cell)), (cell, text));
        }
    }

    #[test]
    fn rows_end_as_the_standard_says_and_cells_are_quoted_where_needed() {
        let mut writer = CsvWriter::new();
        writer.row(["name", "note"]).unwrap();
        writer.row(["Ada \"A.\" Example", "=1, 2"]).unwrap();
        let bytes = writer.bytes().unwrap();
        assert_eq!(bytes, b"name,note\r\n\"Ada \"\"A.\"\" Example\",\"'=1, 2\"\r\n");
    }

    proptest! {
        #[test]
        fn every_text_survives_a_round_trip_and_none_is_a_formula(
            text in "['=+@\\-\t\r\n\u{FF1D} a\",;]{0,12}|\\PC{0,12}"
        ) {
            let cell = defused(&text);
            prop_assert_eq!(restored(&cell), text.as_str());
            prop_assert!(!cell.starts_with(begins_formula));
        }
    }
}
