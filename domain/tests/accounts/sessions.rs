//! One's own account and sessions, and the viewers of sessions.

use chrono::TimeDelta;
use domain::{
    accounts::{
        ChangePassword, ChangePasswordRefusal, RevokeSessionRefusal, SignInRefusal, change_name,
        change_password, queries, revoke_session, sign_out, viewer_of,
    },
    creators::create,
    platform::{
        access::{AccountViewer, MemberRole, OwnSession, SystemScope, Viewer, authorize},
        page::Page,
        text::TextLine,
    },
};
use testkit::{Kit, audit_actions, on_both, requests};

use super::{
    ADA, EVE, PASSWORD, account, me, newest_link, password, refusal, signs_in, tries, unknown, viewer,
};

on_both! {
    an_unknown_secret_has_no_viewer,
    a_session_ends_after_thirty_days,
    a_session_of_a_member_knows_the_creators,
    a_request_costs_two_statements_and_records_its_use_once_a_minute,
    signing_out_ends_this_session_everywhere,
    signing_out_twice_is_allowed,
    own_live_sessions_are_listed_newest_first,
    another_session_of_ones_own_can_be_ended,
    a_session_of_somebody_else_is_unknown,
    a_name_can_be_changed,
    a_new_password_ends_the_other_sessions,
    a_wrong_old_password_changes_nothing,
    tries_with_a_stolen_session_are_limited,
    a_link_is_void_after_a_change_of_password,
}

fn change(old: &str, new: &str) -> ChangePassword {
    ChangePassword { old: password(old), new: password(new) }
}

async fn an_unknown_secret_has_no_viewer(kit: Kit) {
    for prefix in ["sr_ses", "sr_sec", "sr_pub", "what"] {
        assert_eq!(viewer(&kit, &unknown(prefix)).await, None);
    }
}

async fn a_session_ends_after_thirty_days(kit: Kit) {
    account(&kit, ADA).await;
    let begun = signs_in(&kit, ADA).await;
    kit.clock.advance(TimeDelta::days(30) - TimeDelta::seconds(1));
    assert!(viewer(&kit, &begun.secret).await.is_some());
    kit.clock.advance(TimeDelta::seconds(1));
    assert_eq!(viewer(&kit, &begun.secret).await, None);
}

async fn a_session_of_a_member_knows_the_creators(kit: Kit) {
    account(&kit, ADA).await;
    let begun = signs_in(&kit, ADA).await;
    let creator = create(&kit.db, &me(&begun.viewer), requests::creator("Kiln & Co")).await.unwrap();
    let Some(Viewer::Account(now)) = viewer(&kit, &begun.secret).await else { unreachable!() };
    assert_eq!(now.memberships, [(creator.id, MemberRole::Owner)]);
    let names =
        queries::member_names(&kit.db, &SystemScope::new("test").as_creator(creator.id)).await.unwrap();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), [(now.account, "Ada".to_owned())]);
    let Viewer::Account(AccountViewer { memberships, .. }) = signs_in(&kit, ADA).await.viewer else {
        unreachable!()
    };
    assert_eq!(memberships, now.memberships);
}

async fn a_request_costs_two_statements_and_records_its_use_once_a_minute(kit: Kit) {
    account(&kit, ADA).await;
    let begun = signs_in(&kit, ADA).await;
    let cost = async || {
        let before = kit.db.statements();
        viewer(&kit, &begun.secret).await.unwrap();
        kit.db.statements() - before
    };
    assert_eq!(cost().await, 2);
    kit.clock.advance(TimeDelta::seconds(60));
    assert_eq!(cost().await, 3);
    assert_eq!(cost().await, 2);
    let sessions = queries::own_sessions(&kit.db, &me(&begun.viewer), &Page::first(1)).await.unwrap();
    assert_eq!(sessions.rows.first().unwrap().1.last_used_at, Kit::start() + TimeDelta::seconds(60));
}

async fn signing_out_ends_this_session_everywhere(kit: Kit) {
    account(&kit, ADA).await;
    let (here, there) = (signs_in(&kit, ADA).await, signs_in(&kit, ADA).await);
    let other_process = kit.connect(2).await;
    assert!(viewer_of(&other_process, &here.secret).await.unwrap().is_some());
    sign_out(&kit.db, &authorize(&here.viewer, OwnSession).unwrap()).await.unwrap();
    assert_eq!(viewer_of(&other_process, &here.secret).await.unwrap(), None);
    assert!(viewer(&kit, &there.secret).await.is_some());
}

async fn signing_out_twice_is_allowed(kit: Kit) {
    account(&kit, ADA).await;
    let scope = authorize(&signs_in(&kit, ADA).await.viewer, OwnSession).unwrap();
    sign_out(&kit.db, &scope).await.unwrap();
    let before = kit.state().await;
    sign_out(&kit.db, &scope).await.unwrap();
    assert_eq!(kit.state().await, before);
}

