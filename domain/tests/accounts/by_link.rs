//! Links in letters: confirming an address, choosing a new password, buying as a guest.

use chrono::TimeDelta;
use domain::{
    accounts::{
        ConfirmEmailRefusal, ConfirmGuestRefusal, Email, RequestPasswordResetRefusal, ResetPassword,
        ResetPasswordRefusal, SignInRefusal, StartGuestRefusal, confirm_email, confirm_guest, email_of,
        letters::{
            AlreadySignedUpLetter, ConfirmEmailLetter, ConfirmGuestLetter, OpenSessionLetter,
            ResetPasswordLetter,
        },
        person_key, person_key_of, queries, request_password_reset, reset_password, start_guest,
    },
    platform::{
        access::{Buyer, GuestViewer, Viewer},
        entropy::Secret,
        in_tx,
    },
    reservations::letters::{ConfirmedLetter, HeldLetter, LapsedLetter},
};
use testkit::{Kit, audit_actions, letter, letters, on_both, write_letter};

use super::{
    ADA, EVE, PASSWORD, account, door, email, from, link_of, newest_link, operator, password, refusal,
    signs_in, signs_up, tries, unknown, viewer,
};

on_both! {
    a_link_confirms_its_address_once,
    an_expired_link_or_one_for_another_purpose_confirms_nothing,
    a_link_used_twice_at_once_works_once,
    a_password_reset_gets_the_same_answer_for_any_address,
    a_new_password_set_by_a_link_ends_old_sessions_and_links,
    a_reset_confirms_the_address,
    an_invalid_link_sets_no_password,
    resets_for_one_address_are_limited_whether_it_is_known_or_not,
    starting_as_a_guest_twice_makes_one_guest,
    a_link_opens_a_guest_session_of_one_day,
    an_invalid_link_opens_no_guest_session,
    letters_to_a_guest_are_limited,
    an_obsolete_letter_is_not_written,
    the_address_and_the_name_of_a_buyer_are_found,
    a_person_has_one_key_with_and_without_an_account,
    ended_sessions_and_expired_links_are_deleted,
}

async fn asks_for_reset(kit: &Kit, address: &str) {
    request_password_reset(&kit.db, &door(), &email(address)).await.unwrap();
}

fn reset(link: &Secret, word: &str) -> ResetPassword {
    ResetPassword { link: link.clone(), password: password(word) }
}

async fn a_link_confirms_its_address_once(kit: Kit) {
    signs_up(&kit, ADA, PASSWORD).await;
    let written = write_letter(&kit, &letters(&kit).await.pop().unwrap()).await.unwrap();
    assert_eq!((written.to.address.as_str(), written.to.name.as_deref()), (ADA, Some("Ada")));
    assert!(written.text.contains("within 48 hours"), "{}", written.text);
    let link = newest_link(&kit).await;

    let confirmed = confirm_email(&kit.db, &door(), &link).await.unwrap();
    assert_eq!(confirmed.email_confirmed_at, Some(Kit::start()));
    assert_eq!(audit_actions(&kit).await, ["account.sign_up", "account.confirm_email"]);

    let before = kit.state().await;
    let again = refusal(confirm_email(&kit.db, &door(), &link).await);
    assert_eq!(again, (ConfirmEmailRefusal::LinkInvalid, "link".to_owned()));
    assert_eq!(kit.state().await, before);
}

async fn an_expired_link_or_one_for_another_purpose_confirms_nothing(kit: Kit) {
    signs_up(&kit, ADA, PASSWORD).await;
    let in_time = newest_link(&kit).await;
    asks_for_reset(&kit, ADA).await;
    let of_reset = newest_link(&kit).await;
    kit.clock.advance(TimeDelta::hours(48));
    let before = kit.state().await;
    for link in [in_time, of_reset, unknown("sr_link")] {
        assert_eq!(refusal(confirm_email(&kit.db, &door(), &link).await).0, ConfirmEmailRefusal::LinkInvalid);
    }
    assert_eq!(kit.state().await, before);
}

async fn a_link_used_twice_at_once_works_once(kit: Kit) {
    start_guest(&kit.db, &door(), &email(ADA)).await.unwrap();
    let (link, entry) = (newest_link(&kit).await, door());
    let (first, second) =
        tokio::join!(confirm_guest(&kit.db, &entry, &link), confirm_guest(&kit.db, &entry, &link));
    assert_eq!([first.is_ok(), second.is_ok()].iter().filter(|done| **done).count(), 1);
    assert_eq!(kit.state().await.count("sessions"), 1);
}

