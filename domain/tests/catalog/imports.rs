//! Imports of products from a file, and exports to one.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use domain::{
    catalog::{
        ProductFilter, ProductSort, archive_product,
        export::export_part,
        imports::{
            ComplaintCode as Code, ImportProducts, ImportRow, OPEN_MAX, ProductImport, Progress,
            RowOutcome as Outcome, StartImport, StartImportRefusal, queries, reconcile::run_forgotten,
            run_import, start_import, sweep,
        },
        sheet::{Column, Sheet},
    },
    platform::{
        Db,
        access::{Actor, CreatorScope},
        idempotency::IdempotencyKey,
        ids::ImportId,
        in_tx,
        page::Page,
        tasks::{self, Queue, Task},
    },
};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use sea_orm::DbErr;
use testkit::{Kit, audit_actions, facts, on_both};

use crate::catalog::{codes, creator, creator_in, one, operator, product, stored, titles, variant};

fn request(file: &str, dry_run: bool, key: &str) -> StartImport {
    let key = IdempotencyKey::new(&format!("import-{key}")).unwrap();
    StartImport { sheet: Sheet::read(file.as_bytes()).unwrap(), dry_run, key }
}

async fn start(db: &Db, scope: &CreatorScope, file: &str, dry_run: bool, key: &str) -> ImportId {
    let (import, replayed) = start_import(db, scope, request(file, dry_run, key)).await.unwrap();
    assert!(!replayed && import.rows_done.get() == 0 && import.finished_at.is_none());
    import.id
}

async fn run(db: &Db, import: ImportId) {
    while run_import(db, &operator(), import).await.unwrap() == Progress::More {}
}

/// Starts an import and processes all its rows.
async fn imported(
    kit: &Kit,
    scope: &CreatorScope,
    file: &str,
    dry_run: bool,
    key: &str,
) -> (ProductImport, Vec<ImportRow>) {
    let import = start(&kit.db, scope, file, dry_run, key).await;
    run(&kit.db, import).await;
    read(kit, scope, import).await
}

async fn read(kit: &Kit, scope: &CreatorScope, import: ImportId) -> (ProductImport, Vec<ImportRow>) {
    let imports = queries::list(&kit.db, scope, &Page::first(100)).await.unwrap().rows;
    let import = imports.into_iter().map(|(_, row)| row).find(|row| row.id == import).unwrap();
    let (mut rows, mut page) = (Vec::new(), Page::first(100));
    loop {
        let slice = queries::rows(&kit.db, scope, import.id, false, &page).await.unwrap();
        page.after = slice.rows.last().map(|(key, _)| key.clone());
        rows.extend(slice.rows.into_iter().map(|(_, row)| row));
        if !slice.has_next {
            return (import, rows);
        }
    }
}

type Row = (i32, Option<Outcome>, Option<Outcome>);

fn outcomes(rows: &[ImportRow]) -> Vec<Row> {
    rows.iter().map(|row| (row.number, row.product_outcome, row.variant_outcome)).collect()
}

/// Exports the whole catalogue of a creator as a sheet.
async fn exported(db: &Db, scope: &CreatorScope) -> String {
    let (mut bytes, mut after) = (Vec::new(), None);
    loop {
        let part = export_part(db, scope, after).await.unwrap();
        bytes.extend(part.bytes);
        after = part.after;
        if after.is_none() {
            return String::from_utf8(bytes).unwrap();
        }
    }
}

const BOWLS: &str = "slug,title,summary,tags,sku,variant_title,price,weight_grams,tax_class\n\
    wide-bowl,Wide bowl,For soup,\"clay, Salt-Glaze\",BOWL-S,Small,12.50,400,REDUCED\n\
    wide-bowl,,,,BOWL-L,Large,20,900,\n\
    ,Plain Cup,,,CUP,One size,9.99,,\n\
    vase,Vase,,,,,,,\n";

