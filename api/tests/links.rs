//! The pages that letters link to: what they show, and that only their buttons have an effect, once.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails on anything unexpected")]

use std::{collections::BTreeMap, net::IpAddr};

use actix_web::{
    App,
    body::MessageBody as _,
    http::{StatusCode, header::HeaderMap},
    middleware::from_fn,
    test::{self, TestRequest},
};
use api::{Api, DemoTokens, http};
use chrono::TimeDelta;
use domain::{
    accounts::{
        AccountName, CreateAccount, CreateToken, Email, Password, SignIn, SignUp, TokenName, confirm_guest,
        create_account, create_token, open_session, request_password_reset, request_session, sign_in,
        sign_up, start_guest, viewer_of,
    },
    platform::{
        access::{Enter, EntryScope, OpenSessions, Permission, SystemScope, TokenKind, Viewer, authorize},
        entropy::Secret,
    },
};
use testkit::{Kit, audit_actions, letters, link_in, on_both, write_letter};

const OLD: &str = "correct horse";
const NEW: &str = "battery & staple=+ß";

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// Checks that the answer is a page with the security headers of all pages.
    fn is_page(&self, status: u16, title: &str) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert!(self.text.contains(&format!("<h1>{title}</h1>")), "{}", self.text);
        assert_eq!(self.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(self.header("cache-control"), "no-store");
        assert_eq!(self.header("referrer-policy"), "no-referrer");
        assert_eq!(self.header("x-content-type-options"), "nosniff");
        let nonce = self.text.split_once("<style nonce=\"").unwrap().1.split_once('"').unwrap().0;
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'self'; \
             frame-ancestors 'none'"
        );
        assert_eq!(self.header("content-security-policy"), policy);
        for banned in ["<script", "javascript:", " src=", " style=", "http://", "https://"] {
            assert!(!self.text.contains(banned), "{banned}: {}", self.text);
        }
        self
    }
}

async fn send_to(kit: &Kit, playground: Option<DemoTokens>, request: TestRequest) -> Answer {
    let edge = http::edge(Api { playground, ..Api::over(&kit.db) });
    let app = App::new().configure(|config| http::configure(config, &edge)).wrap(from_fn(http::around));
    let service = test::init_service(app).await;
    let response = test::call_service(&service, request.to_request()).await;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.into_body().try_into_bytes().unwrap_or_else(|_| panic!("a page is in memory"));
    Answer { status, headers, text: String::from_utf8(body.to_vec()).unwrap() }
}

async fn send(kit: &Kit, request: TestRequest) -> Answer {
    send_to(kit, None, request).await
}

async fn get(kit: &Kit, uri: &str) -> Answer {
    send(kit, TestRequest::get().uri(uri)).await
}

/// Returns a form as a browser sends it from one of these pages.
fn form(page: &str, fields: &[(&str, &str)]) -> TestRequest {
    let fields: BTreeMap<_, _> = fields.iter().copied().collect();
    TestRequest::post()
        .uri(page)
        .insert_header(("host", "127.0.0.1:8080"))
        .insert_header(("origin", "null"))
        .insert_header(("sec-fetch-site", "same-origin"))
        .set_form(fields)
}

fn door() -> EntryScope {
    authorize(&Viewer::Public, Enter { address: IpAddr::from([192, 0, 2, 7]) }).unwrap()
}

fn system() -> SystemScope {
    SystemScope::new("test")
}

fn ada() -> Email {
    Email::new("ada@example.org").unwrap()
}

fn password(text: &str) -> Password {
    Password::new(text).unwrap()
}

async fn signs_in(kit: &Kit, text: &str) -> bool {
    sign_in(&kit.db, &door(), &SignIn { email: ada(), password: password(text) }).await.is_ok()
}

/// Returns the code in the link of the newest letter.
async fn newest_code(kit: &Kit) -> String {
    let letter = letters(kit).await.pop().unwrap();
    link_in(&write_letter(kit, &letter).await.unwrap())
}

