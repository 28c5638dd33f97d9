//! The catalogue as a sheet: CSV (RFC 4180) with a header, one row a variant, the product's columns in its
//! first row.
//!
//! Rows of a product follow one another. A row belongs to the product of its slug, or of the slug that its
//! title makes; with neither, to the product of the row above. What is written here can be read here, and is
//! safe to open in a spreadsheet: see [`defused`].

use std::{borrow::Cow, collections::BTreeMap, collections::HashSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::imports::complaint::{Complaint, ComplaintCode};
use crate::platform::slugs::Slug;

/// The most rows of a sheet, the header aside.
pub const ROWS_MAX: usize = 10_000;

/// Makes the enum of columns, with the names that stand in the header.
macro_rules! columns {
    ($($column:ident = $name:literal, $about:literal;)*) => {
        /// A column. Names are contract.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Column {
            $(#[doc = $about] $column,)*
        }

        impl Column {
            /// All columns, in the order in which they are written.
            pub const ALL: &'static [Self] = &[$(Self::$column),*];

            /// As it stands in the header.
            pub fn name(self) -> &'static str {
                match self { $(Self::$column => $name,)* }
            }
        }
    };
}

columns! {
    Slug = "slug", "The product's slug; a product is matched by it.";
    Title = "title", "The product's title.";
    Summary = "summary", "The product in one or two sentences.";
    Description = "description", "The product in full, in Markdown.";
    Tags = "tags", "The product's tags, separated by commas.";
    Sku = "sku", "The variant's SKU; a variant is matched by it.";
    VariantTitle = "variant_title", "What sets the variant apart.";
    Price = "price", "The price of one unit, in major units of the currency, with a point before decimals.";
    Currency = "currency", "The currency of the price; the creator's where it is left out.";
    WeightGrams = "weight_grams", "The weight of one unit, packed.";
    LengthMm = "length_mm", "The longest side of the parcel.";
    WidthMm = "width_mm", "The second side of the parcel.";
    HeightMm = "height_mm", "The third side of the parcel.";
    TaxClass = "tax_class", "STANDARD, REDUCED, BOOKS, FOOD or ZERO.";
}

impl Column {
    /// Whether it says something of the product rather than of one of its variants. The slug does, but as its
    /// name.
    pub(crate) fn describes_product(self) -> bool {
        matches!(self, Self::Title | Self::Summary | Self::Description | Self::Tags)
    }

    /// Whether it says something of a variant.
    pub(crate) fn describes_variant(self) -> bool {
        !self.describes_product() && self != Self::Slug
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|column| column.name() == name).copied()
    }
}

/// The cells of one row: a column that the sheet does not have is absent, an empty cell is an empty text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, sea_orm::FromJsonQueryResult)]
pub struct Cells(pub BTreeMap<Column, String>);

impl Cells {
    /// The cell as it was written; `None` when the sheet has no such column.
    pub(crate) fn raw(&self, column: Column) -> Option<&str> {
        self.0.get(&column).map(String::as_str)
    }

    /// The cell without white space around it; `None` when there is nothing in it.
    pub(crate) fn filled(&self, column: Column) -> Option<&str> {
        self.raw(column).map(str::trim).filter(|cell| !cell.is_empty())
    }
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SheetRow {
    /// Its number in a spreadsheet, where the header is 1.
    pub number: i32,
    /// The number of its product's first row.
    pub first: i32,
    /// What it holds.
    pub cells: Cells,
    /// What is wrong with it in view of the rows before.
    pub complaints: Vec<Complaint>,
}

/// A sheet that was read: its form is right, of what its cells say nothing is known yet.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// Its rows, in their order; at least one.
    pub rows: Vec<SheetRow>,
    /// SHA-256 of the file, in hexadecimal.
    pub digest: String,
}