async fn a_password_reset_gets_the_same_answer_for_any_address(kit: Kit) {
    let known = account(&kit, ADA).await;
    asks_for_reset(&kit, EVE).await;
    assert!(letters(&kit).await.is_empty());
    asks_for_reset(&kit, ADA).await;
    assert_eq!(letters(&kit).await, [letter(&ResetPasswordLetter { account: known.id })]);
}

async fn a_new_password_set_by_a_link_ends_old_sessions_and_links(kit: Kit) {
    account(&kit, ADA).await;
    let session = signs_in(&kit, ADA).await;
    asks_for_reset(&kit, ADA).await;
    let (first, second) = (newest_link(&kit).await, newest_link(&kit).await);

    reset_password(&kit.db, &door(), reset(&first, "a new password")).await.unwrap();
    assert_eq!(viewer(&kit, &session.secret).await, None);
    assert_eq!(refusal(tries(&kit, ADA, PASSWORD).await).0, SignInRefusal::BadCredentials);
    assert!(tries(&kit, ADA, "a new password").await.is_ok());

    let before = kit.state().await;
    for used in [first, second] {
        let refused = refusal(reset_password(&kit.db, &door(), reset(&used, "a third password")).await);
        assert_eq!(refused, (ResetPasswordRefusal::LinkInvalid, "link".to_owned()));
    }
    assert_eq!(kit.state().await, before);
}

async fn a_reset_confirms_the_address(kit: Kit) {
    signs_up(&kit, ADA, PASSWORD).await;
    asks_for_reset(&kit, ADA).await;
    let link = newest_link(&kit).await;
    let account = reset_password(&kit.db, &door(), reset(&link, "a new password")).await.unwrap();
    assert_eq!(account.email_confirmed_at, Some(Kit::start()));
}

async fn an_invalid_link_sets_no_password(kit: Kit) {
    let known = account(&kit, ADA).await;
    asks_for_reset(&kit, ADA).await;
    let late = newest_link(&kit).await;
    start_guest(&kit.db, &door(), &email(ADA)).await.unwrap();
    let of_guest = newest_link(&kit).await;
    kit.clock.advance(TimeDelta::hours(1));
    let before = kit.state().await;
    for link in [late, of_guest, unknown("sr_link")] {
        let refused = refusal(reset_password(&kit.db, &door(), reset(&link, "a new password")).await);
        assert_eq!(refused.0, ResetPasswordRefusal::LinkInvalid);
    }
    assert_eq!(kit.state().await, before);
    let in_time = link_of(&kit, &letter(&ResetPasswordLetter { account: known.id })).await;
    assert!(reset_password(&kit.db, &door(), reset(&in_time, "a new password")).await.is_ok());
}

async fn resets_for_one_address_are_limited_whether_it_is_known_or_not(kit: Kit) {
    account(&kit, ADA).await;
    for address in [ADA, EVE] {
        for _ in 0..5 {
            asks_for_reset(&kit, address).await;
        }
        let before = kit.state().await;
        let refused = refusal(request_password_reset(&kit.db, &from("198.51.100.1"), &email(address)).await);
        assert_eq!(refused.0, RequestPasswordResetRefusal::TooManyTries { wait_secs: 301 });
        assert_eq!(kit.state().await, before);
    }
}

async fn starting_as_a_guest_twice_makes_one_guest(kit: Kit) {
    start_guest(&kit.db, &door(), &email(ADA)).await.unwrap();
    start_guest(&kit.db, &door(), &email(" ADA@example.org")).await.unwrap();
    assert_eq!(kit.state().await.count("guests"), 1);
    let [first, second] = letters(&kit).await.try_into().unwrap();
    assert_eq!(first, second);
    let written = write_letter(&kit, &first).await.unwrap();
    assert_eq!((written.to.address.as_str(), written.to.name), (ADA, None));
    assert!(written.text.contains("within 1 hour;"), "{}", written.text);
}

async fn a_link_opens_a_guest_session_of_one_day(kit: Kit) {
    start_guest(&kit.db, &door(), &email(ADA)).await.unwrap();
    let link = newest_link(&kit).await;
    let begun = confirm_guest(&kit.db, &door(), &link).await.unwrap();
    assert_eq!(viewer(&kit, &begun.secret).await, Some(begun.viewer.clone()));
    assert!(matches!(begun.viewer, Viewer::Guest(ref guest) if guest.session == begun.session.id));
    assert_eq!(audit_actions(&kit).await, ["guest.start", "guest.confirm", "session.open"]);
    kit.clock.advance(TimeDelta::hours(24));
    assert_eq!(viewer(&kit, &begun.secret).await, None);
}

