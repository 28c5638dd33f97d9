//! The content of the demo marketplace, read from the files in `content/`. `content/README.md` describes
//! their format.

use std::str::FromStr;

use domain::{
    catalog::{Grams, Millimetres, ProductTitle, Sku, Summary, TaxClass, VariantTitle},
    creators::{
        CreatorName, CreatorPlace, Tagline,
        pickup_places::{OpeningHours, PickupNote, PickupPlaceName},
    },
    platform::{
        Country, Currency, Days, TimeZone, Units,
        address_lines::{City, PostalCode, Street},
        slugs::Slug,
        tags::{Tag, Tags},
        text::{Markdown, TextError, TextLine},
    },
    reservations::legal::LegalKind,
};
use serde::{Deserialize, Deserializer, de::Error as _};

/// The files, one per creator, in the order in which the creators appear.
const FILES: &[(&str, &str)] = &[
    ("toepferei-grauscherbe", include_str!("content/toepferei-grauscherbe.toml")),
    ("atelier-plioir-bleu", include_str!("content/atelier-plioir-bleu.toml")),
    ("cuoieria-passo-piano", include_str!("content/cuoieria-passo-piano.toml")),
    ("torra-da-ria", include_str!("content/torra-da-ria.toml")),
    ("stencilclub-zeedamp", include_str!("content/stencilclub-zeedamp.toml")),
    ("blue-yoal-knitters", include_str!("content/blue-yoal-knitters.toml")),
    ("mori-no-kezuri", include_str!("content/mori-no-kezuri.toml")),
    ("ostkaj-lydvaerk", include_str!("content/ostkaj-lydvaerk.toml")),
];

/// The legal texts that a buyer accepts.
const LEGAL: &[(LegalKind, &str)] = &[
    (LegalKind::Terms, include_str!("content/legal/terms.md")),
    (LegalKind::Privacy, include_str!("content/legal/privacy.md")),
    (LegalKind::Withdrawal, include_str!("content/legal/withdrawal.md")),
];

/// A creator with its products and series.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreatorContent {
    #[serde(deserialize_with = "slug")]
    pub(super) slug: Slug,
    #[serde(deserialize_with = "line")]
    pub(super) name: CreatorName,
    #[serde(deserialize_with = "line")]
    pub(super) place: CreatorPlace,
    #[serde(deserialize_with = "parsed")]
    pub(super) country: Country,
    #[serde(deserialize_with = "parsed")]
    pub(super) time_zone: TimeZone,
    pub(super) currency: Currency,
    pub(super) prices_include_tax: bool,
    #[serde(deserialize_with = "line")]
    pub(super) tagline: Tagline,
    #[serde(deserialize_with = "markdown")]
    pub(super) story: Markdown,
    pub(super) pickup_places: Vec<PlaceContent>,
    pub(super) products: Vec<ProductContent>,
    pub(super) series: Vec<Series>,
}

/// A place where buyers pick up what they bought, in the creator's country.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlaceContent {
    #[serde(deserialize_with = "line")]
    pub(super) name: PickupPlaceName,
    #[serde(deserialize_with = "line")]
    pub(super) line1: Street,
    #[serde(default, deserialize_with = "optional_line")]
    pub(super) line2: Option<Street>,
    #[serde(default, deserialize_with = "optional_line")]
    pub(super) postal_code: Option<PostalCode>,
    #[serde(deserialize_with = "line")]
    pub(super) city: City,
    #[serde(default, deserialize_with = "optional_line")]
    pub(super) hours: Option<OpeningHours>,
    #[serde(default, deserialize_with = "optional_line")]
    pub(super) note: Option<PickupNote>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProductContent {
    #[serde(deserialize_with = "slug")]
    pub(super) slug: Slug,
    #[serde(deserialize_with = "line")]
    pub(super) title: ProductTitle,
    #[serde(deserialize_with = "line")]
    pub(super) summary: Summary,
    #[serde(deserialize_with = "tags")]
    pub(super) tags: Tags,
    #[serde(deserialize_with = "tax_class")]
    pub(super) tax_class: TaxClass,
    #[serde(deserialize_with = "markdown")]
    pub(super) description: Markdown,
    pub(super) variants: Vec<VariantContent>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VariantContent {
    #[serde(deserialize_with = "parsed")]
    pub(super) sku: Sku,
    #[serde(deserialize_with = "line")]
    pub(super) title: VariantTitle,
    pub(super) price: String,
    #[serde(deserialize_with = "grams")]
    pub(super) weight_grams: Grams,
    #[serde(deserialize_with = "millimetres")]
    pub(super) length_mm: Millimetres,
    #[serde(deserialize_with = "millimetres")]
    pub(super) width_mm: Millimetres,
    #[serde(deserialize_with = "millimetres")]
    pub(super) height_mm: Millimetres,
}

/// A series of runs of the same kind.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Series {
    #[serde(deserialize_with = "slug")]
    pub(super) slug: Slug,
    #[serde(deserialize_with = "line")]
    pub(super) title: ProductTitle,
    #[serde(deserialize_with = "line")]
    pub(super) summary: Summary,
    #[serde(deserialize_with = "tags")]
    pub(super) tags: Tags,
    #[serde(deserialize_with = "markdown")]
    pub(super) description: Markdown,
    pub(super) phase: Phase,
    pub(super) window_hours: u32,
    pub(super) hold_minutes: u32,
    pub(super) lead_time_days: Days,
    pub(super) deposit: DepositText,
    pub(super) balance: BalanceText,
    pub(super) pickup: bool,
    pub(super) items: Vec<Item>,
}

