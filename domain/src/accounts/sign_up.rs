//! To sign up.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, IntoActiveModel, sea_query::OnConflict};

use super::{
    AccountName, Email, Password, account,
    letters::{AlreadySignedUpLetter, ConfirmEmailLetter},
    password::{self, PasswordHash},
    session,
    throttle::{Charge, charge},
};
use crate::platform::{Db, OpError, Tx, access::EntryScope, audit, in_tx, mail::SendMail, tasks};

/// Who wants an account.
#[derive(Debug, Clone)]
pub struct SignUp {
    /// The address; it is to be confirmed by the link that is sent there.
    pub email: Email,
    /// The password.
    pub password: Password,
    /// What the person wants to be called.
    pub name: AccountName,
}

/// Why nobody signs up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignUpRefusal {
    /// Too often from there, or too many letters to this address.
    #[error("too many tries: wait {wait_secs} seconds")]
    TooManyTries {
        /// How long to wait.
        wait_secs: u32,
    },
}

/// What is known of the address before the transaction.
enum Plan {
    /// Nothing: an account with this hash.
    New(PasswordHash),
    /// An account whose address is confirmed.
    Known,
    /// An account that waits for its confirmation, and whether it was made with the same password.
    Waiting { same_password: bool },
}

/// Makes an account that is to be confirmed by e-mail, or tells the owner of one that exists; the answer is
/// the same.
///
/// An address may be signed up by somebody who does not read it, before its owner or after. While it is not
/// confirmed, a second sign-up with another password takes the password away: whoever confirms the address
/// then chooses one by [`request_password_reset`](super::request_password_reset()), and neither stranger's
/// password opens the account.
pub async fn sign_up(db: &Db, scope: &EntryScope, request: SignUp) -> Result<(), OpError<SignUpRefusal>> {
    let charges = [Charge::origin("sign_up", scope.origin()), Charge::letter(&request.email)];
    if let Some(wait_secs) = charge(db, scope.actor(), &charges).await? {
        return Err(OpError::refuse(SignUpRefusal::TooManyTries { wait_secs }));
    }
    // Somebody else may sign the address up between the look and the transaction: look again then.
    for _ in 0..3 {
        let plan = look(db, &request).await?;
        if in_tx(db, scope.actor(), async |tx| settle(tx, &request, &plan).await).await? {
            return Ok(());
        }
    }
    Err(OpError::inconsistent("an address is signed up and not, in turns"))
}

/// Makes or verifies one hash whatever is known, so that the time tells nothing.
async fn look(db: &Db, request: &SignUp) -> Result<Plan, OpError<SignUpRefusal>> {
    Ok(match account::by_email(db.reader(), &request.email).await? {
        None => Plan::New(password::hash(&request.password).await?),
        Some(known) => {
            let same_password = password::verify(known.password_hash.as_ref(), &request.password).await?;
            if known.email_confirmed_at.is_some() { Plan::Known } else { Plan::Waiting { same_password } }
        }
    })
}

/// Answers `false` when the plan is out of date.
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
