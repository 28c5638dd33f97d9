//! Accounts, guests, sessions and API tokens, and what each of them may do.
//!
//! [`viewer_of`](fn@viewer_of) finds the viewer that a bearer token belongs to. Each operation has its own
//! file, named by its verb. The other modules:
//!
//! - [`queries`]: the reads
//! - [`email`], [`password`]: the value types
//! - [`letters`]: the letters that are sent to people
//! - [`links`]: the secrets in the links of those letters
//! - [`recipient`]: the recipients of letters about a purchase
//! - [`throttle`]: the rate limits for requests from people who are not signed in
//!
//! Architecture invariant: no response reveals whether an address is known, neither by its text nor by its
//! duration. An unknown address causes the same work as a known one, except for the letter.

pub(crate) mod account;
pub(crate) mod api_token;
mod change_name;
mod change_password;
mod confirm_email;
mod confirm_guest;
mod create_account;
mod create_admin;
mod create_buyers;
mod create_token;
pub mod email;
pub(crate) mod guest;
pub mod letters;
pub mod links;
pub(crate) mod member;
mod open_session;
mod open_session_for;
pub mod password;
pub mod personal_data;
pub mod queries;
pub mod recipient;
mod request_password_reset;
mod request_session;
mod reset_password;
mod revoke_session;
mod revoke_token;
pub(crate) mod session;
mod sign_in;
mod sign_out;
mod sign_up;
mod start_guest;
mod sweep;
pub mod throttle;
pub mod viewer_of;
pub mod viewers;
mod vouched;

pub use account::Account;
pub use api_token::ApiToken;
pub use change_name::change_name;
pub use change_password::{ChangePassword, ChangePasswordRefusal, change_password};
pub use confirm_email::{ConfirmEmailRefusal, confirm_email};
pub use confirm_guest::{ConfirmGuestRefusal, confirm_guest};
pub use create_account::{CreateAccount, create_account};
pub use create_admin::{CreateAdminRefusal, create_admin};
pub use create_buyers::create_buyers;
pub use create_token::{
    CreateToken, CreateTokenRefusal, TOKEN_YEARS_MAX, TOKENS_MAX, TokenCreated, create_token,
};
pub use email::{Email, EmailError, person_key};
pub use member::Model as Member;
pub use open_session::{OpenSessionRefusal, open_session};
pub use open_session_for::open_session_for;
pub use password::{Password, PasswordError};
pub(crate) use recipient::person_keys;
pub use recipient::{email_of, own_email, person_key_of};
pub use request_password_reset::{RequestPasswordResetRefusal, request_password_reset};
pub use request_session::{RequestSessionRefusal, request_session};
pub use reset_password::{ResetPassword, ResetPasswordRefusal, reset_password};
pub use revoke_session::{RevokeSessionRefusal, revoke_session};
pub use revoke_token::{RevokeTokenRefusal, revoke_token};
pub use session::{GUEST_SESSION_LASTS, SESSION_LASTS, Session, SignedIn};
pub use sign_in::{SignIn, SignInRefusal, sign_in};
pub use sign_out::sign_out;
pub use sign_up::{SignUp, SignUpRefusal, sign_up};
pub use start_guest::{StartGuestRefusal, start_guest};
pub use sweep::sweep;
pub use viewer_of::{viewer_of, viewers_of};
pub use viewers::Viewers;

use crate::platform::text::TextLine;

/// The name that a person wants to be called by.
pub type AccountName = TextLine<80>;
/// The purpose of an API token, such as `web shop`.
pub type TokenName = TextLine<80>;
