//! Signs a person up.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, IntoActiveModel, sea_query::OnConflict};

use super::{
    AccountName, Email, Password, account,
    letters::{AlreadySignedUpLetter, ConfirmEmailLetter},
    password::{self, PasswordHash},
    session,
    throttle::{Charge, charge},
};
use crate::platform::{Db, OpError, Tx, access::EntryScope, audit, in_tx, mail::SendMail, tasks};

/// A request to create an account.
#[derive(Debug, Clone)]
pub struct SignUp {
    /// The e-mail address. The person confirms it with a link that is sent there.
    pub email: Email,
    /// The password.
    pub password: Password,
    /// The name that the person wants to be called by.
    pub name: AccountName,
}

/// The reasons to refuse a sign-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignUpRefusal {
    /// There were too many requests from this origin, or too many letters to this address.
    #[error("too many tries: wait {wait_secs} seconds")]
    TooManyTries {
        /// How long to wait, in seconds.
        wait_secs: u32,
    },
}

/// What to do, depending on what is known about the address before the transaction.
enum Plan {
    /// The address is unknown: create an account with this hash.
    New(PasswordHash),
    /// There is an account whose address is confirmed.
    Known,
    /// There is an account whose address is not confirmed yet. `same_password` says whether it has the same
    /// password.
    Waiting { same_password: bool },
}

/// Creates an account whose address is to be confirmed by e-mail. If there is an account already, its owner
/// gets a letter instead. The response is the same in both cases.
///
/// Somebody who does not own an address may sign up with it, before or after its owner does. While the
/// address is not confirmed, a second sign-up with another password removes the password. Whoever then
/// confirms the address chooses a password by [`request_password_reset`](super::request_password_reset()). A
/// stranger's password therefore never opens the account.
pub async fn sign_up(db: &Db, scope: &EntryScope, request: SignUp) -> Result<(), OpError<SignUpRefusal>> {
    let charges = [Charge::origin("sign_up", scope.origin()), Charge::letter(&request.email)];
    if let Some(wait_secs) = charge(db, scope.actor(), &charges).await? {
        return Err(OpError::refuse(SignUpRefusal::TooManyTries { wait_secs }));
    }
    // Another request may sign up with the address between the look-up and the transaction; then look it up
    // again.
    for _ in 0..3 {
        let plan = look(db, &request).await?;
        if in_tx(db, scope.actor(), async |tx| settle(tx, &request, &plan).await).await? {
            return Ok(());
        }
    }
    Err(OpError::inconsistent("the state of an address changed during each of three attempts to sign up"))
}

/// Computes or verifies exactly one hash in every case, so that the response time reveals nothing.
async fn look(db: &Db, request: &SignUp) -> Result<Plan, OpError<SignUpRefusal>> {
    Ok(match account::by_email(db.reader(), &request.email).await? {
        None => Plan::New(password::hash(&request.password).await?),
        Some(known) => {
            let same_password = password::verify(known.password_hash.as_ref(), &request.password).await?;
            if known.email_confirmed_at.is_some() { Plan::Known } else { Plan::Waiting { same_password } }
        }
    })
}

/// Carries out the plan. Returns `false` if the plan is out of date.
async fn settle(tx: &Tx, request: &SignUp, plan: &Plan) -> Result<bool, OpError<SignUpRefusal>> {
    if let Plan::New(hash) = plan {
        return insert(tx, request, hash.clone()).await;
    }
    let Some(known) = account::by_email(tx.conn(), &request.email).await? else { return Ok(false) };
    let task = match plan {
        Plan::Waiting { .. } if known.email_confirmed_at.is_some() => return Ok(false),
        Plan::Waiting { same_password: false } => {
            let row = account::lock(tx, known.id).await?;
            if row.email_confirmed_at.is_some() {
                return Ok(false);
            }
            let mut row = row.into_active_model();
            row.password_hash = Set(None);
            let row = row.update(tx.conn()).await?;
            session::revoke_all(tx, row.id, None).await?;
            account::tell(tx, &row, "account.sign_up_again", &["password"]).await?;
            SendMail::new(&ConfirmEmailLetter { account: known.id })?
        }
        Plan::Waiting { same_password: true } => {
            audit::record(tx, "account.sign_up_again", known.id, &[]).await?;
            SendMail::new(&ConfirmEmailLetter { account: known.id })?
        }
        Plan::New(_) | Plan::Known => {
            audit::record(tx, "account.sign_up_again", known.id, &[]).await?;
            SendMail::new(&AlreadySignedUpLetter { account: known.id })?
        }
    };
    tasks::enqueue(tx, task).await?;
    Ok(true)
}

async fn insert(tx: &Tx, request: &SignUp, hash: PasswordHash) -> Result<bool, OpError<SignUpRefusal>> {
    let row = account::Model {
        id: tx.new_id(),
        email: request.email.clone(),
        email_confirmed_at: None,
        name: request.name.as_str().to_owned(),
        password_hash: Some(hash),
        admin: false,
        version: 1,
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    let taken = OnConflict::column(account::Column::Email).do_nothing().to_owned();
    let insert = account::Entity::insert(row.clone().into_active_model()).on_conflict(taken);
    if insert.exec_without_returning(tx.conn()).await? == 0 {
        return Ok(false);
    }
    account::tell(tx, &row, "account.sign_up", &["email", "name", "password"]).await?;
    tasks::enqueue(tx, SendMail::new(&ConfirmEmailLetter { account: row.id })?).await?;
    Ok(true)
}
