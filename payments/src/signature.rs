//! Webhook signatures: `t=<unix seconds>,v1=<hex>`, an HMAC-SHA-256 over `<t>.<body>`.
//!
//! The scheme is Stripe's ("Verify webhook signatures manually"). The signed time prevents the replay of a
//! recorded webhook, and a header with several `v1` values allows a secret to be rotated without downtime.

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The largest accepted difference between the signed time and ours, in seconds, in either direction.
pub const TOLERANCE_SECS: i64 = 300;

/// Returns the header value for a body that is signed at `at`.
pub fn sign(secret: &[u8], at: DateTime<Utc>, body: &[u8]) -> String {
    let unix = at.timestamp().to_string();
    let code = mac(secret, &unix, body).map(|mac| hex::encode(mac.finalize().into_bytes()));
    format!("t={unix},v1={}", code.unwrap_or_default())
}

/// Returns whether one of the header's signatures is valid and its time is within [`TOLERANCE_SECS`] of
/// `now`. Signatures are compared in constant time.
pub fn is_right(secret: &[u8], now: DateTime<Utc>, header: &str, body: &[u8]) -> bool {
    // Eight fields are more than a rotation of secrets needs. A header has some 80 bytes.
    let fields = header.split(',').take(8).filter_map(|field| field.trim().split_once('='));
    let (times, codes): (Vec<_>, Vec<_>) =
        fields.filter(|(name, _)| matches!(*name, "t" | "v1")).partition(|(name, _)| *name == "t");
    let [(_, unix)] = times.as_slice() else { return false };
    let Ok(at) = unix.parse::<i64>() else { return false };
    if now.timestamp().abs_diff(at) > TOLERANCE_SECS.unsigned_abs() {
        return false;
    }
    codes.iter().any(|(_, code)| {
        let Ok(code) = hex::decode(code) else { return false };
        mac(secret, unix, body).is_some_and(|mac| mac.verify_slice(&code).is_ok())
    })
}

fn mac(secret: &[u8], unix: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
    // HMAC takes keys of any length, so this is always `Some`.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(unix.as_bytes());
    mac.update(b".");
    mac.update(body);
    Some(mac)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn only_the_right_secret_body_and_time_pass() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let header = sign(b"secret", now, b"{}");
        assert!(is_right(b"secret", now, &header, b"{}"));
        assert!(is_right(b"secret", now + TimeDelta::seconds(300), &header, b"{}"));
        assert!(is_right(b"secret", now - TimeDelta::seconds(300), &header, b"{}"));
        assert!(!is_right(b"secret", now + TimeDelta::seconds(301), &header, b"{}"));
        assert!(!is_right(b"secret", now - TimeDelta::seconds(301), &header, b"{}"));
        assert!(!is_right(b"other", now, &header, b"{}"));
        assert!(!is_right(b"secret", now, &header, b"{ }"));
        let moved = header.replace("t=1800000000", "t=1800000001");
        assert!(!is_right(b"secret", now, &moved, b"{}"));
    }

    #[test]
    fn one_valid_signature_among_several_is_enough_and_malformed_headers_are_not() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let header = sign(b"new", now, b"{}");
        let both = header.replace("v1=", &format!("v1={},v1=", "00".repeat(32)));
        assert!(is_right(b"new", now, &both, b"{}"));
        for nonsense in [
            "",
            "t=1800000000",
            "v1=00",
            "t=x,v1=00",
            "t=1800000000,t=1800000000,v1=00",
            "t=1800000000,v1=zz",
        ] {
            assert!(!is_right(b"new", now, nonsense, b"{}"), "{nonsense}");
        }
        assert!(!is_right(b"new", now, "t=9223372036854775807,v1=00", b"{}"));
        assert!(!is_right(b"new", now, "t=-9223372036854775808,v1=00", b"{}"));
    }

    #[test]
    fn the_header_matches_other_implementations_of_the_scheme() {
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        // printf '1800000000.{}' | openssl dgst -sha256 -hmac secret
        let code = "bb7079132825ac793cea8c013c1dd24d926b9b02132245b10588d9e5c0df70d7";
        assert_eq!(sign(b"secret", at, b"{}"), format!("t=1800000000,v1={code}"));
    }
}
