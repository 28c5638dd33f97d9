//! Tenancy: for every operation that takes an id, the response for another person's object is exactly the
//! same as for an unknown id.

use serde_json::{Value, json};

use crate::shop::market::{CHECKOUT, Market, drop_input, id, mutation, new_key};

/// Returns an id that does not exist: the known id with its last character replaced by `z` or `y`.
fn unknown(known: &str) -> String {
    let (rest, last) = known.split_at(known.len() - 1);
    format!("{rest}{}", if last == "z" { 'y' } else { 'z' })
}

/// Sends an operation with the id of another person's object and with an unknown id. The responses must be
/// identical.
async fn alike(
    market: &Market,
    who: (&str, Option<&str>),
    query: &str,
    known: &str,
    variables: impl Fn(&str) -> Value,
) -> Value {
    let (name, token) = who;
    let foreign = market.send(token, query, variables(known)).await;
    let missing = market.send(token, query, variables(&unknown(known))).await;
    assert_eq!(foreign, missing, "{name} with {known}: {query}");
    foreign.1
}

on_both! {
    #[expect(clippy::too_many_lines, reason = "one table of cases")]
    async fn another_persons_objects_look_exactly_like_unknown_ones(setup: Setup) {
        let market = Market::open(setup, 10, 2).await;
        let things = Things::make(&market).await;
        let (buyer, rival) = (&market.buyers[0], &market.buyers[1]);
        let own = market.new_creator(rival, "Rivals").await;
        let (_, own_variant) = market.new_variant(rival, &own, "CUP-1").await;
        let (own_draft, _) = market.new_draft(rival, &own, &own_variant, "Cups", 5).await;
        let guest = guest(&market).await;
        let before = things.as_their_owners_see_them(&market, buyer).await;

        let (rival_asks, guest_asks) = (("rival", Some(rival.as_str())), ("guest", Some(guest.as_str())));
        for who in [("nobody", None), rival_asks, guest_asks, ("admin", Some(market.admin.as_str()))] {
            let administers = who.0 == "admin";
            for known in
                [&things.checkout, &things.reservation, &things.draft, &things.draft_item, &things.account]
            {
                if administers && *known == things.account {
                    continue;
                }
                let of_one = "query($id: ID!) { node(id: $id) { __typename id } }";
                let body = alike(&market, who, of_one, known, |id| json!({ "id": id })).await;
                assert_eq!(body["data"]["node"], json!(null), "{known}");
                let of_many = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }";
                let body =
                    alike(&market, who, of_many, known, |id| json!({ "ids": [market.drop, id] })).await;
                assert_eq!(body["data"]["nodes"][1], json!(null), "{known}");
                assert_eq!(body["data"]["nodes"][0]["id"], json!(market.drop));
            }
            for (query, known) in [
                ("query($id: ID!) { checkout(id: $id) { id } }", &things.checkout),
                ("query($id: ID!) { reservations(creatorId: $id) { totalCount } }", &market.creator),
                ("query($id: ID!) { apiTokens(creatorId: $id) { totalCount } }", &market.creator),
            ] {
                alike(&market, who, query, known, |id| json!({ "id": id })).await;
            }
            let draft = "query($c: String!, $s: String!) { drop(creator: $c, slug: $s) { id } }";
            let body = alike(
                &market,
                who,
                draft,
                "secret-plans",
                |slug| json!({ "c": "olaria-do-vale", "s": slug }),
            )
            .await;
            assert_eq!(body["data"]["drop"], json!(null));
            let quote = "query($i: CheckoutQuoteInput!) { \
                         checkoutQuote(input: $i) { errors { code path message } } }";
            let line =
                |id: &str| json!({ "i": { "country": "DE", "lines": [{ "itemId": id, "units": 1 }] } });
            let body = alike(&market, who, quote, &things.draft_item, line).await;
            assert_eq!(body["data"]["checkoutQuote"]["errors"][0]["code"], "NOT_FOUND", "{body:#}");
        }

        for who in [rival_asks, guest_asks, ("nobody", None)] {
            for (name, known, input) in things.changes(&market, &own, &own_draft) {
                let query =
                    mutation(name, "").replace("errors { code path }", "errors { code path message }");
                let body = alike(&market, who, &query, known, |id| json!({ "input": input(id) })).await;
                if who.0 == "rival" {
                    let code = body["data"][name]["errors"][0]["code"].as_str().unwrap_or_default();
                    assert!(code == "NOT_FOUND" || code == "VARIANT_NOT_FOUND", "{name}: {body:#}");
                } else {
                    let buys = matches!(name, "checkoutReserve" | "checkoutPay" | "reservationCancel")
                        && who.0 == "guest";
                    let code = &body["errors"][0]["extensions"]["code"];
                    assert!(
                        buys || code == "FORBIDDEN" || code == "UNAUTHENTICATED",
                        "{name} by {}: {body:#}",
                        who.0
                    );
                }
            }
        }
        assert_eq!(
            things.as_their_owners_see_them(&market, buyer).await,
            before,
            "strangers changed something"
        );
    }
}

