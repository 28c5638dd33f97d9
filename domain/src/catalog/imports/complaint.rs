//! Complaints about the rows of a sheet. Refusals of the catalogue's operations keep their codes.

use serde::{Deserialize, Serialize};

use crate::{
    catalog::{
        CreateProductRefusal, CreateVariantRefusal, UpdateProductRefusal, UpdateVariantRefusal, sheet::Column,
    },
    platform::{PathStep, Refused},
};

/// The code of a complaint, for programs. The codes are part of the public format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ComplaintCode {
    /// The cell cannot be parsed.
    #[error("this cannot be read")]
    Invalid,
    /// The cell is empty, but a value is required.
    #[error("this must not be empty")]
    Required,
    /// There are earlier rows of this product, with rows of another product in between.
    #[error("there are earlier rows of this product: the rows of a product must be consecutive")]
    SlugRepeated,
    /// An earlier row has this SKU.
    #[error("an earlier row has this SKU")]
    SkuRepeated,
    /// The cell differs from the cell in the product's first row.
    #[error("this differs from the first row of the product: change it there and leave it empty here")]
    ProductDiffers,
    /// The product's first row was refused, so its variants are refused too.
    #[error("the product was refused: see its first row")]
    ProductRefused,
    /// See [`CreateProductRefusal::SlugTaken`].
    #[error("this slug is taken")]
    SlugTaken,
    /// See [`CreateProductRefusal::SlugNeeded`].
    #[error("no slug can be derived from this title: choose one")]
    SlugNeeded,
    /// See [`CreateProductRefusal::TooManyProducts`].
    #[error("a creator can have at most 5,000 products")]
    TooManyProducts,
    /// See [`CreateVariantRefusal::SkuTaken`].
    #[error("a variant of another product has this SKU")]
    SkuTaken,
    /// See [`CreateVariantRefusal::TooManyVariants`].
    #[error("a product can have at most 100 variants")]
    TooManyVariants,
    /// See [`CreateVariantRefusal::CurrencyMismatch`].
    #[error("the price must be in the creator's currency")]
    CurrencyMismatch,
    /// See [`CreateVariantRefusal::PriceOutOfRange`].
    #[error("a price must be more than zero and at most 1,000,000,000 minor units")]
    PriceOutOfRange,
}

/// A complaint about a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaint {
    /// The code, for programs.
    pub code: ComplaintCode,
    /// The column of the cell; `None` if the complaint is about the whole row.
    pub column: Option<Column>,
    /// The message, for people.
    pub message: String,
}

impl Complaint {
    /// Creates a complaint with the message of its code.
    pub(crate) fn of(code: ComplaintCode, column: Column) -> Self {
        Self { code, column: Some(column), message: code.to_string() }
    }

    /// Creates a complaint about a cell that cannot be parsed.
    pub(crate) fn invalid(column: Column, why: impl ToString) -> Self {
        Self { code: ComplaintCode::Invalid, column: Some(column), message: why.to_string() }
    }

    /// Creates a complaint from an operation's refusal.
    pub(super) fn refused<R: Into<ComplaintCode> + Copy>(refused: &Refused<R>) -> Self {
        let code = refused.code.into();
        let column = match refused.path.first() {
            Some(PathStep::Field(name)) => Column::ALL.iter().find(|column| column.name() == *name).copied(),
            Some(PathStep::At(_)) | None => None,
        };
        Self { code, column, message: code.to_string() }
    }
}

impl From<CreateProductRefusal> for ComplaintCode {
    fn from(refusal: CreateProductRefusal) -> Self {
        match refusal {
            CreateProductRefusal::SlugTaken => Self::SlugTaken,
            CreateProductRefusal::SlugNeeded => Self::SlugNeeded,
            CreateProductRefusal::TooManyProducts => Self::TooManyProducts,
        }
    }
}

impl From<UpdateProductRefusal> for ComplaintCode {
    fn from(refusal: UpdateProductRefusal) -> Self {
        match refusal {
            // Neither happens: the import locks the creator, gives no version, and updates products that it
            // has just read.
            UpdateProductRefusal::NotFound | UpdateProductRefusal::Conflict => Self::ProductRefused,
            UpdateProductRefusal::SlugTaken => Self::SlugTaken,
        }
    }
}

impl From<CreateVariantRefusal> for ComplaintCode {
    fn from(refusal: CreateVariantRefusal) -> Self {
        match refusal {
            CreateVariantRefusal::NotFound => Self::ProductRefused,
            CreateVariantRefusal::SkuTaken => Self::SkuTaken,
            CreateVariantRefusal::TooManyVariants => Self::TooManyVariants,
            CreateVariantRefusal::CurrencyMismatch => Self::CurrencyMismatch,
            CreateVariantRefusal::PriceOutOfRange => Self::PriceOutOfRange,
        }
    }
}

impl From<UpdateVariantRefusal> for ComplaintCode {
    fn from(refusal: UpdateVariantRefusal) -> Self {
        match refusal {
            UpdateVariantRefusal::NotFound => Self::ProductRefused,
            UpdateVariantRefusal::SkuTaken => Self::SkuTaken,
            UpdateVariantRefusal::CurrencyMismatch => Self::CurrencyMismatch,
            UpdateVariantRefusal::PriceOutOfRange => Self::PriceOutOfRange,
        }
    }
}
