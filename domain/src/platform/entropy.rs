//! Randomness: identifiers and secret tokens, from one injected [`Entropy`].

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// Where randomness comes from.
pub trait Entropy: Send + Sync {
    /// Fills the bytes with randomness that nobody can guess.
    fn fill(&self, bytes: &mut [u8]);

    /// A new UUIDv7 (RFC 9562, section 5.7): sorted by creation time.
    fn uuid(&self, now: DateTime<Utc>) -> Uuid {
        let mut random = [0_u8; 10];
        self.fill(&mut random);
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }

    /// A new secret: a readable prefix and 32 random bytes in hexadecimal.
    fn secret(&self, prefix: &str) -> Secret {
        let mut random = [0_u8; 32];
        self.fill(&mut random);
        Secret(format!("{prefix}_{}", hex::encode(random)))
    }
}

/// The operating system's random source.
#[derive(Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::expect_used, reason = "without randomness no secret may be handed out")]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives randomness");
    }
}

/// A bearer secret in clear; shown once, stored only as [`Secret::hash`], absent from logs.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes what a client sent; bounded, so that hashing costs nothing.
    pub fn presented(text: &str) -> Option<Self> {
        (text.len() <= 200 && !text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// The text to hand to its owner.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// SHA-256: secrets have 256 bits of randomness, so a fast hash is enough.
    pub fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.0.as_bytes()).to_vec()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Whether two byte strings are equal, in a time that depends on their lengths only.
pub fn equal_in_constant_time(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}
