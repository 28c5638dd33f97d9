//! The catalogue as a sheet: a CSV file (RFC 4180) with a header and one row per variant. A product's first
//! row has the product's own columns.
//!
//! The rows of a product must be consecutive. A row belongs to the product with its slug, or with the slug
//! derived from its title. A row with neither belongs to the product of the row above. Every sheet that is
//! written here can be read again, and is safe to open in a spreadsheet: see
//! [`defused`](crate::platform::export::defused).

use std::{collections::BTreeMap, collections::HashSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::imports::complaint::{Complaint, ComplaintCode};
use crate::platform::{
    export::{CsvWriter, restored},
    slugs::Slug,
};

/// The most rows of a sheet, without the header.
pub const ROWS_MAX: usize = 10_000;

/// Defines the enum of columns, with their names in the header.
macro_rules! columns {
    ($($column:ident = $name:literal, $about:literal;)*) => {
        /// A column of a sheet. The names are part of the public format.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Column {
            $(#[doc = $about] $column,)*
        }

        impl Column {
            /// All columns, in the order in which they are written.
            pub const ALL: &'static [Self] = &[$(Self::$column),*];

            /// Returns the column's name in the header.
            pub fn name(self) -> &'static str {
                match self { $(Self::$column => $name,)* }
            }
        }
    };
}

columns! {
    Slug = "slug", "The product's slug, by which products are matched.";
    Title = "title", "The product's title.";
    Summary = "summary", "The product's summary, in one or two sentences.";
    Description = "description", "The product's full description, in Markdown.";
    Tags = "tags", "The product's tags, separated by commas.";
    Sku = "sku", "The variant's SKU, by which variants are matched.";
    VariantTitle = "variant_title", "The variant's title, which distinguishes it.";
    Price = "price", "The price of one unit, in major units of the currency, with a point before decimals.";
    Currency = "currency", "The currency of the price; the creator's currency by default.";
    WeightGrams = "weight_grams", "The weight of one unit, packed.";
    LengthMm = "length_mm", "The longest side of the parcel.";
    WidthMm = "width_mm", "The second side of the parcel.";
    HeightMm = "height_mm", "The third side of the parcel.";
    TaxClass = "tax_class", "The tax class: STANDARD, REDUCED, BOOKS, FOOD or ZERO.";
}

impl Column {
    /// Returns whether the column describes the product rather than one of its variants. The slug only
    /// identifies the product.
    pub(crate) fn describes_product(self) -> bool {
        matches!(self, Self::Title | Self::Summary | Self::Description | Self::Tags)
    }

    /// Returns whether the column describes a variant.
    pub(crate) fn describes_variant(self) -> bool {
        !self.describes_product() && self != Self::Slug
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|column| column.name() == name).copied()
    }
}

/// The cells of one row. Columns that the sheet lacks are absent; empty cells are empty texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, sea_orm::FromJsonQueryResult)]
pub struct Cells(pub BTreeMap<Column, String>);

impl Cells {
    /// Returns the cell as written; `None` if the sheet lacks the column.
    pub(crate) fn raw(&self, column: Column) -> Option<&str> {
        self.0.get(&column).map(String::as_str)
    }

    /// Returns the cell without surrounding white space; `None` if it is absent or empty.
    pub(crate) fn filled(&self, column: Column) -> Option<&str> {
        self.raw(column).map(str::trim).filter(|cell| !cell.is_empty())
    }
}

/// One row of a sheet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SheetRow {
    /// The row's number in a spreadsheet, where the header is row 1.
    pub number: i32,
    /// The number of its product's first row.
    pub first: i32,
    /// The row's cells.
    pub cells: Cells,
    /// The complaints about the row that follow from the rows before it.
    pub complaints: Vec<Complaint>,
}

/// A sheet that was read. Its form is valid; the contents of its cells are not checked yet.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// The rows in order; at least one.
    pub rows: Vec<SheetRow>,
    /// SHA-256 of the file, in hexadecimal.
    pub digest: String,
}

/// The reasons why a file is not a valid sheet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SheetError {
    /// The file has another character set, or is not text.
    #[error("row {row} is not UTF-8: save the file as CSV in UTF-8")]
    NotUtf8 { row: u64 },
    /// A row does not fit the header, cannot be parsed, or contains a forbidden character.
    #[error("row {row} {why}")]
    Malformed { row: u64, why: String },
    /// The header has an unknown column.
    #[error("there is no column `{0}`; the columns are {all}", all = all_columns())]
    UnknownColumn(String),
    /// The header has a column twice.
    #[error("the header has the column `{0}` twice")]
    RepeatedColumn(&'static str),
    /// The header has no column that identifies the product.
    #[error("the header needs the column `slug` or `title`")]
    MissingColumn,
    /// The file has no rows besides the header.
    #[error("there are no rows")]
    NoRows,
    /// The sheet has more than [`ROWS_MAX`] rows.
    #[error("there are more than 10,000 rows: split the file between two products")]
    TooManyRows,
}

