//! Signing up and signing in: who gets an account or a session, which letters are sent, and the limits.

use chrono::TimeDelta;
use domain::{
    accounts::{
        CreateAccount, SignIn, SignInRefusal, SignUpRefusal, confirm_email, create_account,
        letters::{AlreadySignedUpLetter, ConfirmEmailLetter},
        queries, sign_in, sign_up,
    },
    platform::{
        access::{AccountViewer, Viewer},
        text::TextLine,
    },
};
use testkit::{Kit, audit_actions, facts, letter, letters, on_both};

use super::{
    ADA, EVE, PASSWORD, account, door, email, from, newest_link, operator, password, refusal, signs_in,
    signs_up, tries, viewer, wants_account,
};

on_both! {
    a_new_address_gets_an_unconfirmed_account_and_a_letter,
    an_address_is_the_same_however_it_is_typed,
    a_known_address_gets_the_same_answer_and_its_owner_gets_a_letter,
    an_unconfirmed_address_gets_its_link_again_and_keeps_its_password,
    two_sign_ups_with_different_passwords_leave_no_valid_password,
    two_sign_ups_at_once_make_one_account,
    letters_to_one_address_are_limited_across_origins,
    sign_ups_from_one_network_are_limited,
    signing_in_opens_a_session,
    an_unconfirmed_address_may_sign_in_and_stays_unconfirmed,
    a_wrong_password_and_an_unknown_address_get_the_same_answer,
    an_account_without_a_password_cannot_sign_in,
    tries_against_one_address_are_limited_whether_it_is_known_or_not,
    tries_from_one_network_are_limited,
    a_refused_try_does_not_refill_the_budget,
}

async fn a_new_address_gets_an_unconfirmed_account_and_a_letter(kit: Kit) {
    signs_up(&kit, ADA, PASSWORD).await;
    let made = queries::account_by_email(&kit.db, &operator(), &email(ADA)).await.unwrap().unwrap();
    assert_eq!((made.name.as_str(), made.email_confirmed_at, made.admin), ("Ada", None, false));
    assert_eq!(letters(&kit).await, [letter(&ConfirmEmailLetter { account: made.id })]);
    assert_eq!(facts(&kit).await, ["account_changed"]);
    assert_eq!(audit_actions(&kit).await, ["account.sign_up"]);
}

async fn an_address_is_the_same_however_it_is_typed(kit: Kit) {
    signs_up(&kit, ADA, PASSWORD).await;
    signs_up(&kit, " Ada@Example.ORG ", PASSWORD).await;
    assert_eq!(kit.state().await.count("accounts"), 1);
    assert!(tries(&kit, "ADA@example.org", PASSWORD).await.is_ok());
}

async fn a_known_address_gets_the_same_answer_and_its_owner_gets_a_letter(kit: Kit) {
    let known = account(&kit, ADA).await;
    signs_up(&kit, ADA, "another password").await;
    assert_eq!(letters(&kit).await, [letter(&AlreadySignedUpLetter { account: known.id })]);
    let same = queries::account_by_email(&kit.db, &operator(), &email(ADA)).await.unwrap();
    assert_eq!(same, Some(known), "the account did not change");
    assert!(tries(&kit, ADA, PASSWORD).await.is_ok());
    assert_eq!(refusal(tries(&kit, ADA, "another password").await).0, SignInRefusal::BadCredentials);
}

async fn an_unconfirmed_address_gets_its_link_again_and_keeps_its_password(kit: Kit) {
    signs_up(&kit, ADA, PASSWORD).await;
    let session = signs_in(&kit, ADA).await;
    signs_up(&kit, ADA, PASSWORD).await;
    let [first, second] = letters(&kit).await.try_into().unwrap();
    assert_eq!(first, second);
    assert!(serde_json::from_value::<ConfirmEmailLetter>(first).is_ok());
    assert!(viewer(&kit, &session.secret).await.is_some());
    assert!(tries(&kit, ADA, PASSWORD).await.is_ok());
}

async fn two_sign_ups_with_different_passwords_leave_no_valid_password(kit: Kit) {
    signs_up(&kit, ADA, "a stranger's password").await;
    let stranger = tries(&kit, ADA, "a stranger's password").await.unwrap();
    signs_up(&kit, ADA, PASSWORD).await;
    assert_eq!(viewer(&kit, &stranger.secret).await, None);
    let link = newest_link(&kit).await;
    confirm_email(&kit.db, &door(), &link).await.unwrap();
    for either in ["a stranger's password", PASSWORD] {
        let refused = refusal(tries(&kit, ADA, either).await);
        assert_eq!(refused.0, SignInRefusal::BadCredentials, "{either}");
    }
}

async fn two_sign_ups_at_once_make_one_account(kit: Kit) {
    let entry = door();
    let (first, second) = tokio::join!(
        sign_up(&kit.db, &entry, wants_account(ADA, PASSWORD)),
        sign_up(&kit.db, &entry, wants_account(ADA, PASSWORD))
    );
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(kit.state().await.count("accounts"), 1);
    assert_eq!(letters(&kit).await.len(), 2);
    assert!(tries(&kit, ADA, PASSWORD).await.is_ok());
}