const CREATED: Option<Outcome> = Some(Outcome::Created);
const UNCHANGED: Option<Outcome> = Some(Outcome::Unchanged);
const UPDATED: Option<Outcome> = Some(Outcome::Updated);
const REFUSED: Option<Outcome> = Some(Outcome::Refused);

/// Polls a future up to `times` times. If it is not done by then, drops it in the middle of its work.
async fn polled<F: Future>(work: F, mut times: u32) -> Option<F::Output> {
    let mut work = pin!(work);
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if times == 0 => Poll::Ready(None),
        Poll::Pending => {
            times -= 1;
            Poll::Pending
        }
    })
    .await
}

/// Returns a sheet of this many products, each with two variants.
fn many(products: u32) -> String {
    let rows =
        (0..products).map(|n| format!("item-{n},Item {n},ITEM-{n}-A,A,1.00\nitem-{n},,ITEM-{n}-B,B,2.00\n"));
    std::iter::once("slug,title,sku,variant_title,price\n".to_owned()).chain(rows).collect()
}

fn catalogues() -> impl Strategy<Value = Vec<(String, String, String)>> {
    let nasty = "['=+@\\-\t\r\n\",; a-cé\u{FF1D}]{0,20}";
    prop::collection::vec(("[='+@\\-]{0,2}[a-z]{1,8}[\", ;é]{0,3}[a-z]", nasty, "[A-Z0-9._-]{1,8}"), 0..6)
}

