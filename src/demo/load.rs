//! Loads the demo's content into the database, step by step, as the operator and the creators would.

use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use domain::{
    catalog::{self, CreateProduct, CreateVariant, Sight},
    creators::{
        self, CreateCreator,
        pickup_places::{self, CreatePickupPlace},
    },
    platform::{
        Currency, Db, Money, OpError,
        access::{Browse, CreatorScope, PublicScope, SystemScope, Viewer, authorize},
        clock::ManualClock,
        demo_clock,
        ids::{AccountId, CreatorId, PickupPlaceId, ProductId, VariantId},
        outbox,
        page::{PAGE_SIZE_MAX, Page},
        tasks::{self, TaskState},
    },
    reservations::{
        NewTariff, legal, set_tariffs, set_tax_rate,
        tables::{tariffs_of, tax_rates},
    },
};
use sea_orm::DbErr;

use super::{
    buyers::Buyers,
    content::{self, DemoContent},
    people, runs, tables,
};
use crate::{
    exit::{Exit, Failure, Outcome, chain},
    terminal::Step,
};

/// The reason that the audit log shows for the demo's changes.
pub(super) const REASON: &str = "demo";
/// The age of the demo's oldest creator, in days.
const OPENED_DAYS_AGO: i64 = 80;
/// How long a start waits for the workers.
const SETTLES_WITHIN: Duration = Duration::from_secs(20);
/// How often a start checks whether the workers are done.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// An error while loading. The content is built in, so the cause is a bug or the database.
#[derive(Debug)]
pub(super) struct LoadError(String);

impl LoadError {
    pub(super) fn new(what: impl fmt::Display) -> Self {
        Self(what.to_string())
    }

    /// Adds what was being loaded.
    pub(super) fn within(self, what: impl fmt::Display) -> Self {
        Self(format!("{what}: {}", self.0))
    }
}

impl From<DbErr> for LoadError {
    fn from(error: DbErr) -> Self {
        Self(chain(&error))
    }
}

impl<R: fmt::Debug> From<OpError<R>> for LoadError {
    fn from(error: OpError<R>) -> Self {
        match error {
            OpError::Refused(why) => Self(format!("{why:?}")),
            OpError::Db(cause) => cause.into(),
            error @ (OpError::Busy(_) | OpError::Inconsistent(_)) => Self(error.to_string()),
        }
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        let what = format!("the demo could not be loaded: {}", error.0);
        Self::new(
            Exit::Failed,
            what,
            "Run the command again to continue, or choose an empty folder with --data",
        )
    }
}

/// A creator of the demo that is in the database.
pub(super) struct Shop<'a> {
    pub(super) content: &'a content::CreatorContent,
    pub(super) scope: CreatorScope,
    /// The creator's variants by SKU.
    pub(super) variants: HashMap<String, VariantId>,
    /// The creator's pickup places.
    pub(super) places: Vec<PickupPlaceId>,
}

/// Loads missing content, and adds the next runs for phases that have none. Returns the number of added runs.
pub(crate) async fn load(db: &Db) -> Outcome<usize> {
    let content = DemoContent::read().map_err(LoadError)?;
    let system = SystemScope::new(REASON);
    // Older content gets earlier dates, as in a marketplace that has been open for a while.
    let earlier = |days: i64| {
        let then = db.now().checked_sub_signed(TimeDelta::days(days)).unwrap_or(db.now());
        db.with_clock(Arc::new(ManualClock::new(then)))
    };
    let step = Step::begin("Loading the demo marketplace");
    demo_clock::mark(db, &system).await.map_err(LoadError::from)?;
    let people = people::ensure(&earlier(OPENED_DAYS_AGO), &system).await?;
    publish_legal_texts(&earlier(OPENED_DAYS_AGO), &system, &content).await?;
    set_rates(db, &system).await?;
    let public = authorize(&Viewer::Public, Browse).map_err(LoadError::new)?;
    let sight = Sight::system(&system).map_err(LoadError::new)?;
    let mut shops = Vec::new();
    for (place, creator) in content.creators.iter().enumerate() {
        step.at(place, content.creators.len());
        let days = OPENED_DAYS_AGO.saturating_sub(i64::try_from(place).unwrap_or(0).saturating_mul(7));
        let opened = open_shop(&earlier(days), &system, (&public, &sight), people.creator, creator).await;
        shops.push(opened.map_err(|error| error.within(creator.slug.as_str()))?);
    }
    let buyers = Buyers::new(db, &system, people.crowd).await?;
    let added = runs::add(db, &buyers, &sight, &shops, &step).await?;
    step.done_with(&match added {
        0 => "nothing to add".to_owned(),
        1 => "added 1 drop".to_owned(),
        count => format!("added {count} drops"),
    });
    Ok(added)
}

/// Waits until the workers have sent the letters to the buyers and delivered the gateway's webhooks. If that
/// takes too long, returns while the workers continue.
pub(crate) async fn settle(db: &Db) {
    let step = Step::begin("Sending e-mails to the demo's buyers");
    let patience = Instant::now();
    while patience.elapsed() < SETTLES_WITHIN {
        match busy(db).await {
            Ok(false) => return step.done(),
            Ok(true) => tokio::time::sleep(LOOK_EVERY).await,
            Err(error) => {
                tracing::warn!(%error, "could not read how much work is waiting");
                break;
            }
        }
    }
    step.done_with("continues in the background");
}

async fn busy(db: &Db) -> Result<bool, DbErr> {
    if outbox::unstamped_count(db).await? > 0 {
        return Ok(true);
    }
    let waits = |state: &TaskState| match state {
        TaskState::Ready | TaskState::Running => true,
        TaskState::Dead => false,
    };
    Ok(tasks::depths(db).await?.iter().any(|(_, state, count)| waits(state) && *count > 0))
}