async fn own_live_sessions_are_listed_newest_first(kit: Kit) {
    account(&kit, ADA).await;
    account(&kit, EVE).await;
    signs_in(&kit, EVE).await;
    let mut expected = Vec::new();
    for _ in 0..3 {
        kit.clock.advance(TimeDelta::seconds(1));
        expected.insert(0, signs_in(&kit, ADA).await.session);
    }
    let ended = signs_in(&kit, ADA).await;
    sign_out(&kit.db, &authorize(&ended.viewer, OwnSession).unwrap()).await.unwrap();
    let scope = me(&signs_in(&kit, ADA).await.viewer);
    let listed = queries::own_sessions(&kit.db, &scope, &Page::first(10)).await.unwrap();
    let listed: Vec<_> = listed.rows.into_iter().map(|(_, session)| session).skip(1).collect();
    assert_eq!(listed, expected);
    assert_eq!(queries::own_sessions_count(&kit.db, &scope).await.unwrap(), 4);
}

async fn another_session_of_ones_own_can_be_ended(kit: Kit) {
    account(&kit, ADA).await;
    let (here, there) = (signs_in(&kit, ADA).await, signs_in(&kit, ADA).await);
    revoke_session(&kit.db, &me(&here.viewer), there.session.id).await.unwrap();
    assert_eq!(viewer(&kit, &there.secret).await, None);
    assert!(viewer(&kit, &here.secret).await.is_some());
    assert_eq!(audit_actions(&kit).await.last().unwrap(), "session.end");
    let before = kit.state().await;
    let again = refusal(revoke_session(&kit.db, &me(&here.viewer), there.session.id).await);
    assert_eq!(again, (RevokeSessionRefusal::NotFound, "id".to_owned()));
    assert_eq!(kit.state().await, before);
}

async fn a_session_of_somebody_else_is_unknown(kit: Kit) {
    account(&kit, ADA).await;
    account(&kit, EVE).await;
    let (ada, eve) = (signs_in(&kit, ADA).await, signs_in(&kit, EVE).await);
    let before = kit.state().await;
    let foreign = refusal(revoke_session(&kit.db, &me(&eve.viewer), ada.session.id).await);
    let unknown = refusal(revoke_session(&kit.db, &me(&eve.viewer), kit.db.new_id()).await);
    assert_eq!(foreign, unknown);
    assert_eq!(foreign.0, RevokeSessionRefusal::NotFound);
    assert_eq!(kit.state().await, before);
}

async fn a_name_can_be_changed(kit: Kit) {
    let made = account(&kit, ADA).await;
    let scope = me(&signs_in(&kit, ADA).await.viewer);
    let changed = change_name(&kit.db, &scope, TextLine::new("Ada Lovelace").unwrap()).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.version), ("Ada Lovelace", made.version + 1));
    assert_eq!(audit_actions(&kit).await.last().unwrap(), "account.change_name");
}

async fn a_new_password_ends_the_other_sessions(kit: Kit) {
    account(&kit, ADA).await;
    let (here, there) = (signs_in(&kit, ADA).await, signs_in(&kit, ADA).await);
    change_password(&kit.db, &me(&here.viewer), change(PASSWORD, "a new password")).await.unwrap();
    assert!(viewer(&kit, &here.secret).await.is_some());
    assert_eq!(viewer(&kit, &there.secret).await, None);
    assert_eq!(refusal(tries(&kit, ADA, PASSWORD).await).0, SignInRefusal::BadCredentials);
    assert!(tries(&kit, ADA, "a new password").await.is_ok());
}

async fn a_wrong_old_password_changes_nothing(kit: Kit) {
    account(&kit, ADA).await;
    let scope = me(&signs_in(&kit, ADA).await.viewer);
    let before = kit.state().await;
    let refused = refusal(change_password(&kit.db, &scope, change("wrong password", "a new password")).await);
    assert_eq!(refused, (ChangePasswordRefusal::WrongPassword, "oldPassword".to_owned()));
    assert_eq!(kit.state().await, before);
}

async fn tries_with_a_stolen_session_are_limited(kit: Kit) {
    account(&kit, ADA).await;
    let scope = me(&signs_in(&kit, ADA).await.viewer);
    let before = kit.state().await;
    for _ in 0..19 {
        change_password(&kit.db, &scope, change("wrong password", "a new password")).await.unwrap_err();
    }
    let refused = refusal(change_password(&kit.db, &scope, change(PASSWORD, "a new password")).await);
    assert_eq!(refused, (ChangePasswordRefusal::TooManyTries { wait_secs: 4 }, String::new()));
    assert_eq!(kit.state().await, before);
}

async fn a_link_is_void_after_a_change_of_password(kit: Kit) {
    account(&kit, ADA).await;
    let scope = me(&signs_in(&kit, ADA).await.viewer);
    domain::accounts::request_password_reset(&kit.db, &super::door(), &super::email(ADA)).await.unwrap();
    let link = newest_link(&kit).await;
    change_password(&kit.db, &scope, change(PASSWORD, "a new password")).await.unwrap();
    let request = domain::accounts::ResetPassword { link, password: password("a third password") };
    let refused = refusal(domain::accounts::reset_password(&kit.db, &super::door(), request).await);
    assert_eq!(refused.0, domain::accounts::ResetPasswordRefusal::LinkInvalid);
}
