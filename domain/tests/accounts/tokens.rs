//! API tokens, and the sessions that a storefront opens with one.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    accounts::{
        CreateToken, CreateTokenRefusal, OpenSessionRefusal, RequestSessionRefusal, RevokeTokenRefusal,
        TokenCreated, confirm_guest, create_admin, create_token, letters::OpenSessionLetter, open_session,
        queries, request_session, revoke_token, start_guest, viewers_of,
    },
    creators::create_for,
    platform::{
        OpError,
        access::{
            OpenSessions, Permission, StorefrontScope, TokenKind, TokenViewer, TokensScope, Viewer, authorize,
        },
        ids::CreatorId,
        page::Page,
        text::TextLine,
    },
};
use testkit::{Kit, audit_actions, letter, letters, on_both, requests, write_letter};

use super::{
    ADA, EVE, account, door, email, newest_link, operator, refusal, signs_in, signs_up, unknown, viewer,
};

on_both! {
    a_new_token_has_a_secret_and_the_requested_permissions,
    a_publishable_token_carries_no_permissions,
    a_secret_token_that_may_do_nothing_is_refused,
    an_expiry_must_be_in_the_future_and_within_two_years,
    all_complaints_about_a_token_are_returned_at_once,
    tokens_are_bounded_in_number,
    a_token_expires,
    the_use_of_a_token_is_recorded_once_a_minute,
    a_revoked_token_has_no_viewer,
    a_token_of_another_creator_is_unknown,
    own_tokens_are_listed_newest_first,
    a_buyer_agrees_by_letter_and_the_storefront_gets_a_session,
    a_storefront_session_has_only_the_rights_of_a_buyer,
    a_storefront_does_not_learn_whether_an_address_is_known,
    a_link_works_only_in_the_storefront_that_requested_it,
    a_link_for_a_storefront_expires_after_15_minutes,
    a_storefronts_letters_to_one_address_are_limited,
    revoking_a_token_ends_the_sessions_that_it_opened,
    a_batch_of_bearer_tokens_has_the_same_viewers_as_single_look_ups,
}

fn of(creator: Option<CreatorId>) -> TokensScope {
    operator().as_tokens(creator)
}

fn wanted(kind: TokenKind, permissions: &[Permission], expires_at: Option<DateTime<Utc>>) -> CreateToken {
    CreateToken {
        name: TextLine::new("Web shop").unwrap(),
        kind,
        permissions: permissions.to_vec(),
        expires_at,
    }
}

async fn made(
    kit: &Kit,
    creator: Option<CreatorId>,
    kind: TokenKind,
    permissions: &[Permission],
) -> TokenCreated {
    create_token(&kit.db, &of(creator), wanted(kind, permissions, None)).await.unwrap()
}

async fn storefront(kit: &Kit) -> (TokenCreated, StorefrontScope) {
    let token = made(kit, None, TokenKind::Secret, &[Permission::SessionsOpen]).await;
    let scope = authorize(&viewer(kit, &token.secret).await.unwrap(), OpenSessions).unwrap();
    (token, scope)
}

async fn a_new_token_has_a_secret_and_the_requested_permissions(kit: Kit) {
    let creator: CreatorId = kit.db.new_id();
    let permissions = [Permission::CatalogWrite, Permission::CatalogRead, Permission::CatalogWrite];
    let token = made(&kit, Some(creator), TokenKind::Secret, &permissions).await;
    assert!(token.secret.expose().starts_with("sr_sec_"));
    let permissions = vec![Permission::CatalogRead, Permission::CatalogWrite];
    assert_eq!((token.token.name.as_str(), &token.token.permissions), ("Web shop", &permissions));
    let expected =
        TokenViewer { token: token.token.id, kind: TokenKind::Secret, creator: Some(creator), permissions };
    assert_eq!(viewer(&kit, &token.secret).await, Some(Viewer::Token(expected)));
    assert_eq!(audit_actions(&kit).await, ["token.create"]);
}

async fn a_publishable_token_carries_no_permissions(kit: Kit) {
    let before = kit.state().await;
    let request = wanted(TokenKind::Publishable, &[Permission::CatalogRead], None);
    let refused = refusal(create_token(&kit.db, &of(None), request).await);
    assert_eq!(refused, (CreateTokenRefusal::PermissionsOfPublishable, "permissions".to_owned()));
    assert_eq!(kit.state().await, before);
    let token = made(&kit, None, TokenKind::Publishable, &[]).await;
    assert!(token.secret.expose().starts_with("sr_pub_"));
    let Some(Viewer::Token(seen)) = viewer(&kit, &token.secret).await else { unreachable!() };
    assert_eq!((seen.kind, seen.permissions), (TokenKind::Publishable, vec![]));
}

