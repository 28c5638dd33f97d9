//! Passwords and their argon2id hashes, which are computed on blocking threads, away from the threads that
//! serve requests.

use std::fmt;

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc},
};
use tokio::sync::Semaphore;

use crate::platform::OpError;

/// A password in clear text, exactly as typed: 8 to 128 characters of any script (NIST SP 800-63B, section
/// 5.1.1.2).
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

/// The reasons why a text cannot be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The text has fewer than [`Password::MIN`] characters.
    #[error("must have at least 8 characters")]
    TooShort,
    /// The text has more than [`Password::MAX`] characters.
    #[error("must have at most 128 characters")]
    TooLong,
}

impl Password {
    /// The fewest characters of a password.
    pub const MIN: usize = 8;
    /// The most characters of a password.
    pub const MAX: usize = 128;

    /// Accepts a password as it is; white space counts.
    pub fn new(text: &str) -> Result<Self, PasswordError> {
        if text.len() > Self::MAX.saturating_mul(4) {
            return Err(PasswordError::TooLong);
        }
        match text.chars().count() {
            ..Self::MIN => Err(PasswordError::TooShort),
            Self::MIN..=Self::MAX => Ok(Self(text.to_owned())),
            _ => Err(PasswordError::TooLong),
        }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// A stored hash with its salt and cost parameters. Only this module reads it.
#[derive(Clone, PartialEq, Eq, sea_orm::DeriveValueType)]
pub struct PasswordHash(String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// A hash could not be computed or read. This is a defect, not a mistake of the user.
#[derive(Debug, thiserror::Error)]
#[error("the password could not be hashed: {0}")]
pub(crate) struct HashingFailed(String);

impl<R: fmt::Debug> From<HashingFailed> for OpError<R> {
    fn from(failed: HashingFailed) -> Self {
        Self::inconsistent(failed)
    }
}

/// Limits how many hashes are computed at a time. Each one takes a core for about 40 ms and 19 MiB of memory,
/// and requests need cores too.
static TURNS: Semaphore = Semaphore::const_new(2);

/// The hash that is verified when there is no account or no password. It matches no password and costs as
/// much as a real one.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5bm9ibw$bm9ib2R5bm9ib2R5bm9ib2R5bm9ib2R5bm9ib2R5bm8";

/// Hashes a password for storage.
pub(crate) async fn hash(password: &Password) -> Result<PasswordHash, HashingFailed> {
    let Password(text) = password.clone();
    let made = in_turn(move || {
        Argon2::default().hash_password(text.as_bytes()).map(|hash: phc::PasswordHash| hash.to_string())
    });
    made.await?.map(PasswordHash).map_err(|error| HashingFailed(error.to_string()))
}

/// Returns whether the password matches the stored hash. Without a stored hash, returns `false` after the
/// same time.
pub(crate) async fn verify(
    stored: Option<&PasswordHash>,
    password: &Password,
) -> Result<bool, HashingFailed> {
    let known = stored.is_some();
    let stored = stored.map_or_else(|| NOBODYS.to_owned(), |PasswordHash(text)| text.clone());
    let Password(text) = password.clone();
    let verified = in_turn(move || {
        let stored = phc::PasswordHash::new(&stored).map_err(|error| HashingFailed(error.to_string()))?;
        Ok(Argon2::default().verify_password(text.as_bytes(), &stored).is_ok())
    });
    Ok(verified.await?? && known)
}

async fn in_turn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, HashingFailed> {
    let turn = TURNS.acquire().await.map_err(|error| HashingFailed(error.to_string()))?;
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| HashingFailed(error.to_string()));
    drop(turn);
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_bounded_in_characters_and_never_shown() {
        assert_eq!(Password::new("1234567"), Err(PasswordError::TooShort));
        assert_eq!(Password::new(&"ß".repeat(129)), Err(PasswordError::TooLong));
        assert_eq!(Password::new(&"x".repeat(1_000_000)), Err(PasswordError::TooLong));
        assert!(Password::new(&"🦀".repeat(128)).is_ok());
        let password = Password::new(" eight ch ").unwrap();
        assert_eq!(format!("{password:?}"), "Password(…)");
        assert_eq!(format!("{:?}", PasswordHash("$argon2id$".to_owned())), "PasswordHash(…)");
    }

    #[tokio::test]
    async fn a_password_matches_only_its_own_hash() {
        let (right, wrong) =
            (Password::new("correct horse").unwrap(), Password::new("correct house").unwrap());
        let stored = hash(&right).await.unwrap();
        assert!(verify(Some(&stored), &right).await.unwrap());
        assert!(!verify(Some(&stored), &wrong).await.unwrap());
        assert!(!verify(None, &right).await.unwrap());
        assert_ne!(hash(&right).await.unwrap(), stored, "each hash has a salt of its own");
    }

    #[tokio::test]
    async fn the_placeholder_hash_costs_as_much_as_a_real_one() {
        let cost = |text: &str| text.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        let PasswordHash(real) = hash(&Password::new("any password").unwrap()).await.unwrap();
        assert_eq!(cost(NOBODYS), cost(&real));
        assert_eq!(NOBODYS.len(), real.len(), "salt and hash are as long as real ones");
    }
}