async fn code_to_confirm(kit: &Kit) -> String {
    let request = SignUp { email: ada(), password: password(OLD), name: AccountName::new("Ada").unwrap() };
    sign_up(&kit.db, &door(), request).await.unwrap();
    newest_code(kit).await
}

async fn account(kit: &Kit) {
    let request =
        CreateAccount { email: ada(), name: AccountName::new("Ada").unwrap(), password: Some(password(OLD)) };
    create_account(&kit.db, &system(), request).await.unwrap();
}

async fn code_to_reset(kit: &Kit) -> String {
    account(kit).await;
    request_password_reset(&kit.db, &door(), &ada()).await.unwrap();
    newest_code(kit).await
}

fn confirmations(actions: &[String], action: &str) -> usize {
    actions.iter().filter(|known| known.as_str() == action).count()
}

on_both! {
    async fn opening_a_page_changes_nothing(kit: Kit) {
        let code = code_to_confirm(&kit).await;
        let before = kit.state().await;
        for (page, title) in [
            ("confirm-email", "Confirm your e-mail address"),
            ("reset-password", "Choose a new password"),
            ("confirm-guest", "Your code"),
            ("open-session", "Your code"),
        ] {
            let uri = format!("/{page}?code={code}");
            for _ in 0..2 {
                let answer = get(&kit, &uri).await;
                answer.is_page(200, title);
                assert!(answer.text.contains(&code), "{}", answer.text);
            }
            let head = TestRequest::default().method(actix_web::http::Method::HEAD).uri(&uri);
            assert_eq!(send(&kit, head).await.status, StatusCode::OK);
            get(&kit, &format!("/{page}")).await.is_page(400, "Something is missing");
        }
        assert_eq!(kit.state().await, before);
    }

    async fn the_button_confirms_an_address_once(kit: Kit) {
        let code = code_to_confirm(&kit).await;
        let shown = get(&kit, &format!("/confirm-email?code={code}")).await;
        assert!(shown.text.contains("<form method=\"post\" action=\"confirm-email\">"), "{}", shown.text);
        let press = || form("/confirm-email", &[("code", &code)]);
        send(&kit, press()).await.is_page(200, "Your address is confirmed");
        assert_eq!(confirmations(&audit_actions(&kit).await, "account.confirm_email"), 1);
        let before = kit.state().await;
        send(&kit, press()).await.is_page(410, "This link is not valid any more");
        assert_eq!(kit.state().await, before);
    }

    async fn of_two_concurrent_confirmations_one_succeeds(kit: Kit) {
        let code = code_to_confirm(&kit).await;
        let press = || send(&kit, form("/confirm-email", &[("code", &code)]));
        let (one, other) = futures_util::join!(press(), press());
        let mut statuses = [one.status.as_u16(), other.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 410]);
        assert_eq!(confirmations(&audit_actions(&kit).await, "account.confirm_email"), 1);
    }

    async fn expired_and_unknown_links_are_refused(kit: Kit) {
        let code = code_to_confirm(&kit).await;
        kit.clock.advance(TimeDelta::hours(49));
        let before = kit.state().await;
        for code in [code.as_str(), "sr_link_0"] {
            send(&kit, form("/confirm-email", &[("code", code)]))
                .await
                .is_page(410, "This link is not valid any more");
            let reset = form("/reset-password", &[("code", code), ("password", NEW), ("again", NEW)]);
            send(&kit, reset).await.is_page(410, "This link is not valid any more");
        }
        assert_eq!(kit.state().await, before);
    }

    async fn a_link_is_valid_on_its_own_page_only(kit: Kit) {
        let code = code_to_confirm(&kit).await;
        let before = kit.state().await;
        let reset = form("/reset-password", &[("code", &code), ("password", NEW), ("again", NEW)]);
        send(&kit, reset).await.is_page(410, "This link is not valid any more");
        assert_eq!(kit.state().await, before);
        send(&kit, form("/confirm-email", &[("code", &code)]))
            .await
            .is_page(200, "Your address is confirmed");
    }

    async fn a_new_password_is_entered_twice_and_set_once(kit: Kit) {
        let code = code_to_reset(&kit).await;
        let shown = get(&kit, &format!("/reset-password?code={code}")).await;
        for part in [
            "<label for=\"password\">",
            "<label for=\"again\">",
            "autocomplete=\"new-password\"",
            "action=\"reset-password\"",
        ] {
            assert!(shown.text.contains(part), "{part}: {}", shown.text);
        }
        let before = kit.state().await;
        let long = "x".repeat(129);
        for (one, other, why) in [
            (NEW, "battery staple", "not the same"),
            ("short", "short", "at least 8 characters"),
            (&long, &long, "at most 128 characters"),
            ("", "", "at least 8 characters"),
        ] {
            let answer =
                send(&kit, form("/reset-password", &[("code", &code), ("password", one), ("again", other)]))
                    .await;
            answer.is_page(400, "Choose a new password");
            assert!(
                answer.text.contains("role=\"alert\"") && answer.text.contains(why),
                "{why}: {}",
                answer.text
            );
            assert!(!answer.text.contains("battery") && answer.text.contains(&code), "{}", answer.text);
        }
        assert_eq!(kit.state().await, before);

        let set = || form("/reset-password", &[("code", &code), ("password", NEW), ("again", NEW)]);
        send(&kit, set()).await.is_page(200, "Your password is changed");
        assert_eq!((signs_in(&kit, NEW).await, signs_in(&kit, OLD).await), (true, false));
        let before = kit.state().await;
        send(&kit, set()).await.is_page(410, "This link is not valid any more");
        assert_eq!(kit.state().await, before);
    }

    async fn the_longest_password_fits(kit: Kit) {
        let code = code_to_reset(&kit).await;
        let longest = "🦀".repeat(Password::MAX);
        let set = form("/reset-password", &[("code", &code), ("password", &longest), ("again", &longest)]);
        send(&kit, set).await.is_page(200, "Your password is changed");
        assert!(signs_in(&kit, &longest).await);
    }

    async fn a_form_of_another_site_is_refused(kit: Kit) {
        let code = code_to_reset(&kit).await;
        let before = kit.state().await;
        for (name, value) in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("origin", "https://evil.example"),
            ("origin", "http://127.0.0.1:8081"),
        ] {
            for page in ["/confirm-email", "/reset-password"] {
                let fields = [("code", code.as_str()), ("password", NEW), ("again", NEW)];
                let answer = send(&kit, form(page, &fields).insert_header((name, value))).await;
                answer.is_page(403, "Nothing was done");
            }
        }
        assert_eq!(kit.state().await, before);
        let plain = TestRequest::post().uri("/reset-password").insert_header(("host", "127.0.0.1:8080"));
        let own = plain.insert_header(("origin", "http://127.0.0.1:8080"));
        let own = own.set_form([("code", code.as_str()), ("password", NEW), ("again", NEW)]);
        send(&kit, own).await.is_page(200, "Your password is changed");
    }

    async fn malformed_forms_are_refused(kit: Kit) {
        let code = code_to_confirm(&kit).await;
        let before = kit.state().await;
        let post = || TestRequest::post().uri("/confirm-email");
        let encoded = ("content-type", "application/x-www-form-urlencoded");
        for (request, status, title) in [
            (post(), 415, "Nothing was done"),
            (
                post().insert_header(("content-type", "text/plain")).set_payload(format!("code={code}")),
                415,
                "Nothing was done",
            ),
            (post().set_json(BTreeMap::from([("code", &code)])), 415, "Nothing was done"),
            (
                post().insert_header(encoded).set_payload(format!("code={code}&x={}", "x".repeat(4096))),
                413,
                "Nothing was done",
            ),
            (post().insert_header(encoded).set_payload(b"code=\xff".to_vec()), 400, "Nothing was done"),
            (
                post().insert_header(encoded).set_payload(format!("code={code}&code={code}")),
                400,
                "Nothing was done",
            ),
            (post().insert_header(encoded), 400, "Something is missing"),
            (post().insert_header(encoded).set_payload("x=y"), 400, "Something is missing"),
        ] {
            send(&kit, request).await.is_page(status, title);
        }
        // The button sends the code in the body, not in the address.
        let by_address = post().uri(&format!("/confirm-email?code={code}")).insert_header(encoded);
        send(&kit, by_address).await.is_page(400, "Something is missing");
        for page in ["/confirm-guest", "/open-session"] {
            assert_eq!(
                send(&kit, form(page, &[("code", &code)])).await.status,
                StatusCode::METHOD_NOT_ALLOWED
            );
        }
        assert_eq!(kit.state().await, before);
    }

    async fn hostile_text_in_a_link_does_not_reach_a_page(kit: Kit) {
        let hostile = "\"><script>alert(1)</script><b id='x'>call+0900";
        let escape = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        for page in ["confirm-email", "reset-password", "confirm-guest", "open-session"] {
            for text in [hostile, "Your account is blocked, call 0900", "javascript:alert(1)"] {
                let answer = send_to(
                    &kit,
                    Some(DemoTokens::default()),
                    TestRequest::get().uri(&format!("/{page}?code={}", escape(text))),
                )
                .await;
                answer.is_page(400, "Something is missing");
                assert!(
                    !answer.text.contains("alert(1)") && !answer.text.contains("0900"),
                    "{}",
                    answer.text
                );
            }
        }
        for page in ["/confirm-email", "/reset-password"] {
            let answer =
                send(&kit, form(page, &[("code", hostile), ("password", hostile), ("again", "other")])).await;
            answer.is_page(400, "Something is missing");
            assert!(!answer.text.contains("alert(1)"), "{}", answer.text);
        }
    }

    async fn a_guest_sees_the_code_that_the_storefront_redeems(kit: Kit) {
        start_guest(&kit.db, &door(), &ada()).await.unwrap();
        let code = newest_code(&kit).await;
        let uri = format!("/confirm-guest?code={code}");
        let plain = get(&kit, &uri).await;
        plain.is_page(200, "Your code");
        assert!(plain.text.contains(&format!("<code class=\"code\">{code}</code>")), "{}", plain.text);
        assert!(!plain.text.contains("playground"), "{}", plain.text);
        let demo = send_to(&kit, Some(DemoTokens::default()), TestRequest::get().uri(&uri)).await;
        demo.is_page(200, "Your code");
        let begin = format!("guestConfirm(input: {{ link: \"{code}\" }})").replace('"', "&quot;");
        assert!(demo.text.replace('"', "&quot;").contains(&begin), "{}", demo.text);
        let begun = confirm_guest(&kit.db, &door(), &Secret::presented(&code).unwrap()).await.unwrap();
        assert!(matches!(begun.viewer, Viewer::Guest(..)));
    }

    async fn a_buyer_sees_the_code_that_the_storefronts_server_redeems(kit: Kit) {
        account(&kit).await;
        let request = CreateToken {
            name: TokenName::new("web shop").unwrap(),
            kind: TokenKind::Secret,
            permissions: vec![Permission::SessionsOpen],
            expires_at: None,
        };
        let made = create_token(&kit.db, &system().as_tokens(None), request).await.unwrap();
        let storefront = viewer_of(&kit.db, &made.secret).await.unwrap().unwrap();
        let scope = authorize(&storefront, OpenSessions).unwrap();
        request_session(&kit.db, &scope, &ada()).await.unwrap();
        let code = newest_code(&kit).await;
        let answer = get(&kit, &format!("/open-session?code={code}")).await;
        answer.is_page(200, "Your code");
        assert!(answer.text.contains("sessionOpen") && answer.text.contains(&code), "{}", answer.text);
        open_session(&kit.db, &scope, &Secret::presented(&code).unwrap()).await.unwrap();
    }
}
