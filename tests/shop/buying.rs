//! Purchases: from a new e-mail address to a confirmed reservation, and all outcomes of a payment.

use serde_json::json;

use crate::shop::market::{self, CHECKOUT, DEPOSIT, Market, PASSWORD, RETURN_URL, address_of, new_key};

on_both! {
    async fn a_newcomer_signs_up_confirms_by_letter_signs_in_reserves_and_pays(setup: Setup) {
        let market = Market::open(setup, 10, 0).await;
        let email = "nina@example.org";
        let sign_up = market::mutation("accountSignUp", "accepted");
        let input = json!({ "input": { "email": email, "name": "Nina", "password": PASSWORD } });
        let data = market.graphql(None, &sign_up, input).await;
        assert_eq!(data["accountSignUp"], json!({ "accepted": true, "errors": [] }));

        // The buyer is signed in, but the e-mail address is not confirmed yet.
        let early = market.sign_in(email, PASSWORD).await;
        let reserve = market::mutation("checkoutReserve", "checkout { id }");
        let input = json!({ "input": market.reserving(&market.item, &new_key()) });
        let (_, body) = market.send(Some(&early), &reserve, input).await;
        assert_eq!(body["errors"][0]["extensions"]["code"], "EMAIL_UNCONFIRMED", "{body:#}");
        assert_eq!(market.stock().await, (10, 0, 0));

        let link = market.code_from(email, "/confirm-email?").await;
        let confirm = market::mutation("accountConfirmEmail", "account { emailConfirmed }");
        let data = market.graphql(None, &confirm, json!({ "input": { "link": link } })).await;
        assert_eq!(
            data["accountConfirmEmail"],
            json!({ "account": { "emailConfirmed": true }, "errors": [] })
        );
        let data = market.graphql(None, &confirm, json!({ "input": { "link": link } })).await;
        assert_eq!(data["accountConfirmEmail"]["errors"][0]["code"], "LINK_INVALID", "a link works once");

        let nina = market.sign_in(email, PASSWORD).await;
        reserves_and_pays(&market, &nina, email).await;
    }

    async fn a_guest_confirms_an_address_by_letter_reserves_and_pays(setup: Setup) {
        let market = Market::open(setup, 10, 0).await;
        let email = "gus@example.org";
        let start = market::mutation("guestStart", "accepted");
        let data = market.graphql(None, &start, json!({ "input": { "email": email } })).await;
        assert_eq!(data["guestStart"], json!({ "accepted": true, "errors": [] }));

        let link = market.code_from(email, "/confirm-guest?").await;
        let confirm = market::mutation("guestConfirm", "token viewer { kind guest { email } }");
        let data = market.graphql(None, &confirm, json!({ "input": { "link": link } })).await;
        assert_eq!(data["guestConfirm"]["viewer"], json!({ "kind": "GUEST", "guest": { "email": email } }));
        let gus = data["guestConfirm"]["token"].as_str().unwrap();
        let data = market.graphql(None, &confirm, json!({ "input": { "link": link } })).await;
        assert_eq!(data["guestConfirm"]["errors"][0]["code"], "LINK_INVALID", "a link works once");

        reserves_and_pays(&market, gus, email).await;
    }

    async fn a_declined_payment_leaves_the_hold_and_another_method_confirms_it(setup: Setup) {
        let market = Market::open(setup, 10, 1).await;
        let buyer = &market.buyers[0];
        let checkout = market.reserve(buyer).await;
        for (method, code) in [
            ("pm_sandbox_declined", "card_declined"),
            ("pm_sandbox_insufficient_funds", "insufficient_funds"),
            ("pm_nobody_knows", "unknown_method"),
        ] {
            market.pay(buyer, &checkout, method).await;
            let seen =
                market.checkout_when(buyer, &checkout, |seen| seen["payment"]["declineCode"] == code).await;
            assert_eq!(
                (&seen["status"], &seen["payment"]["status"]),
                (&json!("HELD"), &json!("REQUIRES_METHOD")),
                "{seen:#}"
            );
            assert_eq!(market.stock().await, (9, 1, 0));
        }
        market.pay(buyer, &checkout, "pm_sandbox_success").await;
        let seen = market.checkout_when(buyer, &checkout, |seen| seen["status"] == "CONFIRMED").await;
        assert_eq!(seen["payment"]["captured"]["amount"], DEPOSIT);
        assert_eq!(seen["payment"]["declineCode"], json!(null));
        assert_eq!(market.stock().await, (9, 0, 1));
    }

    async fn a_payment_is_confirmed_on_the_gateways_page_and_the_buyer_is_sent_back(setup: Setup) {
        let market = Market::open(setup, 10, 1).await;
        let buyer = &market.buyers[0];
        let checkout = market.reserve(buyer).await;

        for (decision, payment, status) in
            [("decline", "REQUIRES_METHOD", "HELD"), ("approve", "SUCCEEDED", "CONFIRMED")]
        {
            market.pay(buyer, &checkout, "pm_sandbox_confirm").await;
            let seen = market
                .checkout_when(buyer, &checkout, |seen| seen["payment"]["status"] == "REQUIRES_ACTION")
                .await;
            let page = seen["payment"]["action"]["url"].as_str().unwrap();
            assert!(page.starts_with(&market.at("/sandbox/confirm/")), "{page}");
            let browser =
                reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
            let shown = browser.get(page).send().await.unwrap();
            assert_eq!(shown.status().as_u16(), 200);
            let html = shown.text().await.unwrap();
            assert!(html.contains(DEPOSIT) && html.contains(&format!("value=\"{decision}\"")), "{html}");

            let form = || browser.post(page).header("content-type", "application/x-www-form-urlencoded");
            let chosen = form().body(format!("decision={decision}")).send().await.unwrap();
            assert_eq!(chosen.status().as_u16(), 303);
            assert_eq!(chosen.headers()["location"], RETURN_URL);
            // The payment and the lines change together, but the query reads them one after the other.
            let both =
                |seen: &serde_json::Value| seen["payment"]["status"] == payment && seen["status"] == status;
            let seen = market.checkout_when(buyer, &checkout, both).await;
            assert_eq!(seen["payment"]["action"], json!(null));

            // Going back and choosing differently changes nothing.
            let again = form().body("decision=approve").send().await.unwrap();
            assert_eq!(again.status().as_u16(), 303);
            assert_eq!(market.checkout(buyer, &checkout).await["status"], status);
        }
        let unknown = market.client().get(market.at("/sandbox/confirm/nobody-knows")).send().await.unwrap();
        assert_eq!(unknown.status().as_u16(), 404);
    }

    /// The later settlement is tested with the workers, whose clock can be set.
    async fn a_slow_payment_extends_the_hold_and_cannot_be_cancelled(setup: Setup) {
        let market = Market::open(setup, 10, 1).await;
        let buyer = &market.buyers[0];
        let checkout = market.reserve(buyer).await;
        let before = market.checkout(buyer, &checkout).await;
        market.pay(buyer, &checkout, "pm_sandbox_late").await;
        let seen =
            market.checkout_when(buyer, &checkout, |seen| seen["payment"]["status"] == "PROCESSING").await;
        let time = |seen: &serde_json::Value| {
            chrono::DateTime::parse_from_rfc3339(seen["expiresAt"].as_str().unwrap()).unwrap()
        };
        assert!(time(&seen) > time(&before), "{before:#} {seen:#}");
        assert_eq!(seen["status"], "HELD");

        let cancel = json!({ "reservationId": seen["reservations"][0]["id"], "idempotencyKey": new_key() });
        let refused = market.tried(buyer, "reservationCancel", "checkout { id }", cancel).await;
        assert_eq!(refused["errors"][0]["code"], "PAYMENT_IN_PROCESS");
        let again = market::paying(&checkout, "pm_sandbox_success", &new_key());
        let refused = market.tried(buyer, "checkoutPay", "payment { status }", again).await;
        assert_eq!(refused["errors"][0]["code"], "PAYMENT_IN_PROCESS");
        assert_eq!(market.stock().await, (9, 1, 0));
    }

    async fn cancelled_units_are_for_sale_again_and_the_deposit_is_refunded(setup: Setup) {
        let market = Market::open(setup, 1, 2).await;
        let [first, second] = market.buyers.as_slice() else { panic!("two buyers") };
        let checkout = market.reserve(first).await;
        let sold_out = market
            .tried(second, "checkoutReserve", "checkout { id }", market.reserving(&market.item, &new_key()))
            .await;
        assert_eq!(sold_out["errors"][0]["code"], "SOLD_OUT");

        let cancel = |checkout: &serde_json::Value| {
            json!({
                "reservationId": checkout["reservations"][0]["id"], "idempotencyKey": new_key(),
            })
        };
        let held = market.checkout(first, &checkout).await;
        market.done(first, "reservationCancel", "checkout { status }", cancel(&held)).await;
        assert_eq!(market.checkout(first, &checkout).await["status"], "CANCELLED");
        let checkout = market.reserve(second).await;
        market.pay(second, &checkout, "pm_sandbox_success").await;
        let paid = market.checkout_when(second, &checkout, |seen| seen["status"] == "CONFIRMED").await;
        market.done(second, "reservationCancel", "checkout { status }", cancel(&paid)).await;
        let query = "query($id: ID!) { checkout(id: $id) { status payment { refunded { amount } } } }";
        let good = |seen: &serde_json::Value| seen["checkout"]["payment"]["refunded"]["amount"] == DEPOSIT;
        let seen = market.until(Some(second), query, json!({ "id": checkout }), good).await;
        assert_eq!(seen["checkout"]["status"], "REFUNDED");
        assert_eq!(market.stock().await, (1, 0, 0));
    }
}

