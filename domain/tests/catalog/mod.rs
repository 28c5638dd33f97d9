//! The catalogue: products and variants, and the visibility and the order of lists.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests may panic")]

mod imports;

use std::fmt::Debug;

use chrono::TimeDelta;
use domain::{
    catalog::{
        ArchiveProductRefusal, ArchiveVariantRefusal, CreateProduct, CreateProductRefusal, CreateVariant,
        CreateVariantRefusal, Grams, Millimetres, PriceRange, Product, ProductFilter, ProductSort, Sight,
        TaxClass, UpdateProduct, UpdateProductRefusal, UpdateVariant, UpdateVariantRefusal, Variant,
        archive_product, archive_variant, create_product, create_variant, policy::PRICE_MINOR_MAX, queries,
        unarchive_product, unarchive_variant, update_product, update_variant,
    },
    creators::{CreateCreator, Creator, UpdateCreator, create_for, update},
    platform::{
        Currency, Db, EntityId, Money, OpError, PathStep,
        access::{
            AccountViewer, Browse, CreatorScope, MemberRole, Permission, PublicScope, SystemScope, TokenKind,
            TokenViewer, Viewer, authorize,
        },
        ids::{AccountId, CreatorId, ProductId, SessionId, TokenId, VariantId},
        page::{Page, Slice, SortKey},
        tags::{TagKind, Tags, tags_of},
        text::{Markdown, TextLine},
    },
};
use sea_orm::{ConnectionTrait, Statement};
use testkit::{Kit, audit_actions, facts, on_both, requests};

fn everybody() -> PublicScope {
    authorize(&Viewer::Public, Browse).unwrap()
}

fn operator() -> SystemScope {
    SystemScope::new("test")
}

fn currency(code: &str) -> Currency {
    Currency::from_code(code).unwrap()
}

fn euros(minor: i64) -> Money {
    Money::new(minor, currency("EUR"))
}

fn tags(words: &[&str]) -> Tags {
    Tags::new(words.iter().map(|word| word.parse().unwrap()).collect()).unwrap()
}

async fn creator_in(kit: &Kit, name: &str, code: &str) -> (Creator, CreatorScope) {
    let (country, time_zone) = ("PT".parse().unwrap(), "Europe/Lisbon".parse().unwrap());
    let request = CreateCreator { country, time_zone, currency: currency(code), ..requests::creator(name) };
    let creator = create_for(&kit.db, &operator(), None, request).await.unwrap();
    let scope = operator().as_creator(creator.id);
    (creator, scope)
}

/// Creates a creator that has prices in euros, and returns it with a member's scope.
async fn creator(kit: &Kit, name: &str) -> (Creator, CreatorScope) {
    creator_in(kit, name, "EUR").await
}

fn product_request(title: &str) -> CreateProduct {
    let (description, tags) = (Markdown::new("").unwrap(), Tags::default());
    CreateProduct { slug: None, title: TextLine::new(title).unwrap(), summary: None, description, tags }
}

async fn product(kit: &Kit, scope: &CreatorScope, title: &str) -> Product {
    kit.clock.advance(TimeDelta::seconds(1));
    create_product(&kit.db, scope, product_request(title)).await.unwrap()
}

fn variant_request(product: ProductId, sku: &str, price: Money) -> CreateVariant {
    let side = |millimetres| Millimetres::try_from(millimetres).unwrap();
    CreateVariant {
        product,
        sku: sku.parse().unwrap(),
        title: TextLine::new("Small").unwrap(),
        price,
        weight: Grams::try_from(400).unwrap(),
        length: side(300),
        width: side(200),
        height: side(100),
        tax_class: TaxClass::Standard,
    }
}

async fn variant(kit: &Kit, scope: &CreatorScope, product: &Product, sku: &str, minor: i64) -> Variant {
    let price = Money::new(minor, product.currency);
    create_variant(&kit.db, scope, variant_request(product.id, sku, price)).await.unwrap()
}

/// Returns the product as it is stored now.
async fn stored(db: &Db, scope: &CreatorScope, id: ProductId) -> Product {
    let sight = Sight::public(&everybody()).and_own(scope);
    queries::by_ids(db, &sight, &[id]).await.unwrap().remove(&id).unwrap()
}

async fn titles(db: &Db, filter: &ProductFilter, sort: ProductSort) -> Vec<String> {
    let slice = queries::list(db, &everybody(), filter, sort, &Page::first(100)).await.unwrap();
    assert_eq!(
        queries::count(db, &everybody(), filter).await.unwrap(),
        u64::try_from(slice.rows.len()).unwrap()
    );
    slice.rows.into_iter().map(|(_, row)| row.title).collect()
}

/// Returns the refusals, with the input fields that they are about.
fn codes<T: Debug, R: Debug + Copy>(result: Result<T, OpError<R>>) -> Vec<(R, String)> {
    let path = |steps: &[PathStep]| steps.iter().map(ToString::to_string).collect::<Vec<_>>().join(".");
    match result {
        Err(OpError::Refused(refused)) => {
            refused.iter().map(|refused| (refused.code, path(&refused.path))).collect()
        }
        other => panic!("not refused: {other:?}"),
    }
}