async fn a_secret_token_that_may_do_nothing_is_refused(kit: Kit) {
    let before = kit.state().await;
    let refused = refusal(create_token(&kit.db, &of(None), wanted(TokenKind::Secret, &[], None)).await);
    assert_eq!(refused, (CreateTokenRefusal::NoPermissions, "permissions".to_owned()));
    assert_eq!(kit.state().await, before);
}

async fn an_expiry_must_be_in_the_future_and_within_two_years(kit: Kit) {
    let before = kit.state().await;
    for (expires_at, expected) in [
        (Kit::start(), CreateTokenRefusal::ExpiryPast),
        (Kit::start() - TimeDelta::days(1), CreateTokenRefusal::ExpiryPast),
        (Kit::start() + TimeDelta::days(732), CreateTokenRefusal::ExpiryTooFar),
        (DateTime::<Utc>::MAX_UTC, CreateTokenRefusal::ExpiryTooFar),
    ] {
        let request = wanted(TokenKind::Publishable, &[], Some(expires_at));
        assert_eq!(
            refusal(create_token(&kit.db, &of(None), request).await),
            (expected, "expiresAt".to_owned())
        );
    }
    assert_eq!(kit.state().await, before);
    let request = wanted(TokenKind::Publishable, &[], Some(Kit::start() + TimeDelta::days(731)));
    assert!(create_token(&kit.db, &of(None), request).await.is_ok());
}

async fn all_complaints_about_a_token_are_returned_at_once(kit: Kit) {
    let request = wanted(TokenKind::Secret, &[], Some(Kit::start()));
    let Err(OpError::Refused(refused)) = create_token(&kit.db, &of(None), request).await else {
        unreachable!()
    };
    let codes: Vec<_> = refused.iter().map(|refused| refused.code).collect();
    assert_eq!(codes, [CreateTokenRefusal::NoPermissions, CreateTokenRefusal::ExpiryPast]);
}

async fn tokens_are_bounded_in_number(kit: Kit) {
    let creator = Some(kit.db.new_id());
    for _ in 0..100 {
        made(&kit, creator, TokenKind::Publishable, &[]).await;
    }
    let before = kit.state().await;
    let request = || wanted(TokenKind::Publishable, &[], None);
    let refused = refusal(create_token(&kit.db, &of(creator), request()).await);
    assert_eq!(refused, (CreateTokenRefusal::TooManyTokens, String::new()));
    assert_eq!(kit.state().await, before);
    let some = queries::tokens(&kit.db, &of(creator), &Page::first(1)).await.unwrap().rows.remove(0).1;
    revoke_token(&kit.db, &of(creator), some.id).await.unwrap();
    assert!(create_token(&kit.db, &of(creator), request()).await.is_ok());
    assert!(create_token(&kit.db, &of(None), request()).await.is_ok(), "each creator has its own limit");
}

async fn a_token_expires(kit: Kit) {
    let request = wanted(TokenKind::Publishable, &[], Some(Kit::start() + TimeDelta::hours(1)));
    let token = create_token(&kit.db, &of(None), request).await.unwrap();
    assert!(viewer(&kit, &token.secret).await.is_some());
    kit.clock.advance(TimeDelta::hours(1));
    assert_eq!(viewer(&kit, &token.secret).await, None);
}

async fn the_use_of_a_token_is_recorded_once_a_minute(kit: Kit) {
    let token = made(&kit, None, TokenKind::Publishable, &[]).await;
    let cost = async || {
        let before = kit.db.statements();
        viewer(&kit, &token.secret).await.unwrap();
        kit.db.statements() - before
    };
    assert_eq!(cost().await, 2);
    assert_eq!(cost().await, 1);
    kit.clock.advance(TimeDelta::seconds(60));
    assert_eq!(cost().await, 2);
    let listed = queries::tokens(&kit.db, &of(None), &Page::first(1)).await.unwrap();
    assert_eq!(listed.rows.first().unwrap().1.last_used_at, Some(Kit::start() + TimeDelta::seconds(60)));
}

