//! Pages of lists: the number of statements does not depend on the page size, and cursors visit each row
//! once.

use actix_web::http::StatusCode;
use domain::{
    accounts::{CreateToken, TokenName, create_token},
    platform::{
        access::{Permission, TokenKind},
        ids::CreatorId,
    },
};
use serde_json::{Value, json};
use testkit::{Kit, on_both};

use crate::edge::shop::{api, creator, data, draft, open_drop, person, posted, send, system};

const PAGE: &str = "query Page($first: Int) { drops(first: $first) {
    totalCount
    nodes {
        id slug title phase closingSoon soldOut tags opensAt closesAt priceMin { amount currency }
        creator { name slug }
        items {
            id price { amount } tiers { price { amount } upToUnits } stock { free held confirmed }
            drop { title }
            variant { sku title product { title tags creator { name } variants { sku } } }
        }
    }
} }";

/// Returns the token of a storefront that may read a creator's drafts.
async fn staff(kit: &Kit, creator: CreatorId) -> String {
    let request = CreateToken {
        name: TokenName::new("shop").unwrap(),
        kind: TokenKind::Secret,
        permissions: vec![Permission::CatalogRead],
        expires_at: None,
    };
    create_token(&kit.db, &system().as_tokens(Some(creator)), request)
        .await
        .unwrap()
        .secret
        .expose()
        .to_owned()
}