fn one<R>(code: R, path: &str) -> Vec<(R, String)> {
    vec![(code, path.to_owned())]
}

/// Reads a list page by page, forward or backward, and returns its rows in the order of the list.
async fn walk<T>(size: u64, backward: bool, read: impl AsyncFn(Page) -> Slice<T>) -> Vec<T> {
    let mut pages: Vec<Vec<T>> = Vec::new();
    let mut place: Option<SortKey> = None;
    loop {
        let (after, before) = if backward { (None, place) } else { (place, None) };
        let slice = read(Page { size, after, before, backward }).await;
        let more = if backward { slice.has_previous } else { slice.has_next };
        let end = if backward { slice.rows.first() } else { slice.rows.last() };
        place = end.map(|(key, _)| key.clone());
        pages.push(slice.rows.into_iter().map(|(_, row)| row).collect());
        if !more {
            break;
        }
    }
    if backward {
        pages.reverse();
    }
    pages.into_iter().flatten().collect()
}

fn member_of(db: &Db, creator: CreatorId) -> Viewer {
    let (account, session): (AccountId, SessionId) = (db.new_id(), db.new_id());
    let memberships = vec![(creator, MemberRole::Staff)];
    Viewer::Account(AccountViewer {
        account,
        session,
        lent: false,
        person: Some([1; 32]),
        admin: false,
        memberships,
    })
}

fn token_of(db: &Db, kind: TokenKind, creator: CreatorId, permissions: &[Permission]) -> Viewer {
    let token: TokenId = db.new_id();
    Viewer::Token(TokenViewer { token, kind, creator: Some(creator), permissions: permissions.to_vec() })
}

