//! Randomness for identifiers and secret tokens, from an injected [`Entropy`].

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// A source of randomness.
pub trait Entropy: Send + Sync {
    /// Fills the bytes with cryptographically secure randomness.
    fn fill(&self, bytes: &mut [u8]);

    /// Returns a new UUIDv7 (RFC 9562, section 5.7), which sorts by creation time.
    fn uuid(&self, now: DateTime<Utc>) -> Uuid {
        let mut random = [0_u8; 10];
        self.fill(&mut random);
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }

    /// Returns a new secret: a readable prefix and 32 random bytes in hexadecimal.
    fn secret(&self, prefix: &str) -> Secret {
        let mut random = [0_u8; 32];
        self.fill(&mut random);
        Secret(format!("{prefix}_{}", hex::encode(random)))
    }
}

/// The random source of the operating system.
#[derive(Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::expect_used, reason = "without randomness no secret may be handed out")]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives randomness");
    }
}

/// A bearer secret in clear text. It is shown once, stored only as [`Secret::hash`], and never logged.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret sent by a client: 1 to 200 bytes, so that hashing is cheap.
    pub fn presented(text: &str) -> Option<Self> {
        (text.len() <= 200 && !text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// Returns the text to hand to its owner.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the SHA-256 hash. A fast hash is enough, because secrets have 256 bits of randomness.
    pub fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.0.as_bytes()).to_vec()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Compares two byte strings in a time that depends only on their lengths.
pub fn equal_in_constant_time(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}
