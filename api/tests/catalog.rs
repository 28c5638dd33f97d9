//! Tests of creators and the catalogue over HTTP, as a storefront and a creator's staff use it.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails on anything unexpected")]

use actix_web::{App, test};
use api::{Api, http};
use domain::{
    accounts::{AccountName, CreateToken, Email, TokenName, create_buyers, create_token},
    platform::{
        access::{Permission, SystemScope, TokenKind},
        ids::CreatorId,
    },
};
use serde_json::{Value, json};
use testkit::{Kit, on_both};

/// Sends a request over HTTP with a bearer token.
async fn ask(kit: &Kit, token: Option<&str>, query: &str, variables: Value) -> Value {
    let edge = http::edge(Api::over(&kit.db));
    let service = test::init_service(App::new().configure(|config| http::configure(config, &edge))).await;
    let mut request =
        test::TestRequest::post().uri("/graphql").set_json(json!({ "query": query, "variables": variables }));
    if let Some(token) = token {
        request = request.insert_header(("authorization", format!("Bearer {token}")));
    }
    let response = test::call_service(&service, request.to_request()).await;
    serde_json::from_slice(&test::read_body(response).await).unwrap()
}

/// Returns the payload of a mutation with the single field `field`.
async fn mutate(kit: &Kit, token: &str, field: &str, answer: &str, input: Value) -> Value {
    let mut name = field.to_owned();
    name.get_mut(..1).unwrap().make_ascii_uppercase();
    let query = format!(
        "mutation M($input: {name}Input!) {{
            {field}(input: $input) {{ {answer} errors {{ code path message }} }}
        }}"
    );
    let answer = ask(kit, Some(token), &query, json!({ "input": input })).await;
    assert_eq!(answer["errors"], Value::Null, "{answer}");
    answer["data"][field].clone()
}

/// Returns the codes and paths of a payload's errors.
fn errors(payload: &Value) -> Vec<(String, String)> {
    let path = |error: &Value| {
        error["path"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| step.as_str().unwrap())
            .collect::<Vec<_>>()
            .join(".")
    };
    payload["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["code"].as_str().unwrap().to_owned(), path(error)))
        .collect()
}

fn expected(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(code, path)| ((*code).to_owned(), (*path).to_owned())).collect()
}

/// Returns the bearer token of a person who has just signed in.
async fn person(kit: &Kit, name: &str) -> String {
    let email = Email::new(&format!("{name}@example.org")).unwrap();
    let secrets =
        create_buyers(&kit.db, &SystemScope::new("test"), &[(email, AccountName::new(name).unwrap())])
            .await
            .unwrap();
    secrets[0].expose().to_owned()
}

async fn token(kit: &Kit, creator: &str, kind: TokenKind, permissions: &[Permission]) -> String {
    let creator: CreatorId = creator.parse().unwrap();
    let scope = SystemScope::new("test").as_tokens(Some(creator));
    let request = CreateToken {
        name: TokenName::new("shop").unwrap(),
        kind,
        permissions: permissions.to_vec(),
        expires_at: None,
    };
    create_token(&kit.db, &scope, request).await.unwrap().secret.expose().to_owned()
}

async fn creator(kit: &Kit, owner: &str, name: &str) -> String {
    let input = json!({ "name": name, "country": "PT", "timeZone": "Europe/Lisbon", "currency": "EUR" });
    let payload = mutate(kit, owner, "creatorCreate", "creator { id }", input).await;
    payload["creator"]["id"].as_str().unwrap().to_owned()
}

async fn product(kit: &Kit, owner: &str, creator: &str, title: &str) -> String {
    let input = json!({ "creatorId": creator, "title": title, "tags": ["Clay"] });
    let payload = mutate(kit, owner, "productCreate", "product { id }", input).await;
    payload["product"]["id"].as_str().unwrap().to_owned()
}

async fn variant(kit: &Kit, owner: &str, product: &str, sku: &str, amount: &str) -> String {
    let input = json!({
        "productId": product, "sku": sku, "title": sku, "price": { "amount": amount, "currency": "EUR" },
    });
    let payload = mutate(kit, owner, "variantCreate", "variant { id }", input).await;
    payload["variant"]["id"].as_str().unwrap().to_owned()
}