async fn an_invalid_link_opens_no_guest_session(kit: Kit) {
    account(&kit, EVE).await;
    start_guest(&kit.db, &door(), &email(ADA)).await.unwrap();
    let late = newest_link(&kit).await;
    asks_for_reset(&kit, EVE).await;
    let of_reset = newest_link(&kit).await;
    kit.clock.advance(TimeDelta::hours(1));
    let before = kit.state().await;
    for link in [late, of_reset, unknown("sr_link")] {
        let refused = refusal(confirm_guest(&kit.db, &door(), &link).await);
        assert_eq!(refused, (ConfirmGuestRefusal::LinkInvalid, "link".to_owned()));
    }
    assert_eq!(kit.state().await, before);
}

async fn letters_to_a_guest_are_limited(kit: Kit) {
    for _ in 0..5 {
        start_guest(&kit.db, &door(), &email(ADA)).await.unwrap();
    }
    let before = kit.state().await;
    let refused = refusal(start_guest(&kit.db, &from("198.51.100.1"), &email(ADA)).await);
    assert_eq!(refused.0, StartGuestRefusal::TooManyTries { wait_secs: 301 });
    assert_eq!(kit.state().await, before);
}

async fn an_obsolete_letter_is_not_written(kit: Kit) {
    let confirmed = account(&kit, ADA).await;
    let before = kit.state().await;
    for letter in [
        letter(&ConfirmEmailLetter { account: confirmed.id }),
        letter(&ResetPasswordLetter { account: kit.db.new_id() }),
        letter(&ConfirmGuestLetter { guest: kit.db.new_id() }),
        letter(&OpenSessionLetter { account: confirmed.id, token: kit.db.new_id() }),
        letter(&HeldLetter { checkout: kit.db.new_id() }),
        letter(&ConfirmedLetter { checkout: kit.db.new_id() }),
        letter(&LapsedLetter { checkout: kit.db.new_id() }),
    ] {
        assert_eq!(write_letter(&kit, &letter).await, None, "{letter}");
    }
    assert_eq!(kit.state().await, before);
    let told = write_letter(&kit, &letter(&AlreadySignedUpLetter { account: confirmed.id })).await.unwrap();
    assert!(told.to.address == ADA && !told.text.contains("code="), "{told:?}");
}

async fn the_address_and_the_name_of_a_buyer_are_found(kit: Kit) {
    let known = account(&kit, ADA).await;
    let found = email_of(&kit.db, &operator(), Buyer::Account(known.id)).await.unwrap();
    assert_eq!(found, Some((email(ADA), Some("Ada".to_owned()))));
    assert_eq!(email_of(&kit.db, &operator(), Buyer::Guest(kit.db.new_id())).await.unwrap(), None);
}

async fn a_person_has_one_key_with_and_without_an_account(kit: Kit) {
    signs_up(&kit, ADA, PASSWORD).await;
    let ConfirmEmailLetter { account } = serde_json::from_value(letters(&kit).await.pop().unwrap()).unwrap();
    assert_eq!(person_key_of(&kit.db, Buyer::Account(account)).await.unwrap(), None, "not confirmed yet");
    let link = newest_link(&kit).await;
    confirm_email(&kit.db, &door(), &link).await.unwrap();

    start_guest(&kit.db, &door(), &email(ADA)).await.unwrap();
    let link = newest_link(&kit).await;
    let Viewer::Guest(GuestViewer { guest, person, .. }) =
        confirm_guest(&kit.db, &door(), &link).await.unwrap().viewer
    else {
        unreachable!()
    };
    let expected = Some(person_key(&email(ADA)));
    assert_eq!(Some(person), expected);
    assert_eq!(person_key_of(&kit.db, Buyer::Account(account)).await.unwrap(), expected);
    assert_eq!(person_key_of(&kit.db, Buyer::Guest(guest)).await.unwrap(), expected);
    let own = queries::own_account(&kit.db, &super::me(&signs_in(&kit, ADA).await.viewer)).await.unwrap();
    assert_eq!(own.map(|own| own.email), Some(Email::new(ADA).unwrap()));
    let as_buyer = operator().as_buyer(Buyer::Guest(guest));
    assert_eq!(domain::accounts::own_email(&kit.db, &as_buyer).await.unwrap(), Some(email(ADA)));
}

async fn ended_sessions_and_expired_links_are_deleted(kit: Kit) {
    account(&kit, ADA).await;
    signs_in(&kit, ADA).await;
    asks_for_reset(&kit, ADA).await;
    newest_link(&kit).await;
    let sweep = async || {
        let before = kit.db.now();
        in_tx(&kit.db, operator().actor(), async |tx| domain::accounts::sweep(tx, before).await)
            .await
            .unwrap()
    };
    assert_eq!(sweep().await, 0);
    kit.clock.advance(TimeDelta::days(31));
    assert_eq!(sweep().await, 2);
    let state = kit.state().await;
    assert_eq!((state.count("email_links"), state.count("sessions"), state.count("accounts")), (0, 0, 1));
}