/// The phase of a run when it is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Phase {
    Scheduled,
    Open,
    ClosingSoon,
    SoldOut,
    Closed,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DepositText {
    /// A percentage of the line.
    Percent(String),
    /// An amount per unit.
    Fixed(String),
}

#[derive(Debug, Deserialize)]
pub(super) enum BalanceText {
    #[serde(rename = "BEFORE_SHIPPING")]
    BeforeShipping,
    #[serde(rename = "days_after_close")]
    DaysAfterClose(u32),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Item {
    #[serde(deserialize_with = "parsed")]
    pub(super) sku: Sku,
    pub(super) units: u32,
    pub(super) per_buyer_max: u32,
    pub(super) tiers: Vec<TierText>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TierText {
    pub(super) price: String,
    pub(super) up_to_units: Option<Units>,
    pub(super) until_hours_after_open: Option<u32>,
}

/// A legal text with its title.
#[derive(Debug)]
pub(super) struct LegalTextContent {
    pub(super) kind: LegalKind,
    pub(super) title: TextLine<160>,
    pub(super) body: Markdown,
}

/// All content. The files are compiled into the program, so an error in them is a bug.
#[derive(Debug)]
pub(super) struct DemoContent {
    pub(super) creators: Vec<CreatorContent>,
    pub(super) legal: Vec<LegalTextContent>,
}

impl DemoContent {
    /// Parses the files.
    pub(super) fn read() -> Result<Self, String> {
        let creators = FILES
            .iter()
            .map(|(name, text)| toml::from_str(text).map_err(|error| format!("{name}.toml: {error}")));
        let legal = LEGAL
            .iter()
            .map(|(kind, text)| legal_text(*kind, text).map_err(|error| format!("{kind:?}: {error}")));
        Ok(Self { creators: creators.collect::<Result<_, _>>()?, legal: legal.collect::<Result<_, _>>()? })
    }
}

fn legal_text(kind: LegalKind, text: &str) -> Result<LegalTextContent, TextError> {
    let (title, body) = text.split_once('\n').unwrap_or((text, ""));
    Ok(LegalTextContent {
        kind,
        title: TextLine::new(title.trim_start_matches("# "))?,
        body: Markdown::new(body.trim())?,
    })
}

fn parsed<'de, D: Deserializer<'de>, T: FromStr>(deserializer: D) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse()
        .map_err(|_| D::Error::custom(format_args!("`{text}` is not a {}", std::any::type_name::<T>())))
}

fn slug<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Slug, D::Error> {
    parsed(deserializer)
}

fn line<'de, D: Deserializer<'de>, const MAX: usize>(deserializer: D) -> Result<TextLine<MAX>, D::Error> {
    let text = String::deserialize(deserializer)?;
    TextLine::new(&text).map_err(|error| D::Error::custom(format_args!("`{text}` {error}")))
}

/// Reads a line of a key that may be absent.
fn optional_line<'de, D: Deserializer<'de>, const MAX: usize>(
    deserializer: D,
) -> Result<Option<TextLine<MAX>>, D::Error> {
    line(deserializer).map(Some)
}

fn markdown<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Markdown, D::Error> {
    Markdown::new(String::deserialize(deserializer)?.trim()).map_err(D::Error::custom)
}

fn tags<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Tags, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let tags: Result<Vec<Tag>, _> = texts.iter().map(|text| text.parse()).collect();
    tags.and_then(Tags::new).map_err(|error| D::Error::custom(format_args!("{texts:?} {error}")))
}

fn tax_class<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TaxClass, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "STANDARD" => Ok(TaxClass::Standard),
        "REDUCED" => Ok(TaxClass::Reduced),
        "BOOKS" => Ok(TaxClass::Books),
        "FOOD" => Ok(TaxClass::Food),
        other => Err(D::Error::custom(format_args!("`{other}` is not a tax class"))),
    }
}

fn grams<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Grams, D::Error> {
    Grams::try_from(i32::deserialize(deserializer)?).map_err(D::Error::custom)
}

fn millimetres<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Millimetres, D::Error> {
    Millimetres::try_from(i32::deserialize(deserializer)?).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_content_is_a_marketplace_with_something_in_every_phase() {
        let content = DemoContent::read().unwrap();
        assert!(content.creators.len() >= 6 && content.legal.len() == 3);
        let products: usize = content.creators.iter().map(|creator| creator.products.len()).sum();
        assert!(products >= 50, "{products}");
        let mut phases = BTreeMap::new();
        for series in content.creators.iter().flat_map(|creator| &creator.series) {
            *phases.entry(series.phase).or_insert(0) += 1;
        }
        for phase in [Phase::Scheduled, Phase::Open, Phase::ClosingSoon, Phase::SoldOut, Phase::Closed] {
            assert!(phases.get(&phase).is_some_and(|count| *count >= 3), "{phase:?}: {phases:?}");
        }
    }

    #[test]
    fn series_sell_only_products_of_their_creator() {
        for creator in DemoContent::read().unwrap().creators {
            let made: Vec<_> = creator
                .products
                .iter()
                .flat_map(|product| &product.variants)
                .map(|variant| &variant.sku)
                .collect();
            for item in creator.series.iter().flat_map(|series| &series.items) {
                assert!(made.contains(&&item.sku), "{}: {}", creator.slug.as_str(), item.sku.as_str());
            }
        }
    }
}