async fn publish_legal_texts(db: &Db, system: &SystemScope, content: &DemoContent) -> Result<(), LoadError> {
    let published = legal::current(db.reader()).await?;
    for text in &content.legal {
        if published.iter().all(|known| known.kind != text.kind) {
            legal::publish(db, &system.as_admin(), text.kind, &text.title, &text.body).await?;
        }
    }
    Ok(())
}

async fn set_rates(db: &Db, system: &SystemScope) -> Result<(), LoadError> {
    let known = tax_rates(db).await?;
    let since = "2020-01-01T00:00:00Z".parse().map_err(LoadError::new)?;
    for (country, class, rate_bp) in tables::rates() {
        let country = country.parse().map_err(LoadError::new)?;
        if known.iter().all(|rate| rate.country != country || rate.class != class) {
            set_tax_rate(db, &system.as_admin(), country, class, since, rate_bp).await?;
        }
    }
    Ok(())
}

async fn open_shop<'a>(
    db: &Db,
    system: &SystemScope,
    (public, sight): (&PublicScope, &Sight),
    owner: AccountId,
    content: &'a content::CreatorContent,
) -> Result<Shop<'a>, LoadError> {
    let creator = match creators::queries::by_slug(db, public, content.slug.as_str()).await? {
        Some(known) => known.id,
        None => create_creator(db, system, owner, content).await?,
    };
    let scope = system.as_creator(creator);
    if tariffs_of(db, &[creator]).await?.is_empty() {
        let tariffs =
            tables::tariffs(content.country, content.currency).map(|(country, weight_grams_max, minor)| {
                let country = country.parse().map_err(LoadError::new)?;
                Ok(NewTariff { country, weight_grams_max, price: Money::new(minor, content.currency) })
            });
        set_tariffs(db, &scope, &tariffs.collect::<Result<Vec<_>, LoadError>>()?).await?;
    }
    let mut variants = HashMap::new();
    for product in &content.products {
        let made = make_product(db, sight, &scope, content.currency, product).await;
        variants.extend(made.map_err(|error| error.within(product.slug.as_str()))?);
    }
    let places = make_places(db, &scope, content).await?;
    Ok(Shop { content, scope, variants, places })
}

/// Creates the creator's pickup places that do not exist yet. Returns all of them, in the order of the
/// content.
async fn make_places(
    db: &Db,
    scope: &CreatorScope,
    content: &content::CreatorContent,
) -> Result<Vec<PickupPlaceId>, LoadError> {
    let known = pickup_places::queries::list(db, scope, false, &Page::first(PAGE_SIZE_MAX)).await?;
    let mut places = Vec::new();
    for place in &content.pickup_places {
        let known = known.rows.iter().find(|(_, known)| known.name == place.name.as_str());
        places.push(match known {
            Some((_, known)) => known.id,
            None => {
                let request = CreatePickupPlace {
                    name: place.name.clone(),
                    line1: place.line1.clone(),
                    line2: place.line2.clone(),
                    postal_code: place.postal_code.clone(),
                    city: place.city.clone(),
                    country: content.country,
                    hours: place.hours.clone(),
                    note: place.note.clone(),
                };
                pickup_places::create(db, scope, request).await?.id
            }
        });
    }
    Ok(places)
}

async fn create_creator(
    db: &Db,
    system: &SystemScope,
    owner: AccountId,
    content: &content::CreatorContent,
) -> Result<CreatorId, LoadError> {
    let request = CreateCreator {
        slug: Some(content.slug.clone()),
        name: content.name.clone(),
        tagline: Some(content.tagline.clone()),
        place: Some(content.place.clone()),
        country: content.country,
        time_zone: content.time_zone,
        currency: content.currency,
        prices_include_tax: content.prices_include_tax,
        story: content.story.clone(),
    };
    Ok(creators::create_for(db, system, Some(owner), request).await?.id)
}

/// Creates a product with its variants, unless they exist, and returns the variants by SKU.
async fn make_product(
    db: &Db,
    sight: &Sight,
    scope: &CreatorScope,
    currency: Currency,
    content: &content::ProductContent,
) -> Result<HashMap<String, VariantId>, LoadError> {
    let known = catalog::queries::by_slug(db, sight, scope.creator(), content.slug.as_str()).await?;
    let product: ProductId = match known {
        Some(known) => known.id,
        None => {
            let request = CreateProduct {
                slug: Some(content.slug.clone()),
                title: content.title.clone(),
                summary: Some(content.summary.clone()),
                description: content.description.clone(),
                tags: content.tags.clone(),
            };
            catalog::create_product(db, scope, request).await?.id
        }
    };
    let known =
        catalog::queries::variants_of(db, sight, &[product]).await?.remove(&product).unwrap_or_default();
    let mut variants: HashMap<String, VariantId> =
        known.into_iter().map(|variant| (variant.sku, variant.id)).collect();
    for variant in &content.variants {
        if variants.contains_key(variant.sku.as_str()) {
            continue;
        }
        let request = CreateVariant {
            product,
            sku: variant.sku.clone(),
            title: variant.title.clone(),
            price: Money::parse(&variant.price, currency).map_err(LoadError::new)?,
            weight: variant.weight_grams,
            length: variant.length_mm,
            width: variant.width_mm,
            height: variant.height_mm,
            tax_class: content.tax_class,
        };
        let made = catalog::create_variant(db, scope, request).await?;
        variants.insert(made.sku, made.id);
    }
    Ok(variants)
}
