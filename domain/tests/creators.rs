//! Creators: creating one, its profile, its slugs, and the visibility and the order of lists.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::fmt::Debug;

use chrono::TimeDelta;
use domain::{
    catalog::{archive_product, create_product},
    creators::{
        CreateCreator, CreateCreatorRefusal, Creator, CreatorSort, UpdateCreator, UpdateCreatorRefusal,
        create, create_for, queries, update,
    },
    platform::{
        Currency, Db, EntityId, OpError, StoreError,
        access::{
            AccountScope, AccountViewer, Browse, CreatorScope, MemberRole, OwnAccount, PublicScope,
            SystemScope, TokenKind, TokenViewer, Viewer, authorize,
        },
        ids::{AccountId, SessionId, TokenId},
        page::{Page, Slice, SortKey},
        text::{Markdown, TextLine},
    },
};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use testkit::{Kit, audit_actions, facts, on_both, requests};

/// Inserts an account directly into its table, and returns its owner's scope.
async fn person(db: &Db) -> AccountScope {
    let account: AccountId = db.new_id();
    let columns = "id, email, name, admin, version, created_at, updated_at";
    let sql = format!("INSERT INTO accounts ({columns}) VALUES ($1, $2, 'Somebody', FALSE, 1, $3, $3)");
    let email = format!("{}@example.org", account.public());
    let values = [account.uuid().into(), email.into(), db.now().into()];
    let insert = Statement::from_sql_and_values(db.backend(), sql, values);
    db.schema_connection().execute_raw(insert).await.unwrap();
    let session: SessionId = db.new_id();
    let viewer = AccountViewer {
        account,
        session,
        lent: false,
        person: Some([1; 32]),
        admin: false,
        memberships: Vec::new(),
    };
    authorize(&Viewer::Account(viewer), OwnAccount).unwrap()
}

fn everybody() -> PublicScope {
    authorize(&Viewer::Public, Browse).unwrap()
}

fn operator() -> SystemScope {
    SystemScope::new("test")
}

fn own(creator: &Creator) -> CreatorScope {
    operator().as_creator(creator.id)
}

fn request(name: &str) -> CreateCreator {
    let (country, time_zone) = ("PT".parse().unwrap(), "Europe/Lisbon".parse().unwrap());
    CreateCreator { country, time_zone, ..requests::creator(name) }
}

fn with_slug(slug: &str) -> CreateCreator {
    CreateCreator { slug: Some(slug.parse().unwrap()), ..request("Olaria") }
}

async fn opened(kit: &Kit, name: &str) -> Creator {
    kit.clock.advance(TimeDelta::seconds(1));
    create_for(&kit.db, &operator(), None, request(name)).await.unwrap()
}

async fn product_of(kit: &Kit, creator: &Creator) -> domain::catalog::Product {
    create_product(&kit.db, &own(creator), requests::product("Bowl")).await.unwrap()
}

fn codes<T: Debug, R: Debug + Copy>(result: Result<T, OpError<R>>) -> Vec<(R, String)> {
    let path = |steps: &[domain::platform::PathStep]| {
        steps.iter().map(ToString::to_string).collect::<Vec<_>>().join(".")
    };
    match result {
        Err(OpError::Refused(refused)) => {
            refused.iter().map(|refused| (refused.code, path(&refused.path))).collect()
        }
        other => panic!("not refused: {other:?}"),
    }
}

