//! Pickup places over HTTP: a creator keeps them, a drop offers them, and a buyer sees the address after
//! paying.

use domain::{
    accounts::open_session_for,
    payments::{
        apply,
        gateway::{Intent, IntentState},
        of_checkouts,
    },
    platform::ids::{AccountId, CheckoutId},
    reservations::pay,
};
use serde_json::{Value, json};
use testkit::{
    Kit,
    market::{Market, item},
    on_both, requests,
};

use crate::edge::shop::{api, posted, send, system};

async fn session(kit: &Kit, account: AccountId) -> String {
    let session = open_session_for(&kit.db, &system(), account).await.unwrap().unwrap();
    session.secret.expose().to_owned()
}

/// Returns the `data` of a request with a bearer token, or of an anonymous one.
async fn ask(kit: &Kit, token: Option<&str>, query: &str, variables: Value) -> Value {
    let mut request = posted(query, variables);
    if let Some(token) = token {
        request = request.insert_header(("authorization", format!("Bearer {token}")));
    }
    let answer = send(api(kit), request).await.json();
    assert_eq!(answer["errors"], Value::Null, "{answer}");
    answer["data"].clone()
}

/// Pays the deposit of a checkout, as its gateway reports it.
async fn pay_deposit(kit: &Kit, buyer: AccountId, checkout: CheckoutId) {
    let scope = system().as_buyer(domain::platform::access::Buyer::Account(buyer));
    pay(&kit.db, &scope, &requests::pay(checkout, "pay")).await.unwrap();
    let payment = of_checkouts(&kit.db, &[checkout]).await.unwrap().remove(&checkout).unwrap();
    let intent = Intent {
        id: format!("pi_{}", payment.id.0.simple()),
        payment: payment.id,
        state: IntentState::Succeeded,
        amount: payment.amount(),
        captured: payment.amount(),
        action_url: None,
        decline_code: None,
        fingerprint: None,
    };
    let (payables, account) = (domain::registry::payables(), requests::gateway());
    apply(&kit.db, &system(), &payables, account.as_str(), &intent, None).await.unwrap();
}

const CREATE: &str = "mutation C($input: PickupPlaceCreateInput!) { pickupPlaceCreate(input: $input) {
    pickupPlace { id name country address { line1 line2 postalCode city } hours note archived version }
    errors { code path }
} }";
const PLACES: &str = "query P($id: ID!) { node(id: $id) { ... on Drop { pickupPlaces {
    id name city country address { line1 } hours note
} } } }";
const MINE: &str = "{ checkouts { nodes { id reservations { state pickupPlace {
    name city address { line1 postalCode } hours note
} } quote { lines { pickupPlace { name } } } } } }";

