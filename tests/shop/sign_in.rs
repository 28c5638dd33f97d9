//! Signing in: the responses do not reveal who has an account, and password guessing is rate-limited.

use std::time::Instant;

use serde_json::{Value, json};

use crate::shop::market::{ADMIN, Market, PASSWORD, mutation};

/// The number of attempts per minute for one address or one account.
const TRIES: usize = 20;

on_both! {
    async fn the_responses_are_the_same_whether_an_account_exists_or_not(setup: Setup) {
        let market = Market::open(setup, 1, 0).await;
        let sign_in = mutation("sessionSignIn", "token retryAfterSeconds viewer { kind } expiresAt");
        let wrong =
            answer(&market, &sign_in, json!({ "email": ADMIN, "password": "wrong horse battery" })).await;
        let unknown =
            answer(&market, &sign_in, json!({ "email": "nobody@example.org", "password": PASSWORD })).await;
        assert_eq!(wrong, unknown);
        assert_eq!(
            wrong.1["data"]["sessionSignIn"]["errors"],
            json!([{ "code": "BAD_CREDENTIALS", "path": [] }])
        );

        for (name, rest) in [
            ("accountSignUp", json!({ "name": "Ada", "password": PASSWORD })),
            ("accountRequestPasswordReset", json!({})),
            ("guestStart", json!({})),
        ] {
            let ask = async |email: &str| {
                let mut input = rest.clone();
                input["email"] = json!(email);
                answer(&market, &mutation(name, "accepted retryAfterSeconds"), input).await
            };
            let known = ask(ADMIN).await;
            assert_eq!(known, ask(&format!("{}@example.org", name.to_lowercase())).await, "{name}");
            assert_eq!(
                known.1["data"][name],
                json!({ "accepted": true, "retryAfterSeconds": null, "errors": [] })
            );
        }
        // Only the owner of the address learns about it from a letter, and the password is unchanged.
        market.letter(ADMIN, "Subject: You already have an account").await;
        market.sign_in(ADMIN, PASSWORD).await;
    }

    async fn the_twenty_first_attempt_in_a_minute_is_refused_even_with_the_right_password(setup: Setup) {
        let market = Market::open(setup, 1, 0).await;
        let sign_in = mutation("sessionSignIn", "token retryAfterSeconds");
        let began = Instant::now();
        let mut tries = 0;
        let refused = loop {
            let (_, body) =
                answer(&market, &sign_in, json!({ "email": ADMIN, "password": "wrong horse battery" })).await;
            let payload = body["data"]["sessionSignIn"].clone();
            if payload["errors"][0]["code"] != "BAD_CREDENTIALS" {
                break payload;
            }
            tries += 1;
            assert!(tries < 3 * TRIES, "the attempts are not limited");
        };
        assert_eq!(refused["errors"], json!([{ "code": "TOO_MANY_TRIES", "path": [] }]));
        assert!(
            refused["retryAfterSeconds"].as_u64().is_some_and(|wait| (1..=60).contains(&wait)),
            "{refused}"
        );
        // One of the twenty attempts was used to create the marketplace. One is regained every three seconds.
        let come_back = usize::try_from(began.elapsed().as_secs() / 3).unwrap() + 1;
        assert!(
            (TRIES - 1..=TRIES - 1 + come_back).contains(&tries),
            "{tries} tries in {:?}",
            began.elapsed()
        );

        // Nobody can sign in from this address now: the address is limited as well as the account.
        for (email, password) in [(ADMIN, PASSWORD), ("nobody@example.org", PASSWORD)] {
            let (status, body) =
                answer(&market, &sign_in, json!({ "email": email, "password": password })).await;
            let payload = &body["data"]["sessionSignIn"];
            assert_eq!(
                (status, &payload["errors"][0]["code"]),
                (200, &json!("TOO_MANY_TRIES")),
                "{email}: {payload}"
            );
            assert_eq!(payload["token"], json!(null));
        }
        // Existing sessions still work.
        let data = market.graphql(Some(&market.admin), "{ viewer { kind } }", json!({})).await;
        assert_eq!(data["viewer"]["kind"], "ACCOUNT");
    }
}

async fn answer(market: &Market, query: &str, input: Value) -> (u16, Value) {
    market.send(None, query, json!({ "input": input })).await
}
