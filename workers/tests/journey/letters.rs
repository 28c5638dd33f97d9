//! Letters about accounts and guests: each arrives, and its link works.

use std::net::{IpAddr, Ipv4Addr};

use chrono::TimeDelta;
use domain::{
    accounts::{self, Email, Password, SignUp},
    platform::{
        access::{Enter, EntryScope, Viewer, authorize},
        entropy::Secret,
        text::TextLine,
    },
};
use testkit::{Kit, on_both};

use crate::journey::shop::Shop;

fn door() -> EntryScope {
    authorize(&Viewer::Public, Enter { address: IpAddr::V4(Ipv4Addr::LOCALHOST) }).unwrap()
}

/// Returns the page and the secret of a letter's link. The link is on a line of its own, and so is its code.
fn link(text: &str) -> (String, Secret) {
    let url = text.lines().find(|line| line.starts_with("https://")).unwrap();
    let (page, secret) = url.split_once("?code=").unwrap();
    assert!(text.lines().any(|line| line == secret), "the code is also on a line of its own: {text}");
    (page.to_owned(), Secret::presented(secret).unwrap())
}

on_both! {
    async fn a_new_account_is_confirmed_by_the_link_of_its_letter(kit: Kit) {
        let shop = Shop::open(kit, TimeDelta::zero(), 1).await;
        let sign_up = || SignUp {
            email: Email::new("ada@example.org").unwrap(),
            password: Password::new("correct horse").unwrap(),
            name: TextLine::new("Ada").unwrap(),
        };
        accounts::sign_up(&shop.kit.db, &door(), sign_up()).await.unwrap();
        shop.eventually("the letter", async || shop.subjects("ada").len() == 1).await;
        let text = shop.mails("ada").swap_remove(0).text;
        assert!(text.starts_with("Hello Ada,") && text.contains("within 48 hours"), "{text}");
        let (page, secret) = link(&text);
        assert_eq!(page, "https://shop.example/confirm-email");
        accounts::confirm_email(&shop.kit.db, &door(), &secret).await.unwrap();
        accounts::sign_up(&shop.kit.db, &door(), sign_up()).await.unwrap();
        shop.eventually("the other letter", async || shop.subjects("ada").len() == 2).await;
        assert_eq!(shop.subjects("ada"), ["Confirm your e-mail address", "You already have an account"]);
        shop.close().await;
    }

    async fn a_guest_is_confirmed_by_the_link_of_the_letter(kit: Kit) {
        let shop = Shop::open(kit, TimeDelta::zero(), 1).await;
        accounts::start_guest(&shop.kit.db, &door(), &Email::new("guest@example.org").unwrap())
            .await
            .unwrap();
        shop.eventually("the letter", async || shop.subjects("guest").len() == 1).await;
        let (page, secret) = link(&shop.mails("guest").swap_remove(0).text);
        assert_eq!(page, "https://shop.example/confirm-guest");
        accounts::confirm_guest(&shop.kit.db, &door(), &secret).await.unwrap();
        shop.close().await;
    }
}