/// Why a file is no sheet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SheetError {
    /// Another character set, or no text at all.
    #[error("row {row} is not UTF-8: save the file as CSV in UTF-8")]
    NotUtf8 { row: u64 },
    /// A row that does not fit the header, or holds what no text may.
    #[error("row {row} {why}")]
    Malformed { row: u64, why: String },
    /// A column that is not known.
    #[error("there is no column `{0}`; the columns are {all}", all = all_columns())]
    UnknownColumn(String),
    /// A column that stands in the header twice.
    #[error("the column `{0}` stands in the header twice")]
    RepeatedColumn(&'static str),
    /// Nothing tells which product a row is about.
    #[error("the header needs the column `slug` or `title`")]
    MissingColumn,
    /// A header and nothing else, or less.
    #[error("there are no rows")]
    NoRows,
    /// More than [`ROWS_MAX`].
    #[error("there are more than 10,000 rows: split the file between two products")]
    TooManyRows,
}

fn all_columns() -> String {
    Column::ALL.iter().map(|column| column.name()).collect::<Vec<_>>().join(", ")
}

impl Sheet {
    /// Reads a file: UTF-8, with or without a byte order mark, separated by commas, semicolons or tabs,
    /// whichever the header has most of.
    pub fn read(file: &[u8]) -> Result<Self, SheetError> {
        let digest = hex::encode(Sha256::digest(file));
        let text = file.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(file);
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).delimiter(delimiter(text)).from_reader(text);
        let mut records = reader.records().zip(1_u64..);
        let header = match records.next() {
            Some((record, row)) => header(&record.map_err(|error| malformed(&error, row))?)?,
            None => return Err(SheetError::NoRows),
        };
        let mut reading = Reading::default();
        for (record, row) in records {
            let record = record.map_err(|error| malformed(&error, row))?;
            if record.iter().any(|cell| cell.contains('\0')) {
                return Err(SheetError::Malformed { row, why: "holds a NUL, which no text may".to_owned() });
            }
            // What a spreadsheet leaves below its last row.
            if record.iter().all(|cell| cell.trim().is_empty()) {
                continue;
            }
            if reading.rows.len() >= ROWS_MAX {
                return Err(SheetError::TooManyRows);
            }
            let cells =
                header.iter().copied().zip(record.iter().map(|cell| restored(cell).to_owned())).collect();
            reading.add(i32::try_from(row).map_err(|_| SheetError::TooManyRows)?, Cells(cells));
        }
        if reading.rows.is_empty() {
            Err(SheetError::NoRows)
        } else {
            Ok(Self { rows: reading.rows, digest })
        }
    }
}

/// The separator that the first line has most of. A header of ours needs no quotes.
fn delimiter(text: &[u8]) -> u8 {
    let line = text.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    let count = |sign: u8| line.iter().filter(|byte| **byte == sign).count();
    [b'\t', b';', b','].into_iter().max_by_key(|sign| count(*sign)).unwrap_or(b',')
}

fn header(record: &csv::StringRecord) -> Result<Vec<Column>, SheetError> {
    let mut columns = Vec::with_capacity(record.len());
    for name in record {
        let name = name.trim().to_ascii_lowercase();
        let column = Column::named(&name);
        let column = column.ok_or_else(|| {
            SheetError::UnknownColumn(name.chars().filter(|sign| !sign.is_control()).take(40).collect())
        })?;
        if columns.contains(&column) {
            return Err(SheetError::RepeatedColumn(column.name()));
        }
        columns.push(column);
    }
    let names_product = columns.contains(&Column::Slug) || columns.contains(&Column::Title);
    if names_product { Ok(columns) } else { Err(SheetError::MissingColumn) }
}

fn malformed(error: &csv::Error, row: u64) -> SheetError {
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => SheetError::NotUtf8 { row },
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            SheetError::Malformed { row, why: format!("has {len} cells, and the header {expected_len}") }
        }
        _ => SheetError::Malformed { row, why: "cannot be read as CSV".to_owned() },
    }
}

/// A sheet on the way: which product the last row was of, and what was seen before.
#[derive(Default)]
struct Reading {
    rows: Vec<SheetRow>,
    product: Option<(String, i32, bool)>,
    slugs: HashSet<String>,
    skus: HashSet<String>,
}