/// Buys one unit, from the quote to the last letter.
async fn reserves_and_pays(market: &Market, buyer: &str, email: &str) {
    let quote = "query($input: CheckoutQuoteInput!) { checkoutQuote(input: $input) { \
                 quote { dueNow { amount } } errors { code } } }";
    let input = json!({ "country": "DE", "lines": [{ "itemId": market.item, "units": 1 }] });
    let data = market.graphql(Some(buyer), quote, json!({ "input": input })).await;
    assert_eq!(data["checkoutQuote"], json!({ "quote": { "dueNow": { "amount": DEPOSIT } }, "errors": [] }));

    let checkout = market.reserve(buyer).await;
    let held = market.letter(email, "Subject: Reserved until").await;
    assert!(held.contains(&checkout) && held.contains(DEPOSIT), "{held}");
    assert_eq!(market.stock().await, (9, 1, 0));
    market.pay(buyer, &checkout, "pm_sandbox_success").await;
    let seen = market.checkout_when(buyer, &checkout, |seen| seen["status"] == "CONFIRMED").await;
    assert_eq!(seen["payment"]["captured"]["amount"], DEPOSIT);
    assert_eq!(seen["reservations"][0]["state"], "CONFIRMED");
    let confirmed = market.letter(email, "Subject: Your reservation is confirmed").await;
    assert!(confirmed.contains(&checkout) && confirmed.contains(DEPOSIT), "{confirmed}");
    assert_eq!(market.stock().await, (9, 0, 1));

    let seen = market.checkout(buyer, &checkout).await;
    let list = market
        .graphql(Some(buyer), &format!("{{ checkouts {{ nodes {{ {CHECKOUT} }} }} }}"), json!({}))
        .await;
    assert_eq!(list["checkouts"]["nodes"], json!([seen]));
    let query = "query($id: ID!) { reservations(creatorId: $id) { nodes { id state } } }";
    let data = market.graphql(Some(&market.owner), query, json!({ "id": market.creator })).await;
    assert_eq!(
        data["reservations"]["nodes"],
        json!([{ "id": seen["reservations"][0]["id"], "state": "CONFIRMED" }])
    );
    assert_eq!(market.letters(email, "Subject: Your reservation is confirmed"), 1);
    assert_eq!(market.letters(&address_of(0), "Subject"), 0, "other buyers get no letters");
}
