//! What can be wrong with a row of a sheet. A refusal of the catalogue's own operations keeps its name.

use serde::{Deserialize, Serialize};

use crate::{
    catalog::{
        CreateProductRefusal, CreateVariantRefusal, UpdateProductRefusal, UpdateVariantRefusal, sheet::Column,
    },
    platform::{PathStep, Refused},
};

/// What is wrong, for programs. Codes are contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ComplaintCode {
    /// The cell does not parse.
    #[error("this cannot be read")]
    Invalid,
    /// The cell is empty, and must not be.
    #[error("this must not be empty")]
    Required,
    /// Rows of this product stand further up, with those of another between.
    #[error("rows of this product stand further up: the rows of a product follow one another")]
    SlugRepeated,
    /// Another row further up has this SKU.
    #[error("a row further up has this SKU")]
    SkuRepeated,
    /// The cell differs from that in the first row of its product.
    #[error("this differs from the first row of the product: say it there, and leave it empty here")]
    ProductDiffers,
    /// The product of this variant was refused, in its first row.
    #[error("the product was refused, in its first row")]
    ProductRefused,
    /// See [`CreateProductRefusal::SlugTaken`].
    #[error("this slug is taken")]
    SlugTaken,
    /// See [`CreateProductRefusal::SlugNeeded`].
    #[error("give a slug: none can be made of this title")]
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

/// One thing that is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaint {
    /// What, for programs.
    pub code: ComplaintCode,
    /// In which cell; `None` is the whole row.
    pub column: Option<Column>,
    /// What, for people.
    pub message: String,
}

impl Complaint {
    /// In the words of the code.
    pub(crate) fn of(code: ComplaintCode, column: Column) -> Self {
        Self { code, column: Some(column), message: code.to_string() }
    }

    /// In the words of what did not parse.
    pub(crate) fn invalid(column: Column, why: impl ToString) -> Self {
        Self { code: ComplaintCode::Invalid, column: Some(column), message: why.to_string() }
    }

    /// What an operation refused.
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
            // The import holds the creator, gives no version, and asks for rows that it just read.
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