on_both! {
    async fn a_product_is_public_as_soon_as_it_is_made(kit: Kit) {
        let (creator, scope) = creator(&kit, "Olaria").await;
        let asked = CreateProduct {
            summary: Some(TextLine::new("For soup").unwrap()),
            description: Markdown::new("# Bowl").unwrap(),
            tags: tags(&["stoneware", "bowl"]),
            ..product_request("Wide bowl")
        };
        let product = create_product(&kit.db, &scope, asked).await.unwrap();
        assert_eq!(
            (product.slug.as_str(), product.title.as_str(), product.summary.as_str()),
            ("wide-bowl", "Wide bowl", "For soup")
        );
        assert_eq!(
            (product.creator_id, product.currency, product.price_min_minor),
            (creator.id, currency("EUR"), 0)
        );
        assert_eq!(
            (product.version, product.archived_at, product.description_markdown.as_str()),
            (1, None, "# Bowl")
        );
        assert!(product.description_html.contains("<h1"));
        let words = tags_of(&kit.db, TagKind::Product, &[product.id]).await.unwrap();
        assert_eq!(words[&product.id], *tags(&["bowl", "stoneware"]));
        assert_eq!(titles(&kit.db, &ProductFilter::default(), ProductSort::Newest).await, ["Wide bowl"]);
        assert_eq!(facts(&kit).await, ["creator_changed", "product_changed"]);
        assert_eq!(audit_actions(&kit).await, ["creator.create", "product.create"]);
    }

    async fn a_slug_is_unique_within_its_creator_including_past_slugs(kit: Kit) {
        let ((_, scope), (_, other)) = (creator(&kit, "Olaria").await, creator(&kit, "Oficina").await);
        let bowl = product(&kit, &scope, "Bowl").await;
        product(&kit, &other, "Bowl").await;
        let rename = UpdateProduct { slug: Some("deep-bowl".parse().unwrap()), ..UpdateProduct::of(bowl.id) };
        update_product(&kit.db, &scope, rename).await.unwrap();
        let cup = product(&kit, &scope, "Cup").await;
        let before = kit.state().await;
        for slug in ["bowl", "deep-bowl", "cup"] {
            let asked = CreateProduct { slug: Some(slug.parse().unwrap()), ..product_request("Plate") };
            assert_eq!(
                codes(create_product(&kit.db, &scope, asked).await),
                one(CreateProductRefusal::SlugTaken, "slug"),
                "{slug}"
            );
        }
        assert_eq!(
            codes(create_product(&kit.db, &scope, product_request("Bowl")).await),
            one(CreateProductRefusal::SlugTaken, "slug")
        );
        assert_eq!(
            codes(create_product(&kit.db, &scope, product_request("益子")).await),
            one(CreateProductRefusal::SlugNeeded, "slug")
        );
        let rename = UpdateProduct { slug: Some("bowl".parse().unwrap()), ..UpdateProduct::of(cup.id) };
        assert_eq!(
            codes(update_product(&kit.db, &scope, rename).await),
            one(UpdateProductRefusal::SlugTaken, "slug")
        );
        assert_eq!(kit.state().await, before);
    }

    async fn a_past_slug_leads_to_its_product_within_its_creator(kit: Kit) {
        let ((first, scope), (second, _)) = (creator(&kit, "Olaria").await, creator(&kit, "Oficina").await);
        let bowl = product(&kit, &scope, "Bowl").await;
        for slug in ["deep-bowl", "deeper-bowl"] {
            let rename = UpdateProduct { slug: Some(slug.parse().unwrap()), ..UpdateProduct::of(bowl.id) };
            update_product(&kit.db, &scope, rename).await.unwrap();
        }
        let sight = Sight::public(&everybody());
        for slug in ["bowl", "deep-bowl", "deeper-bowl"] {
            let found = queries::by_slug(&kit.db, &sight, first.id, slug).await.unwrap().unwrap();
            assert_eq!((found.id, found.slug.as_str()), (bowl.id, "deeper-bowl"));
            assert_eq!(queries::by_slug(&kit.db, &sight, second.id, slug).await.unwrap(), None);
        }
        archive_product(&kit.db, &scope, bowl.id).await.unwrap();
        assert_eq!(queries::by_slug(&kit.db, &sight, first.id, "bowl").await.unwrap(), None);
        assert!(queries::by_slug(&kit.db, &sight.and_own(&scope), first.id, "bowl").await.unwrap().is_some());
    }

    async fn an_update_changes_only_the_given_fields(kit: Kit) {
        let (_, scope) = creator(&kit, "Olaria").await;
        let bowl = product(&kit, &scope, "Bowl").await;
        kit.clock.advance(TimeDelta::minutes(5));
        let asked =
            UpdateProduct { version: Some(1), tags: Some(tags(&["bowl"])), ..UpdateProduct::of(bowl.id) };
        let changed = update_product(&kit.db, &scope, asked).await.unwrap();
        assert_eq!(changed, Product { version: 2, updated_at: kit.db.now(), ..bowl.clone() });
        let asked = UpdateProduct {
            title: Some(TextLine::new("Deep bowl").unwrap()),
            summary: Some(Some(TextLine::new("For soup").unwrap())),
            description: Some(Markdown::new("*Deep*").unwrap()),
            tags: Some(tags(&["soup", "bowl"])),
            ..UpdateProduct::of(bowl.id)
        };
        let changed = update_product(&kit.db, &scope, asked).await.unwrap();
        assert_eq!(
            (changed.title.as_str(), changed.summary.as_str(), changed.slug.as_str()),
            ("Deep bowl", "For soup", "bowl")
        );
        assert_eq!(
            (changed.description_markdown.as_str(), changed.description_html.trim()),
            ("*Deep*", "<p><em>Deep</em></p>")
        );
        assert_eq!(stored(&kit.db, &scope, bowl.id).await, changed);
        let asked =
            UpdateProduct { summary: Some(None), tags: Some(Tags::default()), ..UpdateProduct::of(bowl.id) };
        assert_eq!(update_product(&kit.db, &scope, asked).await.unwrap().summary, "");
        assert!(tags_of(&kit.db, TagKind::Product, &[bowl.id]).await.unwrap().is_empty());
        assert_eq!(
            facts(&kit).await,
            ["creator_changed", "product_changed", "product_changed", "product_changed", "product_changed"]
        );
        assert_eq!(audit_actions(&kit).await[2..], ["product.update"; 3]);
    }

    async fn an_update_of_an_old_version_is_refused(kit: Kit) {
        let (_, scope) = creator(&kit, "Olaria").await;
        let bowl = product(&kit, &scope, "Bowl").await;
        // A variant is a part of its product, so it increments the product's version.
        variant(&kit, &scope, &bowl, "BOWL-S", 2_500).await;
        let before = kit.state().await;
        for version in [0, 1, 3, i64::MAX] {
            let asked = UpdateProduct { version: Some(version), ..UpdateProduct::of(bowl.id) };
            assert_eq!(
                codes(update_product(&kit.db, &scope, asked).await),
                one(UpdateProductRefusal::Conflict, "version")
            );
        }
        assert_eq!(kit.state().await, before);
        let asked = UpdateProduct { version: Some(2), ..UpdateProduct::of(bowl.id) };
        assert_eq!(update_product(&kit.db, &scope, asked).await.unwrap().version, 3);
    }

    async fn another_creators_products_and_variants_are_not_found(kit: Kit) {
        let ((_, scope), (_, other)) = (creator(&kit, "Olaria").await, creator(&kit, "Oficina").await);
        let theirs = product(&kit, &other, "Bowl").await;
        let their_variant = variant(&kit, &other, &theirs, "BOWL-S", 2_500).await;
        let before = kit.state().await;
        let ids: [(ProductId, VariantId); 2] =
            [(theirs.id, their_variant.id), (kit.db.new_id(), kit.db.new_id())];
        for (product, variant) in ids {
            let db = &kit.db;
            let asked =
                UpdateProduct { title: Some(TextLine::new("Mine").unwrap()), ..UpdateProduct::of(product) };
            assert_eq!(
                codes(update_product(db, &scope, asked).await),
                one(UpdateProductRefusal::NotFound, "id")
            );
            assert_eq!(
                codes(archive_product(db, &scope, product).await),
                one(ArchiveProductRefusal::NotFound, "id")
            );
            assert_eq!(
                codes(unarchive_product(db, &scope, product).await),
                one(ArchiveProductRefusal::NotFound, "id")
            );
            let asked = variant_request(product, "MINE", euros(1));
            assert_eq!(
                codes(create_variant(db, &scope, asked).await),
                one(CreateVariantRefusal::NotFound, "productId")
            );
            let asked = UpdateVariant { price: Some(euros(1)), ..UpdateVariant::of(variant) };
            assert_eq!(
                codes(update_variant(db, &scope, asked).await),
                one(UpdateVariantRefusal::NotFound, "id")
            );
            assert_eq!(
                codes(archive_variant(db, &scope, variant).await),
                one(ArchiveVariantRefusal::NotFound, "id")
            );
            assert_eq!(
                codes(unarchive_variant(db, &scope, variant).await),
                one(ArchiveVariantRefusal::NotFound, "id")
            );
        }
        assert_eq!(kit.state().await, before);
    }

    async fn a_new_variant_comes_last_and_counts_for_the_lowest_price(kit: Kit) {
        let (creator, scope) = creator(&kit, "Olaria").await;
        let bowl = product(&kit, &scope, "Bowl").await;
        let small = variant(&kit, &scope, &bowl, "BOWL-S", 2_500).await;
        let large = variant(&kit, &scope, &bowl, "BOWL-L", 4_000).await;
        assert_eq!((small.position.get(), large.position.get()), (0, 1));
        assert_eq!((small.product_id, small.creator_id, small.price()), (bowl.id, creator.id, euros(2_500)));
        let parcel = (
            small.weight_grams.get(),
            small.length_mm.get(),
            small.width_mm.get(),
            small.height_mm.get(),
            small.tax_class,
        );
        assert_eq!(parcel, (400, 300, 200, 100, TaxClass::Standard));
        let after = stored(&kit.db, &scope, bowl.id).await;
        assert_eq!((after.price_min_minor, after.version), (2_500, 3));

        let price = |id, minor| UpdateVariant { price: Some(euros(minor)), ..UpdateVariant::of(id) };
        update_variant(&kit.db, &scope, price(large.id, 1_900)).await.unwrap();
        assert_eq!(stored(&kit.db, &scope, bowl.id).await.price_min_minor, 1_900);
        update_variant(&kit.db, &scope, price(large.id, 9_900)).await.unwrap();
        assert_eq!(stored(&kit.db, &scope, bowl.id).await.price_min_minor, 2_500);
        archive_variant(&kit.db, &scope, small.id).await.unwrap();
        assert_eq!(stored(&kit.db, &scope, bowl.id).await.price_min_minor, 9_900);
        archive_variant(&kit.db, &scope, large.id).await.unwrap();
        assert_eq!(stored(&kit.db, &scope, bowl.id).await.price_min_minor, 0);
        unarchive_variant(&kit.db, &scope, small.id).await.unwrap();
        let last = stored(&kit.db, &scope, bowl.id).await;
        assert_eq!((last.price_min_minor, last.version), (2_500, 8));
        let did = [
            "variant.create",
            "variant.create",
            "variant.update",
            "variant.update",
            "variant.archive",
            "variant.archive",
        ];
        assert_eq!(audit_actions(&kit).await[2..8], did);
        assert_eq!(facts(&kit).await.len(), 9);
    }

    async fn an_update_of_a_variant_changes_only_the_given_fields(kit: Kit) {
        let (_, scope) = creator(&kit, "Olaria").await;
        let bowl = product(&kit, &scope, "Bowl").await;
        let small = variant(&kit, &scope, &bowl, "BOWL-S", 2_500).await;
        kit.clock.advance(TimeDelta::minutes(5));
        // A variant's own SKU does not count as taken.
        let same = UpdateVariant { sku: Some("BOWL-S".parse().unwrap()), ..UpdateVariant::of(small.id) };
        let changed = update_variant(&kit.db, &scope, same).await.unwrap();
        assert_eq!(changed, Variant { updated_at: kit.db.now(), ..small.clone() });
        let side = |millimetres| Some(Millimetres::try_from(millimetres).unwrap());
        let all = UpdateVariant {
            variant: small.id,
            sku: Some("BOWL-M".parse().unwrap()),
            title: Some(TextLine::new("Medium").unwrap()),
            price: Some(euros(3_100)),
            weight: Some(Grams::try_from(0).unwrap()),
            length: side(1),
            width: side(2),
            height: side(3),
            tax_class: Some(TaxClass::Reduced),
        };
        let changed = update_variant(&kit.db, &scope, all).await.unwrap();
        assert_eq!(
            (changed.sku.as_str(), changed.title.as_str(), changed.price()),
            ("BOWL-M", "Medium", euros(3_100))
        );
        let parcel = (
            changed.weight_grams.get(),
            changed.length_mm.get(),
            changed.width_mm.get(),
            changed.height_mm.get(),
            changed.tax_class,
        );
        assert_eq!(parcel, (0, 1, 2, 3, TaxClass::Reduced));
        let sight = Sight::public(&everybody());
        assert_eq!(queries::variants_by_ids(&kit.db, &sight, &[small.id]).await.unwrap()[&small.id], changed);
    }

    async fn a_variant_with_a_taken_sku_or_a_wrong_price_is_refused_with_all_complaints(kit: Kit) {
        let (_, scope) = creator(&kit, "Olaria").await;
        let (bowl, cup) = (product(&kit, &scope, "Bowl").await, product(&kit, &scope, "Cup").await);
        let taken = variant(&kit, &scope, &bowl, "BOWL", 2_500).await;
        archive_variant(&kit.db, &scope, taken.id).await.unwrap();
        let mug = variant(&kit, &scope, &cup, "MUG", 2_500).await;
        let before = kit.state().await;
        let yen = Money::new(100, currency("JPY"));
        for (sku, price, creating, updating) in [
            (
                "BOWL",
                euros(1),
                vec![(CreateVariantRefusal::SkuTaken, "sku")],
                vec![(UpdateVariantRefusal::SkuTaken, "sku")],
            ),
            (
                "NEW",
                yen,
                vec![(CreateVariantRefusal::CurrencyMismatch, "price")],
                vec![(UpdateVariantRefusal::CurrencyMismatch, "price")],
            ),
            (
                "NEW",
                euros(0),
                vec![(CreateVariantRefusal::PriceOutOfRange, "price")],
                vec![(UpdateVariantRefusal::PriceOutOfRange, "price")],
            ),
            (
                "BOWL",
                euros(PRICE_MINOR_MAX + 1),
                vec![
                    (CreateVariantRefusal::PriceOutOfRange, "price"),
                    (CreateVariantRefusal::SkuTaken, "sku"),
                ],
                vec![
                    (UpdateVariantRefusal::PriceOutOfRange, "price"),
                    (UpdateVariantRefusal::SkuTaken, "sku"),
                ],
            ),
        ] {
            let refused = codes(create_variant(&kit.db, &scope, variant_request(cup.id, sku, price)).await);
            assert_eq!(
                refused,
                creating.into_iter().map(|(code, path)| (code, path.to_owned())).collect::<Vec<_>>()
            );
            let asked = UpdateVariant {
                sku: Some(sku.parse().unwrap()),
                price: Some(price),
                ..UpdateVariant::of(mug.id)
            };
            let refused = codes(update_variant(&kit.db, &scope, asked).await);
            assert_eq!(
                refused,
                updating.into_iter().map(|(code, path)| (code, path.to_owned())).collect::<Vec<_>>()
            );
        }
        assert_eq!(kit.state().await, before);
    }

    async fn two_creators_may_use_the_same_sku(kit: Kit) {
        let ((_, scope), (_, other)) = (creator(&kit, "Olaria").await, creator(&kit, "Oficina").await);
        let (mine, theirs) = (product(&kit, &scope, "Bowl").await, product(&kit, &other, "Bowl").await);
        variant(&kit, &scope, &mine, "BOWL", 2_500).await;
        variant(&kit, &other, &theirs, "BOWL", 2_500).await;
    }

    async fn one_of_many_concurrent_products_gets_a_sku(kit: Kit) {
        let (_, scope) = creator(&kit, "Olaria").await;
        let mut tries = Vec::new();
        for number in 0..12 {
            let product = product(&kit, &scope, &format!("Bowl {number}")).await;
            let db = kit.db.clone();
            tries.push(tokio::spawn(async move {
                create_variant(&db, &scope, variant_request(product.id, "BOWL", euros(100))).await
            }));
        }
        let mut won = 0;
        for one_try in tries {
            match one_try.await.unwrap() {
                Ok(_) => won += 1,
                refused => assert_eq!(codes(refused), one(CreateVariantRefusal::SkuTaken, "sku")),
            }
        }
        assert_eq!((won, kit.state().await.count("variants")), (1, 1));
    }

    async fn a_product_has_at_most_a_hundred_variants(kit: Kit) {
        let (_, scope) = creator(&kit, "Olaria").await;
        let bowl = product(&kit, &scope, "Bowl").await;
        for number in 0..100 {
            variant(&kit, &scope, &bowl, &format!("BOWL-{number}"), 100).await;
        }
        let before = kit.state().await;
        let refused = create_variant(&kit.db, &scope, variant_request(bowl.id, "BOWL-100", euros(100))).await;
        assert_eq!(codes(refused), one(CreateVariantRefusal::TooManyVariants, ""));
        assert_eq!(kit.state().await, before);
    }

    async fn a_creator_has_at_most_five_thousand_products(kit: Kit) {
        let (_, scope) = creator(&kit, "Olaria").await;
        let bowl = product(&kit, &scope, "Bowl").await;
        // The database itself copies the product, because 4,999 operations would take long.
        let columns = "title, summary, description_markdown, description_html, price_min_minor, currency, \
                       version";
        let same = format!("{columns}, created_at, updated_at, archived_at");
        let id = |db: &Db| match db.backend() {
            sea_orm::DbBackend::Postgres => "gen_random_uuid()",
            _ => "randomblob(16)",
        };
        let sql = format!(
            "INSERT INTO products (id, creator_id, slug, {same}) \
             WITH RECURSIVE copy(number) AS \
             (SELECT 1 UNION ALL SELECT number + 1 FROM copy WHERE number < 4999) \
             SELECT {}, creator_id, 'copy-' || number, {same} FROM products CROSS JOIN copy \
             WHERE products.id = $1",
            id(&kit.db)
        );
        let copies = Statement::from_sql_and_values(kit.db.backend(), sql, [bowl.id.uuid().into()]);
        kit.db.schema_connection().execute_raw(copies).await.unwrap();
        let (slug, before) = (Some("one-more".parse().unwrap()), kit.state().await);
        assert_eq!(before.count("products"), 5_000);
        let refused =
            create_product(&kit.db, &scope, CreateProduct { slug, ..product_request("One more") }).await;
        assert_eq!(codes(refused), one(CreateProductRefusal::TooManyProducts, ""));
        assert_eq!(kit.state().await, before);
        let counted = queries::count(&kit.db, &everybody(), &ProductFilter::default()).await.unwrap();
        assert_eq!(counted, domain::platform::page::TOTAL_COUNT_MAX);
    }

    async fn only_the_creator_sees_archived_products_and_variants(kit: Kit) {
        let ((first, scope), (second, _)) = (creator(&kit, "Olaria").await, creator(&kit, "Oficina").await);
        let (bowl, cup) = (product(&kit, &scope, "Bowl").await, product(&kit, &scope, "Cup").await);
        let of_bowl = variant(&kit, &scope, &bowl, "BOWL", 100).await;
        let (mug, espresso) = (
            variant(&kit, &scope, &cup, "MUG", 100).await,
            variant(&kit, &scope, &cup, "ESPRESSO", 100).await,
        );
        archive_product(&kit.db, &scope, bowl.id).await.unwrap();
        archive_variant(&kit.db, &scope, mug.id).await.unwrap();

        let db = &kit.db;
        let sees_all =
            [member_of(db, first.id), token_of(db, TokenKind::Secret, first.id, &[Permission::CatalogRead])];
        let sees_public = [
            Viewer::Public,
            member_of(db, second.id),
            token_of(db, TokenKind::Publishable, first.id, &[Permission::CatalogRead]),
            token_of(db, TokenKind::Secret, first.id, &[Permission::CatalogWrite]),
        ];
        let sees_nothing = [token_of(db, TokenKind::Secret, second.id, &[Permission::CatalogRead])];
        let (products, variants) = ([bowl.id, cup.id], [of_bowl.id, mug.id, espresso.id]);
        for (viewers, expected, referred) in [
            (&sees_all[..], (2, 3, 2, 1), (2, 3)),
            (&sees_public, (1, 1, 1, 0), (2, 3)),
            (&sees_nothing, (0, 0, 0, 0), (0, 0)),
        ] {
            for viewer in viewers {
                let sight = Sight::of_viewer(viewer).unwrap();
                let listed = queries::variants_of(db, &sight, &products).await.unwrap();
                let seen = (
                    queries::by_ids(db, &sight, &products).await.unwrap().len(),
                    queries::variants_by_ids(db, &sight, &variants).await.unwrap().len(),
                    listed.get(&cup.id).map_or(0, Vec::len),
                    listed.get(&bowl.id).map_or(0, Vec::len),
                );
                assert_eq!(seen, expected, "{viewer:?}");
                let through_a_line = (
                    queries::referred_by_ids(db, &sight, &products).await.unwrap().len(),
                    queries::referred_variants_by_ids(db, &sight, &variants).await.unwrap().len(),
                );
                assert_eq!(through_a_line, referred, "{viewer:?}");
            }
        }
        let everything = Sight::system(&operator()).unwrap();
        assert_eq!(queries::by_ids(db, &everything, &products).await.unwrap().len(), 2);
        assert_eq!(
            queries::variants_of(db, &everything, &products).await.unwrap()[&cup.id]
                .iter()
                .map(|row| row.id)
                .collect::<Vec<_>>(),
            [mug.id, espresso.id]
        );
        assert_eq!(titles(db, &ProductFilter::default(), ProductSort::Title).await, ["Cup"]);
        let own = async |archived| {
            queries::list_own(
                db,
                &scope,
                &ProductFilter::default(),
                archived,
                ProductSort::Title,
                &Page::first(9),
            )
            .await
            .unwrap()
            .rows
            .len()
        };
        assert_eq!((own(false).await, own(true).await), (1, 2));
        let count = async |archived| {
            queries::count_own(db, &scope, &ProductFilter::default(), archived).await.unwrap()
        };
        assert_eq!((count(false).await, count(true).await), (1, 2));
    }

    async fn archiving_can_be_done_twice_and_undone(kit: Kit) {
        let (_, scope) = creator(&kit, "Olaria").await;
        let bowl = product(&kit, &scope, "Bowl").await;
        let since = kit.db.now();
        archive_product(&kit.db, &scope, bowl.id).await.unwrap();
        kit.clock.advance(TimeDelta::hours(1));
        assert_eq!(archive_product(&kit.db, &scope, bowl.id).await.unwrap().archived_at, Some(since));
        assert_eq!(unarchive_product(&kit.db, &scope, bowl.id).await.unwrap().archived_at, None);
        assert_eq!(unarchive_product(&kit.db, &scope, bowl.id).await.unwrap().archived_at, None);
        let small = variant(&kit, &scope, &bowl, "BOWL", 100).await;
        let since = kit.db.now();
        archive_variant(&kit.db, &scope, small.id).await.unwrap();
        kit.clock.advance(TimeDelta::hours(1));
        assert_eq!(archive_variant(&kit.db, &scope, small.id).await.unwrap().archived_at, Some(since));
        assert_eq!(unarchive_variant(&kit.db, &scope, small.id).await.unwrap().archived_at, None);
        let did = [
            "product.archive",
            "product.archive",
            "product.unarchive",
            "product.unarchive",
            "variant.create",
        ];
        assert_eq!(audit_actions(&kit).await[2..7], did);
    }

    async fn lists_are_filtered_by_creator_tag_and_price(kit: Kit) {
        let ((first, scope), (_, other)) =
            (creator(&kit, "Olaria").await, creator_in(&kit, "Mashiko", "JPY").await);
        for (title, price, words) in [
            ("Bowl", 2_500, &["clay", "round"][..]),
            ("Cup", 1_200, &["clay"]),
            ("Spoon", 900, &["wood"]),
            ("Idea", 0, &["clay"]),
        ] {
            let asked = CreateProduct { tags: tags(words), ..product_request(title) };
            let product = create_product(&kit.db, &scope, asked).await.unwrap();
            if price > 0 {
                variant(&kit, &scope, &product, &title.to_uppercase(), price).await;
            }
        }
        let asked = CreateProduct { tags: tags(&["clay"]), ..product_request("Yunomi") };
        let yunomi = create_product(&kit.db, &other, asked).await.unwrap();
        variant(&kit, &other, &yunomi, "YUNOMI", 1_500).await;

        let tag = |word: &str| Some(word.parse().unwrap());
        let prices =
            |code, min_minor, max_minor| Some(PriceRange { currency: currency(code), min_minor, max_minor });
        let all = ProductFilter::default;
        for (filter, expected) in [
            (all(), &["Bowl", "Cup", "Idea", "Spoon", "Yunomi"][..]),
            (ProductFilter { creator: Some(first.id), ..all() }, &["Bowl", "Cup", "Idea", "Spoon"]),
            (ProductFilter { creator: Some(kit.db.new_id()), ..all() }, &[]),
            (ProductFilter { tag: tag("clay"), ..all() }, &["Bowl", "Cup", "Idea", "Yunomi"]),
            (ProductFilter { tag: tag("Clay"), creator: Some(first.id), ..all() }, &["Bowl", "Cup", "Idea"]),
            (ProductFilter { tag: tag("glass"), ..all() }, &[]),
            (ProductFilter { price: prices("EUR", None, None), ..all() }, &["Bowl", "Cup", "Spoon"]),
            (ProductFilter { price: prices("EUR", Some(1_200), None), ..all() }, &["Bowl", "Cup"]),
            (ProductFilter { price: prices("EUR", Some(0), Some(1_200)), ..all() }, &["Cup", "Spoon"]),
            (
                ProductFilter { price: prices("JPY", Some(1_000), Some(2_000)), tag: tag("clay"), ..all() },
                &["Yunomi"],
            ),
            (ProductFilter { price: prices("EUR", Some(2_000), Some(1_000)), ..all() }, &[]),
        ] {
            assert_eq!(titles(&kit.db, &filter, ProductSort::Title).await, expected, "{filter:?}");
        }
    }

    async fn pages_of_any_size_cover_a_list_once_in_both_directions(kit: Kit) {
        let (_, scope) = creator(&kit, "Olaria").await;
        for (title, price) in [("Delta", 300), ("Alfa", 100), ("Charlie", 300), ("Bravo", 200)] {
            let product = product(&kit, &scope, title).await;
            variant(&kit, &scope, &product, &title.to_uppercase(), price).await;
        }
        // Has the same creation time, title and price as the last one.
        let twin = CreateProduct { slug: Some("bravo-2".parse().unwrap()), ..product_request("Bravo") };
        let twin = create_product(&kit.db, &scope, twin).await.unwrap();
        variant(&kit, &scope, &twin, "BRAVO-2", 200).await;
        for (sort, expected) in [
            (ProductSort::Newest, ["bravo-2", "bravo", "charlie", "alfa", "delta"]),
            (ProductSort::PriceAscending, ["alfa", "bravo", "bravo-2", "delta", "charlie"]),
            (ProductSort::PriceDescending, ["charlie", "delta", "bravo-2", "bravo", "alfa"]),
            (ProductSort::Title, ["alfa", "bravo", "bravo-2", "charlie", "delta"]),
        ] {
            for size in 1..=6 {
                for backward in [false, true] {
                    let all = ProductFilter::default();
                    let public = async |page: Page| {
                        queries::list(&kit.db, &everybody(), &all, sort, &page).await.unwrap()
                    };
                    let own = async |page: Page| {
                        queries::list_own(&kit.db, &scope, &all, true, sort, &page).await.unwrap()
                    };
                    for seen in [walk(size, backward, public).await, walk(size, backward, own).await] {
                        let slugs: Vec<_> = seen.into_iter().map(|row| row.slug).collect();
                        assert_eq!(slugs, expected, "{sort:?} {size} {backward}");
                    }
                }
            }
        }
    }

    async fn a_row_added_while_paging_shifts_no_page(kit: Kit) {
        let (_, scope) = creator(&kit, "Olaria").await;
        for title in ["Alfa", "Bravo", "Charlie"] {
            product(&kit, &scope, title).await;
        }
        let all = ProductFilter::default();
        let first =
            queries::list(&kit.db, &everybody(), &all, ProductSort::Newest, &Page::first(2)).await.unwrap();
        product(&kit, &scope, "Delta").await;
        let page = Page { after: first.rows.last().map(|(key, _)| key.clone()), ..Page::first(2) };
        let second = queries::list(&kit.db, &everybody(), &all, ProductSort::Newest, &page).await.unwrap();
        assert_eq!(second.rows.into_iter().map(|(_, row)| row.title).collect::<Vec<_>>(), ["Alfa"]);
        assert!(second.has_previous && !second.has_next);
    }

    async fn a_storefronts_token_lists_its_creator_only(kit: Kit) {
        let ((first, scope), (_, other)) = (creator(&kit, "Olaria").await, creator(&kit, "Oficina").await);
        let (mine, theirs) = (product(&kit, &scope, "Bowl").await, product(&kit, &other, "Cup").await);
        let viewer = token_of(&kit.db, TokenKind::Publishable, first.id, &[]);
        let only = authorize(&viewer, Browse).unwrap();
        let all = ProductFilter::default();
        let listed = queries::list(&kit.db, &only, &all, ProductSort::Newest, &Page::first(9)).await.unwrap();
        assert_eq!(listed.rows.into_iter().map(|(_, row)| row.id).collect::<Vec<_>>(), [mine.id]);
        assert_eq!(queries::count(&kit.db, &only, &all).await.unwrap(), 1);
        let filter = ProductFilter { creator: Some(theirs.creator_id), ..all };
        assert_eq!(queries::count(&kit.db, &only, &filter).await.unwrap(), 0);
        let sight = Sight::of_viewer(&viewer).unwrap();
        assert_eq!(queries::by_slug(&kit.db, &sight, theirs.creator_id, "cup").await.unwrap(), None);
    }

    async fn a_loader_reads_many_rows_with_one_statement(kit: Kit) {
        let (_, scope) = creator(&kit, "Olaria").await;
        let mut products = Vec::new();
        let mut variants = Vec::new();
        for number in 0..8 {
            let product = product(&kit, &scope, &format!("Bowl {number}")).await;
            variants.push(variant(&kit, &scope, &product, &format!("BOWL-{number}"), 100).await.id);
            products.push(product.id);
        }
        let sight = Sight::public(&everybody()).and_own(&scope);
        let before = kit.db.statements();
        assert_eq!(queries::by_ids(&kit.db, &sight, &products).await.unwrap().len(), 8);
        assert_eq!(queries::variants_of(&kit.db, &sight, &products).await.unwrap().len(), 8);
        assert_eq!(queries::variants_by_ids(&kit.db, &sight, &variants).await.unwrap().len(), 8);
        assert_eq!(queries::referred_variants_by_ids(&kit.db, &sight, &variants).await.unwrap().len(), 8);
        assert!(tags_of(&kit.db, TagKind::Product, &products).await.unwrap().is_empty());
        assert_eq!(kit.db.statements() - before, 5);
    }

    async fn the_first_product_has_its_creators_currency_in_any_order(kit: Kit) {
        for round in 0..8 {
            let (creator, scope) = creator(&kit, &format!("Olaria {round}")).await;
            let (db, other_db) = (kit.db.clone(), kit.db.clone());
            let yen = UpdateCreator { currency: Some(currency("JPY")), ..UpdateCreator::default() };
            let changing = tokio::spawn(async move { update(&db, &scope, yen).await });
            let adding =
                tokio::spawn(async move { create_product(&other_db, &scope, product_request("Bowl")).await });
            let (changed, added) = (changing.await.unwrap(), adding.await.unwrap().unwrap());
            let expected = if changed.is_ok() { "JPY" } else { "EUR" };
            assert_eq!(added.currency.code(), expected, "{}", creator.slug);
        }
    }
}