impl Reading {
    fn add(&mut self, number: i32, cells: Cells) {
        let mut complaints = Vec::new();
        let named = cells.filled(Column::Slug).map(str::to_owned);
        let titled = || {
            cells
                .filled(Column::Title)
                .map(|title| Slug::from_title(title).map_or(String::new(), |slug| slug.as_str().to_owned()))
        };
        let same = |slug: &str, product: &Option<(String, i32, bool)>| {
            product.as_ref().is_some_and(|(last, ..)| last == slug)
        };
        if let Some(slug) = named.or_else(titled)
            && (slug.is_empty() || !same(&slug, &self.product))
        {
            let repeated = !slug.is_empty() && !self.slugs.insert(slug.clone());
            self.product = Some((slug, number, repeated));
        }
        let first = self.product.as_ref().map_or(number, |(_, first, _)| *first);
        if self.product.as_ref().is_some_and(|(.., repeated)| *repeated) {
            complaints.push(Complaint::of(ComplaintCode::SlugRepeated, Column::Slug));
        }
        if let Some(sku) = cells.filled(Column::Sku)
            && !self.skus.insert(sku.to_owned())
        {
            complaints.push(Complaint::of(ComplaintCode::SkuRepeated, Column::Sku));
        }
        self.rows.push(SheetRow { number, first, cells, complaints });
    }
}

/// With what a cell begins that a spreadsheet takes for a formula, or may once it has dropped what it does
/// not show (OWASP, "CSV Injection"): the wide forms are turned into the plain ones by some.
fn begins_formula(sign: char) -> bool {
    matches!(
        sign,
        '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '\u{FF1D}' | '\u{FF0B}' | '\u{FF0D}' | '\u{FF20}'
    )
}

/// A cell that no spreadsheet takes for a formula: one that could be begins with an apostrophe. So does one
/// that begins with apostrophes before such a sign, one more, so that [`restored`] gives back every text.
pub fn defused(cell: &str) -> Cow<'_, str> {
    if cell.trim_start_matches('\'').starts_with(begins_formula) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

/// The text of a cell that may have been [`defused`].
pub fn restored(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(text) if text.trim_start_matches('\'').starts_with(begins_formula) => text,
        Some(_) | None => cell,
    }
}

/// Writes rows of a sheet.
pub(crate) struct SheetWriter(csv::Writer<Vec<u8>>);