on_both! {
    async fn a_file_becomes_products_and_variants_and_importing_it_again_changes_nothing(kit: Kit) {
        let (_, scope) = creator(&kit, "Salt Glaze").await;
        let (import, rows) = imported(&kit, &scope, BOWLS, false, "first").await;
        assert_eq!(
            outcomes(&rows),
            [(2, CREATED, CREATED), (3, None, CREATED), (4, CREATED, CREATED), (5, CREATED, None)]
        );
        let counts = |import: &ProductImport| {
            [
                import.rows_done.get(),
                import.rows_refused.get(),
                import.products_created.get(),
                import.products_updated.get(),
                import.variants_created.get(),
                import.variants_updated.get(),
            ]
        };
        assert_eq!(counts(&import), [4, 0, 3, 0, 3, 0]);
        assert!(import.finished_at.is_some() && import.row_count.get() == 4);
        let sheet = exported(&kit.db, &scope).await;
        let expected = "slug,title,summary,description,tags,sku,variant_title,price,currency,weight_grams,\
            length_mm,width_mm,height_mm,tax_class\r\n\
            wide-bowl,Wide bowl,For soup,,\"clay, salt-glaze\",BOWL-S,Small,12.50,EUR,400,0,0,0,REDUCED\r\n\
            wide-bowl,,,,,BOWL-L,Large,20.00,EUR,900,0,0,0,STANDARD\r\n\
            plain-cup,Plain Cup,,,,CUP,One size,9.99,EUR,0,0,0,0,STANDARD\r\n\
            vase,Vase,,,,,,,,,,,,\r\n";
        assert_eq!(sheet, expected);
        let before = (facts(&kit).await.len(), audit_actions(&kit).await.len());
        let (import, rows) = imported(&kit, &scope, &sheet, false, "again").await;
        assert_eq!(
            outcomes(&rows),
            [
                (2, UNCHANGED, UNCHANGED),
                (3, None, UNCHANGED),
                (4, UNCHANGED, UNCHANGED),
                (5, UNCHANGED, None)
            ]
        );
        assert_eq!(counts(&import), [4, 0, 0, 0, 0, 0]);
        // Only the start and the end of the import were recorded.
        assert_eq!((facts(&kit).await.len(), audit_actions(&kit).await.len()), (before.0, before.1 + 2));
    }

    async fn an_import_changes_only_what_differs(kit: Kit) {
        let (_, scope) = creator(&kit, "Salt Glaze").await;
        imported(&kit, &scope, BOWLS, false, "first").await;
        let file = "slug,title,summary,tags,sku,price,length_mm\n\
            wide-bowl,Wider bowl,,clay,BOWL-S,13,300\n\
            vase,,,,,,\n\
            plain-cup,Plain Cup,,,CUP,9.99,\n";
        let (import, rows) = imported(&kit, &scope, file, false, "second").await;
        assert_eq!(outcomes(&rows), [(2, UPDATED, UPDATED), (3, UNCHANGED, None), (4, UNCHANGED, UNCHANGED)]);
        assert_eq!((import.products_updated.get(), import.variants_updated.get()), (1, 1));
        let sheet = exported(&kit.db, &scope).await;
        // The summary was emptied. The weight and the tax class, which the file does not have, did not
        // change.
        assert!(
            sheet.contains("\r\nwide-bowl,Wider bowl,,,clay,BOWL-S,Small,13.00,EUR,400,300,0,0,REDUCED\r\n"),
            "{sheet}"
        );
        let changed = rows[0].product_id.unwrap();
        assert_eq!(stored(&kit.db, &scope, changed).await.price_min_minor, 1_300);
    }

    async fn bad_rows_are_reported_and_the_others_are_imported(kit: Kit) {
        let (_, scope) = creator(&kit, "Salt Glaze").await;
        let bowl = product(&kit, &scope, "Bowl").await;
        for sku in ["TAKEN", "MINE"] {
            variant(&kit, &scope, &bowl, sku, 100).await;
        }
        let header = "slug,title,tags,sku,variant_title,price,currency,weight_grams,tax_class";
        type Case<'a> = (&'a str, &'a [(Code, &'a str)], Option<Outcome>, Option<Outcome>);
        let cases: &[Case<'_>] = &[
            ("good,Good,,GOOD,One,1.00,,,", &[], CREATED, CREATED),
            (
                "No Slug,Title,,A,One,1.00,,,",
                &[(Code::Invalid, "slug"), (Code::ProductRefused, "")],
                REFUSED,
                REFUSED,
            ),
            (
                ",益子,,B,One,1.00,,,",
                &[(Code::SlugNeeded, "slug"), (Code::ProductRefused, "")],
                REFUSED,
                REFUSED,
            ),
            (
                "untitled,,,C,One,1.00,,,",
                &[(Code::Required, "title"), (Code::ProductRefused, "")],
                REFUSED,
                REFUSED,
            ),
            (
                "tags,Tags,a b c,D,One,1.00,,,",
                &[(Code::Invalid, "tags"), (Code::ProductRefused, "")],
                REFUSED,
                REFUSED,
            ),
            ("p1,P1,,lower,One,1.00,,,", &[(Code::Invalid, "sku")], CREATED, REFUSED),
            ("p2,P2,,,One,1.00,,,", &[(Code::Required, "sku")], CREATED, REFUSED),
            ("p3,P3,,E,,1.00,,,", &[(Code::Required, "variant_title")], CREATED, REFUSED),
            ("p4,P4,,F,One,,,,", &[(Code::Required, "price")], CREATED, REFUSED),
            ("p5,P5,,G,One,1.005,,,", &[(Code::Invalid, "price")], CREATED, REFUSED),
            ("p6,P6,,H,One,0,,,", &[(Code::PriceOutOfRange, "price")], CREATED, REFUSED),
            ("p7,P7,,I,One,1,USD,,", &[(Code::CurrencyMismatch, "price")], CREATED, REFUSED),
            ("p8,P8,,J,One,1,XXX,,", &[(Code::Invalid, "currency")], CREATED, REFUSED),
            ("p9,P9,,K,One,1,,1.5,", &[(Code::Invalid, "weight_grams")], CREATED, REFUSED),
            ("p10,P10,,L,One,1,,100001,", &[(Code::Invalid, "weight_grams")], CREATED, REFUSED),
            ("p11,P11,,M,One,1,,,LUXURY", &[(Code::Invalid, "tax_class")], CREATED, REFUSED),
            ("p12,P12,,TAKEN,One,1,,,", &[(Code::SkuTaken, "sku")], CREATED, REFUSED),
            ("p13,P13,,GOOD,One,1,,,", &[(Code::SkuRepeated, "sku")], CREATED, REFUSED),
            ("p13,Other,,N,One,1,,,", &[(Code::ProductDiffers, "title")], None, REFUSED),
            ("good,Good,,O,One,1,,,", &[(Code::SlugRepeated, "slug")], REFUSED, REFUSED),
            (",,,P,One,1,,,", &[(Code::SlugRepeated, "slug")], None, REFUSED),
            ("bowl,,,MINE,Two,2.00,,,", &[], UNCHANGED, UPDATED),
        ];
        let file: String = std::iter::once(header)
            .chain(cases.iter().map(|case| case.0))
            .map(|line| format!("{line}\n"))
            .collect();
        for (dry_run, key) in [(true, "rehearsal"), (false, "performance")] {
            let before = titles(&kit.db, &ProductFilter::default(), ProductSort::Title).await;
            let (import, rows) = imported(&kit, &scope, &file, dry_run, key).await;
            for (row, (line, complaints, product, variant)) in rows.iter().zip(cases) {
                let seen = &row.complaints.0;
                let seen: Vec<_> =
                    seen.iter().map(|one| (one.code, one.column.map_or("", Column::name))).collect();
                assert_eq!(
                    (seen.as_slice(), row.product_outcome, row.variant_outcome),
                    (*complaints, *product, *variant),
                    "{line}"
                );
            }
            let bad = cases.iter().filter(|case| !case.1.is_empty()).count();
            assert_eq!(usize::try_from(import.rows_refused.get()).unwrap(), bad);
            let refused = queries::rows(&kit.db, &scope, import.id, true, &Page::first(100)).await.unwrap();
            assert_eq!(
                (refused.rows.len(), queries::rows_count(&kit.db, &scope, import.id, true).await.unwrap()),
                (bad, u64::try_from(bad).unwrap())
            );
            let after = titles(&kit.db, &ProductFilter::default(), ProductSort::Title).await;
            assert_eq!(after.len() - before.len(), if dry_run { 0 } else { 14 }, "{after:?}");
        }
    }

    async fn a_dry_run_reports_the_outcomes_and_changes_nothing(kit: Kit) {
        let (_, scope) = creator(&kit, "Salt Glaze").await;
        imported(&kit, &scope, BOWLS, false, "first").await;
        let file = format!("{}bowl-x,Bowl X,BOWL-S,One,1.00\nwide-bowl,Other,BOWL-S,Small,14.00\n", many(40));
        let import = start(&kit.db, &scope, &file, true, "dry").await;
        let (sheet, facts_before) = (exported(&kit.db, &scope).await, facts(&kit).await);
        let actions = audit_actions(&kit).await;
        run(&kit.db, import).await;
        let (tally, dry) = read(&kit, &scope, import).await;
        assert_eq!((exported(&kit.db, &scope).await, facts(&kit).await), (sheet, facts_before));
        assert_eq!(audit_actions(&kit).await[actions.len()..], ["product.import_end"]);
        assert!(dry.iter().all(|row| row.product_id.is_none() || row.product_outcome != CREATED));
        let (wet_tally, wet) = imported(&kit, &scope, &file, false, "wet").await;
        assert_eq!(outcomes(&dry), outcomes(&wet));
        assert_eq!(tally.products_created.get(), 41);
        let told = |tally: &ProductImport| {
            (
                tally.products_created.get(),
                tally.products_updated.get(),
                tally.variants_created.get(),
                tally.rows_refused.get(),
            )
        };
        assert_eq!(told(&tally), told(&wet_tally));
    }

    async fn a_crash_in_the_middle_loses_nothing_and_repeats_nothing(kit: Kit) {
        let (_, scope) = creator(&kit, "Salt Glaze").await;
        let import = start(&kit.db, &scope, &many(30), false, "crash").await;
        // Each try gets a little further before it is cut off: first within the transaction, then after it.
        let mut cut = 0_u32;
        for times in (0..).step_by(3) {
            match polled(run_import(&kit.db, &operator(), import), times).await {
                None => cut += 1,
                Some(done) => {
                    if done.unwrap() == Progress::Finished {
                        break;
                    }
                }
            }
            // A commit that was cut off may end a moment later, between two of these reads.
            let patience = std::time::Instant::now();
            loop {
                let (tally, rows) = read(&kit, &scope, import).await;
                let done = rows.iter().filter(|row| row.variant_outcome == CREATED).count();
                let made =
                    audit_actions(&kit).await.iter().filter(|action| *action == "variant.create").count();
                let told = (
                    usize::try_from(tally.rows_done.get()).unwrap(),
                    usize::try_from(tally.variants_created.get()).unwrap(),
                );
                if (told, made) == ((done, done), done) {
                    break;
                }
                let alike = "the report and the effects must agree";
                assert!(
                    patience.elapsed() < std::time::Duration::from_secs(10),
                    "{alike}: {told:?}, {done}, {made}"
                );
            }
        }
        assert!(cut > 10, "{cut}");
        let (tally, _) = read(&kit, &scope, import).await;
        assert_eq!(
            (
                tally.rows_done.get(),
                tally.products_created.get(),
                tally.variants_created.get(),
                tally.rows_refused.get()
            ),
            (60, 30, 60, 0)
        );
        let sheet = exported(&kit.db, &scope).await;
        assert_eq!(sheet.lines().count(), 61);
    }

    async fn several_workers_import_each_row_once(kit: Kit) {
        let (_, scope) = creator(&kit, "Salt Glaze").await;
        let one = start(&kit.db, &scope, &many(40), false, "one").await;
        // The same products in the opposite order. Two imports of one creator run one after the other.
        let reversed: Vec<String> =
            (0..40).rev().map(|n| format!("item-{n},Item {n},ITEM-{n}-A,A,1.00\n")).collect();
        let file = format!("slug,title,sku,variant_title,price\n{}", reversed.concat());
        let two = start(&kit.db, &scope, &file, false, "two").await;
        let workers: Vec<_> = [one, two, one, two, one, one]
            .map(|import| {
                let db = kit.db.clone();
                tokio::spawn(async move { run(&db, import).await })
            })
            .into();
        for worker in workers {
            worker.await.unwrap();
        }
        let ((one, _), (two, _)) = (read(&kit, &scope, one).await, read(&kit, &scope, two).await);
        assert_eq!(
            (one.rows_done.get(), two.rows_done.get(), one.rows_refused.get(), two.rows_refused.get()),
            (80, 40, 0, 0)
        );
        assert_eq!(one.products_created.get() + two.products_created.get(), 40);
        assert_eq!(one.variants_created.get() + two.variants_created.get(), 80);
        let made = audit_actions(&kit).await.iter().filter(|action| *action == "variant.create").count();
        assert_eq!(made, 80);
    }

    async fn an_idempotency_key_starts_one_import(kit: Kit) {
        let (_, scope) = creator(&kit, "Salt Glaze").await;
        let (first, _) = start_import(&kit.db, &scope, request(BOWLS, false, "key")).await.unwrap();
        let before = kit.state().await;
        let (again, replayed) = start_import(&kit.db, &scope, request(BOWLS, false, "key")).await.unwrap();
        assert_eq!((again.id, replayed), (first.id, true));
        for other in [request(BOWLS, true, "key"), request(&many(1), false, "key")] {
            let refused = start_import(&kit.db, &scope, other).await;
            assert_eq!(codes(refused), one(StartImportRefusal::KeyReused, "idempotencyKey"));
        }
        assert_eq!(kit.state().await, before);
        for number in 1..OPEN_MAX {
            start(&kit.db, &scope, BOWLS, true, &format!("more-{number}")).await;
        }
        let before = kit.state().await;
        let refused = start_import(&kit.db, &scope, request(BOWLS, true, "too-many")).await;
        assert_eq!(codes(refused), one(StartImportRefusal::TooManyOpen, ""));
        assert_eq!(kit.state().await, before);
        run(&kit.db, first.id).await;
        start(&kit.db, &scope, BOWLS, true, "too-many").await;
    }

    async fn an_import_without_a_task_gets_one_and_old_imports_are_deleted(kit: Kit) {
        let (_, scope) = creator(&kit, "Salt Glaze").await;
        let import = start(&kit.db, &scope, BOWLS, false, "lost").await;
        assert_eq!(testkit::tasks(&kit).await, [testkit::task(&ImportProducts { import })]);
        assert_eq!(run_forgotten(&kit.db, &operator()).await.unwrap(), 0);
        let claimed = in_tx(&kit.db, Actor::System("test"), async |tx| {
            let claimed = tasks::claim(tx, Queue::Imports, &[ImportProducts::KIND], 5).await?;
            tasks::finish(tx, &claimed[0]).await
        });
        let finished: Result<_, DbErr> = claimed.await;
        assert!(finished.unwrap());
        assert_eq!(run_forgotten(&kit.db, &operator()).await.unwrap(), 1);
        assert_eq!(testkit::tasks(&kit).await, [testkit::task(&ImportProducts { import })]);
        run(&kit.db, import).await;
        let swept =
            async |before| in_tx(&kit.db, Actor::System("test"), async |tx| sweep(tx, before).await).await;
        assert_eq!(swept(kit.db.now()).await.unwrap(), 0, "an import that has just ended is kept");
        assert_eq!(swept(kit.db.now() + chrono::TimeDelta::seconds(1)).await.unwrap(), 1);
        assert_eq!(kit.state().await.count("product_import_rows"), 0);
        assert_eq!(run_import(&kit.db, &operator(), import).await.unwrap(), Progress::Finished);
    }

    async fn an_exported_catalogue_is_imported_unchanged(kit: Kit) {
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        for case in 0..12 {
            let catalogue = catalogues().new_tree(&mut runner).unwrap().current();
            let (_, scope) = creator(&kit, &format!("From {case}")).await;
            let (_, other) = creator_in(&kit, &format!("To {case}"), "EUR").await;
            for (number, (title, description, sku)) in catalogue.iter().enumerate() {
                let mut made = crate::catalog::product_request(title);
                made.slug = Some(format!("product-{number}").parse().unwrap());
                made.description = domain::platform::text::Markdown::new(description).unwrap();
                let made = domain::catalog::create_product(&kit.db, &scope, made).await.unwrap();
                // If the SKU is taken already, the product remains without a variant.
                let price = domain::platform::Money::new(100, made.currency);
                drop(
                    domain::catalog::create_variant(
                        &kit.db,
                        &scope,
                        crate::catalog::variant_request(made.id, sku, price),
                    )
                    .await,
                );
            }
            let hidden = product(&kit, &scope, "Hidden").await;
            archive_product(&kit.db, &scope, hidden.id).await.unwrap();
            let sheet = exported(&kit.db, &scope).await;
            for record in csv::ReaderBuilder::new().has_headers(false).from_reader(sheet.as_bytes()).records()
            {
                for cell in &record.unwrap() {
                    assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell:?}");
                }
            }
            if !catalogue.is_empty() {
                let (import, _) = imported(&kit, &other, &sheet, false, &format!("round-{case}")).await;
                assert_eq!(import.rows_refused.get(), 0);
            }
            assert_eq!(exported(&kit.db, &other).await, sheet);
        }
    }

    async fn a_long_catalogue_is_exported_in_parts(kit: Kit) {
        let (_, scope) = creator(&kit, "Salt Glaze").await;
        imported(&kit, &scope, &many(230), false, "long").await;
        let first = export_part(&kit.db, &scope, None).await.unwrap();
        assert_eq!(first.bytes.iter().filter(|byte| **byte == b'\n').count(), 201);
        assert_eq!(exported(&kit.db, &scope).await.lines().count(), 461);
        let (_, empty) = creator(&kit, "Empty").await;
        assert_eq!(exported(&kit.db, &empty).await.lines().count(), 1);
    }
}
