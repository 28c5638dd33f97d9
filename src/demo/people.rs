//! The people of the demo: three accounts to sign in with, guests who buy, and buyers for load tests.

use std::{collections::BTreeMap, path::PathBuf};

use domain::{
    accounts::{
        AccountName, CreateAccount, Email, Password, create_account, create_admin, create_buyers,
        open_session_for, queries::account_by_email, viewer_of,
    },
    platform::{
        Db,
        access::{SystemScope, Viewer},
        entropy::Secret,
        ids::AccountId,
    },
};
use serde::{Deserialize, Serialize};

use super::load::{LoadError, REASON};
use crate::{data_folder::DataFolder, exit::Outcome};

/// The password of the three accounts to sign in with.
pub(crate) const PASSWORD: &str = "smallrun-demo";
/// The roles and e-mail addresses of the three accounts.
pub(crate) const PEOPLE: [(&str, &str); 3] =
    [("buyer", "buyer@demo.example"), ("creator", "creator@demo.example"), ("admin", "admin@demo.example")];

/// The number of guests who buy. The largest sold-out run has this many units, one for each guest.
const CROWD: usize = 12;

const TOKENS_FILE: &str = "demo-tokens.json";
const BUYERS_FILE: &str = "demo-buyers.json";

/// The accounts that the demo's content needs.
pub(super) struct People {
    /// The account that owns every creator of the demo.
    pub(super) creator: AccountId,
    /// The accounts that buy units of the demo's runs.
    pub(super) crowd: Vec<AccountId>,
}

/// Creates the accounts that are missing.
pub(super) async fn ensure(db: &Db, system: &SystemScope) -> Result<People, LoadError> {
    let password = Password::new(PASSWORD).map_err(LoadError::new)?;
    for (role, email) in PEOPLE {
        if account(db, system, email).await?.is_some() {
            continue;
        }
        let name = match role {
            "buyer" => "Bo Buyer",
            "creator" => "Cleo Creator",
            _ => "Ada Admin",
        };
        let new = person(email, name, Some(password.clone()))?;
        if role == "admin" {
            create_admin(db, system, new).await?;
        } else {
            create_account(db, system, new).await?;
        }
    }
    let mut crowd = Vec::with_capacity(CROWD);
    for number in 1..=CROWD {
        let email = format!("guest-{number}@demo.example");
        crowd.push(match account(db, system, &email).await? {
            Some(known) => known,
            None => create_account(db, system, person(&email, &format!("Guest {number}"), None)?).await?.id,
        });
    }
    let [_, (_, creator), _] = PEOPLE;
    let creator = account(db, system, creator)
        .await?
        .ok_or_else(|| LoadError::new("the creator's account is missing"))?;
    Ok(People { creator, crowd })
}

async fn account(db: &Db, system: &SystemScope, email: &str) -> Result<Option<AccountId>, LoadError> {
    let email = Email::new(email).map_err(LoadError::new)?;
    Ok(account_by_email(db, system, &email).await?.map(|account| account.id))
}

fn person(email: &str, name: &str, password: Option<Password>) -> Result<CreateAccount, LoadError> {
    let email = Email::new(email).map_err(LoadError::new)?;
    Ok(CreateAccount { email, name: AccountName::new(name).map_err(LoadError::new)?, password })
}

/// A bearer token for each of the three accounts.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Tokens {
    buyer: String,
    creator: String,
    admin: String,
}

impl Tokens {
    /// Returns the tokens by role name.
    pub(crate) fn by_role(&self) -> BTreeMap<String, String> {
        let pairs = [("buyer", &self.buyer), ("creator", &self.creator), ("admin", &self.admin)];
        pairs.into_iter().map(|(role, token)| (role.to_owned(), token.clone())).collect()
    }
}

/// Writes the tokens to DATA/demo-tokens.json and returns them. Tokens of an earlier start are kept if they
/// are still valid.
pub(crate) async fn tokens(db: &Db, folder: &DataFolder) -> Outcome<(Tokens, PathBuf)> {
    let kept = folder.read(TOKENS_FILE)?.and_then(|text| serde_json::from_str::<Tokens>(&text).ok());
    let kept =
        kept.map_or([None, None, None], |kept| [Some(kept.buyer), Some(kept.creator), Some(kept.admin)]);
    let [buyer, creator, admin] = PEOPLE.map(|(_, email)| email);
    let [kept_buyer, kept_creator, kept_admin] = kept;
    let tokens = Tokens {
        buyer: token(db, buyer, kept_buyer).await?,
        creator: token(db, creator, kept_creator).await?,
        admin: token(db, admin, kept_admin).await?,
    };
    let text = serde_json::to_string_pretty(&tokens).map_err(LoadError::new)?;
    let path = folder.write_private(TOKENS_FILE, &format!("{text}\n"))?;
    Ok((tokens, path))
}

async fn token(db: &Db, email: &str, kept: Option<String>) -> Result<String, LoadError> {
    let system = SystemScope::new(REASON);
    let gone = || LoadError::new(format_args!("the account {email} is missing"));
    let account = account(db, &system, email).await?.ok_or_else(gone)?;
    if let Some(secret) = kept.as_deref().and_then(Secret::presented) {
        match viewer_of(db, &secret).await? {
            Some(Viewer::Account(viewer)) if viewer.account == account => {
                return Ok(secret.expose().to_owned());
            }
            Some(Viewer::Account(_) | Viewer::Public | Viewer::Guest(..) | Viewer::Token(_)) | None => {}
        }
    }
    let signed_in = open_session_for(db, &system, account).await?.ok_or_else(gone)?;
    Ok(signed_in.secret.expose().to_owned())
}

/// Creates signed-in buyers, or new sessions for existing ones, and writes their tokens to
/// DATA/demo-buyers.json.
pub(crate) async fn buyers(db: &Db, folder: &DataFolder, count: u32) -> Outcome<PathBuf> {
    let buyer = |number: u32| {
        let email = Email::new(&format!("load-{number}@demo.example")).map_err(LoadError::new)?;
        Ok((email, AccountName::new(&format!("Load {number}")).map_err(LoadError::new)?))
    };
    let new = (1..=count).map(buyer).collect::<Result<Vec<_>, LoadError>>()?;
    let secrets = create_buyers(db, &SystemScope::new(REASON), &new).await.map_err(LoadError::from)?;
    let tokens: Vec<&str> = secrets.iter().map(Secret::expose).collect();
    let text = serde_json::to_string(&tokens).map_err(LoadError::new)?;
    folder.write_private(BUYERS_FILE, &format!("{text}\n"))
}
