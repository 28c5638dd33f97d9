//! Operations of the operator and of administrators.

use chrono::TimeDelta;
use domain::{
    accounts::{
        CreateAccount, CreateAdminRefusal, SignInRefusal, create_account, create_admin, create_buyers,
        open_session_for, queries,
    },
    platform::{access::Viewer, page::Page, text::TextLine},
};
use testkit::{Kit, audit_actions, facts, on_both};

use super::{
    ADA, EVE, PASSWORD, account, email, operator, password, refusal, signs_in, signs_up, tries, viewer,
};

on_both! {
    a_new_account_can_be_an_administrator,
    an_existing_account_becomes_an_administrator_and_keeps_its_password,
    a_strangers_password_does_not_become_an_administrators,
    an_administrator_cannot_be_made_twice,
    creating_an_account_twice_makes_one,
    many_buyers_are_made_at_once_and_again,
    a_session_can_be_opened_for_the_demo,
    accounts_are_listed_newest_first_and_found_by_address,
}

fn wanted(address: &str, word: Option<&str>) -> CreateAccount {
    CreateAccount {
        email: email(address),
        name: TextLine::new("Root").unwrap(),
        password: word.map(password),
    }
}

async fn a_new_account_can_be_an_administrator(kit: Kit) {
    assert!(!queries::any_admin(&kit.db, &operator()).await.unwrap());
    let made = create_admin(&kit.db, &operator(), wanted(ADA, Some(PASSWORD))).await.unwrap();
    assert!(made.admin && made.email_confirmed_at.is_some());
    assert!(queries::any_admin(&kit.db, &operator()).await.unwrap());
    let Viewer::Account(begun) = signs_in(&kit, ADA).await.viewer else { unreachable!() };
    assert!(begun.admin);
    assert_eq!(facts(&kit).await, ["account_changed"]);
    assert_eq!(audit_actions(&kit).await, ["account.create_admin", "session.open"]);
}

async fn an_existing_account_becomes_an_administrator_and_keeps_its_password(kit: Kit) {
    let known = account(&kit, ADA).await;
    let session = signs_in(&kit, ADA).await;
    let made = create_admin(&kit.db, &operator(), wanted(ADA, None)).await.unwrap();
    assert_eq!((made.id, made.name.as_str(), made.admin), (known.id, "Ada", true));
    let Some(Viewer::Account(seen)) = viewer(&kit, &session.secret).await else { unreachable!() };
    assert!(seen.admin);
    signs_in(&kit, ADA).await;
}

async fn a_strangers_password_does_not_become_an_administrators(kit: Kit) {
    signs_up(&kit, ADA, "a stranger's word").await;
    let stranger = tries(&kit, ADA, "a stranger's word").await.unwrap();
    create_admin(&kit.db, &operator(), wanted(ADA, None)).await.unwrap();
    assert_eq!(viewer(&kit, &stranger.secret).await, None);
    assert_eq!(refusal(tries(&kit, ADA, "a stranger's word").await).0, SignInRefusal::BadCredentials);
}

async fn an_administrator_cannot_be_made_twice(kit: Kit) {
    create_admin(&kit.db, &operator(), wanted(ADA, Some(PASSWORD))).await.unwrap();
    let before = kit.state().await;
    let refused = refusal(create_admin(&kit.db, &operator(), wanted(ADA, Some("another password"))).await);
    assert_eq!(refused, (CreateAdminRefusal::AlreadyAdmin, "email".to_owned()));
    assert_eq!(kit.state().await, before);
}

async fn creating_an_account_twice_makes_one(kit: Kit) {
    let first = create_account(&kit.db, &operator(), wanted(ADA, Some(PASSWORD))).await.unwrap();
    let second = create_account(&kit.db, &operator(), wanted(ADA, None)).await.unwrap();
    assert_eq!(first.id, second.id);
    signs_in(&kit, ADA).await;
}

async fn many_buyers_are_made_at_once_and_again(kit: Kit) {
    let buyers: Vec<_> = (0..1_500)
        .map(|number| (email(&format!("b{number}@example.org")), TextLine::new("Buyer").unwrap()))
        .collect();
    let secrets = create_buyers(&kit.db, &operator(), &buyers).await.unwrap();
    assert_eq!(secrets.len(), buyers.len());
    for at in [0, 999, 1_000, 1_499] {
        let Some(Viewer::Account(seen)) = viewer(&kit, &secrets[at]).await else { unreachable!() };
        let account = queries::account_by_email(&kit.db, &operator(), &buyers[at].0).await.unwrap().unwrap();
        assert_eq!((seen.account, seen.person.is_some()), (account.id, true));
    }
    let again = create_buyers(&kit.db, &operator(), &buyers[..2]).await.unwrap();
    assert_eq!(again.len(), 2);
    let state = kit.state().await;
    assert_eq!(
        (state.count("accounts"), state.count("sessions"), state.count("outbox")),
        (1_500, 1_502, 1_500)
    );
}

async fn a_session_can_be_opened_for_the_demo(kit: Kit) {
    let known = account(&kit, ADA).await;
    let begun = open_session_for(&kit.db, &operator(), known.id).await.unwrap().unwrap();
    assert_eq!(viewer(&kit, &begun.secret).await, Some(begun.viewer));
    assert!(open_session_for(&kit.db, &operator(), kit.db.new_id()).await.unwrap().is_none());
}

async fn accounts_are_listed_newest_first_and_found_by_address(kit: Kit) {
    let ada = account(&kit, ADA).await;
    kit.clock.advance(TimeDelta::seconds(1));
    let eve = account(&kit, EVE).await;
    let admin = operator().as_admin();
    let listed = queries::accounts(&kit.db, &admin, None, &Page::first(10)).await.unwrap();
    assert_eq!(
        listed.rows.into_iter().map(|(_, account)| account).collect::<Vec<_>>(),
        [eve.clone(), ada.clone()]
    );
    assert_eq!(queries::accounts_count(&kit.db, &admin, None).await.unwrap(), 2);
    let found = queries::accounts(&kit.db, &admin, Some(&email(ADA)), &Page::first(10)).await.unwrap();
    assert_eq!(found.rows.into_iter().map(|(_, account)| account.id).collect::<Vec<_>>(), [ada.id]);
    assert_eq!(queries::accounts_count(&kit.db, &admin, Some(&email(ADA))).await.unwrap(), 1);
    let by_ids = queries::accounts_by_ids(&kit.db, &admin, &[ada.id, kit.db.new_id()]).await.unwrap();
    assert_eq!(by_ids.into_iter().collect::<Vec<_>>(), [(ada.id, ada)]);
}