on_both! {
    async fn a_person_opens_a_creator_and_fills_its_catalogue(kit: Kit) {
        let owner = person(&kit, "ana").await;
        let input = json!({
            "name": "Olaria do Sul", "tagline": "Slow pots", "place": " ", "country": "PT",
            "timeZone": "Europe/Lisbon",
            "currency": "EUR", "pricesIncludeTax": false, "story": "**Clay**",
        });
        let fields = "creator { id slug name tagline place country timeZone currency pricesIncludeTax \
                      storyMarkdown storyHtml version }";
        let mut payload = mutate(&kit, &owner, "creatorCreate", fields, input).await;
        let creator = payload["creator"]["id"].take().as_str().unwrap().to_owned();
        assert!(creator.starts_with("creator_"));
        let made = json!({
            "id": null, "slug": "olaria-do-sul", "name": "Olaria do Sul", "tagline": "Slow pots",
            "place": "", "country": "PT", "timeZone": "Europe/Lisbon", "currency": "EUR",
            "pricesIncludeTax": false, "storyMarkdown": "**Clay**",
            "storyHtml": "<p><strong>Clay</strong></p>\n", "version": 1,
        });
        assert_eq!(payload, json!({ "creator": made, "errors": [] }));

        let input =
            json!({ "id": creator, "version": 1, "slug": "olaria", "tagline": null, "place": "Évora" });
        let payload =
            mutate(&kit, &owner, "creatorUpdate", "creator { slug name tagline place version }", input).await;
        let changed = json!({
            "slug": "olaria", "name": "Olaria do Sul", "tagline": "", "place": "Évora", "version": 2,
        });
        assert_eq!(payload["creator"], changed);

        let bowl = product(&kit, &owner, &creator, "Wide bowl").await;
        variant(&kit, &owner, &bowl, "BOWL-S", "25.00").await;
        let input = json!({
            "productId": bowl, "sku": "BOWL-L", "title": "Large",
            "price": { "amount": "40", "currency": "EUR" }, "weightGrams": 900,
            "lengthMm": 300, "widthMm": 300, "heightMm": 120, "taxClass": "REDUCED",
        });
        let fields = "variant { sku title price { amount currency } weightGrams lengthMm widthMm heightMm \
                      taxClass archivedAt product { priceMin { amount } version } }";
        let payload = mutate(&kit, &owner, "variantCreate", fields, input).await;
        let made = json!({
            "sku": "BOWL-L", "title": "Large", "price": { "amount": "40.00", "currency": "EUR" },
            "weightGrams": 900, "lengthMm": 300,
            "widthMm": 300, "heightMm": 120, "taxClass": "REDUCED", "archivedAt": null,
            "product": { "priceMin": { "amount": "25.00" }, "version": 3 },
        });
        assert_eq!(payload["variant"], made);

        // A past slug still finds the object. Storefronts redirect to the slug in the answer.
        let query = r#"{ creator(slug: "olaria-do-sul") { slug }
            product(creator: "olaria-do-sul", slug: "wide-bowl") {
                slug title tags creator { slug } variants { sku }
            } }"#;
        let answer = ask(&kit, None, query, json!({})).await;
        let seen = json!({
            "creator": { "slug": "olaria" },
            "product": { "slug": "wide-bowl", "title": "Wide bowl", "tags": ["clay"],
                "creator": { "slug": "olaria" },
                "variants": [{ "sku": "BOWL-S" }, { "sku": "BOWL-L" }] },
        });
        assert_eq!(answer["data"], seen);
        let answer = ask(
            &kit,
            None,
            r#"{ creator(slug: "nobody") { slug } product(creator: "olaria", slug: "none") { slug } }"#,
            json!({}),
        )
        .await;
        assert_eq!(answer["data"], json!({ "creator": null, "product": null }));
    }

    async fn all_invalid_parts_of_an_input_are_reported_at_once(kit: Kit) {
        let owner = person(&kit, "ana").await;
        let input = json!({
            "slug": "-x", "name": " ", "tagline": "t".repeat(161), "country": "pt",
            "timeZone": "Lisbon", "currency": "EUR",
            "story": "x".repeat(20_001),
        });
        let payload = mutate(&kit, &owner, "creatorCreate", "creator { id }", input).await;
        let paths = ["slug", "name", "tagline", "country", "timeZone", "story"];
        assert_eq!(errors(&payload), expected(&paths.map(|path| ("INVALID", path))));
        assert_eq!(payload["creator"], Value::Null);

        let creator = creator(&kit, &owner, "Olaria").await;
        let bowl = product(&kit, &owner, &creator, "Bowl").await;
        let before = kit.state().await;
        let many = (0..21).map(|number| format!("tag-{number}")).collect::<Vec<_>>();
        for (field, input, paths) in [
            ("creatorUpdate", json!({ "id": bowl, "name": "" }), &["id", "name"][..]),
            (
                "productCreate",
                json!({ "creatorId": "x", "title": "", "tags": ["a b", "clay", "-"] }),
                &["creatorId", "title", "tags.0", "tags.2"],
            ),
            (
                "productUpdate",
                json!({ "id": bowl, "title": "", "summary": "s".repeat(301), "tags": many }),
                &["title", "summary", "tags"],
            ),
            ("productArchive", json!({ "id": creator }), &["id"]),
            ("productUnarchive", json!({ "id": "" }), &["id"]),
            (
                "variantCreate",
                json!({
                    "productId": bowl, "sku": "a b", "title": "",
                    "price": { "amount": "1.005", "currency": "EUR" }, "weightGrams": -1, "heightMm": 5001,
                }),
                &["sku", "title", "price.amount", "weightGrams", "heightMm"],
            ),
            (
                "variantUpdate",
                json!({ "id": bowl, "price": { "amount": "1e3", "currency": "EUR" }, "lengthMm": -5 }),
                &["id", "price.amount", "lengthMm"],
            ),
            ("variantArchive", json!({ "id": bowl }), &["id"]),
            ("variantUnarchive", json!({ "id": bowl }), &["id"]),
        ] {
            let payload = mutate(&kit, &owner, field, "", input).await;
            let wrong: Vec<_> = paths.iter().map(|path| ("INVALID", *path)).collect();
            assert_eq!(errors(&payload), expected(&wrong), "{field}");
        }
        assert_eq!(kit.state().await, before);
    }

    async fn a_refusal_is_returned_as_data_with_its_code(kit: Kit) {
        let owner = person(&kit, "ana").await;
        let (creator, other) =
            (creator(&kit, &owner, "Olaria").await, creator(&kit, &owner, "Oficina").await);
        let (bowl, cup) =
            (product(&kit, &owner, &creator, "Bowl").await, product(&kit, &owner, &creator, "Cup").await);
        variant(&kit, &owner, &bowl, "BOWL", "25.00").await;
        let mug = variant(&kit, &owner, &cup, "MUG", "9.00").await;
        let before = kit.state().await;
        let yen = |amount: &str| json!({ "amount": amount, "currency": "JPY" });
        let euros = |amount: &str| json!({ "amount": amount, "currency": "EUR" });
        let profile = json!({ "name": "益子", "country": "JP", "timeZone": "Asia/Tokyo", "currency": "JPY" });
        for (field, input, codes) in [
            ("creatorCreate", profile, &[("SLUG_NEEDED", "slug")][..]),
            ("creatorUpdate", json!({ "id": other, "version": 9 }), &[("CONFLICT", "version")]),
            (
                "creatorUpdate",
                json!({ "id": creator, "slug": "oficina", "currency": "JPY" }),
                &[("SLUG_TAKEN", "slug"), ("CURRENCY_FIXED", "currency")],
            ),
            ("productCreate", json!({ "creatorId": creator, "title": "Bowl" }), &[("SLUG_TAKEN", "slug")]),
            ("productCreate", json!({ "creatorId": creator, "title": "益子" }), &[("SLUG_NEEDED", "slug")]),
            ("productUpdate", json!({ "id": cup, "slug": "bowl" }), &[("SLUG_TAKEN", "slug")]),
            ("productUpdate", json!({ "id": cup, "version": 1 }), &[("CONFLICT", "version")]),
            (
                "variantCreate",
                json!({ "productId": cup, "sku": "BOWL", "title": "Twin", "price": yen("100") }),
                &[("CURRENCY_MISMATCH", "price"), ("SKU_TAKEN", "sku")],
            ),
            (
                "variantUpdate",
                json!({ "id": mug, "sku": "BOWL", "price": euros("0") }),
                &[("PRICE_OUT_OF_RANGE", "price"), ("SKU_TAKEN", "sku")],
            ),
        ] {
            let payload = mutate(&kit, &owner, field, "", input).await;
            assert_eq!(errors(&payload), expected(codes), "{field}");
        }
        assert_eq!(kit.state().await, before);
    }

    async fn forbidden_writes_are_refused_and_ids_of_other_tenants_are_unknown(kit: Kit) {
        let (owner, stranger) = (person(&kit, "ana").await, person(&kit, "bea").await);
        let creator_id = creator(&kit, &owner, "Olaria").await;
        let bowl = product(&kit, &owner, &creator_id, "Bowl").await;
        let small = variant(&kit, &owner, &bowl, "BOWL", "25.00").await;
        let elsewhere = creator(&kit, &stranger, "Oficina").await;
        let publishable = token(&kit, &creator_id, TokenKind::Publishable, &[]).await;
        let reader = token(&kit, &creator_id, TokenKind::Secret, &[Permission::CatalogRead]).await;
        let foreign =
            token(&kit, &elsewhere, TokenKind::Secret, &[Permission::CatalogWrite, Permission::ProfileWrite])
                .await;
        let unknown = |id: &str| {
            let prefix = id.split('_').next().unwrap();
            format!("{prefix}_01h455vb4pex5vsknk084sn02q")
        };
        let price = json!({ "amount": "1.00", "currency": "EUR" });
        let before = kit.state().await;
        for (field, input, path) in [
            ("creatorUpdate", json!({ "id": creator_id, "name": "Mine" }), "id"),
            ("creatorUpdate", json!({ "id": unknown(&creator_id), "name": "Mine" }), "id"),
            ("productCreate", json!({ "creatorId": creator_id, "title": "Mine" }), "creatorId"),
            ("productCreate", json!({ "creatorId": unknown(&creator_id), "title": "Mine" }), "creatorId"),
            ("productUpdate", json!({ "id": bowl, "title": "Mine" }), "id"),
            ("productUpdate", json!({ "id": unknown(&bowl), "title": "Mine" }), "id"),
            ("productArchive", json!({ "id": bowl }), "id"),
            ("productArchive", json!({ "id": unknown(&bowl) }), "id"),
            ("productUnarchive", json!({ "id": bowl }), "id"),
            ("productUnarchive", json!({ "id": unknown(&bowl) }), "id"),
            (
                "variantCreate",
                json!({ "productId": bowl, "sku": "MINE", "title": "Mine", "price": price }),
                "productId",
            ),
            (
                "variantCreate",
                json!({ "productId": unknown(&bowl), "sku": "MINE", "title": "Mine", "price": price }),
                "productId",
            ),
            ("variantUpdate", json!({ "id": small, "title": "Mine" }), "id"),
            ("variantUpdate", json!({ "id": unknown(&small), "title": "Mine" }), "id"),
            ("variantArchive", json!({ "id": small }), "id"),
            ("variantArchive", json!({ "id": unknown(&small) }), "id"),
            ("variantUnarchive", json!({ "id": small }), "id"),
            ("variantUnarchive", json!({ "id": unknown(&small) }), "id"),
        ] {
            for token in [&stranger, &foreign] {
                let payload = mutate(&kit, token, field, "", input.clone()).await;
                assert_eq!(errors(&payload), expected(&[("NOT_FOUND", path)]), "{field}");
                assert_eq!(payload["errors"][0]["message"], "not found");
            }
            let mut name = field.to_owned();
            name.get_mut(..1).unwrap().make_ascii_uppercase();
            let query = format!(
                "mutation M($input: {name}Input!) {{ {field}(input: $input) {{ errors {{ code }} }} }}"
            );
            for (token, code) in
                [(None, "UNAUTHENTICATED"), (Some(&publishable), "FORBIDDEN"), (Some(&reader), "FORBIDDEN")]
            {
                let answer = ask(&kit, token.map(String::as_str), &query, json!({ "input": input })).await;
                assert_eq!(answer["errors"][0]["extensions"]["code"], code, "{field} {answer}");
            }
        }
        let profile =
            json!({ "name": "Mine", "country": "PT", "timeZone": "Europe/Lisbon", "currency": "EUR" });
        let query =
            "mutation M($input: CreatorCreateInput!) { creatorCreate(input: $input) { errors { code } } }";
        for (token, code) in [(None, "UNAUTHENTICATED"), (Some(foreign.as_str()), "FORBIDDEN")] {
            let answer = ask(&kit, token, query, json!({ "input": profile })).await;
            assert_eq!(answer["errors"][0]["extensions"]["code"], code, "{answer}");
        }
        // The last use of tokens is recorded; nothing else has changed.
        let after = kit.state().await;
        for table in ["creators", "products", "variants", "outbox", "audit", "slugs", "tags"] {
            assert_eq!(after.count(table), before.count(table), "{table}");
        }
    }

    async fn a_secret_token_may_do_what_its_permissions_allow(kit: Kit) {
        let owner = person(&kit, "ana").await;
        let creator = creator(&kit, &owner, "Olaria").await;
        let bowl = product(&kit, &owner, &creator, "Bowl").await;
        let writer = token(&kit, &creator, TokenKind::Secret, &[Permission::CatalogWrite]).await;
        let archive =
            mutate(&kit, &writer, "productArchive", "product { archivedAt }", json!({ "id": bowl })).await;
        assert_eq!(errors(&archive), []);
        assert!(archive["product"]["archivedAt"].is_string());
        // The token may write objects that it may not read.
        let back =
            mutate(&kit, &writer, "productUnarchive", "product { archivedAt }", json!({ "id": bowl })).await;
        assert_eq!(back["product"]["archivedAt"], Value::Null);
        let small = variant(&kit, &writer, &bowl, "BOWL", "25.00").await;
        let archive = mutate(
            &kit,
            &writer,
            "variantArchive",
            "variant { archivedAt product { priceMin { amount } } }",
            json!({ "id": small }),
        )
        .await;
        assert!(archive["variant"]["archivedAt"].is_string());
        assert_eq!(archive["variant"]["product"]["priceMin"], Value::Null);
        let back = mutate(
            &kit,
            &writer,
            "variantUnarchive",
            "variant { archivedAt product { priceMin { amount } } }",
            json!({ "id": small }),
        )
        .await;
        assert_eq!(back["variant"]["product"]["priceMin"]["amount"], "25.00");
        let profile = token(&kit, &creator, TokenKind::Secret, &[Permission::ProfileWrite]).await;
        let payload = mutate(
            &kit,
            &profile,
            "creatorUpdate",
            "creator { name }",
            json!({ "id": creator, "name": "Oficina" }),
        )
        .await;
        assert_eq!(payload["creator"]["name"], "Oficina");
    }

    async fn archived_products_are_listed_for_their_creator_only(kit: Kit) {
        let (owner, stranger) = (person(&kit, "ana").await, person(&kit, "bea").await);
        let creator_id = creator(&kit, &owner, "Olaria").await;
        let (bowl, cup) = (
            product(&kit, &owner, &creator_id, "Bowl").await,
            product(&kit, &owner, &creator_id, "Cup").await,
        );
        let (mug, _) = (
            variant(&kit, &owner, &cup, "MUG", "9.00").await,
            variant(&kit, &owner, &cup, "CUP", "8.00").await,
        );
        mutate(&kit, &owner, "productArchive", "", json!({ "id": bowl })).await;
        mutate(&kit, &owner, "variantArchive", "", json!({ "id": mug })).await;
        let query = "query Q($filter: ProductFilter) { products(filter: $filter, sort: TITLE) {
            totalCount nodes { title variants { sku } }
        } }";
        let public = json!({ "products": {
            "totalCount": 1, "nodes": [{ "title": "Cup", "variants": [{ "sku": "CUP" }] }],
        } });
        for token in [None, Some(stranger.as_str())] {
            assert_eq!(ask(&kit, token, query, json!({})).await["data"], public);
        }
        let archived = json!({ "filter": { "creatorId": creator_id, "archived": true } });
        let own = json!({ "products": { "totalCount": 2, "nodes": [
            { "title": "Bowl", "variants": [] },
            { "title": "Cup", "variants": [{ "sku": "MUG" }, { "sku": "CUP" }] },
        ] } });
        assert_eq!(ask(&kit, Some(&owner), query, archived.clone()).await["data"], own);
        for (token, filter, code) in [
            (Some(owner.as_str()), json!({ "filter": { "archived": true } }), "BAD_USER_INPUT"),
            (Some(stranger.as_str()), archived.clone(), "FORBIDDEN"),
            (None, archived, "UNAUTHENTICATED"),
        ] {
            let answer = ask(&kit, token, query, filter).await;
            assert_eq!(answer["errors"][0]["extensions"]["code"], code, "{answer}");
        }
        let node = "query Q($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }";
        let ids = json!({ "ids": [bowl, mug, cup, creator_id] });
        let seen = ask(&kit, None, node, ids.clone()).await;
        assert_eq!(
            seen["data"]["nodes"],
            json!([
                null, null,
                { "__typename": "Product", "id": cup }, { "__typename": "Creator", "id": creator_id },
            ])
        );
        let seen = ask(&kit, Some(&owner), node, ids).await;
        assert_eq!(seen["data"]["nodes"][0], json!({ "__typename": "Product", "id": bowl }));
        assert_eq!(seen["data"]["nodes"][1], json!({ "__typename": "Variant", "id": mug }));
    }

    async fn lists_are_paged_filtered_and_sorted(kit: Kit) {
        let owner = person(&kit, "ana").await;
        let creator_id = creator(&kit, &owner, "Olaria").await;
        creator(&kit, &owner, "Atelier").await;
        for (title, amount) in [("Bowl", "25.00"), ("Cup", "9.00"), ("Plate", "18.00")] {
            let id = product(&kit, &owner, &creator_id, title).await;
            variant(&kit, &owner, &id, &title.to_uppercase(), amount).await;
        }
        let list = async |arguments: &str| {
            let query = format!(
                "{{ products({arguments}) {{ nodes {{ title }} pageInfo {{ hasNextPage endCursor }} }} }}"
            );
            ask(&kit, None, &query, json!({})).await
        };
        let titles = |answer: &Value| {
            answer["data"]["products"]["nodes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|node| node["title"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(titles(&list("sort: PRICE_ASCENDING").await), ["Cup", "Plate", "Bowl"]);
        assert_eq!(titles(&list("sort: PRICE_DESCENDING, last: 2").await), ["Plate", "Cup"]);
        assert_eq!(
            titles(
                &list(r#"sort: TITLE, filter: { tag: "CLAY", priceMax: { amount: "18", currency: "EUR" } }"#)
                    .await
            ),
            ["Cup", "Plate"]
        );
        assert_eq!(
            titles(&list(r#"filter: { priceMin: { amount: "1", currency: "JPY" } }"#).await),
            Vec::<String>::new()
        );
        let first = list("sort: TITLE, first: 2").await;
        assert_eq!(
            (titles(&first), &first["data"]["products"]["pageInfo"]["hasNextPage"]),
            (vec!["Bowl".to_owned(), "Cup".to_owned()], &json!(true))
        );
        let cursor = first["data"]["products"]["pageInfo"]["endCursor"].as_str().unwrap();
        assert_eq!(titles(&list(&format!("sort: TITLE, after: \"{cursor}\"")).await), ["Plate"]);
        for arguments in [
            format!("sort: NEWEST, after: \"{cursor}\""),
            "first: -1".to_owned(),
            "first: 101".to_owned(),
            "first: 1, last: 1".to_owned(),
            r#"filter: { creatorId: "x" }"#.to_owned(),
            r#"filter: { tag: "a b" }"#.to_owned(),
            r#"filter: { priceMin: { amount: "1", currency: "EUR" },
                         priceMax: { amount: "1", currency: "JPY" } }"#
                .to_owned(),
        ] {
            let answer = list(&arguments).await;
            assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{arguments}: {answer}");
        }
        let answer = ask(
            &kit,
            None,
            "{ creators(sort: NAME) { totalCount edges { cursor node { name } } } }",
            json!({}),
        )
        .await;
        assert_eq!(answer["data"]["creators"]["totalCount"], 2);
        assert_eq!(answer["data"]["creators"]["edges"][0]["node"]["name"], "Atelier");
        // The storefront of a creator shows that creator only.
        let shop = token(&kit, &creator_id, TokenKind::Publishable, &[]).await;
        let answer = ask(
            &kit,
            Some(&shop),
            r#"{ creators { nodes { slug } } creator(slug: "atelier") { slug } }"#,
            json!({}),
        )
        .await;
        assert_eq!(
            answer["data"],
            json!({ "creators": { "nodes": [{ "slug": "olaria" }] }, "creator": null })
        );
    }

    async fn the_number_of_statements_of_a_page_does_not_depend_on_its_size(kit: Kit) {
        let owner = person(&kit, "ana").await;
        for number in 0..6 {
            let creator_id = creator(&kit, &owner, &format!("Olaria {number}")).await;
            let bowl = product(&kit, &owner, &creator_id, "Bowl").await;
            variant(&kit, &owner, &bowl, "BOWL", "25.00").await;
        }
        let mut costs = Vec::new();
        for size in [1, 3, 6] {
            let query = format!(
                "{{ products(first: {size}) {{ nodes {{ \
                 title tags creator {{ name }} variants {{ sku product {{ slug }} }} }} }} }}"
            );
            let before = kit.db.statements();
            let answer = ask(&kit, None, &query, json!({})).await;
            assert_eq!(answer["data"]["products"]["nodes"].as_array().unwrap().len(), size, "{answer}");
            costs.push(kit.db.statements() - before);
        }
        // The list, the tags, the creators, the variants, and the products of the variants.
        assert_eq!(costs, [5, 5, 5]);
    }
}