/// Reads a list page by page, forward or backward, and returns its rows in the order of the list.
async fn walk<T>(size: u64, backward: bool, read: impl AsyncFn(Page) -> Slice<T>) -> Vec<T> {
    let mut pages: Vec<Vec<T>> = Vec::new();
    let mut place: Option<SortKey> = None;
    loop {
        let first = place.is_none();
        let (after, before) = if backward { (None, place) } else { (place, None) };
        let slice = read(Page { size, after, before, backward }).await;
        assert_eq!(if backward { slice.has_next } else { slice.has_previous }, !first);
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

on_both! {
    async fn the_account_that_opens_a_creator_owns_it(kit: Kit) {
        let scope = person(&kit.db).await;
        let asked = CreateCreator {
            tagline: Some(TextLine::new("Slow pots").unwrap()),
            place: Some(TextLine::new("Évora").unwrap()),
            story: Markdown::new("**Clay**").unwrap(),
            ..request("Olaria do Sul")
        };
        let creator = create(&kit.db, &scope, asked).await.unwrap();
        assert_eq!((creator.slug.as_str(), creator.name.as_str()), ("olaria-do-sul", "Olaria do Sul"));
        assert_eq!((creator.tagline.as_str(), creator.place.as_str()), ("Slow pots", "Évora"));
        assert_eq!((creator.country.code(), creator.time_zone.name()), ("PT", "Europe/Lisbon"));
        assert_eq!(
            (creator.story_markdown.as_str(), creator.story_html.trim()),
            ("**Clay**", "<p><strong>Clay</strong></p>")
        );
        assert_eq!((creator.version, creator.created_at), (1, kit.db.now()));

        let memberships = domain::accounts::queries::memberships(&kit.db, &scope).await.unwrap();
        assert_eq!(memberships, [(creator.id, MemberRole::Owner)]);
        let members = domain::accounts::queries::members(&kit.db, &own(&creator)).await.unwrap();
        assert_eq!(
            members.iter().map(|member| (member.account_id, member.role)).collect::<Vec<_>>(),
            [(scope.account(), MemberRole::Owner)]
        );
        assert_eq!(queries::own(&kit.db, &own(&creator)).await.unwrap(), Some(creator));
        assert_eq!(facts(&kit).await, ["creator_changed"]);
        assert_eq!(audit_actions(&kit).await, ["creator.create"]);
    }

    async fn the_operator_opens_a_creator_without_an_owner(kit: Kit) {
        let creator = opened(&kit, "Olaria").await;
        assert_eq!(domain::accounts::queries::members(&kit.db, &own(&creator)).await.unwrap(), []);
        let scope = person(&kit.db).await;
        let owned =
            create_for(&kit.db, &operator(), Some(scope.account()), request("Oficina")).await.unwrap();
        assert_eq!(
            domain::accounts::queries::memberships(&kit.db, &scope).await.unwrap(),
            [(owned.id, MemberRole::Owner)]
        );
    }

    async fn a_creator_cannot_take_a_present_or_past_slug_of_another(kit: Kit) {
        let scope = person(&kit.db).await;
        let first = create(&kit.db, &scope, with_slug("olaria")).await.unwrap();
        update(
            &kit.db,
            &own(&first),
            UpdateCreator { slug: Some("oficina".parse().unwrap()), ..Default::default() },
        )
        .await
        .unwrap();
        let before = kit.state().await;
        for slug in ["olaria", "oficina"] {
            let refused = create(&kit.db, &scope, with_slug(slug)).await;
            assert_eq!(codes(refused), [(CreateCreatorRefusal::SlugTaken, "slug".to_owned())], "{slug}");
        }
        assert_eq!(
            codes(create(&kit.db, &scope, request("Olaria")).await),
            [(CreateCreatorRefusal::SlugTaken, "slug".to_owned())]
        );
        assert_eq!(
            codes(create(&kit.db, &scope, request("益子")).await),
            [(CreateCreatorRefusal::SlugNeeded, "slug".to_owned())]
        );
        assert_eq!(kit.state().await, before);
    }

    async fn an_account_has_at_most_twenty_creators(kit: Kit) {
        let scope = person(&kit.db).await;
        for number in 0..20 {
            create(&kit.db, &scope, request(&format!("Olaria {number}"))).await.unwrap();
        }
        let before = kit.state().await;
        let refused = create(&kit.db, &scope, request("Olaria 20")).await;
        assert_eq!(codes(refused), [(CreateCreatorRefusal::TooManyCreators, String::new())]);
        assert_eq!(kit.state().await, before);
    }

    async fn an_invalid_stored_value_is_reported_with_its_column_and_row(kit: Kit) {
        for (column, text) in [("country", "XX"), ("time_zone", "Mars/Base"), ("currency", "XXX")] {
            let creator = opened(&kit, &format!("Olaria {column}")).await;
            let sql = format!("UPDATE creators SET {column} = '{text}' WHERE slug = '{}'", creator.slug);
            kit.db.schema_connection().execute_unprepared(&sql).await.unwrap();
            let before = kit.state().await;
            let Err(OpError::Inconsistent(told)) =
                update(&kit.db, &own(&creator), UpdateCreator::default()).await
            else {
                panic!("an invalid {column} was accepted");
            };
            let what = format!("{column} of row {} is {text}", creator.id.uuid());
            assert!(told.to_string().contains(&what), "{told}");
            assert_eq!(kit.state().await, before);
            let read = queries::own(&kit.db, &own(&creator)).await.map_err(StoreError::from);
            let Err(StoreError::Inconsistent(told)) = read else {
                panic!("an invalid {column} was accepted")
            };
            assert!(told.to_string().contains(&what), "{told}");
            // PostgreSQL reports the object id of the table.
            let table = if kit.db.backend() == DbBackend::Sqlite { "creators." } else { "::regclass." };
            assert!(told.to_string().contains(table), "{told}");
        }
    }

    async fn an_update_changes_only_the_given_fields(kit: Kit) {
        let creator = opened(&kit, "Olaria").await;
        kit.clock.advance(TimeDelta::minutes(5));
        let asked = UpdateCreator {
            version: Some(1),
            tagline: Some(Some(TextLine::new("Slow pots").unwrap())),
            country: Some("JP".parse().unwrap()),
            currency: Some(Currency::from_code("JPY").unwrap()),
            ..Default::default()
        };
        let changed = update(&kit.db, &own(&creator), asked).await.unwrap();
        let expected = Creator {
            tagline: "Slow pots".to_owned(),
            country: "JP".parse().unwrap(),
            currency: Currency::from_code("JPY").unwrap(),
            version: 2,
            updated_at: kit.db.now(),
            ..creator.clone()
        };
        assert_eq!(changed, expected);
        let all = UpdateCreator {
            name: Some(TextLine::new("Oficina").unwrap()),
            tagline: Some(None),
            place: Some(Some(TextLine::new("Mashiko").unwrap())),
            time_zone: Some("Asia/Tokyo".parse().unwrap()),
            prices_include_tax: Some(false),
            story: Some(Markdown::new("# Fire").unwrap()),
            ..Default::default()
        };
        let changed = update(&kit.db, &own(&creator), all).await.unwrap();
        let texts = (
            changed.name.as_str(),
            changed.tagline.as_str(),
            changed.place.as_str(),
            changed.time_zone.name(),
        );
        assert_eq!(texts, ("Oficina", "", "Mashiko", "Asia/Tokyo"));
        assert_eq!(
            (changed.prices_include_tax, changed.story_markdown.as_str(), changed.version),
            (false, "# Fire", 3)
        );
        assert!(changed.story_html.contains("<h1"));
        assert_eq!(queries::own(&kit.db, &own(&creator)).await.unwrap(), Some(changed));
        assert_eq!(facts(&kit).await, ["creator_changed"; 3]);
        assert_eq!(audit_actions(&kit).await, ["creator.create", "creator.update", "creator.update"]);
    }

    async fn an_update_of_an_old_version_or_with_a_taken_slug_is_refused(kit: Kit) {
        let (creator, other) = (opened(&kit, "Olaria").await, opened(&kit, "Oficina").await);
        let scope = own(&creator);
        update(&kit.db, &scope, UpdateCreator::default()).await.unwrap();
        let before = kit.state().await;
        for version in [0, 1, 3, i64::MAX] {
            let stale = UpdateCreator {
                version: Some(version),
                name: Some(TextLine::new("Late").unwrap()),
                ..Default::default()
            };
            let expected = [(UpdateCreatorRefusal::Conflict, "version".to_owned())];
            assert_eq!(codes(update(&kit.db, &scope, stale).await), expected, "{version}");
        }
        let taken = UpdateCreator { slug: Some(other.slug.parse().unwrap()), ..Default::default() };
        assert_eq!(
            codes(update(&kit.db, &scope, taken).await),
            [(UpdateCreatorRefusal::SlugTaken, "slug".to_owned())]
        );
        assert_eq!(kit.state().await, before);
    }

    async fn the_currency_is_fixed_by_the_first_product_even_an_archived_one(kit: Kit) {
        let (creator, other) = (opened(&kit, "Olaria").await, opened(&kit, "Oficina").await);
        product_of(&kit, &other).await;
        let yen =
            || UpdateCreator { currency: Some(Currency::from_code("JPY").unwrap()), ..Default::default() };
        update(&kit.db, &own(&creator), yen()).await.unwrap();
        let product = product_of(&kit, &creator).await;
        archive_product(&kit.db, &own(&creator), product.id).await.unwrap();
        assert_eq!(product.currency.code(), "JPY");
        update(&kit.db, &own(&creator), yen()).await.unwrap();
        let before = kit.state().await;
        let asked = UpdateCreator {
            currency: Some(Currency::from_code("EUR").unwrap()),
            slug: Some("oficina".parse().unwrap()),
            ..Default::default()
        };
        // All complaints are returned at once.
        let refused = codes(update(&kit.db, &own(&creator), asked).await);
        let expected =
            [(UpdateCreatorRefusal::SlugTaken, "slug"), (UpdateCreatorRefusal::CurrencyFixed, "currency")];
        assert_eq!(refused, expected.map(|(code, path)| (code, path.to_owned())));
        assert_eq!(kit.state().await, before);
    }

    async fn a_past_slug_leads_to_its_creator_for_ever(kit: Kit) {
        let creator = opened(&kit, "Olaria").await;
        let rename = async |slug: &str| {
            update(
                &kit.db,
                &own(&creator),
                UpdateCreator { slug: Some(slug.parse().unwrap()), ..Default::default() },
            )
            .await
            .unwrap()
        };
        rename("olaria-nova").await;
        let present = rename("olaria-velha").await;
        for slug in ["olaria", "olaria-nova", "olaria-velha"] {
            let found = queries::by_slug(&kit.db, &everybody(), slug).await.unwrap().unwrap();
            assert_eq!((found.id, found.slug.as_str()), (creator.id, "olaria-velha"));
        }
        assert_eq!(queries::by_slug(&kit.db, &everybody(), "oficina").await.unwrap(), None);
        assert_eq!(queries::by_slug(&kit.db, &everybody(), "Olaria'--").await.unwrap(), None);
        assert_eq!(present.version, 3);
        // A creator may take its own past slug again.
        assert_eq!(rename("olaria").await.slug, "olaria");
    }

    async fn pages_of_any_size_cover_a_list_once_in_both_directions(kit: Kit) {
        let mut creators = Vec::new();
        for name in ["Delta", "Alfa", "Charlie", "Bravo", "Echo"] {
            creators.push(opened(&kit, name).await);
        }
        // Has the same creation time and name as the last one.
        creators.push(
            create_for(
                &kit.db,
                &operator(),
                None,
                CreateCreator { name: TextLine::new("Echo").unwrap(), ..with_slug("echo-2") },
            )
            .await
            .unwrap(),
        );
        let newest: Vec<_> =
            ["echo-2", "echo", "bravo", "charlie", "alfa", "delta"].map(str::to_owned).to_vec();
        let by_name: Vec<_> =
            ["alfa", "bravo", "charlie", "delta", "echo", "echo-2"].map(str::to_owned).to_vec();
        for (sort, expected) in [(CreatorSort::Newest, newest), (CreatorSort::Name, by_name)] {
            for size in 1..=7 {
                for backward in [false, true] {
                    let read =
                        async |page: Page| queries::list(&kit.db, &everybody(), sort, &page).await.unwrap();
                    let seen: Vec<_> =
                        walk(size, backward, read).await.into_iter().map(|row| row.slug).collect();
                    assert_eq!(seen, expected, "{sort:?} {size} {backward}");
                }
            }
        }
        assert_eq!(queries::count(&kit.db, &everybody()).await.unwrap(), 6);
    }

    async fn a_creators_token_sees_that_creator_only(kit: Kit) {
        let (creator, other) = (opened(&kit, "Olaria").await, opened(&kit, "Oficina").await);
        let token: TokenId = kit.db.new_id();
        let viewer = TokenViewer {
            token,
            kind: TokenKind::Publishable,
            creator: Some(creator.id),
            permissions: Vec::new(),
        };
        let scope = authorize(&Viewer::Token(viewer), Browse).unwrap();
        let listed = queries::list(&kit.db, &scope, CreatorSort::Newest, &Page::first(10)).await.unwrap();
        assert_eq!(listed.rows.into_iter().map(|(_, row)| row.id).collect::<Vec<_>>(), [creator.id]);
        assert_eq!(queries::count(&kit.db, &scope).await.unwrap(), 1);
        let found = queries::by_ids(&kit.db, &scope, &[creator.id, other.id]).await.unwrap();
        assert_eq!(found.into_keys().collect::<Vec<_>>(), [creator.id]);
        assert_eq!(queries::by_slug(&kit.db, &scope, "oficina").await.unwrap(), None);
        assert!(queries::by_slug(&kit.db, &scope, "olaria").await.unwrap().is_some());
    }

    async fn many_creators_are_read_by_one_statement(kit: Kit) {
        let ids = [opened(&kit, "Alfa").await.id, opened(&kit, "Bravo").await.id, kit.db.new_id()];
        let before = kit.db.statements();
        assert_eq!(queries::by_ids(&kit.db, &everybody(), &ids).await.unwrap().len(), 2);
        assert_eq!(kit.db.statements() - before, 1);
    }

    async fn one_of_many_concurrent_requests_gets_a_slug(kit: Kit) {
        let tries: Vec<_> = (0..12)
            .map(|_| {
                let db = kit.db.clone();
                tokio::spawn(async move { create_for(&db, &operator(), None, with_slug("olaria")).await })
            })
            .collect();
        let mut won = 0;
        for one in tries {
            match one.await.unwrap() {
                Ok(_) => won += 1,
                refused => assert_eq!(codes(refused), [(CreateCreatorRefusal::SlugTaken, "slug".to_owned())]),
            }
        }
        assert_eq!((won, queries::count(&kit.db, &everybody()).await.unwrap()), (1, 1));
    }
}
