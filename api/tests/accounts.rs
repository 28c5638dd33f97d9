//! Tests of accounts, and of the lists for administrators, over HTTP.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails on anything unexpected"
)]

use actix_web::{App, test};
use api::{Api, http};
use domain::{
    accounts::{AccountName, CreateAccount, Email, Password, create_account, create_admin},
    platform::access::SystemScope,
};
use serde_json::{Value, json};
use testkit::{Kit, letters, link_in, on_both, write_letter};

const PASSWORD: &str = "correct horse";

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

/// Returns the data of a query.
async fn read(kit: &Kit, token: Option<&str>, query: &str) -> Value {
    let answer = ask(kit, token, query, json!({})).await;
    assert_eq!(answer["errors"], Value::Null, "{answer}");
    answer["data"].clone()
}

/// Returns the code of a query's only error.
async fn denied(kit: &Kit, token: Option<&str>, query: &str) -> String {
    let answer = ask(kit, token, query, json!({})).await;
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// Returns the payload of a mutation with the single field `field`.
async fn mutate(kit: &Kit, token: Option<&str>, field: &str, answer: &str, input: Value) -> Value {
    let mut name = field.to_owned();
    name.get_mut(..1).unwrap().make_ascii_uppercase();
    let query = format!(
        "mutation M($input: {name}Input!) {{ {field}(input: $input) {{ {answer} errors {{ code path }} }} }}"
    );
    let answer = ask(kit, token, &query, json!({ "input": input })).await;
    assert_eq!(answer["errors"], Value::Null, "{answer}");
    answer["data"][field].clone()
}

fn error(code: &str, path: &[&str]) -> Value {
    json!({ "code": code, "path": path })
}

/// Returns the code in the link of the newest letter.
async fn newest_link(kit: &Kit) -> String {
    let letter = letters(kit).await.pop().unwrap();
    link_in(&write_letter(kit, &letter).await.unwrap())
}

fn person(email: &str) -> CreateAccount {
    CreateAccount {
        email: Email::new(email).unwrap(),
        name: AccountName::new("Ada").unwrap(),
        password: Some(Password::new(PASSWORD).unwrap()),
    }
}

async fn signs_in(kit: &Kit, email: &str) -> String {
    let input = json!({ "email": email, "password": PASSWORD });
    let payload = mutate(kit, None, "sessionSignIn", "token", input).await;
    payload["token"].as_str().unwrap_or_else(|| panic!("{payload}")).to_owned()
}

async fn account(kit: &Kit, email: &str) -> String {
    create_account(&kit.db, &SystemScope::new("test"), person(email)).await.unwrap();
    signs_in(kit, email).await
}

async fn admin(kit: &Kit) -> String {
    create_admin(&kit.db, &SystemScope::new("test"), person("root@example.org")).await.unwrap();
    signs_in(kit, "root@example.org").await
}

async fn creator(kit: &Kit, owner: &str, name: &str) -> String {
    let input = json!({ "name": name, "country": "PT", "timeZone": "Europe/Lisbon", "currency": "EUR" });
    let payload = mutate(kit, Some(owner), "creatorCreate", "creator { id }", input).await;
    payload["creator"]["id"].as_str().unwrap().to_owned()
}

on_both! {
    async fn a_person_signs_up_confirms_signs_in_and_out(kit: Kit) {
        let input = json!({ "email": "ada@", "password": "short", "name": " " });
        let payload = mutate(&kit, None, "accountSignUp", "accepted", input).await;
        let wrong = json!([
            error("INVALID", &["email"]),
            error("INVALID", &["password"]),
            error("INVALID", &["name"])
        ]);
        assert_eq!(payload, json!({ "accepted": null, "errors": wrong }));

        let input = json!({ "email": "Ada@Example.org", "password": PASSWORD, "name": "Ada" });
        let payload = mutate(&kit, None, "accountSignUp", "accepted retryAfterSeconds", input).await;
        assert_eq!(payload, json!({ "accepted": true, "retryAfterSeconds": null, "errors": [] }));
        let link = newest_link(&kit).await;
        let fields = "account { email emailConfirmed memberships { role } }";
        let payload = mutate(&kit, None, "accountConfirmEmail", fields, json!({ "link": link })).await;
        let confirmed = json!({ "email": "ada@example.org", "emailConfirmed": true, "memberships": null });
        assert_eq!(payload, json!({ "account": confirmed, "errors": [] }));
        let payload =
            mutate(&kit, None, "accountConfirmEmail", "account { id }", json!({ "link": link })).await;
        assert_eq!(payload["errors"], json!([error("LINK_INVALID", &["link"])]));

        let input = json!({ "email": "ada@example.org", "password": "wrong horse" });
        let payload = mutate(&kit, None, "sessionSignIn", "token viewer { kind }", input).await;
        assert_eq!(
            payload,
            json!({ "token": null, "viewer": null, "errors": [error("BAD_CREDENTIALS", &[])] })
        );
        let input = json!({ "email": "ada@example.org", "password": PASSWORD });
        let fields = "token expiresAt viewer { kind account { name memberships { role } } }";
        let payload = mutate(&kit, None, "sessionSignIn", fields, input).await;
        assert_eq!(
            payload["viewer"],
            json!({ "kind": "ACCOUNT", "account": { "name": "Ada", "memberships": [] } })
        );
        let token = payload["token"].as_str().unwrap();
        assert!(token.starts_with("sr_ses_"), "{token}");

        let payload =
            mutate(&kit, Some(token), "accountUpdate", "account { name }", json!({ "name": "Ada L." })).await;
        assert_eq!(payload, json!({ "account": { "name": "Ada L." }, "errors": [] }));
        let query = "mutation { sessionSignOut { signedOut errors { code } } }";
        assert_eq!(
            read(&kit, Some(token), query).await,
            json!({ "sessionSignOut": { "signedOut": true, "errors": [] } })
        );
        assert_eq!(denied(&kit, Some(token), "{ viewer { kind } }").await, "UNAUTHENTICATED");
        assert_eq!(denied(&kit, None, query).await, "UNAUTHENTICATED");
    }

    async fn too_many_tries_are_refused_with_the_time_to_wait(kit: Kit) {
        let input = json!({ "email": "nobody@example.org", "password": PASSWORD });
        let mut codes = Vec::new();
        for _ in 0..21 {
            let payload = mutate(&kit, None, "sessionSignIn", "retryAfterSeconds", input.clone()).await;
            codes.push((payload["errors"][0]["code"].clone(), payload["retryAfterSeconds"].as_i64()));
        }
        assert_eq!(codes[19], (json!("BAD_CREDENTIALS"), None));
        assert_eq!(codes[20].0, json!("TOO_MANY_TRIES"));
        assert!(matches!(codes[20].1, Some(1..=60)), "{codes:?}");
    }

    async fn a_password_is_changed_and_reset_and_sessions_end(kit: Kit) {
        let first = account(&kit, "ada@example.org").await;
        let second = signs_in(&kit, "ada@example.org").await;
        let sessions = "{ viewer { account { sessions(first: 5) {
            totalCount nodes { id current openedByTokenId }
        } } } }";
        let seen = read(&kit, Some(&first), sessions).await;
        let seen = &seen["viewer"]["account"]["sessions"];
        assert_eq!(seen["totalCount"], json!(2));
        let other = seen["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .find(|session| session["current"] == json!(false))
            .unwrap();
        let input = json!({ "id": other["id"] });
        let payload = mutate(&kit, Some(&first), "sessionRevoke", "id", input.clone()).await;
        assert_eq!(payload, json!({ "id": other["id"], "errors": [] }));
        assert_eq!(denied(&kit, Some(&second), "{ viewer { kind } }").await, "UNAUTHENTICATED");
        let payload = mutate(&kit, Some(&first), "sessionRevoke", "id", input).await;
        assert_eq!(payload, json!({ "id": null, "errors": [error("NOT_FOUND", &["id"])] }));

        let input = json!({ "oldPassword": "wrong horse", "newPassword": "battery staple" });
        let payload = mutate(&kit, Some(&first), "accountChangePassword", "account { id }", input).await;
        assert_eq!(
            payload,
            json!({ "account": null, "errors": [error("WRONG_PASSWORD", &["oldPassword"])] })
        );
        let input = json!({ "oldPassword": PASSWORD, "newPassword": "battery staple" });
        let payload = mutate(&kit, Some(&first), "accountChangePassword", "account { email }", input).await;
        assert_eq!(payload, json!({ "account": { "email": "ada@example.org" }, "errors": [] }));

        for address in ["ada@example.org", "nobody@example.org"] {
            let payload =
                mutate(&kit, None, "accountRequestPasswordReset", "accepted", json!({ "email": address }))
                    .await;
            assert_eq!(payload, json!({ "accepted": true, "errors": [] }), "{address}");
        }
        let input = json!({ "link": newest_link(&kit).await, "password": PASSWORD });
        let payload = mutate(&kit, None, "accountResetPassword", "account { email }", input).await;
        assert_eq!(payload, json!({ "account": { "email": "ada@example.org" }, "errors": [] }));
        assert_eq!(denied(&kit, Some(&first), "{ viewer { kind } }").await, "UNAUTHENTICATED");
        signs_in(&kit, "ada@example.org").await;
    }

    async fn a_guest_is_signed_in_by_a_link(kit: Kit) {
        let payload =
            mutate(&kit, None, "guestStart", "accepted", json!({ "email": "eve@example.org" })).await;
        assert_eq!(payload, json!({ "accepted": true, "errors": [] }));
        let input = json!({ "link": newest_link(&kit).await });
        let payload =
            mutate(&kit, None, "guestConfirm", "token viewer { kind guest { email } }", input).await;
        assert_eq!(payload["viewer"], json!({ "kind": "GUEST", "guest": { "email": "eve@example.org" } }));
        let token = payload["token"].as_str().unwrap();
        let seen =
            read(&kit, Some(token), "{ viewer { kind account { id } guest { email } token { id } } }").await;
        let guest = json!({
            "kind": "GUEST", "account": null, "guest": { "email": "eve@example.org" }, "token": null,
        });
        assert_eq!(seen["viewer"], guest);
        assert_eq!(denied(&kit, Some(token), "{ apiTokens { nodes { id } } }").await, "FORBIDDEN");
        assert_eq!(
            read(&kit, None, "{ viewer { kind guest { email } } }").await["viewer"],
            json!({ "kind": "PUBLIC", "guest": null })
        );
    }

    async fn an_owner_creates_a_token_with_which_a_storefront_opens_a_session(kit: Kit) {
        let owner = account(&kit, "ana@example.org").await;
        let workshop = creator(&kit, &owner, "Olaria").await;
        let seen =
            read(&kit, Some(&owner), "{ viewer { account { memberships { creator { name } role } } } }")
                .await;
        assert_eq!(
            seen["viewer"]["account"]["memberships"],
            json!([{ "creator": { "name": "Olaria" }, "role": "OWNER" }])
        );

        let input = json!({
            "creatorId": workshop, "kind": "SECRET", "name": "Shop", "expiresAt": "2026-03-01T00:00:00Z",
        });
        let payload = mutate(&kit, Some(&owner), "apiTokenCreate", "secret", input).await;
        let wrong = json!([error("NO_PERMISSIONS", &["permissions"]), error("EXPIRY_PAST", &["expiresAt"])]);
        assert_eq!(payload, json!({ "secret": null, "errors": wrong }));
        let input = json!({
            "creatorId": workshop, "kind": "SECRET", "name": "Shop", "permissions": ["SESSIONS_OPEN"],
        });
        let fields = "secret token { id name kind permissions creator { name } lastUsedAt revokedAt }";
        let payload = mutate(&kit, Some(&owner), "apiTokenCreate", fields, input).await;
        let (secret, id) = (payload["secret"].as_str().unwrap(), &payload["token"]["id"]);
        assert!(secret.starts_with("sr_sec_"), "{secret}");
        let made = json!({
            "id": id, "name": "Shop", "kind": "SECRET", "permissions": ["SESSIONS_OPEN"],
            "creator": { "name": "Olaria" },
            "lastUsedAt": null, "revokedAt": null,
        });
        assert_eq!(payload["token"], made);
        let seen =
            read(&kit, Some(secret), "{ viewer { kind token { id kind permissions creator { name } } } }")
                .await;
        let token = json!({
            "id": id, "kind": "SECRET", "permissions": ["SESSIONS_OPEN"], "creator": { "name": "Olaria" },
        });
        assert_eq!(seen["viewer"], json!({ "kind": "TOKEN", "token": token }));

        account(&kit, "ben@example.org").await;
        for address in ["nobody@example.org", "ben@example.org"] {
            let payload =
                mutate(&kit, Some(secret), "sessionRequest", "accepted", json!({ "email": address })).await;
            assert_eq!(payload, json!({ "accepted": true, "errors": [] }), "{address}");
        }
        let input = json!({ "link": newest_link(&kit).await });
        let fields = "token viewer { kind account { email } }";
        let payload = mutate(&kit, Some(secret), "sessionOpen", fields, input).await;
        assert_eq!(payload["viewer"], json!({ "kind": "ACCOUNT", "account": null }));
        let session = payload["token"].as_str().unwrap();

        let query =
            format!("{{ apiTokens(creatorId: \"{workshop}\") {{ totalCount nodes {{ id revokedAt }} }} }}");
        let seen = read(&kit, Some(&owner), &query).await;
        assert_eq!(seen["apiTokens"], json!({ "totalCount": 1, "nodes": [{ "id": id, "revokedAt": null }] }));
        let input = json!({ "creatorId": workshop, "id": id });
        let payload = mutate(&kit, Some(&owner), "apiTokenRevoke", "token { revokedAt }", input).await;
        assert!(payload["token"]["revokedAt"].is_string(), "{payload}");
        for bearer in [secret, session] {
            assert_eq!(denied(&kit, Some(bearer), "{ viewer { kind } }").await, "UNAUTHENTICATED");
        }
    }

    async fn tokens_of_another_creator_are_answered_like_unknown_ones(kit: Kit) {
        let owner = account(&kit, "ana@example.org").await;
        let workshop = creator(&kit, &owner, "Olaria").await;
        let stranger = account(&kit, "eve@example.org").await;
        for creator in [workshop.as_str(), "creator_00000000000000000000000000", "nonsense"] {
            let query = format!("{{ apiTokens(creatorId: \"{creator}\") {{ totalCount }} }}");
            assert_eq!(read(&kit, Some(&stranger), &query).await, json!({ "apiTokens": null }), "{creator}");
        }
        for creator in [workshop.as_str(), "creator_00000000000000000000000000"] {
            let input = json!({ "creatorId": creator, "kind": "PUBLISHABLE", "name": "Shop" });
            let payload = mutate(&kit, Some(&stranger), "apiTokenCreate", "secret", input).await;
            assert_eq!(
                payload,
                json!({ "secret": null, "errors": [error("NOT_FOUND", &["creatorId"])] }),
                "{creator}"
            );
        }
        assert_eq!(denied(&kit, Some(&stranger), "{ apiTokens { totalCount } }").await, "FORBIDDEN");
        assert_eq!(denied(&kit, None, "{ apiTokens { totalCount } }").await, "UNAUTHENTICATED");
    }

    async fn an_administrator_reads_accounts_and_the_log(kit: Kit) {
        let root = admin(&kit).await;
        let buyer = account(&kit, "ben@example.org").await;
        for query in ["{ accounts { totalCount } }", "{ auditLog { totalCount } }"] {
            assert_eq!(denied(&kit, Some(&buyer), query).await, "FORBIDDEN", "{query}");
            assert_eq!(denied(&kit, None, query).await, "UNAUTHENTICATED", "{query}");
        }
        let seen = read(
            &kit,
            Some(&root),
            "{ accounts(email: \"BEN@example.org\") {
                totalCount nodes { id email admin memberships { role } }
            } }",
        )
        .await;
        let ben = &seen["accounts"]["nodes"][0]["id"];
        let row = json!({ "id": ben, "email": "ben@example.org", "admin": false, "memberships": null });
        assert_eq!(seen["accounts"], json!({ "totalCount": 1, "nodes": [row] }));
        assert_eq!(
            denied(&kit, Some(&root), "{ accounts(email: \"ben\") { totalCount } }").await,
            "BAD_USER_INPUT"
        );

        let query =
            format!("{{ auditLog(subject: {ben}) {{ totalCount nodes {{ actor action fields }} }} }}");
        let seen = read(&kit, Some(&root), &query).await;
        let fields = json!(["email", "email_confirmed_at", "name", "password"]);
        let row = json!({ "actor": "system:test", "action": "account.create", "fields": fields });
        assert_eq!(seen["auditLog"], json!({ "totalCount": 1, "nodes": [row] }));
    }
}