async fn a_revoked_token_has_no_viewer(kit: Kit) {
    let token = made(&kit, None, TokenKind::Publishable, &[]).await;
    let revoked = revoke_token(&kit.db, &of(None), token.token.id).await.unwrap();
    assert_eq!(revoked.revoked_at, Some(Kit::start()));
    assert_eq!(viewer(&kit, &token.secret).await, None);
    assert_eq!(audit_actions(&kit).await, ["token.create", "token.revoke"]);
    let before = kit.state().await;
    kit.clock.advance(TimeDelta::hours(1));
    assert_eq!(revoke_token(&kit.db, &of(None), token.token.id).await.unwrap(), revoked);
    assert_eq!(kit.state().await, before);
}

async fn a_token_of_another_creator_is_unknown(kit: Kit) {
    let (mine, other) = (Some(kit.db.new_id()), Some(kit.db.new_id()));
    let token = made(&kit, other, TokenKind::Publishable, &[]).await;
    let before = kit.state().await;
    for scope in [of(mine), of(None)] {
        let foreign = refusal(revoke_token(&kit.db, &scope, token.token.id).await);
        let unknown = refusal(revoke_token(&kit.db, &scope, kit.db.new_id()).await);
        assert_eq!(foreign, unknown);
        assert_eq!(foreign, (RevokeTokenRefusal::NotFound, "id".to_owned()));
    }
    assert_eq!(kit.state().await, before);
}

async fn own_tokens_are_listed_newest_first(kit: Kit) {
    let creator = Some(kit.db.new_id());
    made(&kit, None, TokenKind::Publishable, &[]).await;
    let mut expected = Vec::new();
    for _ in 0..3 {
        kit.clock.advance(TimeDelta::seconds(1));
        expected.insert(0, made(&kit, creator, TokenKind::Publishable, &[]).await.token);
    }
    let listed = queries::tokens(&kit.db, &of(creator), &Page::first(10)).await.unwrap();
    assert_eq!(listed.rows.into_iter().map(|(_, token)| token).collect::<Vec<_>>(), expected);
    assert_eq!(queries::tokens_count(&kit.db, &of(creator)).await.unwrap(), 3);
}

async fn a_buyer_agrees_by_letter_and_the_storefront_gets_a_session(kit: Kit) {
    let buyer = account(&kit, ADA).await;
    let (token, scope) = storefront(&kit).await;
    request_session(&kit.db, &scope, &email(ADA)).await.unwrap();
    let asked = letters(&kit).await.pop().unwrap();
    assert_eq!(asked, letter(&OpenSessionLetter { account: buyer.id, token: token.token.id }));
    let written = write_letter(&kit, &asked).await.unwrap();
    assert_eq!(written.to.address, ADA);
    assert!(written.text.contains("The shop \"Web shop\" asks to sign you in."), "{}", written.text);
    let begun = open_session(&kit.db, &scope, &newest_link(&kit).await).await.unwrap();
    assert_eq!(begun.session.opened_by, Some(token.token.id));
    assert_eq!(viewer(&kit, &begun.secret).await, Some(begun.viewer));
}

async fn a_storefront_session_has_only_the_rights_of_a_buyer(kit: Kit) {
    let request = domain::accounts::CreateAccount {
        email: email(ADA),
        name: TextLine::new("Ada").unwrap(),
        password: None,
    };
    create_admin(&kit.db, &operator(), request).await.unwrap();
    let (_, scope) = storefront(&kit).await;
    request_session(&kit.db, &scope, &email(ADA)).await.unwrap();
    let begun = open_session(&kit.db, &scope, &newest_link(&kit).await).await.unwrap();
    let Some(Viewer::Account(seen)) = viewer(&kit, &begun.secret).await else { unreachable!() };
    assert!(seen.person.is_some() && !seen.admin && seen.memberships.is_empty());
    assert_eq!(begun.viewer, Viewer::Account(seen));
}

async fn a_storefront_does_not_learn_whether_an_address_is_known(kit: Kit) {
    let (_, scope) = storefront(&kit).await;
    request_session(&kit.db, &scope, &email(EVE)).await.unwrap();
    assert!(letters(&kit).await.is_empty());
    signs_up(&kit, ADA, "some password").await;
    let before = letters(&kit).await;
    request_session(&kit.db, &scope, &email(ADA)).await.unwrap();
    assert_eq!(letters(&kit).await, before, "an unconfirmed address gets no letter");
}