on_both! {
    async fn a_creator_keeps_places_and_only_paying_buyers_see_their_addresses(kit: Kit) {
        let market = Market::new(&kit).await;
        let (owner, ada) = (market.account("owner").await, market.account("ada").await);
        let (member, buyer) = (session(&kit, owner).await, session(&kit, ada).await);
        let scope = market.creator_of(Some(owner), "Salt Glaze").await;
        let creator = scope.creator().to_string();
        let input = json!({ "creatorId": creator, "name": "Yard", "line1": "Kiln Lane 1", "line2": " ",
            "postalCode": "10115", "city": "Berlin", "country": "DE", "hours": "Fri", "note": "Ring." });
        let mut made = ask(&kit, Some(&member), CREATE, json!({ "input": input })).await;
        let made = made["pickupPlaceCreate"].take();
        assert_eq!(made["errors"], json!([]));
        let yard = made["pickupPlace"]["id"].clone();
        assert_eq!(
            made["pickupPlace"],
            json!({ "id": yard, "name": "Yard", "country": "DE", "hours": "Fri", "note": "Ring.",
                "archived": false, "version": 1,
                "address": { "line1": "Kiln Lane 1", "line2": null, "postalCode": "10115",
                    "city": "Berlin" } })
        );
        let mut wrong = input.clone();
        (wrong["name"], wrong["country"], wrong["note"]) = (json!(""), json!("XX"), json!("x".repeat(501)));
        let refused = ask(&kit, Some(&member), CREATE, json!({ "input": wrong })).await;
        let invalid = |field: &str| json!({ "code": "INVALID", "path": [field] });
        assert_eq!(
            refused["pickupPlaceCreate"]["errors"],
            json!([invalid("name"), invalid("country"), invalid("note")])
        );

        let places = vec![yard.as_str().unwrap().parse().unwrap()];
        let plan = market.drop(&scope, "Firing").with(item("CUP"));
        let drop = plan.terms(|terms| terms.pickup_places = places).open().await;
        let seen = async |token: Option<&str>| {
            let mut answer = ask(&kit, token, PLACES, json!({ "id": drop.drop.id.to_string() })).await;
            answer["node"]["pickupPlaces"][0].take()
        };
        let hidden = json!({ "id": yard, "name": "Yard", "city": "Berlin", "country": "DE",
            "address": null, "hours": null, "note": null });
        assert_eq!((seen(None).await, seen(Some(&buyer)).await), (hidden.clone(), hidden));
        assert_eq!(seen(Some(&member)).await["address"]["line1"], json!("Kiln Lane 1"));

        let scope = system().as_buyer(domain::platform::access::Buyer::Account(ada));
        let checkout = market.hold(&scope, &[(&drop.items[0], 1)], "one").await;
        let mine = async || ask(&kit, Some(&buyer), MINE, json!({})).await["checkouts"]["nodes"][0].take();
        let held = mine().await;
        assert_eq!(held["quote"]["lines"][0]["pickupPlace"], json!({ "name": "Yard" }));
        assert_eq!(
            held["reservations"],
            json!([{ "state": "HELD", "pickupPlace":
                { "name": "Yard", "city": "Berlin", "address": null, "hours": null, "note": null } }])
        );
        pay_deposit(&kit, ada, checkout).await;
        assert_eq!(
            mine().await["reservations"],
            json!([{ "state": "CONFIRMED", "pickupPlace": { "name": "Yard", "city": "Berlin",
                "address": { "line1": "Kiln Lane 1", "postalCode": "10115" },
                "hours": "Fri", "note": "Ring." } }])
        );
        assert_eq!(seen(Some(&buyer)).await["address"]["line1"], json!("Kiln Lane 1"));
        assert_eq!(seen(None).await["address"], Value::Null);
    }

    async fn the_list_of_places_is_for_members(kit: Kit) {
        let market = Market::new(&kit).await;
        let (owner, ada) = (market.account("owner").await, market.account("ada").await);
        let scope = market.creator_of(Some(owner), "Salt Glaze").await;
        let yard = market.pickup_place(&scope, "Yard").await;
        market.pickup_place(&scope, "Stall").await;
        let archive = "mutation A($id: ID!) { pickupPlaceArchive(input: { id: $id }) {
            pickupPlace { archived } errors { code } } }";
        let (member, buyer) = (session(&kit, owner).await, session(&kit, ada).await);
        ask(&kit, Some(&member), archive, json!({ "id": yard.to_string() })).await;
        let list = "query L($id: ID!) { node(id: $id) { ... on Creator {
            pickupPlaces { totalCount nodes { name } }
            gone: pickupPlaces(archived: true) { totalCount nodes { name address { line1 } } }
        } } }";
        let listed = async |token| {
            ask(&kit, token, list, json!({ "id": scope.creator().to_string() })).await["node"].take()
        };
        assert_eq!(
            listed(Some(&*member)).await,
            json!({ "pickupPlaces": { "totalCount": 1, "nodes": [{ "name": "Stall" }] },
                "gone": { "totalCount": 1, "nodes": [
                    { "name": "Yard", "address": { "line1": "Kiln Lane 1, second yard" } }] } })
        );
        for stranger in [None, Some(&*buyer)] {
            assert_eq!(listed(stranger).await, json!({ "pickupPlaces": null, "gone": null }));
        }
    }
}