/// The objects of the creator's owner and of a buyer.
struct Things {
    draft: String,
    draft_item: String,
    token: String,
    checkout: String,
    reservation: String,
    account: String,
    session: String,
}

type Change<'a> = (&'static str, &'a str, Box<dyn Fn(&str) -> Value + 'a>);

impl Things {
    async fn make(market: &Market) -> Self {
        let owner = &market.owner;
        let (draft, draft_item) =
            market.new_draft(owner, &market.creator, &market.variant, "Secret plans", 5).await;
        let input = json!({ "creatorId": market.creator, "kind": "PUBLISHABLE", "name": "Window" });
        let token = id(&market.done(owner, "apiTokenCreate", "token { id }", input).await["token"]);
        let buyer = &market.buyers[0];
        let checkout = market.reserve(buyer).await;
        let reservation = id(&market.checkout(buyer, &checkout).await["reservations"][0]);
        let query = "{ viewer { account { id sessions { nodes { id } } } } }";
        let viewer = market.graphql(Some(buyer), query, json!({})).await["viewer"]["account"].clone();
        let (account, session) = (id(&viewer), id(&viewer["sessions"]["nodes"][0]));
        Self { draft, draft_item, token, checkout, reservation, account, session }
    }

    /// Returns every mutation that takes the id of an object that can belong to another person. Two of them
    /// also take an own object.
    fn changes<'a>(&'a self, market: &'a Market, own: &'a str, own_draft: &'a str) -> Vec<Change<'a>> {
        let mut changes: Vec<Change<'a>> = Vec::new();
        for drop in [self.draft.as_str(), &market.drop] {
            changes.push(("dropUpdate", drop, Box::new(|id| json!({ "id": id, "title": "Mine" }))));
            for name in ["dropPublish", "dropCancel", "dropWithdraw"] {
                changes.push((name, drop, Box::new(|id| json!({ "id": id }))));
            }
            let item = |id: &str| {
                let tiers = json!([{ "price": "1.00" }]);
                json!({
                    "dropId": id, "variantId": market.variant, "units": 1, "perBuyerMax": 1, "tiers": tiers,
                })
            };
            changes.push(("dropItemAdd", drop, Box::new(item)));
        }
        for item in [self.draft_item.as_str(), &market.item] {
            changes.push(("dropItemUpdate", item, Box::new(|id| json!({ "id": id, "units": 1 }))));
            changes.push(("dropItemRemove", item, Box::new(|id| json!({ "id": id }))));
        }
        let creator = market.creator.as_str();
        changes.push(("dropCreate", creator, Box::new(|id| drop_input(id, "Mine"))));
        changes.push(("productCreate", creator, Box::new(|id| json!({ "creatorId": id, "title": "Mine" }))));
        changes.push(("creatorUpdate", creator, Box::new(|id| json!({ "id": id, "name": "Mine" }))));
        changes.push((
            "creatorShippingTariffsSet",
            creator,
            Box::new(|id| json!({ "creatorId": id, "tariffs": [] })),
        ));
        let window = |id: &str| json!({ "creatorId": id, "kind": "PUBLISHABLE", "name": "Mine" });
        changes.push(("apiTokenCreate", creator, Box::new(window)));
        changes.push((
            "apiTokenRevoke",
            creator,
            Box::new(|id| json!({ "creatorId": id, "id": self.token })),
        ));
        changes.push((
            "apiTokenRevoke",
            &self.token,
            Box::new(move |id| json!({ "creatorId": own, "id": id })),
        ));
        let into_own = move |id: &str| {
            let tiers = json!([{ "price": "1.00" }]);
            json!({ "dropId": own_draft, "variantId": id, "units": 1, "perBuyerMax": 1, "tiers": tiers })
        };
        changes.push(("dropItemAdd", &market.variant, Box::new(into_own)));
        let price = json!({ "amount": "1.00", "currency": "EUR" });
        let variant =
            move |id: &str| json!({ "productId": id, "sku": "MINE", "title": "Mine", "price": price });
        changes.push(("variantCreate", &market.product, Box::new(variant)));
        changes.push(("productUpdate", &market.product, Box::new(|id| json!({ "id": id, "title": "Mine" }))));
        changes.push(("productArchive", &market.product, Box::new(|id| json!({ "id": id }))));
        changes.push(("variantUpdate", &market.variant, Box::new(|id| json!({ "id": id, "title": "Mine" }))));
        changes.push(("variantArchive", &market.variant, Box::new(|id| json!({ "id": id }))));
        changes.push(("sessionRevoke", &self.session, Box::new(|id| json!({ "id": id }))));
        changes.push((
            "checkoutReserve",
            &self.draft_item,
            Box::new(|id| market.reserving(id, "stranger-1")),
        ));
        let pay = |id: &str| {
            json!({
                "checkoutId": id, "paymentMethod": "pm_sandbox_success", "idempotencyKey": new_key(),
            })
        };
        changes.push(("checkoutPay", &self.checkout, Box::new(pay)));
        let cancel = |id: &str| json!({ "reservationId": id, "idempotencyKey": new_key() });
        changes.push(("reservationCancel", &self.reservation, Box::new(cancel)));
        changes
    }

