//! Rate limits for requests from people who are not signed in, and for letters to an address.
//!
//! A budget is charged before the work, in its own transaction, so a refusal does not give it back. The named
//! address is charged whether it is known or not, so an exhausted budget reveals nothing.

use std::net::IpAddr;

use chrono::TimeDelta;
use sea_orm::DbErr;

use super::{Email, person_key};
use crate::platform::{
    Db,
    access::{Actor, Origin},
    budget::{self, Rate},
    in_tx,
};

/// The tries to sign in per minute, for one account and for one network address. At this rate, guessing a
/// password of eight random letters takes too long to succeed.
const SIGN_INS_PER_MINUTE: u32 = 20;
/// The tries per minute of a storefront's server, which acts for many buyers.
const STOREFRONT_PER_MINUTE: u32 = 600;
/// The letters to one address that may be sent at once. After that, one letter is allowed every
/// [`LETTER_INTERVAL`], so that nobody's mailbox is flooded.
const LETTERS_BURST: u32 = 5;
const LETTER_INTERVAL: TimeDelta = TimeDelta::minutes(5);

/// A charge on one budget.
pub(crate) struct Charge {
    name: String,
    rate: Rate,
}

impl Charge {
    /// Charges the origin of a request for the operation `what`.
    pub(crate) fn origin(what: &str, origin: Origin) -> Self {
        match origin {
            Origin::Address(address) => Self {
                name: format!("{what}:address:{}", network(address)),
                rate: Rate::per_minute(SIGN_INS_PER_MINUTE),
            },
            Origin::Storefront(token) => {
                Self { name: format!("{what}:{token}"), rate: Rate::per_minute(STOREFRONT_PER_MINUTE) }
            }
        }
    }

    /// Charges an address for a try, whether it has an account or not.
    pub(crate) fn tries(what: &str, email: &Email) -> Self {
        Self { name: format!("{what}:person:{}", person(email)), rate: Rate::per_minute(SIGN_INS_PER_MINUTE) }
    }

    /// Charges an address for a letter of any kind.
    pub(crate) fn letter(email: &Email) -> Self {
        let rate = Rate { interval: LETTER_INTERVAL, burst: LETTERS_BURST };
        Self { name: format!("letter:person:{}", person(email)), rate }
    }
}

/// Charges the budgets in order. Returns the seconds to wait if one of them is exhausted.
pub(crate) async fn charge(db: &Db, actor: Actor, charges: &[Charge]) -> Result<Option<u32>, DbErr> {
    let wait: Result<Option<TimeDelta>, DbErr> = in_tx(db, actor, async |tx| {
        for Charge { name, rate } in charges {
            if let Err(wait) = budget::take(tx, name, *rate).await? {
                return Ok(Some(wait));
            }
        }
        Ok(None)
    })
    .await;
    Ok(wait?.map(whole_secs))
}

/// Rounds up to the next whole number of seconds, at least one.
fn whole_secs(wait: TimeDelta) -> u32 {
    u32::try_from(wait.num_seconds().saturating_add(1)).unwrap_or(u32::MAX)
}

fn person(email: &Email) -> String {
    hex::encode(person_key(email))
}

/// Returns the network that one subscriber has: an IPv4 address, or the /64 prefix of an IPv6 address.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_is_one_origin_whatever_address_it_takes() {
        for (address, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ] {
            assert_eq!(network(address.parse().unwrap()).to_string(), expected);
        }
    }

    #[test]
    fn a_wait_is_rounded_up_to_whole_seconds() {
        assert_eq!(whole_secs(TimeDelta::milliseconds(1)), 1);
        assert_eq!(whole_secs(TimeDelta::milliseconds(2_999)), 3);
        assert_eq!(whole_secs(TimeDelta::MAX), u32::MAX);
    }
}