fn all_columns() -> String {
    Column::ALL.iter().map(|column| column.name()).collect::<Vec<_>>().join(", ")
}

impl Sheet {
    /// Reads a UTF-8 file, with or without a byte order mark. The separator is a comma, semicolon or tab:
    /// whichever is most frequent in the header.
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
                return Err(SheetError::Malformed {
                    row,
                    why: "contains a forbidden NUL character".to_owned(),
                });
            }
            // Spreadsheets may leave empty rows below the last one.
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

/// Returns the most frequent separator in the first line. Valid headers need no quotes.
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
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a foreign enum; other errors have no position to add"
    )]
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => SheetError::NotUtf8 { row },
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            SheetError::Malformed { row, why: format!("has {len} cells, and the header {expected_len}") }
        }
        _ => SheetError::Malformed { row, why: "cannot be read as CSV".to_owned() },
    }
}

/// The state of reading a sheet: the product of the last row, and the slugs and SKUs seen so far.
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

/// A writer of sheet rows.
pub(crate) struct SheetWriter(CsvWriter);

impl SheetWriter {
    pub(crate) fn new() -> Self {
        Self(CsvWriter::new())
    }

    pub(crate) fn header(&mut self) -> Result<(), csv::Error> {
        self.0.row(Column::ALL.iter().map(|column| column.name()))
    }

    /// Writes a row. Absent columns are left empty.
    pub(crate) fn row(&mut self, cells: &Cells) -> Result<(), csv::Error> {
        self.0.row(Column::ALL.iter().map(|column| cells.raw(*column).unwrap_or_default()))
    }

    /// Returns the written bytes.
    pub(crate) fn bytes(self) -> Result<Vec<u8>, csv::Error> {
        self.0.bytes()
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
    fn a_sheet_is_read_with_any_separator_and_with_the_additions_of_spreadsheets() {
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
    fn an_invalid_sheet_is_refused_with_the_row() {
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
            (b"slug,title\nbowl,a\0b\n", malformed(2, "contains a forbidden NUL character")),
            (b"\x89PNG\r\n\x1a\n", SheetError::NotUtf8 { row: 1 }),
        ] {
            assert_eq!(Sheet::read(file).err(), Some(error), "{}", String::from_utf8_lossy(file));
        }
        let long = format!("slug,sku\n{}", "bowl,\n".repeat(ROWS_MAX + 1));
        assert_eq!(read(&long).err(), Some(SheetError::TooManyRows));
        assert_eq!(read(long.trim_end().trim_end_matches("bowl,")).unwrap().rows.len(), ROWS_MAX);
    }

    #[test]
    fn the_rows_of_a_product_are_consecutive() {
        assert_eq!(
            firsts("slug,title,sku\nbowl,,A\nbowl,,B\n,,C\ncup,,D\n,,E\n"),
            [(2, 2), (3, 2), (4, 2), (5, 5), (6, 5)]
        );
        assert_eq!(
            firsts("title,sku\nWide Bowl,A\nwide bowl,B\n,C\nCup,D\n"),
            [(2, 2), (3, 2), (4, 2), (5, 5)]
        );
        // Titles without a slug never belong to the same product.
        assert_eq!(firsts("title,sku\n益子,A\n益子,B\n"), [(2, 2), (3, 3)]);
        let sheet = read("slug,sku\nbowl,A\ncup,B\nbowl,C\n,A\n").unwrap();
        let codes =
            |row: &SheetRow| row.complaints.iter().map(|complaint| complaint.code).collect::<Vec<_>>();
        let seen: Vec<_> = sheet.rows.iter().map(codes).collect();
        let repeated = ComplaintCode::SlugRepeated;
        assert_eq!(seen, [vec![], vec![], vec![repeated], vec![repeated, ComplaintCode::SkuRepeated]]);
    }

    proptest! {
        #[test]
        fn every_written_text_is_read_again(
            text in "['=+@\\-\t\r\n\u{FF1D} a\",;]{0,12}|\\PC{0,12}"
        ) {
            let mut writer = SheetWriter::new();
            writer.header().unwrap();
            let description = (Column::Description, text.clone());
            let cells = Cells([(Column::Slug, "bowl".to_owned()), description].into());
            writer.row(&cells).unwrap();
            let sheet = Sheet::read(&writer.bytes().unwrap()).unwrap();
            prop_assert_eq!(sheet.rows[0].cells.raw(Column::Description), Some(text.as_str()));
        }

        #[test]
        fn any_bytes_are_read_or_refused_without_a_panic(file in prop::collection::vec(any::<u8>(), 0..200)) {
            let headed = [b"slug,title\n", file.as_slice()].concat();
            let _either = (Sheet::read(&file), Sheet::read(&headed));
        }
    }
}
