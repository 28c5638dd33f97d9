//! Accounts: signing up and in, links, sessions, tokens, and that no response reveals whether an address is
//! known.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may panic")]

mod by_link;
mod door;
mod operator;
mod sessions;
mod tokens;

use std::{fmt::Debug, net::IpAddr};

use domain::{
    accounts::{
        Account, CreateAccount, Email, Password, SignIn, SignInRefusal, SignUp, SignedIn, create_account,
        sign_in, sign_up, viewer_of,
    },
    platform::{
        OpError,
        access::{AccountScope, Enter, EntryScope, OwnAccount, SystemScope, Viewer, authorize},
        entropy::Secret,
        text::TextLine,
    },
};
use serde_json::Value as Json;
use testkit::{Kit, letters, link_in, write_letter};

const ADA: &str = "ada@example.org";
const EVE: &str = "eve@example.org";
const PASSWORD: &str = "correct horse";

fn email(text: &str) -> Email {
    Email::new(text).unwrap()
}

fn password(text: &str) -> Password {
    Password::new(text).unwrap()
}

fn operator() -> SystemScope {
    SystemScope::new("test")
}

/// Returns the scope of an unknown person at a network address.
fn from(address: &str) -> EntryScope {
    let address: IpAddr = address.parse().unwrap();
    authorize(&Viewer::Public, Enter { address }).unwrap()
}

/// Returns the scope of an unknown person at the address that most tests use.
fn door() -> EntryScope {
    from("192.0.2.1")
}

fn me(viewer: &Viewer) -> AccountScope {
    authorize(viewer, OwnAccount).unwrap()
}

/// Returns the only refusal of a call, with the input field that it is about.
fn refusal<T: Debug, R: Debug + Copy>(result: Result<T, OpError<R>>) -> (R, String) {
    match result {
        Err(OpError::Refused(refused)) if refused.len() == 1 => {
            let path = refused[0].path.iter().map(ToString::to_string).collect::<Vec<_>>().join(".");
            (refused[0].code, path)
        }
        other => panic!("not one refusal: {other:?}"),
    }
}

fn wants_account(address: &str, word: &str) -> SignUp {
    SignUp { email: email(address), password: password(word), name: TextLine::new("Ada").unwrap() }
}

async fn signs_up(kit: &Kit, address: &str, word: &str) {
    sign_up(&kit.db, &door(), wants_account(address, word)).await.unwrap();
}

/// Creates an account with a confirmed address and the usual password.
async fn account(kit: &Kit, address: &str) -> Account {
    let request = CreateAccount {
        email: email(address),
        name: TextLine::new("Ada").unwrap(),
        password: Some(password(PASSWORD)),
    };
    create_account(&kit.db, &operator(), request).await.unwrap()
}

async fn tries(kit: &Kit, address: &str, word: &str) -> Result<SignedIn, OpError<SignInRefusal>> {
    sign_in(&kit.db, &door(), &SignIn { email: email(address), password: password(word) }).await
}

async fn signs_in(kit: &Kit, address: &str) -> SignedIn {
    tries(kit, address, PASSWORD).await.unwrap()
}

async fn viewer(kit: &Kit, secret: &Secret) -> Option<Viewer> {
    viewer_of(&kit.db, secret).await.unwrap()
}

/// Returns the secret of a letter's link.
async fn link_of(kit: &Kit, letter: &Json) -> Secret {
    Secret::presented(&link_in(&write_letter(kit, letter).await.unwrap())).unwrap()
}

/// Returns the secret of the newest letter's link.
async fn newest_link(kit: &Kit) -> Secret {
    link_of(kit, letters(kit).await.last().unwrap()).await
}

/// Returns a well-formed secret that was never issued.
fn unknown(prefix: &str) -> Secret {
    Secret::presented(&format!("{prefix}_{}", "0".repeat(64))).unwrap()
}