async fn letters_to_one_address_are_limited_across_origins(kit: Kit) {
    for last in 1..=5 {
        sign_up(&kit.db, &from(&format!("192.0.2.{last}")), wants_account(ADA, PASSWORD)).await.unwrap();
    }
    let before = kit.state().await;
    let refused = sign_up(&kit.db, &from("192.0.2.6"), wants_account(ADA, PASSWORD)).await;
    assert_eq!(refusal(refused), (SignUpRefusal::TooManyTries { wait_secs: 301 }, String::new()));
    assert_eq!(kit.state().await, before);
    sign_up(&kit.db, &from("192.0.2.6"), wants_account(EVE, PASSWORD)).await.unwrap();
    kit.clock.advance(TimeDelta::seconds(301));
    signs_up(&kit, ADA, PASSWORD).await;
}

async fn sign_ups_from_one_network_are_limited(kit: Kit) {
    for number in 0..20 {
        sign_up(&kit.db, &from("2001:db8::1"), wants_account(&format!("ada{number}@example.org"), PASSWORD))
            .await
            .unwrap();
    }
    let before = kit.state().await;
    let refused = sign_up(&kit.db, &from("2001:db8::2"), wants_account(EVE, PASSWORD)).await;
    assert!(matches!(refusal(refused).0, SignUpRefusal::TooManyTries { wait_secs: 1..=4 }));
    assert_eq!(kit.state().await, before);
    sign_up(&kit.db, &from("2001:db8:0:1::1"), wants_account(EVE, PASSWORD)).await.unwrap();
}

async fn signing_in_opens_a_session(kit: Kit) {
    let known = account(&kit, ADA).await;
    let signed_in = signs_in(&kit, ADA).await;
    assert!(signed_in.secret.expose().starts_with("sr_ses_"));
    assert_eq!(signed_in.session.expires_at, Kit::start() + TimeDelta::days(30));
    let expected = AccountViewer {
        account: known.id,
        session: signed_in.session.id,
        lent: false,
        person: Some(domain::accounts::person_key(&email(ADA))),
        admin: false,
        memberships: vec![],
    };
    assert_eq!(signed_in.viewer, Viewer::Account(expected));
    assert_eq!(viewer(&kit, &signed_in.secret).await, Some(signed_in.viewer));
    assert_eq!(audit_actions(&kit).await, ["account.create", "session.open"]);
}

async fn an_unconfirmed_address_may_sign_in_and_stays_unconfirmed(kit: Kit) {
    signs_up(&kit, ADA, PASSWORD).await;
    let Viewer::Account(signed_in) = signs_in(&kit, ADA).await.viewer else { unreachable!() };
    assert!(signed_in.person.is_none());
}

async fn a_wrong_password_and_an_unknown_address_get_the_same_answer(kit: Kit) {
    account(&kit, ADA).await;
    let before = kit.state().await;
    let wrong = refusal(tries(&kit, ADA, "wrong password").await);
    let unknown = refusal(tries(&kit, EVE, PASSWORD).await);
    assert_eq!(wrong, unknown);
    assert_eq!(wrong, (SignInRefusal::BadCredentials, String::new()));
    assert_eq!(kit.state().await, before);
}

async fn an_account_without_a_password_cannot_sign_in(kit: Kit) {
    let request = CreateAccount { email: email(ADA), name: TextLine::new("Ada").unwrap(), password: None };
    create_account(&kit.db, &operator(), request).await.unwrap();
    let before = kit.state().await;
    assert_eq!(refusal(tries(&kit, ADA, PASSWORD).await).0, SignInRefusal::BadCredentials);
    assert_eq!(kit.state().await, before);
}

async fn tries_against_one_address_are_limited_whether_it_is_known_or_not(kit: Kit) {
    account(&kit, ADA).await;
    for address in [ADA, EVE] {
        for number in 0..20 {
            let entry = from(&format!("198.51.100.{number}"));
            let wrong = SignIn { email: email(address), password: password("wrong password") };
            assert_eq!(refusal(sign_in(&kit.db, &entry, &wrong).await).0, SignInRefusal::BadCredentials);
        }
        let before = kit.state().await;
        let right = SignIn { email: email(address), password: password(PASSWORD) };
        let refused = refusal(sign_in(&kit.db, &from("198.51.100.99"), &right).await);
        assert_eq!(refused, (SignInRefusal::TooManyTries { wait_secs: 4 }, String::new()));
        assert_eq!(kit.state().await, before);
    }
    kit.clock.advance(TimeDelta::seconds(4));
    signs_in(&kit, ADA).await;
}

async fn tries_from_one_network_are_limited(kit: Kit) {
    for number in 0..20 {
        let refused = refusal(tries(&kit, &format!("ada{number}@example.org"), PASSWORD).await);
        assert_eq!(refused.0, SignInRefusal::BadCredentials);
    }
    account(&kit, ADA).await;
    let before = kit.state().await;
    assert!(matches!(refusal(tries(&kit, ADA, PASSWORD).await).0, SignInRefusal::TooManyTries { .. }));
    assert_eq!(kit.state().await, before);
    let right = SignIn { email: email(ADA), password: password(PASSWORD) };
    assert!(sign_in(&kit.db, &from("198.51.100.1"), &right).await.is_ok());
}

async fn a_refused_try_does_not_refill_the_budget(kit: Kit) {
    account(&kit, ADA).await;
    for _ in 0..20 {
        tries(&kit, ADA, "wrong password").await.unwrap_err();
    }
    for _ in 0..3 {
        assert!(matches!(refusal(tries(&kit, ADA, PASSWORD).await).0, SignInRefusal::TooManyTries { .. }));
    }
}