async fn a_link_works_only_in_the_storefront_that_requested_it(kit: Kit) {
    account(&kit, ADA).await;
    let ((_, asked), (_, other)) = (storefront(&kit).await, storefront(&kit).await);
    request_session(&kit.db, &asked, &email(ADA)).await.unwrap();
    let link = newest_link(&kit).await;
    let before = kit.state().await;
    for (scope, link) in [(&other, &link), (&asked, &unknown("sr_link"))] {
        let refused = refusal(open_session(&kit.db, scope, link).await);
        assert_eq!(refused, (OpenSessionRefusal::LinkInvalid, "link".to_owned()));
    }
    assert_eq!(kit.state().await, before);
    assert!(open_session(&kit.db, &asked, &link).await.is_ok());
    assert_eq!(refusal(open_session(&kit.db, &asked, &link).await).0, OpenSessionRefusal::LinkInvalid);
}

async fn a_link_for_a_storefront_expires_after_15_minutes(kit: Kit) {
    account(&kit, ADA).await;
    let (_, scope) = storefront(&kit).await;
    request_session(&kit.db, &scope, &email(ADA)).await.unwrap();
    let link = newest_link(&kit).await;
    kit.clock.advance(TimeDelta::minutes(15));
    let before = kit.state().await;
    assert_eq!(refusal(open_session(&kit.db, &scope, &link).await).0, OpenSessionRefusal::LinkInvalid);
    assert_eq!(kit.state().await, before);
}

async fn a_storefronts_letters_to_one_address_are_limited(kit: Kit) {
    account(&kit, ADA).await;
    let (_, scope) = storefront(&kit).await;
    for address in [ADA, EVE] {
        for _ in 0..5 {
            request_session(&kit.db, &scope, &email(address)).await.unwrap();
        }
        let before = kit.state().await;
        let refused = refusal(request_session(&kit.db, &scope, &email(address)).await);
        assert_eq!(refused, (RequestSessionRefusal::TooManyTries { wait_secs: 301 }, String::new()));
        assert_eq!(kit.state().await, before);
    }
}

async fn revoking_a_token_ends_the_sessions_that_it_opened(kit: Kit) {
    let buyer = account(&kit, ADA).await;
    let (token, scope) = storefront(&kit).await;
    request_session(&kit.db, &scope, &email(ADA)).await.unwrap();
    let begun = open_session(&kit.db, &scope, &newest_link(&kit).await).await.unwrap();
    revoke_token(&kit.db, &of(None), token.token.id).await.unwrap();
    assert_eq!(viewer(&kit, &begun.secret).await, None);
    let unwanted = letter(&OpenSessionLetter { account: buyer.id, token: token.token.id });
    assert_eq!(write_letter(&kit, &unwanted).await, None);
}

async fn a_batch_of_bearer_tokens_has_the_same_viewers_as_single_look_ups(kit: Kit) {
    let ada = account(&kit, ADA).await;
    for name in ["Salt Glaze", "Blue Loom"] {
        kit.clock.advance(TimeDelta::seconds(1));
        create_for(&kit.db, &operator(), Some(ada.id), requests::creator(name)).await.unwrap();
    }
    account(&kit, EVE).await;
    let mut secrets = vec![unknown("sr_ses"), unknown("sr_sec")];
    for address in [ADA, ADA, EVE] {
        secrets.push(signs_in(&kit, address).await.secret);
    }
    let (token, scope) = storefront(&kit).await;
    request_session(&kit.db, &scope, &email(ADA)).await.unwrap();
    secrets.push(open_session(&kit.db, &scope, &newest_link(&kit).await).await.unwrap().secret);
    start_guest(&kit.db, &door(), &email("guest@example.org")).await.unwrap();
    secrets.push(confirm_guest(&kit.db, &door(), &newest_link(&kit).await).await.unwrap().secret);
    secrets.push(made(&kit, None, TokenKind::Publishable, &[]).await.secret);
    secrets.push(token.secret);
    let hashes: Vec<_> = secrets.iter().map(|secret| secret.hash()).collect();
    // In the second round, the storefront's token and its session are revoked.
    for known in [7, 5] {
        let before = kit.db.statements();
        let viewers = viewers_of(&kit.db, &hashes).await.unwrap();
        assert_eq!((kit.db.statements() - before, viewers.len()), (3, known));
        for secret in &secrets {
            assert_eq!(viewers.get(&secret.hash()).cloned(), viewer(&kit, secret).await);
        }
        if known == 7 {
            revoke_token(&kit.db, &of(None), token.token.id).await.unwrap();
        }
    }
}