    async fn as_their_owners_see_them(&self, market: &Market, buyer: &str) -> Value {
        let query = "query($creator: ID!, $draft: ID!, $drop: ID!, $product: ID!) {
            creator: node(id: $creator) { ... on Creator { name version shippingTariffs { country } } }
            draft: node(id: $draft) { ... on Drop { title phase version items { id units } } }
            drop: node(id: $drop) { ... on Drop { title phase version items { id units } } }
            product: node(id: $product) {
                ... on Product { title version archivedAt variants { title archivedAt } }
            }
            apiTokens(creatorId: $creator) { nodes { id revokedAt } }
            reservations(creatorId: $creator) { nodes { id state } }
        }";
        let ids = json!({
            "creator": market.creator, "draft": self.draft, "drop": market.drop, "product": market.product,
        });
        let owners = market.graphql(Some(&market.owner), query, ids).await;
        let query = format!(
            "{{ checkouts {{ nodes {{ {CHECKOUT} }} }} \
             viewer {{ account {{ sessions {{ totalCount }} }} }} }}"
        );
        json!([owners, market.graphql(Some(buyer), &query, json!({})).await])
    }
}

async fn guest(market: &Market) -> String {
    let email = "stranger@example.org";
    market.graphql(None, &mutation("guestStart", "accepted"), json!({ "input": { "email": email } })).await;
    let link = market.code_from(email, "/confirm-guest?").await;
    let data =
        market.graphql(None, &mutation("guestConfirm", "token"), json!({ "input": { "link": link } })).await;
    data["guestConfirm"]["token"].as_str().unwrap().to_owned()
}