impl SheetWriter {
    pub(crate) fn new() -> Self {
        Self(csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new()))
    }

    pub(crate) fn header(&mut self) -> Result<(), csv::Error> {
        self.0.write_record(Column::ALL.iter().map(|column| column.name()))
    }

    /// Writes a row; columns that are absent are left empty.
    pub(crate) fn row(&mut self, cells: &Cells) -> Result<(), csv::Error> {
        self.0.write_record(
            Column::ALL.iter().map(|column| defused(cells.raw(*column).unwrap_or_default()).into_owned()),
        )
    }

    /// What was written.
    pub(crate) fn bytes(self) -> Result<Vec<u8>, csv::Error> {
        self.0.into_inner().map_err(|error| error.into_error().into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Sheet, SheetError> {
        Sheet::read(text.as_bytes())
    }

    fn firsts(text: &str) -> Vec<(i32, i32)> {
        read(text).unwrap().rows.iter().map(|row| (row.number, row.first)).collect()
    }

    #[test]
    fn a_sheet_is_read_whatever_separates_it_and_whatever_a_spreadsheet_adds() {
        for text in [
            "slug,sku,price\nbowl,B-1,12.50\n",
            "\u{FEFF}slug,sku,price\r\nbowl,B-1,12.50\r\n,,\r\n",
            "Slug;SKU;price\nbowl;B-1;12.50",
            "slug\tsku\tprice\nbowl\tB-1\t12.50\n\n",
        ] {
            let sheet = read(text).unwrap();
            let cells: Vec<_> =
                sheet.rows[0].cells.0.iter().map(|(column, cell)| (column.name(), cell.as_str())).collect();
            assert_eq!(
                (sheet.rows.len(), cells),
                (1, vec![("slug", "bowl"), ("sku", "B-1"), ("price", "12.50")]),
                "{text:?}"
            );
        }
    }

    #[test]
    fn what_is_no_sheet_is_told_with_the_row() {
        let unknown = |name: &str| SheetError::UnknownColumn(name.to_owned());
        let malformed = |row, why: &str| SheetError::Malformed { row, why: why.to_owned() };
        for (file, error) in [
            (&b""[..], SheetError::NoRows),
            (b"slug\n", SheetError::NoRows),
            (b"slug,colour\nx,y\n", unknown("colour")),
            (b"slug,slug\nx,y\n", SheetError::RepeatedColumn("slug")),
            (b"sku,price\nA,1\n", SheetError::MissingColumn),
            (b"slug,sku\nbowl,A\ncup\n", malformed(3, "has 1 cells, and the header 2")),
            (b"slug,sku\nbowl,A,B\n", malformed(2, "has 3 cells, and the header 2")),
            (b"slug,title\nbowl,\xFF\n", SheetError::NotUtf8 { row: 2 }),
            (b"slug,title\nbowl,a\0b\n", malformed(2, "holds a NUL, which no text may")),
            (b"\x89PNG\r\n\x1a\n", SheetError::NotUtf8 { row: 1 }),
        ] {
            assert_eq!(Sheet::read(file).err(), Some(error), "{}", String::from_utf8_lossy(file));
        }
        let long = format!("slug,sku\n{}", "bowl,\n".repeat(ROWS_MAX + 1));
        assert_eq!(read(&long).err(), Some(SheetError::TooManyRows));
        assert_eq!(read(long.trim_end().trim_end_matches("bowl,")).unwrap().rows.len(), ROWS_MAX);
    }

    #[test]
    fn rows_of_a_product_follow_one_another() {
        assert_eq!(
            firsts("slug,title,sku\nbowl,,A\nbowl,,B\n,,C\ncup,,D\n,,E\n"),
            [(2, 2), (3, 2), (4, 2), (5, 5), (6, 5)]
        );
        assert_eq!(
            firsts("title,sku\nWide Bowl,A\nwide bowl,B\n,C\nCup,D\n"),
            [(2, 2), (3, 2), (4, 2), (5, 5)]
        );
        // Titles that make no slug are never of one product.
        assert_eq!(firsts("title,sku\n益子,A\n益子,B\n"), [(2, 2), (3, 3)]);
        let sheet = read("slug,sku\nbowl,A\ncup,B\nbowl,C\n,A\n").unwrap();
        let codes =
            |row: &SheetRow| row.complaints.iter().map(|complaint| complaint.code).collect::<Vec<_>>();
        let seen: Vec<_> = sheet.rows.iter().map(codes).collect();
        let repeated = ComplaintCode::SlugRepeated;
        assert_eq!(seen, [vec![], vec![], vec![repeated], vec![repeated, ComplaintCode::SkuRepeated]]);
    }

    #[test]
    fn no_cell_that_is_written_begins_a_formula() {
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

    proptest! {
        #[test]
        fn every_text_survives_and_none_is_a_formula(text in "['=+@\\-\t\r\n\u{FF1D} a\",;]{0,12}|\\PC{0,12}") {
            let cell = defused(&text);
            prop_assert_eq!(restored(&cell), text.as_str());
            prop_assert!(!cell.starts_with(begins_formula));
            let mut writer = SheetWriter::new();
            writer.header().unwrap();
            let cells = Cells([(Column::Slug, "bowl".to_owned()), (Column::Description, text.clone())].into());
            writer.row(&cells).unwrap();
            let sheet = Sheet::read(&writer.bytes().unwrap()).unwrap();
            prop_assert_eq!(sheet.rows[0].cells.raw(Column::Description), Some(text.as_str()));
        }

        #[test]
        fn any_bytes_are_a_sheet_or_are_refused(file in prop::collection::vec(any::<u8>(), 0..200)) {
            let headed = [b"slug,title\n", file.as_slice()].concat();
            let _either = (Sheet::read(&file), Sheet::read(&headed));
        }
    }
}