on_both! {
    async fn the_number_of_statements_of_a_page_of_drops_does_not_depend_on_its_size(kit: Kit) {
        for name in ["Salt Glaze", "Blue Loom", "Oak Turner"] {
            let (_, scope) = creator(&kit, name).await;
            for run in 1..=8 {
                open_drop(&kit, &scope, &format!("{name} {run}")).await;
            }
        }
        let mut costs = Vec::new();
        for first in [1, 2, 24] {
            let before = kit.db.statements();
            let page = data(&kit, PAGE, json!({ "first": first })).await;
            costs.push(kit.db.statements() - before);
            let nodes = page["drops"]["nodes"].as_array().unwrap();
            assert_eq!((nodes.len(), &page["drops"]["totalCount"]), (first, &json!(24)));
            for node in nodes {
                let name = node["creator"]["name"].as_str().unwrap();
                assert!(node["title"].as_str().unwrap().starts_with(name));
                assert_eq!(node["tags"], json!(["clay"]));
                for item in node["items"].as_array().unwrap() {
                    assert_eq!(item["drop"]["title"], node["title"]);
                    assert_eq!(item["variant"]["product"]["creator"]["name"], name);
                    assert_eq!(item["price"]["amount"], "40.00");
                }
            }
        }
        // The list and its count; creators, items and tags; versions of the gates and held units; tiers, the
        // items' drops and variants; products; their tags and variants.
        assert_eq!(costs, [13, 13, 13]);
        // Within a process, held units are not added up again while their gate's version is unchanged.
        let (api, mut costs) = (api(&kit), Vec::new());
        for _ in 0..2 {
            let before = kit.db.statements();
            assert_eq!(send(api.clone(), posted(PAGE, json!({ "first": 24 }))).await.code(), "");
            costs.push(kit.db.statements() - before);
        }
        assert_eq!(costs, [13, 12]);
    }

    async fn cursors_visit_each_row_once_forward_and_backward(kit: Kit) {
        let names = ["Ash", "Birch", "Cedar", "Date", "Elm"];
        for name in names {
            creator(&kit, &format!("{name} Works")).await;
        }
        let query = "query L($first: Int, $after: String, $last: Int, $before: String) {
            creators(sort: NAME, first: $first, after: $after, last: $last, before: $before) {
                edges { cursor node { name } } nodes { name }
                pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
            } }";
        for size in 1..=6 {
            let (mut forward, mut after) = (Vec::new(), Value::Null);
            loop {
                let page =
                    data(&kit, query, json!({ "first": size, "after": after })).await["creators"].take();
                assert_eq!(page["pageInfo"]["hasPreviousPage"], json!(!after.is_null()));
                forward.extend(page["nodes"].as_array().unwrap().iter().map(|node| node["name"].clone()));
                after = page["pageInfo"]["endCursor"].clone();
                assert_eq!(page["edges"].as_array().unwrap().last().unwrap()["cursor"], after);
                if page["pageInfo"]["hasNextPage"] == json!(false) {
                    break;
                }
            }
            assert_eq!(forward, names.map(|name| json!(format!("{name} Works"))), "{size}");
            let (mut backward, mut before) = (Vec::new(), Value::Null);
            loop {
                let page =
                    data(&kit, query, json!({ "last": size, "before": before })).await["creators"].take();
                let names: Vec<_> =
                    page["nodes"].as_array().unwrap().iter().rev().map(|node| node["name"].clone()).collect();
                backward.extend(names);
                before = page["pageInfo"]["startCursor"].clone();
                if page["pageInfo"]["hasPreviousPage"] == json!(false) {
                    break;
                }
            }
            backward.reverse();
            assert_eq!(backward, forward, "{size}");
        }
    }

    async fn invalid_arguments_of_a_list_are_refused_with_a_code(kit: Kit) {
        creator(&kit, "Salt Glaze").await;
        let cursor = data(&kit, "{ creators(sort: NEWEST) { pageInfo { endCursor } } }", json!({})).await;
        let cursor = cursor["creators"]["pageInfo"]["endCursor"].as_str().unwrap();
        for arguments in [
            "first: -1".to_owned(),
            "first: 101".to_owned(),
            "last: -1".to_owned(),
            "first: 1, last: 1".to_owned(),
            "after: \"nonsense\"".to_owned(),
            format!("sort: NAME, after: \"{cursor}\""),
        ] {
            let answer = send(
                api(&kit),
                posted(&format!("{{ creators({arguments}) {{ nodes {{ name }} }} }}"), json!({})),
            )
            .await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (StatusCode::OK, "BAD_USER_INPUT"),
                "{arguments}: {}",
                answer.text
            );
        }
        let drops = send(
            api(&kit),
            posted(&format!("{{ drops(after: \"{cursor}\") {{ nodes {{ id }} }} }}"), json!({})),
        )
        .await;
        assert_eq!(drops.code(), "BAD_USER_INPUT");
    }

    async fn an_id_finds_its_object_for_viewers_who_may_see_it(kit: Kit) {
        let (salt, scope) = creator(&kit, "Salt Glaze").await;
        let (blue, _) = creator(&kit, "Blue Loom").await;
        let open = open_drop(&kit, &scope, "Mugs").await;
        let hidden = draft(&kit, &scope, "Secret").await;
        let query = "query N($ids: [ID!]!) { nodes(ids: $ids) {
            __typename id ... on Drop { title items { id } } ... on Creator { name }
        } }";
        let unknown = "drop_01h455vb4pex5vsknk084sn02q";
        let ids = json!([
            open.id.to_string(),
            salt.to_string(),
            hidden.id.to_string(),
            unknown,
            "nonsense",
            "fact_01h455vb4pex5vsknk084sn02q"
        ]);
        let before = kit.db.statements();
        let seen = data(&kit, query, json!({ "ids": ids })).await["nodes"].take();
        assert_eq!(kit.db.statements() - before, 3, "drops, creators, items of drops");
        assert_eq!((&seen[0]["__typename"], &seen[0]["title"]), (&json!("Drop"), &json!("Mugs")));
        assert_eq!((&seen[1]["name"], &seen[1]["id"]), (&json!("Salt Glaze"), &json!(salt.to_string())));
        assert_eq!(seen.as_array().unwrap()[2..], [Value::Null, Value::Null, Value::Null, Value::Null]);

        // An item is visible to the viewers who may see its drop.
        let items = domain::drops::queries::items_of(&kit.db, &[open.id, hidden.id]).await.unwrap();
        let item = |drop| items[drop][0].id.to_string();
        let cases = [
            (hidden.id.to_string(), Some(staff(&kit, salt).await), true),
            (hidden.id.to_string(), Some(staff(&kit, blue).await), false),
            (item(&open.id), None, true),
            (item(&hidden.id), None, false),
            (item(&hidden.id), Some(staff(&kit, salt).await), true),
        ];
        // Cancelling changes nothing: what was never public stays hidden, and what was public stays visible.
        for is_cancelled in [false, true] {
            if is_cancelled {
                for drop in [open.id, hidden.id] {
                    domain::reservations::cancel_drop(&kit.db, &scope, drop).await.unwrap();
                }
            }
            for (id, token, found) in &cases {
                let mut request = posted("query N($id: ID!) { node(id: $id) { id } }", json!({ "id": id }));
                if let Some(token) = token {
                    request = request.insert_header(("authorization", format!("Bearer {token}")));
                }
                let answer = send(api(&kit), request).await.json();
                let expected = if *found { json!({ "id": id }) } else { Value::Null };
                assert_eq!(answer["data"], json!({ "node": expected }), "{id}");
            }
        }
        let many = vec![unknown; 101];
        assert_eq!(send(api(&kit), posted(query, json!({ "ids": many }))).await.code(), "BAD_USER_INPUT");
    }

    async fn an_account_is_a_node_for_its_owner_only(kit: Kit) {
        let (ada, eve) = (person(&kit, "ada").await, person(&kit, "eve").await);
        let ask = async |token: &str, query: &str, variables: Value| {
            let request =
                posted(query, variables).insert_header(("authorization", format!("Bearer {token}")));
            send(api(&kit), request).await.json()["data"].take()
        };
        let own =
            ask(&ada, "{ viewer { account { id } } }", json!({})).await["viewer"]["account"]["id"].take();
        let query = "query N($id: ID!) { node(id: $id) { id ... on Account { email } } }";
        assert_eq!(
            ask(&ada, query, json!({ "id": own })).await["node"],
            json!({ "id": own, "email": "ada@example.org" })
        );
        assert_eq!(ask(&eve, query, json!({ "id": own })).await["node"], Value::Null);
    }
}
